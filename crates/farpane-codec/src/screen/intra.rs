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
    pub(super) fn new(side: usize) -> Canvas {
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
    fn row<const N: usize>(&self, x: usize, y: isize) -> [u8; N] {
        let at = Canvas::at(x as isize, y);
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
        let above = |half: usize| self.above.then(|| sum(&self.row::<4>(half * 4, -1)));
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
        let mut above: [u8; 8] = self.row(x, y as isize - 1);
        if !right {
            let last = above[3];
            above[4..].fill(last);
        }
        Around {
            above,
            left: self.column(x as isize - 1, y),
            corner: self.data[Canvas::at(x as isize - 1, y as isize - 1)],
            has_left,
            has_above,
        }
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
    above: [u8; 8],
    left: [u8; 4],
    corner: u8,
    has_left: bool,
    has_above: bool,
}

/// Prediction of a block of 4x4, row by row.
pub(super) type Square = [u8; 16];

impl Around {
    pub(super) const MODES: std::ops::Range<u8> = 0..9;
    pub(super) const FIRST_SLOPE: u8 = 3;
    /// What a neighbour that is not predicted this way counts as.
    pub(super) const DC: u8 = 2;

    /// The prediction of one of nine modes (table 8-2), where its neighbours exist.
    #[inline(always)]
    pub(super) fn predict(&self, mode: u8) -> Option<Square> {
        let Around { above, left, corner, has_left, has_above } = *self;
        let possible = match mode {
            0 | 3 | 7 => has_above,
            1 | 8 => has_left,
            2 => true,
            _ => has_above && has_left,
        };
        if !possible {
            return None;
        }
        // The edge from bottom left over the corner to top right.
        let edge = |at: usize| {
            u32::from(match at {
                0..4 => left[3 - at],
                4 => corner,
                _ => above[at - 5],
            })
        };
        let two = |at: usize| ((edge(at) + edge(at + 1) + 1) >> 1) as u8;
        let three = |at: usize| ((edge(at - 1) + 2 * edge(at) + edge(at + 1) + 2) >> 2) as u8;
        Some(match mode {
            0 => fill(|x, _| above[x]),
            1 => fill(|_, y| left[y]),
            2 => [self.mean(); 16],
            3 => fill(|x, y| match x + y {
                6 => last_three(above[6], above[7]),
                at => three(6 + at),
            }),
            4 => fill(|x, y| three(4 + x - y)),
            5 => fill(|x, y| match (x, y) {
                (0, 2..) => three(5 - y),
                _ if y % 2 == 0 => two(4 + x - y / 2),
                _ => three(4 + x - y / 2),
            }),
            6 => fill(|x, y| match (x, y) {
                (2.., 0) => three(3 + x),
                _ if x % 2 == 0 => two(3 + x / 2 - y),
                _ => three(4 + x / 2 - y),
            }),
            7 => fill(|x, y| if y % 2 == 0 { two(5 + x + y / 2) } else { three(6 + x + y / 2) }),
            _ => fill(|x, y| match x + 2 * y {
                at @ (0 | 2 | 4) => two(2 - at / 2),
                at @ (1 | 3) => three(2 - at / 2),
                5 => last_three(left[2], left[3]),
                _ => left[3],
            }),
        })
    }

    fn mean(&self) -> u8 {
        let (above, left) = (sum(&self.above[..4]), sum(&self.left));
        (match (self.has_above, self.has_left) {
            (true, true) => (above + left + 4) >> 3,
            (true, false) => (above + 2) >> 2,
            (false, true) => (left + 2) >> 2,
            (false, false) => 128,
        }) as u8
    }
}

#[inline(always)]
fn fill(sample: impl Fn(usize, usize) -> u8) -> Square {
    let mut square = [0; 16];
    for y in 0..4 {
        for x in 0..4 {
            square[y * 4 + x] = sample(x, y);
        }
    }
    square
}

/// The filter where the edge ends.
fn last_three(before: u8, last: u8) -> u8 {
    ((u32::from(before) + 3 * u32::from(last) + 2) >> 2) as u8
}
