//! H.264 by OpenH264, for what moves: constrained baseline, in the library's camera mode, under our own rate control. It
//! has no 4:4:4, and a film, which was sampled at 4:2:0 before, needs none.
//!
//! Its screen mode gains nothing here, since screens are [`crate::screen`]'s: for a film 15.2 kB and 11.6 ms of CPU a
//! picture against 15.0 kB and 11.3 ms in camera mode, for a film in a page 9.6 kB, 37.9 dB and 8.1 ms against 9.6 kB,
//! 38.1 dB and 7.5 ms (1080p, two slices, median). Medium complexity gains nothing over low. The loop filter is off: the
//! page around a film would blur beyond repair.
//!
//! Pictures are kept as the library's long-term pictures, by its own word of what the viewer has got ([`marks`]).

#[allow(unsafe_code)]
mod ffi;
mod marks;
mod slice_header;

use farpane_media::{Bitrate, Rect, Region, Slot, Time};
use farpane_pixel::convert::{self, Chroma, Planes};
use openh264_sys2::{CAMERA_VIDEO_REAL_TIME, ELevelIdc};

use crate::h264::{BLOCK, Format, REST};
use crate::rate::{COARSEST, Coarse, Fresh, Rate};
use crate::{AccessUnit, Codec, EncodeError, EncoderConfig, Output, Picture, Request};
use ffi::{Failure, Library, Setup, Source, Unit};
use marks::Marks;
use slice_header::SliceHeader;

/// As many as the library starts.
const MAX_THREADS: u32 = 4;
/// How much coarser a picture is tried that the library failed on.
const STEP: u8 = 6;

/// See the module.
pub(crate) struct OpenH264 {
    library: Library,
    setup: Setup,
    format: Format,
    planes: Planes,
    /// What is coded instead, with half the columns and rows.
    small: Option<Planes>,
    /// Changed since the last access unit.
    pending: Region,
    marks: Marks,
    unit: Unit,
}

impl OpenH264 {
    pub(crate) const IS_PRESENT: bool = true;

    pub(crate) fn new(format: Format) -> Result<OpenH264, EncodeError> {
        let setup = setup(&format);
        Ok(OpenH264 {
            library: Library::new(&setup).map_err(failed)?,
            setup,
            format,
            planes: Planes::new(format.size, Chroma::Yuv420),
            small: None,
            pending: Region::new(),
            marks: Marks::default(),
            unit: Unit::default(),
        })
    }

    /// The picture as it is now.
    pub(crate) fn planes(&self) -> &Planes {
        &self.planes
    }

    /// Goes on from a picture that another encoder has coded; the next one has to be a key frame.
    pub(crate) fn adopt(&mut self, planes: &Planes) {
        match planes.chroma {
            Chroma::Yuv420 => self.planes.clone_from(planes),
            Chroma::Yuv444 => convert::subsample(planes, &mut self.planes),
        }
        self.pending.set(Rect::of(planes.size));
    }

    pub(crate) fn is_small(&self) -> bool {
        self.small.is_some()
    }

    /// Codes a quarter of the pixels from now on, or all of them again; the next picture has to be a key frame.
    pub(crate) fn set_small(&mut self, small: bool) -> Result<(), EncodeError> {
        let format = if small { halved(&self.format)? } else { self.format };
        self.setup = setup(&format);
        self.library = Library::new(&self.setup).map_err(failed)?;
        self.marks = Marks::default();
        self.small = small.then(|| Planes::new(format.size, Chroma::Yuv420));
        self.pending.set(Rect::of(self.format.size));
        Ok(())
    }

    /// See [`crate::Encoder::update`].
    pub(crate) fn update(&mut self, picture: Picture<'_>) {
        convert::update(&mut self.planes, picture.frame, picture.damage);
        self.pending.union(picture.damage);
    }

    /// Macroblocks that differ from the last picture, or may.
    pub(crate) fn changed(&self) -> u64 {
        self.blocks(&self.pending)
    }

