//! Rate control: which quantizer the next picture gets, and whether what the viewer has coarsely is coded again with it.
//!
//! A desktop is still for seconds and then new all over, so the quantizer is chosen from what is known before coding:
//! how many macroblocks are new and how long the link has been idle.
//!
//! * A small change is sharp at once, unless it falls together with a step of sharpening; a large one gets the finest
//!   quantizer that is expected to fit what the link carries in [`BURST`], or in the time since the last picture while
//!   pictures follow each other.
//! * What the viewer has coarsely is sharpened once it rests, by what the link has to spare: in passes over the picture,
//!   each pass in shares that the link carries in [`SHARE`], so that a change never waits long.
//! * Cost is predicted as `density * blocks * 2^((30 - quantizer) / 8)`; both densities are learned.

use std::time::Duration;

use farpane_media::{Bitrate, Time};

/// The finest quantizer: 51 dB on the densest text, so that nobody tells it from the source.
pub(crate) const FINE: u8 = 12;
/// The finest for what is new all over: the sooner it is there, and it may be about to change again.
const SUDDEN: u8 = 36;
/// The finest for what stays new all over.
const LARGE: u8 = 27;
/// The finest for what keeps changing.
pub(crate) const MOVING: u8 = 24;
pub(crate) const COARSEST: u8 = 45;
/// The least that a pass of sharpening gains where the picture is coarsest.
const STEP: u8 = 6;

/// A picture that follows a pause may take this long on the link, two frames of 30 a second: 66 kB at 8 Mb/s, a dense page
/// at quantizer 42.
const BURST: Duration = Duration::from_millis(66);
/// Large changes closer together than this are motion: predicted by the one before.
const MOTION: Duration = Duration::from_millis(300);
/// When nothing but a little has changed for so long, the next change is likely to stay.
const REST: Duration = Duration::from_millis(250);
/// How long the link may take for one share of sharpening: what changes meanwhile waits for as long.
const SHARE: Duration = Duration::from_millis(20);
/// In bits, three packets: on thin links smaller shares would be all headers.
const LEAST: f64 = 3.0 * 1_200.0 * 8.0;
/// Of the picture's blocks at most in one share, which bounds the time that the encoder takes.
const PART: f64 = 0.25;
/// The finest quantizer is aimed at if the link carries all there is to sharpen in this time, else a pass that is coarser
/// comes before.
const PASS: Duration = Duration::from_millis(400);
/// Where changes leave no time for sharpening between them, it comes along with one now and then.
const UNREST: Duration = Duration::from_millis(500);
/// Debt that counts as none.
const PAID: Duration = Duration::from_millis(2);
/// However thin the link, a resting picture is coded again after this.
const LONGEST: Duration = Duration::from_secs(2);
/// A picture that turns out so many times larger than meant is there sooner coded again, coarser: coding takes time as well.
const TOO_MUCH: f64 = 3.0;
/// What the link owes is forgotten beyond so many bursts: the transport holds pictures back by then.
const MOST_DEBT: f64 = 15.0;
/// Bits a block at quantizer 30 of a page of small text, which is as dense as desktops get.
const DENSEST: f64 = 180.0;
/// Taken for the density of more than a little from nowhere if the picture before it was sparser: a film is as dense.
const SURPRISE: f64 = 90.0;

/// Macroblocks that rest and that the viewer has coarser than [`FINE`], and the quantizer of the coarsest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Coarse {
    pub(crate) blocks: u64,
    pub(crate) quantizer: u8,
}

/// Macroblocks that are new to the viewer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fresh {
    pub(crate) blocks: u64,
    /// Those of them that have been new again and again lately.
    pub(crate) restless: u64,
}

/// None of which was new before.
impl From<u64> for Fresh {
    fn from(blocks: u64) -> Fresh {
        Fresh { blocks, restless: 0 }
    }
}

/// How to code a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Choice {
    pub(crate) quantizer: u8,
    /// How many macroblocks to code again of those that gain by it.
    pub(crate) sharpen: u64,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Rate {
    blocks: f64,
    frame_time: Duration,
    /// When the last picture was coded.
    last: Option<Time>,
    /// When the last change was, and how long after the one before it.
    change: Option<Time>,
    idle: Duration,
    /// Bits sent that the link has not carried yet, and what it carries in a second.
    debt: f64,
    rate: f64,
    /// Of content that comes from nowhere.
    density: f64,
    /// Of content that is sharpened, by how much it gains.
    residue: f64,
    /// Of content that moves, and when it last did.
    motion: Option<(Time, f64)>,
    /// When more than a little changed last.
    busy: Option<Time>,
    /// When something was sharpened, or all of the picture was coded, last.
    sharpened: Option<Time>,
    /// Of the picture in hand.
    changed: f64,
    /// How many quantizers what is sharpened gains.
    gain: Option<u8>,
}

