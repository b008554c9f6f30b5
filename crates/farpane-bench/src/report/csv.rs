//! A report's runs as comma-separated values (RFC 4180), one line a run under a line of names.

use crate::run::Report;

const NAMES: [&str; 32] = [
    "scene",
    "encoder",
    "chroma",
    "threads",
    "target_bps",
    "bps",
    "pictures",
    "held",
    "encode_ms_p50",
    "encode_ms_p95",
    "encode_ms_p99",
    "encode_ms_max",
    "cpu_ms",
    "bytes_p50",
    "bytes_p95",
    "bytes_max",
    "key_frames",
    "key_bytes",
    "key_encode_ms",
    "link_ms_p50",
    "link_ms_p95",
    "link_ms_max",
    "luma_db",
    "chroma_db",
    "rgb_db",
    "ssim",
    "ssimulacra2",
    "rest_luma_db",
    "rest_rgb_db",
    "changes",
    "sharp_45_ms",
    "sharp_48_ms",
];

fn quoted(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

/// The whole report; what has no value (never sharp) is empty, decibels of equal pictures are `inf`.
pub fn write(report: &Report) -> String {
    let mut text = NAMES.join(",") + "\r\n";
    for cell in &report.cells {
        let s = &cell.summary;
        let sharp = |at: usize| s.sharp_ms[at].map_or(String::new(), |ms| format!("{ms:.1}"));
        let row: [String; NAMES.len()] = [
            quoted(&cell.material),
            cell.coder.to_owned(),
            cell.chroma.to_string(),
            cell.threads.to_string(),
            cell.bitrate.as_bps().to_string(),
            s.rate.as_bps().to_string(),
            s.pictures.to_string(),
            s.held.to_string(),
            format!("{:.3}", s.encode_ms.p50),
            format!("{:.3}", s.encode_ms.p95),
            format!("{:.3}", s.encode_ms.p99),
            format!("{:.3}", s.encode_ms.max),
            format!("{:.3}", s.cpu_ms),
            s.bytes.p50.to_string(),
            s.bytes.p95.to_string(),
            s.bytes.max.to_string(),
            s.key_frames.count.to_string(),
            s.key_frames.bytes.to_string(),
            format!("{:.3}", s.key_frames.encode_ms),
            format!("{:.1}", s.link_ms.p50),
            format!("{:.1}", s.link_ms.p95),
            format!("{:.1}", s.link_ms.max),
            format!("{:.2}", s.luma),
            format!("{:.2}", s.chroma),
            format!("{:.2}", s.rgb),
            format!("{:.5}", s.ssim),
            format!("{:.2}", s.ssimulacra2),
            format!("{:.2}", s.rest_luma),
            format!("{:.2}", s.rest_rgb),
            s.changes.to_string(),
            sharp(0),
            sharp(1),
        ];
        text.push_str(&row.join(","));
        text.push_str("\r\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files_may_hold_commas() {
        assert_eq!(quoted("a, \"b\".y4m"), "\"a, \"\"b\"\".y4m\"");
        assert_eq!(quoted("clock"), "clock");
    }
}
