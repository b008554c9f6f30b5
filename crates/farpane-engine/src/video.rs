//! The video thread: from the newest frame to packets.
//!
//! One loop, one sleep. It works when there is a new picture, a key frame to make up, a skipped picture to code again or
//! one that the encoder says gains by it, and when the transport is not backed up; otherwise it is parked.

use std::sync::Arc;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::atomic::fence;
use std::sync::mpsc;
use std::time::Duration;

use farpane_codec::{
    AccessUnit, EncodeError, Encoder, EncoderConfig, Output, Picture, Reason, Request, Selector,
};
use farpane_media::{
    Bitrate, Chroma, Frame, Patches, Region, Size, Slot, Stamps, Time, VideoFormat,
};
use farpane_pixel::Detector;
use farpane_proto::packetize::Packetizer;
use farpane_proto::rate::{Controller, KeyFrames};
use farpane_proto::references::{References, Sent};
use farpane_proto::{Layer, MAX_PAYLOAD, PacketBuf, PacketMeta, PacketPool};
use farpane_queue::{Consumer, Producer, Taker};
use farpane_transport::Waker;
use farpane_wire::v1::EndReason;

use crate::builder::Config;
use crate::net::Command;
use crate::shared::Shared;
use crate::threads::PACKETS;

/// The RTP clock of video (RFC 6184, section 8.2.1).
const RTP_CLOCK: u32 = 90_000;

/// New pictures wait while the transport holds more than it sends in this time: what queues there is only delay.
const BACKLOG: Duration = Duration::from_millis(25);

/// An encoder that fails is made anew; so often, none of them having worked for [`SOUND`], and the next best format takes
/// its place.
const FAILURES: u32 = 3;
const SOUND: Duration = Duration::from_secs(10);

/// What is lost is sent again by the transport; when it has not come so long after a round trip, the next picture does
/// without.
const REPAIR: Duration = Duration::from_millis(100);
/// Packets are reported on so late, beyond a round trip; when the last picture has not been, another follows that shows
/// the viewer what it lacks. If that is of no use, so many times, each after twice as long.
const REPORT: Duration = Duration::from_millis(250);
const PROBES: u32 = 4;
/// Between signs of life at rest, which whoever asks for more often does not get.
const ANSWERS: Duration = Duration::from_millis(500);
/// A viewer that asks again so soon after a picture that it could go on from needs a key frame.
const RELAPSE: Duration = Duration::from_millis(500);

/// Pictures that come sooner one after another are in motion.
const PAUSE: Duration = Duration::from_millis(100);

/// A frame's way in full. The net thread learns it ahead of the frame's last packet, stamps it when that has left and
/// passes it on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Record {
    /// [`farpane_media::FrameBody::seq`]; as in the record before when the same picture was coded once more.
    pub frame: u64,
    pub rtp_time: u32,
    pub stamps: Stamps,
    /// Of the access unit.
    pub bytes: usize,
    pub key_frame: bool,
    pub quantizer: u8,
    pub size: Size,
    /// What this picture is coded in, and why; a film is in less than what was negotiated.
    pub format: VideoFormat,
    pub reason: Reason,
    pub target: Bitrate,
    /// So far, as in [`crate::Report`].
    pub captured: u64,
    pub displaced: u64,
}

/// What a picture is coded for.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Why {
    /// It is new.
    Change,
    /// The viewer needs a start, or something to go on from.
    Restart,
    /// The viewer asks for a sign of life.
    KeepAlive,
    /// It is the one before, which had to be skipped, is not out yet, or can be sharper.
    Again,
}

/// What the next picture may refer to.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Start {
    /// The one before.
    Previous,
    /// A kept one, by its number, as the viewer lacks something later.
    Kept(Slot, u32),
    Nothing,
}

