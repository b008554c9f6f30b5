//! The picture to code beside the one coded last, so that what changed is found by comparing the two.

use farpane_media::{Rect, Region, Size};
use farpane_pixel::convert::{self, Chroma, Planes};

use crate::Picture;
use crate::screen::{Vector, moves};

/// Samples of a side of the blocks that are told apart.
const BLOCK: u32 = 16;

/// See the module.
#[derive(Debug)]
pub(crate) struct Source {
    size: Size,
    /// As it is and as it was when last coded, by `current`; they differ within `coded`.
    planes: [Planes; 2],
    current: usize,
    coded: Region,
    /// Changed since the last access unit.
    pending: Region,
    seen: bool,
}

impl Source {
    pub(crate) fn new(size: Size, chroma: Chroma) -> Source {
        Source {
            size,
            planes: [0, 1].map(|_| Planes::new(size, chroma)),
            current: 0,
            coded: Region::from(Rect::of(size)),
            pending: Region::new(),
            seen: false,
        }
    }

    /// Whether there has been a picture.
    pub(crate) fn is_seen(&self) -> bool {
        self.seen
    }

    /// The picture as it is.
    pub(crate) fn now(&self) -> &Planes {
        &self.planes[self.current]
    }

    /// The picture as it was when last coded; means nothing before the second.
    pub(crate) fn before(&self) -> &Planes {
        &self.planes[1 - self.current]
    }

    /// See [`crate::Encoder::update`].
    pub(crate) fn update(&mut self, picture: Picture<'_>) {
        let frame = picture.frame;
        if !self.seen {
            self.seen = true;
            self.pending.set(Rect::of(self.size));
            convert::update(&mut self.planes[self.current], frame, &self.pending);
            return;
        }
        if self.pending.is_empty() {
            self.current = 1 - self.current;
            self.coded.union(picture.damage);
            convert::update(&mut self.planes[self.current], frame, &self.coded);
        } else {
            convert::update(&mut self.planes[self.current], frame, picture.damage);
        }
        self.pending.union(picture.damage);
    }

    /// Goes on from a picture that another encoder has coded; the next one has to be a key frame.
    pub(crate) fn adopt(&mut self, planes: &Planes) {
        self.planes[self.current].clone_from(planes);
        self.pending.set(Rect::of(self.size));
        self.seen = true;
    }

    /// Hands out the blocks of 16x16 samples, as (column, row), that differ from the picture coded last. Some come twice:
    /// rectangles of a region do not overlap, but the blocks they touch may.
    pub(crate) fn changed(&self, mut each: impl FnMut((u16, u16))) {
        for rect in self.pending.rects() {
            let rect = rect.snapped(BLOCK, self.size);
            let (columns, rows) = (rect.x / BLOCK, rect.y / BLOCK);
            let end = rect.right().div_ceil(BLOCK);
            for row in rows..rect.bottom().div_ceil(BLOCK) {
                for first in (columns..end).step_by(moves::TOGETHER) {
                    let mut same = [true; moves::TOGETHER];
                    let same = &mut same[..moves::TOGETHER.min((end - first) as usize)];
                    let place = [first, row].map(|side| (side * BLOCK) as usize);
                    moves::compare(self.now(), self.before(), place, Vector::ZERO, same);
                    let blocks = (first..end).zip(same).filter(|(_, same)| !**same);
                    blocks.for_each(|(column, _)| each((column as u16, row as u16)));
                }
            }
        }
    }

    /// The picture has been coded. When the same one is coded again, the two differ where they did.
    pub(crate) fn handle_coded(&mut self) {
        if !self.pending.is_empty() {
            std::mem::swap(&mut self.coded, &mut self.pending);
            self.pending.clear();
        }
    }
}
