//! At most so many frames a second, without a tick.
//!
//! A minimum distance between frames would lock a source of the same rate to its worst jitter. Instead frames may come up to
//! half an interval early as long as the average holds (the generic cell rate algorithm, ITU-T I.371).

use std::time::Duration;

use farpane_media::Time;

pub(super) struct Pacer {
    interval: Duration,
    due: Time,
    taken: Time,
}

impl Pacer {
    /// Even a hurried frame keeps this distance, so that fast pointer motion does not become a frame rate.
    const HURRIED: Duration = Duration::from_millis(4);

    pub fn new(fps: u32) -> Pacer {
        Pacer { interval: Duration::from_secs(1) / fps, due: Time::ZERO, taken: Time::ZERO }
    }

    /// When the next frame may be taken.
    pub fn due(&self, hurried: bool) -> Time {
        if hurried { self.due.min(self.taken + Self::HURRIED) } else { self.due }
    }

    pub fn took(&mut self, now: Time) {
        self.taken = now;
        // Hurried frames come on top of the rate; no other frame waits longer for them than an interval.
        self.due = (self.due + self.interval).clamp(now + self.interval / 2, now + self.interval);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_of_the_same_rate_never_waits_and_a_faster_one_is_held_to_it() {
        let mut pacer = Pacer::new(60);
        let jitter = [0, 5_000, 1_000, 7_000, 0, 3_000];
        for frame in 0..600u64 {
            let now = Time::from_micros(
                1_000_000 + frame * 16_667 + jitter[frame as usize % jitter.len()],
            );
            assert!(pacer.due(false) <= now, "frame {frame} waits");
            pacer.took(now);
        }
        let mut pacer = Pacer::new(60);
        let taken = (0..10_000).map(|tenth| Time::from_micros(tenth * 100)).filter(|now| {
            let is_due = pacer.due(false) <= *now;
            if is_due {
                pacer.took(*now);
            }
            is_due
        });
        assert!((60..=62).contains(&taken.count()));
    }

    #[test]
    fn a_hurried_frame_comes_early() {
        let mut pacer = Pacer::new(60);
        let now = Time::from_millis(50);
        for _ in 0..3 {
            pacer.took(now);
        }
        assert_eq!(pacer.due(true), Time::from_millis(54));
        assert!(pacer.due(false) > Time::from_millis(60));
    }

    #[test]
    fn many_hurried_frames_are_not_paid_for_by_those_after_them() {
        let mut pacer = Pacer::new(60);
        for frame in 0..250 {
            pacer.took(Time::from_millis(50 + 4 * frame));
        }
        assert!(pacer.due(false) <= Time::from_millis(50 + 4 * 249 + 17));
    }
}
