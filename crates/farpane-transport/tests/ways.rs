//! Streams over a WebSocket, with a viewer that reads and acknowledges by hand; the meeting point is a pair of queues.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use farpane_auth::{HostHandshake, RoutingId, SessionKeys, Share, Step, ViewerHandshake};
use farpane_media::{Bitrate, Clock, Patches, Rect, Region, Time, VideoFormat};
use farpane_proto::{MAX_PAYLOAD, PacketMeta};
use farpane_transport::{
    Attach, Channel, Event, MediaOpen, MediaSeal, NegotiationError, PathState, Remote,
    StreamConfig, Transport, Waker, Ways, WebRtc, WebRtcConfig, media_ends,
};
use farpane_wire::Message;
use farpane_wire::v1::{
    Area, Arrival, Changed, Fragment, Letter, Signal, StreamChannel, StreamMessage, signal::Body,
};
use str0m::change::SdpAnswer;
use str0m::channel::ChannelId;
use str0m::media::{Direction, MediaKind};
use str0m::net::{Protocol, Receive};
use str0m::{Candidate, Input, Output, Rtc};

/// Far longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(30);
/// As in the page (`web/src/stream.ts`), which hangs up on a longer one.
const MAX_MESSAGE: usize = 68 * 1024;

fn keys() -> (SessionKeys, SessionKeys) {
    let mut share = Share::open(RoutingId::random(), Duration::ZERO).unwrap();
    let (viewer, start) = ViewerHandshake::start(share.code().clone()).unwrap();
    let mut host = HostHandshake::new(IpAddr::V4(Ipv4Addr::LOCALHOST));
    let mut say = |body| host.handle(Duration::ZERO, &mut share, &Signal { body: Some(body) });
    let Step::Reply(Signal { body: Some(Body::AuthReply(reply)) }) = say(Body::AuthStart(start))
    else {
        panic!("no reply")
    };
    let (finish, viewer) = viewer.finish(&reply).unwrap();
    let Step::Admitted(host) = say(Body::AuthFinish(finish)) else { panic!("not admitted") };
    (host, viewer)
}

/// The viewer's end of a stream.
struct Viewer {
    from_host: Receiver<Vec<u8>>,
    to_host: SyncSender<Vec<u8>>,
    waker: Waker,
    seal: MediaSeal,
    open: MediaOpen,
    fragments: Vec<Fragment>,
    letters: Vec<Letter>,
}

impl Viewer {
    /// Attaches a stream; `room` messages for the viewer have room at the meeting point.
    fn attach(
        attach: &Attach,
        keys: &(SessionKeys, SessionKeys),
        line: u32,
        room: usize,
    ) -> Viewer {
        Viewer::attach_from([192, 0, 2, 1], attach, keys, line, room)
    }

    fn attach_from(
        from: [u8; 4],
        attach: &Attach,
        keys: &(SessionKeys, SessionKeys),
        line: u32,
        room: usize,
    ) -> Viewer {
        let (to_host, incoming) = sync_channel(256);
        let (outgoing, from_host) = sync_channel(room);
        attach.attach(StreamConfig {
            from: SocketAddr::from((from, 1)),
            incoming,
            outgoing: Box::new(move |bytes| {
                outgoing.try_send(bytes).map_err(|error| match error {
                    std::sync::mpsc::TrySendError::Full(bytes)
                    | std::sync::mpsc::TrySendError::Disconnected(bytes) => bytes,
                })
            }),
            keys: keys.0.host_media_keys(line),
            formats: vec![VideoFormat::default()],
            initial_estimate: Bitrate::mbps(4),
        });
        let (seal, open) = media_ends(&keys.1.viewer_media_keys(line));
        let waker = attach.waker();
        Viewer { from_host, to_host, waker, seal, open, fragments: Vec::new(), letters: Vec::new() }
    }

    fn read(&mut self) -> bool {
        let Ok(mut bytes) = self.from_host.try_recv() else { return false };
        assert!(bytes.len() <= MAX_MESSAGE, "the page takes no message of {} bytes", bytes.len());
        let message = StreamMessage::decode(self.open.open(&mut bytes).unwrap()).unwrap();
        self.fragments.extend(message.fragments);
        self.letters.extend(message.letters);
        true
    }

    fn seal(&mut self, message: &StreamMessage) -> Vec<u8> {
        let mut bytes = message.encode_to_vec();
        self.seal.seal(&mut bytes);
        bytes
    }

