//! Which pictures have arrived whole, from transport-wide feedback on the packets that carried them.
//!
//! A packet arrives as it was first sent or as one of its repeats (RFC 4588), each with a transport-wide number of its own.

use std::collections::VecDeque;

use str0m::rtp::rtcp::Twcc;
use str0m::rtp::{RtpHeader, Ssrc};

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
    /// Oldest first.
    pictures: VecDeque<Picture>,
    /// The picture that is being written.
    open: bool,
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
        if !std::mem::replace(&mut self.open, !last) {
            if self.pictures.len() == MOST_PICTURES {
                self.pictures.pop_front();
            }
            self.pictures.push_back(Picture { number: picture, missing: 0, complete: false });
        }
        if let Some(picture) = self.pictures.back_mut() {
            picture.missing += 1;
            picture.complete = last;
        }
    }

    /// A packet has left; `packet` is all of it before encryption.
    pub(super) fn handle_sent(&mut self, header: &RtpHeader, packet: &[u8], repeats: Option<Ssrc>) {
        let Some(number) = header.ext_vals.transport_cc else { return };
        let next = self.first_sent + self.sent.len() as u64;
        let number = extend(next, number);
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
    pub(super) fn handle_feedback(&mut self, feedback: Twcc, mut whole: impl FnMut(u32)) {
        let expected = self.first_sent + self.sent.len() as u64;
        let any = std::time::Instant::now();
        for (number, _, arrived) in feedback.into_iter(any, expected.into()) {
            if arrived.is_none() {
                continue;
            }
            let sent =
                number.checked_sub(self.first_sent).and_then(|at| self.sent.get(at as usize));
            if let Some(Some(sequence)) = sent {
                let sequence = *sequence;
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

/// The number nearest to `near` that ends in `low`.
fn extend(near: u64, low: u16) -> u64 {
    let distance = low.wrapping_sub(near as u16) as i16;
    near.saturating_add_signed(distance.into())
}
