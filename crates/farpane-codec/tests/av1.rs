//! AV1 as a viewer gets it: coded by libaom, decoded by rav1d, compared with the source.

#![cfg(all(feature = "libaom", feature = "av1-decoder"))]

mod av1_session;
mod drawing;

use std::time::Duration;

use farpane_codec::decode::{self, Decoder};
use farpane_codec::{Chroma, Codec, EncodeError, EncoderConfig, Picture, Request, Slot, open};
use farpane_media::{Bitrate, FrameBody, Rect, Region, Size, Time};
use farpane_pixel::{Planes, convert, quality};

use av1_session::Session;
use drawing::{Random, fill, frame, text};

const SIZE: Size = Size::new(640, 368);
const FRAME: Duration = Duration::from_millis(33);
/// The mean squared error of a block of 16x16 samples that may rest: the encoder lets pass half the square of the step at
/// 16, which is 8, and gives up on a block that several tries leave somewhat above it.
const GOOD: f64 = 16.0;

fn session(size: Size, chroma: Chroma, threads: u32, bitrate: Bitrate) -> Session {
    open_session(size, chroma, threads, bitrate, false, false)
}

fn open_session(
    size: Size,
    chroma: Chroma,
    threads: u32,
    bitrate: Bitrate,
    keeps: bool,
    layered: bool,
) -> Session {
    let config = EncoderConfig { size, chroma, bitrate, max_fps: 30, threads, keeps, layered };
    Session::new(open(Codec::Av1, &config).unwrap(), bitrate, FRAME)
}

impl Session {
    /// Codes the picture, and again whenever it gains by it, until it is as sharp as it gets.
    fn rest(&mut self) {
        self.code(false);
        let until = self.now + Duration::from_secs(20);
        while let Some(again) = self.again.filter(|again| *again < until) {
            self.code_at(again.max(self.now + Duration::from_micros(1)), false);
        }
        assert_eq!(self.again, None, "never sharp");
    }
}

/// The largest mean squared error of a block of 16x16 luma samples, in any component.
fn worst(frame: &FrameBody, shown: &Planes) -> f64 {
    assert_eq!(frame.size, shown.size);
    let mut source = Planes::new(frame.size, shown.chroma);
    convert::update(&mut source, frame, &Rect::of(frame.size).into());
    let errors = quality::blocks(&source, shown).map(|b| b.error as f64 / b.samples as f64);
    errors.fold(0.0, f64::max)
}

fn somewhere(random: &mut Random, size: Size) -> Rect {
    let (x, y) = (random.below(size.width), random.below(size.height));
    let (w, h) = (1 + random.below(size.width - x), 1 + random.below(size.height - y));
    Rect::new(x, y, w, h)
}

/// One thing that happens on a desktop; returns where.
fn happen(frame: &mut FrameBody, random: &mut Random) -> Rect {
    let rect = somewhere(random, frame.size);
    let colour = [0, 8, 16].map(|shift| (random.next() >> shift) as u8);
    match random.below(6) {
        // Something small, such as a cursor.
        0 => {
            let small = Rect::new(rect.x, rect.y, rect.w.min(9), rect.h.min(17));
            fill(frame, small, colour);
            small
        }
        // A highlight that differs little from what it covers.
        1 => {
            let level = 200 + random.below(50) as u8;
            fill(frame, rect, [level; 3]);
            rect
        }
        2 => {
            fill(frame, rect, colour);
            rect
        }
        3 if rect.h > 8 => {
            let by = 1 + random.below(rect.h - 1);
            for y in rect.y..rect.bottom() - by {
                let from: Vec<u8> = frame.row(&rect, y + by).to_vec();
                frame.row_mut(&rect, y).copy_from_slice(&from);
            }
            rect
        }
        _ => {
            text(frame, rect, random);
            rect
        }
    }
}

