//! Scenes and recordings: exact damage, the same pictures in every run, marks for input, clear errors for bad files.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::time::Duration;

use farpane_desktop::replay::{Header, ReplayError};
use farpane_desktop::synthetic::{Options, Scene};
use farpane_desktop::{
    Button, Captured, Capturer, CursorEvent, Desktop, InputError, OpenError, Source,
};
use farpane_media::{Clock, Frame, Rect, Size, Time};
use proptest::prelude::*;

/// Odd on purpose: no multiple of a character cell.
const SIZE: Size = Size::new(333, 217);

/// A consumer that knows the picture only through damage, and keeps two frames as a queue and an encoder do.
#[derive(Default)]
struct Viewer {
    picture: Vec<u8>,
    held: VecDeque<Frame>,
}

impl Viewer {
    fn take(&mut self, frame: Frame) {
        if self.picture.is_empty() {
            self.picture = vec![0; frame.pixels.len()];
        }
        let stride = frame.size.width as usize * 4;
        for rect in frame.damage.rects() {
            for y in rect.y..rect.bottom() {
                let start = y as usize * stride + rect.x as usize * 4;
                self.picture[start..start + rect.w as usize * 4]
                    .copy_from_slice(frame.row(rect, y));
            }
        }
        assert!(self.picture == frame.pixels, "frame {} differs outside its damage", frame.seq);
        self.held.push_back(frame);
        if self.held.len() > 2 {
            self.held.pop_front();
        }
    }

    fn newest(&self) -> &Frame {
        self.held.back().expect("a frame was taken")
    }

    fn pixel(&self, x: u32, y: u32) -> [u8; 3] {
        let row = self.newest().row(&Rect::new(x, y, 1, 1), y);
        [row[2], row[1], row[0]]
    }
}

fn next(clock: Clock, capturer: &mut dyn Capturer) -> Captured {
    capturer.next(clock.now() + Duration::from_secs(20)).unwrap()
}

fn next_frame(clock: Clock, capturer: &mut dyn Capturer) -> Frame {
    loop {
        match next(clock, capturer) {
            Captured::Frame(frame) => return frame,
            Captured::Cursor(_) => {}
            Captured::Nothing | Captured::Stopped => panic!("no frame comes"),
        }
    }
}

fn scene(scene: Scene) -> Source {
    Source::Synthetic(Options { scene, seed: 5, size: SIZE, fps: 240 })
}

#[test]
fn every_scene_is_told_exactly_by_its_damage_and_is_the_same_each_time() {
    for (name, which) in Scene::ALL {
        if which == Scene::Idle {
            continue;
        }
        let clock = Clock::start();
        let mut runs =
            [0, 1].map(|_| (scene(which).open(clock).unwrap().capturer, Viewer::default()));
        // Typing has 26 columns in 13 lines: past 338 steps it scrolls.
        let steps = if which == Scene::Typing { 380 } else { 60 };
        for _ in 0..steps {
            for (capturer, viewer) in &mut runs {
                viewer.take(next_frame(clock, capturer.as_mut()));
            }
            let [(_, one), (_, other)] = &runs;
            assert!(one.picture == other.picture, "{name} differs between two runs");
        }
        let damage = &runs[0].1.newest().damage;
        match which {
            Scene::Corners => {
                assert_eq!(damage.rects().len(), 2, "two corners, not the box around them")
            }
            Scene::Typing | Scene::Clock => assert!(damage.area() < SIZE.pixels() / 4),
            _ => {}
        }
    }
}

#[test]
fn an_idle_scene_is_silent_until_refreshed() {
    let clock = Clock::start();
    let mut capturer = scene(Scene::Idle).open(clock).unwrap().capturer;
    let first = next_frame(clock, capturer.as_mut());
    assert_eq!(first.damage.rects(), [Rect::of(SIZE)]);
    let soon = clock.now() + Duration::from_millis(5);
    assert!(matches!(capturer.next(soon).unwrap(), Captured::Nothing));
    capturer.handle().refresh();
    assert_eq!(next_frame(clock, capturer.as_mut()).damage.rects(), [Rect::of(SIZE)]);
    capturer.handle().stop();
    assert!(matches!(capturer.next(Time::NEVER).unwrap(), Captured::Stopped));
}

#[test]
fn a_frame_waits_for_a_buffer() {
    let clock = Clock::start();
    let mut capturer = scene(Scene::Corners).open(clock).unwrap().capturer;
    let mut held: Vec<Frame> = (0..3).map(|_| next_frame(clock, capturer.as_mut())).collect();
    let soon = clock.now() + Duration::from_millis(30);
    assert!(matches!(capturer.next(soon).unwrap(), Captured::Nothing), "three buffers and no more");
    held.remove(1);
    assert_eq!(next_frame(clock, capturer.as_mut()).seq, 4);
}

