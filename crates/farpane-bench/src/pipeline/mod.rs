//! The engine as a session runs it, from the desktop to packets, with nobody at the other end: where each frame's time
//! goes, what the processor does, and what would be sent.
//!
//! [`run`] opens the desktop, starts an engine with its own threads and a transport that swallows what it is given at
//! the pace of a link, and puts together what they tell. Everything here is the machine's: figures of two machines, or
//! of a busy one, do not compare.

pub mod json;
mod sink;
pub mod table;
pub mod trace;
mod usage;

use std::ops::ControlFlow;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use farpane_desktop::{OpenError, Source};
use farpane_engine::{Engine, Event, Record};
use farpane_media::{Bitrate, Clock, Size, Stamps, Time, VideoFormat};

use crate::summary::{Spread, millis};
use sink::Sink;
use usage::Usage;

pub use sink::Carried;
pub use usage::ThreadTime;

/// How often the caller is told how far it is.
const TICK: Duration = Duration::from_millis(200);

/// What to run.
#[derive(Clone, Debug)]
pub struct Plan {
    pub source: Source,
    pub format: VideoFormat,
    /// What the link carries, and so what the encoder is given.
    pub bitrate: Bitrate,
    /// Of the encoder.
    pub threads: u32,
    pub span: Duration,
}

/// What a frame passes through, in this order; each stage begins where the one before ends. Of drawn scenes, capture
/// includes the drawing.
pub(crate) const STAGES: [Stage; 7] = [
    Stage { name: "capture", of: |stamps| (stamps.changed, stamps.captured) },
    Stage { name: "wait", of: |stamps| (stamps.captured, stamps.taken) },
    Stage { name: "damage", of: |stamps| (stamps.taken, stamps.narrowed) },
    Stage { name: "convert", of: |stamps| (stamps.narrowed, stamps.converted) },
    Stage { name: "encode", of: |stamps| (stamps.converted, stamps.encoded) },
    Stage { name: "packetize", of: |stamps| (stamps.encoded, stamps.packetized) },
    Stage { name: "send", of: |stamps| (stamps.packetized, stamps.sent) },
];

#[derive(Clone, Copy, Debug)]
pub(crate) struct Stage {
    pub name: &'static str,
    of: fn(&Stamps) -> (Time, Time),
}

impl Stage {
    pub(crate) fn took(&self, stamps: &Stamps) -> Duration {
        let (from, to) = (self.of)(stamps);
        to.since(from)
    }
}

/// A frame that was sent.
#[derive(Clone, Copy, Debug)]
pub struct Frame {
    pub record: Record,
    /// The picture had been sent before.
    pub again: bool,
    pub carried: Carried,
}

impl Frame {
    pub(crate) fn in_all(&self) -> Duration {
        self.record.stamps.sent.since(self.record.stamps.changed)
    }

    pub(crate) fn on_link(&self) -> Duration {
        self.carried.until.since(self.record.stamps.sent)
    }
}

/// How values are spread, and their mean, which unlike the rest adds up.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Times {
    pub mean: f64,
    pub spread: Spread,
}

impl Times {
    /// In milliseconds.
    fn of(spans: impl Iterator<Item = Duration>) -> Times {
        let values: Vec<f64> = spans.map(millis).collect();
        let mean = values.iter().sum::<f64>() / values.len().max(1) as f64;
        Times { mean, spread: Spread::of(values) }
    }
}

/// What came of a plan.
#[derive(Clone, Debug)]
pub struct Report {
    pub plan: Plan,
    /// How long it really was.
    pub span: Duration,
    /// What this desktop cannot do, in words.
    pub notes: Vec<String>,
    pub frames: Vec<Frame>,
    /// Of all threads, those that have ended among them.
    pub cpu: Duration,
    /// By name, busiest first; empty where the system does not tell.
    pub threads: Vec<ThreadTime>,
    /// Why it ended before its time, if nobody wanted it to.
    pub broke_off: Option<String>,
}

impl Report {
    /// Frames that show a change, key frames apart: every stream has one, and it is like no other frame.
    pub(crate) fn changes(&self) -> impl Iterator<Item = &Frame> {
        self.frames.iter().filter(|frame| !frame.again && !frame.record.key_frame)
    }

    pub(crate) fn key_frames(&self) -> impl Iterator<Item = &Frame> {
        self.frames.iter().filter(|frame| frame.record.key_frame)
    }

    /// Frames of pictures that had been sent before, key frames apart: they make them sharper.
    pub(crate) fn again(&self) -> impl Iterator<Item = &Frame> {
        self.frames.iter().filter(|frame| frame.again && !frame.record.key_frame)
    }

