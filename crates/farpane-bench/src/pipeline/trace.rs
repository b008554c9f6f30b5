//! A report as a time line: the Trace Event Format of Chromium, which <https://ui.perfetto.dev> opens.
//!
//! A track for each thread, with a slice for what it did for a frame, joined by flows; one for the queue in which
//! captured frames wait, one for the link. Slices of a track never overlap, as they must not, and times are whole
//! microseconds, since fractions are read as floating point, which may move the end of a slice past that of the one
//! around it.

use std::io::{self, Write};
use std::time::Duration;

use farpane_media::{Bitrate, Time};
use serde_json::{Value, json};

use super::{Frame, Report, STAGES, Stage};

const PROCESS: u32 = 1;

/// Tracks, by number and name.
const CAPTURE: Track = Track(2, "farpane-capture");
const QUEUE: Track = Track(3, "frame queue");
const VIDEO: Track = Track(4, "farpane-video");
const NET: Track = Track(5, "farpane-net");
const LINK: Track = Track(6, "link");
const TRACKS: [Track; 5] = [CAPTURE, QUEUE, VIDEO, NET, LINK];

/// The bitrate is that of so long each.
const BIN: Duration = Duration::from_millis(100);

#[derive(Clone, Copy)]
struct Track(u32, &'static str);

/// Where a frame's slice has others of the same frame.
#[derive(Clone, Copy, PartialEq)]
enum Flow {
    None,
    Begins,
    Goes,
    Ends,
}

struct Trace<W> {
    out: W,
    events: usize,
    /// When the last slice of each track ended.
    ends: [Time; TRACKS.len()],
}

/// Writes the whole report.
///
/// # Errors
/// `out` takes no more.
pub fn write(report: &Report, out: impl Write) -> io::Result<()> {
    let mut trace = Trace { out, events: 0, ends: [Time::ZERO; TRACKS.len()] };
    trace.out.write_all(b"{\"traceEvents\":[")?;
    trace.name("process_name", 0, &format!("farpane bench pipeline, {}", report.plan.source))?;
    for Track(id, name) in TRACKS {
        trace.name("thread_name", id, name)?;
    }
    for (number, frame) in report.frames.iter().enumerate() {
        trace.frame(number, frame)?;
    }
    trace.counters(report)?;
    trace.out.write_all(b"\n]}\n")?;
    trace.out.flush()
}

impl<W: Write> Trace<W> {
    fn event(&mut self, event: &Value) -> io::Result<()> {
        let before = if self.events == 0 { "\n" } else { ",\n" };
        self.events += 1;
        write!(self.out, "{before}{event}")
    }

    fn name(&mut self, what: &str, track: u32, name: &str) -> io::Result<()> {
        let args = json!({ "name": name });
        self.event(
            &json!({ "ph": "M", "ts": 0, "pid": PROCESS, "tid": track, "name": what, "args": args }),
        )
    }

    fn counter(&mut self, name: &str, unit: &str, at: Time, value: f64) -> io::Result<()> {
        self.event(&json!({
            "ph": "C", "ts": at.as_micros(), "pid": PROCESS, "tid": NET.0, "name": name, "args": { unit: value },
        }))
    }

    fn frame(&mut self, number: usize, frame: &Frame) -> io::Result<()> {
        let record = &frame.record;
        let stamps = &record.stamps;
        let args = json!({
            "frame": record.frame,
            "key_frame": record.key_frame,
            "bytes": record.bytes,
            "packets": frame.carried.packets,
            "quantizer": record.quantizer,
        });
        let mut slice = |track: Track, name: &str, span: (Time, Time), flow: Flow| {
            self.slice(track, name, span, (flow, number), &args)
        };
        let of = |stage: &Stage| (stage.of)(stamps);
        let [capture, wait, damage, convert, encode, packetize, send] = &STAGES;
        let begins = if frame.again { Flow::Begins } else { Flow::Goes };
        if !frame.again {
            slice(CAPTURE, capture.name, of(capture), Flow::Begins)?;
            slice(QUEUE, wait.name, of(wait), Flow::None)?;
        }
        let what = match (record.key_frame, frame.again) {
            (true, _) => "key frame",
            (false, false) => "frame",
            (false, true) => "frame again",
        };
        slice(VIDEO, what, (stamps.taken, stamps.packetized), begins)?;
        if !frame.again {
            slice(VIDEO, damage.name, of(damage), Flow::None)?;
            slice(VIDEO, convert.name, of(convert), Flow::None)?;
        }
        slice(VIDEO, encode.name, of(encode), Flow::None)?;
        slice(VIDEO, packetize.name, of(packetize), Flow::None)?;
        slice(NET, send.name, of(send), Flow::Goes)?;
        slice(LINK, what, (frame.carried.from, frame.carried.until), Flow::Ends)
    }

    fn slice(
        &mut self,
        track: Track,
        name: &str,
        (from, to): (Time, Time),
        (flow, number): (Flow, usize),
        args: &Value,
    ) -> io::Result<()> {
        // A change may come while the picture before is still being read: then that is what the thread is at.
        let end = &mut self.ends[(track.0 - CAPTURE.0) as usize];
        let nested = track.0 == VIDEO.0 && flow == Flow::None;
        let from = if nested { from } else { from.max(*end) };
        let to = to.max(from);
        *end = to.max(*end);
        let (from, to) = (from.as_micros(), to.as_micros());
        let mut event = json!({
            "ph": "X", "ts": from, "dur": to - from, "pid": PROCESS, "tid": track.0, "name": name, "args": args,
        });
        if flow != Flow::None {
            event["bind_id"] = format!("{number:#x}").into();
            event["flow_out"] = (flow != Flow::Ends).into();
            event["flow_in"] = (flow != Flow::Begins).into();
        }
        self.event(&event)
    }

    fn counters(&mut self, report: &Report) -> io::Result<()> {
        for (at, frame) in report.frames.iter().enumerate() {
            let (sent, carried) = (frame.record.stamps.sent, &frame.carried);
            self.counter("backlog", "bytes", sent, carried.backlog as f64)?;
            let next =
                report.frames.get(at + 1).map_or(Time::NEVER, |next| next.record.stamps.sent);
            if carried.until < next {
                self.counter("backlog", "bytes", carried.until.max(sent), 0.0)?;
            }
        }
        for frame in &report.frames {
            let record = &frame.record;
            self.counter("quantizer", "of luma", record.stamps.sent, record.quantizer.into())?;
            self.counter("displaced", "frames", record.stamps.sent, record.displaced as f64)?;
        }
        let mut frames = report.frames.iter().peekable();
        let mut bin = Time::ZERO;
        while frames.peek().is_some() {
            let end = bin + BIN;
            let mut bytes = 0;
            while let Some(frame) = frames.next_if(|frame| frame.record.stamps.sent < end) {
                bytes += frame.carried.bytes;
            }
            self.counter("bitrate", "Mb/s", bin, Bitrate::of(bytes, BIN).as_mbps())?;
            bin = end;
        }
        self.counter("bitrate", "Mb/s", bin, 0.0)
    }
}
