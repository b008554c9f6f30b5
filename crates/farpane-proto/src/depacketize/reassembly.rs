//! Packets back into their order and into units, whatever the codec: what waits, what is given up, what is lost.
//!
//! Packets may come late, twice or never. They wait in a window of sequence numbers until those before them are there
//! or have been given up; from then on they are in order, and a hole is a loss. A unit that misses something is
//! reported, never emitted. Memory is bounded by the window and by the longest unit, whatever the peer sends.

use std::ops::Range;

use crate::rtp::Header;

/// The longest payload taken, a jumbo frame: a window full of them bounds the memory of the window.
const LONGEST_PAYLOAD: usize = 9_000;

/// Why a unit was not emitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// Packets of it, or before it so that its start is unknown, did not come.
    Missing,
    /// A packet of it was malformed, or its fragments do not fit together.
    Malformed,
    /// It is longer than the limit.
    TooLarge,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<U> {
    Unit(U),
    /// The unit with this RTP timestamp is lost. A unit of which no packet came is not reported by itself.
    Lost {
        time: u32,
        loss: Loss,
    },
}

impl<U> Event<U> {
    pub fn map<V>(self, unit: impl FnOnce(U) -> V) -> Event<V> {
        match self {
            Event::Unit(whole) => Event::Unit(unit(whole)),
            Event::Lost { time, loss } => Event::Lost { time, loss },
        }
    }
}

/// Why a packet is not taken, whatever is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    Late,
    Duplicate,
    TooLong(usize),
}

/// What a codec makes of payloads in order, each of them well-formed by itself and none of them empty.
pub(super) trait Assembler {
    /// Whether a unit begins with this payload for sure, whatever came before it.
    fn is_start(payload: &[u8]) -> bool;

    /// Whether the packet after this payload belongs to the same unit for sure.
    fn continues(_payload: &[u8]) -> bool {
        false
    }

    /// Begins a unit.
    fn clear(&mut self);

    fn append(&mut self, payload: &[u8]) -> Result<(), Loss>;

    /// Whether nothing more has to come.
    fn is_complete(&self) -> bool;
}

#[derive(Debug)]
pub(super) struct Reassembly<A> {
    /// Packets from `next` on, by sequence number modulo the length, a power of two. It is twice the window, so that
    /// what follows a hole is still there when the hole is given up.
    slots: Box<[Slot]>,
    /// The sequence number to be assembled next; `None` before the first packet.
    next: Option<u16>,
    /// The highest sequence number that has come.
    newest: u16,
    /// How many slots are filled.
    held: usize,
    /// How many packets are missing right before `next`, so that where the next unit starts is unknown. Whatever went
    /// before the first packet counts as one.
    missing: usize,
    /// The packet assembled last goes on in the one after it.
    continued: bool,
    unit: Unit,
    pub assembler: A,
}

#[derive(Debug, Default)]
struct Slot {
    filled: bool,
    malformed: bool,
    marker: bool,
    time: u32,
    payload: Vec<u8>,
}

/// The unit being assembled, or the one just closed until the next is opened.
#[derive(Debug, Default)]
struct Unit {
    open: bool,
    time: u32,
    loss: Option<Loss>,
}

impl Unit {
    /// The first cause is the one reported.
    fn lose(&mut self, loss: Loss) {
        self.loss.get_or_insert(loss);
    }
}

impl<A: Assembler> Reassembly<A> {
    /// # Panics
    /// When `window` is not a power of two up to 4096.
    pub fn new(window: usize, assembler: A) -> Reassembly<A> {
        assert!(window.is_power_of_two() && window <= 4096, "a window of {window} packets");
        Reassembly {
            slots: (0..2 * window).map(|_| Slot::default()).collect(),
            next: None,
            newest: 0,
            held: 0,
            missing: 1,
            continued: false,
            unit: Unit::default(),
            assembler,
        }
    }

