//! The link that an encoder is given: it carries the target bitrate, one picture after the other, and nothing else.

use std::time::Duration;

use farpane_media::{Bitrate, Time};

/// When what was put on the link last will have left it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Link {
    rate: Bitrate,
    free: Time,
}

impl Link {
    pub fn new(rate: Bitrate) -> Link {
        Link { rate, free: Time::ZERO }
    }

    /// Puts a picture on the link; returns when its last byte arrives.
    pub fn send(&mut self, now: Time, bytes: usize) -> Time {
        let nanos = bytes as u128 * 8 * 1_000_000_000 / u128::from(self.rate.as_bps().max(1));
        self.free = self.free.max(now) + Duration::from_nanos(nanos as u64);
        self.free
    }

    /// How long what is on the link takes to leave it.
    #[cfg(feature = "pipeline")]
    pub fn backlog(&self, now: Time) -> Duration {
        self.free.since(now)
    }

    /// When what is on the link leaves it within `time`.
    pub fn holds_no_more_than(&self, time: Duration) -> Time {
        Time::ZERO + self.free.since(Time::ZERO + time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_queue_up_and_the_link_drains() {
        let mut link = Link::new(Bitrate::mbps(8));
        assert_eq!(link.send(Time::from_millis(10), 100_000), Time::from_millis(110));
        assert_eq!(link.send(Time::from_millis(20), 10_000), Time::from_millis(120));
        assert_eq!(link.holds_no_more_than(Duration::from_millis(20)), Time::from_millis(100));
        assert_eq!(link.holds_no_more_than(Duration::from_millis(200)), Time::ZERO);
        assert_eq!(link.send(Time::from_millis(500), 1_000), Time::from_millis(501));
    }
}
