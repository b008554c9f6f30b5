//! AV1 through RTP and back: golden payloads, streams of libaom, every kind of damage, and `rtc-rtp` as the other side.

use std::ops::Range;

use farpane_proto::depacketize::av1::{Depacketizer, Error, Event, Loss};
use farpane_proto::packetize::av1::Packetizer;
use farpane_proto::rtp::Header;
use proptest::prelude::*;
use rtc_rtp::codec::av1::{Av1Depacketizer, Av1Payloader};
use rtc_rtp::packetizer::{Depacketizer as _, Payloader as _};

/// Ten temporal units with two tile groups each, key frames at 0 and 6, made by FFmpeg 5.1 with libaom 3.6:
/// `ffmpeg -f lavfi -i testsrc2=size=512x288:rate=30 -frames:v 10 -c:v libaom-av1 -usage realtime -cpu-used 8 -b:v 400k
/// -g 6 -tiles 2x2 -aom-params num-tile-groups=3 -threads 1 -lag-in-frames 0 -f obu tile-groups.obu`
const TILE_GROUPS: &[u8] = include_bytes!("fixtures/tile-groups.obu");
/// Sixteen temporal units, one with hidden frames in it and a later one that only shows such a frame; a key frame at 0:
/// `ffmpeg -f lavfi -i testsrc2=size=320x180:rate=30 -frames:v 16 -c:v libaom-av1 -cpu-used 8 -crf 40 -b:v 0
/// -lag-in-frames 10 -threads 1 -f obu hidden-frames.obu`
const HIDDEN_FRAMES: &[u8] = include_bytes!("fixtures/hidden-frames.obu");

const SEQUENCE_HEADER: u8 = 1;
const DELIMITER: u8 = 2;
const FRAME_HEADER: u8 = 3;
const TILE_GROUP: u8 = 4;
const METADATA: u8 = 5;
const FRAME: u8 = 6;
const TILE_LIST: u8 = 8;
const PADDING: u8 = 15;

/// A payload that makes a frame a shown key frame, and one that does not.
const KEY: u8 = 0x10;
const INTER: u8 = 0x30;

/// OBUs as they are written.
type Obus = Vec<Vec<u8>>;

fn leb128(mut value: usize) -> Vec<u8> {
    let mut out = Vec::new();
    while value > 0x7f {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
    out
}

/// With size field.
fn obu(kind: u8, payload: &[u8]) -> Vec<u8> {
    [&[kind << 3 | 2], &leb128(payload.len())[..], payload].concat()
}

/// With extension and size field.
fn layered(kind: u8, extension: u8, payload: &[u8]) -> Vec<u8> {
    [&[kind << 3 | 6, extension], &leb128(payload.len())[..], payload].concat()
}

/// Without size field, as it goes in RTP.
fn bare(obu: &[u8]) -> Vec<u8> {
    let head = if obu[0] & 4 != 0 { 2 } else { 1 };
    let size = 1 + obu[head..].iter().position(|byte| byte & 0x80 == 0).unwrap();
    [&[obu[0] & !2], &obu[1..head], &obu[head + size..]].concat()
}

/// Payloads and their marks.
fn packetize(obus: &[Vec<u8>], key_frame: bool, max_payload: usize) -> Vec<(Vec<u8>, bool)> {
    let mut ranges = Vec::new();
    for obu in obus {
        let start = ranges.last().map_or(0, |range: &Range<usize>| range.end);
        ranges.push(start..start + obu.len());
    }
    let data = obus.concat();
    let payloads = Packetizer::new(max_payload).packetize(&data, &ranges, key_frame);
    assert_eq!(
        payloads.clone().filter(|payload| payload.last).count(),
        payloads.clone().count().min(1)
    );
    let written = payloads.map(|payload| {
        let mut out = vec![0xa5; payload.len()];
        assert_eq!(payload.write(&mut out), payload.len());
        (out, payload.last)
    });
    written.collect()
}

#[derive(Clone, Debug)]
struct Unit {
    obus: Obus,
    key_frame: bool,
}

/// A unit that starts a stream for sure.
fn key(obus: &[Vec<u8>]) -> Unit {
    let sequence_header = obu(SEQUENCE_HEADER, &[0, 0, 0, 1]);
    Unit {
        obus: std::iter::once(sequence_header).chain(obus.iter().cloned()).collect(),
        key_frame: true,
    }
}

fn inter(obus: &[Vec<u8>]) -> Unit {
    Unit { obus: obus.to_vec(), key_frame: false }
}

/// The packets of a stream of units, from a sequence number that soon wraps, unit `n` at time `n`.
fn stream(units: &[Unit], max_payload: usize) -> Vec<(Header, Vec<u8>)> {
    let units = units.iter().zip(0..).flat_map(|(unit, time)| {
        packetize(&unit.obus, unit.key_frame, max_payload)
            .into_iter()
            .map(move |(payload, marker)| (time, marker, payload))
    });
    let packets = units.zip(0..).map(|((time, marker, payload), at)| {
        let sequence = 65_530_u16.wrapping_add(at);
        (Header { marker, sequence, time, ..Header::default() }, payload)
    });
    packets.collect()
}

#[derive(Debug, PartialEq)]
enum Got {
    Unit(u32, Obus),
    Lost(u32, Loss),
}

fn drain(depacketizer: &mut Depacketizer, got: &mut Vec<Got>) {
    while let Some(event) = depacketizer.poll_event() {
        got.push(match event {
            Event::Lost { time, loss } => Got::Lost(time, loss),
            Event::Unit(unit) => {
                let obus: Obus =
                    unit.obus.iter().map(|range| unit.data[range.clone()].to_vec()).collect();
                assert_eq!(unit.data, obus.concat(), "nothing lies between OBUs");
                Got::Unit(unit.time, obus)
            }
        });
    }
}

fn receive<'a>(packets: impl IntoIterator<Item = &'a (Header, Vec<u8>)>) -> Vec<Got> {
    let mut depacketizer = Depacketizer::new(64, 1 << 20);
    let mut got = Vec::new();
    for (header, payload) in packets {
        let taken = depacketizer.handle_packet(header, payload);
        assert!(matches!(taken, Ok(()) | Err(Error::Duplicate | Error::Late)), "{taken:?}");
        drain(&mut depacketizer, &mut got);
    }
    while depacketizer.is_waiting() {
        depacketizer.give_up();
        drain(&mut depacketizer, &mut got);
    }
    got
}

