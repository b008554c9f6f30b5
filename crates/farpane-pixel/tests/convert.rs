//! Conversion against the formulas of BT.709, and parts against the whole.

use farpane_media::{FrameBody, Rect, Region, Size};
use farpane_pixel::{Chroma, Plane, Planes, convert, quality};
use proptest::prelude::*;

const CHROMAS: [Chroma; 2] = [Chroma::Yuv420, Chroma::Yuv444];

/// Noise, from a linear congruential generator, with X bytes that are not zero.
fn noise(size: Size, seed: u32) -> FrameBody {
    let stride = size.width as usize * 4;
    let mut state = seed;
    let pixels = (0..stride * size.height as usize).map(|_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    });
    FrameBody { size, stride, pixels: pixels.collect(), ..FrameBody::default() }
}

fn plain(size: Size, [b, g, r]: [u8; 3]) -> FrameBody {
    let pixels = [b, g, r, 77].repeat(size.pixels() as usize);
    FrameBody { size, stride: size.width as usize * 4, pixels, ..FrameBody::default() }
}

fn converted(frame: &FrameBody, chroma: Chroma) -> Planes {
    let mut planes = Planes::new(frame.size, chroma);
    convert::update(&mut planes, frame, &Rect::of(frame.size).into());
    planes
}

/// All samples that mean something, padding included.
fn samples(planes: &Planes) -> [&[u8]; 3] {
    [&planes.y, &planes.u, &planes.v].map(|p| &p.data[..p.stride * p.padded_height])
}

/// ITU-R BT.709-6, items 3.2 to 3.4, with 8-bit quantisation to the limited range.
fn formula([b, g, r]: [f64; 3]) -> [f64; 3] {
    let y = 0.2126 * r + 0.7152 * g + 0.0722 * b;
    [
        16.0 + y * 219.0 / 255.0,
        128.0 + (b - y) / 1.8556 * 224.0 / 255.0,
        128.0 + (r - y) / 1.5748 * 224.0 / 255.0,
    ]
}

fn rects() -> impl Strategy<Value = Vec<Rect>> {
    let rect =
        (0u32..80, 0u32..60, 0u32..50, 0u32..50).prop_map(|(x, y, w, h)| Rect::new(x, y, w, h));
    prop::collection::vec(rect, 0..5)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn a_region_converts_as_the_whole_does(width in 1u32..80, height in 1u32..60, rects in rects(), seed: u32) {
        let size = Size::new(width, height);
        let mut frame = noise(size, seed);
        let other = noise(size, !seed);
        let mut region: Region = rects.into_iter().collect();
        region.clip(size);
        for chroma in CHROMAS {
            let mut planes = converted(&frame, chroma);
            for rect in region.rects() {
                (rect.y..rect.bottom()).for_each(|y| frame.row_mut(rect, y).copy_from_slice(other.row(rect, y)));
            }
            convert::update(&mut planes, &frame, &region);
            let whole = converted(&frame, chroma);
            prop_assert_eq!(samples(&planes), samples(&whole));
            frame = noise(size, seed);
        }
    }

    #[test]
    fn colours_follow_bt709(bgr: [u8; 3], width in 1u32..70, height in 1u32..6) {
        let frame = plain(Size::new(width, height), bgr);
        let expected = formula(bgr.map(f64::from));
        for chroma in CHROMAS {
            let planes = converted(&frame, chroma);
            for (samples, expected) in samples(&planes).into_iter().zip(expected) {
                let off = samples.iter().map(|s| (f64::from(*s) - expected).abs()).fold(0.0, f64::max);
                prop_assert!(off <= 1.5, "{:?} {:?}: {} codes off {}", chroma, bgr, off, expected);
            }
        }
    }

    /// Colour in 4:2:0 is that of the mean of four pixels.
    #[test]
    fn colour_is_shared_by_squares(width in 1u32..40, height in 1u32..20, seed: u32) {
        let frame = noise(Size::new(width, height), seed);
        let planes = converted(&frame, Chroma::Yuv420);
        for cy in 0..planes.u.size.height {
            for cx in 0..planes.u.size.width {
                let square = Rect::new(cx * 2, cy * 2, 2, 2).intersect(&Rect::of(frame.size));
                let mut mean = [0.0; 3];
                for y in square.y..square.bottom() {
                    for pixel in frame.row(&square, y).chunks_exact(4) {
                        (0..3).for_each(|at| mean[at] += f64::from(pixel[at]) / square.area() as f64);
                    }
                }
                let [_, u, v] = formula(mean);
                let sample = |plane: &Plane| f64::from(plane.row(cy as usize)[cx as usize]);
                prop_assert!((sample(&planes.u) - u).abs() <= 2.0);
                prop_assert!((sample(&planes.v) - v).abs() <= 2.0);
            }
        }
    }
}

