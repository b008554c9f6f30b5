//! H.264 by OpenH264's decoder, through the crate `openh264`: its safe wrapper costs a copy of the picture and saves us
//! unsafe code beside that of the encoder.

use farpane_media::Size;
use farpane_pixel::{Chroma, Planes};
use openh264::OpenH264API;
use openh264::decoder::{Decoder as Library, DecoderConfig};
use openh264::formats::YUVSource;

use super::picture::{copy, failed, fitted};
use super::{DecodeError, Decoder};

const CODEC: &str = "H.264";

/// Decodes baseline, main and high profile at 4:2:0, without reordering.
pub struct H264Decoder {
    library: Library,
    planes: Option<Planes>,
}

impl H264Decoder {
    /// # Errors
    /// [`DecodeError::Library`] when the library cannot start.
    pub fn new() -> Result<H264Decoder, DecodeError> {
        let library = Library::with_api_config(OpenH264API::from_source(), DecoderConfig::new())
            .map_err(|why| failed(CODEC, why))?;
        Ok(H264Decoder { library, planes: None })
    }
}

impl Decoder for H264Decoder {
    fn decode(&mut self, access_unit: &[u8]) -> Result<Option<&Planes>, DecodeError> {
        let decoded = self.library.decode(access_unit).map_err(|why| failed(CODEC, why))?;
        let Some(picture) = decoded else { return Ok(None) };
        let (width, height) = picture.dimensions();
        let size = Size::new(width as u32, height as u32);
        let planes = fitted(&mut self.planes, size, Chroma::Yuv420);
        let (luma, u, v) = picture.strides();
        copy(&mut planes.y, picture.y(), luma);
        copy(&mut planes.u, picture.u(), u);
        copy(&mut planes.v, picture.v(), v);
        Ok(Some(planes))
    }
}
