//! The dependency descriptor: what a picture refers to, so that a receiver knows which of those it has can be shown
//! (RTP Payload Format For AV1 v1.0.0, appendix A; it serves other codecs as well).
//!
//! Ours has no chains, and one layer with two templates: a key frame, and a picture that refers to the one before. With
//! two layers (L1T2) there are two more: a picture of the lower layer that refers to the second last one, and one of the upper
//! layer. Any other reference is said in the descriptor itself.

use super::extension::MAX_LEN;
use crate::Layer;

/// What a packet says of the picture that it is a part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DependencyDescriptor {
    pub first_of_picture: bool,
    pub last_of_picture: bool,
    /// Counts the pictures sent, modulo 2^16.
    pub number: u16,
    /// How many pictures ago the one was sent that it refers to, 1 to [`DependencyDescriptor::FARTHEST`]; a key frame
    /// refers to none.
    pub reference: Option<u16>,
    pub layer: Layer,
}

/// Indices of templates, and of those how far back each refers.
const KEY_FRAME: u8 = 0;
const NEXT: u8 = 1;
const SECOND_NEXT: u8 = 2;
const UPPER: u8 = 3;
const DISTANCES: [Option<u16>; 4] = [None, Some(1), Some(2), Some(1)];

impl DependencyDescriptor {
    pub const URI: &'static str =
        "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension";

    pub const FARTHEST: u16 = 1 << 12;

    /// Writes the extension's value to the start of `out` and returns what was written: 3 to 11 bytes.
    pub fn encode<'a>(&self, out: &'a mut [u8; MAX_LEN]) -> &'a [u8] {
        let mut bits = Bits { out, length: 0 };
        bits.put(self.first_of_picture.into(), 1); // start_of_frame
        bits.put(self.last_of_picture.into(), 1); // end_of_frame
        let template = match (self.layer, self.reference) {
            (_, None) => KEY_FRAME,
            (Layer::Upper, _) => UPPER,
            (Layer::Lower, Some(2)) => SECOND_NEXT,
            (Layer::Only | Layer::Lower, _) => NEXT,
        };
        bits.put(template.into(), 6); // frame_dependency_template_id
        bits.put(self.number.into(), 16); // frame_number
        match self.reference {
            None if self.first_of_picture => match self.layer {
                Layer::Only => bits.put_structure(),
                Layer::Lower | Layer::Upper => bits.put_layered_structure(),
            },
            distance if distance == DISTANCES[usize::from(template)] => {}
            distance => bits.put_distance(distance.unwrap_or(1)),
        }
        bits.finish()
    }
}

struct Bits<'a> {
    out: &'a mut [u8; MAX_LEN],
    length: usize,
}

impl<'a> Bits<'a> {
    fn put(&mut self, value: u32, count: usize) {
        for at in (0..count).rev() {
            let (byte, bit) = (self.length / 8, 7 - self.length % 8);
            if bit == 7 {
                self.out[byte] = 0;
            }
            self.out[byte] |= ((value >> at & 1) as u8) << bit;
            self.length += 1;
        }
    }

    /// extended_descriptor_fields with the template_dependency_structure (A.8.2).
    fn put_structure(&mut self) {
        self.put(0b10000, 5); // template_dependency_structure_present_flag, and no other
        self.put(0, 6); // template_id_offset
        self.put(0, 5); // dt_cnt_minus_one
        self.put(0, 2); // next_layer_idc: another template of this layer
        self.put(3, 2); // next_layer_idc: no more
        self.put(2, 2); // template_dti of a key frame: switch indication
        self.put(3, 2); // template_dti of what refers: required
        self.put(0, 1); // fdiff_follows_flag of a key frame
        self.put(1, 1); // fdiff_follows_flag
        self.put(0, 4); // fdiff_minus_one
        self.put(0, 1); // fdiff_follows_flag
        self.put(0, 1); // chain_cnt
        self.put(0, 1); // resolutions_present_flag
    }

