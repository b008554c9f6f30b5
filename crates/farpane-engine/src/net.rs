//! The net thread: drives the transport, speaks the data channels, and decides when a session is over.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::atomic::fence;
use std::sync::mpsc;
use std::time::Duration;

use farpane_codec::{Reason, Selector};
use farpane_desktop::{CaptureHandle, CursorEvent};
use farpane_media::{Bitrate, Size, Time, VideoFormat};
use farpane_proto::PacketBuf;
use farpane_queue::{Consumer, Producer};
use farpane_transport::{
    Channel, Event as Happened, PathStats, Remote, SendError, Transport, TransportError,
};
use farpane_wire::v1::{
    ControlMessage, EndReason, Ended, Hello, InputMessage, PathReport, PointerMessage, Pong,
    StatsMessage, ViewerReport, control_message,
};
use farpane_wire::{MAX_CHANNEL_BYTES, Message};

use crate::builder::Config;
use crate::input::{Act, Acts};
use crate::messages::{Cursors, Hand, frame_record};
use crate::shared::Shared;
use crate::video::Record;
use crate::{Event, Report, Signal, SignalReply};

/// How long frame records are gathered before they travel.
const STATS_EVERY: Duration = Duration::from_millis(250);
const REPORT_EVERY: Duration = Duration::from_secs(1);
/// How long a goodbye may take to leave.
pub(crate) const GOODBYE: Duration = Duration::from_millis(100);
/// Records in one message keep it well within one packet.
const RECORDS_A_MESSAGE: usize = 24;

/// What other threads ask of the net thread.
pub(crate) enum Command {
    Signal(Signal, SignalReply),
    End {
        reason: EndReason,
        detail: String,
    },
    /// The video thread needs the whole picture again.
    Recapture,
}

/// The queues between the net thread and the video thread.
pub(crate) struct Inside {
    pub packets: Consumer<PacketBuf>,
    pub records: Consumer<Record>,
    /// By number, the pictures that have arrived.
    pub arrivals: Producer<u32>,
    /// All that pictures may be coded in from now on.
    pub narrowed: mpsc::Sender<Vec<VideoFormat>>,
}

/// Everything a net thread hears from or says to, beside its transport.
pub(crate) struct Outside {
    pub commands: mpsc::Receiver<Command>,
    pub cursor: mpsc::Receiver<CursorEvent>,
    pub capture: CaptureHandle,
    pub events: Box<dyn FnMut(Event) + Send>,
}

pub(crate) struct Net {
    shared: Arc<Shared>,
    config: Config,
    transport: Box<dyn Transport>,
    inside: Inside,
    outside: Outside,
    acts: Acts,
    hand: Hand,
    cursors: Cursors,
    /// The newest cursor events of each kind, and those of them that the viewer could not be told yet.
    cursor: Vec<CursorEvent>,
    unsent_cursor: Vec<CursorEvent>,
    /// Where messages are encoded.
    message: Vec<u8>,
    /// The picture size the viewer was last told.
    size: Size,
    /// What pictures are coded in, and why, as the viewer was last told.
    format: Option<(VideoFormat, Reason)>,
    stats: Stats,
    viewer: Option<ViewerReport>,
    /// Since when there is no path: at first since the start.
    no_path_since: Option<Time>,
}

/// Measurements on their way to the viewer and to the owner.
struct Stats {
    unsent: StatsMessage,
    flush_at: Time,
    report_at: Time,
    reported_at: Time,
    frames: u64,
    bytes_at_report: u64,
    target: Bitrate,
}

/// The session is over.
struct Over {
    reason: EndReason,
    detail: String,
    /// The viewer does not know yet and can be told.
    tell: bool,
}

