//! Macroblocks by variable-length codes (ITU-T H.264, clauses 7.3.5 and 9.1), which baseline decoders know and which leave
//! out any number of macroblocks in a few bits.

use super::bits::{self, Bits};
use super::cavlc::{Context, residual};
use super::entropy::{Entropy, Syntax, all};
use super::macroblock::{BLOCKS, Levels};
use super::samples::Samples;

/// mb_type of I_PCM in an I slice (table 7-11) and how much larger those are in a P slice.
const UNCOMPRESSED: u32 = 25;
const INTRA_IN_P: u32 = 5;

/// See the module.
pub(super) struct Variable<'a> {
    bits: &'a mut Bits,
    inter: bool,
    /// Macroblocks left out since the last one.
    skipped: u32,
}

/// How many coefficients the 4x4 blocks at an edge of a macroblock have.
#[derive(Clone, Copy, Debug)]
pub(super) struct Counts<const N: usize> {
    luma: [[u8; 4]; N],
    chroma: [[u8; 2]; 2],
}

impl<'a> Variable<'a> {
    /// For a slice whose header is written.
    pub(super) fn new(bits: &'a mut Bits, inter: bool) -> Variable<'a> {
        Variable { bits, inter, skipped: 0 }
    }

    /// Writes how many macroblocks were left out before this one.
    fn begin(&mut self) {
        if self.inter {
            self.bits.ue(std::mem::take(&mut self.skipped));
        }
    }

    fn put_type(&mut self, intra: u32) {
        self.bits.ue(if self.inter { INTRA_IN_P } else { 0 } + intra);
    }

    fn put_chroma_mode(&mut self, mode: Option<u8>) {
        mode.into_iter().for_each(|mode| self.bits.ue(u32::from(mode)));
    }
}

impl<const N: usize> Entropy<N> for Variable<'_> {
    type Edge = Counts<N>;
    type Mark = (bits::Mark, u32);

    const SKIPPED: Counts<N> = Counts { luma: [[0; 4]; N], chroma: [[0; 2]; 2] };

    fn skip(&mut self, _: Option<&Counts<N>>, _: Option<&Counts<N>>) {
        self.skipped += 1;
    }

    fn write(
        &mut self,
        syntax: &Syntax,
        levels: &Levels<N>,
        left: Option<&Counts<N>>,
        above: Option<&Counts<N>>,
    ) -> [Counts<N>; 2] {
        self.begin();
        let pattern = levels.pattern;
        match *syntax {
            Syntax::Inter { difference } => {
                self.bits.ue(0);
                self.bits.se(i32::from(difference.x));
                self.bits.se(i32::from(difference.y));
                self.bits.ue(inter_pattern::<N>(pattern));
            }
            Syntax::Square { mode, chroma } => {
                // mb_type says the mode and the pattern (table 7-11).
                let of_luma = if pattern & 15 > 0 { 12 } else { 0 };
                self.put_type(1 + u32::from(mode) + u32::from(pattern / 16 * 4 + of_luma));
                self.put_chroma_mode(chroma);
            }
            Syntax::Blocks { modes, chroma } => {
                self.put_type(0);
                for mode in modes {
                    match mode {
                        None => self.bits.put(1, 1),
                        Some(rest) => self.bits.put(u32::from(rest), 4),
                    }
                }
                self.put_chroma_mode(chroma);
                self.bits.ue(intra_pattern::<N>(pattern));
            }
        }
        let square = matches!(syntax, Syntax::Square { .. });
        if pattern != 0 || square {
            self.bits.se(0); // mb_qp_delta
        }
        put_levels(self.bits, levels, square, left, above)
    }

    fn write_samples(
        &mut self,
        samples: &Samples<N>,
        _: Option<&Counts<N>>,
        _: Option<&Counts<N>>,
    ) -> [Counts<N>; 2] {
        self.begin();
        self.put_type(UNCOMPRESSED);
        self.bits.align();
        all(samples).for_each(|sample| self.bits.put(u32::from(sample), 8));
        [Counts { luma: [[16; 4]; N], chroma: [[16; 2]; 2] }; 2]
    }

    fn len(&self) -> usize {
        self.bits.len()
    }

    fn mark(&self) -> (bits::Mark, u32) {
        (self.bits.mark(), self.skipped)
    }

    fn rewind(&mut self, (mark, skipped): (bits::Mark, u32)) {
        self.bits.rewind(mark);
        self.skipped = skipped;
    }

    fn end(self) {
        if self.skipped > 0 {
            self.bits.ue(self.skipped);
        }
        self.bits.end();
    }
}

