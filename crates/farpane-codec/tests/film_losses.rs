//! A film on a network that loses pictures: what the viewer shows is what one shows who got all, and no key frame comes.

#![cfg(feature = "openh264")]

mod drawing;
#[path = "../src/ffmpeg.rs"]
mod ffmpeg;

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use farpane_codec::decode::{Decoder, H264Decoder};
use farpane_codec::{Chroma, Codec, EncoderConfig, Output, Picture, Request, open};
use farpane_media::{Bitrate, FrameBody, Rect, Size, Time};
use farpane_pixel::Plane;
use farpane_proto::references::{References, Sent};

use drawing::{Random, frame, text};

const SIZE: Size = Size::new(320, 192);
const FILM: Rect = Rect::new(48, 32, 208, 128);
const PICTURES: u32 = 400;

/// What a sender made of a film.
#[derive(Default)]
struct Run {
    /// All access units, and which of them the viewer gets and can show.
    units: Vec<Vec<u8>>,
    shown: Vec<bool>,
    /// The sources' mean luma in the film, to compare with.
    sources: Vec<f64>,
    key_frames: Vec<u32>,
    recoveries: u32,
    lost: u32,
}

fn draw(page: &mut FrameBody, at: u32) -> f64 {
    let mut sum = 0.0;
    for y in FILM.y..FILM.bottom() {
        for (x, pixel) in page.row_mut(&FILM, y).as_chunks_mut::<4>().0.iter_mut().enumerate() {
            let (x, y, at) = (x as f64, f64::from(y), f64::from(at));
            let wave = ((x + 3.0 * at) / 17.0).sin() * ((y - at) / 13.0).cos() + (at / 9.0).sin();
            *pixel = [(128.0 + 50.0 * wave) as u8; 4];
            sum += f64::from(pixel[0]);
        }
    }
    sum / FILM.area() as f64
}

/// Codes a film; word of what has arrived takes some pictures' time, and sometimes comes late and all at once.
fn send(seed: u64) -> Run {
    let mut random = Random(seed * 0x9E37_79B9);
    let bitrate = Bitrate::mbps(2);
    let threads = 1 + random.below(3);
    let config = EncoderConfig {
        size: SIZE,
        chroma: Chroma::Yuv420,
        bitrate,
        max_fps: 30,
        threads,
        keeps: true,
        layered: false,
    };
    let mut encoder = open(Codec::H264, &config).unwrap();
    let mut references = References::new();
    let mut page = frame(SIZE);
    text(&mut page, Rect::of(SIZE), &mut random);
    let way = 1 + random.below(6);
    let mut words: VecDeque<(u32, u32)> = VecDeque::new();
    let mut shown = HashSet::new();
    let mut run = Run::default();
    let mut burst = 0;
    for number in 0..PICTURES {
        let now = Time::from_millis(1) + Duration::from_millis(33) * number;
        run.sources.push(draw(&mut page, number));
        encoder.update(Picture { frame: &page, damage: &FILM.into() }).unwrap();
        if random.below(4) == 0 {
            while let Some((_, arrived)) = words.pop_front_if(|(due, _)| *due <= number) {
                references.handle_arrived(now, arrived);
            }
        }
        let stuck = references.stuck_since().is_some();
        let recovery = references.recovery().filter(|_| stuck);
        let request = Request {
            key_frame: stuck && recovery.is_none(),
            bitrate,
            now,
            from: recovery.map(|(slot, _)| slot),
            keep: references.keep(now),
            discardable: false,
        };
        let Output::AccessUnit(unit) = encoder.encode(&request).unwrap() else { panic!("skipped") };
        let reference = match recovery {
            _ if unit.key_frame => None,
            Some((_, kept)) => Some(kept),
            None => Some(number.wrapping_sub(1)),
        };
        run.key_frames.extend(unit.key_frame.then_some(number));
        run.recoveries += u32::from(unit.from.is_some());
        references
            .handle_sent(now, Sent { number, reference, kept: unit.kept, discardable: false });
        if number > 60 && burst == 0 && random.below(25) == 0 {
            burst = 1 + random.below(4);
        }
        let lost = burst > 0;
        burst -= u32::from(lost);
        run.lost += u32::from(lost);
        if !lost {
            words.push_back((number + way, number));
        }
        let is_shown = !lost && reference.is_none_or(|reference| shown.contains(&reference));
        shown.extend(is_shown.then_some(number));
        run.shown.push(is_shown);
        run.units.push(unit.data.to_vec());
    }
    run
}

fn decode(units: &[&[u8]]) -> Vec<Vec<u8>> {
    let mut decoder = H264Decoder::new().unwrap();
    let visible = |plane: &Plane| -> Vec<u8> {
        let (width, rows) = (plane.size.width as usize, plane.size.height as usize);
        let rows = plane.data.chunks(plane.stride).take(rows);
        rows.flat_map(|row| row[..width].iter().copied()).collect()
    };
    let decode = |unit: &&[u8]| {
        let planes = decoder.decode(unit).unwrap().expect("every access unit is a picture");
        [&planes.y, &planes.u, &planes.v].map(visible).concat()
    };
    units.iter().map(decode).collect()
}

fn decode_as_browsers_do(units: &[&[u8]]) -> Vec<Vec<u8>> {
    let samples = ffmpeg::decode(&units.concat(), "yuv420p");
    samples.chunks((SIZE.width * SIZE.height * 3 / 2) as usize).map(<[u8]>::to_vec).collect()
}

/// The mean luma of the film, undone from BT.709 limited range.
fn film(samples: &[u8]) -> f64 {
    let rows = samples.chunks(SIZE.width as usize).skip(FILM.y as usize).take(FILM.h as usize);
    let sum: f64 = rows
        .flat_map(|row| &row[FILM.x as usize..FILM.right() as usize])
        .map(|y| f64::from(*y))
        .sum();
    (sum / FILM.area() as f64 - 16.0) * 255.0 / 219.0
}

#[test]
fn what_is_lost_of_a_film_costs_no_key_frame() {
    for seed in 1..=8 {
        let run = send(seed);
        let Run { lost, recoveries, .. } = run;
        assert!(lost > 10 && recoveries > 5, "seed {seed}: {lost} lost, {recoveries} mended");
        // The first picture, and the one with which the film began.
        assert!(matches!(run.key_frames[..], [0, 10..40]), "seed {seed}: {:?}", run.key_frames);
        let all: Vec<&[u8]> = run.units.iter().map(Vec::as_slice).collect();
        let shown = |&(at, _): &(usize, &&[u8])| run.shown[at];
        let (places, got): (Vec<usize>, Vec<&[u8]>) =
            all.iter().enumerate().filter(shown).map(|(at, unit)| (at, *unit)).unzip();
        for (decoder, name) in
            [(decode as fn(&[&[u8]]) -> _, "OpenH264"), (decode_as_browsers_do, "FFmpeg")]
        {
            let (complete, seen) = (decoder(&all), decoder(&got));
            assert_eq!((complete.len(), seen.len()), (all.len(), got.len()), "{name}, seed {seed}");
            for (at, seen) in places.iter().zip(&seen) {
                assert!(*seen == complete[*at], "{name}, seed {seed}: picture {at}");
            }
            for (at, (seen, source)) in complete.iter().zip(&run.sources).enumerate() {
                let off = film(seen) - source;
                assert!(off.abs() < 2.0, "{name}, seed {seed}, picture {at}: {off:.1}");
            }
        }
    }
}
