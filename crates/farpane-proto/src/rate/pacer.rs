//! Packets that wait for their turn.
//!
//! The only queue of ours on a packet's way, so that its length is known, what is in it can still be dropped, and what
//! matters more can be put before it.

use std::collections::VecDeque;
use std::time::Duration;

use farpane_media::{Bitrate, Time};

/// What timers miss, in packets that then leave together.
const SLACK: Duration = Duration::from_millis(2);
/// What could not leave for so long is stale.
const STALE: Duration = Duration::from_millis(250);

/// See the module; `T` is a packet.
#[derive(Debug)]
pub struct Pacer<T> {
    queue: VecDeque<Waiting<T>>,
    bytes: u64,
    /// When the next packet has its turn.
    next: Time,
    /// A whole picture has left since some were given up.
    progress: bool,
}

#[derive(Debug)]
struct Waiting<T> {
    since: Time,
    bytes: usize,
    last: bool,
    packet: T,
}

impl<T> Default for Pacer<T> {
    fn default() -> Pacer<T> {
        Pacer { queue: VecDeque::new(), bytes: 0, next: Time::ZERO, progress: true }
    }
}

impl<T> Pacer<T> {
    /// `bytes` is what the packet takes of the path; it may be the `last` of a picture.
    pub fn push(&mut self, now: Time, bytes: usize, last: bool, packet: T) {
        self.bytes += bytes as u64;
        self.queue.push_back(Waiting { since: now, bytes, last, packet });
    }

    /// A packet that goes before all that wait, and is as old as the first of them.
    pub fn push_first(&mut self, now: Time, bytes: usize, packet: T) {
        self.bytes += bytes as u64;
        let since = self.oldest().unwrap_or(now);
        self.queue.push_front(Waiting { since, bytes, last: false, packet });
    }

    /// The next packet, if it has its turn at `pace` and there is `room` for it on the way.
    pub fn pop(&mut self, now: Time, pace: Bitrate, room: u64) -> Option<T> {
        if self.next > now || room < self.queue.front()?.bytes as u64 {
            return None;
        }
        let Waiting { bytes, last, packet, .. } = self.queue.pop_front()?;
        self.bytes -= bytes as u64;
        self.progress |= last;
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

    /// Gives up all that waits if the oldest of it is stale, and returns it.
    ///
    /// What is coded next, for the path as it is now, is smaller and newer. Not while something `vital` waits, on which
    /// everything builds, nor twice before a whole picture has left.
    pub fn give_up(
        &mut self,
        now: Time,
        vital: impl Fn(&T) -> bool,
    ) -> impl ExactSizeIterator<Item = T> {
        let stale = self.oldest().is_some_and(|since| now.since(since) >= STALE);
        let vital = || self.queue.iter().any(|waiting| vital(&waiting.packet));
        let gives_up = stale && self.progress && !vital();
        if gives_up {
            (self.progress, self.bytes) = (false, 0);
        }
        let count = if gives_up { self.queue.len() } else { 0 };
        self.queue.drain(..count).map(|waiting| waiting.packet)
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
        (0..10).for_each(|number| pacer.push(ms(100), 1_000, true, number));
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
        pacer.push(ms(1), 1_000, true, 'a');
        assert_eq!((pacer.pop(ms(5), PACE, 999), pacer.poll_timeout(999)), (None, Time::NEVER));
        assert!(pacer.poll_timeout(1_000) <= ms(5));
        assert_eq!((pacer.packets(), pacer.bytes(), pacer.oldest()), (1, 1_000, Some(ms(1))));
        assert_eq!(pacer.pop(ms(5), PACE, 1_000), Some('a'));
        assert_eq!((pacer.packets(), pacer.bytes(), pacer.oldest()), (0, 0, None));
    }

    #[test]
    fn what_goes_first_makes_nothing_younger() {
        let mut pacer = Pacer::default();
        pacer.push(ms(1), 1_000, true, 'b');
        pacer.push_first(ms(5), 500, 'a');
        assert_eq!((pacer.bytes(), pacer.oldest()), (1_500, Some(ms(1))));
        assert_eq!([(); 2].map(|()| pacer.pop(ms(9), PACE, u64::MAX)), [Some('a'), Some('b')]);
        pacer.push_first(ms(10), 500, 'c');
        assert_eq!(pacer.oldest(), Some(ms(10)));
    }

    #[test]
    fn what_is_given_up_takes_no_time() {
        let mut pacer = Pacer::default();
        (0..5).for_each(|number| pacer.push(ms(1), 1_000, true, number));
        assert!(pacer.give_up(ms(1) + STALE, |_| false).eq(0..5));
        pacer.push(ms(2), 1_000, true, 9);
        assert_eq!((pacer.bytes(), pacer.pop(ms(2), PACE, u64::MAX)), (1_000, Some(9)));
    }

    #[test]
    fn only_what_is_stale_is_given_up_and_nothing_vital_nor_twice_in_a_row() {
        let mut pacer = Pacer::default();
        let wait = |pacer: &mut Pacer<u8>, last| pacer.push(ms(1), 1_000, last, 7);
        let given_up = |pacer: &mut Pacer<u8>, at, vital| pacer.give_up(at, |_| vital).len();
        let late = ms(1) + STALE;
        wait(&mut pacer, false);
        assert_eq!(given_up(&mut pacer, ms(200), false), 0);
        assert_eq!(given_up(&mut pacer, late, true), 0);
        assert_eq!(given_up(&mut pacer, late, false), 1);
        wait(&mut pacer, false);
        assert_eq!(given_up(&mut pacer, late, false), 0, "nothing has left since");
        assert_eq!(pacer.pop(late, PACE, u64::MAX), Some(7));
        wait(&mut pacer, true);
        assert_eq!(given_up(&mut pacer, late, false), 0, "no whole picture has");
        assert_eq!(pacer.pop(late + STALE, PACE, u64::MAX), Some(7));
        wait(&mut pacer, false);
        assert_eq!(given_up(&mut pacer, late, false), 1);
    }
}
