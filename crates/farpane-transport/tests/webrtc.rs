//! The WebRTC transport against an independent peer over loopback sockets: a viewer made of str0m itself.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use farpane_media::{Bitrate, Chroma, Clock, Codec, VideoFormat};
use farpane_proto::rtp::descriptor::DependencyDescriptor;
use farpane_proto::rtp::extension::MAX_LEN;
use farpane_proto::{Layer, PacketMeta};
use farpane_transport::{
    Channel, Event, NegotiationError, PathState, Remote, SendError, Transport, WebRtc, WebRtcConfig,
};
use str0m::change::{SdpAnswer, SdpOffer, SdpPendingOffer};
use str0m::channel::{ChannelConfig, ChannelId, Reliability};
use str0m::format::{Codec as RtcCodec, FormatParams};
use str0m::media::{Direction, Frequency, KeyframeRequestKind, MediaKind, Mid};
use str0m::net::{Protocol, Receive};
use str0m::rtp::{Extension, ExtensionSerializer, ExtensionValues, RtpPacket};
use str0m::{Candidate, Event as RtcEvent, Input, Output, Rtc};

/// Far longer than anything here takes; only a broken transport gets there.
const PATIENCE: Duration = Duration::from_secs(30);

/// What parity is to str0m, which has no name for it: another format that the host does not send.
const PARITY: u8 = 96;
const VP8: &str = "96 VP8/90000";
const FLEXFEC: &str = "96 flexfec-03/90000";

const AV1: VideoFormat = VideoFormat::new(Codec::Av1, Chroma::Yuv420);
const AV1_FULL: VideoFormat = VideoFormat::new(Codec::Av1, Chroma::Yuv444);

/// Keeps dependency descriptors as they came.
#[derive(Debug)]
struct Descriptors;

impl ExtensionSerializer for Descriptors {
    fn write_to(&self, _: &mut [u8], _: &ExtensionValues) -> usize {
        unreachable!("a viewer sends no video")
    }

    fn parse_value(&self, bytes: &[u8], values: &mut ExtensionValues) -> bool {
        values.user_values.set(bytes.to_vec());
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
    mid: Mid,
    socket: UdpSocket,
    address: SocketAddr,
    channels: Vec<(Channel, ChannelId)>,
    open: BTreeSet<&'static str>,
    packets: Vec<RtpPacket>,
    messages: Vec<(Channel, Vec<u8>)>,
    /// Numbers, counted from 0, of RTP datagrams that get lost on the way here.
    lose: Vec<usize>,
    /// A stream of which all gets lost.
    blocked: Option<u32>,
    rtp_seen: usize,
    deaf: bool,
    closed: bool,
    /// Where the last datagram came from.
    host: Option<SocketAddr>,
}

impl Viewer {
    fn offer(h264: bool, av1: bool) -> (Viewer, SdpOffer, SdpPendingOffer) {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_nonblocking(true).unwrap();
        let address = socket.local_addr().unwrap();
        let mut config = Rtc::builder()
            .clear_codecs()
            .enable_h264(h264)
            .enable_av1(av1)
            .enable_vp8(true)
            .set_extension(7, Extension::PlayoutDelay)
            .set_extension(8, Extension::AbsoluteCaptureTime)
            .set_extension(9, Extension::with_serializer(DependencyDescriptor::URI, Descriptors))
            .set_rtp_mode(true);
        if !h264 {
            // Packetization mode 0 is not what the host sends.
            config.codec_config().add_h264(102.into(), None, false, 0x42e01f);
        }
        if av1 {
            let full = FormatParams { profile: Some(1), ..FormatParams::default() };
            let clock = Frequency::NINETY_KHZ;
            config.codec_config().add_config(
                98.into(),
                Some(99.into()),
                RtcCodec::Av1,
                clock,
                None,
                full,
            );
        }
        let mut rtc = config.build(Instant::now());
        rtc.add_local_candidate(Candidate::host(address, "udp").unwrap());
        let mut api = rtc.sdp_api();
        let mid = api.add_media(MediaKind::Video, Direction::RecvOnly, None, None, None);
        let channels = Channel::ALL.map(|channel| {
            let unreliable = matches!(channel, Channel::Pointer | Channel::Stats);
            let id = api.add_channel_with_config(ChannelConfig {
                label: channel.label().to_owned(),
                ordered: !unreliable,
                reliability: match unreliable {
                    true => Reliability::MaxRetransmits { retransmits: 0 },
                    false => Reliability::Reliable,
                },
                ..ChannelConfig::default()
            });
            (channel, id)
        });
        let (offer, pending) = api.apply().unwrap();
        let viewer = Viewer {
            rtc,
            mid,
            socket,
            address,
            channels: channels.to_vec(),
            open: BTreeSet::new(),
            packets: Vec::new(),
            messages: Vec::new(),
            lose: Vec::new(),
            blocked: None,
            rtp_seen: 0,
            deaf: false,
            closed: false,
            host: None,
        };
        (viewer, offer, pending)
    }

