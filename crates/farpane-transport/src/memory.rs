//! A transport between two halves of one process, for tests of what drives a transport.
//!
//! Nothing is lost, delayed or reordered, and nothing happens that the far half did not ask for.

use std::collections::{HashSet, VecDeque};
use std::io;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use farpane_media::{Bitrate, Clock, Time, VideoFormat};
use farpane_proto::PacketMeta;

use crate::{
    Channel, Event, NegotiationError, PathState, PathStats, Protocol, Remote, Route, SendError,
    Transport, TransportError, Waker,
};

/// What the near half did, in the order it did it.
#[derive(Clone, Debug, PartialEq)]
pub enum Sent {
    Video { payload: Vec<u8>, meta: PacketMeta },
    Message(Channel, Vec<u8>),
    Offer(String),
    Candidate(String),
    Closed,
}

/// The near half: the transport.
#[derive(Debug)]
pub struct Memory {
    clock: Clock,
    waker: Waker,
    incoming: Receiver<Event>,
    outgoing: Sender<Sent>,
    path: Arc<Mutex<PathStats>>,
    events: VecDeque<Event>,
    open: HashSet<Channel>,
}

/// The far half: the test.
#[derive(Debug)]
pub struct Far {
    waker: Waker,
    outgoing: Sender<Event>,
    incoming: Receiver<Sent>,
    path: Arc<Mutex<PathStats>>,
}

/// Two connected halves. The path is [`PathState::Connecting`] until [`Far::connect`].
///
/// # Errors
/// The process has no file descriptor left.
pub fn pair(clock: Clock) -> io::Result<(Memory, Far)> {
    let waker = Waker::new()?;
    let (to_near, incoming) = channel();
    let (outgoing, from_near) = channel();
    let path = Arc::<Mutex<PathStats>>::default();
    let (events, open) = (VecDeque::new(), HashSet::new());
    let far = Far {
        waker: waker.clone(),
        outgoing: to_near,
        incoming: from_near,
        path: Arc::clone(&path),
    };
    Ok((Memory { clock, waker, incoming, outgoing, path, events, open }, far))
}

impl Far {
    /// A direct path of `estimate`, with every channel open, to a viewer that shows what every browser does.
    pub fn connect(&self, estimate: Bitrate) {
        self.connect_showing(vec![VideoFormat::default()], estimate);
    }

    /// The same with a viewer that shows `formats`.
    pub fn connect_showing(&self, formats: Vec<VideoFormat>, estimate: Bitrate) {
        let route = Route { relayed: false, protocol: Protocol::Udp, ipv6: false };
        self.set_path(PathStats {
            state: PathState::Up,
            route: Some(route),
            estimate,
            ..PathStats::default()
        });
        self.emit(Event::Connected { formats, references: false, route });
        Channel::ALL.into_iter().for_each(|channel| self.emit(Event::ChannelOpen(channel)));
        self.emit(Event::Estimate(estimate));
    }

    /// Lets `event` happen at the near half.
    pub fn emit(&self, event: Event) {
        // The near half may be gone already; then nobody is there to see the event.
        let _ = self.outgoing.send(event);
        self.waker.ring();
    }

    /// What [`Transport::path`] says from now on, except for its `state`, which follows the events.
    pub fn set_path(&self, path: PathStats) {
        *self.path.lock().unwrap_or_else(PoisonError::into_inner) = path;
    }

    /// What the near half did next, waiting for it for at most `timeout`; `None` when that has passed or the near half
    /// is gone.
    pub fn recv(&self, timeout: Duration) -> Option<Sent> {
        self.incoming.recv_timeout(timeout).ok()
    }

    /// What the near half has done so far and nobody has looked at yet.
    pub fn drain(&self) -> Vec<Sent> {
        self.incoming.try_iter().collect()
    }
}

impl Memory {
    fn take_in(&mut self) {
        while let Ok(event) = self.incoming.try_recv() {
            match &event {
                Event::ChannelOpen(channel) => _ = self.open.insert(*channel),
                Event::ChannelClosed(channel) => _ = self.open.remove(channel),
                Event::Connected { .. } | Event::PathRestored => self.set_state(PathState::Up),
                Event::PathLost => self.set_state(PathState::Lost),
                Event::Closed => self.set_state(PathState::Closed),
                Event::Data(..)
                | Event::KeyFrameRequest
                | Event::FrameRequest
                | Event::Arrived(_)
                | Event::GivenUp
                | Event::StartRequest
                | Event::Formats(_)
                | Event::References(_)
                | Event::HandsOff
                | Event::Estimate(_) => {}
            }
            self.events.push_back(event);
        }
    }

