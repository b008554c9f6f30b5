//! One direction of a path: a queue, a sender of a given rate, and what happens on the way.
//!
//! A datagram waits until those before it are sent, takes its bits' time to be sent, is lost or not, and arrives after the
//! delay. Fates are drawn in the order of sending, so they do not depend on how often the link is asked.

use std::cmp::Ordering;
use std::collections::{BinaryHeap, VecDeque};
use std::time::Duration;

use farpane_media::Time;

use crate::path::{Limit, Loss, Overflow, Path, Phase, Schedule};
use crate::random::Random;

/// What jitter is at one moment has nothing to do with what it is two of these later.
const WANDER: Duration = Duration::from_millis(10);

/// Datagrams of `bytes` bytes in all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub datagrams: u64,
    pub bytes: u64,
}

impl Tally {
    fn add(&mut self, bytes: usize) {
        self.datagrams += 1;
        self.bytes += bytes as u64;
    }
}

/// What has become of all datagrams so far; those that wait or are on their way are in `offered` only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    pub offered: Tally,
    /// The queue was full.
    pub dropped: Tally,
    /// Lost on the way.
    pub lost: Tally,
    pub arrived: Tally,
}

/// One direction of a path. `T` is what a datagram is to the caller.
#[derive(Debug)]
pub struct Link<T> {
    schedule: Schedule,
    limit: Limit,
    overflow: Overflow,
    random: Random,
    /// What jitter is drawn from.
    seed: u64,
    /// The time of the latest call; others are taken for no earlier.
    now: Time,
    queue: VecDeque<Waiting<T>>,
    queued: u64,
    /// When the sender is done with what it sends.
    free: Time,
    /// All that follows is lost until this ends (Gilbert's bad state).
    losing: bool,
    /// Arrival of the latest datagram that keeps the order, and the delay it was sent with.
    latest: (Time, Duration),
    sent: u64,
    way: BinaryHeap<Travelling<T>>,
    counters: Counters,
}

#[derive(Debug)]
struct Waiting<T> {
    since: Time,
    bytes: usize,
    payload: T,
}

#[derive(Debug)]
struct Travelling<T> {
    arrives: Time,
    /// Counts what was sent; the earlier is first when two arrive at once.
    number: u64,
    bytes: usize,
    payload: T,
}

impl<T> Link<T> {
    /// # Panics
    /// As [`Schedule::new`].
    pub fn new(phases: &[Phase], limit: Limit, overflow: Overflow, seed: u64) -> Link<T> {
        Link {
            schedule: Schedule::new(phases),
            limit,
            overflow,
            random: Random::new(seed),
            seed: Random::new(!seed).bits(),
            now: Time::ZERO,
            queue: VecDeque::new(),
            queued: 0,
            free: Time::ZERO,
            losing: false,
            latest: (Time::ZERO, Duration::ZERO),
            sent: 0,
            way: BinaryHeap::new(),
            counters: Counters::default(),
        }
    }

    /// Takes a datagram that is given to the link at `now`. `bytes` is what the rate counts, headers included.
    pub fn handle_datagram(&mut self, now: Time, bytes: usize, payload: T) {
        self.advance(now);
        self.counters.offered.add(bytes);
        while !self.queue.is_empty() && self.queued + bytes as u64 > self.limit_bytes() {
            match self.overflow {
                Overflow::Tail => return self.counters.dropped.add(bytes),
                Overflow::Head => {
                    let oldest = self.queue.pop_front().expect("the queue is not empty");
                    self.queued -= oldest.bytes as u64;
                    self.counters.dropped.add(oldest.bytes);
                }
            }
        }
        self.queued += bytes as u64;
        self.queue.push_back(Waiting { since: self.now, bytes, payload });
        self.advance(now);
    }

