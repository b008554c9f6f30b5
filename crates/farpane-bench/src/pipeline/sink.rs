//! A transport to nobody: packets go onto a link of a given rate, in time, and are forgotten at its end.
//!
//! The engine meets what it meets on a network: a path that is up, an estimate of what it carries, bytes that wait. What
//! it does not meet is what networks do to packets, and the cost of encryption and of system calls.

use std::collections::VecDeque;
use std::sync::mpsc::Sender;
use std::time::Duration;

use farpane_media::{Bitrate, Clock, Time, VideoFormat};
use farpane_proto::PacketMeta;
use farpane_transport::{
    Channel, Event, NegotiationError, PathState, PathStats, Remote, Route, SendError, Transport,
    TransportError, Waker,
};

use crate::link::Link;

/// Headers of RTP (RFC 3550), UDP and IPv4.
const RTP: usize = 12;
const IP: usize = 8 + 20;

/// While bytes wait, the engine is woken so often to look at them: a packet takes as long at 10 Mb/s.
const STEP: Duration = Duration::from_millis(1);

const ROUTE: Route =
    Route { relayed: false, protocol: farpane_transport::Protocol::Udp, ipv6: false };

/// A frame's packets on the link.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Carried {
    pub packets: u32,
    /// With their headers.
    pub bytes: u64,
    /// From its first byte to its last.
    pub from: Time,
    pub until: Time,
    /// Bytes on the link when its last packet was put there.
    pub backlog: u64,
}

pub(crate) struct Sink {
    clock: Clock,
    waker: Waker,
    rate: Bitrate,
    link: Link,
    events: VecDeque<Event>,
    state: PathState,
    bytes: u64,
    /// What of the present frame is on the link.
    frame: Option<Carried>,
    carried: Sender<Carried>,
}

impl Sink {
    /// Tells `carried` of each frame that is more than a sign of life.
    pub fn new(
        format: VideoFormat,
        rate: Bitrate,
        clock: Clock,
        carried: Sender<Carried>,
    ) -> std::io::Result<Sink> {
        let connected = Event::Connected { formats: vec![format], references: false, route: ROUTE };
        let channels = Channel::ALL.into_iter().map(Event::ChannelOpen);
        Ok(Sink {
            clock,
            waker: Waker::new()?,
            rate,
            link: Link::new(rate),
            events: std::iter::once(connected).chain(channels).collect(),
            state: PathState::Up,
            bytes: 0,
            frame: None,
            carried,
        })
    }

    /// Puts `bytes` on the link; returns from when to when it carries them.
    fn put(&mut self, now: Time, bytes: usize) -> (Time, Time) {
        self.bytes += bytes as u64;
        let from = now + self.link.backlog(now);
        (from, self.link.send(now, bytes))
    }

    fn backlog(&self, now: Time) -> u64 {
        self.rate.bytes_in(self.link.backlog(now))
    }
}

impl Transport for Sink {
    fn wait(&mut self, until: Time) -> Result<(), TransportError> {
        if self.events.is_empty() {
            let now = self.clock.now();
            let drained = match self.link.backlog(now) {
                Duration::ZERO => Time::NEVER,
                backlog => now + backlog.min(STEP),
            };
            let until = until.min(drained);
            self.waker.sleep((until != Time::NEVER).then(|| until.since(now)))?;
        }
        self.waker.answer();
        Ok(())
    }

    fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    fn send_video(&mut self, payload: &[u8], meta: &PacketMeta) -> Result<(), TransportError> {
        if self.state != PathState::Up {
            return Ok(());
        }
        let now = self.clock.now();
        let bytes = payload.len() + RTP + IP;
        let (from, until) = self.put(now, bytes);
        let begun = self.frame.take().filter(|_| !meta.first_of_frame);
        let mut frame = begun.unwrap_or(Carried { packets: 0, bytes: 0, from, until, backlog: 0 });
        frame.packets += 1;
        frame.bytes += bytes as u64;
        (frame.until, frame.backlog) = (until, self.backlog(now));
        if !meta.marker {
            self.frame = Some(frame);
        } else if !meta.keep_alive {
            // Whoever does not listen any more has what it wanted.
            let _ = self.carried.send(frame);
        }
        Ok(())
    }

    fn send(&mut self, _: Channel, message: &[u8]) -> Result<(), SendError> {
        self.put(self.clock.now(), message.len() + IP);
        Ok(())
    }

    fn waker(&self) -> Waker {
        self.waker.clone()
    }

    fn path(&self) -> PathStats {
        PathStats {
            state: self.state,
            route: Some(ROUTE),
            estimate: self.rate,
            bytes: self.bytes,
            queued_bytes: self.backlog(self.clock.now()) as usize,
            ..PathStats::default()
        }
    }

    fn handle_signal(&mut self, _: Remote<'_>) -> Result<Option<String>, NegotiationError> {
        Err(NegotiationError::Ended)
    }

    fn close(&mut self) {
        if self.state != PathState::Closed {
            self.state = PathState::Closed;
            self.events.push_back(Event::Closed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

    fn packet(first: bool, last: bool) -> PacketMeta {
        PacketMeta { first_of_frame: first, marker: last, ..PacketMeta::default() }
    }

    #[test]
    fn a_frame_is_told_with_its_headers_and_its_time_on_the_link() {
        let (told, carried) = channel();
        let rate = Bitrate::mbps(8);
        let mut sink = Sink::new(VideoFormat::default(), rate, Clock::start(), told).unwrap();
        sink.send_video(&[0; 960], &packet(true, false)).unwrap();
        assert!(carried.try_recv().is_err(), "the frame is not complete");
        sink.send_video(&[0; 460], &packet(false, true)).unwrap();
        let frame = carried.try_recv().unwrap();
        assert_eq!((frame.packets, frame.bytes), (2, 1_500));
        // At 8 Mb/s a byte takes a microsecond.
        assert!(frame.until.since(frame.from) >= Duration::from_micros(1_500));
        assert!(frame.backlog <= 1_500);

        let keep_alive = PacketMeta { keep_alive: true, ..packet(true, true) };
        sink.send_video(&[0; 60], &keep_alive).unwrap();
        assert!(carried.try_recv().is_err(), "a sign of life is no frame");
        assert_eq!(sink.path().bytes, 1_600);
    }

    #[test]
    fn what_waits_drains_and_the_waiting_thread_is_woken() {
        let clock = Clock::start();
        let (told, _carried) = channel();
        let mut sink = Sink::new(VideoFormat::default(), Bitrate::mbps(8), clock, told).unwrap();
        while sink.poll_event().is_some() {}
        sink.send_video(&[0; 1_000], &packet(true, true)).unwrap();
        // Returns although nothing is due and nobody rings.
        while sink.path().queued_bytes > 0 {
            sink.wait(Time::NEVER).unwrap();
        }
        assert!(clock.now() >= Time::from_micros(1_040));
    }

    #[test]
    fn nothing_is_carried_after_the_end() {
        let (told, carried) = channel();
        let mut sink =
            Sink::new(VideoFormat::default(), Bitrate::mbps(8), Clock::start(), told).unwrap();
        sink.close();
        sink.send_video(&[0; 100], &packet(true, true)).unwrap();
        assert!(carried.try_recv().is_err());
        assert_eq!(std::iter::from_fn(|| sink.poll_event()).last(), Some(Event::Closed));
    }
}
