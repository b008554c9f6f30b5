//! A bounded ring from one thread to one other: every value arrives, in order; a full ring gives the value back.
//!
//! Lamport's queue with the other side's index cached, as in rtrb and folly's `ProducerConsumerQueue`: each end looks at
//! the other's index only when its copy says full or empty, so in a steady flow their cache lines seldom travel. Indices
//! count values ever pushed and popped and wrap at the word size; the slot count is a power of two, so that the low bits
//! of an index are its slot on both sides of the wrap.

#![allow(unsafe_code)]

use std::fmt;
use std::mem::MaybeUninit;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use crate::primitive::{Arc, AtomicBool, AtomicUsize, CachePadded, UnsafeCell};

struct Shared<T> {
    /// Slots `popped..pushed` hold values; the others belong to the producer.
    slots: Box<[UnsafeCell<MaybeUninit<T>>]>,
    capacity: usize,
    /// Values ever pushed; written by the producer alone.
    pushed: CachePadded<AtomicUsize>,
    /// Values ever popped; written by the consumer alone.
    popped: CachePadded<AtomicUsize>,
    closed: AtomicBool,
}

// SAFETY: the slots are the only part that is not already `Sync`. A slot is accessed by the producer until `pushed`
// passes it and by the consumer until `popped` passes it, both with release/acquire, so values only ever move.
unsafe impl<T: Send> Sync for Shared<T> {}

impl<T> Shared<T> {
    fn slot(&self, at: usize) -> &UnsafeCell<MaybeUninit<T>> {
        &self.slots[at & (self.slots.len() - 1)]
    }
}

impl<T> Drop for Shared<T> {
    fn drop(&mut self) {
        let mut at = self.popped.0.load(Relaxed);
        let end = self.pushed.0.load(Relaxed);
        while at != end {
            // SAFETY: both ends are gone (`&mut self`), and slots `popped..pushed` hold values, dropped once each.
            self.slot(at).with_mut(|slot| unsafe { (*slot).assume_init_drop() });
            at = at.wrapping_add(1);
        }
    }
}

/// The pushing end.
pub struct Producer<T> {
    shared: Arc<Shared<T>>,
    pushed: usize,
    /// `popped` as last seen; the real one is the same or further.
    popped: usize,
}

/// The popping end.
pub struct Consumer<T> {
    shared: Arc<Shared<T>>,
    popped: usize,
    /// `pushed` as last seen; the real one is the same or further.
    pushed: usize,
}

/// A ring that holds `capacity` values.
///
/// # Panics
/// If `capacity` is zero.
pub fn ring<T>(capacity: usize) -> (Producer<T>, Consumer<T>) {
    assert!(capacity > 0, "a ring holds at least one value");
    let slots = (0..capacity.next_power_of_two()).map(|_| UnsafeCell::new(MaybeUninit::uninit()));
    let shared = Arc::new(Shared {
        slots: slots.collect(),
        capacity,
        pushed: CachePadded(AtomicUsize::new(0)),
        popped: CachePadded(AtomicUsize::new(0)),
        closed: AtomicBool::new(false),
    });
    (
        Producer { shared: shared.clone(), pushed: 0, popped: 0 },
        Consumer { shared, popped: 0, pushed: 0 },
    )
}

impl<T> Producer<T> {
    /// Appends `value`, or gives it back when the ring is full.
    pub fn push(&mut self, value: T) -> Result<(), T> {
        if self.pushed.wrapping_sub(self.popped) == self.shared.capacity {
            // Acquire: the slot was read out before it is written again; pairs with the store in `pop`.
            self.popped = self.shared.popped.0.load(Acquire);
            if self.pushed.wrapping_sub(self.popped) == self.shared.capacity {
                return Err(value);
            }
        }
        // SAFETY: fewer than `capacity` values are in the ring, so the slot at `pushed` is outside `popped..pushed` and
        // belongs to this end, and the consumer's last access to it happened before `popped` passed it.
        self.shared.slot(self.pushed).with_mut(|slot| unsafe { (*slot).write(value) });
        self.pushed = self.pushed.wrapping_add(1);
        // Release: the slot was written before; pairs with the load in `pop`.
        self.shared.pushed.0.store(self.pushed, Release);
        Ok(())
    }

    /// How many values are in the ring; the consumer may be taking some out meanwhile.
    pub fn len(&self) -> usize {
        // Relaxed: a number, nothing is accessed because of it.
        self.pushed.wrapping_sub(self.shared.popped.0.load(Relaxed))
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn capacity(&self) -> usize {
        self.shared.capacity
    }

    /// Whether the consumer is gone, so that pushing is pointless.
    pub fn is_closed(&self) -> bool {
        // Relaxed: nothing is accessed because of it.
        self.shared.closed.load(Relaxed)
    }
}

impl<T> Consumer<T> {
    /// The oldest value, or `None` when the ring is empty.
    pub fn pop(&mut self) -> Option<T> {
        if self.popped == self.pushed {
            // Acquire: the slots were written before they are read; pairs with the store in `push`.
            self.pushed = self.shared.pushed.0.load(Acquire);
            if self.popped == self.pushed {
                return None;
            }
        }
        // SAFETY: the slot at `popped` is inside `popped..pushed`: it holds a value whose writing happened before, and
        // which is read out once, since `popped` passes it here and the producer writes before it reads again.
        let value =
            self.shared.slot(self.popped).with_mut(|slot| unsafe { (*slot).assume_init_read() });
        self.popped = self.popped.wrapping_add(1);
        // Release: the slot was read out before; pairs with the load in `push`.
        self.shared.popped.0.store(self.popped, Release);
        Some(value)
    }

    /// How many values are in the ring; the producer may be adding some meanwhile.
    pub fn len(&self) -> usize {
        // Relaxed: a number, nothing is accessed because of it.
        self.shared.pushed.0.load(Relaxed).wrapping_sub(self.popped)
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn capacity(&self) -> usize {
        self.shared.capacity
    }

    /// Whether the producer is gone. All that it pushed is then visible: ask first, then pop until `None`.
    pub fn is_closed(&self) -> bool {
        // Acquire: pairs with the store in the producer's `drop`, so that `pop` sees its last push.
        self.shared.closed.load(Acquire)
    }
}

impl<T> Drop for Producer<T> {
    fn drop(&mut self) {
        // Release: pairs with the load in `Consumer::is_closed`.
        self.shared.closed.store(true, Release);
    }
}

impl<T> Drop for Consumer<T> {
    fn drop(&mut self) {
        // Relaxed: the producer accesses nothing because of it.
        self.shared.closed.store(true, Relaxed);
    }
}

impl<T> fmt::Debug for Producer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Producer").field("len", &self.len()).finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for Consumer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Consumer").field("len", &self.len()).finish_non_exhaustive()
    }
}
