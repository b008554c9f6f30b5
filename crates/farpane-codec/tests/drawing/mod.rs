//! Pictures like those of desktops, drawn into frames: what the tests of encoders show their viewers.

#![allow(dead_code, reason = "each test binary draws a part of this")]

use farpane_media::{FrameBody, Rect, Size};

/// A small generator (xorshift64*), so that the tests need no seedable crate.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 16
    }

    pub fn below(&mut self, end: u32) -> u32 {
        (self.next() % u64::from(end)) as u32
    }
}

pub fn frame(size: Size) -> FrameBody {
    let stride = size.width as usize * 4;
    FrameBody {
        size,
        stride,
        pixels: vec![255; stride * size.height as usize],
        ..FrameBody::default()
    }
}

pub fn fill(frame: &mut FrameBody, rect: Rect, rgb: [u8; 3]) {
    for y in rect.y..rect.bottom() {
        for pixel in frame.row_mut(&rect, y).as_chunks_mut::<4>().0 {
            *pixel = [rgb[2], rgb[1], rgb[0], 255];
        }
    }
}

/// Rows of letters, five pixels a row, as most fonts of that size draw them: A E H I L N O S T.
const LETTERS: [[u8; 7]; 9] = [
    [14, 17, 17, 31, 17, 17, 17],
    [31, 16, 16, 30, 16, 16, 31],
    [17, 17, 17, 31, 17, 17, 17],
    [14, 4, 4, 4, 4, 4, 14],
    [16, 16, 16, 16, 16, 16, 31],
    [17, 25, 21, 19, 17, 17, 17],
    [14, 17, 17, 17, 17, 17, 14],
    [15, 16, 16, 14, 1, 1, 30],
    [31, 4, 4, 4, 4, 4, 4],
];

/// Lines of words in small letters, black on white with a coloured word here and there.
pub fn text(frame: &mut FrameBody, rect: Rect, random: &mut Random) {
    fill(frame, rect, [255, 255, 255]);
    for top in (rect.y + 2..rect.bottom().saturating_sub(8)).step_by(12) {
        let mut left = rect.x + 2;
        while left + 6 < rect.right() {
            let ink = [[0, 0, 0], [0, 0, 0], [0, 80, 200]][random.below(3) as usize];
            for _ in 0..2 + random.below(6) {
                let letter = LETTERS[random.below(9) as usize];
                for (x, y) in (0..35).map(|at| (at % 5, at / 5)) {
                    if letter[y as usize] >> (4 - x) & 1 == 1 && left + 5 < rect.right() {
                        fill(frame, Rect::new(left + x, top + y, 1, 1), ink);
                    }
                }
                left += 6;
            }
            left += 6;
        }
    }
}
