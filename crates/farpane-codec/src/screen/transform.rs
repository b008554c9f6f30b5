//! The integer transform and quantization (ITU-T H.264, clauses 8.5.8 to 8.5.12), both ways.
//!
//! The ways there are the ones of the standard's reference: what a decoder undoes.

use crate::rate::FINE;

/// 4x4 values, row by row.
pub(super) type Block = [i16; 16];

/// A coefficient that still has a code in the baseline profile (clause 9.2.2.1).
pub(super) const LARGEST: i32 = 2_063;

/// From scan order to row by row (table 8-12, frames).
pub(super) const ZIGZAG: [usize; 16] = [0, 1, 4, 8, 5, 2, 3, 6, 9, 12, 13, 10, 7, 11, 14, 15];

/// How much a level stands for, by `quantizer % 6`: corners, the rest, centres (v of clause 8.5.9).
const SCALE: [[i32; 3]; 6] =
    [[10, 13, 16], [11, 14, 18], [13, 16, 20], [14, 18, 23], [16, 20, 25], [18, 23, 29]];
/// 2^21 by how much a level and the transform scale a coefficient, in the same order.
const FACTOR: [[i32; 3]; 6] = [
    [13_107, 8_066, 5_243],
    [11_916, 7_490, 4_660],
    [10_082, 6_554, 4_194],
    [9_362, 5_825, 3_647],
    [8_192, 5_243, 3_355],
    [7_282, 4_559, 2_893],
];
/// Which of three each of 16 coefficients is.
const KIND: [usize; 16] = [0, 1, 0, 1, 1, 2, 1, 2, 0, 1, 0, 1, 1, 2, 1, 2];

/// What blocks of one quantizer share.
#[derive(Clone, Debug)]
pub(super) struct Quantizer {
    /// 2^16 by what a level stands for.
    factor: Row<u16>,
    /// Added before: less than half a level, so that values near zero become it.
    rounding: Row<u16>,
    scale: Row<i16>,
    dc: Dc,
    /// Sums of absolute differences below this quantize to nothing.
    nothing: u32,
}

/// A value for each coefficient.
type Row<T> = [T; 16];

/// The same for DC values, which are larger and have a transform more.
#[derive(Clone, Debug)]
struct Dc {
    factor: i32,
    rounding: i32,
    shift: u32,
    scale: i32,
}

impl Quantizer {
    /// For `quantizer` from 0 to 51. Intra blocks keep more of what is small, and those for good keep all of it: on text that
    /// is 3 dB for 5 % more bits, where a finer quantizer would cost twice that.
    pub(super) fn new(quantizer: u8, intra: bool) -> Quantizer {
        let (sixth, rest) = (u32::from(quantizer / 6), usize::from(quantizer % 6));
        let divisor = match (quantizer <= FINE, intra) {
            (true, _) => 2,
            (false, true) => 3,
            (false, false) => 6,
        };
        let shift = 15 + sixth;
        // The least coefficient that counts, over how much of it one sample can make.
        let nothing = |kind: usize| {
            (((1 << shift) - (1 << shift) / divisor) / FACTOR[rest][kind]) as u32 >> kind
        };
        Quantizer {
            nothing: nothing(0).min(nothing(1)).min(nothing(2)),
            factor: KIND.map(|kind| ((FACTOR[rest][kind] * 2) >> sixth) as u16),
            rounding: KIND.map(|kind| ((1 << shift) / FACTOR[rest][kind] / divisor) as u16),
            scale: KIND.map(|kind| (SCALE[rest][kind] << sixth) as i16),
            dc: Dc {
                factor: FACTOR[rest][0],
                rounding: (1 << shift) / divisor,
                shift,
                scale: SCALE[rest][0] << sixth,
            },
        }
    }

    /// Whether a block that differs from its prediction by `sum` quantizes to nothing.
    #[inline(always)]
    pub(super) fn is_nothing(&self, sum: u32) -> bool {
        sum < self.nothing
    }

    /// Transformed residual to levels, in place, row by row; whether any is left.
    #[inline(always)]
    pub(super) fn quantize(&self, block: &mut Block) -> bool {
        let mut any = 0;
        let steps = self.rounding.iter().zip(&self.factor);
        for (value, (rounding, factor)) in block.iter_mut().zip(steps) {
            let magnitude = u32::from(value.unsigned_abs().wrapping_add(*rounding));
            let level = ((magnitude * u32::from(*factor)) >> 16) as i16;
            *value = if *value < 0 { -level } else { level };
            any |= level;
        }
        any != 0
    }

    /// The DC values of 16 or 4 blocks after their own transform, to levels.
    pub(super) fn quantize_dc(&self, values: &mut [i32]) -> bool {
        let mut any = 0;
        for value in values.iter_mut() {
            let Dc { factor, rounding, shift, .. } = self.dc;
            let magnitude = (value.abs() * factor + 2 * rounding) >> (shift + 1);
            *value = magnitude.min(LARGEST) * value.signum();
            any |= *value;
        }
        any != 0
    }

    /// Levels to transformed residual, in place.
    #[inline(always)]
    pub(super) fn scale(&self, block: &mut Block) {
        for (value, scale) in block.iter_mut().zip(&self.scale) {
            *value *= scale;
        }
    }

