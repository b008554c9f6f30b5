//! One visitor's way in: key exchange, consent, and the sealed line that remains.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use farpane_auth::{HostHandshake, Open, Seal, SealError, Share, Step};
use farpane_wire::v1::{
    Admitted, Refusal, RefusalReason, Session, Signal, Waiting, session, signal,
};
use farpane_wire::{Message, decode_signal};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout_at};

use crate::{CONSENT_TIME, Event, ShareConfig, Visitor};

/// How long a visitor may take over each message of the key exchange.
const PATIENCE: Duration = Duration::from_secs(20);

/// A code and the time it counts by. The key exchange is short and rare; a lock is held over one message of it.
pub(crate) struct Gate {
    share: Mutex<Share>,
    epoch: Instant,
}

impl Gate {
    pub fn new(share: Share, epoch: Instant) -> Arc<Gate> {
        Arc::new(Gate { share: Mutex::new(share), epoch })
    }

    pub fn with<T>(&self, act: impl FnOnce(&mut Share, Duration) -> T) -> T {
        // A panic inside leaves counters that are at worst too strict.
        let mut share = self.share.lock().unwrap_or_else(PoisonError::into_inner);
        act(&mut share, self.epoch.elapsed())
    }
}

/// An admitted visitor.
pub(crate) struct Line {
    pub from: SocketAddr,
    incoming: mpsc::Receiver<Vec<u8>>,
    outgoing: mpsc::Sender<Vec<u8>>,
    seal: Seal,
    open: Open,
}

/// Why a visitor did not get in.
pub(crate) enum Turned {
    /// It was told why.
    Away(RefusalReason),
    /// It went away by itself.
    Left,
}

impl Line {
    /// Sends one sealed message. `false` when the visitor is gone.
    pub async fn send(&mut self, body: session::Body) -> bool {
        match self.seal.seal(&Session { body: Some(body) }) {
            Ok(sealed) => deliver(&self.outgoing, signal::Body::Sealed(sealed)).await,
            Err(error) => {
                tracing::warn!(%error, "cannot say this to the viewer");
                false
            }
        }
    }

    /// The next sealed message; `None` when the visitor is gone or broke the rules.
    pub async fn recv(&mut self) -> Option<session::Body> {
        loop {
            let bytes = self.incoming.recv().await?;
            match self.unseal(&bytes) {
                Ok(Some(body)) => return Some(body),
                // Said by a newer viewer; not for us.
                Ok(None) => {}
                Err(error) => {
                    tracing::debug!(%error, from = %self.from, "signalling ended");
                    return None;
                }
            }
        }
    }

    fn unseal(&mut self, bytes: &[u8]) -> Result<Option<session::Body>, SealError> {
        match decode_signal(bytes).ok().and_then(|signal| signal.body) {
            Some(signal::Body::Sealed(sealed)) => Ok(self.open.open(&sealed)?.body),
            _ => Err(SealError::Malformed),
        }
    }
}

/// Runs the key exchange with a visitor.
pub(crate) async fn authenticate(mut visitor: Visitor, gate: &Gate) -> Result<Line, Turned> {
    let mut handshake = HostHandshake::new(visitor.from.ip());
    loop {
        let message = timeout_at(Instant::now() + PATIENCE, visitor.incoming.recv()).await;
        let Ok(Some(bytes)) = message else {
            gate.with(|share, _| handshake.close(share));
            return Err(Turned::Left);
        };
        // What cannot be read takes the place of a message out of order.
        let signal = decode_signal(&bytes).unwrap_or_default();
        match gate.with(|share, now| handshake.handle(now, share, &signal)) {
            Step::Reply(reply) => {
                if visitor.outgoing.send(reply.encode_to_vec()).await.is_err() {
                    gate.with(|share, _| handshake.close(share));
                    return Err(Turned::Left);
                }
            }
            Step::Admitted(keys) => {
                let (seal, open) = keys.into_host_side();
                let Visitor { from, incoming, outgoing, admit } = visitor;
                admit();
                return Ok(Line { from, incoming, outgoing, seal, open });
            }
            Step::Refused(refused) => {
                deliver(&visitor.outgoing, signal::Body::Refusal(refused.into())).await;
                return Err(Turned::Away(refused.reason));
            }
        }
    }
}

/// Refuses a visitor before any exchange.
pub(crate) async fn refuse(visitor: Visitor, reason: RefusalReason) {
    deliver(
        &visitor.outgoing,
        signal::Body::Refusal(Refusal { reason: reason.into(), attempts_left: 0 }),
    )
    .await;
}

/// Has the person at the host asked, unless the share takes everyone, and tells the visitor.
pub(crate) async fn consent(
    line: &mut Line,
    config: &ShareConfig,
    events: &mpsc::UnboundedSender<Event>,
) -> Result<(), Turned> {
    if !config.accept {
        let verdict = ask(line, events).await;
        let _ = events.send(Event::Answered { from: line.from, admitted: verdict.is_ok() });
        if let Err(turned) = verdict {
            if let Turned::Away(reason) = turned {
                line.send(session::Body::Refused(Refusal {
                    reason: reason.into(),
                    attempts_left: 0,
                }))
                .await;
            }
            return Err(turned);
        }
    }
    let admitted = Admitted { view_only: config.view_only, host_name: config.host_name.clone() };
    match line.send(session::Body::Admitted(admitted)).await {
        true => Ok(()),
        false => Err(Turned::Left),
    }
}

async fn ask(line: &mut Line, events: &mpsc::UnboundedSender<Event>) -> Result<(), Turned> {
    let (reply, answer) = oneshot::channel();
    if !line.send(session::Body::Waiting(Waiting { seconds: CONSENT_TIME.as_secs() as u32 })).await
    {
        return Err(Turned::Left);
    }
    let _ = events.send(Event::Asked { from: line.from, reply });
    let until = Instant::now() + CONSENT_TIME;
    tokio::select! {
        answer = timeout_at(until, answer) => match answer {
            Ok(Ok(true)) => Ok(()),
            Ok(_) => Err(Turned::Away(RefusalReason::RefusalDeclined)),
            Err(_) => Err(Turned::Away(RefusalReason::RefusalNoAnswer)),
        },
        // A visitor has nothing to say now but goodbye.
        _ = line.recv() => Err(Turned::Left),
    }
}

async fn deliver(outgoing: &mpsc::Sender<Vec<u8>>, body: signal::Body) -> bool {
    outgoing.send(Signal { body: Some(body) }.encode_to_vec()).await.is_ok()
}
