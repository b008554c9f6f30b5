//! A shared desktop: who gets in, who is asked, and how long it lasts.
//!
//! [`share`] runs until it is stopped. It issues a one-time code, lets whoever knows it through the key exchange, has the
//! person at the host asked, and then hands desktop and viewer to the engine. A code is good for one viewer; when there is
//! room for another, or a code has expired unused, a new one is issued, and the old one goes on being refused with its
//! reason. Nothing of SDP or ICE is looked at before the key exchange has passed and consent was given.

#![forbid(unsafe_code)]

mod admission;
mod hall;
mod session;
mod share;
mod streams;
mod visitor;

pub use share::{ShareError, share};
pub use visitor::Visitor;

pub use farpane_auth::{Code, RoutingId};
pub use farpane_codec::{formats, has_layers};
pub use farpane_desktop::{OpenError, Source};
pub use farpane_engine::Report;
pub use farpane_media::{Chroma, Codec, VideoFormat};
pub use farpane_transport::{Caller, Door, Take};
pub use farpane_wire::v1::{EndReason, RefusalReason};

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

/// How long the person at the host has to answer; then it is a no.
pub const CONSENT_TIME: Duration = Duration::from_secs(60);

/// What to share and how.
#[derive(Clone, Debug)]
pub struct ShareConfig {
    pub source: Source,
    /// Let in whoever knows the code, without asking.
    pub accept: bool,
    /// Show, but take no input.
    pub view_only: bool,
    /// So many may view at a time, one at least. One of them controls: whoever came when nobody did.
    pub viewers: usize,
    /// Code in two temporal layers where the encoder can, so that slow viewers are sent every second picture.
    pub temporal_layers: bool,
    /// What pictures may be coded in.
    pub formats: Vec<VideoFormat>,
    /// What the viewer is told this machine is called.
    pub host_name: String,
    /// Where media comes in by TCP if no UDP gets through; without it, only UDP will do.
    pub door: Option<Arc<dyn Door>>,
}

/// What happens to a share, in order, for whoever shows it to people.
#[derive(Debug)]
pub enum Event {
    /// Something the person should know: what this desktop cannot do.
    Note(String),
    /// This code lets one viewer in for so long.
    Ready {
        code: Code,
        expires_in: Duration,
    },
    /// Somebody who knows the code asks to come in. No answer within [`CONSENT_TIME`] is a no.
    Asked {
        from: SocketAddr,
        reply: oneshot::Sender<bool>,
    },
    /// The question is settled: by the answer, by the clock or because the viewer went away.
    Answered {
        from: SocketAddr,
        admitted: bool,
    },
    /// Somebody was turned away.
    Refused {
        from: SocketAddr,
        reason: RefusalReason,
    },
    Connected {
        from: SocketAddr,
        route: String,
        format: VideoFormat,
    },
    /// The path is gone; it may come back.
    Reconnecting {
        from: SocketAddr,
    },
    /// Of several viewers, the one whose path decides what is sent.
    Report(Report),
    /// The viewer is gone and everything of its session is freed.
    Disconnected {
        from: SocketAddr,
        reason: EndReason,
        detail: String,
    },
}
