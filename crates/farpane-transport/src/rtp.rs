//! Plain RTP over UDP (RFC 3550, RFC 3551) for players, recorders and whoever listens to a multicast address. Nobody is
//! asked and nothing is encrypted.
//!
//! There may be no way back. What comes back anyway is used: a receiver that is heard for the first time or that says it
//! lacks a picture gets a key frame, and losses that receivers report lower the rate.

use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use farpane_media::{Bitrate, Clock, Codec, Time, VideoFormat};
use farpane_proto::depacketize::{Event as Unpacked, av1, h264};
use farpane_proto::rate::{LossRate, Pacer};
use farpane_proto::rtcp::{self, Said, SenderReport};
use farpane_proto::rtp::{FIXED_LEN, Header};
use farpane_proto::sdp::{CLOCK_RATE, Description, PAYLOAD_TYPE};
use farpane_proto::{MAX_PAYLOAD, PacketMeta};
use rustix::event::{PollFd, PollFlags};

use crate::meter::Meter;
use crate::waker::sleep;
use crate::{
    Channel, Event, NegotiationError, PathState, PathStats, Protocol, Remote, Route, SendError,
    Transport, TransportError, Waker,
};

/// The least time between reports (RFC 3550, section 6.2).
const REPORT_EVERY: Duration = Duration::from_secs(5);
/// After so long without a picture there is one without changes, as recorders go by what comes.
const QUIET: Duration = Duration::from_secs(1);
/// Receivers that are told apart; those of a large multicast group wait for the next key frame.
const MOST_RECEIVERS: usize = 64;
/// Datagrams read in one go, so that a flood cannot keep the thread from its other work.
const MAX_READS: usize = 64;
/// Longer ones are no RTCP of a receiver.
const DATAGRAM: usize = 1_500;
/// Beside a payload: headers of RTP, UDP and IPv4.
const OVERHEAD: usize = FIXED_LEN + 8 + 20;

/// Is given the description of the stream when the first picture is there.
pub type Describe = Box<dyn FnOnce(String) + Send>;

pub struct RtpConfig {
    /// Where packets go, with a port below 65535; RTCP goes to the next port.
    pub to: SocketAddr,
    /// The only one there is.
    pub format: VideoFormat,
    /// Never sent more.
    pub bitrate: Bitrate,
    /// A receiver of which nothing is heard waits for a key frame no longer than this.
    pub key_frames: Duration,
    /// What the stream is called.
    pub name: String,
    pub describe: Describe,
}

/// See the module.
pub struct Rtp {
    clock: Clock,
    to: SocketAddr,
    /// The address that packets leave from.
    from: IpAddr,
    format: VideoFormat,
    key_frames: Duration,
    rtp: UdpSocket,
    rtcp: UdpSocket,
    waker: Waker,
    events: VecDeque<Event>,
    state: PathState,
    introduction: Option<Introduction>,
    pacer: Pacer<Packet>,
    /// Packets to be filled again.
    spare: Vec<Packet>,
    rate: LossRate,
    header: Header,
    /// The RTP time of the clock's zero.
    base: u32,
    packets: u32,
    octets: u32,
    report_at: Time,
    key_frame_at: Time,
    quiet_at: Time,
    receivers: Vec<u32>,
    meter: Meter,
    loss: f32,
    rtt: Option<Duration>,
}

/// A payload and its head.
struct Packet {
    header: Header,
    payload: Vec<u8>,
}

/// The first picture, until all of it is there to be described.
struct Introduction {
    picture: Picture,
    bitrate: Bitrate,
    name: String,
    describe: Describe,
}

enum Picture {
    H264(h264::Depacketizer),
    Av1(av1::Depacketizer),
}

impl Rtp {
    /// # Errors
    /// There are no sockets to be had, or no way to that address is known.
    pub fn open(config: RtpConfig, clock: Clock) -> io::Result<Rtp> {
        let RtpConfig { to, format, bitrate, key_frames, name, describe } = config;
        let from = from(to)?;
        // Some answer to the port here that they listen at there. On the same machine it is theirs.
        let next = if from == to.ip() { 0 } else { to.port().saturating_add(1) };
        let rtcp = socket(to, next).or_else(|_| socket(to, 0))?;
        let picture = match format.codec {
            Codec::Av1 => Picture::Av1(av1::Depacketizer::default()),
            Codec::H264 | Codec::Null => Picture::H264(h264::Depacketizer::default()),
        };
        // Where to begin is to be unpredictable (RFC 3550, section 5.1).
        let random = RandomState::new();
        let [sequence, base, ssrc] = [0, 1, 2].map(|which| random.hash_one(which));
        let route = Route { relayed: false, protocol: Protocol::Udp, ipv6: to.is_ipv6() };
        let connected = Event::Connected { formats: vec![format], references: false, route };
        let now = clock.now();
        Ok(Rtp {
            clock,
            to,
            format,
            key_frames,
            from,
            rtp: socket(to, 0)?,
            rtcp,
            waker: Waker::new()?,
            events: VecDeque::from([connected]),
            state: PathState::Up,
            introduction: Some(Introduction { picture, bitrate, name, describe }),
            pacer: Pacer::default(),
            spare: Vec::new(),
            rate: LossRate::new(bitrate, now),
            header: Header {
                payload_type: PAYLOAD_TYPE,
                sequence: sequence as u16,
                ssrc: ssrc as u32,
                ..Header::default()
            },
            base: base as u32,
            packets: 0,
            octets: 0,
            report_at: now,
            key_frame_at: Time::NEVER,
            quiet_at: Time::NEVER,
            receivers: Vec::new(),
            meter: Meter::default(),
            loss: 0.0,
            rtt: None,
        })
    }

