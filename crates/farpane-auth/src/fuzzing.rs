//! Bodies of the fuzz targets, kept here so that they compile with the code they attack.

use std::net::IpAddr;
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use farpane_wire::Message;
use farpane_wire::v1::Signal;

use crate::{Code, HostHandshake, RoutingId, Share, Step};

/// A viewer that sends anything: length-prefixed signals, one after the other, and must never be admitted.
///
/// # Panics
/// When the viewer gets in, or the share takes more than its five attempts: the finding.
pub fn handshake(data: &[u8]) {
    // Opening a share costs an Argon2, so one serves until its attempts are used up.
    static SHARE: OnceLock<Mutex<Share>> = OnceLock::new();
    let open =
        || Share::open(RoutingId::random(), Duration::ZERO).expect("the system has random numbers");
    let share = &mut *SHARE.get_or_init(|| Mutex::new(open())).lock().expect("no panic before");
    if share.attempts_left() == 0 {
        *share = open();
    }
    let _ = Code::parse(&String::from_utf8_lossy(data));
    let mut handshake = HostHandshake::new(IpAddr::from([127, 0, 0, 1]));
    let mut rest = data;
    while let Some((&length, tail)) = rest.split_first() {
        let (message, tail) = tail.split_at(tail.len().min(usize::from(length)));
        rest = tail;
        let Ok(signal) = Signal::decode(message) else { break };
        let step = handshake.handle(Duration::ZERO, share, &signal);
        assert!(!matches!(step, Step::Admitted(_)), "a viewer got in without the code");
    }
    handshake.close(share);
}
