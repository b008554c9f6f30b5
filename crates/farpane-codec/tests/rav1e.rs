//! AV1 as a viewer gets it without any C: coded by rav1e, decoded by rav1d, compared with the source.

#![cfg(all(feature = "rav1e", feature = "av1-decoder"))]

mod av1_session;
mod drawing;

use std::time::Duration;

use farpane_codec::decode;
use farpane_codec::{Chroma, Codec, EncodeError, Encoder, EncoderConfig, Picture, Rav1e, Request};
use farpane_media::{Bitrate, FrameBody, Rect, Region, Size, Time};
use farpane_pixel::{Planes, convert, quality};

use av1_session::Session;
use drawing::{Random, fill, frame, text};

const SIZE: Size = Size::new(192, 96);
const FRAME: Duration = Duration::from_millis(40);
/// A picture comes out after so many more at most.
const AHEAD: u32 = 4;

fn config(size: Size, chroma: Chroma, bitrate: Bitrate) -> EncoderConfig {
    EncoderConfig { size, chroma, bitrate, max_fps: 30, threads: 2, keeps: false, layered: false }
}

fn session(size: Size, chroma: Chroma, bitrate: Bitrate) -> Session {
    let encoder = Rav1e::new(&config(size, chroma, bitrate)).unwrap();
    Session::new(Box::new(encoder), bitrate, FRAME)
}

impl Session {
    /// Codes until the picture is out; returns how many earlier ones came before it.
    fn catch_up(&mut self) -> u32 {
        for earlier in 0..=AHEAD {
            self.code(false);
            if !self.encoder.is_behind() {
                return earlier;
            }
        }
        panic!("after {AHEAD} earlier pictures it is still not out");
    }

    /// Codes the picture again until it is as sharp as it gets.
    fn rest(&mut self) {
        let is_sharp = |_: &u32| {
            self.code(false);
            self.quantizer <= 18 && !self.encoder.is_behind()
        };
        (0..120).find(is_sharp).expect("sharp within some seconds");
    }

    /// How near the viewer's picture is to `frame`, in luma.
    fn luma(&self, frame: &FrameBody) -> f64 {
        let shown = self.shown.as_ref().expect("there has been a picture");
        let mut source = Planes::new(frame.size, shown.chroma);
        convert::update(&mut source, frame, &Rect::of(frame.size).into());
        quality::luma(&source, shown)
    }

    /// How near it is in RGB.
    fn colour(&self, frame: &FrameBody) -> f64 {
        let mut shown = FrameBody::default();
        convert::to_bgrx(self.shown.as_ref().expect("there has been a picture"), &mut shown);
        quality::colour(frame, &shown)
    }
}

fn page(size: Size) -> FrameBody {
    let mut frame = frame(size);
    text(&mut frame, Rect::of(size), &mut Random(7));
    frame
}

#[test]
fn a_page_turns_sharp_and_what_is_typed_on_it_arrives() {
    // An odd size as well, whose colour planes are half a sample larger.
    for (size, chroma) in
        [(SIZE, Chroma::Yuv420), (Size::new(131, 77), Chroma::Yuv420), (SIZE, Chroma::Yuv444)]
    {
        let mut session = session(size, chroma, Bitrate::mbps(2));
        let mut frame = page(size);
        session.update(&frame, &Region::new());
        assert_eq!(session.catch_up(), 0, "a first picture comes at once");
        session.rest();
        let luma = session.luma(&frame);
        assert!(luma > 40.0, "{size} {chroma}: {luma:.1} dB");
        for at in 0..4 {
            let letter = Rect::new(20 + at * 9, 40, 7, 9);
            fill(&mut frame, letter, [200, 30, 60]);
            session.update(&frame, &letter.into());
            assert_eq!(session.catch_up(), AHEAD);
            assert!(!session.key_frame && session.bytes < 1_500, "{} bytes", session.bytes);
            let luma = session.luma(&frame);
            assert!(luma > 38.0, "{size} {chroma}, letter {at}: {luma:.1} dB");
        }
    }
}

#[test]
fn full_chroma_keeps_coloured_text_sharp() {
    let [half, full] = [Chroma::Yuv420, Chroma::Yuv444].map(|chroma| {
        let mut session = session(SIZE, chroma, Bitrate::mbps(4));
        let mut frame = frame(SIZE);
        for x in (20..120).step_by(2) {
            fill(&mut frame, Rect::new(x, 30, 1, 40), [255, 0, 0]);
            fill(&mut frame, Rect::new(x + 1, 30, 1, 40), [0, 0, 255]);
        }
        session.update(&frame, &Region::new());
        session.rest();
        session.colour(&frame)
    });
    assert!(full > 34.0 && full > half + 10.0, "{half:.1} dB, {full:.1} dB");
}

