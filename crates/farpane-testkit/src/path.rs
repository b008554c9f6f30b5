//! What a path does to datagrams, and how that changes over time.

use std::time::Duration;

use farpane_media::{Bitrate, Time};

/// A path, for as long as it does not change.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Path {
    /// What the narrowest hop sends; no limit if `None`. Zero is a blackout: datagrams wait in the queue, and what is on
    /// its way arrives.
    pub rate: Option<Bitrate>,
    /// From the last bit sent to arrival, one way.
    pub delay: Duration,
    /// The delay wanders between `delay` and `delay + jitter`, as queues elsewhere fill and drain. It keeps the order.
    pub jitter: Duration,
    /// Datagrams that others overtake.
    pub reorder: Option<Reorder>,
    /// Lost after it was sent, so that a lost datagram takes its share of the rate.
    pub loss: Loss,
}

impl Path {
    /// No limit, no delay, nothing lost.
    pub const IDEAL: Path = Path {
        rate: None,
        delay: Duration::ZERO,
        jitter: Duration::ZERO,
        reorder: None,
        loss: Loss::None,
    };

    pub const fn new(rate: Bitrate, delay: Duration) -> Path {
        Path { rate: Some(rate), delay, ..Path::IDEAL }
    }

    pub const fn loss(self, loss: Loss) -> Path {
        Path { loss, ..self }
    }

    pub const fn jitter(self, jitter: Duration) -> Path {
        Path { jitter, ..self }
    }

    pub const fn reorder(self, share: f64, late: Duration) -> Path {
        Path { reorder: Some(Reorder { share, late }), ..self }
    }
}

/// A `share` of all datagrams arrives `late` after its time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reorder {
    pub share: f64,
    pub late: Duration,
}

/// Which datagrams are lost. Shares are of all datagrams, from 0 up to, but not including, 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Loss {
    None,
    /// Each by itself.
    Random(f64),
    /// In runs of `length` datagrams on average, the lengths distributed geometrically (Gilbert's model: a state that
    /// loses all and one that loses nothing).
    Bursts {
        share: f64,
        length: f64,
    },
}

/// How much waits in front of a link at most, not counting what it is sending. One datagram may always wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// As many bytes as the rate of the moment sends in that time; in a blackout, the rate before it.
    Time(Duration),
    Bytes(u64),
}

/// Which datagram goes when the queue is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overflow {
    /// The one that comes.
    Tail,
    /// Those that have waited longest.
    Head,
}

/// A path for some time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Phase {
    /// [`Duration::MAX`] for ever.
    pub lasts: Duration,
    pub path: Path,
}

impl Phase {
    pub const fn new(lasts: Duration, path: Path) -> Phase {
        Phase { lasts, path }
    }

    pub const fn ever(path: Path) -> Phase {
        Phase { lasts: Duration::MAX, path }
    }
}

/// Phases one after the other, then again from the first. They begin at [`Time::ZERO`].
#[derive(Clone, Debug)]
pub struct Schedule {
    phases: Vec<Phase>,
    /// Nanoseconds; `u64::MAX` when a phase has no end.
    cycle: u64,
}

impl Schedule {
    /// # Panics
    /// If no phase ever sends anything, as all would wait for ever.
    pub fn new(phases: &[Phase]) -> Schedule {
        let sends =
            |phase: &Phase| phase.path.rate != Some(Bitrate::ZERO) && !phase.lasts.is_zero();
        assert!(phases.iter().any(sends), "a phase that sends something");
        let cycle = phases.iter().fold(Time::ZERO, |end, phase| end + phase.lasts).as_nanos();
        Schedule { phases: phases.to_vec(), cycle }
    }

    pub fn at(&self, time: Time) -> &Path {
        &self.phases[self.find(time).0].path
    }

    /// When the last of `bytes` is sent if the first is at `start`.
    pub fn sent(&self, start: Time, bytes: usize) -> Time {
        // In bits times 1e9, so that a rate times nanoseconds is what it sends.
        let mut left = bytes as u128 * 8_000_000_000;
        let mut now = start;
        loop {
            let (index, end) = self.find(now);
            let Some(rate) = self.phases[index].path.rate else { return now };
            let rate = u128::from(rate.as_bps());
            let sent = rate * end.since(now).as_nanos();
            if left <= sent {
                return now + Duration::from_nanos(left.div_ceil(rate.max(1)) as u64);
            }
            if end == Time::NEVER {
                return Time::NEVER;
            }
            left -= sent;
            now = end;
        }
    }

    /// The rate that a limit in time counts by: that of the moment, or in a blackout the one before.
    pub fn nominal_rate(&self, time: Time) -> Option<Bitrate> {
        let (index, _) = self.find(time);
        let before = self.phases.iter().cycle().skip(index + 1).take(self.phases.len());
        let rates = before.map(|phase| phase.path.rate);
        rates.filter(|rate| *rate != Some(Bitrate::ZERO)).last().expect("a phase sends something")
    }

    /// Which phase it is, and when that ends.
    fn find(&self, time: Time) -> (usize, Time) {
        let into = time.as_nanos() % self.cycle;
        let start = Time::from_nanos(time.as_nanos() - into);
        let mut end = start;
        for (index, phase) in self.phases.iter().enumerate() {
            end += phase.lasts;
            if time < end {
                return (index, end);
            }
        }
        (self.phases.len() - 1, Time::NEVER)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn rate(kbps: u64) -> Path {
        Path::new(Bitrate::kbps(kbps), Duration::ZERO)
    }

    #[test]
    fn phases_follow_each_other_and_start_over() {
        let schedule =
            Schedule::new(&[Phase::new(SECOND * 2, rate(10)), Phase::new(SECOND, rate(20))]);
        let at = |ms| schedule.at(Time::from_millis(ms)).rate.unwrap();
        assert_eq!(
            [0, 1_999, 2_000, 2_999, 3_000, 5_000].map(at).map(|rate| rate.as_bps()),
            [10_000, 10_000, 20_000, 20_000, 10_000, 20_000]
        );
        let schedule = Schedule::new(&[Phase::new(SECOND, rate(10)), Phase::ever(rate(20))]);
        assert_eq!(schedule.at(Time::from_millis(1 << 40)).rate, Some(Bitrate::kbps(20)));
    }

    #[test]
    fn sending_goes_on_across_steps_and_pauses_in_the_dark() {
        let schedule = Schedule::new(&[
            Phase::new(SECOND, rate(8)),
            Phase::new(SECOND, rate(0)),
            Phase::new(SECOND, rate(16)),
        ]);
        let sent = |start, bytes| schedule.sent(Time::from_millis(start), bytes);
        assert_eq!(sent(0, 500), Time::from_millis(500));
        // Half a second of 1 kB/s, a second of nothing, a quarter of 2 kB/s.
        assert_eq!(sent(500, 1_000), Time::from_millis(2_250));
        assert_eq!(schedule.nominal_rate(Time::from_millis(1_500)), Some(Bitrate::kbps(8)));
        assert_eq!(schedule.nominal_rate(Time::from_millis(2_500)), Some(Bitrate::kbps(16)));
    }

    #[test]
    fn a_path_that_ends_in_the_dark_never_sends() {
        let schedule = Schedule::new(&[Phase::new(SECOND, rate(8)), Phase::ever(rate(0))]);
        assert_eq!(schedule.sent(Time::from_millis(900), 101), Time::NEVER);
    }

    #[test]
    #[should_panic(expected = "a phase that sends something")]
    fn all_dark_is_no_path() {
        Schedule::new(&[Phase::ever(rate(0))]);
    }
}
