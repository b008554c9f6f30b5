//! One session by whichever way there is: WebRTC where it connects, else a stream through the meeting point.
//!
//! Both may be there at once. Messages of the viewer are taken from either; pictures and the host's messages go by WebRTC
//! as long as its path is up. A viewer opens a stream when nothing comes by WebRTC, which the host may not notice where only
//! its own packets get lost: from then on WebRTC counts once the viewer says something by it. Each change of the way is a path that is restored, and brings a key frame.

use std::collections::VecDeque;
use std::io;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

use farpane_media::{Clock, Time, VideoFormat};
use farpane_proto::PacketMeta;

use crate::{
    Channel, Event, NegotiationError, PathState, PathStats, Remote, SendError, Stream,
    StreamConfig, Transport, TransportError, Waker, WebRtc,
};

/// Streams that may wait to be taken: a viewer opens one after the other.
const STREAMS: usize = 4;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    WebRtc,
    Stream,
}

/// See the module.
pub struct Ways {
    clock: Clock,
    waker: Waker,
    /// Kept when it is over: what was agreed on with it holds.
    webrtc: Option<WebRtc>,
    webrtc_up: bool,
    webrtc_over: bool,
    /// A stream has come since the viewer was last heard by WebRTC.
    doubted: bool,
    /// As [`Transport::set_restart_cost`] was told.
    restart_cost: u64,
    coming: Receiver<StreamConfig>,
    stream: Option<Stream>,
    /// It has taken the place of another, and what was under way on that one is lost.
    anew: bool,
    way: Option<Way>,
    /// What pictures may be coded in, once a path has been there.
    agreed: Option<Vec<VideoFormat>>,
    closed: bool,
    events: VecDeque<Event>,
}

/// Brings streams to a running [`Ways`].
#[derive(Clone)]
pub struct Attach {
    going: SyncSender<StreamConfig>,
    waker: Waker,
}

impl Attach {
    /// Hands over a stream, which takes the place of an earlier one. Without effect when the session has ended, or when
    /// too many come at once.
    pub fn attach(&self, stream: StreamConfig) {
        match self.going.try_send(stream) {
            Ok(()) => self.waker.ring(),
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {}
        }
    }

    /// What a stream's incoming messages are announced by.
    pub fn waker(&self) -> Waker {
        self.waker.clone()
    }
}

impl Ways {
    /// With the WebRTC session that the viewer has offered, if it did. Streams come later by [`Attach`].
    ///
    /// # Errors
    /// The process has no file descriptor left.
    pub fn new(webrtc: Option<WebRtc>, clock: Clock) -> io::Result<(Ways, Attach)> {
        let waker = webrtc.as_ref().map_or_else(Waker::new, |webrtc| Ok(webrtc.waker()))?;
        let (going, coming) = sync_channel(STREAMS);
        let attach = Attach { going, waker: waker.clone() };
        let ways = Ways {
            clock,
            waker,
            webrtc,
            webrtc_up: false,
            webrtc_over: false,
            doubted: false,
            restart_cost: 0,
            coming,
            stream: None,
            anew: false,
            way: None,
            agreed: None,
            closed: false,
            events: VecDeque::new(),
        };
        Ok((ways, attach))
    }

    fn take_streams(&mut self) {
        while let Ok(config) = self.coming.try_recv() {
            let mut stream = Stream::new(config, self.clock);
            stream.set_references(self.references());
            stream.set_restart_cost(self.restart_cost);
            let shown = match &self.agreed {
                Some(agreed) => stream.shows(agreed),
                None => !self.common(&stream).is_empty(),
            };
            if !shown {
                tracing::debug!("a stream came that does not show what can be sent");
                continue;
            }
            self.stream = Some(stream);
            self.anew = true;
            self.doubted = true;
        }
    }

    fn references(&self) -> bool {
        self.webrtc.as_ref().is_none_or(WebRtc::references)
    }

    /// What can be sent by every way, so that pictures can change from one to the other.
    fn common(&self, stream: &Stream) -> Vec<VideoFormat> {
        let mut formats = stream.formats().to_vec();
        if let Some(webrtc) = &self.webrtc {
            formats.retain(|format| webrtc.formats().any(|known| known == *format));
        }
        formats
    }

    fn take_events(&mut self) {
        while let Some(event) = self.webrtc.as_mut().and_then(Transport::poll_event) {
            match event {
                Event::Connected { .. } | Event::PathRestored => {
                    self.webrtc_up = true;
                    self.doubted = false;
                }
                Event::PathLost => self.webrtc_up = false,
                Event::Closed if self.webrtc_over => self.webrtc_up = false,
                Event::Closed => {
                    self.webrtc_up = false;
                    // It was the viewer's goodbye, unless the viewer never was there.
                    self.closed |= self.way != Some(Way::Stream);
                }
                event => {
                    self.doubted &= !matches!(event, Event::Data(..));
                    self.pass_on(Way::WebRtc, event);
                }
            }
        }
        if let Some(mut stream) = self.stream.take() {
            stream.run();
            while let Some(event) = stream.poll_event() {
                self.pass_on(Way::Stream, event);
            }
            // The viewer opens another when it needs one.
            self.stream = stream.is_up().then_some(stream);
        }
    }

    /// What concerns pictures counts only from the way that they take.
    fn pass_on(&mut self, from: Way, event: Event) {
        match event {
            Event::ChannelOpen(_) | Event::ChannelClosed(_) | Event::Data(..) => {
                self.events.push_back(event);
            }
            event if self.way == Some(from) => self.events.push_back(event),
            _ => {}
        }
    }

