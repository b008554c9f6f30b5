//! Whether a frame's packets may leave at once.
//!
//! str0m's pacer lets 40 ms worth of 1.1 x the estimate through and then waits; at 8 Mb/s a 150 kB frame takes 120 ms.
//! Within one machine there is no link that could be overrun, so there nothing is gained by waiting.

use std::net::IpAddr;
use std::time::Duration;

use farpane_media::Time;

/// Loss here means that a socket buffer overran: the viewer cannot keep up.
const LOSS: f32 = 0.02;
const PENANCE: Duration = Duration::from_secs(10);

#[derive(Clone, Copy, Debug)]
pub(super) struct Pacing {
    same_machine: bool,
    paced_until: Time,
    now: Time,
    unpaced: bool,
}

impl Pacing {
    pub fn new() -> Pacing {
        Pacing { same_machine: false, paced_until: Time::ZERO, now: Time::ZERO, unpaced: false }
    }

    pub fn handle_route(&mut self, local: IpAddr, remote: IpAddr) {
        self.same_machine = local == remote || remote.is_loopback();
    }

    /// `loss` is the share of packets lost lately.
    pub fn handle_loss(&mut self, now: Time, loss: f32) {
        self.now = now;
        if loss > LOSS {
            self.paced_until = now + PENANCE;
        }
    }

    /// Whether to send unpaced, when that has changed.
    pub fn poll(&mut self) -> Option<bool> {
        let unpaced = self.same_machine && self.now >= self.paced_until;
        (std::mem::replace(&mut self.unpaced, unpaced) != unpaced).then_some(unpaced)
    }
}
