//! What the library wrote into a slice header about keeping pictures (ITU-T H.264, clauses 7.3.3, 7.3.3.1 and 7.3.3.3).

/// As this version of the library says in its sequence parameter sets.
const FRAME_NUMBER_BITS: u32 = 15;
/// Frame numbers wrap around here.
pub(super) const FRAME_NUMBERS: u32 = 1 << FRAME_NUMBER_BITS;
/// No header of the library's is longer; a NAL unit's own byte left out.
const LONGEST: usize = 32;

/// Of a picture, whose slices all say the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SliceHeader {
    /// idr_pic_id of a key frame.
    pub key_frame: Option<u32>,
    /// frame_num
    pub number: u32,
    /// Refers to a long-term picture.
    pub goes_back: bool,
    pub marks: Option<Marked>,
}

/// Which picture becomes a long-term one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Marked {
    This,
    /// The one before, by frame_num.
    Previous,
}

impl SliceHeader {
    /// Reads the header of a NAL unit; `None` for what is no slice, or not as the library writes them.
    pub(super) fn read(nal: &[u8]) -> Option<SliceHeader> {
        let (first, payload) = nal.split_first()?;
        let is_key_frame = match first & 31 {
            1 => false,
            5 => true,
            _ => return None,
        };
        let mut bits = Reader::new(payload);
        bits.ue()?; // first_mb_in_slice
        bits.ue()?; // slice_type
        bits.ue()?; // pic_parameter_set_id
        let number = bits.take(FRAME_NUMBER_BITS)?;
        if is_key_frame {
            let key_frame = Some(bits.ue()?);
            return Some(SliceHeader { key_frame, number, goes_back: false, marks: None });
        }
        if bits.take(1)? == 1 {
            bits.ue()?; // num_ref_idx_l0_active_minus1
        }
        let mut goes_back = false;
        if bits.take(1)? == 1 {
            // ref_pic_list_modification
            while let idc @ 0..3 = bits.ue()? {
                goes_back |= idc == 2;
                bits.ue()?;
            }
        }
        let mut marks = None;
        if bits.take(1)? == 1 {
            // memory_management_control_operation
            loop {
                match bits.ue()? {
                    0 => break,
                    1 | 2 | 4 => _ = bits.ue()?,
                    3 => {
                        bits.ue()?;
                        bits.ue()?;
                        marks = Some(Marked::Previous);
                    }
                    6 => {
                        bits.ue()?;
                        marks = Some(Marked::This);
                    }
                    _ => return None,
                }
            }
        }
        Some(SliceHeader { key_frame: None, number, goes_back, marks })
    }
}

/// Reads the most significant bit first.
struct Reader {
    /// Without the bytes that keep a payload from imitating a start code (clause 7.4.1).
    bytes: [u8; LONGEST],
    length: usize,
    at: usize,
}

impl Reader {
    fn new(payload: &[u8]) -> Reader {
        let mut bits = Reader { bytes: [0; LONGEST], length: 0, at: 0 };
        let mut zeros = 0;
        for &byte in payload {
            if zeros >= 2 && byte == 3 {
                zeros = 0;
                continue;
            }
            let Some(place) = bits.bytes.get_mut(bits.length) else { break };
            (*place, bits.length) = (byte, bits.length + 1);
            zeros = if byte == 0 { zeros + 1 } else { 0 };
        }
        bits
    }

    fn take(&mut self, count: u32) -> Option<u32> {
        (0..count).try_fold(0, |value, _| {
            let byte = self.bytes[..self.length].get(self.at / 8)?;
            let bit = byte >> (7 - self.at % 8) & 1;
            self.at += 1;
            Some(value << 1 | u32::from(bit))
        })
    }

    /// Unsigned Exp-Golomb: ue(v) (clause 9.1).
    fn ue(&mut self) -> Option<u32> {
        let mut zeros = 0;
        while self.take(1)? == 0 {
            zeros += 1;
        }
        let rest = if zeros < 31 { self.take(zeros)? } else { return None };
        Some((1 << zeros) - 1 + rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A NAL unit of these bits, zeros after them.
    fn nal(kind: u8, bits: &str) -> Vec<u8> {
        let bits: Vec<u8> = bits.bytes().filter(|b| *b != b' ').map(|b| b - b'0').collect();
        let byte =
            |bits: &[u8]| bits.iter().enumerate().fold(0, |byte, (at, bit)| byte | bit << (7 - at));
        std::iter::once(0x60 | kind).chain(bits.chunks(8).map(byte)).collect()
    }

    #[test]
    fn headers_say_what_is_kept() {
        let header = |number, goes_back, marks| {
            Some(SliceHeader { key_frame: None, number, goes_back, marks })
        };
        // first_mb 0, P, set 0, frame_num 5, the default count, the picture before.
        let start = "1 00110 1 000000000000101 0 1 1 1 00100";
        assert_eq!(SliceHeader::read(&nal(1, &[start, "0"].concat())), header(5, false, None));
        // So many long-term pictures; the one before is dropped; this one becomes one.
        let this = [start, "1 00101 011 010 1 00111 010 1"].concat();
        assert_eq!(SliceHeader::read(&nal(1, &this)), header(5, false, Some(Marked::This)));
        let previous = [start, "1 00100 1 010 1"].concat();
        assert_eq!(SliceHeader::read(&nal(1, &previous)), header(5, false, Some(Marked::Previous)));
        let back = "1 00110 1 000000000000101 0 1 011 010 00100 0";
        assert_eq!(SliceHeader::read(&nal(1, back)), header(5, true, None));
        // I, and the third key frame.
        let key = SliceHeader { key_frame: Some(2), number: 0, goes_back: false, marks: None };
        let bits = "1 0001000 1 000000000000000 011 0";
        assert_eq!(SliceHeader::read(&nal(5, bits)), Some(key));
    }

    #[test]
    fn what_keeps_start_codes_away_is_passed_over() {
        let mut bits = Reader::new(&[0, 0, 3, 0, 0, 3, 1, 3]);
        assert_eq!(bits.take(32), Some(0));
        assert_eq!(bits.take(16), Some(0x0103));
    }

    #[test]
    fn what_ends_early_is_no_header() {
        let whole = nal(1, "1 00110 1 000000000000101 0 1 1 1 00100 1 00101 011 010 1 00111 010 1");
        for length in 0..whole.len() {
            assert_eq!(SliceHeader::read(&whole[..length]), None);
        }
        assert_eq!(SliceHeader::read(&nal(7, "1")), None);
    }
}
