//! From an access unit, which AV1 calls a temporal unit, to RTP payloads: one codec a file, and all of them by one name.

pub mod av1;
pub mod h264;

use std::ops::Range;

use farpane_media::Codec;

/// Cuts access units of any codec into payloads of a bounded length.
#[derive(Clone, Copy, Debug)]
pub struct Packetizer {
    h264: h264::Packetizer,
    av1: av1::Packetizer,
}

impl Packetizer {
    /// Payloads will have at most `max_payload` bytes.
    ///
    /// # Panics
    /// As the packetizers of the codecs do.
    pub fn new(max_payload: usize) -> Packetizer {
        let (h264, av1) = (h264::Packetizer::new(max_payload), av1::Packetizer::new(max_payload));
        Packetizer { h264, av1 }
    }

    /// The payloads of the access unit whose units (NAL units without start codes, OBUs) are the given ranges of `data`.
    ///
    /// # Panics
    /// The iterator panics on a range outside `data`.
    pub fn packetize<'a>(
        &self,
        codec: Codec,
        data: &'a [u8],
        units: &'a [Range<usize>],
        key_frame: bool,
    ) -> Payloads<'a> {
        match codec {
            Codec::Av1 => Payloads::Av1(self.av1.packetize(data, units, key_frame)),
            // What stands in for pictures in tests has the form of NAL units.
            Codec::H264 | Codec::Null => Payloads::H264(self.h264.packetize(data, units)),
        }
    }
}

/// The payloads of one access unit, in order.
#[derive(Clone, Debug)]
pub enum Payloads<'a> {
    H264(h264::Payloads<'a>),
    Av1(av1::Payloads<'a>),
}

impl<'a> Iterator for Payloads<'a> {
    type Item = Payload<'a>;

    fn next(&mut self) -> Option<Payload<'a>> {
        match self {
            Payloads::H264(payloads) => payloads.next().map(Payload::H264),
            Payloads::Av1(payloads) => payloads.next().map(Payload::Av1),
        }
    }
}

/// One payload to be written.
#[derive(Clone, Debug)]
pub enum Payload<'a> {
    H264(h264::Payload<'a>),
    Av1(av1::Payload<'a>),
}

impl Payload<'_> {
    /// It ends its access unit: the RTP marker bit.
    pub fn is_last(&self) -> bool {
        match self {
            Payload::H264(payload) => payload.last,
            Payload::Av1(payload) => payload.last,
        }
    }

    /// Writes the payload to the start of `out` and returns its length.
    ///
    /// # Panics
    /// When `out` is shorter than that.
    pub fn write(&self, out: &mut [u8]) -> usize {
        match self {
            Payload::H264(payload) => payload.write(out),
            Payload::Av1(payload) => payload.write(out),
        }
    }
}
