//! Where TCP connections of viewers come in, for transports that take them.

use std::fmt;
use std::net::{SocketAddr, TcpStream};

/// Takes TCP connections for transports, by the name that each begins with (RFC 6544): the user name of a connectivity
/// check is "ours:theirs", and `ours` is the transport's user name fragment.
pub trait Door: fmt::Debug + Send + Sync {
    /// Where it listens; the unspecified address means all of this machine.
    fn addr(&self) -> SocketAddr;

    /// From now until what is returned is dropped, connections that name `ufrag` go to `take`.
    fn register(&self, ufrag: &str, take: Take) -> Box<dyn Send>;
}

/// Takes a connection, or drops it, at once.
pub type Take = Box<dyn Fn(Caller) + Send + Sync>;

/// A connection that named a transport.
#[derive(Debug)]
pub struct Caller {
    pub stream: TcpStream,
    /// What was read of it to learn the name.
    pub read: Vec<u8>,
}
