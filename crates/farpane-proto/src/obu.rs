//! AV1 open bitstream units (OBUs): their headers and size fields (AV1 Bitstream & Decoding Process Specification,
//! sections 4.10.5, 5.3 and 6.2), and what RTP puts before them (RTP Payload Format For AV1, section 4.4).

pub(crate) const SEQUENCE_HEADER: u8 = 1;
pub(crate) const TEMPORAL_DELIMITER: u8 = 2;
pub(crate) const FRAME_HEADER: u8 = 3;
pub(crate) const FRAME: u8 = 6;
pub(crate) const TILE_LIST: u8 = 8;
pub(crate) const PADDING: u8 = 15;

const FORBIDDEN: u8 = 0x80;
const TYPE_SHIFT: u32 = 3;
const TYPE: u8 = 0x0f;
const EXTENSION: u8 = 0x04;
pub(crate) const HAS_SIZE: u8 = 0x02;

/// `temporal_id` and `spatial_id` in the extension byte.
const LAYER: u8 = 0xf8;

/// Bits of the aggregation header. The first element of the packet continues an OBU of the packet before: Z.
pub(crate) const CONTINUES: u8 = 0x80;
/// The last element is continued in the packet after: Y.
pub(crate) const CONTINUED: u8 = 0x40;
/// Where the number of elements is: W. With 0 there each element has a length field, otherwise the last has none.
pub(crate) const COUNT_SHIFT: u32 = 4;
pub(crate) const MAX_COUNT: usize = 3;
/// The packet is the first of a coded video sequence: N.
pub(crate) const NEW_SEQUENCE: u8 = 0x08;

/// An OBU without its size field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Obu<'a> {
    /// The header byte with `obu_has_size_field` cleared, and the extension byte if there is one.
    header: [u8; 2],
    pub header_len: usize,
    pub payload: &'a [u8],
}

impl<'a> Obu<'a> {
    /// Reads one OBU that fills `bytes`, with or without its size field. `None` when it does not.
    pub fn parse(bytes: &'a [u8]) -> Option<Obu<'a>> {
        let (&first, mut payload) = bytes.split_first()?;
        if first & FORBIDDEN != 0 {
            return None;
        }
        let mut header = [first & !HAS_SIZE, 0];
        let mut header_len = 1;
        if first & EXTENSION != 0 {
            (header[1], payload) = payload.split_first().map(|(byte, rest)| (*byte, rest))?;
            header_len = 2;
        }
        if first & HAS_SIZE != 0 {
            let (size, rest) = read_leb128(payload)?;
            if size != rest.len() {
                return None;
            }
            payload = rest;
        }
        Some(Obu { header, header_len, payload })
    }

    pub fn kind(&self) -> u8 {
        self.header[0] >> TYPE_SHIFT & TYPE
    }

    /// Its `temporal_id` and `spatial_id` in one number; `None` when it has no extension and belongs to all layers.
    pub fn layer(&self) -> Option<u8> {
        (self.header_len == 2).then_some(self.header[1] & LAYER)
    }

    /// Whether it travels in RTP (RTP Payload Format For AV1, section 5): what separates, fills or is not supported
    /// there does not.
    pub fn is_sent(&self) -> bool {
        !matches!(self.kind(), TEMPORAL_DELIMITER | TILE_LIST | PADDING)
    }

    /// Whether it begins with a frame header. A redundant one never is the first.
    pub fn has_frame_header(&self) -> bool {
        matches!(self.kind(), FRAME_HEADER | FRAME)
    }

    /// Its length without size field.
    pub fn len(&self) -> usize {
        self.header_len + self.payload.len()
    }

    /// Fills `out` with its bytes from `from` on, counted without size field.
    ///
    /// # Panics
    /// When there are fewer.
    pub fn write(&self, from: usize, out: &mut [u8]) {
        let header = &self.header[from.min(self.header_len)..self.header_len];
        let (head, body) = out.split_at_mut(header.len().min(out.len()));
        head.copy_from_slice(&header[..head.len()]);
        let at = from.saturating_sub(self.header_len);
        body.copy_from_slice(&self.payload[at..at + body.len()]);
    }
}

/// The number at the start of `bytes` and what follows it. `None` when it is cut off, of more than eight bytes or of
/// more than 32 bits.
pub(crate) fn read_leb128(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut value = 0_u64;
    for (at, byte) in bytes.iter().take(8).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            let value = usize::try_from(u32::try_from(value).ok()?).ok()?;
            return Some((value, &bytes[at + 1..]));
        }
    }
    None
}

/// How many bytes `value` takes.
pub(crate) const fn leb128_len(value: usize) -> usize {
    (usize::BITS - (value | 1).leading_zeros()).div_ceil(7) as usize
}

/// Writes `value` to the start of `out` and returns its length.
pub(crate) fn write_leb128(mut value: usize, out: &mut [u8]) -> usize {
    let len = leb128_len(value);
    for byte in &mut out[..len - 1] {
        *byte = 0x80 | value as u8;
        value >>= 7;
    }
    out[len - 1] = value as u8;
    len
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back() {
        for value in [0, 1, 127, 128, 16_383, 16_384, 2_097_151, 2_097_152, u32::MAX as usize] {
            let mut bytes = [0xaa; 8];
            let len = write_leb128(value, &mut bytes);
            assert_eq!(len, leb128_len(value), "{value}");
            assert_eq!(read_leb128(&bytes), Some((value, &bytes[len..])));
            assert_eq!(read_leb128(&bytes[..len - 1]), None, "cut off");
        }
        assert_eq!(write_leb128(300, &mut [0; 2]), 2);
        assert_eq!(read_leb128(&[0xac, 0x02]), Some((300, &[][..])));
        assert_eq!(read_leb128(&[0xff, 0xff, 0xff, 0xff, 0x1f]), None, "33 bits");
        assert_eq!(read_leb128(&[0x81, 0x80, 0x00]), Some((1, &[][..])), "padded, as encoders may");
        assert_eq!(read_leb128(&[0x81, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00]), None);
    }

    #[test]
    fn an_obu_loses_its_size_field_and_nothing_else() {
        // A frame (type 6) of temporal layer 1, spatial layer 1 and three bytes.
        let whole = Obu::parse(&[0x36, 0x28, 3, 7, 8, 9]).unwrap();
        assert_eq!(whole, Obu::parse(&[0x34, 0x28, 7, 8, 9]).unwrap());
        assert_eq!((whole.kind(), whole.len(), whole.layer()), (6, 5, Some(0x28)));
        for from in 0..5 {
            for to in from..5 {
                let mut out = vec![0; to - from];
                whole.write(from, &mut out);
                assert_eq!(out, [0x34, 0x28, 7, 8, 9][from..to]);
            }
        }
    }

    #[test]
    fn what_is_no_obu_is_refused() {
        for bad in [&[][..], &[0x80], &[0x36], &[0x32, 4, 1], &[0x32, 1, 1, 1], &[0x32, 0x80]] {
            assert_eq!(Obu::parse(bad), None, "{bad:?}");
        }
    }
}