impl Rate {
    pub(crate) fn new(blocks: u64, max_fps: u32) -> Rate {
        Rate {
            blocks: blocks as f64,
            frame_time: Duration::from_secs(1) / max_fps.max(1),
            last: None,
            change: None,
            idle: BURST,
            debt: 0.0,
            rate: 0.0,
            density: DENSEST,
            residue: DENSEST,
            motion: None,
            busy: None,
            sharpened: None,
            changed: 0.0,
            gain: None,
        }
    }

    /// For a picture of which some macroblocks are new to the viewer, who has others coarsely.
    pub(crate) fn choose(
        &mut self,
        now: Time,
        bitrate: Bitrate,
        fresh: Fresh,
        coarse: Coarse,
        key_frame: bool,
    ) -> Choice {
        let changed = fresh.blocks;
        let rate = bitrate.as_bps() as f64;
        // Choosing again for the same picture is the same moment.
        if self.last != Some(now) {
            let passed = self.last.map_or(BURST, |last| now.since(last));
            self.debt = (self.debt - rate * passed.as_secs_f64()).max(0.0);
            self.last = Some(now);
            if changed > 0 || key_frame {
                self.idle = self.change.map_or(BURST, |change| now.since(change));
                self.change = Some(now);
            }
        }
        self.rate = rate;
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
        let spare = changed == 0 || passed(self.sharpened, UNREST);
        let paid = self.debt <= rate * PAID.as_secs_f64();
        let sharpening = coarse.blocks > 0 && paid && spare && !large && !key_frame;
        if large || key_frame || sharpening {
            self.sharpened = Some(now);
        }
        if !little {
            self.busy = Some(now);
        }
        if sharpening {
            return self.sharpen(coarse);
        }
        self.gain = None;
        if large {
            self.motion = Some((now, density));
        }
        let room = if key_frame { BURST } else { self.idle.min(BURST).max(self.frame_time) };
        let least = rate * self.frame_time.as_secs_f64() / 4.0;
        let room = (rate * room.as_secs_f64() - self.debt).max(least);
        let finest = match (large, moving) {
            (true, None) => SUDDEN,
            (true, Some(_)) => LARGE,
            (false, _) if changed > 0 && fresh.restless == changed => MOVING,
            (false, _) if little || rested => FINE,
            (false, _) => MOVING,
        };
        let cost = |quantizer: &u8| density * self.changed * scale(*quantizer);
        let quantizer = (finest..COARSEST).find(|quantizer| cost(quantizer) <= room);
        Choice { quantizer: quantizer.unwrap_or(COARSEST), sharpen: 0 }
    }

    /// As fine as the link carries soon, and a step at least.
    fn sharpen(&mut self, coarse: Coarse) -> Choice {
        let gain = |quantizer: u8| coarse.quantizer.saturating_sub(quantizer);
        let price = |quantizer| self.residue * residue(gain(quantizer)) * scale(quantizer);
        let step = coarse.quantizer.saturating_sub(STEP).max(FINE);
        let soon = |quantizer: &u8| {
            coarse.blocks as f64 * price(*quantizer) <= self.rate * PASS.as_secs_f64()
        };
        let quantizer = if coarse.quantizer <= LARGE {
            FINE
        } else {
            [FINE, MOVING, LARGE].into_iter().find(soon).unwrap_or(step).min(step)
        };
        let time = if self.changed == 0.0 { SHARE } else { BURST };
        let room = (self.rate * time.as_secs_f64()).max(LEAST);
        let blocks = (room / price(quantizer) - self.changed).min(self.blocks * PART).max(1.0);
        self.gain = Some(gain(quantizer));
        Choice { quantizer, sharpen: blocks as u64 }
    }

    /// When the link has carried what was sent: the earliest that sharpening something delays nothing else.
    pub(crate) fn free(&self) -> Time {
        let carried = Duration::try_from_secs_f64(self.debt / self.rate.max(1.0));
        self.last.unwrap_or(Time::ZERO) + carried.unwrap_or(LONGEST).clamp(PAID, LONGEST)
    }

    /// Bytes that so many blocks from nowhere take at the least.
    pub(crate) fn least(&self, blocks: u64) -> u64 {
        (self.density * blocks as f64 * scale(COARSEST) / 8.0) as u64
    }

