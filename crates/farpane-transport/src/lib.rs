//! Ways for media, input and feedback to travel.
//!
//! A [`Transport`] owns its sockets and timers and is driven by one thread: wait, take events, send, again. Nothing in
//! it blocks except [`Transport::wait`], which any other thread can end early by a [`Waker`].

#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(clippy::disallowed_macros, clippy::disallowed_methods, clippy::disallowed_types)
)]

mod cipher;
mod door;
#[expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "for tests, which may wait for what a transport does"
)]
pub mod memory;
mod meter;
mod outbox;
mod pacing;
mod rtp;
mod stream;
mod waker;
mod ways;
pub mod webrtc;

pub use cipher::{Forged, MediaOpen, MediaSeal, media_ends};
pub use door::{Caller, Door, Take};
pub use rtp::{Describe, Rtp, RtpConfig};
use stream::Stream;
pub use stream::{Deliver, StreamConfig, stream_format};
pub use waker::Waker;
pub use ways::{Attach, Ways};
pub use webrtc::{Offered, WebRtc, WebRtcConfig};

use std::fmt;
use std::io;
use std::time::Duration;

use farpane_media::{Bitrate, Time, VideoFormat};
use farpane_proto::PacketMeta;

/// One viewer's connection, seen from the host.
pub trait Transport: Send {
    /// Sleeps until a socket is readable, an internal timer is due, the waker was rung or `until` has come, whichever
    /// is first; then does what is due. Returns at once when events are waiting for [`Transport::poll_event`].
    ///
    /// # Errors
    /// The session is over and cannot be saved. Trouble with a datagram, an address or the path is no error.
    fn wait(&mut self, until: Time) -> Result<(), TransportError>;

    /// What has happened, oldest first. To be asked until `None` after each [`Transport::wait`].
    fn poll_event(&mut self) -> Option<Event>;

    /// Sends one RTP payload. While the path is not up, the payload is dropped: a new path starts with a key frame.
    ///
    /// # Errors
    /// The session is over and cannot be saved.
    fn send_video(&mut self, payload: &[u8], meta: &PacketMeta) -> Result<(), TransportError>;

    /// Sends one message on a data channel.
    ///
    /// # Errors
    /// The message was not taken: the viewer has not opened the channel, or has not yet received what was sent before.
    fn send(&mut self, channel: Channel, message: &[u8]) -> Result<(), SendError>;

    /// Ends a running or the next [`Transport::wait`] from any thread.
    fn waker(&self) -> Waker;

    /// The path as it is now.
    fn path(&self) -> PathStats;

    /// Takes a signalling message of the viewer; an offer is answered.
    ///
    /// # Errors
    /// The message makes no sense or asks for what cannot be given; the session goes on as before.
    fn handle_signal(&mut self, signal: Remote<'_>) -> Result<Option<String>, NegotiationError>;

    /// About how many bytes a picture takes that does without those that wait. If they are fewer they are sent, however stale,
    /// instead of being given up ([`Event::GivenUp`]) by transports that do.
    fn set_restart_cost(&mut self, _bytes: u64) {}

    /// Says goodbye to the viewer and gives up the sockets. Ends with [`Event::Closed`]; what is sent later is dropped.
    fn close(&mut self);
}

/// The data channels of a session, by their labels. All are opened by the viewer, which thereby chooses reliability.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Channel {
    /// Viewer to host, reliable and ordered: keys, buttons, wheel.
    Input,
    /// Viewer to host, unordered and unreliable: where the pointer is.
    Pointer,
    /// Host to viewer, reliable and ordered: the pointer's shape.
    Cursor,
    /// Both ways, reliable and ordered.
    Control,
    /// Host to viewer, unordered and unreliable: measurements.
    Stats,
}

impl Channel {
    pub const ALL: [Channel; 5] =
        [Channel::Input, Channel::Pointer, Channel::Cursor, Channel::Control, Channel::Stats];

