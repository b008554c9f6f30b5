//! Bodies of the fuzz targets, kept here so that they compile with the code they attack.

use crate::opening::{MAX_OPENING, Opening};
use crate::v1::{
    ControlMessage, CursorMessage, InputMessage, PointerMessage, Session, Signal, StatsMessage,
    StreamMessage, signal::Body,
};
use crate::{Message, decode_channel, decode_signal};

/// A signalling message, and the session message inside if there is one.
///
/// # Panics
/// When what was read is not written and read again as the same: the finding.
pub fn signal(data: &[u8]) {
    let Ok(signal) = decode_signal(data) else { return };
    assert_stable::<Signal>(&signal);
    if let Some(Body::Sealed(sealed)) = &signal.body
        && let Ok(session) = Session::decode(sealed.payload.as_slice())
    {
        assert_stable(&session);
    }
}

/// A message of a data channel or of a stream; the first byte says of which.
///
/// # Panics
/// As [`signal`].
pub fn channel(data: &[u8]) {
    fn read<M: Message + Default>(data: &[u8]) {
        if let Ok(message) = decode_channel::<M>(data) {
            assert_stable(&message);
        }
    }
    let Some((channel, data)) = data.split_first() else { return };
    match channel % 6 {
        0 => read::<InputMessage>(data),
        1 => read::<PointerMessage>(data),
        2 => read::<CursorMessage>(data),
        3 => read::<ControlMessage>(data),
        4 => read::<StatsMessage>(data),
        _ => read::<StreamMessage>(data),
    }
}

/// The first bytes of a TCP connection.
///
/// # Panics
/// When more are wanted than are allowed, when what follows a check or how it was cut makes a difference, or when the
/// addressee is not in it.
pub fn opening(data: &[u8]) {
    let whole = crate::opening::opening(data);
    if let Opening::Incomplete(wanted) = whole {
        assert!(wanted > data.len() && wanted <= MAX_OPENING);
    }
    if let Opening::Check { ufrag } = whole {
        assert!(data.windows(ufrag.len()).any(|window| window == ufrag.as_bytes()));
    }
    // As it comes in, each time as much as is asked for.
    let mut len = 0;
    loop {
        match crate::opening::opening(&data[..len]) {
            Opening::Incomplete(wanted) if wanted <= data.len() => len = wanted,
            // A first byte alone may rule a check out.
            Opening::Incomplete(_) => break assert!(!matches!(whole, Opening::Check { .. })),
            decided => break assert_eq!(decided, whole),
        }
    }
}

/// Compares bytes, because a float may be a NaN, which equals nothing.
fn assert_stable<M: Message + Default>(message: &M) {
    let bytes = message.encode_to_vec();
    let again = M::decode(bytes.as_slice()).expect("what we wrote can be read");
    assert_eq!(again.encode_to_vec(), bytes);
}
