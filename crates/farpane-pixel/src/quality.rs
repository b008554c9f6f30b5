//! How far a decoded picture is from its source: peak signal-to-noise ratios, in dB, infinite for equal pictures.

use farpane_media::{FrameBody, Rect};

use crate::convert::Planes;

/// Of the luma.
///
/// # Panics
/// As every function here: if the pictures differ in size.
pub fn luma(a: &Planes, b: &Planes) -> f64 {
    assert_eq!(a.size, b.size, "pictures of one size");
    let rows = (0..a.size.height as usize).flat_map(|y| a.y.row(y).iter().zip(b.y.row(y)));
    psnr(rows.map(|(a, b)| square(*a, *b)).sum(), a.size.pixels())
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
fn psnr(error: u64, samples: u64) -> f64 {
    10.0 * (255.0f64.powi(2) * samples as f64 / error as f64).log10()
}

#[cfg(test)]
mod tests {
    use farpane_media::Size;

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
}
