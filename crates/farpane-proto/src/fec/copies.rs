//! Small pictures once more: parity of single packets, which is a copy of each, a little after the packet itself.
//!
//! While somebody types, a picture is a packet or two. As much parity as gets lost is then less than one packet for each
//! picture, which either is sent for all of it or not at all; and when the last packet before a pause gets lost, the receiver
//! does not even know that it lacks one. On the other hand such a picture takes next to nothing of the path: a copy of each
//! costs little, and arrives long before what would be asked for.

use std::collections::VecDeque;
use std::time::Duration;

use farpane_media::{Bitrate, Time};

use super::Protector;
use crate::rtp::Packet;

/// A picture of more packets is no small one.
const MOST_PACKETS: usize = 2;
/// When copies follow: apart from the packet and from each other, as packets that are close get lost together.
const DELAYS: [Duration; 3] =
    [Duration::from_millis(15), Duration::from_millis(40), Duration::from_millis(80)];
/// So much of what the path carries may go into copies, and as much of it at once as it carries in [`AT_ONCE`].
const SHARE: f64 = 0.1;
const AT_ONCE: Duration = Duration::from_millis(50);
/// Beside the packet: the header of parity, and those below.
const HEADERS: usize = 80;

/// What is to follow. See the module.
#[derive(Debug, Default)]
pub struct Copies {
    protector: Protector,
    /// Of the picture that is being sent.
    picture: Vec<Duplicate>,
    of_picture: usize,
    /// By when they are due.
    waiting: VecDeque<(Time, Duplicate)>,
    /// Bytes that may be sent, as of then.
    credit: f64,
    as_of: Time,
}

/// The payload of a parity packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Duplicate {
    /// Transport-wide, of the packet.
    number: u64,
    pub rtp_time: u32,
    pub payload: Vec<u8>,
}

impl Copies {
    /// Of one packet.
    pub const MOST: usize = DELAYS.len();

    /// A packet was sent under a transport-wide number: all of it, before encryption. Extensions of the `volatile`
    /// identifiers are left out. `times` copies of it are wanted, [`Copies::MOST`] at most.
    pub fn handle_sent(
        &mut self,
        now: Time,
        number: u64,
        packet: &[u8],
        volatile: &[u8],
        times: usize,
        estimate: Bitrate,
    ) {
        let Ok(Packet { header, .. }) = Packet::parse(packet) else { return };
        self.of_picture += 1;
        if times > 0 && self.of_picture <= MOST_PACKETS {
            self.protector.clear();
            self.protector.handle_sent(now, packet, volatile);
            let mut payload = Vec::new();
            self.protector.write(0, 1, &mut payload);
            self.picture.push(Duplicate { number, rtp_time: header.time, payload });
        }
        if !header.marker {
            return;
        }
        let small = self.of_picture <= MOST_PACKETS;
        self.of_picture = 0;
        let picture = std::mem::take(&mut self.picture);
        self.earn(now, estimate);
        if !small || picture.is_empty() {
            return;
        }
        let bytes = picture.iter().map(|copy| copy.payload.len() + HEADERS).sum::<usize>() as f64;
        let times = times.min(Copies::MOST).min((self.credit / bytes) as usize);
        self.credit -= bytes * times as f64;
        for delay in &DELAYS[..times] {
            let due = now + *delay;
            let at = self.waiting.partition_point(|(other, _)| *other <= due);
            picture.iter().rev().for_each(|copy| self.waiting.insert(at, (due, copy.clone())));
        }
    }

    fn earn(&mut self, now: Time, estimate: Bitrate) {
        let rate = estimate.as_bps() as f64 / 8.0;
        let earned = now.since(self.as_of).as_secs_f64() * rate * SHARE;
        self.credit = (self.credit + earned).min(AT_ONCE.as_secs_f64() * rate);
        self.as_of = now;
    }

