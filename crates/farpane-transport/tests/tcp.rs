//! The WebRTC transport by TCP (RFC 6544) against a viewer made of str0m itself, which has no UDP.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use farpane_media::Clock;
use farpane_proto::PacketMeta;
use farpane_proto::framing::{self, Deframer};
use farpane_proto::rtp::descriptor::DependencyDescriptor;
use farpane_transport::{
    Caller, Channel, Door, Event, Remote, Take, Transport, WebRtc, WebRtcConfig,
};
use str0m::change::{SdpAnswer, SdpOffer, SdpPendingOffer};
use str0m::channel::{ChannelConfig, ChannelId};
use str0m::media::{Direction, MediaKind};
use str0m::net::{Protocol, Receive, TcpType};
use str0m::rtp::{Extension, ExtensionSerializer, ExtensionValues};
use str0m::{Candidate, Event as RtcEvent, Input, Output, Rtc};

/// Far longer than anything here takes; only a broken transport gets there.
const PATIENCE: Duration = Duration::from_secs(30);

/// A door on a port of its own, which is asked by hand to let somebody in.
#[derive(Clone)]
struct Entrance {
    listener: Arc<TcpListener>,
    takes: Arc<Mutex<Vec<Named>>>,
}

/// Who takes those that give this name.
type Named = (String, Arc<Take>);

impl std::fmt::Debug for Entrance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Entrance")
    }
}

impl Entrance {
    fn new() -> Entrance {
        let listener = Arc::new(TcpListener::bind("127.0.0.1:0").unwrap());
        Entrance { listener, takes: Arc::default() }
    }

    fn names(&self) -> Vec<String> {
        self.takes.lock().unwrap().iter().map(|(name, _)| name.clone()).collect()
    }

    /// Somebody who connects and is let in, after some of what they say was read already.
    fn connect(&self, hello: &[u8]) -> TcpStream {
        let mut near = TcpStream::connect(self.addr()).unwrap();
        let (mut stream, _) = self.listener.accept().unwrap();
        near.write_all(hello).unwrap();
        let mut read = vec![0; hello.len()];
        stream.read_exact(&mut read).unwrap();
        let take = Arc::clone(&self.takes.lock().unwrap().last().unwrap().1);
        take(Caller { stream, read });
        near.set_nonblocking(true).unwrap();
        near
    }
}

struct Place(Entrance, String);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.takes.lock().unwrap().retain(|(name, _)| *name != self.1);
    }
}

impl Door for Entrance {
    fn addr(&self) -> SocketAddr {
        self.listener.local_addr().unwrap()
    }

    fn register(&self, ufrag: &str, take: Take) -> Box<dyn Send> {
        self.takes.lock().unwrap().push((ufrag.to_owned(), Arc::new(take)));
        Box::new(Place(self.clone(), ufrag.to_owned()))
    }
}

/// Tells the host that this viewer knows dependency descriptors, and looks at none.
#[derive(Debug)]
struct Descriptors;

impl ExtensionSerializer for Descriptors {
    fn write_to(&self, _: &mut [u8], _: &ExtensionValues) -> usize {
        unreachable!("a viewer sends no video")
    }

    fn parse_value(&self, _: &[u8], _: &mut ExtensionValues) -> bool {
        true
    }

    fn is_video(&self) -> bool {
        true
    }

    fn is_audio(&self) -> bool {
        false
    }
}

struct Viewer {
    rtc: Rtc,
    host: SocketAddr,
    socket: TcpStream,
    received: Deframer,
    channel: ChannelId,
    open: bool,
    /// RTP times of the packets that came.
    packets: Vec<u32>,
    reading: bool,
    closed: bool,
}