/// What comes of these payloads as the unit after one that starts the stream.
fn receive_payloads(payloads: &[&[u8]]) -> Got {
    let mut packets = stream(&[key(&[])], 100);
    for (at, payload) in (1..).zip(payloads) {
        let sequence = packets[0].0.sequence.wrapping_add(at);
        let marker = usize::from(at) == payloads.len();
        packets.push((Header { marker, sequence, time: 1, ..Header::default() }, payload.to_vec()));
    }
    let mut got = receive(&packets);
    assert_eq!(got.len(), 2, "{got:?}");
    got.remove(1)
}

/// The temporal units of a stream in the low-overhead format, each from its temporal delimiter on.
fn temporal_units(mut stream: &[u8]) -> Vec<Obus> {
    let mut units: Vec<Obus> = Vec::new();
    while let [header, rest @ ..] = stream {
        let field = 1 + rest.iter().position(|byte| byte & 0x80 == 0).unwrap();
        let size =
            rest[..field].iter().rev().fold(0, |size, byte| size << 7 | usize::from(byte & 0x7f));
        let (obu, after) = stream.split_at(1 + field + size);
        stream = after;
        if *header == DELIMITER << 3 | 2 {
            units.push(Vec::new());
        }
        units.last_mut().unwrap().push(obu.to_vec());
    }
    units
}

fn any_obu(
    kinds: &'static [u8],
    extensions: &'static [Option<u8>],
) -> impl Strategy<Value = Vec<u8>> {
    let len = prop_oneof![4 => 0..60_usize, 2 => 60..3_000_usize, 1 => 3_000..40_000_usize];
    let kind = prop::sample::select(kinds);
    let extension = prop::sample::select(extensions);
    (kind, extension, len, any::<u8>()).prop_map(|(kind, extension, len, seed)| {
        let payload: Vec<u8> = (0..len).map(|at| (at as u8).wrapping_mul(31) ^ seed).collect();
        match extension {
            Some(extension) => layered(kind, extension, &payload),
            None => obu(kind, &payload),
        }
    })
}

fn plain_obus() -> impl Strategy<Value = Obus> {
    prop::collection::vec(
        any_obu(&[FRAME_HEADER, TILE_GROUP, METADATA, FRAME, 7, 9], &[None]),
        1..8,
    )
}

