//! Sets of pixels: a [`Rect`], and a [`Region`] of disjoint rectangles that is never widened to its bounding box.
//!
//! A region is kept in the banded form of the X server's regions: rectangles sorted by row then column, all rectangles
//! of a band sharing top and bottom, neighbours in a band never touching, equal bands that touch merged. The form is
//! canonical, so two regions cover the same pixels exactly when they are equal. Every operation walks both inputs once
//! and reuses a spare list held by the region, so that steady-state use does not allocate.

use std::ops::Range;

use crate::Size;

/// A half-open rectangle of pixels: columns `x..x + w`, rows `y..y + h`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Rect {
    pub x: u32,
    pub y: u32,
    pub w: u32,
    pub h: u32,
}

impl Rect {
    pub const fn new(x: u32, y: u32, w: u32, h: u32) -> Rect {
        Rect { x, y, w, h }
    }

    pub const fn of(size: Size) -> Rect {
        Rect { x: 0, y: 0, w: size.width, h: size.height }
    }

    /// One past the last column, saturating.
    pub const fn right(&self) -> u32 {
        self.x.saturating_add(self.w)
    }

    /// One past the last row, saturating.
    pub const fn bottom(&self) -> u32 {
        self.y.saturating_add(self.h)
    }

    pub const fn is_empty(&self) -> bool {
        self.w == 0 || self.h == 0
    }

    pub const fn area(&self) -> u64 {
        self.w as u64 * self.h as u64
    }

    /// The common part; empty (but well-formed) when there is none.
    pub fn intersect(&self, other: &Rect) -> Rect {
        let (x, y) = (self.x.max(other.x), self.y.max(other.y));
        let (right, bottom) = (self.right().min(other.right()), self.bottom().min(other.bottom()));
        Rect { x, y, w: right.saturating_sub(x), h: bottom.saturating_sub(y) }
    }

    /// The smallest rectangle with both in it.
    pub fn around(&self, other: &Rect) -> Rect {
        let (x, y) = (self.x.min(other.x), self.y.min(other.y));
        let (right, bottom) = (self.right().max(other.right()), self.bottom().max(other.bottom()));
        Rect { x, y, w: right - x, h: bottom - y }
    }

    /// Grown outwards to multiples of `grid` pixels, then cut to `size`.
    pub fn snapped(&self, grid: u32, size: Size) -> Rect {
        let (x, y) = (self.x / grid * grid, self.y / grid * grid);
        let right = self.right().div_ceil(grid).saturating_mul(grid).min(size.width);
        let bottom = self.bottom().div_ceil(grid).saturating_mul(grid).min(size.height);
        Rect { x, y, w: right.saturating_sub(x), h: bottom.saturating_sub(y) }
    }
}

/// A set of pixels as disjoint rectangles in canonical banded order.
#[derive(Debug, Default)]
pub struct Region {
    rects: Vec<Rect>,
    spare: Vec<Rect>,
}

impl Clone for Region {
    fn clone(&self) -> Region {
        Region { rects: self.rects.clone(), spare: Vec::new() }
    }

    fn clone_from(&mut self, source: &Region) {
        self.rects.clone_from(&source.rects);
    }
}

impl PartialEq for Region {
    fn eq(&self, other: &Region) -> bool {
        self.rects == other.rects
    }
}

impl Eq for Region {}

impl From<Rect> for Region {
    fn from(rect: Rect) -> Region {
        let mut region = Region::new();
        region.set(rect);
        region
    }
}

impl FromIterator<Rect> for Region {
    fn from_iter<I: IntoIterator<Item = Rect>>(rects: I) -> Region {
        let mut region = Region::new();
        rects.into_iter().for_each(|rect| region.add(rect));
        region
    }
}

impl Region {
    pub const fn new() -> Region {
        Region { rects: Vec::new(), spare: Vec::new() }
    }

    pub fn is_empty(&self) -> bool {
        self.rects.is_empty()
    }

    /// The rectangles, disjoint, by row then column.
    pub fn rects(&self) -> &[Rect] {
        &self.rects
    }

    /// The number of pixels.
    pub fn area(&self) -> u64 {
        self.rects.iter().map(Rect::area).sum()
    }

    pub fn contains(&self, x: u32, y: u32) -> bool {
        self.rects.iter().any(|r| (r.x..r.right()).contains(&x) && (r.y..r.bottom()).contains(&y))
    }

    /// The smallest rectangle around the region, for callers that need one *beside* the region.
    pub fn bounds(&self) -> Rect {
        let Some(first) = self.rects.first() else { return Rect::default() };
        let bottom = self.rects.last().map_or(0, Rect::bottom);
        let left = self.rects.iter().map(|r| r.x).min().unwrap_or(0);
        let right = self.rects.iter().map(Rect::right).max().unwrap_or(0);
        Rect { x: left, y: first.y, w: right - left, h: bottom - first.y }
    }

    pub fn clear(&mut self) {
        self.rects.clear();
    }

    /// Makes the region exactly `rect`.
    pub fn set(&mut self, rect: Rect) {
        self.rects.clear();
        if !rect.is_empty() {
            self.rects.push(rect);
        }
    }

