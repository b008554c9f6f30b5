//! Presence: which routing ids are live in this process, and how a viewer's messages reach their host.

use std::collections::HashMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use farpane_auth::RoutingId;
use tokio::sync::mpsc;

/// Messages that may wait in either direction.
const MESSAGES: usize = 32;

/// A host, as far as viewers matter: whether it takes one in.
type Host = Arc<dyn Fn(Knock) -> bool + Send + Sync>;
type Hosts = HashMap<RoutingId, Host>;

/// Where hosts register. Clones share one registry.
#[derive(Clone, Default)]
pub struct Broker {
    hosts: Arc<Mutex<Hosts>>,
}

impl Broker {
    /// Hands out a routing id; viewers that name it are given to `host` until the registration is dropped. It must not
    /// block, and bounds how many may wait: one for which it returns `false` is told that there is no room.
    pub fn register(&self, host: impl Fn(Knock) -> bool + Send + Sync + 'static) -> Registration {
        let mut hosts = self.lock();
        let mut routing_id = RoutingId::random();
        while hosts.contains_key(&routing_id) {
            routing_id = RoutingId::random();
        }
        hosts.insert(routing_id, Arc::new(host));
        drop(hosts);
        Registration { routing_id, broker: self.clone() }
    }

    pub(crate) fn find(&self, routing_id: RoutingId) -> Option<Host> {
        self.lock().get(&routing_id).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, Hosts> {
        // Every change under the lock is a single call, so that a panic cannot leave half of one.
        self.hosts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Broker").field("hosts", &self.lock().keys()).finish()
    }
}

/// A host's place at the meeting point; dropping it takes the routing id out of use.
#[derive(Debug)]
pub struct Registration {
    routing_id: RoutingId,
    broker: Broker,
}

impl Registration {
    /// The public half of the code.
    pub fn routing_id(&self) -> RoutingId {
        self.routing_id
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.broker.lock().remove(&self.routing_id);
    }
}

/// A viewer's WebSocket as the host sees it. Dropping it sends what is queued and hangs up.
#[derive(Debug)]
pub struct Knock {
    /// The viewer's address, as far as the meeting point can see it.
    pub from: SocketAddr,
    /// The viewer's messages, at most [`farpane_wire::MAX_SIGNAL_BYTES`] each; the end of them when it is gone.
    pub incoming: mpsc::Receiver<Vec<u8>>,
    /// Messages for the viewer; an error when it is gone.
    pub outgoing: mpsc::Sender<Vec<u8>>,
    /// For when the viewer has proved itself.
    pub admission: Admission,
}

/// Vouches for a viewer. Until then it is one of a bounded number of strangers with little time.
#[derive(Debug)]
pub struct Admission(Arc<AtomicBool>);

impl Admission {
    /// Says that this viewer has proved itself.
    pub fn grant(&self) {
        self.0.store(true, Ordering::Release);
    }
}

/// The other ends of a [`Knock`].
pub(crate) struct Ends {
    pub to_host: mpsc::Sender<Vec<u8>>,
    pub to_viewer: mpsc::Receiver<Vec<u8>>,
}

pub(crate) fn knock(from: SocketAddr, admission: Arc<AtomicBool>) -> (Knock, Ends) {
    let (to_host, incoming) = mpsc::channel(MESSAGES);
    let (outgoing, to_viewer) = mpsc::channel(MESSAGES);
    (
        Knock { from, incoming, outgoing, admission: Admission(admission) },
        Ends { to_host, to_viewer },
    )
}
