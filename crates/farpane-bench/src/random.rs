//! Numbers that look random and are the same on every machine.

/// A hash of three numbers (splitmix64's finaliser: Steele, Lea and Flood 2014).
pub(crate) fn hash(seed: u64, a: u64, b: u64) -> u64 {
    let mut z = seed
        .wrapping_add(a.wrapping_mul(0x9e37_79b9_7f4a_7c15))
        .wrapping_add(b.wrapping_mul(0xd1b5_4a32_d192_ed03));
    z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}

/// One of `0..end` for three numbers.
pub(crate) fn below(end: u32, seed: u64, a: u64, b: u64) -> u32 {
    (hash(seed, a, b) % u64::from(end.max(1))) as u32
}
