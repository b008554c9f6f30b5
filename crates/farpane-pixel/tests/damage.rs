//! The detector against a comparison of every pixel.

use farpane_media::{FrameBody, Rect, Region, Size};
use farpane_pixel::{Detector, Kernel, Level, TILE};
use proptest::prelude::*;

/// A frame whose rows are `slack` bytes further apart than they need to be.
fn frame(size: Size, slack: usize, seed: u8) -> FrameBody {
    let stride = size.width as usize * 4 + slack;
    let pixels = (0..stride * size.height as usize).map(|at| (at as u8).wrapping_mul(31) ^ seed);
    FrameBody { size, stride, pixels: pixels.collect(), ..FrameBody::default() }
}

fn pixel(frame: &FrameBody, x: u32, y: u32) -> &[u8] {
    &frame.row(&Rect::new(x, y, 1, 1), y)[..3]
}

/// The tiles that hold a pixel for which `holds` is true.
fn tiles(size: Size, holds: impl Fn(u32, u32) -> bool) -> Region {
    let pixels = (0..size.height).flat_map(|y| (0..size.width).map(move |x| (x, y)));
    pixels
        .filter(|(x, y)| holds(*x, *y))
        .map(|(x, y)| Rect::new(x, y, 1, 1).snapped(TILE, size))
        .collect()
}

fn detectors() -> Vec<Detector> {
    Level::ALL.into_iter().filter_map(Kernel::new).map(Detector::with).collect()
}

prop_compose! {
    fn change()(
        at in (0u32..90, 0u32..70),
        side in (0u32..40, 0u32..40),
        byte in 0usize..4,
        mask in 1u8..,
    ) -> (Rect, usize, u8) {
        (Rect::new(at.0, at.1, side.0, side.1), byte, mask)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Each step changes some pixels and gives a hint that covers them and more.
    #[test]
    fn finds_exactly_the_tiles_that_differ(
        width in 1u32..90,
        height in 1u32..70,
        slack in 0usize..9,
        steps in prop::collection::vec((prop::collection::vec(change(), 0..4), any::<bool>(), change()), 1..5),
    ) {
        let size = Size::new(width, height);
        for mut detector in detectors() {
            let mut out = Region::new();
            let mut last = frame(size, slack, 0);
            detector.update(&last, None, &mut out);
            prop_assert_eq!(&out, &Region::from(Rect::of(size)));
            for (changes, hinted, extra) in &steps {
                let mut next = frame(size, slack, 0);
                next.pixels.copy_from_slice(&last.pixels);
                let mut hint = Region::from(extra.0.intersect(&Rect::of(size)));
                for (rect, byte, mask) in changes {
                    let rect = rect.intersect(&Rect::of(size));
                    if rect.is_empty() {
                        continue;
                    }
                    hint.add(rect);
                    for y in rect.y..rect.bottom() {
                        next.row_mut(&rect, y).chunks_exact_mut(4).for_each(|p| p[*byte] ^= mask);
                    }
                }
                detector.update(&next, hinted.then_some(&hint), &mut out);
                let differing = tiles(size, |x, y| pixel(&next, x, y) != pixel(&last, x, y));
                prop_assert_eq!(&out, &differing);
                last = next;
            }
            detector.update(&last, None, &mut out);
            prop_assert!(out.is_empty(), "the reference has followed");
        }
    }

    /// A hint that lies hides changes, and they are found when a later hint covers them.
    #[test]
    fn looks_only_where_the_hint_points(hint in change()) {
        let size = Size::new(90, 70);
        let hint = Region::from(hint.0.intersect(&Rect::of(size)));
        let looked_at = tiles(size, |x, y| hint.contains(x, y));
        let mut out = Region::new();
        for mut detector in detectors() {
            detector.update(&frame(size, 0, 0), None, &mut out);
            detector.update(&frame(size, 0, 1), Some(&hint), &mut out);
            prop_assert_eq!(&out, &looked_at);
            let mut rest = Region::from(Rect::of(size));
            rest.subtract(&looked_at);
            detector.update(&frame(size, 0, 1), None, &mut out);
            prop_assert_eq!(&out, &rest);
        }
    }
}

#[test]
fn a_new_size_is_all_damage() {
    let mut out = Region::new();
    for mut detector in detectors() {
        for size in [Size::new(33, 17), Size::new(17, 33), Size::new(0, 0), Size::new(5, 5)] {
            detector.update(&frame(size, 0, 0), Some(&Region::new()), &mut out);
            assert_eq!(out, Region::from(Rect::of(size)));
            detector.update(&frame(size, 0, 0), None, &mut out);
            assert!(out.is_empty());
        }
    }
}

#[test]
fn a_hint_outside_the_picture_is_harmless() {
    let mut out = Region::new();
    let size = Size::new(20, 20);
    let hint: Region =
        [Rect::new(19, 19, 500, 1), Rect::new(64, 64, u32::MAX, u32::MAX)].into_iter().collect();
    for mut detector in detectors() {
        detector.update(&frame(size, 0, 0), None, &mut out);
        detector.update(&frame(size, 0, 1), Some(&hint), &mut out);
        assert_eq!(out, Region::from(Rect::new(16, 16, 4, 4)));
    }
}