    fn turn(&mut self) {
        if self.state == PathState::Closed {
            return;
        }
        self.listen();
        let now = self.clock.now();
        if self.report_at <= now {
            self.report(now, false);
        }
        if self.key_frame_at <= now {
            self.key_frame_at = now + self.key_frames;
            self.events.push_back(Event::KeyFrameRequest);
        }
        if self.quiet_at <= now {
            self.quiet_at = now + QUIET;
            self.events.push_back(Event::FrameRequest);
        }
        self.let_out();
    }

    fn due(&self) -> Time {
        if self.state == PathState::Closed {
            return Time::NEVER;
        }
        let timers = self.report_at.min(self.key_frame_at).min(self.quiet_at);
        timers.min(self.pacer.poll_timeout(u64::MAX))
    }

    fn listen(&mut self) {
        let mut datagram = [0; DATAGRAM];
        for _ in 0..MAX_READS {
            // Some answer to where pictures came from (RFC 5761).
            let rtcp = self.rtcp.recv_from(&mut datagram);
            let Ok((len, from)) = rtcp.or_else(|_| self.rtp.recv_from(&mut datagram)) else {
                break;
            };
            if from.ip() != self.to.ip() {
                continue;
            }
            match rtcp::parse(&datagram[..len], self.header.ssrc) {
                Ok(said) => said.for_each(|said| self.hear(said)),
                Err(why) => tracing::debug!(%from, %why, "what came back is no RTCP"),
            }
        }
    }

    fn hear(&mut self, said: Said) {
        let now = self.clock.now();
        match said {
            Said::Reception { by, reception } => {
                self.meet(by);
                let lost = f64::from(reception.lost) / 256.0;
                self.loss = lost as f32;
                self.rtt = reception.round_trip(self.clock.unix(now)).or(self.rtt);
                let before = self.rate.rate();
                self.rate.handle_report(now, lost);
                if self.rate.rate() != before {
                    self.events.push_back(Event::Estimate(self.rate.rate()));
                }
            }
            Said::KeyFrame { by } => {
                self.meet(by);
                self.events.push_back(Event::KeyFrameRequest);
            }
            Said::Goodbye { by } => self.receivers.retain(|known| *known != by),
        }
    }

    /// Whoever is heard for the first time has begun in the middle.
    fn meet(&mut self, receiver: u32) {
        if !self.receivers.contains(&receiver) && self.receivers.len() < MOST_RECEIVERS {
            self.receivers.push(receiver);
            self.events.push_back(Event::KeyFrameRequest);
        }
    }

    fn let_out(&mut self) {
        // Above the rate, as its packets come in bursts.
        let pace = self.rate.rate() * 2.0;
        let now = self.clock.now();
        while let Some(packet) = self.pacer.pop(now, pace, u64::MAX) {
            let mut bytes = [0; FIXED_LEN + MAX_PAYLOAD];
            let start = packet.header.write(&[], &mut bytes).expect("a fixed header fits");
            let len = start + packet.payload.len();
            bytes[start..len].copy_from_slice(&packet.payload);
            let sent = send(&self.rtp, &bytes[..len], self.to);
            self.note(sent);
            self.meter.add(now, len - FIXED_LEN + OVERHEAD);
            self.packets = self.packets.wrapping_add(1);
            self.octets = self.octets.wrapping_add(packet.payload.len() as u32);
            self.spare.push(packet);
        }
    }

    fn report(&mut self, now: Time, goodbye: bool) {
        self.report_at = now + REPORT_EVERY;
        let report = SenderReport {
            ssrc: self.header.ssrc,
            unix: self.clock.unix(now),
            rtp_time: self.base.wrapping_add(now.rtp(CLOCK_RATE)),
            packets: self.packets,
            octets: self.octets,
        };
        let next = SocketAddr::new(self.to.ip(), self.to.port().saturating_add(1));
        let sent = send(&self.rtcp, &report.write(goodbye), next);
        self.note(sent);
    }

    /// Whether the network takes packets; one that it does not take is as good as lost.
    fn note(&mut self, sent: io::Result<()>) {
        match (sent, self.state) {
            (Ok(()), PathState::Lost) => {
                self.state = PathState::Up;
                self.events.push_back(Event::PathRestored);
            }
            (Err(why), PathState::Up) => {
                tracing::info!(to = %self.to, %why, "cannot send");
                self.state = PathState::Lost;
                self.events.push_back(Event::PathLost);
            }
            _ => {}
        }
    }

