//! A transport that counts what it is given instead of keeping it, so that it neither allocates nor locks.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::thread::Thread;
use std::time::{Duration, Instant};

use farpane_desktop::{CaptureHandle, Source};
use farpane_engine::{Builder, Engine};
use farpane_media::{Bitrate, Clock, Time, VideoFormat};
use farpane_proto::PacketMeta;
use farpane_transport::memory::{Far, Memory, pair};
use farpane_transport::{
    Channel, Event, NegotiationError, PathStats, Remote, SendError, Transport, TransportError,
    Waker,
};

/// Nothing here takes longer, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// What has been sent.
struct Tally {
    frames: AtomicU64,
    /// Woken by each frame.
    watcher: Thread,
}

struct Wire {
    /// Tells events and wakes up.
    memory: Memory,
    path: PathStats,
    tally: Arc<Tally>,
}

impl Transport for Wire {
    fn wait(&mut self, until: Time) -> Result<(), TransportError> {
        self.memory.wait(until)
    }

    fn poll_event(&mut self) -> Option<Event> {
        let event = self.memory.poll_event();
        if event.is_some() {
            self.path = self.memory.path();
        }
        event
    }

    fn send_video(&mut self, _: &[u8], meta: &PacketMeta) -> Result<(), TransportError> {
        if meta.marker {
            self.tally.frames.fetch_add(1, Release);
            self.tally.watcher.unpark();
        }
        Ok(())
    }

    fn send(&mut self, _: Channel, _: &[u8]) -> Result<(), SendError> {
        Ok(())
    }

    fn waker(&self) -> Waker {
        self.memory.waker()
    }

    fn path(&self) -> PathStats {
        self.path
    }

    fn handle_signal(&mut self, _: Remote<'_>) -> Result<Option<String>, NegotiationError> {
        Ok(None)
    }

    fn close(&mut self) {
        self.memory.close();
    }
}

/// A connected session, watched by the thread that starts it.
pub struct Session {
    far: Far,
    tally: Arc<Tally>,
    handle: CaptureHandle,
    _engine: Engine,
}

impl Session {
    pub fn start(source: &str, formats: Vec<VideoFormat>, builder: Builder) -> Session {
        let clock = Clock::start();
        let desktop = source.parse::<Source>().unwrap().open(clock).unwrap();
        let (memory, far) = pair(clock).unwrap();
        let tally = Arc::new(Tally { frames: AtomicU64::new(0), watcher: std::thread::current() });
        let wire = Wire { memory, path: PathStats::default(), tally: tally.clone() };
        let handle = desktop.capturer.handle();
        let engine = builder.start(desktop, wire, clock);
        far.connect_showing(formats, Bitrate::mbps(20));
        Session { far, tally, handle, _engine: engine }
    }

    /// Has the desktop captured as if all of it were new.
    #[allow(dead_code, reason = "not every test wants that")]
    pub fn refresh(&self) {
        self.handle.refresh();
    }

    /// Lets something happen at the viewer.
    #[allow(dead_code, reason = "not every test has a viewer who acts")]
    pub fn emit(&self, event: Event) {
        self.far.emit(event);
    }

    /// Waits until `condition` holds, which is looked at after each frame.
    pub fn until(&self, what: &str, condition: impl Fn() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !condition() {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "waited in vain for {what}");
            std::thread::park_timeout(left);
        }
    }

    /// Does something and waits for so many more frames.
    pub fn frames(&self, count: u64, act: impl FnOnce()) {
        let wanted = self.tally.frames.load(Acquire) + count;
        act();
        self.until("frames", || self.tally.frames.load(Acquire) >= wanted);
    }
}
