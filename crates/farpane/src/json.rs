//! Events for programs: one JSON object a line on standard output, `event` first. An interface; see the README.
//!
//! A thread of its own writes: a program that stops reading its pipe must not stop the share with it.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::Duration;

use farpane_host::{EndReason, Event, RefusalReason, Report};
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::share::{Show, Whereabouts};
use crate::stream::Tell;

/// While so many lines wait for a reader, statistics are left out.
const MANY: usize = 64;
/// While so many wait, everything is.
const TOO_MANY: usize = 1024;
/// What is unread when the program ends is waited for no longer.
const LAST_WORDS: Duration = Duration::from_secs(1);

pub struct Json {
    lines: Option<Sender<String>>,
    waiting: Arc<AtomicUsize>,
    written: Receiver<()>,
}

impl Json {
    pub fn new() -> Json {
        Json::to(std::io::stdout())
    }

    fn to(mut out: impl Write + Send + 'static) -> Json {
        let (lines, unwritten) = mpsc::channel::<String>();
        let (all_written, written) = mpsc::channel();
        let waiting = Arc::new(AtomicUsize::new(0));
        let left = waiting.clone();
        thread::spawn(move || {
            for line in unwritten {
                // A reader that went away does not end the share.
                let _ = out.write_all(line.as_bytes()).and_then(|()| out.flush());
                left.fetch_sub(1, Ordering::Relaxed);
            }
            let _ = all_written.send(());
        });
        Json { lines: Some(lines), waiting, written }
    }

    fn line(&self, event: &str, fields: Value) {
        self.write(line(event, fields), TOO_MANY);
    }

    fn write(&self, line: String, most: usize) {
        if let Some(lines) = &self.lines
            && self.waiting.load(Ordering::Relaxed) < most
        {
            self.waiting.fetch_add(1, Ordering::Relaxed);
            let _ = lines.send(line);
        }
    }
}

impl Drop for Json {
    fn drop(&mut self) {
        self.lines = None;
        let _ = self.written.recv_timeout(LAST_WORDS);
    }
}

impl Show for Json {
    fn event(&mut self, event: &Event, place: &Whereabouts) {
        match event {
            Event::Note(text) => self.line("note", json!({ "text": text })),
            Event::Ready { code, expires_in } => {
                let value = json!({
                    "url": place.url(code),
                    "code": code.reveal(),
                    "expires_s": expires_in.as_secs_f64().round() as u64,
                    "fingerprint": place.fingerprint,
                });
                self.line("ready", value);
            }
            Event::Asked { from, .. } => {
                self.line(
                    "asked",
                    json!({ "who": from.ip().to_string(), "from": from.to_string() }),
                );
            }
            Event::Answered { from, admitted } => {
                self.line("answered", json!({ "from": from.to_string(), "admitted": admitted }));
            }
            Event::Refused { from, reason } => {
                self.line(
                    "refused",
                    json!({ "from": from.to_string(), "reason": refusal(*reason) }),
                );
            }
            Event::Connected { from, route, format } => {
                self.line(
                    "connected",
                    json!({
                        "route": route,
                        "codec": format.codec.encoding_name(),
                        "chroma": format.chroma.to_string(),
                        "from": from.to_string(),
                    }),
                );
            }
            Event::Reconnecting { from } => {
                self.line("reconnecting", json!({ "from": from.to_string() }));
            }
            Event::Report(report) => self.write(line("stats", stats(report)), MANY),
            Event::Disconnected { from, reason, detail } => {
                self.line(
                    "disconnected",
                    json!({ "reason": ending(*reason), "detail": detail, "from": from.to_string() }),
                );
            }
        }
    }

    fn nobody_there(&mut self) {
        self.line(
            "note",
            json!({ "text": "standard input has ended, so nobody can be asked: declined" }),
        );
    }

    fn failure(&mut self, failure: &Failure) {
        let Failure { code, message, hint } = failure;
        self.line("error", json!({ "code": code, "message": message, "hint": hint }));
    }

    fn stopped(&mut self) {}
}

impl Tell for Json {
    fn note(&mut self, text: &str) {
        self.line("note", json!({ "text": text }));
    }

    fn streaming(&mut self, to: &str, sdp: Option<&Path>) {
        let sdp = sdp.map(|sdp| sdp.display().to_string());
        self.line("ready", json!({ "to": to, "sdp": sdp }));
    }

    fn report(&mut self, report: &Report) {
        self.write(line("stats", stats(report)), MANY);
    }

    fn path_lost(&mut self, _: &str) {
        self.line("reconnecting", json!({}));
    }

    fn path_restored(&mut self) {
        self.line("reconnected", json!({}));
    }

    fn failure(&mut self, failure: &Failure) {
        Show::failure(self, failure);
    }

    fn stopped(&mut self) {}
}

fn stats(report: &Report) -> Value {
    let millis =
        |delay: Option<std::time::Duration>| delay.map(|delay| round(delay.as_secs_f64() * 1e3));
    json!({
        "size": report.size.to_string(),
        "fps": round(report.fps),
        "mbps": round(report.sent.as_mbps()),
        "resent_mbps": round(report.resent.as_mbps()),
        "parity_mbps": round(report.parity.as_mbps()),
        "estimate_mbps": round(report.estimate.as_mbps()),
        "rtt_ms": round(report.rtt.as_secs_f64() * 1e3),
        "loss": round(report.loss),
        "delay_p50_ms": millis(report.delay_p50),
        "delay_p95_ms": millis(report.delay_p95),
        "captured": report.captured,
        "displaced": report.displaced,
    })
}

fn round(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}

fn refusal(reason: RefusalReason) -> String {
    short(reason.as_str_name(), "REFUSAL_")
}

fn ending(reason: EndReason) -> String {
    short(reason.as_str_name(), "END_")
}

fn short(name: &str, prefix: &str) -> String {
    name.trim_start_matches(prefix).to_ascii_lowercase()
}

/// `event` comes first so that a reader of the raw lines sees at once what each is.
fn line(event: &str, fields: Value) -> String {
    let mut text = format!("{{\"event\":{}", Value::from(event));
    for (name, value) in fields.as_object().into_iter().flatten() {
        text.push_str(&format!(",{}:{value}", Value::from(name.as_str())));
    }
    text.push_str("}\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A pipe whose reader takes bytes when it is told to, and for good when it is dropped.
    struct Pipe(Receiver<()>);

    impl Write for Pipe {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            let _ = self.0.recv();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_stops_reading_costs_lines_and_nothing_else() {
        let (reader, pipe) = mpsc::channel();
        let from = ([127, 0, 0, 1], 1).into();
        let mut json = Json::to(Pipe(pipe));
        let place = Whereabouts { bases: Vec::new(), local_only: true, fingerprint: None };
        for _ in 0..2 * TOO_MANY {
            json.event(&Event::Report(Report::default()), &place);
        }
        assert_eq!(json.waiting.load(Ordering::Relaxed), MANY);
        for _ in 0..2 * TOO_MANY {
            json.event(&Event::Reconnecting { from }, &place);
        }
        assert_eq!(json.waiting.load(Ordering::Relaxed), TOO_MANY);
        drop(reader);
        drop(json);
    }
}
