//! `farpane bench`: what its measurements have in common.

pub mod codec;
pub mod pipeline;

use std::io::{IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use farpane_bench::report::Context;

/// Why there is no report: status 2 for what was asked, 1 for what went wrong.
enum Failure {
    Usage(String),
    Run(String),
}

fn exit(measured: Result<(), Failure>, command: &str) -> ExitCode {
    match measured {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Usage(why)) => {
            eprintln!("farpane: {why}\nSee farpane bench {command} --help.");
            ExitCode::from(2)
        }
        Err(Failure::Run(why)) => {
            eprintln!("farpane: {why}");
            ExitCode::FAILURE
        }
    }
}

fn context() -> Context {
    Context {
        machine: machine(),
        date: today(),
        commit: env!("FARPANE_COMMIT").to_owned(),
        command: command(),
        ffmpeg: None,
    }
}

fn warn_if_slow() {
    if cfg!(debug_assertions) {
        eprintln!("farpane: this is a build for debugging; its times say little");
    }
}

fn to_stdout(text: &str) {
    // Whoever closed the pipe has seen enough.
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
}

fn to_file(path: &Path, text: &str) -> Result<(), Failure> {
    std::fs::write(path, text).map_err(|why| cannot_write(path, &why))
}

fn cannot_write(path: &Path, why: &std::io::Error) -> Failure {
    Failure::Run(format!("cannot write {}: {why}", path.display()))
}

/// One line on a terminal that says how far it is.
struct Bar {
    shown: bool,
    began: Instant,
}

impl Bar {
    const CELLS: usize = 24;

    fn new() -> Bar {
        Bar { shown: std::io::stderr().is_terminal(), began: Instant::now() }
    }

    /// `done` is a share of the whole.
    fn show(&self, done: f64, what: &str) {
        if !self.shown {
            return;
        }
        let full = ((done * Bar::CELLS as f64) as usize).min(Bar::CELLS);
        let left = match self.began.elapsed().as_secs_f64() * (1.0 - done) / done {
            left if left.is_finite() => format!(", {:.0} s left", left.max(0.0)),
            _ => String::new(),
        };
        let bar = "#".repeat(full) + &"-".repeat(Bar::CELLS - full);
        eprint!("\r\x1b[K[{bar}] {what}{left}");
    }

    fn clear(&self) {
        if self.shown {
            eprint!("\r\x1b[K");
        }
    }
}

/// The arguments as they were typed, quoted where a shell needs it.
fn command() -> String {
    let quote = |word: String| {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_./,=:+".contains(c);
        if !word.is_empty() && word.chars().all(plain) {
            word
        } else {
            format!("'{}'", word.replace('\'', "'\\''"))
        }
    };
    let arguments = std::env::args_os().skip(1).map(|word| quote(word.to_string_lossy().into()));
    ["farpane".to_owned()].into_iter().chain(arguments).collect::<Vec<_>>().join(" ")
}

/// Processor, cores and system, as far as Linux tells.
fn machine() -> String {
    let field = |path: &str, name: &str| {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let line = text.lines().find(|line| line.starts_with(name))?;
        let value = line.split_once([':', '=']).map(|(_, value)| value.trim().trim_matches('"'));
        value.map(str::to_owned)
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let cpu = field("/proc/cpuinfo", "model name").unwrap_or_else(|| std::env::consts::ARCH.into());
    let system =
        field("/etc/os-release", "PRETTY_NAME").unwrap_or_else(|| std::env::consts::OS.into());
    format!("{cpu}, {cores} cores, {system}")
}

/// UTC.
fn today() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    date(since.as_secs() / 86_400)
}

/// The date so many days after 1970-01-01 (Hinnant, "chrono-compatible low-level date algorithms").
fn date(days: u64) -> String {
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year + era * 400 + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        let cases =
            [(0, "1970-01-01"), (59, "1970-03-01"), (11_016, "2000-02-29"), (20_778, "2026-11-21")];
        for (days, expected) in cases {
            assert_eq!(date(days), expected);
        }
    }
}