    /// The next datagram that has arrived by `now`, and when it did.
    pub fn poll_arrival(&mut self, now: Time) -> Option<(Time, T)> {
        self.advance(now);
        if self.way.peek()?.arrives > self.now {
            return None;
        }
        let Travelling { arrives, bytes, payload, .. } = self.way.pop()?;
        self.counters.arrived.add(bytes);
        Some((arrives, payload))
    }

    /// When to ask again, if nothing is sent before; [`Time::NEVER`] when the link is empty.
    pub fn poll_timeout(&self) -> Time {
        let arrives = self.way.peek().map_or(Time::NEVER, |next| next.arrives);
        // When the next in the queue arrives is drawn as it is sent.
        let sends = if self.queue.is_empty() { Time::NEVER } else { self.free };
        arrives.min(sends)
    }

    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Bytes that wait, without what is being sent, as of the latest call.
    pub fn queued(&self) -> u64 {
        self.queued
    }

    /// The path at `now`.
    pub fn path(&self, now: Time) -> &Path {
        self.schedule.at(now)
    }

    /// Sends what has its turn by `now`.
    fn advance(&mut self, now: Time) {
        self.now = self.now.max(now);
        while self.free <= self.now
            && let Some(next) = self.queue.pop_front()
        {
            self.queued -= next.bytes as u64;
            self.send(next);
        }
    }

    fn send(&mut self, Waiting { since, bytes, payload }: Waiting<T>) {
        let sent = self.schedule.sent(self.free.max(since), bytes);
        self.free = sent;
        let path = *self.schedule.at(sent);
        if self.is_lost(path.loss) {
            return self.counters.lost.add(bytes);
        }
        let arrives = self.arrival(sent, &path);
        let number = self.sent;
        self.sent += 1;
        self.way.push(Travelling { arrives, number, bytes, payload });
    }

    fn is_lost(&mut self, loss: Loss) -> bool {
        match loss {
            Loss::None => false,
            Loss::Random(share) => self.random.happens(share),
            Loss::Bursts { share, length } => {
                let ends = 1.0 / length;
                let begins = ends * share / (1.0 - share);
                let turns = self.random.happens(if self.losing { ends } else { begins });
                self.losing ^= turns;
                self.losing
            }
        }
    }

    fn arrival(&mut self, sent: Time, path: &Path) -> Time {
        let arrives = sent + path.delay + self.wander(sent, path.jitter);
        if let Some(reorder) = path.reorder
            && self.random.happens(reorder.share)
        {
            return arrives + reorder.late;
        }
        // On a path that has become shorter the first to take it overtakes those on the longer one.
        let (latest, delay) = self.latest;
        let arrives = if delay == path.delay { arrives.max(latest) } else { arrives };
        self.latest = (arrives, path.delay);
        arrives
    }

    /// Between zero and `most`, on straight lines between points drawn every [`WANDER`].
    fn wander(&self, time: Time, most: Duration) -> Duration {
        if most.is_zero() {
            return Duration::ZERO;
        }
        let step = WANDER.as_nanos() as u64;
        let (index, into) = (time.as_nanos() / step, time.as_nanos() % step);
        let point =
            |index: u64| Random::new(self.seed ^ index.wrapping_mul(0xd6e8_feb8_6659_fd93)).unit();
        let (from, to) = (point(index), point(index + 1));
        most.mul_f64(from + (to - from) * into as f64 / step as f64)
    }

    fn limit_bytes(&self) -> u64 {
        match self.limit {
            Limit::Bytes(bytes) => bytes,
            Limit::Time(time) => {
                self.schedule.nominal_rate(self.now).map_or(u64::MAX, |rate| rate.bytes_in(time))
            }
        }
    }
}

/// The earliest arrival is the greatest, as a heap gives out the greatest first.
impl<T> Ord for Travelling<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        (other.arrives, other.number).cmp(&(self.arrives, self.number))
    }
}

impl<T> PartialOrd for Travelling<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> PartialEq for Travelling<T> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl<T> Eq for Travelling<T> {}