pub(crate) struct Video {
    shared: Arc<Shared>,
    config: Config,
    frames: Taker<Frame>,
    out: Out,
    commands: mpsc::Sender<Command>,
    detector: Detector,
    damage: Region,
    /// Chooses among what the viewer shows; known with the first picture.
    selector: Option<Selector>,
    encoder: Option<Opened>,
    rate: Controller,
    key_frames: KeyFrames,
    arrived: Consumer<u32>,
    /// What is left of what was agreed on, when that has changed.
    narrowed: mpsc::Receiver<Vec<VideoFormat>>,
    references: References,
    /// The viewer lacks something that the last picture builds on, and when it was last given one that does without.
    lacking: bool,
    recovered: Time,
    /// How often the viewer was shown in vain that something is missing.
    probes: u32,
    /// Of the next picture, and of the last one that it may refer to.
    number: u32,
    last: u32,
    /// In two layers, the next picture is of the upper one if it is in motion.
    upper: bool,
    /// When the current picture is to be coded once more without having changed, and whether the change has not been seen
    /// yet, as the encoder's bit budget was spent or it is behind.
    again: Time,
    skipped: bool,
    failures: u32,
    /// What turned out not to work here.
    failed: Vec<VideoFormat>,
    /// When the viewer was last given a sign of life that it had asked for.
    answered: Time,
    /// When the last new picture was taken from the encoder.
    coded: Time,
    /// Of the last picture, for coding it again.
    stamps: Stamps,
    last_rtp: u32,
    frame: u64,
}

/// An encoder and what it was made for.
struct Opened {
    size: Size,
    format: VideoFormat,
    since: Time,
    encoder: Box<dyn Encoder>,
}

/// The way to the net thread.
pub(crate) struct Out {
    pool: PacketPool,
    packets: Producer<PacketBuf>,
    records: Producer<Record>,
    packetizer: Packetizer,
    waker: Waker,
}

impl Video {
    pub fn new(
        shared: Arc<Shared>,
        config: Config,
        frames: Taker<Frame>,
        arrived: Consumer<u32>,
        narrowed: mpsc::Receiver<Vec<VideoFormat>>,
        out: Out,
        commands: mpsc::Sender<Command>,
    ) -> Video {
        Video {
            shared,
            config,
            frames,
            out,
            commands,
            detector: Detector::new(),
            damage: Region::new(),
            selector: None,
            encoder: None,
            rate: Controller::new(Size::default(), Bitrate::ZERO),
            key_frames: KeyFrames::default(),
            arrived,
            narrowed,
            references: References::new(),
            lacking: false,
            recovered: Time::ZERO,
            probes: 0,
            number: 0,
            last: 0,
            upper: false,
            again: Time::NEVER,
            skipped: false,
            failures: 0,
            failed: Vec::new(),
            answered: Time::ZERO,
            coded: Time::ZERO,
            stamps: Stamps::default(),
            last_rtp: 0,
            frame: 0,
        }
    }

    pub fn run(mut self) {
        self.shared.i_am_video();
        while !self.shared.stop.is_set() {
            match self.step() {
                Ok(Some(until)) => {
                    let wait = until.since(self.shared.clock.now());
                    if until == Time::NEVER {
                        std::thread::park();
                    } else if !wait.is_zero() {
                        std::thread::park_timeout(wait);
                    }
                }
                Ok(None) => {}
                Err(error) if self.recovers(&error) => {
                    tracing::warn!(%error, "making a new encoder");
                    self.give_up_encoder();
                }
                Err(error) => {
                    let detail = error.to_string();
                    let _ = self
                        .commands
                        .send(Command::End { reason: EndReason::EndHostError, detail });
                    self.out.waker.ring();
                    return;
                }
            }
        }
    }

    /// Another is made with the next picture, which is still in the capturer and asked for as a whole.
    fn give_up_encoder(&mut self) {
        self.encoder = None;
        self.detector = Detector::new();
        (self.again, self.skipped) = (Time::NEVER, false);
        let _ = self.commands.send(Command::Recapture);
        self.out.waker.ring();
    }

    /// Pictures are coded in one of these from now on, unless none of them works: then those who show nothing else are
    /// turned away.
    fn narrow(&mut self, formats: &[VideoFormat]) {
        let works = |format: &&VideoFormat| !self.failed.contains(format);
        let selector = Selector::new(&formats.iter().filter(works).copied().collect::<Vec<_>>());
        if selector.format().is_none() {
            return;
        }
        self.selector = Some(selector);
        if self.encoder.as_ref().is_some_and(|opened| !formats.contains(&opened.format)) {
            self.give_up_encoder();
        }
    }

    /// Whether a new encoder can go on after `error`: one of the same format at first, then of the next best.
    fn recovers(&mut self, error: &EncodeError) -> bool {
        let Some(selector) = &mut self.selector else { return false };
        let now = self.shared.clock.now();
        if self.encoder.as_ref().is_some_and(|opened| now.since(opened.since) >= SOUND) {
            self.failures = 0;
        }
        match error {
            EncodeError::Library { .. } if self.failures + 1 < FAILURES => self.failures += 1,
            EncodeError::Library { .. }
            | EncodeError::UnsupportedSize { .. }
            | EncodeError::NoEncoder { .. } => {
                self.failed.extend(selector.format());
                selector.handle_failure();
                self.failures = 0;
            }
            // Nobody's fault but ours, so it would happen again.
            EncodeError::SizeChanged { .. } | EncodeError::NoPicture => return false,
        }
        selector.format().is_some()
    }

