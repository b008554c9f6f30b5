//! Video decoders behind one trait: what a viewer gets to see, for tests and measurements.
//!
//! A [`Decoder`] takes one access unit and gives the picture in it, without delay. [`open`] makes the decoder for a
//! [`Codec`]. Viewers decode in their browsers, so nothing here is on a frame's way.

#[cfg(feature = "av1-decoder")]
mod av1;
mod h264;

use std::fmt;

use farpane_media::Size;
use farpane_pixel::{Chroma, Plane, Planes};

#[cfg(feature = "av1-decoder")]
pub use av1::Av1Decoder;
pub use h264::H264Decoder;

use crate::Codec;

/// Decodes one stream. Made by [`open`].
pub trait Decoder: Send {
    /// Decodes one whole access unit in the codec's stream format (H.264: Annex B; AV1: OBUs with sizes). Returns the
    /// picture in it, as large as the stream says, which may be a sample wider or taller than what was coded; `None`
    /// for a unit that shows nothing, such as parameter sets alone.
    ///
    /// # Errors
    /// See [`DecodeError`]; go on with the next key frame.
    fn decode(&mut self, access_unit: &[u8]) -> Result<Option<&Planes>, DecodeError>;
}

/// Makes a decoder for 8-bit pictures: H.264 of 4:2:0, AV1 of 4:2:0 and 4:4:4.
///
/// # Errors
/// [`DecodeError::NoDecoder`] for a codec that cannot be decoded here, [`DecodeError::Library`] when the system gives
/// no memory or threads.
pub fn open(codec: Codec) -> Result<Box<dyn Decoder>, DecodeError> {
    match codec {
        Codec::H264 => Ok(Box::new(H264Decoder::new()?)),
        #[cfg(feature = "av1-decoder")]
        Codec::Av1 => Ok(Box::new(Av1Decoder::new()?)),
        codec => Err(DecodeError::NoDecoder { codec }),
    }
}

/// Why there is no picture.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    #[error("there is no decoder for {codec} in this build")]
    NoDecoder { codec: Codec },
    #[error("{codec}: {why}: the stream is damaged, or in a form that is not decoded here")]
    Library { codec: &'static str, why: String },
    #[error("{codec}: pictures of {format} are not decoded here")]
    Format { codec: &'static str, format: String },
}

fn failed(codec: &'static str, why: impl fmt::Display) -> DecodeError {
    DecodeError::Library { codec, why: why.to_string() }
}

/// Makes `planes` fit a picture and returns it.
fn fitted(planes: &mut Option<Planes>, size: Size, chroma: Chroma) -> &mut Planes {
    let fitting = planes.take().filter(|planes| planes.size == size && planes.chroma == chroma);
    planes.insert(fitting.unwrap_or_else(|| Planes::new(size, chroma)))
}

/// Copies the visible samples from rows that are `stride` bytes apart.
fn copy(plane: &mut Plane, samples: &[u8], stride: usize) {
    let width = plane.size.width as usize;
    let rows = plane.data.chunks_mut(plane.stride).zip(samples.chunks(stride));
    for (to, from) in rows.take(plane.size.height as usize) {
        to[..width].copy_from_slice(&from[..width]);
    }
}
