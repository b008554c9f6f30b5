//! H.264 as a viewer gets it: coded, decoded by OpenH264's decoder (4:2:0) or FFmpeg's, compared with the source.
//!
//! Expected values come from the formulas of BT.709 and the syntax of ITU-T H.264 themselves, not from the code that is
//! tested.

#![cfg(feature = "openh264")]

mod drawing;
#[path = "../src/ffmpeg.rs"]
mod ffmpeg;
#[path = "h264/full_colour.rs"]
mod full_colour;

use std::time::Duration;

use farpane_codec::{
    Chroma, Codec, EncodeError, Encoder, EncoderConfig, Output, Picture, Request, Slot, open,
};
use farpane_media::{Bitrate, FrameBody, Rect, Region, Size, Time};
use openh264::decoder::Decoder;
use openh264::formats::YUVSource;

use drawing::{Random, fill, frame, text};

const SIZE: Size = Size::new(640, 368);
const FRAME: Duration = Duration::from_millis(33);

/// An encoder and what its viewer sees.
struct Session {
    encoder: Box<dyn Encoder>,
    decoder: Decoder,
    now: Time,
    bitrate: Bitrate,
    /// When the picture gains from being coded again.
    again: Option<Time>,
}

struct Coded {
    data: Vec<u8>,
    /// The type of each NAL unit (H.264, table 7-1).
    types: Vec<u8>,
    key_frame: bool,
}

impl Session {
    fn new(size: Size, threads: u32) -> Session {
        Session::sampled(Chroma::Yuv420, size, threads)
    }

    fn sampled(chroma: Chroma, size: Size, threads: u32) -> Session {
        let bitrate = Bitrate::mbps(20);
        let config = EncoderConfig {
            size,
            chroma,
            bitrate,
            max_fps: 30,
            threads,
            keeps: false,
            layered: false,
        };
        let encoder = open(Codec::H264, &config).unwrap();
        let (decoder, now) = (Decoder::new().unwrap(), Time::from_millis(1));
        Session { encoder, decoder, now, bitrate, again: None }
    }

    fn update(&mut self, frame: &FrameBody, damage: &Region) {
        self.encoder.update(Picture { frame, damage }).unwrap();
    }

    fn encode(&mut self, key_frame: bool) -> Coded {
        self.encode_at(self.now + FRAME, key_frame)
    }

    fn encode_at(&mut self, now: Time, key_frame: bool) -> Coded {
        self.now = now;
        let request =
            Request { key_frame, bitrate: self.bitrate, now: self.now, ..Request::default() };
        let Output::AccessUnit(unit) = self.encoder.encode(&request).unwrap() else {
            panic!("skipped")
        };
        let mut end = 0;
        for nal in unit.units {
            assert!(matches!(unit.data[end..nal.start], [0, 0, 1] | [0, 0, 0, 1]), "start code");
            end = nal.end;
        }
        assert_eq!(end, unit.data.len());
        self.again = unit.again;
        Coded {
            data: unit.data.to_vec(),
            types: unit.units.iter().map(|nal| unit.data[nal.start] & 31).collect(),
            key_frame: unit.key_frame,
        }
    }

    /// Codes, decodes and returns luma and both chroma planes without their padding.
    fn see(&mut self, key_frame: bool) -> (Coded, Seen) {
        let coded = self.encode(key_frame);
        let seen = self.decode(&coded.data);
        (coded, seen)
    }

    fn decode(&mut self, data: &[u8]) -> Seen {
        let picture = self.decoder.decode(data).unwrap().expect("every access unit is a picture");
        let (width, height) = picture.dimensions();
        let (luma, chroma, _) = picture.strides();
        let crop = |plane: &[u8], stride: usize, width: usize, height: usize| -> Vec<u8> {
            plane.chunks(stride).take(height).flat_map(|row| row[..width].iter().copied()).collect()
        };
        Seen {
            width,
            height,
            y: crop(picture.y(), luma, width, height),
            u: crop(picture.u(), chroma, width / 2, height / 2),
            v: crop(picture.v(), chroma, width / 2, height / 2),
        }
    }

