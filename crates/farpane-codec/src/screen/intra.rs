//! Intra prediction (ITU-T H.264, clause 8.3).

use super::samples::{Luma, square_difference};

/// Samples around and inside a square that is being coded: a row above it, a column left of it, and a few more to its top
/// right.
///
/// Sample (x, y) of the square is at `(y + 1) * STRIDE + x + LEFT + 1`.
#[derive(Clone, Debug)]
pub(super) struct Canvas {
    pub(super) data: [u8; Canvas::STRIDE * 17],
    pub(super) left: bool,
    pub(super) above: bool,
    pub(super) above_right: bool,
    /// The corner is there when both of its sides are, as slices end with rows.
    side: usize,
}

const LEFT: usize = 7;

impl Canvas {
    pub(super) const STRIDE: usize = 32;

    /// For a square of `side` samples, without neighbours.
    pub(super) const fn new(side: usize) -> Canvas {
        let data = [0; Canvas::STRIDE * 17];
        Canvas { data, left: false, above: false, above_right: false, side }
    }

    /// The index of a sample; -1 is above or left.
    #[inline(always)]
    pub(super) fn at(x: isize, y: isize) -> usize {
        (y + 1) as usize * Canvas::STRIDE + (x + LEFT as isize + 1) as usize
    }

    /// Takes the samples around the square at column `x` of `plane`, whose row `y` is its first.
    pub(super) fn surround(&mut self, plane: &[u8], stride: usize, x: usize, y: usize) {
        let side = self.side;
        if self.above {
            let from = (y - 1) * stride + x;
            let corner = usize::from(self.left);
            let width = side + if self.above_right { 4 } else { 0 } + corner;
            let to = Canvas::at(-(corner as isize), -1);
            self.data[to..to + width].copy_from_slice(&plane[from - corner..][..width]);
        }
        if self.left {
            for row in 0..side {
                self.data[Canvas::at(-1, row as isize)] = plane[(y + row) * stride + x - 1];
            }
        }
    }

    /// Whether a square of 16 that is all one level is predicted exactly, whatever the mode: grey, among grey.
    pub(super) fn is_flat(&self, source: &Luma) -> bool {
        let level = source[0][0];
        let row = if self.above_right { 20 } else { 16 };
        let above = &self.data[Canvas::at(0, -1)..][..row];
        source.iter().all(|row| *row == [level; 16])
            && (self.left || self.above || level == 128)
            && (!self.above || above.iter().all(|sample| *sample == level))
            && (!self.left || self.column::<16>(-1, 0) == [level; 16])
            && (!(self.left && self.above) || self.data[Canvas::at(-1, -1)] == level)
    }

    #[inline(always)]
    fn row<const N: usize>(&self, x: isize, y: isize) -> [u8; N] {
        let at = Canvas::at(x, y);
        self.data[at..at + N].try_into().expect("N samples")
    }

    #[inline(always)]
    fn column<const N: usize>(&self, x: isize, y: usize) -> [u8; N] {
        let mut column = [0; N];
        for (row, sample) in column.iter_mut().enumerate() {
            *sample = self.data[Canvas::at(x, (y + row) as isize)];
        }
        column
    }

    /// The prediction of a square of 16: vertical 0, horizontal 1, DC 2 (table 8-4).
    #[inline(always)]
    pub(super) fn predict16(&self, mode: u8) -> [[u8; 16]; 16] {
        match mode {
            0 => [self.row(0, -1); 16],
            1 => self.column::<16>(-1, 0).map(|sample| [sample; 16]),
            _ => {
                let above = self.above.then(|| sum(&self.row::<16>(0, -1)));
                let left = self.left.then(|| sum(&self.column::<16>(-1, 0)));
                let mean = match (above, left) {
                    (Some(above), Some(left)) => (above + left + 16) >> 5,
                    (Some(side), None) | (None, Some(side)) => (side + 8) >> 4,
                    (None, None) => 128,
                };
                [[mean as u8; 16]; 16]
            }
        }
    }

