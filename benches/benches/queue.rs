//! The hand-off between threads: our queues beside crossbeam's `ArrayQueue` and `rtrb`.

use std::hint::{black_box, spin_loop};
use std::thread;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use crossbeam_queue::ArrayQueue;

/// As large as a pooled frame's handle.
type Item = [u64; 2];

const PACKETS: usize = 256;

/// Both ends on one thread: what the instructions cost when no cache line travels.
fn uncontended(c: &mut Criterion) {
    let mut group = c.benchmark_group("queue/one thread");
    group.throughput(Throughput::Elements(1));
    group.bench_function("latest", |b| {
        let (mut publisher, mut taker) = farpane_queue::latest::<Item>();
        b.iter(|| {
            publisher.publish_with(black_box([1, 2]), |_, _| ());
            taker.take()
        });
    });
    group.bench_function("latest, displacing", |b| {
        let (mut publisher, _taker) = farpane_queue::latest::<Item>();
        b.iter(|| publisher.publish_with(black_box([1, 2]), |newer, old| newer[0] |= old[0]));
    });
    group.bench_function("ArrayQueue", |b| {
        let queue = ArrayQueue::<Item>::new(1);
        b.iter(|| {
            queue.force_push(black_box([1, 2]));
            queue.pop()
        });
    });
    group.bench_function("ArrayQueue, displacing", |b| {
        let queue = ArrayQueue::<Item>::new(1);
        b.iter(|| queue.force_push(black_box([1, 2])));
    });
    group.bench_function("ring", |b| {
        let (mut producer, mut consumer) = farpane_queue::ring::<Item>(PACKETS);
        b.iter(|| {
            let _ = producer.push(black_box([1, 2]));
            consumer.pop()
        });
    });
    group.bench_function("rtrb", |b| {
        let (mut producer, mut consumer) = rtrb::RingBuffer::<Item>::new(PACKETS);
        b.iter(|| {
            let _ = producer.push(black_box([1, 2]));
            consumer.pop()
        });
    });
    group.finish();
}

/// Moves `count` items to another thread, spinning at both ends, and says how long it took.
fn stream(
    count: u64,
    mut push: impl FnMut(Item) -> bool + Send,
    mut pop: impl FnMut() -> Option<Item> + Send,
) -> Duration {
    thread::scope(|scope| {
        let start = Instant::now();
        scope.spawn(move || {
            for n in 0..count {
                while !push([n, n]) {
                    spin_loop();
                }
            }
        });
        for n in 0..count {
            let item = loop {
                match pop() {
                    Some(item) => break item,
                    None => spin_loop(),
                }
            };
            assert_eq!(item[0], n);
        }
        start.elapsed()
    })
}

fn across_threads(c: &mut Criterion) {
    let mut group = c.benchmark_group("queue/two threads");
    group.throughput(Throughput::Elements(1));
    group.bench_function("ring", |b| {
        b.iter_custom(|count| {
            let (mut producer, mut consumer) = farpane_queue::ring(PACKETS);
            stream(count, move |item| producer.push(item).is_ok(), move || consumer.pop())
        });
    });
    group.bench_function("rtrb", |b| {
        b.iter_custom(|count| {
            let (mut producer, mut consumer) = rtrb::RingBuffer::new(PACKETS);
            stream(count, move |item| producer.push(item).is_ok(), move || consumer.pop().ok())
        });
    });
    group.bench_function("ArrayQueue", |b| {
        b.iter_custom(|count| {
            let queue = ArrayQueue::new(PACKETS);
            stream(count, |item| queue.push(item).is_ok(), || queue.pop())
        });
    });
    group.finish();
}

criterion_group!(benches, uncontended, across_threads);
criterion_main!(benches);
