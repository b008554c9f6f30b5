//! H.264 by OpenH264: constrained baseline, in the library's screen mode, under a rate control of our own.
//!
//! Chosen by measurement: CPU time a picture at 1080p in two slices, median, real pages and film at 8 Mb/s.
//!
//! | | typing | scroll, 33 rows at 30 Hz | scroll, 53 rows at 10 Hz | film | film in a page |
//! |---|---|---|---|---|---|
//! | screen mode as it comes | 9.5 ms | 13.8 ms, 5.7 kB | 12.7 ms, 7 kB | 13.5 ms | 16.8 ms |
//! | screen mode without feature search | 3.9 | 7.2, 6.4 kB | 6.6, 8 kB | 11.8 | 8.4 |
//! | camera mode | 4.1 | 5.5, 4.2 kB | 8.6, 62 kB | 12.9 | 8.4 |
//!
//! Camera mode codes a page that jumps from scratch, so screen mode it is, less what `openh264_screen_tuning.h`
//! takes out of it. Medium complexity gains nothing over low. The loop filter is off: it blurs text
//! beyond repair (settled page 33.8 dB with it, 43.0 dB without), saves no bytes in screen mode and costs an eighth of
//! the time.

#[allow(unsafe_code)]
mod ffi;
mod quantizer;

use farpane_media::{Rect, Region, Size, Time};
use farpane_pixel::convert::{self, Chroma, Planes};
use openh264_sys2::{
    ELevelIdc, LEVEL_3_1, LEVEL_3_2, LEVEL_4_0, LEVEL_4_2, LEVEL_5_0, LEVEL_5_1, LEVEL_5_2,
    SCREEN_CONTENT_REAL_TIME,
};

use crate::{AccessUnit, Codec, EncodeError, Encoder, EncoderConfig, Output, Picture, Request};
use ffi::{Failure, Library, Setup, Source, Unit};
use quantizer::{COARSE, COARSEST, FINE, Quantizers, STEP};

/// Pixels of a macroblock's side.
const BLOCK: u32 = 16;
/// Either way round.
const LIMIT: Size = Size::new(3840, 2160);
/// As many as the library starts.
const MAX_THREADS: u32 = 4;
/// Rectangles in the region of what is coarse; it only has to cover, so past that its bounds do.
const MAX_COARSE: usize = 64;

/// See the module.
pub(crate) struct OpenH264 {
    size: Size,
    library: Library,
    setup: Setup,
    quantizers: Quantizers,
    planes: Planes,
    /// Changed since the last access unit.
    pending: Region,
    /// Coded coarsely when it last changed.
    coarse: Region,
    /// Made fine by the last picture, as far as the library saw a need.
    faint: Region,
    seen: bool,
    unit: Unit,
}

impl OpenH264 {
    pub(crate) fn new(config: &EncoderConfig) -> Result<OpenH264, EncodeError> {
        let size = config.size;
        let (long, short) = (size.width.max(size.height), size.width.min(size.height));
        if short == 0 || long > LIMIT.width || short > LIMIT.height {
            return Err(EncodeError::UnsupportedSize { codec: Codec::H264, size, limit: LIMIT });
        }
        // What the format can say and the library takes; a decoder shows the frame in its top left.
        let even = |length: u32| length.max(BLOCK).next_multiple_of(2);
        let coded = Size::new(even(size.width), even(size.height));
        let rows = coded.height.div_ceil(BLOCK);
        let blocks = u64::from(coded.width.div_ceil(BLOCK) * rows);
        let max_fps = config.max_fps.clamp(1, 60);
        let setup = Setup {
            width: coded.width,
            height: coded.height,
            max_fps,
            threads: config.threads.clamp(1, MAX_THREADS.min(rows)),
            level: level(blocks, u64::from(max_fps)),
            usage: SCREEN_CONTENT_REAL_TIME,
        };
        Ok(OpenH264 {
            size,
            library: Library::new(&setup).map_err(failed)?,
            setup,
            quantizers: Quantizers::new(blocks, max_fps),
            planes: Planes::new(size, Chroma::Yuv420),
            pending: Region::new(),
            coarse: Region::new(),
            faint: Region::new(),
            seen: false,
            unit: Unit::default(),
        })
    }

    /// Codes the planes into `unit`; returns the quantizer that was used in the end.
    fn code(&mut self, quantizer: u8, key_frame: bool, now: Time) -> Result<u8, EncodeError> {
        match self.try_code(quantizer, key_frame, now) {
            Ok(()) => Ok(quantizer),
            // A picture that outgrows the library's own buffer (noise, at a fine quantizer) leaves the instance unusable.
            Err(_) if quantizer < COARSEST => {
                self.library = Library::new(&self.setup).map_err(failed)?;
                self.code((quantizer.max(COARSE) + STEP).min(COARSEST), true, now)
            }
            Err(failure) => Err(failed(failure)),
        }
    }

    fn try_code(&mut self, quantizer: u8, key_frame: bool, now: Time) -> Result<(), Failure> {
        self.library.set_quantizer(quantizer)?;
        if key_frame {
            self.library.force_key_frame()?;
        }
        let planes = [&self.planes.y, &self.planes.u, &self.planes.v];
        let planes = planes.map(|plane| (plane.data.as_slice(), plane.stride));
        let timestamp = (now.as_micros() / 1_000) as i64;
        self.library.encode(&Source { planes, timestamp }, &mut self.unit)
    }
}

