//! What moved as a whole: scrolling, dragging.
//!
//! A few macroblocks that changed and look like nothing else are looked for in the same column and row of the picture
//! before; a displacement that several of them agree on is one of the picture's. The pictures compared are sources, so
//! that what moved is found exactly whatever quality the viewer has it in.

use farpane_pixel::convert::{Chroma, Plane, Planes};

use super::motion::{FARTHEST, Vector};

/// Macroblocks that are looked for.
const SAMPLES: usize = 32;
/// A prime far above the macroblocks of a picture.
const STRIDE: usize = 1_000_003;
/// How many have to agree.
const VOTES: usize = 3;
/// Fewer macroblocks than this are sooner coded than looked for, which goes up and down all of the picture.
const FEW: usize = 8;
/// Displacements of one picture.
pub(super) const MOST: usize = 4;

/// Finds the displacements of the macroblocks `changed`, given as (column, row), from `before` to `now`; those of the last
/// picture are tried first.
pub(crate) fn find(now: &Planes, before: &Planes, changed: &[(u16, u16)], known: &mut Vec<Vector>) {
    if changed.len() < FEW {
        known.clear();
        return;
    }
    let mut votes = [(Vector::ZERO, 0); MOST + SAMPLES];
    let mut candidates = known.len();
    votes.iter_mut().zip(known.iter()).for_each(|(vote, vector)| vote.0 = *vector);
    // All over the picture, in an order without a pattern.
    let order = (0..changed.len()).map(|at| at * STRIDE % changed.len());
    let places =
        order.map(|at| changed[at]).map(|(x, y)| (usize::from(x) * 16, usize::from(y) * 16));
    let distinct = places.filter_map(|(x, y)| Some((x, y, distinct_line(now, x, y)?)));
    for (x, y, line) in distinct.take(SAMPLES) {
        let mut voted = votes[..candidates].iter_mut();
        if let Some(vote) = voted.find(|(vector, _)| is_moved(now, before, x, y, *vector)) {
            vote.1 += 1;
        } else if let Some(vector) = search(now, before, [x, y], line) {
            votes[candidates] = (vector, 1);
            candidates += 1;
        }
    }
    let votes = &mut votes[..candidates];
    votes.sort_by_key(|(_, votes)| std::cmp::Reverse(*votes));
    let agreed = votes.iter().take_while(|(_, votes)| *votes >= VOTES).take(MOST);
    known.clear();
    known.extend(agreed.map(|(vector, _)| *vector));
}

/// Whether the luma of the macroblock at (`x`, `y`) is what was at its displacement, and its chroma too unless that lies
/// between samples.
pub(crate) fn is_moved(now: &Planes, before: &Planes, x: usize, y: usize, vector: Vector) -> bool {
    let (from_x, from_y) =
        (x as isize + isize::from(vector.x / 4), y as isize + isize::from(vector.y / 4));
    let (right, bottom) = (now.y.stride as isize - 16, now.y.padded_height as isize - 16);
    if !(0..=right).contains(&from_x) || !(0..=bottom).contains(&from_y) {
        return false;
    }
    let (from_x, from_y) = (from_x as usize, from_y as usize);
    if !is_same_square::<16>(&now.y, &before.y, [x, y], [from_x, from_y]) {
        return false;
    }
    let planes = [(&now.u, &before.u), (&now.v, &before.v)];
    match now.chroma {
        Chroma::Yuv444 => planes
            .into_iter()
            .all(|(now, before)| is_same_square::<16>(now, before, [x, y], [from_x, from_y])),
        Chroma::Yuv420 if (from_x | from_y) & 1 != 0 => true,
        Chroma::Yuv420 => planes.into_iter().all(|(now, before)| {
            is_same_square::<8>(now, before, [x / 2, y / 2], [from_x / 2, from_y / 2])
        }),
    }
}

#[inline(always)]
fn is_same_square<'a, const SIDE: usize>(
    now: &'a Plane,
    before: &'a Plane,
    [x, y]: [usize; 2],
    [from_x, from_y]: [usize; 2],
) -> bool {
    let line = |plane: &'a Plane, x: usize, y: usize| -> &'a [u8; SIDE] {
        plane.data[y * plane.stride + x..].first_chunk().expect("the macroblock is in the picture")
    };
    // Four lines at a time: most differ in the first ones, or nowhere.
    (0..SIDE).step_by(4).all(|first| {
        let mut same = true;
        for at in first..first + 4 {
            same &= line(now, x, y + at) == line(before, from_x, from_y + at);
        }
        same
    })
}

/// Whether a macroblock is as it was.
pub(crate) fn is_same(now: &Planes, before: &Planes, x: usize, y: usize) -> bool {
    is_moved(now, before, x, y, Vector::ZERO)
}

