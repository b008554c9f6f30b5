//! `farpane bench pipeline`: from arguments to a plan, from a report to what was asked for.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use farpane_bench::pipeline::{self, Plan};
use farpane_host::{ShareError, Source};
use farpane_media::VideoFormat;

use super::{Bar, Failure, cannot_write, context, to_stdout, warn_if_slow};
use crate::cli::PipelineOptions;
use crate::failure;
use crate::interrupts::Interrupts;

pub fn run(options: &PipelineOptions) -> ExitCode {
    super::exit(measure(options), "pipeline")
}

fn measure(options: &PipelineOptions) -> Result<(), Failure> {
    let plan = Plan {
        source: options.display.clone().unwrap_or(Source::X11(None)),
        format: VideoFormat::new(options.codec, options.chroma),
        bitrate: options.bitrate,
        threads: options.threads,
        span: Duration::from_secs_f64(options.seconds),
    };
    let json_on_stdout = options.json.as_deref() == Some(Path::new("-"));
    // What cannot be written is to be known before the time is spent.
    let json = options.json.as_ref().filter(|_| !json_on_stdout).map(create).transpose()?;
    let trace = options.trace.as_ref().map(create).transpose()?;
    warn_if_slow();
    let interrupted = interrupted();
    let bar = Bar::new();
    let what = plan.source.to_string();
    let watch = |passed: Duration| {
        bar.show(passed.as_secs_f64() / options.seconds, &what);
        match interrupted.load(Ordering::Relaxed) {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    };
    let report = pipeline::run(&plan, watch);
    bar.clear();
    let report = report.map_err(|why| {
        let failure::Failure { message, hint, .. } = ShareError::Desktop(why).into();
        Failure::Run(format!("{message}\n  {hint}"))
    })?;
    if report.frames.is_empty() {
        let why = report.broke_off.map(|why| broken(&why)).unwrap_or_else(|| {
            "no picture came through in that time; give it more --seconds".to_owned()
        });
        return Err(Failure::Run(why));
    }
    let context = context();
    let value = || format!("{:#}\n", pipeline::json::write(&report, &context));
    if json_on_stdout {
        to_stdout(&value());
    } else {
        to_stdout(&pipeline::table::write(&report, &context));
    }
    if let Some((path, mut file)) = json {
        file.write_all(value().as_bytes()).map_err(|why| cannot_write(path, &why))?;
    }
    if let Some((path, file)) = trace {
        pipeline::trace::write(&report, BufWriter::new(file))
            .map_err(|why| cannot_write(path, &why))?;
    }
    report.broke_off.map_or(Ok(()), |why| Err(Failure::Run(broken(&why))))
}

fn broken(why: &str) -> String {
    format!("it ended before its time: {why}")
}

fn create(path: &PathBuf) -> Result<(&Path, File), Failure> {
    let file = File::create(path).map_err(|why| cannot_write(path, &why))?;
    Ok((path, file))
}

/// Becomes true at the first Ctrl-C; a second one ends the program at once.
fn interrupted() -> Arc<AtomicBool> {
    let interrupted = Arc::new(AtomicBool::new(false));
    let raised = interrupted.clone();
    std::thread::spawn(move || {
        // Without a runtime the system's own way of ending a program remains.
        if let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() {
            runtime.block_on(async {
                let mut interrupts = Interrupts::new();
                interrupts.next().await;
                raised.store(true, Ordering::Relaxed);
                interrupts.next().await;
                std::process::exit(1);
            });
        }
    });
    interrupted
}
