//! Farpane's encoders, driven as the engine drives them, in the material's own time.
//!
//! `Request::now` follows the material, so rate control decides the same on every machine. As in
//! `crates/farpane-engine`, a picture waits while the link holds more than [`BACKLOG`], and one at rest is coded again when
//! the encoder says so.

use std::time::Duration;

use farpane_codec::{EncodeError, Encoder, EncoderConfig, Output, Picture, Request};
use farpane_media::{Bitrate, FrameBody, Region, Time};

use crate::coded::{Coded, CodedPicture, Stopwatch, Task};
use crate::file::FileError;
use crate::link::Link;

/// As in the engine.
const BACKLOG: Duration = Duration::from_millis(25);
/// A picture that was skipped is tried again after this.
const PATIENCE: Duration = Duration::from_millis(16);

#[derive(Debug, thiserror::Error)]
pub enum OwnError {
    #[error(transparent)]
    Encode(#[from] EncodeError),
    #[error(transparent)]
    File(#[from] FileError),
}

/// Makes one of our encoders.
pub(crate) type Open = fn(&EncoderConfig) -> Result<Box<dyn Encoder>, EncodeError>;

pub(crate) fn encode(open: Open, task: &Task<'_>) -> Result<Coded, OwnError> {
    let material = task.material;
    let config = EncoderConfig {
        size: material.size(),
        chroma: task.chroma,
        bitrate: task.bitrate,
        max_fps: material.fps().ceil() as u32,
        threads: task.threads,
        keeps: false,
        layered: false,
    };
    let encoder = open(&config)?;
    let coded = Coded {
        settings: format!("farpane {}, damage given, pictures at rest sharpened", encoder.codec()),
        ..Coded::default()
    };
    let mut run = Run {
        encoder,
        bitrate: task.bitrate,
        link: Link::new(task.bitrate),
        waiting: Region::new(),
        again: None,
        coded,
    };
    let mut pictures = material.open()?;
    for step in 0..task.steps {
        let Some(frame) = pictures.advance()? else { break };
        let (tick, next) = (material.time(step), material.time(step + 1));
        run.waiting.union(&frame.damage);
        run.coded.held += u32::from(!frame.damage.is_empty() && run.due(tick) > Some(tick));
        let mut now = tick;
        while let Some(due) = run.due(now).filter(|due| *due < next) {
            now = due;
            run.code(frame, step, tick, now)?;
        }
    }
    Ok(run.coded)
}

/// An encoder at work, and what it works for.
struct Run {
    encoder: Box<dyn Encoder>,
    bitrate: Bitrate,
    link: Link,
    /// What has changed and was not coded.
    waiting: Region,
    /// When the picture gains from being coded again.
    again: Option<Time>,
    coded: Coded,
}

impl Run {
    /// When there is something to code, `now` or later, and room for it.
    fn due(&self, now: Time) -> Option<Time> {
        let wanted = if self.waiting.is_empty() { self.again? } else { now };
        Some(wanted.max(now).max(self.link.holds_no_more_than(BACKLOG)))
    }

    /// Codes picture `step` of the material, which is `frame` and came at `tick`.
    fn code(
        &mut self,
        frame: &FrameBody,
        step: u32,
        tick: Time,
        now: Time,
    ) -> Result<(), EncodeError> {
        let watch = Stopwatch::start();
        if !self.waiting.is_empty() {
            self.encoder.update(Picture { frame, damage: &self.waiting })?;
        }
        let captured = if self.waiting.is_empty() { now } else { tick };
        let request =
            Request { key_frame: false, bitrate: self.bitrate, now, ..Request::default() };
        let output = self.encoder.encode(&request)?;
        let cost = watch.stop();
        self.waiting.clear();
        match output {
            Output::Skipped => self.again = Some(now + PATIENCE),
            Output::AccessUnit(unit) => {
                let arrived = self.link.send(now, unit.data.len());
                self.again = unit.again;
                let start = self.coded.stream.len();
                self.coded.stream.extend_from_slice(unit.data);
                let bytes = start..self.coded.stream.len();
                let key_frame = unit.key_frame;
                let picture = CodedPicture { step, captured, now, bytes, key_frame, cost, arrived };
                self.coded.pictures.push(picture);
                if self.encoder.is_behind() {
                    self.again = Some(now);
                }
            }
        }
        Ok(())
    }
}
