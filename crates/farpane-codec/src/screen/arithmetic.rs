//! Macroblocks by arithmetic codes (ITU-T H.264, clauses 7.3.5, 9.3.2 and 9.3.3.1): an eighth of the bits less than by
//! variable-length codes, a little for each macroblock that is left out. Only where U and V are coded as luma is: decoders
//! that know no other format need not know these.

use super::bits::Bits;
use super::cabac::{Coder, Mark, RESIDUAL};
use super::contexts::{
    CODED, DIFFERENCE, INTER_TYPE, INTRA_TYPE, LAST, LEVEL, MODE, PATTERN, QUANTIZER, SIGNIFICANT,
    SKIP, TYPE,
};
use super::entropy::{Entropy, Syntax, all};
use super::macroblock::{BLOCKS, Levels};
use super::motion::Vector;
use super::samples::Samples;

const N: usize = 3;

/// See the module.
pub(super) struct Arithmetic<'a> {
    coder: Coder<'a>,
    inter: bool,
    /// Whether this is not the first macroblock.
    begun: bool,
}

/// What is coded in the contexts that neighbours choose.
#[derive(Clone, Copy, Debug)]
pub(super) struct Edge {
    skipped: bool,
    intra: Intra,
    /// By how much the vector was not as expected, without its sign.
    difference: [u16; 2],
    pattern: u8,
    /// Whether the DC values of each component, of a macroblock predicted as one square, are not all 0; the same of each
    /// block of 4x4 along the edge, bit by bit.
    dc: [bool; N],
    blocks: [u8; N],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Intra {
    No,
    /// I_NxN.
    Blocks,
    Other,
}

/// ctxBlockCat (table 9-42) of luma; the others have the same in contexts of their own.
#[derive(Clone, Copy)]
enum Category {
    SquareDc = 0,
    SquareAc = 1,
    Block = 2,
}

impl<'a> Arithmetic<'a> {
    /// For a slice of `quantizer` whose header is written.
    pub(super) fn new(bits: &'a mut Bits, inter: bool, quantizer: u8) -> Arithmetic<'a> {
        Arithmetic { coder: Coder::new(bits, inter, quantizer), inter, begun: false }
    }

    /// Says that the slice did not end before, and whether this macroblock is left out.
    fn begin(&mut self, skip: bool, left: Option<&Edge>, above: Option<&Edge>) {
        // end_of_slice_flag
        if std::mem::replace(&mut self.begun, true) {
            self.coder.go_on();
        }
        if self.inter {
            let is_coded =
                |edge: Option<&Edge>| usize::from(edge.is_some_and(|edge| !edge.skipped));
            self.coder.put(SKIP + is_coded(left) + is_coded(above), skip);
        }
    }

    /// The part of mb_type that tells I_NxN from the others (table 9-36).
    fn put_intra(&mut self, blocks: bool, left: Option<&Edge>, above: Option<&Edge>) {
        if self.inter {
            self.coder.put(INTER_TYPE, true);
            self.coder.put(INTRA_TYPE, !blocks);
            return;
        }
        let other =
            |edge: Option<&Edge>| usize::from(edge.is_some_and(|edge| edge.intra != Intra::Blocks));
        self.coder.put(TYPE + other(left) + other(above), !blocks);
    }

    /// The rest of it for Intra_16x16: whether luma has AC values, that chroma has nothing of its own, and the mode.
    fn put_square(&mut self, mode: u8, ac: bool) {
        self.coder.go_on(); // not I_PCM
        let [luma, chroma, high, low] = match self.inter {
            true => [1, 2, 3, 3].map(|at| INTRA_TYPE + at),
            false => [3, 4, 6, 7].map(|at| TYPE + at),
        };
        self.coder.put(luma, ac);
        self.coder.put(chroma, false);
        self.coder.put(high, mode & 2 > 0);
        self.coder.put(low, mode & 1 > 0);
    }

    /// One side of mvd_l0, where those of both neighbours add up to `beside`.
    fn put_difference(&mut self, contexts: usize, value: i16, beside: u16) {
        let magnitude = u32::from(value.unsigned_abs());
        let first = match beside {
            0..3 => 0,
            3..33 => 1,
            _ => 2,
        };
        self.coder.put(contexts + first, magnitude > 0);
        if magnitude == 0 {
            return;
        }
        for at in 1..9 {
            self.coder.put(contexts + (2 + at).min(6), magnitude as usize > at);
            if magnitude as usize == at {
                break;
            }
        }
        if magnitude >= 9 {
            self.coder.golomb(magnitude - 9, 3);
        }
        self.coder.bypass(value < 0);
    }

    /// coded_block_pattern of luma.
    fn put_pattern(&mut self, pattern: u8, left: Option<&Edge>, above: Option<&Edge>) {
        let [left, above] = [left, above].map(|edge| edge.map_or(15, |edge| edge.pattern));
        let nothing = |pattern: u8, at: u8| usize::from(pattern >> at & 1 == 0);
        for at in 0..4 {
            let left = if at & 1 == 0 { nothing(left, at + 1) } else { nothing(pattern, at - 1) };
            let above = if at & 2 == 0 { nothing(above, at + 2) } else { nothing(pattern, at - 2) };
            self.coder.put(PATTERN + left + 2 * above, pattern >> at & 1 == 1);
        }
    }

    /// residual_block_cabac; returns whether there is anything.
    fn residual(
        &mut self,
        plane: usize,
        category: Category,
        levels: &[i16],
        beside: [bool; 2],
    ) -> bool {
        let contexts = |of: usize, each: usize| of + plane * RESIDUAL + category as usize * each;
        let mut left = 0_u32;
        for (at, level) in levels.iter().enumerate() {
            left |= u32::from(*level != 0) << at;
        }
        let flag = usize::from(beside[0]) + 2 * usize::from(beside[1]);
        self.coder.put(contexts(CODED, 4) + flag, left != 0);
        let Some(last) = left.checked_ilog2() else { return false };
        // The second category has one less.
        let skew = usize::from(matches!(category, Category::Block));
        let [significant, ends] = [SIGNIFICANT, LAST].map(|of| contexts(of, 15) - skew);
        for at in 0..(last as usize + 1).min(levels.len() - 1) {
            let any = left >> at & 1 == 1;
            self.coder.put(significant + at, any);
            if any {
                self.coder.put(ends + at, at == last as usize);
            }
        }
        let of_level = contexts(LEVEL, 10);
        let (mut ones, mut larger) = (0, 0);
        while let Some(at) = left.checked_ilog2() {
            left ^= 1 << at;
            let level = levels[at as usize & 15];
            let more = u32::from(level.unsigned_abs()) - 1;
            let first = if larger > 0 { 0 } else { 4.min(1 + ones) };
            self.coder.put(of_level + first, more > 0);
            if more == 0 {
                ones += 1;
            } else {
                let context = of_level + 5 + 4.min(larger);
                (1..more.min(14)).for_each(|_| self.coder.put(context, true));
                if more < 14 {
                    self.coder.put(context, false);
                } else {
                    self.coder.golomb(more - 14, 0);
                }
                larger += 1;
            }
            self.coder.bypass(level < 0);
        }
        true
    }

    /// All that there is (residual, clause 7.3.5.3); returns of each component whether there are DC values, and a bit for
    /// each block of 4x4 at the right and at the bottom that there are others.
    fn put_levels(
        &mut self,
        levels: &Levels<N>,
        square: bool,
        intra: bool,
        left: Option<&Edge>,
        above: Option<&Edge>,
    ) -> ([bool; N], [[u8; N]; 2]) {
        let (mut dc, mut right, mut bottom) = ([false; N], [0; N], [0; N]);
        for plane in 0..N {
            if square {
                let beside = [left, above].map(|edge| edge.map_or(intra, |edge| edge.dc[plane]));
                let levels = &levels.luma_dc[plane];
                dc[plane] = self.residual(plane, Category::SquareDc, levels, beside);
            }
            // A bit for each block, row by row.
            let mut coded = 0_u16;
            for (at, &(x, y)) in BLOCKS.iter().enumerate() {
                if levels.pattern >> (at / 4) & 1 == 0 {
                    continue;
                }
                let (x, y) = (x / 4, y / 4);
                let edge = |edge: Option<&Edge>, at: usize| {
                    edge.map_or(intra, |edge| edge.blocks[plane] >> at & 1 == 1)
                };
                let inside = |x: usize, y: usize| coded >> (y * 4 + x) & 1 == 1;
                let left = if x == 0 { edge(left, y) } else { inside(x - 1, y) };
                let above = if y == 0 { edge(above, x) } else { inside(x, y - 1) };
                let category = if square { Category::SquareAc } else { Category::Block };
                let levels = &levels.luma[plane][at][usize::from(square)..];
                let any = self.residual(plane, category, levels, [left, above]);
                coded |= u16::from(any) << (y * 4 + x);
            }
            right[plane] = (0..4).fold(0, |bits, y| bits | (coded >> (y * 4 + 3) & 1) << y) as u8;
            bottom[plane] = (coded >> 12) as u8;
        }
        (dc, [right, bottom])
    }
}

impl Entropy<N> for Arithmetic<'_> {
    type Edge = Edge;
    type Mark = (Mark, bool);

