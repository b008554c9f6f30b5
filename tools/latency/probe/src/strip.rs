//! The time-code strip: a row of black and white cells that carries the moment a frame was drawn.
//!
//! 32 cells, most significant bit first, white is 1: 20 bits of wall-clock time in ticks of 0.1 ms (wraps every
//! 104.8576 s), 4 bits of click count, 8 bits of CRC (polynomial 0x07, initial value 0xff) over the other three
//! bytes. `../../strip.mjs` is the reading side; `../../strip.golden` holds both to the same values.

use std::time::{SystemTime, UNIX_EPOCH};

/// Side of one square cell in pixels: one H.264 macroblock, so 4:2:0 and coarse quantisers leave it readable.
pub const CELL: u16 = 16;
/// Cells in the strip.
pub const CELLS: u16 = 32;
/// Top edge of the strip in pixels, its left edge is 0. Near the end of a 1080-line picture: what is sent from
/// top to bottom sends it last.
pub const Y: u16 = 1056;

const TICK_BITS: u32 = 20;

/// The code of a time (in ticks of 0.1 ms) and a click count; both wrap.
pub fn encode(ticks: u64, clicks: u32) -> u32 {
    let time = (ticks & ((1 << TICK_BITS) - 1)) as u32;
    let body = time << 4 | clicks & 0xf;
    body << 8 | u32::from(crc8(body))
}

/// Wall-clock time in ticks of 0.1 ms since the epoch.
pub fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    (since.as_micros() / 100) as u64
}

/// Whether cell `index`, counted from the left, is white.
pub fn is_white(code: u32, index: u16) -> bool {
    code >> (CELLS - 1 - index) & 1 == 1
}

fn crc8(body: u32) -> u8 {
    let mut crc = 0xff_u8;
    for byte in &body.to_be_bytes()[1..] {
        crc ^= byte;
        for _ in 0..8 {
            crc = if crc & 0x80 != 0 { crc << 1 ^ 0x07 } else { crc << 1 };
        }
    }
    crc
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden() {
        let mut seen = 0;
        for line in include_str!("../../strip.golden").lines().filter(|l| !l.starts_with('#')) {
            let mut fields = line.split_whitespace();
            let mut field = || fields.next().expect("three fields a line");
            let ticks: u64 = field().parse().unwrap();
            let clicks: u32 = field().parse().unwrap();
            let code = u32::from_str_radix(field(), 16).unwrap();
            assert_eq!(encode(ticks, clicks), code, "{line}");
            seen += 1;
        }
        assert!(seen >= 6);
    }

    #[test]
    fn flat_pictures_are_no_codes() {
        assert_ne!(encode(0, 0), 0, "an all-black strip must be refused");
        assert_ne!(
            encode((1 << TICK_BITS) - 1, 0xf),
            u32::MAX,
            "an all-white strip must be refused"
        );
    }

    #[test]
    fn cells_run_from_the_most_significant_bit() {
        assert!(is_white(0x8000_0000, 0));
        assert!(is_white(1, CELLS - 1));
        assert!(!is_white(1, 0));
    }
}
