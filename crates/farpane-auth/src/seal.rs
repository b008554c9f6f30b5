//! Signalling that the meeting point can relay but neither forge, replay, reorder nor carry into another session.
//!
//! Each direction of each line has its own key, HKDF-SHA256 (RFC 5869) of the OPAQUE session key, without a salt and
//! with the info `"farpane v1 host ABCD 0"` or `"farpane v1 viewer ABCD 0"`, `ABCD` being the routing id and `0` the line's
//! number in decimals. Each message carries HMAC-SHA256 (RFC 2104) over its sequence number and its payload.
//!
//! A line is one connection to the meeting point. The exchange itself is on line 0; a viewer whose connection is gone
//! comes back on the next line, and what it proves there is that it can seal that line's first message. As no number is
//! ever taken twice, nothing of an earlier line means anything on a later one, however much of it was lost.
//!
//! This is also the transcript MAC over both DTLS fingerprints and ICE credentials: they travel inside whole
//! descriptions, which travel sealed and nowhere else, so every byte of them is covered. A second MAC over values cut out
//! of the SDP would cover nothing more and would add a parser for two languages to agree on. It could only add that an
//! answer belongs to its offer, and that holds already: the session key is fresh for each exchange and the sequence
//! of each direction has no gaps, so the first answer that opens is the answer to the first offer. What remains
//! for the transport is to refuse a DTLS certificate that does not match the fingerprint of the opened description.

use farpane_wire::v1::{Sealed, Session};
use farpane_wire::{MAX_SIGNAL_BYTES, Message};
use hkdf::Hkdf;
use hmac::{Hmac, Mac};
use sha2::Sha256;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::RoutingId;

/// Room for what surrounds the payload in a `Signal`: sequence number, MAC and the lengths of all.
const OVERHEAD: usize = 64;

/// What both sides hold after the exchange: the keys of all lines. Wiped from memory when dropped.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct SessionKeys {
    session_key: Vec<u8>,
    #[zeroize(skip)]
    routing_id: RoutingId,
}

impl SessionKeys {
    pub(crate) fn new(session_key: &[u8], routing_id: RoutingId) -> SessionKeys {
        SessionKeys { session_key: session_key.to_vec(), routing_id }
    }

    /// The host's ends of both directions of a line. Never ask twice for the same.
    pub fn host_side(&self, line: u32) -> (Seal, Open) {
        self.ends(line, "host", "viewer")
    }

    /// The viewer's ends of both directions of a line. Never ask twice for the same.
    pub fn viewer_side(&self, line: u32) -> (Seal, Open) {
        self.ends(line, "viewer", "host")
    }

    /// The host's keys of a line that carries media, which takes a number of its own. Never ask twice for the same.
    pub fn host_media_keys(&self, line: u32) -> MediaKeys {
        self.media_keys(line, "host", "viewer")
    }

    /// The viewer's keys of a line that carries media. Never ask twice for the same.
    pub fn viewer_media_keys(&self, line: u32) -> MediaKeys {
        self.media_keys(line, "viewer", "host")
    }

    fn media_keys(&self, line: u32, own: &str, other: &str) -> MediaKeys {
        let key = |side| self.key(format_args!("{side} media"), line);
        MediaKeys { send: key(own), receive: key(other) }
    }

    fn ends(&self, line: u32, own: &str, other: &str) -> (Seal, Open) {
        let key = |side| self.key(format_args!("{side}"), line);
        (Seal { key: *key(own), next: 0 }, Open { key: *key(other), next: Some(0) })
    }

    fn key(&self, purpose: std::fmt::Arguments<'_>, line: u32) -> Zeroizing<[u8; 32]> {
        let hkdf = Hkdf::<Sha256>::new(None, &self.session_key);
        let info = format!("farpane v1 {purpose} {} {line}", self.routing_id.as_str());
        let mut key = Zeroizing::new([0; 32]);
        hkdf.expand(info.as_bytes(), &mut *key).expect("32 bytes are within the limit of HKDF");
        key
    }
}

/// Keys of both directions of a line that carries media, HKDF-SHA256 as for signalling with the info
/// `"farpane v1 host media ABCD 1"`. Wiped from memory when dropped.
pub struct MediaKeys {
    pub send: Zeroizing<[u8; 32]>,
    pub receive: Zeroizing<[u8; 32]>,
}

impl std::fmt::Debug for SessionKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SessionKeys(..)")
    }
}

/// Why a message was not sealed or opened. The session it belongs to is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    #[error("the message was not made by the other end of this session")]
    Forged,
    #[error("message {found} came where {expected} was due")]
    Order { found: u64, expected: u64 },
    #[error("the other end sent something that is not a session message")]
    Malformed,
    #[error("the message is {0} bytes long, too long to send")]
    TooLong(usize),
    #[error("an earlier message was bad")]
    Closed,
}

/// The sending end of a direction.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct Seal {
    key: [u8; 32],
    next: u64,
}

impl Seal {
    /// Seals the next message.
    ///
    /// # Errors
    /// [`SealError::TooLong`] when it would not fit into a `Signal`; nothing is used up then.
    pub fn seal(&mut self, session: &Session) -> Result<Sealed, SealError> {
        let payload = session.encode_to_vec();
        if payload.len() > MAX_SIGNAL_BYTES - OVERHEAD {
            return Err(SealError::TooLong(payload.len()));
        }
        let seq = self.next;
        self.next += 1;
        let mac = mac(&self.key, seq, &payload).finalize().into_bytes().to_vec();
        Ok(Sealed { seq, payload, mac })
    }
}

/// The receiving end of a direction. It takes no message after a bad one.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct Open {
    key: [u8; 32],
    next: Option<u64>,
}

impl Open {
    /// Opens the next message: first the MAC, in constant time, then the number, and only then the content.
    ///
    /// # Errors
    /// [`SealError`] says what was wrong; end the session.
    pub fn open(&mut self, sealed: &Sealed) -> Result<Session, SealError> {
        let expected = self.next.take().ok_or(SealError::Closed)?;
        mac(&self.key, sealed.seq, &sealed.payload)
            .verify_slice(&sealed.mac)
            .map_err(|_| SealError::Forged)?;
        if sealed.seq != expected {
            return Err(SealError::Order { found: sealed.seq, expected });
        }
        let session =
            Session::decode(sealed.payload.as_slice()).map_err(|_| SealError::Malformed)?;
        self.next = expected.checked_add(1);
        Ok(session)
    }
}

fn mac(key: &[u8; 32], seq: u64, payload: &[u8]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(&seq.to_be_bytes());
    mac.update(payload);
    mac
}