/// Whatever the encoder leaves out, and whatever the library does with what it was asked to look at: what rests is what the
/// source is, everywhere.
#[test]
fn no_part_of_a_resting_picture_is_stale() {
    let cases = [
        (SIZE, Chroma::Yuv420, 2, 8),
        (SIZE, Chroma::Yuv444, 2, 8),
        (Size::new(333, 201), Chroma::Yuv420, 1, 2),
        (Size::new(333, 201), Chroma::Yuv444, 3, 30),
        (Size::new(65, 17), Chroma::Yuv420, 1, 1),
        (Size::new(960, 640), Chroma::Yuv420, 2, 1),
    ];
    for (seed, (size, chroma, threads, mbps)) in (1..).zip(cases) {
        let mut random = Random(seed * 7_919);
        let mut session = session(size, chroma, threads, Bitrate::mbps(mbps));
        let mut frame = frame(size);
        session.update(&frame, &Region::new());
        session.rest();
        for burst in 0..12 {
            for _ in 0..random.below(12) {
                let mut damage = Region::new();
                for _ in 0..1 + random.below(3) {
                    damage.union(&happen(&mut frame, &mut random).into());
                }
                session.update(&frame, &damage);
                // The encoder may be behind the pictures.
                if random.below(4) > 0 {
                    session.code(random.below(40) == 0);
                }
            }
            session.rest();
            let error = worst(&frame, session.shown.as_ref().unwrap());
            assert!(error <= GOOD, "{size} {chroma}, seed {seed}, burst {burst}: {error}");
        }
    }
}

/// Pictures get lost, and with them all that build on them, until one refers to a picture that the viewer has.
#[test]
fn after_losses_a_kept_picture_is_gone_on_from() {
    let cases = [
        (SIZE, Chroma::Yuv420, 2, 8),
        (SIZE, Chroma::Yuv444, 1, 8),
        (Size::new(333, 201), Chroma::Yuv420, 3, 2),
        (Size::new(333, 201), Chroma::Yuv444, 1, 30),
    ];
    for (seed, (size, chroma, threads, mbps)) in (1..).zip(cases) {
        let mut random = Random(seed * 104_729);
        let mut session = open_session(size, chroma, threads, Bitrate::mbps(mbps), true, false);
        let mut frame = frame(size);
        text(&mut frame, Rect::of(size), &mut random);
        session.update(&frame, &Region::new());
        session.code(false);
        session.keep = Some(Slot::First);
        session.rest();
        let mut safe = Slot::First;
        for burst in 0..16 {
            for _ in 0..random.below(12) {
                let damage = happen(&mut frame, &mut random).into();
                session.update(&frame, &damage);
                session.lost |= random.below(4) == 0;
                session.keep = (random.below(4) == 0).then(|| safe.other());
                session.code(false);
                safe = session.kept.filter(|_| !session.lost).unwrap_or(safe);
            }
            if std::mem::take(&mut session.lost) {
                session.from = Some(safe);
            }
            session.rest();
            let error = worst(&frame, session.shown.as_ref().unwrap());
            assert!(error <= GOOD, "{size} {chroma}, seed {seed}, burst {burst}: {error}");
        }
        assert_eq!(session.key_frames, 1, "{size} {chroma}");
    }
}

