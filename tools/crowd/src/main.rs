//! Shares a drawn desktop to many viewers at once and measures what each of them costs the host. See README.md.

#![forbid(unsafe_code)]

mod cost;
mod viewer;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::{ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use clap::Parser;
use farpane_auth::Code;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{ChildStdout, Command};
use tokio::sync::oneshot;
use tokio::time::timeout;

use cost::Cost;
use viewer::Counts;

type Error = Box<dyn std::error::Error + Send + Sync>;

/// No viewer takes longer to come in.
const PATIENCE: Duration = Duration::from_secs(60);
/// After the last has come in, until pictures are sharp and estimates settled.
const SETTLE: Duration = Duration::from_secs(4);

#[derive(Parser)]
#[command(name = "tools/crowd/run", about = "What each viewer of a share costs its host")]
struct Options {
    /// The program that is measured
    #[arg(long, value_name = "FILE", default_value = "target/release/farpane")]
    farpane: PathBuf,
    /// How many viewers, each number a run
    #[arg(long, value_delimiter = ',', default_value = "1,10,100")]
    viewers: Vec<usize>,
    /// What is shared, each a run, as with `farpane share`
    #[arg(long, value_delimiter = ';', default_value = "synthetic:clock,size=1920x1080")]
    displays: Vec<String>,
    /// How long each run is measured
    #[arg(long, default_value_t = 10)]
    seconds: u64,
}

/// What one run came to.
struct Outcome {
    display: String,
    viewers: usize,
    /// Processor time a second.
    cost: Cost,
    /// Of each viewer, a second, the least first.
    pictures: Vec<f64>,
    kbps: Vec<f64>,
    gaps: u64,
}

#[tokio::main]
async fn main() -> ExitCode {
    let options = Options::parse();
    match run(&options).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("crowd: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(options: &Options) -> Result<(), Error> {
    println!(
        "| desktop | viewers | host cores | capture and coding | network | network a viewer | pictures/s, least | kb/s a viewer | packets lost |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    for display in &options.displays {
        for viewers in &options.viewers {
            let outcome = measure(options, display, *viewers).await?;
            outcome.print();
        }
    }
    Ok(())
}

/// `farpane share`, and what it says.
struct Share {
    events: Lines<BufReader<ChildStdout>>,
}

impl Share {
    /// The next event of a kind.
    async fn event(&mut self, kind: &str) -> Result<Value, Error> {
        loop {
            let line = timeout(PATIENCE, self.events.next_line());
            let line = line.await.map_err(|_| format!("farpane does not say {kind}"))??;
            let event: Value = serde_json::from_str(&line.ok_or("farpane has ended")?)?;
            if event["event"] == kind {
                return Ok(event);
            }
        }
    }
}

async fn measure(options: &Options, display: &str, viewers: usize) -> Result<Outcome, Error> {
    let mut child = Command::new(&options.farpane)
        .args(["share", "--json", "--accept", "--view-only", "--listen", "127.0.0.1:0"])
        .args(["--display", display, "--viewers", &viewers.to_string()])
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| format!("cannot start {}: {error}", options.farpane.display()))?;
    let stdout = child.stdout.take().ok_or("farpane has no output")?;
    let mut share = Share { events: BufReader::new(stdout).lines() };
    let mut counts: Vec<Arc<Counts>> = Vec::new();
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..viewers {
        let ready = share.event("ready").await?;
        let text = |name: &str| ready[name].as_str().ok_or("farpane gives no code");
        let code = Code::parse(text("code")?)?;
        let meeting = text("url")?.trim_start_matches("http://");
        let meeting: SocketAddr = meeting.split('/').next().unwrap_or_default().parse()?;
        // As if they came from different machines, for which there are limits.
        let from = Ipv4Addr::from(u32::from(Ipv4Addr::new(127, 0, 1, 1)) + number as u32);
        let count = Arc::new(Counts::default());
        let (live, there) = oneshot::channel();
        tasks.spawn(viewer::view(meeting, from, code, count.clone(), live));
        counts.push(count);
        tokio::select! {
            there = timeout(PATIENCE, there) => there.map_err(|_| "a viewer gets no picture")??,
            Some(ended) = tasks.join_next() => ended??,
        }
    }
    tokio::time::sleep(SETTLE).await;
    let pid = child.id().ok_or("farpane has ended")?;
    let before = (Cost::of(pid)?, Instant::now(), read(&counts));
    tokio::time::sleep(Duration::from_secs(options.seconds)).await;
    let after = (Cost::of(pid)?, Instant::now(), read(&counts));
    if let Some(ended) = tasks.try_join_next() {
        ended??;
        return Err("a viewer has left".into());
    }
    let span = after.1.duration_since(before.1).as_secs_f64();
    let each = |pick: fn(&[u64; 3]) -> u64| -> Vec<f64> {
        let pairs = before.2.iter().zip(&after.2);
        let mut rates: Vec<f64> =
            pairs.map(|(before, after)| (pick(after) - pick(before)) as f64 / span).collect();
        rates.sort_by(f64::total_cmp);
        rates
    };
    let outcome = Outcome {
        display: display.to_owned(),
        viewers,
        cost: (after.0 - before.0) / span,
        pictures: each(|counts| counts[0]),
        kbps: each(|counts| counts[1] * 8 / 1_000),
        gaps: before.2.iter().zip(&after.2).map(|(before, after)| after[2] - before[2]).sum(),
    };
    tasks.abort_all();
    child.kill().await?;
    Ok(outcome)
}

fn read(counts: &[Arc<Counts>]) -> Vec<[u64; 3]> {
    let read = |counts: &Arc<Counts>| {
        [&counts.pictures, &counts.bytes, &counts.gaps].map(|count| count.load(Relaxed))
    };
    counts.iter().map(read).collect()
}

impl Outcome {
    fn print(&self) {
        let middle = |sorted: &[f64]| sorted[sorted.len() / 2];
        let Cost { coding, network } = self.cost;
        println!(
            "| {} | {} | {:.3} | {:.3} | {:.3} | {:.4} | {:.1}, {:.1} | {:.0} | {} |",
            self.display,
            self.viewers,
            coding + network,
            coding,
            network,
            network / self.viewers as f64,
            middle(&self.pictures),
            self.pictures[0],
            middle(&self.kbps),
            self.gaps,
        );
        eprintln!(
            "{}",
            json!({
                "display": self.display, "viewers": self.viewers, "coding": coding, "network": network,
                "pictures": self.pictures, "kbps": self.kbps, "gaps": self.gaps,
            })
        );
    }
}
