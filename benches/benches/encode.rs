//! H.264, one 1080p picture on one thread, conversion of its damage included: typing, a page that scrolls, a page from
//! nowhere, full motion. `444` codes colour as sharply as brightness.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use farpane_codec::{Chroma, Codec, Encoder, EncoderConfig, Output, Picture, Request, open};
use farpane_media::{Bitrate, FrameBody, Rect, Region, Size, Time};

const SIZE: Size = Size::new(1920, 1080);
const RATE: Bitrate = Bitrate::mbps(8);
/// Rows that the page moves in a picture.
const STEP: usize = 33;

/// A page of small words, one line in three of them coloured, taller than the screen and repeating below its end.
fn page(mut seed: u64) -> Vec<u8> {
    let (stride, height) = (SIZE.width as usize * 4, 2 * SIZE.height as usize);
    let mut pixels = vec![255; stride * height];
    for top in (4..height - 10).step_by(16) {
        let colour = if top % 48 == 4 { [200, 60, 20] } else { [20; 3] };
        for left in (8..SIZE.width as usize - 8).step_by(7) {
            seed = seed
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            if seed >> 61 == 0 {
                continue; // A space.
            }
            // Strokes: two bars across and one or two down.
            for bar in 0..4 {
                let (x, y) =
                    ((seed >> (8 * bar + 16)) as usize % 5, (seed >> (8 * bar + 20)) as usize % 9);
                for at in 0..if bar < 2 { 5 } else { 9 } {
                    let (x, y) = if bar < 2 { (at, y) } else { (x, at) };
                    let start = (top + y) * stride + (left + x) * 4;
                    pixels[start..start + 3].copy_from_slice(&colour);
                }
            }
        }
    }
    pixels
}

struct Bench {
    encoder: Box<dyn Encoder>,
    frame: FrameBody,
    now: Time,
}

impl Bench {
    fn new(page: &[u8], chroma: Chroma) -> Bench {
        let config = EncoderConfig {
            size: SIZE,
            chroma,
            bitrate: RATE,
            max_fps: 30,
            threads: 1,
            keeps: false,
            layered: false,
        };
        let stride = SIZE.width as usize * 4;
        let pixels = page[..stride * SIZE.height as usize].to_vec();
        let frame = FrameBody { size: SIZE, stride, pixels, ..FrameBody::default() };
        let encoder = open(Codec::H264, &config).expect("H.264 takes 1080p");
        let mut bench = Bench { encoder, frame, now: Time::from_millis(1) };
        // Until the page is sharp, as it is when somebody types on it.
        bench.update(&Region::new());
        for _ in 0..12 {
            bench.now += Duration::from_millis(250);
            bench.encode();
        }
        bench
    }

    fn update(&mut self, damage: &Region) {
        self.encoder.update(Picture { frame: &self.frame, damage }).expect("the size is the same");
    }

    fn encode(&mut self) {
        self.now += Duration::from_millis(33);
        let request =
            Request { key_frame: false, bitrate: RATE, now: self.now, ..Request::default() };
        match self.encoder.encode(&request).expect("it codes") {
            Output::AccessUnit(unit) => black_box(unit.data.len()),
            Output::Skipped => 0,
        };
    }
}

fn encode(c: &mut Criterion) {
    let pages = [page(1), page(2)];
    let film: Vec<Vec<u8>> = (0..16).map(film).collect();
    for (name, chroma) in [("encode", Chroma::Yuv420), ("encode-444", Chroma::Yuv444)] {
        encode_as(c, name, chroma, &pages, &film);
    }
}

fn encode_as(
    c: &mut Criterion,
    name: &str,
    chroma: Chroma,
    pages: &[Vec<u8>; 2],
    film: &[Vec<u8>],
) {
    let page = &pages[0];
    let stride = SIZE.width as usize * 4;
    let screen = stride * SIZE.height as usize;
    let mut group = c.benchmark_group(name);
    group.sample_size(20);

    let mut bench = Bench::new(page, chroma);
    let mut at = 0;
    group.bench_function("typing", |b| {
        b.iter(|| {
            at += 1;
            let letter = Rect::new(300 + at % 100 * 8, 500 + at / 100 % 20 * 16, 8, 16);
            for y in letter.y..letter.bottom() {
                bench.frame.row_mut(&letter, y).iter_mut().for_each(|byte| *byte = !*byte);
            }
            bench.update(&letter.into());
            bench.encode();
        });
    });

    let mut bench = Bench::new(page, chroma);
    let mut at = 0;
    group.bench_function("scroll", |b| {
        b.iter(|| {
            at = (at + STEP) % SIZE.height as usize;
            bench.frame.pixels.copy_from_slice(&page[at * stride..][..screen]);
            bench.update(&Rect::of(SIZE).into());
            bench.encode();
        });
    });

    let mut bench = Bench::new(page, chroma);
    let mut at = 0;
    group.bench_function("page", |b| {
        b.iter(|| {
            at = 1 - at;
            // Until the picture after a pause, so that it is no film.
            bench.now += Duration::from_secs(1);
            bench.frame.pixels.copy_from_slice(&pages[at][..screen]);
            bench.update(&Rect::of(SIZE).into());
            bench.encode();
        });
    });

    let mut bench = Bench::new(page, chroma);
    let mut at = 0;
    group.bench_function("motion", |b| {
        b.iter(|| {
            at = (at + 1) % film.len();
            bench.frame.pixels.copy_from_slice(&film[at]);
            bench.update(&Rect::of(SIZE).into());
            bench.encode();
        });
    });
    group.finish();
}

/// Picture `at` of soft shapes that drift over each other, under a little grain.
fn film(at: usize) -> Vec<u8> {
    let mut seed = at as u32 + 1;
    let mut pixels = Vec::with_capacity(SIZE.pixels() as usize * 4);
    let phase = at as f32 * std::f32::consts::TAU / 16.0;
    for y in 0..SIZE.height {
        for x in 0..SIZE.width {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let (x, y) = (x as f32 / 90.0, y as f32 / 70.0);
            let wave = (x + phase.sin() * 2.0).sin() * (y + phase.cos()).cos()
                + (x * 2.3 - y + phase).sin() * 0.4;
            let value = (128.0 + wave * 70.0) as u8 + (seed >> 29) as u8;
            pixels.extend([value, 255 - value, value / 2 + 60, 255]);
        }
    }
    pixels
}

criterion_group!(benches, encode);
criterion_main!(benches);
