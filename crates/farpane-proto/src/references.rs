//! What a picture may refer to: the one before it, or one that the viewer is known to have.
//!
//! The sender keeps a picture now and then, and so does every decoder. When the viewer is found to lack a picture, the
//! next one refers to a kept one that has arrived with all that it builds on, which costs what changed since and no key
//! frame. What was sent in between is given up.
//!
//! A discardable picture is one that none refers to, so that it is not missed.

use std::collections::{VecDeque, vec_deque};
use std::time::Duration;

use farpane_media::{Slot, Time};

/// What is remembered of pictures sent: more than any link has on its way.
const MOST: usize = 512;
/// A picture was to be kept and has not been heard of for so long: another takes its place.
const PATIENCE: Duration = Duration::from_secs(1);

/// A picture that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Counts pictures without a gap.
    pub number: u32,
    /// The number of the one that it refers to; none for a key frame.
    pub reference: Option<u32>,
    pub kept: Option<Slot>,
    pub discardable: bool,
}

#[derive(Clone, Copy, Debug)]
struct Picture {
    sent: Sent,
    at: Time,
    arrived: bool,
    /// Arrived, as has all that it builds on.
    shown: bool,
}

impl Picture {
    /// Others do not show without it.
    fn is_missed(&self) -> bool {
        !self.shown && !self.sent.discardable
    }
}

#[derive(Clone, Copy, Debug)]
struct Kept {
    number: u32,
    at: Time,
    shown: bool,
}

/// See the module.
#[derive(Debug, Default)]
pub struct References {
    /// With numbers that follow each other.
    pictures: VecDeque<Picture>,
    slots: [Option<Kept>; 2],
    /// The last that others may refer to.
    last: u32,
    /// The first picture of those that build on each other now: a key frame, or one that refers to a kept picture.
    start: u32,
    /// The oldest of them that is not shown yet, and since when a later one has been there.
    gap: Option<(u32, Time)>,
}

impl References {
    pub fn new() -> References {
        References { pictures: VecDeque::with_capacity(MOST), ..References::default() }
    }

    /// A picture has left; the first one ever counts as any.
    pub fn handle_sent(&mut self, now: Time, sent: Sent) {
        let Sent { number, reference, kept, discardable } = sent;
        if self.pictures.back().is_some_and(|last| last.sent.number.wrapping_add(1) != number) {
            self.pictures.clear();
            self.slots = [None; 2];
        }
        if reference.is_none() {
            self.slots = [None; 2];
        }
        if reference != Some(self.last) {
            (self.start, self.gap) = (number, None);
        }
        if !discardable {
            self.last = number;
        }
        if let Some(slot) = kept {
            self.slots[slot as usize] = Some(Kept { number, at: now, shown: false });
        }
        if self.pictures.len() == MOST {
            self.pictures.pop_front();
        }
        self.pictures.push_back(Picture { sent, at: now, arrived: false, shown: false });
    }

    /// All packets of a picture have arrived at the viewer.
    pub fn handle_arrived(&mut self, now: Time, number: u32) {
        let Some(at) = self.index(number) else { return };
        self.pictures[at].arrived = true;
        for at in at..self.pictures.len() {
            let Picture { sent, arrived, shown, .. } = self.pictures[at];
            if shown || !arrived || !self.is_shown(sent.reference) {
                if sent.discardable {
                    continue;
                }
                break;
            }
            self.pictures[at].shown = true;
            let slots = self.slots.iter_mut().flatten();
            slots.filter(|kept| kept.number == sent.number).for_each(|kept| kept.shown = true);
        }
        self.look_for_gap(now);
    }

    /// Where the next picture is to be kept, if anywhere: while one is on its way to the viewer, none.
    pub fn keep(&self, now: Time) -> Option<Slot> {
        let Some(safe) = self.safe() else {
            return if self.awaited(Slot::First, now) { None } else { Some(Slot::First) };
        };
        let other = safe.other();
        if self.awaited(other, now) { None } else { Some(other) }
    }

    /// The newest kept picture that the viewer has, to go on from: its slot and number.
    pub fn recovery(&self) -> Option<(Slot, u32)> {
        let slot = self.safe()?;
        let number = self.slots[slot as usize]?.number;
        self.index(number).map(|_| (slot, number))
    }

    /// Since when the viewer has had a picture without one that it builds on. What is sent again may still come.
    pub fn stuck_since(&self) -> Option<Time> {
        self.gap.map(|(_, since)| since)
    }

