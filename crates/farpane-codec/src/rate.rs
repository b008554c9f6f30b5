//! Rate control: which quantizer the next picture gets, and whether what the viewer has coarsely is coded again with it.
//!
//! A desktop is still for seconds and then new all over, so the quantizer is chosen from what is known before coding:
//! how many macroblocks are new and how long the link has been idle.
//!
//! * A small change is sharp at once, unless it falls together with a step of sharpening; a large one gets the finest
//!   quantizer that is expected to fit what the link carries in [`BURST`], or in the time since the last picture while
//!   pictures follow each other.
//! * What the viewer has coarsely is sharpened in a few steps of bounded size once the picture rests.
//! * Cost is predicted as `density * blocks * 2^((30 - quantizer) / 8)`; both densities are learned.

use std::time::Duration;

use farpane_media::{Bitrate, Time};

/// The finest quantizer: 50 dB and more on text.
pub(crate) const FINE: u8 = 18;
/// The finest for what is new all over: the sooner it is there, and it may be about to change again.
const SUDDEN: u8 = 36;
/// The finest for what stays new all over.
const LARGE: u8 = 27;
/// The finest for what keeps changing.
const MOVING: u8 = 24;
pub(crate) const COARSEST: u8 = 45;
/// The least that a step of sharpening gains where the picture is coarsest.
const STEP: u8 = 6;
/// A macroblock that gains no more than this is not coded again for it.
pub(crate) const WORTHLESS: u8 = 2;

/// A picture that follows a pause may take this long on the link: 120 kB at 8 Mb/s, a dense page at quantizer 38.
const BURST: Duration = Duration::from_millis(120);
/// Large changes closer together than this are motion: predicted by the one before.
const MOTION: Duration = Duration::from_millis(300);
/// While small changes go on, a step of sharpening delays them, so steps keep this apart;
const REST: Duration = Duration::from_millis(250);
/// and this, while larger ones do.
const UNREST: Duration = Duration::from_millis(1_000);
/// What the link owes is forgotten beyond so many bursts: the transport holds pictures back by then.
const MOST_DEBT: f64 = 8.0;
/// Bits a block at quantizer 30 of a page of small text, which is as dense as desktops get.
const DENSEST: f64 = 180.0;
/// Taken for the density of more than a little from nowhere if the picture before it was sparser: a film is as dense.
const SURPRISE: f64 = 90.0;

/// Macroblocks that the viewer has coarser than [`FINE`], and the quantizer of the coarsest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Coarse {
    pub(crate) blocks: u64,
    pub(crate) quantizer: u8,
}

/// How to code a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Choice {
    pub(crate) quantizer: u8,
    /// Code again what gains more than [`WORTHLESS`] by it.
    pub(crate) sharpen: bool,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Rate {
    blocks: f64,
    frame_time: Duration,
    /// When the last picture was coded, and how long the link had been idle then.
    last: Option<Time>,
    idle: Duration,
    /// Bits sent that the link has not carried yet.
    debt: f64,
    /// Of content that comes from nowhere.
    density: f64,
    /// Of content that moves, and when it last did.
    motion: Option<(Time, f64)>,
    /// When more than a little changed, or something was sharpened, last.
    busy: Option<Time>,
    /// When all of the picture was coded, or sharpened, last.
    whole: Option<Time>,
    /// Of the picture in hand.
    changed: f64,
    burst: f64,
    sharpening: bool,
}

impl Rate {
    pub(crate) fn new(blocks: u64, max_fps: u32) -> Rate {
        Rate {
            blocks: blocks as f64,
            frame_time: Duration::from_secs(1) / max_fps.max(1),
            last: None,
            idle: BURST,
            debt: 0.0,
            density: DENSEST,
            motion: None,
            busy: None,
            whole: None,
            changed: 0.0,
            burst: 0.0,
            sharpening: false,
        }
    }