    fn accept(&mut self, pending: SdpPendingOffer, answer: &str) {
        let answer = SdpAnswer::from_sdp_string(answer).unwrap();
        self.rtc.sdp_api().accept_answer(pending, answer).unwrap();
    }

    fn turn(&mut self) {
        let mut buffer = [0; 2_000];
        loop {
            let (len, source) = match self.socket.recv_from(&mut buffer) {
                Ok(received) => received,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => panic!("{error}"),
            };
            self.host = Some(source);
            let rtp = (128..192).contains(&buffer[0]) && !(192..224).contains(&buffer[1]);
            let ssrc = u32::from_be_bytes(*buffer[8..].first_chunk().unwrap());
            let lost = rtp && (self.lose.contains(&self.rtp_seen) || self.blocked == Some(ssrc));
            self.rtp_seen += usize::from(rtp);
            if lost || self.deaf {
                continue;
            }
            let receive =
                Receive::new(Protocol::Udp, source, self.address, &buffer[..len]).unwrap();
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
                Output::Transmit(_) if self.deaf => {}
                Output::Transmit(transmit) => {
                    // The host offers addresses of other interfaces, too; some cannot be reached from this socket.
                    let _ = self.socket.send_to(&transmit.contents, transmit.destination);
                }
                Output::Event(RtcEvent::ChannelOpen(_, label)) => {
                    self.open.insert(Channel::from_label(&label).unwrap().label());
                }
                Output::Event(RtcEvent::ChannelData(data)) => {
                    let (channel, _) = self.channels.iter().find(|(_, id)| *id == data.id).unwrap();
                    self.messages.push((*channel, data.data));
                }
                Output::Event(RtcEvent::RtpPacket(packet)) => self.packets.push(packet),
                Output::Event(RtcEvent::Closed) => self.closed = true,
                Output::Event(_) => {}
            }
        }
    }

    fn say(&mut self, channel: Channel, message: &[u8]) {
        let (_, id) = *self.channels.iter().find(|(open, _)| *open == channel).unwrap();
        assert!(self.rtc.channel(id).unwrap().write(true, message).unwrap());
        self.drain();
    }
}

struct Session {
    host: WebRtc,
    viewer: Viewer,
    clock: Clock,
    events: Vec<Event>,
    /// To the first offer.
    answer: String,
}

impl Session {
    fn negotiated() -> Session {
        let (mut viewer, offer, pending) = Viewer::offer(true, true);
        let clock = Clock::start();
        let (host, answer) =
            WebRtc::answer(&offer.to_sdp_string(), WebRtcConfig::default(), clock).unwrap();
        viewer.accept(pending, &answer);
        Session { host, viewer, clock, events: Vec::new(), answer }
    }

    /// With a viewer that takes parity, but nothing that is sent again.
    fn repaired() -> Session {
        let (mut viewer, offer, pending) = Viewer::offer(true, true);
        let offer = offer.to_sdp_string();
        assert!(offer.contains(VP8), "{offer}");
        let clock = Clock::start();
        let config = WebRtcConfig::default();
        let (host, answer) = WebRtc::answer(&offer.replace(VP8, FLEXFEC), config, clock).unwrap();
        let group = |name| {
            let line = answer.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.split(' ').map(|ssrc| ssrc.parse().unwrap()).collect::<Vec<u32>>()
        };
        let (repeats, parity) = (group("a=ssrc-group:FID "), group("a=ssrc-group:FEC-FR "));
        assert_eq!(parity[0], repeats[0]);
        assert!(answer.contains(&format!("a=ssrc:{} cname:", parity[1])));
        viewer.blocked = Some(repeats[1]);
        viewer.accept(pending, &answer.replace(FLEXFEC, VP8));
        let mut session = Session { host, viewer, clock, events: Vec::new(), answer };
        session.connect();
        session
    }

