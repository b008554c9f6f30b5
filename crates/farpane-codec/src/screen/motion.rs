//! Motion-compensated prediction (ITU-T H.264, clause 8.4.2) and the search for motion.

use farpane_pixel::convert;

use super::bits::se_length;
use super::samples::{Chroma, Luma, NO_CHROMA, Samples, difference, load};

/// A difference at which the search ends: two a sample.
const ENOUGH: u32 = 512;

/// How far a vector may point that every level from 3.1 allows, in samples (A.3.1 and table A-1).
pub(super) const FARTHEST: (i32, i32) = (2_047, 511);

/// A displacement in quarters of a luma sample.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Vector {
    pub(super) x: i16,
    pub(super) y: i16,
}

impl Vector {
    pub(crate) const ZERO: Vector = Vector { x: 0, y: 0 };

    /// By whole samples.
    pub(super) fn whole(x: i32, y: i32) -> Vector {
        Vector { x: (x * 4) as i16, y: (y * 4) as i16 }
    }

    /// In whole samples, along the longer side.
    #[cfg(feature = "libaom")]
    pub(crate) fn length(self) -> u32 {
        u32::from(self.x.unsigned_abs().max(self.y.unsigned_abs()) / 4)
    }
}

/// Samples of a macroblock's Y, U and V.
pub(super) fn areas(chroma: convert::Chroma) -> [usize; 3] {
    let side = 16 / chroma.factor() as usize;
    [256, side * side, side * side]
}

/// A picture as the viewer has it, in whole macroblocks.
#[derive(Clone, Debug)]
pub(super) struct Reference {
    /// In macroblocks.
    pub(super) width: usize,
    pub(super) height: usize,
    /// Y, U and V, rows without gaps.
    pub(super) planes: [Vec<u8>; 3],
}

impl Reference {
    pub(super) fn new(width: usize, height: usize, chroma: convert::Chroma) -> Reference {
        let areas = areas(chroma);
        Reference { width, height, planes: areas.map(|area| vec![0; width * height * area]) }
    }

    /// Whether a macroblock at (`x`, `y`) in samples, displaced by whole samples, lies in the picture.
    pub(super) fn holds(&self, x: i32, y: i32) -> bool {
        let (right, bottom) = (self.width as i32 * 16 - 16, self.height as i32 * 16 - 16);
        (0..=right).contains(&x) && (0..=bottom).contains(&y)
    }

    /// The sum of differences between `source` and what is at (`x`, `y`), or some sum above `limit`.
    #[inline]
    fn difference<const N: usize>(
        &self,
        source: &[Luma; N],
        x: usize,
        y: usize,
        limit: u32,
    ) -> u32 {
        let stride = self.width * 16;
        let mut sum = 0;
        for (source, plane) in source.iter().zip(&self.planes) {
            let seen = &plane[y * stride + x..];
            for (quarter, rows) in source.chunks_exact(4).enumerate() {
                for (row, samples) in rows.iter().enumerate() {
                    let seen: &[u8; 16] =
                        seen[(quarter * 4 + row) * stride..][..16].try_into().expect("16 samples");
                    sum += difference(samples, seen);
                }
                if sum > limit {
                    return sum;
                }
            }
        }
        sum
    }

    /// Copies `count` macroblocks side by side, the first at (`x`, `y`) in luma samples, displaced by whole samples, of the
    /// component `plane`, which has `SIDE` samples to a macroblock; `to` starts at its first.
    #[inline]
    pub(super) fn copy<const SIDE: usize>(
        &self,
        plane: usize,
        [x, y]: [usize; 2],
        count: usize,
        vector: Vector,
        to: &mut [u8],
    ) {
        let (stride, length) = (self.width * SIDE, count * SIDE);
        let place = |at: usize, vector: i16| {
            ((at * SIDE / 16) as i32 + i32::from(vector) * SIDE as i32 / 64) as usize
        };
        let from = &self.planes[plane][place(y, vector.y) * stride + place(x, vector.x)..];
        for (to, from) in to.chunks_mut(stride).zip(from.chunks(stride)).take(SIDE) {
            to[..length].copy_from_slice(&from[..length]);
        }
    }

    /// The prediction of the macroblock at (`x`, `y`) in luma samples, displaced by `vector`, which keeps it in the
    /// picture.
    #[inline]
    pub(super) fn predict<const N: usize>(&self, x: usize, y: usize, vector: Vector) -> Samples<N> {
        let from_x = (x as i32 + i32::from(vector.x >> 2)) as usize;
        let from_y = (y as i32 + i32::from(vector.y >> 2)) as usize;
        let luma = |plane: usize| load(&self.planes[plane], self.width * 16, from_x, from_y);
        Samples {
            luma: std::array::from_fn(luma),
            chroma: if N == 1 { self.chroma(x, y, vector) } else { NO_CHROMA },
        }
    }

