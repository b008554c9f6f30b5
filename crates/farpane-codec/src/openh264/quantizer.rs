//! Rate control: which quantizer the next picture gets.
//!
//! OpenH264's own rate control assumes a steady camera: it drops pictures to keep its budget and lets the first one
//! after a change be as large as it likes. A desktop is the reverse, still for seconds and then new all over, so the
//! quantizer is chosen here from what is known before coding: how much changed and how long the link has been idle.
//!
//! * A small change is sharp at once; a large one gets the finest quantizer that is expected to fit what the link
//!   carries in [`BURST`], or in the time since the last picture while pictures follow each other.
//! * What was coded coarsely is remembered and paid for by later pictures, so that a picture that stands still, but for
//!   small changes, turns sharp in a few steps of bounded size.
//! * Cost is predicted as `density * blocks * 2^((30 - quantizer) / 8)`; both densities are learned.

use std::time::Duration;

use farpane_media::{Bitrate, Time};

/// The finest quantizer: 50 dB and more on text.
pub(super) const FINE: u8 = 18;
/// The library does not code a still block again that had 26 or less, or to gain less than [`STEP`]
/// (`svc_mode_decision.cpp`), so the steps down to [`FINE`] keep above that.
pub(super) const COARSE: u8 = 27;
pub(super) const COARSEST: u8 = 45;
pub(super) const STEP: u8 = 6;

/// A picture that follows a pause may take this long on the link: 120 kB at 8 Mb/s, a dense page at quantizer 38.
const BURST: Duration = Duration::from_millis(120);
/// Large changes closer together than this are motion: predicted by the one before, and not worth [`FINE`].
const MOTION: Duration = Duration::from_millis(300);
/// While small changes go on, a step of sharpening delays them, so steps keep this apart.
const REST: Duration = Duration::from_millis(250);
/// Bits a block at quantizer 30 of a page of small text, which is as dense as desktops get.
const DENSEST: f64 = 180.0;
/// Taken for the density of a large change from nowhere if the picture before it was sparser: a film is as dense.
const SURPRISE: f64 = 90.0;

/// 16x16 blocks of a picture that are coarser than [`FINE`].
#[derive(Clone, Copy, Debug, Default)]
struct Coarse {
    blocks: f64,
    quantizer: u8,
}

/// Chooses quantizers; see the module.
#[derive(Debug)]
pub(super) struct Quantizers {
    blocks: f64,
    frame_time: Duration,
    /// When the last picture was coded.
    last: Option<Time>,
    /// Bits sent that the link has not carried yet.
    debt: f64,
    /// Of content that comes from nowhere.
    density: f64,
    /// Of content that moves, and when it last did.
    motion: Option<(Time, f64)>,
    coarse: Coarse,
    /// The last picture was a key frame.
    after_key_frame: bool,
    /// When a large change, a key frame or a step of sharpening was coded last.
    busy: Time,
    /// Of the picture in hand.
    changed: f64,
    burst: f64,
}

impl Quantizers {
    pub(super) fn new(blocks: u64, max_fps: u32) -> Quantizers {
        Quantizers {
            blocks: blocks as f64,
            frame_time: Duration::from_secs(1) / max_fps.max(1),
            last: None,
            debt: 0.0,
            density: DENSEST,
            motion: None,
            coarse: Coarse::default(),
            after_key_frame: false,
            busy: Time::default(),
            changed: 0.0,
            burst: 0.0,
        }
    }

    /// The quantizer for a picture of which `changed` blocks differ from the last.
    pub(super) fn choose(
        &mut self,
        now: Time,
        bitrate: Bitrate,
        changed: u64,
        key_frame: bool,
    ) -> u8 {
        let rate = bitrate.as_bps() as f64;
        let idle = self.last.map_or(BURST, |last| now.since(last));
        self.last = Some(now);
        self.debt = (self.debt - rate * idle.as_secs_f64()).max(0.0);
        self.burst = rate * BURST.as_secs_f64();
        self.changed = if key_frame { self.blocks } else { changed as f64 };
        if key_frame {
            self.coarse = Coarse::default();
        }

        let large = self.is_large() && !key_frame;
        let moving = self.motion.filter(|(at, _)| large && now.since(*at) < MOTION);
        let density = match moving {
            Some((_, density)) => density,
            None if large => self.density.max(SURPRISE),
            None => self.density,
        };
        if large || key_frame {
            self.motion = large.then_some((now, density));
            self.busy = now;
        } else if self.debt == 0.0
            && let Some(quantizer) = self.sharpen(now)
        {
            self.busy = now;
            return quantizer;
        }
        let room = if key_frame { BURST } else { idle.clamp(self.frame_time, BURST) };
        let least = rate * self.frame_time.as_secs_f64() / 4.0;
        let room = (rate * room.as_secs_f64() - self.debt).max(least);
        // What changes all over is not worth it at once: it may be about to change again.
        let finest = if large { None } else { Some(FINE) };
        let cost = |quantizer: &u8| self.cost(*quantizer, density);
        finest
            .into_iter()
            .chain(COARSE..COARSEST)
            .find(|quantizer| cost(quantizer) <= room)
            .unwrap_or(COARSEST)
    }