impl Encoder for OpenH264 {
    fn codec(&self) -> Codec {
        Codec::H264
    }

    fn update(&mut self, picture: Picture<'_>) -> Result<(), EncodeError> {
        let frame = picture.frame;
        if frame.size != self.size {
            return Err(EncodeError::SizeChanged { expected: self.size, got: frame.size });
        }
        if self.seen {
            convert::update(&mut self.planes, frame, picture.damage);
            self.pending.union(picture.damage);
        } else {
            self.pending.set(Rect::of(self.size));
            convert::update(&mut self.planes, frame, &self.pending);
            self.seen = true;
        }
        Ok(())
    }

    fn encode(&mut self, request: &Request) -> Result<Output<'_>, EncodeError> {
        if !self.seen {
            return Err(EncodeError::NoPicture);
        }
        let size = self.size;
        let changed =
            self.pending.rects().iter().map(|r| r.snapped(BLOCK, size).area()).sum::<u64>();
        let changed = changed.div_ceil(u64::from(BLOCK * BLOCK));
        let choose = |quantizers: &mut Quantizers, key_frame| {
            quantizers.choose(request.now, request.bitrate, changed, key_frame)
        };
        let mut quantizer = choose(&mut self.quantizers, request.key_frame);
        stir(&mut self.planes, &self.faint);
        quantizer = self.code(quantizer, request.key_frame, request.now)?;
        if self.quantizers.oversize(quantizer, self.unit.data.len()) {
            quantizer = choose(&mut self.quantizers, true);
            quantizer = self.code(quantizer, true, request.now)?;
        }
        if self.unit.data.is_empty() {
            return Ok(Output::Skipped);
        }
        let Unit { data, nals, key_frame } = &self.unit;
        if quantizer == FINE {
            std::mem::swap(&mut self.faint, &mut self.coarse);
            self.coarse.clear();
        } else {
            if *key_frame {
                self.coarse.set(Rect::of(size));
            } else {
                self.coarse.union(&self.pending);
                self.coarse.union(&self.faint);
            }
            if self.coarse.rects().len() > MAX_COARSE {
                self.coarse.set(self.coarse.bounds());
            }
            self.faint.clear();
        }
        self.pending.clear();
        let coarsest = self.quantizers.coded(quantizer, data.len(), *key_frame);
        Ok(Output::AccessUnit(AccessUnit {
            data,
            units: nals,
            key_frame: *key_frame,
            quantizer: Some(if self.faint.is_empty() { coarsest } else { FINE + 1 }),
        }))
    }
}

fn failed(failure: Failure) -> EncodeError {
    EncodeError::Library { codec: Codec::H264, call: failure.call, code: failure.code }
}

/// The lowest level (ITU-T H.264, table A-1) that takes `blocks` a picture at `fps`; from 3.1, the one that browsers
/// name, upwards.
fn level(blocks: u64, fps: u64) -> ELevelIdc {
    let table = [
        (LEVEL_3_1, 3_600, 108_000),
        (LEVEL_3_2, 5_120, 216_000),
        (LEVEL_4_0, 8_192, 245_760),
        (LEVEL_4_2, 8_704, 522_240),
        (LEVEL_5_0, 22_080, 589_824),
        (LEVEL_5_1, 36_864, 983_040),
    ];
    let fits =
        |&&(_, picture, second): &&(_, u64, u64)| blocks <= picture && blocks * fps <= second;
    table.iter().find(fits).map_or(LEVEL_5_2, |(level, ..)| *level)
}

/// Changes the lowest bit of one luma sample of each block that `region` touches: half a code off, far below any
/// quantizer here.
///
/// A block that the library skipped because its change was too faint for a coarse quantizer passes for as sharp as it
/// was before the change, and while its source stands still it is not looked at again. So the source of blocks that
/// were coded coarsely moves a little once the library has made fine what it thinks is coarse.
fn stir(planes: &mut Planes, region: &Region) {
    let stride = planes.y.stride;
    for rect in region.rects() {
        let (left, top) = (rect.x / BLOCK * BLOCK, rect.y / BLOCK * BLOCK);
        for y in (top..rect.bottom()).step_by(BLOCK as usize) {
            for x in (left..rect.right()).step_by(BLOCK as usize) {
                planes.y.data[y as usize * stride + x as usize] ^= 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_library_is_built_with_our_tuning() {
        let flags = option_env!("CXXFLAGS").unwrap_or_default();
        let header = "-include openh264_screen_tuning.h";
        assert!(
            flags.contains(header),
            "/.cargo/config.toml sets CXXFLAGS, not {flags:?}: add {header}"
        );
    }

    #[test]
    fn levels_fit_the_picture() {
        assert_eq!(level(3_600, 30), LEVEL_3_1);
        assert_eq!(level(8_160, 30), LEVEL_4_0);
        assert_eq!(level(8_160, 60), LEVEL_4_2);
        assert_eq!(level(32_400, 60), LEVEL_5_2);
    }
}
