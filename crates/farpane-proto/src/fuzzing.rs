//! What fuzz targets run: each body takes any bytes and panics when a promise of this crate is broken.
//!
//! The one door for `fuzz/` and for the tests that replay its corpora and past crashes.

use std::ops::Range;

use farpane_media::Time;

use crate::depacketize::{av1, h264};
use crate::fec::{MAX_PACKET, MAX_SPAN, Protector, Recoverer};
use crate::framing::{self, Deframer, FrameTooLong, MAX_FRAME};
use crate::nal;
use crate::obu::{self, Obu};
use crate::packetize;
use crate::rtcp::{self, SenderReport};
use crate::rtp::extension::{
    AbsCaptureTime, AbsSendTime, Extension, MAX_LEN, PlayoutDelay, TransportCc,
};
use crate::rtp::{Element, Header, Packet};

/// A parsed packet says the same after it was written and parsed again.
pub fn rtp_header(data: &[u8]) {
    let Ok(packet) = Packet::parse(data) else { return };
    assert!(packet.payload.len() + packet.csrcs().len() * 4 <= data.len());
    let elements: Vec<Element<'_>> = packet.elements().collect();
    for element in &elements {
        extension_round_trip::<TransportCc>(element.data);
        extension_round_trip::<AbsSendTime>(element.data);
        extension_round_trip::<PlayoutDelay>(element.data);
        extension_round_trip::<AbsCaptureTime>(element.data);
    }
    // Elements of one byte of prefix may need two when written again.
    let mut out = vec![0xa5; data.len() * 2 + 16];
    let len = packet.header.write(&elements, &mut out).expect("what was parsed can be written");
    out.truncate(len);
    out.extend_from_slice(packet.payload);
    let again = Packet::parse(&out).expect("what was written can be parsed");
    assert_eq!(again.header, packet.header);
    assert_eq!(again.payload, packet.payload);
    assert!(again.elements().eq(elements));
}

fn extension_round_trip<E: Extension>(data: &[u8]) {
    if let Some(extension) = E::decode(data) {
        assert_eq!(extension.encode(&mut [0; MAX_LEN]), data);
    }
}

/// What is packetized comes out again, in payloads no longer than allowed, of which the last has the marker.
///
/// The input is a payload length, up to what depacketizers take, then NAL units, each after its length; bit 15 of that
/// ends an access unit.
pub fn h264_packetize(data: &[u8]) {
    let Some((max_payload, rest)) = split_u16(data) else { return };
    let packetizer = packetize::h264::Packetizer::new(usize::from(max_payload).clamp(16, 9_000));
    let mut depacketizer = h264::Depacketizer::default();
    let mut header = Header::default();
    let mut out = vec![0; packetizer.max_payload()];
    let mut send = |unit: &[u8], nals: &[Range<usize>]| {
        let sent = nals.iter().map(|range| &unit[range.clone()]).filter(|nal| {
            nal.first().is_some_and(|h| matches!(h & nal::TYPE, 1..=8 | 10 | 11 | 13..=23))
        });
        let payloads = packetizer.packetize(unit, nals);
        let mut left = payloads.clone().count();
        assert_eq!(left == 0, sent.clone().next().is_none());
        header.time = header.time.wrapping_add(3_000);
        for payload in payloads {
            left -= 1;
            assert_eq!(payload.last, left == 0);
            let len = payload.write(&mut out);
            assert_eq!(len, payload.len());
            header.marker = payload.last;
            depacketizer.handle_packet(&header, &out[..len]).expect("our own is well-formed");
            header.sequence = header.sequence.wrapping_add(1);
            match depacketizer.poll_event() {
                None => assert!(!payload.last),
                Some(h264::Event::Unit(got)) => {
                    assert!(payload.last);
                    assert_eq!(got.time, header.time);
                    assert!(got.nals.iter().map(|nal| &got.data[nal.clone()]).eq(sent.clone()));
                }
                Some(lost) => panic!("{lost:?} without loss"),
            }
        }
    };
    send(&[nal::SPS], std::slice::from_ref(&(0..1)));
    each_unit(rest, send);
}

