//! WebRTC by str0m: the viewer's browser offers, this host answers and sends RTP that it packetized itself.
//!
//! Rules of str0m that this file keeps: every mutation is followed by taking out all output; time is advanced before
//! anything is stamped.

mod arrivals;
mod connections;
mod descriptor;
mod feedback;
mod network;
mod offer;
mod publish;
mod repair;
mod sockets;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant, UNIX_EPOCH};

use farpane_media::{Bitrate, Chroma, Clock, Codec, Time, VideoFormat};
use farpane_proto::PacketMeta;
use farpane_proto::fec;
use farpane_proto::rtp::descriptor::DependencyDescriptor;
use str0m::change::SdpOffer;
use str0m::channel::ChannelId;
use str0m::format::{Codec as RtcCodec, CodecConfig, CodecSpec, FormatParams};
use str0m::media::{Frequency, MediaTime, Mid, Pt};
use str0m::net::{Protocol, Receive, Transmit};
use str0m::rtp::rtcp::Rtcp;
use str0m::rtp::{
    AbsCaptureTime, Extension, ExtensionValues, RawPacket, RtpHeader, RtpWrite, SeqNo, Ssrc,
    StreamTx,
};
use str0m::stats::PeerStats;
use str0m::{Event as RtcEvent, Input, Output, Reason, Rtc, RtcConfig};

use crate::meter::Meter;
use crate::outbox::{Outbox, Packet};
use crate::pacing::Pacing;
use crate::{
    Channel, Door, Event, NegotiationError, PathState, PathStats, Protocol as Carrier, Remote,
    Route, SendError, Transport, TransportError, Waker,
};
use arrivals::Arrivals;
use feedback::Feedback;
use network::{Network, Way};
use repair::Repair;

pub use publish::Offered;

/// Datagrams read in one `wait`, so that a flood cannot keep the thread from its other work.
const MAX_READS: usize = 128;
/// Timer turns in one go: a large frame takes one for each packet.
const MAX_TURNS: usize = 1_024;
/// Trickled candidates of a session.
const MAX_TRICKLED: usize = 64;
/// A living viewer answers a connectivity check at least every 3 s.
const SILENCE: Duration = Duration::from_secs(5);
/// After this long without video the stream rests.
const REST_AFTER: Duration = Duration::from_secs(2);
/// str0m wakes up every 40 ms without need. For that alone it is not called before so much time has passed.
const SHORT_REST: Duration = Duration::from_millis(20);
/// The same when it rests and no data channel has a timer to be met, `REST_AFTER_DATA` after the last message.
const LONG_REST: Duration = Duration::from_millis(250);
const REST_AFTER_DATA: Duration = Duration::from_millis(300);
/// The browser asks for a key frame when it has seen no frame for 3 s, and for nothing else after such a time.
const MISSED_AFTER: Duration = Duration::from_millis(2_500);
const STATS_INTERVAL: Duration = Duration::from_millis(500);
/// What str0m is to estimate: with any more it probes and pads.
const NOTHING: str0m::bwe::Bitrate = str0m::bwe::Bitrate::ZERO;
/// What can be sent again: the packets of some large frames. The loss of the last packets before a rest shows only
/// with the next frame.
const RESEND_PACKETS: usize = 2_048;
const RESEND_AGE: Duration = Duration::from_secs(10);
/// Bound of a viewer's message and of what waits for the viewer, in bytes.
const MAX_MESSAGE: u32 = 64 * 1024;
const MAX_BUFFERED: usize = 256 * 1024;

const DIRECT: Route = Route { relayed: false, protocol: Carrier::Udp, ipv6: false };

#[derive(Clone, Debug)]
pub struct WebRtcConfig {
    /// What this host can send.
    pub formats: Vec<VideoFormat>,
    /// What the path is believed to carry before anything has been measured.
    pub initial_estimate: Bitrate,
    /// Where the viewer's TCP connections come in, if it is to have that way as well.
    pub door: Option<Arc<dyn Door>>,
}

