//! One session for several viewers: what is coded once goes to each by a transport of its own.
//!
//! To the engine an [`Audience`] is a transport like any. Each viewer has a thread, a queue and a pace of its own, so none
//! waits for another; they meet in lock-free queues and atomics. One of them leads: of those who look and whose path takes
//! what is sent, the one that controls, or else the one that has been there for longest. Its path decides how much is coded, and what it lacks is made up for at once. Whoever
//! else comes new or cannot keep up is given a key frame, in a pause if there is one: seldom, since all get it.

mod follow;
mod viewer;

use std::cmp::Reverse;
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use std::sync::mpsc::{self, TryRecvError};
use std::thread::JoinHandle;
use std::time::Duration;

use farpane_media::{Clock, Time, VideoFormat};
use farpane_proto::{Layer, PacketMeta};
use farpane_queue::{Producer, ring};
use farpane_transport::{
    Channel, Event, NegotiationError, PathState, PathStats, Remote, SendError, Transport,
    TransportError, Waker,
};
use farpane_wire::Message as _;
use farpane_wire::v1::{ControlMessage, EndReason, Visibility, control_message};

use crate::{Signal, SignalReply, threads};
use viewer::{Command, Gauge};

/// Pictures and messages that a viewer's thread may be behind.
const DOWN: usize = 256;
/// Viewers that may be about to come in.
const COMING: usize = 16;

/// A newcomer waits so long at most for those who come with it.
const GATHER: Duration = Duration::from_millis(300);
/// Those who did not keep up wait so long since the last start, or less in a pause of the pictures.
const LAGGARDS: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(300);
const LAGGARDS_IN_PAUSE: Duration = Duration::from_secs(1);

/// A coded picture, as it goes to each viewer.
#[derive(Debug, Default)]
pub(crate) struct Picture {
    bytes: Vec<u8>,
    /// Each payload, and where it ends.
    payloads: Vec<(PacketMeta, usize)>,
}

impl Picture {
    fn push(&mut self, payload: &[u8], meta: PacketMeta) {
        self.bytes.extend_from_slice(payload);
        self.payloads.push((meta, self.bytes.len()));
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.payloads.clear();
    }

    fn bytes(&self) -> usize {
        self.bytes.len()
    }

    fn number(&self) -> u32 {
        self.payloads.first().map_or(0, |(meta, _)| meta.number)
    }

    fn reference(&self) -> Option<u32> {
        self.payloads.first().and_then(|(meta, _)| meta.reference)
    }

    /// No other refers to it.
    fn is_discardable(&self) -> bool {
        self.payloads.first().is_some_and(|(meta, _)| meta.layer == Layer::Upper)
    }

    fn payloads(&self) -> impl Iterator<Item = (&[u8], &PacketMeta)> {
        self.payloads.iter().enumerate().map(|(at, (meta, end))| {
            let start = at.checked_sub(1).map_or(0, |before| self.payloads[before].1);
            (&self.bytes[start..*end], meta)
        })
    }
}

/// To a viewer's thread.
enum Down {
    Picture(Arc<Picture>),
    Message(Channel, Arc<[u8]>),
    End { reason: EndReason, detail: String },
}

/// From a viewer's thread.
enum Up {
    Happened(Event),
    Path(PathStats),
    Hidden(bool),
}

/// A viewer, as the one for all knows it.
struct Seat {
    controls: bool,
    gauge: Arc<Gauge>,
    down: Producer<Down>,
    up: mpsc::Receiver<Up>,
    /// Below the queue, as it says also that this is closed.
    bell: Bell,
    path: PathStats,
    /// As its transport said.
    references: bool,
    live: bool,
    hidden: bool,
    /// Has been given a start.
    begun: bool,
    /// Told to leave, or gone.
    over: bool,
}

/// Wakes a viewer's thread, for the last time when it is dropped.
struct Bell(Waker);

impl Drop for Bell {
    fn drop(&mut self) {
        self.0.ring();
    }
}

/// See the module.
pub struct Audience {
    clock: Clock,
    waker: Waker,
    coming: mpsc::Receiver<Seat>,
    /// In the order in which they came.
    seats: Vec<Seat>,
    /// Which of them leads.
    lead: Option<usize>,
    /// Somebody is there who controls.
    controlled: bool,
    /// The engine was told of the first viewer, and not yet of any other.
    first: bool,
    hidden: bool,
    /// What pictures may be coded in, once somebody has been there.
    agreed: Option<Vec<VideoFormat>>,
    /// The picture that is being handed over, and those that have been.
    gathering: Arc<Picture>,
    used: VecDeque<Arc<Picture>>,
    /// When the last picture came, and the last that was a start or was asked to be.
    last: Time,
    start: Time,
    closing: bool,
    events: VecDeque<Event>,
}