    /// Codes the picture, and again whenever it gains by it, until it is sharp; returns how it then looks and the bytes of
    /// each step.
    fn settle(&mut self) -> (Seen, Vec<usize>) {
        let (coded, mut seen) = self.see(false);
        let mut sizes = vec![coded.data.len()];
        while let Some(coded) = self.sharpen(self.now + Duration::from_secs(5)) {
            assert!(sizes.len() < 1_000, "never sharp: {sizes:?}");
            sizes.push(coded.data.len());
            seen = self.decode(&coded.data);
        }
        assert_eq!(self.again, None, "never sharp: {sizes:?}");
        (seen, sizes)
    }

    /// Codes the picture again if it gains by it before `until`.
    fn sharpen(&mut self, until: Time) -> Option<Coded> {
        let again = self.again.filter(|again| *again < until)?;
        Some(self.encode_at(again.max(self.now + Duration::from_micros(1)), false))
    }
}

struct Seen {
    width: usize,
    height: usize,
    y: Vec<u8>,
    u: Vec<u8>,
    v: Vec<u8>,
}

impl Seen {
    /// The colour at a place, by the inverse of BT.709 limited range.
    fn rgb(&self, x: usize, y: usize) -> [i32; 3] {
        let factor = if self.u.len() == self.y.len() { 1 } else { 2 };
        let chroma = y / factor * (self.width / factor) + x / factor;
        let luma = (f64::from(self.y[y * self.width + x]) - 16.0) * 255.0 / 219.0;
        let (cb, cr) = (f64::from(self.u[chroma]) - 128.0, f64::from(self.v[chroma]) - 128.0);
        let (cb, cr) = (cb * 255.0 / 224.0, cr * 255.0 / 224.0);
        [luma + 1.5748 * cr, luma - 0.187_32 * cb - 0.468_12 * cr, luma + 1.8556 * cb]
            .map(|value| value.round() as i32)
    }
}

fn luma(pixel: &[u8; 4]) -> f64 {
    let [blue, green, red, _] = pixel.map(f64::from);
    16.0 + (0.2126 * red + 0.7152 * green + 0.0722 * blue) * 219.0 / 255.0
}

/// Luma PSNR over one rectangle, in dB.
fn psnr(frame: &FrameBody, seen: &Seen, rect: &Rect) -> f64 {
    let mut error = 0.0;
    for y in rect.y..rect.bottom() {
        let row = &seen.y[y as usize * seen.width + rect.x as usize..];
        for (pixel, seen) in frame.row(rect, y).as_chunks::<4>().0.iter().zip(row) {
            error += (luma(pixel) - f64::from(*seen)).powi(2);
        }
    }
    10.0 * (255.0 * 255.0 * rect.area() as f64 / error.max(1e-9)).log10()
}

fn page(size: Size) -> (FrameBody, Region) {
    let mut page = frame(size);
    text(&mut page, Rect::of(size), &mut Random(1));
    (page, Rect::of(size).into())
}

#[test]
fn a_text_page_settles_sharp() {
    let (page, damage) = page(SIZE);
    let mut session = Session::new(SIZE, 1);
    session.bitrate = Bitrate::mbps(2);
    session.update(&page, &damage);
    let (seen, sizes) = session.settle();
    let quality = psnr(&page, &seen, &Rect::of(SIZE));
    assert!(quality > 50.0, "{quality:.1} dB after {sizes:?}");
    assert!(sizes.len() > 1, "at this rate the page does not fit one picture: {sizes:?}");
}