impl Net {
    pub fn new(
        shared: Arc<Shared>,
        config: Config,
        transport: Box<dyn Transport>,
        inside: Inside,
        outside: Outside,
        acts: Acts,
    ) -> Net {
        let now = shared.clock.now();
        let stats = Stats {
            unsent: StatsMessage::default(),
            flush_at: Time::NEVER,
            report_at: Time::NEVER,
            reported_at: now,
            frames: 0,
            bytes_at_report: 0,
            target: Bitrate::ZERO,
        };
        Net {
            shared,
            config,
            transport,
            inside,
            outside,
            acts,
            hand: Hand::default(),
            cursors: Cursors::default(),
            cursor: Vec::new(),
            unsent_cursor: Vec::new(),
            message: Vec::new(),
            size: Size::default(),
            format: None,
            stats,
            viewer: None,
            no_path_since: Some(now),
        }
    }

    pub fn run(mut self) {
        let over = loop {
            if let Err(over) = self.turn() {
                break over;
            }
        };
        self.end(over);
    }

    /// One wait and everything that came of it.
    fn turn(&mut self) -> Result<(), Over> {
        while let Ok(command) = self.outside.commands.try_recv() {
            self.command(command)?;
        }
        self.send_packets()?;
        while let Ok(event) = self.outside.cursor.try_recv() {
            self.queue_cursor(event);
        }
        self.send_cursor();
        let now = self.shared.clock.now();
        let due = self.timers(now)?;
        self.update_backlog();
        self.transport.set_restart_cost(self.shared.restart_cost.load(Relaxed));
        self.transport.wait(due).map_err(broken)?;
        while let Some(event) = self.transport.poll_event() {
            self.happened(event)?;
        }
        Ok(())
    }

    fn command(&mut self, command: Command) -> Result<(), Over> {
        match command {
            Command::Signal(signal, reply) => {
                let remote = match &signal {
                    Signal::Offer(sdp) => Remote::Offer(sdp),
                    Signal::Candidate(candidate) => Remote::Candidate(candidate),
                };
                reply(self.transport.handle_signal(remote));
                Ok(())
            }
            Command::Recapture => {
                self.outside.capture.refresh();
                Ok(())
            }
            Command::End { reason, detail } => Err(Over { reason, detail, tell: true }),
        }
    }

    fn send_packets(&mut self) -> Result<(), Over> {
        while let Some(packet) = self.inside.packets.pop() {
            self.transport.send_video(packet.payload(), &packet.meta).map_err(broken)?;
            if packet.meta.marker && !packet.meta.keep_alive {
                self.frame_sent();
            }
        }
        Ok(())
    }

    /// The last packet of a frame went to the transport; its record is the next in the queue.
    fn frame_sent(&mut self) {
        let Some(mut record) = self.inside.records.pop() else { return };
        let now = self.shared.clock.now();
        record.stamps.sent = now;
        self.stats.frames += 1;
        self.stats.target = record.target;
        let format = Some((record.format, record.reason));
        if (record.size, format) != (self.size, self.format) {
            (self.size, self.format) = (record.size, format);
            self.hello();
        }
        if self.stats.unsent.frames.is_empty() {
            self.stats.flush_at = now + STATS_EVERY;
        }
        self.stats.unsent.frames.push(frame_record(&record));
        if self.stats.unsent.frames.len() >= RECORDS_A_MESSAGE {
            self.flush_stats();
        }
        (self.outside.events)(Event::Frame(record));
    }

    /// Keeps only the newest event of a kind: the viewer is told what is, not what was.
    fn queue_cursor(&mut self, event: CursorEvent) {
        let position = |event: &CursorEvent| matches!(event, CursorEvent::Position { .. });
        for events in [&mut self.cursor, &mut self.unsent_cursor] {
            events.retain(|old| position(old) != position(&event));
            events.push(event.clone());
        }
    }

    /// Somebody can be told of the cursor who knows nothing of it.
    fn cursor_anew(&mut self) {
        self.cursors = Cursors::default();
        self.unsent_cursor.clone_from(&self.cursor);
    }

