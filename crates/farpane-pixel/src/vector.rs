//! The few vector operations that the kernels are written over, and the instruction sets that provide them.
//!
//! Every method inlines into a kernel that was compiled for its instruction set (see `tiles`), which is also what makes
//! calling it sound.

#![allow(unsafe_code)]

/// A vector of bytes.
///
/// # Safety
/// - Callers of any method run on a machine that has the instruction set.
/// - `load` and `store` access `BYTES` bytes at a pointer of any alignment.
pub(crate) trait Vector: Copy {
    const BYTES: usize;

    unsafe fn load(from: *const u8) -> Self;
    unsafe fn store(self, to: *mut u8);
    unsafe fn xor(self, other: Self) -> Self;
    unsafe fn or(self, other: Self) -> Self;
    /// Whether any bit is set in the B, G or R byte of any BGRX pixel.
    unsafe fn any_colour(self) -> bool;
}

/// The B, G and R bytes of a BGRX pixel as a little-endian word.
pub(crate) const COLOUR: u32 = 0x00ff_ffff;

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::{COLOUR, Vector};

    /// SSE4.1.
    impl Vector for __m128i {
        const BYTES: usize = 16;

        #[inline(always)]
        unsafe fn load(from: *const u8) -> Self {
            // SAFETY: by the trait's contract.
            unsafe { _mm_loadu_si128(from.cast()) }
        }

        #[inline(always)]
        unsafe fn store(self, to: *mut u8) {
            // SAFETY: by the trait's contract.
            unsafe { _mm_storeu_si128(to.cast(), self) }
        }

        #[inline(always)]
        unsafe fn xor(self, other: Self) -> Self {
            // SAFETY: by the trait's contract.
            unsafe { _mm_xor_si128(self, other) }
        }

        #[inline(always)]
        unsafe fn or(self, other: Self) -> Self {
            // SAFETY: by the trait's contract.
            unsafe { _mm_or_si128(self, other) }
        }

        #[inline(always)]
        unsafe fn any_colour(self) -> bool {
            // SAFETY: by the trait's contract.
            unsafe { _mm_testz_si128(self, _mm_set1_epi32(COLOUR as i32)) == 0 }
        }
    }

    /// AVX2.
    impl Vector for __m256i {
        const BYTES: usize = 32;

        #[inline(always)]
        unsafe fn load(from: *const u8) -> Self {
            // SAFETY: by the trait's contract.
            unsafe { _mm256_loadu_si256(from.cast()) }
        }

        #[inline(always)]
        unsafe fn store(self, to: *mut u8) {
            // SAFETY: by the trait's contract.
            unsafe { _mm256_storeu_si256(to.cast(), self) }
        }

        #[inline(always)]
        unsafe fn xor(self, other: Self) -> Self {
            // SAFETY: by the trait's contract.
            unsafe { _mm256_xor_si256(self, other) }
        }

        #[inline(always)]
        unsafe fn or(self, other: Self) -> Self {
            // SAFETY: by the trait's contract.
            unsafe { _mm256_or_si256(self, other) }
        }

        #[inline(always)]
        unsafe fn any_colour(self) -> bool {
            // SAFETY: by the trait's contract.
            unsafe { _mm256_testz_si256(self, _mm256_set1_epi32(COLOUR as i32)) == 0 }
        }
    }
}

#[cfg(target_arch = "aarch64")]
mod neon {
    use std::arch::aarch64::*;

    use super::{COLOUR, Vector};

    impl Vector for uint8x16_t {
        const BYTES: usize = 16;

        #[inline(always)]
        unsafe fn load(from: *const u8) -> Self {
            // SAFETY: by the trait's contract.
            unsafe { vld1q_u8(from) }
        }

        #[inline(always)]
        unsafe fn store(self, to: *mut u8) {
            // SAFETY: by the trait's contract.
            unsafe { vst1q_u8(to, self) }
        }

        #[inline(always)]
        unsafe fn xor(self, other: Self) -> Self {
            // SAFETY: by the trait's contract.
            unsafe { veorq_u8(self, other) }
        }

        #[inline(always)]
        unsafe fn or(self, other: Self) -> Self {
            // SAFETY: by the trait's contract.
            unsafe { vorrq_u8(self, other) }
        }

        #[inline(always)]
        unsafe fn any_colour(self) -> bool {
            // SAFETY: by the trait's contract.
            unsafe { vmaxvq_u32(vandq_u32(vreinterpretq_u32_u8(self), vdupq_n_u32(COLOUR))) != 0 }
        }
    }
}