/// What is packetized comes out again, in payloads no longer than allowed, of which the last has the marker.
///
/// The input is a payload length, up to what depacketizers take, then OBUs, each after its length; bit 15 of that ends
/// a temporal unit.
pub fn av1_packetize(data: &[u8]) {
    let Some((max_payload, rest)) = split_u16(data) else { return };
    let packetizer = packetize::av1::Packetizer::new(usize::from(max_payload).clamp(16, 9_000));
    let mut depacketizer = av1::Depacketizer::default();
    let mut header = Header::default();
    let mut out = vec![0; packetizer.max_payload()];
    let mut send = |unit: &[u8], obus: &[Range<usize>]| {
        let sent: Vec<Obu<'_>> = obus
            .iter()
            .filter_map(|range| Obu::parse(&unit[range.clone()]))
            .filter(|obu| !matches!(obu.kind(), 2 | 8 | 15))
            .collect();
        let payloads = packetizer.packetize(unit, obus, true);
        let mut left = payloads.clone().count();
        assert_eq!(left == 0, sent.is_empty());
        header.time = header.time.wrapping_add(3_000);
        for payload in payloads {
            left -= 1;
            assert_eq!(payload.last, left == 0);
            let len = payload.write(&mut out);
            assert_eq!(len, payload.len());
            header.marker = payload.last;
            depacketizer.handle_packet(&header, &out[..len]).expect("our own is well-formed");
            header.sequence = header.sequence.wrapping_add(1);
            match depacketizer.poll_event() {
                None => assert!(!payload.last),
                Some(av1::Event::Unit(got)) => {
                    assert!(payload.last);
                    assert_eq!(got.time, header.time);
                    assert_eq!(got.obus.len(), sent.len());
                    for (range, obu) in got.obus.iter().zip(&sent) {
                        assert_eq!(Obu::parse(&got.data[range.clone()]).as_ref(), Some(obu));
                    }
                }
                Some(lost) => panic!("{lost:?} without loss"),
            }
        }
    };
    send(&[obu::SEQUENCE_HEADER << 3], std::slice::from_ref(&(0..1)));
    each_unit(rest, send);
}

/// Whatever comes, units are well-formed and within the limit.
///
/// The input is packets: a step of the sequence number, a byte of marker (bit 0), new time (bit 1) and impatience
/// (bit 2), and a payload after its length.
pub fn h264_depacketize(data: &[u8]) {
    let mut depacketizer = h264::Depacketizer::new(16, MAX_UNIT);
    each_packet(data, |header, payload, impatient| {
        // A refused packet is the usual case here.
        let _ = depacketizer.handle_packet(header, payload);
        if impatient {
            depacketizer.give_up();
            assert!(!depacketizer.is_waiting());
        }
        while let Some(event) = depacketizer.poll_event() {
            let h264::Event::Unit(unit) = event else { continue };
            assert!(!unit.nals.is_empty() && unit.data.len() <= MAX_UNIT);
            let mut end = 0;
            for nal in unit.nals {
                assert_eq!(unit.data[end..nal.start], [0, 0, 0, 1]);
                assert!(nal::is_nal(unit.data[nal.start]));
                end = nal.end;
            }
            assert_eq!(end, unit.data.len());
        }
    });
}

/// Whatever comes, units are well-formed and within the limit. The input is as for H.264.
pub fn av1_depacketize(data: &[u8]) {
    let mut depacketizer = av1::Depacketizer::new(16, MAX_UNIT);
    each_packet(data, |header, payload, impatient| {
        // A refused packet is the usual case here.
        let _ = depacketizer.handle_packet(header, payload);
        if impatient {
            depacketizer.give_up();
            assert!(!depacketizer.is_waiting());
        }
        while let Some(event) = depacketizer.poll_event() {
            let av1::Event::Unit(unit) = event else { continue };
            assert!(!unit.obus.is_empty() && unit.data.len() <= MAX_UNIT);
            let mut end = 0;
            for range in unit.obus {
                assert_eq!(range.start, end);
                let obu = Obu::parse(&unit.data[range.clone()]).expect("one OBU");
                assert!(obu.is_sent() && unit.data[range.start] & obu::HAS_SIZE != 0);
                end = range.end;
            }
            assert_eq!(end, unit.data.len());
            let starts = Obu::parse(&unit.data[unit.obus[0].clone()])
                .is_some_and(|obu| !obu.has_frame_header());
            assert!(starts || !unit.is_key_frame());
        }
    });
}

/// The packets of a stream are the same however it is cut, and written again they are that stream without the empty ones.
///
/// The input is the size of the pieces, then the stream.
pub fn deframer(data: &[u8]) {
    let Some((step, stream)) = split_u16(data) else { return };
    let mut deframer = Deframer::default();
    let mut again = Vec::new();
    let mut broken = false;
    'stream: for mut piece in stream.chunks(usize::from(step).max(1)) {
        while !piece.is_empty() {
            let space = deframer.space();
            let (now, later) = piece.split_at(piece.len().min(space.len()));
            assert!(!now.is_empty(), "there is always space");
            space[..now.len()].copy_from_slice(now);
            deframer.handle_received(now.len());
            piece = later;
            loop {
                match deframer.has_frame() {
                    Ok(true) => {}
                    Ok(false) => break,
                    Err(FrameTooLong(len)) => {
                        assert!(len > MAX_FRAME);
                        broken = true;
                        break 'stream;
                    }
                }
                let packet = deframer.poll_frame().expect("it is whole");
                assert!(!packet.is_empty() && packet.len() <= MAX_FRAME);
                again.extend(framing::length(packet.len()).expect("it came in a frame"));
                again.extend_from_slice(packet);
            }
        }
    }
    let (mut rest, mut wanted) = (stream, Vec::new());
    while let Some((len, after)) = split_u16(rest) {
        let len = usize::from(len);
        if len > MAX_FRAME {
            assert!(broken);
            break;
        }
        let Some((packet, after)) = after.split_at_checked(len) else { break };
        if len > 0 {
            wanted.extend(&rest[..2]);
            wanted.extend(packet);
        }
        rest = after;
    }
    assert_eq!(again, wanted);
}

