//! Parity and what is made of it: over any loss, all that the masks allow comes back bit for bit.

use std::collections::BTreeSet;

use farpane_media::Time;
use farpane_proto::fec::{Header, Protector, Recoverer};
use farpane_proto::rtp::{self, Element};
use proptest::collection::vec;
use proptest::prelude::*;

const SSRC: u32 = 0x5eed;
const VOLATILE: u8 = 3;

/// A packet with an extension that stays and one that does not.
fn packet(sequence: u16, payload: &[u8], sent_as: u16) -> Vec<u8> {
    let header = rtp::Header {
        marker: payload.len().is_multiple_of(3),
        payload_type: 96,
        sequence,
        time: u32::from(sequence) * 3_000,
        ssrc: SSRC,
    };
    let sent_as = sent_as.to_be_bytes();
    let elements =
        [Element { id: 1, data: b"stays" }, Element { id: VOLATILE, data: &sent_as[..] }];
    let mut packet = vec![0; 32];
    let len = header.write(&elements, &mut packet).unwrap();
    packet.truncate(len);
    packet.extend_from_slice(payload);
    packet
}

/// Which of the lost can be made anew: one after the other, wherever a parity lacks a single one.
fn recoverable(masks: &[Header], lost: &BTreeSet<u16>) -> BTreeSet<u16> {
    let mut missing = lost.clone();
    loop {
        let lacks = |mask: &Header| mask.packets().filter(|at| missing.contains(at)).collect();
        let single = masks.iter().map(lacks).find(|lacks: &Vec<u16>| lacks.len() == 1);
        match single {
            Some(found) => _ = missing.remove(&found[0]),
            None => return lost.difference(&missing).copied().collect(),
        }
    }
}

proptest! {
    #[test]
    fn whatever_the_masks_allow_comes_back(
        payloads in vec(vec(any::<u8>(), 0..100), 1..=109),
        first in any::<u16>(),
        lost in vec(prop::bool::weighted(0.15), 109),
        // Rows, columns, and one of all, of which any may be lost.
        counts in vec(1..12_usize, 1..4),
        parity_lost in vec(prop::bool::weighted(0.1), 48),
        parity_first in any::<bool>(),
    ) {
        let sequence = |at: usize| first.wrapping_add(at as u16);
        let sent = |at: usize, sent_as| packet(sequence(at), &payloads[at], sent_as);
        let mut protector = Protector::default();
        (0..payloads.len()).for_each(|at| protector.handle_sent(Time::ZERO, &sent(at, at as u16), &[VOLATILE]));
        prop_assert_eq!(protector.packets(), payloads.len());

        let mut parity: Vec<Vec<u8>> = Vec::new();
        for count in counts {
            for index in 0..count.min(payloads.len()) {
                let mut payload = Vec::new();
                protector.write(index, count, &mut payload);
                parity.push(payload);
            }
        }
        let mut lose = parity_lost.into_iter();
        parity.retain(|_| !lose.next().unwrap_or(false));
        let masks: Vec<Header> = parity.iter().map(|p| Header::parse(p).unwrap().0).collect();
        let missing = (0..payloads.len()).filter(|at| lost[*at]).map(sequence).collect();

        let mut recoverer = Recoverer::new(SSRC, &[VOLATILE]);
        let mut arrive = |parities: bool| match parities {
            true => parity.iter().for_each(|payload| recoverer.handle_parity(payload)),
            // What changes on the way has changed.
            false => (0..payloads.len())
                .filter(|at| !lost[*at])
                .for_each(|at| recoverer.handle_packet(&sent(at, 0xbeef))),
        };
        arrive(parity_first);
        arrive(!parity_first);

        let mut back = BTreeSet::new();
        while let Some(packet) = recoverer.poll_recovered() {
            let at = rtp::Packet::parse(&packet).unwrap().header.sequence;
            prop_assert!(back.insert(at), "{} came twice", at);
            prop_assert_eq!(packet, sent(usize::from(at.wrapping_sub(first)), 0));
        }
        // Some packets may have been made before they came.
        let back: BTreeSet<u16> = back.intersection(&missing).copied().collect();
        prop_assert_eq!(back, recoverable(&masks, &missing));
    }
}

#[test]
fn losses_in_a_row_up_to_the_number_of_parity_packets_come_back() {
    const COUNT: usize = 8;
    for start in 0..=60 - COUNT {
        let (mut protector, mut recoverer) = (Protector::default(), Recoverer::new(SSRC, &[]));
        let sent: Vec<Vec<u8>> = (0..60).map(|at| packet(at, &[at as u8; 30], 0)).collect();
        for (at, packet) in sent.iter().enumerate() {
            protector.handle_sent(Time::ZERO, packet, &[]);
            if !(start..start + COUNT).contains(&at) {
                recoverer.handle_packet(packet);
            }
        }
        let mut parity = Vec::new();
        for index in 0..COUNT {
            protector.write(index, COUNT, &mut parity);
            recoverer.handle_parity(&parity);
        }
        let mut back: Vec<Vec<u8>> = std::iter::from_fn(|| recoverer.poll_recovered()).collect();
        back.sort();
        assert_eq!(back, sent[start..start + COUNT]);
    }
}

#[test]
fn other_streams_and_what_was_tampered_with_give_nothing() {
    let mut protector = Protector::default();
    let sent = [packet(1, b"one", 0), packet(2, b"the second", 0)];
    sent.iter().for_each(|packet| protector.handle_sent(Time::ZERO, packet, &[]));
    let mut parity = Vec::new();
    protector.write(0, 1, &mut parity);
    let made = |ssrc: u32, parity: &[u8]| {
        let mut recoverer = Recoverer::new(ssrc, &[]);
        recoverer.handle_packet(&sent[0]);
        recoverer.handle_parity(parity);
        recoverer.poll_recovered()
    };
    assert_eq!(made(SSRC, &parity).as_ref(), Some(&sent[1]));
    assert_eq!(made(SSRC + 1, &parity), None);
    // Shorter than the packet that arrived; a length beyond its end.
    assert_eq!(made(SSRC, &parity[..30]), None);
    parity[2] ^= 0x40;
    assert_eq!(made(SSRC, &parity), None);
}
