//! AV1 temporal units into RTP payloads: RTP Payload Format For AV1, version 1.0.0.
//!
//! OBUs go without their size fields, as many to a payload as fit; one that does not fit goes on in the next payload.
//! As with H.264, planning and writing are apart: [`Packetizer::packetize`] yields [`Payload`]s that only borrow, so a
//! caller can count them before it takes buffers, and nothing is ever allocated.

use std::iter;
use std::ops::Range;

use crate::obu::{
    self, CONTINUED, CONTINUES, COUNT_SHIFT, MAX_COUNT, NEW_SEQUENCE, Obu, leb128_len, write_leb128,
};

const AGGREGATION_HEADER: usize = 1;

/// Cuts temporal units into payloads of a bounded length.
#[derive(Clone, Copy, Debug)]
pub struct Packetizer {
    max_payload: usize,
}

impl Packetizer {
    /// Payloads will have at most `max_payload` bytes.
    ///
    /// # Panics
    /// When `max_payload` is not in `16..=65535`: less has no room for payload beside headers, more cannot be sent.
    pub fn new(max_payload: usize) -> Packetizer {
        assert!((16..=65535).contains(&max_payload), "payloads of {max_payload} bytes");
        Packetizer { max_payload }
    }

    pub fn max_payload(&self) -> usize {
        self.max_payload
    }

    /// The payloads of the temporal unit whose OBUs, with or without size fields, are the given ranges of `data`.
    /// `key_frame` says that its first frame is a shown key frame: with a sequence header before that, the unit starts
    /// a coded video sequence (AV1, section 7.5) and its first payload says so.
    ///
    /// Left out are temporal delimiters, for which RTP's timestamp stands, padding, tile lists, which the format does
    /// not support, and what is no OBU.
    ///
    /// # Panics
    /// On a range outside `data`; the iterator does so when it comes to it.
    pub fn packetize<'a>(
        &self,
        data: &'a [u8],
        obus: &'a [Range<usize>],
        key_frame: bool,
    ) -> Payloads<'a> {
        let mut rest = Obus { data, ranges: obus };
        let starts_sequence = key_frame
            && rest
                .clone()
                .take_while(|obu| !obu.has_frame_header())
                .any(|obu| obu.kind() == obu::SEQUENCE_HEADER);
        Payloads {
            next: rest.next(),
            rest,
            sent: 0,
            starts_sequence,
            max_payload: self.max_payload,
        }
    }
}

/// The OBUs that are sent.
#[derive(Clone, Debug)]
struct Obus<'a> {
    data: &'a [u8],
    ranges: &'a [Range<usize>],
}

impl<'a> Iterator for Obus<'a> {
    type Item = Obu<'a>;

    fn next(&mut self) -> Option<Obu<'a>> {
        loop {
            let (range, rest) = self.ranges.split_first()?;
            self.ranges = rest;
            let obu = Obu::parse(&self.data[range.clone()]).filter(Obu::is_sent);
            if obu.is_some() {
                return obu;
            }
        }
    }
}

/// The payloads of one temporal unit, in order.
#[derive(Clone, Debug)]
pub struct Payloads<'a> {
    /// The OBU to go on with.
    next: Option<Obu<'a>>,
    /// Those after it.
    rest: Obus<'a>,
    /// How much of `next` has gone, its header included; 0 when it has not been begun.
    sent: usize,
    /// The next payload is the first of a coded video sequence.
    starts_sequence: bool,
    max_payload: usize,
}

/// One payload to be written.
#[derive(Clone, Debug)]
pub struct Payload<'a> {
    /// It ends its temporal unit: the RTP marker bit.
    pub last: bool,
    header: u8,
    /// The OBU of its first element, and how much of that has gone before.
    first: Obu<'a>,
    sent: usize,
    /// Has the OBUs of its other elements in front.
    others: Obus<'a>,
    /// How many elements it has.
    count: usize,
    /// The length of its last element, which may be the start of an OBU; all others go to the end of theirs.
    last_len: usize,
    len: usize,
}

impl Payload<'_> {
    /// Bytes that [`Payload::write`] writes.
    #[expect(clippy::len_without_is_empty, reason = "a payload is never empty")]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Writes the payload to the start of `out` and returns its length.
    ///
    /// # Panics
    /// When `out` is shorter than that.
    pub fn write(&self, out: &mut [u8]) -> usize {
        let out = &mut out[..self.len];
        out[0] = self.header;
        let mut at = AGGREGATION_HEADER;
        let mut sent = self.sent;
        let obus = iter::once(self.first).chain(self.others.clone());
        for (number, obu) in (1..=self.count).zip(obus) {
            let is_last = number == self.count;
            let len = if is_last { self.last_len } else { obu.len() - sent };
            if !is_last || self.count > MAX_COUNT {
                at += write_leb128(len, &mut out[at..]);
            }
            obu.write(sent, &mut out[at..at + len]);
            at += len;
            sent = 0;
        }
        self.len
    }
}

impl<'a> Iterator for Payloads<'a> {
    type Item = Payload<'a>;

    /// Takes as much as fits each time, which makes the fewest payloads: one that begins further on never ends earlier.
    fn next(&mut self) -> Option<Payload<'a>> {
        let first = self.next?;
        let (sent, others) = (self.sent, self.rest.clone());
        let mut header = if sent > 0 { CONTINUES } else { 0 };
        if std::mem::take(&mut self.starts_sequence) {
            header |= NEW_SEQUENCE;
        }
        let (mut count, mut last_len, mut len) = (0, 0, AGGREGATION_HEADER);
        // The length so far with a length field before each element, as the last needs one too once another follows.
        let mut used = AGGREGATION_HEADER;
        let mut layer = None;
        while let Some(obu) = self.next {
            if count > 0 && begins_payload(&obu, layer) {
                break;
            }
            let mut room = self.max_payload.saturating_sub(used);
            if count >= MAX_COUNT {
                room = longest_with_length(room);
            }
            let left = obu.len() - self.sent;
            let piece = left.min(room);
            if piece == 0 {
                break;
            }
            let length_field = leb128_len(piece);
            count += 1;
            last_len = piece;
            len = used + piece + if count > MAX_COUNT { length_field } else { 0 };
            if piece < left {
                self.sent += piece;
                header |= CONTINUED;
                break;
            }
            used += length_field + piece;
            layer = layer.or(obu.layer());
            (self.next, self.sent) = (self.rest.next(), 0);
        }
        if count <= MAX_COUNT {
            header |= (count as u8) << COUNT_SHIFT;
        }
        Some(Payload {
            last: self.next.is_none(),
            header,
            first,
            sent,
            others,
            count,
            last_len,
            len,
        })
    }
}

/// Whether an OBU does not go behind others (section 5): a sequence header should be the first of its packet, and a
/// packet must belong to one layer.
fn begins_payload(obu: &Obu<'_>, layer: Option<u8>) -> bool {
    obu.kind() == obu::SEQUENCE_HEADER
        || layer.zip(obu.layer()).is_some_and(|(layer, other)| layer != other)
}

/// The longest element that fits `room` bytes together with its length field.
fn longest_with_length(room: usize) -> usize {
    // Where the field grows by a byte, so does the room it needs: of 129 bytes one stays free.
    let len = room.saturating_sub(leb128_len(room));
    if len + 1 + leb128_len(len + 1) <= room { len + 1 } else { len }
}
