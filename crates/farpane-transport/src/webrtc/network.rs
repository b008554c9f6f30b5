//! The ways of a session to its viewer: UDP sockets and, where there is a door for them, TCP connections.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use farpane_media::Time;
use rustix::event::{PollFd, PollFlags};
use str0m::net::{Protocol, TcpType};
use str0m::{Candidate, Rtc};

use super::connections::Connections;
use super::sockets::{Datagram, Sockets};
use crate::door::Door;
use crate::waker::{self, Waker};

/// Both ends of a way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Way {
    pub protocol: Protocol,
    pub local: SocketAddr,
    pub remote: SocketAddr,
}

/// See the module.
pub(super) struct Network {
    sockets: Sockets,
    connections: Connections,
    /// Which of them is read first changes, so that a flood on one does not starve the other.
    tcp_first: bool,
}

impl Network {
    pub fn new(door: Option<Arc<dyn Door>>) -> Network {
        Network { sockets: Sockets::new(), connections: Connections::new(door), tcp_first: false }
    }

    /// Opens a socket for each address of this machine that has none yet, and gives str0m the candidates. Those of TCP
    /// have a lower priority (RFC 6544, section 4.2), so that UDP is taken where it works.
    ///
    /// # Errors
    /// There is no address, or none could be bound.
    pub fn open(&mut self, rtc: &mut Rtc) -> io::Result<()> {
        let addresses = self.sockets.open()?;
        let udp = addresses.iter().map(|address| Candidate::host(*address, "udp"));
        let tcp = self.connections.listening(&addresses).map(|address| {
            Candidate::builder().tcp().host(address).tcptype(TcpType::Passive).build()
        });
        for candidate in udp.chain(tcp) {
            match candidate {
                Ok(candidate) => _ = rtc.add_local_candidate(candidate),
                Err(error) => tracing::debug!(%error, "address not offered"),
            }
        }
        Ok(())
    }

    /// Has TCP connections that name str0m come here, before the viewer learns the name.
    pub fn register(&mut self, rtc: &mut Rtc, waker: &Waker) {
        let ufrag = rtc.direct_api().local_ice_credentials().ufrag;
        self.connections.register(&ufrag, waker);
    }

    pub fn close(&mut self) {
        self.sockets.close();
        self.connections.close();
    }

    pub fn send(&mut self, way: Way, bytes: &[u8], video: bool) {
        match way.protocol {
            Protocol::Udp => self.sockets.send(way.local, way.remote, bytes),
            _ => self.connections.send(way.local, way.remote, bytes, video),
        }
    }

    /// Whether what is sent now would wait in the kernel.
    pub fn is_full(&mut self, way: Way) -> bool {
        way.protocol != Protocol::Udp && self.connections.is_full(way.local, way.remote)
    }

    /// Sleeps until there is something to read or to go on sending, the waker rings or `timeout` is over, and goes on
    /// sending.
    pub fn sleep(&mut self, waker: &Waker, timeout: Option<Duration>) -> io::Result<()> {
        let mut fds = Vec::with_capacity(1 + self.sockets.count() + self.connections.count());
        fds.push(PollFd::new(waker, PollFlags::IN));
        fds.extend(self.sockets.interests());
        fds.extend(self.connections.interests());
        waker::sleep(&mut fds, timeout)?;
        self.sockets.flush();
        self.connections.flush();
        Ok(())
    }

    /// Some datagram that has arrived, without waiting for one, and how it came.
    pub fn recv(&mut self) -> Option<(Protocol, Datagram<'_>)> {
        self.tcp_first = !self.tcp_first;
        if self.tcp_first {
            let tcp = self.connections.recv().map(|datagram| (Protocol::Tcp, datagram));
            return tcp.or_else(|| self.sockets.recv().map(|datagram| (Protocol::Udp, datagram)));
        }
        let udp = self.sockets.recv().map(|datagram| (Protocol::Udp, datagram));
        udp.or_else(|| self.connections.recv().map(|datagram| (Protocol::Tcp, datagram)))
    }

    /// A datagram that came this way was the viewer's.
    pub fn handle_proof(&mut self, now: Time, protocol: Protocol, remote: SocketAddr) {
        if protocol == Protocol::Tcp {
            self.connections.handle_proof(now, remote);
        }
    }

    /// Takes in connections that have come, and closes those that are of no use.
    pub fn handle_timeout(&mut self, now: Time, rtc: &mut Rtc) {
        self.connections.handle_timeout(now, |remote| {
            // What is left of it must not stand in the way of the next connection until its checks time out.
            if let Some(candidate) = peer_reflexive(remote) {
                rtc.direct_api().invalidate_candidate(&candidate);
            }
        });
    }
}

/// What str0m takes the far end of a connection for.
fn peer_reflexive(remote: SocketAddr) -> Option<Candidate> {
    let (ip, port) = (remote.ip(), remote.port());
    Candidate::from_sdp_string(&format!("candidate:1 1 tcp 1 {ip} {port} typ prflx")).ok()
}
