//! RTP headers and extensions: golden bytes, and `rtp-types` as the other side.

use std::time::Duration;

use farpane_proto::rtp::extension::{
    AbsCaptureTime, AbsSendTime, Extension, MAX_LEN, PlayoutDelay, TransportCc,
};
use farpane_proto::rtp::{Element, Header, Packet, ParseError, WriteError};
use proptest::prelude::*;
use rtp_types::{RtpPacket, RtpPacketBuilder};

const HEADER: Header = Header {
    marker: true,
    payload_type: 96,
    sequence: 0x1234,
    time: 0x5566_7788,
    ssrc: 0xcafe_babe,
};
const FIXED: [u8; 12] = [0x80, 0xe0, 0x12, 0x34, 0x55, 0x66, 0x77, 0x88, 0xca, 0xfe, 0xba, 0xbe];

fn write(elements: &[Element<'_>]) -> Vec<u8> {
    let mut out = vec![0xff; 600];
    let len = HEADER.write(elements, &mut out).unwrap();
    out.truncate(len);
    out
}

#[test]
fn a_header_without_extensions() {
    assert_eq!(write(&[]), FIXED);
    let packet = Packet::parse(&FIXED).unwrap();
    assert_eq!((packet.header, packet.payload, packet.elements().count()), (HEADER, &[][..], 0));
}

#[test]
fn short_and_long_extensions() {
    let (one, two) = (Element { id: 1, data: &[7] }, Element { id: 14, data: &[1, 2, 3] });
    let short = write(&[one, two]);
    assert_eq!(short[12..], [0xbe, 0xde, 0, 2, 0x10, 7, 0xe2, 1, 2, 3, 0, 0]);
    assert_eq!(short[0], 0x90);
    let long = write(&[one, Element { id: 15, data: &[] }]);
    assert_eq!(long[12..], [0x10, 0, 0, 2, 1, 1, 7, 15, 0, 0, 0, 0]);
    for bytes in [short, long] {
        let packet = Packet::parse(&bytes).unwrap();
        assert_eq!((packet.header, packet.elements().next()), (HEADER, Some(one)));
    }
}

#[test]
fn padding_and_stop_marks_between_extensions() {
    let with = |words: &[u8]| {
        let mut bytes = FIXED.to_vec();
        bytes[0] |= 0x10;
        bytes.extend_from_slice(words);
        let packet = Packet::parse(&bytes)?;
        Ok(packet.elements().map(|e| e.id).collect::<Vec<_>>())
    };
    assert_eq!(with(&[0xbe, 0xde, 0, 2, 0, 0x10, 7, 0, 0x20, 7, 0, 0]), Ok(vec![1, 2]));
    assert_eq!(with(&[0xbe, 0xde, 0, 1, 0x10, 7, 0xf0, 0x2f]), Ok(vec![1]), "15 stops");
    assert_eq!(
        with(&[0xbe, 0xde, 0, 1, 0x10, 7, 0x01, 0x2f]),
        Ok(vec![1]),
        "0 with a length stops"
    );
    assert_eq!(with(&[0xbe, 0xde, 0, 1, 0x10, 7, 0, 0x20]), Err(ParseError::Element));
    assert_eq!(with(&[0x10, 0x0f, 0, 1, 1, 0, 0, 2]), Err(ParseError::Element));
    assert_eq!(with(&[0x12, 0x34, 0, 1, 1, 2, 3, 4]), Ok(vec![]), "a form of someone else");
    assert_eq!(with(&[0xbe, 0xde, 0, 2, 0x10, 7, 0, 0]), Err(ParseError::Short));
}

#[test]
fn broken_packets_are_refused() {
    let changed = |at: usize, value: u8| {
        let mut bytes = [&FIXED[..], &[0; 4]].concat();
        bytes[at] = value;
        Packet::parse(&bytes).map(|_| ()).unwrap_err()
    };
    assert_eq!(Packet::parse(&FIXED[..11]), Err(ParseError::Short));
    assert_eq!(changed(0, 0x40), ParseError::Version(1));
    assert_eq!(changed(0, 0x82), ParseError::Short);
    assert_eq!(changed(0, 0xa0), ParseError::Padding, "of no length");
    let over = [&[0xa0][..], &FIXED[1..], &[2]].concat();
    assert_eq!(Packet::parse(&over), Err(ParseError::Padding));
}

#[test]
fn what_cannot_be_written_is_said() {
    let mut out = [0; 20];
    assert_eq!(HEADER.write(&[], &mut out[..11]), Err(WriteError::Space(12)));
    assert_eq!(
        HEADER.write(&[Element { id: 1, data: &[0; 4] }], &mut out),
        Err(WriteError::Space(24))
    );
    assert_eq!(
        HEADER.write(&[Element { id: 0, data: &[0] }], &mut out),
        Err(WriteError::Element(0))
    );
    assert_eq!(
        HEADER.write(&[Element { id: 9, data: &[0; 256] }], &mut out),
        Err(WriteError::Element(9))
    );
    let header = Header { payload_type: 128, ..HEADER };
    assert_eq!(header.write(&[], &mut out), Err(WriteError::PayloadType(128)));
}

fn check<E: Extension + PartialEq + std::fmt::Debug>(value: E, bytes: &[u8]) {
    assert_eq!(value.encode(&mut [0; MAX_LEN]), bytes);
    assert_eq!(E::decode(bytes), Some(value));
    assert_eq!(E::decode(&bytes[1..]), None);
    assert_eq!(E::decode(&[bytes, &[0]].concat()), None);
}

#[test]
fn extensions_have_these_bytes() {
    check(TransportCc(0xabcd), &[0xab, 0xcd]);
    // 6.18 bits: 12.5 s, and 64 s later.
    check(AbsSendTime::of(Duration::from_millis(12_500)), &[0x32, 0, 0]);
    check(AbsSendTime::of(Duration::from_millis(76_500)), &[0x32, 0, 0]);
    check(PlayoutDelay::NONE, &[0, 0, 0]);
    check(
        PlayoutDelay::new(Duration::from_millis(109), Duration::from_secs(9_999)),
        &[0, 0xaf, 0xff],
    );
    // 2026-11-20T00:00:00.25Z is 1,795,132,800.25 s after 1970 and 4,004,121,600.25 s after 1900.
    let capture = AbsCaptureTime::of(Duration::from_millis(1_795_132_800_250));
    check(capture, &[0xee, 0xaa, 0x0c, 0, 0x40, 0, 0, 0]);
    let bytes = [0xee, 0xaa, 0x0c, 0, 0x40, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x80, 0, 0, 0];
    check(capture.with_offset(-(1 << 31)), &bytes);
}

#[test]
fn extensions_mean_what_they_say() {
    let at = |millis| AbsSendTime::of(Duration::from_millis(millis));
    assert_eq!(at(64_250).since(at(63_750)), Duration::from_millis(500), "over the wrap");
    let delay = PlayoutDelay::new(Duration::from_millis(500), Duration::ZERO);
    assert_eq!(
        (delay.min(), delay.max()),
        (Duration::from_millis(500), Duration::from_millis(500))
    );
    assert_eq!(PlayoutDelay::decode(&[0, 0x10, 0]), None, "the minimum is over the maximum");
    let now = Duration::new(1_795_132_800, 500_000_000);
    assert_eq!(AbsCaptureTime::of(now).unix(), Some(now));
    assert_eq!(AbsCaptureTime::decode(&[0; 8]).unwrap().unix(), None);
}

fn header() -> impl Strategy<Value = Header> {
    (any::<bool>(), 0..128_u8, any::<u16>(), any::<u32>(), any::<u32>()).prop_map(
        |(marker, payload_type, sequence, time, ssrc)| Header {
            marker,
            payload_type,
            sequence,
            time,
            ssrc,
        },
    )
}

fn elements() -> impl Strategy<Value = Vec<(u8, Vec<u8>)>> {
    let short = (1..15_u8, prop::collection::vec(any::<u8>(), 1..17));
    let long = (1..=255_u8, prop::collection::vec(any::<u8>(), 0..256));
    prop_oneof![prop::collection::vec(short, 0..5), prop::collection::vec(long, 0..5)]
}

fn same_header(ours: &Header, theirs: &RtpPacket<'_>) {
    assert_eq!(ours.marker, theirs.marker_bit());
    assert_eq!(ours.payload_type, theirs.payload_type());
    assert_eq!(ours.sequence, theirs.sequence_number());
    assert_eq!(ours.time, theirs.timestamp());
    assert_eq!(ours.ssrc, theirs.ssrc());
}

proptest! {
    #[test]
    fn rtp_types_reads_what_we_write(header in header(), list in elements(), payload in any::<Vec<u8>>()) {
        let elements: Vec<Element<'_>> = list.iter().map(|(id, data)| Element { id: *id, data }).collect();
        let mut bytes = vec![0xff; 1_400];
        let len = header.write(&elements, &mut bytes).unwrap();
        bytes.truncate(len);
        bytes.extend_from_slice(&payload);
        let theirs = RtpPacket::parse(&bytes).unwrap();
        same_header(&header, &theirs);
        prop_assert_eq!(theirs.payload(), &payload[..]);
        prop_assert_eq!(theirs.payload_offset(), len);
        let ours = Packet::parse(&bytes).unwrap();
        prop_assert_eq!(ours.header, header);
        prop_assert_eq!(ours.payload, &payload[..]);
        prop_assert!(ours.elements().eq(elements));
    }

    #[test]
    fn we_read_what_rtp_types_writes(
        header in header(),
        csrcs in prop::collection::vec(any::<u32>(), 0..16),
        payload in any::<Vec<u8>>(),
        padding in prop::option::of(1..=63_u8),
        opaque in prop::option::of(prop::collection::vec(any::<[u8; 4]>(), 0..9)),
    ) {
        let opaque = opaque.map(|words| words.concat());
        let mut builder = RtpPacketBuilder::new()
            .marker_bit(header.marker)
            .payload_type(header.payload_type)
            .sequence_number(header.sequence)
            .timestamp(header.time)
            .ssrc(header.ssrc)
            .maybe_padding(padding.map(|words| words * 4))
            .payload(&payload[..]);
        for csrc in &csrcs {
            builder = builder.add_csrc(*csrc);
        }
        if let Some(opaque) = &opaque {
            builder = builder.extension(0x1234, &opaque[..]);
        }
        let bytes = builder.write_vec().unwrap();
        let packet = Packet::parse(&bytes).unwrap();
        prop_assert_eq!(packet.header, header);
        prop_assert_eq!(packet.payload, &payload[..]);
        prop_assert_eq!(packet.csrcs().collect::<Vec<_>>(), csrcs);
        prop_assert_eq!(packet.elements().count(), 0);
    }

    #[test]
    fn on_any_bytes_both_agree(mut bytes in prop::collection::vec(any::<u8>(), 0..64), sane in any::<bool>()) {
        if let (true, Some(first)) = (sane, bytes.first_mut()) {
            *first = 0x80 | *first & 0x31;
        }
        let theirs = RtpPacket::parse(&bytes);
        match Packet::parse(&bytes) {
            Ok(ours) => {
                let theirs = theirs.unwrap();
                same_header(&ours.header, &theirs);
                prop_assert_eq!(ours.payload, theirs.payload());
            }
            Err(ParseError::Element) => {} // they leave the elements to others
            Err(error) => prop_assert!(theirs.is_err(), "{:?}", error),
        }
    }
}
