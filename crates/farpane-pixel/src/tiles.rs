//! The kernel under the damage detector: compare a row of two pictures tile by tile and, where it differs, copy.
//!
//! A row of a tile is 64 bytes, a cache line. Comparing and copying in one pass over whole rows reads memory in the order
//! that hardware prefetches, writes only lines that differ, and needs no second visit to a tile.

#![allow(unsafe_code)]

use crate::cpu::Level;
use crate::vector::{COLOUR, Vector};

/// The side of a tile, in pixels: the smallest area that is told apart.
pub const TILE: u32 = 16;

const PIXEL_BYTES: usize = 4;
const TILE_BYTES: usize = TILE as usize * PIXEL_BYTES;

/// Updates whole tiles of a row.
///
/// # Safety
/// - The machine has the instruction set of the function's level.
/// - `new` is readable and `old` writable for `changed.len() * TILE_BYTES` bytes, and they do not overlap.
type UpdateTiles = unsafe fn(new: *const u8, old: *mut u8, changed: &mut [bool]);

/// The row kernel at one CPU level.
#[derive(Clone, Copy, Debug)]
pub struct Kernel {
    level: Level,
    update_tiles: UpdateTiles,
}

impl Kernel {
    /// `None` where the machine lacks `level`.
    pub fn new(level: Level) -> Option<Kernel> {
        if !level.is_available() {
            return None;
        }
        let update_tiles: UpdateTiles = match level {
            #[cfg(target_arch = "x86_64")]
            Level::Sse41 => sse41,
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => avx2,
            #[cfg(target_arch = "aarch64")]
            Level::Neon => neon,
            _ => scalar,
        };
        Some(Kernel { level, update_tiles })
    }

    pub fn level(&self) -> Level {
        self.level
    }

    /// Compares a row of BGRX pixels with the same row of an older picture, ignoring X. For each tile's width that
    /// differs, sets its flag in `changed` and copies it to `old`; the other flags stay. The last tile may be cut.
    ///
    /// # Panics
    /// If the rows are not equally long, not whole pixels, or `changed` is not one flag a tile.
    pub fn update_row(&self, new: &[u8], old: &mut [u8], changed: &mut [bool]) {
        assert_eq!(new.len(), old.len(), "rows differ in length");
        assert_eq!(new.len() % PIXEL_BYTES, 0, "a row is whole pixels");
        assert_eq!(changed.len(), new.len().div_ceil(TILE_BYTES), "one flag a tile");
        let whole = new.len() / TILE_BYTES;
        let (whole_changed, cut_changed) = changed.split_at_mut(whole);
        // SAFETY: `new` checked that the level is available; both slices have at least `whole` tiles, and a shared and
        // a unique slice do not overlap.
        unsafe { (self.update_tiles)(new.as_ptr(), old.as_mut_ptr(), whole_changed) };
        if let [changed] = cut_changed {
            update_pixels(&new[whole * TILE_BYTES..], &mut old[whole * TILE_BYTES..], changed);
        }
    }
}

/// The scalar twin of one step of [`update_tiles`], for any number of pixels.
fn update_pixels(new: &[u8], old: &mut [u8], changed: &mut bool) {
    let pixel = |bytes: &[u8; PIXEL_BYTES]| u32::from_le_bytes(*bytes) & COLOUR;
    let (new_pixels, old_pixels) = (new.as_chunks().0.iter(), old.as_chunks().0.iter());
    if !new_pixels.map(pixel).eq(old_pixels.map(pixel)) {
        old.copy_from_slice(new);
        *changed = true;
    }
}

/// # Safety
/// As [`UpdateTiles`].
unsafe fn scalar(new: *const u8, old: *mut u8, changed: &mut [bool]) {
    let bytes = changed.len() * TILE_BYTES;
    // SAFETY: by the contract of `UpdateTiles`.
    let (new, old) = unsafe {
        (std::slice::from_raw_parts(new, bytes), std::slice::from_raw_parts_mut(old, bytes))
    };
    let tiles = new.chunks_exact(TILE_BYTES).zip(old.chunks_exact_mut(TILE_BYTES)).zip(changed);
    tiles.for_each(|((new, old), changed)| update_pixels(new, old, changed));
}

/// # Safety
/// As [`UpdateTiles`]; and the caller is compiled for the instruction set of `V`.
#[inline(always)]
unsafe fn update_tiles<V: Vector>(new: *const u8, old: *mut u8, changed: &mut [bool]) {
    for (tile, changed) in changed.iter_mut().enumerate() {
        let steps = (0..TILE_BYTES).step_by(V::BYTES).map(|at| tile * TILE_BYTES + at);
        // SAFETY: every step lies within tile `tile`, which is within both rows; the rest is the caller's promise.
        unsafe {
            let difference = |at: usize| V::load(new.add(at)).xor(V::load(old.add(at)));
            let mut any = difference(tile * TILE_BYTES);
            for at in steps.clone().skip(1) {
                any = any.or(difference(at));
            }
            if any.any_colour() {
                steps.for_each(|at| V::load(new.add(at)).store(old.add(at)));
                *changed = true;
            }
        }
    }
}

/// # Safety
/// As [`UpdateTiles`].
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "sse4.1")]
unsafe fn sse41(new: *const u8, old: *mut u8, changed: &mut [bool]) {
    // SAFETY: the caller's promise, and this function is compiled for SSE4.1.
    unsafe { update_tiles::<std::arch::x86_64::__m128i>(new, old, changed) }
}

/// # Safety
/// As [`UpdateTiles`].
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
unsafe fn avx2(new: *const u8, old: *mut u8, changed: &mut [bool]) {
    // SAFETY: the caller's promise, and this function is compiled for AVX2.
    unsafe { update_tiles::<std::arch::x86_64::__m256i>(new, old, changed) }
}

/// # Safety
/// As [`UpdateTiles`].
#[cfg(target_arch = "aarch64")]
#[target_feature(enable = "neon")]
unsafe fn neon(new: *const u8, old: *mut u8, changed: &mut [bool]) {
    // SAFETY: the caller's promise, and this function is compiled for NEON.
    unsafe { update_tiles::<std::arch::aarch64::uint8x16_t>(new, old, changed) }
}
