//! How far what a viewer sees is from its source.
//!
//! The source is BGRX; in YCbCr it is compared at 4:4:4, so that what 4:2:0 takes from coloured edges counts. Squared
//! errors are kept as they are, since their mean over pictures means something and that of decibels does not.

use farpane_media::{FrameBody, Rect, Region, Size};
use farpane_pixel::{Chroma, Plane, Planes, convert};
use ssimulacra2::{ColorPrimaries, Rgb, TransferCharacteristic, compute_frame_ssimulacra2};

/// Mean squared errors of 8-bit samples, and SSIM.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Quality {
    pub luma: f64,
    /// Of both chroma components together.
    pub chroma: f64,
    /// Of B, G and R together.
    pub rgb: f64,
    /// Of the luma, 1 for equal pictures.
    pub ssim: f64,
}

/// Decibels that a mean squared error of 8-bit samples is below the peak; infinite for none.
pub fn psnr(mean_squared_error: f64) -> f64 {
    10.0 * (255.0f64.powi(2) / mean_squared_error).log10()
}

/// Keeps the source in the form it is compared in.
pub(crate) struct Judge {
    source: Planes,
    seen: FrameBody,
}

impl Judge {
    pub fn new(size: Size) -> Judge {
        Judge { source: Planes::new(size, Chroma::Yuv444), seen: FrameBody::default() }
    }

    /// Takes over what changed in the source.
    pub fn update(&mut self, frame: &FrameBody) {
        convert::update(&mut self.source, frame, &frame.damage);
    }

    /// `seen` is at least as large as the source; what is beyond is not looked at.
    pub fn quality(&mut self, frame: &FrameBody, seen: &Planes) -> Quality {
        let size = frame.size;
        let pixels = size.pixels() as f64;
        convert::to_bgrx(seen, &mut self.seen);
        let whole = Rect::of(size);
        let rgb: u64 = (0..size.height)
            .map(|y| squared_colours(frame.row(&whole, y), self.seen.row(&whole, y)))
            .sum();
        let chroma = squared_chroma(&self.source.u, &seen.u, seen.chroma)
            + squared_chroma(&self.source.v, &seen.v, seen.chroma);
        Quality {
            luma: self.luma_within(&Region::from(whole), seen),
            chroma: chroma as f64 / (2.0 * pixels),
            rgb: rgb as f64 / (3.0 * pixels),
            ssim: ssim(&self.source.y, &seen.y, size),
        }
    }

    /// The mean squared error of the luma of a region that is not empty.
    pub fn luma_within(&self, region: &Region, seen: &Planes) -> f64 {
        let error: u64 = region
            .rects()
            .iter()
            .flat_map(|rect| (rect.y..rect.bottom()).map(move |y| (rect, y as usize)))
            .map(|(rect, y)| {
                let columns = rect.x as usize..rect.right() as usize;
                squared(&self.source.y.row(y)[columns.clone()], &seen.y.row(y)[columns])
            })
            .sum();
        error as f64 / region.area() as f64
    }

    /// SSIMULACRA2 of a part of the picture that is at least 8 pixels wide and high: 100 for equal pictures, 90 where
    /// nobody sees a difference, 70 where one has to look for it.
    pub fn ssimulacra2(&mut self, frame: &FrameBody, seen: &Planes, part: &Rect) -> f64 {
        convert::to_bgrx(seen, &mut self.seen);
        let linear = |frame: &FrameBody| {
            let pixels = (part.y..part.bottom())
                .flat_map(|y| frame.row(part, y).as_chunks::<4>().0)
                .map(|[b, g, r, _]| [r, g, b].map(|value| f32::from(*value) / 255.0))
                .collect();
            let (width, height) = (part.w as usize, part.h as usize);
            Rgb::new(pixels, width, height, TransferCharacteristic::SRGB, ColorPrimaries::BT709)
                .expect("as many pixels as the sides say")
        };
        compute_frame_ssimulacra2(linear(frame), linear(&self.seen))
            .expect("both parts are of one size, and at least 8 pixels each way")
    }
}

fn squared(a: &[u8], b: &[u8]) -> u64 {
    let difference = |(a, b): (&u8, &u8)| u32::from(a.abs_diff(*b)).pow(2);
    // A row's sum fits 32 bits: 255^2 * 16384 < 2^32.
    a.chunks(16_384)
        .zip(b.chunks(16_384))
        .map(|(a, b)| u64::from(a.iter().zip(b).map(difference).sum::<u32>()))
        .sum()
}

