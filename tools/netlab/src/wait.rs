//! Waiting to the nanosecond, as far as the kernel's timers go.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// How long processes have to end when asked to.
const PATIENCE: Duration = Duration::from_secs(2);

/// Returns when a descriptor is ready, a signal has come or `most` has passed, whichever is first.
pub fn ready(fds: &mut [PollFd<'_>], most: Option<Duration>) -> rustix::io::Result<()> {
    let most = most.map(|most| Timespec {
        tv_sec: most.as_secs() as i64,
        tv_nsec: most.subsec_nanos().into(),
    });
    match poll(fds, most.as_ref()) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Returns when all of these processes have ended, or after a while.
pub fn for_all(processes: impl Iterator<Item = OwnedFd>) -> rustix::io::Result<()> {
    let until = Instant::now() + PATIENCE;
    for process in processes {
        let mut fd = [PollFd::new(&process, PollFlags::IN)];
        while fd[0].revents().is_empty() && Instant::now() < until {
            ready(&mut fd, Some(until.saturating_duration_since(Instant::now())))?;
        }
    }
    Ok(())
}
