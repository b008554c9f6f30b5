//! Capture and input on the OS desktop.
//!
//! [`Source::open`] gives a [`Desktop`]: a [`Capturer`] that blocks until the picture or the cursor changes, and an
//! [`Input`] that moves the pointer and presses keys. The cursor is never painted into the picture. Three sources:
//! an X11 display ([`x11`]), scenes drawn by this program ([`synthetic`]) and recorded frames ([`replay`]).

#![deny(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(clippy::disallowed_macros, clippy::disallowed_methods, clippy::disallowed_types)
)]

mod bell;
mod canvas;
mod cursor;
pub mod draw;
mod fill;
mod font;
pub mod replay;
mod show;
mod source;
pub mod synthetic;
#[cfg(target_os = "linux")]
pub mod x11;

pub use bell::CaptureHandle;
pub use cursor::{CursorEvent, CursorShape};
pub use source::{OpenError, ParseSourceError, Source};

use farpane_media::{Frame, Size, Time};

/// Pixels of a picture at most: a quarter of a gigabyte in each of the five copies on the way to an encoder, none of which
/// takes more.
const MOST_PIXELS: u64 = 1 << 26;

/// An opened desktop: its two halves run on different threads.
pub struct Desktop {
    pub capturer: Box<dyn Capturer>,
    pub input: Box<dyn Input>,
    /// What this desktop cannot do, or does more slowly, in words for the person who shares it.
    pub notes: Vec<String>,
}

/// Sees the desktop.
pub trait Capturer: Send {
    /// The size of the picture now; the next frame may have another.
    fn size(&self) -> Size;

    /// Blocks until there is something to tell, the handle is rung for stop, or `deadline` has passed
    /// ([`Captured::Nothing`]). The first call after opening tells the whole picture and the cursor.
    fn next(&mut self, deadline: Time) -> Result<Captured, CaptureError>;

    /// Blocks, taking no picture, until the handle is rung. Meanwhile damage adds up and the end of the desktop is noticed.
    fn rest(&mut self) -> Result<Captured, CaptureError>;

    /// Rings the capturer from other threads.
    fn handle(&self) -> CaptureHandle;
}

/// What a [`Capturer`] has to tell.
#[derive(Debug)]
pub enum Captured {
    /// The picture changed: `damage` is a superset of what differs from the frame before.
    Frame(Frame),
    Cursor(CursorEvent),
    /// The deadline passed.
    Nothing,
    /// [`CaptureHandle::stop`] was called; so will every later call return.
    Stopped,
}

#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// The picture could not be read this time; the next call starts afresh.
    #[error("the picture could not be read: {0}")]
    Temporary(String),
    /// The desktop is gone for good.
    #[error("the desktop is gone: {0}")]
    Lost(String),
}

/// Acts on the desktop. Events may be held back until [`Input::flush`].
pub trait Input: Send {
    /// Presses or releases a key, named by its USB HID usage on page 7 (HID Usage Tables 1.4, section 10): the place of
    /// the key on the keyboard, whatever is printed on it. A press of a key already held and a release of one that
    /// is not change nothing.
    fn key(&mut self, usage: u16, down: bool) -> Result<(), InputError>;

    /// Moves the pointer by fractions 0..=1: from the picture's first to its last column and row; what lies outside is
    /// clamped.
    fn pointer(&mut self, x: f64, y: f64) -> Result<(), InputError>;

    fn button(&mut self, button: Button, down: bool) -> Result<(), InputError>;

    /// Scrolls by CSS pixels, positive to the right and down. Fractions of a wheel step are kept for the next call.
    fn wheel(&mut self, dx: f32, dy: f32) -> Result<(), InputError>;

    /// Releases every key and button that this object holds down, and flushes. Dropping it does the same.
    fn release_all(&mut self);

    /// Sends what has been held back.
    fn flush(&mut self) -> Result<(), InputError>;
}

/// A pointer button by its role; a left-handed mapping is the desktop's business.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Button {
    Left,
    Middle,
    Right,
    Back,
    Forward,
}

#[derive(Debug, thiserror::Error)]
pub enum InputError {
    /// The caller's event names a key that this desktop does not have; drop it.
    #[error("no key with USB HID usage {0:#06x} here")]
    UnknownKey(u16),
    /// This desktop takes no input at all (see [`Desktop::notes`]); sharing goes on view-only.
    #[error("this desktop takes no input: {0}")]
    Unavailable(&'static str),
    /// The desktop is gone for good.
    #[error("the desktop is gone: {0}")]
    Lost(String),
}

/// The input of a desktop that takes none, and why.
pub(crate) struct NoInput(pub &'static str);

impl Input for NoInput {
    fn key(&mut self, _: u16, _: bool) -> Result<(), InputError> {
        Err(InputError::Unavailable(self.0))
    }

    fn pointer(&mut self, _: f64, _: f64) -> Result<(), InputError> {
        Err(InputError::Unavailable(self.0))
    }

    fn button(&mut self, _: Button, _: bool) -> Result<(), InputError> {
        Err(InputError::Unavailable(self.0))
    }

    fn wheel(&mut self, _: f32, _: f32) -> Result<(), InputError> {
        Err(InputError::Unavailable(self.0))
    }

    fn release_all(&mut self) {}

    fn flush(&mut self) -> Result<(), InputError> {
        Ok(())
    }
}

/// The pixel at a fraction of the way from the first to the last of a side; what is not a number counts as 0.
pub(crate) fn pixel_at(fraction: f64, side: u32) -> u32 {
    let last = side.saturating_sub(1);
    // `as` saturates, and takes NaN to 0.
    ((fraction * f64::from(last)).round() as u32).min(last)
}
