//! A picture that is drawn by this program, and what was drawn of it: for scenes in place of a desktop, here and in
//! benchmarks.

use farpane_media::{FrameBody, Rect, Region, Size};

use crate::font;

/// A colour as `0xRRGGBB`.
pub type Colour = u32;

/// The bytes of a pixel of this colour, BGRX.
pub const fn bgrx(colour: Colour) -> [u8; 4] {
    let [_, r, g, b] = colour.to_be_bytes();
    [b, g, r, 0xff]
}

/// A BGRX picture, rows packed, that notes as damage what is drawn.
#[derive(Debug)]
pub struct Surface {
    frame: FrameBody,
}

impl Surface {
    /// A black picture, all of it damaged.
    pub fn new(size: Size) -> Surface {
        let stride = size.width as usize * 4;
        let pixels = vec![0; stride * size.height as usize];
        let damage = Rect::of(size).into();
        Surface { frame: FrameBody { size, stride, pixels, damage, ..FrameBody::default() } }
    }

    pub fn size(&self) -> Size {
        self.frame.size
    }

    /// The picture; its damage is what was drawn since [`Surface::clear_damage`].
    pub fn frame(&self) -> &FrameBody {
        &self.frame
    }

    pub fn damage(&self) -> &Region {
        &self.frame.damage
    }

    pub fn clear_damage(&mut self) {
        self.frame.damage.clear();
    }

    /// Notes that `rect` changes; everything that draws goes through here.
    pub fn touch(&mut self, rect: Rect) {
        self.frame.damage.add(rect.intersect(&Rect::of(self.frame.size)));
    }

    /// The pixels of row `y` within `rect`, which must lie inside the picture and be [touched](Surface::touch) as well.
    pub fn row_mut(&mut self, rect: &Rect, y: u32) -> &mut [u8] {
        self.frame.row_mut(rect, y)
    }

    pub fn fill(&mut self, rect: Rect, colour: Colour) {
        let rect = rect.intersect(&Rect::of(self.frame.size));
        if rect.is_empty() {
            return;
        }
        let pixel = bgrx(colour);
        for y in rect.y..rect.bottom() {
            self.row_mut(&rect, y).as_chunks_mut().0.fill(pixel);
        }
        self.touch(rect);
    }

    /// Moves the contents of `rect` up by `by` rows; the lowest `by` rows keep what they held.
    pub fn scroll_up(&mut self, rect: Rect, by: u32) {
        let rect = rect.intersect(&Rect::of(self.frame.size));
        let FrameBody { stride, pixels, .. } = &mut self.frame;
        for y in rect.y..rect.bottom().saturating_sub(by) {
            let start = (y + by) as usize * *stride + rect.x as usize * 4;
            let to = y as usize * *stride + rect.x as usize * 4;
            pixels.copy_within(start..start + rect.w as usize * 4, to);
        }
        self.touch(rect);
    }

    /// Copies `rect` of another picture, in which it must lie, to where its first pixel falls on `(x, y)`; what falls
    /// outside is left out.
    pub fn blit(&mut self, from: &FrameBody, rect: Rect, (x, y): (i32, i32)) {
        let skip = |at: i32| at.min(0).unsigned_abs();
        let (left, top) = (skip(x), skip(y));
        let to = Rect::new(
            x.max(0) as u32,
            y.max(0) as u32,
            rect.w.saturating_sub(left),
            rect.h.saturating_sub(top),
        )
        .intersect(&Rect::of(self.frame.size));
        for row in 0..to.h {
            let source = Rect { x: rect.x + left, w: to.w, ..rect };
            let source = from.row(&source, rect.y + top + row);
            self.frame.row_mut(&to, to.y + row).copy_from_slice(source);
        }
        self.touch(to);
    }

    /// Draws one character of dots in a cell of [`font::CELL`] times `scale`, background and all.
    pub(crate) fn glyph(
        &mut self,
        at: (u32, u32),
        text: char,
        scale: u32,
        ink: Colour,
        paper: Colour,
    ) {
        let cell = Rect::new(at.0, at.1, font::CELL.width * scale, font::CELL.height * scale);
        let rect = cell.intersect(&Rect::of(self.frame.size));
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
        self.touch(rect);
    }

    pub(crate) fn text(
        &mut self,
        at: (u32, u32),
        text: impl IntoIterator<Item = char>,
        scale: u32,
        ink: Colour,
        paper: Colour,
    ) {
        for (n, c) in (0..).zip(text) {
            self.glyph((at.0 + n * font::CELL.width * scale, at.1), c, scale, ink, paper);
        }
    }
}
