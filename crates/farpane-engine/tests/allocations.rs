//! A session in use allocates nothing and logs nothing, frame after frame, on any of its threads.

#![cfg(target_os = "linux")]

mod wire;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicI32, AtomicU64, AtomicUsize};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

use farpane_engine::Engine;
use farpane_media::{Chroma, Codec, VideoFormat};
use tracing::span;

use wire::Session;

/// The system's allocator, which counts what each thread asks of it.
struct Counting;

#[derive(Default)]
struct Counter {
    thread: AtomicI32,
    allocations: AtomicU64,
}

/// As many threads as ever allocate in this program.
static COUNTERS: [Counter; 1024] =
    [const { Counter { thread: AtomicI32::new(0), allocations: AtomicU64::new(0) } }; 1024];
static COUNTED: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static OWN: Cell<Option<&'static Counter>> = const { Cell::new(None) };
}

fn count() {
    // A thread that is ending has none any more.
    let _ = OWN.try_with(|own| {
        let counter = own.get().unwrap_or_else(|| {
            let counter = &COUNTERS[COUNTED.fetch_add(1, Relaxed)];
            counter.thread.store(rustix::thread::gettid().as_raw_nonzero().get(), Relaxed);
            own.set(Some(counter));
            counter
        });
        counter.allocations.fetch_add(1, Relaxed);
    });
}

// SAFETY: every call is passed on as it is; `alloc_zeroed` and `realloc` by default go by way of `alloc`.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as the caller promises; it came from `System`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

static LINES: AtomicU64 = AtomicU64::new(0);

/// Takes log lines of every level, and counts them.
struct Log;

impl tracing::Subscriber for Log {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, _: &tracing::Event<'_>) {
        LINES.fetch_add(1, Relaxed);
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

/// One session at a time: their threads have the same names.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    static LOG: Once = Once::new();
    LOG.call_once(|| tracing::subscriber::set_global_default(Log).unwrap());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

const LINE: &str = "log lines";

/// How much each kind of thread of the session has allocated so far, and how many lines were logged.
fn counts() -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::from([(LINE.to_owned(), LINES.load(Relaxed))]);
    for task in std::fs::read_dir("/proc/self/task").unwrap() {
        let path = task.unwrap().path();
        // A thread may end at any moment.
        let Ok(name) = std::fs::read_to_string(path.join("comm")) else { continue };
        if !name.starts_with("farpane-") {
            continue;
        }
        let thread: i32 = path.file_name().unwrap().to_str().unwrap().parse().unwrap();
        let of_thread =
            COUNTERS.iter().rev().find(|counter| counter.thread.load(Relaxed) == thread);
        let allocations = of_thread.map_or(0, |counter| counter.allocations.load(Relaxed));
        *counts.entry(name.trim().to_owned()).or_default() += allocations;
    }
    counts
}

/// So many frames at 120 a second take two seconds, in which everything that is done from time to time is done.
const WINDOW: u64 = 240;
/// Buffers grow to their sizes in the first of so many windows.
const WINDOWS: u32 = 8;

/// What was counted in one window, once there is one that stays within `bound`.
fn settled(session: &Session, frames: u64, bound: impl Fn(&str) -> u64) -> BTreeMap<String, u64> {
    let mut spent = BTreeMap::new();
    for _ in 0..WINDOWS {
        let before = counts();
        session.frames(frames, || ());
        spent = counts();
        for (name, count) in &mut spent {
            *count -= before.get(name).copied().unwrap_or_default();
        }
        if spent.iter().all(|(name, count)| *count <= bound(name)) {
            return spent;
        }
    }
    panic!("allocations in {frames} frames: {spent:?}");
}

const FORMATS: [VideoFormat; 2] =
    [VideoFormat::new(Codec::H264, Chroma::Yuv420), VideoFormat::new(Codec::H264, Chroma::Yuv444)];

#[test]
fn a_drawn_desktop_in_use_costs_no_allocation_and_no_log_line() {
    let _alone = alone();
    for (scene, format) in [
        ("typing", FORMATS[0]),
        ("clock", FORMATS[1]),
        ("scroll", FORMATS[0]),
        ("window", FORMATS[1]),
    ] {
        let source = format!("synthetic:{scene},size=960x540,fps=120");
        let session = Session::start(&source, vec![format], Engine::builder());
        let spent = settled(&session, WINDOW, |_| 0);
        for thread in ["farpane-capture", "farpane-video", "farpane-net", "farpane-input", LINE] {
            assert!(spent.contains_key(thread), "{thread} in {spent:?}");
        }
    }
}

struct Server(Child, String);

impl Server {
    fn start() -> Server {
        let mut server = Command::new("Xvfb")
            .args(["-displayfd", "1", "-nolisten", "tcp", "-noreset", "-screen", "0", "640x480x24"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("this test needs Xvfb: apt-get install xvfb");
        let mut number = String::new();
        BufReader::new(server.stdout.take().unwrap()).read_line(&mut number).unwrap();
        Server(server, format!(":{}", number.trim()))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What the X11 library allocates for a frame at most: replies and events have a buffer each, and a program that draws
/// without end has some hundreds of events between two frames.
const REPLIES: u64 = 1_000;

#[test]
fn an_x11_desktop_in_use_allocates_for_replies_alone() {
    let _alone = alone();
    let server = Server::start();
    let mut program = Command::new("xterm")
        .args(["-display", &server.1, "-e", "while :; do date; done"])
        .stderr(Stdio::null())
        .spawn()
        .expect("this test needs xterm: apt-get install xterm");
    let session = Session::start(&server.1, FORMATS.to_vec(), Engine::builder());
    let frames = 60;
    // What is never the same twice lets a buffer grow now and then.
    let spent = settled(&session, frames, |thread| match thread {
        "farpane-capture" => frames * REPLIES,
        LINE => 0,
        _ => frames / 10,
    });
    assert!(spent["farpane-capture"] > frames, "the pictures are from the X server: {spent:?}");
    drop(session);
    let _ = program.kill();
    let _ = program.wait();
}
