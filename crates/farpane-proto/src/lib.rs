//! Sans-IO RTP: pooled packets, packetizers and depacketizers, headers, framing for streams, rate control.
//!
//! Nothing here owns a clock, a socket or a thread: time comes in as [`farpane_media::Time`], bytes go into buffers of
//! the caller, and state machines are driven by `handle_*` and asked by `poll_*`. What parses bytes from outside is
//! bounded in memory, never panics, and has a body in [`fuzzing`].

#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(clippy::disallowed_macros, clippy::disallowed_methods, clippy::disallowed_types)
)]

pub mod depacketize;
pub mod fec;
pub mod framing;
pub mod packet;
pub mod packetize;
pub mod rate;
pub mod references;
pub mod rtcp;
pub mod rtp;
pub mod sdp;

#[doc(hidden)]
pub mod fuzzing;

mod nal;
mod obu;

pub use packet::{Layer, MAX_PAYLOAD, PacketBody, PacketBuf, PacketMeta, PacketPool};