fn layered_obus() -> impl Strategy<Value = Obus> {
    let kinds = &[SEQUENCE_HEADER, FRAME_HEADER, TILE_GROUP, METADATA, FRAME];
    prop::collection::vec(any_obu(kinds, &[None, Some(0), Some(0x08), Some(0x28)]), 1..8)
}

fn unit() -> impl Strategy<Value = Unit> {
    (any::<bool>(), plain_obus())
        .prop_map(|(starts, obus)| if starts { key(&obus) } else { inter(&obus) })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_goes_in_comes_out(obus in layered_obus(), sized in any::<bool>(), max_payload in 16..1_500_usize) {
        let sent: Obus = if sized { obus.clone() } else { obus.iter().map(|obu| bare(obu)).collect() };
        let packets = stream(&[key(&[]), inter(&sent)], max_payload);
        prop_assert!(packets.iter().all(|(_, payload)| (2..=max_payload).contains(&payload.len())));
        let got = receive(&packets);
        prop_assert_eq!(got, [Got::Unit(0, key(&[]).obus), Got::Unit(1, obus)]);
    }

    #[test]
    fn payloads_are_full(obus in plain_obus(), max_payload in 16..1_500_usize) {
        let payloads = packetize(&obus, false, max_payload);
        let (_, full) = payloads.split_last().unwrap();
        // One more byte would take a length field for the element before it, and from the fourth on one of its own.
        prop_assert!(full.iter().all(|(payload, _)| payload.len() + 3 >= max_payload));
        let theirs = Av1Payloader::default().payload(max_payload, &obus.concat().into()).unwrap();
        prop_assert!(payloads.len() <= theirs.len(), "{} and {} payloads", payloads.len(), theirs.len());
    }

    #[test]
    fn no_damage_makes_a_wrong_unit_and_no_whole_unit_is_lost(
        units in prop::collection::vec(unit(), 1..8),
        fates in prop::collection::vec((0..8_usize, prop_oneof![8 => Just(1), 1 => Just(0), 1 => Just(2)]), 2_000),
    ) {
        let units: Vec<Unit> = std::iter::once(key(&[])).chain(units).collect();
        let packets = stream(&units, 1_200);
        // The first unit arrives, so that the stream has a beginning.
        let copies = |at: usize| if at == 0 { 1 } else { fates[at % fates.len()].1 };
        let mut arrivals: Vec<(usize, usize)> = (0..packets.len())
            .flat_map(|at| std::iter::repeat_n((at + fates[at % fates.len()].0, at), copies(at)))
            .collect();
        arrivals[1..].sort();
        let got = receive(arrivals.iter().map(|(_, at)| &packets[*at]));

        let mut lately = None;
        for event in &got {
            let (Got::Unit(time, _) | Got::Lost(time, _)) = event;
            prop_assert!(lately.is_none_or(|lately| lately < *time), "in order, each once");
            lately = Some(*time);
            if let Got::Unit(time, obus) = event {
                prop_assert_eq!(obus, &units[*time as usize].obus);
            }
        }
        for (time, unit) in units.iter().enumerate() {
            let of_unit = |at: &usize| packets[*at].0.time == time as u32;
            let first = (0..packets.len()).find(of_unit).unwrap();
            let whole = (0..packets.len()).filter(of_unit).all(|at| copies(at) > 0);
            // Nothing is missing before it, or what the packet before that went on in.
            let only_the_end = first > 1 && copies(first - 2) > 0 && packets[first - 2].1[0] & 0x40 != 0;
            let begins = first == 0 || copies(first - 1) > 0 || only_the_end || unit.key_frame;
            let emitted = got.iter().any(|event| matches!(event, Got::Unit(t, _) if *t == time as u32));
            prop_assert_eq!(emitted, whole && begins, "unit {}", time);
        }
    }

    #[test]
    fn rtc_rtp_reads_our_payloads(obus in layered_obus(), max_payload in 16..1_500_usize) {
        let mut theirs = Av1Depacketizer::default();
        let mut read = Vec::new();
        for (payload, _) in packetize(&obus, false, max_payload) {
            read.extend_from_slice(&theirs.depacketize(&payload.into()).unwrap());
        }
        prop_assert!(read == obus.concat());
    }

    #[test]
    fn we_read_the_payloads_of_rtc_rtp(obus in plain_obus(), max_payload in 16..1_500_usize) {
        let unit = key(&obus);
        let payloads = Av1Payloader::default().payload(max_payload, &unit.obus.concat().into()).unwrap();
        let packets: Vec<(Header, Vec<u8>)> = (0..).zip(&payloads)
            .map(|(sequence, payload)| {
                let marker = usize::from(sequence) + 1 == payloads.len();
                (Header { sequence, marker, ..Header::default() }, payload.to_vec())
            })
            .collect();
        prop_assert_eq!(receive(&packets), [Got::Unit(0, unit.obus)]);
    }
}