#[test]
fn colour_shared_afterwards_is_that_of_the_frame() {
    for size in [Size::new(64, 32), Size::new(33, 47), Size::new(1, 1)] {
        let frame = noise(size, 11);
        let expected = converted(&frame, Chroma::Yuv420);
        let mut planes = Planes::new(size, Chroma::Yuv420);
        convert::subsample(&converted(&frame, Chroma::Yuv444), &mut planes);
        assert_eq!(planes.y, expected.y);
        for (got, expected) in samples(&planes).into_iter().zip(samples(&expected)) {
            assert!(got.iter().zip(expected).all(|(got, expected)| got.abs_diff(*expected) <= 2));
        }
    }
}

#[test]
fn half_a_picture_is_the_means_of_it_within_what_changed() {
    for size in [Size::new(64, 32), Size::new(33, 47), Size::new(1, 1)] {
        for chroma in CHROMAS {
            let mut planes = converted(&noise(size, 3), chroma);
            let mut halved = Planes::new(convert::half(size), chroma);
            convert::halve(&planes, &mut halved, &Rect::of(size).into());
            let region = Region::from(
                Rect::new(size.width / 3, size.height / 2, 5, 7).intersect(&Rect::of(size)),
            );
            convert::update(&mut planes, &noise(size, 4), &region);
            convert::halve(&planes, &mut halved, &region);
            for (from, to) in
                [(&planes.y, &halved.y), (&planes.u, &halved.u), (&planes.v, &halved.v)]
            {
                for y in 0..to.size.height as usize {
                    for (x, got) in to.row(y).iter().enumerate() {
                        let at = |dx: usize, dy: usize| {
                            // The edge repeats.
                            let (right, bottom) =
                                (from.size.width as usize - 1, from.size.height as usize - 1);
                            u32::from(from.row((2 * y + dy).min(bottom))[(2 * x + dx).min(right)])
                        };
                        let sum = at(0, 0) + at(1, 0) + at(0, 1) + at(1, 1);
                        assert_eq!(u32::from(*got), (sum + 2) / 4, "{size} at {x},{y}");
                    }
                }
            }
        }
    }
}

#[test]
fn padding_repeats_the_edge() {
    let frame = noise(Size::new(21, 19), 5);
    for chroma in CHROMAS {
        let planes = converted(&frame, chroma);
        assert_eq!((planes.y.stride, planes.y.padded_height), (32, 32));
        for plane in [&planes.y, &planes.u, &planes.v] {
            let (width, height) = (plane.size.width as usize, plane.size.height as usize);
            for y in 0..plane.padded_height {
                for x in 0..plane.stride {
                    let edge = plane.row(y.min(height - 1))[x.min(width - 1)];
                    assert_eq!(plane.data[y * plane.stride + x], edge);
                }
            }
        }
    }
}

#[test]
fn there_and_back_is_nearly_the_same() {
    let frame = noise(Size::new(67, 45), 9);
    let mut back = FrameBody::default();
    convert::to_bgrx(&converted(&frame, Chroma::Yuv444), &mut back);
    let quality = quality::colour(&frame, &back);
    assert!(quality > 45.0, "{quality} dB");
    let grey = plain(Size::new(67, 45), [90; 3]);
    let planes = converted(&grey, Chroma::Yuv420);
    convert::to_bgrx(&planes, &mut back);
    assert!(quality::colour(&grey, &back) > 45.0);
    assert_eq!(quality::luma(&planes, &planes.clone()), f64::INFINITY);
}