impl Viewer {
    fn offer() -> (Rtc, ChannelId, SdpOffer, SdpPendingOffer) {
        let mut rtc = Rtc::builder()
            .clear_codecs()
            .enable_h264(true)
            .set_extension(9, Extension::with_serializer(DependencyDescriptor::URI, Descriptors))
            .set_rtp_mode(true)
            .build(Instant::now());
        let mut api = rtc.sdp_api();
        api.add_media(MediaKind::Video, Direction::RecvOnly, None, None, None);
        let label = Channel::Input.label().to_owned();
        let channel = api.add_channel_with_config(ChannelConfig { label, ..Default::default() });
        let (offer, pending) = api.apply().unwrap();
        (rtc, channel, offer, pending)
    }

    /// Goes by this connection from now on, and returns the address that the last one had.
    fn use_connection(&mut self, socket: TcpStream) -> SocketAddr {
        let last = self.socket.local_addr().unwrap();
        let local = Candidate::builder().tcp().host(socket.local_addr().unwrap());
        self.rtc.add_local_candidate(local.tcptype(TcpType::Active).build().unwrap());
        (self.socket, self.received) = (socket, Deframer::default());
        last
    }

    fn turn(&mut self) {
        while self.reading && !self.closed {
            while self.received.has_frame().unwrap() {
                let (from, to) = (self.host, self.socket.local_addr().unwrap());
                let packet = self.received.poll_frame().unwrap();
                let receive = Receive::new(Protocol::Tcp, from, to, packet).unwrap();
                self.rtc.handle_input(Input::Receive(Instant::now(), receive)).unwrap();
                self.drain();
            }
            match self.socket.read(self.received.space()) {
                Ok(0) => self.closed = true,
                Ok(len) => self.received.handle_received(len),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                // A host that ends does not wait for what it was sent.
                Err(error) if error.kind() == ErrorKind::ConnectionReset => self.closed = true,
                Err(error) => panic!("{error}"),
            }
        }
        self.rtc.handle_input(Input::Timeout(Instant::now())).unwrap();
        self.drain();
    }

    fn drain(&mut self) {
        loop {
            match self.rtc.poll_output().unwrap() {
                Output::Timeout(_) => return,
                // Whatever is for another address of the host, or another connection, gets nowhere.
                Output::Transmit(transmit)
                    if transmit.destination == self.host
                        && transmit.source == self.socket.local_addr().unwrap() =>
                {
                    let length = framing::length(transmit.contents.len()).unwrap();
                    // The host may have closed it.
                    let _ = self.socket.write_all(&[&length, &transmit.contents[..]].concat());
                }
                Output::Event(RtcEvent::ChannelOpen(..)) => self.open = true,
                Output::Event(RtcEvent::RtpPacket(packet)) if packet.payload.len() > 1 => {
                    self.packets.push(packet.header.timestamp);
                }
                Output::Transmit(_) | Output::Event(_) => {}
            }
        }
    }
}

struct Session {
    host: WebRtc,
    viewer: Viewer,
    door: Entrance,
    clock: Clock,
    answer: String,
    events: Vec<Event>,
}

impl Session {
    fn connected() -> Session {
        let (mut rtc, channel, offer, pending) = Viewer::offer();
        let (clock, door) = (Clock::start(), Entrance::new());
        let config = WebRtcConfig { door: Some(Arc::new(door.clone())), ..Default::default() };
        let (host, answer) = WebRtc::answer(&offer.to_sdp_string(), config, clock).unwrap();
        let parsed = SdpAnswer::from_sdp_string(&answer).unwrap();
        rtc.sdp_api().accept_answer(pending, parsed).unwrap();
        let socket = door.connect(b"");
        let mut viewer = Viewer {
            rtc,
            host: door.addr(),
            socket: socket.try_clone().unwrap(),
            received: Deframer::default(),
            channel,
            open: false,
            packets: Vec::new(),
            reading: true,
            closed: false,
        };
        viewer.use_connection(socket);
        let mut session = Session { host, viewer, door, clock, answer, events: Vec::new() };
        session.until("a connection", |s| {
            s.viewer.open && s.events.contains(&Event::ChannelOpen(Channel::Input))
        });
        session
    }

