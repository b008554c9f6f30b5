//! Which pictures have arrived whole, from transport-wide feedback on the packets that carried them.
//!
//! A packet arrives as it was first sent or as one of its repeats (RFC 4588), each with a transport-wide number of its own.

use std::collections::VecDeque;

use str0m::rtp::{RtpHeader, Ssrc};

use super::feedback::{Fate, extend};

/// What is remembered of packets: two of the largest pictures.
const MOST_PACKETS: usize = 8_192;
const MOST_PICTURES: usize = 512;

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

    /// The viewer says what came; `whole` hears of each picture that thereby is there.
    pub(super) fn handle_report(&mut self, report: &[Fate], mut whole: impl FnMut(u32)) {
        for (number, _) in report.iter().filter(|(_, arrived)| arrived.is_some()) {
            let sent =
                number.checked_sub(self.first_sent).and_then(|at| self.sent.get(at as usize));
            if let Some(Some(sequence)) = sent.copied() {
                self.arrived(sequence, &mut whole);
            }
        }
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