    /// Bits that a picture after a pause may have.
    fn burst(&self) -> f64 {
        self.rate * BURST.as_secs_f64()
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
        let oversize = !self.is_little() && quantizer < COARSEST && bits > TOO_MUCH * self.burst();
        if oversize {
            self.density = bits / (self.changed * scale(quantizer));
            self.motion = self.motion.map(|(at, density)| (at, density.max(self.density)));
        }
        oversize
    }

    /// Accounts for a coded picture, in which `sharpened` macroblocks were coded again.
    pub(crate) fn coded(&mut self, quantizer: u8, bytes: usize, key_frame: bool, sharpened: u64) {
        let bits = bytes as f64 * 8.0;
        self.debt = (self.debt + bits).min(MOST_DEBT * self.burst());
        if let Some(gain) = self.gain {
            if sharpened > 0 && self.changed == 0.0 {
                let seen = bits / (sharpened as f64 * residue(gain) * scale(quantizer));
                self.residue += (seen - self.residue) / 4.0;
            }
            return;
        }
        let coded = if key_frame { self.blocks } else { self.changed.max(1.0) };
        let seen = bits / (coded * scale(quantizer));
        if key_frame {
            self.density = seen;
        } else if let Some((at, density)) = self.motion.filter(|(at, _)| Some(*at) == self.last) {
            // Up at once, down slowly: what is coarse looks cheaper than it is, and so does what moves.
            self.motion = Some((at, seen.max(density + (seen - density) / 4.0)));
            self.density = self.density.max(seen);
        } else if !self.is_little() {
            self.density += (seen - self.density) / 4.0;
        }
    }
}

/// What is left to code of a block that gains so many quantizers, of what all of it costs.
fn residue(gain: u8) -> f64 {
    (0.2 + f64::from(gain) / 32.0).min(1.0)
}

