//! Shares a desktop on which something random happens all the time, over a network that changes and loses packets, and
//! compares what a viewer sees with the screen whenever it rests. See README.md.

#![forbid(unsafe_code)]

mod compare;
mod painter;
mod server;
mod viewer;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use farpane_codec::{Chroma, Codec};
use farpane_desktop::Source;
use farpane_engine::Engine;
use farpane_media::{Bitrate, Clock, FrameBody, Size, VideoFormat};
use farpane_pixel::convert;
use farpane_testkit::Random;
use farpane_transport::memory;
use serde_json::json;
use tracing_subscriber::filter::LevelFilter;

use compare::{Closeness, compare, save};
use painter::Painter;
use server::Server;
use viewer::Viewer;

type Error = Box<dyn std::error::Error + Send + Sync>;

const SCREEN: Size = Size::new(1280, 1024);
/// Longer than the engine waits between two pictures of a screen at rest.
const SILENCE: Duration = Duration::from_millis(2_500);
/// So often in a row the stream falls silent before what it shows is final, however slow this machine.
const SILENCES: u32 = 4;
/// What a picture at rest must come to, in dB: all of it when it is noise, and each block.
const LUMA: f64 = 40.0;
const BLOCK: f64 = 30.0;
/// In a smaller picture one block is much of the mean.
const SMALL: u64 = 256 * 256;
/// Moments before memory is looked at, since pools and caches fill; a third of those after them tells nothing when fewer.
const WARM_UP: usize = 4;
const FEWEST: usize = 12;
/// How much more memory the last third of the moments may take than the first, in MB, by their medians.
const GROWTH: u64 = 24;

#[derive(Parser)]
#[command(
    name = "tools/soak/run",
    about = "Random desktop activity, compared at every still moment"
)]
struct Options {
    /// How long to go on
    #[arg(long, default_value_t = 30.0)]
    minutes: f64,
    /// Stop after so many still moments, if that is sooner
    #[arg(long)]
    moments: Option<usize>,
    /// What happens follows from it, though not when
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// h264, av1, or auto for what the host chooses among all
    #[arg(long, default_value = "auto")]
    codec: String,
    /// 420 or 444; both if left out
    #[arg(long)]
    chroma: Option<String>,
    /// 2 codes in two, with --codec av1, of whose upper one the viewer is sent half
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=2))]
    temporal_layers: u8,
    /// Where both pictures of a failure go
    #[arg(long, default_value = "target/soak")]
    out: PathBuf,
}

impl Options {
    fn formats(&self) -> Result<Vec<VideoFormat>, Error> {
        let codec = match self.codec.as_str() {
            "auto" => None,
            "h264" => Some(Codec::H264),
            "av1" => Some(Codec::Av1),
            other => return Err(format!("--codec is h264, av1 or auto, not {other}").into()),
        };
        let chroma = match self.chroma.as_deref() {
            None => None,
            Some("420") => Some(Chroma::Yuv420),
            Some("444") => Some(Chroma::Yuv444),
            Some(other) => return Err(format!("--chroma is 420 or 444, not {other}").into()),
        };
        let wanted = |format: &VideoFormat| {
            codec.is_none_or(|codec| format.codec == codec)
                && chroma.is_none_or(|chroma| format.chroma == chroma)
        };
        Ok(farpane_codec::formats().into_iter().filter(wanted).collect())
    }
}