#[test]
fn a_page_turns_sharp_although_something_small_ticks_on_it() {
    let (mut page, damage) = page(SIZE);
    let mut session = Session::new(SIZE, 1);
    session.bitrate = Bitrate::mbps(3);
    session.update(&page, &damage);
    let (_, mut seen) = session.see(false);
    let tick = Rect::new(600, 340, 30, 16);
    let below = Rect::new(0, 0, SIZE.width, tick.y);
    let before = psnr(&page, &seen, &below);
    let mut tick_at = session.now + FRAME;
    for at in 0..60 {
        fill(&mut page, tick, [[0, 0, 0], [255, 255, 255]][at % 2]);
        session.update(&page, &tick.into());
        let mut pictures = vec![session.encode_at(tick_at, false)];
        seen = session.decode(&pictures[0].data);
        tick_at += FRAME;
        while let Some(coded) = session.sharpen(tick_at) {
            seen = session.decode(&coded.data);
            pictures.push(coded);
        }
        let longest = pictures.iter().map(|coded| coded.data.len()).skip(1).max().unwrap_or(0);
        let most = 3 * session.bitrate.bytes_in(Duration::from_millis(20)) as usize;
        assert!(longest <= most, "picture {at}: the next tick waits for {longest} bytes");
        assert!(pictures.iter().all(|coded| !coded.key_frame), "picture {at}");
    }
    let after = psnr(&page, &seen, &below);
    assert!(before < 38.0 && after > 48.0, "from {before:.1} to {after:.1} dB");
}

#[test]
fn the_first_picture_is_bounded_by_the_rate() {
    let (page, damage) = page(SIZE);
    let sizes = [Bitrate::mbps(4), Bitrate::mbps(50)].map(|bitrate| {
        let mut session = Session::new(SIZE, 1);
        session.bitrate = bitrate;
        session.update(&page, &damage);
        session.encode(false).data.len()
    });
    // Three times what 66 ms carry is the point from which a picture is coded again.
    assert!(
        sizes[0] as u64 <= 3 * Bitrate::mbps(4).bytes_in(Duration::from_millis(66)),
        "{sizes:?}"
    );
    assert!(sizes[1] > 2 * sizes[0], "a faster link gets a better first picture: {sizes:?}");
}

#[test]
fn colours_survive_within_a_few_codes() {
    let colours = [
        [255, 0, 0],
        [0, 255, 0],
        [0, 0, 255],
        [255, 255, 0],
        [0, 255, 255],
        [255, 0, 255],
        [0, 0, 0],
        [255, 255, 255],
        [128, 128, 128],
        [200, 90, 30],
    ];
    let mut patches = frame(SIZE);
    for (at, colour) in colours.iter().enumerate() {
        fill(&mut patches, Rect::new(at as u32 * 64, 0, 64, SIZE.height), *colour);
    }
    let mut session = Session::new(SIZE, 1);
    session.update(&patches, &Region::new());
    let (seen, _) = session.settle();
    for (at, colour) in colours.iter().enumerate() {
        let got = seen.rgb(at * 64 + 32, 100);
        let near = got.iter().zip(colour).all(|(got, sent)| (got - i32::from(*sent)).abs() <= 4);
        assert!(near, "{colour:?} came out as {got:?}");
    }
}

#[test]
fn nothing_stale_stays_over_long_random_damage() {
    let mut random = Random(7);
    let mut page = frame(SIZE);
    let mut session = Session::new(SIZE, 2);
    text(&mut page, Rect::of(SIZE), &mut random);
    session.update(&page, &Region::new());
    session.see(false);
    for round in 0..150 {
        let mut damage = Region::new();
        for _ in 0..=random.below(3) {
            let (x, y) = (random.below(SIZE.width - 1), random.below(SIZE.height - 1));
            let rect = Rect::new(x, y, 1 + random.below(160), 1 + random.below(90))
                .intersect(&Rect::of(SIZE));
            if random.below(2) == 0 {
                text(&mut page, rect, &mut random);
            } else {
                fill(&mut page, rect, [0, 1, 2].map(|_| random.below(256) as u8));
            }
            damage.add(rect);
        }
        session.update(&page, &damage);
        if random.below(4) == 0 {
            continue; // Two updates, one picture.
        }
        session.see(random.below(20) == 0);
        if round % 50 != 49 {
            continue;
        }
        let (seen, _) = session.settle();
        for y in (0..SIZE.height).step_by(16) {
            for x in (0..SIZE.width).step_by(16) {
                let quality = psnr(&page, &seen, &Rect::new(x, y, 16, 16));
                assert!(quality > 32.0, "round {round}: {quality:.1} dB at {x},{y}");
            }
        }
    }
}