/// Writes what there is (residual, clause 7.3.5.3) and returns the counts at the right and at the bottom.
fn put_levels<const N: usize>(
    bits: &mut Bits,
    levels: &Levels<N>,
    square: bool,
    left: Option<&Counts<N>>,
    above: Option<&Counts<N>>,
) -> [Counts<N>; 2] {
    let mut luma = [[[0_u8; 4]; 4]; N];
    for (plane, counts) in luma.iter_mut().enumerate() {
        let context = |counts: &[[u8; 4]; 4], x: usize, y: usize| {
            let left = match x {
                0 => left.map(|counts| counts.luma[plane][y]),
                _ => Some(counts[y][x - 1]),
            };
            let above = match y {
                0 => above.map(|counts| counts.luma[plane][x]),
                _ => Some(counts[y - 1][x]),
            };
            mean(left, above)
        };
        if square {
            residual(bits, &levels.luma_dc[plane], context(counts, 0, 0));
        }
        for (at, &(x, y)) in BLOCKS.iter().enumerate() {
            if levels.pattern >> (at / 4) & 1 == 1 {
                let (x, y) = (x / 4, y / 4);
                let levels = &levels.luma[plane][at][usize::from(square)..];
                counts[y][x] = residual(bits, levels, context(counts, x, y));
            }
        }
    }
    let mut chroma = [[[0_u8; 2]; 2]; 2];
    if levels.pattern >= 16 {
        for levels in &levels.chroma_dc {
            residual(bits, levels, Context::ChromaDc);
        }
    }
    if levels.pattern >= 32 {
        for (plane, counts) in chroma.iter_mut().enumerate() {
            for (at, levels) in levels.chroma[plane].iter().enumerate() {
                let (x, y) = (at % 2, at / 2);
                let left = match x {
                    0 => left.map(|counts| counts.chroma[plane][y]),
                    _ => Some(counts[y][0]),
                };
                let above = match y {
                    0 => above.map(|counts| counts.chroma[plane][x]),
                    _ => Some(counts[0][x]),
                };
                counts[y][x] = residual(bits, &levels[1..], mean(left, above));
            }
        }
    }
    let right = Counts {
        luma: luma.map(|plane| plane.map(|row| row[3])),
        chroma: chroma.map(|plane| plane.map(|row| row[1])),
    };
    let bottom = Counts { luma: luma.map(|plane| plane[3]), chroma: chroma.map(|plane| plane[1]) };
    [right, bottom]
}

/// nC (clause 9.2.1).
fn mean(left: Option<u8>, above: Option<u8>) -> Context {
    Context::Neighbours(match (left, above) {
        (Some(left), Some(above)) => (left + above).div_ceil(2),
        (Some(count), None) | (None, Some(count)) => count,
        (None, None) => 0,
    })
}

/// codeNum of coded_block_pattern for blocks of 4x4 predicted from their neighbours (table 9-4).
fn intra_pattern<const N: usize>(pattern: u8) -> u32 {
    let pattern = usize::from(pattern);
    u32::from(if N == 1 { INTRA_PATTERN[pattern] } else { INTRA_PATTERN_FULL[pattern] })
}

/// The same for macroblocks predicted from the picture before.
fn inter_pattern<const N: usize>(pattern: u8) -> u32 {
    let pattern = usize::from(pattern);
    u32::from(if N == 1 { INTER_PATTERN[pattern] } else { INTER_PATTERN_FULL[pattern] })
}

/// Table 9-4 a, for ChromaArrayType 1 and 2.
static INTRA_PATTERN: [u8; 48] = [
    3, 29, 30, 17, 31, 18, 37, 8, 32, 38, 19, 9, 20, 10, 11, 2, 16, 33, 34, 21, 35, 22, 39, 4, 36,
    40, 23, 5, 24, 6, 7, 1, 41, 42, 43, 25, 44, 26, 46, 12, 45, 47, 27, 13, 28, 14, 15, 0,
];
static INTER_PATTERN: [u8; 48] = [
    0, 2, 3, 7, 4, 8, 17, 13, 5, 18, 9, 14, 10, 15, 16, 11, 1, 32, 33, 36, 34, 37, 44, 40, 35, 45,
    38, 41, 39, 42, 43, 19, 6, 24, 25, 20, 26, 21, 46, 28, 27, 47, 22, 29, 23, 30, 31, 12,
];
/// Table 9-4 b, for ChromaArrayType 0 and 3.
static INTRA_PATTERN_FULL: [u8; 16] = [1, 10, 11, 6, 12, 7, 14, 2, 13, 15, 8, 3, 9, 4, 5, 0];
static INTER_PATTERN_FULL: [u8; 16] = [0, 1, 2, 5, 3, 6, 14, 10, 4, 15, 7, 11, 8, 12, 13, 9];

#[cfg(test)]
mod tests {
    use super::*;

    /// The way that table 9-4 b is printed, and a decoder reads it: the pattern of each codeNum.
    #[test]
    fn patterns_of_full_colour_are_those_of_the_table() {
        let intra = [15, 0, 7, 11, 13, 14, 3, 5, 10, 12, 1, 2, 4, 8, 6, 9];
        let inter = [0, 1, 2, 4, 8, 3, 5, 10, 12, 15, 7, 11, 13, 14, 6, 9];
        for code in 0..16 {
            assert_eq!(intra_pattern::<3>(intra[code]), code as u32);
            assert_eq!(inter_pattern::<3>(inter[code]), code as u32);
        }
    }
}