    /// When the last picture was sent, if it has not arrived yet. Nothing after it shows the viewer that one is missing.
    pub fn unheard_since(&self) -> Option<Time> {
        self.pictures.back().filter(|last| !last.arrived).map(|last| last.at)
    }

    /// When the oldest picture was sent that the last one builds on and the viewer is not known to have shown.
    pub fn missing_since(&self) -> Option<Time> {
        self.current().find(|picture| picture.is_missed()).map(|picture| picture.at)
    }

    /// The pictures that build on each other now.
    fn current(&self) -> vec_deque::Iter<'_, Picture> {
        self.pictures.range(self.index(self.start).unwrap_or(0)..)
    }

    fn index(&self, number: u32) -> Option<usize> {
        let first = self.pictures.front()?.sent.number;
        let at = number.wrapping_sub(first) as usize;
        (at < self.pictures.len()).then_some(at)
    }

    fn is_shown(&self, number: Option<u32>) -> bool {
        let Some(number) = number else { return true };
        let in_slot = self.slots.iter().flatten().find(|kept| kept.number == number);
        in_slot.is_some_and(|kept| kept.shown)
            || self.index(number).is_some_and(|at| self.pictures[at].shown)
    }

    fn safe(&self) -> Option<Slot> {
        let shown = |slot: &Slot| self.slots[*slot as usize].filter(|kept| kept.shown);
        let age = |slot: &Slot| {
            let last = self.pictures.back().map_or(0, |last| last.sent.number);
            shown(slot).map(|kept| last.wrapping_sub(kept.number))
        };
        Slot::ALL.into_iter().filter(|slot| shown(slot).is_some()).min_by_key(age)
    }

    /// Whether a picture in `slot` may still turn out to have arrived.
    fn awaited(&self, slot: Slot, now: Time) -> bool {
        self.slots[slot as usize].is_some_and(|kept| {
            let given_up = (kept.number.wrapping_sub(self.start) as i32) < 0;
            !kept.shown && !given_up && now.since(kept.at) < PATIENCE
        })
    }

    fn look_for_gap(&mut self, now: Time) {
        let mut pictures = self.current();
        let missing = pictures.find(|picture| picture.is_missed());
        let missing = missing.map(|picture| picture.sent.number);
        let later = pictures.any(|picture| picture.arrived);
        self.gap = match (missing, self.gap) {
            (Some(missing), Some((number, since))) if later && number == missing => {
                Some((missing, since))
            }
            (Some(missing), _) if later => Some((missing, now)),
            _ => None,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(millis: u64) -> Time {
        Time::from_millis(millis)
    }

    /// Sends pictures a millisecond apart, each kept wherever it may be.
    struct Sender {
        references: References,
        next: u32,
    }

    impl Sender {
        fn new() -> Sender {
            // Numbers may wrap around.
            let mut sender = Sender { references: References::new(), next: u32::MAX - 2 };
            sender.send(None);
            sender
        }

        fn now(&self) -> Time {
            ms(u64::from(self.next.wrapping_add(10)))
        }

        fn send(&mut self, reference: Option<u32>) -> u32 {
            let (now, number) = (self.now(), self.next);
            let kept = self.references.keep(now).filter(|_| reference.is_some());
            let discardable = false;
            self.references.handle_sent(now, Sent { number, reference, kept, discardable });
            self.next = number.wrapping_add(1);
            number
        }

        fn follow(&mut self) -> u32 {
            self.send(Some(self.next.wrapping_sub(1)))
        }

        fn arrive(&mut self, number: u32) {
            self.references.handle_arrived(self.now(), number);
        }
    }

    #[test]
    fn the_newest_kept_picture_that_has_arrived_is_gone_on_from() {
        let mut sender = Sender::new();
        sender.arrive(u32::MAX - 2);
        assert_eq!(sender.references.recovery(), None, "nothing was kept");
        let kept: Vec<u32> = (0..6).map(|_| sender.follow()).collect();
        assert_eq!(sender.references.recovery(), None, "nothing kept has arrived");
        sender.arrive(kept[0]);
        assert_eq!(sender.references.recovery(), Some((Slot::First, kept[0])));
        // The next is kept in the other slot, and the first one holds until it has arrived.
        let second = sender.follow();
        assert_eq!(sender.references.recovery(), Some((Slot::First, kept[0])));
        kept[1..].iter().for_each(|number| sender.arrive(*number));
        sender.arrive(second);
        assert_eq!(sender.references.recovery(), Some((Slot::Second, second)));
    }

    #[test]
    fn what_builds_on_a_missing_picture_does_not_count() {
        let mut sender = Sender::new();
        sender.arrive(u32::MAX - 2);
        let first = sender.follow();
        sender.arrive(first);
        let (missing, kept) = (sender.follow(), sender.follow());
        assert_eq!(sender.references.stuck_since(), None);
        sender.arrive(kept);
        let since = sender.now();
        assert_eq!(sender.references.stuck_since(), Some(since));
        sender.follow();
        assert_eq!(sender.references.stuck_since(), Some(since));
        assert_eq!(sender.references.recovery(), Some((Slot::First, first)));
        // It was sent again and is there.
        sender.arrive(missing);
        assert_eq!(sender.references.stuck_since(), None);
    }

    #[test]
    fn the_last_picture_is_unheard_of_until_it_arrives() {
        let mut sender = Sender::new();
        let sent = sender.now();
        let last = sender.follow();
        sender.arrive(u32::MAX - 2);
        assert_eq!(sender.references.unheard_since(), Some(sent));
        sender.arrive(last);
        assert_eq!(sender.references.unheard_since(), None);
    }

    #[test]
    fn what_is_missing_counts_from_the_oldest() {
        let mut sender = Sender::new();
        let first = sender.now();
        let numbers = [u32::MAX - 2, sender.follow(), sender.follow()];
        assert!(sender.references.missing_since().is_some_and(|since| since < first));
        sender.arrive(numbers[0]);
        sender.arrive(numbers[2]);
        assert_eq!(sender.references.missing_since(), Some(first));
        sender.arrive(numbers[1]);
        assert_eq!(sender.references.missing_since(), None);
    }

    #[test]
    fn a_discardable_picture_is_not_missed() {
        let mut references = References::new();
        let mut send = |number, reference, kept, discardable| {
            references.handle_sent(ms(10), Sent { number, reference, kept, discardable });
        };
        send(0, None, None, false);
        send(1, Some(0), None, true);
        send(2, Some(0), Some(Slot::First), false);
        send(3, Some(2), None, true);
        send(4, Some(2), None, false);
        references.handle_arrived(ms(20), 4);
        assert_eq!(references.stuck_since(), Some(ms(20)));
        references.handle_arrived(ms(21), 2);
        references.handle_arrived(ms(22), 0);
        assert_eq!((references.stuck_since(), references.missing_since()), (None, None));
        assert_eq!(references.recovery(), Some((Slot::First, 2)));
        // What comes after another that is not there waits for it all the same.
        references.handle_arrived(ms(23), 6);
        let sent = Sent { number: 5, reference: Some(4), kept: None, discardable: false };
        references.handle_sent(ms(24), sent);
        let sent = Sent { number: 6, reference: Some(5), kept: None, discardable: true };
        references.handle_sent(ms(25), sent);
        references.handle_arrived(ms(30), 6);
        assert_eq!(references.stuck_since(), Some(ms(30)));
        references.handle_arrived(ms(31), 5);
        assert_eq!(references.missing_since(), None);
    }

    #[test]
    fn a_recovery_gives_up_what_was_sent_in_between() {
        let mut sender = Sender::new();
        sender.arrive(u32::MAX - 2);
        let safe = sender.follow();
        sender.arrive(safe);
        let (missing, late) = (sender.follow(), sender.follow());
        sender.arrive(late);
        let recovery = sender.send(Some(safe));
        assert_eq!(sender.references.stuck_since(), None);
        let next = sender.follow();
        sender.arrive(next);
        assert!(sender.references.stuck_since().is_some(), "the recovery is missing");
        sender.arrive(recovery);
        assert_eq!(sender.references.stuck_since(), None);
        let _ = missing;
    }

    #[test]
    fn a_kept_picture_that_never_arrives_is_replaced() {
        let mut sender = Sender::new();
        sender.arrive(u32::MAX - 2);
        sender.follow();
        assert_eq!(sender.references.keep(sender.now()), None);
        assert_eq!(sender.references.keep(sender.now() + PATIENCE), Some(Slot::First));
    }

    #[test]
    fn a_key_frame_empties_the_slots_and_what_is_unknown_is_passed_over() {
        let mut sender = Sender::new();
        sender.arrive(u32::MAX - 2);
        let kept = sender.follow();
        sender.arrive(kept);
        sender.arrive(12_345);
        assert!(sender.references.recovery().is_some());
        sender.send(None);
        assert_eq!(sender.references.recovery(), None);
        (0..2 * MOST).for_each(|_| _ = sender.follow());
        assert_eq!(sender.references.pictures.len(), MOST);
    }
}