impl Default for WebRtcConfig {
    fn default() -> Self {
        let codecs = [Codec::H264, Codec::Av1].into_iter();
        let formats = codecs.flat_map(|codec| {
            [Chroma::Yuv420, Chroma::Yuv444].map(|chroma| VideoFormat::new(codec, chroma))
        });
        WebRtcConfig { formats: formats.collect(), initial_estimate: Bitrate::mbps(4), door: None }
    }
}

/// A session with one browser.
pub struct WebRtc {
    rtc: Rtc,
    network: Network,
    clock: Clock,
    waker: Waker,
    events: VecDeque<Event>,
    /// When str0m wants to be called next.
    due: Instant,
    state: PathState,
    route: Option<Route>,
    /// Where media goes.
    nominated: Option<Way>,
    /// The kernel does not know of all that is to be received: some was read along with something else.
    more: bool,
    last_heard: Time,
    last_video: Time,
    last_data: Time,
    trickled: usize,
    /// Of the viewer's last offer: another one restarts ICE (RFC 8839, section 4.4.1.1.1).
    ufrag: String,
    mid: Mid,
    /// What the viewer shows, by its preference.
    formats: Vec<(VideoFormat, Pt)>,
    next_sequence: SeqNo,
    /// The stream of pictures, and of those of its packets that are sent again.
    ssrc: Ssrc,
    resend_ssrc: Option<Ssrc>,
    /// For a viewer that takes parity.
    repair: Option<Repair>,
    /// Followed for a viewer that is told what pictures refer to.
    arrivals: Option<Arrivals>,
    channels: Vec<(ChannelId, Channel)>,
    pacing: Pacing,
    outbox: Outbox,
    feedback: Feedback,
    rtt: Option<Duration>,
    loss: f32,
    sent: Meter,
    resent: Meter,
    parity: Meter,
}

impl WebRtc {
    /// Answers a browser's offer: one video section that receives, and data channels. Connectivity checks start with
    /// the first [`Transport::wait`].
    ///
    /// # Errors
    /// The offer makes no sense or has no codec in common with this host, or the machine has no usable network.
    pub fn answer(
        offer_sdp: &str,
        config: WebRtcConfig,
        clock: Clock,
    ) -> Result<(WebRtc, String), NegotiationError> {
        let offer = offer::examine(offer_sdp)?;
        let mid = Mid::from(offer.video.as_str());
        let waker = Waker::new().map_err(NegotiationError::NoInterface)?;
        let start = Instant::now();
        let mut rtc = rtc_config(&config, offer.parity).build(start);
        let mut network = Network::new(config.door);
        network.open(&mut rtc).map_err(NegotiationError::NoInterface)?;
        let mut answer = accept(&mut rtc, &offer.sdp)?;
        let begun = Begun { rtc, network, waker, mid, start, estimate: config.initial_estimate };
        let session = begun.session(clock, offer.parity, offer.ufrag)?;
        if let Some(repair) = &session.repair {
            answer = repair.complete(&answer);
        }
        Ok((session, answer))
    }

    /// What was agreed on, by the viewer's preference.
    pub fn formats(&self) -> impl Iterator<Item = VideoFormat> {
        self.formats.iter().map(|(format, _)| *format)
    }

    /// Whether the viewer is told what pictures refer to, and says which have arrived.
    pub fn references(&self) -> bool {
        self.arrivals.is_some()
    }

    /// Lets str0m do all that is due, and takes out what comes of it.
    fn run(&mut self) -> Result<(), TransportError> {
        for _ in 0..MAX_TURNS {
            let now = Instant::now();
            self.rtc.handle_input(Input::Timeout(now)).map_err(protocol)?;
            self.drain()?;
            if self.due > Instant::now() {
                break;
            }
        }
        Ok(())
    }

    fn drain(&mut self) -> Result<(), TransportError> {
        loop {
            match self.rtc.poll_output().map_err(protocol)? {
                Output::Timeout(due) => {
                    self.due = due;
                    return Ok(());
                }
                Output::Transmit(transmit) => self.transmit(&transmit),
                Output::Event(event) => self.take(event),
            }
        }
    }

