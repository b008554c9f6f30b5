//! Narrowing damage to the tiles that differ, beside a `memcpy` of the same picture, and merging of regions.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use farpane_media::{FrameBody, Rect, Region, Size};
use farpane_pixel::{Detector, Kernel, Level};

const SIZE: Size = Size::new(1920, 1080);

fn frame(seed: u8) -> FrameBody {
    let stride = SIZE.width as usize * 4;
    let pixels = (0..stride * SIZE.height as usize).map(|at| (at as u8).wrapping_mul(31) ^ seed);
    FrameBody { size: SIZE, stride, pixels: pixels.collect(), ..FrameBody::default() }
}

/// `of` with the pixels of `rects` changed.
fn changed(of: &FrameBody, rects: &[Rect]) -> FrameBody {
    let mut frame = frame(0);
    frame.pixels.copy_from_slice(&of.pixels);
    for rect in rects {
        (rect.y..rect.bottom())
            .for_each(|y| frame.row_mut(rect, y).iter_mut().for_each(|b| *b ^= 1));
    }
    frame
}

fn narrowing(c: &mut Criterion) {
    let mut group = c.benchmark_group("damage");
    let still = frame(0);
    let mut copy = vec![0; still.pixels.len()];
    group.bench_function("memcpy 1080p", |b| {
        b.iter(|| copy.copy_from_slice(black_box(&still.pixels)));
    });

    let caret = Rect::new(700, 500, 2, 18);
    let lines: Vec<Rect> = (0..20).map(|n| Rect::new(200, 100 + n * 40, 640, 14)).collect();
    let scenes = [
        ("all, nothing changed", None, changed(&still, &[])),
        ("all, lines of text changed", None, changed(&still, &lines)),
        ("all, everything changed", None, changed(&still, &[Rect::of(SIZE)])),
        ("caret", Some(Region::from(caret)), changed(&still, &[caret])),
        (
            "640x480, a caret in it changed",
            Some(Region::from(Rect::new(600, 300, 640, 480))),
            changed(&still, &[caret]),
        ),
    ];
    for level in Level::ALL {
        let Some(kernel) = Kernel::new(level) else { continue };
        for (name, hint, other) in &scenes {
            let mut detector = Detector::with(kernel);
            let mut out = Region::new();
            detector.update(&still, None, &mut out);
            let mut pair = [other, &still];
            group.bench_function(format!("{level:?}/{name}"), |b| {
                b.iter(|| {
                    detector.update(pair[0], hint.as_ref(), &mut out);
                    pair.swap(0, 1);
                    out.area()
                });
            });
        }
    }
    group.finish();
}

/// What a displaced frame costs: its damage is merged into its successor's.
fn regions(c: &mut Criterion) {
    let mut group = c.benchmark_group("region union");
    for count in [1, 10, 100] {
        let region = |offset: u32| -> Region {
            (0..count).map(|n| Rect::new(n * 97 % 1800 + offset, n * 9 + offset, 64, 16)).collect()
        };
        let (a, b) = (region(0), region(5));
        let mut out = Region::new();
        group.bench_function(format!("{count} and {count}"), |bench| {
            bench.iter(|| {
                out.clone_from(&a);
                out.union(black_box(&b));
                out.rects().len()
            });
        });
    }
    group.finish();
}

criterion_group!(benches, narrowing, regions);
criterion_main!(benches);