/// Whoever is sent the lower layer alone sees, picture by picture, what one sees who is sent both; what rests is what the
/// source is, whatever was kept and lost in between.
#[test]
fn a_viewer_does_without_the_upper_layer() {
    let cases = [
        (SIZE, Chroma::Yuv420, 2, 8, false),
        (SIZE, Chroma::Yuv444, 2, 8, true),
        (Size::new(333, 201), Chroma::Yuv420, 1, 2, true),
        (Size::new(65, 17), Chroma::Yuv444, 1, 1, false),
        (Size::new(640, 480), Chroma::Yuv420, 2, 8, true),
    ];
    for (seed, (size, chroma, threads, mbps, keeps)) in (1..).zip(cases) {
        let mut random = Random(seed * 15_485_863);
        let mut session = open_session(size, chroma, threads, Bitrate::mbps(mbps), keeps, true);
        let mut lower = decode::open(Codec::Av1).unwrap();
        let mut frame = frame(size);
        session.update(&frame, &Region::new());
        session.code(false);
        lower.decode(&session.data).unwrap();
        let (mut safe, mut discarded) = (None, 0);
        for burst in 0..12 {
            let mut lost = false;
            for at in 0..random.below(16) {
                let damage = happen(&mut frame, &mut random).into();
                session.update(&frame, &damage);
                session.discardable = at % 2 == 1;
                session.keep =
                    (keeps && random.below(4) == 0).then(|| safe.map_or(Slot::First, Slot::other));
                lost |= safe.is_some() && random.below(12) == 0;
                session.lost = lost;
                session.code(false);
                discarded += usize::from(session.discarded);
                if !lost {
                    see_both(&session, &mut *lower);
                    safe = session.kept.or(safe);
                }
            }
            session.lost = false;
            session.from = safe.filter(|_| lost);
            session.code(false);
            see_both(&session, &mut *lower);
            let until = session.now + Duration::from_secs(20);
            while let Some(again) = session.again.filter(|again| *again < until) {
                session.code_at(again.max(session.now + Duration::from_micros(1)), false);
                see_both(&session, &mut *lower);
            }
            assert_eq!(session.again, None, "never sharp");
            let error = worst(&frame, session.shown.as_ref().unwrap());
            assert!(error <= GOOD, "{size} {chroma}, seed {seed}, burst {burst}: {error}");
        }
        assert!(discarded > 20 && session.key_frames == 1, "{size} {chroma}: {discarded}");
    }
}

/// Gives the picture to the viewer of the lower layer, if it is of that.
fn see_both(session: &Session, lower: &mut dyn Decoder) {
    if !session.discarded {
        let shown = lower.decode(&session.data).unwrap().expect("a picture without delay");
        let both = session.shown.as_ref().unwrap();
        assert!(quality::blocks(shown, both).all(|block| block.error == 0));
    }
}

/// Little of it is new, and yet all of it is coded anew: no finer than what moves.
#[test]
fn what_scrolls_is_not_sharpened_by_the_way() {
    let size = Size::new(640, 1_280);
    let mut session = session(size, Chroma::Yuv420, 2, Bitrate::mbps(8));
    let mut frame = frame(size);
    text(&mut frame, Rect::of(size), &mut Random(9));
    session.update(&frame, &Region::new());
    session.code(false);
    let mut most = 0;
    for _ in 0..20 {
        for y in 0..size.height - 4 {
            let below = frame.row(&Rect::of(size), y + 4).to_vec();
            frame.row_mut(&Rect::of(size), y).copy_from_slice(&below);
        }
        fill(&mut frame, Rect::new(0, size.height - 4, size.width, 4), [255; 3]);
        session.update(&frame, &Rect::of(size).into());
        session.code(false);
        most = most.max(session.bytes);
    }
    assert!(most < 40_000, "{most} bytes");
}

/// Twice as far, the library would not find it.
#[test]
fn what_scrolls_far_is_of_the_lower_layer() {
    let tall = Size::new(SIZE.width, SIZE.height + 16 * 40);
    let mut page = frame(tall);
    text(&mut page, Rect::of(tall), &mut Random(7));
    let sent = |rows: u32, layered: bool| {
        let mut session = open_session(SIZE, Chroma::Yuv420, 2, Bitrate::mbps(8), false, layered);
        let mut frame = frame(SIZE);
        let (mut bytes, mut discarded) = (0, 0);
        for at in 0..40 {
            for y in 0..SIZE.height {
                let row = page.row(&Rect::of(tall), y + at * rows);
                frame.row_mut(&Rect::of(SIZE), y).copy_from_slice(row);
            }
            session.update(&frame, &Rect::of(SIZE).into());
            session.discardable = at % 2 == 1;
            session.code(false);
            discarded += usize::from(session.discarded);
            bytes += if at < 4 { 0 } else { session.bytes };
        }
        // It has come to rest, and what the last picture showed is still to come.
        let rests = session.again.filter(|_| session.discarded);
        session.code_at(rests.unwrap_or(session.now + FRAME), false);
        assert!(session.bytes < 30_000, "{rows} rows: {} bytes", session.bytes);
        (bytes, discarded)
    };
    let (plain, layered) = (sent(4, false), sent(4, true));
    assert!(layered.1 >= 15 && layered.0 * 2 < plain.0 * 3, "{plain:?}, {layered:?}");
    let (plain, layered) = (sent(16, false), sent(16, true));
    assert!(layered.1 <= 3 && layered.0 * 5 < plain.0 * 6, "{plain:?}, {layered:?}");
}