    fn transmit(&mut self, transmit: &Transmit) {
        let now = self.clock.now();
        let bytes = &transmit.contents[..];
        self.sent.add(now, bytes.len());
        let video = is_rtp(bytes);
        // SRTP leaves the header readable (RFC 3550, section 5.1).
        let ssrc = bytes.get(8..12).filter(|_| video);
        let is = |stream: Option<Ssrc>| {
            stream.is_some_and(|stream| ssrc == Some(&stream.to_be_bytes()[..]))
        };
        if is(self.resend_ssrc) {
            self.resent.add(now, bytes.len());
        } else if is(self.repair.as_ref().map(Repair::ssrc)) {
            self.parity.add(now, bytes.len());
        }
        if is_dtls(bytes) {
            self.last_data = now;
        }
        let Transmit { proto: protocol, source: local, destination: remote, .. } = *transmit;
        let way = Way { protocol, local, remote };
        // Connectivity checks try all ways; everything else takes the nominated one.
        let check = bytes.first().is_some_and(|first| *first < 4);
        if !check && self.nominated != Some(way) {
            self.nominated = Some(way);
            let carrier = if protocol == Protocol::Tcp { Carrier::Tcp } else { Carrier::Udp };
            self.route = Some(Route { relayed: false, protocol: carrier, ipv6: remote.is_ipv6() });
            self.pacing.handle_route(carrier, local.ip(), remote.ip());
            self.apply_pacing();
        }
        self.network.send(way, bytes, video);
    }

    fn take(&mut self, event: RtcEvent) {
        match event {
            RtcEvent::Connected => {
                self.state = PathState::Up;
                self.last_heard = self.clock.now();
                let route = self.route.unwrap_or(DIRECT);
                let formats = self.formats().collect();
                let references = self.references();
                self.events.push_back(Event::Connected { formats, references, route });
            }
            RtcEvent::ChannelOpen(id, label) => match Channel::from_label(&label) {
                Some(channel) if self.channels.iter().all(|(_, open)| *open != channel) => {
                    self.channels.push((id, channel));
                    self.events.push_back(Event::ChannelOpen(channel));
                }
                _ => tracing::debug!(label, "the viewer opened a channel that nobody reads"),
            },
            RtcEvent::ChannelClose(id) => {
                if let Some(at) = self.channels.iter().position(|(open, _)| *open == id) {
                    let (_, channel) = self.channels.swap_remove(at);
                    self.events.push_back(Event::ChannelClosed(channel));
                }
            }
            RtcEvent::ChannelData(data) => {
                if let Some((_, channel)) = self.channels.iter().find(|(open, _)| *open == data.id)
                {
                    self.events.push_back(Event::Data(*channel, data.data));
                }
            }
            RtcEvent::KeyframeRequest(_)
                if self.clock.now().since(self.last_video) >= MISSED_AFTER =>
            {
                self.events.push_back(Event::FrameRequest);
            }
            RtcEvent::KeyframeRequest(_) => self.events.push_back(Event::KeyFrameRequest),
            RtcEvent::PeerStats(stats) => self.take_stats(&stats),
            RtcEvent::RawPacket(packet) => self.take_packet(*packet),
            RtcEvent::Closed => self.end(),
            _ => {}
        }
    }