    /// Does one thing, or says until when there is nothing to do.
    fn step(&mut self) -> Result<Option<Time>, EncodeError> {
        if !self.shared.live.is_set() || self.shared.hidden.is_set() || self.backed_up() {
            return Ok(Some(Time::NEVER));
        }
        if let Ok(formats) = self.narrowed.try_recv() {
            self.narrow(&formats);
        }
        let now = self.shared.clock.now();
        let repair = self.look_at_arrivals(now);
        let probe = self.probe_at();
        let lacks = self.shared.key_frame.take();
        if self.shared.anew.take() {
            self.lacking = false;
            self.key_frames.handle_request(now);
        } else if lacks {
            self.handle_loss(now);
        }
        if self.shared.given_up.take() {
            self.lacking = true;
        }
        self.rate.handle_estimate(Bitrate::bps(self.shared.estimate.load(Relaxed)), Bitrate::ZERO);
        if let Some(frame) = self.frames.take() {
            return self.picture(frame, now).map(|()| None);
        }
        if self.encoder.is_none() {
            return Ok(Some(Time::NEVER));
        }
        let start = self.start(now);
        if start != Start::Previous {
            return self.repeat(Why::Restart, start, now).map(|()| None);
        }
        if probe <= now {
            self.probes += 1;
            return self.repeat(Why::KeepAlive, start, now).map(|()| None);
        }
        let answer_at = match self.shared.frame.is_set() {
            true => self.answered + ANSWERS,
            false => Time::NEVER,
        };
        if answer_at <= now {
            self.shared.frame.take();
            self.answered = now;
            if self.is_missing(now) {
                self.handle_loss(now);
                return Ok(None);
            }
            return self.repeat(Why::KeepAlive, start, now).map(|()| None);
        }
        if self.again <= now {
            return self.repeat(Why::Again, start, now).map(|()| None);
        }
        let key_frame = self.key_frames.poll_timeout().unwrap_or(Time::NEVER);
        Ok(Some(self.again.min(key_frame).min(repair).min(probe).min(answer_at)))
    }

    /// When the viewer is to be shown that it may lack the last picture.
    fn probe_at(&self) -> Time {
        match self.references.unheard_since() {
            Some(since) if self.refers() && self.probes < PROBES => {
                since + (self.rtt() + REPORT) * (1 << self.probes)
            }
            _ => Time::NEVER,
        }
    }

    /// Whether the viewer should have had the last picture by now, and has not.
    fn is_missing(&self, now: Time) -> bool {
        let since = self.references.missing_since().filter(|_| self.refers());
        since.is_some_and(|since| now.since(since) >= self.rtt() + REPORT)
    }

    /// Whether the viewer is told what each picture refers to.
    fn refers(&self) -> bool {
        self.shared.references.load(Relaxed)
    }

    fn rtt(&self) -> Duration {
        Duration::from_micros(self.shared.rtt.load(Relaxed))
    }

    /// Takes note of what the viewer has; returns when it is to be helped, unless what it lacks comes before.
    fn look_at_arrivals(&mut self, now: Time) -> Time {
        while let Some(number) = self.arrived.pop() {
            self.references.handle_arrived(now, number);
            self.probes = 0;
        }
        let Some(since) = self.references.stuck_since() else { return Time::NEVER };
        let until = since + self.rtt() + REPAIR;
        if until > now || self.lacking {
            return until.max(now);
        }
        self.lacking = self.references.recovery().is_some();
        Time::NEVER
    }

    /// The viewer cannot go on from the last picture.
    fn handle_loss(&mut self, now: Time) {
        let relapse = now.since(self.recovered) < RELAPSE;
        if self.references.recovery().is_some() && !relapse {
            self.lacking = true;
        } else {
            self.key_frames.handle_request(now);
        }
    }

    /// What the next picture may refer to. It has to be coded then: a key frame counts as ordered.
    fn start(&mut self, now: Time) -> Start {
        if self.key_frames.poll(now) {
            return Start::Nothing;
        }
        if !std::mem::take(&mut self.lacking) {
            return Start::Previous;
        }
        match self.references.recovery() {
            Some((slot, number)) => Start::Kept(slot, number),
            None => Start::Nothing,
        }
    }