    pub fn add(&mut self, rect: Rect) {
        if rect.is_empty() {
            return;
        }
        // Damage mostly arrives top to bottom; a rectangle strictly below the last band needs no merge.
        match self.rects.last() {
            Some(last) if rect.y <= last.bottom() => self.combine(&[rect], |a, b| a || b),
            _ => self.rects.push(rect),
        }
    }

    /// Adds rows `y..y + h` of the columns `spans`, which are in order and do not touch, to a region that lies above
    /// `y`: the way to build a region from top to bottom in linear time.
    pub fn push_band(&mut self, y: u32, h: u32, spans: impl IntoIterator<Item = Range<u32>>) {
        let last = self.rects.last().copied().unwrap_or_default();
        debug_assert!(y >= last.bottom(), "bands are added from top to bottom");
        let band_start = self.rects.partition_point(|r| r.y < last.y);
        let pushed = self.rects.len();
        self.rects.extend(spans.into_iter().map(|s| Rect::new(s.start, y, s.end - s.start, h)));
        if same_spans(&self.rects[band_start..pushed], &self.rects[pushed..], y) {
            self.rects.truncate(pushed);
            self.rects[band_start..].iter_mut().for_each(|r| r.h += h);
        }
    }

    pub fn union(&mut self, other: &Region) {
        if self.rects.is_empty() {
            self.rects.clone_from(&other.rects);
        } else if !other.is_empty() {
            self.combine(&other.rects, |a, b| a || b);
        }
    }

    pub fn intersect(&mut self, other: &Region) {
        self.combine(&other.rects, |a, b| a && b);
    }

    pub fn subtract(&mut self, other: &Region) {
        if !other.is_empty() {
            self.combine(&other.rects, |a, b| a && !b);
        }
    }

    /// Drops what lies outside a picture of `size`.
    pub fn clip(&mut self, size: Size) {
        let bounds = Rect::of(size);
        if self.rects.iter().any(|r| r.right() > size.width || r.bottom() > size.height) {
            self.combine(&[bounds], |a, b| a && b);
        }
    }

    /// Grows every rectangle outwards to multiples of `grid` pixels within `size`: what a codec with blocks of that
    /// size has to touch.
    pub fn snap(&mut self, grid: u32, size: Size) {
        let rects = std::mem::take(&mut self.rects);
        rects.iter().for_each(|r| self.add(r.snapped(grid, size)));
    }

    /// `self = op(self, other)` per pixel. `op(false, false)` must be false: a region is finite.
    fn combine(&mut self, other: &[Rect], op: fn(bool, bool) -> bool) {
        let mut out = std::mem::take(&mut self.spare);
        out.clear();
        let (mut a, mut b) = (self.rects.as_slice(), other);
        let mut band_start = 0; // of the last emitted band in `out`
        let mut y = 0;
        while !(a.is_empty() && b.is_empty()) {
            // The next stretch of rows over which neither input changes.
            let top = edge(a, y).min(edge(b, y));
            y = y.max(top);
            let bottom = next_edge(a, y).min(next_edge(b, y));
            let emitted = out.len();
            merge_row(band(a, y), band(b, y), op, &mut |x, right| {
                out.push(Rect { x, y, w: right - x, h: bottom - y });
            });
            if same_spans(&out[band_start..emitted], &out[emitted..], y) {
                out.truncate(emitted);
                out[band_start..].iter_mut().for_each(|r| r.h = bottom - r.y);
            } else if out.len() > emitted {
                band_start = emitted;
            }
            y = bottom;
            a = drop_above(a, y);
            b = drop_above(b, y);
        }
        self.spare = std::mem::replace(&mut self.rects, out);
    }
}

/// The first row at or after `y` where this banded list has pixels.
fn edge(rects: &[Rect], y: u32) -> u32 {
    rects.first().map_or(u32::MAX, |r| r.y.max(y))
}

/// The first row after `y` where this banded list starts or stops having pixels.
fn next_edge(rects: &[Rect], y: u32) -> u32 {
    rects.first().map_or(u32::MAX, |r| if r.y > y { r.y } else { r.bottom() })
}

/// The rectangles of the first band when it covers row `y`, else none.
fn band(rects: &[Rect], y: u32) -> &[Rect] {
    match rects.first() {
        Some(first) if first.y <= y => {
            let len = rects.iter().take_while(|r| r.y == first.y).count();
            &rects[..len]
        }
        _ => &[],
    }
}

fn drop_above(rects: &[Rect], y: u32) -> &[Rect] {
    match rects.first() {
        Some(first) if first.bottom() <= y => &rects[band(rects, first.y).len()..],
        _ => rects,
    }
}