    /// Macroblocks that are touched.
    fn blocks(&self, region: &Region) -> u64 {
        let touched = region.rects().iter().map(|r| r.snapped(BLOCK, self.planes.size).area());
        touched.sum::<u64>().div_ceil(u64::from(BLOCK * BLOCK))
    }

    /// See [`crate::Encoder::encode`]; returns how many macroblocks were new as well.
    ///
    /// Sharpening is left to the encoder that takes over when the picture rests.
    pub(crate) fn encode(
        &mut self,
        request: &Request,
        rate: &mut Rate,
    ) -> Result<(Output<'_>, u64), EncodeError> {
        let Request { bitrate, now, .. } = *request;
        let keep = request.keep.filter(|_| self.format.keeps);
        let changed = self.changed();
        if let Some(small) = &mut self.small {
            convert::halve(&self.planes, small, &self.pending);
        }
        let from = self.go_back(request)?;
        let key_frame = request.key_frame || from.is_none() && request.from.is_some();
        if from.is_none() {
            let keep = keep.filter(|_| !key_frame);
            self.marks.keep(&mut self.library, keep).map_err(failed)?;
        }
        let mut new = self.pending.clone();
        if let Some(differs) = from.and_then(|slot| self.marks.differs(slot)) {
            new.union(differs);
        }
        let choose = |rate: &mut Rate, changed: u64, key_frame: bool| {
            rate.choose(now, bitrate, Fresh::from(changed), Coarse::default(), key_frame).quantizer
        };
        let mut quantizer = choose(rate, self.blocks(&new), key_frame);
        quantizer = self.code(quantizer, key_frame, now)?;
        let stayed = from.is_some() && !self.header().is_some_and(|header| header.goes_back);
        if rate.is_oversize(quantizer, self.unit.data.len()) || stayed {
            // The library goes on from what the viewer will never have.
            quantizer = choose(rate, self.format.blocks(), true).max(quantizer);
            quantizer = self.code(quantizer, true, now)?;
        }
        if self.unit.data.is_empty() {
            return Ok((Output::Skipped, changed));
        }
        let kept = self.handle_coded(keep, &new);
        self.pending.clear();
        let Unit { data, nals, key_frame } = &self.unit;
        rate.coded(quantizer, data.len(), *key_frame, 0);
        let again = Some(rate.free().max(now + REST));
        let (quantizer, key_frame) = (Some(quantizer), *key_frame);
        let unit = AccessUnit {
            data,
            units: nals,
            key_frame,
            from: from.filter(|_| !key_frame),
            kept,
            discardable: false,
            quantizer,
            again,
            film: true,
            changed: None,
        };
        Ok((Output::AccessUnit(unit), changed))
    }

    /// Has the next picture refer to the kept one that is asked for; returns its slot, if it is there.
    fn go_back(&mut self, request: &Request) -> Result<Option<Slot>, EncodeError> {
        let Some(slot) = request.from.filter(|_| !request.key_frame) else { return Ok(None) };
        if self.marks.is_pending(slot) {
            // The library takes word of it with a picture: with one that nobody gets.
            self.marks.hear(&mut self.library, true).map_err(failed)?;
            self.code(COARSEST, false, request.now)?;
            self.handle_coded(None, &Region::new());
        }
        let goes = self.marks.go_back(&mut self.library, slot).map_err(failed)?;
        Ok(goes.then_some(slot))
    }

    /// What the slices of the last picture say.
    fn header(&self) -> Option<SliceHeader> {
        let Unit { data, nals, .. } = &self.unit;
        nals.iter().find_map(|nal| SliceHeader::read(&data[nal.clone()]))
    }

    /// Takes note of what is kept after the last picture, which is new in `changed` only; returns whether it is itself, in
    /// `slot`.
    fn handle_coded(&mut self, slot: Option<Slot>, changed: &Region) -> Option<Slot> {
        self.marks.handle_coded(self.header()?, slot, changed)
    }

