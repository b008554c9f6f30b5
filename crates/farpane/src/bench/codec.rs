//! `farpane bench codec`: from arguments to a plan, from a report to what was asked for.

use std::ffi::OsStr;
use std::io::Read;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use farpane_bench::ffmpeg::{Ffmpeg, Peer};
use farpane_bench::file::{Format, Rate};
use farpane_bench::report::{self, Context};
use farpane_bench::scene::SCENES;
use farpane_bench::{Coder, Material, Plan, Progress, Report};
use farpane_media::Size;

use super::{Bar, Failure, context, to_file, to_stdout, warn_if_slow};
use crate::cli::CodecOptions;

const DEFAULT_SIZE: Size = Size::new(1280, 720);
const SEED: u64 = 1;

pub fn run(options: &CodecOptions) -> ExitCode {
    super::exit(measure(options), "codec")
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
    let ffmpeg = plan.ffmpeg.as_ref().map(|ffmpeg| ffmpeg.version.clone());
    let context = Context { ffmpeg, ..context() };
    warn_if_slow();
    let bar = Bar::new();
    let report = farpane_bench::run(&plan, |Progress { done, total, what }| {
        bar.show(*done as f64 / (*total).max(1) as f64, &format!("{done}/{total} {what}"));
    });
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