    fn say_sealed(&self, bytes: Vec<u8>) {
        self.to_host.send(bytes).unwrap();
        self.waker.ring();
    }

    fn say(&mut self, message: &StreamMessage) {
        let bytes = self.seal(message);
        self.say_sealed(bytes);
    }

    fn acknowledge(&mut self, clock: Clock) {
        let arrival = Arrival { next: self.fragments.len() as u64, at_us: clock.now().as_micros() };
        self.say(&StreamMessage { arrivals: vec![arrival], ..StreamMessage::default() });
    }
}

fn letter(text: &str) -> StreamMessage {
    let letter = Letter { channel: StreamChannel::ChannelInput.into(), message: text.into() };
    StreamMessage { letters: vec![letter], ..StreamMessage::default() }
}

struct Host {
    clock: Clock,
    ways: Ways,
    seen: Vec<Event>,
}

impl Host {
    fn new() -> (Host, Attach) {
        Host::with(None, Clock::start())
    }

    fn with(webrtc: Option<WebRtc>, clock: Clock) -> (Host, Attach) {
        let (ways, attach) = Ways::new(webrtc, clock).unwrap();
        (Host { clock, ways, seen: Vec::new() }, attach)
    }

    fn turn(&mut self, at_most: Duration) {
        self.ways.wait(self.clock.now() + at_most).unwrap();
        while let Some(event) = self.ways.poll_event() {
            self.seen.push(event);
        }
    }

    /// Waits for an event, and forgets what came before it.
    fn until(&mut self, wanted: impl Fn(&Event) -> bool) -> Event {
        let deadline = self.clock.now() + PATIENCE;
        loop {
            if let Some(at) = self.seen.iter().position(&wanted) {
                return self.seen.drain(..=at).next_back().unwrap();
            }
            assert!(self.clock.now() < deadline, "only {:?}", self.seen);
            self.turn(PATIENCE);
        }
    }

    /// A picture in whole packets; the last byte of each says which it is.
    fn picture(&mut self, number: u32, packets: usize) {
        for at in 0..packets {
            let mut payload = [at as u8; MAX_PAYLOAD];
            payload[0] = number as u8;
            let meta = PacketMeta {
                number,
                rtp_time: number * 3_000,
                first_of_frame: at == 0,
                marker: at + 1 == packets,
                key_frame: number == 0,
                reference: number.checked_sub(1),
                capture: Time::ZERO,
                changed: (at + 1 == packets).then(|| Patches::of(&strip(number)).unwrap()),
                ..PacketMeta::default()
            };
            self.ways.send_video(&payload, &meta).unwrap();
        }
    }
}

/// What a picture changes: nothing in the first, then more and more.
fn strip(number: u32) -> Region {
    Rect::new(16, 32, 16 * number, 48).into()
}

fn up() -> (Host, Attach, Viewer, (SessionKeys, SessionKeys)) {
    let (mut host, attach) = Host::new();
    let keys = keys();
    let viewer = Viewer::attach(&attach, &keys, 1, 1_024);
    let connected = host.until(|event| matches!(event, Event::Connected { .. }));
    let Event::Connected { formats, references, route } = connected else { unreachable!() };
    assert_eq!((formats, references), (vec![VideoFormat::default()], true));
    assert_eq!(route.to_string(), "relayed, WebSocket, IPv4");
    (host, attach, viewer, keys)
}

/// A viewer's end of WebRTC.
struct Peer {
    rtc: Rtc,
    socket: UdpSocket,
    channel: ChannelId,
}

impl Peer {
    /// One that is not who it offered to be has another certificate.
    fn offer(clock: Clock, mistaken: bool) -> (WebRtc, Peer) {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_nonblocking(true).unwrap();
        let mut rtc = Rtc::builder().clear_codecs().enable_h264(true).build(Instant::now());
        let address = socket.local_addr().unwrap();
        rtc.add_local_candidate(Candidate::host(address, "udp").unwrap());
        let mut api = rtc.sdp_api();
        api.add_media(MediaKind::Video, Direction::RecvOnly, None, None, None);
        let channel = api.add_channel("input".to_owned());
        let (offer, pending) = api.apply().unwrap();
        let mut offer = offer.to_sdp_string();
        if mistaken {
            let own = offer.lines().find(|line| line.starts_with("a=fingerprint:")).unwrap();
            let last = if own.ends_with('0') { '1' } else { '0' };
            offer = offer.replace(own, &format!("{}{last}", &own[..own.len() - 1]));
        }
        let (webrtc, answer) = WebRtc::answer(&offer, WebRtcConfig::default(), clock).unwrap();
        let answer = SdpAnswer::from_sdp_string(&answer).unwrap();
        rtc.sdp_api().accept_answer(pending, answer).unwrap();
        (webrtc, Peer { rtc, socket, channel })
    }

