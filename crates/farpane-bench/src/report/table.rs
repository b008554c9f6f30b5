//! A report as text, for a terminal.

use std::fmt::Write;

use super::{Context, decibels, sharp};
use crate::run::Report;

const LEGEND: &str = "
held: pictures that had to wait for the link. ms: coding, a picture. luma, chroma, RGB: PSNR in dB while something
changes and 250 ms after. at rest: luma. >=45, >=48 dB: ms from a change until a viewer has it that sharp. link: ms that a
link of the target takes.
";

/// Columns as wide as what is in them; the first two to the left.
fn columns(rows: &[Vec<String>]) -> String {
    let count = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |at: usize| {
        rows.iter()
            .filter_map(|row| row.get(at))
            .map(|cell| cell.chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..count).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (at, (cell, width)) in row.iter().zip(&widths).enumerate() {
            let gap = if at == 0 { "" } else { "  " };
            let _ = if at < 2 {
                write!(line, "{gap}{cell:<width$}")
            } else {
                write!(line, "{gap}{cell:>width$}")
            };
        }
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text
}

/// The whole report.
pub fn write(report: &Report, context: &Context) -> String {
    let mut text = format!("{}\ncommit {}, {}\n\n", context.machine, context.commit, context.date);
    let several = |differs: fn(&crate::Cell, &crate::Cell) -> bool| {
        report.cells.windows(2).any(|pair| differs(&pair[0], &pair[1]))
    };
    let chroma = several(|a, b| a.chroma != b.chroma);
    let threads = several(|a, b| a.threads != b.threads);
    let mut head = vec!["scene", "encoder"];
    head.extend(chroma.then_some("chroma"));
    head.extend(threads.then_some("threads"));
    head.extend([
        "target", "kb/s", "held", "ms p50", "p95", "max", "cpu ms", "key ms", "key kB", "luma",
        "chroma", "RGB", "SSIM", "SSIMU2", "at rest", ">=45 dB", ">=48 dB", "link p95",
    ]);
    let mut rows = vec![head.into_iter().map(str::to_owned).collect::<Vec<_>>()];
    for cell in &report.cells {
        let summary = &cell.summary;
        let mut row = vec![cell.material.clone(), cell.coder.to_owned()];
        row.extend(chroma.then(|| cell.chroma.to_string()));
        row.extend(threads.then(|| cell.threads.to_string()));
        row.extend([
            cell.bitrate.to_string(),
            (summary.rate.as_bps() / 1_000).to_string(),
            summary.held.to_string(),
            format!("{:.2}", summary.encode_ms.p50),
            format!("{:.2}", summary.encode_ms.p95),
            format!("{:.2}", summary.encode_ms.max),
            format!("{:.2}", summary.cpu_ms),
            format!("{:.1}", summary.key_frames.encode_ms),
            format!("{:.0}", summary.key_frames.bytes as f64 / 1e3),
            decibels(summary.luma),
            decibels(summary.chroma),
            decibels(summary.rgb),
            format!("{:.4}", summary.ssim),
            format!("{:.1}", summary.ssimulacra2),
            decibels(summary.rest_luma),
            sharp(summary.sharp_ms[0], summary.changes),
            sharp(summary.sharp_ms[1], summary.changes),
            format!("{:.0}", summary.link_ms.p95),
        ]);
        rows.push(row);
    }
    text.push_str(&columns(&rows));
    text.push_str(LEGEND);
    if !report.deltas.is_empty() {
        let anchor = report.deltas[0].anchor;
        let percent =
            |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:+.0} %"));
        let mut rows = vec![vec![
            "scene".to_owned(),
            "encoder".to_owned(),
            "chroma".to_owned(),
            "luma".to_owned(),
            "RGB".to_owned(),
        ]];
        rows.extend(report.deltas.iter().map(|delta| {
            vec![
                delta.material.clone(),
                delta.coder.to_owned(),
                delta.chroma.to_string(),
                percent(delta.luma),
                percent(delta.rgb),
            ]
        }));
        let _ = write!(
            text,
            "\nBitrate for the same quality, beside {anchor} (BD-rate)\n{}",
            columns(&rows)
        );
    }
    if !report.left_out.is_empty() {
        text.push_str("\nLeft out\n");
        for left_out in &report.left_out {
            let _ = writeln!(text, "  {}: {}", left_out.what, left_out.why);
        }
    }
    text
}
