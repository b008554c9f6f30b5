//! Bodies of the fuzz targets, kept here so that they compile with the code they attack.

use crate::v1::{
    ControlMessage, CursorMessage, InputMessage, PointerMessage, Session, Signal, StatsMessage,
    signal::Body,
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

/// A message of a data channel; the first byte says of which.
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
    match channel % 5 {
        0 => read::<InputMessage>(data),
        1 => read::<PointerMessage>(data),
        2 => read::<CursorMessage>(data),
        3 => read::<ControlMessage>(data),
        _ => read::<StatsMessage>(data),
    }
}

/// Compares bytes, because a float may be a NaN, which equals nothing.
fn assert_stable<M: Message + Default>(message: &M) {
    let bytes = message.encode_to_vec();
    let again = M::decode(bytes.as_slice()).expect("what we wrote can be read");
    assert_eq!(again.encode_to_vec(), bytes);
}