#[test]
fn streams_of_libaom_come_through() {
    for (stream_bytes, count, keys) in [(TILE_GROUPS, 10, &[0, 6][..]), (HIDDEN_FRAMES, 16, &[0])] {
        let units = temporal_units(stream_bytes);
        assert_eq!(units.len(), count);
        for max_payload in [64, 1_200] {
            let units: Vec<Unit> = (0..)
                .zip(&units)
                .map(|(at, obus)| Unit { obus: obus.clone(), key_frame: keys.contains(&at) })
                .collect();
            let mut depacketizer = Depacketizer::default();
            let mut got = 0;
            for (header, payload) in stream(&units, max_payload) {
                depacketizer.handle_packet(&header, &payload).unwrap();
                let Some(event) = depacketizer.poll_event() else { continue };
                let Event::Unit(unit) = event else { panic!("{event:?}") };
                assert_eq!(unit.data, units[got].obus[1..].concat(), "all but the delimiter");
                assert_eq!(unit.is_key_frame(), keys.contains(&got), "unit {got}");
                got += 1;
            }
            assert_eq!(got, count);
        }
    }
}

#[test]
fn obus_share_a_payload() {
    let sequence_header = obu(SEQUENCE_HEADER, &[1, 2, 3]);
    let frame = obu(FRAME, &[KEY, 5]);
    let metadata = obu(METADATA, &[7]);
    // Z = 0, Y = 0, W, N; lengths but for the last, and OBUs without size fields.
    let one = vec![0x10, 0x30, KEY, 5];
    assert_eq!(packetize(std::slice::from_ref(&frame), false, 100), [(one, true)]);
    let two = vec![0x28, 4, 0x08, 1, 2, 3, 0x30, KEY, 5];
    let unit = [sequence_header.clone(), frame.clone()];
    assert_eq!(packetize(&unit, true, 100), [(two, true)]);
    let three = vec![0x38, 4, 0x08, 1, 2, 3, 2, 0x28, 7, 0x30, KEY, 5];
    let unit = [sequence_header.clone(), metadata.clone(), frame.clone()];
    assert_eq!(packetize(&unit, true, 100), [(three, true)]);
    // More than W can count: each has a length.
    let four = vec![0x08, 4, 0x08, 1, 2, 3, 2, 0x28, 7, 2, 0x28, 7, 3, 0x30, KEY, 5];
    let unit = [sequence_header, metadata.clone(), metadata, frame];
    assert_eq!(packetize(&unit, true, 100), [(four, true)]);
}

#[test]
fn long_obus_are_cut() {
    let long: Vec<u8> = (0..40).collect();
    let parts = [
        ([&[0x50, 0x30][..], &long[..14]].concat(), false),
        ([&[0xd0][..], &long[14..29]].concat(), false),
        ([&[0x90][..], &long[29..]].concat(), true),
    ];
    assert_eq!(packetize(&[obu(FRAME, &long)], false, 16), parts);
    // The end of one and the start of the next, cut inside its header.
    let unit = [obu(SEQUENCE_HEADER, &long[..12]), layered(FRAME, 0x28, &long[..26])];
    let parts = [
        ([&[0x68, 13, 0x08][..], &long[..12], &[0x34]].concat(), false),
        ([&[0xd0, 0x28][..], &long[..14]].concat(), false),
        ([&[0x90][..], &long[14..26]].concat(), true),
    ];
    assert_eq!(packetize(&unit, true, 16), parts);
    // A fourth element takes a length field of its own, and so does the third before it.
    let metadata = obu(METADATA, &[7]);
    let unit = [metadata.clone(), metadata.clone(), metadata, obu(FRAME, &long[..5])];
    let parts = [
        (vec![0x40, 2, 0x28, 7, 2, 0x28, 7, 2, 0x28, 7, 5, 0x30, 0, 1, 2, 3], false),
        (vec![0x90, 4], true),
    ];
    assert_eq!(packetize(&unit, false, 16), parts);
}