    /// Takes a packet in; one that is not `well_formed` only costs its unit, and so does one that is too long.
    pub fn insert(
        &mut self,
        header: &Header,
        payload: &[u8],
        well_formed: bool,
    ) -> Result<(), Refusal> {
        let next = *self.next.get_or_insert(header.sequence);
        let ahead = header.sequence.wrapping_sub(next);
        if ahead >= 1 << 15 {
            return Err(Refusal::Late);
        }
        self.abandon((usize::from(ahead) + 1).saturating_sub(self.slots.len()));
        let slot = self.slot(header.sequence);
        let slot = &mut self.slots[slot];
        if slot.filled {
            return Err(Refusal::Duplicate);
        }
        let too_long = payload.len() > LONGEST_PAYLOAD;
        slot.filled = true;
        slot.malformed = !well_formed || too_long;
        (slot.marker, slot.time) = (header.marker, header.time);
        slot.payload.clear();
        if !slot.malformed {
            slot.payload.extend_from_slice(payload);
        }
        self.held += 1;
        if self.held == 1 || header.sequence.wrapping_sub(self.newest) < 1 << 15 {
            self.newest = header.sequence;
        }
        if too_long { Err(Refusal::TooLong(payload.len())) } else { Ok(()) }
    }

    /// The RTP timestamp of the next unit, in order of sequence numbers, and whether the assembler has it whole.
    pub fn poll(&mut self) -> Option<(u32, Result<(), Loss>)> {
        loop {
            let next = self.next?;
            let slot = self.slot(next);
            let slot = &self.slots[slot];
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
            if self.unit.open && self.missing > 0 {
                self.unit.lose(Loss::Missing);
                // Whether the gap also holds the start of another unit is known by the time alone.
                if self.unit.time == slot.time {
                    self.missing = 0;
                }
            }
            if self.unit.open && self.unit.time != slot.time {
                return Some(self.close());
            }
            if !self.unit.open {
                self.unit = Unit { open: true, time: slot.time, loss: None };
                self.assembler.clear();
                // Unless it is a start for sure, or only the end of the unit before is gone, its start may be gone too.
                // If that is not so, the unit refers to what was lost, and nobody misses it.
                let missing = std::mem::take(&mut self.missing);
                let is_start = !slot.malformed && A::is_start(&slot.payload);
                if missing > 0 && !is_start && !(missing == 1 && self.continued) {
                    self.unit.lose(Loss::Missing);
                }
            }
            if slot.malformed {
                self.unit.lose(Loss::Malformed);
            } else if self.unit.loss.is_none()
                && let Err(loss) = self.assembler.append(&slot.payload)
            {
                self.unit.lose(loss);
            }
            let marker = slot.marker;
            self.continued = !marker && !slot.malformed && A::continues(&slot.payload);
            self.consume(next);
            if marker {
                return Some(self.close());
            }
        }
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

    fn close(&mut self) -> (u32, Result<(), Loss>) {
        self.unit.open = false;
        if !self.assembler.is_complete() {
            self.unit.lose(Loss::Malformed);
        }
        (self.unit.time, self.unit.loss.map_or(Ok(()), Err))
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
        self.missing = self.missing.saturating_add(count);
    }
}

/// The bytes of a unit, no more than a limit, and where its parts are.
#[derive(Debug)]
pub(super) struct Parts {
    pub data: Vec<u8>,
    pub ranges: Vec<Range<usize>>,
    max_len: usize,
}

impl Parts {
    pub fn new(max_len: usize) -> Parts {
        Parts { data: Vec::new(), ranges: Vec::new(), max_len }
    }

    pub fn clear(&mut self) {
        self.data.clear();
        self.ranges.clear();
    }

    pub fn extend(&mut self, bytes: &[u8]) -> Result<(), Loss> {
        if bytes.len() > self.max_len - self.data.len() {
            return Err(Loss::TooLarge);
        }
        self.data.extend_from_slice(bytes);
        Ok(())
    }
}
