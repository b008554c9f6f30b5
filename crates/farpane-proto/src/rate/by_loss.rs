//! How fast to send where receivers tell of losses and of nothing else, every few seconds (RFC 3550, section 6.4.1).
//!
//! The loss-based controller of draft-ietf-rmcat-gcc-02, section 6: more than a tenth lost lowers the rate by half of
//! what is lost, less than a fiftieth raises it. It differs in how fast: there reports come each second, here they come
//! by chance, from any number of receivers, of whom the worst off counts.

use std::time::Duration;

use farpane_media::{Bitrate, Time};

const MANY: f64 = 0.1;
const FEW: f64 = 0.02;
/// By so much it grows in a second.
const GROWTH: f64 = 1.08;
/// Silence says nothing, however long.
const LONGEST: Duration = Duration::from_secs(5);
/// Reports of several receivers about the same loss count once.
const APART: Duration = Duration::from_secs(1);
/// Pictures come at this rate, late.
const LEAST: Bitrate = Bitrate::kbps(200);

/// See the module.
#[derive(Clone, Copy, Debug)]
pub struct LossRate {
    rate: Bitrate,
    most: Bitrate,
    /// When it was last changed, or could have been.
    judged: Time,
    lowered: Time,
}

impl LossRate {
    /// Begins with the `most` that may ever be sent.
    pub fn new(most: Bitrate, now: Time) -> LossRate {
        LossRate { rate: most, most, judged: now, lowered: Time::ZERO }
    }

    pub fn rate(&self) -> Bitrate {
        self.rate
    }

    /// A receiver says which share of the last packets was lost, 0 to 1.
    pub fn handle_report(&mut self, now: Time, lost: f64) {
        let passed = now.since(self.judged).min(LONGEST);
        let factor = if lost > MANY {
            if now.since(self.lowered) < APART && self.lowered != Time::ZERO {
                return;
            }
            self.lowered = now;
            1.0 - lost.min(1.0) / 2.0
        } else if lost < FEW && now.since(self.lowered) >= APART {
            GROWTH.powf(passed.as_secs_f64())
        } else {
            1.0
        };
        self.judged = now;
        self.rate = (self.rate * factor).clamp(LEAST.min(self.most), self.most);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: Bitrate = Bitrate::mbps(8);

    fn at(seconds: u64) -> Time {
        Time::from_millis(seconds * 1_000)
    }

    #[test]
    fn losses_lower_it_and_their_end_raises_it_up_to_where_it_began() {
        let mut rate = LossRate::new(MOST, at(0));
        rate.handle_report(at(5), 0.0);
        assert_eq!(rate.rate(), MOST);
        rate.handle_report(at(10), 0.5);
        assert_eq!(rate.rate(), Bitrate::mbps(6));
        // A few are no reason for anything.
        rate.handle_report(at(15), 0.05);
        assert_eq!(rate.rate(), Bitrate::mbps(6));
        rate.handle_report(at(16), 0.0);
        assert!((6.4..6.6).contains(&rate.rate().as_mbps()), "{}", rate.rate());
        // However long nobody says anything.
        rate.handle_report(at(1_000), 0.0);
        assert_eq!(rate.rate(), MOST);
    }

    #[test]
    fn many_receivers_count_as_the_one_that_is_worst_off() {
        let mut rate = LossRate::new(MOST, at(0));
        for seconds in [10, 20] {
            (0..100).for_each(|_| rate.handle_report(at(seconds), 0.0));
            assert_eq!(rate.rate(), MOST);
        }
        (0..100).for_each(|_| rate.handle_report(at(30), 0.2));
        (0..100).for_each(|_| rate.handle_report(at(30), 0.0));
        assert!((7.1..7.3).contains(&rate.rate().as_mbps()), "{}", rate.rate());
    }

    #[test]
    fn something_is_left() {
        let mut rate = LossRate::new(MOST, at(0));
        (1..100).for_each(|seconds| rate.handle_report(at(seconds), 1.0));
        assert_eq!(rate.rate(), LEAST);
        let mut rate = LossRate::new(Bitrate::kbps(100), at(0));
        rate.handle_report(at(1), 1.0);
        assert_eq!(rate.rate(), Bitrate::kbps(100));
    }
}
