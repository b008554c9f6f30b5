//! TCP connections of the viewer, for networks that let no UDP through (ICE-TCP, RFC 6544).
//!
//! The viewer connects, to a door that others open and that sorts out whom a connection is for. What waits for the path
//! waits in the pacer, where it can still be dropped: a connection takes video only while the kernel holds little unsent.

use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use farpane_media::Time;
use farpane_proto::framing::{self, Deframer};
use rustix::event::{PollFd, PollFlags};
use socket2::SockRef;

use super::sockets::Datagram;
use crate::Waker;
use crate::door::{Caller, Door};

/// Of a session, at once. A browser opens one for each of its networks and address of ours, and needs one.
const MAX_STREAMS: usize = 16;
/// Connections that wait for this thread to take them.
const MAX_CALLERS: usize = 8;
/// Most that the kernel is to hold of what it has not sent yet: 60 ms of 2 Mb/s.
const UNSENT: u32 = 16 * 1024;
/// Written between two questions whether there is room, which there is below half of [`UNSENT`].
const AT_ONCE: usize = UNSENT as usize / 2;
/// Messages and checks that wait for room, in bytes; what is beyond is lost, as it might be in a network.
const MAX_PENDING: usize = 64 * 1024;
/// A connection that has not shown within this that it is the viewer's is closed.
const PROOF_TIME: Duration = Duration::from_secs(10);
/// So is one of which nothing was heard for so long. Browsers check one that they keep in reserve every 25 s.
const SILENCE: Duration = Duration::from_secs(60);

/// See the module.
pub(super) struct Connections {
    door: Option<Arc<dyn Door>>,
    /// Places at the door, by user name fragment; the last one is in use.
    places: Vec<(String, Box<dyn Send>)>,
    calls: SyncSender<Caller>,
    callers: Receiver<Caller>,
    streams: Vec<Stream>,
    /// Where the next read starts.
    next: usize,
}

struct Stream {
    socket: TcpStream,
    local: SocketAddr,
    remote: SocketAddr,
    received: Deframer,
    /// The rest of a packet that was begun, and what came after it.
    pending: Vec<u8>,
    /// What may be written before the kernel is asked again.
    room: usize,
    /// It had no room when it was asked last.
    blocked: bool,
    since: Time,
    heard: Option<Time>,
    dead: bool,
}

impl Connections {
    pub fn new(door: Option<Arc<dyn Door>>) -> Connections {
        let (calls, callers) = sync_channel(MAX_CALLERS);
        Connections { door, places: Vec::new(), calls, callers, streams: Vec::new(), next: 0 }
    }

    /// Of these addresses of this machine, where the viewer can connect to.
    pub fn listening(&self, addresses: &[SocketAddr]) -> impl Iterator<Item = SocketAddr> {
        let door = self.door.as_ref().map(|door| door.addr());
        addresses.iter().filter_map(move |address| {
            let (door, ip) = (door?, address.ip());
            let any = door.ip().is_unspecified() && (door.is_ipv6() || ip.is_ipv4());
            (any || door.ip() == ip).then(|| SocketAddr::new(ip, door.port()))
        })
    }

    /// Has connections for the agent of this name come here, ringing `waker`. Those of the name before still do.
    pub fn register(&mut self, ufrag: &str, waker: &Waker) {
        let Some(door) = &self.door else { return };
        if self.places.last().is_some_and(|(known, _)| known == ufrag) {
            return;
        }
        let (calls, waker) = (self.calls.clone(), waker.clone());
        let place = door.register(
            ufrag,
            Box::new(move |caller| {
                // One too many is dropped, which closes it.
                if calls.try_send(caller).is_ok() {
                    waker.ring();
                }
            }),
        );
        self.places.push((ufrag.to_owned(), place));
        // While ICE restarts, checks under both names may be on their way.
        let obsolete = self.places.len().saturating_sub(2);
        self.places.drain(..obsolete);
    }

    pub fn close(&mut self) {
        self.places.clear();
        self.streams.clear();
        while self.callers.try_recv().is_ok() {}
    }

    /// Closes what is of no use, says from where it came, and takes in who has come.
    pub fn handle_timeout(&mut self, now: Time, mut closed: impl FnMut(SocketAddr)) {
        self.streams.retain(|stream| {
            let stays = stream.is_of_use(now);
            if !stays {
                closed(stream.remote);
            }
            stays
        });
        while let Ok(caller) = self.callers.try_recv() {
            if self.streams.len() == MAX_STREAMS {
                tracing::debug!("one connection too many");
                continue;
            }
            match Stream::new(caller, now) {
                Ok(stream) => self.streams.push(stream),
                Err(error) => tracing::debug!(%error, "connection lost as it came"),
            }
        }
    }

