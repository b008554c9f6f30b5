//! What of the coded pictures one of several viewers is sent: those that it can decode, for as long as its path keeps up.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use farpane_media::Time;

use super::Picture;

/// What a path does not take in this time it is not sent any more.
const LATE: Duration = Duration::from_secs(1);
/// A start fills a slow path for a while. For so long after one nothing is given up: where the path carries more than comes, it
/// catches up, and elsewhere what is shown is no older than it would be without.
const CATCHING_UP: Duration = Duration::from_secs(4);
/// Pictures that are remembered: as many as any that may be referred to lies back.
const REMEMBERED: usize = 512;

/// Pictures wait here for a path that is slower than the one they were coded for.
#[derive(Debug, Default)]
pub(crate) struct Follow {
    waiting: VecDeque<(Time, Arc<Picture>)>,
    /// By number, what was sent since the last start, and when that was.
    sent: VecDeque<u32>,
    start: Time,
    /// Of what has been coded the viewer was sent the newest, or it waits here.
    whole: bool,
}

impl Follow {
    /// A picture was coded.
    pub fn push(&mut self, now: Time, picture: Arc<Picture>) {
        let reference = picture.reference();
        let known = match reference {
            None => true,
            Some(reference) if self.waits(reference) => true,
            Some(reference) => self.sent.contains(&reference),
        };
        self.whole = known;
        if !known {
            return;
        }
        if reference.is_none() {
            // Nothing before it is needed any more.
            self.waiting.clear();
            self.sent.clear();
        }
        self.waiting.push_back((now, picture));
    }

    /// The next picture to send. What others do without is left out once there is something newer.
    pub fn pop(&mut self, now: Time) -> Option<Arc<Picture>> {
        let (_, mut picture) = self.waiting.pop_front()?;
        while picture.is_discardable()
            && let Some((_, newer)) = self.waiting.pop_front()
        {
            picture = newer;
        }
        if picture.reference().is_none() {
            self.start = now;
        }
        if self.sent.len() == REMEMBERED {
            self.sent.pop_front();
        }
        self.sent.push_back(picture.number());
        Some(picture)
    }

    /// Gives up what has waited for too long.
    pub fn handle_timeout(&mut self, now: Time) {
        if self.poll_timeout() <= now {
            self.waiting.clear();
            self.whole = false;
        }
    }

    pub fn poll_timeout(&self) -> Time {
        let late = |since: Time| (since + LATE).max(self.start + CATCHING_UP);
        self.waiting.front().map_or(Time::NEVER, |(since, _)| late(*since))
    }

    /// The viewer has nothing to go on from.
    pub fn handle_loss(&mut self) {
        *self = Follow::default();
    }

    /// Whether a start is needed for the viewer to see what is there now, and there is room for one.
    pub fn lacks(&self) -> bool {
        !self.whole && self.waiting.is_empty()
    }

    fn waits(&self, number: u32) -> bool {
        self.waiting.iter().any(|(_, picture)| picture.number() == number)
    }
}

#[cfg(test)]
mod tests {
    use farpane_proto::{Layer, PacketMeta};

    use super::*;

    const fn ms(millis: u64) -> Time {
        Time::from_millis(millis)
    }

    fn picture(number: u32, reference: Option<u32>) -> Arc<Picture> {
        let mut picture = Picture::default();
        picture.push(b"", PacketMeta { number, reference, marker: true, ..PacketMeta::default() });
        Arc::new(picture)
    }

    fn push_discardable(follow: &mut Follow, at: Time, number: u32, reference: u32) {
        let reference = Some(reference);
        let meta = PacketMeta { number, reference, marker: true, ..PacketMeta::default() };
        let mut picture = Picture::default();
        picture.push(b"", PacketMeta { layer: Layer::Upper, ..meta });
        follow.push(at, Arc::new(picture));
    }

    fn push(follow: &mut Follow, at: Time, number: u32, reference: Option<u32>) {
        follow.push(at, picture(number, reference));
    }

