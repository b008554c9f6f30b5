//! AV1 by rav1e: without C, for what is small or slow, and for recordings.
//!
//! The library (0.8.1) was made for files, and three things follow:
//!
//! * A picture comes out when [`AHEAD`] more are there, in low-latency mode as well. So the same one is given again until
//!   it has come ([`Encoder::is_behind`]). A repetition is 30 bytes, but takes as long as a keystroke.
//! * Neither the target nor the quantizer of a context can be changed. A target that is far from the context's gets a new
//!   one, and so does a key frame, which then comes out at once. In between the library's own rate control sharpens what
//!   rests, as repeated pictures leave their bits to it.
//! * It has no palette, no block copy and no map of what changed: every picture is searched all over.
//!
//! A key frame for each picture would have no delay and any quantizer, but take a keystroke at 640x480 from five times
//! 21 ms of CPU and 0.3 kB in all to 180 ms and 170 kB.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use farpane_media::{Bitrate, Chroma, Rect, Size};
use farpane_pixel::{Planes, convert};
use rav1e::color::{
    ChromaSampling, ColorDescription, ColorPrimaries, MatrixCoefficients, PixelRange,
    TransferCharacteristics,
};
use rav1e::prelude::{
    Config, Context, EncoderConfig as Settings, EncoderStatus, Frame, FrameType, Rational,
    SceneDetectionSpeed,
};

use crate::{
    AccessUnit, Codec, EncodeError, Encoder, EncoderConfig, Output, Picture, Request, obu,
};

/// Either way round: what fits one tile (AV1 specification, section 5.9.15).
const LIMIT: Size = Size::new(4096, 2304);
/// Smaller ones are coded with a margin.
const LEAST: u32 = 16;
/// How many pictures the library wants to have beyond the one that it codes.
const AHEAD: usize = 4;
/// What one thread codes in a second of a film: 320x240 at 80 pictures a second, 640x480 at 20, 1080p at 3. Live use ends
/// where that is less than what is shown.
const PIXELS_PER_SECOND: u64 = 6_000_000;
/// More pictures a second than the engine repeats of one that rests would leave bits unused.
const MOST_FPS: u64 = 30;
/// A target that differs from a context's by this factor gets another.
const FAR: u64 = 2;
/// The fastest of the library's presets.
const SPEED: u8 = 10;
/// The finest quantizer, of 255, that rate control may take. What follows a key frame gets up to half as much again, which
/// is still 18 or finer on H.264's scale.
const FINEST: u8 = 20;
/// What rests coarser than this, on H.264's scale, is coded again after a while, until so many pictures have gained nothing.
const SHARP: u8 = 18;
const STILL: Duration = Duration::from_millis(60);
const FUTILE: u32 = 12;

/// See the module.
pub struct Rav1e {
    config: EncoderConfig,
    /// What the stream says.
    coded: Size,
    planes: Planes,
    /// Whether there has been a picture.
    seen: bool,
    /// The planes as the library takes them; none after they have changed.
    frame: Option<Arc<Frame<u8>>>,
    library: Option<Library>,
    /// Of the last picture, and how many have gained nothing since one did.
    quantizer: u8,
    futile: u32,
    data: Vec<u8>,
    units: Vec<Range<usize>>,
}

impl Rav1e {
    /// # Errors
    /// [`EncodeError::UnsupportedSize`] when a picture is larger than what one tile takes, or empty.
    pub fn new(config: &EncoderConfig) -> Result<Rav1e, EncodeError> {
        let EncoderConfig { size, chroma, .. } = *config;
        let (long, short) = (size.width.max(size.height), size.width.min(size.height));
        if short == 0 || long > LIMIT.width || short > LIMIT.height {
            return Err(EncodeError::UnsupportedSize { codec: Codec::Av1, size, limit: LIMIT });
        }
        Ok(Rav1e {
            config: *config,
            coded: Size::new(size.width.max(LEAST), size.height.max(LEAST)),
            planes: Planes::new(size, chroma),
            seen: false,
            frame: None,
            library: None,
            quantizer: 0,
            futile: 0,
            data: Vec::new(),
            units: Vec::new(),
        })
    }
}

impl Encoder for Rav1e {
    fn codec(&self) -> Codec {
        Codec::Av1
    }

    fn update(&mut self, picture: Picture<'_>) -> Result<(), EncodeError> {
        let (expected, got) = (self.config.size, picture.frame.size);
        if got != expected {
            return Err(EncodeError::SizeChanged { expected, got });
        }
        if self.seen {
            convert::update(&mut self.planes, picture.frame, picture.damage);
        } else {
            convert::update(&mut self.planes, picture.frame, &Rect::of(expected).into());
            self.seen = true;
        }
        self.frame = None;
        Ok(())
    }

