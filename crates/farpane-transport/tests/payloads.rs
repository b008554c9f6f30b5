//! Our packetizers and depacketizers against those of str0m. Its own are private, so whole peers are compared: two in
//! one process and in virtual time, one of which handles RTP as it is while the other sends or receives frames.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::Range;
use std::time::{Duration, Instant};

use farpane_media::Codec;
use farpane_proto::depacketize::{Depacketizer, Error, Event as Assembled, av1, h264};
use farpane_proto::packetize::Packetizer;
use farpane_proto::rtp::Header;
use str0m::format::{Codec as RtcCodec, CodecExtra};
use str0m::media::{Direction, MediaData, MediaKind, MediaTime, Mid, Pt};
use str0m::net::{Protocol, Receive};
use str0m::rtp::{RtpPacket, RtpWrite};
use str0m::{Candidate, DATAGRAM_MTU_TARGET_MAX, DATAGRAM_MTU_TARGET_MIN};
use str0m::{Event, Input, Output, Rtc};

const SENDER: usize = 0;
const RECEIVER: usize = 1;

/// One way.
const DELAY: Duration = Duration::from_millis(10);
/// Time to repair a unit before the next: str0m asks again for what is missing among the last 100 packets.
const FRAME_INTERVAL: Duration = Duration::from_millis(100);
/// Of a unit but for its last part, so that it is less than 100 packets.
const MANY_BYTES: usize = 20_000;
/// Of virtual time: far longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);
const UNITS: u32 = 60;

/// What goes through a session as one frame.
#[derive(Debug, PartialEq)]
struct Unit {
    time: u32,
    key_frame: bool,
    /// An Annex B byte stream with start codes of four bytes, or OBUs with size fields.
    stream: Vec<u8>,
}

#[test]
fn str0m_reads_our_payloads() {
    each(|codec, seed| {
        let (mut pair, sent) = Pair::send_packets(codec, SMOOTH, seed);
        pair.settle();
        assert_same(&pair.frames(), &sent);
    });
}

#[test]
fn str0m_reads_our_payloads_out_of_order_and_sent_again() {
    each(|codec, seed| {
        let (mut pair, sent) = Pair::send_packets(codec, ROUGH, seed);
        pair.settle();
        assert!(pair.lost > 0, "{} of {} packets", pair.lost, pair.carried);
        assert_same(&pair.frames(), &sent);
    });
}

#[test]
fn we_read_the_payloads_of_str0m() {
    each(|codec, seed| {
        let (mut pair, sent) = Pair::send_frames(codec, SMOOTH, seed);
        pair.settle();
        assert_same(&depacketize(codec, &pair.packets()), &sent);
    });
}

#[test]
fn we_read_the_payloads_of_str0m_out_of_order_and_sent_again() {
    each(|codec, seed| {
        let (mut pair, sent) = Pair::send_frames(codec, ROUGH, seed);
        pair.settle();
        assert!(pair.lost > 0, "{} of {} packets", pair.lost, pair.carried);
        assert_same(&depacketize(codec, &pair.packets()), &sent);
    });
}

/// It takes more for whole than that: it does not ask what was before the first packet that it has of a unit.
#[test]
fn what_we_find_whole_after_loss_str0m_finds_too() {
    each(|codec, seed| {
        let (mut pair, sent) = Pair::send_packets(codec, LOSSY, seed);
        pair.settle();
        let packets: Vec<_> =
            pair.arrived.iter().map(|(header, payload)| (*header, &payload[..])).collect();
        let whole = depacketize(codec, &packets);
        assert!((sent.len() / 4..sent.len()).contains(&whole.len()), "{}", whole.len());
        let frames = pair.frames();
        for unit in &whole {
            assert!(sent.contains(unit), "{}", unit.time);
            assert!(frames.contains(unit), "{}", unit.time);
        }
    });
}

fn each(test: impl Fn(Codec, u64)) {
    for seed in 1..=3 {
        test(Codec::H264, seed);
        test(Codec::Av1, seed);
    }
}