    /// For a picture of which `changed` macroblocks are new to the viewer, who has others coarsely.
    pub(crate) fn choose(
        &mut self,
        now: Time,
        bitrate: Bitrate,
        changed: u64,
        coarse: Coarse,
        key_frame: bool,
    ) -> Choice {
        let rate = bitrate.as_bps() as f64;
        // Choosing again for the same picture is the same moment.
        if self.last != Some(now) {
            self.idle = self.last.map_or(BURST, |last| now.since(last));
            self.last = Some(now);
            self.debt = (self.debt - rate * self.idle.as_secs_f64()).max(0.0);
        }
        self.burst = rate * BURST.as_secs_f64();
        self.changed = changed as f64;

        let little = self.is_little();
        let large = self.is_large() && !key_frame;
        let moving = self.motion.filter(|(at, _)| large && now.since(*at) < MOTION);
        let density = match moving {
            Some((_, density)) => density,
            None if little || key_frame => self.density,
            None => self.density.max(SURPRISE),
        };
        let passed = |since: Option<Time>, time| since.is_none_or(|since| now.since(since) >= time);
        let rested = passed(self.busy, REST);
        let calm = changed == 0 || little && rested || passed(self.whole, UNREST);
        self.sharpening = coarse.blocks > 0 && self.debt == 0.0 && calm && !large && !key_frame;
        if large || key_frame || self.sharpening {
            self.whole = Some(now);
        }
        if !little || self.sharpening {
            self.busy = Some(now);
        }
        if self.sharpening {
            return Choice { quantizer: self.sharpen(coarse), sharpen: true };
        }
        if large {
            self.motion = Some((now, density));
        }
        let room = if key_frame { BURST } else { self.idle.min(BURST).max(self.frame_time) };
        let least = rate * self.frame_time.as_secs_f64() / 4.0;
        let room = (rate * room.as_secs_f64() - self.debt).max(least);
        let finest = match (large, moving) {
            (true, None) => SUDDEN,
            (true, Some(_)) => LARGE,
            (false, _) if little || rested => FINE,
            (false, _) => MOVING,
        };
        let cost = |quantizer: &u8| density * self.changed * scale(*quantizer);
        let quantizer = [finest]
            .into_iter()
            .chain((finest + 1).max(20)..COARSEST)
            .find(|quantizer| cost(quantizer) <= room);
        Choice { quantizer: quantizer.unwrap_or(COARSEST), sharpen: false }
    }

    /// As fine as a burst carries, and a step at least.
    fn sharpen(&self, coarse: Coarse) -> u8 {
        let cost = |quantizer: u8| {
            let gain = f64::from(coarse.quantizer.saturating_sub(quantizer));
            let again = coarse.blocks as f64 * (0.2 + gain / 32.0).min(1.0);
            (self.changed + again) * self.density * scale(quantizer)
        };
        let step = coarse.quantizer.saturating_sub(STEP).max(FINE);
        [FINE, MOVING, LARGE]
            .into_iter()
            .find(|quantizer| cost(*quantizer) <= self.burst)
            .unwrap_or(step)
            .min(step)
    }

    fn is_little(&self) -> bool {
        self.changed * 64.0 <= self.blocks
    }

    /// Whether the picture in hand is new in so many places that it counts as another.
    fn is_large(&self) -> bool {
        self.changed * 4.0 >= self.blocks
    }

    /// Whether a picture that is new to the viewer came out so large that coding it again, coarser, has it there sooner.
    pub(crate) fn is_oversize(&mut self, quantizer: u8, bytes: usize) -> bool {
        let bits = bytes as f64 * 8.0;
        let oversize = !self.is_little() && quantizer < COARSEST && bits > 2.0 * self.burst;
        if oversize {
            self.density = bits / (self.changed * scale(quantizer));
            self.motion = self.motion.map(|(at, density)| (at, density.max(self.density)));
        }
        oversize
    }

