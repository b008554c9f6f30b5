//! Samples of one macroblock, into planes and out of them, and how much two of them differ.
//!
//! `N` components are coded as luma is: Y alone where colour is sampled at half the density (4:2:0), Y, U and V where it is
//! not (4:4:4).

/// One component of a macroblock that is coded as luma is.
pub(super) type Luma = [[u8; 16]; 16];
/// One that has half as many columns and rows.
pub(super) type Chroma = [[u8; 8]; 8];

/// Of a macroblock whose U and V are coded as luma is.
pub(super) const NO_CHROMA: [Chroma; 2] = [[[0; 8]; 8]; 2];

/// See the module.
pub(super) struct Samples<const N: usize> {
    pub(super) luma: [Luma; N],
    /// U and V unless they are among `luma`.
    pub(super) chroma: [Chroma; 2],
}

impl<const N: usize> Samples<N> {
    /// The macroblock at (`column`, `row`) of Y, U and V, each with its stride.
    #[inline]
    pub(super) fn load(planes: [(&[u8], usize); 3], column: usize, row: usize) -> Samples<N> {
        Samples {
            luma: std::array::from_fn(|at| load(planes[at].0, planes[at].1, column * 16, row * 16)),
            chroma: if N == 1 { load_chroma(planes, column, row) } else { NO_CHROMA },
        }
    }

    /// Stores it into planes that are `width` macroblocks wide.
    #[inline]
    pub(super) fn store(
        &self,
        planes: &mut [&mut [u8]; 3],
        width: usize,
        column: usize,
        row: usize,
    ) {
        for (samples, plane) in self.luma.iter().zip(planes.iter_mut()) {
            store(samples, plane, width * 16, column * 16, row * 16);
        }
        if N == 1 {
            for (samples, plane) in self.chroma.iter().zip(&mut planes[1..]) {
                store(samples, plane, width * 8, column * 8, row * 8);
            }
        }
    }
}

/// U and V of half the density.
#[inline]
pub(super) fn load_chroma(planes: [(&[u8], usize); 3], column: usize, row: usize) -> [Chroma; 2] {
    [planes[1], planes[2]].map(|(plane, stride)| load(plane, stride, column * 8, row * 8))
}

/// The samples of a plane from (`x`, `y`).
#[inline(always)]
pub(super) fn load<const N: usize>(
    plane: &[u8],
    stride: usize,
    x: usize,
    y: usize,
) -> [[u8; N]; N] {
    let plane = &plane[y * stride + x..][..(N - 1) * stride + N];
    let mut samples = [[0; N]; N];
    for (line, row) in samples.iter_mut().enumerate() {
        row.copy_from_slice(&plane[line * stride..][..N]);
    }
    samples
}

/// The reverse of [`load`].
#[inline(always)]
fn store<const N: usize>(
    samples: &[[u8; N]; N],
    plane: &mut [u8],
    stride: usize,
    x: usize,
    y: usize,
) {
    let plane = &mut plane[y * stride + x..][..(N - 1) * stride + N];
    for (line, row) in samples.iter().enumerate() {
        plane[line * stride..][..N].copy_from_slice(row);
    }
}

/// The sum of absolute differences.
#[inline(always)]
pub(super) fn difference<const N: usize>(a: &[u8; N], b: &[u8; N]) -> u32 {
    let mut sum = 0;
    for at in 0..N {
        sum += u32::from(a[at].abs_diff(b[at]));
    }
    sum
}

#[inline(always)]
pub(super) fn square_difference<const N: usize>(a: &[[u8; N]; N], b: &[[u8; N]; N]) -> u32 {
    let mut sum = 0;
    for at in 0..N {
        sum += difference(&a[at], &b[at]);
    }
    sum
}
