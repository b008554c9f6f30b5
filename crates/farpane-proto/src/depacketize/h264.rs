//! RTP payloads of RFC 6184, packetization mode 1, back into H.264 access units.
//!
//! Packets may come late, twice or never. They wait in a window of sequence numbers until those before them are there
//! or have been given up; from then on they are in order, and a hole is a loss. A unit that misses something is
//! reported, never emitted. Memory is bounded by the window and by the longest unit, whatever the peer sends.

use std::ops::Range;

use crate::nal;
use crate::rtp::Header;

/// The longest payload taken, a jumbo frame: a window full of them bounds the memory of the window.
const LONGEST_PAYLOAD: usize = 9_000;
const START_CODE: [u8; 4] = [0, 0, 0, 1];

/// Why a packet was not taken. [`Error::Late`] and [`Error::Duplicate`] are usual on a network and cost nothing; the
/// others are the peer's fault and cost the packet's access unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("the packet comes after its place was given up")]
    Late,
    #[error("the packet is here already")]
    Duplicate,
    #[error("a payload of {0} bytes")]
    TooLong(usize),
    #[error("type {0} has no meaning there in packetization mode 1")]
    Type(u8),
    #[error("the lengths in an aggregation packet do not add up")]
    Aggregate,
    #[error("a fragmentation unit without header, or with both start and end")]
    Fragment,
}

/// Why an access unit was not emitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// Packets of it, or before it so that its start is unknown, did not come.
    Missing,
    /// A packet of it was malformed, or its fragments do not fit together.
    Malformed,
    /// It is longer than the limit.
    TooLarge,
}

/// A whole access unit, as the encoder gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccessUnit<'a> {
    /// Its RTP timestamp.
    pub time: u32,
    /// An Annex B byte stream: each NAL unit after a four-byte start code.
    pub data: &'a [u8],
    /// The NAL units in `data`, without start codes.
    pub nals: &'a [Range<usize>],
}

