//! Media on its way through a meeting point that is to carry it and learn nothing of it.
//!
//! Each direction of a line has its own key ([`MediaKeys`]). Messages are encrypted by AES-256-GCM (NIST SP 800-38D); the
//! nonce is the message's number, which does not travel: a line keeps its order, so that what is left out, repeated or put
//! in another order does not open. No line has a second pair of keys, and no number is used twice under one.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, MAX_TAG_LEN, NONCE_LEN, Nonce, UnboundKey};
use farpane_auth::MediaKeys;

/// What encryption adds to a message, in bytes.
pub const MEDIA_OVERHEAD: usize = MAX_TAG_LEN;

/// Both ends of a side's line.
pub fn media_ends(keys: &MediaKeys) -> (MediaSeal, MediaOpen) {
    (MediaSeal(Counted::new(&keys.send)), MediaOpen(Some(Counted::new(&keys.receive))))
}

/// The message is not the other end's next one, or comes after one that was not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the message is not the other end's next one")]
pub struct Forged;

/// The sending end of a direction.
#[derive(Debug)]
pub struct MediaSeal(Counted);

/// The receiving end of a direction. It takes no message after a bad one.
#[derive(Debug)]
pub struct MediaOpen(Option<Counted>);

#[derive(Debug)]
struct Counted {
    key: LessSafeKey,
    next: u64,
}

impl Counted {
    fn new(key: &[u8; 32]) -> Counted {
        let key =
            UnboundKey::new(&AES_256_GCM, key).expect("the key has the length of the cipher's");
        Counted { key: LessSafeKey::new(key), next: 0 }
    }

    fn nonce(&mut self) -> Nonce {
        let mut nonce = [0; NONCE_LEN];
        nonce[NONCE_LEN - 8..].copy_from_slice(&self.next.to_be_bytes());
        // At a million messages a second it lasts for half a million years.
        self.next += 1;
        Nonce::assume_unique_for_key(nonce)
    }
}

impl MediaSeal {
    /// Encrypts the next message in its place; it gets longer by [`MEDIA_OVERHEAD`].
    pub fn seal(&mut self, message: &mut Vec<u8>) {
        let nonce = self.0.nonce();
        self.0
            .key
            .seal_in_place_append_tag(nonce, Aad::empty(), message)
            .expect("no message comes near the 64 GB that the cipher takes");
    }
}

impl MediaOpen {
    /// Decrypts the next message in its place.
    ///
    /// # Errors
    /// [`Forged`] when it is not the other end's next message, and ever after.
    pub fn open<'a>(&mut self, message: &'a mut [u8]) -> Result<&'a [u8], Forged> {
        let mut counted = self.0.take().ok_or(Forged)?;
        let nonce = counted.nonce();
        let opened = counted.key.open_in_place(nonce, Aad::empty(), message);
        let plain = opened.map_err(|_| Forged)?;
        self.0 = Some(counted);
        Ok(plain)
    }
}