#[test]
fn input_leaves_marks() {
    let clock = Clock::start();
    let Desktop { mut capturer, mut input, .. } = scene(Scene::Idle).open(clock).unwrap();
    let mut viewer = Viewer::default();
    viewer.take(next_frame(clock, capturer.as_mut()));
    input.pointer(0.25, 0.75).unwrap();
    let at = loop {
        match next(clock, capturer.as_mut()) {
            Captured::Cursor(CursorEvent::Position { x, y }) => break (x, y),
            Captured::Nothing | Captured::Stopped => panic!("the pointer does not move"),
            _ => {}
        }
    };
    assert_eq!(at, (SIZE.width / 4, SIZE.height * 3 / 4));
    input.button(Button::Left, true).unwrap();
    input.button(Button::Left, false).unwrap();
    viewer.take(next_frame(clock, capturer.as_mut()));
    assert_eq!(viewer.newest().damage.area(), 24 * 24);
    assert_eq!(viewer.pixel(at.0, at.1), [0xdc, 0x32, 0x2f]);
    input.key(0x04, true).unwrap();
    input.key(0x04, true).unwrap();
    viewer.take(next_frame(clock, capturer.as_mut()));
    assert_eq!(viewer.newest().damage.area(), 12 * 16, "one mark, whatever the repeats");
    assert!(matches!(input.key(0, true), Err(InputError::UnknownKey(0))));
    input.wheel(0.0, 100.0).unwrap();
    viewer.take(next_frame(clock, capturer.as_mut()));
    assert_eq!(viewer.pixel(SIZE.width - 1, 100), [0x58, 0x6e, 0x75]);
    input.release_all();
}

/// A file that goes away with the test.
struct Recording(PathBuf);

impl Recording {
    fn new(name: &str, bytes: &[u8]) -> Recording {
        let path = std::env::temp_dir().join(format!("farpane-{name}-{}", std::process::id()));
        std::fs::write(&path, bytes).unwrap();
        Recording(path)
    }

    fn open(&self, clock: Clock) -> Result<Desktop, OpenError> {
        Source::Replay(self.0.clone()).open(clock)
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[test]
fn a_recording_plays_in_a_loop_with_its_damage() {
    let size = Size::new(130, 70);
    let header = Header { size, fps: 240, frames: 3 };
    let mut bytes = header.to_bytes().to_vec();
    let frames: Vec<Vec<u8>> = (0..3u8)
        .map(|n| {
            let mut frame = vec![9; header.frame_len() as usize];
            // One pixel in the last tile of the first band, one in the first of the second.
            frame[129 * 4] = n;
            frame[(65 * 130 + 3) * 4] = n;
            frame
        })
        .collect();
    frames.iter().for_each(|frame| bytes.extend_from_slice(frame));
    let file = Recording::new("plays", &bytes);
    let clock = Clock::start();
    let Desktop { mut capturer, mut input, notes } = file.open(clock).unwrap();
    assert_eq!((capturer.size(), notes.len()), (size, 1));
    assert!(matches!(input.key(0x04, true), Err(InputError::Unavailable(_))));
    let mut viewer = Viewer::default();
    for n in 0..7 {
        viewer.take(next_frame(clock, capturer.as_mut()));
        assert!(viewer.picture == frames[n % 3]);
    }
    assert_eq!(viewer.newest().damage.area(), 2 * 64 + 64 * 6, "the two tiles that differ");
}

#[test]
fn a_bad_recording_says_what_is_wrong() {
    let clock = Clock::start();
    let good = Header { size: Size::new(2, 2), fps: 30, frames: 2 };
    let huge = Header { size: Size::new(16_384, 16_384), ..good };
    let long = Header { size: Size::new(8_192, 8_192), fps: 30, frames: u32::MAX };
    let wide = Header { size: Size::new(16_385, 2), ..good };
    let still = Header { fps: 0, ..good };
    let short = [good.to_bytes().as_slice(), &[0; 31]].concat();
    for (name, bytes, said) in [
        ("empty", Vec::new(), "does not start with"),
        ("text", b"what is this file, twenty-four bytes?".to_vec(), "does not start with"),
        ("huge", huge.to_bytes().to_vec(), "pictures are 16384x16384"),
        ("long", long.to_bytes().to_vec(), "cut short"),
        ("wide", wide.to_bytes().to_vec(), "width 16385"),
        ("still", still.to_bytes().to_vec(), "frame rate 0"),
        ("short", short, "promises 56 bytes but it has 55"),
    ] {
        let why = Recording::new(name, &bytes).open(clock).err().expect(name).to_string();
        assert!(why.contains(said), "{name}: {why}");
    }
    let missing = Source::Replay("/nonexistent/recording".into()).open(clock).err().unwrap();
    assert!(matches!(missing, OpenError::Replay { why: ReplayError::Io(_), .. }), "{missing}");
}

proptest! {
    #[test]
    fn headers_survive_and_garbage_is_refused(bytes in prop::collection::vec(any::<u8>(), 0..40), w in 1u32..=16_384) {
        let header = Header { size: Size::new(w, (16_384 - w).max(1)), fps: w % 240 + 1, frames: w };
        prop_assert_eq!(Header::parse(&header.to_bytes()).ok(), Some(header));
        if let Ok(header) = Header::parse(&bytes) {
            prop_assert!(bytes.starts_with(&header.to_bytes()));
        }
        let mut marked = header.to_bytes();
        for (to, byte) in marked[8..].iter_mut().zip(&bytes) {
            *to = *byte;
        }
        if let Ok(header) = Header::parse(&marked) {
            prop_assert!(header.frame_len() <= 4 * 8_192 * 8_192);
        }
    }
}