    fn set_state(&self, state: PathState) {
        self.path.lock().unwrap_or_else(PoisonError::into_inner).state = state;
    }

    fn say(&self, sent: Sent) {
        // A far half that is gone takes no notice, as a viewer that has gone would not.
        let _ = self.outgoing.send(sent);
    }
}

impl Transport for Memory {
    fn wait(&mut self, until: Time) -> Result<(), TransportError> {
        self.take_in();
        if self.events.is_empty() {
            let timeout = (until != Time::NEVER).then(|| until.since(self.clock.now()));
            self.waker.sleep(timeout)?;
        }
        self.waker.answer();
        self.take_in();
        Ok(())
    }

    fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    fn send_video(&mut self, payload: &[u8], meta: &PacketMeta) -> Result<(), TransportError> {
        if self.path().state == PathState::Up {
            self.say(Sent::Video { payload: payload.to_vec(), meta: *meta });
        }
        Ok(())
    }

    fn send(&mut self, channel: Channel, message: &[u8]) -> Result<(), SendError> {
        if !self.open.contains(&channel) {
            return Err(SendError::NotOpen);
        }
        self.say(Sent::Message(channel, message.to_vec()));
        Ok(())
    }

    fn waker(&self) -> Waker {
        self.waker.clone()
    }

    fn path(&self) -> PathStats {
        *self.path.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn handle_signal(&mut self, signal: Remote<'_>) -> Result<Option<String>, NegotiationError> {
        match signal {
            Remote::Offer(sdp) => {
                self.say(Sent::Offer(sdp.to_owned()));
                Ok(Some("v=0".to_owned()))
            }
            Remote::Candidate(candidate) => {
                self.say(Sent::Candidate(candidate.to_owned()));
                Ok(None)
            }
        }
    }

    fn close(&mut self) {
        if self.path().state != PathState::Closed {
            self.set_state(PathState::Closed);
            self.open.clear();
            self.say(Sent::Closed);
            self.events.push_back(Event::Closed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connected() -> (Memory, Far) {
        let (mut near, far) = pair(Clock::start()).unwrap();
        far.connect(Bitrate::mbps(8));
        near.wait(Time::NEVER).unwrap();
        (near, far)
    }

    #[test]
    fn nothing_flows_before_the_path_is_up() {
        let (mut near, far) = pair(Clock::start()).unwrap();
        near.send_video(b"frame", &PacketMeta::default()).unwrap();
        assert_eq!(near.send(Channel::Stats, b"one"), Err(SendError::NotOpen));
        assert_eq!(far.drain(), []);
    }

    #[test]
    fn both_ways_in_order() {
        let (mut near, far) = connected();
        assert_eq!(near.path().state, PathState::Up);
        let meta = PacketMeta { marker: true, ..PacketMeta::default() };
        near.send_video(b"frame", &meta).unwrap();
        near.send(Channel::Stats, b"one").unwrap();
        let video = Sent::Video { payload: b"frame".to_vec(), meta };
        assert_eq!(far.drain(), [video, Sent::Message(Channel::Stats, b"one".to_vec())]);

        while near.poll_event().is_some() {}
        far.emit(Event::Data(Channel::Input, b"key".to_vec()));
        far.emit(Event::PathLost);
        near.wait(Time::NEVER).unwrap();
        assert_eq!(near.poll_event(), Some(Event::Data(Channel::Input, b"key".to_vec())));
        assert_eq!(near.path().state, PathState::Lost);
    }

    #[test]
    fn waiting_ends_at_its_deadline_and_by_the_waker() {
        let (mut near, _far) = pair(Clock::start()).unwrap();
        near.wait(Time::ZERO).unwrap();
        near.waker().ring();
        near.wait(Time::NEVER).unwrap();
        assert_eq!(near.poll_event(), None);
    }

    #[test]
    fn closing_is_said_once() {
        let (mut near, far) = connected();
        near.close();
        near.close();
        assert_eq!(far.drain(), [Sent::Closed]);
        assert_eq!(near.send(Channel::Control, b"late"), Err(SendError::NotOpen));
    }
}
