//! Which parts of a resting picture are coded again, finer, and when.
//!
//! What the viewer has coarsely is sharpened once it rests, a share of the picture at a time, so that whatever changes in
//! the meantime never waits long for the encoder or the link. What keeps changing is left as it is until it stops.

use std::time::Duration;

use farpane_media::Time;

use crate::rate::{Coarse, FINE};

/// A block that gains no more than this is not coded again for it, unless it is for good.
const WORTHLESS: u8 = 2;

/// What has not changed for so long rests,
const STILL: Duration = Duration::from_millis(60);
/// or for so long if it was about to rest, or just had, when it changed: the next frame of an animation.
const LIVELY: Duration = Duration::from_millis(300);
/// What has gone on changing for so long is a clock or an animation: whatever comes is about to be gone. What is typed moves
/// on sooner.
const RESTLESS: Duration = Duration::from_secs(1);

/// Whether what the viewer has at quantizer `before` gains by being coded again at `quantizer`.
pub(crate) fn gains(before: u8, quantizer: u8) -> bool {
    before > quantizer + if quantizer == FINE { 0 } else { WORTHLESS }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Sharpener {
    /// In blocks of 16x16 samples.
    width: usize,
    /// Blocks on a side of the squares that are coded again together.
    side: usize,
    /// From when on each block rests, and since when it has not.
    rests: Vec<Time>,
    since: Vec<Time>,
    /// When much of the picture moved last, and until when nothing is sharpened for it.
    moved: Time,
    held: Time,
    /// The square where the next share begins.
    next: usize,
}

impl Sharpener {
    pub(crate) fn new(width: usize, height: usize, side: usize) -> Sharpener {
        Sharpener {
            width,
            side,
            rests: vec![Time::ZERO; width * height],
            since: vec![Time::ZERO; width * height],
            moved: Time::ZERO,
            held: Time::ZERO,
            next: 0,
        }
    }

    /// The block is new. Returns whether it has been so, again and again, for a while.
    pub(crate) fn handle_change(&mut self, block: usize, now: Time) -> bool {
        let (rests, since) = (&mut self.rests[block], &mut self.since[block]);
        let lively = now < *rests + (LIVELY - STILL);
        if !lively {
            *since = now;
        }
        *rests = now + if lively { LIVELY } else { STILL };
        now >= *since + RESTLESS
    }

    /// The block is what another one was.
    pub(crate) fn handle_move(&mut self, block: usize, now: Time) {
        self.rests[block] = now + STILL;
        self.since[block] = now;
    }

    /// So many blocks are what others were. A page that scrolls is sharpened when it stops: what it uncovers meanwhile is
    /// about to be covered again, and a picture in between would take all of the encoder's copying once more. One that
    /// moves by a line now and then does not scroll.
    pub(crate) fn handle_moves(&mut self, moved: u64, now: Time) {
        if moved * 64 > self.rests.len() as u64 {
            if now < self.moved + LIVELY {
                self.held = now + STILL;
            }
            self.moved = now;
        }
    }

    /// What rests and is coarse, by the quantizer of each block.
    pub(crate) fn coarse(&self, quantizers: &[u8], now: Time) -> Coarse {
        let mut coarse = Coarse::default();
        if now < self.held {
            return coarse;
        }
        for (quantizer, rests) in quantizers.iter().zip(&self.rests) {
            if *quantizer > FINE && *rests <= now {
                coarse.blocks += 1;
                coarse.quantizer = coarse.quantizer.max(*quantizer);
            }
        }
        coarse
    }

    /// When something coarse begins to rest, or has; `None` if nothing is coarse.
    pub(crate) fn due(&self, quantizers: &[u8]) -> Option<Time> {
        let coarse = quantizers.iter().zip(&self.rests).filter(|(quantizer, _)| **quantizer > FINE);
        coarse.map(|(_, rests)| *rests).min().map(|due| due.max(self.held))
    }

    /// Offers resting blocks that gain by being coded again at `quantizer` to `pick`, in whole squares, from where the last
    /// share ended, until it has taken about `most` of them. Returns how many.
    pub(crate) fn select(
        &mut self,
        quantizers: &[u8],
        quantizer: u8,
        now: Time,
        most: u64,
        mut pick: impl FnMut(usize) -> bool,
    ) -> u64 {
        let (width, side) = (self.width, self.side);
        let (columns, rows) = (width.div_ceil(side), (self.rests.len() / width).div_ceil(side));
        let mut picked = 0;
        for step in 0..columns * rows {
            if picked >= most {
                self.next = (self.next + step) % (columns * rows);
                break;
            }
            let square = (self.next + step) % (columns * rows);
            let (left, top) = (square % columns * side, square / columns * side);
            for row in (top..top + side).take_while(|row| row * width < self.rests.len()) {
                let blocks = row * width + left..row * width + (left + side).min(width);
                let coarse = |block: &usize| {
                    gains(quantizers[*block], quantizer) && self.rests[*block] <= now
                };
                picked += blocks.filter(coarse).map(|block| u64::from(pick(block))).sum::<u64>();
            }
        }
        picked
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COARSE: u8 = FINE + 10;

    fn at(millis: u64) -> Time {
        Time::from_millis(millis)
    }

    fn selected(sharpener: &mut Sharpener, quantizers: &[u8], now: Time, most: u64) -> Vec<usize> {
        let mut picked = Vec::new();
        sharpener.select(quantizers, FINE, now, most, |block| {
            picked.push(block);
            true
        });
        picked
    }

    #[test]
    fn shares_follow_each_other_and_start_over() {
        let mut sharpener = Sharpener::new(5, 3, 2);
        let mut quantizers = [COARSE; 15];
        quantizers[6] = FINE;
        assert_eq!(selected(&mut sharpener, &quantizers, at(1), 4), [0, 1, 5, 2, 3, 7, 8]);
        assert_eq!(selected(&mut sharpener, &quantizers, at(1), 3), [4, 9, 10, 11]);
        assert_eq!(selected(&mut sharpener, &quantizers, at(1), 1), [12, 13]);
        assert_eq!(selected(&mut sharpener, &quantizers, at(1), 100).len(), 14, "all there is");
    }

    #[test]
    fn a_page_that_scrolls_is_left_alone() {
        let mut sharpener = Sharpener::new(64, 2, 1);
        let quantizers = [COARSE; 128];
        for now in [940, 970] {
            sharpener.handle_moves(2, at(now));
            assert_eq!(
                sharpener.coarse(&quantizers, at(now)).blocks,
                128,
                "a window that is dragged"
            );
        }
        sharpener.handle_moves(3, at(970));
        assert_eq!(sharpener.coarse(&quantizers, at(970)).blocks, 128, "a line at first");
        sharpener.handle_moves(3, at(1_000));
        assert_eq!(sharpener.coarse(&quantizers, at(1_059)), Coarse::default());
        assert_eq!(sharpener.due(&quantizers), Some(at(1_060)));
        assert_eq!(sharpener.coarse(&quantizers, at(1_060)).blocks, 128);
        sharpener.handle_moves(3, at(1_300));
        assert_eq!(sharpener.coarse(&quantizers, at(1_300)).blocks, 128, "a line, later");
    }

    #[test]
    fn what_changed_rests_soon_and_what_keeps_changing_does_not() {
        let mut sharpener = Sharpener::new(2, 1, 1);
        let quantizers = [COARSE, FINE];
        sharpener.handle_change(0, at(1_000));
        assert_eq!(sharpener.due(&quantizers), Some(at(1_060)));
        assert_eq!(sharpener.coarse(&quantizers, at(1_059)).blocks, 0);
        assert_eq!(
            sharpener.coarse(&quantizers, at(1_060)),
            Coarse { blocks: 1, quantizer: COARSE }
        );
        // An animation of ten frames a second.
        for frame in 1..10 {
            sharpener.handle_change(0, at(1_000 + frame * 100));
            assert!(selected(&mut sharpener, &quantizers, at(1_099 + frame * 100), 9).is_empty());
        }
        assert_eq!(selected(&mut sharpener, &quantizers, at(2_200), 9), [0]);
        // The next letter, and a clock.
        assert!(!sharpener.handle_change(1, at(2_300)));
        let clock = (1..=40).map(|tick| sharpener.handle_change(1, at(2_300 + tick * 50)));
        assert_eq!(clock.filter(|restless| *restless).count(), 21);
        assert!(!sharpener.handle_change(1, at(5_000)));
        // A page, and another one.
        sharpener.handle_change(0, at(4_000));
        assert_eq!(sharpener.due(&quantizers), Some(at(4_060)));
        assert_eq!(sharpener.due(&[FINE; 2]), None);
    }
}
