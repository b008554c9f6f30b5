//! Which rectangles to ask the server for: as few requests as pay.

use farpane_media::{Rect, Size};

/// What one more request in a round trip is taken to cost, in pixels: 11 us at the 0.7 ns that a pixel takes in
/// `benches/capture.rs`. An estimate; the requests themselves were not measured apart.
const REQUEST: u64 = 16_384;
/// Requests in one round trip.
const MOST: usize = 64;
/// How far back in the list a partner is sought; regions come sorted, so partners are near.
const REACH: usize = 8;

/// Writes to `out` rectangles that cover `rects`, joining those where the pixels between them cost less than a
/// request. No more than [`MOST`] come out, and they hold no more pixels together than the whole picture.
pub(super) fn plan(rects: &[Rect], size: Size, out: &mut Vec<Rect>) {
    out.clear();
    let mut worth = REQUEST;
    rects.iter().for_each(|rect| join(out, 0, *rect, worth));
    while out.len() > MOST {
        worth = worth.saturating_mul(2);
        let many = out.len();
        (0..many).for_each(|at| join(out, many, out[at], worth));
        out.drain(..many);
    }
    if out.iter().map(Rect::area).sum::<u64>() > size.pixels() {
        out.clear();
        out.push(Rect::of(size));
    }
}

/// Adds `rect` to those from `first` on.
fn join(out: &mut Vec<Rect>, first: usize, rect: Rect, worth: u64) {
    let near = out.len().saturating_sub(REACH).max(first);
    let best = out[near..]
        .iter_mut()
        .map(|other| {
            (around(other, &rect).area().saturating_sub(other.area() + rect.area()), other)
        })
        .min_by_key(|(extra, _)| *extra);
    match best {
        Some((extra, other)) if extra <= worth => *other = around(other, &rect),
        _ => out.push(rect),
    }
}

fn around(a: &Rect, b: &Rect) -> Rect {
    let (x, y) = (a.x.min(b.x), a.y.min(b.y));
    Rect::new(x, y, a.right().max(b.right()) - x, a.bottom().max(b.bottom()) - y)
}

#[cfg(test)]
mod tests {
    use super::*;
    use farpane_media::Region;

    const SIZE: Size = Size::new(1920, 1080);

    fn planned(rects: &[Rect]) -> Vec<Rect> {
        let region: Region = rects.iter().copied().collect();
        let mut out = Vec::new();
        plan(region.rects(), SIZE, &mut out);
        let mut missed = region;
        missed.subtract(&out.iter().copied().collect());
        assert!(missed.is_empty(), "the plan covers the region");
        assert!(out.len() <= MOST);
        assert!(out.iter().map(Rect::area).sum::<u64>() <= SIZE.pixels());
        out
    }

    #[test]
    fn neighbours_join_and_far_corners_do_not() {
        let words: Vec<Rect> =
            (0..40).map(|n| Rect::new(20 * (n % 10), 20 * (n / 10), 15, 12)).collect();
        assert_eq!(planned(&words).len(), 1);
        assert_eq!(planned(&[Rect::new(0, 0, 32, 32), Rect::new(1888, 1048, 32, 32)]).len(), 2);
    }

    #[test]
    fn any_number_of_rectangles_stays_bounded() {
        let specks: Vec<Rect> =
            (0..2000).map(|n| Rect::new(n * 7919 % 1919, n * 104_729 % 1079, 1, 1)).collect();
        planned(&specks);
        let stripes: Vec<Rect> = (0..540).map(|n| Rect::new(0, n * 2, 1920, 1)).collect();
        assert_eq!(planned(&stripes).len(), 1);
    }
}
