//! A latest-wins hand-off: the consumer takes the newest value or none, the producer never waits.
//!
//! A triple buffer: the producer owns one cell, the consumer owns one, and the third is in the middle, named by one
//! atomic byte of cell index and [`FRESH`] bit. Either side exchanges its own cell for the middle one with a single
//! swap. Unlike the usual triple buffer, cells hold `Option<T>` and values move through them, and before publishing the
//! producer takes back what has not been taken, so that a displaced frame's damage is merged into its successor and its
//! buffer goes home at once.
//!
//! Two invariants carry the whole proof. A cell is accessed only by the side that owns it. A cell in the middle without
//! `FRESH` is empty; only the producer sets `FRESH`, with the swap that follows filling the cell.

#![allow(unsafe_code)]

use std::fmt;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

use crate::primitive::{Arc, AtomicBool, AtomicU8, CachePadded, UnsafeCell};

/// Set in `middle` when its cell holds a value that has not been taken.
const FRESH: u8 = 4;
const INDEX: u8 = 3;

struct Shared<T> {
    cells: [CachePadded<UnsafeCell<Option<T>>>; 3],
    middle: CachePadded<AtomicU8>,
    closed: AtomicBool,
}

// SAFETY: the cells are the only part that is not already `Sync`. Each is accessed only by the end that owns its
// index, and ownership moves between threads through `middle` with release/acquire, so values only ever move.
unsafe impl<T: Send> Sync for Shared<T> {}

impl<T> Shared<T> {
    /// # Safety
    /// - The caller's end owns cell `index`: it came out of its last swap, or was its own from the start.
    /// - The swap that brought it acquired whatever the other end did to it.
    unsafe fn replace(&self, index: u8, value: Option<T>) -> Option<T> {
        // SAFETY: by the caller's promise no other thread accesses this cell, and earlier accesses happened before.
        self.cells[usize::from(index)].0.with_mut(|cell| unsafe { cell.replace(value) })
    }
}

/// The producing end.
pub struct Publisher<T> {
    shared: Arc<Shared<T>>,
    /// The cell this end owns; empty between calls.
    own: u8,
}

/// The consuming end.
pub struct Taker<T> {
    shared: Arc<Shared<T>>,
    /// The cell this end owns; empty between calls.
    own: u8,
}

/// A hand-off of which only the newest value counts.
pub fn latest<T>() -> (Publisher<T>, Taker<T>) {
    let shared = Arc::new(Shared {
        cells: std::array::from_fn(|_| CachePadded(UnsafeCell::new(None))),
        middle: CachePadded(AtomicU8::new(1)),
        closed: AtomicBool::new(false),
    });
    (Publisher { shared: shared.clone(), own: 0 }, Taker { shared, own: 2 })
}

impl<T> Publisher<T> {
    /// Publishes `value`. If the one before it has not been taken, `absorb(&mut value, &displaced)` first merges what
    /// must not be lost, and the displaced value is returned; the consumer then never sees it.
    pub fn publish_with(&mut self, mut value: T, absorb: impl FnOnce(&mut T, &T)) -> Option<T> {
        let displaced = self.reclaim();
        if let Some(displaced) = &displaced {
            absorb(&mut value, displaced);
        }
        // SAFETY: `own` came from an acquiring swap below or in `reclaim`, or has been this end's from the start.
        unsafe { self.shared.replace(self.own, Some(value)) };
        // Release: the cell was filled before; pairs with the swap in `take`. Acquire: the cell that comes back was
        // emptied by `take` before it was handed over, and the next call writes to it; pairs with the swap in `take`.
        let previous = self.shared.middle.0.swap(self.own | FRESH, AcqRel);
        debug_assert_eq!(previous & FRESH, 0, "what was fresh has been reclaimed");
        self.own = previous & INDEX;
        displaced
    }

    /// Whether the consumer is gone, so that publishing is pointless.
    pub fn is_closed(&self) -> bool {
        // Relaxed: nothing is accessed because of it.
        self.shared.closed.load(Relaxed)
    }

    /// Takes back the value that has not been taken, leaving this end's empty cell in the middle.
    fn reclaim(&mut self) -> Option<T> {
        // Relaxed: a hint that the swap confirms. It never misses a fresh value: only this thread makes one.
        if self.shared.middle.0.load(Relaxed) & FRESH == 0 {
            return None;
        }
        // Acquire: should `take` have come between, this is the cell it emptied and handed over; pairs with its swap.
        // No release: the cell given away is not fresh, so the consumer will not access it.
        let previous = self.shared.middle.0.swap(self.own, Acquire);
        self.own = previous & INDEX;
        if previous & FRESH == 0 {
            return None;
        }
        // SAFETY: `own` has just come from the middle, where this thread had put it.
        unsafe { self.shared.replace(self.own, None) }
    }
}

impl<T> Taker<T> {
    /// The newest value, unless it has been taken already.
    pub fn take(&mut self) -> Option<T> {
        // Relaxed: a hint that the swap confirms; it spares the cache line when there is nothing to take.
        if self.shared.middle.0.load(Relaxed) & FRESH == 0 {
            return None;
        }
        // Acquire: the value was written before it was published; pairs with the swap in `publish_with`. Release: the
        // cell given away was emptied by the last call; pairs with both of the producer's swaps.
        let previous = self.shared.middle.0.swap(self.own, AcqRel);
        self.own = previous & INDEX;
        if previous & FRESH == 0 {
            return None; // the producer took it back to replace it
        }
        // SAFETY: `own` has just come from the middle by an acquiring swap.
        unsafe { self.shared.replace(self.own, None) }
    }

    /// Whether the producer is gone. What it published last is then visible: ask first, then take once more.
    pub fn is_closed(&self) -> bool {
        // Acquire: pairs with the store in the producer's `drop`, so that `take` sees its last swap.
        self.shared.closed.load(Acquire)
    }
}

impl<T> Drop for Publisher<T> {
    fn drop(&mut self) {
        // Release: pairs with the load in `Taker::is_closed`.
        self.shared.closed.store(true, Release);
    }
}

impl<T> Drop for Taker<T> {
    fn drop(&mut self) {
        // Relaxed: the producer accesses nothing because of it.
        self.shared.closed.store(true, Relaxed);
    }
}

impl<T> fmt::Debug for Publisher<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publisher").field("closed", &self.is_closed()).finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for Taker<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Taker").field("closed", &self.is_closed()).finish_non_exhaustive()
    }
}
