//! Threads that help with one picture after the other and sleep in between: made once, as making one costs more than
//! many pictures are worth, and allocates.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr::null_mut;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle, Thread};

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Crew {
    helpers: Vec<Helper>,
}

#[derive(Debug)]
struct Helper {
    desk: Arc<Desk>,
    /// None once it has been asked to end.
    thread: Option<JoinHandle<()>>,
}

/// Where a helper finds what to do.
#[derive(Debug, Default)]
struct Desk {
    /// An order that it has not begun, or null.
    order: AtomicPtr<Order<'static>>,
    quit: AtomicBool,
}

/// What one call of [`Crew::share`] wants done. It lies on the caller's stack until `left` is 0.
struct Order<'a> {
    /// Does the part of the helper with this number; they count from 1.
    part: &'a (dyn Fn(usize) + Sync),
    /// Helpers that may still use the order.
    left: AtomicUsize,
    panicked: AtomicBool,
    caller: Thread,
}

/// A pointer to items of which each thread uses another one.
struct Items<T>(*mut T);

// SAFETY: the only use is in `Crew::share`, where no two threads reach the same item, and items may go to other threads.
unsafe impl<T: Send> Sync for Items<T> {}

impl<T> Items<T> {
    /// # Safety
    /// There is an item `at`, it outlives the reference, and nothing else refers to it meanwhile.
    #[allow(clippy::mut_from_ref)]
    unsafe fn item(&self, at: usize) -> &mut T {
        // SAFETY: as the caller promises.
        unsafe { &mut *self.0.add(at) }
    }
}

impl Crew {
    /// Does `work` on all items at the same time, the first on this thread, and returns when all is done. Helpers that
    /// have not been needed before are started.
    ///
    /// # Panics
    /// If `work` panics, on whatever thread.
    pub(super) fn share<T: Send>(&mut self, items: &mut [T], work: impl Fn(&mut T) + Sync) {
        let helpers = items.len().saturating_sub(1);
        while self.helpers.len() < helpers {
            self.helpers.push(Helper::start(self.helpers.len() + 1));
        }
        let items = match items {
            [] => return,
            [only] => return work(only),
            items => Items(items.as_mut_ptr()),
        };
        // SAFETY: each number from 0 to `helpers` is an index into `items` and is used once: 0 here and every other one by
        // the helper that has it. `items` is borrowed for all of this call, which does not end before they are done.
        let part = |number: usize| work(unsafe { items.item(number) });
        let order = Order {
            part: &part,
            left: AtomicUsize::new(helpers),
            panicked: AtomicBool::new(false),
            caller: thread::current(),
        };
        let at = (&raw const order).cast_mut().cast::<Order<'static>>();
        for helper in &self.helpers[..helpers] {
            // Pairs with the swap in `Desk::serve`: the order is complete.
            helper.desk.order.store(at, Ordering::Release);
            helper.unpark();
        }
        let own = catch_unwind(AssertUnwindSafe(|| part(0)));
        // Pairs with the subtraction in `Desk::serve`: what the helpers did to the items is visible, and they are done
        // with the order.
        while order.left.load(Ordering::Acquire) > 0 {
            thread::park();
        }
        if let Err(panic) = own {
            resume_unwind(panic);
        }
        assert!(!order.panicked.load(Ordering::Relaxed), "a helper panicked");
    }
}

impl Helper {
    #[expect(clippy::disallowed_methods, reason = "once for many pictures, and they have a name")]
    fn start(number: usize) -> Helper {
        let desk = Arc::new(Desk::default());
        let own = desk.clone();
        let thread = thread::Builder::new()
            .name("farpane-slice".into())
            .spawn(move || own.serve(number))
            .expect("the system starts a thread");
        Helper { desk, thread: Some(thread) }
    }

    fn unpark(&self) {
        if let Some(thread) = &self.thread {
            thread.thread().unpark();
        }
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        self.desk.quit.store(true, Ordering::Relaxed);
        self.unpark();
        // It catches panics, so there is none to pass on.
        self.thread.take().map(JoinHandle::join);
    }
}

impl Desk {
    fn serve(&self, number: usize) {
        while !self.quit.load(Ordering::Relaxed) {
            let order = self.order.swap(null_mut(), Ordering::Acquire);
            if order.is_null() {
                thread::park();
                continue;
            }
            // SAFETY: `Crew::share` put it here and keeps it until this helper has taken itself off `left`, below, after
            // which it is not used.
            let order = unsafe { &*order };
            if catch_unwind(AssertUnwindSafe(|| (order.part)(number))).is_err() {
                order.panicked.store(true, Ordering::Relaxed);
            }
            let caller = order.caller.clone();
            if order.left.fetch_sub(1, Ordering::Release) == 1 {
                caller.unpark();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_item_is_worked_on_once_picture_after_picture() {
        let mut crew = Crew::default();
        for round in 0..200 {
            let mut items: Vec<usize> = (0..round % 6).collect();
            crew.share(&mut items, |item| *item += 100 * round);
            let expected: Vec<usize> = (0..round % 6).map(|item| item + 100 * round).collect();
            assert_eq!(items, expected);
        }
        assert_eq!(crew.helpers.len(), 4);
    }

    #[test]
    fn items_are_worked_on_at_the_same_time() {
        let barrier = std::sync::Barrier::new(3);
        Crew::default().share(&mut [(); 3], |()| {
            barrier.wait();
        });
    }

    #[test]
    fn a_panic_anywhere_arrives_after_all_are_done() {
        let mut crew = Crew::default();
        for bad in 0..3 {
            let mut items = [0, 1, 2];
            let result = catch_unwind(AssertUnwindSafe(|| {
                crew.share(&mut items, |item| {
                    assert_ne!(*item, bad, "on purpose");
                    *item += 10;
                });
            }));
            assert!(result.is_err());
            let expected = [0, 1, 2].map(|item| if item == bad { item } else { item + 10 });
            assert_eq!(items, expected);
        }
        let mut items = [1; 3];
        crew.share(&mut items, |item| *item = 2);
        assert_eq!(items, [2; 3], "it goes on");
    }
}
