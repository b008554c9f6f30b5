//! A picture drawn by this program, which knows what was drawn since the last frame.

use farpane_media::{Clock, Frame, Rect, Region, Size, Time};

use crate::fill::Filler;
use crate::font;

/// A colour as `0xRRGGBB`.
pub(crate) type Colour = u32;

pub(crate) struct Canvas {
    pub size: Size,
    /// BGRX, rows packed.
    pixels: Vec<u8>,
    damage: Region,
    /// When `damage` stopped being empty.
    changed: Time,
    filler: Filler,
}

impl Canvas {
    pub fn new(size: Size) -> Canvas {
        let pixels = vec![0; size.pixels() as usize * 4];
        let damage = Rect::of(size).into();
        Canvas { size, pixels, damage, changed: Time::ZERO, filler: Filler::new() }
    }

    pub fn is_damaged(&self) -> bool {
        !self.damage.is_empty()
    }

    /// Notes that `rect` changes at `now`; everything that draws goes through here.
    pub fn touch(&mut self, rect: Rect, now: Time) {
        if self.damage.is_empty() {
            self.changed = now;
        }
        self.damage.add(rect.intersect(&Rect::of(self.size)));
    }

    /// The pixels of row `y` within `rect`, which must lie inside the canvas and be [touched](Canvas::touch) as well.
    pub fn row_mut(&mut self, rect: &Rect, y: u32) -> &mut [u8] {
        let start = (y as usize * self.size.width as usize + rect.x as usize) * 4;
        &mut self.pixels[start..start + rect.w as usize * 4]
    }

    pub fn fill(&mut self, rect: Rect, colour: Colour, now: Time) {
        let rect = rect.intersect(&Rect::of(self.size));
        let pixel = bgrx(colour);
        for y in rect.y..rect.bottom() {
            self.row_mut(&rect, y).chunks_exact_mut(4).for_each(|p| p.copy_from_slice(&pixel));
        }
        self.touch(rect, now);
    }

    /// Moves the contents of `rect` up by `by` rows; the lowest `by` rows keep what they held.
    pub fn scroll_up(&mut self, rect: Rect, by: u32, now: Time) {
        let rect = rect.intersect(&Rect::of(self.size));
        let stride = self.size.width as usize * 4;
        for y in rect.y..rect.bottom().saturating_sub(by) {
            let start = (y + by) as usize * stride + rect.x as usize * 4;
            let to = y as usize * stride + rect.x as usize * 4;
            self.pixels.copy_within(start..start + rect.w as usize * 4, to);
        }
        self.touch(rect, now);
    }

    /// Draws one character in a cell of [`font::CELL`] times `scale`, background and all.
    pub fn glyph(
        &mut self,
        at: (u32, u32),
        text: char,
        scale: u32,
        ink: Colour,
        paper: Colour,
        now: Time,
    ) {
        let cell = Rect::new(at.0, at.1, font::CELL.width * scale, font::CELL.height * scale);
        let rect = cell.intersect(&Rect::of(self.size));
        let (ink, paper) = (bgrx(ink), bgrx(paper));
        for y in rect.y..rect.bottom() {
            let row = (y - cell.y) / scale;
            for (x, p) in self.row_mut(&rect, y).chunks_exact_mut(4).enumerate() {
                p.copy_from_slice(if font::dot(text, x as u32 / scale, row) {
                    &ink
                } else {
                    &paper
                });
            }
        }
        self.touch(rect, now);
    }

    pub fn text(
        &mut self,
        at: (u32, u32),
        text: &str,
        scale: u32,
        ink: Colour,
        paper: Colour,
        now: Time,
    ) {
        for (n, c) in (0..).zip(text.chars()) {
            self.glyph((at.0 + n * font::CELL.width * scale, at.1), c, scale, ink, paper, now);
        }
    }

    /// A frame of the canvas as it is; `None` while all buffers are in use.
    pub fn frame(&mut self, clock: &Clock) -> Option<Frame> {
        let stride = self.size.width as usize * 4;
        let (mut frame, lacks) = self.filler.begin(self.size, &self.damage)?;
        for rect in lacks.rects() {
            for y in rect.y..rect.bottom() {
                let start = y as usize * stride + rect.x as usize * 4;
                let row = &self.pixels[start..start + rect.w as usize * 4];
                frame.row_mut(rect, y).copy_from_slice(row);
            }
        }
        self.filler.finish(&mut frame, &self.damage, self.changed, clock);
        self.damage.clear();
        Some(frame)
    }
}

fn bgrx(colour: Colour) -> [u8; 4] {
    let [_, r, g, b] = colour.to_be_bytes();
    [b, g, r, 0xff]
}
