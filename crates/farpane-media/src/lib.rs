//! The values every stage of the pipeline shares: frames and their pool, regions, time, units.
//!
//! Nothing here touches a device, a socket or a thread. A [`Frame`] is a pooled BGRX picture that knows its sequence
//! number, the [`Region`] that changed since the frame before it, and a [`Stamps`] record of when each stage touched it.

#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(clippy::disallowed_macros, clippy::disallowed_methods, clippy::disallowed_types)
)]

mod format;
mod frame;
mod patches;
mod region;
mod slot;
mod time;
mod units;

pub use format::{Chroma, Codec, VideoFormat};
pub use frame::{Age, DamageLog, Frame, FrameBody, FramePool, Stamps};
pub use patches::Patches;
pub use region::{Rect, Region};
pub use slot::Slot;
pub use time::{Clock, Time};
pub use units::{Bitrate, Size};
