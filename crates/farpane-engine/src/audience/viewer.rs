//! The thread of one of several viewers: drives its transport and does what concerns it alone.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::mpsc;
use std::time::Duration;

use farpane_codec::Selector;
use farpane_media::{Clock, Time, VideoFormat};
use farpane_queue::Consumer;
use farpane_transport::{
    Channel, Event as Happened, Remote, SendError, Transport, TransportError, Waker,
};
use farpane_wire::v1::{ControlMessage, EndReason, Ended, Pong, StatsMessage, control_message};
use farpane_wire::{MAX_CHANNEL_BYTES, Message};

use super::follow::Follow;
use super::{Down, Picture, Up};
use crate::net::{GOODBYE, report_path};
use crate::{Event, Signal, SignalReply};

/// New pictures wait while the transport holds more than it sends in this time.
const BACKLOG: Duration = Duration::from_millis(25);
/// Messages that wait for a viewer who has not received those before. Beyond it the oldest is lost.
const UNSENT: usize = 64;
/// The path is looked at so often by whoever asks for its state.
const PATH_EVERY: Duration = Duration::from_millis(100);

/// A path that has taken nothing for so long is stuck, and for so long after it goes on counts as one that will be again.
const STUCK: Duration = Duration::from_secs(1);
const RECOVERING: Duration = Duration::from_secs(5);
/// A viewer is turned away when it does not show what has come for so long.
const UNSHOWN: Duration = Duration::from_secs(5);

/// What the viewer's owner asks of its thread.
pub(super) enum Command {
    Signal(Signal, SignalReply),
    End { reason: EndReason, detail: String },
}

/// What both threads look at, the viewer's and the one for all.
#[derive(Default)]
pub(super) struct Gauge {
    /// What is coded goes by this viewer.
    pub leads: AtomicBool,
    /// The viewer sees nothing, or no longer what is there now, until it is given a start.
    pub lacks: AtomicBool,
    /// What is sent piles up before the viewer's path.
    pub stuck: AtomicBool,
    /// Bytes of pictures that the viewer's thread has not taken yet, and that its transport has not sent.
    pub pending: AtomicU64,
    pub queued: AtomicU64,
    /// As [`Transport::set_restart_cost`] is to be told when the viewer leads.
    pub restart_cost: AtomicU64,
}

/// See the module.
pub(super) struct Thread {
    pub clock: Clock,
    pub transport: Box<dyn Transport>,
    /// May act on the desktop.
    pub controls: bool,
    pub patience: Duration,
    pub gauge: Arc<Gauge>,
    pub down: Consumer<Down>,
    pub up: mpsc::Sender<Up>,
    /// Of whoever reads `up`.
    pub waker: Waker,
    pub commands: mpsc::Receiver<Command>,
    pub events: Box<dyn FnMut(Event) + Send>,
}

/// The viewer is leaving.
struct Over {
    reason: EndReason,
    detail: String,
    /// It does not know yet and can be told.
    tell: bool,
}

impl Over {
    fn left() -> Over {
        Over { reason: EndReason::EndViewerLeft, detail: String::new(), tell: false }
    }
}

impl From<TransportError> for Over {
    fn from(error: TransportError) -> Over {
        Over { reason: EndReason::EndHostError, detail: error.to_string(), tell: false }
    }
}

struct Viewer {
    outside: Thread,
    follow: Follow,
    /// Messages that the viewer could not be told yet.
    unsent: VecDeque<(Channel, Arc<[u8]>)>,
    /// Where messages are encoded.
    message: Vec<u8>,
    formats: Vec<VideoFormat>,
    /// Since when pictures have come that are coded in nothing of that.
    unshown_since: Option<Time>,
    up: bool,
    hidden: bool,
    stuck_until: Time,
    /// Since when there is no path: at first since the start.
    no_path_since: Option<Time>,
    path_at: Time,
}

impl Thread {
    pub fn run(self) {
        let now = self.clock.now();
        let mut viewer = Viewer {
            outside: self,
            follow: Follow::default(),
            unsent: VecDeque::new(),
            message: Vec::new(),
            formats: Vec::new(),
            unshown_since: None,
            up: false,
            hidden: false,
            stuck_until: Time::ZERO,
            no_path_since: Some(now),
            path_at: Time::ZERO,
        };
        let over = loop {
            if let Err(over) = viewer.turn() {
                break over;
            }
        };
        viewer.end(over);
    }
}