    fn take_packet(&mut self, packet: RawPacket) {
        let now = self.clock.now();
        match packet {
            RawPacket::RtpTx(header, bytes) => {
                let Some(number) = header.ext_vals.transport_cc else { return };
                let number = self.feedback.handle_sent(number);
                self.outbox.handle_sent(now, number, bytes.len());
                let parity = self.repair.as_ref().is_some_and(|r| r.ssrc() == header.ssrc);
                match &mut self.arrivals {
                    Some(arrivals) if parity => {
                        let payload = bytes.get(header.header_len..).unwrap_or_default();
                        let of = fec::Header::parse(payload);
                        of.into_iter().for_each(|(of, _)| arrivals.handle_parity(number, of));
                    }
                    Some(arrivals) => {
                        arrivals.handle_sent(number, &header, &bytes, self.resend_ssrc);
                    }
                    None => {}
                }
                self.protect(now, number, &header, &bytes);
            }
            RawPacket::RtcpRx(Rtcp::Twcc(report)) => {
                let report = self.feedback.handle_report(report);
                if let Some(repair) = &mut self.repair {
                    repair.handle_report(report);
                    self.outbox.set_parity(repair.share(self.rtt.unwrap_or_default()));
                }
                if let Some(arrivals) = &mut self.arrivals {
                    arrivals.handle_report(report, |number| {
                        self.events.push_back(Event::Arrived(number));
                    });
                }
                self.outbox.handle_report(now, report);
                // Else the estimate of str0m's own rises with the reports.
                self.rtc.bwe().reset(NOTHING);
                self.events.extend(self.outbox.poll_estimate().map(Event::Estimate));
            }
            _ => {}
        }
    }

    /// A packet has left; parity may follow it.
    fn protect(&mut self, now: Time, number: u64, header: &RtpHeader, packet: &[u8]) {
        let Some(repair) = &mut self.repair else { return };
        let rtt = self.rtt.unwrap_or_default();
        let path = repair::Path { rtt, estimate: self.outbox.measured() };
        let count = repair.handle_sent(now, number, header, packet, path);
        // Each goes before the last.
        for index in (0..count).rev() {
            let fill = |payload: &mut Vec<u8>| repair.fill(index, count, payload);
            self.outbox.push_parity(now, header.timestamp, fill);
        }
    }

    fn take_stats(&mut self, stats: &PeerStats) {
        let pair = stats.selected_candidate_pair.as_ref();
        self.rtt = pair.and_then(|pair| pair.current_round_trip_time).or(self.rtt);
        self.loss = stats.egress_loss_fraction.unwrap_or_default();
        self.pacing.handle_measurement(self.clock.now(), self.loss, self.outbox.measured());
        self.apply_pacing();
    }

    fn apply_pacing(&mut self) {
        self.outbox.set_unpaced(self.pacing.unpaced(self.clock.now()));
        self.events.extend(self.outbox.poll_estimate().map(Event::Estimate));
    }

    /// Hands str0m the packets that have their turn.
    fn let_out(&mut self) -> Result<(), TransportError> {
        let now = self.clock.now();
        self.outbox.handle_timeout(now);
        if self.arrivals.is_some() && self.outbox.give_up(now) {
            self.events.push_back(Event::GivenUp);
        }
        while let Some(copy) = self.repair.as_mut().and_then(|repair| repair.poll_copy(now)) {
            let fill = |payload: &mut Vec<u8>| payload.extend_from_slice(&copy.payload);
            self.outbox.push_parity(now, copy.rtp_time, fill);
        }
        while let Some(packet) = self.next_packet() {
            match &mut self.repair {
                Some(repair) if packet.parity => {
                    repair.write(&mut self.rtc, packet.meta.rtp_time, &packet.payload);
                }
                _ => self.write(&packet.payload, &packet.meta),
            }
            self.outbox.give_back(packet);
            // What is in flight counts before the next.
            self.rtc.handle_input(Input::Timeout(Instant::now())).map_err(protocol)?;
            self.drain()?;
        }
        Ok(())
    }

    fn next_packet(&mut self) -> Option<Packet> {
        let full = self.nominated.is_some_and(|way| self.network.is_full(way));
        self.outbox.set_blocked(full);
        self.outbox.pop(self.clock.now())
    }

