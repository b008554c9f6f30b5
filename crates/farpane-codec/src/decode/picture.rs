//! What comes out of a library, in planes and errors of ours.

use std::fmt;

use farpane_media::Size;
use farpane_pixel::{Chroma, Plane, Planes};

use super::DecodeError;

pub(super) fn failed(codec: &'static str, why: impl fmt::Display) -> DecodeError {
    DecodeError::Library { codec, why: why.to_string() }
}

/// Makes `planes` fit a picture and returns it.
pub(super) fn fitted(planes: &mut Option<Planes>, size: Size, chroma: Chroma) -> &mut Planes {
    let fitting = planes.take().filter(|planes| planes.size == size && planes.chroma == chroma);
    planes.insert(fitting.unwrap_or_else(|| Planes::new(size, chroma)))
}

/// Copies the visible samples from rows that are `stride` bytes apart.
pub(super) fn copy(plane: &mut Plane, samples: &[u8], stride: usize) {
    let width = plane.size.width as usize;
    let rows = plane.data.chunks_mut(plane.stride).zip(samples.chunks(stride));
    for (to, from) in rows.take(plane.size.height as usize) {
        to[..width].copy_from_slice(&from[..width]);
    }
}