    fn backed_up(&self) -> bool {
        let full = || {
            let rate = Bitrate::bps(self.shared.estimate.load(Relaxed));
            !self.out.packets.is_empty()
                || self.shared.backlog.load(Relaxed) > rate.bytes_in(BACKLOG)
        };
        if !full() {
            return false;
        }
        // Looked at again after the flag is up: the net thread either sees the flag or has made room before.
        self.shared.held_back.set(true);
        fence(SeqCst);
        full()
    }

    fn picture(&mut self, mut frame: Frame, now: Time) -> Result<(), EncodeError> {
        frame.stamps.taken = self.shared.clock.now();
        let body: &farpane_media::FrameBody = &frame;
        self.detector.update(body, Some(&body.damage), &mut self.damage);
        let narrowed = self.shared.clock.now();
        let start = self.start(now);
        let formats = self.shared.formats.get().map_or(&[][..], Vec::as_slice);
        let selector = self.selector.get_or_insert_with(|| Selector::new(formats));
        // When nothing is left the session is about to end.
        let Some(format) = selector.format() else { return Ok(()) };
        let opened = (self.encoder.as_ref()).map(|opened| (opened.size, opened.format));
        let new_encoder = opened != Some((frame.size, format));
        if self.damage.is_empty() && start == Start::Previous && !new_encoder {
            return Ok(());
        }
        if new_encoder {
            self.open(frame.size, format)?;
        }
        let Opened { encoder, .. } = self.encoder.as_mut().expect("opened above");
        encoder.update(Picture { frame: &frame, damage: &self.damage })?;
        self.stamps = Stamps { narrowed, converted: self.shared.clock.now(), ..frame.stamps };
        self.frame = frame.seq;
        drop(frame);
        self.skipped = false;
        self.code(Why::Change, start)
    }

    /// Codes the picture that the encoder has once more.
    fn repeat(&mut self, why: Why, start: Start, now: Time) -> Result<(), EncodeError> {
        if !self.skipped {
            // Nothing changed: for the viewer's measurements the picture is as fresh as this moment.
            self.stamps = Stamps {
                changed: now,
                captured: now,
                taken: now,
                narrowed: now,
                converted: now,
                ..Stamps::default()
            };
        }
        self.code(why, start)
    }

    fn open(&mut self, size: Size, format: VideoFormat) -> Result<(), EncodeError> {
        self.rate.handle_size(size);
        let config = EncoderConfig {
            size,
            chroma: format.chroma,
            bitrate: self.rate.target(),
            max_fps: self.config.max_fps,
            threads: self.config.encoder_threads,
            keeps: self.refers(),
            layered: self.config.layered,
        };
        // The one before goes first: two at a time are twice the memory.
        self.encoder = None;
        let encoder = (self.config.open_encoder)(format.codec, &config)?;
        let since = self.shared.clock.now();
        self.encoder = Some(Opened { size, format, since, encoder });
        Ok(())
    }