    fn connected() -> Session {
        let mut session = Session::negotiated();
        session.connect();
        session
    }

    fn connect(&mut self) {
        self.until("all channels", |s| {
            s.viewer.open.len() == Channel::ALL.len()
                && s.events.iter().filter(|event| matches!(event, Event::ChannelOpen(_))).count()
                    == Channel::ALL.len()
        });
    }

    /// Lets both sides work until `done`.
    fn until(&mut self, what: &str, done: impl Fn(&Session) -> bool) {
        self.until_after(what, |session| done(session));
    }

    /// The same, with something to do before each look.
    fn until_after(&mut self, what: &str, mut done: impl FnMut(&mut Session) -> bool) {
        let start = Instant::now();
        while !done(self) {
            assert!(
                start.elapsed() < PATIENCE,
                "gave up waiting for: {what}; events: {:?}",
                self.events
            );
            self.host.wait(self.clock.now() + Duration::from_millis(1)).unwrap();
            self.events.extend(std::iter::from_fn(|| self.host.poll_event()));
            self.viewer.turn();
        }
    }

    fn has(&self, wanted: &Event) -> bool {
        self.events.contains(wanted)
    }

    fn send_frame(&mut self, frame: u64, packets: u8) {
        self.send_frame_as(VideoFormat::default(), frame, packets);
    }

    fn send_frame_as(&mut self, format: VideoFormat, frame: u64, packets: u8) {
        self.send_frame_from((frame as u32).checked_sub(1), format, frame, packets);
    }

    fn send_frame_from(
        &mut self,
        reference: Option<u32>,
        format: VideoFormat,
        frame: u64,
        packets: u8,
    ) {
        for at in 0..packets {
            let meta = PacketMeta {
                format,
                rtp_time: frame as u32 * 3_000,
                marker: at + 1 == packets,
                frame,
                first_of_frame: at == 0,
                keep_alive: false,
                key_frame: frame == 0,
                capture: self.clock.now(),
                number: frame as u32,
                reference,
                starts_anew: reference.is_none_or(|reference| reference + 1 != frame as u32),
                ..PacketMeta::default()
            };
            // A single NAL unit of a non-IDR slice; its contents do not matter to a transport.
            let mut payload = vec![at; 1_000];
            payload[0] = 0x41;
            self.host.send_video(&payload, &meta).unwrap();
        }
        // Before the next one fills the socket's buffer.
        self.viewer.turn();
    }

    /// The distinct packets that arrived, in the order of their sequence numbers: when, marker and second byte.
    fn arrived(&self) -> Vec<(u32, bool, u8)> {
        let pictures = self.viewer.packets.iter().filter(|p| *p.header.payload_type != PARITY);
        let mut packets: Vec<&RtpPacket> = pictures.filter(|p| p.payload.len() > 1).collect();
        packets.sort_by_key(|packet| packet.seq_no);
        packets.dedup_by_key(|packet| packet.seq_no);
        packets.iter().map(|p| (p.header.timestamp, p.header.marker, p.payload[1])).collect()
    }
}

fn expected(frames: u32, packets: u8) -> Vec<(u32, bool, u8)> {
    (0..frames).flat_map(|f| (0..packets).map(move |p| (f * 3_000, p + 1 == packets, p))).collect()
}

