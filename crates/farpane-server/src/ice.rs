//! The door for media by TCP (RFC 6544), on the port that serves the page: a connection that begins with a connectivity
//! check is handed to whoever it names. What is in it is no affair of the meeting point.

use std::collections::HashMap;
use std::fmt;
use std::net::TcpStream;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use farpane_wire::opening::{MAX_OPENING, Opening, opening};
use tokio::io::AsyncReadExt;

/// Takes a connection, or drops it.
type Take = Arc<dyn Fn(Arrival) + Send + Sync>;

/// A connection that named an agent, and no longer one of the meeting point's.
#[derive(Debug)]
pub struct Arrival {
    /// Does not block.
    pub stream: TcpStream,
    /// What was read of it: the check, framed as it came.
    pub read: Vec<u8>,
}

/// Where ICE agents register. Clones share one registry.
#[derive(Clone, Default)]
pub struct IceDoor {
    agents: Arc<Mutex<HashMap<String, Take>>>,
}

impl IceDoor {
    /// Gives connections that name the agent `ufrag` to `take`, which must not block, until the registration is dropped.
    /// Names are random (RFC 8445, section 5.3); of two that are the same, the later one counts.
    pub fn register(
        &self,
        ufrag: &str,
        take: impl Fn(Arrival) + Send + Sync + 'static,
    ) -> IceRegistration {
        let take: Take = Arc::new(take);
        self.lock().insert(ufrag.to_owned(), Arc::clone(&take));
        IceRegistration { ufrag: ufrag.to_owned(), take, door: self.clone() }
    }

    fn find(&self, ufrag: &str) -> Option<Take> {
        self.lock().get(ufrag).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Take>> {
        // Every change under the lock is a single call, so that a panic cannot leave half of one.
        self.agents.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for IceDoor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IceDoor").field("agents", &self.lock().len()).finish()
    }
}

/// An agent's place at the door.
pub struct IceRegistration {
    ufrag: String,
    take: Take,
    door: IceDoor,
}

impl fmt::Debug for IceRegistration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IceRegistration").field("ufrag", &self.ufrag).finish()
    }
}

impl Drop for IceRegistration {
    fn drop(&mut self) {
        let mut agents = self.door.lock();
        if agents.get(&self.ufrag).is_some_and(|take| Arc::ptr_eq(take, &self.take)) {
            agents.remove(&self.ufrag);
        }
    }
}

/// Looks at how a connection begins. One that is not for ICE is given back untouched; the others go to whom they name,
/// or are closed.
pub(crate) async fn sort_out(
    door: &IceDoor,
    mut stream: tokio::net::TcpStream,
) -> Option<tokio::net::TcpStream> {
    let mut first = [0];
    if stream.peek(&mut first).await.ok()? == 0 {
        return None;
    }
    if opening(&first) == Opening::Other {
        return Some(stream);
    }
    // What begins like this is no HTTP, so that it need not be given back.
    let mut read = Vec::with_capacity(MAX_OPENING);
    loop {
        match opening(&read) {
            Opening::Incomplete(wanted) => {
                let from = read.len();
                read.resize(wanted, 0);
                stream.read_exact(&mut read[from..]).await.ok()?;
            }
            Opening::Check { ufrag } => {
                let Some(take) = door.find(ufrag) else {
                    tracing::debug!("a connection for nobody here");
                    return None;
                };
                let stream = stream.into_std().ok()?;
                take(Arrival { stream, read });
                return None;
            }
            Opening::Other => return None,
        }
    }
}