/// RTCP of a receiver: what is read of it is of our stream, and what is ours reads back.
///
/// The input is the stream, then a datagram.
pub fn rtcp(data: &[u8]) {
    let Some((ssrc, datagram)) = data.split_first_chunk() else { return };
    let ssrc = u32::from_be_bytes(*ssrc);
    let Ok(said) = rtcp::parse(datagram, ssrc) else { return };
    // A report takes 24 bytes, and anything else that is said four at least.
    assert!(said.count() <= datagram.len() / 4);
    let mut compound = SenderReport { ssrc, ..SenderReport::default() }.write(false);
    compound.extend(datagram);
    let said =
        |datagram| rtcp::parse(datagram, ssrc).expect("it holds together").collect::<Vec<_>>();
    assert_eq!(said(&compound), said(datagram));
}

/// Whatever parity comes, nothing is made but packets of the stream; and good parity makes what was lost.
///
/// The input is packets, each after its length: with bit 15 of that parity, else the payload of a packet of the stream,
/// which arrives unless bit 14 is set.
pub fn fec(data: &[u8]) {
    let mut header = Header { ssrc: 1, ..Header::default() };
    let (mut recoverer, mut rest) = (Recoverer::new(header.ssrc, &[]), data);
    let mut protector = Protector::default();
    let mut sent: Vec<(Vec<u8>, bool)> = Vec::new();
    while let Some((head, after)) = split_u16(rest) {
        let (part, after) = after.split_at(after.len().min(usize::from(head & 0x0fff)));
        rest = after;
        if head & 0x8000 != 0 {
            recoverer.handle_parity(part);
        } else if sent.len() < MAX_SPAN {
            let element = Element { id: 1, data: &header.sequence.to_be_bytes() };
            let mut packet = vec![0; 20];
            header.write(&[element], &mut packet).expect("there is room");
            packet.extend_from_slice(&part[..part.len().min(MAX_PACKET - packet.len())]);
            protector.handle_sent(Time::ZERO, &packet, &[]);
            let arrives = head & 0x4000 == 0;
            if arrives {
                recoverer.handle_packet(&packet);
            }
            sent.push((packet, arrives));
            header.sequence += 1;
        }
        while let Some(packet) = recoverer.poll_recovered() {
            assert_eq!(Packet::parse(&packet).expect("a packet").header.ssrc, header.ssrc);
        }
    }
    // Again, with parity of our own and none of the input's.
    let count = sent.len().min(3);
    let mut recoverer = Recoverer::new(header.ssrc, &[]);
    let arrived = sent.iter().filter(|(_, arrives)| *arrives);
    arrived.for_each(|(packet, _)| recoverer.handle_packet(packet));
    for index in 0..count {
        let mut parity = Vec::new();
        protector.write(index, count, &mut parity);
        recoverer.handle_parity(&parity);
        let mut lost = sent.iter().skip(index).step_by(count).filter(|(_, arrives)| !*arrives);
        let expected = lost.next().filter(|_| lost.next().is_none()).map(|(packet, _)| packet);
        assert_eq!(recoverer.poll_recovered().as_ref(), expected);
        assert_eq!(recoverer.poll_recovered(), None);
    }
}

const MAX_UNIT: usize = 4_096;

/// Calls `each` with the units of the input of a packetizer and where their parts are.
fn each_unit(mut rest: &[u8], mut each: impl FnMut(&[u8], &[Range<usize>])) {
    let (mut unit, mut parts) = (Vec::new(), Vec::new());
    while let Some((head, after)) = split_u16(rest) {
        let (part, after) = after.split_at(after.len().min(usize::from(head & 0x7fff)));
        rest = after;
        parts.push(unit.len()..unit.len() + part.len());
        unit.extend_from_slice(part);
        if head & 0x8000 != 0 || rest.is_empty() {
            each(&unit, &parts);
            unit.clear();
            parts.clear();
        }
    }
}

/// Calls `each` with the packets of the input of a depacketizer, and whether to wait no longer after it.
fn each_packet(mut rest: &[u8], mut each: impl FnMut(&Header, &[u8], bool)) {
    let mut header = Header::default();
    while let [step, flags, after @ ..] = rest {
        let Some((len, after)) = split_u16(after) else { break };
        let (payload, after) = after.split_at(after.len().min(usize::from(len)));
        rest = after;
        header.sequence = header.sequence.wrapping_add_signed(i16::from(*step as i8));
        header.marker = flags & 1 != 0;
        header.time = header.time.wrapping_add(u32::from(flags >> 1 & 1));
        each(&header, payload, flags & 4 != 0);
    }
}

fn split_u16(data: &[u8]) -> Option<(u16, &[u8])> {
    data.split_first_chunk().map(|(head, rest)| (u16::from_be_bytes(*head), rest))
}