#[test]
fn video_arrives_in_order_with_marker_and_extensions() {
    let mut session = Session::connected();
    let connected = session.events.iter().find_map(|event| match event {
        Event::Connected { formats, route, .. } => Some((formats.clone(), route.to_string())),
        _ => None,
    });
    let formats = vec![VideoFormat::default(), AV1, AV1_FULL];
    assert_eq!(connected, Some((formats, "direct, UDP, IPv4".to_owned())));
    (0..10).for_each(|frame| session.send_frame(frame, 30));
    session.until("300 packets", |s| s.arrived().len() == 300);
    assert_eq!(session.arrived(), expected(10, 30));
    for packet in &session.viewer.packets {
        let values = &packet.header.ext_vals;
        assert!(values.transport_cc.is_some());
        assert!(values.play_delay_min.is_some_and(|delay| delay.numer() == 0));
        assert!(values.play_delay_max.is_some_and(|delay| delay.numer() == 0));
        let first = packet.payload.get(1) == Some(&0);
        assert_eq!(values.abs_capture_time.is_some(), first, "on the first packet of a frame");
    }
    let path = session.host.path();
    assert_eq!((path.state, path.queued_packets), (PathState::Up, 0));
    assert!(path.bytes > 300_000);
}

#[test]
fn lost_packets_are_sent_again() {
    let mut session = Session::connected();
    // More than the share of 15 % at which str0m gives up by default.
    session.viewer.lose = (0..60).filter(|number| number % 3 == 1).collect();
    (0..10).for_each(|frame| session.send_frame(frame, 10));
    session.until("100 packets", |s| s.arrived().len() == 100);
    assert_eq!(session.arrived(), expected(10, 10));
    assert!(session.host.path().resent > Bitrate::ZERO);
}

#[test]
fn what_the_viewer_no_longer_needs_is_not_sent_again() {
    let mut session = Session::connected();
    // One packet of a frame that a later one does without, and one of that later one.
    session.viewer.lose = vec![4, 7];
    session.send_frame(0, 3);
    session.until("the first frame", |s| s.arrived().len() == 3);
    // Before the host hears what is missing.
    session.send_frame(1, 3);
    session.send_frame_from(Some(0), VideoFormat::default(), 2, 3);
    let frame =
        |s: &Session, number: u32| s.arrived().iter().filter(|p| p.0 == number * 3_000).count();
    session.until("the whole of the later one", |s| frame(s, 2) == 3);
    assert!(session.host.path().resent > Bitrate::ZERO);
    assert_eq!(frame(&session, 1), 2);
}

#[test]
fn the_host_hears_which_pictures_have_arrived_whole_and_says_what_they_refer_to() {
    let mut session = Session::connected();
    let told = |event: &Event| matches!(event, Event::Connected { references: true, .. });
    assert!(session.events.iter().any(told));
    // Repaired later, so that the pictures may come out of order.
    session.viewer.lose = vec![1, 7, 25];
    (0..10).for_each(|frame| session.send_frame(frame, 3));
    session.until("all pictures", |s| (0..10).all(|number| s.has(&Event::Arrived(number))));
    let arrived = session.events.iter().filter(|event| matches!(event, Event::Arrived(_)));
    assert_eq!(arrived.count(), 10, "each once");
    let mut packets: Vec<&RtpPacket> = session.viewer.packets.iter().collect();
    packets.sort_by_key(|packet| packet.seq_no);
    packets.dedup_by_key(|packet| packet.seq_no);
    let media = packets.iter().filter(|packet| packet.payload.len() > 1);
    for (at, packet) in media.enumerate() {
        let number = at as u16 / 3;
        let descriptor = DependencyDescriptor {
            first_of_picture: at % 3 == 0,
            last_of_picture: at % 3 == 2,
            number,
            reference: (number > 0).then_some(1),
            layer: Layer::Only,
        };
        let bytes = packet.header.ext_vals.user_values.get::<Vec<u8>>().unwrap();
        assert_eq!(bytes, descriptor.encode(&mut [0; MAX_LEN]));
    }
}

