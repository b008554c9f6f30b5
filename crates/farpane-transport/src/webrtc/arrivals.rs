//! Which pictures have arrived whole, from transport-wide feedback on the packets that carried them.
//!
//! A packet arrives as it was first sent or as one of its repeats (RFC 4588), each with a transport-wide number of its own.
//! It also has when parity has arrived that lacks nothing else, of which the viewer says nothing.

use std::collections::VecDeque;

use farpane_proto::fec;
use str0m::rtp::{RtpHeader, Ssrc};

use super::feedback::extend;
use crate::outbox::Fate;

/// What is remembered of packets: two of the largest pictures.
const MOST_PACKETS: usize = 8_192;
const MOST_PICTURES: usize = 512;
const MOST_PARITY: usize = 256;

#[derive(Debug, Default)]
pub(super) struct Arrivals {
    /// By transport-wide number, from `first_sent` on: the sequence number of the media that was in it.
    sent: VecDeque<Option<u64>>,
    first_sent: u64,
    /// By sequence number, from `first_packet` on.
    packets: VecDeque<Packet>,
    first_packet: u64,
    /// With numbers that follow each other; some may never have been written.
    pictures: VecDeque<Picture>,
    /// By rising transport-wide numbers.
    parity: VecDeque<Parity>,
}

#[derive(Clone, Copy, Debug)]
struct Parity {
    number: u64,
    of: fec::Header,
    arrived: bool,
}

#[derive(Clone, Copy, Debug)]
struct Packet {
    picture: u32,
    arrived: bool,
}

#[derive(Clone, Copy, Debug)]
struct Picture {
    number: u32,
    missing: u32,
    /// All its packets are known.
    complete: bool,
}

impl Arrivals {
    /// A packet of a picture was given to the transport, under the sequence number that follows the last one's.
    pub(super) fn handle_written(&mut self, sequence: u64, picture: u32, last: bool) {
        if self.packets.is_empty() {
            self.first_packet = sequence;
        }
        if self.packets.len() == MOST_PACKETS {
            self.packets.pop_front();
            self.first_packet += 1;
        }
        self.packets.push_back(Packet { picture, arrived: false });
        self.begin(picture);
        if let Some(picture) = self.pictures.back_mut() {
            picture.missing += 1;
            picture.complete = last;
        }
    }

    /// Goes on to the picture with this number, unless that is the last one.
    fn begin(&mut self, number: u32) {
        let empty = |number| Picture { number, missing: 0, complete: false };
        let ahead = self.pictures.back().map(|last| number.wrapping_sub(last.number));
        match ahead {
            Some(ahead) if ahead as usize <= MOST_PICTURES => {
                let next = number.wrapping_sub(ahead);
                let numbers = (1..=ahead).map(|at| next.wrapping_add(at));
                self.pictures.extend(numbers.map(empty));
            }
            _ => {
                self.pictures.clear();
                self.pictures.push_back(empty(number));
            }
        }
        let surplus = self.pictures.len().saturating_sub(MOST_PICTURES);
        self.pictures.drain(..surplus);
    }

    /// A packet has left under a transport-wide number; `packet` is all of it before encryption.
    pub(super) fn handle_sent(
        &mut self,
        number: u64,
        header: &RtpHeader,
        packet: &[u8],
        repeats: Option<Ssrc>,
    ) {
        if self.sent.is_empty() {
            self.first_sent = number;
        }
        // The transport counts without a gap.
        let next = self.first_sent + self.sent.len() as u64;
        (next..number).take(MOST_PACKETS).for_each(|_| self.sent.push_back(None));
        let body = packet.get(header.header_len..).unwrap_or_default();
        let sequence = match body.first_chunk() {
            _ if header.has_padding => None,
            Some(original) if repeats == Some(header.ssrc) => Some(u16::from_be_bytes(*original)),
            _ => Some(header.sequence_number),
        };
        let newest = self.first_packet + self.packets.len() as u64;
        self.sent.push_back(sequence.map(|sequence| extend(newest, sequence)));
        while self.sent.len() > MOST_PACKETS {
            self.sent.pop_front();
            self.first_sent += 1;
        }
    }

    /// A parity packet has left under a transport-wide number.
    pub(super) fn handle_parity(&mut self, number: u64, of: fec::Header) {
        if self.parity.len() == MOST_PARITY {
            self.parity.pop_front();
        }
        self.parity.push_back(Parity { number, of, arrived: false });
    }

    /// The viewer says what came; `whole` hears of each picture that thereby is there.
    pub(super) fn handle_report(&mut self, report: &[Fate], mut whole: impl FnMut(u32)) {
        for (number, _) in report.iter().filter(|(_, arrived)| arrived.is_some()) {
            let sent =
                number.checked_sub(self.first_sent).and_then(|at| self.sent.get(at as usize));
            if let Some(Some(sequence)) = sent.copied() {
                self.arrived(sequence, &mut whole);
            }
            if let Ok(at) = self.parity.binary_search_by_key(number, |parity| parity.number) {
                self.parity[at].arrived = true;
            }
        }
        while let Some((at, missing)) = self.usable() {
            self.parity.remove(at);
            if let Some(sequence) = missing {
                self.arrived(sequence, &mut whole);
            }
        }
    }