/// Brings viewers to a running [`Audience`].
#[derive(Clone)]
pub struct Invite {
    clock: Clock,
    waker: Waker,
    going: mpsc::SyncSender<Seat>,
    patience: Duration,
}

/// One of several viewers. Dropping it ends what it sees and waits for its thread.
pub struct Viewer {
    commands: mpsc::Sender<Command>,
    waker: Waker,
    thread: Option<JoinHandle<()>>,
}

impl Invite {
    /// Takes a viewer in, who `controls` the desktop if the engine lets anybody. `events` is told of its connections and its end, by a thread that must
    /// not be kept waiting. When the session has ended, the viewer is told so.
    pub fn seat(
        &self,
        transport: impl Transport + 'static,
        controls: bool,
        events: impl FnMut(crate::Event) + Send + 'static,
    ) -> Viewer {
        let waker = transport.waker();
        let (down, from_all) = ring(DOWN);
        let (to_all, up) = mpsc::channel();
        let (commands, from_owner) = mpsc::channel();
        let gauge = Arc::new(Gauge::default());
        let thread = viewer::Thread {
            clock: self.clock,
            transport: Box::new(transport),
            controls,
            patience: self.patience,
            gauge: gauge.clone(),
            down: from_all,
            up: to_all,
            waker: self.waker.clone(),
            commands: from_owner,
            events: Box::new(events),
        };
        let seat = Seat {
            controls,
            gauge,
            down,
            up,
            bell: Bell(waker.clone()),
            path: PathStats::default(),
            references: false,
            live: false,
            hidden: false,
            begun: false,
            over: false,
        };
        // When nobody takes it, its queue is closed, by which its thread knows.
        let _ = self.going.try_send(seat);
        self.waker.ring();
        let thread = threads::thread("farpane-viewer", move || thread.run());
        Viewer { commands, waker, thread: Some(thread) }
    }
}

impl Viewer {
    /// Passes what the viewer signalled to its transport: a candidate, or the offer of an ICE restart.
    pub fn signal(&self, signal: Signal, reply: SignalReply) {
        self.command(Command::Signal(signal, reply));
    }

    /// Sends the viewer away, who is told why. Returns at once: [`crate::Event::Ended`] follows.
    pub fn stop(&self, reason: EndReason, detail: &str) {
        self.command(Command::End { reason, detail: detail.to_owned() });
    }

    fn command(&self, command: Command) {
        // A closed channel means that the viewer has gone already.
        let _ = self.commands.send(command);
        self.waker.ring();
    }
}

impl Drop for Viewer {
    fn drop(&mut self) {
        self.stop(EndReason::EndStopped, "");
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("a viewer's thread panicked");
        }
    }
}

impl Seat {
    fn tell(&mut self, down: Down) {
        // A thread that is so far behind notices by the numbers of pictures; messages it does without.
        let _ = self.down.push(down);
        self.bell.0.ring();
    }
}

impl Audience {
    /// `clock` is the one that the engine is started with. A viewer without a path for as long as `patience`, at first or
    /// later, is given up.
    ///
    /// # Errors
    /// The process has no file descriptor left.
    pub fn new(clock: Clock, patience: Duration) -> io::Result<(Audience, Invite)> {
        let waker = Waker::new()?;
        let (going, coming) = mpsc::sync_channel(COMING);
        let invite = Invite { clock, waker: waker.clone(), going, patience };
        let audience = Audience {
            clock,
            waker,
            coming,
            seats: Vec::new(),
            lead: None,
            controlled: false,
            first: false,
            hidden: false,
            agreed: None,
            gathering: Arc::default(),
            used: VecDeque::new(),
            last: Time::ZERO,
            start: Time::ZERO,
            closing: false,
            events: VecDeque::new(),
        };
        Ok((audience, invite))
    }

    /// Hears what all have to say.
    fn listen(&mut self) {
        if !self.closing {
            self.seats.extend(self.coming.try_iter());
        }
        for at in 0..self.seats.len() {
            loop {
                match self.seats[at].up.try_recv() {
                    Ok(up) => self.heard(at, up),
                    Err(TryRecvError::Empty) => break,
                    Err(TryRecvError::Disconnected) => {
                        let seat = &mut self.seats[at];
                        (seat.live, seat.over) = (false, true);
                        break;
                    }
                }
            }
        }
        self.choose();
        self.look_whether_seen();
    }