    fn send_cursor(&mut self) {
        if self.size == Size::default() {
            return;
        }
        while let Some(event) = self.unsent_cursor.first() {
            let message = self.cursors.message(event, self.size);
            if send(&mut *self.transport, Channel::Cursor, &message, &mut self.message).is_err() {
                // The shape has not travelled after all.
                self.cursors = Cursors::default();
                break;
            }
            self.unsent_cursor.remove(0);
        }
    }

    /// Runs what is due and returns when the next thing is.
    fn timers(&mut self, now: Time) -> Result<Time, Over> {
        let mut due = self.stats.flush_at.min(self.stats.report_at);
        if let Some(since) = self.no_path_since {
            let until = since + self.config.path_patience;
            if now >= until {
                let detail = format!(
                    "no way to the viewer for {} seconds",
                    self.config.path_patience.as_secs()
                );
                return Err(Over { reason: EndReason::EndPathLost, detail, tell: true });
            }
            due = due.min(until);
        }
        if now >= self.stats.flush_at {
            self.flush_stats();
        }
        if now >= self.stats.report_at {
            self.report(now);
        }
        Ok(due)
    }

    fn update_backlog(&mut self) {
        let queued = self.transport.path().queued_bytes as u64;
        let before = self.shared.backlog.swap(queued, Relaxed);
        // With the one in `Video::backed_up`: one of the two threads sees what the other wrote.
        fence(SeqCst);
        if (queued < before || queued == 0) && self.shared.held_back.take() {
            self.shared.wake_video();
        }
    }

    fn flush_stats(&mut self) {
        let now = self.shared.clock.now();
        self.stats.flush_at = Time::NEVER;
        let path = self.transport.path();
        let report = self.stats.unsent.path.get_or_insert_default();
        report_path(&path, kbps(self.stats.target), report);
        // Unreliable by design: a viewer that cannot take them now does without.
        let _ = send(&mut *self.transport, Channel::Stats, &self.stats.unsent, &mut self.message);
        self.stats.unsent.frames.clear();
        if self.stats.report_at == Time::NEVER {
            self.stats.report_at = now;
        }
    }

    fn report(&mut self, now: Time) {
        let path = self.transport.path();
        let span = (now - self.stats.reported_at).max(Duration::from_millis(1));
        let micros = |us: u32| (us > 0).then(|| Duration::from_micros(us.into()));
        let viewer = self.viewer.take();
        let report = Report {
            size: self.size,
            fps: self.stats.frames as f64 / span.as_secs_f64(),
            sent: Bitrate::of(path.bytes.saturating_sub(self.stats.bytes_at_report), span),
            resent: path.resent,
            parity: path.parity,
            estimate: path.estimate,
            rtt: path.rtt.unwrap_or_default(),
            loss: path.loss.into(),
            delay_p50: viewer.as_ref().and_then(|viewer| micros(viewer.delay_us_p50)),
            delay_p95: viewer.as_ref().and_then(|viewer| micros(viewer.delay_us_p95)),
            captured: self.shared.captured.load(Relaxed),
            displaced: self.shared.displaced.load(Relaxed),
        };
        self.stats.frames = 0;
        self.stats.bytes_at_report = path.bytes;
        self.stats.reported_at = now;
        self.stats.report_at = now + REPORT_EVERY;
        (self.outside.events)(Event::Report(report));
    }