    fn code(&mut self, why: Why, start: Start) -> Result<(), EncodeError> {
        let (Some(Opened { size, format, encoder, .. }), Some(selector)) =
            (self.encoder.as_mut(), self.selector.as_mut())
        else {
            return Ok(());
        };
        let target = self.rate.target();
        let layered = encoder.is_layered();
        let small_films = selector.small_films();
        encoder.set_small_films(small_films);
        let began = self.shared.clock.now();
        // What comes after a pause is not followed by another at once, which would have to make up for it.
        let moves = why == Why::Change && began.since(self.coded) < PAUSE;
        let request = Request {
            key_frame: start == Start::Nothing,
            bitrate: target,
            now: began,
            from: if let Start::Kept(slot, _) = start { Some(slot) } else { None },
            keep: self.references.keep(began),
            discardable: self.upper && moves && start == Start::Previous,
        };
        let output = encoder.encode(&request)?;
        let now = self.shared.clock.now();
        if why == Why::Change {
            self.probes = 0;
            let film = matches!(&output, Output::AccessUnit(unit) if unit.film);
            selector.handle_picture(now, now.since(began), now.since(self.coded), film);
            self.coded = now;
        }
        let unit = match output {
            Output::AccessUnit(unit) => unit,
            Output::Skipped => {
                match start {
                    Start::Previous => {}
                    Start::Kept(..) => self.lacking = true,
                    Start::Nothing => self.key_frames.handle_request(now),
                }
                self.again = now + Duration::from_secs(1) / self.config.max_fps;
                self.skipped = true;
                return Ok(());
            }
        };
        self.stamps.encoded = now;
        (self.again, self.skipped) = (unit.again.unwrap_or(Time::NEVER), false);
        let mut rtp_time = self.stamps.captured.rtp(RTP_CLOCK);
        if rtp_time.wrapping_sub(self.last_rtp) as i32 <= 0 {
            // A picture coded again within the clock's resolution still needs a timestamp of its own.
            rtp_time = self.last_rtp.wrapping_add(1);
        }
        self.last_rtp = rtp_time;
        let (coded_in, reason) = if unit.film {
            let reason = if small_films { Reason::SmallFilm } else { Reason::Film };
            (VideoFormat { chroma: Chroma::Yuv420, ..*format }, reason)
        } else {
            (*format, selector.reason())
        };
        let number = self.number;
        let reference = match start {
            _ if unit.key_frame => None,
            Start::Kept(_, number) => Some(number),
            _ => Some(self.last),
        };
        let discardable = unit.discardable;
        let layer = match (layered, discardable) {
            (false, _) => Layer::Only,
            (true, false) => Layer::Lower,
            (true, true) => Layer::Upper,
        };
        self.upper = !discardable;
        self.number = number.wrapping_add(1);
        if !discardable {
            self.last = number;
        }
        self.references.handle_sent(now, Sent { number, reference, kept: unit.kept, discardable });
        let record = Record {
            frame: self.frame,
            rtp_time,
            stamps: self.stamps,
            bytes: unit.data.len(),
            key_frame: unit.key_frame,
            quantizer: unit.quantizer.unwrap_or(0),
            size: *size,
            format: coded_in,
            reason,
            target,
            captured: self.shared.captured.load(Relaxed),
            displaced: self.shared.displaced.load(Relaxed),
        };
        let meta = PacketMeta {
            format: *format,
            rtp_time,
            frame: self.frame,
            number,
            reference,
            starts_anew: unit.key_frame || matches!(start, Start::Kept(..)),
            layer,
            key_frame: unit.key_frame,
            keep_alive: why == Why::KeepAlive,
            capture: self.stamps.captured,
            ..PacketMeta::default()
        };
        let (key_frame, whole) = (unit.key_frame, self.out.send(&unit, meta, record, &self.shared));
        if let Some(Opened { encoder, .. }) = &self.encoder {
            let kept = self.references.recovery().map(|(slot, _)| slot);
            self.shared.restart_cost.store(encoder.restart_cost(kept), Relaxed);
        }
        if !whole {
            // The viewer lacks this picture, so nothing may build on it.
            tracing::warn!(
                "a picture of {} bytes found no room; one that does without follows",
                record.bytes
            );
            self.handle_loss(now);
        } else if key_frame {
            self.key_frames.handle_sent(now);
        } else if let Start::Kept(..) = start {
            self.recovered = now;
        }
        if self.encoder.as_ref().is_some_and(|opened| opened.encoder.is_behind()) {
            // The change has not been seen yet.
            (self.again, self.skipped) = (now, true);
        }
        Ok(())
    }
}

impl Out {
    pub fn new(packets: Producer<PacketBuf>, records: Producer<Record>, waker: Waker) -> Out {
        let packetizer = Packetizer::new(MAX_PAYLOAD);
        Out { pool: PacketPool::new(PACKETS), packets, records, packetizer, waker }
    }

    /// Hands all packets of an access unit to the net thread, or none.
    fn send(
        &mut self,
        unit: &AccessUnit<'_>,
        meta: PacketMeta,
        mut record: Record,
        shared: &Shared,
    ) -> bool {
        let payloads =
            self.packetizer.packetize(meta.format.codec, unit.data, unit.units, unit.key_frame);
        let count = payloads.clone().count();
        let room = self.packets.capacity() - self.packets.len();
        if count > self.pool.available().min(room) {
            return false;
        }
        for (at, payload) in payloads.enumerate() {
            let Some(mut packet) = self.pool.acquire() else { return false };
            packet.fill(|space| payload.write(space));
            packet.meta = PacketMeta { marker: payload.is_last(), first_of_frame: at == 0, ..meta };
            if payload.is_last() {
                packet.meta.changed = unit.changed.and_then(Patches::of);
            }
            if payload.is_last() && !meta.keep_alive {
                record.stamps.packetized = shared.clock.now();
                // Measurements only; when nobody takes them they may be lost.
                let _ = self.records.push(record);
            }
            if self.packets.push(packet).is_err() {
                return false;
            }
        }
        self.waker.ring();
        true
    }
}