fn squared_colours(a: &[u8], b: &[u8]) -> u64 {
    let (a, b) = (a.as_chunks::<4>().0, b.as_chunks::<4>().0);
    a.chunks(4_096)
        .zip(b.chunks(4_096))
        .map(|(a, b)| {
            let pixels = a.iter().zip(b).map(|(a, b)| {
                let channel = |at: usize| u32::from(a[at].abs_diff(b[at])).pow(2);
                channel(0) + channel(1) + channel(2)
            });
            u64::from(pixels.sum::<u32>())
        })
        .sum()
}

/// `source` has a sample for every pixel; a sample that pixels share in `seen` is compared with each of theirs.
fn squared_chroma(source: &Plane, seen: &Plane, chroma: Chroma) -> u64 {
    (0..source.size.height as usize)
        .map(|y| match chroma {
            Chroma::Yuv444 => squared(source.row(y), seen.row(y)),
            Chroma::Yuv420 => {
                let (row, seen) = (source.row(y), seen.row(y / 2));
                let (pairs, odd) = row.as_chunks::<2>();
                let error = |a: u8, b: u8| u64::from(a.abs_diff(b)).pow(2);
                let pairs = pairs
                    .iter()
                    .zip(seen)
                    .map(|([a, b], seen)| error(*a, *seen) + error(*b, *seen));
                pairs.sum::<u64>() + odd.iter().map(|a| error(*a, seen[row.len() / 2])).sum::<u64>()
            }
        })
        .sum()
}

