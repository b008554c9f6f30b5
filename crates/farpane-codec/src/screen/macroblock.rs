//! The residual of one macroblock: to levels and back to samples.

use super::samples::{Chroma, Luma, square_difference};
use super::transform::{self, Block, Quantizer, ZIGZAG, chroma_quantizer};

/// Where the 4x4 blocks of a macroblock are, in coding order (clause 6.4.3), in samples.
pub(super) const BLOCKS: [(usize, usize); 16] = [
    (0, 0),
    (4, 0),
    (0, 4),
    (4, 4),
    (8, 0),
    (12, 0),
    (8, 4),
    (12, 4),
    (0, 8),
    (4, 8),
    (0, 12),
    (4, 12),
    (8, 8),
    (12, 8),
    (8, 12),
    (12, 12),
];

/// Quantizers of a picture.
#[derive(Clone, Debug)]
pub(super) struct Quantization {
    pub(super) quantizer: u8,
    /// What a bit costs in differences of samples.
    pub(super) lambda: u32,
    /// Of luma, and of U and V.
    inter: [Quantizer; 2],
    intra: [Quantizer; 2],
}

impl Quantization {
    pub(super) fn new(quantizer: u8) -> Quantization {
        let quantizers = [quantizer, chroma_quantizer(quantizer)];
        Quantization {
            quantizer,
            lambda: ((f64::from(quantizer) - 12.0) / 6.0).exp2().round().max(1.0) as u32,
            inter: quantizers.map(|quantizer| Quantizer::new(quantizer, false)),
            intra: quantizers.map(|quantizer| Quantizer::new(quantizer, true)),
        }
    }

    /// The quantizer of one of Y, U and V.
    #[inline(always)]
    pub(super) fn of(&self, plane: usize, intra: bool) -> &Quantizer {
        let quantizers = if intra { &self.intra } else { &self.inter };
        &quantizers[usize::from(plane > 0)]
    }
}

/// The quantized residual of a macroblock, each block in scan order, and which parts of it there are.
#[derive(Clone, Debug)]
pub(super) struct Levels<const N: usize> {
    pub(super) luma: [[Block; 16]; N],
    /// Of a macroblock that is predicted as one square of 16; its other coefficients are in `luma`, from the second.
    pub(super) luma_dc: [Block; N],
    pub(super) chroma_dc: [[i16; 4]; 2],
    pub(super) chroma: [[Block; 4]; 2],
    /// coded_block_pattern: a bit for each 8x8 of what is coded as luma, 16 for chroma DC alone, 32 for all of chroma.
    pub(super) pattern: u8,
}

/// `source - prediction` of the 4x4 block at (`x`, `y`).
#[inline(always)]
fn subtract<const N: usize>(
    source: &[[u8; N]; N],
    seen: &[[u8; N]; N],
    x: usize,
    y: usize,
) -> Block {
    let mut block = [0; 16];
    for row in 0..4 {
        for column in 0..4 {
            let (x, y) = (x + column, y + row);
            block[row * 4 + column] = i16::from(source[y][x]) - i16::from(seen[y][x]);
        }
    }
    block
}

/// The sum of absolute values.
#[inline(always)]
fn sum(block: &Block) -> u32 {
    let mut sum = 0;
    for value in block {
        sum += value.unsigned_abs();
    }
    u32::from(sum)
}

/// Adds a residual to the prediction in `seen`.
#[inline(always)]
fn add<const N: usize>(seen: &mut [[u8; N]; N], residual: &Block, x: usize, y: usize) {
    for (row, residual) in residual.as_chunks::<4>().0.iter().enumerate() {
        for (sample, residual) in seen[y + row][x..x + 4].iter_mut().zip(residual) {
            *sample = (i16::from(*sample) + residual).clamp(0, 255) as u8;
        }
    }
}

#[inline(always)]
fn scan(block: &Block) -> Block {
    let mut levels = [0; 16];
    for (level, at) in levels.iter_mut().zip(ZIGZAG) {
        *level = block[at];
    }
    levels
}

impl<const N: usize> Levels<N> {
    pub(super) fn new() -> Levels<N> {
        Levels {
            luma: [[[0; 16]; 16]; N],
            luma_dc: [[0; 16]; N],
            chroma_dc: [[0; 4]; 2],
            chroma: [[[0; 16]; 4]; 2],
            pattern: 0,
        }
    }

    /// Codes the differences of `source` to an inter prediction and makes those what the viewer will see.
    pub(super) fn inter_luma(
        &mut self,
        source: &[Luma; N],
        seen: &mut [Luma; N],
        quantization: &Quantization,
    ) {
        for (plane, (source, seen)) in source.iter().zip(seen).enumerate() {
            let quantizer = quantization.of(plane, false);
            if source == seen {
                // U and V of what is grey.
                self.luma[plane] = [[0; 16]; 16];
                continue;
            }
            for (at, &(x, y)) in BLOCKS.iter().enumerate() {
                let mut block = subtract(source, seen, x, y);
                if quantizer.is_nothing(sum(&block)) {
                    self.luma[plane][at] = [0; 16];
                    continue;
                }
                transform::forward(&mut block);
                let any = quantizer.quantize(&mut block);
                self.luma[plane][at] = scan(&block);
                if any {
                    self.pattern |= 1 << (at / 4);
                    quantizer.scale(&mut block);
                    transform::inverse(&mut block);
                    add(seen, &block, x, y);
                }
            }
        }
    }