    fn turn(&mut self) {
        let (mut buffer, address) = ([0; 2_000], self.socket.local_addr().unwrap());
        while let Ok((len, source)) = self.socket.recv_from(&mut buffer) {
            let receive = Receive::new(Protocol::Udp, source, address, &buffer[..len]).unwrap();
            self.rtc.handle_input(Input::Receive(Instant::now(), receive)).unwrap();
            self.drain();
        }
        self.rtc.handle_input(Input::Timeout(Instant::now())).unwrap();
        self.drain();
    }

    fn drain(&mut self) {
        loop {
            match self.rtc.poll_output().unwrap() {
                Output::Timeout(_) => return,
                // Some addresses of the host cannot be reached from this socket.
                Output::Transmit(transmit) => {
                    _ = self.socket.send_to(&transmit.contents, transmit.destination);
                }
                Output::Event(_) => {}
            }
        }
    }
}

impl Host {
    /// As [`Host::until`], with a peer that works as well.
    #[track_caller]
    fn until_with(&mut self, peer: &mut Peer, wanted: impl Fn(&Event) -> bool) {
        let deadline = self.clock.now() + PATIENCE;
        while !self.seen.iter().any(&wanted) {
            assert!(self.clock.now() < deadline, "only {:?}", self.seen);
            peer.turn();
            self.turn(Duration::from_millis(1));
        }
        self.until(wanted);
    }
}

#[test]
fn a_session_outlives_its_webrtc() {
    let clock = Clock::start();
    let (webrtc, mut peer) = Peer::offer(clock, true);
    let (mut host, attach) = Host::with(Some(webrtc), clock);
    let deadline = clock.now() + PATIENCE;
    // No offer at all, which is another error as long as there is something to offer to.
    while !matches!(host.ways.handle_signal(Remote::Offer("")), Err(NegotiationError::Ended)) {
        assert!(clock.now() < deadline);
        peer.turn();
        host.turn(Duration::from_millis(1));
        assert_eq!(host.seen, []);
    }
    let mut viewer = Viewer::attach(&attach, &keys(), 1, 1_024);
    host.until(|event| matches!(event, Event::Connected { .. }));
    viewer.say(&letter("here"));
    host.until(|event| *event == Event::Data(Channel::Input, b"here".to_vec()));
}

#[test]
fn webrtc_by_which_the_viewer_hears_nothing_gives_way_until_it_speaks_by_it() {
    let clock = Clock::start();
    let (webrtc, mut peer) = Peer::offer(clock, false);
    let (mut host, attach) = Host::with(Some(webrtc), clock);
    host.until_with(&mut peer, |event| *event == Event::ChannelOpen(Channel::Input));
    let direct = host.ways.path().route;
    let mut viewer = Viewer::attach(&attach, &keys(), 1, 1_024);
    host.until_with(&mut peer, |event| *event == Event::PathRestored);
    assert_ne!(host.ways.path().route, direct);
    viewer.say(&letter("by the stream"));
    host.until_with(&mut peer, |event| matches!(event, Event::Data(..)));
    assert_ne!(host.ways.path().route, direct);
    peer.rtc.channel(peer.channel).unwrap().write(true, b"found").unwrap();
    host.until_with(&mut peer, |event| *event == Event::PathRestored);
    assert_eq!(host.ways.path().route, direct);
}

#[test]
fn a_stream_that_takes_the_place_of_another_is_a_path_lost_and_restored() {
    let (mut host, attach, mut viewer, keys) = up();
    host.until(|event| *event == Event::ChannelOpen(Channel::Cursor));
    for line in 2..4 {
        let dead = line == 2;
        let last = std::mem::replace(&mut viewer, Viewer::attach(&attach, &keys, line, 1_024));
        if dead {
            // Gone before it was ever looked at.
            viewer.say_sealed(b"forged".to_vec());
            host.until(|event| *event == Event::PathLost);
            assert_eq!(host.ways.path().route, None);
        } else {
            host.until(|event| *event == Event::PathRestored);
            // Whoever sees by it knows nothing yet.
            host.until(|event| *event == Event::ChannelOpen(Channel::Control));
            host.until(|event| *event == Event::ChannelOpen(Channel::Cursor));
        }
        drop(last);
    }
}

