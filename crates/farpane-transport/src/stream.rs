//! Media and messages over a WebSocket through the meeting point, which carries them encrypted: for viewers to whom WebRTC
//! finds no way.
//!
//! RTP payloads travel as they are, some in one message, as fragments that are counted from 0. TCP loses none and keeps
//! their order, but queues without a limit; so when each arrived is told by the viewer, and the rate control that holds a
//! path of datagrams holds this one too: what is in flight is bounded, and what turns stale is never sent. Only its timeout
//! does not apply: what is not heard of is late, not lost.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::Duration;

use farpane_auth::MediaKeys;
use farpane_media::{Bitrate, Chroma, Clock, Codec, Patches, Rect, Time, VideoFormat};
use farpane_proto::PacketMeta;
use farpane_wire::v1::{
    Area, Arrival, Changed, Fragment, Letter, StreamChannel, StreamFormat, StreamMessage,
};
use farpane_wire::{MAX_CHANNEL_BYTES, MAX_SIGNAL_BYTES, Message};

use crate::cipher::{MEDIA_OVERHEAD, MediaOpen, MediaSeal, media_ends};
use crate::meter::Meter;
use crate::outbox::{Fate, Outbox};
use crate::{Channel, Event, PathState, PathStats, Protocol, Route, SendError};

/// A message is closed at this size, in bytes: large enough to be cheap, small enough not to hold up what comes after.
const MESSAGE: usize = 16 * 1024;
/// Messages from the viewer in one go, so that a flood cannot keep the thread from its other work; no fewer than may wait in
/// [`StreamConfig::incoming`], as what is left there is announced by nothing.
const MAX_READS: usize = 512;
/// What waits for the viewer beside pictures, in bytes.
const MAX_LETTERS: usize = 256 * 1024;
/// When the meeting point takes no more, it is asked again after this long.
const AGAIN: Duration = Duration::from_millis(5);
/// What waits is looked at this often.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// No clock of a viewer has come this far.
const LATEST_US: u64 = 1 << 62;
/// Beside a fragment's payload: its other fields, and what WebSocket, TCP and IP add for each packet.
const FRAGMENT: usize = 24;
/// A rectangle of what changed, as it is sent.
const AREA: usize = 14;

/// Takes a message for the viewer, or gives it back while there is no room.
pub type Deliver = Box<dyn FnMut(Vec<u8>) -> Result<(), Vec<u8>> + Send>;

/// The host's end of a viewer's WebSocket whose opening has proved it.
pub struct StreamConfig {
    pub from: SocketAddr,
    /// Messages of the viewer, of which at most 512 wait; rings the waker of whoever drives this. Disconnected when the viewer is gone, which is for
    /// the meeting point to say: a page that is hidden for long may be let speak only once a minute.
    pub incoming: Receiver<Vec<u8>>,
    pub outgoing: Deliver,
    pub keys: MediaKeys,
    /// What the viewer shows, by its preference.
    pub formats: Vec<VideoFormat>,
    /// What the path is believed to carry before anything has been measured.
    pub initial_estimate: Bitrate,
}

/// One viewer's stream. It has no way to sleep: [`crate::Ways`] drives it.
pub struct Stream {
    clock: Clock,
    config: StreamConfig,
    seal: MediaSeal,
    open: MediaOpen,
    state: PathState,
    references: bool,
    events: VecDeque<Event>,
    outbox: Outbox,
    /// Fragments that were sent, and of them those that arrived.
    sent: u64,
    arrived: u64,
    /// The last fragment of each picture under way, and the picture's number.
    pictures: VecDeque<(u64, u32)>,
    departures: VecDeque<Departure>,
    report: Vec<Fate>,
    letters: Vec<Letter>,
    letter_bytes: usize,
    /// A message that there was no room for yet.
    unsent: Option<Vec<u8>>,
    rtt: Option<Duration>,
    meter: Meter,
}

/// The fragments of a message, until they have arrived.
struct Departure {
    /// The first fragment after them.
    end: u64,
    at: Time,
}

impl Stream {
    pub fn new(config: StreamConfig, clock: Clock) -> Stream {
        let outbox = Outbox::new(config.initial_estimate);
        let (seal, open) = media_ends(&config.keys);
        Stream {
            clock,
            seal,
            open,
            state: PathState::Up,
            references: false,
            events: VecDeque::new(),
            outbox,
            sent: 0,
            arrived: 0,
            pictures: VecDeque::new(),
            departures: VecDeque::new(),
            report: Vec::new(),
            letters: Vec::new(),
            letter_bytes: 0,
            unsent: None,
            rtt: None,
            meter: Meter::default(),
            config,
        }
    }

    pub(crate) fn formats(&self) -> &[VideoFormat] {
        &self.config.formats
    }

