//! Context-adaptive variable-length codes of coefficients (ITU-T H.264, clause 9.2).

use super::bits::Bits;
use super::codes::{CHROMA_DC_COEFFICIENTS, CHROMA_DC_ZEROS, COEFFICIENTS, RUN, ZEROS};

/// What the count of coefficients is coded by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Context {
    /// The mean count of the blocks to the left and above: nC.
    Neighbours(u8),
    ChromaDc,
}

/// Codes one block of quantized coefficients in scan order (residual_block_cavlc); returns how many are not zero.
pub(super) fn residual(bits: &mut Bits, levels: &[i16], context: Context) -> u8 {
    // Bit by bit which there are, so that only those are gone through.
    let mut left = 0_u32;
    for (at, level) in levels.iter().enumerate() {
        left |= u32::from(*level != 0) << at;
    }
    // From the last one back: the coefficient, and the zeros before it.
    let mut coefficients = [(0_i16, 0_u8); 16];
    let mut count = 0;
    let last = left.checked_ilog2();
    while let Some(at) = left.checked_ilog2() {
        left ^= 1 << at;
        let before = left.checked_ilog2().map_or(at, |before| at - before - 1);
        coefficients[count] = (levels[at as usize & 15], before as u8);
        count += 1;
    }
    let zeros = last.map_or(0, |last| last as usize + 1 - count);
    let coefficients = &coefficients[..count];
    let ones = coefficients.iter().take(3).take_while(|(level, _)| level.abs() == 1).count();

    let (code, length) = match context {
        Context::ChromaDc => CHROMA_DC_COEFFICIENTS[count][ones],
        Context::Neighbours(mean) => {
            let table = [0, 0, 1, 1, 2, 2, 2, 2].get(usize::from(mean)).copied().unwrap_or(3);
            COEFFICIENTS[table][count][ones]
        }
    };
    bits.put(u32::from(code), u32::from(length));
    if count == 0 {
        return 0;
    }
    for (level, _) in &coefficients[..ones] {
        bits.put(u32::from(*level < 0), 1);
    }
    let mut suffix = u32::from(count > 10 && ones < 3);
    for (at, (level, _)) in coefficients[ones..].iter().enumerate() {
        let magnitude = u32::from(level.unsigned_abs());
        let mut code = 2 * magnitude - 2 + u32::from(*level < 0);
        if at == 0 && ones < 3 {
            code -= 2;
        }
        put_level(bits, code, suffix);
        suffix = suffix.max(1);
        if magnitude > 3 << (suffix - 1) && suffix < 6 {
            suffix += 1;
        }
    }
    if count < levels.len() {
        let (code, length) = match context {
            Context::ChromaDc => CHROMA_DC_ZEROS[count - 1][zeros],
            Context::Neighbours(_) => ZEROS[count - 1][zeros],
        };
        bits.put(u32::from(code), u32::from(length));
    }
    let mut left = zeros;
    for (_, run) in &coefficients[..count - 1] {
        if left == 0 {
            break;
        }
        let (code, length) = RUN[left.min(7) - 1][usize::from(*run)];
        bits.put(u32::from(code), u32::from(length));
        left -= usize::from(*run);
    }
    count as u8
}

/// level_prefix and level_suffix (clause 9.2.2.1). Coefficients are at most [`super::transform::LARGEST`], which the escape
/// holds.
fn put_level(bits: &mut Bits, code: u32, suffix: u32) {
    let escape = if suffix == 0 { 30 } else { 15 << suffix };
    if code >= escape {
        bits.put(1, 16);
        bits.put(code - escape, 12);
    } else if suffix > 0 {
        bits.put(1 << suffix | code & ((1 << suffix) - 1), (code >> suffix) + 1 + suffix);
    } else if code < 14 {
        bits.put(1, code + 1);
    } else {
        bits.put(1, 15);
        bits.put(code - 14, 4);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    /// Reads what [`residual`] wrote, by the parsing process of clause 9.2 and the same tables.
    struct Reader(Vec<u8>, usize);

    impl Reader {
        fn bits(&mut self, count: usize) -> u32 {
            let bit = |at: usize| u32::from(self.0[at / 8] >> (7 - at % 8) & 1);
            let value = (self.1..self.1 + count).fold(0, |value, at| value << 1 | bit(at));
            self.1 += count;
            value
        }

        fn code(&mut self, codes: &[(u8, u8)]) -> usize {
            let start = self.1;
            let at = codes.iter().position(|(code, length)| {
                self.1 = start;
                *length > 0 && self.bits(usize::from(*length)) == u32::from(*code)
            });
            at.expect("a code of the table")
        }

        fn residual(&mut self, size: usize, table: usize, chroma_dc: bool) -> Vec<i16> {
            let table: &[[(u8, u8); 4]] =
                if chroma_dc { &CHROMA_DC_COEFFICIENTS } else { &COEFFICIENTS[table] };
            let at = self.code(table.as_flattened());
            let (count, ones) = (at / 4, at % 4);
            let mut levels = Vec::new();
            let mut suffix = usize::from(count > 10 && ones < 3);
            for at in 0..count {
                if at < ones {
                    levels.push(1 - 2 * self.bits(1) as i32);
                    continue;
                }
                let mut prefix = 0;
                while self.bits(1) == 0 {
                    prefix += 1;
                }
                let length = match prefix {
                    14 if suffix == 0 => 4,
                    15 => 12,
                    _ => suffix,
                };
                let mut code = (prefix.min(15) << suffix) + self.bits(length) as usize;
                code += if prefix == 15 && suffix == 0 { 15 } else { 0 };
                code += if at == ones && ones < 3 { 2 } else { 0 };
                let magnitude = (code as i32 + 2) / 2;
                levels.push(if code.is_multiple_of(2) { magnitude } else { -magnitude });
                suffix = suffix.max(1);
                suffix += usize::from(magnitude > 3 << (suffix - 1) && suffix < 6);
            }
            let mut left = match (count, chroma_dc) {
                (0, _) => 0,
                (count, _) if count == size => 0,
                (count, true) => self.code(&CHROMA_DC_ZEROS[count - 1]),
                (count, false) => self.code(&ZEROS[count - 1]),
            };
            let mut block = vec![0; size];
            let mut at = count + left;
            for (index, level) in levels.into_iter().enumerate() {
                at -= 1;
                block[at] = level as i16;
                if left > 0 && index + 1 < count {
                    let run = self.code(&RUN[left.min(7) - 1]);
                    (left, at) = (left - run, at - run);
                }
            }
            block
        }
    }

    #[test]
    fn what_is_written_can_be_read() {
        let mut random = Random(3);
        for round in 0..20_000 {
            let size = [4, 15, 16][round % 3];
            let (density, scale) = (random.below(17), random.below(11));
            let block: Vec<i16> = (0..size)
                .map(|_| match random.below(16) < density {
                    true => random.below((2 << scale) + 1) as i16 - (1 << scale),
                    false => 0,
                })
                .collect();
            let mean = random.below(17) as u8;
            let context = if size == 4 { Context::ChromaDc } else { Context::Neighbours(mean) };
            let mut bits = Bits::default();
            let count = residual(&mut bits, &block, context);
            assert_eq!(usize::from(count), block.iter().filter(|level| **level != 0).count());
            let length = bits.len();
            bits.end();
            let table = match mean {
                0..2 => 0,
                2..4 => 1,
                4..8 => 2,
                _ => 3,
            };
            let mut reader = Reader(bits.bytes().to_vec(), 0);
            assert_eq!(reader.residual(size, table, size == 4), block, "nC {mean}");
            assert_eq!(reader.1, length);
        }
    }
}
