//! Every interleaving of small runs, under the C11 memory model; together they take a second.
//!
//! Each ordering was weakened in turn to see that a test goes red:
//! - `latest`: the release of the swap in `publish_with`, the swap in `reclaim`, either half of the swap in `take`:
//!   `nothing_is_lost_or_doubled`; the acquire of the swap in `publish_with`: `cells_go_round_in_lock_step`; the store in `Publisher::drop`, the load in `Taker::is_closed`:
//!   `the_last_value_is_visible_once_closed`.
//! - `ring`: the load and the store in `push` and in `pop`: `slots_are_handed_over_and_back`; the store in
//!   `Producer::drop`, the load in `Consumer::is_closed`: `the_last_value_is_visible_once_closed`.
#![cfg(loom)]

use farpane_queue::{latest, ring};
use loom::sync::Arc;
use loom::sync::atomic::{AtomicU8, Ordering::Relaxed};
use loom::thread;

mod loom_latest {
    use super::*;

    /// Values are sets of bits and absorbing is a union, as it is for damage.
    fn merge(newer: &mut u8, displaced: &u8) {
        *newer |= displaced;
    }

    #[test]
    fn nothing_is_lost_or_doubled() {
        loom::model(|| {
            let (mut publisher, mut taker) = latest();
            publisher.publish_with(1, merge);
            let consumer = thread::spawn(move || {
                let seen = [taker.take(), taker.take(), taker.take()];
                (taker, seen)
            });
            for bit in [2u8, 4, 8] {
                let displaced = publisher.publish_with(bit, merge);
                assert!(displaced.is_none_or(|set| set < bit));
            }
            let (mut taker, seen) = consumer.join().unwrap();
            let last = taker.take();
            assert_eq!(taker.take(), None);
            let mut all = 0;
            for set in seen.into_iter().chain([last]).flatten() {
                assert!(set > all, "older than what was taken before, or taken twice");
                all |= set;
            }
            assert_eq!(all, 15);
        });
    }

    /// Each value is published when the one before it has been taken, known by a counter that orders nothing: the
    /// cell that the producer gets back when it publishes is the next that it fills, with no swap between.
    #[test]
    fn cells_go_round_in_lock_step() {
        loom::model(|| {
            let (mut publisher, mut taker) = latest();
            let taken = Arc::new(AtomicU8::new(0));
            let counter = taken.clone();
            let consumer = thread::spawn(move || {
                for n in 1..=3 {
                    while taker.take().is_none() {
                        thread::yield_now();
                    }
                    counter.store(n, Relaxed);
                }
            });
            for n in 0..=3 {
                while taken.load(Relaxed) < n {
                    thread::yield_now();
                }
                assert_eq!(publisher.publish_with(n, merge), None);
            }
            consumer.join().unwrap();
        });
    }

    #[test]
    fn the_last_value_is_visible_once_closed() {
        loom::model(|| {
            let (mut publisher, mut taker) = latest();
            let producer = thread::spawn(move || {
                publisher.publish_with(1, merge);
            });
            if taker.is_closed() {
                assert_eq!(taker.take(), Some(1));
            }
            producer.join().unwrap();
        });
    }
}

mod loom_ring {
    use super::*;

    #[test]
    fn slots_are_handed_over_and_back() {
        loom::model(|| {
            let (mut producer, mut consumer) = ring(1);
            let reader = thread::spawn(move || {
                let seen = [consumer.pop(), consumer.pop()];
                (consumer, seen)
            });
            let pushed: Vec<u8> = (0..3).filter(|n| producer.push(*n).is_ok()).collect();
            let (mut consumer, seen) = reader.join().unwrap();
            let rest = [consumer.pop(), consumer.pop()];
            let popped: Vec<u8> = seen.into_iter().chain(rest).flatten().collect();
            assert_eq!(popped, pushed);
        });
    }

    #[test]
    fn the_last_value_is_visible_once_closed() {
        loom::model(|| {
            let (mut producer, mut consumer) = ring(2);
            let writer = thread::spawn(move || producer.push(1));
            if consumer.is_closed() {
                assert_eq!(consumer.pop(), Some(1));
            }
            writer.join().unwrap().unwrap();
        });
    }
}