    fn receive(&mut self) -> Result<(), TransportError> {
        self.more = true;
        for _ in 0..MAX_READS {
            let Some((by, datagram)) = self.network.recv() else {
                self.more = false;
                break;
            };
            let now = Instant::now();
            let source = datagram.source;
            let parsed = Receive::new(by, source, datagram.destination, datagram.bytes);
            let Ok(input) = parsed.map(|receive| Input::Receive(now, receive)) else {
                continue;
            };
            if !self.rtc.accepts(&input) {
                continue;
            }
            if is_dtls(datagram.bytes) {
                self.last_data = self.clock.time(now);
            }
            // Unauthenticated as it is, a bad datagram must not end the session; str0m says itself when it is dead.
            let handled = self.rtc.handle_input(input);
            self.drain()?;
            match handled {
                Ok(()) => {
                    self.network.handle_proof(self.clock.time(now), by, source);
                    self.heard();
                }
                Err(error) if self.rtc.is_alive() => tracing::debug!(%error, "datagram dropped"),
                Err(error) => return Err(protocol(error)),
            }
        }
        Ok(())
    }

    fn heard(&mut self) {
        self.last_heard = self.clock.now();
        if self.state == PathState::Lost {
            self.state = PathState::Up;
            self.events.push_back(Event::PathRestored);
        }
    }

    fn listen_for_silence(&mut self) {
        if self.state == PathState::Up && self.clock.now().since(self.last_heard) >= SILENCE {
            self.state = PathState::Lost;
            self.events.push_back(Event::PathLost);
        }
    }

    fn end(&mut self) {
        if self.state != PathState::Closed {
            self.state = PathState::Closed;
            self.channels.clear();
            self.events.push_back(Event::Closed);
        }
    }

    fn wake_up_at(&self, until: Time) -> Time {
        if self.more {
            return self.clock.now();
        }
        let silent =
            if self.state == PathState::Up { self.last_heard + SILENCE } else { Time::NEVER };
        let due =
            if self.rtc.is_alive() { self.clock.time(self.due) + self.rest() } else { Time::NEVER };
        let out =
            if self.state == PathState::Up { self.outbox.poll_timeout() } else { Time::NEVER };
        let copy = self.repair.as_ref().map_or(Time::NEVER, Repair::poll_timeout);
        until.min(due).min(silent).min(out).min(copy)
    }

    /// For how long what str0m wants to be called for can wait.
    fn rest(&self) -> Duration {
        let now = self.clock.now();
        if !matches!(self.rtc.last_timeout_reason(), Reason::Pacer(_) | Reason::BweDelayControl) {
            Duration::ZERO
        } else if now.since(self.last_video) < REST_AFTER
            || now.since(self.last_data) < REST_AFTER_DATA
        {
            SHORT_REST
        } else {
            LONG_REST
        }
    }

    /// Writes a packet for str0m to send at once.
    fn write(&mut self, payload: &[u8], meta: &PacketMeta) {
        let payload_type = self.formats.iter().find(|(format, _)| *format == meta.format).copied();
        let Some((_, payload_type)) = payload_type else {
            tracing::debug!(format = %meta.format, "the viewer does not show this");
            return;
        };
        let captured = self.clock.instant(meta.capture).unwrap_or_else(Instant::now);
        let abs_capture_time = meta.first_of_frame.then(|| AbsCaptureTime {
            capture_time: UNIX_EPOCH + self.clock.unix(meta.capture),
            clock_offset: None,
        });
        let mut extensions = ExtensionValues {
            // Show each frame as soon as it is decoded.
            play_delay_min: Some(MediaTime::ZERO),
            play_delay_max: Some(MediaTime::ZERO),
            abs_capture_time,
            ..ExtensionValues::default()
        };
        let sequence = self.next_sequence.inc();
        if let Some(arrivals) = &mut self.arrivals {
            extensions.user_values.set(descriptor(meta));
            arrivals.handle_written(*sequence, meta.number, meta.marker);
        }
        let packet = RtpWrite::new(payload_type, sequence, meta.rtp_time, captured, payload)
            .marker(meta.marker)
            .ext_vals(extensions)
            .nackable(true);
        if let Some(stream) = self.rtc.direct_api().stream_tx(&self.ssrc) {
            if meta.first_of_frame && meta.starts_anew {
                // What was lost before is not needed any more; repeats of it would only delay what is.
                empty_rtx_cache(stream);
            }
            stream.write_rtp(packet);
        }
    }
}