#[test]
fn the_rate_follows_a_live_encoder() {
    let mut random = Random(3);
    let mut noise = frame(SIZE);
    let mut session = Session::new(SIZE, 1);
    for (bitrate, slack) in [(3, 1.3), (8, 1.3), (2, 1.3)] {
        session.bitrate = Bitrate::mbps(bitrate);
        let mut bytes = 0;
        for at in 0..90 {
            // Soft moving shapes under a grain: what film costs.
            for y in 0..SIZE.height {
                for (x, pixel) in
                    noise.row_mut(&Rect::of(SIZE), y).as_chunks_mut::<4>().0.iter_mut().enumerate()
                {
                    let wave = ((x as f64 / 40.0 + f64::from(at) / 3.0).sin()
                        * (f64::from(y) / 31.0).cos()
                        + 1.0)
                        * 90.0;
                    *pixel = [(wave as u8).wrapping_add(random.below(96) as u8); 4];
                }
            }
            session.update(&noise, &Rect::of(SIZE).into());
            let coded = session.encode(false);
            bytes += if at >= 30 { coded.data.len() as u64 } else { 0 };
        }
        let got = Bitrate::of(bytes, Duration::from_millis(60 * 33));
        let ratio = got.as_bps() as f64 / session.bitrate.as_bps() as f64;
        assert!((0.5..slack).contains(&ratio), "asked for {}, got {got}", session.bitrate);
    }
}

/// A film is handed over to the encoder for motion and the page after it back: by one key frame each, the picture is the
/// right one throughout, and in the end it is sharp.
#[test]
fn a_film_and_the_page_after_it_arrive() {
    let (mut page, damage) = page(SIZE);
    let mut session = Session::new(SIZE, 2);
    session.bitrate = Bitrate::mbps(8);
    session.update(&page, &damage);
    session.settle();
    let film = Rect::new(100, 60, 400, 240);
    let mut key_frames = Vec::new();
    let mut shown = |session: &mut Session, page: &FrameBody, at: u32, now: Time, least: f64| {
        let coded = session.encode_at(now, false);
        let seen = session.decode(&coded.data);
        key_frames.extend(coded.key_frame.then_some(at));
        let quality = psnr(page, &seen, &Rect::of(SIZE));
        assert!(quality > least, "picture {at}: {quality:.1} dB");
    };
    for at in 0..60 {
        for y in film.y..film.bottom() {
            let row = page.row_mut(&film, y).as_chunks_mut::<4>().0;
            for (x, pixel) in row.iter_mut().enumerate() {
                let wave =
                    (x as f64 / 37.0 + f64::from(at) / 4.0).sin() * (f64::from(y) / 23.0).cos();
                *pixel = [(128.0 + 100.0 * wave) as u8; 4];
            }
        }
        session.update(&page, &film.into());
        let now = session.now + FRAME;
        shown(&mut session, &page, at, now, 28.0);
    }
    for at in 60..160 {
        let Some(again) = session.again else { break };
        let now = again.max(session.now + FRAME);
        shown(&mut session, &page, at, now, 28.0);
    }
    assert_eq!(session.again, None, "never sharp after the film");
    let now = session.now + FRAME;
    shown(&mut session, &page, 160, now, 48.0);
    assert!(matches!(key_frames[..], [5..40, 60..80]), "{key_frames:?}");
}

