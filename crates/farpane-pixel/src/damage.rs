//! Narrows a capture backend's damage to the tiles whose pixels really changed.
//!
//! Backends report a superset: a program that redraws its window damages all of it. Encoding follows what this reports.

use farpane_media::{FrameBody, Rect, Region, Size};

use crate::cpu::Level;
use crate::tiles::{Kernel, TILE};

/// Remembers the last picture and finds the tiles in which the next one differs.
#[derive(Debug)]
pub struct Detector {
    kernel: Kernel,
    size: Size,
    /// The last picture, rows back to back; X bytes may be older.
    reference: Vec<u8>,
    /// The tiles to look at.
    suspects: Region,
    /// One flag a tile, for a row of tiles.
    changed: Vec<bool>,
}

impl Default for Detector {
    fn default() -> Detector {
        Detector::new()
    }
}

impl Detector {
    /// A detector at the [best level](Level::detect) that has seen no picture.
    pub fn new() -> Detector {
        Detector::with(Kernel::new(Level::detect()).expect("a detected level is available"))
    }

    /// As [`Detector::new`], at the level of `kernel`.
    pub fn with(kernel: Kernel) -> Detector {
        Detector {
            kernel,
            size: Size::default(),
            reference: Vec::new(),
            suspects: Region::new(),
            changed: Vec::new(),
        }
    }

    /// Writes to `out` the tiles in which `frame` differs from the frame before, cut to the picture: all of it for the
    /// first frame and after a change of size. Only tiles that `hint` touches are looked at (`None`: all), so it must
    /// hold every pixel that changed. The X byte is ignored. Allocates only when the size changes.
    pub fn update(&mut self, frame: &FrameBody, hint: Option<&Region>, out: &mut Region) {
        out.clear();
        if frame.size != self.size {
            self.adopt(frame);
            out.set(Rect::of(frame.size));
            return;
        }
        match hint {
            None => self.suspects.set(Rect::of(self.size)),
            Some(hint) => {
                self.suspects.clear();
                hint.rects().iter().for_each(|r| self.suspects.add(r.snapped(TILE, self.size)));
            }
        }
        let stride = row_bytes(self.size.width);
        for band in self.suspects.rects().chunk_by(|a, b| a.y == b.y) {
            let (top, bottom) = (band[0].y, band[0].bottom());
            for y in (top..bottom).step_by(TILE as usize) {
                let h = TILE.min(bottom - y);
                self.changed.fill(false);
                for row in y..y + h {
                    let old = &mut self.reference[row as usize * stride..][..stride];
                    for rect in band {
                        let old = &mut old[row_bytes(rect.x)..row_bytes(rect.right())];
                        let tiles = rect.x / TILE..rect.right().div_ceil(TILE);
                        let changed = &mut self.changed[tiles.start as usize..tiles.end as usize];
                        self.kernel.update_row(frame.row(rect, row), old, changed);
                    }
                }
                out.push_band(y, h, runs(&self.changed, self.size.width));
            }
        }
    }

    /// Takes `frame` as it is.
    fn adopt(&mut self, frame: &FrameBody) {
        self.size = frame.size;
        self.changed.resize(frame.size.width.div_ceil(TILE) as usize, false);
        self.reference.clear();
        let whole = Rect::of(frame.size);
        (0..whole.h).for_each(|y| self.reference.extend_from_slice(frame.row(&whole, y)));
    }
}

fn row_bytes(pixels: u32) -> usize {
    pixels as usize * 4
}

/// The column ranges of neighbouring set flags.
fn runs(changed: &[bool], width: u32) -> impl Iterator<Item = std::ops::Range<u32>> {
    let mut end = 0;
    changed.chunk_by(|a, b| a == b).filter_map(move |run| {
        let start = end;
        end += run.len() as u32 * TILE;
        run[0].then_some(start..end.min(width))
    })
}
