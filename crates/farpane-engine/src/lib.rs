//! Threads and wiring of the media pipeline: a desktop on one side, a transport on the other.
//!
//! [`Engine::builder`] takes an opened [`Desktop`] and a negotiated [`Transport`], and the session runs until the viewer
//! leaves, the path is lost for good, the desktop goes away or [`Engine::stop`] is called. Four threads, each the only
//! owner of its stage: `capture` waits for damage and publishes frames, `video` narrows, encodes and packetizes the
//! newest of them, `net` drives the transport and speaks the data channels, `input` acts on the desktop. They meet only
//! in lock-free queues and in the atomics of [`shared::Shared`]. There are no algorithms here.
//!
//! To show a screen to a browser that has made an SDP offer:
//!
//! ```no_run
//! # use std::error::Error;
//! use farpane_engine::{Clock, Engine, Source, WebRtc, WebRtcConfig, formats};
//!
//! fn show(offer: &str) -> Result<(Engine, String), Box<dyn Error>> {
//!     let clock = Clock::start();
//!     let desktop = Source::X11(None).open(clock)?;
//!     let config = WebRtcConfig { formats: formats(), ..WebRtcConfig::default() };
//!     let (transport, answer) = WebRtc::answer(offer, config, clock)?;
//!     let engine = Engine::builder()
//!         .view_only(true)
//!         .on_event(|event| println!("{event:?}"))
//!         .start(desktop, transport, clock);
//!     Ok((engine, answer))
//! }
//! ```
//!
//! Any [`Transport`] will do. This one stays in memory and lets a program look at the packets itself:
//!
//! ```
//! use std::time::Duration;
//!
//! use farpane_engine::{Bitrate, Clock, Engine, Source};
//! use farpane_transport::memory::{Sent, pair};
//!
//! let clock = Clock::start();
//! let desktop = "synthetic:clock".parse::<Source>()?.open(clock)?;
//! let (transport, viewer) = pair(clock)?;
//! let engine = Engine::builder().max_fps(30).start(desktop, transport, clock);
//! viewer.connect(Bitrate::mbps(8));
//! let first = loop {
//!     match viewer.recv(Duration::from_secs(30)).expect("a picture") {
//!         Sent::Video { meta, .. } => break meta,
//!         _ => continue,
//!     }
//! };
//! assert!(first.key_frame);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(clippy::disallowed_macros, clippy::disallowed_methods, clippy::disallowed_types)
)]

mod audience;
mod builder;
mod capture;
mod input;
mod messages;
mod net;
mod shared;
mod threads;
mod video;

use std::thread::JoinHandle;
use std::time::Duration;

use farpane_codec::{EncodeError, Encoder, EncoderConfig};
use farpane_media::{Codec, Size, VideoFormat};
use farpane_transport::Waker;

pub use audience::{Audience, Invite, Viewer};
pub use builder::{Builder, PATH_PATIENCE};
pub use video::Record;

// What a session is made of.
pub use farpane_codec::formats;
pub use farpane_desktop::{Desktop, OpenError, Source};
pub use farpane_media::{Bitrate, Clock};
pub use farpane_transport::{NegotiationError, Transport, WebRtc, WebRtcConfig};
pub use farpane_wire::v1::EndReason;

/// As [`farpane_codec::open`].
pub type OpenEncoder = fn(Codec, &EncoderConfig) -> Result<Box<dyn Encoder>, EncodeError>;

/// What a running session tells its owner, from the net thread; the receiver must not block.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// Media can flow. Again after each [`Event::PathLost`] that healed.
    Connected { route: String, format: VideoFormat },
    /// Nothing comes through; the viewer may restart ICE within [`Builder::path_patience`].
    PathLost,
    /// Once a second while connected.
    Report(Report),
    /// A frame has gone to the transport. For whoever measures: they are many, and nothing hangs on them.
    Frame(Record),
    /// The session is over and its threads are ending. `detail` is for people.
    Ended { reason: EndReason, detail: String },
}

/// One second of a session.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    pub size: Size,
    /// Frames that left.
    pub fps: f64,
    pub sent: Bitrate,
    /// What of it was sent for a second time, and what was parity.
    pub resent: Bitrate,
    pub parity: Bitrate,
    pub estimate: Bitrate,
    pub rtt: Duration,
    /// Fraction of packets lost, 0..=1.
    pub loss: f64,
    /// Source to display as the viewer measures it; `None` until it has.
    pub delay_p50: Option<Duration>,
    pub delay_p95: Option<Duration>,
    /// Frames captured, and captured but replaced by a newer one before the encoder was free.
    pub captured: u64,
    pub displaced: u64,
}

/// A running session. Dropping it stops it and waits for its threads.
pub struct Engine {
    commands: std::sync::mpsc::Sender<net::Command>,
    waker: Waker,
    threads: Vec<JoinHandle<()>>,
}

/// What a viewer signals during a session.
#[derive(Clone, Debug)]
pub enum Signal {
    /// SDP of an ICE restart.
    Offer(String),
    /// A candidate attribute's value; empty when there are no more.
    Candidate(String),
}

/// Receives the answer to [`Engine::signal`]: an SDP answer for an offer.
pub type SignalReply = Box<dyn FnOnce(Result<Option<String>, NegotiationError>) + Send>;

impl Engine {
    /// Sets a session up.
    pub fn builder() -> Builder {
        Builder::new()
    }

    /// Passes what the viewer signalled to the transport: a candidate, or the offer of an ICE restart.
    pub fn signal(&self, signal: Signal, reply: SignalReply) {
        self.command(net::Command::Signal(signal, reply));
    }

    /// Ends the session; the viewer is told why. Returns at once: [`Event::Ended`] follows.
    pub fn stop(&self, reason: EndReason, detail: &str) {
        self.command(net::Command::End { reason, detail: detail.to_owned() });
    }

    fn command(&self, command: net::Command) {
        // A closed channel means that the net thread has already ended the session.
        let _ = self.commands.send(command);
        self.waker.ring();
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.stop(EndReason::EndStopped, "");
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a pipeline thread panicked");
            }
        }
    }
}