struct Peer {
    rtc: Rtc,
    address: SocketAddr,
    /// When it wants to be called next.
    due: Instant,
    frames: Vec<MediaData>,
    packets: Vec<RtpPacket>,
}

/// What happens to media packets on their way, but for those sent again.
#[derive(Clone, Copy)]
struct Roughness {
    /// In percent.
    loss: usize,
    /// Whether they are sent again.
    repaired: bool,
    /// Up to so much later than others.
    jitter: Duration,
}

const SMOOTH: Roughness = Roughness { loss: 0, repaired: true, jitter: Duration::ZERO };
const ROUGH: Roughness = Roughness { loss: 8, repaired: true, jitter: Duration::from_millis(20) };
const LOSSY: Roughness = Roughness { loss: 4, repaired: false, jitter: Duration::ZERO };

/// A sender, a receiver, and the link between them.
struct Pair {
    now: Instant,
    peers: [Peer; 2],
    mid: Mid,
    pt: Pt,
    /// Datagrams and whom they are for, by when they arrive.
    flying: BTreeMap<(Instant, usize), (usize, Vec<u8>)>,
    /// Datagrams of both ways.
    carried: usize,
    rough: Roughness,
    lost: usize,
    /// Those of our packets that did not get lost.
    arrived: Vec<(Header, Vec<u8>)>,
    random: Random,
}

impl Pair {
    fn connected(codec: Codec, rtp: [bool; 2], seed: u64) -> Pair {
        let now = Instant::now();
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mtu = random.within(DATAGRAM_MTU_TARGET_MIN..DATAGRAM_MTU_TARGET_MAX + 1);
        let mut peers = [([192, 0, 2, 1], rtp[0]), ([192, 0, 2, 2], rtp[1])].map(|(ip, rtp)| {
            let config = Rtc::builder()
                .clear_codecs()
                .enable_h264(codec == Codec::H264)
                .enable_av1(codec == Codec::Av1)
                .set_mtu(mtu..=usize::MAX)
                .set_rtp_mode(rtp);
            let mut rtc = config.build(now);
            let address = SocketAddr::from((ip, 5_000));
            rtc.add_local_candidate(Candidate::host(address, "udp").unwrap()).unwrap();
            Peer { rtc, address, due: now, frames: Vec::new(), packets: Vec::new() }
        });
        let [sender, receiver] = &mut peers;
        let mut api = sender.rtc.sdp_api();
        let mid = api.add_media(MediaKind::Video, Direction::SendOnly, None, None, None);
        let (offer, pending) = api.apply().unwrap();
        let answer = receiver.rtc.sdp_api().accept_offer(offer).unwrap();
        sender.rtc.sdp_api().accept_answer(pending, answer).unwrap();
        let mut api = sender.rtc.direct_api();
        let stream = api.stream_tx_by_mid(mid, None).unwrap();
        stream.set_rtx_cache(4_096, Duration::from_secs(3), None);
        let pt = sender.rtc.codec_config().find(|params| {
            let spec = params.spec();
            spec.codec == RtcCodec::Av1 || spec.format.packetization_mode == Some(1)
        });
        let mut pair = Pair {
            now,
            pt: pt.unwrap().pt(),
            peers,
            mid,
            flying: BTreeMap::new(),
            carried: 0,
            rough: SMOOTH,
            lost: 0,
            arrived: Vec::new(),
            random,
        };
        while !pair.peers.iter().all(|peer| peer.rtc.is_connected()) {
            assert!(pair.now - now < PATIENCE, "the peers do not connect");
            pair.pass(Duration::from_millis(1));
        }
        pair
    }