    /// Whether pictures may go on from any that has arrived, so that stale ones can be given up.
    pub(crate) fn set_references(&mut self, references: bool) {
        self.references = references;
    }

    pub(crate) fn set_restart_cost(&mut self, bytes: u64) {
        self.outbox.set_restart_cost(bytes);
    }

    pub(crate) fn route(&self) -> Route {
        Route { relayed: true, protocol: Protocol::WebSocket, ipv6: self.config.from.is_ipv6() }
    }

    /// Takes in what has come and lets out what is due.
    pub(crate) fn run(&mut self) {
        for _ in 0..MAX_READS {
            match self.config.incoming.try_recv() {
                Ok(mut message) if self.state != PathState::Closed => self.receive(&mut message),
                Ok(_) => {}
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => {
                    self.end();
                    break;
                }
            }
        }
        self.let_out();
    }

    /// A viewer comes back by another stream; this one is never taken up again.
    fn end(&mut self) {
        self.state = PathState::Closed;
    }

    /// Whether the viewer shows all of `formats`.
    pub(crate) fn shows(&self, formats: &[VideoFormat]) -> bool {
        formats.iter().all(|format| self.config.formats.contains(format))
    }

    pub(crate) fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    pub(crate) fn is_up(&self) -> bool {
        self.state == PathState::Up
    }

    pub(crate) fn poll_timeout(&self) -> Time {
        if !self.is_up() {
            return Time::NEVER;
        }
        let now = self.clock.now();
        match self.unsent {
            Some(_) => now + AGAIN,
            // What waits may turn stale.
            None if self.outbox.packets() > 0 => self.outbox.poll_departure().min(now + LOOK_AGAIN),
            None => Time::NEVER,
        }
    }

    pub(crate) fn send_video(&mut self, payload: &[u8], meta: &PacketMeta) {
        if self.is_up() {
            self.outbox.push(self.clock.now(), payload, *meta);
            if meta.marker {
                self.let_out();
            }
        }
    }

    pub(crate) fn send(&mut self, channel: Channel, message: &[u8]) -> Result<(), SendError> {
        if !self.is_up() {
            return Err(SendError::NotOpen);
        }
        if self.letter_bytes + message.len() > MAX_LETTERS {
            return Err(SendError::Full);
        }
        self.letter_bytes += message.len();
        self.letters
            .push(Letter { channel: channel_name(channel).into(), message: message.to_vec() });
        self.let_out();
        Ok(())
    }

    pub(crate) fn path(&self) -> PathStats {
        let now = self.clock.now();
        PathStats {
            state: self.state,
            route: Some(self.route()),
            estimate: self.outbox.estimate(),
            rtt: self.rtt,
            loss: 0.0,
            sent: self.meter.rate(now),
            resent: Bitrate::ZERO,
            parity: Bitrate::ZERO,
            bytes: self.meter.total,
            queued_packets: self.outbox.packets(),
            queued_bytes: self.outbox.bytes() as usize,
            queued_for: self.outbox.oldest().map_or(Duration::ZERO, |oldest| now.since(oldest)),
        }
    }

    fn receive(&mut self, message: &mut [u8]) {
        let opened = self.open.open(message).ok();
        let Some(message) = opened.and_then(|plain| StreamMessage::decode(plain).ok()) else {
            tracing::debug!(from = %self.config.from, "a stream ended with what is not the viewer's");
            return self.end();
        };
        for Letter { channel, message } in message.letters {
            let channel = StreamChannel::try_from(channel).ok().map(channel_of);
            if let Some(channel) = channel.filter(|_| message.len() <= MAX_CHANNEL_BYTES) {
                self.events.push_back(Event::Data(channel, message));
            }
        }
        for Arrival { next, at_us } in message.arrivals {
            self.handle_arrival(next, Duration::from_micros(at_us.min(LATEST_US)));
        }
    }

    fn handle_arrival(&mut self, next: u64, at: Duration) {
        // Nothing arrives twice or before it was sent.
        if next <= self.arrived || next > self.sent {
            return;
        }
        let now = self.clock.now();
        self.report.clear();
        self.report.extend((self.arrived..next).map(|number| (number, Some(at))));
        self.arrived = next;
        self.outbox.handle_report(now, &self.report);
        while let Some((_, picture)) = self.pictures.pop_front_if(|(last, _)| *last < next) {
            self.events.push_back(Event::Arrived(picture));
        }
        while let Some(departure) = self.departures.pop_front_if(|departure| departure.end <= next)
        {
            self.rtt = Some(now.since(departure.at));
        }
        self.events.extend(self.outbox.poll_estimate().map(Event::Estimate));
    }