#[test]
fn to_go_on_from_a_kept_picture_costs_what_changed_since() {
    let mut session = open_session(SIZE, Chroma::Yuv420, 2, Bitrate::mbps(8), true, false);
    let mut frame = frame(SIZE);
    text(&mut frame, Rect::of(SIZE), &mut Random(5));
    session.update(&frame, &Region::new());
    session.code(false);
    let first = session.bytes;
    session.rest();
    session.keep = Some(Slot::Second);
    session.code(false);
    let word = Rect::new(100, 100, 60, 16);
    fill(&mut frame, word, [255; 3]);
    session.update(&frame, &word.into());
    session.lost = true;
    session.code(false);
    (session.lost, session.from) = (false, Some(Slot::Second));
    session.code(false);
    assert!(!session.key_frame && session.bytes * 10 < first, "{} of {first}", session.bytes);
    assert!(worst(&frame, session.shown.as_ref().unwrap()) <= GOOD);
}

/// Neither in a session whose viewer is not told what pictures refer to, nor when nothing was kept there.
#[test]
fn what_is_not_kept_takes_a_key_frame() {
    for keeps in [false, true] {
        let mut session = open_session(SIZE, Chroma::Yuv420, 2, Bitrate::mbps(8), keeps, false);
        session.update(&frame(SIZE), &Region::new());
        session.code(false);
        session.keep = Some(Slot::First);
        session.code(false);
        assert_eq!(session.kept.is_some(), keeps);
        session.from = Some(if keeps { Slot::Second } else { Slot::First });
        session.code(false);
        assert!(session.key_frame);
        // That empties all.
        session.from = Some(Slot::First);
        session.code(false);
        assert!(session.key_frame);
    }
}

#[test]
fn key_frames_come_first_on_request_and_never_else() {
    let mut session = session(SIZE, Chroma::Yuv420, 2, Bitrate::mbps(8));
    let mut random = Random(3);
    let mut frame = frame(SIZE);
    session.update(&frame, &Region::new());
    session.code(false);
    assert_eq!(session.key_frames, 1);
    for at in 0..60 {
        let damage = happen(&mut frame, &mut random).into();
        session.update(&frame, &damage);
        session.code(at == 30);
    }
    assert_eq!(session.key_frames, 2);
}

#[test]
fn a_first_picture_of_small_text_fits_the_link() {
    for (mbps, chroma) in [(2, Chroma::Yuv420), (8, Chroma::Yuv420), (8, Chroma::Yuv444)] {
        let size = Size::new(1280, 720);
        let mut session = session(size, chroma, 2, Bitrate::mbps(mbps));
        let mut frame = frame(size);
        text(&mut frame, Rect::of(size), &mut Random(5));
        session.update(&frame, &Region::new());
        session.code(false);
        let most = Bitrate::mbps(mbps).bytes_in(Duration::from_millis(300)) as usize;
        assert!(session.bytes <= most, "{mbps} Mb/s {chroma}: {} bytes", session.bytes);
    }
}