    /// The same for a prediction of all 16x16 samples from their neighbours, which codes DC values apart.
    pub(super) fn intra_luma(
        &mut self,
        source: &[Luma; N],
        seen: &mut [Luma; N],
        quantization: &Quantization,
    ) {
        for (plane, (source, seen)) in source.iter().zip(seen).enumerate() {
            self.intra_plane(plane, source, seen, quantization.of(plane, true));
        }
    }

    fn intra_plane(&mut self, plane: usize, source: &Luma, seen: &mut Luma, quantizer: &Quantizer) {
        let (luma, luma_dc) = (&mut self.luma[plane], &mut self.luma_dc[plane]);
        if quantizer.is_nothing(square_difference(source, seen)) {
            *luma_dc = [0; 16];
            if N > 1 {
                // Another plane may have some, and then all are in the stream.
                *luma = [[0; 16]; 16];
            }
            return;
        }
        let mut blocks = [[0; 16]; 16];
        let mut dc = [0; 16];
        let mut any = false;
        for (at, &(x, y)) in BLOCKS.iter().enumerate() {
            let block = &mut blocks[at];
            *block = subtract(source, seen, x, y);
            transform::forward(block);
            dc[y + x / 4] = i32::from(std::mem::take(&mut block[0]));
            any |= quantizer.quantize(block);
            luma[at] = scan(block);
        }
        self.pattern |= if any { 15 } else { 0 };
        transform::hadamard(&mut dc);
        dc.iter_mut().for_each(|value| *value = (*value + 1) >> 1);
        let any_dc = quantizer.quantize_dc(&mut dc);
        *luma_dc = ZIGZAG.map(|at| dc[at] as i16);
        if !any && !any_dc {
            return;
        }
        transform::hadamard(&mut dc);
        quantizer.scale_luma_dc(&mut dc);
        for (block, &(x, y)) in blocks.iter_mut().zip(&BLOCKS) {
            quantizer.scale(block);
            block[0] = dc[y + x / 4] as i16;
            transform::inverse(block);
            add(seen, block, x, y);
        }
    }

    /// Codes a plane that is predicted exactly.
    pub(super) fn nothing(&mut self, plane: usize) {
        self.luma[plane] = [[0; 16]; 16];
    }

    /// Codes one 4x4 block of a plane that was predicted as `prediction`; returns how the viewer will see it.
    pub(super) fn intra_block(
        &mut self,
        plane: usize,
        at: usize,
        source: &[u8; 16],
        prediction: &[u8; 16],
        quantization: &Quantization,
    ) -> [u8; 16] {
        let quantizer = quantization.of(plane, true);
        let mut block = [0; 16];
        for at in 0..16 {
            block[at] = i16::from(source[at]) - i16::from(prediction[at]);
        }
        if quantizer.is_nothing(sum(&block)) {
            self.luma[plane][at] = [0; 16];
            return *prediction;
        }
        transform::forward(&mut block);
        if !quantizer.quantize(&mut block) {
            self.luma[plane][at] = [0; 16];
            return *prediction;
        }
        self.luma[plane][at] = scan(&block);
        self.pattern |= 1 << (at / 4);
        quantizer.scale(&mut block);
        transform::inverse(&mut block);
        let mut seen = *prediction;
        for at in 0..16 {
            seen[at] = (i16::from(seen[at]) + block[at]).clamp(0, 255) as u8;
        }
        seen
    }

    /// Codes U and V of half the density.
    pub(super) fn chroma(
        &mut self,
        source: &[Chroma; 2],
        seen: &mut [Chroma; 2],
        quantization: &Quantization,
        intra: bool,
    ) {
        let quantizer = quantization.of(1, intra);
        let (mut any, mut any_dc) = (false, false);
        for plane in 0..2 {
            // DC values add up.
            if quantizer.is_nothing(square_difference(&source[plane], &seen[plane])) {
                (self.chroma_dc[plane], self.chroma[plane]) = ([0; 4], [[0; 16]; 4]);
                continue;
            }
            let mut blocks = [[0; 16]; 4];
            let mut dc = [0; 4];
            let mut any_here = false;
            for (at, block) in blocks.iter_mut().enumerate() {
                *block = subtract(&source[plane], &seen[plane], at % 2 * 4, at / 2 * 4);
                transform::forward(block);
                dc[at] = i32::from(std::mem::take(&mut block[0]));
                any_here |= quantizer.quantize(block);
                self.chroma[plane][at] = scan(block);
            }
            dc = transform::hadamard2(dc);
            let any_dc_here = quantizer.quantize_dc(&mut dc);
            self.chroma_dc[plane] = dc.map(|value| value as i16);
            any |= any_here;
            any_dc |= any_dc_here;
            if !any_here && !any_dc_here {
                continue;
            }
            dc = transform::hadamard2(dc);
            quantizer.scale_chroma_dc(&mut dc);
            for (at, block) in blocks.iter_mut().enumerate() {
                quantizer.scale(block);
                block[0] = dc[at] as i16;
                transform::inverse(block);
                add(&mut seen[plane], block, at % 2 * 4, at / 2 * 4);
            }
        }
        self.pattern |= if any {
            32
        } else if any_dc {
            16
        } else {
            0
        };
    }
}