    /// For a picture that hardly changes, on an idle link: as fine as a burst carries, and a step at least. `None` while
    /// small changes go on that should not have to wait so long for it, or yet again.
    fn sharpen(&self, now: Time) -> Option<u8> {
        let cost = |quantizer: u8| self.cost(quantizer, self.density);
        let step = self.coarse.quantizer.saturating_sub(STEP);
        let step = if step < COARSE { FINE } else { step };
        let quantizer = [FINE, COARSE]
            .into_iter()
            .find(|quantizer| cost(*quantizer) <= self.burst)
            .unwrap_or(step)
            .min(step);
        let rested = self.coarse.quantizer > FINE && now.since(self.busy) >= REST;
        let pays = self.changed == 0.0 || (rested && cost(quantizer) <= 3.0 * self.burst);
        pays.then_some(quantizer)
    }

    /// Whether the picture in hand is new in so many places that it counts as another.
    fn is_large(&self) -> bool {
        self.changed * 4.0 >= self.blocks
    }

    /// The bits expected at `quantizer`: for what changed, and for making up what is coarse.
    fn cost(&self, quantizer: u8, density: f64) -> f64 {
        let gain = f64::from(self.coarse.quantizer.saturating_sub(quantizer));
        let refined = if gain >= f64::from(STEP) {
            self.coarse.blocks * (0.2 + gain / 32.0).min(1.0)
        } else {
            0.0
        };
        (density * self.changed + self.density * refined) * scale(quantizer)
    }

    /// Whether a picture that is new to the viewer came out so large that coding it again as a key frame, coarser, has it
    /// there sooner.
    pub(super) fn oversize(&mut self, quantizer: u8, bytes: usize) -> bool {
        let bits = bytes as f64 * 8.0;
        let oversize = self.is_large() && quantizer < COARSEST && bits > 2.0 * self.burst;
        if oversize {
            self.density = bits / (self.blocks * scale(quantizer));
        }
        oversize
    }

    /// Accounts for a coded picture; returns the coarsest quantizer that any part of it has now.
    pub(super) fn coded(&mut self, quantizer: u8, bytes: usize, key_frame: bool) -> u8 {
        let bits = bytes as f64 * 8.0;
        self.debt += bits;
        if key_frame {
            self.changed = self.blocks;
            self.density = bits / (self.blocks * scale(quantizer));
            self.coarse = Coarse::default();
        }
        if let Some((at, density)) = self.motion.filter(|(at, _)| Some(*at) == self.last) {
            let seen = bits / (self.changed * scale(quantizer));
            self.motion = Some((at, (density + seen) / 2.0));
            // Motion looks cheaper than the picture is when it stands still, never dearer.
            self.density = self.density.max(seen);
        }
        // Right after a key frame the library takes the quantizer of what it skips for that of the picture.
        if self.coarse.quantizer >= quantizer + STEP || self.after_key_frame && !key_frame {
            self.coarse.quantizer = self.coarse.quantizer.min(quantizer);
        }
        self.after_key_frame = key_frame;
        if quantizer > FINE {
            self.coarse.blocks = (self.coarse.blocks + self.changed).min(self.blocks);
            self.coarse.quantizer = self.coarse.quantizer.max(quantizer);
        } else if self.coarse.quantizer <= FINE {
            self.coarse = Coarse::default();
        }
        self.coarse.quantizer.max(FINE)
    }
}