    /// Parity that has arrived and is done with: one packet of it is missing, or none.
    fn usable(&self) -> Option<(usize, Option<u64>)> {
        let newest = self.first_packet + self.packets.len() as u64;
        let arrived = |sequence: &u64| {
            let at = sequence.checked_sub(self.first_packet);
            at.and_then(|at| self.packets.get(at as usize)).is_some_and(|packet| packet.arrived)
        };
        let parity = self.parity.iter().enumerate().filter(|(_, parity)| parity.arrived);
        parity.into_iter().find_map(|(at, parity)| {
            let packets = parity.of.packets().map(|sequence| extend(newest, sequence));
            let mut missing = packets.filter(|sequence| !arrived(sequence));
            let first = missing.next();
            missing.next().is_none().then_some((at, first))
        })
    }

    fn arrived(&mut self, sequence: u64, whole: &mut impl FnMut(u32)) {
        let Some(at) = sequence.checked_sub(self.first_packet) else { return };
        let Some(packet) = self.packets.get_mut(at as usize) else { return };
        if std::mem::replace(&mut packet.arrived, true) {
            return;
        }
        let number = packet.picture;
        let Some(first) = self.pictures.front().map(|picture| picture.number) else { return };
        let at = number.wrapping_sub(first) as usize;
        let Some(picture) = self.pictures.get_mut(at) else { return };
        picture.missing -= 1;
        if picture.missing == 0 && picture.complete {
            whole(number);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn whole(arrivals: &mut Arrivals, sequences: &[u64]) -> Vec<u32> {
        let mut numbers = Vec::new();
        sequences.iter().for_each(|at| arrivals.arrived(*at, &mut |number| numbers.push(number)));
        numbers
    }

    #[test]
    fn a_picture_has_arrived_when_its_last_missing_packet_has() {
        let mut arrivals = Arrivals::default();
        [(10, 0, false), (11, 0, true), (12, 1, true), (13, 2, false)]
            .into_iter()
            .for_each(|(sequence, picture, last)| arrivals.handle_written(sequence, picture, last));
        assert_eq!(whole(&mut arrivals, &[12, 11, 11, 13]), [1]);
        assert_eq!(whole(&mut arrivals, &[9, 10, 10, 99]), [0]);
    }

    #[test]
    fn what_parity_makes_has_arrived() {
        let mut arrivals = Arrivals::default();
        (0..6).for_each(|at| arrivals.handle_written(65_533 + at, at as u32 / 3, at % 3 == 2));
        let header = RtpHeader::default();
        let mut number = 0..;
        for sequence_number in [65_533, 65_534, 65_535, 0, 1, 2] {
            let header = RtpHeader { sequence_number, ..header.clone() };
            arrivals.handle_sent(number.next().unwrap(), &header, &[], None);
        }
        // Of every other packet: the first, third and fifth, then the second, fourth and sixth.
        for (base, number) in [(65_533, 6), (65_534, 7)] {
            arrivals.handle_parity(number, fec::Header { ssrc: 0, base, mask: 0b010101 });
        }
        let mut report = |numbers: &[u64]| {
            let fates: Vec<Fate> = numbers.iter().map(|at| (*at, Some(Duration::ZERO))).collect();
            let mut whole = Vec::new();
            arrivals.handle_report(&fates, |number| whole.push(number));
            whole
        };
        // Makes the sixth; of the other row too much is missing, and so it is with the first.
        assert_eq!(report(&[1, 3, 6, 7]), []);
        assert_eq!(report(&[0]), []);
        // The second picture has all now, and the third packet can be made, which the first lacked.
        assert_eq!(report(&[4]), [1, 0]);
        assert!(arrivals.parity.is_empty());
    }

    #[test]
    fn pictures_that_were_never_written_or_not_to_their_end_are_passed_over() {
        let mut arrivals = Arrivals::default();
        arrivals.handle_written(1, u32::MAX, false);
        // Numbers wrap around.
        arrivals.handle_written(2, 3, true);
        assert_eq!(whole(&mut arrivals, &[1, 2]), [3]);
        arrivals.handle_written(3, 100_000, true);
        assert_eq!(whole(&mut arrivals, &[3]), [100_000]);
        (0..2 * MOST_PACKETS as u64).for_each(|at| {
            arrivals.handle_written(4 + at, 100_001 + at as u32, true);
        });
        assert_eq!(arrivals.pictures.len(), MOST_PICTURES);
        assert_eq!(arrivals.packets.len(), MOST_PACKETS);
    }
}
