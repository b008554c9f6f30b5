//! Every serialised message of the product, versioned: generated from `proto/farpane.proto`.
//!
//! The same schema makes the browser's types, and golden vectors in `golden/` hold both to the same bytes.

#![forbid(unsafe_code)]

pub use prost::Message;

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