    /// The same for chroma: DC 0, horizontal 1, vertical 2.
    #[inline(always)]
    pub(super) fn predict8(&self, mode: u8) -> [[u8; 8]; 8] {
        match mode {
            1 => self.column::<8>(-1, 0).map(|sample| [sample; 8]),
            2 => [self.row(0, -1); 8],
            _ => self.chroma_dc(),
        }
    }

    /// Each quarter has a mean of its own (clause 8.3.4.1 to 8.3.4.3).
    fn chroma_dc(&self) -> [[u8; 8]; 8] {
        let above = |half: usize| self.above.then(|| sum(&self.row::<4>(half as isize * 4, -1)));
        let left = |half: usize| self.left.then(|| sum(&self.column::<4>(-1, half * 4)));
        let mean = |x: usize, y: usize| {
            let sides = match (x, y) {
                (1, 0) => [above(1), None, left(0)],
                (0, 1) => [left(1), None, above(0)],
                _ => [above(x), left(y), None],
            };
            match sides {
                [Some(a), Some(b), _] => (a + b + 4) >> 3,
                [Some(side), None, _] | [None, Some(side), _] | [None, None, Some(side)] => {
                    (side + 2) >> 2
                }
                [None, None, None] => 128,
            }
        };
        let means = [[mean(0, 0), mean(1, 0)], [mean(0, 1), mean(1, 1)]];
        std::array::from_fn(|y| std::array::from_fn(|x| means[y / 4][x / 4] as u8))
    }

    /// The samples around the block of 4x4 whose top left is (`x`, `y`).
    #[inline(always)]
    pub(super) fn around4(&self, x: usize, y: usize) -> Around {
        let (has_left, has_above) = (x > 0 || self.left, y > 0 || self.above);
        let right = match (x, y) {
            (12, 0) => self.above_right,
            (12, _) | (4, 4 | 12) => false,
            (_, 0) => self.above,
            (4, 8) | (0 | 8, _) => true,
            _ => false,
        };
        let (x, y) = (x as isize, y as isize);
        let sample = |x, y| u128::from(self.data[Canvas::at(x, y)]);
        let four = |x| u32::from_le_bytes(self.row(x, y - 1));
        let (above, beyond) = (four(x), four(x + 4));
        let beyond = if right { beyond } else { splat((above >> 24) as u8) };
        // Put together in registers: bytes stored one by one and loaded together are waited for.
        let edge = (0..4).fold(0, |edge, row| edge | sample(x - 1, y + row) << (32 - 8 * row))
            | sample(x - 1, y + 3)
            | sample(x - 1, y - 1) << 40
            | u128::from(above) << 48
            | u128::from(beyond) << 80
            | u128::from(beyond >> 24) << 112;
        let edge = edge.to_le_bytes();
        Around { edge, has_left, has_above }
    }
}

/// The mode of squares of 16, of those that their neighbours allow, that comes nearest to `source`, and by how much they
/// differ. Plane prediction is for skies, not for desktops.
pub(super) fn best16<const N: usize>(canvases: &[Canvas; N], source: &[Luma; N]) -> (u8, u32) {
    let mut best = (2, difference16(canvases, source, 2));
    for (mode, allowed) in [(0, canvases[0].above), (1, canvases[0].left)] {
        if allowed {
            let sum = difference16(canvases, source, mode);
            if sum < best.1 {
                best = (mode, sum);
            }
        }
    }
    best
}

#[inline(always)]
fn difference16<const N: usize>(canvases: &[Canvas; N], source: &[Luma; N], mode: u8) -> u32 {
    let mut sum = 0;
    for (canvas, source) in canvases.iter().zip(source) {
        sum += square_difference(source, &canvas.predict16(mode));
    }
    sum
}

fn sum(samples: &[u8]) -> u32 {
    samples.iter().map(|sample| u32::from(*sample)).sum()
}

/// What a block of 4x4 is predicted from.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Around {
    /// From the bottom left over the corner to the top right, with the samples at its ends once more.
    edge: [u8; 16],
    has_left: bool,
    has_above: bool,
}

