//! How much was sent over the last second.

use std::time::Duration;

use farpane_media::{Bitrate, Time};

const SLOT: Duration = Duration::from_millis(100);
const SLOTS: usize = 10;

/// Counts bytes over a sliding second, in steps of 100 ms.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Meter {
    /// Bytes by slot number modulo their count.
    slots: [u64; SLOTS],
    /// The number of the slot that is being filled.
    newest: u64,
    pub total: u64,
}

impl Meter {
    pub fn add(&mut self, now: Time, bytes: usize) {
        self.advance(now);
        self.slots[self.newest as usize % SLOTS] += bytes as u64;
        self.total += bytes as u64;
    }

    pub fn rate(mut self, now: Time) -> Bitrate {
        self.advance(now);
        Bitrate::of(self.slots.iter().sum(), SLOT * SLOTS as u32)
    }

    fn advance(&mut self, now: Time) {
        let slot = now.as_nanos() / SLOT.as_nanos() as u64;
        let passed = slot.saturating_sub(self.newest).min(SLOTS as u64);
        self.newest = self.newest.max(slot);
        (0..passed).for_each(|back| self.slots[(self.newest - back) as usize % SLOTS] = 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_is_remembered_and_no_more() {
        let mut meter = Meter::default();
        for tenth in 0..20 {
            meter.add(Time::from_millis(tenth * 100), 1_000);
        }
        assert_eq!(meter.rate(Time::from_millis(1_900)), Bitrate::kbps(80));
        assert_eq!(meter.rate(Time::from_millis(2_400)), Bitrate::kbps(40));
        assert_eq!(meter.rate(Time::from_millis(9_000)), Bitrate::ZERO);
        assert_eq!(meter.total, 20_000);
    }
}
