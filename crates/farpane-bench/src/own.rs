//! Farpane's encoders, driven as the engine drives them, in the material's own time.
//!
//! `Request::now` follows the material, so rate control decides the same on every machine. As in
//! `crates/farpane-engine`, a picture waits while the link holds more than [`BACKLOG`], and one at rest is coded again
//! until it is sharp; here that happens on the material's own ticks.

use std::time::Duration;

use farpane_codec::{
    AccessUnit, Codec, EncodeError, EncoderConfig, Output, Picture, Request, open,
};
use farpane_media::{Region, Time};

use crate::coded::{Coded, CodedPicture, Cost, Stopwatch, Task};
use crate::file::FileError;
use crate::link::Link;

/// As in the engine, from here down to [`LONGEST_WAIT`].
const BACKLOG: Duration = Duration::from_millis(25);
const SHARP: u8 = 18;
const STILL_AFTER: Duration = Duration::from_millis(60);
const REFINEMENTS: u32 = 12;
const LONGEST_WAIT: Duration = Duration::from_secs(2);

#[derive(Debug, thiserror::Error)]
pub enum OwnError {
    #[error(transparent)]
    Encode(#[from] EncodeError),
    #[error(transparent)]
    File(#[from] FileError),
}

pub(crate) fn encode(codec: Codec, task: &Task<'_>) -> Result<Coded, OwnError> {
    let material = task.material;
    let mut encoder = open(
        codec,
        &EncoderConfig {
            size: material.size(),
            chroma: task.chroma,
            bitrate: task.bitrate,
            max_fps: material.fps().ceil() as u32,
            threads: task.threads,
        },
    )?;
    let mut pictures = material.open()?;
    let mut link = Link::new(task.bitrate);
    let mut coded = Coded {
        settings: format!("farpane {codec}, damage given, pictures at rest refined"),
        ..Coded::default()
    };
    let (mut waiting, mut again) = (Region::new(), Again::default());
    for step in 0..task.steps {
        let Some(frame) = pictures.advance()? else { break };
        let now = material.time(step);
        waiting.union(&frame.damage);
        let changed = !waiting.is_empty();
        if link.backlog(now) > BACKLOG || !(changed || again.is_due(now)) {
            coded.held += u32::from(!frame.damage.is_empty());
            continue;
        }
        let watch = Stopwatch::start();
        if changed {
            encoder.update(Picture { frame, damage: &waiting })?;
        }
        let output = encoder.encode(&Request { key_frame: false, bitrate: task.bitrate, now })?;
        let cost = watch.stop();
        waiting.clear();
        match output {
            Output::Skipped => {
                coded.held += u32::from(changed);
                again = Again { at: Some(now), ..again };
            }
            Output::AccessUnit(unit) => {
                let arrived = link.send(now, unit.data.len());
                take(&mut coded, &unit, step, cost, arrived);
                let carried = arrived.since(now).min(LONGEST_WAIT).max(STILL_AFTER);
                again.handle_coded(changed, &unit, now + carried);
            }
        }
    }
    Ok(coded)
}

fn take(coded: &mut Coded, unit: &AccessUnit<'_>, step: u32, cost: Cost, arrived: Time) {
    let start = coded.stream.len();
    coded.stream.extend_from_slice(unit.data);
    let bytes = start..coded.stream.len();
    coded.pictures.push(CodedPicture { step, bytes, key_frame: unit.key_frame, cost, arrived });
}

/// Whether and when a picture at rest is coded again.
#[derive(Default)]
struct Again {
    at: Option<Time>,
    /// So often without any gain.
    left: u32,
    quantizer: u8,
}

impl Again {
    fn is_due(&self, now: Time) -> bool {
        self.at.is_some_and(|at| at <= now)
    }

    fn handle_coded(&mut self, changed: bool, unit: &AccessUnit<'_>, at: Time) {
        let quantizer = unit.quantizer.unwrap_or(0);
        let gained = changed || unit.key_frame || quantizer < self.quantizer;
        self.left = if gained { REFINEMENTS } else { self.left.saturating_sub(1) };
        self.quantizer = quantizer;
        self.at = (quantizer > SHARP && self.left > 0).then_some(at);
    }
}