    fn heard(&mut self, at: usize, up: Up) {
        let leads = self.lead == Some(at);
        let seat = &mut self.seats[at];
        if let Up::Happened(Event::Estimate(estimate)) = up {
            // For when it leads.
            seat.path.estimate = estimate;
        }
        match up {
            Up::Path(path) => seat.path = path,
            Up::Hidden(hidden) => {
                seat.hidden = hidden;
                if seat.controls {
                    self.say_hidden();
                }
            }
            Up::Happened(event) => match event {
                Event::Connected { formats, references, route } => {
                    (seat.live, seat.references) = (true, references);
                    self.agree(at, formats, |formats| Event::Connected {
                        formats,
                        references,
                        route,
                    });
                }
                Event::PathRestored => seat.live = true,
                Event::PathLost => seat.live = false,
                // Whoever controls is heard whoever leads, and all are told what they see.
                Event::ChannelOpen(Channel::Control | Channel::Cursor) | Event::FrameRequest => {
                    self.events.push_back(event);
                }
                Event::Data(..) if seat.controls => self.events.push_back(event),
                Event::Closed => {}
                event if leads => self.events.push_back(event),
                _ => {}
            },
        }
    }

    /// Narrows what pictures may be coded in to what a newcomer shows as well.
    fn agree(
        &mut self,
        at: usize,
        formats: Vec<VideoFormat>,
        first: impl FnOnce(Vec<VideoFormat>) -> Event,
    ) {
        let Some(agreed) = &mut self.agreed else {
            self.agreed = Some(formats.clone());
            self.first = true;
            self.events.push_back(first(formats));
            return;
        };
        if agreed.iter().all(|known| !formats.contains(known)) {
            let seat = &mut self.seats[at];
            (seat.live, seat.over) = (false, true);
            let detail = "this browser shows no video that all who are here can see".to_owned();
            seat.tell(Down::End { reason: EndReason::EndHostError, detail });
        } else if agreed.iter().any(|known| !formats.contains(known)) {
            agreed.retain(|known| formats.contains(known));
            self.events.push_back(Event::Formats(agreed.clone()));
        }
    }

    /// Decides who leads.
    fn choose(&mut self) {
        let before = self.lead.map(|at| self.seats[at].gauge.clone());
        let controlled = self.seats.iter().any(|seat| seat.controls && !seat.over);
        self.seats.retain(|seat| !seat.over || seat.live);
        // Whoever sees nothing or is stuck is no measure for the others.
        let sees = |seat: &Seat| !seat.hidden && !seat.gauge.stuck.load(Acquire);
        let live = self.seats.iter().enumerate().filter(|(_, seat)| seat.live);
        let best = live.max_by_key(|(at, seat)| (sees(seat), seat.controls, Reverse(*at)));
        self.lead = best.map(|(at, _)| at);
        if std::mem::replace(&mut self.controlled, controlled) && !controlled {
            self.events.push_back(Event::HandsOff);
        }
        let after = self.lead.map(|at| self.seats[at].gauge.clone());
        match (before, after) {
            (Some(before), Some(after)) if Arc::ptr_eq(&before, &after) => {}
            (None, None) => {}
            (before, after) => self.change_lead(before.as_deref(), after.as_deref()),
        }
    }

    fn change_lead(&mut self, before: Option<&Gauge>, after: Option<&Gauge>) {
        if let Some(before) = before {
            before.leads.store(false, Release);
        }
        let Some(after) = after else {
            self.events.push_back(Event::PathLost);
            return;
        };
        after.leads.store(true, Release);
        if !std::mem::take(&mut self.first) {
            let references = self.lead.is_some_and(|at| self.seats[at].references);
            self.events.push_back(Event::References(references));
            // What pictures refer to now is what the last one had.
            self.events.push_back(Event::PathRestored);
        }
        self.start = self.clock.now();
        self.events.push_back(Event::Estimate(self.path().estimate));
    }

    /// Nothing is captured while nobody looks.
    fn look_whether_seen(&mut self) {
        let mut live = self.seats.iter().filter(|seat| seat.live).peekable();
        let hidden = live.peek().is_some() && live.all(|seat| seat.hidden);
        if hidden != self.hidden {
            self.hidden = hidden;
            self.say_hidden();
        }
    }

