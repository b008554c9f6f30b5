//! Bits, Exp-Golomb codes and NAL units (ITU-T H.264, clauses 7.2, 7.4.1 and 9.1).

/// Writes the most significant bit first.
#[derive(Debug, Default)]
pub(super) struct Bits {
    bytes: Vec<u8>,
    /// The last `held` bits are not in `bytes` yet; fewer than 32.
    hold: u64,
    held: u32,
}

impl Bits {
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        (self.hold, self.held) = (0, 0);
    }

    /// Bits written.
    pub(super) fn len(&self) -> usize {
        self.bytes.len() * 8 + self.held as usize
    }

    /// The low `count` bits of `value`, which has no others; at most 32.
    pub(super) fn put(&mut self, value: u32, count: u32) {
        debug_assert!(count <= 32 && u64::from(value) >> count == 0);
        self.hold = self.hold << count | u64::from(value);
        self.held += count;
        if self.held >= 32 {
            self.held -= 32;
            self.bytes.extend(((self.hold >> self.held) as u32).to_be_bytes());
        }
    }

    /// Unsigned Exp-Golomb: ue(v), below 65535.
    pub(super) fn ue(&mut self, value: u32) {
        let code = value + 1;
        let length = 32 - code.leading_zeros();
        self.put(code, 2 * length - 1);
    }

    /// Signed Exp-Golomb: se(v).
    pub(super) fn se(&mut self, value: i32) {
        let magnitude = value.unsigned_abs() * 2;
        self.ue(if value > 0 { magnitude - 1 } else { magnitude });
    }

    /// The bit that ends a payload, and zeros to the end of the byte.
    pub(super) fn end(&mut self) {
        self.put(1, 1);
        self.align();
    }

    /// Zeros to the end of the byte.
    pub(super) fn align(&mut self) {
        self.put(0, self.held.wrapping_neg() % 8);
        while self.held > 0 {
            self.held -= 8;
            self.bytes.push((self.hold >> self.held) as u8);
        }
    }

    /// Ones to the end of the byte.
    pub(super) fn align_ones(&mut self) {
        let count = self.held.wrapping_neg() % 8;
        self.put((1 << count) - 1, count);
        self.align();
    }

    /// The last four bytes, of whole ones; fewer make a word that begins with zeros.
    pub(super) fn last(&self) -> u32 {
        let last = &self.bytes[self.bytes.len().saturating_sub(4)..];
        last.iter().fold(0, |word, byte| word << 8 | u32::from(*byte))
    }

    pub(super) fn set_last(&mut self, word: u32) {
        for (place, byte) in self.bytes.iter_mut().rev().zip(word.to_le_bytes()) {
            *place = byte;
        }
    }

    /// What was written, which must have ended.
    pub(super) fn bytes(&self) -> &[u8] {
        debug_assert_eq!(self.held, 0);
        &self.bytes
    }

    /// Where writing may return to.
    pub(super) fn mark(&self) -> Mark {
        Mark { bytes: self.bytes.len(), hold: self.hold, held: self.held }
    }

    /// Forgets what was written since `mark`.
    pub(super) fn rewind(&mut self, mark: Mark) {
        self.bytes.truncate(mark.bytes);
        (self.hold, self.held) = (mark.hold, mark.held);
    }
}

/// A place in [`Bits`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark {
    bytes: usize,
    hold: u64,
    held: u32,
}

/// The code length of ue(v).
pub(super) fn ue_length(value: u32) -> u32 {
    63 - 2 * (value + 1).leading_zeros()
}

/// The code length of se(v).
pub(super) fn se_length(value: i32) -> u32 {
    let magnitude = value.unsigned_abs() * 2;
    ue_length(if value > 0 { magnitude - 1 } else { magnitude })
}

/// Appends a NAL unit with its start code; no payload imitates one (clause 7.4.1.1). Returns where the unit starts.
pub(super) fn nal(stream: &mut Vec<u8>, header: u8, payload: &[u8]) -> usize {
    stream.extend([0, 0, 0, 1]);
    let start = stream.len();
    stream.push(header);
    let (mut copied, mut at) = (0, 0);
    while at + 2 < payload.len() {
        // Looks at every third byte of what holds no zeros.
        if payload[at + 2] > 3 {
            at += 3;
        } else if payload[at] == 0 && payload[at + 1] == 0 {
            stream.extend_from_slice(&payload[copied..at + 2]);
            stream.push(3);
            copied = at + 2;
            at += 2;
        } else {
            at += 1;
        }
    }
    stream.extend_from_slice(&payload[copied..]);
    start
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    #[test]
    fn exp_golomb_codes_are_those_of_the_table() {
        // Table 9-2: 1, 010, 011, 00100; and for se(v) 0, 1, -1, 2, -2.
        let mut bits = Bits::default();
        (0..4).for_each(|value| bits.ue(value));
        [0, 1, -1, 2, -2].into_iter().for_each(|value| bits.se(value));
        bits.end();
        assert_eq!(bits.bytes(), [0b1010_0110, 0b0100_1010, 0b0110_0100, 0b0010_1100]);
        assert_eq!([0, 1, 6, 7].map(ue_length), [1, 3, 5, 7]);
        assert_eq!([0, 1, -2].map(se_length), [1, 3, 5]);
    }

    #[test]
    fn a_payload_imitates_no_start_code() {
        let mut random = Random(1);
        for length in 0..200 {
            let payload: Vec<u8> =
                (0..length).map(|_| [0, 0, 0, 1, 2, 3, 4, 255][random.below(8) as usize]).collect();
            let mut stream = Vec::new();
            let start = nal(&mut stream, 0x65, &payload);
            let unit = &stream[start + 1..];
            assert!(!unit.windows(3).any(|bytes| bytes[..2] == [0, 0] && bytes[2] < 3));
            let mut zeros = 0;
            let mut plain = Vec::new();
            for &byte in unit {
                if zeros == 2 && byte == 3 {
                    zeros = 0;
                    continue;
                }
                zeros = if byte == 0 { zeros + 1 } else { 0 };
                plain.push(byte);
            }
            assert_eq!(plain, payload);
        }
    }

    #[test]
    fn what_is_rewound_leaves_no_trace() {
        let mut bits = Bits::default();
        bits.put(5, 3);
        let mark = bits.mark();
        (0..50).for_each(|value| bits.ue(value));
        bits.rewind(mark);
        bits.end();
        assert_eq!(bits.bytes(), [0b1011_0000]);
    }
}
