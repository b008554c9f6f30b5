//! `farpane bench codec`: from arguments to a plan, from a report to what was asked for.

use std::ffi::OsStr;
use std::io::{IsTerminal, Read, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use farpane_bench::ffmpeg::{Ffmpeg, Peer};
use farpane_bench::file::{Format, Rate};
use farpane_bench::report::{self, Context};
use farpane_bench::scene::SCENES;
use farpane_bench::{Coder, Material, Plan, Progress, Report};
use farpane_media::Size;

use crate::cli::CodecOptions;

const DEFAULT_SIZE: Size = Size::new(1280, 720);
const SEED: u64 = 1;

/// Why there is no report: status 2 for what was asked, 1 for what went wrong.
enum Failure {
    Usage(String),
    Run(String),
}

pub fn run(options: &CodecOptions) -> ExitCode {
    match measure(options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Usage(why)) => {
            eprintln!("farpane: {why}\nSee farpane bench codec --help.");
            ExitCode::from(2)
        }
        Err(Failure::Run(why)) => {
            eprintln!("farpane: {why}");
            ExitCode::FAILURE
        }
    }
}

fn measure(options: &CodecOptions) -> Result<(), Failure> {
    let material = material(options)?;
    let ffmpeg = Ffmpeg::find(OsStr::new("ffmpeg")).ok();
    let coders = if options.encoders.is_empty() {
        let peer = Peer::named("x264").filter(|p| ffmpeg.as_ref().is_some_and(|f| f.has(p)));
        Coder::named("h264").into_iter().chain(peer.map(Coder::Peer)).collect()
    } else {
        options.encoders.clone()
    };
    let plan = Plan {
        material,
        coders,
        chroma: options.chroma.clone(),
        bitrates: options.bitrates.clone(),
        threads: options.threads.clone(),
        span: Duration::from_secs_f64(options.seconds),
        ffmpeg,
    };
    let context = Context {
        machine: machine(),
        date: today(),
        commit: env!("FARPANE_COMMIT").to_owned(),
        command: command(),
        ffmpeg: plan.ffmpeg.as_ref().map(|ffmpeg| ffmpeg.version.clone()),
    };
    if cfg!(debug_assertions) {
        eprintln!("farpane: this is a build for debugging; its times say little");
    }
    let bar = Bar::new();
    let report = farpane_bench::run(&plan, |progress| bar.show(progress));
    bar.clear();
    write(options, &report, &context)?;
    if report.cells.is_empty() {
        return Err(Failure::Run("nothing could be measured; the reasons stand above".to_owned()));
    }
    Ok(())
}

fn material(options: &CodecOptions) -> Result<Vec<Material>, Failure> {
    let scenes = match (&options.scenes[..], &options.file[..]) {
        ([], []) => &SCENES,
        (scenes, _) => scenes,
    };
    let size = options.size.unwrap_or(DEFAULT_SIZE);
    let mut material: Vec<Material> =
        scenes.iter().map(|scene| Material::Scene { scene: *scene, size, seed: SEED }).collect();
    let mut raw = false;
    for path in &options.file {
        let format = match (is_y4m(path), options.size, options.fps) {
            (Err(why), ..) => Err(why.into()),
            (Ok(true), ..) => Format::y4m(path),
            (Ok(false), Some(size), Some(fps)) => {
                raw = true;
                Format::bgrx(size, Rate { numerator: fps, denominator: 1 })
            }
            (Ok(false), ..) => {
                return Err(Failure::Usage(format!(
                    "{} is no YUV4MPEG2 file; if it is raw BGRX, say --size and --fps",
                    path.display()
                )));
            }
        };
        let format = format
            .map_err(|why| Failure::Usage(format!("cannot use {}: {why}", path.display())))?;
        material.push(Material::File { path: path.clone(), format });
    }
    if options.fps.is_some() && !raw {
        return Err(Failure::Usage("--fps is for raw files given by --file".to_owned()));
    }
    if options.size.is_some() && !raw && scenes.is_empty() {
        return Err(Failure::Usage(
            "--size is for scenes and raw files; this file knows its own".to_owned(),
        ));
    }
    Ok(material)
}

fn is_y4m(path: &Path) -> std::io::Result<bool> {
    let mut start = Vec::new();
    std::fs::File::open(path)?.take(9).read_to_end(&mut start)?;
    Ok(start == b"YUV4MPEG2")
}

fn write(options: &CodecOptions, report: &Report, context: &Context) -> Result<(), Failure> {
    let json_on_stdout = options.json.as_deref() == Some(Path::new("-"));
    let to_stdout = |text: &str| {
        // Whoever closed the pipe has seen enough.
        let _ = std::io::stdout().lock().write_all(text.as_bytes());
    };
    let to_file = |path: &Path, text: &str| {
        std::fs::write(path, text)
            .map_err(|why| Failure::Run(format!("cannot write {}: {why}", path.display())))
    };
    let json = || format!("{:#}\n", report::json::write(report, context));
    if json_on_stdout {
        to_stdout(&json());
    } else {
        to_stdout(&report::table::write(report, context));
    }
    if let Some(path) = options.json.as_deref().filter(|_| !json_on_stdout) {
        to_file(path, &json())?;
    }
    if let Some(path) = &options.csv {
        to_file(path, &report::csv::write(report))?;
    }
    if let Some(path) = &options.html {
        to_file(path, &report::html::write(report, context))?;
    }
    Ok(())
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

    fn show(&self, progress: &Progress) {
        if !self.shown {
            return;
        }
        let Progress { done, total, what } = progress;
        let full = done * Bar::CELLS / total.max(&1);
        let left = match done {
            0 => String::new(),
            done => {
                let each = self.began.elapsed().as_secs_f64() / *done as f64;
                format!(", {:.0} s left", each * (total - done) as f64)
            }
        };
        let bar = "#".repeat(full) + &"-".repeat(Bar::CELLS - full);
        eprint!("\r\x1b[K[{bar}] {done}/{total} {what}{left}");
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
