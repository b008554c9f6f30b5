//! AV1 by rav1d: dav1d's assembly under Rust, so no library of the system is needed.

use farpane_media::Size;
use farpane_pixel::{Chroma, Planes};
use re_rav1d::dav1d::{
    Decoder as Library, Error, Picture, PixelLayout, PlanarImageComponent, Settings,
};

use super::picture::{copy, failed, fitted};
use super::{DecodeError, Decoder};

const CODEC: &str = "AV1";

/// Decodes 8-bit pictures of 4:2:0 and 4:4:4, film grain applied.
pub struct Av1Decoder {
    library: Library,
    planes: Option<Planes>,
}

impl Av1Decoder {
    /// # Errors
    /// [`DecodeError::Library`] when the system gives no memory.
    pub fn new() -> Result<Av1Decoder, DecodeError> {
        let mut settings = Settings::new();
        // Pictures come out with the unit that they are in, and cost what they cost on one thread.
        settings.set_max_frame_delay(1);
        settings.set_n_threads(1);
        let library = Library::with_settings(&settings).map_err(|why| failed(CODEC, why))?;
        Ok(Av1Decoder { library, planes: None })
    }

    fn show(&mut self, picture: &Picture) -> Result<&Planes, DecodeError> {
        let chroma = match picture.pixel_layout() {
            PixelLayout::I420 => Chroma::Yuv420,
            PixelLayout::I444 => Chroma::Yuv444,
            layout => return Err(format(layout)),
        };
        if picture.bit_depth() != 8 {
            return Err(format(picture.bit_depth()));
        }
        let size = Size::new(picture.width(), picture.height());
        let planes = fitted(&mut self.planes, size, chroma);
        let components = [
            (&mut planes.y, PlanarImageComponent::Y),
            (&mut planes.u, PlanarImageComponent::U),
            (&mut planes.v, PlanarImageComponent::V),
        ];
        for (plane, component) in components {
            copy(plane, &picture.plane(component), picture.stride(component) as usize);
        }
        Ok(planes)
    }
}

fn format(what: impl std::fmt::Debug) -> DecodeError {
    DecodeError::Format { codec: CODEC, format: format!("{what:?}") }
}

impl Decoder for Av1Decoder {
    fn decode(&mut self, access_unit: &[u8]) -> Result<Option<&Planes>, DecodeError> {
        let mut sent = self.library.send_data(access_unit.to_vec(), None, None, None);
        let mut shown = None;
        loop {
            match self.library.get_picture() {
                // Of several layers or repeated pictures, the last is what a viewer sees.
                Ok(picture) => shown = Some(picture),
                Err(Error::Again) if matches!(sent, Err(Error::Again)) => {
                    sent = self.library.send_pending_data();
                }
                Err(Error::Again) => break,
                Err(why) => {
                    self.library.flush();
                    return Err(failed(CODEC, why));
                }
            }
        }
        if let Err(why) = sent {
            self.library.flush();
            return Err(failed(CODEC, why));
        }
        shown.map(|picture| self.show(&picture)).transpose()
    }
}
