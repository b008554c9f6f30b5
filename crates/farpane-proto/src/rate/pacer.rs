//! Packets that wait for their turn.
//!
//! The only queue of ours on a packet's way, so that its length is known, what is in it can still be dropped, and what
//! matters more can be put before it.

use std::collections::VecDeque;
use std::time::Duration;

use farpane_media::{Bitrate, Time};

/// What timers miss, in packets that then leave together.
const SLACK: Duration = Duration::from_millis(2);

/// See the module; `T` is a packet.
#[derive(Debug)]
pub struct Pacer<T> {
    queue: VecDeque<Waiting<T>>,
    bytes: u64,
    /// When the next packet has its turn.
    next: Time,
}

#[derive(Debug)]
struct Waiting<T> {
    since: Time,
    bytes: usize,
    packet: T,
}

impl<T> Default for Pacer<T> {
    fn default() -> Pacer<T> {
        Pacer { queue: VecDeque::new(), bytes: 0, next: Time::ZERO }
    }
}

impl<T> Pacer<T> {
    /// `bytes` is what the packet takes of the path.
    pub fn push(&mut self, now: Time, bytes: usize, packet: T) {
        self.bytes += bytes as u64;
        self.queue.push_back(Waiting { since: now, bytes, packet });
    }

    /// The next packet, if it has its turn at `pace` and there is `room` for it on the way.
    pub fn pop(&mut self, now: Time, pace: Bitrate, room: u64) -> Option<T> {
        if self.next > now || room < self.queue.front()?.bytes as u64 {
            return None;
        }
        let Waiting { bytes, packet, .. } = self.queue.pop_front()?;
        self.bytes -= bytes as u64;
        let earliest = Time::from_nanos(now.as_nanos().saturating_sub(SLACK.as_nanos() as u64));
        self.next = self.next.max(earliest) + pace.time_of(bytes as u64);
        Some(packet)
    }

    /// When the next packet has its turn, if there is `room` for it then.
    pub fn poll_timeout(&self, room: u64) -> Time {
        match self.queue.front() {
            Some(next) if room >= next.bytes as u64 => self.next,
            _ => Time::NEVER,
        }
    }

    pub fn packets(&self) -> usize {
        self.queue.len()
    }

    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Since when the first packet waits.
    pub fn oldest(&self) -> Option<Time> {
        self.queue.front().map(|next| next.since)
    }

    /// From the first to the last.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.queue.iter().map(|waiting| &waiting.packet)
    }

    /// Takes out the first packet although it has not had its turn.
    pub fn drop_oldest(&mut self) -> Option<T> {
        let Waiting { bytes, packet, .. } = self.queue.pop_front()?;
        self.bytes -= bytes as u64;
        Some(packet)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACE: Bitrate = Bitrate::mbps(8);

    fn ms(millis: u64) -> Time {
        Time::from_millis(millis)
    }

    #[test]
    fn packets_leave_at_the_pace_whatever_timers_miss() {
        let mut pacer = Pacer::default();
        (0..10).for_each(|number| pacer.push(ms(100), 1_000, number));
        let mut left = Vec::new();
        // A timer that is up to a millisecond late; a packet takes one.
        for now in [100, 102, 103, 105, 106, 108, 109, 120] {
            while let Some(number) = pacer.pop(ms(now), PACE, u64::MAX) {
                left.push((now, number));
            }
        }
        let at = |time: u64| left.iter().filter(|(now, _)| *now <= time).count();
        assert_eq!((at(100), at(103), at(106), at(120)), (3, 6, 9, 10));
        assert!(left.iter().map(|(_, number)| number).is_sorted());
    }

    #[test]
    fn nothing_leaves_without_room() {
        let mut pacer = Pacer::default();
        pacer.push(ms(1), 1_000, 'a');
        assert_eq!((pacer.pop(ms(5), PACE, 999), pacer.poll_timeout(999)), (None, Time::NEVER));
        assert!(pacer.poll_timeout(1_000) <= ms(5));
        assert_eq!((pacer.packets(), pacer.bytes(), pacer.oldest()), (1, 1_000, Some(ms(1))));
        assert_eq!(pacer.pop(ms(5), PACE, 1_000), Some('a'));
        assert_eq!((pacer.packets(), pacer.bytes(), pacer.oldest()), (0, 0, None));
    }

    #[test]
    fn what_is_dropped_takes_no_time() {
        let mut pacer = Pacer::default();
        (0..5).for_each(|number| pacer.push(ms(1), 1_000, number));
        assert!(pacer.iter().copied().eq(0..5));
        while pacer.drop_oldest().is_some() {}
        pacer.push(ms(2), 1_000, 9);
        assert_eq!((pacer.bytes(), pacer.pop(ms(2), PACE, u64::MAX)), (1_000, Some(9)));
    }
}