#[test]
fn a_film_settles_at_the_bitrate_and_follows_it() {
    let mut session = session(SIZE, Chroma::Yuv420, 2, Bitrate::mbps(4));
    let mut random = Random(11);
    let mut frame = frame(SIZE);
    session.update(&frame, &Region::new());
    session.code(false);
    for mbps in [4, 1, 3] {
        session.bitrate = Bitrate::mbps(mbps);
        let mut sent = 0;
        for at in 0..90 {
            for y in 0..SIZE.height {
                let phase = u64::from(y) + at;
                for (x, pixel) in
                    (0..).zip(frame.row_mut(&Rect::of(SIZE), y).as_chunks_mut::<4>().0)
                {
                    let grain = random.below(80) as u8;
                    *pixel = [(x as u64 * 3 + phase) as u8, (phase * 2) as u8, 90, 0]
                        .map(|v| (v / 2) + grain);
                }
            }
            session.update(&frame, &Rect::of(SIZE).into());
            session.code(false);
            sent += if at >= 30 { session.bytes as u64 } else { 0 };
        }
        let sent = Bitrate::of(sent, FRAME * 60);
        let target = session.bitrate;
        assert!(sent <= target * 1.15 && sent >= target * 0.4, "{sent} at {target}");
    }
}

/// A pixel of red beside one of blue: 4:2:0 makes one purple of them.
#[test]
fn only_full_chroma_keeps_colours_apart_that_are_a_pixel_wide() {
    let mut errors = [Chroma::Yuv420, Chroma::Yuv444].map(|chroma| {
        let mut session = session(SIZE, chroma, 2, Bitrate::mbps(8));
        let mut frame = frame(SIZE);
        for x in 100..200 {
            let colour = if x % 2 == 0 { [255, 0, 0] } else { [0, 0, 255] };
            fill(&mut frame, Rect::new(x, 50, 1, 100), colour);
        }
        session.update(&frame, &Region::new());
        session.rest();
        let mut shown = FrameBody::default();
        convert::to_bgrx(session.shown.as_ref().unwrap(), &mut shown);
        let pattern = Rect::new(100, 50, 100, 100);
        let differences = (50..150).flat_map(|y| {
            let pairs = frame.row(&pattern, y).iter().zip(shown.row(&pattern, y));
            pairs.map(|(a, b)| a.abs_diff(*b)).collect::<Vec<u8>>()
        });
        differences.max().unwrap()
    });
    errors.sort_unstable();
    assert!(errors[0] <= 16 && errors[1] >= 100, "{errors:?}");
}

#[test]
fn what_cannot_be_coded_is_refused() {
    let config = |width, height| EncoderConfig {
        size: Size::new(width, height),
        chroma: Chroma::Yuv420,
        bitrate: Bitrate::mbps(1),
        max_fps: 30,
        threads: 2,
        keeps: false,
        layered: false,
    };
    for (width, height) in [(0, 5), (5, 0), (16_384, 16_384), (8_193, 100)] {
        let refused = open(Codec::Av1, &config(width, height)).err();
        assert!(matches!(refused, Some(EncodeError::UnsupportedSize { .. })), "{width}x{height}");
    }
    let mut encoder = open(Codec::Av1, &config(64, 64)).unwrap();
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

#[test]
fn small_odd_and_long_pictures_are_coded() {
    for (width, height) in
        [(1, 1), (1, 2), (1, 40), (17, 3), (15, 17), (16, 16), (17, 4_097), (8_192, 9)]
    {
        let size = Size::new(width, height);
        let mut session = session(size, Chroma::Yuv420, 2, Bitrate::mbps(1));
        let mut frame = frame(size);
        session.update(&frame, &Region::new());
        session.rest();
        fill(&mut frame, Rect::of(size), [200, 30, 60]);
        session.update(&frame, &Rect::of(size).into());
        session.rest();
        let error = worst(&frame, session.shown.as_ref().unwrap());
        assert!(error <= GOOD, "{size}: {error}");
    }
}
