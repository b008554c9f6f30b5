//! H.264 through RTP and back: golden payloads, every kind of damage, and `rtc-rtp` as the other side.

use farpane_proto::depacketize::h264::{Depacketizer, Error, Event, Loss};
use farpane_proto::packetize::h264::Packetizer;
use farpane_proto::rtp::Header;
use proptest::prelude::*;
use rtc_rtp::codec::h264::{H264Packet, H264Payloader};
use rtc_rtp::packetizer::{Depacketizer as _, Payloader as _};

const SPS: &[u8] = &[0x67, 0x42, 0xc0, 0x1f];
const PPS: &[u8] = &[0x68, 0xce, 0x3c, 0x80];
const IDR: &[u8] = &[0x65, 0x88, 0x84, 0x00];
const SLICE: &[u8] = &[0x41, 0x9a, 0x02];

type Nals = Vec<Vec<u8>>;

fn owned(nals: &[&[u8]]) -> Nals {
    nals.iter().map(|nal| nal.to_vec()).collect()
}

/// Payloads and their marks.
fn packetize(nals: &Nals, max_payload: usize) -> Vec<(Vec<u8>, bool)> {
    let mut ranges = Vec::new();
    for nal in nals {
        let start = ranges.last().map_or(0, |range: &std::ops::Range<usize>| range.end);
        ranges.push(start..start + nal.len());
    }
    let data = nals.concat();
    let payloads = Packetizer::new(max_payload).packetize(&data, &ranges);
    let written = payloads.map(|payload| {
        let mut out = vec![0; payload.len()];
        payload.write(&mut out);
        (out, payload.last)
    });
    written.collect()
}