impl Viewer {
    /// One wait and everything that came of it.
    fn turn(&mut self) -> Result<(), Over> {
        while let Ok(command) = self.outside.commands.try_recv() {
            match command {
                Command::Signal(signal, reply) => {
                    let remote = match &signal {
                        Signal::Offer(sdp) => Remote::Offer(sdp),
                        Signal::Candidate(candidate) => Remote::Candidate(candidate),
                    };
                    reply(self.outside.transport.handle_signal(remote));
                }
                Command::End { reason, detail } => {
                    return Err(Over { reason, detail, tell: true });
                }
            }
        }
        // Before what it holds is looked at: all that was said before the end counts.
        let ended = self.outside.down.is_closed();
        let mut taken = 0;
        while let Some(down) = self.outside.down.pop() {
            match down {
                Down::Picture(picture) => {
                    taken += picture.bytes() as u64;
                    self.take(picture)?;
                }
                Down::Message(channel, message) => self.pass_down(channel, message)?,
                Down::End { reason, detail } => return Err(Over { reason, detail, tell: true }),
            }
        }
        if ended {
            return Err(Over { reason: EndReason::EndStopped, detail: String::new(), tell: true });
        }
        let now = self.outside.clock.now();
        self.send_waiting(now)?;
        self.send_messages();
        self.gauge(now, taken);
        let due = self.timers(now)?;
        self.outside.transport.wait(due)?;
        while let Some(event) = self.outside.transport.poll_event() {
            self.happened(event)?;
        }
        Ok(())
    }

    fn take(&mut self, picture: Arc<Picture>) -> Result<(), Over> {
        let now = self.outside.clock.now();
        if !self.up || self.hidden {
            self.follow.handle_loss();
            return Ok(());
        }
        if !self.shows(now, &picture)? {
            return Ok(());
        }
        self.follow.push(now, picture);
        self.send_waiting(now)
    }

    /// Pictures that were under way when a newcomer came may be of another format. Others can only be if nothing that it
    /// shows can be coded here.
    fn shows(&mut self, now: Time, picture: &Picture) -> Result<bool, Over> {
        if picture.payloads().next().is_none_or(|(_, meta)| self.formats.contains(&meta.format)) {
            self.unshown_since = None;
            return Ok(true);
        }
        let since = *self.unshown_since.get_or_insert(now);
        if now.since(since) >= UNSHOWN {
            let detail = "this browser does not show what this desktop can be sent in".to_owned();
            return Err(Over { reason: EndReason::EndHostError, detail, tell: true });
        }
        Ok(false)
    }

    /// What was coded for this viewer's path goes at once; the transport says when it is too much.
    fn send_waiting(&mut self, now: Time) -> Result<(), Over> {
        let leads = self.outside.gauge.leads.load(Acquire);
        // For a viewer that does not lead nothing is coded that does without what was given up.
        let cost = if leads { self.outside.gauge.restart_cost.load(Relaxed) } else { u64::MAX };
        self.outside.transport.set_restart_cost(cost);
        while leads || !self.is_backed_up() {
            let Some(picture) = self.follow.pop(now) else { break };
            for (payload, meta) in picture.payloads() {
                self.outside.transport.send_video(payload, meta)?;
            }
        }
        self.follow.handle_timeout(now);
        Ok(())
    }

    fn is_backed_up(&self) -> bool {
        let path = self.outside.transport.path();
        path.queued_bytes as u64 > path.estimate.bytes_in(BACKLOG)
    }

    /// Shows the one for all how it stands here.
    fn gauge(&mut self, now: Time, taken: u64) {
        let gauge = &self.outside.gauge;
        let path = self.outside.transport.path();
        let before = gauge.queued.swap(path.queued_bytes as u64, Relaxed);
        gauge.pending.fetch_sub(taken, AcqRel);
        let lacks = self.up && !self.hidden && self.follow.lacks() && !self.is_backed_up();
        let newly = lacks != gauge.lacks.swap(lacks, AcqRel) && lacks;
        if path.queued_for >= STUCK {
            self.stuck_until = now + RECOVERING;
        }
        let stuck = now < self.stuck_until;
        let changed = newly || stuck != gauge.stuck.swap(stuck, AcqRel);
        let leads = gauge.leads.load(Acquire);
        if leads && now >= self.path_at {
            self.path_at = now + PATH_EVERY;
            let _ = self.outside.up.send(Up::Path(path));
        }
        if changed || (leads && (taken > 0 || before > path.queued_bytes as u64)) {
            self.outside.waker.ring();
        }
    }

    fn timers(&self, now: Time) -> Result<Time, Over> {
        let mut due = self.follow.poll_timeout();
        if now < self.stuck_until {
            due = due.min(self.stuck_until);
        } else if self.outside.transport.path().queued_bytes > 0 {
            due = due.min(now + STUCK);
        }
        if let Some(since) = self.no_path_since {
            let until = since + self.outside.patience;
            if now >= until {
                let seconds = self.outside.patience.as_secs();
                let detail = format!("no way to the viewer for {seconds} seconds");
                return Err(Over { reason: EndReason::EndPathLost, detail, tell: true });
            }
            due = due.min(until);
        }
        Ok(due)
    }

