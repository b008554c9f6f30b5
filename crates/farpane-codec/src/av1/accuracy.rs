//! How close to its source a coded block came.
//!
//! The library now and then leaves out a block that changed (a flat one, in a page that scrolls, at the faster speeds), and
//! says nothing. So what it shows is compared with the source, wherever it was asked to look, and all over once it rests.

use farpane_pixel::convert::{Chroma, Planes};

use super::ffi::Rows;

/// Samples of a block's side.
const SIDE: usize = 16;
/// The mean squared error that quantizing with a step may leave, in squares of the step: 1/12 when all errors are as likely,
/// up to this with the library's dead zone around zero.
const TOLERANCE: f64 = 0.5;

/// The step of a quantizer of H.264 (ITU-T H.264, table 8-15 and clause 8.5.9).
fn step(quantizer: u8) -> f64 {
    0.625 * (f64::from(quantizer) / 6.0).exp2()
}

/// The quantizer that the block at (`x`, `y`) looks as if it were coded with: `quantizer`, or a coarser one when it is
/// farther from its source than that explains.
pub(super) fn apparent(
    source: &Planes,
    shown: &[Rows<'_>; 3],
    x: usize,
    y: usize,
    quantizer: u8,
) -> u8 {
    let factor = if source.chroma == Chroma::Yuv444 { 1 } else { 2 };
    let planes = [(&source.y, 1), (&source.u, factor), (&source.v, factor)];
    let errors = planes.iter().zip(shown).map(|((plane, factor), shown)| {
        let (x, y, side) = (x / factor, y / factor, SIDE / factor);
        let width = side.min(plane.size.width as usize - x);
        let height = side.min(plane.size.height as usize - y);
        let rows = (y..y + height).map(|row| {
            let source = &plane.data[row * plane.stride + x..][..width];
            let shown = &shown.data[row * shown.stride + x..][..width];
            squares(source, shown)
        });
        f64::from(rows.sum::<u32>()) / (width * height) as f64
    });
    let error = errors.fold(0.0, f64::max);
    if error <= TOLERANCE * step(quantizer).powi(2) {
        return quantizer;
    }
    let looks_like = 6.0 * ((error / TOLERANCE).sqrt() / 0.625).log2();
    (looks_like.ceil() as u8).clamp(quantizer, 51)
}

fn squares(a: &[u8], b: &[u8]) -> u32 {
    let square = |(a, b): (&u8, &u8)| u32::from(a.abs_diff(*b)).pow(2);
    match (a.first_chunk::<SIDE>(), b.first_chunk::<SIDE>()) {
        (Some(a), Some(b)) => a.iter().zip(b).map(square).sum(),
        _ => a.iter().zip(b).map(square).sum(),
    }
}

#[cfg(test)]
mod tests {
    use farpane_media::Size;

    use super::*;

    #[test]
    fn a_block_that_was_left_out_looks_coarse() {
        let mut source = Planes::new(Size::new(40, 24), Chroma::Yuv420);
        let before = source.clone();
        let shown = [&before.y, &before.u, &before.v]
            .map(|plane| Rows { data: &plane.data, stride: plane.stride });
        assert_eq!(apparent(&source, &shown, 32, 16, 18), 18);
        // One level off is what quantizing does.
        source.y.data.fill(1);
        assert_eq!(apparent(&source, &shown, 32, 16, 18), 18);
        // In the corner only, and in one component only.
        let last = 11 * source.u.stride + 19;
        source.u.data[last] = 200;
        assert!(apparent(&source, &shown, 32, 16, 18) > 40);
        assert_eq!(apparent(&source, &shown, 16, 0, 18), 18);
    }
}