#[test]
fn what_parity_repairs_counts_as_arrived() {
    let mut session = Session::repaired();
    session.viewer.lose = (0..4_000).filter(|number| number % 11 == 5).collect();
    let repaired = |session: &Session| {
        let came = session.arrived();
        let lacking =
            |number: u32| came.iter().filter(|(at, ..)| *at == number * 3_000).count() < 12;
        let whole = session.events.iter().filter_map(|event| match event {
            Event::Arrived(number) => Some(*number),
            _ => None,
        });
        whole.filter(|number| lacking(*number)).count()
    };
    let mut frame = 0;
    session.until_after("pictures are repaired", |session| {
        session.send_frame(frame, 12);
        frame += 1;
        repaired(session) >= 5
    });
    let parity = session.viewer.packets.iter().filter(|p| *p.header.payload_type == PARITY);
    assert!(parity.clone().count() >= 5);
    assert!(parity.clone().all(|packet| packet.header.ext_vals.transport_cc.is_some()));
    assert!(session.host.path().parity > Bitrate::ZERO);
}

#[test]
fn a_path_without_losses_has_no_parity() {
    let mut session = Session::repaired();
    (0..60).for_each(|frame| session.send_frame(frame, 12));
    session.until("720 packets", |s| s.arrived().len() == 720);
    assert_eq!(session.host.path().parity, Bitrate::ZERO);
    assert!(session.viewer.packets.iter().all(|p| *p.header.payload_type != PARITY));
}

#[test]
fn the_viewer_can_ask_for_a_key_frame() {
    let mut session = Session::connected();
    session.send_frame(0, 2);
    session.until("a frame", |s| s.arrived().len() == 2);
    let mid = session.viewer.mid;
    let mut api = session.viewer.rtc.direct_api();
    api.stream_rx_by_mid(mid, None).unwrap().request_keyframe(KeyframeRequestKind::Pli);
    session.viewer.drain();
    session.until("the request", |s| s.has(&Event::KeyFrameRequest));
}

#[test]
fn a_still_picture_costs_nothing_and_goes_on_at_the_same_estimate() {
    let mut session = Session::connected();
    session.send_frame(0, 5);
    session.until("a frame", |s| s.arrived().len() == 5);
    // A browser asks for a frame after 3 s without one; by then there has been no padding for a second.
    let end = session.clock.now() + Duration::from_secs(3);
    session.until("the end of patience", |s| s.clock.now() >= end);
    let sent = session.host.path().sent;
    assert!(sent < Bitrate::kbps(20), "{sent}");
    let estimate = session.host.path().estimate;
    assert!(estimate > Bitrate::mbps(1), "{estimate}");

    let mid = session.viewer.mid;
    let mut api = session.viewer.rtc.direct_api();
    api.stream_rx_by_mid(mid, None).unwrap().request_keyframe(KeyframeRequestKind::Pli);
    session.viewer.drain();
    session.until("the request, which is none for a key frame", |s| s.has(&Event::FrameRequest));
    session.send_frame(1, 50);
    session.until("a large frame", |s| s.arrived().len() == 55);
}

#[test]
fn messages_go_both_ways() {
    let mut session = Session::negotiated();
    assert_eq!(session.host.send(Channel::Control, b"early"), Err(SendError::NotOpen));
    session = Session::connected();
    for channel in Channel::ALL {
        session.viewer.say(channel, channel.label().as_bytes());
        session.host.send(channel, channel.label().as_bytes()).unwrap();
    }
    session.until("a message on each channel, both ways", |s| {
        Channel::ALL.iter().all(|channel| {
            let message = channel.label().as_bytes().to_vec();
            s.has(&Event::Data(*channel, message.clone()))
                && s.viewer.messages.contains(&(*channel, message))
        })
    });
    // Reliable and ordered, as the viewer opened it.
    (0..200u8).for_each(|n| session.host.send(Channel::Control, &[n; 500]).unwrap());
    session.until("200 messages", |s| s.viewer.messages.len() == 200 + Channel::ALL.len());
    let order: Vec<u8> =
        session.viewer.messages.iter().filter(|m| m.1.len() == 500).map(|m| m.1[0]).collect();
    assert_eq!(order, (0..200).collect::<Vec<u8>>());
}

#[test]
fn a_viewer_that_does_not_read_fills_the_channel() {
    let mut session = Session::connected();
    let full = (0..100).find_map(|_| session.host.send(Channel::Control, &[7; 16_000]).err());
    assert_eq!(full, Some(SendError::Full));
    session.until("room again", |s| s.viewer.messages.len() > 5);
    session.until("all of them", |s| s.viewer.messages.len() >= 15);
    session.host.send(Channel::Control, b"more").unwrap();
}