/// Where a film takes too long it goes on with half the columns and rows, and back, by one key frame each; screens never do.
#[test]
fn a_film_may_have_a_quarter_of_the_pixels() {
    let mut page = frame(SIZE);
    let mut session = Session::new(SIZE, 1);
    session.bitrate = Bitrate::mbps(8);
    let mut key_frames = Vec::new();
    for at in 0..90 {
        let wave = |x: u32, y: u32| {
            (f64::from(x) / 37.0 + f64::from(at) / 4.0).sin() * (f64::from(y) / 23.0).cos()
        };
        let whole = Rect::of(SIZE);
        for y in 0..SIZE.height {
            let row = page.row_mut(&whole, y).as_chunks_mut::<4>().0;
            for (x, pixel) in (0..).zip(row) {
                *pixel = [(128.0 + 100.0 * wave(x, y)) as u8; 4];
            }
        }
        session.update(&page, &whole.into());
        session.encoder.set_small_films((1..10).contains(&at) || (40..70).contains(&at));
        let (coded, seen) = session.see(false);
        key_frames.extend(coded.key_frame.then_some(at));
        let scale = if (40..70).contains(&at) { 2 } else { 1 };
        let expected = (SIZE.width as usize / scale, SIZE.height as usize / scale);
        assert_eq!((seen.width, seen.height), expected, "picture {at}");
        let mut error = 0.0;
        for (at, seen) in seen.y.iter().enumerate() {
            let (x, y) = (at % expected.0 * scale, at / expected.0 * scale);
            let pixel = &page.row(&whole, y as u32)[x * 4..][..4];
            error += (luma(pixel.try_into().unwrap()) - f64::from(*seen)).abs();
        }
        let mean = error / seen.y.len() as f64;
        assert!(mean < 8.0, "picture {at} is another one: {mean:.1}");
    }
    assert!(matches!(key_frames[..], [0, 10..40, 40, 70]), "{key_frames:?}");
    // At rest it is a screen, in full and sharp.
    session.encoder.set_small_films(true);
    session.now += Duration::from_secs(1);
    let (seen, _) = session.settle();
    assert!(psnr(&page, &seen, &Rect::of(SIZE)) > 45.0);
}

#[test]
fn key_frames_come_first_and_on_request_with_parameter_sets() {
    let (mut page, damage) = page(SIZE);
    let mut session = Session::new(SIZE, 1);
    session.update(&page, &damage);
    for at in 0..60 {
        let asked = at == 20 || at == 41;
        let (coded, _) = session.see(asked);
        assert_eq!(coded.key_frame, asked || at == 0, "picture {at}");
        let expected: &[u8] = if coded.key_frame { &[7, 8, 5] } else { &[1] };
        assert_eq!(coded.types, expected, "picture {at}");
        let word = Rect::new(16 * (at % 30), 40, 16, 12);
        fill(&mut page, word, [at as u8, 0, 0]);
        session.update(&page, &word.into());
    }
}

#[test]
fn a_key_frame_alone_starts_a_viewer() {
    let (page, damage) = page(SIZE);
    let mut session = Session::new(SIZE, 1);
    session.update(&page, &damage);
    session.settle();
    let key = session.encode(true);
    session.decoder = Decoder::new().unwrap();
    let seen = session.decode(&key.data);
    let quality = psnr(&page, &seen, &Rect::of(SIZE));
    assert!(quality > 30.0, "{quality:.1} dB");
}

#[test]
fn pictures_are_cut_into_slices_as_far_as_it_is_worth_it() {
    for threads in [1, 2, 4] {
        let (mut page, damage) = page(SIZE);
        let mut session = Session::new(SIZE, threads);
        session.update(&page, &damage);
        let (key, _) = session.see(false);
        let slices = key.types.iter().filter(|kind| **kind == 5).count();
        let enough = if threads == 1 { 1..=1 } else { threads as usize..=16 };
        assert!(enough.contains(&slices), "{slices} for {threads} threads");
        text(&mut page, Rect::of(SIZE), &mut Random(2));
        session.update(&page, &damage);
        let (delta, _) = session.see(false);
        assert!(enough.contains(&delta.types.len()), "{:?}", delta.types);
        session.settle();
        let word = Rect::new(100, 100, 40, 10);
        fill(&mut page, word, [0, 0, 0]);
        session.update(&page, &word.into());
        let (delta, _) = session.see(false);
        assert_eq!(delta.types, [1]);
    }
}

