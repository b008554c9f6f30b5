//! How other threads wake a capturer: a set of flags and something to sleep on.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

/// Rings a capturer from any thread; never blocks on it.
#[derive(Clone)]
pub struct CaptureHandle(pub(crate) Arc<Bell>);

impl CaptureHandle {
    /// An input event arrived: capture what changes next at once, without frame pacing.
    pub fn hurry(&self) {
        self.0.ring(Bell::HURRY);
    }

    /// The next frame comes now and carries full damage.
    pub fn refresh(&self) {
        self.0.ring(Bell::REFRESH);
    }

    /// Ends the capture: this and every later [`Capturer::next`](crate::Capturer::next) returns
    /// [`Captured::Stopped`](crate::Captured::Stopped).
    pub fn stop(&self) {
        self.0.ring(Bell::STOP);
    }
}

/// Flags that stay up until taken; [`Bell::STOP`] stays up for good.
pub(crate) struct Bell {
    flags: AtomicU8,
    waker: Waker,
}

impl Bell {
    pub const HURRY: u8 = 1;
    pub const REFRESH: u8 = 2;
    pub const STOP: u8 = 4;
    /// Input reached a source that draws its own picture.
    pub const INPUT: u8 = 8;

    pub fn new() -> std::io::Result<Arc<Bell>> {
        Ok(Arc::new(Bell { flags: AtomicU8::new(0), waker: Waker::new()? }))
    }

    pub fn ring(&self, flag: u8) {
        // A flag that is still up has its wake-up under way already.
        if self.flags.fetch_or(flag, Ordering::AcqRel) & flag == 0 {
            self.waker.wake();
        }
    }

    /// The flags raised since the last call. The waker is cleared first: a ring in between wakes once too often,
    /// never once too seldom.
    pub fn take(&self) -> u8 {
        self.waker.clear();
        self.flags.fetch_and(Bell::STOP, Ordering::AcqRel)
    }

    /// Sleeps until rung or for `timeout` (`None`: for ever). May return early.
    pub fn wait(&self, timeout: Option<Duration>) {
        self.waker.wait(timeout);
    }

    /// As [`Bell::wait`], also returning when `fd` is readable or has hung up.
    #[cfg(target_os = "linux")]
    pub fn wait_with(&self, fd: std::os::fd::BorrowedFd<'_>, timeout: Option<Duration>) {
        self.waker.wait_with(Some(fd), timeout);
    }
}

#[cfg(not(target_os = "linux"))]
use condvar::Waker;
#[cfg(target_os = "linux")]
use eventfd::Waker;

#[cfg(target_os = "linux")]
mod eventfd {
    //! An eventfd, so that one `poll` waits for the bell and for a connection.

    use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
    use std::time::Duration;

    use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};

    pub struct Waker(OwnedFd);

    impl Waker {
        pub fn new() -> std::io::Result<Waker> {
            Ok(Waker(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?))
        }

        pub fn wake(&self) {
            // Fails only when the counter is full, and then the sleeper is awake anyway.
            let _ = rustix::io::write(&self.0, &1u64.to_ne_bytes());
        }

        pub fn clear(&self) {
            let _ = rustix::io::read(&self.0, &mut [0u8; 8]);
        }

        pub fn wait(&self, timeout: Option<Duration>) {
            self.wait_with(None, timeout);
        }

        pub fn wait_with(&self, fd: Option<BorrowedFd<'_>>, timeout: Option<Duration>) {
            let timeout = timeout.and_then(|t| Timespec::try_from(t).ok());
            let bell = PollFd::new(&self.0, PollFlags::IN);
            // An interrupted or failed poll is an early return, which callers expect.
            let _ = match fd {
                Some(fd) => {
                    let mut fds = [bell, PollFd::from_borrowed_fd(fd.as_fd(), PollFlags::IN)];
                    poll(&mut fds, timeout.as_ref())
                }
                None => poll(&mut [bell], timeout.as_ref()),
            };
        }
    }
}

#[cfg(not(target_os = "linux"))]
#[expect(clippy::disallowed_types, reason = "what wakes a thread on every system")]
mod condvar {
    //! The portable waker, for sources that wait for nothing but the bell.

    use std::sync::{Condvar, Mutex, PoisonError};
    use std::time::Duration;

    pub struct Waker {
        rung: Mutex<bool>,
        changed: Condvar,
    }

    impl Waker {
        pub fn new() -> std::io::Result<Waker> {
            Ok(Waker { rung: Mutex::new(false), changed: Condvar::new() })
        }

        pub fn wake(&self) {
            *self.rung.lock().unwrap_or_else(PoisonError::into_inner) = true;
            self.changed.notify_one();
        }

        pub fn clear(&self) {
            *self.rung.lock().unwrap_or_else(PoisonError::into_inner) = false;
        }

        pub fn wait(&self, timeout: Option<Duration>) {
            let rung = self.rung.lock().unwrap_or_else(PoisonError::into_inner);
            match timeout {
                _ if *rung => {}
                Some(timeout) => drop(self.changed.wait_timeout(rung, timeout)),
                None => drop(self.changed.wait(rung)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_from_another_thread_ends_the_wait() {
        let bell = Bell::new().unwrap();
        let handle = CaptureHandle(bell.clone());
        let ringer = std::thread::spawn(move || handle.refresh());
        while bell.take() & Bell::REFRESH == 0 {
            bell.wait(None);
        }
        ringer.join().unwrap();
    }

    #[test]
    fn flags_are_taken_once_but_stop_stays() {
        let bell = Bell::new().unwrap();
        bell.ring(Bell::HURRY);
        bell.ring(Bell::STOP);
        assert_eq!(bell.take(), Bell::HURRY | Bell::STOP);
        assert_eq!(bell.take(), Bell::STOP);
    }
}
