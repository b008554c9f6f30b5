//! A report for programs.

use serde_json::{Map, Value, json};

use super::{Frame, Report, STAGES, Times};
use crate::report::Context;
use crate::report::json::spread;
use crate::summary::millis;

/// Grows when names or meanings change.
const VERSION: u32 = 1;

fn times(times: &Times) -> Value {
    let mut value = spread(&times.spread);
    value["mean"] = times.mean.into();
    value
}

fn frame(frame: &Frame) -> Value {
    let record = &frame.record;
    let stages = STAGES
        .iter()
        .map(|stage| (stage.name.to_owned(), Value::from(millis(stage.took(&record.stamps)))));
    json!({
        "frame": record.frame,
        "again": frame.again,
        "key_frame": record.key_frame,
        "t_ms": record.stamps.changed.as_nanos() as f64 / 1e6,
        "stages_ms": stages.collect::<Map<_, _>>(),
        "in_all_ms": millis(frame.in_all()),
        "link_ms": millis(frame.on_link()),
        "bytes": record.bytes,
        "packets": frame.carried.packets,
        "quantizer": record.quantizer,
    })
}

/// The whole report.
pub fn write(report: &Report, context: &Context) -> Value {
    let plan = &report.plan;
    let stages = STAGES.iter().map(|stage| (stage.name.to_owned(), times(&report.stage(stage))));
    let threads = report.threads.iter().map(|thread| {
        json!({
            "name": thread.name,
            "cores": report.cores(thread.ran),
            "waiting": report.cores(thread.waited),
        })
    });
    json!({
        "farpane_bench_pipeline": VERSION,
        "machine": context.machine,
        "date": context.date,
        "commit": context.commit,
        "command": context.command,
        "display": plan.source.to_string(),
        "width": report.size().width,
        "height": report.size().height,
        "codec": plan.format.codec.encoding_name(),
        "chroma": plan.format.chroma.to_string(),
        "target_bps": plan.bitrate.as_bps(),
        "threads": plan.threads,
        "seconds": report.span.as_secs_f64(),
        "broke_off": report.broke_off,
        "captured": report.captured(),
        "displaced": report.displaced(),
        "coded": report.coded(),
        "coded_again": report.frames.len() - report.coded(),
        "key_frames": report.key_frames().count(),
        "fps": report.fps(),
        "stages_ms": stages.collect::<Map<_, _>>(),
        "in_all_ms": times(&report.in_all()),
        "link_ms": times(&report.link()),
        "packets": report.packets(),
        "bytes": report.bytes(),
        "bytes_with_headers": report.carried(),
        "bps": report.rate().as_bps(),
        "quantizer": spread(&report.quantizer()),
        "cores": report.cores(report.cpu),
        "cores_by_thread": threads.collect::<Vec<_>>(),
        "timeline": report.frames.iter().map(frame).collect::<Vec<_>>(),
    })
}