    /// Sends units in payloads of ours to a peer that receives frames.
    fn send_packets(codec: Codec, rough: Roughness, seed: u64) -> (Pair, Vec<Unit>) {
        let mut pair = Pair::connected(codec, [true, false], seed);
        // It soon wraps.
        let mut sequence = 65_500_u64;
        let sent = pair.send(codec, rough, |pair, unit, parts| {
            let data = parts.concat();
            let mut ranges: Vec<Range<usize>> = Vec::new();
            for part in parts {
                let start = ranges.last().map_or(0, |range| range.end);
                ranges.push(start..start + part.len());
            }
            let max_payload = pair.random.within(400..1_201);
            let payloads =
                Packetizer::new(max_payload).packetize(codec, &data, &ranges, unit.key_frame);
            for payload in payloads {
                let mut space = [0; 1_200];
                let len = payload.write(&mut space);
                let bytes = &space[..len];
                let packet = RtpWrite::new(pair.pt, sequence.into(), unit.time, pair.now, bytes)
                    .marker(payload.is_last())
                    .nackable(rough.repaired);
                let mut api = pair.peers[SENDER].rtc.direct_api();
                api.stream_tx_by_mid(pair.mid, None).unwrap().write_rtp(packet);
                let lost = pair.lost;
                pair.turn(SENDER);
                if pair.lost == lost {
                    let header = Header {
                        marker: payload.is_last(),
                        sequence: sequence as u16,
                        time: unit.time,
                        ..Header::default()
                    };
                    pair.arrived.push((header, bytes.to_vec()));
                }
                sequence += 1;
            }
        });
        (pair, sent)
    }

    /// Sends units as frames to a peer that receives packets.
    fn send_frames(codec: Codec, rough: Roughness, seed: u64) -> (Pair, Vec<Unit>) {
        let mut pair = Pair::connected(codec, [false, true], seed);
        let sent = pair.send(codec, rough, |pair, unit, parts| {
            let data = match codec {
                Codec::H264 => annex_b(parts),
                _ => parts.concat(),
            };
            let writer = pair.peers[SENDER].rtc.writer(pair.mid).unwrap();
            let time = MediaTime::from_90khz(unit.time.into());
            writer.write(pair.pt, pair.now, time, data).unwrap();
            pair.turn(SENDER);
        });
        (pair, sent)
    }

    /// Sends units, the first and the last of them on a smooth link, so that the receiver knows where the stream begins
    /// and ends. `write` gets the NAL units or OBUs as an encoder gives them.
    fn send(
        &mut self,
        codec: Codec,
        rough: Roughness,
        mut write: impl FnMut(&mut Pair, &Unit, &[Vec<u8>]),
    ) -> Vec<Unit> {
        let units = (0..UNITS).map(|number| {
            self.rough = if (1..UNITS - 1).contains(&number) { rough } else { SMOOTH };
            let key_frame = number % 20 == 0;
            let (parts, stream) = match codec {
                Codec::H264 => access_unit(&mut self.random, key_frame),
                _ => temporal_unit(&mut self.random, key_frame),
            };
            let unit = Unit { time: number * 9_000, key_frame, stream };
            write(self, &unit, &parts);
            self.pass(FRAME_INTERVAL);
            unit
        });
        units.collect()
    }

    /// Until nothing is on its way any more.
    fn settle(&mut self) {
        self.pass(Duration::from_secs(5));
    }

    fn frames(&self) -> Vec<Unit> {
        let frames = self.peers[RECEIVER].frames.iter().map(|frame| Unit {
            time: frame.time.numer() as u32,
            key_frame: match frame.codec_extra {
                CodecExtra::H264(extra) => extra.is_keyframe,
                CodecExtra::Av1(extra) => extra.is_keyframe,
                _ => panic!("{:?}", frame.codec_extra),
            },
            stream: frame.data.to_vec(),
        });
        frames.collect()
    }

    /// In the order of their arrival.
    fn packets(&self) -> Vec<(Header, &[u8])> {
        let packets = self.peers[RECEIVER].packets.iter().map(|packet| {
            let header = Header {
                marker: packet.header.marker,
                sequence: packet.header.sequence_number,
                time: packet.header.timestamp,
                ..Header::default()
            };
            (header, &packet.payload[..])
        });
        packets.collect()
    }