#[test]
fn odd_tall_and_tiny_pictures_arrive() {
    for (width, height) in [
        (1, 1),
        (1, 2),
        (2, 3),
        (15, 17),
        (16, 16),
        (33, 31),
        (639, 359),
        (1, 400),
        (400, 1),
        (17, 3840),
        (3840, 2160),
    ] {
        let size = Size::new(width, height);
        let mut picture = frame(size);
        fill(&mut picture, Rect::of(size), [30, 60, 200]);
        let mut session = Session::new(size, 2);
        session.update(&picture, &Region::new());
        let (seen, _) = session.settle();
        let even = |length: u32| length.max(16).next_multiple_of(2) as usize;
        assert_eq!((seen.width, seen.height), (even(width), even(height)), "{size}");
        for (x, y) in [(0, 0), (width as usize - 1, height as usize - 1)] {
            let near =
                seen.rgb(x, y).iter().zip([30, 60, 200]).all(|(got, sent)| (got - sent).abs() <= 5);
            assert!(near, "{size} at {x},{y}: {:?}", seen.rgb(x, y));
        }
        for step in 0..3 {
            fill(&mut picture, Rect::of(size), [200, 60 + step, 30]);
            session.update(&picture, &Rect::of(size).into());
            session.see(false);
        }
    }
}

#[test]
fn sizes_beyond_the_codec_are_refused_with_advice() {
    for (width, height) in [
        (0, 10),
        (10, 0),
        (3841, 100),
        (17, 4097),
        (2161, 2161),
        (16_384, 16_384),
        (u32::MAX, u32::MAX),
    ] {
        let size = Size::new(width, height);
        let config = EncoderConfig {
            size,
            chroma: Chroma::Yuv420,
            bitrate: Bitrate::mbps(8),
            max_fps: 30,
            threads: 1,
            keeps: false,
            layered: false,
        };
        let error = open(Codec::H264, &config).err().unwrap();
        assert!(matches!(error, EncodeError::UnsupportedSize { .. }), "{error}");
    }
    let mut session = Session::new(SIZE, 1);
    let (other, damage) = page(Size::new(64, 64));
    let refused = session.encoder.update(Picture { frame: &other, damage: &damage });
    assert_eq!(refused, Err(EncodeError::SizeChanged { expected: SIZE, got: Size::new(64, 64) }));
    let request = Request {
        key_frame: false,
        bitrate: session.bitrate,
        now: session.now,
        ..Request::default()
    };
    assert_eq!(session.encoder.encode(&request).unwrap_err(), EncodeError::NoPicture);
}

/// Reads the bits of a parameter set (H.264, section 7.2).
struct Bits<'a>(&'a [u8], usize);

impl Bits<'_> {
    fn u(&mut self, count: u32) -> u32 {
        (0..count).fold(0, |value, _| {
            let bit = self.0[self.1 / 8] >> (7 - self.1 % 8) & 1;
            self.1 += 1;
            value << 1 | u32::from(bit)
        })
    }

    fn ue(&mut self) -> u32 {
        let mut zeros = 0;
        while self.u(1) == 0 {
            zeros += 1;
        }
        (1 << zeros) - 1 + self.u(zeros)
    }
}

/// Nothing that moved is found in a kept picture, so that a page that scrolled is coded as a whole.
#[test]
fn what_going_on_from_a_kept_picture_takes_is_foretold() {
    let (size, bitrate) = (Size::new(640, 368), Bitrate::kbps(300));
    let chroma = Chroma::Yuv420;
    let (max_fps, threads) = (30, 1);
    let config =
        EncoderConfig { size, chroma, bitrate, max_fps, threads, keeps: true, layered: false };
    let mut encoder = open(Codec::H264, &config).unwrap();
    let mut frame = frame(size);
    text(&mut frame, Rect::of(size), &mut Random(5));
    let mut now = Time::from_millis(1);
    let mut code = |encoder: &mut dyn Encoder, frame: &FrameBody, from, keep| {
        now += FRAME;
        let damage = Rect::of(size).into();
        encoder.update(Picture { frame, damage: &damage }).unwrap();
        let request = Request { bitrate, now, from, keep, ..Request::default() };
        let Output::AccessUnit(unit) = encoder.encode(&request).unwrap() else { panic!("skipped") };
        unit.data.len() as u64
    };
    let first = code(&mut *encoder, &frame, None, None);
    // None of the first few is kept.
    (0..4).for_each(|_| _ = code(&mut *encoder, &frame, None, Some(Slot::First)));
    assert_eq!(encoder.restart_cost(None), 0, "nothing moves");
    for _ in 0..10 {
        for y in 0..size.height - 8 {
            let below = frame.row(&Rect::of(size), y + 8).to_vec();
            frame.row_mut(&Rect::of(size), y).copy_from_slice(&below);
        }
        code(&mut *encoder, &frame, None, None);
    }
    let foretold = encoder.restart_cost(None);
    assert!(foretold * 2 >= first && foretold <= first * 2, "{foretold} for {first}");
    let foretold = encoder.restart_cost(Some(Slot::First));
    let took = code(&mut *encoder, &frame, Some(Slot::First), None);
    assert!(foretold * 2 >= took && foretold <= took * 2, "{foretold} for {took}");
}

