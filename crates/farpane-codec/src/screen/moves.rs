//! What moved as a whole: scrolling, dragging.
//!
//! A few macroblocks that changed and look like nothing else are looked for in the same column and row of the picture
//! before; a displacement that several of them agree on is one of the picture's. The pictures compared are sources, so
//! that what moved is found exactly whatever quality the viewer has it in.

use std::ops::Range;

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

/// Macroblocks that are compared side by side.
pub(crate) const TOGETHER: usize = 64;

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
    let mut same = [true];
    compare(now, before, [x, y], vector, &mut same);
    same[0]
}

/// The same for as many macroblocks, from (`x`, `y`) to the right, as there are in `same`, of which those are looked at
/// that are true. They are compared line by line: macroblock by macroblock every line would be waited for.
pub(crate) fn compare(
    now: &Planes,
    before: &Planes,
    [x, y]: [usize; 2],
    vector: Vector,
    same: &mut [bool],
) {
    let (from_x, from_y) =
        (x as isize + isize::from(vector.x / 4), y as isize + isize::from(vector.y / 4));
    let (right, bottom) = (now.y.stride as isize - 16, now.y.padded_height as isize - 16);
    let inside = |at: usize| {
        (0..=right).contains(&(from_x + at as isize * 16)) && (0..=bottom).contains(&from_y)
    };
    same.iter_mut().enumerate().for_each(|(at, same)| *same &= inside(at));
    let from = |at: usize| [(from_x + at as isize * 16) as usize, from_y as usize];
    let to = |at: usize| [x + at * 16, y];
    let luma = [&now.y, &before.y];
    // Most differ in the first lines, or nowhere.
    for part in [0..4, 4..16] {
        each(same, |at, same| lines::<16>(luma, to(at), from(at), part.clone(), same));
    }
    for chroma in [[&now.u, &before.u], [&now.v, &before.v]] {
        each(same, |at, same| match now.chroma {
            Chroma::Yuv444 => lines::<16>(chroma, to(at), from(at), 0..16, same),
            Chroma::Yuv420 if (from_x | from_y) & 1 != 0 => {}
            Chroma::Yuv420 => {
                let [to, from] = [to(at), from(at)].map(|place| place.map(|side| side / 2));
                lines::<8>(chroma, to, from, 0..8, same);
            }
        });
    }
}

/// Hands out the stretches of what is true, each with where it starts.
fn each(flags: &mut [bool], mut compare: impl FnMut(usize, &mut [bool])) {
    let mut at = 0;
    for flags in flags.chunk_by_mut(|one, next| one == next) {
        let count = flags.len();
        if flags[0] {
            compare(at, flags);
        }
        at += count;
    }
}

/// Compares some lines of macroblocks that are `SIDE` samples wide.
fn lines<const SIDE: usize>(
    [now, before]: [&Plane; 2],
    [x, y]: [usize; 2],
    [from_x, from_y]: [usize; 2],
    lines: Range<usize>,
    same: &mut [bool],
) {
    let width = same.len() * SIDE;
    for line in lines {
        let now = &now.data[(y + line) * now.stride + x..][..width];
        let before = &before.data[(from_y + line) * before.stride + from_x..][..width];
        let squares = now.as_chunks::<SIDE>().0.iter().zip(before.as_chunks::<SIDE>().0);
        for (same, (now, before)) in same.iter_mut().zip(squares) {
            *same &= now == before;
        }
    }
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
            .filter(|(x, y)| {
                let [x, y] = [x, y].map(|side| usize::from(*side) * 16);
                !is_moved(now, before, x, y, Vector::ZERO)
            })
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

    /// Looked at together, macroblocks are told apart as they are one by one.
    #[test]
    fn macroblocks_side_by_side_are_compared_each() {
        for chroma in [Chroma::Yuv420, Chroma::Yuv444] {
            let mut random = Random(4);
            for _ in 0..300 {
                let mut before = Planes::new(SIZE, chroma);
                for plane in [&mut before.y, &mut before.u, &mut before.v] {
                    plane.data.iter_mut().for_each(|sample| *sample = random.below(256) as u8);
                }
                let mut now = before.clone();
                for _ in 0..random.below(12) {
                    let plane = match random.below(3) {
                        0 => &mut now.y,
                        1 => &mut now.u,
                        _ => &mut now.v,
                    };
                    let at = random.below(plane.data.len() as u32) as usize;
                    plane.data[at] ^= 1;
                }
                let row = random.below(15) as usize * 16;
                let column = random.below(20) as usize;
                let count = 1 + random.below(20 - column as u32) as usize;
                let vector = match random.below(3) {
                    0 => Vector::ZERO,
                    1 => Vector::whole(random.below(80) as i32 - 40, 0),
                    _ => Vector::whole(0, random.below(80) as i32 - 40),
                };
                // What is displaced in the one stands where it came from in the other.
                let mut shifted = now.clone();
                let (dx, dy) = (isize::from(vector.x / 4), isize::from(vector.y / 4));
                for (plane, factor) in
                    [(&mut shifted.y, 1), (&mut shifted.u, 2), (&mut shifted.v, 2)]
                {
                    let factor = if chroma == Chroma::Yuv444 { 1 } else { factor };
                    let by = dy / factor * plane.stride as isize + dx / factor;
                    let length = plane.data.len() as isize;
                    plane.data.rotate_left(by.rem_euclid(length) as usize);
                }
                let asked: Vec<bool> = (0..count).map(|_| random.below(8) > 0).collect();
                let mut same = asked.clone();
                compare(&shifted, &before, [column * 16, row], vector, &mut same);
                for (at, (same, asked)) in same.iter().zip(asked).enumerate() {
                    let x = column * 16 + at * 16;
                    let expected = asked && is_there(&shifted, &before, [x, row], [dx, dy]);
                    assert_eq!(*same, expected, "{chroma} {vector:?} {at}");
                }
            }
        }
    }

    /// Sample by sample.
    fn is_there(now: &Planes, before: &Planes, place: [usize; 2], by: [isize; 2]) -> bool {
        let from = [place[0] as isize + by[0], place[1] as isize + by[1]];
        if from[0] < 0 || from[1] < 0 || from[0] + 16 > 320 || from[1] + 16 > 240 {
            return false;
        }
        let same = |now: &Plane, before: &Plane, factor: usize| {
            let [x, y] = place.map(|side| side / factor);
            let [from_x, from_y] = from.map(|side| side as usize / factor);
            (0..16 / factor).all(|row| {
                (0..16 / factor).all(|column| {
                    now.data[(y + row) * now.stride + x + column]
                        == before.data[(from_y + row) * before.stride + from_x + column]
                })
            })
        };
        let factor = now.chroma.factor() as usize;
        let between = factor == 2 && (from[0] | from[1]) & 1 != 0;
        same(&now.y, &before.y, 1)
            && (between || same(&now.u, &before.u, factor) && same(&now.v, &before.v, factor))
    }
}
