//! The farpane command: reads arguments and environment, and shows people and programs what happens.

#![forbid(unsafe_code)]

mod answers;
mod bench;
mod certificate;
mod cli;
mod failure;
mod interrupts;
mod json;
mod share;
mod stream;
mod terminal;
mod values;
mod whip;

use std::process::ExitCode;

use clap::Parser;
use farpane_pixel::{Level, UnknownLevel};
use tracing_subscriber::EnvFilter;

use cli::{Bench, Cli, Command};

fn main() -> ExitCode {
    let cli = Cli::parse();
    if let Err(why) = cli.check() {
        why.exit();
    }
    let Cli { command } = cli;
    let filter = EnvFilter::try_from_env("FARPANE_LOG").unwrap_or_else(|_| EnvFilter::new("error"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    if let Err(why) = limit_cpu_level() {
        eprintln!("farpane: FARPANE_CPU: {why}");
        return ExitCode::from(2);
    }
    match command {
        Command::Share(options) => until_done(share::run(options)),
        Command::Stream(options) => until_done(stream::run(options)),
        Command::Bench(Bench::Codec(options)) => bench::codec::run(&options),
        Command::Bench(Bench::Pipeline(options)) => bench::pipeline::run(&options),
    }
}

fn until_done(command: impl Future<Output = ExitCode>) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("farpane: the system gives no threads to run on: {error}");
            return ExitCode::FAILURE;
        }
    };
    let code = runtime.block_on(command);
    // A thread that reads the terminal never returns; it must not keep the process.
    runtime.shutdown_background();
    code
}

/// What this machine is called, for those who see it.
fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    match name.trim() {
        "" => "this desktop".to_owned(),
        name => name.to_owned(),
    }
}

/// `FARPANE_CPU` lowers the vector instructions that are used, to see and test what older machines do.
fn limit_cpu_level() -> Result<(), UnknownLevel> {
    if let Ok(level) = std::env::var("FARPANE_CPU") {
        Level::limit(level.parse()?);
    }
    Ok(())
}
