//! Plain RTP to a receiver that reads and reports by hand.

use std::net::{SocketAddr, UdpSocket};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use farpane_media::{Bitrate, Clock, Time, VideoFormat};
use farpane_proto::PacketMeta;
use farpane_proto::rtp::Packet;
use farpane_transport::{Channel, Event, PathState, Remote, Rtp, RtpConfig, SendError, Transport};

/// Far longer than anything here takes; only a broken transport gets there.
const PATIENCE: Duration = Duration::from_secs(30);
const THEIRS: [u8; 4] = [9, 8, 7, 6];
/// An aggregate of parameter sets, and a slice of a key frame (RFC 6184, section 5.7.1).
const SETS: [u8; 14] = [24, 0, 5, 0x67, 0x42, 0xc0, 0x1f, 9, 0, 4, 0x68, 1, 2, 3];
const SLICE: [u8; 3] = [0x65, 1, 2];

struct Session {
    clock: Clock,
    host: Rtp,
    rtp: UdpSocket,
    rtcp: UdpSocket,
    description: Receiver<String>,
    events: Vec<Event>,
}

impl Session {
    fn open(key_frames: Duration) -> Session {
        let (rtp, rtcp) = ports();
        let (describe, description) = channel();
        let clock = Clock::start();
        let config = RtpConfig {
            to: rtp.local_addr().unwrap(),
            format: VideoFormat::default(),
            bitrate: Bitrate::mbps(8),
            key_frames,
            name: "test".to_owned(),
            describe: Box::new(move |text| describe.send(text).unwrap()),
        };
        let host = Rtp::open(config, clock).unwrap();
        let mut session = Session { clock, host, rtp, rtcp, description, events: Vec::new() };
        session.until(|event| matches!(event, Event::Connected { references: false, .. }));
        session
    }

    fn turn(&mut self, at_most: Duration) {
        self.host.wait(self.clock.now() + at_most).unwrap();
        self.events.extend(std::iter::from_fn(|| self.host.poll_event()));
    }

    /// Waits for an event, and forgets what came before it.
    fn until(&mut self, wanted: impl Fn(&Event) -> bool) -> Event {
        let deadline = self.clock.now() + PATIENCE;
        loop {
            if let Some(at) = self.events.iter().position(&wanted) {
                return self.events.drain(..=at).next_back().unwrap();
            }
            assert!(self.clock.now() < deadline, "only {:?}", self.events);
            self.turn(PATIENCE);
        }
    }

    fn key_frame(&mut self, rtp_time: u32) {
        for (payload, marker) in [(&SETS[..], false), (&SLICE[..], true)] {
            let meta = PacketMeta { rtp_time, marker, key_frame: true, ..PacketMeta::default() };
            self.host.send_video(payload, &meta).unwrap();
        }
    }

    /// The next packet; the host keeps on working.
    fn packet(&mut self) -> Vec<u8> {
        read(&mut || self.host.wait(Time::ZERO).unwrap(), &self.rtp).0
    }

    /// The next of its reports, and where that came from.
    fn report(&mut self) -> (Vec<u8>, SocketAddr) {
        read(&mut || self.host.wait(Time::ZERO).unwrap(), &self.rtcp)
    }

    /// What a receiver says of the stream `ssrc`: kind and count of a packet, then its body.
    fn say(&self, to: SocketAddr, kind: u8, count: u8, body: &[&[u8]]) {
        let body = body.concat();
        let mut packet = vec![0x80 | count, kind, 0, (body.len() / 4) as u8];
        packet.extend(body);
        self.rtcp.send_to(&packet, to).unwrap();
    }

    fn report_loss(&self, to: SocketAddr, ssrc: [u8; 4], lost: u8) {
        self.say(to, 201, 1, &[&THEIRS, &ssrc, &[lost, 0, 0, 1], &[0; 16]]);
    }
}

fn read(keep_on: &mut dyn FnMut(), socket: &UdpSocket) -> (Vec<u8>, SocketAddr) {
    let mut packet = vec![0; 2_048];
    let deadline = std::time::Instant::now() + PATIENCE;
    loop {
        if let Ok((len, from)) = socket.recv_from(&mut packet) {
            packet.truncate(len);
            return (packet, from);
        }
        assert!(std::time::Instant::now() < deadline, "nothing comes");
        keep_on();
    }
}

/// Sockets for RTP and, at the next port, for RTCP.
fn ports() -> (UdpSocket, UdpSocket) {
    loop {
        let rtp = UdpSocket::bind("127.0.0.1:0").unwrap();
        let next = rtp.local_addr().unwrap().port().checked_add(1);
        if let Some(Ok(rtcp)) = next.map(|next| UdpSocket::bind(("127.0.0.1", next))) {
            rtp.set_nonblocking(true).unwrap();
            rtcp.set_nonblocking(true).unwrap();
            return (rtp, rtcp);
        }
    }
}

const HOUR: Duration = Duration::from_secs(3_600);