    fn introduce(&mut self, payload: &[u8], meta: &PacketMeta) {
        let Some(Introduction { picture, .. }) = &mut self.introduction else { return };
        let (sequence, marker) = (self.header.sequence, meta.marker);
        let header = Header { sequence, marker, time: meta.rtp_time, ..self.header };
        // What our own packetizer made is taken; what it was made of has to be looked at once.
        let ranges = match picture {
            Picture::H264(picture) => {
                let _ = picture.handle_packet(&header, payload);
                let Some(Unpacked::Unit(unit)) = picture.poll_event() else { return };
                (unit.data, unit.nals)
            }
            Picture::Av1(picture) => {
                let _ = picture.handle_packet(&header, payload);
                let Some(Unpacked::Unit(unit)) = picture.poll_event() else { return };
                (unit.data, unit.obus)
            }
        };
        let units: Vec<Vec<u8>> =
            ranges.1.iter().map(|unit| ranges.0[unit.clone()].to_vec()).collect();
        let Some(Introduction { bitrate, name, describe, .. }) = self.introduction.take() else {
            return;
        };
        let description = Description {
            id: self.header.ssrc,
            name: &name,
            from: self.from,
            to: self.to,
            bitrate,
            codec: self.format.codec,
            listens: true,
        };
        describe(description.write(units.iter().map(Vec::as_slice)));
    }
}

impl Transport for Rtp {
    fn wait(&mut self, until: Time) -> Result<(), TransportError> {
        self.turn();
        if self.events.is_empty() {
            let due = until.min(self.due());
            let timeout = (due != Time::NEVER).then(|| due.since(self.clock.now()));
            let mut fds = [
                PollFd::new(&self.waker, PollFlags::IN),
                PollFd::new(&self.rtcp, PollFlags::IN),
                PollFd::new(&self.rtp, PollFlags::IN),
            ];
            sleep(&mut fds, timeout)?;
        }
        self.waker.answer();
        self.turn();
        Ok(())
    }

    fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    fn send_video(&mut self, payload: &[u8], meta: &PacketMeta) -> Result<(), TransportError> {
        if self.state != PathState::Up {
            return Ok(());
        }
        self.introduce(payload, meta);
        let now = self.clock.now();
        let time = self.base.wrapping_add(meta.rtp_time);
        let header = Header { marker: meta.marker, time, ..self.header };
        self.header.sequence = self.header.sequence.wrapping_add(1);
        let mut packet = self
            .spare
            .pop()
            .unwrap_or_else(|| Packet { header, payload: Vec::with_capacity(MAX_PAYLOAD) });
        packet.header = header;
        packet.payload.clear();
        packet.payload.extend_from_slice(payload);
        self.pacer.push(now, payload.len() + OVERHEAD, meta.marker, packet);
        if meta.key_frame {
            self.key_frame_at = now + self.key_frames;
        }
        self.quiet_at = now + QUIET;
        self.let_out();
        Ok(())
    }

    fn send(&mut self, _: Channel, _: &[u8]) -> Result<(), SendError> {
        Err(SendError::NotOpen)
    }

    fn waker(&self) -> Waker {
        self.waker.clone()
    }

    fn path(&self) -> PathStats {
        let now = self.clock.now();
        PathStats {
            state: self.state,
            route: Some(Route { relayed: false, protocol: Protocol::Udp, ipv6: self.to.is_ipv6() }),
            estimate: self.rate.rate(),
            rtt: self.rtt,
            loss: self.loss,
            sent: self.meter.rate(now),
            resent: Bitrate::ZERO,
            parity: Bitrate::ZERO,
            bytes: self.meter.total,
            queued_packets: self.pacer.packets(),
            queued_bytes: self.pacer.bytes() as usize,
            queued_for: self.pacer.oldest().map_or(Duration::ZERO, |oldest| now.since(oldest)),
        }
    }

    fn handle_signal(&mut self, _: Remote<'_>) -> Result<Option<String>, NegotiationError> {
        Err(NegotiationError::MalformedOffer("plain RTP has nobody to negotiate with".to_owned()))
    }

    fn close(&mut self) {
        if self.state != PathState::Closed {
            let now = self.clock.now();
            self.report(now, true);
            self.events.clear();
            self.events.push_back(Event::Closed);
            self.state = PathState::Closed;
        }
    }
}

/// Not connected: players answer from other ports than those that they listen on.
fn socket(to: SocketAddr, port: u16) -> io::Result<UdpSocket> {
    let any: IpAddr = match to {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, port))?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// The address from which `to` is reached. Nothing is sent.
fn from(to: SocketAddr) -> io::Result<IpAddr> {
    let socket = socket(to, 0)?;
    socket.connect(to)?;
    Ok(socket.local_addr()?.ip())
}

/// A full socket is a loss like any other.
fn send(socket: &UdpSocket, packet: &[u8], to: SocketAddr) -> io::Result<()> {
    match socket.send_to(packet, to) {
        Err(error) if error.kind() != ErrorKind::WouldBlock => Err(error),
        _ => Ok(()),
    }
}