    fn happened(&mut self, event: Happened) -> Result<(), Over> {
        match event {
            Happened::Connected { formats, references, route } => {
                // Comes once; should it come again, what was agreed on first stands.
                if self.shared.formats.set(formats).is_ok() {
                    self.shared.references.store(references, Relaxed);
                }
                self.path_up(route.to_string());
            }
            Happened::PathRestored => {
                let route =
                    self.transport.path().route.map(|route| route.to_string()).unwrap_or_default();
                self.path_up(route);
            }
            Happened::PathLost => {
                self.shared.live.set(false);
                self.no_path_since = Some(self.shared.clock.now());
                self.acts.put(Act::ReleaseAll);
                (self.outside.events)(Event::PathLost);
            }
            Happened::KeyFrameRequest => {
                self.shared.key_frame.set(true);
                self.shared.wake_video();
            }
            Happened::GivenUp => {
                self.shared.given_up.set(true);
                self.shared.wake_video();
            }
            Happened::FrameRequest => {
                self.shared.frame.set(true);
                self.shared.wake_video();
            }
            Happened::Arrived(number) => {
                let rtt = self.transport.path().rtt.unwrap_or_default();
                self.shared.rtt.store(rtt.as_micros() as u64, Relaxed);
                // When the video thread has not looked for long, it counts as lost.
                let _ = self.inside.arrivals.push(number);
                self.shared.wake_video();
            }
            Happened::Estimate(estimate) => self.estimated(estimate),
            Happened::StartRequest => self.begin_anew(),
            Happened::References(references) => self.shared.references.store(references, Relaxed),
            Happened::Formats(formats) => {
                // The receiver lives as long as there are pictures.
                let _ = self.inside.narrowed.send(formats);
                self.shared.wake_video();
            }
            Happened::HandsOff => {
                self.hand = Hand::default();
                self.acts.put(Act::ReleaseAll);
            }
            Happened::ChannelOpen(Channel::Control) => self.hello(),
            Happened::ChannelOpen(Channel::Cursor) => self.cursor_anew(),
            Happened::ChannelOpen(_) => {}
            Happened::ChannelClosed(channel) => tracing::debug!(?channel, "closed by the viewer"),
            Happened::Data(channel, message) => return self.message(channel, &message),
            Happened::Closed => {
                return Err(Over {
                    reason: EndReason::EndViewerLeft,
                    detail: String::new(),
                    tell: false,
                });
            }
        }
        Ok(())
    }

    fn path_up(&mut self, route: String) {
        let now = self.shared.clock.now();
        self.no_path_since = None;
        self.estimated(self.transport.path().estimate);
        self.shared.live.set(true);
        self.begin_anew();
        self.stats.report_at = now + REPORT_EVERY;
        let formats = self.shared.formats.get().map_or(&[][..], Vec::as_slice);
        let format = Selector::new(formats).format().unwrap_or_default();
        (self.outside.events)(Event::Connected { route, format });
    }

    fn estimated(&mut self, estimate: Bitrate) {
        let rate = estimate.min(self.config.max_bitrate);
        self.shared.estimate.store(rate.as_bps(), Relaxed);
    }

    /// Another decoder may be there, or the old one is stuck.
    fn begin_anew(&mut self) {
        self.shared.anew.set(true);
        self.shared.wake_video();
    }

    fn hello(&mut self) {
        let Some((format, reason)) = self.format else { return };
        self.control(control_message::Body::Hello(Hello {
            width: self.size.width,
            height: self.size.height,
            view_only: self.config.view_only,
            codec: format.codec.encoding_name().to_owned(),
            encoder: format!("{}, {} threads", format.chroma, self.config.encoder_threads),
            reason: reason.to_string(),
        }));
    }

    fn control(&mut self, body: control_message::Body) {
        let message = ControlMessage { body: Some(body) };
        let sent = send(&mut *self.transport, Channel::Control, &message, &mut self.message);
        if let Err(error) = sent {
            tracing::debug!(%error, "control message not sent");
        }
    }

