//! The UDP sockets of a session, one for each address of this machine.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr, UdpSocket};

use rustix::event::{PollFd, PollFlags};

/// More addresses than a machine has that is not a router; each costs a socket and connectivity checks.
const MAX_SOCKETS: usize = 16;
/// Datagrams that the kernel had no room for. Enough for a large frame; beyond it the path is hopeless anyway.
const MAX_PENDING: usize = 512;
/// Asked of the kernel, which may grant less: a large frame at once.
const BUFFER: usize = 1 << 20;
/// Longer datagrams are cut off, and then do not authenticate.
const MAX_DATAGRAM: usize = 2_000;

#[derive(Debug)]
pub(super) struct Sockets {
    sockets: Vec<(SocketAddr, UdpSocket)>,
    pending: VecDeque<(usize, SocketAddr, Vec<u8>)>,
    buffer: Box<[u8; MAX_DATAGRAM]>,
    /// Where the next read starts, so that a flood on one socket does not starve the others.
    next: usize,
}

/// A received datagram.
pub(super) struct Datagram<'a> {
    pub source: SocketAddr,
    /// The local socket's address.
    pub destination: SocketAddr,
    pub bytes: &'a [u8],
}

impl Sockets {
    pub fn new() -> Sockets {
        Sockets {
            sockets: Vec::new(),
            pending: VecDeque::new(),
            buffer: Box::new([0; MAX_DATAGRAM]),
            next: 0,
        }
    }

    /// Opens a socket for each address of this machine that has none yet, and returns their addresses.
    ///
    /// # Errors
    /// There is no address, or none could be bound.
    pub fn open(&mut self) -> io::Result<Vec<SocketAddr>> {
        let mut failure = io::Error::from(ErrorKind::AddrNotAvailable);
        let mut opened = Vec::new();
        for interface in if_addrs::get_if_addrs()? {
            let ip = interface.ip();
            let known = self.sockets.iter().any(|(address, _)| address.ip() == ip);
            if known || !usable(ip) || self.sockets.len() == MAX_SOCKETS {
                continue;
            }
            match bind(ip) {
                Ok((address, socket)) => {
                    opened.push(address);
                    self.sockets.push((address, socket));
                }
                Err(error) => failure = error,
            }
        }
        if self.sockets.is_empty() { Err(failure) } else { Ok(opened) }
    }

    pub fn close(&mut self) {
        self.sockets.clear();
        self.pending.clear();
    }

    /// Sends, or queues while the kernel has no room. What cannot be sent is lost, as it might be on the way.
    pub fn send(&mut self, from: SocketAddr, to: SocketAddr, bytes: &[u8]) {
        let Some(at) = self.sockets.iter().position(|(address, _)| *address == from) else {
            return;
        };
        if self.pending.is_empty()
            && !matches!(self.try_send(at, to, bytes), Err(ErrorKind::WouldBlock))
        {
            return;
        }
        if self.pending.len() < MAX_PENDING {
            self.pending.push_back((at, to, bytes.to_vec()));
        }
    }

    /// Goes on sending where there is room again.
    pub fn flush(&mut self) {
        while let Some((at, to, bytes)) = self.pending.pop_front() {
            if matches!(self.try_send(at, to, &bytes), Err(ErrorKind::WouldBlock)) {
                self.pending.push_front((at, to, bytes));
                return;
            }
        }
    }

    fn try_send(&self, at: usize, to: SocketAddr, bytes: &[u8]) -> Result<(), ErrorKind> {
        // The error of an earlier datagram (ECONNREFUSED) may be reported here instead of sending this one: once more.
        let socket = &self.sockets[at].1;
        socket.send_to(bytes, to).or_else(|_| socket.send_to(bytes, to)).map(drop).map_err(
            |error| {
                let kind = error.kind();
                if kind != ErrorKind::WouldBlock {
                    tracing::trace!(%error, %to, "datagram not sent");
                }
                kind
            },
        )
    }

    pub fn count(&self) -> usize {
        self.sockets.len()
    }

    /// What to wait for.
    pub fn interests(&self) -> impl Iterator<Item = PollFd<'_>> {
        // Room is asked for where it lacks: elsewhere there always is some.
        let full = self.pending.front().map(|(at, ..)| *at);
        self.sockets.iter().enumerate().map(move |(at, (_, socket))| {
            let out = if full == Some(at) { PollFlags::OUT } else { PollFlags::empty() };
            PollFd::new(socket, PollFlags::IN | out)
        })
    }

    /// Some datagram that has arrived, without waiting for one.
    pub fn recv(&mut self) -> Option<Datagram<'_>> {
        for _ in 0..self.sockets.len() {
            let at = self.next % self.sockets.len();
            let (destination, socket) = &self.sockets[at];
            self.next = at + 1;
            // Empty, or an error that belongs to a datagram sent earlier: there is always a next time.
            if let Ok((len, source)) = socket.recv_from(&mut self.buffer[..]) {
                return Some(Datagram {
                    source,
                    destination: *destination,
                    bytes: &self.buffer[..len],
                });
            }
        }
        None
    }
}

/// Link-local IPv6 addresses need a scope that candidates cannot carry (RFC 8445, section 5.1.1.1).
fn usable(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => !ip.is_unspecified() && !ip.is_link_local(),
        IpAddr::V6(ip) => !ip.is_unspecified() && !ip.is_unicast_link_local(),
    }
}

fn bind(ip: IpAddr) -> io::Result<(SocketAddr, UdpSocket)> {
    let socket = UdpSocket::bind((ip, 0))?;
    socket.set_nonblocking(true)?;
    // A smaller buffer than asked for only means more waiting in `pending`.
    let _ = rustix::net::sockopt::set_socket_send_buffer_size(&socket, BUFFER);
    let _ = rustix::net::sockopt::set_socket_recv_buffer_size(&socket, BUFFER);
    Ok((socket.local_addr()?, socket))
}