    pub const fn label(self) -> &'static str {
        match self {
            Channel::Input => "input",
            Channel::Pointer => "pointer",
            Channel::Cursor => "cursor",
            Channel::Control => "control",
            Channel::Stats => "stats",
        }
    }

    pub fn from_label(label: &str) -> Option<Channel> {
        Channel::ALL.into_iter().find(|channel| channel.label() == label)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Media and messages can flow. Comes once.
    Connected {
        /// What the viewer shows and this host can send, by the viewer's preference; each once, one at least.
        formats: Vec<VideoFormat>,
        /// The viewer is told what each picture refers to, so that it shows any that refers to one it has; and
        /// [`Event::Arrived`] will come.
        references: bool,
        route: Route,
    },
    ChannelOpen(Channel),
    ChannelClosed(Channel),
    /// A message of the viewer.
    Data(Channel, Vec<u8>),
    /// The viewer cannot decode what follows without a new start. Not throttled here.
    KeyFrameRequest,
    /// The viewer has seen no frame for some seconds and wonders. Any frame will do, such as one without changes; if
    /// the last one was lost, the viewer then notices and has it sent again.
    FrameRequest,
    /// All packets of the picture with this [`PacketMeta::number`] are with the viewer.
    Arrived(u32),
    /// Pictures that had not left yet were dropped, as they had become stale. The next one must refer to none of them.
    GivenUp,
    /// What the path is believed to carry beside parity, when that has changed.
    Estimate(Bitrate),
    /// Nothing has come from the viewer for some seconds. It may come back by itself or by a new offer.
    PathLost,
    /// Followed, as after [`Event::Connected`], by the need for a key frame.
    PathRestored,
    /// Of several viewers, somebody has nothing to go on from: only a key frame will do.
    StartRequest,
    /// Of several viewers, somebody shows no more than this of what was agreed on.
    Formats(Vec<VideoFormat>),
    /// Of several viewers, another decides now: whether it has `references`, as in [`Event::Connected`].
    References(bool),
    /// Of several viewers, the one who controlled has left. Another may come.
    HandsOff,
    /// The viewer said goodbye, or [`Transport::close`] has finished. The last event.
    Closed,
}

/// A signalling message of the viewer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remote<'a> {
    /// A session description (RFC 8866) that restarts ICE.
    Offer(&'a str),
    /// A candidate attribute's value (RFC 8839, section 5.1); empty when there are no more.
    Candidate(&'a str),
}

/// How packets get to the viewer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    pub relayed: bool,
    pub protocol: Protocol,
    pub ipv6: bool,
}

/// What carries media.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    Udp,
    Tcp,
    WebSocket,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Protocol::Udp => "UDP",
            Protocol::Tcp => "TCP",
            Protocol::WebSocket => "WebSocket",
        })
    }
}

impl fmt::Display for Route {
    /// For people, as in "direct, UDP, IPv4".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let way = if self.relayed { "relayed" } else { "direct" };
        write!(f, "{way}, {}, IPv{}", self.protocol, if self.ipv6 { 6 } else { 4 })
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PathState {
    #[default]
    Connecting,
    Up,
    Lost,
    Closed,
}

/// A path's state and measurements.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PathStats {
    pub state: PathState,
    pub route: Option<Route>,
    /// What the path is believed to carry.
    pub estimate: Bitrate,
    /// `None` until measured.
    pub rtt: Option<Duration>,
    /// Share of packets lost on the way to the viewer over the last seconds, 0 to 1.
    pub loss: f32,
    /// All that was sent over the last second, overheads included.
    pub sent: Bitrate,
    /// What of it was sent for a second time.
    pub resent: Bitrate,
    /// What of it was parity, from which the viewer makes what gets lost.
    pub parity: Bitrate,
    /// Sent since the start, overheads included.
    pub bytes: u64,
    /// Video packets that wait for their turn in the pacer.
    pub queued_packets: usize,
    pub queued_bytes: usize,
    /// How long the oldest of them has waited.
    pub queued_for: Duration,
}

/// The session is over and cannot be saved.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    #[error("the operating system does not let this thread wait for the network: {0}")]
    Wait(#[from] io::Error),
    #[error("the session's protocols broke down: {0}")]
    Protocol(Box<dyn std::error::Error + Send + Sync>),
}

/// A message was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    #[error("the viewer has not opened this channel")]
    NotOpen,
    #[error("the channel is full; the viewer has not yet received what was sent before")]
    Full,
}

/// A viewer's signalling message was refused.
#[derive(Debug, thiserror::Error)]
pub enum NegotiationError {
    #[error(
        "the viewer offers no video codec that this host can send (AV1, or H.264 with packetization mode 1)"
    )]
    NoCommonCodec,
    #[error("the viewer's offer makes no sense: {0}")]
    MalformedOffer(String),
    #[error("the answer to this host's offer makes no sense: {0}")]
    MalformedAnswer(String),
    #[error("the viewer's candidate makes no sense: {0}")]
    MalformedCandidate(String),
    #[error("no network interface of this host can be used: {0}")]
    NoInterface(io::Error),
    #[error("the session has ended")]
    Ended,
}
