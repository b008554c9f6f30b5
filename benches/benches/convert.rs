//! Conversion of what changed to an encoder's planes; cost should follow the area.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use farpane_media::{FrameBody, Rect, Region, Size};
use farpane_pixel::{Chroma, Planes, convert};

const SIZE: Size = Size::new(1920, 1080);

fn regions(c: &mut Criterion) {
    let stride = SIZE.width as usize * 4;
    let pixels = (0..stride * SIZE.height as usize).map(|at| (at as u8).wrapping_mul(31));
    let frame = FrameBody { size: SIZE, stride, pixels: pixels.collect(), ..FrameBody::default() };
    let areas = [
        ("whole", Region::from(Rect::of(SIZE))),
        ("960x540", Region::from(Rect::new(480, 270, 960, 540))),
        ("320x160", Region::from(Rect::new(480, 270, 320, 160))),
        ("one tile", Region::from(Rect::new(640, 480, 16, 16))),
        ("100 tiles", (0..100).map(|n| Rect::new(n % 10 * 160, n / 10 * 96, 16, 16)).collect()),
    ];
    for chroma in [Chroma::Yuv420, Chroma::Yuv444] {
        let mut group = c.benchmark_group(format!("convert/{chroma:?}"));
        let mut planes = Planes::new(SIZE, chroma);
        for (name, region) in &areas {
            group.throughput(Throughput::Elements(region.area()));
            group.bench_with_input(BenchmarkId::from_parameter(name), region, |b, region| {
                b.iter(|| convert::update(&mut planes, &frame, region));
            });
        }
        group.finish();
    }
}

criterion_group!(benches, regions);
criterion_main!(benches);
