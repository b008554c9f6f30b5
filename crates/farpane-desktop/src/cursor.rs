//! The pointer's picture and place, apart from the frames.

use std::sync::Arc;

use farpane_media::Size;

/// A change of the pointer.
#[derive(Clone, Debug)]
pub enum CursorEvent {
    Shape(Arc<CursorShape>),
    /// The hot spot's pixel in the picture.
    Position {
        x: u32,
        y: u32,
    },
    /// Nothing to draw, until the next shape.
    Hidden,
}

/// The pointer's picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CursorShape {
    /// Names the shape within this desktop: the same serial, the same picture.
    pub serial: u64,
    /// At most [`CursorShape::MAX_SIDE`] each way.
    pub size: Size,
    pub hot_x: u32,
    pub hot_y: u32,
    /// Rows top to bottom, packed, straight (not premultiplied) alpha.
    pub rgba: Vec<u8>,
}

impl CursorShape {
    /// What browsers take as a CSS cursor; larger shapes are scaled down.
    pub const MAX_SIDE: u32 = 128;
}