#[test]
fn pictures_and_messages_go_both_ways() {
    let (mut host, _attach, mut viewer, _) = up();
    host.until(|event| *event == Event::ChannelOpen(Channel::Control));
    for number in 0..3 {
        host.picture(number, 5);
        while viewer.fragments.len() < 5 * (number as usize + 1) {
            host.turn(Duration::from_millis(1));
            while viewer.read() {}
        }
        viewer.acknowledge(host.clock);
        host.until(|event| *event == Event::Arrived(number));
    }
    let ends = viewer.fragments.iter().map(|fragment| fragment.last_of_picture);
    assert_eq!(ends.collect::<Vec<_>>(), [false, false, false, false, true].repeat(3));
    for (at, fragment) in viewer.fragments.iter().enumerate() {
        assert_eq!(fragment.payload[0] as usize, at / 5);
        assert_eq!(fragment.payload[1] as usize, at % 5);
        assert_eq!(fragment.rtp_time as usize, at / 5 * 3_000);
        assert_eq!(fragment.key_frame, at < 5);
        let strip = strip(at as u32 / 5);
        let area = |&Rect { x, y, w, h }: &Rect| Area { x, y, width: w, height: h };
        let changed = Changed { areas: strip.rects().iter().map(area).collect() };
        assert_eq!(fragment.changed, (at % 5 == 4).then_some(changed));
    }
    assert!(host.ways.path().rtt.is_some());

    viewer.say(&letter("a key"));
    host.until(|event| *event == Event::Data(Channel::Input, b"a key".to_vec()));
    host.ways.send(Channel::Cursor, b"a shape").unwrap();
    while viewer.letters.is_empty() {
        assert!(viewer.read());
    }
    assert_eq!(viewer.letters[0].channel(), StreamChannel::ChannelCursor);
    assert_eq!(viewer.letters[0].message, b"a shape");
}

#[test]
fn what_a_slow_viewer_would_get_too_late_is_given_up() {
    let (mut host, _attach, mut viewer, _) = up();
    let all = |host: &mut Host, viewer: &mut Viewer, fragments| {
        while viewer.fragments.len() < fragments {
            host.turn(Duration::from_millis(1));
            while viewer.read() {
                viewer.acknowledge(host.clock);
            }
        }
    };
    host.picture(0, 100);
    all(&mut host, &mut viewer, 100);
    // Three pictures of 120 kB, of which nothing is acknowledged.
    for number in 1..4 {
        host.picture(number, 100);
    }
    host.until(|event| *event == Event::GivenUp);
    assert_eq!(host.ways.path().queued_bytes, 0);
    while viewer.read() {}
    let sent = viewer.fragments.len();
    assert!((101..400).contains(&sent), "{sent} packets left");
    // Later ones follow what was sent.
    viewer.acknowledge(host.clock);
    host.picture(4, 10);
    all(&mut host, &mut viewer, sent + 10);
    for (at, fragment) in viewer.fragments.iter().enumerate() {
        let (picture, packet) = if at < sent { (at / 100, at % 100) } else { (4, at - sent) };
        assert_eq!((fragment.payload[0] as usize, fragment.payload[1] as usize), (picture, packet));
    }
}

#[test]
fn a_meeting_point_without_room_loses_nothing() {
    let (mut host, attach) = Host::new();
    let keys = keys();
    let mut viewer = Viewer::attach(&attach, &keys, 1, 1);
    host.until(|event| matches!(event, Event::Connected { .. }));
    for at in 0..100 {
        host.ways.send(Channel::Stats, &[at; 1_000]).unwrap();
    }
    while viewer.letters.len() < 100 {
        host.turn(Duration::from_millis(1));
        viewer.read();
    }
    for (at, letter) in viewer.letters.iter().enumerate() {
        assert_eq!(letter.message, [at as u8; 1_000]);
    }
    // Nor does it take more than there is room for.
    while host.ways.send(Channel::Stats, &[0; 10_000]).is_ok() {}
    host.turn(Duration::ZERO);
    assert_eq!(host.ways.path().state, PathState::Up);
}

