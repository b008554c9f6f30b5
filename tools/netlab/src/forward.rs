//! Takes packets from one namespace and gives them to the other when the link says so.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::time::Duration;

use farpane_media::{Clock, Time};
use farpane_testkit::Link;
use rustix::event::{PollFd, PollFlags};

use crate::lab::MTU;
use crate::record::Record;
use crate::{Error, wait};

/// Packets of one side that are taken before the other has its turn.
const TURN: usize = 64;

pub struct Forwarder {
    /// The devices of host and viewer.
    pub ends: [File; 2],
    /// From each of them to the other.
    pub links: [Link<Box<[u8]>>; 2],
    /// What the links' times count by.
    pub clock: Clock,
    pub record: Record,
}

impl Forwarder {
    /// Forwards until one of `stops` is readable.
    pub fn run(&mut self, stops: [BorrowedFd<'_>; 2]) -> Result<(), Error> {
        let mut buffer = [0; MTU];
        loop {
            let now = self.clock.now();
            let mut more = false;
            for side in 0..2 {
                more |= self.take(side, now, &mut buffer)?;
                while let Some((_, packet)) = self.links[side].poll_arrival(now) {
                    self.ends[1 - side].write_all(&packet)?;
                }
            }
            self.record.write(now, &self.clock, &self.links)?;
            let next = self.links.iter().map(Link::poll_timeout).fold(self.record.due(), Time::min);
            let most = if more { Some(Duration::ZERO) } else { self.until(next) };
            let ends = self.ends.each_ref().map(File::as_fd);
            let watched = [ends[0], ends[1], stops[0], stops[1]];
            let mut fds = watched.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN));
            wait::ready(&mut fds, most)?;
            if fds[2..].iter().any(|stop| !stop.revents().is_empty()) {
                // The last word of the counters.
                return self.record.end(self.clock.now(), &self.clock, &self.links);
            }
        }
    }

    /// Takes what `side` sends; true when there may be more.
    fn take(&mut self, side: usize, now: Time, buffer: &mut [u8]) -> Result<bool, Error> {
        for _ in 0..TURN {
            match self.ends[side].read(buffer) {
                Ok(bytes) => self.links[side].handle_datagram(now, bytes, buffer[..bytes].into()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(true)
    }

    fn until(&self, time: Time) -> Option<Duration> {
        (time != Time::NEVER).then(|| time.since(self.clock.now()))
    }
}