    const SKIPPED: Edge = Edge {
        skipped: true,
        intra: Intra::No,
        difference: [0; 2],
        pattern: 0,
        dc: [false; N],
        blocks: [0; N],
    };

    fn skip(&mut self, left: Option<&Edge>, above: Option<&Edge>) {
        self.begin(true, left, above);
    }

    fn write(
        &mut self,
        syntax: &Syntax,
        levels: &Levels<N>,
        left: Option<&Edge>,
        above: Option<&Edge>,
    ) -> [Edge; 2] {
        self.begin(false, left, above);
        let mut edge = Edge { skipped: false, pattern: levels.pattern, ..Self::SKIPPED };
        match *syntax {
            Syntax::Inter { difference: Vector { x, y } } => {
                (0..3).for_each(|at| self.coder.put(INTER_TYPE + at, false));
                for (side, value) in [x, y].into_iter().enumerate() {
                    let of = |edge: Option<&Edge>| edge.map_or(0, |edge| edge.difference[side]);
                    self.put_difference(DIFFERENCE + side * 7, value, of(left) + of(above));
                }
                edge.difference = [x.unsigned_abs(), y.unsigned_abs()];
                self.put_pattern(levels.pattern, left, above);
            }
            Syntax::Square { mode, .. } => {
                self.put_intra(false, left, above);
                self.put_square(mode, levels.pattern > 0);
                edge.intra = Intra::Other;
            }
            Syntax::Blocks { modes, .. } => {
                self.put_intra(true, left, above);
                for mode in modes {
                    self.coder.put(MODE, mode.is_none());
                    let rest = mode.into_iter().flat_map(|rest| (0..3).map(move |at| rest >> at));
                    rest.for_each(|bit| self.coder.put(MODE + 1, bit & 1 == 1));
                }
                self.put_pattern(levels.pattern, left, above);
                edge.intra = Intra::Blocks;
            }
        }
        let square = matches!(syntax, Syntax::Square { .. });
        if levels.pattern == 0 && !square {
            return [edge; 2];
        }
        self.coder.put(QUANTIZER, false); // mb_qp_delta
        let intra = edge.intra != Intra::No;
        let (dc, blocks) = self.put_levels(levels, square, intra, left, above);
        blocks.map(|blocks| Edge { dc, blocks, ..edge })
    }

    fn write_samples(
        &mut self,
        samples: &Samples<N>,
        left: Option<&Edge>,
        above: Option<&Edge>,
    ) -> [Edge; 2] {
        self.begin(false, left, above);
        self.put_intra(false, left, above);
        self.coder.end(); // I_PCM
        self.coder.put_bytes(all(samples));
        let edge = Edge { skipped: false, intra: Intra::Other, pattern: 15, ..Self::SKIPPED };
        [Edge { dc: [true; N], blocks: [15; N], ..edge }; 2]
    }

    fn len(&self) -> usize {
        self.coder.len()
    }

    fn mark(&self) -> (Mark, bool) {
        (self.coder.mark(), self.begun)
    }

    fn rewind(&mut self, (mark, begun): (Mark, bool)) {
        self.coder.rewind(mark);
        self.begun = begun;
    }

    fn end(mut self) {
        self.coder.end();
    }
}