    fn say_hidden(&mut self) {
        let body = control_message::Body::Visibility(Visibility { hidden: self.hidden });
        let message = ControlMessage { body: Some(body) }.encode_to_vec();
        self.events.push_back(Event::Data(Channel::Control, message));
    }

    /// When those who lack a start are to be given one, if any do.
    fn start_at(&self) -> Time {
        let lacks = |seat: &&Seat| seat.live && seat.gauge.lacks.load(Acquire);
        let mut lacking = self.seats.iter().filter(lacks).peekable();
        if lacking.peek().is_none() {
            return Time::NEVER;
        }
        let urgent = lacking.any(|seat| !seat.begun || seat.gauge.leads.load(Acquire));
        if urgent {
            return self.start + GATHER;
        }
        let in_pause = (self.last + PAUSE).max(self.start + LAGGARDS_IN_PAUSE);
        in_pause.min(self.start + LAGGARDS)
    }

    fn ask_for_start(&mut self) {
        let now = self.clock.now();
        if self.start_at() <= now {
            self.start = now;
            self.events.push_back(Event::StartRequest);
        }
    }

    fn hand_out(&mut self) {
        let picture = self.gathering.clone();
        let now = self.clock.now();
        self.last = now;
        let start = picture.reference().is_none();
        if start {
            self.start = now;
        }
        for seat in self.seats.iter_mut().filter(|seat| seat.live) {
            seat.begun |= start;
            seat.gauge.pending.fetch_add(picture.bytes() as u64, AcqRel);
            if seat.down.push(Down::Picture(picture.clone())).is_err() {
                seat.gauge.pending.fetch_sub(picture.bytes() as u64, AcqRel);
            }
            seat.bell.0.ring();
        }
        // All have been done with the oldest for long, if any have.
        self.used.push_back(picture);
        let spare = self.used.front_mut().and_then(Arc::get_mut).is_some();
        self.gathering =
            if spare { self.used.pop_front().unwrap_or_default() } else { Arc::default() };
        self.used.truncate(DOWN);
        if let Some(picture) = Arc::get_mut(&mut self.gathering) {
            picture.clear();
        }
    }
}

impl Transport for Audience {
    fn wait(&mut self, until: Time) -> Result<(), TransportError> {
        self.listen();
        if self.events.is_empty() {
            let until = until.min(self.start_at());
            let timeout = (until != Time::NEVER).then(|| until.since(self.clock.now()));
            self.waker.sleep(timeout)?;
        }
        self.waker.answer();
        self.listen();
        self.ask_for_start();
        if self.closing && self.seats.is_empty() {
            self.closing = false;
            self.events.push_back(Event::Closed);
        }
        Ok(())
    }

    fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    fn send_video(&mut self, payload: &[u8], meta: &PacketMeta) -> Result<(), TransportError> {
        if let Some(picture) = Arc::get_mut(&mut self.gathering) {
            picture.push(payload, *meta);
        }
        if meta.marker {
            self.hand_out();
        }
        Ok(())
    }

    fn send(&mut self, channel: Channel, message: &[u8]) -> Result<(), SendError> {
        if self.lead.is_none() {
            return Err(SendError::NotOpen);
        }
        let message: Arc<[u8]> = message.into();
        for seat in self.seats.iter_mut().filter(|seat| seat.live) {
            seat.tell(Down::Message(channel, message.clone()));
        }
        Ok(())
    }

    fn set_restart_cost(&mut self, bytes: u64) {
        if let Some(lead) = self.lead {
            self.seats[lead].gauge.restart_cost.store(bytes, Relaxed);
        }
    }

    fn waker(&self) -> Waker {
        self.waker.clone()
    }

    /// The leading viewer's.
    fn path(&self) -> PathStats {
        let Some(seat) = self.lead.map(|at| &self.seats[at]) else {
            return PathStats { state: PathState::Connecting, ..PathStats::default() };
        };
        let gauge = &seat.gauge;
        let queued = gauge.pending.load(Acquire) + gauge.queued.load(Relaxed);
        PathStats { queued_bytes: queued as usize, ..seat.path }
    }

    /// Each viewer signals by its [`Viewer`].
    fn handle_signal(&mut self, _: Remote<'_>) -> Result<Option<String>, NegotiationError> {
        Err(NegotiationError::Ended)
    }

    fn close(&mut self) {
        self.closing = true;
        self.seats.extend(self.coming.try_iter());
        for seat in &mut self.seats {
            seat.tell(Down::End { reason: EndReason::EndStopped, detail: String::new() });
        }
    }
}