impl Transport for WebRtc {
    fn wait(&mut self, until: Time) -> Result<(), TransportError> {
        if Instant::now() >= self.due + self.rest() {
            self.run()?;
        }
        self.let_out()?;
        if self.events.is_empty() {
            let wake_up = self.wake_up_at(until);
            let timeout = (wake_up != Time::NEVER).then(|| wake_up.since(self.clock.now()));
            self.network.sleep(&self.waker, timeout)?;
        }
        self.waker.answer();
        self.network.handle_timeout(self.clock.now(), &mut self.rtc);
        self.receive()?;
        if Instant::now() >= self.due + self.rest() {
            self.run()?;
        }
        self.let_out()?;
        self.listen_for_silence();
        if self.state == PathState::Closed && !self.rtc.is_alive() {
            self.network.close();
        }
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
        if !meta.keep_alive {
            self.last_video = now;
        }
        self.outbox.push(now, payload, *meta);
        self.let_out()
    }

    fn send(&mut self, channel: Channel, message: &[u8]) -> Result<(), SendError> {
        let open = self.channels.iter().find(|(_, open)| *open == channel);
        let Some(mut writer) = open.and_then(|(id, _)| self.rtc.channel(*id)) else {
            return Err(SendError::NotOpen);
        };
        // What leads to a failure here ends the session, and the next `wait` says so.
        let taken = writer.write(true, message).map_err(|_| SendError::NotOpen)?;
        let _ = self.run();
        if taken { Ok(()) } else { Err(SendError::Full) }
    }

    fn waker(&self) -> Waker {
        self.waker.clone()
    }

    fn path(&self) -> PathStats {
        let now = self.clock.now();
        PathStats {
            state: self.state,
            route: self.route,
            estimate: self.outbox.estimate(),
            rtt: self.rtt,
            loss: self.loss,
            sent: self.sent.rate(now),
            resent: self.resent.rate(now),
            parity: self.parity.rate(now),
            bytes: self.sent.total,
            queued_packets: self.outbox.packets(),
            queued_bytes: self.outbox.bytes() as usize,
            queued_for: self.outbox.oldest().map_or(Duration::ZERO, |oldest| now.since(oldest)),
        }
    }

    fn set_restart_cost(&mut self, bytes: u64) {
        self.outbox.set_restart_cost(bytes);
    }

    fn handle_signal(&mut self, signal: Remote<'_>) -> Result<Option<String>, NegotiationError> {
        if self.state == PathState::Closed {
            return Err(NegotiationError::Ended);
        }
        let answer = match signal {
            Remote::Offer(sdp) => {
                let offer = offer::examine(sdp)?;
                if Mid::from(offer.video.as_str()) != self.mid {
                    return Err(NegotiationError::MalformedOffer(
                        "its video section is another".to_owned(),
                    ));
                }
                // The machine may have moved to another network; without a new address the old ones still do.
                let _ = self.network.open(&mut self.rtc);
                // Candidates come one by one, counted; only a restart of ICE makes the old ones obsolete.
                if offer.ufrag != self.ufrag {
                    self.ufrag = offer.ufrag;
                    self.trickled = 0;
                }
                let answer = accept(&mut self.rtc, &offer::without_candidates(&offer.sdp))?;
                self.network.register(&mut self.rtc, &self.waker);
                let repair = self.repair.as_ref();
                Some(repair.map(|repair| repair.complete(&answer)).unwrap_or(answer))
            }
            Remote::Candidate("") => None,
            Remote::Candidate(value) => {
                if let Some(candidate) = offer::candidate(value)?
                    && self.trickled < MAX_TRICKLED
                {
                    self.trickled += 1;
                    self.rtc.add_remote_candidate(candidate);
                }
                None
            }
        };
        // A failure ends the session, and the next `wait` says so.
        let _ = self.run();
        Ok(answer)
    }