    fn encode(&mut self, request: &Request) -> Result<Output<'_>, EncodeError> {
        if !self.seen {
            return Err(EncodeError::NoPicture);
        }
        let restart = request.key_frame || request.from.is_some();
        let goes_on = |library: &Library| !restart && library.suits(request.bitrate);
        let running = self.library.take().filter(goes_on);
        let is_new = running.is_none();
        let library = match running {
            Some(library) => library,
            None => Library::new(&self.config, self.coded, request.bitrate)?,
        };
        let library = self.library.insert(library);
        let has_changed = self.frame.is_none();
        let frame = self.frame.get_or_insert_with(|| library.frame(&self.planes, self.coded));
        if is_new {
            for _ in 0..AHEAD {
                library.send(frame)?;
            }
        } else if has_changed {
            library.newest = library.sent;
        }
        library.send(frame)?;
        let (data, quantizer, key_frame) = library.receive()?;
        let gained = has_changed || key_frame || quantizer < self.quantizer;
        self.futile = if gained { 0 } else { self.futile + 1 };
        self.quantizer = quantizer;
        let gains = quantizer > SHARP && self.futile < FUTILE;
        self.data = data;
        obu::split(&self.data, &mut self.units);
        Ok(Output::AccessUnit(AccessUnit {
            data: &self.data,
            units: &self.units,
            key_frame,
            from: None,
            kept: None,
            discardable: false,
            quantizer: Some(quantizer),
            again: gains.then_some(request.now + STILL),
            film: false,
            changed: None,
        }))
    }

    fn is_behind(&self) -> bool {
        self.library.as_ref().is_some_and(|library| library.received < library.newest)
    }
}

/// What the library calls a context.
struct Library {
    context: Context<u8>,
    target: Bitrate,
    /// Pictures given, and which of them was the last to come out.
    sent: u64,
    received: u64,
    /// The first that shows what the planes hold.
    newest: u64,
}

impl Library {
    fn new(config: &EncoderConfig, size: Size, target: Bitrate) -> Result<Library, EncodeError> {
        let fps = (PIXELS_PER_SECOND / size.pixels()).clamp(1, MOST_FPS);
        let threads = config.threads.max(1) as usize;
        let mut settings = Settings::with_speed_preset(SPEED);
        settings.width = size.width as usize;
        settings.height = size.height as usize;
        settings.time_base = Rational::new(1, fps.min(u64::from(config.max_fps.max(1))));
        settings.chroma_sampling = match config.chroma {
            Chroma::Yuv420 => ChromaSampling::Cs420,
            Chroma::Yuv444 => ChromaSampling::Cs444,
        };
        settings.pixel_range = PixelRange::Limited;
        settings.color_description = Some(ColorDescription {
            color_primaries: ColorPrimaries::BT709,
            transfer_characteristics: TransferCharacteristics::BT709,
            matrix_coefficients: MatrixCoefficients::BT709,
        });
        settings.low_latency = true;
        settings.set_key_frame_interval(0, 0);
        settings.speed_settings.rdo_lookahead_frames = 1;
        settings.speed_settings.scene_detection_mode = SceneDetectionSpeed::None;
        settings.bitrate = i32::try_from(target.as_bps()).unwrap_or(i32::MAX).max(1);
        settings.quantizer = 255;
        settings.min_quantizer = FINEST;
        settings.tiles = threads;
        // None would mean threads for the whole process.
        let config = Config::new().with_encoder_config(settings).with_threads(threads);
        let context = config.new_context().map_err(|_| failed("new_context", -1))?;
        Ok(Library { context, target, sent: 0, received: 0, newest: 0 })
    }

    /// Whether `target` is near enough to the context's.
    fn suits(&self, target: Bitrate) -> bool {
        let (own, other) = (self.target.as_bps(), target.as_bps());
        other < own * FAR && own < other * FAR
    }

    /// A picture for the library, padded as it wants it.
    fn frame(&self, planes: &Planes, size: Size) -> Arc<Frame<u8>> {
        let mut frame = self.context.new_frame();
        for (to, from) in frame.planes.iter_mut().zip([&planes.y, &planes.u, &planes.v]) {
            to.copy_from_raw_u8(&from.data, from.stride, 1);
            to.pad(size.width as usize, size.height as usize);
        }
        Arc::new(frame)
    }

    fn send(&mut self, frame: &Arc<Frame<u8>>) -> Result<(), EncodeError> {
        let sent = self.context.send_frame(Arc::clone(frame));
        sent.map_err(|status| failed("send_frame", status as i64))?;
        self.sent += 1;
        Ok(())
    }

    /// The next picture's data, its quantizer on H.264's scale and whether it is a key frame.
    fn receive(&mut self) -> Result<(Vec<u8>, u8, bool), EncodeError> {
        let packet = loop {
            match self.context.receive_packet() {
                Ok(packet) => break packet,
                Err(EncoderStatus::Encoded) => {}
                Err(status) => return Err(failed("receive_packet", status as i64)),
            }
        };
        self.received = packet.input_frameno;
        Ok((packet.data, scale(packet.qp), packet.frame_type == FrameType::KEY))
    }
}

fn failed(call: &'static str, code: i64) -> EncodeError {
    EncodeError::Library { codec: Codec::Av1, call, code }
}

/// The quantizer of H.264 whose step comes closest to that of one of AV1 (the AC table of its specification, section
/// 7.12.2, divided by 8, against 0.625 * 2^(q/6)), or the one beside it: the table is a line and then doubles every 38.
fn scale(quantizer: u8) -> u8 {
    let quantizer = f64::from(quantizer);
    let step = quantizer.min(98.0) + 7.0;
    let log2 = (step / 5.0).log2() + (quantizer - 98.0).max(0.0) / 38.0;
    (6.0 * log2).round().clamp(0.0, 51.0) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantizers_have_h264s_scale() {
        // Steps of the specification's table.
        for (quantizer, step) in [(31, 38.0), (98, 108.0), (150, 256.0), (255, 1_828.0)] {
            let expected = 6.0 * f64::log2(step / 5.0);
            assert!((f64::from(scale(quantizer)) - expected).abs() < 1.1, "{quantizer}");
        }
        assert!(scale(31) <= SHARP && scale(40) > SHARP);
    }
}
