//! Video packets between the engine and str0m: when each leaves, and which never does.
//!
//! str0m has a pacer and an estimator of its own, for film; they are told to stand aside. What its feedback says of single
//! packets goes to [`Congestion`] instead.

use farpane_media::{Bitrate, Time};
use farpane_proto::rate::{Congestion, Pacer};
use farpane_proto::{MAX_PAYLOAD, PacketMeta};

use super::feedback::Fate;

/// Beside the packet itself: IPv4 and UDP headers, and the tag of SRTP (RFC 7714).
const OVERHEAD: usize = 20 + 8 + 16;
/// RTP header and extensions, of packets that are not written yet.
const HEADERS: usize = 40;
/// Between programs of one machine nothing limits the rate but the machine.
const SAME_MACHINE: Bitrate = Bitrate::mbps(40);
/// Smaller changes of the estimate are not worth telling, in percent.
const STEP: u64 = 3;

/// See the module.
pub(super) struct Outbox {
    pacer: Pacer<Packet>,
    congestion: Congestion,
    told: Bitrate,
    /// Nothing is held back.
    unpaced: bool,
    /// Packets to be filled again.
    spare: Vec<Vec<u8>>,
}

pub(super) struct Packet {
    pub meta: PacketMeta,
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
    pub(super) fn new(estimate: Bitrate) -> Outbox {
        Outbox {
            pacer: Pacer::default(),
            congestion: Congestion::new(estimate),
            told: estimate,
            unpaced: false,
            spare: Vec::new(),
        }
    }

    pub(super) fn set_unpaced(&mut self, unpaced: bool) {
        self.unpaced = unpaced;
    }

    pub(super) fn push(&mut self, now: Time, payload: &[u8], meta: PacketMeta) {
        let mut packet =
            self.spare.pop().unwrap_or_else(|| Vec::with_capacity(MAX_PAYLOAD.max(payload.len())));
        packet.extend_from_slice(payload);
        let bytes = payload.len() + HEADERS + OVERHEAD;
        self.pacer.push(now, bytes, meta.marker, Packet { meta, payload: packet });
    }

    /// The next packet that may leave; to be given back.
    pub(super) fn pop(&mut self, now: Time) -> Option<Packet> {
        match self.unpaced {
            true => self.pacer.pop(now, Bitrate::bps(u64::MAX), u64::MAX),
            false => self.pacer.pop(now, self.congestion.pace(), self.congestion.room()),
        }
    }

    pub(super) fn give_back(&mut self, packet: Packet) {
        self.spare.push(packet.emptied());
    }

    /// Gives up what waits if it is stale; returns whether it was.
    pub(super) fn give_up(&mut self, now: Time) -> bool {
        let before = self.spare.len();
        let given_up = self.pacer.give_up(now, |packet| packet.meta.key_frame);
        self.spare.extend(given_up.map(Packet::emptied));
        self.spare.len() > before
    }

    /// A packet has left under a transport-wide number.
    pub(super) fn handle_sent(&mut self, now: Time, number: u64, bytes: usize) {
        self.congestion.handle_sent(now, number, bytes + OVERHEAD);
    }

    /// The viewer says what came.
    pub(super) fn handle_report(&mut self, now: Time, report: &[Fate]) {
        self.congestion.handle_report(now, report.iter().copied());
    }

    pub(super) fn handle_timeout(&mut self, now: Time) {
        if self.congestion.poll_timeout() <= now {
            self.congestion.handle_timeout(now);
        }
    }

    pub(super) fn poll_timeout(&self) -> Time {
        let room = if self.unpaced { u64::MAX } else { self.congestion.room() };
        self.pacer.poll_timeout(room).min(self.congestion.poll_timeout())
    }

    /// What the path is believed to carry.
    pub(super) fn estimate(&self) -> Bitrate {
        match self.unpaced {
            true => self.congestion.estimate().max(SAME_MACHINE),
            false => self.congestion.estimate(),
        }
    }

    /// As measured, whatever is made of it.
    pub(super) fn measured(&self) -> Bitrate {
        self.congestion.estimate()
    }

    /// The estimate, if it is worth telling again.
    pub(super) fn poll_estimate(&mut self) -> Option<Bitrate> {
        let estimate = self.estimate();
        if estimate.as_bps().abs_diff(self.told.as_bps()) * 100 < self.told.as_bps() * STEP {
            return None;
        }
        self.told = estimate;
        Some(estimate)
    }

    pub(super) fn packets(&self) -> usize {
        self.pacer.packets()
    }

    pub(super) fn bytes(&self) -> u64 {
        self.pacer.bytes()
    }

    pub(super) fn oldest(&self) -> Option<Time> {
        self.pacer.oldest()
    }
}
