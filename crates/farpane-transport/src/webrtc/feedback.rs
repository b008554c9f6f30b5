//! Transport-wide numbers of packets, and reports on them (draft-holmer-rmcat-transport-wide-cc-extensions-01): packets and
//! reports have the last 16 bits of a number only.

use std::time::Instant;

use str0m::rtp::rtcp::Twcc;

use crate::outbox::Fate;

pub(super) struct Feedback {
    /// The number of the packet that leaves next.
    next: u64,
    /// What the receiver's clock counts from, as far as anybody here knows.
    epoch: Instant,
    /// The last report, so that it keeps its memory for the next.
    report: Vec<Fate>,
}

impl Feedback {
    pub(super) fn new(epoch: Instant) -> Feedback {
        Feedback { next: 0, epoch, report: Vec::new() }
    }

    /// A packet has left; its number from the last bits.
    pub(super) fn handle_sent(&mut self, low: u16) -> u64 {
        let number = extend(self.next, low);
        self.next = number + 1;
        number
    }

    /// What the viewer says, by rising numbers.
    pub(super) fn handle_report(&mut self, report: Twcc) -> &[Fate] {
        self.report.clear();
        let fates = report.into_iter(self.epoch, self.next.into());
        let since = |at: Instant| at.duration_since(self.epoch);
        self.report.extend(fates.map(|(number, _, at)| (*number, at.map(since))));
        &self.report
    }
}

/// The number nearest to `near` that ends in `low`.
pub(super) fn extend(near: u64, low: u16) -> u64 {
    let distance = low.wrapping_sub(near as u16) as i16;
    near.saturating_add_signed(distance.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_extended_to_the_nearest() {
        assert_eq!(extend(0x1_0002, 0xffff), 0xffff);
        assert_eq!(extend(0xfffe, 1), 0x1_0001);
        assert_eq!(extend(5, 5), 5);
    }
}