    /// A message for all viewers, with what differs in it.
    fn pass_down(&mut self, channel: Channel, message: Arc<[u8]>) -> Result<(), Over> {
        let message = match channel {
            Channel::Control => match ControlMessage::decode(&message[..]) {
                Ok(ControlMessage { body: Some(body) }) => match body {
                    // It answers the one that controls.
                    control_message::Body::Pong(_) if !self.outside.controls => return Ok(()),
                    control_message::Body::Hello(mut hello) => {
                        hello.view_only |= !self.outside.controls;
                        encode(control_message::Body::Hello(hello)).into()
                    }
                    control_message::Body::Ended(Ended { reason, detail }) => {
                        let reason = EndReason::try_from(reason).unwrap_or_default();
                        return Err(Over { reason, detail, tell: true });
                    }
                    _ => message,
                },
                _ => message,
            },
            Channel::Stats => match StatsMessage::decode(&message[..]) {
                Ok(mut stats) => {
                    let path = self.outside.transport.path();
                    let report = stats.path.get_or_insert_default();
                    report_path(&path, report.target_kbps, report);
                    // Unreliable by design: a viewer that cannot take them now does without.
                    self.message.clear();
                    stats.encode(&mut self.message).expect("a vector has room for any message");
                    let _ = self.outside.transport.send(channel, &self.message);
                    return Ok(());
                }
                Err(_) => return Ok(()),
            },
            Channel::Input | Channel::Pointer | Channel::Cursor => message,
        };
        if self.unsent.len() == UNSENT {
            self.unsent.pop_front();
        }
        self.unsent.push_back((channel, message));
        Ok(())
    }

    fn send_messages(&mut self) {
        while let Some((channel, message)) = self.unsent.front() {
            // Once it opens the channel, it will be told all anew.
            if self.outside.transport.send(*channel, message) == Err(SendError::Full) {
                break;
            }
            self.unsent.pop_front();
        }
    }

    fn happened(&mut self, event: Happened) -> Result<(), Over> {
        let leads = self.outside.gauge.leads.load(Acquire);
        match &event {
            Happened::Connected { formats, route, .. } => {
                self.formats.clone_from(formats);
                self.path_up(route.to_string());
            }
            Happened::PathRestored => {
                let route = self.outside.transport.path().route;
                self.path_up(route.map(|route| route.to_string()).unwrap_or_default());
            }
            Happened::PathLost => {
                self.up = false;
                self.no_path_since = Some(self.outside.clock.now());
                (self.outside.events)(Event::PathLost);
            }
            // For the leading viewer the next picture is made to go on from what it has.
            Happened::KeyFrameRequest | Happened::GivenUp if !leads => self.follow.handle_loss(),
            Happened::Data(channel, message) => return self.said(*channel, message),
            Happened::Closed => return Err(Over::left()),
            _ => {}
        }
        self.pass_up(Up::Happened(event));
        Ok(())
    }

    fn path_up(&mut self, route: String) {
        self.up = true;
        self.no_path_since = None;
        self.follow.handle_loss();
        let format = Selector::new(&self.formats).format().unwrap_or_default();
        (self.outside.events)(Event::Connected { route, format });
        self.pass_up(Up::Path(self.outside.transport.path()));
    }

    /// Messages come from the viewer, who is a stranger: what makes no sense is dropped.
    fn said(&mut self, channel: Channel, message: &[u8]) -> Result<(), Over> {
        if message.len() > MAX_CHANNEL_BYTES {
            return Ok(());
        }
        let controls = self.outside.controls;
        if channel != Channel::Control {
            if controls {
                self.pass_up(Up::Happened(Happened::Data(channel, message.to_vec())));
            }
            return Ok(());
        }
        let Ok(ControlMessage { body: Some(body) }) = ControlMessage::decode(message) else {
            return Ok(());
        };
        match body {
            control_message::Body::Ping(ping) if !controls => {
                let host_us = self.outside.clock.now().as_micros();
                let pong = Pong { viewer_us: ping.viewer_us, host_us };
                let message = encode(control_message::Body::Pong(pong));
                let _ = self.outside.transport.send(Channel::Control, &message);
            }
            control_message::Body::Visibility(visibility) => {
                self.hidden = visibility.hidden;
                self.follow.handle_loss();
                self.pass_up(Up::Hidden(visibility.hidden));
            }
            // Whatever arrived before, only a key frame will do.
            control_message::Body::Refresh(_) => self.follow.handle_loss(),
            control_message::Body::Ended(_) => return Err(Over::left()),
            _ => self.pass_up(Up::Happened(Happened::Data(channel, message.to_vec()))),
        }
        Ok(())
    }

    fn pass_up(&mut self, up: Up) {
        let _ = self.outside.up.send(up);
        self.outside.waker.ring();
    }

    fn end(mut self, over: Over) {
        let Over { reason, detail, tell } = over;
        let Thread { transport, clock, .. } = &mut self.outside;
        if tell {
            let ended = Ended { reason: reason.into(), detail: detail.clone() };
            let message = encode(control_message::Body::Ended(ended));
            let _ = transport.send(Channel::Control, &message);
        }
        transport.close();
        let deadline = clock.now() + GOODBYE;
        'goodbye: while clock.now() < deadline {
            if transport.wait(deadline).is_err() {
                break;
            }
            while let Some(event) = transport.poll_event() {
                if event == Happened::Closed {
                    break 'goodbye;
                }
            }
        }
        (self.outside.events)(Event::Ended { reason, detail });
        // That nobody is here any more shows in the closed channel.
        let waker = self.outside.waker.clone();
        drop(self);
        waker.ring();
    }
}

fn encode(body: control_message::Body) -> Vec<u8> {
    ControlMessage { body: Some(body) }.encode_to_vec()
}