#[test]
fn an_ice_restart_keeps_the_session() {
    let mut session = Session::connected();
    let mut api = session.viewer.rtc.sdp_api();
    api.ice_restart(true);
    let (offer, pending) = api.apply().unwrap();
    let answer =
        session.host.handle_signal(Remote::Offer(&offer.to_sdp_string())).unwrap().unwrap();
    session.viewer.accept(pending, &answer);
    session.send_frame(0, 5);
    session.until("a frame", |s| s.arrived().len() == 5);
    session.viewer.say(Channel::Input, b"still there");
    session.until("a message", |s| s.has(&Event::Data(Channel::Input, b"still there".to_vec())));
}

#[test]
fn an_ice_restart_keeps_the_streams_and_what_repairs_what() {
    let mut session = Session::repaired();
    let mut api = session.viewer.rtc.sdp_api();
    api.ice_restart(true);
    let (offer, pending) = api.apply().unwrap();
    let offer = offer.to_sdp_string().replace(VP8, FLEXFEC);
    let answer = session.host.handle_signal(Remote::Offer(&offer)).unwrap().unwrap();
    let sources = |answer: &str| {
        let lines = answer.lines().filter(|line| line.starts_with("a=ssrc"));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(sources(&answer), sources(&session.answer));
    session.viewer.accept(pending, &answer.replace(FLEXFEC, VP8));
    session.send_frame(0, 5);
    session.until("a frame", |s| s.arrived().len() == 5);
}

#[test]
fn silence_is_a_lost_path_until_the_viewer_is_heard_again() {
    let mut session = Session::connected();
    session.viewer.deaf = true;
    session.until("the loss", |s| s.has(&Event::PathLost));
    assert_eq!(session.host.path().state, PathState::Lost);
    session.viewer.deaf = false;
    session.until("the return", |s| s.has(&Event::PathRestored));
    session.send_frame(0, 3);
    session.until("a frame", |s| s.arrived().len() == 3);
}

#[test]
fn garbage_from_strangers_and_from_the_viewer_changes_nothing() {
    let mut session = Session::connected();
    let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
    let target = session.viewer.host.unwrap();
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    for round in 0..3_000u32 {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let mut junk: Vec<u8> =
            (0..random as usize % 1_400).map(|at| (random >> (at % 57)) as u8).collect();
        // Each kind of protocol in turn: STUN, DTLS, RTP, RTCP, none.
        let kind = [0, 22, 128, 200, 255][round as usize % 5];
        if let Some(first) = junk.first_mut() {
            *first = if kind == 200 { 128 } else { kind };
        }
        if let Some(second) = junk.get_mut(1).filter(|_| kind == 200) {
            *second = 200;
        }
        let from = if round % 2 == 0 { &stranger } else { &session.viewer.socket };
        from.send_to(&junk, target).unwrap();
        if round % 100 == 0 {
            session.host.wait(session.clock.now()).unwrap();
            session.viewer.turn();
        }
    }
    session.send_frame(0, 5);
    session.until("a frame", |s| s.arrived().len() == 5);
    session.viewer.say(Channel::Input, b"still there");
    session.until("a message", |s| s.has(&Event::Data(Channel::Input, b"still there".to_vec())));
}

#[test]
fn closing_reaches_the_other_side() {
    let mut session = Session::connected();
    session.host.close();
    session.host.close();
    session.until("the viewer's notice", |s| s.viewer.closed);
    assert_eq!(session.events.iter().filter(|event| **event == Event::Closed).count(), 1);
    assert_eq!(session.host.send(Channel::Control, b"late"), Err(SendError::NotOpen));
    assert!(matches!(
        session.host.handle_signal(Remote::Candidate("")),
        Err(NegotiationError::Ended)
    ));

    let mut session = Session::connected();
    session.viewer.rtc.close().unwrap();
    session.viewer.drain();
    session.until("the host's notice", |s| s.has(&Event::Closed));
    assert_eq!(session.host.path().state, PathState::Closed);
}

/// As a browser sees it: the payload type says which decoder a packet is for.
#[test]
fn a_session_changes_between_the_formats_that_the_viewer_shows() {
    let mut session = Session::connected();
    session.send_frame_as(VideoFormat::default(), 0, 1);
    session.send_frame_as(AV1, 1, 1);
    session.send_frame_as(VideoFormat::new(Codec::H264, Chroma::Yuv444), 2, 1);
    session.send_frame_as(AV1_FULL, 3, 1);
    session.send_frame(4, 1);
    session.until("four packets", |s| s.arrived().len() == 4);
    let mut packets: Vec<&RtpPacket> = session.viewer.packets.iter().collect();
    packets.retain(|packet| packet.payload.len() > 1);
    packets.sort_by_key(|packet| packet.seq_no);
    let config = session.viewer.rtc.codec_config();
    let format = |packet: &&RtpPacket| {
        let pt = packet.header.payload_type;
        let params = config.params().iter().find(|params| params.pt() == pt).unwrap();
        (packet.header.timestamp / 3_000, params.spec().codec, params.spec().format.profile)
    };
    let formats: Vec<_> = packets.iter().map(format).collect();
    let expected = [
        (0, RtcCodec::H264, None),
        (1, RtcCodec::Av1, None),
        // 2 is in a format that the viewer does not show.
        (3, RtcCodec::Av1, Some(1)),
        (4, RtcCodec::H264, None),
    ];
    assert_eq!(formats, expected);
}

#[test]
fn a_viewer_without_our_codec_is_told_so() {
    let (_viewer, offer, _) = Viewer::offer(false, false);
    let answer = WebRtc::answer(&offer.to_sdp_string(), WebRtcConfig::default(), Clock::start());
    assert!(matches!(answer, Err(NegotiationError::NoCommonCodec)));
}

#[test]
fn nonsense_is_refused_and_the_session_goes_on() {
    for offer in ["", "v=0", "v=0\r\nm=video 9 X 96\r\na=mid:0\r\n"] {
        let answer = WebRtc::answer(offer, WebRtcConfig::default(), Clock::start());
        assert!(matches!(answer, Err(NegotiationError::MalformedOffer(_))), "{offer}");
    }
    let mut session = Session::connected();
    assert!(session.host.handle_signal(Remote::Offer("v=0")).is_err());
    assert!(session.host.handle_signal(Remote::Candidate("nonsense")).is_err());
    let hidden =
        "candidate:1 1 udp 2113937151 e5d1d251-1daf-4af5-b333-4fd05ef0e18e.local 52147 typ host";
    assert!(matches!(session.host.handle_signal(Remote::Candidate(hidden)), Ok(None)));
    session.send_frame(0, 5);
    session.until("a frame", |s| s.arrived().len() == 5);
}

#[test]
fn a_server_that_answers_is_sent_what_it_takes_and_one_that_does_not_is_refused() {
    let clock = Clock::start();
    let offer = |format| {
        let config = WebRtcConfig { formats: vec![format], ..WebRtcConfig::default() };
        WebRtc::offer(config, clock).unwrap()
    };
    let (offered, sdp) = offer(VideoFormat::default());
    assert!(sdp.contains("H264/90000") && !sdp.contains("AV1/90000"), "{sdp}");
    assert!(sdp.contains("a=sendonly") && sdp.contains("a=candidate:"), "{sdp}");
    let answer = |sdp: &str| {
        let mut server = Rtc::builder().enable_h264(true).build(Instant::now());
        server.add_local_candidate(Candidate::host("192.0.2.9:9".parse().unwrap(), "udp").unwrap());
        let offer = SdpOffer::from_sdp_string(sdp).unwrap();
        server.sdp_api().accept_offer(offer).unwrap().to_sdp_string()
    };
    let session = offered.accept(&answer(&sdp)).unwrap();
    assert_eq!(session.formats().collect::<Vec<_>>(), [VideoFormat::default()]);

    for bad in ["", "v=0", "<html>no</html>"] {
        let (offered, _) = offer(VideoFormat::default());
        let refused = offered.accept(bad).err();
        assert!(matches!(refused, Some(NegotiationError::MalformedAnswer(_))), "{refused:?}");
    }
}