/// Prediction of a block of 4x4, row by row.
pub(super) type Square = [u8; 16];

impl Around {
    /// Of the modes of table 8-2.
    pub(super) const FIRST_SLOPE: u8 = 3;
    /// What a neighbour that is not predicted this way counts as.
    pub(super) const DC: u8 = 2;

    /// The first of the left samples is before it.
    const CORNER: usize = 5;
    const ABOVE: usize = 6;

    /// Whether a mode's neighbours exist.
    #[inline(always)]
    pub(super) fn allows(&self, mode: u8) -> bool {
        match mode {
            0 | 3 | 7 => self.has_above,
            1 | 8 => self.has_left,
            2 => true,
            _ => self.has_above && self.has_left,
        }
    }

    /// The predictions of the first modes: vertical, horizontal and DC.
    #[inline(always)]
    pub(super) fn straight(&self) -> [Square; 3] {
        let edge = &self.edge;
        let horizontal = [4, 3, 2, 1].map(|at| splat(edge[at]));
        [join([four(edge, Around::ABOVE); 4]), join(horizontal), [self.mean(); 16]]
    }

    /// Those of the modes from [`Around::FIRST_SLOPE`] on: runs of the edge, filtered.
    #[inline(always)]
    pub(super) fn slopes(&self) -> [Square; 6] {
        // The mean of each sample and the next one; that of each and both neighbours, itself twice.
        let (mut two, mut three) = ([0; 16], [0; 16]);
        let edge = self.edge.map(u16::from);
        for at in 1..15 {
            two[at] = ((edge[at] + edge[at + 1] + 1) >> 1) as u8;
            three[at] = ((edge[at - 1] + 2 * edge[at] + edge[at + 1] + 2) >> 2) as u8;
        }
        // From the bottom up and from the top down, in turns.
        let (mut down, mut up) = ([0; 8], [0; 8]);
        for at in 0..4 {
            (down[2 * at], down[2 * at + 1]) = (two[1 + at], three[2 + at]);
            (up[2 * at], up[2 * at + 1]) = (three[at], two[at]);
        }
        let up = u128::from(u64::from_be_bytes(up) << 16 >> 16);
        let up = up | u128::from(splat(self.edge[1])) << 48;
        let shifted = |first: u8, row: u32| row << 8 | u32::from(first);
        let right = [four(&two, 5), four(&three, 5)];
        [
            join([7, 8, 9, 10].map(|at| four(&three, at))),
            join([5, 4, 3, 2].map(|at| four(&three, at))),
            join([right[0], right[1], shifted(three[4], right[0]), shifted(three[3], right[1])]),
            join([shifted(two[4], right[1]), four(&down, 4), four(&down, 2), four(&down, 0)]),
            join([four(&two, 6), four(&three, 7), four(&two, 7), four(&three, 8)]),
            join([0, 16, 32, 48].map(|shift| (up >> shift) as u32)),
        ]
    }

    fn mean(&self) -> u8 {
        let above = sum(&self.edge[Around::ABOVE..][..4]);
        let left = sum(&self.edge[Around::CORNER - 4..Around::CORNER]);
        (match (self.has_above, self.has_left) {
            (true, true) => (above + left + 4) >> 3,
            (true, false) => (above + 2) >> 2,
            (false, true) => (left + 2) >> 2,
            (false, false) => 128,
        }) as u8
    }
}

#[inline(always)]
fn four<const N: usize>(samples: &[u8; N], at: usize) -> u32 {
    u32::from_le_bytes(samples[at..at + 4].try_into().expect("four samples"))
}

#[inline(always)]
fn join(rows: [u32; 4]) -> Square {
    let [a, b, c, d] = rows.map(u128::from);
    (a | b << 32 | c << 64 | d << 96).to_le_bytes()
}

/// Four times the same.
#[inline(always)]
fn splat(sample: u8) -> u32 {
    u32::from(sample) * 0x0101_0101
}
