//! RTP payloads of the RTP Payload Format For AV1, version 1.0.0, back into AV1 temporal units.
//!
//! A window of sequence numbers puts packets in order (see `reassembly.rs`); here they become OBUs again, each with its
//! size field, as decoders want them.

use std::ops::Range;

use super::reassembly::{Assembler, Parts, Reassembly, Refusal};
pub use super::reassembly::{Event, Loss};
use crate::obu::{
    self, CONTINUED, CONTINUES, COUNT_SHIFT, HAS_SIZE, MAX_COUNT, NEW_SEQUENCE, Obu, read_leb128,
    write_leb128,
};
use crate::rtp::Header;

/// Why a packet was not taken. [`Error::Late`] and [`Error::Duplicate`] are usual on a network and cost nothing; the
/// others are the peer's fault and cost the packet's temporal unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("the packet comes after its place was given up")]
    Late,
    #[error("the packet is here already")]
    Duplicate,
    #[error("a payload of {0} bytes")]
    TooLong(usize),
    #[error("the lengths and the number of OBU elements do not add up")]
    Element,
    #[error("an OBU element does not hold an OBU")]
    Obu,
    #[error("a coded video sequence that starts with the continuation of an OBU")]
    Start,
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

/// A whole temporal unit, as the encoder gave it but for what does not travel in RTP: temporal delimiters, tile lists
/// and padding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TemporalUnit<'a> {
    /// Its RTP timestamp.
    pub time: u32,
    /// Its OBUs in the low-overhead format (AV1, section 5.2), each with a size field. Never empty.
    pub data: &'a [u8],
    /// The OBUs in `data`, one right after the other, with headers and size fields.
    pub obus: &'a [Range<usize>],
}

impl TemporalUnit<'_> {
    /// Whether it can be decoded without any before it: it starts a coded video sequence (AV1, section 7.5), by a
    /// sequence header and then a key frame that is shown.
    pub fn is_key_frame(&self) -> bool {
        let mut reduced = None;
        for range in self.obus {
            let obu = Obu::parse(&self.data[range.clone()]).expect("an OBU was assembled");
            let first = obu.payload.first();
            if obu.kind() == obu::SEQUENCE_HEADER {
                // After seq_profile and still_picture comes reduced_still_picture_header.
                reduced = first.map(|first| first & 0x08 != 0);
            } else if obu.has_frame_header() {
                // show_existing_frame, two bits of frame_type, show_frame; absent from a reduced header.
                let Some(first) = first else { return false };
                return reduced.is_some_and(|reduced| reduced || first >> 4 == 0b0001);
            }
        }
        false
    }
}

/// Reassembles one stream: one SSRC, whose sequence numbers never start over.
///
/// After each [`Depacketizer::handle_packet`], ask [`Depacketizer::poll_event`] until it returns `None`; packets left
/// undrained are lost once the stream is two windows ahead. It has no clock: a caller that will wait no longer for a
/// hole to be filled says so by [`Depacketizer::give_up`].
#[derive(Debug)]
pub struct Depacketizer {
    reassembly: Reassembly<Obus>,
}

impl Default for Depacketizer {
    /// 256 packets wide, a round trip of 100 ms at 20 Mb/s, and units up to 8 MiB, beyond any key frame.
    fn default() -> Depacketizer {
        Depacketizer::new(256, 8 << 20)
    }
}

impl Depacketizer {
    /// A packet is given up when one `window` numbers later has come; a unit has at most `max_unit` bytes with its
    /// size fields.
    ///
    /// # Panics
    /// When `window` is not a power of two up to 4096.
    pub fn new(window: usize, max_unit: usize) -> Depacketizer {
        let obus = Obus { parts: Parts::new(max_unit), begun: None };
        Depacketizer { reassembly: Reassembly::new(window, obus) }
    }

    /// Takes a packet in; an empty payload is padding. An error says what was wrong with it; the state stays sound.
    pub fn handle_packet(&mut self, header: &Header, payload: &[u8]) -> Result<(), Error> {
        let valid = validate(payload);
        self.reassembly.insert(header, payload, valid.is_ok())?;
        valid
    }

