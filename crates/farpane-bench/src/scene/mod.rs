//! Drawn desktops, each the same for the same seed and size on every machine: Chrome Remote Desktop's eight of its encoder
//! benchmark (`remoting/codec/webrtc_video_encoder_benchmark.cc` names them; the drawing is ours) and five more.
//!
//! What moves rests for a while in between, since what an encoder does with a picture at rest is half of what a remote
//! desktop is about.

mod furniture;
mod motion;
mod pages;
mod work;

use farpane_desktop::draw::Surface;
use farpane_media::{FrameBody, Size};

/// Pictures a second of every scene.
pub const FPS: u32 = 30;

/// Shortest and longest side of a scene, in pixels.
pub const SIDES: std::ops::RangeInclusive<u32> = 128..=8192;

/// Draws one picture over the one before; `step` counts from 0, which draws all of it.
trait Draw {
    fn draw(&mut self, surface: &mut Surface, step: u32);
}

/// One kind of desktop.
#[derive(Clone, Copy, Debug)]
pub struct Scene {
    pub name: &'static str,
    /// What is seen.
    pub about: &'static str,
    make: fn(Size, u64) -> Box<dyn Draw>,
}

impl PartialEq for Scene {
    fn eq(&self, other: &Scene) -> bool {
        self.name == other.name
    }
}

const fn scene(
    name: &'static str,
    about: &'static str,
    make: fn(Size, u64) -> Box<dyn Draw>,
) -> Scene {
    Scene { name, about, make }
}

pub const SCENES: [Scene; 13] = [
    scene("clock", "a clock with running hundredths on a desktop", work::clock),
    scene(
        "scroll-vertical",
        "a document scrolls up for two seconds, then rests for one",
        motion::scroll_vertical,
    ),
    scene(
        "scroll-horizontal",
        "a wide table scrolls left for two seconds, then rests for one",
        motion::scroll_horizontal,
    ),
    scene(
        "moving-window",
        "a window is dragged over a desktop for two seconds, then rests for one",
        motion::moving_window,
    ),
    scene("low-motion", "a progress bar, a spinner and a caret on a desktop", work::low_motion),
    scene("high-motion", "a game: layers that move at different speeds", motion::high_motion),
    scene("chaos", "160 translucent squares and discs that turn and fly", motion::chaos),
    scene(
        "developer",
        "typing, a build's output, a chart and a notification at once",
        work::developer,
    ),
    scene("typing", "ten keys a second in an editor, with pauses", work::typing),
    scene("page-switch", "another full page every second", pages::page_switch),
    scene("photo", "another full-screen photograph every second and a half", pages::photo),
    scene("film", "a film with grain in a page", motion::film),
    scene("red-on-black", "saturated red text on black, three lines a second", work::red_on_black),
];

impl Scene {
    pub fn named(name: &str) -> Option<Scene> {
        SCENES.into_iter().find(|scene| scene.name == name)
    }

    /// Starts the scene over. `size` has to be within [`SIDES`].
    pub fn play(&self, size: Size, seed: u64) -> Player {
        Player { draw: (self.make)(size, seed), surface: Surface::new(size), step: 0 }
    }
}

/// A scene that plays.
pub struct Player {
    draw: Box<dyn Draw>,
    surface: Surface,
    step: u32,
}

impl Player {
    /// The next picture, with what was drawn since the one before as its damage: none while the scene rests.
    pub fn advance(&mut self) -> &FrameBody {
        self.surface.clear_damage();
        self.draw.draw(&mut self.surface, self.step);
        self.step += 1;
        self.surface.frame()
    }
}

/// Whether a scene that moves for two seconds and rests for one moves at `step`, and how many steps it has moved.
fn two_of_three(step: u32) -> (bool, u32) {
    let (cycle, at) = (step / (3 * FPS), step % (3 * FPS));
    (at < 2 * FPS, cycle * 2 * FPS + at.min(2 * FPS))
}

/// Walks up and down between 0 and `range`.
fn triangle(at: u64, range: u64) -> u32 {
    let at = at % (2 * range).max(1);
    at.min(2 * range - at) as u32
}