    /// What `stage` took for [`Report::changes`].
    pub(crate) fn stage(&self, stage: &Stage) -> Times {
        Times::of(self.changes().map(|frame| stage.took(&frame.record.stamps)))
    }

    /// From a change to its last packet.
    pub(crate) fn in_all(&self) -> Times {
        Times::of(self.changes().map(Frame::in_all))
    }

    /// From the last packet until a link of the plan's bitrate has carried the whole frame.
    pub(crate) fn link(&self) -> Times {
        Times::of(self.changes().map(Frame::on_link))
    }

    pub(crate) fn captured(&self) -> u64 {
        self.frames.last().map_or(0, |frame| frame.record.captured)
    }

    pub(crate) fn displaced(&self) -> u64 {
        self.frames.last().map_or(0, |frame| frame.record.displaced)
    }

    /// Pictures that were sent a first time.
    pub(crate) fn coded(&self) -> usize {
        self.frames.iter().filter(|frame| !frame.again).count()
    }

    pub(crate) fn fps(&self) -> f64 {
        self.coded() as f64 / self.span.as_secs_f64()
    }

    pub(crate) fn packets(&self) -> u64 {
        self.frames.iter().map(|frame| u64::from(frame.carried.packets)).sum()
    }

    /// Of the access units.
    pub(crate) fn bytes(&self) -> u64 {
        self.frames.iter().map(|frame| frame.record.bytes as u64).sum()
    }

    /// Of the packets, with their headers.
    pub(crate) fn carried(&self) -> u64 {
        self.frames.iter().map(|frame| frame.carried.bytes).sum()
    }

    /// What was sent, headers included.
    pub(crate) fn rate(&self) -> Bitrate {
        Bitrate::of(self.carried(), self.span)
    }

    pub(crate) fn quantizer(&self) -> Spread {
        Spread::of(self.changes().map(|frame| frame.record.quantizer.into()))
    }

    /// Processor cores that `time` kept busy.
    pub(crate) fn cores(&self, time: Duration) -> f64 {
        time.as_secs_f64() / self.span.as_secs_f64()
    }

    /// Of the last picture.
    pub(crate) fn size(&self) -> Size {
        self.frames.last().map_or(Size::default(), |frame| frame.record.size)
    }
}

/// Runs `plan`. `watch` is told several times a second how much of it has passed, and says whether to go on.
///
/// # Errors
/// The desktop cannot be opened.
pub fn run(
    plan: &Plan,
    mut watch: impl FnMut(Duration) -> ControlFlow<()>,
) -> Result<Report, OpenError> {
    let clock = Clock::start();
    let desktop = plan.source.open(clock)?;
    let notes = desktop.notes.clone();
    let (carried, all_carried) = channel();
    let (records, all_records) = channel();
    let (ended, over) = channel();
    let sink = Sink::new(plan.format, plan.bitrate, clock, carried)?;
    let before = Usage::now();
    let began = clock.now();
    // Both receivers live until the engine has ended.
    let builder =
        Engine::builder().encoder_threads(plan.threads).on_event(move |event| match event {
            Event::Frame(record) => _ = records.send(record),
            Event::Ended { detail, .. } => _ = ended.send(detail),
            Event::Connected { .. } | Event::PathLost | Event::Report(_) => {}
        });
    let engine = builder.start(desktop, sink, clock);
    let broke_off = loop {
        let left = plan.span.saturating_sub(clock.now().since(began));
        match over.recv_timeout(left.min(TICK)) {
            Ok(why) => break Some(why),
            Err(RecvTimeoutError::Disconnected) => break Some("the engine failed".to_owned()),
            Err(RecvTimeoutError::Timeout) => {
                let passed = clock.now().since(began);
                if passed >= plan.span || watch(passed).is_break() {
                    break None;
                }
            }
        }
    };
    let (until, usage) = (clock.now(), Usage::now());
    drop(engine);
    // The net thread sent both, a frame's packets before its record.
    let sent = all_records.iter().zip(all_carried.iter());
    let mut last = 0;
    let frames = sent
        .take_while(|(record, _)| record.stamps.sent <= until)
        .map(|(record, carried)| {
            let again = std::mem::replace(&mut last, record.frame) == record.frame;
            Frame { record, again, carried }
        })
        .collect();
    let (cpu, threads) = usage.since(&before);
    let span = until.since(began);
    Ok(Report { plan: plan.clone(), span, notes, frames, cpu, threads, broke_off })
}
