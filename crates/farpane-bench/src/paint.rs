//! What drawn desktops are made of: gradients, translucent shapes, photographs.

use farpane_desktop::draw::{Colour, Surface, bgrx};
use farpane_media::{Rect, Size};

use crate::random::hash;
use crate::text::mix;

/// Runs from one colour at the top to another at the bottom.
pub(crate) fn gradient(surface: &mut Surface, rect: Rect, top: Colour, bottom: Colour) {
    let rect = rect.intersect(&Rect::of(surface.size()));
    if rect.is_empty() {
        return;
    }
    for y in rect.y..rect.bottom() {
        let part = (y - rect.y) * 255 / rect.h.max(1);
        let pixel = mix(bgrx(top), bgrx(bottom), part as u8);
        surface.row_mut(&rect, y).as_chunks_mut().0.fill(pixel);
    }
    surface.touch(rect);
}

/// Lays a colour over what is there at `alpha` / 255.
pub(crate) fn veil(surface: &mut Surface, rect: Rect, colour: Colour, alpha: u8) {
    let rect = rect.intersect(&Rect::of(surface.size()));
    if rect.is_empty() {
        return;
    }
    for y in rect.y..rect.bottom() {
        for pixel in surface.row_mut(&rect, y).as_chunks_mut::<4>().0 {
            *pixel = mix(*pixel, bgrx(colour), alpha);
        }
    }
    surface.touch(rect);
}

/// A filled circle with a soft edge, laid over what is there.
pub(crate) fn disc(
    surface: &mut Surface,
    centre: (f32, f32),
    radius: f32,
    colour: Colour,
    alpha: u8,
) {
    cover(surface, centre, radius, colour, alpha, |x, y| radius - (x * x + y * y).sqrt());
}

/// A square of half the side `radius` that is turned by `angle` (radians), laid over what is there.
pub(crate) fn turned_square(
    surface: &mut Surface,
    centre: (f32, f32),
    radius: f32,
    angle: f32,
    colour: Colour,
    alpha: u8,
) {
    let (sin, cos) = angle.sin_cos();
    cover(surface, centre, radius * 1.42, colour, alpha, |x, y| {
        radius - (x * cos + y * sin).abs().max((y * cos - x * sin).abs())
    });
}

/// Lays a colour over the pixels in reach of a centre at which `inside` (pixels from the shape's edge) is positive.
fn cover(
    surface: &mut Surface,
    (cx, cy): (f32, f32),
    reach: f32,
    colour: Colour,
    alpha: u8,
    inside: impl Fn(f32, f32) -> f32,
) {
    let from = |at: f32| (at - reach - 1.0).max(0.0) as u32;
    let to = |at: f32| (at + reach + 2.0).max(0.0) as u32;
    let (left, top) = (from(cx), from(cy));
    let rect = Rect::new(left, top, to(cx).saturating_sub(left), to(cy).saturating_sub(top))
        .intersect(&Rect::of(surface.size()));
    if rect.is_empty() {
        return;
    }
    for y in rect.y..rect.bottom() {
        let dy = y as f32 + 0.5 - cy;
        let pixels = surface.row_mut(&rect, y).as_chunks_mut::<4>().0;
        for (x, pixel) in (rect.x..).zip(pixels) {
            let depth = inside(x as f32 + 0.5 - cx, dy);
            if depth > -0.5 {
                let edge = (depth + 0.5).min(1.0);
                *pixel = mix(*pixel, bgrx(colour), (f32::from(alpha) * edge) as u8);
            }
        }
    }
    surface.touch(rect);
}

/// A landscape under an evening sky: soft gradients, ridges with texture, and the grain of a camera.
pub(crate) fn photograph(size: Size, seed: u64) -> Surface {
    let mut surface = Surface::new(size);
    let whole = Rect::of(size);
    let (width, height) = (size.width as f32, size.height as f32);
    let ridges: [Vec<f32>; 3] = std::array::from_fn(|ridge| {
        let at = ridge as u64;
        (0..size.width)
            .map(|x| {
                let x = x as f32 / width * (3.0 + ridge as f32 * 2.0);
                let shape = noise(seed, at, x, 0.0) * 0.6
                    + noise(seed, at + 7, x * 3.1, 0.0) * 0.25
                    + noise(seed, at + 13, x * 9.7, 0.0) * 0.1;
                (0.35 + ridge as f32 * 0.16 + shape * 0.3) * height
            })
            .collect()
    });
    let tint = hash(seed, 5, 5) as f32 / u64::MAX as f32;
    let sky = ([70.0 + 90.0 * tint, 90.0, 150.0], [250.0, 190.0 - 60.0 * tint, 120.0]);
    let ground = [[96.0, 88.0, 120.0], [58.0, 74.0, 76.0], [36.0, 52.0, 30.0]];
    let mut grain = hash(seed, 1, 2) as u32 | 1;
    let scale = 10.0 / width;
    for y in 0..size.height {
        let down = y as f32 / height;
        for (x, pixel) in (0..).zip(surface.row_mut(&whole, y).as_chunks_mut::<4>().0) {
            let (fx, fy) = (x as f32 * scale, y as f32 * scale);
            let layer = (0..3).rev().find(|at| y as f32 > ridges[*at][x as usize]);
            let rgb = match layer {
                None => {
                    let cloud = (noise(seed, 31, fx * 0.7, fy * 2.0) - 0.5).max(0.0) * 110.0;
                    [0, 1, 2].map(|c| sky.0[c] * (1.0 - down) + sky.1[c] * down + cloud)
                }
                Some(at) => {
                    let fine = noise(seed, 41 + at as u64, fx * 12.0, fy * 12.0) - 0.5;
                    let finer = noise(seed, 51 + at as u64, fx * 37.0, fy * 37.0) - 0.5;
                    let light = 1.0 + (fine + finer) * (0.3 + at as f32 * 0.35);
                    ground[at].map(|value| value * light + 30.0 * (1.0 - down))
                }
            };
            grain = xorshift(grain);
            let grain = (grain & 7) as f32 - 3.5;
            let [r, g, b] = rgb.map(|value| (value + grain) as u8);
            *pixel = [b, g, r, 255];
        }
    }
    surface.touch(whole);
    surface
}

/// Marsaglia 2003.
pub(crate) fn xorshift(mut state: u32) -> u32 {
    state ^= state << 13;
    state ^= state >> 17;
    state ^ state << 5
}

/// Smooth noise from 0 to 1 with features a unit apart (value noise on a lattice).
fn noise(seed: u64, layer: u64, x: f32, y: f32) -> f32 {
    let (column, row) = (x.floor(), y.floor());
    let smooth = |at: f32| at * at * (3.0 - 2.0 * at);
    let (u, v) = (smooth(x - column), smooth(y - row));
    let corner = |dx: u32, dy: u32| {
        let at = u64::from(column as u32 + dx) << 32 | u64::from(row as u32 + dy);
        (hash(seed, layer, at) >> 40) as f32 / (1 << 24) as f32
    };
    let top = corner(0, 0) * (1.0 - u) + corner(1, 0) * u;
    let bottom = corner(0, 1) * (1.0 - u) + corner(1, 1) * u;
    top * (1.0 - v) + bottom * v
}
