//! What a share needs of a meeting point: a routing id, and the viewers that ask for it.

use std::net::SocketAddr;

use farpane_auth::RoutingId;
use tokio::sync::mpsc;

/// Where viewers find shares. It relays bytes and learns nothing from them.
pub trait MeetingPoint: Send + 'static {
    type Place: Place;

    /// Makes this host reachable under a fresh routing id.
    fn register(&self) -> Self::Place;
}

/// A share's place at the meeting point, until it is dropped.
pub trait Place: Send + 'static {
    fn routing_id(&self) -> RoutingId;

    /// The next viewer.
    fn next(&mut self) -> impl Future<Output = Visitor> + Send;
}

/// One viewer's connection through the meeting point: serialised `Signal` messages either way. Dropping it hangs up.
pub struct Visitor {
    pub from: SocketAddr,
    pub incoming: mpsc::Receiver<Vec<u8>>,
    pub outgoing: mpsc::Sender<Vec<u8>>,
    /// Tells the meeting point that this viewer has proved itself and is no longer one of many strangers.
    pub admit: Box<dyn FnOnce() + Send>,
}