#[test]
fn a_length_field_that_grows_leaves_a_byte_free() {
    // Three elements with their lengths take 9 bytes, the header 1: of the other 129, 127 and their length are used.
    let metadata = obu(METADATA, &[7]);
    let unit = [metadata.clone(), metadata.clone(), metadata, obu(FRAME, &[0; 127])];
    let lens =
        |max| packetize(&unit, false, max).iter().map(|(part, _)| part.len()).collect::<Vec<_>>();
    assert_eq!(lens(138), [138, 2]);
    assert_eq!(lens(139), [138, 2]);
    assert_eq!(lens(140), [140]);
}

#[test]
fn what_says_nothing_is_left_out() {
    let said = obu(FRAME, &[INTER]);
    let unit = [
        obu(DELIMITER, &[]),
        obu(TILE_LIST, &[1, 2, 3]),
        said.clone(),
        vec![0xb2, 0],
        vec![FRAME << 3 | 2, 2, 0],
        vec![],
        obu(PADDING, &[0; 40]),
    ];
    assert_eq!(packetize(&unit, false, 16), [(vec![0x10, 0x30, INTER], true)]);
    assert_eq!(packetize(&unit[3..], false, 16), []);
    assert_eq!(packetize(&[bare(&said)], false, 16), packetize(&[said], false, 16));
}

#[test]
fn only_the_first_packet_of_a_sequence_says_so() {
    let news = |obus: &[Vec<u8>], key_frame| {
        let payloads = packetize(obus, key_frame, 16);
        payloads.iter().map(|(payload, _)| payload[0] & 0x08 != 0).collect::<Vec<_>>()
    };
    let sequence_header = obu(SEQUENCE_HEADER, &[1, 2, 3]);
    let metadata = obu(METADATA, &[7]);
    let frame = obu(FRAME, &[KEY; 20]);
    let unit = [obu(DELIMITER, &[]), metadata, sequence_header.clone(), frame.clone()];
    assert_eq!(news(&unit, true), [true, false, false]);
    assert_eq!(news(&unit, false), [false, false, false], "a repeated sequence header");
    assert_eq!(news(&unit[3..], true), [false, false], "a key frame without");
    assert_eq!(news(&[frame, sequence_header], true), [false, false, false], "one that is late");
}

#[test]
fn a_packet_belongs_to_one_layer_and_begins_with_a_sequence_header() {
    let (base, upper) = (layered(FRAME, 0x00, &[1]), layered(FRAME, 0x08, &[2]));
    let (metadata, sequence_header) = (obu(METADATA, &[3]), obu(SEQUENCE_HEADER, &[4]));
    let first = (vec![0x20, 2, 0x28, 3, 0x34, 0x00, 1], false);
    let second = (vec![0x20, 3, 0x34, 0x08, 2, 0x28, 3], true);
    let unit = [metadata.clone(), base.clone(), upper.clone(), metadata];
    assert_eq!(packetize(&unit, false, 100), [first, second]);
    let first = (vec![0x10, 0x34, 0x00, 1], false);
    let second = (vec![0x20, 2, 0x08, 4, 0x34, 0x08, 2], true);
    assert_eq!(packetize(&[base, sequence_header, upper], false, 100), [first, second]);
}

#[test]
fn obus_come_back_with_size_fields() {
    let frame = |payload: &[u8]| Got::Unit(1, vec![obu(FRAME, payload)]);
    let cases: &[(&[&[u8]], Got)] = &[
        (&[&[0x10, 0x30, 1, 2]], frame(&[1, 2])),
        (&[&[0x00, 3, 0x30, 1, 2]], frame(&[1, 2])),
        // A length field longer than it needs to be, reserved bits, and an OBU that has its size.
        (&[&[0x07, 0x83, 0x80, 0x00, 0x30, 1, 2]], frame(&[1, 2])),
        (&[&[0x10, 0x32, 2, 1, 2]], frame(&[1, 2])),
        (&[&[0x10, 0x30]], frame(&[])),
        (
            &[&[0x50, 0x34], &[0xc0, 1, 0x28], &[0x90, 9]],
            Got::Unit(1, vec![layered(FRAME, 0x28, &[9])]),
        ),
        (
            &[&[0x60, 2, 0x28, 7, 0x30, 1], &[0x80, 1, 2, 2, 0x20, 3]],
            Got::Unit(1, vec![obu(METADATA, &[7]), obu(FRAME, &[1, 2]), obu(TILE_GROUP, &[3])]),
        ),
        // What a receiver ignores: a temporal delimiter, a tile list, padding.
        (&[&[0x30, 1, 0x10, 2, 0x40, 5, 0x30, 1, 2]], frame(&[1, 2])),
        (&[&[0x50, 0x78, 0], &[0xa0, 1, 0, 0x30, 1, 2]], frame(&[1, 2])),
    ];
    for (payloads, expected) in cases {
        assert_eq!(receive_payloads(payloads), *expected, "{payloads:02x?}");
    }
}