/// The mean structural similarity of 8x8 windows, four samples apart (Wang, Bovik, Sheikh and Simoncelli 2004, with the
/// windows of x264's `tools` and ffmpeg's filter in place of Gaussian ones). `1` for pictures less than 8 a side.
fn ssim(a: &Plane, b: &Plane, size: Size) -> f64 {
    const C1: f64 = 0.01 * 0.01 * 255.0 * 255.0 * 64.0;
    const C2: f64 = 0.03 * 0.03 * 255.0 * 255.0 * 64.0 * 63.0;
    let (columns, rows) = (size.width as usize / 4, size.height as usize / 4);
    if columns < 2 || rows < 2 {
        return 1.0;
    }
    let strip = |row: usize| -> Vec<[u32; 4]> {
        let mut sums = vec![[0; 4]; columns];
        for y in row * 4..row * 4 + 4 {
            let fours = a.row(y).as_chunks::<4>().0.iter().zip(b.row(y).as_chunks::<4>().0);
            for (sums, (a, b)) in sums.iter_mut().zip(fours) {
                for (a, b) in a.iter().zip(b) {
                    let (a, b) = (u32::from(*a), u32::from(*b));
                    sums[0] += a;
                    sums[1] += b;
                    sums[2] += a * a + b * b;
                    sums[3] += a * b;
                }
            }
        }
        sums
    };
    let window = |sums: [u32; 4]| {
        let [a, b, squares, product] = sums.map(f64::from);
        let variances = squares * 64.0 - a * a - b * b;
        let covariance = product * 64.0 - a * b;
        (2.0 * a * b + C1) * (2.0 * covariance + C2) / ((a * a + b * b + C1) * (variances + C2))
    };
    let mut above = strip(0);
    let mut total = 0.0;
    for row in 1..rows {
        let below = strip(row);
        for at in 1..columns {
            let four = [above[at - 1], above[at], below[at - 1], below[at]];
            total += window(std::array::from_fn(|sum| four.iter().map(|s| s[sum]).sum()));
        }
        above = below;
    }
    total / ((rows - 1) * (columns - 1)) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: Size = Size::new(16, 16);

    fn frame(paint: impl Fn(u32, u32) -> [u8; 4]) -> FrameBody {
        let pixels = (0..16 * 16).flat_map(|at| paint(at % 16, at / 16)).collect();
        FrameBody {
            size: SIZE,
            stride: 64,
            pixels,
            damage: Rect::of(SIZE).into(),
            ..FrameBody::default()
        }
    }

    fn planes(frame: &FrameBody, chroma: Chroma) -> Planes {
        let mut planes = Planes::new(frame.size, chroma);
        convert::update(&mut planes, frame, &frame.damage);
        planes
    }

    fn judge(frame: &FrameBody) -> Judge {
        let mut judge = Judge::new(frame.size);
        judge.update(frame);
        judge
    }

    #[test]
    fn one_code_of_luma_is_48_db() {
        let grey = frame(|_, _| [100, 100, 100, 255]);
        let mut seen = planes(&grey, Chroma::Yuv444);
        let mut judge = judge(&grey);
        let exact = judge.quality(&grey, &seen);
        assert_eq!((exact.luma, exact.chroma, exact.ssim), (0.0, 0.0, 1.0));
        seen.y.data.iter_mut().for_each(|sample| *sample += 1);
        let off = judge.quality(&grey, &seen);
        assert_eq!((off.luma, off.chroma), (1.0, 0.0));
        assert!((psnr(off.luma) - 48.130_8).abs() < 1e-4, "{}", psnr(off.luma));
        // One code of limited luma is 255/219 of full range in each channel, 1 or 2 after rounding.
        assert!((1.0..=4.0).contains(&off.rgb), "{}", off.rgb);
        let corner = Region::from(Rect::new(0, 0, 3, 2));
        seen.y.data[0] += 4;
        assert_eq!(judge.luma_within(&corner, &seen), (25.0 + 5.0) / 6.0);
    }

    /// Columns of pure red and black in turns: 4:2:0 gives each pair the mean of their colours.
    #[test]
    fn subsampled_colour_costs_half_the_difference_squared() {
        let stripes = frame(|x, _| if x % 2 == 0 { [0, 0, 255, 255] } else { [0, 0, 0, 255] });
        let mut judge = judge(&stripes);
        let full = judge.quality(&stripes, &planes(&stripes, Chroma::Yuv444));
        assert_eq!(full.chroma, 0.0);
        let half = judge.quality(&stripes, &planes(&stripes, Chroma::Yuv420));
        // BT.709 limited red: Cb 102, Cr 240; black: 128, 128. Half the difference is 13 and 56.
        let expected = (13.0f64.powi(2) + 56.0f64.powi(2)) / 2.0;
        assert!((half.chroma / expected - 1.0).abs() < 0.05, "{} for {expected}", half.chroma);
    }

    /// For windows of one value each, variances are nothing and SSIM is its luminance term.
    #[test]
    fn ssim_of_flat_pictures_is_its_luminance_term() {
        let flat = |value: u8| {
            let mut plane = Planes::new(SIZE, Chroma::Yuv444).y;
            plane.data.fill(value);
            plane
        };
        let c1 = (0.01f64 * 255.0).powi(2);
        let expected = (2.0 * 100.0 * 120.0 + c1) / (100.0f64.powi(2) + 120.0f64.powi(2) + c1);
        let measured = ssim(&flat(100), &flat(120), SIZE);
        assert!((measured - expected).abs() < 1e-3, "{measured} for {expected}");
        assert_eq!(ssim(&flat(9), &flat(9), SIZE), 1.0);
    }

    #[test]
    fn ssim_of_a_negative_is_negative() {
        let stripes = frame(|x, _| if x % 4 < 2 { [200; 4] } else { [60; 4] });
        let negative = frame(|x, _| if x % 4 < 2 { [60; 4] } else { [200; 4] });
        let (a, b) = (planes(&stripes, Chroma::Yuv444), planes(&negative, Chroma::Yuv444));
        assert!(ssim(&a.y, &b.y, SIZE) < -0.8);
    }

    #[test]
    fn ssimulacra2_says_100_for_equal_pictures_and_less_for_others() {
        let paint = |x: u32, y: u32| [(x * 16) as u8, (y * 16) as u8, 90, 255];
        let source = frame(paint);
        let mut judge = judge(&source);
        let whole = Rect::of(SIZE);
        let same = planes(&source, Chroma::Yuv444);
        assert!(judge.ssimulacra2(&source, &same, &whole) > 95.0);
        let mut other = same.clone();
        other.y.data.iter_mut().step_by(3).for_each(|sample| *sample = sample.wrapping_add(60));
        assert!(judge.ssimulacra2(&source, &other, &whole) < 70.0);
    }
}