    /// Lets time go by.
    fn pass(&mut self, duration: Duration) {
        let end = self.now + duration;
        loop {
            let arrival = self.flying.first_key_value().map(|((at, _), _)| *at);
            let due = self.peers.iter().map(|peer| peer.due).chain(arrival).min().unwrap();
            if due > end {
                self.now = end;
                return;
            }
            self.now = self.now.max(due);
            if arrival == Some(due) {
                let (_, (to, datagram)) = self.flying.pop_first().unwrap();
                let from = self.peers[1 - to].address;
                let peer = &mut self.peers[to];
                let receive = Receive::new(Protocol::Udp, from, peer.address, &datagram).unwrap();
                peer.rtc.handle_input(Input::Receive(self.now, receive)).unwrap();
                self.drain(to);
            } else {
                let peer = (0..2).min_by_key(|peer| self.peers[*peer].due).unwrap();
                self.turn(peer);
            }
        }
    }

    fn turn(&mut self, peer: usize) {
        self.drain(peer);
        self.peers[peer].rtc.handle_input(Input::Timeout(self.now)).unwrap();
        self.drain(peer);
    }

    fn drain(&mut self, at: usize) {
        loop {
            let peer = &mut self.peers[at];
            match peer.rtc.poll_output().unwrap() {
                Output::Timeout(due) => {
                    peer.due = due;
                    return;
                }
                Output::Transmit(transmit) => self.carry(1 - at, transmit.contents.to_vec()),
                Output::Event(Event::MediaData(frame)) => peer.frames.push(frame),
                Output::Event(Event::RtpPacket(packet)) => peer.packets.push(packet),
                Output::Event(_) => {}
            }
        }
    }

    fn carry(&mut self, to: usize, datagram: Vec<u8>) {
        let mut arrival = self.now + DELAY;
        // RTP of the stream itself; what is sent again has a payload type of its own.
        if datagram[0] >> 6 == 2 && datagram[1] & 0x7f == *self.pt {
            if self.random.below(100) < self.rough.loss {
                self.lost += 1;
                return;
            }
            arrival += self.rough.jitter * self.random.below(100) as u32 / 100;
        }
        self.carried += 1;
        self.flying.insert((arrival, self.carried), (to, datagram));
    }
}

fn assert_same(got: &[Unit], sent: &[Unit]) {
    for (number, (got, sent)) in got.iter().zip(sent).enumerate() {
        assert_eq!(got.time, sent.time, "unit {number}");
        assert!(got == sent, "unit {number} comes as {} bytes", got.stream.len());
    }
    assert_eq!(got.len(), sent.len());
}

/// The units that our depacketizer finds whole in these packets.
fn depacketize(codec: Codec, packets: &[(Header, &[u8])]) -> Vec<Unit> {
    let drain = |depacketizer: &mut Depacketizer, units: &mut Vec<Unit>| {
        while let Some(event) = depacketizer.poll_event() {
            if let Assembled::Unit(unit) = event {
                let stream = unit.data.to_vec();
                units.push(Unit { time: unit.time, key_frame: unit.key_frame, stream });
            }
        }
    };
    let (mut depacketizer, mut units) = (Depacketizer::new(codec), Vec::new());
    for (header, payload) in packets {
        let taken = depacketizer.handle_packet(header, payload);
        let usual = matches!(
            taken,
            Ok(())
                | Err(Error::H264(h264::Error::Duplicate | h264::Error::Late))
                | Err(Error::Av1(av1::Error::Duplicate | av1::Error::Late))
        );
        assert!(usual, "{taken:?}");
        drain(&mut depacketizer, &mut units);
    }
    while depacketizer.is_waiting() {
        depacketizer.give_up();
        drain(&mut depacketizer, &mut units);
    }
    units
}

/// NAL units as an encoder gives them, and the byte stream of those that are sent.
fn access_unit(random: &mut Random, key_frame: bool) -> (Vec<Vec<u8>>, Vec<u8>) {
    const DELIMITER: [u8; 2] = [9, 0xf0];
    let mut nals = Vec::new();
    if key_frame {
        // One set each, right after one another: str0m sends them together before the next NAL unit.
        nals.extend([nal(random, 0x67, 4..30), nal(random, 0x68, 3..12)]);
    }
    if random.below(4) == 0 {
        nals.push(nal(random, 0x06, 2..200));
    }
    let importance = if key_frame { 3 } else { random.below(4) as u8 };
    let header = importance << 5 | if key_frame { 5 } else { 1 };
    for _ in 0..random.number_of_parts() {
        if nals.iter().map(Vec::len).sum::<usize>() > MANY_BYTES {
            break;
        }
        let len = random.length();
        nals.push(nal(random, header, 2..len + 3));
    }
    let stream = annex_b(&nals);
    nals.insert(0, DELIMITER.to_vec());
    (nals, stream)
}

