//! RTP payloads of RFC 6184, packetization mode 1, back into H.264 access units.
//!
//! A window of sequence numbers puts packets in order (see `reassembly.rs`); here they become NAL units again.

use std::ops::Range;

use super::reassembly::{Assembler, Parts, Reassembly, Refusal};
pub use super::reassembly::{Event, Loss};
use crate::nal;
use crate::rtp::Header;

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

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Error {
        match refusal {
            Refusal::Late => Error::Late,
            Refusal::Duplicate => Error::Duplicate,
            Refusal::TooLong(len) => Error::TooLong(len),
        }
    }
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

/// Reassembles one stream: one SSRC, whose sequence numbers never start over.
///
/// After each [`Depacketizer::handle_packet`], ask [`Depacketizer::poll_event`] until it returns `None`; packets left
/// undrained are lost once the stream is two windows ahead. It has no clock: a caller that will wait no longer for a
/// hole to be filled says so by [`Depacketizer::give_up`].
#[derive(Debug)]
pub struct Depacketizer {
    reassembly: Reassembly<Nals>,
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
        let nals = Nals { parts: Parts::new(max_unit), fragmented: None };
        Depacketizer { reassembly: Reassembly::new(window, nals) }
    }

    /// Takes a packet in; an empty payload is padding. An error says what was wrong with it; the state stays sound.
    pub fn handle_packet(&mut self, header: &Header, payload: &[u8]) -> Result<(), Error> {
        let valid = validate(payload);
        self.reassembly.insert(header, payload, valid.is_ok())?;
        valid
    }

    /// The next whole or lost unit, in order of sequence numbers.
    pub fn poll_event(&mut self) -> Option<Event<AccessUnit<'_>>> {
        let (time, outcome) = self.reassembly.poll()?;
        let Parts { data, ranges: nals, .. } = &self.reassembly.assembler.parts;
        Some(match outcome {
            Ok(()) => Event::Unit(AccessUnit { time, data, nals }),
            Err(loss) => Event::Lost { time, loss },
        })
    }

    /// Whether packets wait for one before them that has not come.
    pub fn is_waiting(&self) -> bool {
        self.reassembly.is_waiting()
    }

    /// Stops waiting for the packets missing before the first one held.
    pub fn give_up(&mut self) {
        self.reassembly.give_up();
    }
}

/// The NAL units of an access unit.
#[derive(Debug)]
struct Nals {
    parts: Parts,
    /// The type of the NAL unit whose fragments are coming in.
    fragmented: Option<u8>,
}

impl Assembler for Nals {
    /// Parameter sets come before all slices.
    fn is_start(payload: &[u8]) -> bool {
        first_type(payload) == Some(nal::SPS)
    }

    fn clear(&mut self) {
        self.parts.clear();
        self.fragmented = None;
    }

    fn append(&mut self, payload: &[u8]) -> Result<(), Loss> {
        match payload {
            [header, fu, bytes @ ..] if header & nal::TYPE == nal::FU_A => {
                let kind = fu & nal::TYPE;
                let fits = match self.fragmented {
                    None => fu & nal::FU_START != 0,
                    Some(open) => fu & nal::FU_START == 0 && open == kind,
                };
                if !fits {
                    return Err(Loss::Malformed);
                }
                if self.fragmented.is_none() {
                    self.add(&[header & !nal::TYPE | kind])?;
                }
                self.parts.extend(bytes)?;
                self.parts.ranges.last_mut().expect("a fragmented NAL unit has begun").end =
                    self.parts.data.len();
                self.fragmented = (fu & nal::FU_END == 0).then_some(kind);
                Ok(())
            }
            _ if self.fragmented.is_some() => Err(Loss::Malformed),
            [header, ..] if header & nal::TYPE == nal::STAP_A => {
                aggregated(payload).flatten().try_for_each(|nal| self.add(nal))
            }
            _ => self.add(payload),
        }
    }

    fn is_complete(&self) -> bool {
        self.fragmented.is_none()
    }
}

impl Nals {
    fn add(&mut self, nal: &[u8]) -> Result<(), Loss> {
        self.parts.extend(&START_CODE)?;
        let start = self.parts.data.len();
        self.parts.extend(nal)?;
        self.parts.ranges.push(start..self.parts.data.len());
        Ok(())
    }
}

/// What can be wrong with a payload by itself.
fn validate(payload: &[u8]) -> Result<(), Error> {
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