#[test]
fn packets_carry_pictures_and_the_first_is_described() {
    let mut session = Session::open(HOUR);
    session.key_frame(1_000);
    session.key_frame(4_000);
    let packets: Vec<Vec<u8>> = (0..4).map(|_| session.packet()).collect();
    let parsed: Vec<Packet<'_>> =
        packets.iter().map(|packet| Packet::parse(packet).unwrap()).collect();
    let first = parsed[0].header;
    for (at, packet) in parsed.iter().enumerate() {
        let header = packet.header;
        assert_eq!((header.payload_type, header.ssrc), (96, first.ssrc));
        assert_eq!(header.sequence, first.sequence.wrapping_add(at as u16));
        assert_eq!(header.time.wrapping_sub(first.time), at as u32 / 2 * 3_000);
        assert_eq!(header.marker, at % 2 == 1);
        assert_eq!(packet.payload, [&SETS[..], &SLICE[..]][at % 2]);
    }
    let description = session.description.try_recv().unwrap();
    let port = session.rtp.local_addr().unwrap().port();
    assert!(description.contains(&format!("m=video {port} RTP/AVPF 96\r\n")), "{description}");
    assert!(description.contains("profile-level-id=42c01f;sprop-parameter-sets=Z0LAHwk=,aAECAw=="));
    assert!(session.description.try_recv().is_err());
}

#[test]
fn whoever_begins_or_lacks_a_picture_gets_a_key_frame() {
    let mut session = Session::open(HOUR);
    let (report, host) = session.report();
    let ssrc = *report[4..].first_chunk().unwrap();
    session.report_loss(host, ssrc, 0);
    session.until(|event| *event == Event::KeyFrameRequest);
    // Known by now; about another stream; and no RTCP at all.
    session.report_loss(host, ssrc, 0);
    session.say(host, 206, 1, &[&THEIRS, &[1; 4]]);
    session.rtcp.send_to(b"hello", host).unwrap();
    // A picture is lacking; heard after all of those.
    session.say(host, 206, 1, &[&THEIRS, &ssrc]);
    session.until(|event| *event == Event::KeyFrameRequest);
    assert!(!session.events.contains(&Event::KeyFrameRequest));
    // Gone and come back.
    session.say(host, 203, 1, &[&THEIRS]);
    session.report_loss(host, ssrc, 0);
    session.until(|event| *event == Event::KeyFrameRequest);
}

#[test]
fn losses_that_are_reported_lower_the_rate() {
    let mut session = Session::open(HOUR);
    let (report, host) = session.report();
    // With the middle of the time in the sender's own report, and no time since that came.
    let (ssrc, time) = (&report[4..8], &report[10..14]);
    session.say(host, 201, 1, &[&THEIRS, ssrc, &[128, 0, 0, 1], &[0; 8], time, &[0; 4]]);
    session.until(|event| *event == Event::Estimate(Bitrate::mbps(6)));
    let path = session.host.path();
    assert_eq!((path.loss, path.estimate), (0.5, Bitrate::mbps(6)));
    assert!(path.rtt.unwrap() < PATIENCE);
}

#[test]
fn key_frames_come_unasked_and_silence_is_broken() {
    let mut session = Session::open(Duration::from_millis(100));
    session.key_frame(0);
    session.until(|event| *event == Event::KeyFrameRequest);
    session.until(|event| *event == Event::KeyFrameRequest);
    session.until(|event| *event == Event::FrameRequest);
}

#[test]
fn the_end_is_said_and_nothing_is_sent_after_it() {
    let mut session = Session::open(HOUR);
    session.report();
    session.host.close();
    session.host.close();
    let (goodbye, _) = session.report();
    assert_eq!(goodbye[goodbye.len() - 8..][..4], [0x81, 203, 0, 1]);
    session.until(|event| *event == Event::Closed);
    session.key_frame(0);
    session.turn(Duration::ZERO);
    assert_eq!(session.host.path().state, PathState::Closed);
    assert!(session.events.is_empty() && session.rtp.recv(&mut [0; 1]).is_err());
    assert_eq!(session.host.send(Channel::Control, b"x"), Err(SendError::NotOpen));
    assert!(session.host.handle_signal(Remote::Offer("v=0")).is_err());
}

#[test]
fn a_network_that_takes_nothing_is_a_lost_path() {
    let (describe, _) = channel();
    let clock = Clock::start();
    // Broadcasting is not allowed to whoever has not asked for it.
    let config = RtpConfig {
        to: "127.255.255.255:5004".parse().unwrap(),
        format: VideoFormat::default(),
        bitrate: Bitrate::mbps(8),
        key_frames: HOUR,
        name: String::new(),
        describe: Box::new(move |text| describe.send(text).unwrap()),
    };
    match Rtp::open(config, clock) {
        Err(why) => assert_eq!(why.kind(), std::io::ErrorKind::PermissionDenied),
        Ok(_) => panic!("it can be sent to"),
    }
}