/// The packets of a stream of units, from a sequence number that soon wraps, unit `n` at time `n`.
fn stream(units: &[Nals], max_payload: usize) -> Vec<(Header, Vec<u8>)> {
    let units = units.iter().zip(0..).flat_map(|(unit, time)| {
        packetize(unit, max_payload)
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
    Unit(u32, Nals),
    Lost(u32, Loss),
}

fn drain(depacketizer: &mut Depacketizer, got: &mut Vec<Got>) {
    while let Some(event) = depacketizer.poll_event() {
        got.push(match event {
            Event::Lost { time, loss } => Got::Lost(time, loss),
            Event::Unit(unit) => {
                let nals = unit.nals.iter().map(|range| unit.data[range.clone()].to_vec());
                Got::Unit(unit.time, nals.collect())
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

fn nal(kinds: impl Strategy<Value = u8>) -> impl Strategy<Value = Vec<u8>> {
    let len = prop_oneof![4 => 3..60_usize, 2 => 60..3_000_usize, 1 => 3_000..100_000_usize];
    (kinds, 0..4_u8, len, any::<u8>()).prop_map(|(kind, importance, len, seed)| {
        // A pattern without start codes in it, for the oracle that looks for them.
        let mut nal: Vec<u8> = (0..len).map(|at| (at as u8).wrapping_mul(31) ^ seed | 4).collect();
        nal[0] = importance << 5 | kind;
        nal
    })
}

fn slices() -> impl Strategy<Value = Nals> {
    prop::collection::vec(nal(prop_oneof![Just(1), Just(5), Just(6)]), 1..5)
}

/// A unit that starts a stream for sure, or one that does not.
fn unit() -> impl Strategy<Value = Nals> {
    (any::<bool>(), slices()).prop_map(|(key, slices)| {
        if key { owned(&[SPS, PPS]).into_iter().chain(slices).collect() } else { slices }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_goes_in_comes_out(
        nals in prop::collection::vec(nal((1..24_u8).prop_filter("not sent", |k| *k != 9 && *k != 12)), 1..8),
        max_payload in 16..1_500_usize,
    ) {
        let units = [owned(&[SPS]), nals.clone()];
        let packets = stream(&units, max_payload);
        prop_assert!(packets.iter().all(|(_, payload)| (1..=max_payload).contains(&payload.len())));
        let got = receive(&packets);
        prop_assert_eq!(got, [Got::Unit(0, owned(&[SPS])), Got::Unit(1, nals)]);
    }

    #[test]
    fn no_damage_makes_a_wrong_unit_and_no_whole_unit_is_lost(
        units in prop::collection::vec(unit(), 1..8),
        fates in prop::collection::vec((0..8_usize, prop_oneof![8 => Just(1), 1 => Just(0), 1 => Just(2)]), 2_000),
    ) {
        let units: Vec<Nals> = std::iter::once(owned(&[SPS])).chain(units).collect();
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
            if let Got::Unit(time, nals) = event {
                prop_assert_eq!(nals, &units[*time as usize]);
            }
        }
        for (time, unit) in units.iter().enumerate() {
            let of_unit = |at: &usize| packets[*at].0.time == time as u32;
            let first = (0..packets.len()).find(of_unit).unwrap();
            let whole = (0..packets.len()).filter(of_unit).all(|at| copies(at) > 0);
            let begins = first == 0 || copies(first - 1) > 0 || unit[0] == SPS;
            let emitted = got.iter().any(|event| matches!(event, Got::Unit(t, _) if *t == time as u32));
            prop_assert_eq!(emitted, whole && begins, "unit {}", time);
        }
    }

    #[test]
    fn rtc_rtp_reads_our_payloads(nals in slices(), max_payload in 16..1_500_usize) {
        let mut theirs = H264Packet::default();
        let mut annex_b = Vec::new();
        for (payload, _) in packetize(&nals, max_payload) {
            annex_b.extend_from_slice(&theirs.depacketize(&payload.into()).unwrap());
        }
        let expected: Vec<u8> = nals.iter().flat_map(|nal| [&[0, 0, 0, 1], &nal[..]].concat()).collect();
        prop_assert!(annex_b == expected);
    }

    #[test]
    fn we_read_the_payloads_of_rtc_rtp(nals in slices(), max_payload in 64..1_500_usize) {
        let nals: Nals = owned(&[SPS, PPS]).into_iter().chain(nals).collect();
        let annex_b: Vec<u8> = nals.iter().flat_map(|nal| [&[0, 0, 0, 1], &nal[..]].concat()).collect();
        let payloads = H264Payloader::default().payload(max_payload, &annex_b.into()).unwrap();
        let packets: Vec<(Header, Vec<u8>)> = (0..).zip(&payloads)
            .map(|(sequence, payload)| {
                let marker = usize::from(sequence) + 1 == payloads.len();
                (Header { sequence, marker, ..Header::default() }, payload.to_vec())
            })
            .collect();
        prop_assert_eq!(receive(&packets), [Got::Unit(0, nals)]);
    }
}

#[test]
fn small_nal_units_share_a_payload() {
    let key = packetize(&owned(&[SPS, PPS, IDR]), 1_200);
    let shared = [&[0x78][..], &[0, 4], SPS, &[0, 4], PPS, &[0, 4], IDR].concat();
    assert_eq!(key, [(shared, true)]);
    // 7 + 6 bytes fit 13 + the header of the STAP-A, the third does not.
    let split = packetize(&owned(&[SPS, PPS, &[0x65; 12]]), 16);
    assert_eq!(
        split,
        [([&[0x78][..], &[0, 4], SPS, &[0, 4], PPS].concat(), false), (vec![0x65; 12], true)]
    );
}

#[test]
fn long_nal_units_are_cut() {
    let long: Vec<u8> = std::iter::once(0x65).chain(0..30).collect();
    let parts = [
        ([&[0x7c, 0x85][..], &long[1..15]].concat(), false),
        ([&[0x7c, 0x05][..], &long[15..29]].concat(), false),
        ([&[0x7c, 0x45][..], &long[29..]].concat(), true),
    ];
    assert_eq!(packetize(&vec![long], 16), parts);
}

#[test]
fn what_says_nothing_is_left_out() {
    let delimiter: &[u8] = &[0x09, 0xf0];
    let filler: &[u8] = &[0x0c, 0xff, 0x80];
    assert_eq!(packetize(&owned(&[delimiter, SLICE, &[], filler]), 100), [(SLICE.to_vec(), true)]);
    assert_eq!(packetize(&owned(&[delimiter, &[0x78, 0], &[0x1e]]), 100), []);
}

#[test]
fn key_frames_are_known() {
    let mut depacketizer = Depacketizer::default();
    for (packet, key) in
        stream(&[owned(&[SPS, PPS, IDR]), owned(&[SLICE])], 1_200).iter().zip([true, false])
    {
        depacketizer.handle_packet(&packet.0, &packet.1).unwrap();
        assert!(
            matches!(depacketizer.poll_event(), Some(Event::Unit(unit)) if unit.is_key_frame() == key)
        );
    }
}

#[test]
fn malformed_payloads_are_refused_and_cost_their_unit() {
    let cases: &[(&[u8], Error)] = &[
        (&[0x00], Error::Type(0)),
        (&[0x79, 0, 0], Error::Type(25)),
        (&[0x7d, 0x85, 0], Error::Type(29)),
        (&[0x1f], Error::Type(31)),
        (&[0x78], Error::Aggregate),
        (&[0x78, 0], Error::Aggregate),
        (&[0x78, 0, 0], Error::Aggregate),
        (&[0x78, 0, 2, 0x41], Error::Aggregate),
        (&[0x78, 0, 1, 0x41, 0], Error::Aggregate),
        (&[0x78, 0, 3, 0x78, 0, 0], Error::Type(24)),
        (&[0x7c], Error::Fragment),
        (&[0x7c, 0xc5, 0], Error::Fragment),
        (&[0x7c, 0x9c, 0], Error::Type(28)),
        (&[0x41; 9_001], Error::TooLong(9_001)),
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
    let (start, middle, end): (&[u8], &[u8], &[u8]) =
        (&[0x7c, 0x85, 1], &[0x7c, 0x05, 2], &[0x7c, 0x45, 3]);
    let whole = Got::Unit(1, vec![vec![0x65, 1, 2, 3]]);
    let cases: &[(&[&[u8]], Got)] = &[
        (&[start, middle, end], whole),
        (&[start, &[0x7c, 0x05], end], Got::Unit(1, vec![vec![0x65, 1, 3]])),
        (&[middle, end], Got::Lost(1, Loss::Malformed)),
        (&[start, middle], Got::Lost(1, Loss::Malformed)),
        (&[start, start, end], Got::Lost(1, Loss::Malformed)),
        (&[start, end, end], Got::Lost(1, Loss::Malformed)),
        (&[start, SLICE, end], Got::Lost(1, Loss::Malformed)),
        (&[start, &[0x7c, 0x41, 3]], Got::Lost(1, Loss::Malformed)),
        (&[start, &[0x78, 0, 1, 0x41], end], Got::Lost(1, Loss::Malformed)),
    ];
    for (payloads, expected) in cases {
        let mut packets = vec![(Header { marker: true, ..Header::default() }, SPS.to_vec())];
        for (at, payload) in (1..).zip(*payloads) {
            let marker = usize::from(at) == payloads.len();
            packets.push((
                Header { marker, sequence: at, time: 1, ..Header::default() },
                payload.to_vec(),
            ));
        }
        assert_eq!(receive(&packets).last(), Some(expected), "{payloads:02x?}");
    }
}

#[test]
fn a_new_time_ends_a_unit_without_marker() {
    let mut packets = stream(&[owned(&[SPS, PPS, IDR]), owned(&[SLICE]), owned(&[SLICE])], 1_200);
    packets.iter_mut().for_each(|(header, _)| header.marker = false);
    let got = receive(&packets);
    assert_eq!(got, [Got::Unit(0, owned(&[SPS, PPS, IDR])), Got::Unit(1, owned(&[SLICE]))]);
}

#[test]
fn padding_only_fills_its_place() {
    let mut packets = stream(&[owned(&[SPS]), owned(&[SLICE])], 1_200);
    let padding = |sequence| (Header { sequence, ..Header::default() }, Vec::new());
    packets[1].0.sequence = packets[1].0.sequence.wrapping_add(2);
    packets.insert(1, padding(65_531));
    packets.insert(2, padding(65_532));
    assert_eq!(receive(&packets), [Got::Unit(0, owned(&[SPS])), Got::Unit(1, owned(&[SLICE]))]);
}

#[test]
fn a_hole_holds_back_until_the_window_has_passed() {
    let units: Vec<Nals> = std::iter::repeat_n(owned(&[SPS, IDR]), 12).collect();
    let packets = stream(&units, 1_200);
    let mut depacketizer = Depacketizer::new(8, 1 << 10);
    let mut got = Vec::new();
    for (at, (header, payload)) in packets.iter().enumerate().filter(|(at, _)| *at != 1) {
        depacketizer.handle_packet(header, payload).unwrap();
        drain(&mut depacketizer, &mut got);
        // Packet 1 is missing: 2 to 8 wait for it, 9 pushes it out.
        assert_eq!(got.len(), if at < 9 { 1 } else { at });
        assert_eq!(depacketizer.is_waiting(), (2..9).contains(&at));
    }
    assert_eq!(depacketizer.handle_packet(&packets[1].0, &packets[1].1), Err(Error::Late));
}

#[test]
fn a_leap_of_the_sequence_number_is_a_gap() {
    let mut packets = stream(&[owned(&[SPS]), owned(&[SPS]), owned(&[SPS, IDR])], 1_200);
    packets[2].0.sequence = 20_000;
    packets.remove(1);
    assert_eq!(receive(&packets), [Got::Unit(0, owned(&[SPS])), Got::Unit(2, owned(&[SPS, IDR]))]);
}

#[test]
fn a_unit_over_the_limit_is_lost_and_the_next_is_not() {
    let mut depacketizer = Depacketizer::new(64, 1_000);
    let mut got = Vec::new();
    for (header, payload) in stream(&[vec![vec![0x67; 997]], vec![vec![0x67; 996]]], 100) {
        depacketizer.handle_packet(&header, &payload).unwrap();
        drain(&mut depacketizer, &mut got);
    }
    assert_eq!(got, [Got::Lost(0, Loss::TooLarge), Got::Unit(1, vec![vec![0x67; 996]])]);
}
