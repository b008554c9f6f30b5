//! Video decoders behind one trait: what a viewer gets to see, for tests and measurements.
//!
//! A [`Decoder`] takes one access unit and gives the picture in it, without delay. [`open`] makes the decoder for a
//! [`Codec`]. Viewers decode in their browsers, so nothing here is on a frame's way.

#[cfg(feature = "av1-decoder")]
mod av1;
#[cfg(feature = "openh264")]
mod h264;
#[cfg(any(feature = "av1-decoder", feature = "openh264"))]
mod picture;

use farpane_media::Size;
use farpane_pixel::Planes;

#[cfg(feature = "av1-decoder")]
pub use av1::Av1Decoder;
#[cfg(feature = "openh264")]
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

/// Whether a decoder that shows pictures of `shown` was given some of `size`: as large, or what H.264 rounds that up to.
pub fn fits(shown: Size, size: Size) -> bool {
    let side = |shown: u32, side: u32| shown == side || shown == crate::h264::coded_side(side);
    side(shown.width, size.width) && side(shown.height, size.height)
}

/// Makes a decoder for 8-bit pictures: H.264 of 4:2:0, AV1 of 4:2:0 and 4:4:4.
///
/// # Errors
/// [`DecodeError::NoDecoder`] for a codec that cannot be decoded here, [`DecodeError::Library`] when the system gives
/// no memory or threads.
pub fn open(codec: Codec) -> Result<Box<dyn Decoder>, DecodeError> {
    match codec {
        #[cfg(feature = "openh264")]
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