    /// The same for two temporal layers. A decode target is either the lower or both.
    fn put_layered_structure(&mut self) {
        const NOT_PRESENT: u32 = 0;
        const DISCARDABLE: u32 = 1;
        const SWITCH: u32 = 2;
        self.put(0b10000, 5); // template_dependency_structure_present_flag, and no other
        self.put(0, 6); // template_id_offset
        self.put(1, 5); // dt_cnt_minus_one
        for next_layer in [0, 0, 1, 3] {
            self.put(next_layer, 2); // next_layer_idc: the same one, the next temporal one, no more
        }
        for targets in [[SWITCH; 2], [SWITCH; 2], [SWITCH; 2], [NOT_PRESENT, DISCARDABLE]] {
            targets.into_iter().for_each(|target| self.put(target, 2)); // template_dti
        }
        for distance in DISTANCES {
            if let Some(distance) = distance {
                self.put(1, 1); // fdiff_follows_flag
                self.put(u32::from(distance) - 1, 4); // fdiff_minus_one
            }
            self.put(0, 1); // fdiff_follows_flag
        }
        self.put(0, 1); // chain_cnt
        self.put(0, 1); // resolutions_present_flag
    }

    /// extended_descriptor_fields with one custom reference.
    fn put_distance(&mut self, distance: u16) {
        self.put(0b00010, 5); // custom_fdiffs_flag, and no other
        let digits = (16 - (distance - 1).leading_zeros()).div_ceil(4).max(1);
        self.put(digits, 2); // next_fdiff_size
        self.put((distance - 1).into(), 4 * digits as usize); // fdiff_minus_one
        self.put(0, 2); // next_fdiff_size: no more
    }

    fn finish(self) -> &'a [u8] {
        &self.out[..self.length.div_ceil(8)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bits as the specification's syntax tables have them, in groups of one syntax element each.
    fn bytes(elements: &str) -> Vec<u8> {
        let bits: Vec<u8> = elements.bytes().filter(|c| *c != b' ').map(|c| c - b'0').collect();
        bits.chunks(8)
            .map(|byte| byte.iter().enumerate().map(|(at, bit)| bit << (7 - at)).sum())
            .collect()
    }

    #[test]
    fn descriptors_are_as_the_specification_writes_them() {
        let whole = |number, reference| DependencyDescriptor {
            first_of_picture: true,
            last_of_picture: true,
            number,
            reference,
            layer: Layer::Only,
        };
        let layered =
            |number, reference, layer| DependencyDescriptor { layer, ..whole(number, reference) };
        let key = "1 1 000000 0000000000000101 1 0 0 0 0 000000 00000 00 11 10 11 0 1 0000 0 0 0";
        let layered_key = "1 1 000000 0000000000000101 1 0 0 0 0 000000 00001 00 00 01 11 1010 1010 1010 0001 \
                           0 1 0000 0 1 0001 0 1 0000 0 0 0";
        let cases = [
            (layered(5, None, Layer::Lower), layered_key),
            (layered(6, Some(1), Layer::Upper), "1 1 000011 0000000000000110"),
            (layered(7, Some(2), Layer::Lower), "1 1 000010 0000000000000111"),
            (layered(8, Some(1), Layer::Lower), "1 1 000001 0000000000001000"),
            (
                layered(9, Some(17), Layer::Lower),
                "1 1 000001 0000000000001001 0 0 0 1 0 10 00010000 00",
            ),
            (whole(5, None), key),
            (whole(6, Some(1)), "1 1 000001 0000000000000110"),
            (whole(7, Some(2)), "1 1 000001 0000000000000111 0 0 0 1 0 01 0001 00"),
            (whole(8, Some(17)), "1 1 000001 0000000000001000 0 0 0 1 0 10 00010000 00"),
            (whole(9, Some(4_096)), "1 1 000001 0000000000001001 0 0 0 1 0 11 111111111111 00"),
        ];
        for (descriptor, elements) in cases {
            assert_eq!(descriptor.encode(&mut [0xff; MAX_LEN]), bytes(elements), "{descriptor:?}");
        }
    }

    #[test]
    fn only_the_first_packet_of_a_key_frame_has_the_structure() {
        let rest = DependencyDescriptor {
            first_of_picture: false,
            last_of_picture: true,
            number: 0x1234,
            reference: None,
            layer: Layer::Only,
        };
        assert_eq!(rest.encode(&mut [0xff; MAX_LEN]), [0x40, 0x12, 0x34]);
    }
}