#[test]
fn what_has_waited_for_room_makes_no_message_too_long() {
    let (mut host, attach) = Host::new();
    let keys = keys();
    let mut viewer = Viewer::attach(&attach, &keys, 1, 1);
    host.until(|event| matches!(event, Event::Connected { .. }));
    // The first two take the room that there is; the rest gathers, with the largest shape of a pointer at its end.
    let sizes = [100, 100, 5_000, 5_000, 5_000, 64 * 1024];
    for size in sizes {
        host.ways.send(Channel::Cursor, &vec![0; size]).unwrap();
    }
    while viewer.letters.len() < sizes.len() {
        host.turn(Duration::from_millis(1));
        viewer.read();
    }
    assert_eq!(viewer.letters.iter().map(|letter| letter.message.len()).collect::<Vec<_>>(), sizes);
}

#[test]
fn a_viewer_that_acknowledges_nothing_is_sent_no_more_than_it_may_lack() {
    let (mut host, attach) = Host::new();
    let keys = keys();
    // Of this machine, where nothing else holds back what is sent.
    let mut viewer = Viewer::attach_from([127, 0, 0, 1], &attach, &keys, 1, 1_024);
    host.until(|event| matches!(event, Event::Connected { .. }));
    (0..5).for_each(|number| host.picture(number, 100));
    // For longer than datagrams would be waited for.
    while host.clock.now() < Time::ZERO + Duration::from_secs(3) {
        host.turn(Duration::from_millis(100));
        while viewer.read() {}
        viewer.say(&letter("still here"));
    }
    let bytes = viewer.fragments.iter().map(|fragment| fragment.payload.len()).sum::<usize>();
    assert!((10_000..60_000).contains(&bytes), "{bytes} bytes");
    assert!(host.ways.path().queued_bytes > 0);
    // It may have been slow, and no more: what all builds on arrives yet, and what is stale is given up.
    viewer.acknowledge(host.clock);
    let deadline = host.clock.now() + PATIENCE;
    while !host.seen.contains(&Event::Arrived(0)) {
        assert!(host.clock.now() < deadline, "only {:?}", host.ways.path());
        host.turn(Duration::from_millis(10));
        while viewer.read() {
            viewer.acknowledge(host.clock);
        }
    }
    host.until(|event| matches!(event, Event::GivenUp));
}

#[test]
fn a_stream_ends_with_what_is_not_the_viewers() {
    let (mut host, attach, first, keys) = up();
    let mut viewer = first;
    for line in 2..6 {
        let [one, two] = ["one", "two"].map(|text| viewer.seal(&letter(text)));
        match line {
            2 => viewer.say_sealed(two),
            3 => {
                viewer.say_sealed(one.clone());
                viewer.say_sealed(one);
            }
            4 => viewer.say_sealed(b"forged".to_vec()),
            // A viewer that is gone.
            _ => {}
        }
        drop(viewer.to_host);
        viewer.waker.ring();
        host.until(|event| *event == Event::PathLost);
        assert_eq!(
            host.ways.send(Channel::Control, b"lost"),
            Err(farpane_transport::SendError::NotOpen)
        );
        viewer = Viewer::attach(&attach, &keys, line, 64);
        host.until(|event| *event == Event::PathRestored);
    }
    viewer.say(&letter("back"));
    host.until(|event| *event == Event::Data(Channel::Input, b"back".to_vec()));
    host.ways.close();
    host.until(|event| *event == Event::Closed);
    assert!(viewer.from_host.try_iter().count() < 64);
}

#[test]
fn acknowledgements_that_make_no_sense_are_passed_over() {
    let (mut host, _attach, mut viewer, _) = up();
    host.picture(0, 2);
    while viewer.fragments.len() < 2 {
        host.turn(Duration::from_millis(1));
        while viewer.read() {}
    }
    let arrivals = [(3, 1), (u64::MAX, 1), (0, u64::MAX), (2, u64::MAX), (1, 0), (2, 5)];
    let arrivals = arrivals.map(|(next, at_us)| Arrival { next, at_us }).to_vec();
    viewer.say(&StreamMessage { arrivals, ..StreamMessage::default() });
    viewer.say(&letter("still here"));
    host.until(|event| *event == Event::Arrived(0));
    host.until(|event| *event == Event::Data(Channel::Input, b"still here".to_vec()));
}
