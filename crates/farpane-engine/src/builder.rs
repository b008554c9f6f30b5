//! How a session is set up.

use std::time::Duration;

use farpane_desktop::Desktop;
use farpane_media::{Bitrate, Clock};
use farpane_transport::Transport;

use crate::{Engine, Event, OpenEncoder, threads};

/// How long a lost path may take to come back, unless something else is said: as long as the page looks for one. Time to
/// open a laptop again or to walk to another network.
pub const PATH_PATIENCE: Duration = Duration::from_secs(60);

/// What one session runs with; see [`Builder`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Config {
    pub open_encoder: OpenEncoder,
    pub encoder_threads: u32,
    pub max_fps: u32,
    pub max_bitrate: Bitrate,
    pub view_only: bool,
    pub layered: bool,
    pub path_patience: Duration,
}

/// Sets a session up. What is not said is as a person at a browser wants it.
#[must_use = "nothing runs before `start`"]
pub struct Builder {
    config: Config,
    events: Box<dyn FnMut(Event) + Send>,
}

impl Builder {
    pub(crate) fn new() -> Builder {
        let config = Config {
            open_encoder: farpane_codec::open,
            encoder_threads: 2,
            max_fps: 60,
            max_bitrate: Bitrate::bps(u64::MAX),
            view_only: false,
            layered: false,
            path_patience: PATH_PATIENCE,
        };
        Builder { config, events: Box::new(|_| ()) }
    }

    /// Shows the desktop and ignores all input of the viewer.
    pub fn view_only(mut self, view_only: bool) -> Builder {
        self.config.view_only = view_only;
        self
    }

    /// Frames a second at most, and one at least: 60. Fewer come when less changes.
    pub fn max_fps(mut self, fps: u32) -> Builder {
        self.config.max_fps = fps.max(1);
        self
    }

    /// What pictures take at most, however much the path carries: no limit but what their size needs.
    pub fn max_bitrate(mut self, most: Bitrate) -> Builder {
        self.config.max_bitrate = most;
        self
    }

    /// Threads that code a picture together: 2.
    pub fn encoder_threads(mut self, threads: u32) -> Builder {
        self.config.encoder_threads = threads.max(1);
        self
    }

    /// Codes what moves in two temporal layers where the encoder can (L1T2: AV1 by libaom): a viewer whose path carries less than
    /// another's, or a server that passes pictures on, can leave out every second picture. It takes a tenth to two fifths more
    /// bits. Not unless it is said.
    pub fn temporal_layers(mut self, layered: bool) -> Builder {
        self.config.layered = layered;
        self
    }

    /// Makes the encoders for the formats that the transport has negotiated: [`farpane_codec::open`].
    pub fn open_encoder(mut self, open: OpenEncoder) -> Builder {
        self.config.open_encoder = open;
        self
    }

    /// How long a lost path may take to come back before the session ends: [`PATH_PATIENCE`].
    pub fn path_patience(mut self, patience: Duration) -> Builder {
        self.config.path_patience = patience;
        self
    }

    /// Is told what happens, by a thread of the session that must not be kept waiting.
    pub fn on_event(mut self, events: impl FnMut(Event) + Send + 'static) -> Builder {
        self.events = Box::new(events);
        self
    }

    /// Starts the threads. Capturing begins at once, so that the first picture is ready when the path is. `clock` is the
    /// one that desktop and transport were made with.
    pub fn start(
        self,
        desktop: Desktop,
        transport: impl Transport + 'static,
        clock: Clock,
    ) -> Engine {
        threads::spawn(desktop, Box::new(transport), self.config, clock, self.events)
    }
}