impl AccessUnit<'_> {
    /// Whether it can be decoded without any before it: it has a slice of an IDR picture.
    pub fn is_key_frame(&self) -> bool {
        self.nals.iter().any(|nal| self.data[nal.start] & nal::TYPE == nal::IDR)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    Unit(AccessUnit<'a>),
    /// The unit with this RTP timestamp is lost. A unit of which no packet came is not reported by itself.
    Lost {
        time: u32,
        loss: Loss,
    },
}

/// Reassembles one stream: one SSRC, whose sequence numbers never start over.
///
/// After each [`Depacketizer::handle_packet`], ask [`Depacketizer::poll_event`] until it returns `None`; packets left
/// undrained are lost once the stream is two windows ahead. It has no clock: a caller that will wait no longer for a
/// hole to be filled says so by [`Depacketizer::give_up`].
#[derive(Debug)]
pub struct Depacketizer {
    /// Packets from `next` on, by sequence number modulo the length, a power of two. It is twice the window, so that
    /// what follows a hole is still there when the hole is given up.
    slots: Box<[Slot]>,
    /// The sequence number to be assembled next; `None` before the first packet.
    next: Option<u16>,
    /// The highest sequence number that has come.
    newest: u16,
    /// How many slots are filled.
    held: usize,
    /// Something before `next` is missing, so that where the next unit starts is unknown.
    gap: bool,
    unit: Unit,
}

#[derive(Debug, Default)]
struct Slot {
    filled: bool,
    malformed: bool,
    marker: bool,
    time: u32,
    payload: Vec<u8>,
}

impl Default for Depacketizer {
    /// 256 packets wide, a round trip of 100 ms at 20 Mb/s, and units up to 8 MiB, beyond any key frame.
    fn default() -> Depacketizer {
        Depacketizer::new(256, 8 << 20)
    }
}

impl Depacketizer {
    /// A packet is given up when one `window` numbers later has come; a unit has at most `max_unit` bytes with its start
    /// codes.
    ///
    /// # Panics
    /// When `window` is not a power of two up to 4096.
    pub fn new(window: usize, max_unit: usize) -> Depacketizer {
        assert!(window.is_power_of_two() && window <= 4096, "a window of {window} packets");
        let slots = (0..2 * window).map(|_| Slot::default()).collect();
        Depacketizer { slots, next: None, newest: 0, held: 0, gap: true, unit: Unit::new(max_unit) }
    }

    /// Takes a packet in; an empty payload is padding. An error says what was wrong with it; the state stays sound.
    pub fn handle_packet(&mut self, header: &Header, payload: &[u8]) -> Result<(), Error> {
        let next = *self.next.get_or_insert(header.sequence);
        let ahead = header.sequence.wrapping_sub(next);
        if ahead >= 1 << 15 {
            return Err(Error::Late);
        }
        self.abandon((usize::from(ahead) + 1).saturating_sub(self.slots.len()));
        let slot = self.slot(header.sequence);
        let slot = &mut self.slots[slot];
        if slot.filled {
            return Err(Error::Duplicate);
        }
        let valid = validate(payload);
        slot.filled = true;
        slot.malformed = valid.is_err();
        (slot.marker, slot.time) = (header.marker, header.time);
        slot.payload.clear();
        if valid.is_ok() {
            slot.payload.extend_from_slice(payload);
        }
        self.held += 1;
        if self.held == 1 || header.sequence.wrapping_sub(self.newest) < 1 << 15 {
            self.newest = header.sequence;
        }
        valid
    }

    /// The next whole or lost unit, in order of sequence numbers.
    pub fn poll_event(&mut self) -> Option<Event<'_>> {
        let outcome = loop {
            let next = self.next?;
            let slot = self.slot(next);
            let slot = &mut self.slots[slot];
            if !slot.filled {
                if self.held == 0
                    || usize::from(self.newest.wrapping_sub(next)) < self.slots.len() / 2
                {
                    return None;
                }
                self.abandon(1);
                continue;
            }
            if slot.payload.is_empty() && !slot.malformed {
                // Padding, which probes send: it only fills its place.
                self.consume(next);
                continue;
            }
            if self.unit.is_open() && std::mem::take(&mut self.gap) {
                self.unit.lose(Loss::Missing);
                // Whether the gap also holds the start of another unit is known by the time alone.
                self.gap = self.unit.time != slot.time;
            }
            if self.unit.is_open() && self.unit.time != slot.time {
                break self.unit.close();
            }
            if !self.unit.is_open() {
                self.unit.open(slot.time);
                // Parameter sets come before all slices, so they are a start for sure. Without them the unit refers
                // to what was lost, and nobody misses it.
                if std::mem::take(&mut self.gap) && first_type(&slot.payload) != Some(nal::SPS) {
                    self.unit.lose(Loss::Missing);
                }
            }
            if slot.malformed {
                self.unit.lose(Loss::Malformed);
            } else {
                self.unit.append(&slot.payload);
            }
            let marker = slot.marker;
            self.consume(next);
            if marker {
                break self.unit.close();
            }
        };
        let Unit { time, ref data, ref nals, .. } = self.unit;
        Some(match outcome {
            Ok(()) => Event::Unit(AccessUnit { time, data, nals }),
            Err(loss) => Event::Lost { time, loss },
        })
    }

    /// Whether packets wait for one before them that has not come.
    pub fn is_waiting(&self) -> bool {
        self.held > 0 && self.next.is_some_and(|next| !self.slots[self.slot(next)].filled)
    }

    /// Stops waiting for the packets missing before the first one held.
    pub fn give_up(&mut self) {
        while self.is_waiting() {
            self.abandon(1);
        }
    }

    /// Frees the slot of `next` and moves on.
    fn consume(&mut self, next: u16) {
        let slot = self.slot(next);
        self.slots[slot].filled = false;
        self.held -= 1;
        self.next = Some(next.wrapping_add(1));
    }

    fn slot(&self, sequence: u16) -> usize {
        usize::from(sequence) & (self.slots.len() - 1)
    }

    /// Moves the window on by `count` sequence numbers, come or not.
    fn abandon(&mut self, count: usize) {
        let Some(next) = self.next.filter(|_| count > 0) else { return };
        for step in 0..count.min(self.slots.len()) {
            let slot = self.slot(next.wrapping_add(step as u16));
            self.held -= usize::from(std::mem::take(&mut self.slots[slot].filled));
        }
        self.next = Some(next.wrapping_add(count as u16));
        self.gap = true;
    }
}

/// The unit being assembled, or the one just closed until the next is opened.
#[derive(Debug)]
struct Unit {
    open: bool,
    time: u32,
    data: Vec<u8>,
    nals: Vec<Range<usize>>,
    /// The type of the NAL unit whose fragments are coming in.
    fragmented: Option<u8>,
    loss: Option<Loss>,
    max_len: usize,
}

impl Unit {
    fn new(max_len: usize) -> Unit {
        let (data, nals) = (Vec::new(), Vec::new());
        Unit { open: false, time: 0, data, nals, fragmented: None, loss: None, max_len }
    }

    fn is_open(&self) -> bool {
        self.open
    }

