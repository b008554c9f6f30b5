//! The encoder's target from the transport's estimate, and how often a key frame may be asked of it.

mod by_loss;
mod congestion;
mod key_frames;
mod pacer;

pub use by_loss::LossRate;
pub use congestion::Congestion;
pub use key_frames::KeyFrames;
pub use pacer::Pacer;

use farpane_media::{Bitrate, Size};

/// Turns the path's estimated capacity into what the encoder shall aim at.
///
/// Screen content comes in bursts that no encoder holds to its target exactly, and a queue on the path is delay; so the
/// target stays well under the estimate. What retransmissions take is not there for new pictures.
#[derive(Clone, Debug)]
pub struct Controller {
    ceiling: Bitrate,
    estimate: Bitrate,
    resent: Bitrate,
    target: Bitrate,
}

impl Controller {
    /// The share of the estimate that the encoder gets.
    pub const SHARE: f64 = 0.8;
    /// Below this text becomes unreadable: better fewer frames than a lower target.
    pub const FLOOR: Bitrate = Bitrate::kbps(300);
    /// Bits per second that a pixel is worth at most: 20.7 Mb/s at 1920x1080, where text is already near-lossless.
    const BITS_PER_PIXEL: u64 = 10;
    /// The ceiling of a small picture, whose key frames would otherwise take seconds.
    const LEAST_CEILING: Bitrate = Bitrate::mbps(2);
    /// The smallest step that is worth reconfiguring an encoder for, in percent of the target.
    const STEP: u64 = 5;

    /// For pictures of `size` on a path first estimated at `estimate`.
    pub fn new(size: Size, estimate: Bitrate) -> Controller {
        let mut controller = Controller {
            ceiling: ceiling(size),
            estimate,
            resent: Bitrate::ZERO,
            target: Bitrate::ZERO,
        };
        controller.target = controller.wanted();
        controller
    }

    pub fn target(&self) -> Bitrate {
        self.target
    }

    /// The path is now estimated at `estimate`, of which `resent` goes to retransmissions. Returns the new target when
    /// it has changed enough to tell the encoder.
    pub fn handle_estimate(&mut self, estimate: Bitrate, resent: Bitrate) -> Option<Bitrate> {
        (self.estimate, self.resent) = (estimate, resent);
        self.update()
    }

    /// Pictures now have this size.
    pub fn handle_size(&mut self, size: Size) -> Option<Bitrate> {
        self.ceiling = ceiling(size);
        self.update()
    }

    fn wanted(&self) -> Bitrate {
        let free = Bitrate::bps(self.estimate.as_bps().saturating_sub(self.resent.as_bps()));
        (free * Self::SHARE).clamp(Self::FLOOR, self.ceiling)
    }

    fn update(&mut self) -> Option<Bitrate> {
        let wanted = self.wanted();
        let step = wanted.as_bps().abs_diff(self.target.as_bps());
        if step * 100 < self.target.as_bps() * Self::STEP {
            return None;
        }
        self.target = wanted;
        Some(wanted)
    }
}

fn ceiling(size: Size) -> Bitrate {
    Bitrate::bps(size.pixels().saturating_mul(Controller::BITS_PER_PIXEL))
        .max(Controller::LEAST_CEILING)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HD: Size = Size::new(1920, 1080);

    #[test]
    fn the_target_is_a_share_of_what_retransmissions_leave() {
        let mut controller = Controller::new(HD, Bitrate::mbps(10));
        assert_eq!(controller.target(), Bitrate::mbps(8));
        assert_eq!(
            controller.handle_estimate(Bitrate::mbps(10), Bitrate::mbps(5)),
            Some(Bitrate::mbps(4))
        );
    }

    #[test]
    fn floor_and_ceiling_hold() {
        let mut controller = Controller::new(HD, Bitrate::mbps(1_000));
        assert_eq!(controller.target(), Bitrate::bps(20_736_000));
        assert_eq!(controller.handle_size(Size::new(64, 64)), Some(Bitrate::mbps(2)));
        assert_eq!(
            controller.handle_estimate(Bitrate::ZERO, Bitrate::mbps(1)),
            Some(Controller::FLOOR)
        );
        assert_eq!(
            controller.handle_size(Size::default()),
            None,
            "the floor is under every ceiling"
        );
    }

    #[test]
    fn small_changes_do_not_reach_the_encoder_but_add_up() {
        let mut controller = Controller::new(HD, Bitrate::kbps(10_000));
        assert_eq!(controller.handle_estimate(Bitrate::kbps(10_400), Bitrate::ZERO), None);
        assert_eq!(controller.target(), Bitrate::mbps(8));
        assert_eq!(
            controller.handle_estimate(Bitrate::kbps(10_500), Bitrate::ZERO),
            Some(Bitrate::kbps(8_400))
        );
        assert_eq!(controller.handle_estimate(Bitrate::kbps(10_500), Bitrate::ZERO), None);
    }
}
