//! Text as desktops show it: antialiased, in a fixed font for code, a proportional one for prose and a bold one for
//! headings. The characters are pictures (see `fonts/LICENSE`), so that every machine draws the same.

use farpane_desktop::draw::{Colour, Surface, bgrx};
use farpane_media::Rect;

/// The coverage of printable ASCII, one cell above the other.
#[derive(Debug)]
pub(crate) struct Font {
    /// A binary PGM.
    picture: &'static [u8],
    width: u32,
    /// Rows of a cell, which is also the least distance of two lines.
    pub height: u32,
    /// Columns from one character to the next.
    advances: [u8; COUNT],
}

const FIRST: char = ' ';
const COUNT: usize = 95;

/// DejaVu Sans Mono, 13 pixels.
pub(crate) static MONO: Font =
    Font { picture: include_bytes!("fonts/mono.pgm"), width: 8, height: 16, advances: [8; COUNT] };

/// DejaVu Sans, 13 pixels.
#[rustfmt::skip]
pub(crate) static SANS: Font = Font {
    picture: include_bytes!("fonts/sans.pgm"),
    width: 15,
    height: 16,
    advances: [
        4, 5, 6, 11, 8, 12, 10, 4, 5, 5, 7, 11, 4, 5, 4, 4, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 4, 4, 11, 11, 11, 7,
        13, 9, 9, 9, 10, 8, 7, 10, 10, 4, 4, 9, 7, 11, 10, 10, 8, 10, 9, 8, 8, 10, 9, 13, 9, 8, 9, 5, 4, 5, 11, 7,
        7, 8, 8, 7, 8, 8, 5, 8, 8, 4, 4, 8, 4, 13, 8, 8, 8, 8, 5, 7, 5, 8, 8, 11, 8, 8, 7, 8, 4, 8, 11,
    ],
};

/// DejaVu Sans Bold, 18 pixels.
#[rustfmt::skip]
pub(crate) static BOLD: Font = Font {
    picture: include_bytes!("fonts/bold.pgm"),
    width: 24,
    height: 22,
    advances: [
        6, 8, 9, 15, 13, 18, 16, 6, 8, 8, 9, 15, 7, 7, 7, 7, 13, 13, 13, 13, 13, 13, 13, 13, 13, 13, 7, 7, 15, 15, 15, 10,
        18, 14, 14, 13, 15, 12, 12, 15, 15, 7, 7, 14, 11, 18, 15, 15, 13, 15, 14, 12, 12, 15, 14, 20, 14, 13, 13, 8, 7, 8, 15, 9,
        9, 12, 13, 11, 13, 12, 8, 13, 13, 6, 6, 12, 6, 19, 13, 12, 13, 13, 9, 11, 9, 13, 12, 17, 12, 12, 10, 13, 7, 13, 15,
    ],
};

impl Font {
    /// What is not printable ASCII counts as a space.
    fn index(text: char) -> usize {
        let at = (text as usize).wrapping_sub(FIRST as usize);
        if at < COUNT { at } else { 0 }
    }

    pub fn advance(&self, text: char) -> u32 {
        u32::from(self.advances[Font::index(text)])
    }

    /// Columns that `text` takes.
    pub fn measure(&self, text: &str) -> u32 {
        text.chars().map(|c| self.advance(c)).sum()
    }

    /// The coverage of one row of one cell.
    fn row(&self, text: char, y: u32) -> &[u8] {
        let cells = (self.width * self.height) as usize * COUNT;
        let start = self.picture.len() - cells;
        let row = Font::index(text) as u32 * self.height + y;
        &self.picture[start + (row * self.width) as usize..][..self.width as usize]
    }

    /// Lays `text` over what is there, as far as it falls within `clip`; returns where the next character goes.
    pub fn draw(
        &self,
        surface: &mut Surface,
        clip: Rect,
        (mut x, y): (u32, u32),
        text: &str,
        ink: Colour,
    ) -> u32 {
        let clip = clip.intersect(&Rect::of(surface.size()));
        let ink = bgrx(ink);
        for c in text.chars() {
            let cell = Rect::new(x, y, self.width, self.height).intersect(&clip);
            x += self.advance(c);
            if c == ' ' || cell.is_empty() {
                continue;
            }
            let left = (cell.x + self.advance(c) - x) as usize;
            for row in cell.y..cell.bottom() {
                let coverage = &self.row(c, row - y)[left..];
                let pixels = surface.row_mut(&cell, row).as_chunks_mut::<4>().0;
                for (pixel, cover) in pixels.iter_mut().zip(coverage) {
                    *pixel = mix(*pixel, ink, *cover);
                }
            }
            surface.touch(cell);
        }
        x
    }
}

/// `over` laid over `under` at `alpha` / 255.
pub(crate) fn mix(under: [u8; 4], over: [u8; 4], alpha: u8) -> [u8; 4] {
    let alpha = u32::from(alpha);
    std::array::from_fn(|at| {
        ((u32::from(under[at]) * (255 - alpha) + u32::from(over[at]) * alpha + 127) / 255) as u8
    })
}

#[cfg(test)]
mod tests {
    use farpane_media::Size;

    use super::*;

    #[test]
    fn characters_are_where_they_are_measured() {
        for font in [&MONO, &SANS, &BOLD] {
            let mut surface = Surface::new(Size::new(200, 30));
            surface.clear_damage();
            let clip = Rect::of(surface.size());
            let end = font.draw(&mut surface, clip, (3, 2), "Hxg", 0xff_ffff);
            assert_eq!(end, 3 + font.measure("Hxg"));
            let lit = |rect: Rect| {
                (rect.y..rect.bottom())
                    .flat_map(|y| surface.frame().row(&rect, y).as_chunks::<4>().0)
                    .filter(|pixel| pixel[0] > 128)
                    .count()
            };
            assert!(lit(Rect::new(3, 2, font.advance('H'), font.height)) > 20);
            assert_eq!(lit(Rect::new(end + 2, 0, 100, 30)), 0);
            assert!(surface.damage().bounds().right() <= end + font.width);
        }
    }

    #[test]
    fn mixing_ends_at_its_ends() {
        let (black, white) = ([0; 4], [255; 4]);
        assert_eq!([0, 51, 255].map(|alpha| mix(black, white, alpha)[0]), [0, 51, 255]);
    }
}
