//! Events for programs: one JSON object a line on standard output, `event` first. An interface; see the README.

use std::io::Write;

use farpane_host::{EndReason, Event, RefusalReason, Report};
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::share::{Show, Whereabouts};

pub struct Json;

impl Show for Json {
    fn event(&mut self, event: &Event, place: &Whereabouts) {
        match event {
            Event::Note(text) => line("note", json!({ "text": text })),
            Event::Ready { code, expires_in } => {
                let value = json!({
                    "url": place.url(code),
                    "code": code.reveal(),
                    "expires_s": expires_in.as_secs_f64().round() as u64,
                });
                line("ready", value);
            }
            Event::Asked { from, .. } => {
                line("asked", json!({ "who": from.ip().to_string(), "from": from.to_string() }));
            }
            Event::Answered { from, admitted } => {
                line("answered", json!({ "from": from.to_string(), "admitted": admitted }));
            }
            Event::Refused { from, reason } => {
                line("refused", json!({ "from": from.to_string(), "reason": refusal(*reason) }));
            }
            Event::Connected { from, route, codec } => {
                line(
                    "connected",
                    json!({ "route": route, "codec": codec, "from": from.to_string() }),
                );
            }
            Event::Reconnecting => line("reconnecting", json!({})),
            Event::Report(report) => line("stats", stats(report)),
            Event::Disconnected { reason, detail } => {
                line("disconnected", json!({ "reason": ending(*reason), "detail": detail }));
            }
        }
    }

    fn nobody_there(&mut self) {
        line(
            "note",
            json!({ "text": "standard input has ended, so nobody can be asked: declined" }),
        );
    }

    fn failure(&mut self, failure: &Failure) {
        let Failure { code, message, hint } = failure;
        line("error", json!({ "code": code, "message": message, "hint": hint }));
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
fn line(event: &str, fields: Value) {
    let mut text = format!("{{\"event\":{}", Value::from(event));
    for (name, value) in fields.as_object().into_iter().flatten() {
        text.push_str(&format!(",{}:{value}", Value::from(name.as_str())));
    }
    text.push_str("}\n");
    let mut out = std::io::stdout().lock();
    // A reader that went away does not end the share.
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
