//! How far a decoded picture is from its source: peak signal-to-noise ratios, in dB, infinite for equal pictures.

use farpane_media::{FrameBody, Rect};

use crate::convert::Planes;

/// Pixels of a block's side, as codecs look at a picture.
const SIDE: usize = 16;

/// Of the luma. `shown` may be larger than its source, by what a codec had to add.
///
/// # Panics
/// As every function here: if the pictures do not belong together.
pub fn luma(source: &Planes, shown: &Planes) -> f64 {
    let blocks = blocks(source, shown).filter(|block| block.plane == 0);
    psnr(blocks.map(|block| block.error).sum(), source.size.pixels())
}

/// What one plane has of a block of 16x16 pixels, fewer at the edges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// Y, U, V.
    pub plane: usize,
    /// Of its top left, in pixels.
    pub x: usize,
    pub y: usize,
    /// The sum of squared differences, and of how many samples.
    pub error: u64,
    pub samples: u64,
}

/// All blocks of all planes, each plane row by row. `shown` may be larger, as for [`luma`].
pub fn blocks<'a>(source: &'a Planes, shown: &'a Planes) -> impl Iterator<Item = Block> + 'a {
    let (size, seen) = (source.size, shown.size);
    assert!(source.chroma == shown.chroma, "pictures of one format");
    assert!(size.width <= seen.width && size.height <= seen.height, "{seen} shows all of {size}");
    let factor = source.chroma.factor() as usize;
    let planes =
        [(&source.y, &shown.y, 1), (&source.u, &shown.u, factor), (&source.v, &shown.v, factor)];
    planes.into_iter().enumerate().flat_map(|(plane, (source, shown, factor))| {
        let (width, height) = (source.size.width as usize, source.size.height as usize);
        let side = SIDE / factor;
        let places = (0..height)
            .step_by(side)
            .flat_map(move |y| (0..width).step_by(side).map(move |x| (x, y)));
        places.map(move |(x, y)| {
            let (columns, rows) = (x..(x + side).min(width), y..(y + side).min(height));
            let row = |y: usize| {
                let pairs =
                    source.row(y)[columns.clone()].iter().zip(&shown.row(y)[columns.clone()]);
                pairs.map(|(a, b)| square(*a, *b)).sum::<u64>()
            };
            Block {
                plane,
                x: x * factor,
                y: y * factor,
                error: rows.clone().map(row).sum(),
                samples: (columns.len() * rows.len()) as u64,
            }
        })
    })
}

/// Of B, G and R apart.
pub fn channels(a: &FrameBody, b: &FrameBody) -> [f64; 3] {
    errors(a, b).map(|error| psnr(error, a.size.pixels()))
}

/// Of B, G and R together.
pub fn colour(a: &FrameBody, b: &FrameBody) -> f64 {
    psnr(errors(a, b).iter().sum(), a.size.pixels() * 3)
}

/// The sums of squared differences of B, G and R.
fn errors(a: &FrameBody, b: &FrameBody) -> [u64; 3] {
    assert_eq!(a.size, b.size, "pictures of one size");
    let whole = Rect::of(a.size);
    let mut sums = [0; 3];
    for y in 0..whole.h {
        let (a, b) = (a.row(&whole, y).as_chunks::<4>().0, b.row(&whole, y).as_chunks::<4>().0);
        for (a, b) in a.iter().zip(b) {
            (0..3).for_each(|at| sums[at] += square(a[at], b[at]));
        }
    }
    sums
}

fn square(a: u8, b: u8) -> u64 {
    u64::from(a.abs_diff(b)).pow(2)
}

/// `error` is the sum of squared differences of `samples` 8-bit samples.
pub fn psnr(error: u64, samples: u64) -> f64 {
    10.0 * (255.0f64.powi(2) * samples as f64 / error as f64).log10()
}

#[cfg(test)]
mod tests {
    use farpane_media::{Chroma, Size};

    use super::*;

    fn grey(value: u8) -> FrameBody {
        let size = Size::new(3, 2);
        FrameBody { size, stride: 12, pixels: vec![value; 24], ..FrameBody::default() }
    }

    #[test]
    fn one_code_of_error_is_48_db() {
        let mut other = grey(10);
        assert_eq!(colour(&grey(10), &other), f64::INFINITY);
        other.pixels.chunks_exact_mut(4).for_each(|pixel| pixel[1] += 1);
        let [b, g, r] = channels(&grey(10), &other);
        assert_eq!((b, r), (f64::INFINITY, f64::INFINITY));
        assert!((g - 48.13).abs() < 0.01);
        assert!((colour(&grey(10), &other) - 52.90).abs() < 0.01);
    }

    #[test]
    fn a_stale_sample_is_in_its_block_whatever_lies_beyond_the_source() {
        let source = Planes::new(Size::new(35, 17), Chroma::Yuv420);
        let mut shown = Planes::new(Size::new(36, 18), Chroma::Yuv420);
        shown.y.data[17 * shown.y.stride] = 200;
        shown.u.data[8 * shown.u.stride + 17] = 3;
        let wrong: Vec<Block> = blocks(&source, &shown).filter(|block| block.error > 0).collect();
        let last = Block { plane: 1, x: 32, y: 16, error: 9, samples: 2 };
        assert_eq!(wrong, [last]);
        assert_eq!(luma(&source, &shown), f64::INFINITY);
    }
}