#[test]
fn malformed_payloads_are_refused_and_cost_their_unit() {
    let cases: &[(&[u8], Error)] = &[
        (&[0x10], Error::Element),
        (&[0x00], Error::Element),
        (&[0x00, 0], Error::Element),
        (&[0x00, 2, 0x30], Error::Element),
        (&[0x00, 1, 0x30, 0], Error::Element),
        (&[0x00, 0x80], Error::Element),
        (&[0x00, 0x81, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0, 0x30], Error::Element),
        (&[0x00, 0xff, 0xff, 0xff, 0xff, 0x0f, 0x30], Error::Element),
        (&[0x20, 1, 0x30], Error::Element),
        (&[0x30, 1, 0x30, 1, 0x30], Error::Element),
        (&[0x10, 0x80], Error::Obu),
        (&[0x10, 0x34], Error::Obu),
        (&[0x10, 0x32, 2, 1], Error::Obu),
        (&[0x10, 0x32, 1, 1, 1], Error::Obu),
        (&[0xa0, 1, 0x80, 0x80], Error::Obu),
        (&[0x98, 0x30, 1], Error::Start),
        (&[0x10; 9_001], Error::TooLong(9_001)),
    ];
    for (payload, error) in cases {
        let mut depacketizer = Depacketizer::default();
        let header = Header { marker: true, ..Header::default() };
        assert_eq!(depacketizer.handle_packet(&header, payload), Err(*error), "{payload:02x?}");
        let mut got = Vec::new();
        drain(&mut depacketizer, &mut got);
        assert!(
            matches!(got[..], [Got::Lost(0, Loss::Missing | Loss::Malformed)]),
            "{payload:02x?}"
        );
    }
}

#[test]
fn fragments_that_do_not_fit_together_cost_their_unit() {
    let (start, middle, end): (&[u8], &[u8], &[u8]) = (&[0x50, 0x30, 1], &[0xd0, 2], &[0x90, 3]);
    assert_eq!(receive_payloads(&[start, middle, end]), Got::Unit(1, vec![obu(FRAME, &[1, 2, 3])]));
    let cases: &[&[&[u8]]] = &[
        &[middle, end],
        &[start, middle],
        &[start, start, end],
        &[start, end, end],
        &[start, &[0x10, 0x30, 1]],
        // Together they are no OBU: the size is wrong, or a second byte of the header never comes.
        &[&[0x50, 0x32, 3, 1], end],
        &[&[0x50, 0x36], &[0x90, 0]],
    ];
    for payloads in cases {
        assert_eq!(receive_payloads(payloads), Got::Lost(1, Loss::Malformed), "{payloads:02x?}");
    }
}

#[test]
fn a_unit_of_nothing_is_no_unit() {
    let mut packets =
        stream(&[key(&[]), inter(&[obu(FRAME, &[1])]), inter(&[obu(FRAME, &[2])])], 100);
    packets[1].1 = vec![0x20, 1, 0x10, 0x78];
    let frame = Got::Unit(2, vec![obu(FRAME, &[2])]);
    assert_eq!(receive(&packets), [Got::Unit(0, key(&[]).obus), frame]);
}

