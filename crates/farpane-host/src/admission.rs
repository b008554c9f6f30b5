//! One visitor's way in: key exchange, consent, and the sealed line that remains, over a new connection if need be.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use farpane_auth::{HostHandshake, MediaKeys, Open, Seal, SealError, SessionKeys, Share, Step};
use farpane_wire::v1::{
    Admitted, Refusal, RefusalReason, Resume, Session, Signal, StreamFormat, Waiting, session,
    signal,
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
    keys: SessionKeys,
    number: u32,
    seal: Seal,
    open: Open,
}

/// Somebody who says that a running session is theirs.
pub(crate) struct Returning {
    visitor: Visitor,
    claim: Resume,
    wants: Wants,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Wants {
    /// To go on over this connection.
    Line,
    /// To have media sent over it, beside the line.
    Stream,
}

/// How somebody was taken who returned.
pub(crate) enum Returned {
    /// The line goes on.
    Line,
    /// A connection for media, its keys, and what the viewer shows.
    Stream(Visitor, MediaKeys, Vec<StreamFormat>),
    /// It was not the viewer, and was refused.
    Stranger(SocketAddr),
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

    /// Goes on over the connection of a visitor who proves to be this one, or gives it out for media; refuses others.
    pub async fn resume(&mut self, Returning { visitor, claim, wants }: Returning) -> Returned {
        let (seal, mut open) = self.keys.host_side(claim.line);
        let opening = claim.opening.and_then(|opening| open.open(&opening).ok());
        let Some(opening) = opening.filter(|_| claim.line > self.number) else {
            let from = visitor.from;
            refuse(visitor, RefusalReason::RefusalBusy).await;
            return Returned::Stranger(from);
        };
        self.number = claim.line;
        if wants == Wants::Stream {
            let shown = match opening.body {
                Some(session::Body::Shown(shown)) => shown.formats().collect(),
                _ => Vec::new(),
            };
            return Returned::Stream(visitor, self.keys.host_media_keys(claim.line), shown);
        }
        let Visitor { from, incoming, outgoing, admit } = visitor;
        admit();
        (self.from, self.incoming, self.outgoing) = (from, incoming, outgoing);
        (self.seal, self.open) = (seal, open);
        Returned::Line
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
                let (seal, open) = keys.host_side(0);
                let Visitor { from, incoming, outgoing, admit } = visitor;
                admit();
                return Ok(Line { from, incoming, outgoing, keys, number: 0, seal, open });
            }
            Step::Refused(refused) => {
                deliver(&visitor.outgoing, signal::Body::Refusal(refused.into())).await;
                return Err(Turned::Away(refused.reason));
            }
        }
    }
}

