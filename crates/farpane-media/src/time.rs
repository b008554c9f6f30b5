//! Time as the pipeline counts it: nanoseconds since a [`Clock`] was started.
//!
//! An `Instant` has no epoch, no serial form and no arithmetic with the network's clocks; a `Time` has all three, and
//! sans-IO code takes it as an argument instead of asking for it.

use std::ops::{Add, AddAssign, Sub};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A moment, in nanoseconds since its clock was started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(u64);

impl Time {
    pub const ZERO: Time = Time(0);
    /// Later than any moment a clock returns: the deadline that never comes.
    pub const NEVER: Time = Time(u64::MAX);

    pub const fn from_nanos(nanos: u64) -> Time {
        Time(nanos)
    }

    pub const fn from_micros(micros: u64) -> Time {
        Time(micros * 1_000)
    }

    pub const fn from_millis(millis: u64) -> Time {
        Time(millis * 1_000_000)
    }

    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    pub const fn as_micros(self) -> u64 {
        self.0 / 1_000
    }

    /// The time since `earlier`, or zero when `earlier` is later.
    pub const fn since(self, earlier: Time) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// On an RTP clock of `rate` Hz, wrapped to the 32 bits an RTP header carries (RFC 3550, section 5.1).
    pub const fn rtp(self, rate: u32) -> u32 {
        ((self.0 as u128 * rate as u128) / 1_000_000_000) as u32
    }
}

impl Add<Duration> for Time {
    type Output = Time;

    fn add(self, rhs: Duration) -> Time {
        Time(self.0.saturating_add(u64::try_from(rhs.as_nanos()).unwrap_or(u64::MAX)))
    }
}

impl AddAssign<Duration> for Time {
    fn add_assign(&mut self, rhs: Duration) {
        *self = *self + rhs;
    }
}

impl Sub for Time {
    type Output = Duration;

    fn sub(self, rhs: Time) -> Duration {
        self.since(rhs)
    }
}

/// A monotonic clock with a known start; copies agree with each other.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
    start_unix: Duration,
}

impl Clock {
    pub fn start() -> Clock {
        let start_unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Clock { start: Instant::now(), start_unix }
    }

    pub fn now(&self) -> Time {
        self.time(Instant::now())
    }

    /// `instant` on this clock; [`Time::ZERO`] for an instant before its start.
    pub fn time(&self, instant: Instant) -> Time {
        Time::ZERO + instant.saturating_duration_since(self.start)
    }

    /// The `Instant` of `time`, or `None` for one too far off to be represented ([`Time::NEVER`]).
    pub fn instant(&self, time: Time) -> Option<Instant> {
        self.start.checked_add(Duration::from_nanos(time.0)).filter(|_| time != Time::NEVER)
    }

    /// Wall-clock time since the Unix epoch, as it stood at the start plus what has passed since.
    pub fn unix(&self, time: Time) -> Duration {
        self.start_unix + Duration::from_nanos(time.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rtp_time_wraps_at_32_bits() {
        assert_eq!(Time::from_millis(1_000).rtp(90_000), 90_000);
        let wrap = Time::from_nanos((1u64 << 32) * 1_000_000_000 / 90_000 + 1_000_000);
        assert_eq!(wrap.rtp(90_000), 89);
    }

    #[test]
    fn never_is_later_than_any_sum() {
        assert_eq!(Time::NEVER + Duration::from_secs(1), Time::NEVER);
        assert_eq!(Clock::start().instant(Time::NEVER), None);
    }

    #[test]
    fn clock_maps_both_ways() {
        let clock = Clock::start();
        let now = clock.now();
        assert_eq!(clock.time(clock.instant(now).unwrap()), now);
    }
}