#[test]
fn key_frames_come_first_and_on_request_with_the_newest_picture() {
    let mut session = session(SIZE, Chroma::Yuv420, Bitrate::mbps(2));
    let mut frame = page(SIZE);
    session.update(&frame, &Region::new());
    session.code(false);
    assert!(session.key_frame);
    session.code(false);
    assert!(!session.key_frame);
    fill(&mut frame, Rect::new(30, 20, 90, 50), [0, 90, 200]);
    session.update(&frame, &Rect::new(30, 20, 90, 50).into());
    // A viewer that has just come.
    session.decoder = decode::open(Codec::Av1).unwrap();
    session.code(true);
    assert!(session.key_frame && !session.encoder.is_behind());
    let luma = session.luma(&frame);
    assert!(luma > 25.0, "{luma:.1} dB");
    session.code(false);
    assert!(!session.key_frame);
}

#[test]
fn pictures_in_motion_come_in_order_and_the_last_one_when_they_stop() {
    let mut session = session(SIZE, Chroma::Yuv420, Bitrate::mbps(1));
    let mut frames = Vec::new();
    for at in 0..12 {
        let mut next = frame(SIZE);
        fill(&mut next, Rect::new(at * 14, 10, 24, 60), [20, 120, 40]);
        session.update(&next, &Rect::of(SIZE).into());
        frames.push(next);
        session.code(false);
        // The first has come at once, so it comes again while those after it wait.
        let shown = at.saturating_sub(AHEAD);
        let luma = session.luma(&frames[shown as usize]);
        assert!(luma > 30.0, "picture {at}: {luma:.1} dB from picture {shown}");
        assert_eq!(session.encoder.is_behind(), at > 0);
    }
    assert_eq!(session.catch_up(), AHEAD - 1);
    let luma = session.luma(&frames[11]);
    assert!(luma > 30.0, "{luma:.1} dB");
}

#[test]
fn a_target_that_is_far_from_the_last_is_followed() {
    let mut session = session(SIZE, Chroma::Yuv420, Bitrate::kbps(1_000));
    let mut random = Random(3);
    let mut film = |session: &mut Session, pictures: u32| {
        let mut bytes = 0;
        for _ in 0..pictures {
            let mut next = frame(SIZE);
            for (x, y) in (0..SIZE.width).step_by(8).zip((0..SIZE.height).step_by(8).cycle()) {
                let grey = random.below(256) as u8;
                fill(&mut next, Rect::new(x, y, 8, 8), [grey; 3]);
            }
            session.update(&next, &Rect::of(SIZE).into());
            session.code(false);
            bytes += session.bytes as u64;
        }
        bytes
    };
    film(&mut session, 1);
    session.bitrate = Bitrate::kbps(700);
    film(&mut session, 1);
    assert!(!session.key_frame, "near enough");
    session.bitrate = Bitrate::kbps(100);
    film(&mut session, 1);
    assert!(session.key_frame, "a new context begins with one");
    let (pictures, fps) = (90, 30);
    let sent = Bitrate::of(film(&mut session, pictures), Duration::from_secs(1) * pictures / fps);
    assert!(sent <= session.bitrate * 1.3, "{sent} at {}", session.bitrate);
}

#[test]
fn the_smallest_pictures_have_a_margin() {
    for (width, height) in [(1, 1), (1, 40), (17, 3)] {
        let size = Size::new(width, height);
        let mut session = session(size, Chroma::Yuv420, Bitrate::mbps(1));
        let mut frame = frame(size);
        fill(&mut frame, Rect::of(size), [200, 30, 60]);
        session.update(&frame, &Region::new());
        session.rest();
        let shown = session.shown.as_ref().unwrap();
        assert_eq!(shown.size, Size::new(width.max(16), height.max(16)));
        let mut source = Planes::new(size, Chroma::Yuv420);
        convert::update(&mut source, &frame, &Rect::of(size).into());
        let rows = (0..height as usize).flat_map(|y| source.y.row(y).iter().zip(shown.y.row(y)));
        let worst = rows.map(|(a, b)| a.abs_diff(*b)).max().unwrap();
        assert!(worst <= 4, "{size}: {worst}");
    }
}

#[test]
fn what_cannot_be_coded_is_refused() {
    let config = |width, height| config(Size::new(width, height), Chroma::Yuv420, Bitrate::mbps(1));
    for (width, height) in [(0, 5), (5, 0), (4_097, 100), (2_305, 2_305)] {
        let refused = Rav1e::new(&config(width, height)).err();
        assert!(matches!(refused, Some(EncodeError::UnsupportedSize { .. })), "{width}x{height}");
    }
    let mut encoder = Rav1e::new(&config(64, 64)).unwrap();
    let request = Request {
        key_frame: false,
        bitrate: Bitrate::mbps(1),
        now: Time::from_millis(1),
        ..Request::default()
    };
    assert!(matches!(encoder.encode(&request), Err(EncodeError::NoPicture)));
    let other = frame(Size::new(65, 64));
    let refused = encoder.update(Picture { frame: &other, damage: &Region::new() });
    assert!(matches!(refused, Err(EncodeError::SizeChanged { .. })));
}