    /// Messages come from the viewer, who is a stranger: what makes no sense is dropped.
    fn message(&mut self, channel: Channel, message: &[u8]) -> Result<(), Over> {
        if message.len() > MAX_CHANNEL_BYTES {
            return Ok(());
        }
        match channel {
            Channel::Input if !self.config.view_only => {
                if let Ok(message) = InputMessage::decode(message) {
                    self.hand
                        .acted(message)
                        .into_iter()
                        .flatten()
                        .for_each(|act| self.acts.put(act));
                }
            }
            Channel::Pointer if !self.config.view_only => {
                if let Ok(mut message) = PointerMessage::decode(message) {
                    let copies = std::mem::take(&mut message.copies);
                    self.hand.copied(copies).for_each(|act| self.acts.put(act));
                    self.hand.moved(message).into_iter().for_each(|act| self.acts.put(act));
                }
            }
            Channel::Control => {
                if let Ok(ControlMessage { body: Some(body) }) = ControlMessage::decode(message) {
                    return self.controlled(body);
                }
            }
            Channel::Input | Channel::Pointer | Channel::Cursor | Channel::Stats => {}
        }
        Ok(())
    }

    fn controlled(&mut self, body: control_message::Body) -> Result<(), Over> {
        match body {
            control_message::Body::Ping(ping) => {
                self.acts.put(Act::Alive);
                let host_us = self.shared.clock.now().as_micros();
                self.control(control_message::Body::Pong(Pong {
                    viewer_us: ping.viewer_us,
                    host_us,
                }));
            }
            control_message::Body::Report(report) => self.viewer = Some(report),
            control_message::Body::Visibility(visibility) => {
                self.shared.hidden.set(visibility.hidden);
                self.acts.put(Act::ReleaseAll);
                self.outside.capture.hurry();
                self.shared.wake_video();
            }
            control_message::Body::Refresh(_) => self.begin_anew(),
            control_message::Body::Ended(Ended { .. }) => {
                return Err(Over {
                    reason: EndReason::EndViewerLeft,
                    detail: String::new(),
                    tell: false,
                });
            }
            // Only a host says these.
            control_message::Body::Pong(_) | control_message::Body::Hello(_) => {}
        }
        Ok(())
    }

    fn end(mut self, over: Over) {
        let Over { reason, detail, tell } = over;
        self.shared.stop.set(true);
        self.shared.live.set(false);
        self.outside.capture.stop();
        self.shared.wake_video();
        if tell {
            self.control(control_message::Body::Ended(Ended {
                reason: reason.into(),
                detail: detail.clone(),
            }));
        }
        self.transport.close();
        let deadline = self.shared.clock.now() + GOODBYE;
        'goodbye: while self.shared.clock.now() < deadline {
            if self.transport.wait(deadline).is_err() {
                break;
            }
            while let Some(event) = self.transport.poll_event() {
                if event == Happened::Closed {
                    break 'goodbye;
                }
            }
        }
        (self.outside.events)(Event::Ended { reason, detail });
    }
}

/// Sends `message` by way of `buffer`, which keeps its memory for the next.
fn send(
    transport: &mut dyn Transport,
    channel: Channel,
    message: &impl Message,
    buffer: &mut Vec<u8>,
) -> Result<(), SendError> {
    buffer.clear();
    message.encode(buffer).expect("a vector has room for any message");
    transport.send(channel, buffer)
}

/// Fills in what a viewer is told of its path.
pub(crate) fn report_path(path: &PathStats, target_kbps: u32, report: &mut PathReport) {
    report.estimate_kbps = kbps(path.estimate);
    report.target_kbps = target_kbps;
    report.sent_kbps = kbps(path.sent);
    report.resent_kbps = kbps(path.resent);
    report.parity_kbps = kbps(path.parity);
    report.rtt_us = path.rtt.map_or(0, |rtt| rtt.as_micros() as u32);
    report.loss_permille = (path.loss * 1_000.0) as u32;
    report.route.clear();
    if let Some(route) = path.route {
        let _ = write!(report.route, "{route}");
    }
}

fn broken(error: TransportError) -> Over {
    Over { reason: EndReason::EndHostError, detail: error.to_string(), tell: false }
}

fn kbps(rate: Bitrate) -> u32 {
    u32::try_from(rate.as_bps() / 1_000).unwrap_or(u32::MAX)
}
