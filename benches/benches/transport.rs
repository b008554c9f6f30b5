//! The last hop: a frame's packets through the WebRTC transport (SRTP, congestion control, pacing) to the kernel, beside
//! a bare socket that sends as much. What the viewer does is not timed.

use std::io::ErrorKind;
use std::net::UdpSocket;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use farpane_media::Clock;
use farpane_proto::{MAX_PAYLOAD, PacketMeta};
use farpane_transport::{Event, Transport, WebRtc, WebRtcConfig};
use str0m::media::{Direction, MediaKind};
use str0m::net::{Protocol, Receive};
use str0m::{Candidate, Input, Output, Rtc};

/// Packets of a typed character, of a scrolled page and of a page switch.
const FRAMES: [u32; 3] = [1, 8, 100];

/// A viewer made of str0m: answers what keeps a session alive and throws the video away.
struct Viewer {
    rtc: Rtc,
    socket: UdpSocket,
}

impl Viewer {
    fn turn(&mut self) {
        let address = self.socket.local_addr().expect("bound");
        let mut buffer = [0; 2_000];
        loop {
            let (len, source) = match self.socket.recv_from(&mut buffer) {
                Ok(received) => received,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => panic!("{error}"),
            };
            let receive = Receive::new(Protocol::Udp, source, address, &buffer[..len])
                .expect("the host sends what it should");
            self.rtc.handle_input(Input::Receive(Instant::now(), receive)).expect("in order");
            self.drain();
        }
        self.rtc.handle_input(Input::Timeout(Instant::now())).expect("in order");
        self.drain();
    }

    fn drain(&mut self) {
        loop {
            match self.rtc.poll_output().expect("in order") {
                Output::Timeout(_) => return,
                Output::Transmit(transmit) => {
                    // Some of the host's addresses cannot be reached from this socket.
                    let _ = self.socket.send_to(&transmit.contents, transmit.destination);
                }
                Output::Event(_) => {}
            }
        }
    }
}

/// A connected pair on loopback sockets.
fn connect(clock: Clock) -> (WebRtc, Viewer) {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    socket.set_nonblocking(true).expect("a UDP socket can be");
    let mut rtc =
        Rtc::builder().clear_codecs().enable_h264(true).set_rtp_mode(true).build(Instant::now());
    let address = socket.local_addr().expect("bound");
    rtc.add_local_candidate(Candidate::host(address, "udp").expect("an address"));
    let mut api = rtc.sdp_api();
    api.add_media(MediaKind::Video, Direction::RecvOnly, None, None, None);
    let (offer, pending) = api.apply().expect("there is something to offer");
    let (mut host, answer) =
        WebRtc::answer(&offer.to_sdp_string(), WebRtcConfig::default(), clock).expect("H.264");
    let answer = str0m::change::SdpAnswer::from_sdp_string(&answer).expect("an answer");
    rtc.sdp_api().accept_answer(pending, answer).expect("it fits the offer");
    let mut viewer = Viewer { rtc, socket };
    loop {
        host.wait(clock.now() + Duration::from_millis(1)).expect("alive");
        viewer.turn();
        if std::iter::from_fn(|| host.poll_event()).any(|e| matches!(e, Event::Connected { .. })) {
            return (host, viewer);
        }
    }
}

fn webrtc(c: &mut Criterion) {
    let mut group = c.benchmark_group("transport/webrtc");
    let clock = Clock::start();
    let (mut host, mut viewer) = connect(clock);
    // A slice that is not of a key frame; its contents do not matter to a transport.
    let mut payload = [0x55; MAX_PAYLOAD];
    payload[0] = 0x41;
    let mut frame = 0;
    for packets in FRAMES {
        group.throughput(Throughput::Bytes(u64::from(packets) * MAX_PAYLOAD as u64));
        group.bench_function(format!("{packets} packets"), |b| {
            b.iter_custom(|frames| {
                let mut taken = Duration::ZERO;
                for _ in 0..frames {
                    frame += 1;
                    let start = Instant::now();
                    for at in 0..packets {
                        let meta = PacketMeta {
                            rtp_time: (frame as u32).wrapping_mul(3_000),
                            marker: at + 1 == packets,
                            frame,
                            first_of_frame: at == 0,
                            capture: clock.now(),
                            ..PacketMeta::default()
                        };
                        host.send_video(&payload, &meta).expect("alive");
                    }
                    // Until the pacer has let go of all.
                    while host.path().queued_packets > 0 {
                        host.wait(clock.now() + Duration::from_millis(1)).expect("alive");
                    }
                    taken += start.elapsed();
                    viewer.turn();
                    host.wait(clock.now()).expect("alive");
                    while host.poll_event().is_some() {}
                }
                taken
            });
        });
    }
    group.finish();
}

fn bare_socket(c: &mut Criterion) {
    let mut group = c.benchmark_group("transport/bare socket");
    let far = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    far.set_nonblocking(true).expect("a UDP socket can be");
    let near = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    near.connect(far.local_addr().expect("bound")).expect("on loopback");
    let payload = [0x55; MAX_PAYLOAD];
    for packets in FRAMES {
        group.throughput(Throughput::Bytes(u64::from(packets) * MAX_PAYLOAD as u64));
        group.bench_function(format!("{packets} packets"), |b| {
            b.iter_custom(|frames| {
                let mut taken = Duration::ZERO;
                let mut buffer = [0; 2_000];
                for _ in 0..frames {
                    let start = Instant::now();
                    for _ in 0..packets {
                        near.send(&payload).expect("loopback takes it");
                    }
                    taken += start.elapsed();
                    while far.recv(&mut buffer).is_ok() {}
                }
                taken
            });
        });
    }
    group.finish();
}

criterion_group!(benches, webrtc, bare_socket);
criterion_main!(benches);