    /// Lets both sides work until `done`.
    fn until(&mut self, what: &str, done: impl Fn(&Session) -> bool) {
        let start = Instant::now();
        while !done(self) {
            assert!(start.elapsed() < PATIENCE, "gave up waiting for {what}: {:?}", self.events);
            self.turn();
        }
    }

    fn turn(&mut self) {
        self.host.wait(self.clock.now() + Duration::from_millis(1)).unwrap();
        self.events.extend(std::iter::from_fn(|| self.host.poll_event()));
        self.viewer.turn();
    }

    fn send_frame(&mut self, frame: u32, packets: u8) {
        for at in 0..packets {
            let meta = PacketMeta {
                rtp_time: frame,
                marker: at + 1 == packets,
                frame: frame.into(),
                first_of_frame: at == 0,
                key_frame: frame == 0,
                capture: self.clock.now(),
                number: frame,
                reference: frame.checked_sub(1),
                ..PacketMeta::default()
            };
            let mut payload = vec![at; 1_000];
            payload[0] = 0x41;
            self.host.send_video(&payload, &meta).unwrap();
        }
    }

    fn arrived(&self, frame: u32) -> usize {
        self.viewer.packets.iter().filter(|time| **time == frame).count()
    }

    /// Whether media and messages pass, by a frame of this number.
    fn works(&mut self, frame: u32) {
        self.send_frame(frame, 20);
        self.until("a frame", |s| s.arrived(frame) == 20);
        let message = frame.to_be_bytes().to_vec();
        let channel = self.viewer.channel;
        assert!(self.viewer.rtc.channel(channel).unwrap().write(true, &message).unwrap());
        self.viewer.drain();
        let wanted = Event::Data(Channel::Input, message);
        self.until("a message", |s| s.events.contains(&wanted));
    }
}

#[test]
fn media_and_messages_go_by_tcp_alone() {
    let mut session = Session::connected();
    let route = session.events.iter().find_map(|event| match event {
        Event::Connected { route, .. } => Some(route.to_string()),
        _ => None,
    });
    assert_eq!(route.as_deref(), Some("direct, TCP, IPv4"));
    (0..10).for_each(|frame| session.works(frame));
}

#[test]
fn the_answer_offers_the_door_after_udp_and_only_where_it_listens() {
    let session = Session::connected();
    let candidates = |protocol: &str| -> Vec<(u32, String)> {
        let lines = session.answer.lines().filter_map(|line| line.strip_prefix("a=candidate:"));
        let fields = lines.map(|line| line.split(' ').collect::<Vec<_>>());
        let wanted = fields.filter(|fields| fields[2] == protocol);
        wanted.map(|fields| (fields[3].parse().unwrap(), fields[4..].join(" "))).collect()
    };
    let (udp, tcp) = (candidates("udp"), candidates("tcp"));
    let at = format!("127.0.0.1 {} typ host tcptype passive ", session.door.addr().port());
    assert!(
        !tcp.is_empty() && tcp.iter().all(|(_, candidate)| candidate.starts_with(&at)),
        "{tcp:?}"
    );
    let least = udp.iter().map(|(priority, _)| priority).min();
    assert!(tcp.iter().all(|(priority, _)| Some(priority) < least), "{tcp:?} {udp:?}");

    let (_, _, offer, _) = Viewer::offer();
    let offer = offer.to_sdp_string();
    let (_, without) = WebRtc::answer(&offer, WebRtcConfig::default(), Clock::start()).unwrap();
    assert!(!without.contains("tcptype"));
}

#[test]
fn a_viewer_that_stops_reading_costs_no_memory_and_gets_no_old_pictures_later() {
    let mut session = Session::connected();
    session.works(0);
    session.viewer.reading = false;
    let before = session.host.path().bytes;
    // As the engine does: nothing new while there is something old.
    let mut frame = 1;
    let start = Instant::now();
    while !session.events.contains(&Event::GivenUp) {
        assert!(start.elapsed() < PATIENCE, "the way never fills up");
        if session.host.path().queued_packets == 0 {
            session.send_frame(frame, 60);
            frame += 1;
        }
        session.turn();
    }
    // What two kernels hold of an idle connection, far less than what a picture a millisecond comes to.
    let taken = session.host.path().bytes - before;
    assert!(taken < 4_000_000, "{taken} bytes");
    assert_eq!(session.host.path().queued_packets, 0);
    session.viewer.reading = true;
    session.send_frame(frame, 20);
    session.until("the newest frame", |s| s.arrived(frame) == 20);
    assert!(session.arrived(frame - 1) < 60, "what had become stale never left");
    session.works(frame + 1);
}