#[test]
fn a_lost_fragment_costs_its_unit_alone() {
    let unit = inter(&[obu(FRAME, &[INTER; 2_500])]);
    let packets = stream(&[key(&[]), unit.clone(), unit.clone(), unit.clone()], 1_000);
    assert_eq!(packets.len(), 10);
    let whole = |time| Got::Unit(time, unit.obus.clone());
    for lost in 4..7 {
        let came =
            packets.iter().enumerate().filter(|(at, _)| *at != lost).map(|(_, packet)| packet);
        let got = receive(came);
        assert_eq!(got[1..], [whole(1), Got::Lost(2, Loss::Missing), whole(3)], "packet {lost}");
    }
    // The end of one and the start of the next.
    let came =
        packets.iter().enumerate().filter(|(at, _)| !(6..8).contains(at)).map(|(_, packet)| packet);
    let got = receive(came);
    assert_eq!(got[1..], [whole(1), Got::Lost(2, Loss::Missing), Got::Lost(3, Loss::Missing)]);
}

#[test]
fn a_unit_that_vanished_shows_in_the_next() {
    let frame = |at| obu(FRAME, &[INTER, at]);
    let units =
        [key(&[]), inter(&[frame(1)]), inter(&[frame(2)]), inter(&[frame(3)]), key(&[frame(4)])];
    let mut packets = stream(&units, 100);
    packets.remove(1);
    let got = receive(&packets);
    let rest = [Got::Unit(3, vec![frame(3)]), Got::Unit(4, units[4].obus.clone())];
    assert_eq!(got[1..2], [Got::Lost(2, Loss::Missing)]);
    assert_eq!(got[2..], rest);
    // What starts a sequence refers to nothing before.
    let packets = stream(&units, 100);
    let got = receive([&packets[0], &packets[4]]);
    assert_eq!(got[1..], rest[1..]);
}

#[test]
fn a_new_time_ends_a_unit_without_marker() {
    let units = [key(&[]), inter(&[obu(FRAME, &[INTER; 300])]), inter(&[])];
    let mut packets = stream(&units, 100);
    packets.push((
        Header {
            sequence: packets.last().unwrap().0.sequence.wrapping_add(1),
            time: 9,
            ..Header::default()
        },
        vec![0x10, 0x30],
    ));
    packets.iter_mut().for_each(|(header, _)| header.marker = false);
    let got = receive(&packets);
    assert_eq!(got, [Got::Unit(0, units[0].obus.clone()), Got::Unit(1, units[1].obus.clone())]);
}

#[test]
fn a_unit_over_the_limit_is_lost_and_the_next_is_not() {
    // With header and size field they have 1,001 and 1,000 bytes.
    let units = [998, 997]
        .map(|len| Unit { obus: vec![obu(SEQUENCE_HEADER, &vec![0; len])], key_frame: true });
    for max_payload in [100, 1_200] {
        let mut depacketizer = Depacketizer::new(64, 1_000);
        let mut got = Vec::new();
        for (header, payload) in stream(&units, max_payload) {
            depacketizer.handle_packet(&header, &payload).unwrap();
            drain(&mut depacketizer, &mut got);
        }
        assert_eq!(got, [Got::Lost(0, Loss::TooLarge), Got::Unit(1, units[1].obus.clone())]);
    }
}

#[test]
fn key_frames_are_known() {
    let sequence_header = obu(SEQUENCE_HEADER, &[0]);
    let reduced = obu(SEQUENCE_HEADER, &[0x18]);
    let metadata = obu(METADATA, &[KEY]);
    let cases: &[(&[Vec<u8>], bool)] = &[
        (&[sequence_header.clone(), obu(FRAME, &[KEY])], true),
        (&[sequence_header.clone(), metadata.clone(), obu(FRAME_HEADER, &[KEY])], true),
        (&[reduced, obu(FRAME, &[0])], true),
        (&[sequence_header.clone(), obu(FRAME, &[INTER])], false),
        (&[sequence_header.clone(), obu(FRAME, &[0x00])], false),
        (&[sequence_header.clone(), obu(FRAME_HEADER, &[0x90])], false),
        (&[obu(FRAME, &[KEY])], false),
        (&[obu(FRAME, &[KEY]), sequence_header.clone()], false),
        (&[sequence_header, obu(FRAME, &[])], false),
        (&[metadata], false),
    ];
    for (obus, expected) in cases {
        let mut depacketizer = Depacketizer::default();
        let units = [key(&[]), inter(obus)];
        for (header, payload) in stream(&units, 1_200) {
            depacketizer.handle_packet(&header, &payload).unwrap();
            let Some(Event::Unit(unit)) = depacketizer.poll_event() else { continue };
            assert_eq!(unit.is_key_frame(), unit.time == 1 && *expected, "{obus:02x?}");
        }
    }
}
