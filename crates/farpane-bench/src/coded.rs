//! What an encoder made of some material, picture by picture, and what that cost.

use std::ops::Range;
use std::time::{Duration, Instant};

use farpane_media::{Bitrate, Time};
use farpane_pixel::Chroma;
use rustix::time::{ClockId, clock_gettime};

use crate::material::Material;

/// What an encoder is asked for.
#[derive(Clone, Debug)]
pub struct Task<'a> {
    pub material: &'a Material,
    /// Pictures of the material to code, at most.
    pub steps: u32,
    pub chroma: Chroma,
    pub bitrate: Bitrate,
    pub threads: u32,
}

/// One coded picture.
#[derive(Clone, Debug, PartialEq)]
pub struct CodedPicture {
    /// The picture of the material that was coded, or coded again.
    pub step: u32,
    /// When what is new in it came, or when it was coded again.
    pub captured: Time,
    /// When it was coded.
    pub now: Time,
    /// Where it is in the stream.
    pub bytes: Range<usize>,
    pub key_frame: bool,
    pub cost: Cost,
    /// When its last byte has crossed a link of the target bitrate.
    pub arrived: Time,
}

/// What coding took.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cost {
    pub wall: Duration,
    /// Of all threads together.
    pub cpu: Duration,
}

/// A coded stream.
#[derive(Debug, Default)]
pub struct Coded {
    pub stream: Vec<u8>,
    pub pictures: Vec<CodedPicture>,
    /// Pictures that changed and had to wait, for the link or the encoder's budget.
    pub held: u32,
    /// How the encoder was set up.
    pub settings: String,
}

/// Measures one piece of work. While an encoder runs no other thread of this process does, so that the process's time is
/// that of the encoder's threads; the calling thread's would miss its helpers.
pub(crate) struct Stopwatch {
    wall: Instant,
    cpu: Duration,
}

impl Stopwatch {
    pub fn start() -> Stopwatch {
        Stopwatch { cpu: process_cpu(), wall: Instant::now() }
    }

    pub fn stop(&self) -> Cost {
        let wall = self.wall.elapsed();
        Cost { wall, cpu: process_cpu().saturating_sub(self.cpu) }
    }
}

/// Of all threads of this process since it began.
pub(crate) fn process_cpu() -> Duration {
    let now = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}
