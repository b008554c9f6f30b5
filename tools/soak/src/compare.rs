//! How close what is shown is to the screen, block by block: one that is stale must not hide in the mean.

use std::fmt;
use std::io::{BufWriter, Write as _};
use std::path::Path;

use farpane_codec::decode;
use farpane_media::{FrameBody, Rect, Size};
use farpane_pixel::{Planes, convert, quality};

use crate::Error;

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
    let size = screen.size;
    if !decode::fits(shown.size, size) {
        return None;
    }
    let mut source = Planes::new(size, shown.chroma);
    convert::update(&mut source, screen, &Rect::of(size).into());
    let none = |plane| Block { plane, x: 0, y: 0, closeness: EQUAL };
    let mut worst = [none('Y'), none('U')];
    let mut all = [(0, 0); 3];
    for block in quality::blocks(&source, shown) {
        let quality::Block { plane, x, y, error, samples } = block;
        let (errors, count) = all[plane];
        all[plane] = (errors + error, count + samples);
        let (worst, closeness) = (&mut worst[usize::from(plane > 0)], psnr(error, samples));
        if closeness < worst.closeness {
            *worst = Block { plane: ['Y', 'U', 'V'][plane], x, y, closeness };
        }
    }
    let [luma, u, v] = all.map(|(error, samples)| psnr(error, samples));
    Some(Closeness { luma, colour: u.min(v), worst })
}

fn psnr(error: u64, samples: u64) -> f64 {
    quality::psnr(error, samples).min(EQUAL)
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
