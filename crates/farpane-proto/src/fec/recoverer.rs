//! The receiver's side: makes lost packets anew.

use std::collections::VecDeque;

use super::header::Header;
use super::{RECOVERY_LEN, add, append};
use crate::rtp::{FIXED_LEN, Packet};

/// What is remembered: as many packets as Chromium remembers.
const MOST_PACKETS: usize = 192;
const MOST_PARITY: usize = 48;
/// No packet of a network is longer. Its parity is, by a header.
pub const MAX_PACKET: usize = 2_048;

/// Takes what arrives of a stream and its parity, in any order. See [`crate::fec`].
#[derive(Debug, Default)]
pub struct Recoverer {
    ssrc: u32,
    volatile: Vec<u8>,
    /// By sequence number, the oldest first.
    packets: VecDeque<(u16, Vec<u8>)>,
    /// Each with its payload.
    parity: VecDeque<(Header, usize, Vec<u8>)>,
    recovered: VecDeque<Vec<u8>>,
}

impl Recoverer {
    /// For the stream `ssrc`, of which extensions of the `volatile` identifiers are not protected.
    pub fn new(ssrc: u32, volatile: &[u8]) -> Recoverer {
        Recoverer { ssrc, volatile: volatile.to_vec(), ..Recoverer::default() }
    }

    /// A packet has arrived, in the first or in another way: all of it, after decryption. What is not of the stream or no
    /// packet is passed over.
    pub fn handle_packet(&mut self, packet: &[u8]) {
        let header = Packet::parse(packet).map(|packet| packet.header);
        let Ok(header) = header else { return };
        if header.ssrc != self.ssrc
            || packet.len() > MAX_PACKET
            || self.find(header.sequence).is_some()
        {
            return;
        }
        let mut copy = Vec::with_capacity(packet.len());
        append(packet, &self.volatile, &mut copy).expect("what was parsed above");
        self.remember(header.sequence, copy);
        self.recover();
    }

    /// The payload of a parity packet has arrived. What makes no sense is passed over.
    pub fn handle_parity(&mut self, payload: &[u8]) {
        let Some((header, len)) = Header::parse(payload) else { return };
        if header.ssrc != self.ssrc || FIXED_LEN + payload.len() - len > MAX_PACKET {
            return;
        }
        if self.parity.len() == MOST_PARITY {
            self.parity.pop_front();
        }
        self.parity.push_back((header, len, payload.to_vec()));
        self.recover();
    }

    /// A packet that was lost, as it was sent but for the extensions that are not protected.
    pub fn poll_recovered(&mut self) -> Option<Vec<u8>> {
        self.recovered.pop_front()
    }

    fn find(&self, sequence: u16) -> Option<&[u8]> {
        let found = self.packets.iter().rev().find(|(known, _)| *known == sequence);
        found.map(|(_, packet)| &packet[..])
    }

    fn remember(&mut self, sequence: u16, packet: Vec<u8>) {
        if self.packets.len() == MOST_PACKETS {
            self.packets.pop_front();
        }
        self.packets.push_back((sequence, packet));
    }

    /// Makes whatever can be made; each packet may be what another parity lacked.
    fn recover(&mut self) {
        while let Some((at, lost)) = self.usable() {
            let Some((header, len, payload)) = self.parity.remove(at) else { return };
            let Some(sequence) = lost else { continue };
            let Some(packet) = self.make(header, sequence, len, &payload) else { continue };
            self.recovered.push_back(packet.clone());
            if self.recovered.len() > MOST_PACKETS {
                self.recovered.pop_front();
            }
            self.remember(sequence, packet);
        }
    }

    /// A parity that is done with: one packet is missing, or none.
    fn usable(&self) -> Option<(usize, Option<u16>)> {
        self.parity.iter().enumerate().find_map(|(at, (header, ..))| {
            let mut missing = header.packets().filter(|sequence| self.find(*sequence).is_none());
            let first = missing.next();
            missing.next().is_none().then_some((at, first))
        })
    }

    fn make(&self, header: Header, lost: u16, len: usize, payload: &[u8]) -> Option<Vec<u8>> {
        let mut recovery = *payload.first_chunk::<RECOVERY_LEN>()?;
        let mut packet = vec![0; FIXED_LEN + payload.len() - len];
        packet[FIXED_LEN..].copy_from_slice(&payload[len..]);
        for sequence in header.packets().filter(|sequence| *sequence != lost) {
            let other = self.find(sequence)?;
            if other.len() > packet.len() {
                // Parity is as long as the longest that it was made of.
                return None;
            }
            add(other, &mut recovery, &mut packet[FIXED_LEN..]);
        }
        let [first, second, len @ .., t0, t1, t2, t3] = recovery;
        let len = FIXED_LEN + usize::from(u16::from_be_bytes(len));
        if len > packet.len() {
            return None;
        }
        packet.truncate(len);
        packet[..2].copy_from_slice(&[first & 0x3f | 0x80, second]);
        packet[2..4].copy_from_slice(&lost.to_be_bytes());
        packet[4..8].copy_from_slice(&[t0, t1, t2, t3]);
        packet[8..FIXED_LEN].copy_from_slice(&self.ssrc.to_be_bytes());
        Packet::parse(&packet).ok().map(|_| ())?;
        Some(packet)
    }
}
