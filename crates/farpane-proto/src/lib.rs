//! Sans-IO RTP: pooled packets, packetizers, rate control.
//!
//! Nothing here owns a clock, a socket or a thread: time comes in as [`farpane_media::Time`], bytes go into buffers of
//! the caller, and state machines are driven by `handle_*` and asked by `poll_*`.

#![forbid(unsafe_code)]

pub mod packet;
pub mod rate;

/// From an access unit to RTP payloads, one codec a file.
pub mod packetize {
    pub mod h264;
}

mod nal;

pub use packet::{MAX_PAYLOAD, PacketBody, PacketBuf, PacketMeta, PacketPool};