    fn choose(&mut self) {
        let stream = self.stream.as_ref();
        let way = match (self.webrtc_up && !(self.doubted && stream.is_some()), stream) {
            (true, _) => Some(Way::WebRtc),
            (false, Some(_)) => Some(Way::Stream),
            (false, None) => None,
        };
        let anew = std::mem::take(&mut self.anew) && way == Some(Way::Stream);
        if way == self.way && !anew {
            return;
        }
        let before = std::mem::replace(&mut self.way, way);
        let again = self.agreed.is_some();
        let event = match way {
            None => Event::PathLost,
            Some(_) if again => Event::PathRestored,
            Some(_) => self.first(),
        };
        self.events.push_back(event);
        if way == Some(Way::Stream) && (anew || before.is_none()) {
            self.events.push_back(Event::ChannelOpen(Channel::Control));
        }
        if way == Some(Way::Stream) || way.is_some() && again {
            // A shape of the pointer may be lost with the way that it went.
            self.events.push_back(Event::ChannelOpen(Channel::Cursor));
        }
        if way.is_some() {
            self.events.push_back(Event::Estimate(self.path().estimate));
        }
    }

    /// WebRTC is over, the session is not: a stream is there, or may come as long as a path is waited for.
    fn go_without(&mut self, error: TransportError) -> Result<(), TransportError> {
        let TransportError::Protocol(why) = error else { return Err(error) };
        tracing::info!(%why, "WebRTC has broken down");
        self.webrtc_over = true;
        self.webrtc_up = false;
        self.webrtc.as_mut().expect("it was waited for").close();
        Ok(())
    }

    fn first(&mut self) -> Event {
        let formats = match (&self.stream, &self.webrtc) {
            (Some(stream), _) => self.common(stream),
            (None, Some(webrtc)) => webrtc.formats().collect(),
            (None, None) => Vec::new(),
        };
        self.agreed = Some(formats.clone());
        let route = self.path().route.expect("a path that is up has a route");
        Event::Connected { formats, references: self.references(), route }
    }
}

impl Transport for Ways {
    fn wait(&mut self, until: Time) -> Result<(), TransportError> {
        self.take_streams();
        if self.events.is_empty() && !self.closed {
            let due = self.stream.as_ref().map_or(Time::NEVER, Stream::poll_timeout);
            let until = until.min(due);
            match self.webrtc.as_mut().filter(|_| !self.webrtc_over) {
                Some(webrtc) => {
                    if let Err(error) = webrtc.wait(until) {
                        self.go_without(error)?;
                    }
                }
                None => {
                    let timeout = (until != Time::NEVER).then(|| until.since(self.clock.now()));
                    self.waker.sleep(timeout)?;
                    self.waker.answer();
                }
            }
        }
        self.take_streams();
        self.take_events();
        if std::mem::take(&mut self.closed) {
            self.way = None;
            self.events.push_back(Event::Closed);
        } else {
            self.choose();
        }
        Ok(())
    }

    fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    fn send_video(&mut self, payload: &[u8], meta: &PacketMeta) -> Result<(), TransportError> {
        match (self.way, &mut self.webrtc, &mut self.stream) {
            (Some(Way::WebRtc), Some(webrtc), _) => webrtc.send_video(payload, meta),
            (Some(Way::Stream), _, Some(stream)) => {
                stream.send_video(payload, meta);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn send(&mut self, channel: Channel, message: &[u8]) -> Result<(), SendError> {
        match (self.way, &mut self.webrtc, &mut self.stream) {
            (Some(Way::Stream), _, Some(stream)) => stream.send(channel, message),
            (_, Some(webrtc), _) => webrtc.send(channel, message),
            _ => Err(SendError::NotOpen),
        }
    }

    fn waker(&self) -> Waker {
        self.waker.clone()
    }

    fn path(&self) -> PathStats {
        match (self.way, &self.webrtc, &self.stream) {
            (Some(Way::Stream), _, Some(stream)) => stream.path(),
            (_, Some(webrtc), _) => webrtc.path(),
            _ => PathStats::default(),
        }
    }

    fn set_restart_cost(&mut self, bytes: u64) {
        self.restart_cost = bytes;
        if let Some(webrtc) = &mut self.webrtc {
            webrtc.set_restart_cost(bytes);
        }
        if let Some(stream) = &mut self.stream {
            stream.set_restart_cost(bytes);
        }
    }

    fn handle_signal(&mut self, signal: Remote<'_>) -> Result<Option<String>, NegotiationError> {
        match self.webrtc.as_mut().filter(|_| !self.webrtc_over) {
            Some(webrtc) => webrtc.handle_signal(signal),
            None => Err(NegotiationError::Ended),
        }
    }

    fn close(&mut self) {
        // A stream ends with its WebSocket.
        if let Some(mut stream) = self.stream.take() {
            stream.run();
        }
        if let Some(webrtc) = &mut self.webrtc {
            webrtc.close();
        }
        self.closed = true;
        self.way = None;
    }
}

impl std::fmt::Debug for Ways {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let state = if self.way.is_some() { PathState::Up } else { PathState::Lost };
        f.debug_struct("Ways")
            .field("way", &self.way)
            .field("state", &state)
            .finish_non_exhaustive()
    }
}
