//! What is coded: a drawn scene or somebody's own recording, as pictures that follow each other at a fixed rate.

use std::path::PathBuf;

use farpane_media::{FrameBody, Size, Time};

use crate::file::{self, FileError, Recording};
use crate::scene::{FPS, Player, Scene};

/// One thing to code.
#[derive(Clone, Debug)]
pub enum Material {
    Scene {
        scene: Scene,
        size: Size,
        seed: u64,
    },
    /// Opened once to know its size and rate, and again for each run.
    File {
        path: PathBuf,
        format: file::Format,
    },
}

impl Material {
    /// What it is called in reports: the scene's name, or the file's path.
    pub fn name(&self) -> String {
        match self {
            Material::Scene { scene, .. } => scene.name.to_owned(),
            Material::File { path, .. } => path.display().to_string(),
        }
    }

    /// What is seen in it.
    pub fn about(&self) -> String {
        match self {
            Material::Scene { scene, .. } => scene.about.to_owned(),
            Material::File { .. } => "a recording".to_owned(),
        }
    }

    pub fn size(&self) -> Size {
        match self {
            Material::Scene { size, .. } => *size,
            Material::File { format, .. } => format.size,
        }
    }

    /// Pictures a second.
    pub fn fps(&self) -> f64 {
        match self {
            Material::Scene { .. } => f64::from(FPS),
            Material::File { format, .. } => format.fps.value(),
        }
    }

    /// When picture `step` is captured. The first is not at zero, which stands for "never" in a frame's stamps.
    pub fn time(&self, step: u32) -> Time {
        Time::from_nanos(1_000_000 + (f64::from(step) * 1e9 / self.fps()).round() as u64)
    }

    /// Starts over.
    pub fn open(&self) -> Result<Pictures, FileError> {
        Ok(match self {
            Material::Scene { scene, size, seed } => {
                Pictures::Drawn(Box::new(scene.play(*size, *seed)))
            }
            Material::File { path, format } => {
                Pictures::Recorded(Box::new(Recording::open(path, *format)?))
            }
        })
    }
}

/// Material that plays.
pub enum Pictures {
    Drawn(Box<Player>),
    Recorded(Box<Recording>),
}

impl Pictures {
    /// The next picture, with where it differs from the one before as its damage; `None` after the last.
    pub fn advance(&mut self) -> Result<Option<&FrameBody>, FileError> {
        match self {
            Pictures::Drawn(player) => Ok(Some(player.advance())),
            Pictures::Recorded(recording) => recording.advance(),
        }
    }
}
