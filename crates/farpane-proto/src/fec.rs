//! Forward error correction of RTP: parity packets, from which a receiver makes anew what got lost without asking for it.
//!
//! The format is that of draft-ietf-payload-flexible-fec-scheme-03, section 4.2, named `flexfec-03` in SDP, which
//! Chromium takes (RFC 8627 has another header). A parity packet is the exclusive or of some packets of one stream; with
//! all but one of them the last follows. [`Protector`] makes them, [`Recoverer`] uses them, and [`Strength`] says how many
//! are worth sending. [`Copies`] are parity of single packets.

mod copies;
mod header;
mod protector;
mod recoverer;
mod strength;

pub use copies::{Copies, Duplicate};
pub use header::{Header, MAX_SPAN};
pub use protector::Protector;
pub use recoverer::{MAX_PACKET, Recoverer};
pub use strength::Strength;

use crate::rtp::{FIXED_LEN, Packet, ParseError};

/// What of a parity packet stands for the first bytes of the fixed RTP header and for the length of all after it.
const RECOVERY_LEN: usize = 8;

/// Appends a packet to `out`, with zeros for extensions that change on the way or differ in what is sent again: parity
/// is made without them, at both ends. Local identifiers of such are `volatile`.
fn append(packet: &[u8], volatile: &[u8], out: &mut Vec<u8>) -> Result<(), ParseError> {
    let parsed = Packet::parse(packet)?;
    let start = out.len();
    out.extend_from_slice(packet);
    for (range, element) in parsed.placed_elements() {
        if volatile.contains(&element.id) {
            out[start + range.start..start + range.end].fill(0);
        }
    }
    Ok(())
}

/// Adds a packet to the parity in `body`: `recovery` for the start of the header, `body` for what follows the fixed header.
fn add(packet: &[u8], recovery: &mut [u8; RECOVERY_LEN], body: &mut [u8]) {
    let (fixed, rest) = packet.split_at(FIXED_LEN);
    let len = (rest.len() as u16).to_be_bytes();
    let start = [fixed[0], fixed[1], len[0], len[1], fixed[4], fixed[5], fixed[6], fixed[7]];
    xor(recovery, &start);
    xor(body, rest);
}

/// Adds `from` to the start of `to`, which is at least as long.
fn xor(to: &mut [u8], from: &[u8]) {
    let (to_words, to_bytes) = to[..from.len()].as_chunks_mut::<8>();
    let (from_words, from_bytes) = from.as_chunks::<8>();
    for (to, from) in to_words.iter_mut().zip(from_words) {
        *to = (u64::from_ne_bytes(*to) ^ u64::from_ne_bytes(*from)).to_ne_bytes();
    }
    to_bytes.iter_mut().zip(from_bytes).for_each(|(to, from)| *to ^= from);
}