    /// A datagram from there has shown to be the viewer's.
    pub fn handle_proof(&mut self, now: Time, remote: SocketAddr) {
        if let Some(stream) = self.streams.iter_mut().find(|stream| stream.remote == remote) {
            stream.heard = Some(now);
        }
    }

    /// Whether a connection there is and has no room now.
    pub fn is_full(&mut self, local: SocketAddr, remote: SocketAddr) -> bool {
        self.find(local, remote).is_some_and(|stream| !stream.has_room())
    }

    /// Sends, or queues what is no video. What does not fit is lost, as it might be in a network.
    pub fn send(&mut self, local: SocketAddr, remote: SocketAddr, bytes: &[u8], video: bool) {
        if let Some(stream) = self.find(local, remote) {
            stream.send(bytes, video);
        }
    }

    fn find(&mut self, local: SocketAddr, remote: SocketAddr) -> Option<&mut Stream> {
        self.streams.iter_mut().find(|s| s.remote == remote && s.local == local && !s.dead)
    }

    pub fn count(&self) -> usize {
        self.streams.len()
    }

    /// What to wait for: room only where it was wanted and is not there.
    pub fn interests(&self) -> impl Iterator<Item = PollFd<'_>> {
        self.streams.iter().filter(|stream| !stream.dead).map(|stream| {
            let out = if stream.blocked { PollFlags::OUT } else { PollFlags::empty() };
            PollFd::new(&stream.socket, PollFlags::IN | out)
        })
    }

    /// Goes on sending where there is room again.
    pub fn flush(&mut self) {
        self.streams.iter_mut().for_each(Stream::flush);
    }

    /// Some packet that has arrived, without waiting for one.
    pub fn recv(&mut self) -> Option<Datagram<'_>> {
        let count = self.streams.len();
        let mut turns = (self.next..self.next + count).map(|at| at % count);
        let at = turns.find(|at| self.streams[*at].has_packet())?;
        self.next = at + 1;
        let Stream { remote, local, received, .. } = &mut self.streams[at];
        let bytes = received.poll_frame()?;
        Some(Datagram { source: *remote, destination: *local, bytes })
    }
}

impl Stream {
    fn new(Caller { stream: socket, read }: Caller, now: Time) -> io::Result<Stream> {
        socket.set_nonblocking(true)?;
        socket.set_nodelay(true)?;
        SockRef::from(&socket).set_tcp_notsent_lowat(UNSENT)?;
        let plain = |addr: SocketAddr| SocketAddr::new(addr.ip().to_canonical(), addr.port());
        let (local, remote) = (plain(socket.local_addr()?), plain(socket.peer_addr()?));
        let mut received = Deframer::default();
        let space = received.space();
        space.get_mut(..read.len()).ok_or(ErrorKind::InvalidData)?.copy_from_slice(&read);
        received.handle_received(read.len());
        Ok(Stream {
            socket,
            local,
            remote,
            received,
            pending: Vec::new(),
            room: AT_ONCE,
            blocked: false,
            since: now,
            heard: None,
            dead: false,
        })
    }

    fn is_of_use(&self, now: Time) -> bool {
        let in_time = match self.heard {
            Some(heard) => now.since(heard) < SILENCE,
            None => now.since(self.since) < PROOF_TIME,
        };
        in_time && !self.dead
    }

    fn send(&mut self, bytes: &[u8], video: bool) {
        let Some(length) = framing::length(bytes.len()) else { return };
        let frame = length.len() + bytes.len();
        if video && self.blocked {
            return;
        }
        if !self.pending.is_empty() {
            if self.pending.len() + frame <= MAX_PENDING {
                self.pending.extend(length);
                self.pending.extend_from_slice(bytes);
            }
            return;
        }
        let written =
            match self.socket.write_vectored(&[IoSlice::new(&length), IoSlice::new(bytes)]) {
                Ok(written) => written,
                Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
                Err(error) => return self.end(&error),
            };
        self.room = self.room.saturating_sub(written);
        if written == frame {
            return;
        }
        (self.room, self.blocked) = (0, true);
        // A packet that was begun has to be ended.
        if written > 0 || !video {
            self.pending.extend(length.iter().chain(bytes).skip(written));
        }
    }

