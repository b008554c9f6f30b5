//! How other threads wake a capturer: a set of flags and something to sleep on.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// Rings a capturer from any thread; never blocks.
#[derive(Clone)]
pub struct CaptureHandle(pub(crate) Arc<Bell>);

impl CaptureHandle {
    /// An input event arrived: capture what changes next at once, without frame pacing.
    pub fn hurry(&self) {
        self.0.ring(Bell::HURRY);
    }

    /// The next frame comes now and carries full damage.
    pub fn refresh(&self) {
        self.0.ring(Bell::REFRESH);
    }

    /// Ends the capture: this and every later [`Capturer::next`](crate::Capturer::next) returns
    /// [`Captured::Stopped`](crate::Captured::Stopped).
    pub fn stop(&self) {
        self.0.ring(Bell::STOP);
    }
}

pub(crate) struct Bell {
    flags: AtomicU8,
}

impl Bell {
    pub const HURRY: u8 = 1;
    pub const REFRESH: u8 = 2;
    pub const STOP: u8 = 4;

    pub fn ring(&self, flag: u8) {
        self.flags.fetch_or(flag, Ordering::Release);
    }
}
