//! The queues on real threads, and what happens to values at the ends. Miri runs these too, with fewer rounds.
#![cfg(not(loom))]

use std::sync::Arc;
use std::thread;

use farpane_queue::{latest, ring};

const ROUNDS: u64 = if cfg!(miri) { 200 } else { 200_000 };

/// A half-open range of published numbers, as damage is: it grows over what was displaced.
#[derive(Debug)]
struct Span(Box<(u64, u64)>);

#[test]
fn latest_hands_every_number_over_once() {
    let (mut publisher, mut taker) = latest();
    let producer = thread::spawn(move || {
        for n in 0..ROUNDS {
            let displaced =
                publisher.publish_with(Span(Box::new((n, n + 1))), |newer, displaced| {
                    assert_eq!(displaced.0.1, newer.0.0);
                    newer.0.0 = displaced.0.0;
                });
            assert!(displaced.is_none_or(|span| span.0.1 == n));
        }
    });
    let mut next = 0;
    while next < ROUNDS {
        match taker.take() {
            Some(Span(span)) => {
                assert_eq!(span.0, next);
                next = span.1;
            }
            None => thread::yield_now(),
        }
    }
    producer.join().unwrap();
    assert!(taker.is_closed());
    assert!(taker.take().is_none());
}

#[test]
fn latest_drops_each_value_once() {
    let witness = Arc::new(());
    let (mut publisher, mut taker) = latest();
    for _ in 0..3 {
        publisher.publish_with(witness.clone(), |_, _| ());
    }
    assert_eq!(Arc::strong_count(&witness), 2, "what was displaced has been given back");
    drop(taker.take().unwrap());
    assert_eq!(Arc::strong_count(&witness), 1);
    publisher.publish_with(witness.clone(), |_, _| ());
    assert!(!publisher.is_closed());
    drop(taker);
    assert!(publisher.is_closed());
    publisher.publish_with(witness.clone(), |_, _| ());
    drop(publisher);
    assert_eq!(Arc::strong_count(&witness), 1, "what nobody took went with the second end");
}

#[test]
fn a_panic_while_absorbing_leaves_an_empty_queue() {
    let (mut publisher, mut taker) = latest();
    publisher.publish_with(1, |_, _| ());
    let absorbing =
        std::panic::AssertUnwindSafe(|| publisher.publish_with(2, |_, _| panic!("absorb")));
    assert!(std::panic::catch_unwind(absorbing).is_err());
    assert_eq!(taker.take(), None);
    assert_eq!(publisher.publish_with(3, |_, _| ()), None);
    assert_eq!(taker.take(), Some(3));
}

#[test]
fn ring_keeps_order_under_load() {
    for capacity in [1, 2, 3, 64] {
        let (mut producer, mut consumer) = ring(capacity);
        let writer = thread::spawn(move || {
            for n in 0..ROUNDS {
                let mut value = Box::new(n);
                while let Err(back) = producer.push(value) {
                    value = back;
                    thread::yield_now();
                }
                assert!(producer.len() <= capacity);
            }
        });
        for n in 0..ROUNDS {
            let value = loop {
                match consumer.pop() {
                    Some(value) => break value,
                    None => thread::yield_now(),
                }
            };
            assert_eq!(*value, n);
        }
        writer.join().unwrap();
        assert!(consumer.is_closed() && consumer.is_empty());
    }
}

#[test]
fn ring_refuses_beyond_its_capacity() {
    let (mut producer, mut consumer) = ring(3);
    assert_eq!((producer.capacity(), producer.is_empty()), (3, true));
    for n in 0..3 {
        producer.push(n).unwrap();
    }
    assert_eq!(producer.push(3), Err(3));
    assert_eq!((producer.len(), consumer.len(), consumer.capacity()), (3, 3, 3));
    assert_eq!(consumer.pop(), Some(0));
    producer.push(3).unwrap();
    drop(producer);
    assert_eq!(std::iter::from_fn(|| consumer.pop()).collect::<Vec<_>>(), [1, 2, 3]);
}

#[test]
fn ring_drops_each_value_once() {
    let witness = Arc::new(());
    let (mut producer, mut consumer) = ring(4);
    for _ in 0..6 {
        let _ = producer.push(witness.clone());
        let _ = producer.push(witness.clone());
        drop(consumer.pop());
    }
    assert_eq!(Arc::strong_count(&witness), 1 + consumer.len());
    drop(consumer);
    assert!(producer.is_closed());
    drop(producer);
    assert_eq!(Arc::strong_count(&witness), 1);
}