    fn let_out(&mut self) {
        let now = self.clock.now();
        if self.references && self.outbox.give_up(now) {
            self.events.push_back(Event::GivenUp);
        }
        while self.is_up() && self.offer_unsent() {
            let message = self.compose(now);
            if message == StreamMessage::default() {
                break;
            }
            let mut bytes = Vec::with_capacity(message.encoded_len() + MEDIA_OVERHEAD);
            message.encode(&mut bytes).expect("a vector has room for any message");
            self.seal.seal(&mut bytes);
            self.meter.add(now, bytes.len());
            self.unsent = Some(bytes);
        }
    }

    /// Whether nothing waits for room any more.
    fn offer_unsent(&mut self) -> bool {
        self.unsent = self.unsent.take().and_then(|bytes| (self.config.outgoing)(bytes).err());
        self.unsent.is_none()
    }

    /// What goes next: letters first, since they are short and are waited for.
    fn compose(&mut self, now: Time) -> StreamMessage {
        let mut message = StreamMessage::default();
        let mut size = 0;
        // A long letter goes alone: with others it would be more than the viewer takes in one message.
        let fits =
            |size: usize, letter: &Letter| size == 0 || size + letter.message.len() <= MESSAGE;
        while self.letters.first().is_some_and(|letter| fits(size, letter)) {
            // A letter is taken from the front of few.
            let letter = self.letters.remove(0);
            self.letter_bytes -= letter.message.len();
            size += letter.message.len();
            message.letters.push(letter);
        }
        while size < MESSAGE
            && let Some(packet) = self.outbox.pop(now)
        {
            let meta = packet.meta;
            let changed = meta.changed.as_ref().map(areas);
            let told = changed.as_ref().map_or(0, |changed| changed.areas.len() * AREA);
            let bytes = packet.payload.len() + FRAGMENT + told;
            self.outbox.handle_sent(now, self.sent, bytes);
            if meta.marker {
                self.pictures.push_back((self.sent, meta.number));
            }
            self.sent += 1;
            size += bytes;
            message.fragments.push(Fragment {
                payload: packet.payload.clone(),
                format: format_name(meta.format).into(),
                rtp_time: meta.rtp_time,
                key_frame: meta.key_frame,
                last_of_picture: meta.marker,
                changed,
            });
            self.outbox.give_back(packet);
        }
        if !message.fragments.is_empty() {
            self.departures.push_back(Departure { end: self.sent, at: now });
        }
        debug_assert!(message.encoded_len() + MEDIA_OVERHEAD <= 2 * MAX_SIGNAL_BYTES);
        message
    }
}

fn areas(patches: &Patches) -> Changed {
    let area = |Rect { x, y, w, h }| Area { x, y, width: w, height: h };
    Changed { areas: patches.rects().map(area).collect() }
}

fn channel_name(channel: Channel) -> StreamChannel {
    match channel {
        Channel::Input => StreamChannel::ChannelInput,
        Channel::Pointer => StreamChannel::ChannelPointer,
        Channel::Cursor => StreamChannel::ChannelCursor,
        Channel::Control => StreamChannel::ChannelControl,
        Channel::Stats => StreamChannel::ChannelStats,
    }
}

fn channel_of(name: StreamChannel) -> Channel {
    match name {
        StreamChannel::ChannelInput => Channel::Input,
        StreamChannel::ChannelPointer => Channel::Pointer,
        StreamChannel::ChannelCursor => Channel::Cursor,
        StreamChannel::ChannelControl => Channel::Control,
        StreamChannel::ChannelStats => Channel::Stats,
    }
}

fn format_name(format: VideoFormat) -> StreamFormat {
    match (format.codec, format.chroma) {
        (Codec::H264, Chroma::Yuv420) => StreamFormat::StreamH264,
        (Codec::H264, Chroma::Yuv444) => StreamFormat::StreamH264444,
        (Codec::Av1, Chroma::Yuv420) => StreamFormat::StreamAv1,
        (Codec::Av1, Chroma::Yuv444) => StreamFormat::StreamAv1444,
        (Codec::Null, _) => StreamFormat::StreamUnspecified,
    }
}

/// What a viewer says that it shows; `None` for what this host does not know.
pub fn stream_format(name: StreamFormat) -> Option<VideoFormat> {
    Some(match name {
        StreamFormat::StreamUnspecified => return None,
        StreamFormat::StreamH264 => VideoFormat::new(Codec::H264, Chroma::Yuv420),
        StreamFormat::StreamH264444 => VideoFormat::new(Codec::H264, Chroma::Yuv444),
        StreamFormat::StreamAv1 => VideoFormat::new(Codec::Av1, Chroma::Yuv420),
        StreamFormat::StreamAv1444 => VideoFormat::new(Codec::Av1, Chroma::Yuv444),
    })
}
