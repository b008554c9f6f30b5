//! Rings a sleeping network thread from any other, without a lock.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};

/// Ends a `wait`. Clones ring the same bell; ringing twice before it is answered is ringing once.
#[derive(Clone, Debug)]
pub struct Waker(Arc<Bell>);

#[derive(Debug)]
struct Bell {
    fd: OwnedFd,
    /// Spares the system call when the bell is already ringing.
    rung: AtomicBool,
}

impl Waker {
    /// # Errors
    /// The process has no file descriptor left.
    pub fn new() -> io::Result<Waker> {
        let fd = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Waker(Arc::new(Bell { fd, rung: AtomicBool::new(false) })))
    }

    /// Ends a running `wait`, or else the next one.
    pub fn ring(&self) {
        if !self.0.rung.swap(true, Ordering::AcqRel) {
            // Fails only when the counter is at its limit, and then the descriptor is readable anyway.
            let _ = rustix::io::write(&self.0.fd, &1u64.to_ne_bytes());
        }
    }

    /// For the transport: stops the ringing, before the answering thread looks at what it was rung for.
    pub fn answer(&self) {
        // Nothing to read: a ring has raised the flag and is about to write. The flag stays, for the next call to lower
        // with the descriptor.
        if self.0.rung.load(Ordering::Acquire)
            && rustix::io::read(&self.0.fd, &mut [0u8; 8]).is_ok()
        {
            // After the read: a ring in between finds the flag set and is answered by this very call.
            self.0.rung.swap(false, Ordering::AcqRel);
        }
    }

    /// For the transport: sleeps until the bell rings or `timeout` (forever if `None`) is over; a signal ends it too.
    ///
    /// # Errors
    /// The system does not let this thread wait.
    pub fn sleep(&self, timeout: Option<Duration>) -> io::Result<()> {
        sleep(&mut [PollFd::new(&self.0.fd, PollFlags::IN)], timeout)
    }
}

impl AsFd for Waker {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.fd.as_fd()
    }
}

/// `ppoll` with nanoseconds; a signal counts as a wake-up.
pub(crate) fn sleep(fds: &mut [PollFd<'_>], timeout: Option<Duration>) -> io::Result<()> {
    // A duration that no `timespec` can hold is as good as forever.
    let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
    match poll(fds, timeout.as_ref()) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_from_another_thread_ends_a_sleep_without_limit() {
        let waker = Waker::new().unwrap();
        let ringer = waker.clone();
        let thread = std::thread::spawn(move || ringer.ring());
        waker.sleep(None).unwrap();
        thread.join().unwrap();
    }

    #[test]
    fn many_rings_are_answered_once_and_the_bell_can_ring_again() {
        let waker = Waker::new().unwrap();
        for _ in 0..2 {
            waker.ring();
            waker.ring();
            waker.sleep(None).unwrap();
            waker.answer();
            let mut fds = [PollFd::new(&waker, PollFlags::IN)];
            sleep(&mut fds, Some(Duration::ZERO)).unwrap();
            assert!(fds[0].revents().is_empty());
        }
    }
}