/// A line of a macroblock that has enough edges to be told from others; most of a page is lines of text with gaps between,
/// and either may be where a single one is looked at.
fn distinct_line(planes: &Planes, x: usize, y: usize) -> Option<usize> {
    [8, 0, 12, 4].into_iter().find(|line| {
        let samples = &planes.y.data[(y + line) * planes.y.stride + x..][..16];
        samples.windows(2).filter(|pair| pair[0].abs_diff(pair[1]) > 8).count() >= 3
    })
}

/// Where the macroblock at (`x`, `y`), which `line` of it tells from others, was before.
fn search(now: &Planes, before: &Planes, [x, y]: [usize; 2], line: usize) -> Option<Vector> {
    let stride = now.y.stride;
    let key: Option<&[u8; 16]> = now.y.data[(y + line) * stride + x..].first_chunk();
    let rows = y.saturating_sub(FARTHEST.1 as usize)
        ..(y + FARTHEST.1 as usize).min(now.y.padded_height - 16);
    let vertical =
        rows.filter(|from| before.y.data[(from + line) * stride + x..].first_chunk() == key);
    let vertical = vertical.map(|from| Vector::whole(0, from as i32 - y as i32));
    let row = &before.y.data[(y + line) * stride..][..stride];
    let horizontal =
        row.windows(16).enumerate().filter(|(_, samples)| samples.first_chunk() == key);
    let horizontal = horizontal.map(|(from, _)| from as i32 - x as i32);
    let horizontal = horizontal.filter(|dx| dx.abs() <= FARTHEST.0).map(|dx| Vector::whole(dx, 0));
    let found = vertical.chain(horizontal).take(8);
    let found = found.filter(|vector| is_moved(now, before, x, y, *vector));
    found.min_by_key(|vector| vector.x.unsigned_abs() + vector.y.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use farpane_media::Size;

    use super::*;
    use crate::random::Random;

    const SIZE: Size = Size::new(320, 240);

    /// Something like text everywhere, displaced by (`dx`, `dy`) within the columns from `from`.
    fn page(from: usize, dx: usize, dy: usize) -> Planes {
        let mut random = Random(9);
        let ink: Vec<u8> =
            (0..400 * 400).map(|_| if random.below(3) == 0 { 16 } else { 235 }).collect();
        let mut planes = Planes::new(SIZE, Chroma::Yuv420);
        for y in 0..240 {
            for x in 0..320 {
                let (dx, dy) = if x >= from { (dx, dy) } else { (0, 0) };
                planes.y.data[y * planes.y.stride + x] = ink[(y + dy) * 400 + x + dx];
            }
        }
        planes
    }

    fn find_all(now: &Planes, before: &Planes, known: &[Vector]) -> Vec<Vector> {
        let all = (0..15).flat_map(|row| (0..20).map(move |column| (column, row)));
        let changed: Vec<(u16, u16)> = all
            .filter(|(x, y)| !is_same(now, before, usize::from(*x) * 16, usize::from(*y) * 16))
            .collect();
        let mut found = known.to_vec();
        find(now, before, &changed, &mut found);
        found
    }

    #[test]
    fn scrolling_is_found_either_way() {
        let before = page(0, 40, 40);
        for (dx, dy) in [(0, 17), (0, -33), (3, 0), (-40, 0)] {
            let now = page(0, (40 + dx) as usize, (40 + dy) as usize);
            assert_eq!(find_all(&now, &before, &[]), [Vector::whole(dx, dy)]);
        }
    }

    /// Lines of text as high as a macroblock: what is looked at may be the gap between them, all over the picture.
    #[test]
    fn scrolling_is_found_wherever_lines_of_text_lie() {
        let gaps = |planes: &mut Planes, first: usize| {
            let stride = planes.y.stride;
            for (y, row) in planes.y.data.chunks_exact_mut(stride).enumerate() {
                if (first + y) % 16 >= 9 {
                    row.fill(235);
                }
            }
        };
        for first in 0..16 {
            let (mut before, mut now) = (page(0, 0, 0), page(0, 0, 16));
            gaps(&mut before, first);
            gaps(&mut now, first + 16);
            assert_eq!(find_all(&now, &before, &[]), [Vector::whole(0, 16)], "from row {first}");
        }
    }

    #[test]
    fn a_part_may_scroll_and_the_rest_stand_still() {
        assert_eq!(find_all(&page(160, 0, 20), &page(160, 0, 0), &[]), [Vector::whole(0, 20)]);
    }

    #[test]
    fn what_scrolled_before_is_forgotten_when_it_stops() {
        let known = [Vector::whole(0, 5)];
        assert_eq!(find_all(&page(0, 0, 9), &page(0, 0, 0), &known), [Vector::whole(0, 9)]);
        let mut other = page(0, 0, 0);
        let mut random = Random(77);
        other.y.data.iter_mut().for_each(|sample| *sample = random.below(256) as u8);
        assert!(find_all(&other, &page(0, 0, 0), &known).is_empty());
    }
}
