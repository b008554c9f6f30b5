//! Requests for a key frame, thinned out: a key frame is as long as a second of deltas.

use std::time::Duration;

use farpane_media::Time;

/// Answers the first request at once, later ones ever more slowly while they go on.
///
/// Tell it of requests and of key frames that left; ask [`KeyFrames::poll`] when about to encode, and wake for
/// [`KeyFrames::poll_timeout`].
#[derive(Clone, Debug)]
pub struct KeyFrames {
    /// Since when a request is unanswered.
    asked: Option<Time>,
    /// When the latest key frame was ordered or had left.
    latest: Option<Time>,
    /// How long after that the next may be ordered.
    gap: Duration,
}

impl Default for KeyFrames {
    fn default() -> KeyFrames {
        KeyFrames { asked: None, latest: None, gap: Self::LEAST_GAP }
    }
}

impl KeyFrames {
    pub const LEAST_GAP: Duration = Duration::from_millis(500);
    pub const MOST_GAP: Duration = Duration::from_secs(2);

    /// The peer asked for a key frame: PLI (RFC 4585, section 6.3.1) or FIR (RFC 5104, section 4.3.1).
    pub fn handle_request(&mut self, now: Time) {
        self.asked.get_or_insert(now);
    }

    /// A key frame, asked for or not, has left whole: it answers what was asked before.
    pub fn handle_sent(&mut self, now: Time) {
        self.asked = None;
        self.latest = Some(now);
    }

    /// Whether the next frame must be a key frame. Saying yes counts as having ordered it.
    pub fn poll(&mut self, now: Time) -> bool {
        let Some(asked) = self.asked else { return false };
        if self.poll_timeout().is_some_and(|due| now < due) {
            return false;
        }
        // A peer that was content for a while after the last one starts afresh.
        let goes_on = self.latest.is_some_and(|latest| asked - latest < self.gap + Self::LEAST_GAP);
        self.gap = if goes_on { (self.gap * 2).min(Self::MOST_GAP) } else { Self::LEAST_GAP };
        self.asked = None;
        self.latest = Some(now);
        true
    }

    /// When [`KeyFrames::poll`] will say yes; `None` while nobody asks.
    pub fn poll_timeout(&self) -> Option<Time> {
        self.asked.map(|asked| self.latest.map_or(asked, |latest| asked.max(latest + self.gap)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(millis: u64) -> Time {
        Time::from_millis(millis)
    }

    /// Asks every 10 ms in `from..to` and returns when key frames were ordered.
    fn ordered(frames: &mut KeyFrames, from: u64, to: u64) -> Vec<u64> {
        let mut at = Vec::new();
        for now in (from..to).step_by(10) {
            frames.handle_request(ms(now));
            if frames.poll(ms(now)) {
                at.push(now);
            }
        }
        at
    }

    #[test]
    fn requests_that_go_on_are_answered_ever_more_slowly() {
        let mut frames = KeyFrames::default();
        assert_eq!(ordered(&mut frames, 0, 8_000), [0, 500, 1_500, 3_500, 5_500, 7_500]);
    }

    #[test]
    fn after_a_quiet_time_the_first_is_at_once_again() {
        let mut frames = KeyFrames::default();
        ordered(&mut frames, 0, 8_000);
        frames.handle_sent(ms(8_000));
        assert_eq!(ordered(&mut frames, 10_500, 11_500), [10_500, 11_000]);
    }

    #[test]
    fn a_request_waits_for_its_turn() {
        let mut frames = KeyFrames::default();
        assert_eq!((frames.poll(ms(0)), frames.poll_timeout()), (false, None));
        frames.handle_request(ms(100));
        assert_eq!(frames.poll_timeout(), Some(ms(100)));
        assert!(frames.poll(ms(120)));
        assert_eq!(frames.poll_timeout(), None);
        frames.handle_request(ms(130));
        assert_eq!(frames.poll_timeout(), Some(ms(620)));
        assert!(!frames.poll(ms(619)));
        assert!(frames.poll(ms(620)));
    }

    #[test]
    fn a_key_frame_that_has_left_answers_what_was_asked() {
        let mut frames = KeyFrames::default();
        frames.handle_request(ms(0));
        assert!(frames.poll(ms(0)));
        frames.handle_request(ms(200));
        frames.handle_sent(ms(300));
        assert!(!frames.poll(ms(10_000)));
        frames.handle_request(ms(10_000));
        assert!(frames.poll(ms(10_000)));
    }
}