fn main() -> ExitCode {
    let options = Options::parse();
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_max_level(LevelFilter::WARN).init();
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("soak: {error}");
            let chroma = options.chroma.as_ref().map(|chroma| format!(" --chroma {chroma}"));
            eprintln!(
                "soak: to repeat what happened: --codec {}{} --temporal-layers {} --seed {}",
                options.codec,
                chroma.unwrap_or_default(),
                options.temporal_layers,
                options.seed
            );
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<(), Error> {
    let formats = options.formats()?;
    let began = Instant::now();
    let server = Server::start(SCREEN)?;
    let mut painter = Painter::new(&server.display, SCREEN, options.seed)?;
    let clock = Clock::start();
    let desktop = Source::X11(Some(server.display.clone())).open(clock)?;
    let (near, far) = memory::pair(clock)?;
    let builder = Engine::builder().temporal_layers(options.temporal_layers == 2);
    let engine = builder.start(desktop, near, clock);
    let mut viewer = Viewer::connect(far, formats, options.seed);
    let mut fate = Random::new(!options.seed);
    let mut record = Record::default();
    let length = Duration::from_secs_f64(options.minutes * 60.0);
    while began.elapsed() < length && options.moments.is_none_or(|most| record.rss.len() < most) {
        bustle(&mut painter, &mut viewer, &mut fate)?;
        let closeness = rest(&painter, &mut viewer, options)?;
        record.add(closeness)?;
        let Closeness { luma, worst: [block, colour], .. } = closeness;
        eprintln!(
            "{:6.1} s  moment {:3}: {:>9}, luma {luma:.1} dB, worst blocks {block}, {colour}, {} kB, {} key frames, {} \
             recoveries, {} lost, RSS {} MB",
            began.elapsed().as_secs_f64(),
            record.rss.len(),
            painter.size().to_string(),
            viewer.counts.bytes / 1_000,
            viewer.counts.key_frames,
            viewer.counts.recoveries,
            viewer.counts.lost_packets,
            record.rss.last().expect("added above"),
        );
    }
    drop(engine);
    let memory = record.memory();
    println!(
        "{}",
        json!({
            "codec": options.codec, "chroma": options.chroma, "seed": options.seed,
            "seconds": began.elapsed().as_secs(), "moments": record.rss.len(),
            "luma_db_least": record.luma, "colour_db_least": record.colour,
            "luma_block_db_least": record.block, "colour_block_db_least": record.colour_block,
            "bytes": viewer.counts.bytes, "pictures": viewer.counts.pictures,
            "key_frames": viewer.counts.key_frames, "recoveries": viewer.counts.recoveries,
            "lost_packets": viewer.counts.lost_packets, "spared": viewer.counts.spared, "resizes": painter.resizes,
            "rss_mb_first_third": memory.map(|(first, _)| first),
            "rss_mb_last_third": memory.map(|(_, last)| last),
        })
    );
    match memory {
        Some((first, last)) if last > first + GROWTH => {
            Err(format!("memory grows: {first} MB in the first third, {last} MB in the last")
                .into())
        }
        _ => Ok(()),
    }
}

/// Some things happen, at the desktop and on the way to the viewer.
fn bustle(painter: &mut Painter, viewer: &mut Viewer, fate: &mut Random) -> Result<(), Error> {
    viewer.lossy = fate.one_in(2);
    viewer.set_tells(fate.one_in(2));
    for _ in 0..fate.between(1, 6) {
        // 500 kb/s to 50 Mb/s, each order of magnitude as often.
        let estimate = Bitrate::kbps(500) * 10f64.powf(f64::from(fate.below(2_001)) / 1_000.0);
        let hidden = fate.one_in(12);
        let queued = if fate.one_in(8) { 1 << 20 } else { 0 };
        viewer.set_path(estimate, queued);
        if hidden {
            viewer.set_hidden(true);
        }
        painter.act(&mut |span| viewer.watch(span))?;
        if hidden {
            viewer.set_hidden(false);
        }
        viewer.set_path(estimate, 0);
    }
    viewer.lossy = false;
    Ok(())
}

/// Waits until the stream has come to rest, and compares.
fn rest(painter: &Painter, viewer: &mut Viewer, options: &Options) -> Result<Closeness, Error> {
    let screen = compare::frame(painter.size(), painter.screenshot()?);
    let mut stale = None;
    for _ in 0..SILENCES {
        viewer.watch_until_silent(SILENCE)?;
        let Some((shown, format)) = viewer.picture()? else { continue };
        let why = match compare(&screen, &shown) {
            None => format!("a picture of {} of a screen of {}", shown.size, screen.size),
            // A film may be sampled more coarsely; what rests may not.
            Some(_) if shown.chroma != format.chroma => {
                format!("{} in place of {}", shown.chroma, format.chroma)
            }
            Some(close) if !is_good(&close, screen.size) => format!(
                "luma {:.1} dB, {}, {}; at quantizer {}",
                close.luma, close.worst[0], close.worst[1], viewer.quantizer
            ),
            Some(closeness) => return Ok(closeness),
        };
        stale = Some((why, shown));
    }
    let Some((why, shown)) = stale else {
        return Err("the stream is silent although the viewer waits for a key frame".into());
    };
    std::fs::create_dir_all(&options.out)?;
    let mut seen = FrameBody::default();
    convert::to_bgrx(&shown, &mut seen);
    save(&options.out.join("screen.ppm"), &screen)?;
    save(&options.out.join("shown.ppm"), &seen)?;
    let folder = options.out.display();
    Err(format!("what rests is stale: {why}; see screen.ppm and shown.ppm in {folder}").into())
}

fn is_good(close: &Closeness, size: Size) -> bool {
    (close.luma >= LUMA || size.pixels() < SMALL)
        && close.worst.iter().all(|block| block.closeness >= BLOCK)
}

/// What the moments came to.
#[derive(Debug)]
struct Record {
    luma: f64,
    colour: f64,
    block: f64,
    colour_block: f64,
    /// Resident memory of this process, in MB.
    rss: Vec<u64>,
}

impl Default for Record {
    fn default() -> Record {
        let none = f64::INFINITY;
        Record { luma: none, colour: none, block: none, colour_block: none, rss: Vec::new() }
    }
}

impl Record {
    fn add(&mut self, closeness: Closeness) -> Result<(), Error> {
        self.luma = self.luma.min(closeness.luma);
        self.colour = self.colour.min(closeness.colour);
        let [block, colour_block] = closeness.worst.map(|block| block.closeness);
        self.block = self.block.min(block);
        self.colour_block = self.colour_block.min(colour_block);
        self.rss.push(resident()?);
        Ok(())
    }

    /// The medians of the first and the last third after the warm-up.
    fn memory(&self) -> Option<(u64, u64)> {
        let warm = self.rss.get(WARM_UP..)?;
        let median = |part: &[u64]| {
            let mut sorted = part.to_vec();
            sorted.sort_unstable();
            sorted[sorted.len() / 2]
        };
        let third = warm.len() / 3;
        (warm.len() >= FEWEST)
            .then(|| (median(&warm[..third]), median(&warm[warm.len() - third..])))
    }
}

/// This process's resident memory in MB.
fn resident() -> Result<u64, Error> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
    let kilobytes = line.split_whitespace().next().ok_or("no VmRSS")?;
    Ok(kilobytes.parse::<u64>()? / 1_000)
}