    fn flush(&mut self) {
        if self.dead || !self.blocked || !self.kernel_has_room() {
            return;
        }
        (self.room, self.blocked) = (AT_ONCE, false);
        match self.socket.write(&self.pending) {
            Ok(written) => {
                self.pending.drain(..written);
                self.blocked = !self.pending.is_empty();
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => self.blocked = true,
            Err(error) => self.end(&error),
        }
    }

    /// Whether video may be written; asks the kernel when what it granted last is used up.
    fn has_room(&mut self) -> bool {
        if self.room == 0 && !self.blocked {
            self.blocked = !self.kernel_has_room();
            self.room = if self.blocked { 0 } else { AT_ONCE };
        }
        !self.blocked
    }

    fn kernel_has_room(&self) -> bool {
        let mut fds = [PollFd::new(&self.socket, PollFlags::OUT)];
        crate::waker::sleep(&mut fds, Some(Duration::ZERO)).is_ok()
            && fds[0].revents().contains(PollFlags::OUT)
    }

    /// Reads until a packet is whole; `false` when there is no more to read now.
    fn has_packet(&mut self) -> bool {
        loop {
            match self.received.has_frame() {
                Ok(true) => return true,
                Ok(false) if self.dead => return false,
                Ok(false) => {}
                Err(error) => {
                    self.end(&error);
                    return false;
                }
            }
            match self.socket.read(self.received.space()) {
                Ok(0) => self.end(&"the viewer has closed it"),
                Ok(len) => self.received.handle_received(len),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
                Err(error) => self.end(&error),
            }
        }
    }

    /// ICE goes on with other ways.
    fn end(&mut self, why: &dyn std::fmt::Display) {
        tracing::debug!(remote = %self.remote, %why, "connection ends");
        self.dead = true;
        self.pending.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[derive(Debug)]
    struct Nobody;

    impl Door for Nobody {
        fn addr(&self) -> SocketAddr {
            "[::]:8080".parse().unwrap()
        }

        fn register(&self, _: &str, _: crate::Take) -> Box<dyn Send> {
            unreachable!("nobody is let in here")
        }
    }

    fn at(seconds: u64) -> Time {
        Time::ZERO + Duration::from_secs(seconds)
    }

    /// The far end of a connection that waits to be taken.
    fn call(streams: &Connections) -> TcpStream {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (stream, _) = listener.accept().unwrap();
        streams.calls.try_send(Caller { stream, read: Vec::new() }).unwrap();
        near
    }

    #[test]
    fn a_connection_stays_as_long_as_it_shows_to_be_the_viewers() {
        let mut streams = Connections::new(None);
        let (proven, silent) = (call(&streams), call(&streams));
        let addresses = [&proven, &silent].map(|near| near.local_addr().unwrap());
        streams.handle_timeout(at(1), |_| unreachable!("both are new"));
        streams.handle_proof(at(5), addresses[0]);
        let mut closed = Vec::new();
        for seconds in [10, 11, 64, 65] {
            streams.handle_timeout(at(seconds), |remote| closed.push((seconds, remote)));
        }
        assert_eq!(closed, [(11, addresses[1]), (65, addresses[0])]);
        assert_eq!(streams.count(), 0);
    }

    #[test]
    fn a_packet_that_was_begun_is_ended_and_the_rest_is_bounded() {
        let mut streams = Connections::new(None);
        let mut near = call(&streams);
        streams.handle_timeout(at(0), |_| {});
        let Stream { local, remote, .. } = streams.streams[0];
        let packet = [7; 1_200];
        while !streams.is_full(local, remote) {
            streams.send(local, remote, &packet, true);
        }
        for _ in 0..1_000 {
            streams.send(local, remote, &packet, false);
            streams.send(local, remote, &[8; 1_200], true);
        }
        let pending = streams.streams[0].pending.len();
        assert!(pending > MAX_PENDING - 2 * 1_202 && pending <= MAX_PENDING, "{pending}");
        let mut received = Deframer::default();
        near.set_nonblocking(true).unwrap();
        // Until what waited has left and arrived, all of it whole.
        let mut packets = 0;
        loop {
            match near.read(received.space()) {
                Ok(len) => received.handle_received(len),
                Err(_) if streams.streams[0].pending.is_empty() => break,
                Err(_) => streams.flush(),
            }
            while received.has_frame().unwrap() {
                packets += 1;
                let whole = received.poll_frame() == Some(&packet[..]);
                assert!(whole, "packet {packets}");
            }
        }
        assert!(packets > MAX_PENDING / 1_202);
    }

    #[test]
    fn candidates_are_where_the_door_listens() {
        let own: Vec<SocketAddr> =
            ["127.0.0.1:1", "192.0.2.7:2", "[::1]:3"].map(|own| own.parse().unwrap()).to_vec();
        let ports = |streams: &Connections| -> Vec<String> {
            streams.listening(&own).map(|address| address.to_string()).collect()
        };
        assert_eq!(ports(&Connections::new(None)), [""; 0]);
        let everywhere = Connections::new(Some(Arc::new(Nobody)));
        assert_eq!(ports(&everywhere), ["127.0.0.1:8080", "192.0.2.7:8080", "[::1]:8080"]);
    }
}
