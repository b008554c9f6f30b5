//! Scenes drawn by this program.

use farpane_media::Size;

/// Which scene and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    pub scene: Scene,
    pub seed: u64,
    pub size: Size,
    pub fps: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scene {
    Idle,
    Clock,
    Typing,
    Scroll,
    Window,
    Video,
    Corners,
}