    /// Accounts for a coded picture.
    pub(crate) fn coded(&mut self, quantizer: u8, bytes: usize, key_frame: bool) {
        let bits = bytes as f64 * 8.0;
        self.debt = (self.debt + bits).min(MOST_DEBT * self.burst);
        let coded = if key_frame { self.blocks } else { self.changed.max(1.0) };
        let seen = bits / (coded * scale(quantizer));
        if key_frame {
            self.density = seen;
        } else if let Some((at, density)) = self.motion.filter(|(at, _)| Some(*at) == self.last) {
            // Up at once, down slowly: what is coarse looks cheaper than it is, and so does what moves.
            self.motion = Some((at, seen.max(density + (seen - density) / 4.0)));
            self.density = self.density.max(seen);
        } else if !self.is_little() && !self.sharpening {
            self.density += (seen - self.density) / 4.0;
        }
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

    /// A rate control and a viewer of dense text that costs exactly what is predicted.
    struct Page {
        rate: Rate,
        coarse: Coarse,
    }

    impl Page {
        fn new() -> Page {
            Page { rate: Rate::new(BLOCKS, 30), coarse: Coarse::default() }
        }

        /// Codes `changed` macroblocks at `millis`; returns the quantizer and the bits.
        fn code(&mut self, millis: u64, changed: u64, key_frame: bool) -> (u8, f64) {
            let now = Time::from_millis(millis);
            let choice = self.rate.choose(now, RATE, changed, self.coarse, key_frame);
            let coded = changed + if choice.sharpen { self.coarse.blocks } else { 0 };
            let bits = DENSEST * coded as f64 * scale(choice.quantizer);
            self.rate.coded(choice.quantizer, (bits / 8.0) as usize, key_frame);
            if choice.sharpen && choice.quantizer <= FINE {
                self.coarse = Coarse::default();
            } else if choice.sharpen {
                self.coarse.quantizer = choice.quantizer;
            } else if choice.quantizer > FINE {
                let blocks = (self.coarse.blocks + changed).min(BLOCKS);
                let quantizer = self.coarse.quantizer.max(choice.quantizer);
                self.coarse = Coarse { blocks, quantizer };
            }
            (choice.quantizer, bits)
        }
    }

    #[test]
    fn a_dense_first_picture_is_bounded_and_then_sharpened_in_bounded_steps() {
        let mut page = Page::new();
        let (first, bits) = page.code(0, BLOCKS, true);
        assert!(first >= 33 && bits <= 120_000.0 * 8.0, "{first} {bits}");
        let mut steps = 0;
        while page.coarse.blocks > 0 {
            steps += 1;
            let (_, bits) = page.code(steps * 250, 0, false);
            assert!(steps < 8 && bits <= 520_000.0 * 8.0, "step {steps}: {bits}");
        }
        assert_eq!(page.code(5_000, 0, false).1, 0.0);
    }

    #[test]
    fn typing_is_fine_at_once() {
        let mut page = Page::new();
        page.rate.coded(FINE, 1_000, true);
        (1..50).for_each(|at| assert_eq!(page.code(at * 33, 4, false).0, FINE));
    }

    #[test]
    fn small_changes_do_not_keep_a_page_blurred() {
        let mut page = Page::new();
        page.code(1, BLOCKS, true);
        let mut steps = Vec::new();
        for at in (33..3_000).step_by(33) {
            let (_, bits) = page.code(at, 4, false);
            steps.extend((bits > 10_000.0 * 8.0).then_some(at));
        }
        assert_eq!(page.coarse.blocks, 0, "after steps at {steps:?} ms");
        assert!(steps.windows(2).all(|pair| pair[1] - pair[0] >= 250), "{steps:?}");
    }

    #[test]
    fn an_animation_does_not_keep_the_page_around_it_blurred() {
        let mut page = Page::new();
        assert!(page.code(1, BLOCKS, true).0 >= 33);
        for at in (33..6_000).step_by(33) {
            page.code(at, 240, false);
        }
        assert!(page.coarse.quantizer <= LARGE, "{:?}", page.coarse);
    }

    #[test]
    fn what_scrolls_into_view_is_good_enough_while_it_moves() {
        let mut page = Page::new();
        page.rate.coded(FINE, 1_000, true);
        let quantizers = (1..60).map(|at| {
            page.coarse = Coarse::default();
            page.code(at * 33, 300, false).0
        });
        let quantizers: Vec<u8> = quantizers.collect();
        assert!(quantizers.iter().all(|q| (FINE..=34).contains(q)), "{quantizers:?}");
        assert!(quantizers[1..].iter().all(|q| *q >= MOVING), "{quantizers:?}");
    }

    #[test]
    fn a_film_from_nowhere_fits_the_link() {
        let mut rate = Rate::new(BLOCKS, 30);
        rate.coded(FINE, 1_000, true);
        let (changed, film) = (3_600, 140.0);
        let now = Time::from_millis(1_000);
        let Choice { quantizer, .. } = rate.choose(now, RATE, changed, Coarse::default(), false);
        let bits = film * changed as f64 * scale(quantizer);
        assert!(quantizer <= SUDDEN && bits <= 8e6 * BURST.as_secs_f64(), "{quantizer}: {bits}");
    }

    #[test]
    fn motion_settles_at_the_rate() {
        let mut rate = Rate::new(BLOCKS, 30);
        rate.coded(FINE, 1_000, true);
        let mut sent = 0;
        for at in 1..=120 {
            let now = Time::from_millis(500 + at * 33);
            let Choice { quantizer, .. } = rate.choose(now, RATE, BLOCKS, Coarse::default(), false);
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
        let mut rate = Rate::new(BLOCKS, 30);
        rate.coded(FINE, 1_000, true);
        let now = Time::from_millis(40);
        let choose = |rate: &mut Rate| rate.choose(now, RATE, BLOCKS, Coarse::default(), false);
        let Choice { quantizer, .. } = choose(&mut rate);
        assert!(rate.is_oversize(quantizer, 400_000));
        assert!(choose(&mut rate).quantizer > quantizer);
        assert!(!rate.is_oversize(COARSEST, 400_000), "coarser than that there is nothing");
    }
}
