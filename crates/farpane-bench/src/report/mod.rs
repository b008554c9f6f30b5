//! Reports written down: a table for people, JSON and CSV for programs, a page to look at.

pub mod csv;
pub mod html;
pub mod json;
mod svg;
pub mod table;

/// Where and how a report came about.
#[derive(Clone, Debug, Default)]
pub struct Context {
    /// Processor, cores, memory and system, as a person would say it.
    pub machine: String,
    /// UTC, `2026-11-21`.
    pub date: String,
    /// Of the sources this was built from.
    pub commit: String,
    pub command: String,
    /// The peers' program, where it was used.
    pub ffmpeg: Option<String>,
}

/// Decibels for people; equal pictures have infinitely many.
fn decibels(value: f64) -> String {
    if value.is_finite() { format!("{value:.1}") } else { "exact".to_owned() }
}

/// Milliseconds until sharp for people.
fn sharp(millis: Option<f64>, changes: usize) -> String {
    match millis {
        _ if changes == 0 => "-".to_owned(),
        Some(millis) => format!("{millis:.0}"),
        None => "never".to_owned(),
    }
}
