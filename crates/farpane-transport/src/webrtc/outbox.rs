//! Video packets between the engine and str0m: when each leaves, and which never does.
//!
//! str0m has a pacer and an estimator of its own, for film; they are told to stand aside. What its feedback says of single
//! packets goes to [`Congestion`] instead.

use std::time::{Duration, Instant};

use farpane_media::{Bitrate, Time};
use farpane_proto::rate::{Congestion, Pacer};
use farpane_proto::{MAX_PAYLOAD, PacketMeta};
use str0m::rtp::rtcp::Twcc;

/// Beside the packet itself: IPv4 and UDP headers, and the tag of SRTP (RFC 7714).
const OVERHEAD: usize = 20 + 8 + 16;
/// RTP header and extensions, of packets that are not written yet.
const HEADERS: usize = 40;
/// Between programs of one machine nothing limits the rate but the machine.
const SAME_MACHINE: Bitrate = Bitrate::mbps(40);
/// Smaller changes of the estimate are not worth telling, in percent.
const STEP: u64 = 3;
/// Pictures that could not leave for so long are given up, if there are others to go on from.
const STALE: Duration = Duration::from_millis(250);

/// See the module.
pub(super) struct Outbox {
    pacer: Pacer<Packet>,
    congestion: Congestion,
    told: Bitrate,
    /// Nothing is held back.
    unpaced: bool,
    /// A whole picture has left since some were given up.
    progress: bool,
    /// Packets to be filled again.
    spare: Vec<Vec<u8>>,
    /// What the receiver's clock counts from, as far as anybody here knows.
    epoch: Instant,
    /// The last transport-wide number.
    number: Option<u64>,
}

pub(super) struct Packet {
    pub meta: PacketMeta,
    pub payload: Vec<u8>,
}

impl Outbox {
    pub(super) fn new(now: Instant, estimate: Bitrate) -> Outbox {
        Outbox {
            pacer: Pacer::default(),
            congestion: Congestion::new(estimate),
            told: estimate,
            unpaced: false,
            progress: true,
            spare: Vec::new(),
            epoch: now,
            number: None,
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
        self.pacer.push(now, bytes, Packet { meta, payload: packet });
    }

    /// The next packet that may leave; to be given back.
    pub(super) fn pop(&mut self, now: Time) -> Option<Packet> {
        let packet = match self.unpaced {
            true => self.pacer.pop(now, Bitrate::bps(u64::MAX), u64::MAX)?,
            false => self.pacer.pop(now, self.congestion.pace(), self.congestion.room())?,
        };
        self.progress |= packet.meta.marker;
        Some(packet)
    }

    pub(super) fn give_back(&mut self, mut packet: Packet) {
        packet.payload.clear();
        self.spare.push(packet.payload);
    }

    /// Gives up what waits if it is stale; returns whether it was.
    ///
    /// What is coded next, for the path as it is now, is smaller and newer. A picture that everything builds on is never
    /// given up, nor two in a row.
    pub(super) fn give_up(&mut self, now: Time) -> bool {
        let stale = self.pacer.oldest().is_some_and(|since| now.since(since) >= STALE);
        if !stale || !self.progress || self.pacer.iter().any(|packet| packet.meta.key_frame) {
            return false;
        }
        self.progress = false;
        while let Some(packet) = self.pacer.drop_oldest() {
            self.give_back(packet);
        }
        true
    }

    /// A packet has left under a transport-wide number, of which these are the last bits.
    pub(super) fn handle_sent(&mut self, now: Time, number: u16, bytes: usize) {
        let expected = self.number.map_or(0, |last| last + 1);
        let number =
            expected.saturating_add_signed(i64::from(number.wrapping_sub(expected as u16) as i16));
        self.number = Some(number);
        self.congestion.handle_sent(now, number, bytes + OVERHEAD);
    }

    pub(super) fn handle_feedback(&mut self, now: Time, feedback: Twcc) {
        let expected = self.number.map_or(0, |last| last + 1);
        let report = feedback.into_iter(self.epoch, expected.into());
        let epoch = self.epoch;
        self.congestion.handle_report(
            now,
            report.map(|(number, _, at)| (*number, at.map(|at| at.duration_since(epoch)))),
        );
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