/// Without anything in it that looks like a start code.
fn nal(random: &mut Random, header: u8, len: Range<usize>) -> Vec<u8> {
    let mut nal = vec![header];
    for _ in 1..random.within(len) {
        let byte = if random.below(8) == 0 { 0 } else { random.below(256) as u8 };
        nal.push(if nal.last() == Some(&0) { byte.max(1) } else { byte });
    }
    *nal.last_mut().unwrap() |= 1;
    nal
}

fn annex_b(nals: &[Vec<u8>]) -> Vec<u8> {
    nals.iter().flat_map(|nal| [&[0, 0, 0, 1], &nal[..]].concat()).collect()
}

/// OBUs as an encoder gives them, and the byte stream of those that are sent.
fn temporal_unit(random: &mut Random, key_frame: bool) -> (Vec<Vec<u8>>, Vec<u8>) {
    const SEQUENCE_HEADER: u8 = 1;
    const FRAME_HEADER: u8 = 3;
    const TILE_GROUP: u8 = 4;
    const METADATA: u8 = 5;
    const FRAME: u8 = 6;
    const DELIMITER: [u8; 2] = [2 << 3 | 2, 0];
    const PADDING: [u8; 5] = [15 << 3 | 2, 3, 0, 0, 0x80];
    // A shown frame that is a key frame, or refers to others.
    let first = if key_frame { 0x10 } else { 0x30 };
    let extension = [None, None, Some(0x20), Some(0x28)][random.below(4)];
    let mut obus = Vec::new();
    if key_frame {
        obus.push(obu(SEQUENCE_HEADER, None, &[0, 0, 0, 1]));
    }
    if random.below(4) == 0 {
        let len = random.below(200);
        obus.push(obu(METADATA, None, &random.bytes(len)));
    }
    for number in 0..random.number_of_parts() {
        if obus.iter().map(Vec::len).sum::<usize>() > MANY_BYTES {
            break;
        }
        let kind = if random.below(2) == 0 { FRAME } else { TILE_GROUP };
        let kind = if number > 0 { kind } else { [FRAME, FRAME_HEADER][random.below(2)] };
        let len = random.length();
        let mut payload = random.bytes(len);
        if number == 0 {
            payload.insert(0, first);
        }
        obus.push(obu(kind, extension, &payload));
    }
    let stream = obus.concat();
    obus.insert(0, DELIMITER.to_vec());
    obus.push(PADDING.to_vec());
    (obus, stream)
}

/// With a size field.
fn obu(kind: u8, extension: Option<u8>, payload: &[u8]) -> Vec<u8> {
    let mut obu = vec![kind << 3 | 2];
    if let Some(extension) = extension {
        obu[0] |= 4;
        obu.push(extension);
    }
    let mut len = payload.len();
    while len > 0x7f {
        obu.push(len as u8 | 0x80);
        len >>= 7;
    }
    obu.push(len as u8);
    obu.extend_from_slice(payload);
    obu
}

/// Xorshift, so that a failure comes again.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as usize % bound
    }

    fn within(&mut self, range: Range<usize>) -> usize {
        range.start + self.below(range.end - range.start)
    }

    fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.below(256) as u8).collect()
    }

    /// Of NAL units or OBUs in a unit: mostly few, sometimes many.
    fn number_of_parts(&mut self) -> usize {
        if self.below(6) == 0 { self.within(8..40) } else { self.within(1..4) }
    }

    /// Of a part: mostly some to a packet, sometimes many packets.
    fn length(&mut self) -> usize {
        match self.below(10) {
            0..6 => self.below(80),
            6..9 => self.below(3_000),
            _ => self.below(10_000),
        }
    }
}