#[test]
fn the_sequence_parameters_say_profile_and_bt709_limited() {
    check_sequence_parameters(Chroma::Yuv420);
    check_sequence_parameters(Chroma::Yuv444);
}

fn check_sequence_parameters(chroma: Chroma) {
    let size = Size::new(638, 362);
    let (page, damage) = page(size);
    let mut session = Session::sampled(chroma, size, 1);
    session.update(&page, &damage);
    let key = session.encode(false);
    let mut raw = Vec::new();
    for byte in &key.data[5..] {
        // Emulation prevention (section 7.4.1).
        if !(*byte == 3 && raw.ends_with(&[0, 0])) {
            raw.push(*byte);
        }
    }
    let mut bits = Bits(&raw, 0);
    let profile = [bits.u(8), bits.u(8), bits.u(8)];
    bits.ue(); // seq_parameter_set_id
    if chroma == Chroma::Yuv420 {
        assert_eq!([profile[0], profile[1] & 0xC0, profile[2]], [66, 0xC0, 31], "42e01f");
    } else {
        assert_eq!(profile, [244, 0, 31], "f4001f: High 4:4:4 Predictive");
        assert_eq!(bits.ue(), 3, "chroma_format_idc");
        assert_eq!(bits.u(1), 0, "separate_colour_plane_flag");
        assert_eq!([bits.ue(), bits.ue()], [0, 0], "bit depths of luma and chroma, minus 8");
        assert_eq!(bits.u(1), 0, "qpprime_y_zero_transform_bypass_flag");
        assert_eq!(bits.u(1), 0, "seq_scaling_matrix_present_flag");
    }
    bits.ue(); // log2_max_frame_num_minus4
    match bits.ue() {
        0 => {
            bits.ue(); // log2_max_pic_order_cnt_lsb_minus4
        }
        kind => assert_eq!(kind, 2, "pic_order_cnt_type"),
    }
    assert_eq!(bits.ue(), 1, "max_num_ref_frames");
    bits.u(1); // gaps_in_frame_num_value_allowed_flag
    assert_eq!((bits.ue() + 1, bits.ue() + 1), (40, 23), "macroblocks");
    assert_eq!(bits.u(1), 1, "frame_mbs_only_flag");
    bits.u(1); // direct_8x8_inference_flag
    assert_eq!(bits.u(1), 1, "frame_cropping_flag");
    // CropUnitX and CropUnitY are a pair of pixels in 4:2:0.
    let cut = if chroma == Chroma::Yuv420 { [0, 1, 0, 3] } else { [0, 2, 0, 6] };
    assert_eq!([(); 4].map(|()| bits.ue()), cut, "left, right, top, bottom");
    assert_eq!(bits.u(1), 1, "vui_parameters_present_flag");
    assert_eq!(bits.u(1), 0, "aspect_ratio_info_present_flag");
    assert_eq!(bits.u(1), 0, "overscan_info_present_flag");
    assert_eq!(bits.u(1), 1, "video_signal_type_present_flag");
    assert_eq!(bits.u(3), 5, "video_format: unspecified");
    assert_eq!(bits.u(1), 0, "video_full_range_flag");
    assert_eq!(bits.u(1), 1, "colour_description_present_flag");
    assert_eq!(
        [8; 3].map(|count| bits.u(count)),
        [1, 1, 1],
        "primaries, transfer and matrix of BT.709"
    );
}
