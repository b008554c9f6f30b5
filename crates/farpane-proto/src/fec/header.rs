//! Which packets a parity packet was made of.

use super::RECOVERY_LEN;

/// Packets of one parity packet lie within so many.
pub const MAX_SPAN: usize = 109;

/// Where the mask begins.
const MASK: usize = 18;
/// The mask comes in up to three parts, each after a bit that says whether it is the last: how many packets it is for.
const PARTS: [u32; 3] = [15, 31, 63];

/// The part of a parity packet's payload that says which packets it was made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The stream of the packets.
    pub ssrc: u32,
    /// The sequence number that the mask counts from.
    pub base: u16,
    /// By bit, the lowest first, whether the packet is part of it; [`MAX_SPAN`] bits at most.
    pub mask: u128,
}

impl Header {
    pub const MAX_LEN: usize = 32;

    /// Reads the header of a payload. The rest of it begins at the returned length. `None` for what this format has no
    /// use for: several streams, masks of another kind, packets sent again, no packets at all, or less than a header.
    pub fn parse(payload: &[u8]) -> Option<(Header, usize)> {
        let head = payload.first_chunk::<MASK>()?;
        // The bits of packets sent again and of masks that are rows and columns; the number of streams.
        if head[0] & 0xc0 != 0 || head[RECOVERY_LEN] != 1 {
            return None;
        }
        let ssrc = u32::from_be_bytes([head[12], head[13], head[14], head[15]]);
        let base = u16::from_be_bytes([head[16], head[17]]);
        let (mut mask, mut first, mut at) = (0, 0, MASK);
        for bits in PARTS {
            let len = (bits as usize + 1) / 8;
            let part = payload.get(at..at + len)?;
            let value = part.iter().fold(0, |value, byte| value << 8 | u64::from(*byte));
            mask |= u128::from((value << (64 - bits)).reverse_bits()) << first;
            at += len;
            first += bits;
            if value >> bits == 1 {
                let header = Header { ssrc, base, mask };
                return (mask != 0).then_some((header, at));
            }
        }
        None
    }

    /// Writes all but what stands for the start of the RTP header, and returns the length.
    pub(super) fn write(&self, out: &mut [u8; Header::MAX_LEN]) -> usize {
        out[RECOVERY_LEN..12].copy_from_slice(&[1, 0, 0, 0]);
        out[12..16].copy_from_slice(&self.ssrc.to_be_bytes());
        out[16..MASK].copy_from_slice(&self.base.to_be_bytes());
        let (mut first, mut at) = (0, MASK);
        for bits in PARTS {
            let len = (bits as usize + 1) / 8;
            let last = self.mask >> first >> bits == 0;
            let value = ((self.mask >> first) as u64).reverse_bits() >> (64 - bits);
            let value = value | u64::from(last) << bits;
            out[at..at + len].copy_from_slice(&value.to_be_bytes()[8 - len..]);
            at += len;
            first += bits;
            if last {
                break;
            }
        }
        at
    }

    /// The sequence numbers of the packets, in order.
    pub fn packets(self) -> impl Iterator<Item = u16> {
        let set = (0..MAX_SPAN as u16).filter(move |at| self.mask >> at & 1 == 1);
        set.map(move |at| self.base.wrapping_add(at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mask_takes_the_parts_it_needs() {
        for (highest, len) in [(0, 20), (14, 20), (15, 24), (45, 24), (46, 32), (108, 32)] {
            let header = Header { ssrc: 0x01020304, base: 65_530, mask: 1 << highest | 1 };
            let mut bytes = [0; Header::MAX_LEN];
            assert_eq!(header.write(&mut bytes), len, "{highest}");
            assert_eq!(Header::parse(&bytes[..len]), Some((header, len)));
            assert_eq!(Header::parse(&bytes[..len - 1]), None);
        }
    }

    #[test]
    fn bits_are_where_the_draft_has_them() {
        // Figures 6 and 9: k, then the packets from the base on.
        let mask = 1 << 0 | 1 << 14 | 1 << 15 | 1 << 46 | 1 << 108;
        let mut bytes = [0; Header::MAX_LEN];
        Header { ssrc: 0, base: 0, mask }.write(&mut bytes);
        assert_eq!(bytes[8..12], [1, 0, 0, 0]);
        assert_eq!(bytes[18..24], [0x40, 0x01, 0x40, 0, 0, 0]);
        assert_eq!(bytes[24..], [0xc0, 0, 0, 0, 0, 0, 0, 0x01]);
    }

    #[test]
    fn what_is_of_no_use_is_refused() {
        let good = [0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 0, 7, 0xc0, 0];
        assert!(Header::parse(&good).unwrap().0.packets().eq([7]));
        for (at, value) in [(0, 0x80), (0, 0x40), (8, 0), (8, 2), (18, 0x80), (18, 0x40)] {
            let mut bad = good;
            bad[at] = value;
            assert_eq!(Header::parse(&bad), None, "{value:#x} at {at}");
        }
    }
}
