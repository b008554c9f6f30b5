//! How fast the library has to be: as careful as the time between pictures allows.

use std::time::Duration;

/// Finds what scrolled, which halves the bytes of a page in motion (4.2 kB a picture and 17 ms of CPU against 8.4 kB and
/// 21 ms at speed 10; 1080p at 60 Hz, 8 Mb/s).
pub(super) const CAREFUL: u32 = 8;
/// Takes a film in three quarters of the time (46 ms of CPU a picture against 63 ms, 1080p) for 9 % more bytes.
/// It leaves out blocks that differ by less than 4 on average and whose source has not changed (`part_early_exit_zeromv` of
/// 3.11), so that nothing is sharpened by it. Faster ones gain nothing more and leave out blocks that changed, too.
const FAST: u32 = 9;
/// Of the time between pictures: beyond the first the encoder is too slow, below the second it has time.
const BUSY: f64 = 0.7;
const IDLE: f64 = 0.35;
/// So many pictures in a row have to agree,
const LATE: u32 = 3;
const EARLY: u32 = 60;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Headroom {
    fast: bool,
    /// Pictures in a row that speak for a change.
    run: u32,
}

impl Headroom {
    /// The library's name for the speed (`cpu-used`).
    pub(super) fn speed(&self) -> u32 {
        if self.fast { FAST } else { CAREFUL }
    }

    /// After a picture that took `took` to code and came `interval` after the one before it.
    pub(super) fn handle_picture(&mut self, took: Duration, interval: Duration) {
        let load = took.as_secs_f64() / interval.as_secs_f64().max(1e-6);
        let (speaks, enough) = if self.fast { (load < IDLE, EARLY) } else { (load > BUSY, LATE) };
        self.run = if speaks { self.run + 1 } else { 0 };
        if self.run == enough {
            (self.fast, self.run) = (!self.fast, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn haste_comes_soon_goes_late_and_does_not_flap() {
        let frame = Duration::from_millis(40);
        let mut headroom = Headroom::default();
        let mut code = |times: u32, millis: u64| {
            (0..times).for_each(|_| headroom.handle_picture(Duration::from_millis(millis), frame));
            headroom.speed()
        };
        assert_eq!(code(2, 39), CAREFUL);
        assert_eq!(code(1, 10), CAREFUL, "a late picture now and then");
        assert_eq!(code(3, 39), FAST);
        assert_eq!(code(59, 10), FAST);
        assert_eq!(code(1, 20), FAST, "neither busy nor idle");
        assert_eq!(code(60, 10), CAREFUL);
    }
}
