//! Whether a frame's packets may leave at once.
//!
//! str0m's pacer lets pass what 1.1 x the estimate carries in 40 ms, at most 63 kB, then waits as long: at 8 Mb/s a frame
//! of 150 kB takes 120 ms. Between programs of one machine there is no link to be overrun and nothing is gained by it.
//! Elsewhere a burst that the path cannot hold makes the estimate collapse, and with it the picture.

use std::net::IpAddr;
use std::time::Duration;

use farpane_media::{Bitrate, Time};

use crate::Protocol;

/// Between programs of one machine, a sign that the viewer cannot keep up, or of a link after all (a traffic shaper).
const MAX_LOSS: f32 = 0.02;
const MIN_ESTIMATE: Bitrate = Bitrate::mbps(4);
/// For how long after such a sign the stream is paced.
const CAUTION: Duration = Duration::from_secs(10);

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Pacing {
    same_machine: bool,
    paced_until: Time,
}

impl Pacing {
    /// Media goes from `local` to `remote` now. TCP from this machine to itself is the near end of a tunnel more often
    /// than not.
    pub fn handle_route(&mut self, protocol: Protocol, local: IpAddr, remote: IpAddr) {
        self.same_machine = protocol == Protocol::Udp && (local == remote || remote.is_loopback());
    }

    /// `loss` is the share of packets that got lost over the last second.
    pub fn handle_measurement(&mut self, now: Time, loss: f32, estimate: Bitrate) {
        if loss > MAX_LOSS || estimate < MIN_ESTIMATE {
            self.paced_until = now + CAUTION;
        }
    }

    /// Whether packets may leave at once.
    pub fn unpaced(&self, now: Time) -> bool {
        self.same_machine && now >= self.paced_until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Time = Time::from_millis(1_000);

    fn pacing(local: &str, remote: &str) -> Pacing {
        pacing_by(Protocol::Udp, local, remote)
    }

    fn pacing_by(protocol: Protocol, local: &str, remote: &str) -> Pacing {
        let mut pacing = Pacing::default();
        pacing.handle_route(protocol, local.parse().unwrap(), remote.parse().unwrap());
        pacing
    }

    #[test]
    fn only_the_same_machine_gets_bursts() {
        assert!(!Pacing::default().unpaced(NOW));
        assert!(pacing("192.0.2.2", "192.0.2.2").unpaced(NOW));
        assert!(pacing("::1", "::1").unpaced(NOW));
        assert!(!pacing("192.0.2.2", "192.0.2.3").unpaced(NOW));
        assert!(!pacing_by(Protocol::Tcp, "127.0.0.1", "127.0.0.1").unpaced(NOW));
    }

    #[test]
    fn trouble_ends_them_for_a_while() {
        for (loss, estimate) in [(0.1, Bitrate::mbps(8)), (0.0, Bitrate::mbps(1))] {
            let mut pacing = pacing("127.0.0.1", "127.0.0.1");
            pacing.handle_measurement(NOW, 0.0, Bitrate::mbps(8));
            assert!(pacing.unpaced(NOW));
            pacing.handle_measurement(NOW, loss, estimate);
            assert!(!pacing.unpaced(NOW));
            assert!(pacing.unpaced(NOW + CAUTION));
        }
    }
}