    fn open(&mut self, time: u32) {
        self.data.clear();
        self.nals.clear();
        (self.open, self.time, self.fragmented, self.loss) = (true, time, None, None);
    }

    fn close(&mut self) -> Result<(), Loss> {
        self.open = false;
        if self.fragmented.is_some() {
            self.lose(Loss::Malformed);
        }
        self.loss.map_or(Ok(()), Err)
    }

    /// The first cause is the one reported.
    fn lose(&mut self, loss: Loss) {
        self.loss.get_or_insert(loss);
    }

    /// Adds a payload that [`validate`] has passed.
    fn append(&mut self, payload: &[u8]) {
        if self.loss.is_some() {
            return;
        }
        match payload {
            [header, fu, bytes @ ..] if header & nal::TYPE == nal::FU_A => {
                let kind = fu & nal::TYPE;
                let fits = match self.fragmented {
                    None => fu & nal::FU_START != 0,
                    Some(open) => fu & nal::FU_START == 0 && open == kind,
                };
                if !fits {
                    return self.lose(Loss::Malformed);
                }
                if self.fragmented.is_none() {
                    self.add_nal(&[header & !nal::TYPE | kind]);
                }
                self.extend_nal(bytes);
                self.fragmented = (fu & nal::FU_END == 0).then_some(kind);
            }
            _ if self.fragmented.is_some() => self.lose(Loss::Malformed),
            [header, ..] if header & nal::TYPE == nal::STAP_A => {
                aggregated(payload).flatten().for_each(|nal| self.add_nal(nal));
            }
            _ => self.add_nal(payload),
        }
    }

    fn add_nal(&mut self, nal: &[u8]) {
        if self.reserve(START_CODE.len() + nal.len()) {
            self.data.extend_from_slice(&START_CODE);
            let start = self.data.len();
            self.data.extend_from_slice(nal);
            self.nals.push(start..self.data.len());
        }
    }

    fn extend_nal(&mut self, bytes: &[u8]) {
        if self.reserve(bytes.len()) {
            self.data.extend_from_slice(bytes);
            self.nals.last_mut().expect("a fragmented NAL unit has begun").end = self.data.len();
        }
    }

    /// Whether `len` more bytes are within the limit and nothing has gone wrong before.
    fn reserve(&mut self, len: usize) -> bool {
        if len > self.max_len - self.data.len() {
            self.lose(Loss::TooLarge);
        }
        self.loss.is_none()
    }
}

/// What can be wrong with a payload by itself.
fn validate(payload: &[u8]) -> Result<(), Error> {
    if payload.len() > LONGEST_PAYLOAD {
        return Err(Error::TooLong(payload.len()));
    }
    let Some(header) = payload.first() else { return Ok(()) };
    match header & nal::TYPE {
        nal::STAP_A if payload.len() == 1 => Err(Error::Aggregate),
        nal::STAP_A => aggregated(payload).try_for_each(|nal| check_type(nal?[0])),
        nal::FU_A => {
            // A fragment may be empty (section 5.8), its header may not be missing.
            let fu = *payload.get(1).ok_or(Error::Fragment)?;
            if fu & nal::FU_START != 0 && fu & nal::FU_END != 0 {
                return Err(Error::Fragment);
            }
            check_type(fu)
        }
        _ => check_type(*header),
    }
}

fn check_type(header: u8) -> Result<(), Error> {
    if nal::is_nal(header) { Ok(()) } else { Err(Error::Type(header & nal::TYPE)) }
}

/// The NAL units of a STAP-A, none of them empty, up to the first error.
fn aggregated(payload: &[u8]) -> impl Iterator<Item = Result<&[u8], Error>> {
    let mut rest = &payload[1..];
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let nal = rest.split_first_chunk::<2>().and_then(|(len, after)| {
            let (nal, after) = after.split_at_checked(usize::from(u16::from_be_bytes(*len)))?;
            rest = after;
            (!nal.is_empty()).then_some(nal)
        });
        if nal.is_none() {
            rest = &[];
        }
        Some(nal.ok_or(Error::Aggregate))
    })
}

/// The type of the NAL unit that starts a valid payload; `None` when none starts there.
fn first_type(payload: &[u8]) -> Option<u8> {
    let header = match payload {
        [header, _, _, first, ..] if header & nal::TYPE == nal::STAP_A => first,
        [header, fu, ..] if header & nal::TYPE == nal::FU_A => {
            if fu & nal::FU_START == 0 {
                return None;
            }
            fu
        }
        [header, ..] => header,
        [] => return None,
    };
    Some(header & nal::TYPE)
}
