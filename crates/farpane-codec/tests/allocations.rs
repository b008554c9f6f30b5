//! Pictures of a desktop in use cost no allocation, and so no thread, once buffers have their sizes.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use farpane_codec::{Chroma, Codec, Encoder, EncoderConfig, Output, Picture, Request, open};
use farpane_media::{Bitrate, FrameBody, Rect, Region, Size, Time};

/// The system's allocator, which counts what is asked of it, by whatever thread.
struct Counting;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call is passed on as it is; `alloc_zeroed` and `realloc` by default go by way of `alloc`.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as the caller promises; it came from `System`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const SIZE: Size = Size::new(1280, 720);
const RATE: Bitrate = Bitrate::mbps(20);

fn fill(frame: &mut FrameBody, rect: Rect, level: u8) {
    (rect.y..rect.bottom()).for_each(|y| frame.row_mut(&rect, y).fill(level));
}

/// A line of something like letters, another one for each `seed`.
fn line(frame: &mut FrameBody, top: u32, seed: u32) {
    fill(frame, Rect::new(0, top, SIZE.width, 16), 255);
    let mut state = seed;
    for left in (8..SIZE.width - 8).step_by(8) {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        fill(frame, Rect::new(left, top + 2, 1 + (state >> 30), 9), 0);
        fill(frame, Rect::new(left, top + 2 + (state >> 26) % 9, 6, 1), 0);
    }
}

/// Something that a desktop does in picture `at`; returns where.
type Scene = fn(&mut FrameBody, u32) -> Rect;

fn typing(frame: &mut FrameBody, at: u32) -> Rect {
    let letter = Rect::new(80 + at * 8 % 1_000, 400, 8, 12);
    fill(frame, letter, (at % 2 * 200) as u8);
    letter
}

fn scroll(frame: &mut FrameBody, at: u32) -> Rect {
    let page = Rect::of(SIZE);
    frame.pixels.copy_within(16 * frame.stride.., 0);
    line(frame, SIZE.height - 16, at + 1);
    page
}

fn clock(frame: &mut FrameBody, at: u32) -> Rect {
    let digits = Rect::new(1_100, 20, 120, 40);
    fill(frame, digits, 255);
    fill(frame, Rect::new(1_100 + at * 7 % 100, 20 + at * 3 % 20, 9, 20), 30);
    digits
}

struct Session {
    encoder: Box<dyn Encoder>,
    frame: FrameBody,
    damage: Region,
    now: Time,
}

impl Session {
    fn code(&mut self) {
        self.encoder.update(Picture { frame: &self.frame, damage: &self.damage }).unwrap();
        self.now += Duration::from_millis(33);
        let request =
            Request { key_frame: false, bitrate: RATE, now: self.now, ..Request::default() };
        let Output::AccessUnit(_) = self.encoder.encode(&request).unwrap() else {
            panic!("skipped")
        };
    }

    fn play(&mut self, scene: Scene, pictures: std::ops::Range<u32>) {
        for at in pictures {
            self.damage.set(scene(&mut self.frame, at));
            self.code();
        }
    }
}

#[test]
fn a_desktop_in_use_allocates_nothing() {
    let scenes: [(&str, Scene); 3] = [("typing", typing), ("scroll", scroll), ("clock", clock)];
    for chroma in [Chroma::Yuv420, Chroma::Yuv444] {
        for (name, scene) in scenes {
            let config = EncoderConfig {
                size: SIZE,
                chroma,
                bitrate: RATE,
                max_fps: 30,
                threads: 3,
                keeps: false,
                layered: false,
            };
            let stride = SIZE.width as usize * 4;
            let pixels = vec![255; stride * SIZE.height as usize];
            let frame = FrameBody { size: SIZE, stride, pixels, ..FrameBody::default() };
            let encoder = open(Codec::H264, &config).unwrap();
            let damage = Region::from(Rect::of(SIZE));
            let mut session = Session { encoder, frame, damage, now: Time::from_millis(1) };
            (0..SIZE.height / 16).for_each(|row| line(&mut session.frame, row * 16, row * 977));
            session.code();
            session.play(scene, 0..60);
            let before = ALLOCATIONS.load(Ordering::Relaxed);
            session.play(scene, 60..120);
            let allocations = ALLOCATIONS.load(Ordering::Relaxed) - before;
            assert_eq!(allocations, 0, "{name} in {chroma}");
        }
    }
}