    fn close(&mut self) {
        if self.state != PathState::Closed {
            // Best effort: the viewer notices silence as well.
            let _ = self.rtc.close();
            let _ = self.run();
            self.rtc.disconnect();
            self.end();
        }
        self.network.close();
    }
}

/// What both ways of negotiating have come to.
struct Begun {
    rtc: Rtc,
    network: Network,
    waker: Waker,
    /// The video section.
    mid: Mid,
    start: Instant,
    estimate: Bitrate,
}

impl Begun {
    /// `parity` is the payload type by which the other side takes it, `ufrag` its user name fragment.
    fn session(
        self,
        clock: Clock,
        parity: Option<u8>,
        ufrag: String,
    ) -> Result<WebRtc, NegotiationError> {
        let Begun { mut rtc, mut network, waker, mid, start, estimate } = self;
        let formats = formats(&rtc, mid);
        if formats.is_empty() {
            return Err(NegotiationError::NoCommonCodec);
        }
        let told = rtc.media(mid).is_some_and(|media| descriptor::is_in(media.remote_extmap()));
        let stream = rtc.direct_api().stream_tx_by_mid(mid, None).map(|stream| stream.ssrc());
        let ssrc = stream.ok_or(NegotiationError::NoCommonCodec)?;
        let repair = parity.and_then(|parity| Repair::new(&mut rtc, mid, parity));
        let mut api = rtc.direct_api();
        let stream = api.stream_tx(&ssrc).ok_or(NegotiationError::NoCommonCodec)?;
        empty_rtx_cache(stream);
        stream.set_unpaced(true);
        let resend_ssrc = stream.rtx();
        network.register(&mut rtc, &waker);
        let now = clock.time(start);
        Ok(WebRtc {
            rtc,
            network,
            clock,
            waker,
            events: VecDeque::new(),
            due: start,
            state: PathState::Connecting,
            route: None,
            nominated: None,
            more: false,
            last_heard: now,
            last_video: now,
            last_data: now,
            trickled: 0,
            ufrag,
            mid,
            formats,
            next_sequence: SeqNo::from(1),
            ssrc,
            resend_ssrc,
            repair,
            arrivals: told.then(Arrivals::default),
            channels: Vec::new(),
            pacing: Pacing::default(),
            outbox: Outbox::new(estimate),
            feedback: Feedback::new(start),
            rtt: None,
            loss: 0.0,
            sent: Meter::default(),
            resent: Meter::default(),
            parity: Meter::default(),
        })
    }
}

fn rtc_config(config: &WebRtcConfig, parity: Option<u8>) -> RtcConfig {
    let mut rtc = Rtc::builder()
        .clear_codecs()
        .clear_extension_map()
        .set_extension(1, Extension::TransportSequenceNumber)
        .set_extension(2, Extension::AbsoluteSendTime)
        .set_extension(3, Extension::RtpMid)
        .set_extension(4, Extension::PlayoutDelay)
        .set_extension(5, Extension::AbsoluteCaptureTime)
        .set_extension(6, descriptor::extension())
        // For transport-wide feedback.
        .enable_bwe(Some(NOTHING))
        .set_stats_interval(Some(STATS_INTERVAL))
        .set_sctp_max_message_size(MAX_MESSAGE)
        .set_sctp_max_buffered_amount(MAX_BUFFERED)
        // For the feedback on single packets, which is given in no other way.
        .enable_raw_packets(true)
        .set_rtp_mode(true);
    for format in &config.formats {
        add_format(rtc.codec_config(), *format);
    }
    if let Some(payload_type) = parity {
        repair::add_format(rtc.codec_config(), payload_type);
    }
    rtc
}