/// Listens to what a visitor says first, while somebody views.
pub(crate) async fn hear(mut visitor: Visitor) -> Result<Returning, Turned> {
    let message = timeout_at(Instant::now() + PATIENCE, visitor.incoming.recv()).await;
    let Ok(Some(bytes)) = message else { return Err(Turned::Left) };
    match decode_signal(&bytes).unwrap_or_default().body {
        Some(signal::Body::Resume(claim)) => Ok(Returning { visitor, claim, wants: Wants::Line }),
        Some(signal::Body::Stream(claim)) => Ok(Returning { visitor, claim, wants: Wants::Stream }),
        _ => {
            refuse(visitor, RefusalReason::RefusalBusy).await;
            Err(Turned::Away(RefusalReason::RefusalBusy))
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

/// Has the person at the host asked, unless the share takes everyone, and tells the visitor what it may do.
pub(crate) async fn consent(
    line: &mut Line,
    view_only: bool,
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
    let admitted = Admitted { view_only, host_name: config.host_name.clone() };
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

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use farpane_auth::{RoutingId, ViewerHandshake};
    use farpane_wire::v1::{Description, Sealed, Shown};

    use super::*;

    type Far = (mpsc::Sender<Vec<u8>>, mpsc::Receiver<Vec<u8>>);

    /// A connection through a meeting point: the host's end and the viewer's.
    fn connection() -> (Visitor, Far) {
        let (to_host, incoming) = mpsc::channel(32);
        let (outgoing, to_viewer) = mpsc::channel(32);
        let from = (Ipv4Addr::LOCALHOST, 1).into();
        (Visitor { from, incoming, outgoing, admit: Box::new(|| ()) }, (to_host, to_viewer))
    }

    async fn say((to_host, _): &Far, body: signal::Body) {
        to_host.send(Signal { body: Some(body) }.encode_to_vec()).await.unwrap();
    }

    async fn hear_back((_, to_viewer): &mut Far) -> signal::Body {
        decode_signal(&to_viewer.recv().await.unwrap()).unwrap().body.unwrap()
    }

    /// A viewer that is in, with its keys.
    async fn admitted() -> (Line, SessionKeys) {
        let share = Share::open(RoutingId::random(), Duration::ZERO).unwrap();
        let code = share.code().clone();
        let gate = Gate::new(share, Instant::now());
        let (visitor, mut far) = connection();
        let entering = tokio::spawn(async move { authenticate(visitor, &gate).await });
        let (viewer, start) = ViewerHandshake::start(code).unwrap();
        say(&far, signal::Body::AuthStart(start)).await;
        let signal::Body::AuthReply(reply) = hear_back(&mut far).await else { panic!() };
        let (finish, keys) = viewer.finish(&reply).unwrap();
        say(&far, signal::Body::AuthFinish(finish)).await;
        (entering.await.unwrap().unwrap_or_else(|_| panic!("not admitted")), keys)
    }

    async fn claim(line: &mut Line, claim: Resume) -> (bool, Far) {
        let (visitor, far) = connection();
        say(&far, signal::Body::Resume(claim)).await;
        let returning = hear(visitor).await.unwrap_or_else(|_| panic!("not heard"));
        (matches!(line.resume(returning).await, Returned::Line), far)
    }

    fn opening(seal: &mut Seal) -> Option<Sealed> {
        Some(seal.seal(&Session::default()).unwrap())
    }

    #[tokio::test]
    async fn a_viewer_comes_back_by_proving_a_line_that_was_not_taken() {
        let (mut line, keys) = admitted().await;
        let offer = session::Body::Offer(Description { sdp: "v=0".to_owned() });
        // It may have tried lines in between that came to nothing.
        for number in [1, 2, 7] {
            let (mut seal, mut open) = keys.viewer_side(number);
            let resume = Resume { line: number, opening: opening(&mut seal) };
            let (resumed, mut far) = claim(&mut line, resume).await;
            assert!(resumed);
            let sealed = seal.seal(&Session { body: Some(offer.clone()) }).unwrap();
            say(&far, signal::Body::Sealed(sealed)).await;
            assert_eq!(line.recv().await, Some(offer.clone()));
            assert!(line.send(offer.clone()).await);
            let signal::Body::Sealed(answer) = hear_back(&mut far).await else { panic!() };
            assert_eq!(open.open(&answer).unwrap().body, Some(offer.clone()));
        }
        assert_eq!(line.recv().await, None, "the viewer's end of the last connection is gone");
    }

    #[tokio::test]
    async fn nobody_else_takes_a_session_over() {
        let (mut line, keys) = admitted().await;
        let proof = |number: u32| opening(&mut keys.viewer_side(number).0);
        let (_, strangers) = admitted().await;
        let claims = [
            // What the meeting point has heard already, or what it makes up.
            Resume { line: 0, opening: proof(0) },
            Resume { line: 1, opening: None },
            Resume { line: 1, opening: Some(Sealed::default()) },
            Resume { line: 2, opening: proof(1) },
            Resume { line: 1, opening: opening(&mut strangers.viewer_side(1).0) },
            Resume { line: 1, opening: opening(&mut keys.host_side(1).0) },
        ];
        for made_up in claims {
            let (resumed, mut far) = claim(&mut line, made_up).await;
            assert!(!resumed);
            let signal::Body::Refusal(refusal) = hear_back(&mut far).await else { panic!() };
            assert_eq!(refusal.reason(), RefusalReason::RefusalBusy);
        }
        let (resumed, _far) = claim(&mut line, Resume { line: 3, opening: proof(3) }).await;
        assert!(resumed);
        for replayed in [3, 2] {
            let resume = Resume { line: replayed, opening: proof(replayed) };
            assert!(!claim(&mut line, resume).await.0, "{replayed} after 3");
        }
    }

    #[tokio::test]
    async fn a_stream_is_beside_the_line_and_proved_in_the_same_way() {
        let (mut line, keys) = admitted().await;
        let shown = session::Body::Shown(Shown {
            formats: vec![StreamFormat::StreamAv1.into(), 99, StreamFormat::StreamH264.into()],
        });
        let opening = keys.viewer_side(1).0.seal(&Session { body: Some(shown) }).unwrap();
        let claim = Resume { line: 1, opening: Some(opening) };
        for first in [true, false] {
            let (visitor, far) = connection();
            say(&far, signal::Body::Stream(claim.clone())).await;
            let returning = hear(visitor).await.unwrap_or_else(|_| panic!("not heard"));
            match line.resume(returning).await {
                Returned::Stream(_, own, formats) if first => {
                    assert_eq!(formats, [StreamFormat::StreamAv1, StreamFormat::StreamH264]);
                    let other = keys.viewer_media_keys(1);
                    assert_eq!((own.send, own.receive), (other.receive, other.send));
                }
                Returned::Stranger(_) if !first => {}
                _ => panic!("first: {first}"),
            }
        }
    }
}
