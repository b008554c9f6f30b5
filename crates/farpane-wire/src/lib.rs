//! Every serialised message of the product, versioned: generated from `proto/farpane.proto`.
//!
//! The same schema makes the browser's types, and golden vectors in `golden/` hold both to the same bytes. The one thing
//! here that is not ours is the [`opening`] of a TCP connection that carries media.

#![forbid(unsafe_code)]

pub mod fuzzing;
pub mod opening;

pub use prost::{DecodeError, Message};

/// Version 1 of the schema.
pub mod v1 {
    include!(concat!(env!("OUT_DIR"), "/farpane.v1.rs"));
}

/// The version that [`v1::AuthStart`] carries.
pub const PROTOCOL_VERSION: u32 = 1;

/// No signalling message is longer; a longer one is refused before it is read.
pub const MAX_SIGNAL_BYTES: usize = 64 * 1024;

/// No data-channel message is longer. The largest is a cursor of 128 x 128 pixels.
pub const MAX_CHANNEL_BYTES: usize = 68 * 1024;

/// Why bytes from the other side are not a message.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum WireError {
    #[error("a message of {length} bytes is longer than the {limit} that are allowed")]
    TooLong { length: usize, limit: usize },
    #[error("not a message of this version: {0}")]
    Malformed(#[from] DecodeError),
}

/// Reads a signalling message.
///
/// # Errors
/// [`WireError::TooLong`] beyond [`MAX_SIGNAL_BYTES`], before anything is read; [`WireError::Malformed`] otherwise.
pub fn decode_signal(bytes: &[u8]) -> Result<v1::Signal, WireError> {
    decode(bytes, MAX_SIGNAL_BYTES)
}

/// Reads a message of a data channel; which kind it is follows from the channel.
///
/// # Errors
/// [`WireError::TooLong`] beyond [`MAX_CHANNEL_BYTES`], before anything is read; [`WireError::Malformed`] otherwise.
pub fn decode_channel<M: Message + Default>(bytes: &[u8]) -> Result<M, WireError> {
    decode(bytes, MAX_CHANNEL_BYTES)
}

/// Lengths inside a message are checked against what is left of it before anything is allocated, so that what is
/// decoded is bounded by what was sent.
fn decode<M: Message + Default>(bytes: &[u8], limit: usize) -> Result<M, WireError> {
    if bytes.len() > limit {
        return Err(WireError::TooLong { length: bytes.len(), limit });
    }
    Ok(M::decode(bytes)?)
}
