//! How close what is shown is to the screen, block by block: one that is stale must not hide in the mean.

use std::fmt;
use std::io::{BufWriter, Write as _};
use std::path::Path;

use farpane_media::{FrameBody, Rect, Size};
use farpane_pixel::{Plane, Planes, convert};

use crate::Error;

/// Of luma; blocks of colour cover as much of the picture.
const BLOCK: usize = 16;
/// In place of infinity, for what is equal.
const EQUAL: f64 = 99.0;

/// Peak signal-to-noise ratios in dB.
#[derive(Clone, Copy, Debug)]
pub struct Closeness {
    pub luma: f64,
    /// The farther of the two.
    pub colour: f64,
    /// Of luma, and of both colours.
    pub worst: [Block; 2],
}

/// A block of one plane; its place is in pixels of the screen.
#[derive(Clone, Copy, Debug)]
pub struct Block {
    pub plane: char,
    pub x: usize,
    pub y: usize,
    pub closeness: f64,
}

impl fmt::Display for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {},{} {:.1} dB", self.plane, self.x, self.y, self.closeness)
    }
}

/// A screenshot as a frame.
pub fn frame(size: Size, pixels: Vec<u8>) -> FrameBody {
    FrameBody { size, stride: size.width as usize * 4, pixels, ..FrameBody::default() }
}

/// `None` when `shown` is a picture of another size. It may be larger by what codecs need to round up.
pub fn compare(screen: &FrameBody, shown: &Planes) -> Option<Closeness> {
    let rounded = |side: u32| side.max(16).next_multiple_of(2);
    let fits = |shown: u32, screen: u32| shown == screen || shown == rounded(screen);
    let (real, seen) = (screen.size, shown.size);
    if !fits(seen.width, real.width) || !fits(seen.height, real.height) {
        return None;
    }
    let mut source = Planes::new(real, shown.chroma);
    convert::update(&mut source, screen, &Rect::of(real).into());
    let factor = shown.chroma.factor() as usize;
    let none = |plane| Block { plane, x: 0, y: 0, closeness: EQUAL };
    let mut worst = [none('Y'), none('U')];
    let mut plane = |name, a: &Plane, b: &Plane, factor: usize| {
        let (mut all, side) = (0, BLOCK / factor);
        let worst = &mut worst[usize::from(name != 'Y')];
        let (width, height) = (a.size.width as usize, a.size.height as usize);
        for y in (0..height).step_by(side) {
            for x in (0..width).step_by(side) {
                let (right, bottom) = ((x + side).min(width), (y + side).min(height));
                let row = |y: usize| squares(&a.row(y)[x..right], &b.row(y)[x..right]);
                let error = (y..bottom).map(row).sum();
                all += error;
                let closeness = psnr(error, (right - x) * (bottom - y));
                if closeness < worst.closeness {
                    *worst = Block { plane: name, x: x * factor, y: y * factor, closeness };
                }
            }
        }
        psnr(all, width * height)
    };
    let luma = plane('Y', &source.y, &shown.y, 1);
    let u = plane('U', &source.u, &shown.u, factor);
    let v = plane('V', &source.v, &shown.v, factor);
    Some(Closeness { luma, colour: u.min(v), worst })
}

fn squares(a: &[u8], b: &[u8]) -> u64 {
    a.iter().zip(b).map(|(a, b)| u64::from(a.abs_diff(*b)).pow(2)).sum()
}

fn psnr(error: u64, samples: usize) -> f64 {
    let mean = error as f64 / samples as f64;
    (10.0 * (255.0f64.powi(2) / mean).log10()).min(EQUAL)
}

/// Writes a picture as PPM.
pub fn save(path: &Path, frame: &FrameBody) -> Result<(), Error> {
    let mut file = BufWriter::new(std::fs::File::create(path)?);
    write!(file, "P6\n{} {}\n255\n", frame.size.width, frame.size.height)?;
    let whole = Rect::of(frame.size);
    for y in 0..whole.h {
        for pixel in frame.row(&whole, y).as_chunks::<4>().0 {
            file.write_all(&[pixel[2], pixel[1], pixel[0]])?;
        }
    }
    Ok(file.flush()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use farpane_pixel::convert::Chroma;

    #[test]
    fn one_stale_block_is_found_where_it_is() {
        let size = Size::new(100, 50);
        let mut screen = frame(size, vec![200; 100 * 50 * 4]);
        for chroma in [Chroma::Yuv420, Chroma::Yuv444] {
            let mut shown = Planes::new(size, chroma);
            convert::update(&mut shown, &screen, &Rect::of(size).into());
            let worst = compare(&screen, &shown).unwrap().worst;
            assert!(worst.iter().all(|block| block.closeness == EQUAL), "{worst:?}");
            // A cursor of one column.
            (33..40).for_each(|y| screen.row_mut(&Rect::new(70, y, 1, 1), y).fill(0));
            let Closeness { luma, worst: [worst, _], .. } = compare(&screen, &shown).unwrap();
            assert_eq!((worst.plane, worst.x, worst.y), ('Y', 64, 32));
            assert!(worst.closeness < 20.0 && luma > 30.0, "{worst:?} {luma}");
            (33..40).for_each(|y| screen.row_mut(&Rect::new(70, y, 1, 1), y).fill(200));
        }
    }

    #[test]
    fn a_picture_of_another_size_is_none() {
        let shown = |width, height| Planes::new(Size::new(width, height), Chroma::Yuv420);
        let screen = frame(Size::new(33, 5), vec![0; 33 * 5 * 4]);
        assert!(compare(&screen, &shown(33, 5)).is_some());
        assert!(compare(&screen, &shown(34, 16)).is_some());
        assert!(compare(&screen, &shown(36, 16)).is_none());
        assert!(compare(&screen, &shown(32, 16)).is_none());
    }
}
