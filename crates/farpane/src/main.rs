//! The farpane command: reads arguments and environment, and shows people and programs what happens.

#![forbid(unsafe_code)]

mod answers;
mod bench;
mod cli;
mod failure;
mod interrupts;
mod json;
mod share;
mod terminal;
mod values;

use std::process::ExitCode;

use clap::Parser;
use farpane_pixel::{Level, UnknownLevel};
use tracing_subscriber::EnvFilter;

use cli::{Bench, Cli, Command};

fn main() -> ExitCode {
    let Cli { command } = Cli::parse();
    let filter = EnvFilter::try_from_env("FARPANE_LOG").unwrap_or_else(|_| EnvFilter::new("error"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    if let Err(why) = limit_cpu_level() {
        eprintln!("farpane: FARPANE_CPU: {why}");
        return ExitCode::from(2);
    }
    match command {
        Command::Share(options) => share(options),
        Command::Bench(Bench::Codec(options)) => bench::codec::run(&options),
        Command::Bench(Bench::Pipeline(options)) => bench::pipeline::run(&options),
    }
}

fn share(options: cli::ShareOptions) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("farpane: the system gives no threads to run on: {error}");
            return ExitCode::FAILURE;
        }
    };
    let code = runtime.block_on(share::run(options));
    // A thread that reads the terminal never returns; it must not keep the process.
    runtime.shutdown_background();
    code
}

/// `FARPANE_CPU` lowers the vector instructions that are used, to see and test what older machines do.
fn limit_cpu_level() -> Result<(), UnknownLevel> {
    if let Ok(level) = std::env::var("FARPANE_CPU") {
        Level::limit(level.parse()?);
    }
    Ok(())
}
