//! Joins two network namespaces of its own by a link that delays, limits and loses packets as told, and runs a command
//! there. See README.md.

#![deny(unsafe_code)]

mod forward;
#[allow(unsafe_code)]
mod kernel;
mod lab;
mod options;
mod record;
mod wait;

use std::num::NonZeroU64;
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, ExitCode};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use clap::Parser as _;
use farpane_media::Clock;
use rustix::process::{Pid, PidfdFlags, pidfd_open, setpriority_process};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use forward::Forwarder;
use lab::Lab;
use options::{Options, Side};
use record::Record;

type Error = Box<dyn std::error::Error + Send + Sync>;

fn main() -> ExitCode {
    let options = Options::parse();
    if options.list {
        options::list();
        return ExitCode::SUCCESS;
    }
    run(&options).unwrap_or_else(|error| {
        eprintln!("netlab: {error}");
        ExitCode::FAILURE
    })
}

fn run(options: &Options) -> Result<ExitCode, Error> {
    let plan = options.plan()?;
    let signals = Signals::listen()?;
    let lab = Lab::set_up()?;
    let clock = Clock::start();
    let phases = plan.phases.each_ref().map(Vec::as_slice);
    let record = Record::start(options.record.as_deref(), &plan.name, phases, &clock)?;
    let mut child = start(&options.command, options.at)?;
    take_precedence()?;
    let ends = [lab.ends[0].try_clone()?, lab.ends[1].try_clone()?];
    let ended = pidfd_open(Pid::from_child(&child), PidfdFlags::empty())?;
    let stops = [ended.as_fd(), signals.pipe.as_fd()];
    let outcome = Forwarder { ends, links: plan.links, clock, record }.run(stops);
    lab.clear()?;
    outcome?;
    let status = child.wait()?;
    let code = match signals.last.load(Ordering::SeqCst) {
        0 => status.code().unwrap_or(128 + status.signal().unwrap_or_default()),
        signal => 128 + signal as i32,
    };
    Ok(ExitCode::from(code as u8))
}

fn start(command: &[String], at: Option<Side>) -> Result<Child, Error> {
    let words = match at {
        Some(side) => {
            let enter = ["ip", "netns", "exec", lab::NAMES[side as usize]].map(str::to_owned);
            [&enter, command].concat()
        }
        None => command.to_vec(),
    };
    let child = Command::new(&words[0]).args(&words[1..]).spawn();
    child.map_err(|why| format!("{}: {why}", words[0]).into())
}

/// A real link does not wait for a processor, nor does its clock round.
fn take_precedence() -> rustix::io::Result<()> {
    rustix::thread::set_current_timer_slack(NonZeroU64::new(1))?;
    setpriority_process(None, -20)
}

/// What asks this process to end.
struct Signals {
    /// Readable once one has come.
    pipe: UnixStream,
    /// Its number.
    last: Arc<AtomicUsize>,
}

impl Signals {
    fn listen() -> Result<Signals, Error> {
        let (pipe, writer) = UnixStream::pair()?;
        let last = Arc::new(AtomicUsize::new(0));
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            signal_hook::flag::register_usize(signal, Arc::clone(&last), signal as usize)?;
            signal_hook::low_level::pipe::register(signal, writer.try_clone()?)?;
        }
        Ok(Signals { pipe, last })
    }
}
