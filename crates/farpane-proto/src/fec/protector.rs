//! The sender's side: remembers the last packets and makes parity of them.

use std::collections::VecDeque;
use std::time::Duration;

use farpane_media::Time;

use super::header::{Header, MAX_SPAN};
use super::{RECOVERY_LEN, add, append};
use crate::rtp::{FIXED_LEN, Packet};

/// Gathers the last packets of one stream, all that follow each other. See [`crate::fec`].
#[derive(Debug, Default)]
pub struct Protector {
    /// Each with when it was sent.
    packets: VecDeque<(Time, Vec<u8>)>,
    /// Memory for others.
    spare: Vec<Vec<u8>>,
    ssrc: u32,
    /// The sequence number of the first.
    base: u16,
}

impl Protector {
    /// A packet was sent: all of it, before encryption. Extensions of the `volatile` identifiers are not protected. One
    /// that does not follow the last is the first of others; where there is no room for it, the oldest goes.
    pub fn handle_sent(&mut self, now: Time, packet: &[u8], volatile: &[u8]) {
        let Ok(Packet { header, .. }) = Packet::parse(packet) else { return };
        let next = (self.ssrc, self.base.wrapping_add(self.packets.len() as u16));
        if (header.ssrc, header.sequence) != next {
            self.clear();
        }
        if self.is_full() {
            self.forget_first();
        }
        if self.packets.is_empty() {
            (self.ssrc, self.base) = (header.ssrc, header.sequence);
        }
        let mut copy = self.spare.pop().unwrap_or_default();
        append(packet, volatile, &mut copy).expect("what was parsed above");
        self.packets.push_back((now, copy));
    }

    /// All that was gathered has its parity.
    pub fn clear(&mut self) {
        while !self.packets.is_empty() {
            self.forget_first();
        }
    }

    /// Forgets packets that were sent `age` ago or before.
    pub fn forget(&mut self, now: Time, age: Duration) {
        while self.packets.front().is_some_and(|(sent, _)| now.since(*sent) >= age) {
            self.forget_first();
        }
    }

    /// Whether the next packet takes the place of the oldest.
    pub fn is_full(&self) -> bool {
        self.packets.len() == MAX_SPAN
    }

    /// When the oldest was sent.
    pub fn since(&self) -> Option<Time> {
        self.packets.front().map(|(sent, _)| *sent)
    }

    /// How many packets parity can be made of.
    pub fn packets(&self) -> usize {
        self.packets.len()
    }

    /// The length of the longest of them.
    pub fn longest(&self) -> usize {
        self.packets.iter().map(|(_, packet)| packet.len()).max().unwrap_or_default()
    }

    /// Replaces `out` by the payload of a parity packet, one of `count`: that of each `count`th packet, so that all
    /// together make good a loss of as many packets in a row.
    ///
    /// # Panics
    /// When there are no more than `index` packets, or `index` is not below `count`.
    pub fn write(&self, index: usize, count: usize, out: &mut Vec<u8>) {
        assert!(index < count, "one of them");
        let row = || self.packets.iter().skip(index).step_by(count).map(|(_, packet)| packet);
        let longest = row().map(Vec::len).max().expect("a packet to protect");
        let places = (index..self.packets.len()).step_by(count);
        let mask = places.fold(0, |mask, at| mask | 1 << at);
        let mut head = [0; Header::MAX_LEN];
        let len = Header { ssrc: self.ssrc, base: self.base, mask }.write(&mut head);
        out.clear();
        out.extend_from_slice(&head[..len]);
        out.resize(len + longest - FIXED_LEN, 0);
        let (head, body) = out.split_at_mut(len);
        let recovery = head.first_chunk_mut::<RECOVERY_LEN>().expect("a header is longer");
        row().for_each(|packet| add(packet, recovery, body));
        // The version of RTP has its place taken by two flags, none of which is set.
        recovery[0] &= 0x3f;
    }

    fn forget_first(&mut self) {
        if let Some((_, mut packet)) = self.packets.pop_front() {
            packet.clear();
            self.spare.push(packet);
            self.base = self.base.wrapping_add(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtp::{Element, Header as RtpHeader};

    fn packet(sequence: u16, payload: &[u8]) -> Vec<u8> {
        let header = RtpHeader { sequence, ssrc: 7, ..RtpHeader::default() };
        let mut packet = vec![0; 64];
        let elements = [Element { id: 3, data: &[sequence as u8; 2] }];
        let len = header.write(&elements, &mut packet).unwrap();
        packet.truncate(len);
        packet.extend_from_slice(payload);
        packet
    }

    #[test]
    fn parity_of_one_packet_is_that_packet_without_what_changes() {
        let mut protector = Protector::default();
        protector.handle_sent(Time::ZERO, &packet(9, b"pixels"), &[3]);
        let mut parity = Vec::new();
        protector.write(0, 1, &mut parity);
        let (header, len) = Header::parse(&parity).unwrap();
        assert_eq!(header, Header { ssrc: 7, base: 9, mask: 1 });
        // Version 2 is left out; extension, payload type 0, length.
        assert_eq!(parity[..4], [0x10, 0, 0, 14]);
        assert_eq!(parity[len..], *b"\xbe\xde\x00\x01\x31\x00\x00\x00pixels");
    }

    #[test]
    fn only_the_last_packets_that_follow_each_other_are_gathered() {
        let mut protector = Protector::default();
        let mut send = |sequence: u16| {
            let now = Time::from_millis(sequence.into());
            protector.handle_sent(now, &packet(sequence, b"x"), &[]);
            protector.packets()
        };
        assert_eq!([65_535, 0, 1, 3, 4].map(&mut send), [1, 2, 3, 1, 2]);
        assert_eq!((5..=112).map(&mut send).last(), Some(MAX_SPAN));
        assert_eq!((protector.longest(), protector.is_full()), (21, true));
        protector.handle_sent(Time::ZERO, b"not RTP", &[]);
        assert_eq!((protector.packets(), protector.since()), (109, Some(Time::from_millis(4))));
        protector.forget(Time::from_millis(112), Duration::from_millis(12));
        let mut parity = Vec::new();
        protector.write(0, 1, &mut parity);
        assert!(Header::parse(&parity).unwrap().0.packets().eq(101..=112));
        protector.clear();
        assert_eq!((protector.packets(), protector.since()), (0, None));
    }
}
