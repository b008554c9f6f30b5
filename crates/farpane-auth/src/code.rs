//! The one-time code that a person reads out or types: a routing id, which finds the host, and a secret, which
//! never leaves the two ends. Symbols are Crockford base 32 (<https://www.crockford.com/base32.html>).

use std::fmt;

use rand_core::{OsRng, RngCore};
use zeroize::{Zeroize, ZeroizeOnDrop};

/// Symbols of a routing id: 20 bits.
pub const ROUTING_SYMBOLS: usize = 4;

/// Symbols of a secret: 40 bits.
pub const SECRET_SYMBOLS: usize = 8;

const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// What the meeting point knows a share by. Not a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RoutingId([u8; ROUTING_SYMBOLS]);

impl RoutingId {
    /// A random one; whoever hands them out sees to it that no two live shares have the same.
    pub fn random() -> RoutingId {
        RoutingId(random_symbols())
    }

    /// Reads exactly four symbols, as forgivingly as [`Code::parse`].
    ///
    /// # Errors
    /// [`CodeError`] says which symbol is not one or how many there are.
    pub fn parse(text: &str) -> Result<RoutingId, CodeError> {
        parse_symbols(text).map(RoutingId)
    }

    /// The four symbols, upper case.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("symbols are ASCII")
    }
}

impl fmt::Display for RoutingId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The part of a code that only the host and the person it was told to know. Wiped from memory when dropped; it has no
/// `Display`, and its `Debug` shows nothing.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Secret([u8; SECRET_SYMBOLS]);

impl Secret {
    fn random() -> Secret {
        Secret(random_symbols())
    }

    /// The password of the key exchange: eight symbols, upper case, no dash.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// A whole one-time code.
#[derive(Clone, Debug)]
pub struct Code {
    routing_id: RoutingId,
    secret: Secret,
}

impl Code {
    /// A code with a fresh random secret.
    pub fn generate(routing_id: RoutingId) -> Code {
        Code { routing_id, secret: Secret::random() }
    }

    /// Reads a code as people type it: spaces and dashes are passed over, case does not matter, and the letters that
    /// look like digits count as them (O as 0, I and L as 1).
    ///
    /// # Errors
    /// [`CodeError`] says which symbol is not one or how many there are; it never repeats the rest of the text.
    pub fn parse(text: &str) -> Result<Code, CodeError> {
        let symbols: [u8; ROUTING_SYMBOLS + SECRET_SYMBOLS] = parse_symbols(text)?;
        let (routing_id, secret) = symbols.split_at(ROUTING_SYMBOLS);
        Ok(Code {
            routing_id: RoutingId(routing_id.try_into().expect("split at its length")),
            secret: Secret(secret.try_into().expect("split at its length")),
        })
    }

    /// The part that finds the host.
    pub fn routing_id(&self) -> RoutingId {
        self.routing_id
    }

    /// The part that must not leave the host, nor the viewer.
    pub fn secret(&self) -> &Secret {
        &self.secret
    }

    /// The code as it is shown to the person at the host, `ABCD-EFGH-JKMN`. The one way to get at the secret: not for
    /// logs.
    pub fn reveal(&self) -> String {
        let secret = std::str::from_utf8(&self.secret.0).expect("symbols are ASCII");
        format!("{}-{}-{}", self.routing_id, &secret[..4], &secret[4..])
    }
}

/// Why a text is not a code.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CodeError {
    #[error("'{0}' cannot be part of a code; codes are digits and letters without U")]
    Symbol(char),
    #[error("a code has {expected} letters and digits, this has {found}")]
    Length { found: usize, expected: usize },
}

fn random_symbols<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    OsRng.fill_bytes(&mut bytes);
    // 256 is a multiple of 32, so that every symbol is as likely as any other.
    bytes.map(|byte| ALPHABET[usize::from(byte % 32)])
}

fn parse_symbols<const N: usize>(text: &str) -> Result<[u8; N], CodeError> {
    let mut symbols = [0; N];
    let mut found = 0;
    for character in text.chars() {
        if character.is_whitespace()
            || matches!(character, '-' | '\u{2010}'..='\u{2015}' | '\u{2212}')
        {
            continue;
        }
        let symbol = match character.to_ascii_uppercase() {
            'O' => '0',
            'I' | 'L' => '1',
            other => other,
        };
        let Some(&symbol) = ALPHABET.iter().find(|&&known| char::from(known) == symbol) else {
            return Err(CodeError::Symbol(character));
        };
        if let Some(place) = symbols.get_mut(found) {
            *place = symbol;
        }
        found += 1;
    }
    if found == N { Ok(symbols) } else { Err(CodeError::Length { found, expected: N }) }
}