    /// The same for U and V of half the density. Vectors of whole luma samples lie on chroma samples or half way between two, where the weights of clause 8.4.2.2.2 come down to a mean of two or of four.
    fn chroma(&self, x: usize, y: usize, vector: Vector) -> [Chroma; 2] {
        let stride = self.width * 8;
        let x = (x as i32 / 2 + i32::from(vector.x >> 3)) as usize;
        let y = (y as i32 / 2 + i32::from(vector.y >> 3)) as usize;
        let (between_columns, between_rows) = (vector.x & 7 != 0, vector.y & 7 != 0);
        // The picture's last column and row repeat outside of it.
        let next = (y + 8).min(self.height * 8 - 1);
        [1, 2].map(|plane| {
            let plane = &self.planes[plane];
            let mut seen: Chroma = load(plane, stride, x, y);
            if !between_columns && !between_rows {
                return seen;
            }
            let row = |y: usize| -> [u8; 8] {
                plane[y * stride + x..][..8].try_into().expect("8 samples")
            };
            let mut under = seen;
            under.copy_within(1.., 0);
            under[7] = row(next);
            if !between_columns {
                mean(&mut seen, &under);
                return seen;
            }
            let column = (x + 8).min(stride - 1);
            let mut right: Chroma = seen;
            for y_right in 0..8 {
                let last = plane[(y + y_right) * stride + column];
                right[y_right].copy_within(1.., 0);
                right[y_right][7] = last;
            }
            if !between_rows {
                mean(&mut seen, &right);
                return seen;
            }
            let mut right_under = right;
            right_under.copy_within(1.., 0);
            right_under[7] = under[7];
            right_under[7].copy_within(1.., 0);
            right_under[7][7] = plane[next * stride + column];
            for (y, row) in seen.iter_mut().enumerate() {
                for (x, sample) in row.iter_mut().enumerate() {
                    let sum = [*sample, right[y][x], under[y][x], right_under[y][x]].map(u32::from);
                    *sample = ((sum.iter().sum::<u32>() + 2) >> 2) as u8;
                }
            }
            seen
        })
    }
}

fn mean(seen: &mut Chroma, other: &Chroma) {
    for (sample, other) in seen.as_flattened_mut().iter_mut().zip(other.as_flattened()) {
        *sample = (u16::from(*sample) + u16::from(*other)).div_ceil(2) as u8;
    }
}

/// The search for where a macroblock comes from.
pub(super) struct Search<'a, const N: usize> {
    reference: &'a Reference,
    source: &'a [Luma; N],
    /// In samples.
    x: i32,
    y: i32,
    lambda: u32,
    predicted: Vector,
    /// The best so far, what it costs, vector and all, and how much it differs.
    pub(super) vector: Vector,
    pub(super) cost: u32,
    pub(super) sum: u32,
}

impl<'a, const N: usize> Search<'a, N> {
    /// For the macroblock at (`column`, `row`), whose vector is coded relative to `predicted`.
    pub(super) fn new(
        reference: &'a Reference,
        source: &'a [Luma; N],
        column: usize,
        row: usize,
        lambda: u32,
        predicted: Vector,
    ) -> Search<'a, N> {
        let (x, y) = (column as i32 * 16, row as i32 * 16);
        Search {
            reference,
            source,
            x,
            y,
            lambda,
            predicted,
            vector: Vector::ZERO,
            cost: u32::MAX,
            sum: u32::MAX,
        }
    }

    /// Tries standing still, the prediction and some vectors more.
    pub(super) fn start(&mut self, vectors: impl Iterator<Item = Vector>) {
        self.attempt(0, 0);
        for vector in [self.predicted].into_iter().chain(vectors) {
            self.attempt(i32::from(vector.x / 4), i32::from(vector.y / 4));
        }
    }

    /// Goes down from the best, in steps that get smaller.
    pub(super) fn refine(&mut self) {
        for step in [4, 2, 1] {
            for _ in 0..8 {
                if self.sum < ENOUGH {
                    return;
                }
                let centre = self.vector;
                let (dx, dy) = (i32::from(centre.x / 4), i32::from(centre.y / 4));
                for (sx, sy) in [(-step, 0), (step, 0), (0, -step), (0, step)] {
                    self.attempt(dx + sx, dy + sy);
                }
                if self.vector == centre {
                    break;
                }
            }
        }
    }

    fn attempt(&mut self, dx: i32, dy: i32) {
        let (left, top) = (self.x + dx, self.y + dy);
        let vector = Vector::whole(dx, dy);
        let allowed = dx.abs() <= FARTHEST.0 && dy.abs() <= FARTHEST.1;
        if !allowed
            || !self.reference.holds(left, top)
            || (self.cost != u32::MAX && vector == self.vector)
        {
            return;
        }
        let bits = se_length(i32::from(vector.x) - i32::from(self.predicted.x))
            + se_length(i32::from(vector.y) - i32::from(self.predicted.y));
        let price = self.lambda * bits;
        if price >= self.cost {
            return;
        }
        let limit = self.cost - price;
        let sum = self.reference.difference(self.source, left as usize, top as usize, limit);
        if sum < limit {
            (self.vector, self.cost, self.sum) = (vector, sum + price, sum);
        }
    }
}
