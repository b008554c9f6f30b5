//! A report for programs. Decibels of equal pictures are `null`, as JSON has no infinity.

use serde_json::{Value, json};

use super::Context;
use crate::metrics::psnr;
use crate::run::{Cell, Report};
use crate::summary::{Spread, millis};

/// Grows when names or meanings change.
const VERSION: u32 = 1;

pub(crate) fn spread(spread: &Spread) -> Value {
    json!({ "p50": spread.p50, "p95": spread.p95, "p99": spread.p99, "max": spread.max })
}

fn run(cell: &Cell) -> Value {
    let s = &cell.summary;
    let time = |time: farpane_media::Time| time.as_micros() as f64 / 1e3;
    let pictures = cell.pictures.iter().map(|picture| {
        json!({
            "t_ms": time(picture.captured),
            "bytes": picture.bytes,
            "key_frame": picture.key_frame,
            "encode_ms": millis(picture.cost.wall),
            "cpu_ms": millis(picture.cost.cpu),
        })
    });
    let looks = cell.looks.iter().map(|look| {
        json!({
            "t_ms": time(look.time),
            "changed": look.changed,
            "luma_db": psnr(look.quality.luma),
            "chroma_db": psnr(look.quality.chroma),
            "rgb_db": psnr(look.quality.rgb),
            "ssim": look.quality.ssim,
        })
    });
    json!({
        "scene": cell.material,
        "encoder": cell.coder,
        "chroma": cell.chroma.to_string(),
        "target_bps": cell.bitrate.as_bps(),
        "threads": cell.threads,
        "settings": cell.settings,
        "bps": s.rate.as_bps(),
        "pictures": s.pictures,
        "held": s.held,
        "encode_ms": spread(&s.encode_ms),
        "cpu_ms": s.cpu_ms,
        "bytes": spread(&s.bytes),
        "key_frames": {
            "count": s.key_frames.count,
            "bytes": s.key_frames.bytes,
            "encode_ms": s.key_frames.encode_ms,
        },
        "link_ms": spread(&s.link_ms),
        "luma_db": s.luma,
        "chroma_db": s.chroma,
        "rgb_db": s.rgb,
        "ssim": s.ssim,
        "ssimulacra2": s.ssimulacra2,
        "rest_luma_db": s.rest_luma,
        "rest_rgb_db": s.rest_rgb,
        "changes": s.changes,
        "sharp_45_ms": s.sharp_ms[0],
        "sharp_48_ms": s.sharp_ms[1],
        "timeline": pictures.collect::<Vec<_>>(),
        "viewer": looks.collect::<Vec<_>>(),
    })
}

/// The whole report.
pub fn write(report: &Report, context: &Context) -> Value {
    json!({
        "farpane_bench_codec": VERSION,
        "machine": context.machine,
        "date": context.date,
        "commit": context.commit,
        "command": context.command,
        "ffmpeg": context.ffmpeg,
        "scenes": report.material.iter().map(|shown| json!({
            "name": shown.name,
            "about": shown.about,
            "width": shown.size.width,
            "height": shown.size.height,
            "fps": shown.fps,
        })).collect::<Vec<_>>(),
        "runs": report.cells.iter().map(run).collect::<Vec<_>>(),
        "bd_rate": report.deltas.iter().map(|delta| json!({
            "scene": delta.material,
            "chroma": delta.chroma.to_string(),
            "threads": delta.threads,
            "anchor": delta.anchor,
            "encoder": delta.coder,
            "luma_percent": delta.luma,
            "rgb_percent": delta.rgb,
        })).collect::<Vec<_>>(),
        "left_out": report.left_out.iter().map(|left_out| json!({
            "what": left_out.what,
            "why": left_out.why,
        })).collect::<Vec<_>>(),
    })
}
