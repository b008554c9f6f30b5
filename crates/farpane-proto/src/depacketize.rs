//! From RTP payloads back to access units: one codec a file, and all of them by one name.

pub mod av1;
pub mod h264;
mod reassembly;

use farpane_media::Codec;

use crate::rtp::Header;
pub use reassembly::{Event, Loss};

/// Reassembles one stream of any codec; see the codecs' own for how it is driven.
#[derive(Debug)]
pub enum Depacketizer {
    H264(h264::Depacketizer),
    Av1(av1::Depacketizer),
}

/// A whole access unit, in the codec's own stream format (H.264: Annex B).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unit<'a> {
    /// Its RTP timestamp.
    pub time: u32,
    pub data: &'a [u8],
    /// Whether it can be decoded without any before it.
    pub key_frame: bool,
}

/// Why a packet was not taken, as the codec's depacketizer says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(transparent)]
pub enum Error {
    H264(#[from] h264::Error),
    Av1(#[from] av1::Error),
}

impl Depacketizer {
    /// As wide as the codec's own is by default.
    pub fn new(codec: Codec) -> Depacketizer {
        match codec {
            Codec::Av1 => Depacketizer::Av1(av1::Depacketizer::default()),
            // What stands in for pictures in tests has the form of NAL units.
            Codec::H264 | Codec::Null => Depacketizer::H264(h264::Depacketizer::default()),
        }
    }

    /// Takes a packet in; an empty payload is padding. An error says what was wrong with it; the state stays sound.
    pub fn handle_packet(&mut self, header: &Header, payload: &[u8]) -> Result<(), Error> {
        match self {
            Depacketizer::H264(depacketizer) => Ok(depacketizer.handle_packet(header, payload)?),
            Depacketizer::Av1(depacketizer) => Ok(depacketizer.handle_packet(header, payload)?),
        }
    }

    /// The next whole or lost unit, in order of sequence numbers.
    pub fn poll_event(&mut self) -> Option<Event<Unit<'_>>> {
        Some(match self {
            Depacketizer::H264(depacketizer) => depacketizer.poll_event()?.map(|unit| Unit {
                time: unit.time,
                data: unit.data,
                key_frame: unit.is_key_frame(),
            }),
            Depacketizer::Av1(depacketizer) => depacketizer.poll_event()?.map(|unit| Unit {
                time: unit.time,
                data: unit.data,
                key_frame: unit.is_key_frame(),
            }),
        })
    }

    /// Whether packets wait for one before them that has not come.
    pub fn is_waiting(&self) -> bool {
        match self {
            Depacketizer::H264(depacketizer) => depacketizer.is_waiting(),
            Depacketizer::Av1(depacketizer) => depacketizer.is_waiting(),
        }
    }

    /// Stops waiting for the packets missing before the first one held.
    pub fn give_up(&mut self) {
        match self {
            Depacketizer::H264(depacketizer) => depacketizer.give_up(),
            Depacketizer::Av1(depacketizer) => depacketizer.give_up(),
        }
    }
}
