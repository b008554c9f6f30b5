//! How a TCP connection of ICE begins (RFC 6544, section 7): with a connectivity check, framed as RFC 4571 has it.
//!
//! Only as much is read as tells whom it is for. Whether it is genuine is for whoever has the password to say.

/// Longest opening that is waited for, its length included. Browsers' checks are 100 to 200 bytes.
pub const MAX_OPENING: usize = 1_024;

/// Of the frame (RFC 4571, section 2) and of the STUN message in it (RFC 8489, section 5), in bytes.
const LENGTH: usize = 2;
const HEADER: usize = 20;
const MAGIC_COOKIE: [u8; 4] = 0x2112_a442_u32.to_be_bytes();
const BINDING_REQUEST: [u8; 2] = [0x00, 0x01];
const USERNAME: [u8; 2] = [0x00, 0x06];
/// A user name fragment has 4 to 256 characters (RFC 8839, section 5.4).
const UFRAG: std::ops::RangeInclusive<usize> = 4..=256;

/// What the first bytes of a connection are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening<'a> {
    /// They may become a check, once there are so many of them; never more than [`MAX_OPENING`].
    Incomplete(usize),
    /// A check for the agent with this user name fragment.
    Check { ufrag: &'a str },
    /// Something else.
    Other,
}

/// Looks at the first bytes of a connection. What follows the check is not looked at.
pub fn opening(bytes: &[u8]) -> Opening<'_> {
    let Some((length, rest)) = bytes.split_first_chunk::<LENGTH>() else {
        // The first byte of a length that may be. No request of HTTP begins like this.
        let plausible = bytes.first().is_none_or(|high| usize::from(*high) <= MAX_OPENING >> 8);
        return if plausible { Opening::Incomplete(LENGTH) } else { Opening::Other };
    };
    let length = usize::from(u16::from_be_bytes(*length));
    if !(HEADER..=MAX_OPENING - LENGTH).contains(&length) || !length.is_multiple_of(4) {
        return Opening::Other;
    }
    match rest.get(..length) {
        None => Opening::Incomplete(LENGTH + length),
        Some(message) => match addressee(message) {
            Some(ufrag) => Opening::Check { ufrag },
            None => Opening::Other,
        },
    }
}

/// The first half of the user name of a binding request (RFC 8445, section 7.2.2).
fn addressee(message: &[u8]) -> Option<&str> {
    let (header, mut attributes) = message.split_at_checked(HEADER)?;
    let length = u16::from_be_bytes([header[2], header[3]]);
    if header[..2] != BINDING_REQUEST
        || usize::from(length) != attributes.len()
        || header[4..8] != MAGIC_COOKIE
    {
        return None;
    }
    while let Some(([high, low, a, b], rest)) = attributes.split_first_chunk::<4>() {
        let length = usize::from(u16::from_be_bytes([*a, *b]));
        let value = rest.get(..length)?;
        if [*high, *low] == USERNAME {
            let (ours, _) = std::str::from_utf8(value).ok()?.split_once(':')?;
            let ice_char = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
            return Some(ours)
                .filter(|ours| UFRAG.contains(&ours.len()) && ours.bytes().all(ice_char));
        }
        attributes = rest.get(length.next_multiple_of(4)..)?;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A framed binding request with one attribute before the user name.
    fn check(user: &str) -> Vec<u8> {
        let mut attributes = vec![0x80, 0x22, 0, 3, b'a', b'b', b'c', 0];
        attributes.extend([0, 6, 0, user.len() as u8]);
        attributes.extend(user.as_bytes());
        attributes.resize(attributes.len().next_multiple_of(4), 0);
        let mut bytes = vec![0, (HEADER + attributes.len()) as u8, 0, 1, 0, attributes.len() as u8];
        bytes.extend(MAGIC_COOKIE);
        bytes.extend([7; 12]);
        bytes.extend(attributes);
        bytes
    }

    #[test]
    fn a_check_names_its_addressee_however_it_is_cut() {
        let bytes = check("ours+/1:theirs");
        for cut in 0..bytes.len() {
            let Opening::Incomplete(wanted) = opening(&bytes[..cut]) else { panic!("at {cut}") };
            assert!(wanted > cut && wanted <= bytes.len());
        }
        assert_eq!(opening(&bytes), Opening::Check { ufrag: "ours+/1" });
        let more = [bytes, vec![0xff; 30]].concat();
        assert_eq!(opening(&more), Opening::Check { ufrag: "ours+/1" });
    }

    #[test]
    fn requests_and_tls_are_something_else_from_the_first_byte_on() {
        for first in [b'G', b'P', b'H', b'O', 0x16, 0x80, 0xff] {
            assert_eq!(opening(&[first]), Opening::Other);
        }
    }

    #[test]
    fn what_is_not_quite_a_check_is_something_else() {
        let good = check("ours:theirs");
        for (at, value, what) in [
            (1, 0xff, "a length that is no multiple of 4"),
            (1, 16, "shorter than a header"),
            (0, 4, "longer than allowed"),
            (2, 1, "a response"),
            (3, 2, "another method"),
            (5, 4, "a length that is not the frame's"),
            (6, 0, "no magic cookie"),
            (31, 0xff, "no user name"),
            (25, 0xff, "an attribute longer than the message"),
        ] {
            let mut bad = good.clone();
            bad[at] = value;
            assert_eq!(opening(&bad), Opening::Other, "{what}");
        }
        for user in ["theirs", ":theirs", "abc:theirs", "ou rs:theirs", "öüäß:theirs"] {
            assert_eq!(opening(&check(user)), Opening::Other, "{user}");
        }
    }
}