#[test]
fn a_connection_that_breaks_is_followed_by_another() {
    let mut session = Session::connected();
    session.works(0);
    let next = session.door.connect(b"");
    let lost = session.viewer.use_connection(next);
    let candidate = Candidate::builder().tcp().host(lost).tcptype(TcpType::Active).build();
    session.viewer.rtc.direct_api().invalidate_candidate(&candidate.unwrap());
    let (packets, start) = (session.viewer.packets.len(), Instant::now());
    for frame in 1.. {
        assert!(start.elapsed() < PATIENCE, "no frames by the next connection");
        session.send_frame(frame, 1);
        session.turn();
        if session.viewer.packets.len() > packets {
            break;
        }
    }
    assert!(!session.events.contains(&Event::PathLost), "before the viewer is missed");
    session.works(u32::MAX / 2);
}

#[test]
fn garbage_and_strangers_change_nothing() {
    let mut session = Session::connected();
    session.works(0);
    let idle = session.door.connect(b"");
    let half = session.door.connect(&[0, 100, 1, 2, 3]);
    let hostile: [&[u8]; 4] = [
        &[0xff; 3_000],
        // Frames of nothing, of a check without contents, of what looks like DTLS, RTP, RTCP.
        &[0, 0, 0, 2, 0, 1, 0, 3, 22, 1, 2, 0, 4, 128, 96, 0, 1, 0, 4, 128, 200, 0, 1],
        // The start of a frame that is longer than allowed.
        &[0x10, 0x00, 1],
        b"GET / HTTP/1.1\r\n\r\n",
    ];
    let mut strangers: Vec<TcpStream> =
        hostile.iter().map(|hello| session.door.connect(hello)).collect();
    session.works(1);
    // The stream of the viewer's own connection is authenticated packet by packet.
    session.viewer.socket.write_all(&[0, 4, 128, 96, 0, 1, 0, 3, 22, 1, 2]).unwrap();
    session.works(2);
    for hello in [0, 2, 3] {
        let read = strangers[hello].read(&mut [0; 10]);
        assert!(!matches!(read, Err(error) if error.kind() == ErrorKind::WouldBlock), "{hello}");
    }
    // More than there is room for.
    let _many: Vec<TcpStream> = (0..40)
        .map(|_| {
            session.turn();
            session.door.connect(b"")
        })
        .collect();
    drop((idle, half));
    session.works(3);
}

#[test]
fn the_name_is_at_the_door_before_the_answer_and_gone_after_the_end() {
    let mut session = Session::connected();
    let ufrag = |sdp: &str| -> String {
        sdp.lines().find_map(|line| line.strip_prefix("a=ice-ufrag:")).unwrap().to_owned()
    };
    let first = ufrag(&session.answer);
    assert_eq!(session.door.names(), [&*first]);
    let mut api = session.viewer.rtc.sdp_api();
    api.ice_restart(true);
    let (offer, pending) = api.apply().unwrap();
    let answer =
        session.host.handle_signal(Remote::Offer(&offer.to_sdp_string())).unwrap().unwrap();
    assert_ne!(ufrag(&answer), first);
    assert_eq!(session.door.names(), [first, ufrag(&answer)]);
    let parsed = SdpAnswer::from_sdp_string(&answer).unwrap();
    session.viewer.rtc.sdp_api().accept_answer(pending, parsed).unwrap();
    session.works(0);
    session.host.close();
    assert_eq!(session.door.names(), [] as [String; 0]);
    session.until("the end of the connection", |s| s.viewer.closed);
}