/// How much more a block costs at `quantizer` than at 30. Text halves every 10 steps, film every 6.
fn scale(quantizer: u8) -> f64 {
    ((30.0 - f64::from(quantizer)) / 8.0).exp2()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLOCKS: u64 = 8160; // 1080p
    const RATE: Bitrate = Bitrate::mbps(8);

    /// Codes dense text that costs exactly what the prediction says, `changed` blocks of it, at `millis`.
    fn code(rate: &mut Quantizers, millis: u64, changed: u64, key_frame: bool) -> (u8, f64) {
        let quantizer = rate.choose(Time::from_millis(millis), RATE, changed, key_frame);
        let bits = rate.cost(quantizer, rate.density);
        rate.coded(quantizer, (bits / 8.0) as usize, key_frame);
        (quantizer, bits)
    }

    #[test]
    fn a_dense_first_picture_is_bounded_and_then_sharpened_in_bounded_steps() {
        let mut rate = Quantizers::new(BLOCKS, 30);
        let (first, bits) = code(&mut rate, 0, BLOCKS, true);
        assert!(first >= 33 && bits <= 120_000.0 * 8.0, "{first} {bits}");
        let mut steps = 0;
        while rate.coarse.quantizer > 0 {
            steps += 1;
            let (_, bits) = code(&mut rate, steps * 250, 0, false);
            assert!(steps < 8 && bits <= 300_000.0 * 8.0, "step {steps}: {bits}");
        }
        assert_eq!(code(&mut rate, 5_000, 0, false).1, 0.0);
    }

    #[test]
    fn typing_is_fine_at_once() {
        let mut rate = Quantizers::new(BLOCKS, 30);
        rate.coded(FINE, 1_000, true);
        (1..50).for_each(|at| assert_eq!(code(&mut rate, at * 33, 4, false).0, FINE));
    }

    #[test]
    fn small_changes_do_not_keep_a_page_blurred() {
        let mut rate = Quantizers::new(BLOCKS, 30);
        code(&mut rate, 1, BLOCKS, true);
        let mut steps = Vec::new();
        for at in (33..3_000).step_by(33) {
            let (_, bits) = code(&mut rate, at, 4, false);
            assert!(bits <= 360_000.0 * 8.0, "{bits}");
            steps.extend((bits > 10_000.0 * 8.0).then_some(at));
        }
        assert_eq!(rate.coarse.quantizer, 0, "after steps at {steps:?} ms");
        assert!(steps.windows(2).all(|pair| pair[1] - pair[0] >= 250), "{steps:?}");
    }

    #[test]
    fn a_film_from_nowhere_fits_the_link() {
        let mut rate = Quantizers::new(BLOCKS, 30);
        rate.coded(FINE, 1_000, true);
        let (changed, film) = (3_600, 140.0);
        let quantizer = rate.choose(Time::from_millis(1_000), RATE, changed, false);
        let bits = film * changed as f64 * scale(quantizer);
        assert!(quantizer <= 30 && bits <= 8e6 * BURST.as_secs_f64(), "{quantizer}: {bits}");
    }

    #[test]
    fn motion_settles_at_the_rate() {
        let mut rate = Quantizers::new(BLOCKS, 30);
        rate.coded(FINE, 1_000, true);
        let mut sent = 0;
        for at in 1..=120 {
            let quantizer = rate.choose(Time::from_millis(500 + at * 33), RATE, BLOCKS, false);
            // Film: halves every six steps.
            let bytes = (120_000.0 * ((27.0 - f64::from(quantizer)) / 6.0).exp2()) as usize;
            rate.coded(quantizer, bytes, false);
            sent += if at > 60 { bytes as u64 } else { 0 };
        }
        let sent = Bitrate::of(sent, Duration::from_millis(60 * 33));
        assert!(sent > RATE * 0.6 && sent <= RATE * 1.1, "{sent}");
    }

    #[test]
    fn a_surprise_is_coded_again_once_coarser() {
        let mut rate = Quantizers::new(BLOCKS, 30);
        rate.coded(FINE, 1_000, true);
        let quantizer = rate.choose(Time::from_millis(40), RATE, BLOCKS, false);
        assert!(rate.oversize(quantizer, 400_000));
        assert!(rate.choose(Time::from_millis(40), RATE, BLOCKS, true) > quantizer);
        assert!(!rate.oversize(COARSEST, 400_000), "coarser than that there is nothing");
    }

    #[test]
    fn what_the_viewer_has_is_not_coded_afresh_for_being_dense() {
        let mut rate = Quantizers::new(BLOCKS, 30);
        rate.coded(COARSEST, 240_000, true);
        let quantizer = rate.choose(Time::from_millis(500), RATE, 0, false);
        assert!(quantizer < COARSEST && !rate.oversize(quantizer, 400_000));
    }
}
