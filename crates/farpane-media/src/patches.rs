//! A region in a few rectangles, to travel with a picture.

use crate::{Rect, Region};

/// So many rectangles at most.
const MOST: usize = 12;
/// A region of more rectangles than this is all over the place.
const TOO_MANY: usize = 64;

/// Rectangles that cover a [`Region`]: exactly if it is of few, else with as little beside it as joining the nearest allows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Patches {
    /// Column, row, width and height of each.
    rects: [[u16; 4]; MOST],
    len: u8,
}

impl Patches {
    /// `None` where they would be of no use.
    pub fn of(region: &Region) -> Option<Patches> {
        if region.rects().len() > TOO_MANY {
            return None;
        }
        // The last place is for one too many.
        let mut few = [Rect::default(); MOST + 1];
        let mut len = 0;
        for &rect in region.rects() {
            few[len] = rect;
            if len == MOST {
                join(&mut few);
            } else {
                len += 1;
            }
        }
        let mut patches = Patches { len: len as u8, ..Patches::default() };
        for (packed, Rect { x, y, w, h }) in patches.rects.iter_mut().zip(&few[..len]) {
            for (packed, side) in packed.iter_mut().zip([x, y, w, h]) {
                *packed = u16::try_from(*side).ok()?;
            }
        }
        Some(patches)
    }

    pub fn rects(&self) -> impl Iterator<Item = Rect> + '_ {
        let rects = self.rects[..usize::from(self.len)].iter();
        rects.map(|&side| side.map(u32::from)).map(|[x, y, w, h]| Rect { x, y, w, h })
    }
}

/// Frees the last place: of all, joins those two that have the least between them.
fn join(rects: &mut [Rect; MOST + 1]) {
    let waste = |&(one, other): &(usize, usize)| {
        let (one, other) = (rects[one], rects[other]);
        one.around(&other).area().saturating_sub(one.area() + other.area())
    };
    let pairs = (1..=MOST).flat_map(|other| (0..other).map(move |one| (one, other)));
    let (one, other) = pairs.min_by_key(waste).expect("there are pairs");
    rects[one] = rects[one].around(&rects[other]);
    rects[other] = rects[MOST];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_rectangles_stay_as_they_are() {
        let region: Region = (0..12).map(|at| Rect::new(at * 100, at * 40, 16, 16)).collect();
        assert!(Patches::of(&region).unwrap().rects().eq(region.rects().iter().copied()));
        assert_eq!(Patches::of(&Region::new()).unwrap().rects().count(), 0);
    }

    #[test]
    fn of_many_the_nearest_are_joined() {
        let lines = (0..40).map(|at| Rect::new(0, at * 16, 16 + at % 5, 8));
        let far = [Rect::new(1800, 1000, 32, 32), Rect::new(1000, 900, 8, 8)];
        let region: Region = lines.chain(far).collect();
        let patches = Patches::of(&region).unwrap();
        let mut covered: Region = patches.rects().collect();
        let area = covered.area();
        assert!(far.iter().all(|rect| patches.rects().any(|patch| patch == *rect)), "{patches:?}");
        assert!(area < 3 * region.area(), "{area} for {}", region.area());
        covered.intersect(&region);
        assert_eq!(covered, region);
    }

    #[test]
    fn dust_is_not_covered() {
        let region: Region =
            (0..300).map(|at| Rect::new(at % 60 * 30, at / 60 * 30, 1, 1)).collect();
        assert_eq!(Patches::of(&region), None);
    }
}