    /// Codes the planes into `unit`; returns the quantizer that was used in the end.
    fn code(&mut self, quantizer: u8, key_frame: bool, now: Time) -> Result<u8, EncodeError> {
        match self.try_code(quantizer, key_frame, now) {
            Ok(()) => Ok(quantizer),
            // A picture that outgrows the library's own buffer (noise, at a fine quantizer) leaves the instance unusable.
            Err(_) if quantizer < COARSEST => {
                self.library = Library::new(&self.setup).map_err(failed)?;
                self.code((quantizer + STEP).min(COARSEST), true, now)
            }
            Err(failure) => Err(failed(failure)),
        }
    }

    fn try_code(&mut self, quantizer: u8, key_frame: bool, now: Time) -> Result<(), Failure> {
        self.library.set_quantizer(quantizer)?;
        if key_frame {
            self.library.force_key_frame()?;
        }
        let Planes { y, u, v, .. } = self.small.as_ref().unwrap_or(&self.planes);
        let planes = [y, u, v];
        let planes = planes.map(|plane| (plane.data.as_slice(), plane.stride));
        let timestamp = (now.as_micros() / 1_000) as i64;
        self.library.encode(&Source { planes, timestamp }, &mut self.unit)
    }
}

/// What pictures with half the columns and rows have in common.
fn halved(format: &Format) -> Result<Format, EncodeError> {
    let Format { chroma, max_fps, threads, keeps, .. } = *format;
    let (size, bitrate) = (convert::half(format.size), Bitrate::ZERO);
    Format::new(&EncoderConfig { size, chroma, bitrate, max_fps, threads, keeps, layered: false })
}

fn setup(format: &Format) -> Setup {
    Setup {
        width: format.coded.width,
        height: format.coded.height,
        max_fps: format.max_fps,
        threads: format.threads.min(MAX_THREADS),
        // The library numbers levels as the standard does.
        level: ELevelIdc::from(format.level),
        usage: CAMERA_VIDEO_REAL_TIME,
        keeps: format.keeps,
    }
}

fn failed(failure: Failure) -> EncodeError {
    EncodeError::Library { codec: Codec::H264, call: failure.call, code: failure.code }
}

#[cfg(test)]
mod tests {
    use farpane_media::{FrameBody, Size};

    use super::*;
    use crate::Chroma;
    use crate::random::Random;
    use crate::rate::FINE;

    /// At a fine quantizer such a picture is larger than the library's own buffer, which costs it the instance.
    #[test]
    fn noise_that_outgrows_the_library_is_coded_coarser() {
        let (size, bitrate) = (Size::new(1920, 1080), Bitrate::mbps(2_000));
        let config = EncoderConfig {
            size,
            chroma: Chroma::Yuv420,
            bitrate,
            max_fps: 30,
            threads: 1,
            keeps: false,
            layered: false,
        };
        let format = Format::new(&config).unwrap();
        let mut encoder = OpenH264::new(format).unwrap();
        let mut rate = Rate::new(format.blocks(), format.max_fps);
        let mut random = Random(5);
        let mut noise = || [if random.below(5) < 2 { 0 } else { 255 }; 4];
        let stride = size.width as usize * 4;
        let pixels = (0..size.width * size.height).flat_map(|_| noise()).collect();
        let frame = FrameBody { size, stride, pixels, ..FrameBody::default() };
        encoder.update(Picture { frame: &frame, damage: &Rect::of(size).into() });
        let request =
            Request { key_frame: false, bitrate, now: Time::from_millis(1), ..Request::default() };
        let (Output::AccessUnit(unit), _) = encoder.encode(&request, &mut rate).unwrap() else {
            panic!("skipped")
        };
        assert!(unit.key_frame && unit.quantizer > Some(FINE), "{:?}", unit.quantizer);
        encoder.encode(&request, &mut rate).unwrap();
    }
}
