//! The picture to code beside the one coded last, so that what changed is found by comparing the two.

use farpane_media::{Rect, Region, Size};
use farpane_pixel::convert::{self, Chroma, Planes};

use crate::Picture;
use crate::screen::Vector;
use crate::screen::moves::{self, TOGETHER};

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
    /// What of it differs, as (column, row).
    changed: Vec<(u16, u16)>,
}

/// Where a block is, in samples.
fn place((column, row): (u16, u16)) -> [usize; 2] {
    [column, row].map(|side| usize::from(side) * BLOCK as usize)
}

impl Source {
    pub(crate) fn new(size: Size, chroma: Chroma) -> Source {
        let blocks = size.width.div_ceil(BLOCK) * size.height.div_ceil(BLOCK);
        Source {
            size,
            planes: [0, 1].map(|_| Planes::new(size, chroma)),
            current: 0,
            coded: Region::from(Rect::of(size)),
            pending: Region::new(),
            seen: false,
            changed: Vec::with_capacity(blocks as usize),
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
    #[cfg(feature = "libaom")]
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

    /// Finds the blocks of 16x16 samples that differ from the picture coded last, and what moved as a whole: `displacements`
    /// were the last picture's and become this one's. Hands out each block, by its place row by row, with the displacement
    /// that it has moved by.
    pub(crate) fn find_changes(
        &mut self,
        displacements: &mut Vec<Vector>,
        mut each: impl FnMut(usize, Option<usize>),
    ) {
        self.compare();
        let (now, before) = (&self.planes[self.current], &self.planes[1 - self.current]);
        moves::find(now, before, &self.changed, displacements);
        let width = self.size.width.div_ceil(BLOCK) as usize;
        let mut likely = 0;
        let runs = self.changed.chunk_by(|one, next| (one.0 + 1, one.1) == *next);
        for run in runs.flat_map(|run| run.chunks(TOGETHER)) {
            let [x, y] = place(run[0]);
            let first = likely;
            let mut moved = [!displacements.is_empty(); TOGETHER];
            let moved = &mut moved[..run.len()];
            if let Some(vector) = displacements.get(first) {
                moves::compare(now, before, [x, y], *vector, moved);
            }
            for (block, moved) in run.iter().zip(moved) {
                let [x, y] = place(*block);
                let is_moved = |to: &usize| moves::is_moved(now, before, x, y, displacements[*to]);
                let mut others = (0..displacements.len()).filter(|to| *to != first);
                let to = if *moved { Some(first) } else { others.find(is_moved) };
                likely = to.unwrap_or(likely);
                each(usize::from(block.1) * width + usize::from(block.0), to);
            }
        }
    }

    /// Takes down what differs.
    fn compare(&mut self) {
        let (now, before) = (&self.planes[self.current], &self.planes[1 - self.current]);
        self.changed.clear();
        for rect in self.pending.rects() {
            let rect = rect.snapped(BLOCK, self.size);
            let (columns, end) = (rect.x / BLOCK, rect.right().div_ceil(BLOCK));
            for row in rect.y / BLOCK..rect.bottom().div_ceil(BLOCK) {
                for first in (columns..end).step_by(TOGETHER) {
                    let (column, row) = (first as u16, row as u16);
                    let mut same = [true; TOGETHER];
                    let same = &mut same[..TOGETHER.min((end - first) as usize)];
                    moves::compare(now, before, place((column, row)), Vector::ZERO, same);
                    let differ = (column..).zip(same).filter(|(_, same)| !**same);
                    self.changed.extend(differ.map(|(column, _)| (column, row)));
                }
            }
        }
        // Rectangles of a region do not overlap, but the blocks that they touch may.
        self.changed.sort_unstable_by_key(|(column, row)| (*row, *column));
        self.changed.dedup();
    }

    /// The picture has been coded. When the same one is coded again, the two differ where they did.
    pub(crate) fn handle_coded(&mut self) {
        if !self.pending.is_empty() {
            std::mem::swap(&mut self.coded, &mut self.pending);
            self.pending.clear();
        }
    }
}