/// How much more a block costs at `quantizer` than at 30. Text halves every 10 steps, film every 6.
fn scale(quantizer: u8) -> f64 {
    ((30.0 - f64::from(quantizer)) / 8.0).exp2()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sharpen::Sharpener;

    const BLOCKS: u64 = 8160; // 1080p
    const RATE: Bitrate = Bitrate::mbps(8);

    /// A rate control and a viewer of dense text that costs exactly what is predicted.
    struct Page {
        rate: Rate,
        quantizers: Vec<u8>,
        sharpener: Sharpener,
    }

    impl Page {
        fn new() -> Page {
            Page {
                rate: Rate::new(BLOCKS, 30),
                quantizers: vec![FINE; BLOCKS as usize],
                sharpener: Sharpener::new(120, 68, 1),
            }
        }

        /// Codes a picture whose first `changed` macroblocks are new; returns the quantizer and the bits.
        fn code(&mut self, now: Time, changed: u64, key_frame: bool) -> (u8, f64) {
            let restless = (0..changed as usize)
                .map(|block| u64::from(self.sharpener.handle_change(block, now)))
                .sum();
            let coarse = self.sharpener.coarse(&self.quantizers, now);
            let Choice { quantizer, sharpen } =
                self.rate.choose(now, RATE, Fresh { blocks: changed, restless }, coarse, key_frame);
            let before = self.quantizers.clone();
            let sharpened = self.sharpener.select(&before, quantizer, now, sharpen, |block| {
                self.quantizers[block] = quantizer;
                true
            });
            self.quantizers[..changed as usize].fill(quantizer);
            let again = sharpened as f64 * residue(coarse.quantizer.saturating_sub(quantizer));
            let bits = DENSEST * (changed as f64 + again) * scale(quantizer);
            self.rate.coded(quantizer, (bits / 8.0) as usize, key_frame, sharpened);
            (quantizer, bits)
        }

        /// Codes the picture again whenever it gains by it until `until`; returns the bits of each time.
        fn rest(&mut self, until: Time) -> Vec<f64> {
            let mut sizes = Vec::new();
            while let Some(due) = self.sharpener.due(&self.quantizers) {
                let now = due.max(self.rate.free());
                if now >= until {
                    break;
                }
                sizes.push(self.code(now, 0, false).1);
            }
            sizes
        }

        fn coarsest(&self) -> u8 {
            self.quantizers.iter().copied().max().unwrap()
        }
    }

    fn at(millis: u64) -> Time {
        Time::from_millis(millis)
    }

    #[test]
    fn a_dense_first_picture_is_bounded_and_then_sharpened_by_small_shares() {
        let mut page = Page::new();
        let (first, bits) = page.code(at(1), BLOCKS, true);
        assert!(first >= 33 && bits <= 66_000.0 * 8.0, "{first} {bits}");
        let sizes = page.rest(at(1_400));
        let share = 8e6 * SHARE.as_secs_f64();
        assert!(sizes.iter().all(|bits| *bits <= 1.01 * share), "{sizes:?}");
        assert_eq!(page.coarsest(), FINE, "{sizes:?}");
        assert_eq!(page.rest(at(5_000)).len(), 0);
    }

    #[test]
    fn typing_is_fine_at_once() {
        let mut page = Page::new();
        page.rate.coded(FINE, 1_000, true, 0);
        (1..30).for_each(|step| assert_eq!(page.code(at(step * 33), 4, false).0, FINE));
    }

    #[test]
    fn a_clock_is_fine_when_it_stops() {
        let mut page = Page::new();
        page.rate.coded(FINE, 1_000, true, 0);
        let quantizers: Vec<u8> =
            (1..90).map(|step| page.code(at(step * 33), 4, false).0).collect();
        assert!(quantizers[..29].iter().all(|q| *q == FINE), "{quantizers:?}");
        assert!(quantizers[32..].iter().all(|q| *q == MOVING), "{quantizers:?}");
        page.rest(at(3_500));
        assert_eq!(page.coarsest(), FINE);
    }

    #[test]
    fn changes_do_not_keep_the_page_around_them_blurred() {
        // Typing, and an animation.
        for changed in [4, 240] {
            let mut page = Page::new();
            assert!(page.code(at(1), BLOCKS, true).0 >= 33);
            for step in 1..60 {
                page.code(at(step * 33), changed, false);
                page.rest(at((step + 1) * 33));
            }
            let still = page.quantizers[changed as usize..].iter().max();
            assert_eq!(still, Some(&FINE), "{changed}");
        }
    }

    #[test]
    fn changes_that_leave_no_time_between_them_do_not_either() {
        let mut page = Page::new();
        assert!(page.code(at(1), BLOCKS, true).0 >= 33);
        (1..180).for_each(|step| _ = page.code(at(step * 33), 240, false));
        assert!(page.coarsest() <= LARGE, "{}", page.coarsest());
    }

    #[test]
    fn what_scrolls_into_view_is_good_enough_while_it_moves() {
        let mut page = Page::new();
        page.rate.coded(FINE, 1_000, true, 0);
        let quantizers = (1..60).map(|step| page.code(at(step * 33), 300, false).0);
        let quantizers: Vec<u8> = quantizers.collect();
        assert!(quantizers.iter().all(|q| (FINE..=34).contains(q)), "{quantizers:?}");
        assert!(quantizers[1..].iter().all(|q| *q >= MOVING), "{quantizers:?}");
    }

    #[test]
    fn a_film_from_nowhere_fits_the_link() {
        let mut rate = Rate::new(BLOCKS, 30);
        rate.coded(FINE, 1_000, true, 0);
        let (changed, film) = (3_600, 140.0);
        let now = Time::from_millis(1_000);
        let Choice { quantizer, .. } =
            rate.choose(now, RATE, Fresh::from(changed), Coarse::default(), false);
        let bits = film * changed as f64 * scale(quantizer);
        assert!(quantizer <= SUDDEN && bits <= 8e6 * BURST.as_secs_f64(), "{quantizer}: {bits}");
    }

    #[test]
    fn motion_settles_at_the_rate() {
        let mut rate = Rate::new(BLOCKS, 30);
        rate.coded(FINE, 1_000, true, 0);
        let mut sent = 0;
        for at in 1..=120 {
            let now = Time::from_millis(500 + at * 33);
            let Choice { quantizer, .. } =
                rate.choose(now, RATE, Fresh::from(BLOCKS), Coarse::default(), false);
            // Film: halves every six steps.
            let bytes = (120_000.0 * ((27.0 - f64::from(quantizer)) / 6.0).exp2()) as usize;
            rate.coded(quantizer, bytes, false, 0);
            sent += if at > 60 { bytes as u64 } else { 0 };
        }
        let sent = Bitrate::of(sent, Duration::from_millis(60 * 33));
        assert!(sent > RATE * 0.6 && sent <= RATE * 1.1, "{sent}");
    }

    #[test]
    fn a_surprise_is_coded_again_once_coarser() {
        let mut rate = Rate::new(BLOCKS, 30);
        rate.coded(FINE, 1_000, true, 0);
        let now = Time::from_millis(40);
        let choose =
            |rate: &mut Rate| rate.choose(now, RATE, Fresh::from(BLOCKS), Coarse::default(), false);
        let Choice { quantizer, .. } = choose(&mut rate);
        assert!(rate.is_oversize(quantizer, 400_000));
        assert!(choose(&mut rate).quantizer > quantizer);
        assert!(!rate.is_oversize(COARSEST, 400_000), "coarser than that there is nothing");
    }
}