    /// The packet of this transport-wide number is there, and needs no more copies.
    pub fn handle_arrival(&mut self, number: u64) {
        self.waiting.retain(|(_, copy)| copy.number != number);
    }

    /// When the next copy is due.
    pub fn poll_timeout(&self) -> Time {
        self.waiting.front().map_or(Time::NEVER, |(due, _)| *due)
    }

    /// The next copy, once it is due.
    pub fn poll(&mut self, now: Time) -> Option<Duplicate> {
        self.waiting.pop_front_if(|(due, _)| *due <= now).map(|(_, copy)| copy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fec::Recoverer;
    use crate::rtp::Header;

    const PLENTY: Bitrate = Bitrate::mbps(100);

    fn packet(sequence: u16, marker: bool) -> Vec<u8> {
        let header = Header { marker, sequence, ssrc: 7, time: 90, ..Header::default() };
        let mut packet = vec![sequence as u8; 1_000];
        header.write(&[], &mut packet).unwrap();
        packet
    }

    /// Sends a picture of so many packets, numbered from 0.
    fn send(copies: &mut Copies, now: Time, packets: u16, times: usize, estimate: Bitrate) {
        for sequence in 0..packets {
            let packet = packet(sequence, sequence + 1 == packets);
            copies.handle_sent(now, sequence.into(), &packet, &[], times, estimate);
        }
    }

    /// When copies come, and of which packets.
    fn all(copies: &mut Copies) -> Vec<(u64, u64)> {
        std::iter::from_fn(|| {
            let due = copies.poll_timeout();
            assert_eq!(copies.poll(Time::from_nanos(due.as_nanos() - 1)), None);
            let copy = copies.poll(due)?;
            Some((due.as_nanos() / 1_000_000, copy.number))
        })
        .collect()
    }

    #[test]
    fn each_packet_of_a_small_picture_comes_again() {
        let mut copies = Copies::default();
        send(&mut copies, Time::from_millis(10), 2, 3, PLENTY);
        assert_eq!(all(&mut copies), [(25, 0), (25, 1), (50, 0), (50, 1), (90, 0), (90, 1)]);
        send(&mut copies, Time::from_millis(100), 1, 1, PLENTY);
        assert_eq!(all(&mut copies), [(115, 0)]);
        send(&mut copies, Time::from_millis(100), 1, 0, PLENTY);
        send(&mut copies, Time::from_millis(100), 3, 3, PLENTY);
        assert_eq!(copies.poll_timeout(), Time::NEVER);
    }

    #[test]
    fn a_receiver_makes_the_packet_of_it() {
        let mut copies = Copies::default();
        send(&mut copies, Time::from_millis(100), 2, 1, PLENTY);
        let mut recoverer = Recoverer::new(7, &[]);
        recoverer.handle_packet(&packet(0, false));
        while let Some(copy) = copies.poll(Time::from_millis(115)) {
            assert_eq!(copy.rtp_time, 90);
            recoverer.handle_parity(&copy.payload);
        }
        assert_eq!(recoverer.poll_recovered(), Some(packet(1, true)));
        assert_eq!(recoverer.poll_recovered(), None);
    }

    #[test]
    fn what_has_arrived_does_not_come_again() {
        let mut copies = Copies::default();
        send(&mut copies, Time::from_millis(100), 2, 3, PLENTY);
        copies.handle_arrival(0);
        assert_eq!(all(&mut copies), [(115, 1), (140, 1), (180, 1)]);
    }

    #[test]
    fn a_tenth_of_the_path_is_the_most() {
        let (mut copies, mut sent) = (Copies::default(), 0);
        for picture in 0..1_000 {
            let now = Time::from_millis(picture * 10);
            send(&mut copies, now, 2, 3, Bitrate::kbps(800));
            while let Some(copy) = copies.poll(now) {
                sent += copy.payload.len() + HEADERS;
            }
        }
        // 10 kB/s for ten seconds, and 5 kB at once.
        assert!((90_000..105_000).contains(&sent), "{sent}");
    }
}
