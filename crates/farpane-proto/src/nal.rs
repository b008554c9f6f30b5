//! H.264 NAL unit types and what RFC 6184 makes of the numbers that H.264 leaves free.

pub(crate) const TYPE: u8 = 0x1f;
pub(crate) const NRI: u8 = 0x60;
pub(crate) const FORBIDDEN: u8 = 0x80;

pub(crate) const IDR: u8 = 5;
pub(crate) const SPS: u8 = 7;
pub(crate) const DELIMITER: u8 = 9;
pub(crate) const FILLER: u8 = 12;
pub(crate) const STAP_A: u8 = 24;
pub(crate) const FU_A: u8 = 28;

pub(crate) const FU_START: u8 = 0x80;
pub(crate) const FU_END: u8 = 0x40;

/// Whether H.264 itself assigns this type; RFC 6184, table 1, uses the rest for packets.
pub(crate) const fn is_nal(header: u8) -> bool {
    matches!(header & TYPE, 1..=23)
}
