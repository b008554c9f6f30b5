//! Who comes to a share from the meeting point.

use std::net::SocketAddr;

use tokio::sync::mpsc;

/// One viewer's connection through the meeting point: serialised `Signal` messages either way. Dropping it hangs up.
pub struct Visitor {
    pub from: SocketAddr,
    pub incoming: mpsc::Receiver<Vec<u8>>,
    pub outgoing: mpsc::Sender<Vec<u8>>,
    /// Tells the meeting point that this viewer has proved itself and is no longer one of many strangers.
    pub admit: Box<dyn FnOnce() + Send>,
}
