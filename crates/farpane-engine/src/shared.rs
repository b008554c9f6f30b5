//! What the threads of a session tell each other outside the queues: flags and levels, all atomic.
//!
//! Every flag is written with release and read with acquire order: whoever sees a flag sees what was done before it was
//! set. Levels (estimate, backlog, counters) stand alone and are relaxed.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::Thread;

use farpane_media::{Clock, VideoFormat};

pub(crate) struct Shared {
    pub clock: Clock,
    /// Everything ends.
    pub stop: Flag,
    /// The path carries media now.
    pub live: Flag,
    /// The viewer's page is hidden: nothing need be captured.
    pub hidden: Flag,
    /// The viewer lacks pictures since the video thread last looked. It may go on from one that it has.
    pub key_frame: Flag,
    /// What decodes has nothing to go on from, whatever arrived before: only a key frame will do.
    pub anew: Flag,
    /// Pictures were dropped before they left.
    pub given_up: Flag,
    /// The viewer wonders whether there is still a stream: any frame will do.
    pub frame: Flag,
    /// The video thread waits for the backlog to shrink.
    pub held_back: Flag,
    /// The transport's estimate of the path, in bits per second.
    pub estimate: AtomicU64,
    /// About how many bytes a picture takes that does without those that have not left.
    pub restart_cost: AtomicU64,
    /// Bytes that the transport has accepted and not yet put on the network.
    pub backlog: AtomicU64,
    /// Round trip time in microseconds; 0 until measured.
    pub rtt: AtomicU64,
    /// What the viewer shows; known before `live` is first set.
    pub formats: OnceLock<Vec<VideoFormat>>,
    /// Pictures may refer to kept ones, and it is heard which have arrived.
    pub references: AtomicBool,
    pub captured: AtomicU64,
    pub displaced: AtomicU64,
    video: OnceLock<Thread>,
}

impl Shared {
    pub fn new(clock: Clock) -> Shared {
        Shared {
            clock,
            stop: Flag::default(),
            live: Flag::default(),
            hidden: Flag::default(),
            key_frame: Flag::default(),
            anew: Flag::default(),
            given_up: Flag::default(),
            frame: Flag::default(),
            held_back: Flag::default(),
            estimate: AtomicU64::new(0),
            restart_cost: AtomicU64::new(0),
            backlog: AtomicU64::new(0),
            rtt: AtomicU64::new(0),
            formats: OnceLock::new(),
            references: AtomicBool::new(false),
            captured: AtomicU64::new(0),
            displaced: AtomicU64::new(0),
            video: OnceLock::new(),
        }
    }

    /// Called by the video thread itself before it first sleeps, so that no wake-up is lost.
    pub fn i_am_video(&self) {
        let first = self.video.set(std::thread::current());
        debug_assert!(first.is_ok(), "there is one video thread");
    }

    pub fn wake_video(&self) {
        if let Some(thread) = self.video.get() {
            thread.unpark();
        }
    }
}

/// A condition that one thread raises and another looks at.
#[derive(Default)]
pub(crate) struct Flag(AtomicBool);

impl Flag {
    pub fn set(&self, value: bool) {
        self.0.store(value, Ordering::Release);
    }

    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    /// Reads and lowers it.
    pub fn take(&self) -> bool {
        // The plain read keeps the cache line shared in the common case.
        self.is_set() && self.0.swap(false, Ordering::AcqRel)
    }
}