    fn sent(follow: &mut Follow) -> Vec<u32> {
        std::iter::from_fn(|| follow.pop(ms(0))).map(|picture| picture.number()).collect()
    }

    #[test]
    fn a_newcomer_begins_with_a_key_frame() {
        let mut follow = Follow::default();
        assert!(follow.lacks());
        push(&mut follow, ms(0), 7, Some(6));
        assert!(follow.lacks());
        push(&mut follow, ms(1), 8, None);
        push(&mut follow, ms(2), 9, Some(8));
        assert!(!follow.lacks());
        assert_eq!(sent(&mut follow), [8, 9]);
        assert!(!follow.lacks());
    }

    #[test]
    fn what_waits_too_long_takes_all_that_builds_on_it_along() {
        let mut follow = Follow::default();
        push(&mut follow, ms(0), 1, None);
        assert_eq!(sent(&mut follow), [1]);
        push(&mut follow, ms(5_010), 2, Some(1));
        push(&mut follow, ms(5_900), 3, Some(2));
        follow.handle_timeout(ms(6_009));
        assert!(!follow.lacks());
        follow.handle_timeout(ms(6_010));
        assert!(follow.lacks());
        push(&mut follow, ms(6_100), 4, Some(3));
        assert_eq!((sent(&mut follow), follow.lacks()), (vec![], true));
        // A picture that goes on from what the viewer has is as good as a start.
        push(&mut follow, ms(6_200), 5, Some(1));
        push(&mut follow, ms(6_300), 6, Some(5));
        assert_eq!((sent(&mut follow), follow.lacks()), (vec![5, 6], false));
    }

    #[test]
    fn after_a_start_there_is_time_to_catch_up() {
        let mut follow = Follow::default();
        push(&mut follow, ms(0), 1, None);
        assert!(follow.pop(ms(100)).is_some());
        push(&mut follow, ms(200), 2, Some(1));
        follow.handle_timeout(ms(4_099));
        assert!(!follow.lacks());
        follow.handle_timeout(ms(4_100));
        assert!(follow.lacks());
    }

    #[test]
    fn after_a_loss_only_a_key_frame_will_do() {
        let mut follow = Follow::default();
        push(&mut follow, ms(0), 1, None);
        push(&mut follow, ms(0), 2, Some(1));
        assert_eq!(sent(&mut follow), [1, 2]);
        follow.handle_loss();
        push(&mut follow, ms(1), 3, Some(2));
        assert_eq!((sent(&mut follow), follow.lacks()), (vec![], true));
        push(&mut follow, ms(2), 4, None);
        assert_eq!((sent(&mut follow), follow.lacks()), (vec![4], false));
    }

    #[test]
    fn a_slow_path_is_spared_what_others_do_without() {
        let mut follow = Follow::default();
        push(&mut follow, ms(0), 1, None);
        push_discardable(&mut follow, ms(1), 2, 1);
        assert_eq!(sent(&mut follow), [1, 2], "the newest is worth it");
        push(&mut follow, ms(2), 3, Some(1));
        push_discardable(&mut follow, ms(3), 4, 3);
        push(&mut follow, ms(4), 5, Some(3));
        push_discardable(&mut follow, ms(5), 6, 5);
        push_discardable(&mut follow, ms(6), 7, 5);
        assert_eq!((sent(&mut follow), follow.lacks()), (vec![3, 5, 7], false));
        push(&mut follow, ms(7), 8, Some(5));
        assert_eq!((sent(&mut follow), follow.lacks()), (vec![8], false));
    }

    #[test]
    fn a_key_frame_overtakes_what_waits() {
        let mut follow = Follow::default();
        push(&mut follow, ms(0), 1, None);
        push(&mut follow, ms(1), 2, Some(1));
        push(&mut follow, ms(2), 3, None);
        push(&mut follow, ms(3), 4, Some(3));
        assert_eq!(sent(&mut follow), [3, 4]);
    }
}
