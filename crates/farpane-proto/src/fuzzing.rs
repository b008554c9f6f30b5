//! What fuzz targets run: each body takes any bytes and panics when a promise of this crate is broken.
//!
//! The one door for `fuzz/` and for the tests that replay its corpora and past crashes.

use std::ops::Range;

use crate::depacketize::h264::{Depacketizer, Event};
use crate::nal;
use crate::packetize::h264::Packetizer;
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
/// The input is a payload length, then NAL units, each after its length; bit 15 of that ends an access unit.
pub fn h264_packetize(data: &[u8]) {
    let Some((max_payload, mut rest)) = split_u16(data) else { return };
    let packetizer = Packetizer::new(usize::from(max_payload).max(16));
    let mut depacketizer = Depacketizer::default();
    let mut stream = Stream::default();
    stream.send(packetizer, &mut depacketizer, &[nal::SPS], std::slice::from_ref(&(0..1)));
    let (mut unit, mut nals) = (Vec::new(), Vec::new());
    while let Some((head, after)) = split_u16(rest) {
        let (nal, after) = after.split_at(after.len().min(usize::from(head & 0x7fff)));
        rest = after;
        nals.push(unit.len()..unit.len() + nal.len());
        unit.extend_from_slice(nal);
        if head & 0x8000 != 0 || rest.is_empty() {
            stream.send(packetizer, &mut depacketizer, &unit, &nals);
            unit.clear();
            nals.clear();
        }
    }
}

#[derive(Default)]
struct Stream {
    header: Header,
    payload: Vec<u8>,
}

impl Stream {
    /// Packetizes a unit, depacketizes it and compares.
    fn send(
        &mut self,
        packetizer: Packetizer,
        depacketizer: &mut Depacketizer,
        unit: &[u8],
        nals: &[Range<usize>],
    ) {
        self.header.time = self.header.time.wrapping_add(3_000);
        let sent: Vec<&[u8]> = nals
            .iter()
            .map(|range| &unit[range.clone()])
            .filter(|nal| {
                nal.first().is_some_and(|h| matches!(h & nal::TYPE, 1..=8 | 10 | 11 | 13..=23))
            })
            .collect();
        let payloads = packetizer.packetize(unit, nals);
        let mut left = payloads.clone().count();
        assert_eq!(left == 0, sent.is_empty());
        for payload in payloads {
            left -= 1;
            assert_eq!(payload.last, left == 0);
            self.payload.resize(packetizer.max_payload(), 0);
            let len = payload.write(&mut self.payload);
            assert_eq!(len, payload.len());
            self.header.marker = payload.last;
            depacketizer
                .handle_packet(&self.header, &self.payload[..len])
                .expect("our own is well-formed");
            self.header.sequence = self.header.sequence.wrapping_add(1);
            match depacketizer.poll_event() {
                None => assert!(!payload.last),
                Some(Event::Unit(got)) => {
                    assert!(payload.last);
                    assert_eq!(got.time, self.header.time);
                    assert!(
                        got.nals
                            .iter()
                            .map(|range| &got.data[range.clone()])
                            .eq(sent.iter().copied())
                    );
                }
                Some(lost) => panic!("{lost:?} without loss"),
            }
        }
    }
}

/// Whatever comes, units are well-formed and within the limit.
///
/// The input is packets: a step of the sequence number, a byte of marker (bit 0), new time (bit 1) and impatience
/// (bit 2), and a payload after its length.
pub fn h264_depacketize(data: &[u8]) {
    const MAX_UNIT: usize = 4_096;
    let mut depacketizer = Depacketizer::new(16, MAX_UNIT);
    let mut header = Header::default();
    let mut rest = data;
    while let [step, flags, after @ ..] = rest {
        let Some((len, after)) = split_u16(after) else { break };
        let (payload, after) = after.split_at(after.len().min(usize::from(len)));
        rest = after;
        header.sequence = header.sequence.wrapping_add_signed(i16::from(*step as i8));
        header.marker = flags & 1 != 0;
        header.time = header.time.wrapping_add(u32::from(flags >> 1 & 1));
        // A refused packet is the usual case here.
        let _ = depacketizer.handle_packet(&header, payload);
        if flags & 4 != 0 {
            depacketizer.give_up();
            assert!(!depacketizer.is_waiting());
        }
        while let Some(event) = depacketizer.poll_event() {
            let Event::Unit(unit) = event else { continue };
            assert!(!unit.nals.is_empty() && unit.data.len() <= MAX_UNIT);
            let mut end = 0;
            for nal in unit.nals {
                assert_eq!(unit.data[end..nal.start], [0, 0, 0, 1]);
                assert!(nal::is_nal(unit.data[nal.start]));
                end = nal.end;
            }
            assert_eq!(end, unit.data.len());
        }
    }
}

fn split_u16(data: &[u8]) -> Option<(u16, &[u8])> {
    data.split_first_chunk().map(|(head, rest)| (u16::from_be_bytes(*head), rest))
}
