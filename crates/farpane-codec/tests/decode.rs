//! Decoders against what an encoder coded, and against another decoder's pictures.

#![cfg(feature = "openh264")]

use farpane_codec::decode::{self, DecodeError, Decoder};
use farpane_codec::{Chroma, Codec, Encoder, EncoderConfig, Output, Picture, Request, open};
use farpane_media::{Bitrate, FrameBody, Rect, Size, Time};
use farpane_pixel::{Plane, Planes, convert, quality};

/// Soft colours with a hard-edged square in them.
fn drawn(size: Size, step: u32) -> FrameBody {
    let stride = size.width as usize * 4;
    let mut frame = FrameBody {
        size,
        stride,
        pixels: vec![0; stride * size.height as usize],
        ..FrameBody::default()
    };
    let whole = Rect::of(size);
    let square = Rect::new(20 + step * 8, 30, 40, 40);
    for y in 0..size.height {
        for (x, pixel) in (0..).zip(frame.row_mut(&whole, y).as_chunks_mut::<4>().0) {
            let inside =
                (square.x..square.right()).contains(&x) && (square.y..square.bottom()).contains(&y);
            *pixel = if inside { [20, 40, 200, 255] } else { [x as u8 / 2, y as u8, 90, 255] };
        }
    }
    frame
}

fn encoder(size: Size) -> Box<dyn Encoder> {
    let bitrate = Bitrate::mbps(20);
    let config = EncoderConfig {
        size,
        chroma: Chroma::Yuv420,
        bitrate,
        max_fps: 30,
        threads: 2,
        keeps: false,
        layered: false,
    };
    open(Codec::H264, &config).unwrap()
}

fn code(encoder: &mut dyn Encoder, millis: u64) -> Vec<u8> {
    let now = Time::from_millis(millis);
    let request =
        Request { key_frame: false, bitrate: Bitrate::mbps(20), now, ..Request::default() };
    match encoder.encode(&request).unwrap() {
        Output::AccessUnit(unit) => unit.data.to_vec(),
        Output::Skipped => panic!("skipped"),
    }
}

#[test]
fn every_h264_access_unit_gives_the_coded_picture_at_once() {
    let size = Size::new(322, 182);
    let (mut encoder, mut decoder) = (encoder(size), decode::open(Codec::H264).unwrap());
    let mut source = Planes::new(size, Chroma::Yuv420);
    for step in 0..6 {
        let frame = drawn(size, step);
        let damage = Rect::of(size).into();
        encoder.update(Picture { frame: &frame, damage: &damage }).unwrap();
        convert::update(&mut source, &frame, &damage);
        let unit = code(&mut *encoder, 1 + u64::from(step) * 33);
        let seen = decoder.decode(&unit).unwrap().expect("a picture without delay");
        assert_eq!((seen.size, seen.chroma), (size, Chroma::Yuv420));
        let luma = quality::luma(&source, seen);
        assert!(luma > 34.0, "step {step}: {luma:.1} dB");
    }
}

#[test]
fn parameter_sets_alone_show_nothing() {
    let size = Size::new(64, 64);
    let mut encoder = encoder(size);
    let frame = drawn(size, 0);
    encoder.update(Picture { frame: &frame, damage: &Rect::of(size).into() }).unwrap();
    let unit = code(&mut *encoder, 1);
    let slice = unit.windows(4).position(|w| matches!(w, [0, 0, 1, head] if head & 31 == 5));
    let sets = &unit[..slice.expect("the first picture is IDR") - 1];
    let mut decoder = decode::open(Codec::H264).unwrap();
    assert!(decoder.decode(sets).unwrap().is_none());
    assert!(decoder.decode(&unit).unwrap().is_some());
}

#[test]
fn what_is_no_stream_is_an_error() {
    let mut decoder = decode::open(Codec::H264).unwrap();
    let junk = [0, 0, 0, 1, 0x65, 0xff, 0x00, 0x12, 0x34];
    assert!(matches!(decoder.decode(&junk), Err(DecodeError::Library { .. })));
    assert_eq!(
        decode::open(Codec::Null).err(),
        Some(DecodeError::NoDecoder { codec: Codec::Null })
    );
}

/// FNV-1a over the visible samples.
fn hash(planes: &Planes) -> u64 {
    let rows = |plane: &Plane| {
        (0..plane.size.height as usize).flat_map(|y| plane.row(y).to_vec()).collect::<Vec<u8>>()
    };
    let samples = [rows(&planes.y), rows(&planes.u), rows(&planes.v)].concat();
    samples.iter().fold(0xcbf2_9ce4_8422_2325, |hash, sample| {
        (hash ^ u64::from(*sample)).wrapping_mul(0x100_0000_01b3)
    })
}

/// The fixtures: `ffmpeg -f lavfi -i testsrc2=size=162x98:rate=10 -frames:v 4 -pix_fmt yuv420p -c:v libaom-av1
/// -cpu-used 6 -usage realtime -lag-in-frames 0 -b:v 300k`, as IVF; the hashes are those of dav1d's pictures.
#[cfg(feature = "av1-decoder")]
#[test]
fn av1_pictures_equal_another_decoders() {
    let check = |ivf: &[u8], chroma: Chroma, expected: [u64; 4]| {
        let mut decoder = decode::Av1Decoder::new().unwrap();
        let mut rest = &ivf[32..];
        for expected in expected {
            let length = u32::from_le_bytes(*rest.first_chunk().unwrap()) as usize;
            let (unit, after) = rest[12..].split_at(length);
            rest = after;
            let seen = decoder.decode(unit).unwrap().expect("a picture without delay");
            assert_eq!((seen.size, seen.chroma), (Size::new(162, 98), chroma));
            assert_eq!(hash(seen), expected, "{chroma}");
        }
        assert!(rest.is_empty());
        assert!(matches!(
            decoder.decode(&[0x0a, 0xff, 0xff, 0xff]),
            Err(DecodeError::Library { .. })
        ));
    };
    check(
        include_bytes!("fixtures/av1-420.ivf"),
        Chroma::Yuv420,
        [
            0x9642_c70b_5d75_e67b,
            0x9648_25c0_24d5_a36b,
            0x758e_1c22_7ecd_e2ac,
            0xe604_ecce_cf92_c187,
        ],
    );
    check(
        include_bytes!("fixtures/av1-444.ivf"),
        Chroma::Yuv444,
        [
            0xbb5d_e4f1_fba9_0767,
            0x7f28_be7c_959c_c673,
            0xa7a3_a293_afc8_b663,
            0xf975_580e_3ab3_bb9f,
        ],
    );
}
