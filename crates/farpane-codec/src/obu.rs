//! Where the units of a temporal unit are (AV1 Bitstream & Decoding Process Specification, sections 4.10.5, 5.3.1, 5.3.2).

use std::ops::Range;

const EXTENSION: u8 = 0x04;
const HAS_SIZE: u8 = 0x02;

/// Puts the OBUs of `data`, which all have a size field, into `units`, headers included.
///
/// # Panics
/// When `data` is no such sequence.
pub(crate) fn split(data: &[u8], units: &mut Vec<Range<usize>>) {
    units.clear();
    let mut at = 0;
    while at < data.len() {
        let header = data[at];
        assert!(header & HAS_SIZE != 0, "an OBU without a size in a stream of OBUs with sizes");
        let size_at = at + if header & EXTENSION != 0 { 2 } else { 1 };
        let (size, length) = leb128(&data[size_at..]);
        let end = size_at + length + size;
        assert!(end <= data.len(), "an OBU of {size} bytes is longer than what is left");
        units.push(at..end);
        at = end;
    }
}

/// A number and how many bytes it takes.
fn leb128(bytes: &[u8]) -> (usize, usize) {
    let length = bytes.iter().take(8).take_while(|byte| **byte & 0x80 != 0).count() + 1;
    let value =
        bytes[..length].iter().rev().fold(0, |value, byte| value << 7 | usize::from(byte & 0x7f));
    (value, length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_found_by_their_sizes() {
        // A temporal delimiter, a unit with an extension of one byte, and one of 130 bytes.
        let mut data = vec![0x12, 0x00, 0x36, 0x08, 0x01, 0xff, 0x32, 0x82, 0x01];
        data.extend([0; 130]);
        let mut units = Vec::new();
        split(&data, &mut units);
        assert_eq!(units, [0..2, 2..6, 6..139]);
    }
}
