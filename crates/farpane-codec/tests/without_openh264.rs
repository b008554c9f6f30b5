//! H.264 in builds without OpenH264: a film is coded as screens are, and no key frame comes in between.

#![cfg(not(feature = "openh264"))]

mod drawing;
#[path = "../src/ffmpeg.rs"]
mod ffmpeg;

use std::time::Duration;

use farpane_codec::decode::{self, DecodeError};
use farpane_codec::{Chroma, Codec, EncoderConfig, Output, Picture, Request, open};
use farpane_media::{Bitrate, Rect, Size, Time};
use farpane_pixel::{Planes, convert};

use drawing::{fill, frame};

#[test]
fn a_film_stays_with_the_encoder_for_screens() {
    let (size, bitrate) = (Size::new(320, 176), Bitrate::mbps(8));
    let config = EncoderConfig {
        size,
        chroma: Chroma::Yuv420,
        bitrate,
        max_fps: 30,
        threads: 2,
        keeps: false,
        layered: false,
    };
    let mut encoder = open(Codec::H264, &config).unwrap();
    let mut frame = frame(size);
    let (mut stream, mut key_frames) = (Vec::new(), 0);
    for at in 0..60 {
        for (x, y) in (0..size.width)
            .step_by(4)
            .flat_map(|x| (0..size.height).step_by(4).map(move |y| (x, y)))
        {
            let level = |by: u32| ((x * by + y * 3 + at * 5) % 256) as u8;
            fill(&mut frame, Rect::new(x, y, 4, 4), [level(1), level(2), level(5)]);
        }
        encoder.update(Picture { frame: &frame, damage: &Rect::of(size).into() }).unwrap();
        let now = Time::from_millis(1) + Duration::from_millis(33) * at;
        let request = Request { key_frame: false, bitrate, now, ..Request::default() };
        let Output::AccessUnit(unit) = encoder.encode(&request).unwrap() else {
            panic!("nothing is skipped")
        };
        key_frames += u32::from(unit.key_frame);
        stream.extend_from_slice(unit.data);
    }
    assert_eq!(key_frames, 1);
    let seen = ffmpeg::decode(&stream, "yuv420p");
    let picture = (size.pixels() * 3 / 2) as usize;
    assert_eq!(seen.len(), 60 * picture);
    let mut source = Planes::new(size, Chroma::Yuv420);
    convert::update(&mut source, &frame, &Rect::of(size).into());
    let last = &seen[59 * picture..];
    let rows = (0..size.height as usize)
        .flat_map(|y| source.y.row(y).iter().zip(&last[y * size.width as usize..]));
    let error: f64 = rows.map(|(a, b)| f64::from(a.abs_diff(*b)).powi(2)).sum();
    let psnr = 10.0 * (255.0 * 255.0 * size.pixels() as f64 / error).log10();
    assert!(psnr > 28.0, "{psnr:.1} dB");
}

#[test]
fn there_is_no_decoder_either() {
    let expected = Some(DecodeError::NoDecoder { codec: Codec::H264 });
    assert_eq!(decode::open(Codec::H264).err(), expected);
}