/// Walks two sorted span lists and emits the maximal spans where `op` holds.
fn merge_row(a: &[Rect], b: &[Rect], op: fn(bool, bool) -> bool, emit: &mut impl FnMut(u32, u32)) {
    let edges = |spans: &[Rect], at: usize| {
        spans.get(at / 2).map_or(u32::MAX, |r| if at.is_multiple_of(2) { r.x } else { r.right() })
    };
    let (mut ia, mut ib) = (0, 0);
    let mut open = None;
    loop {
        let x = edges(a, ia).min(edges(b, ib));
        if x == u32::MAX {
            break;
        }
        while edges(a, ia) == x {
            ia += 1;
        }
        while edges(b, ib) == x {
            ib += 1;
        }
        // An odd position means that the walk is inside a span.
        match (op(ia % 2 == 1, ib % 2 == 1), open) {
            (true, None) => open = Some(x),
            (false, Some(start)) => {
                emit(start, x);
                open = None;
            }
            _ => {}
        }
    }
}

/// Whether `below` (starting at row `y`) continues `above` with the same columns.
fn same_spans(above: &[Rect], below: &[Rect], y: u32) -> bool {
    !above.is_empty()
        && above.len() == below.len()
        && above.iter().zip(below).all(|(a, b)| a.bottom() == y && a.x == b.x && a.w == b.w)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SIDE: u32 = 24;

    fn rect() -> impl Strategy<Value = Rect> {
        (0..SIDE, 0..SIDE, 0..SIDE, 0..SIDE)
            .prop_map(|(x, y, w, h)| Rect::new(x, y, w.min(SIDE - x), h.min(SIDE - y)))
    }

    fn rects() -> impl Strategy<Value = Vec<Rect>> {
        prop::collection::vec(rect(), 0..9)
    }

    fn pixels(rects: &[Rect]) -> Vec<bool> {
        let mut map = vec![false; (SIDE * SIDE) as usize];
        for r in rects {
            for y in r.y..r.bottom() {
                for x in r.x..r.right() {
                    map[(y * SIDE + x) as usize] = true;
                }
            }
        }
        map
    }

    /// Same pixels as the oracle, no pixel twice, and the canonical form.
    fn check(region: &Region, expected: &[bool]) {
        assert_eq!(pixels(region.rects()), expected);
        assert_eq!(region.area(), expected.iter().filter(|p| **p).count() as u64);
        let reordered: Region = region.rects().iter().rev().copied().collect();
        assert_eq!(&reordered, region, "the form is canonical, whatever the order of insertion");
    }

    proptest! {
        #[test]
        fn set_operations_match_a_pixel_map(a in rects(), b in rects()) {
            let (ra, rb): (Region, Region) = (a.iter().copied().collect(), b.iter().copied().collect());
            let (pa, pb) = (pixels(&a), pixels(&b));
            check(&ra, &pa);
            type Op = (fn(&mut Region, &Region), fn(bool, bool) -> bool);
            let ops: [Op; 3] = [
                (Region::union, |x, y| x || y),
                (Region::intersect, |x, y| x && y),
                (Region::subtract, |x, y| x && !y),
            ];
            for (apply, op) in ops {
                let mut out = ra.clone();
                apply(&mut out, &rb);
                let expected: Vec<bool> = pa.iter().zip(&pb).map(|(x, y)| op(*x, *y)).collect();
                check(&out, &expected);
            }
        }

        #[test]
        fn snapping_covers_and_stays_on_the_grid(a in rects(), grid in 1u32..9) {
            let size = Size::new(SIDE, SIDE);
            let mut snapped: Region = a.iter().copied().collect();
            snapped.snap(grid, size);
            let mut uncovered: Region = a.iter().copied().collect();
            uncovered.subtract(&snapped);
            prop_assert!(uncovered.is_empty());
            for r in snapped.rects() {
                prop_assert!(r.x % grid == 0 && r.y % grid == 0);
                prop_assert!(r.right() % grid == 0 || r.right() == SIDE);
                prop_assert!(r.bottom() % grid == 0 || r.bottom() == SIDE);
            }
        }
    }

    #[test]
    fn bands_merge_as_rectangles_do() {
        let bands = [(0, 2, 0..4), (2, 1, 0..4), (3, 1, 1..4), (6, 1, 1..4)];
        let mut pushed = Region::new();
        bands.iter().for_each(|(y, h, span)| pushed.push_band(*y, *h, [span.clone(), 8..9]));
        pushed.push_band(7, 3, []);
        let rects = bands.iter().flat_map(|(y, h, span)| {
            [Rect::new(span.start, *y, span.end - span.start, *h), Rect::new(8, *y, 1, *h)]
        });
        assert_eq!(pushed, rects.collect());
    }

    #[test]
    fn two_corners_do_not_become_a_bounding_box() {
        let region: Region =
            [Rect::new(0, 0, 10, 10), Rect::new(90, 90, 10, 10)].into_iter().collect();
        assert_eq!(region.area(), 200);
        assert_eq!(region.bounds(), Rect::new(0, 0, 100, 100));
    }

    #[test]
    fn rectangles_at_the_edge_of_the_number_range_do_not_wrap() {
        let mut region = Region::from(Rect::new(u32::MAX - 4, u32::MAX - 4, 100, 100));
        region.add(Rect::new(0, 0, 4, 4));
        region.clip(Size::new(2, 2));
        assert_eq!(region.rects(), [Rect::new(0, 0, 2, 2)]);
    }
}