fn add_format(codecs: &mut CodecConfig, format: VideoFormat) {
    let av1 = |profile| FormatParams { profile: Some(profile), ..FormatParams::default() };
    let h264 = |id| FormatParams {
        level_asymmetry_allowed: Some(true),
        packetization_mode: Some(1),
        profile_level_id: Some(id),
        ..FormatParams::default()
    };
    // A payload type, that of its repair, and its parameters; str0m takes over the viewer's numbers.
    let payloads: &[(u8, u8, FormatParams)] = match (format.codec, format.chroma) {
        // Constrained baseline first; some viewers list only baseline, of which it is a part.
        (Codec::H264, Chroma::Yuv420) => &[(108, 109, h264(0x42e01f)), (127, 121, h264(0x42001f))],
        (Codec::H264, Chroma::Yuv444) => &[(114, 115, h264(0xf4001f))],
        (Codec::Av1, Chroma::Yuv420) => &[(45, 46, av1(0))],
        (Codec::Av1, Chroma::Yuv444) => &[(47, 48, av1(1))],
        (Codec::Null, _) => &[],
    };
    let codec = if format.codec == Codec::Av1 { RtcCodec::Av1 } else { RtcCodec::H264 };
    for (payload, resend, params) in payloads {
        let (payload, resend) = ((*payload).into(), Some((*resend).into()));
        codecs.add_config(payload, resend, codec, Frequency::NINETY_KHZ, None, *params);
    }
}

fn empty_rtx_cache(stream: &mut StreamTx) {
    stream.set_rtx_cache(RESEND_PACKETS, RESEND_AGE, None);
}

fn accept(rtc: &mut Rtc, sdp: &str) -> Result<String, NegotiationError> {
    let malformed =
        |error: &dyn std::fmt::Display| NegotiationError::MalformedOffer(error.to_string());
    let offer = SdpOffer::from_sdp_string(sdp).map_err(|error| malformed(&error))?;
    let answer = rtc.sdp_api().accept_offer(offer).map_err(|error| malformed(&error))?;
    Ok(answer.to_sdp_string())
}

/// What can be sent of what the viewer shows, with the payload type that it likes best for each.
fn formats(rtc: &Rtc, mid: Mid) -> Vec<(VideoFormat, Pt)> {
    let mut formats: Vec<(VideoFormat, Pt)> = Vec::new();
    let Some(media) = rtc.media(mid).filter(|media| media.direction().is_sending()) else {
        return formats;
    };
    for pt in media.remote_pts() {
        let params = rtc.codec_config().params().iter().find(|params| params.pt() == *pt);
        let format = params.and_then(|params| format(&params.spec()));
        if let Some(format) = format.filter(|new| formats.iter().all(|(known, _)| known != new)) {
            formats.push((format, *pt));
        }
    }
    formats
}

/// By the profile: High 4:4:4 Predictive is profile 244 of H.264, High is profile 1 of AV1.
fn format(spec: &CodecSpec) -> Option<VideoFormat> {
    let (codec, full) = match spec.codec {
        RtcCodec::H264 => {
            let profile = spec.format.profile_level_id.map_or(0x42, |id| id >> 16);
            (Codec::H264, profile == 244)
        }
        RtcCodec::Av1 => (Codec::Av1, spec.format.profile == Some(1)),
        _ => return None,
    };
    Some(VideoFormat::new(codec, if full { Chroma::Yuv444 } else { Chroma::Yuv420 }))
}

fn descriptor(meta: &PacketMeta) -> DependencyDescriptor {
    DependencyDescriptor {
        first_of_picture: meta.first_of_frame,
        last_of_picture: meta.marker,
        number: meta.number as u16,
        reference: meta.reference.map(|reference| meta.number.wrapping_sub(reference) as u16),
        layer: meta.layer,
    }
}

/// By the first byte (RFC 7983, section 7), and the second, which is the type of RTCP (RFC 5761, section 4).
fn is_rtp(bytes: &[u8]) -> bool {
    matches!(bytes, [128..=191, second, ..] if !(192..=223).contains(second))
}

/// By the first byte (RFC 7983, section 7).
fn is_dtls(bytes: &[u8]) -> bool {
    bytes.first().is_some_and(|first| (20..=63).contains(first))
}

fn protocol(error: str0m::RtcError) -> TransportError {
    TransportError::Protocol(Box::new(error))
}
