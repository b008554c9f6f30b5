//! Video packets between the engine and the network: when each leaves, and which never does.
//!
//! str0m has a pacer and an estimator of its own, for film; they are told to stand aside. What feedback says of single
//! packets goes to [`Congestion`] instead.

use std::time::Duration;

use farpane_media::{Bitrate, Time};
use farpane_proto::rate::{Congestion, Pacer};
use farpane_proto::{MAX_PAYLOAD, PacketMeta};

/// The number of a packet, and when it arrived by the receiver's clock, if it did.
pub(crate) type Fate = (u64, Option<Duration>);

/// Beside the packet itself: IPv4 and UDP headers, and the tag of SRTP (RFC 7714).
const OVERHEAD: usize = 20 + 8 + 16;
/// RTP header and extensions, of packets that are not written yet.
const HEADERS: usize = 40;
/// What parity has beside the payload that it was made of.
const PARITY_HEADERS: usize = 80;
/// Between programs of one machine nothing limits the rate but the machine.
const SAME_MACHINE: Bitrate = Bitrate::mbps(40);
/// Smaller changes of the estimate are not worth telling, in percent.
const STEP: u64 = 3;

/// See the module.
pub(crate) struct Outbox {
    pacer: Pacer<Packet>,
    congestion: Congestion,
    told: Bitrate,
    /// Bytes of parity that follow each byte of pictures.
    parity: f64,
    /// Nothing is given up that is shorter, in bytes.
    restart_cost: u64,
    /// Nothing is held back.
    unpaced: bool,
    /// All is: the way there takes nothing now.
    blocked: bool,
    /// Packets to be filled again.
    spare: Vec<Vec<u8>>,
}

pub(crate) struct Packet {
    pub meta: PacketMeta,
    /// Not of pictures but of parity; then only the time of the last picture in it counts.
    pub parity: bool,
    pub payload: Vec<u8>,
}

impl Packet {
    /// Its memory, for another.
    fn emptied(mut self) -> Vec<u8> {
        self.payload.clear();
        self.payload
    }
}

impl Outbox {
    pub(crate) fn new(estimate: Bitrate) -> Outbox {
        Outbox {
            pacer: Pacer::default(),
            congestion: Congestion::new(estimate),
            told: estimate,
            parity: 0.0,
            restart_cost: 0,
            unpaced: false,
            blocked: false,
            spare: Vec::new(),
        }
    }

    pub(crate) fn set_restart_cost(&mut self, bytes: u64) {
        self.restart_cost = bytes;
    }

    pub(crate) fn set_unpaced(&mut self, unpaced: bool) {
        self.unpaced = unpaced;
    }

    pub(crate) fn set_blocked(&mut self, blocked: bool) {
        self.blocked = blocked;
    }

    pub(crate) fn set_parity(&mut self, share: f64) {
        self.parity = share;
    }

    pub(crate) fn push(&mut self, now: Time, payload: &[u8], meta: PacketMeta) {
        let mut packet = self.empty();
        packet.extend_from_slice(payload);
        let bytes = payload.len() + HEADERS + OVERHEAD;
        let packet = Packet { meta, parity: false, payload: packet };
        self.pacer.push(now, bytes, meta.marker, packet);
    }

    /// Parity, which goes before the pictures that wait.
    pub(crate) fn push_parity(
        &mut self,
        now: Time,
        rtp_time: u32,
        fill: impl FnOnce(&mut Vec<u8>),
    ) {
        let mut payload = self.empty();
        fill(&mut payload);
        let bytes = payload.len() + HEADERS + OVERHEAD;
        let meta = PacketMeta { rtp_time, ..PacketMeta::default() };
        let packet = Packet { meta, parity: true, payload };
        self.pacer.push_first(now, bytes, packet);
    }

    fn empty(&mut self) -> Vec<u8> {
        self.spare.pop().unwrap_or_else(|| Vec::with_capacity(MAX_PAYLOAD + PARITY_HEADERS))
    }

    /// The next packet that may leave; to be given back.
    pub(crate) fn pop(&mut self, now: Time) -> Option<Packet> {
        let pace = if self.unpaced { Bitrate::bps(u64::MAX) } else { self.congestion.pace() };
        self.pacer.pop(now, pace, self.room())
    }

    /// What may leave now, in bytes.
    fn room(&self) -> u64 {
        match (self.blocked, self.unpaced) {
            (true, _) => 0,
            (false, true) => u64::MAX,
            (false, false) => self.congestion.room(),
        }
    }

    pub(crate) fn give_back(&mut self, packet: Packet) {
        self.spare.push(packet.emptied());
    }

    /// Gives up what waits if it is stale; returns whether it was.
    pub(crate) fn give_up(&mut self, now: Time) -> bool {
        if self.pacer.bytes() <= self.restart_cost {
            return false;
        }
        let before = self.spare.len();
        let given_up = self.pacer.give_up(now, |packet| packet.meta.key_frame);
        self.spare.extend(given_up.map(Packet::emptied));
        self.spare.len() > before
    }

    /// A packet has left under a transport-wide number.
    pub(crate) fn handle_sent(&mut self, now: Time, number: u64, bytes: usize) {
        self.congestion.handle_sent(now, number, bytes + OVERHEAD);
    }

    /// The viewer says what came.
    pub(crate) fn handle_report(&mut self, now: Time, report: &[Fate]) {
        self.congestion.handle_report(now, report.iter().copied());
    }

    pub(crate) fn handle_timeout(&mut self, now: Time) {
        if self.congestion.poll_timeout() <= now {
            self.congestion.handle_timeout(now);
        }
    }

    pub(crate) fn poll_timeout(&self) -> Time {
        self.poll_departure().min(self.congestion.poll_timeout())
    }

    /// When the next packet may leave, for as long as nothing is reported.
    pub(crate) fn poll_departure(&self) -> Time {
        self.pacer.poll_timeout(self.room())
    }

    /// What the path is believed to carry.
    pub(crate) fn estimate(&self) -> Bitrate {
        match self.unpaced {
            true => self.congestion.estimate().max(SAME_MACHINE),
            false => self.congestion.estimate(),
        }
    }

    /// As measured, whatever is made of it.
    pub(crate) fn measured(&self) -> Bitrate {
        self.congestion.estimate()
    }

    /// What of the estimate is left for pictures, if it is worth telling again.
    pub(crate) fn poll_estimate(&mut self) -> Option<Bitrate> {
        let estimate = self.estimate() * (1.0 / (1.0 + self.parity));
        if estimate.as_bps().abs_diff(self.told.as_bps()) * 100 < self.told.as_bps() * STEP {
            return None;
        }
        self.told = estimate;
        Some(estimate)
    }

    pub(crate) fn packets(&self) -> usize {
        self.pacer.packets()
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.pacer.bytes()
    }

    pub(crate) fn oldest(&self) -> Option<Time> {
        self.pacer.oldest()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shorter_than_a_new_start_is_not_given_up() {
        let mut outbox = Outbox::new(Bitrate::kbps(100));
        let ms = Time::from_millis;
        for number in 0..20 {
            let meta = PacketMeta { marker: number == 19, ..PacketMeta::default() };
            outbox.push(ms(1), &[0; 1_000], meta);
        }
        outbox.set_restart_cost(30_000);
        assert!(!outbox.give_up(ms(2_000)));
        assert_eq!(outbox.packets(), 20);
        outbox.set_restart_cost(10_000);
        assert!(outbox.give_up(ms(2_000)));
        assert_eq!(outbox.packets(), 0);
    }
}