    /// The luma DC values of a macroblock after [`hadamard`] of their levels (clause 8.5.10).
    pub(super) fn scale_luma_dc(&self, values: &mut [i32; 16]) {
        values.iter_mut().for_each(|value| *value = (*value * self.dc.scale + 2) >> 2);
    }

    /// The chroma DC values of a macroblock after [`hadamard2`] of their levels (clause 8.5.11.2).
    pub(super) fn scale_chroma_dc(&self, values: &mut [i32; 4]) {
        values.iter_mut().for_each(|value| *value = (*value * self.dc.scale) >> 1);
    }
}

/// The residual's transform, in place.
#[inline(always)]
pub(super) fn forward(block: &mut Block) {
    for _ in 0..2 {
        let [a, b, c, d] = rows(block);
        let [mut sum, mut double, mut difference, mut half] = [[0; 4]; 4];
        for at in 0..4 {
            let (outer, inner) = (a[at] + d[at], b[at] + c[at]);
            let (outer_difference, inner_difference) = (a[at] - d[at], b[at] - c[at]);
            sum[at] = outer + inner;
            double[at] = 2 * outer_difference + inner_difference;
            difference[at] = outer - inner;
            half[at] = outer_difference - 2 * inner_difference;
        }
        transpose(block, [sum, double, difference, half]);
    }
}

/// The residual of scaled coefficients, in place (clause 8.5.12.2).
#[inline(always)]
pub(super) fn inverse(block: &mut Block) {
    // Rows first, then columns: halves are cut off in that order.
    let first = rows(block);
    transpose(block, first);
    let second = inverse_pass(rows(block));
    transpose(block, second);
    let seen = inverse_pass(rows(block));
    for at in 0..16 {
        block[at] = (seen[at / 4][at % 4] + 32) >> 6;
    }
}

#[inline(always)]
fn inverse_pass([a, b, c, d]: [[i16; 4]; 4]) -> [[i16; 4]; 4] {
    let mut out = [[0; 4]; 4];
    for at in 0..4 {
        let (even, even_difference) = (a[at] + c[at], a[at] - c[at]);
        let (odd, odd_sum) = ((b[at] >> 1) - d[at], b[at] + (d[at] >> 1));
        out[0][at] = even + odd_sum;
        out[1][at] = even_difference + odd;
        out[2][at] = even_difference - odd;
        out[3][at] = even - odd_sum;
    }
    out
}

#[inline(always)]
fn rows(block: &Block) -> [[i16; 4]; 4] {
    let mut rows = [[0; 4]; 4];
    for at in 0..16 {
        rows[at / 4][at % 4] = block[at];
    }
    rows
}

#[inline(always)]
fn transpose(block: &mut Block, rows: [[i16; 4]; 4]) {
    for at in 0..16 {
        block[at] = rows[at % 4][at / 4];
    }
}

/// The transform of a macroblock's luma DC values, its own inverse but for scale.
pub(super) fn hadamard(values: &mut [i32; 16]) {
    let pass = |values: &mut [i32; 16], at: usize, step: usize| {
        let [a, b, c, d] = [0, 1, 2, 3].map(|i| values[at + i * step]);
        values[at] = a + b + c + d;
        values[at + step] = a + b - c - d;
        values[at + 2 * step] = a - b - c + d;
        values[at + 3 * step] = a - b + c - d;
    };
    (0..4).for_each(|row| pass(values, row * 4, 1));
    (0..4).for_each(|column| pass(values, column, 4));
}

/// The transform of a chroma plane's four DC values, its own inverse but for scale.
pub(super) fn hadamard2([a, b, c, d]: [i32; 4]) -> [i32; 4] {
    [a + b + c + d, a - b + c - d, a + b - c - d, a - b - c + d]
}

/// The chroma quantizer of a luma quantizer (table 8-15).
pub(super) fn chroma_quantizer(luma: u8) -> u8 {
    const FROM_30: [u8; 22] =
        [29, 30, 31, 32, 32, 33, 34, 34, 35, 35, 36, 36, 37, 37, 37, 38, 38, 38, 39, 39, 39, 39];
    luma.checked_sub(30).map_or(luma, |at| FROM_30[usize::from(at)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    #[test]
    fn what_is_quantized_comes_back_within_a_step() {
        let mut random = Random(1);
        for quantizer in 0..=51 {
            let step = 0.625 * (f64::from(quantizer) / 6.0).exp2();
            for intra in [false, true] {
                let coder = Quantizer::new(quantizer, intra);
                for _ in 0..50 {
                    let block: Block = std::array::from_fn(|_| random.below(511) as i16 - 255);
                    let mut coded = block;
                    forward(&mut coded);
                    coder.quantize(&mut coded);
                    coder.scale(&mut coded);
                    inverse(&mut coded);
                    let worst = block.iter().zip(coded).map(|(a, b)| (a - b).abs()).max().unwrap();
                    assert!(f64::from(worst) <= 4.0 * step + 1.0, "{quantizer}: {worst}");
                }
            }
        }
    }

    #[test]
    fn hadamard_transforms_undo_themselves() {
        let values: [i32; 16] = std::array::from_fn(|at| (at * at) as i32 - 70);
        let mut twice = values;
        hadamard(&mut twice);
        hadamard(&mut twice);
        assert_eq!(twice, values.map(|value| value * 16));
        let four = [3, -7, 11, 250];
        assert_eq!(hadamard2(hadamard2(four)), four.map(|value| value * 4));
    }
}