    /// The next whole or lost unit, in order of sequence numbers. One that holds only what a receiver ignores is
    /// neither.
    pub fn poll_event(&mut self) -> Option<Event<TemporalUnit<'_>>> {
        let (time, outcome) = loop {
            let (time, outcome) = self.reassembly.poll()?;
            if outcome.is_err() || !self.reassembly.assembler.parts.data.is_empty() {
                break (time, outcome);
            }
        };
        let Parts { data, ranges: obus, .. } = &self.reassembly.assembler.parts;
        Some(match outcome {
            Ok(()) => Event::Unit(TemporalUnit { time, data, obus }),
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

/// The OBUs of a temporal unit.
#[derive(Debug)]
struct Obus {
    parts: Parts,
    /// Where in the data the OBU begins of which more has to come.
    begun: Option<usize>,
}

impl Assembler for Obus {
    fn is_start(payload: &[u8]) -> bool {
        payload[0] & NEW_SEQUENCE != 0
    }

    fn continues(payload: &[u8]) -> bool {
        payload[0] & CONTINUED != 0
    }

    fn clear(&mut self) {
        self.parts.clear();
        self.begun = None;
    }

    fn append(&mut self, payload: &[u8]) -> Result<(), Loss> {
        for element in elements(payload).flatten() {
            if element.begins == self.begun.is_some() {
                return Err(Loss::Malformed);
            }
            let start = *self.begun.get_or_insert(self.parts.data.len());
            self.parts.extend(element.bytes)?;
            if element.ends {
                self.begun = None;
                self.finish(start)?;
            }
        }
        Ok(())
    }

    fn is_complete(&self) -> bool {
        self.begun.is_none()
    }
}

impl Obus {
    /// Gives the OBU from `start` on its size field, or drops it when a receiver ignores it.
    fn finish(&mut self, start: usize) -> Result<(), Loss> {
        let data = &mut self.parts.data;
        let obu = Obu::parse(&data[start..]).ok_or(Loss::Malformed)?;
        if !obu.is_sent() {
            data.truncate(start);
            return Ok(());
        }
        if data[start] & HAS_SIZE == 0 {
            let at = start + obu.header_len;
            let mut field = [0; 8];
            let field_len = write_leb128(obu.payload.len(), &mut field);
            data[start] |= HAS_SIZE;
            self.parts.extend(&field[..field_len])?;
            self.parts.data[at..].rotate_right(field_len);
        }
        self.parts.ranges.push(start..self.parts.data.len());
        Ok(())
    }
}

/// An OBU or a fragment of one.
struct Element<'a> {
    bytes: &'a [u8],
    /// It has the first byte of its OBU.
    begins: bool,
    /// It has the last byte of its OBU.
    ends: bool,
}

/// What can be wrong with a payload by itself.
fn validate(payload: &[u8]) -> Result<(), Error> {
    let Some(header) = payload.first() else { return Ok(()) };
    if header & NEW_SEQUENCE != 0 && header & CONTINUES != 0 {
        return Err(Error::Start);
    }
    if payload.len() == 1 {
        return Err(Error::Element);
    }
    elements(payload).try_for_each(|element| {
        let element = element?;
        let whole = element.begins && element.ends;
        if whole && Obu::parse(element.bytes).is_none() { Err(Error::Obu) } else { Ok(()) }
    })
}

/// The OBU elements of a payload, none of them empty, up to the first error.
fn elements(payload: &[u8]) -> impl Iterator<Item = Result<Element<'_>, Error>> {
    let header = payload[0];
    let count = usize::from(header >> COUNT_SHIFT) & MAX_COUNT;
    let mut rest = &payload[1..];
    let mut number = 0;
    std::iter::from_fn(move || {
        if rest.is_empty() && number >= count {
            return None;
        }
        number += 1;
        let len = if number == count { Some((rest.len(), rest)) } else { read_leb128(rest) };
        let bytes = len.filter(|(len, _)| *len > 0).and_then(|(len, after)| {
            let (bytes, after) = after.split_at_checked(len)?;
            rest = after;
            Some(bytes)
        });
        let Some(bytes) = bytes else {
            (rest, number) = (&[], MAX_COUNT);
            return Some(Err(Error::Element));
        };
        Some(Ok(Element {
            bytes,
            begins: number > 1 || header & CONTINUES == 0,
            ends: !rest.is_empty() || number < count || header & CONTINUED == 0,
        }))
    })
}
