//! The life of a share: codes come and go, one viewer at a time.

use std::collections::VecDeque;
use std::sync::Arc;

use farpane_auth::{RoutingId, SetupError, Share, ShareState};
use farpane_desktop::OpenError;
use farpane_media::Clock;
use farpane_wire::v1::{EndReason, RefusalReason};
use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, JoinHandle};
use tokio::time::{Instant, sleep_until};

use crate::admission::{self, Gate, Returning, Turned};
use crate::session::{self, Outcome};
use crate::{Event, ShareConfig, Visitor};

/// So many spent codes are still refused with their own reason; older ones are unknown.
const SPENT: usize = 8;

/// So many visitors may wait, and so many be under way in the key exchange at once; the gate itself lets fewer in.
const VISITORS: usize = 16;

/// So many who say that a session is theirs may wait for it to look at them.
const RETURNING: usize = 4;

/// Why sharing ended without being asked to.
#[derive(Debug, thiserror::Error)]
pub enum ShareError {
    #[error(transparent)]
    Desktop(#[from] OpenError),
    #[error("cannot make a code: {0}")]
    Code(#[from] SetupError),
    #[error(
        "five wrong codes were tried, so sharing has ended: run the command again for a new code"
    )]
    Locked,
    #[error("the desktop went away while it was shared: {0}")]
    DesktopLost(String),
}

/// A code that was issued, with the place at the meeting point that belongs to it.
struct Issued {
    gate: Arc<Gate>,
    expires: Instant,
    /// Forwards its visitors; ends with it.
    doorman: AbortHandle,
}

impl Drop for Issued {
    fn drop(&mut self) {
        self.doorman.abort();
    }
}

/// What the tasks of visitors tell the share.
enum Tiding {
    Visitor(Visitor, Arc<Gate>),
    /// A visitor's exchange is over, one way or the other.
    Settled,
}

/// Shares a desktop until `stop` becomes true or something ends it.
///
/// `register` takes a place at a meeting point, under a fresh routing id for each code. Until it is dropped, viewers who
/// ask for that id are sent as [`Visitor`]s, as long as there is room for more of them to wait.
///
/// # Errors
/// [`ShareError`] when it cannot begin or must end; its message says what to do.
pub async fn share<Place: Send + 'static>(
    config: ShareConfig,
    register: impl Fn(mpsc::Sender<Visitor>) -> (RoutingId, Place),
    events: mpsc::UnboundedSender<Event>,
    mut stop: watch::Receiver<bool>,
) -> Result<(), ShareError> {
    // Opened once before anybody is invited, so that what cannot be shared is said at once.
    let source = config.source.clone();
    let notes = tokio::task::spawn_blocking(move || {
        source.open(Clock::start()).map(|desktop| desktop.notes)
    })
    .await
    .map_err(|panic| ShareError::DesktopLost(panic.to_string()))??;
    for note in notes {
        let _ = events.send(Event::Note(note));
    }

    let (tidings, mut news) = mpsc::channel(VISITORS);
    let config = Arc::new(config);
    let epoch = Instant::now();
    let mut spent: VecDeque<Issued> = VecDeque::new();
    let mut issued = issue(&register, &events, &tidings, epoch)?;
    let mut entering = 0;
    let mut session: Option<JoinHandle<Option<Outcome>>> = None;
    // Where a viewer is awaited who lost its connection; a new one for each session.
    let (mut back, _) = mpsc::channel(RETURNING);
    let (invite, mut invited) = mpsc::channel::<admission::Line>(1);
    loop {
        tokio::select! {
            biased;
            () = session::stopped(&mut stop) => {
                if let Some(session) = session
                    && let Ok(Some(Outcome { reason, detail })) = session.await
                {
                    let _ = events.send(Event::Disconnected { reason, detail });
                }
                return Ok(());
            }
            outcome = finished(&mut session) => {
                session = None;
                if let Some(Outcome { reason, detail }) = outcome {
                    let lost = (reason == EndReason::EndDisplayLost).then(|| detail.clone());
                    let _ = events.send(Event::Disconnected { reason, detail });
                    if let Some(why) = lost {
                        return Err(ShareError::DesktopLost(why));
                    }
                }
                retire(&mut issued, &mut spent, issue(&register, &events, &tidings, epoch)?);
            }
            Some(line) = invited.recv() => {
                let (config, events, stop) = (config.clone(), events.clone(), stop.clone());
                let (sender, returning) = mpsc::channel(RETURNING);
                back = sender;
                session = Some(tokio::spawn(admit(line, returning, config, events, stop)));
            }
            Some(tiding) = news.recv() => match tiding {
                Tiding::Settled => {
                    entering -= 1;
                    if issued.gate.with(Share::state) == ShareState::Locked {
                        return Err(ShareError::Locked);
                    }
                }
                Tiding::Visitor(visitor, gate) => {
                    let state = gate.with(Share::state);
                    let viewed = state == ShareState::Used && Arc::ptr_eq(&gate, &issued.gate);
                    let refusal = match state {
                        ShareState::Open | ShareState::Used if entering >= VISITORS => {
                            Some(RefusalReason::RefusalBusy)
                        }
                        _ if viewed => None,
                        // A spent code takes no place from those who hold the fresh one.
                        state => state.refusal(),
                    };
                    if let Some(reason) = refusal {
                        let _ = events.send(Event::Refused { from: visitor.from, reason });
                        tokio::spawn(admission::refuse(visitor, reason));
                    } else if viewed {
                        entering += 1;
                        tokio::spawn(come_back(visitor, back.clone(), events.clone(), tidings.clone()));
                    } else {
                        entering += 1;
                        tokio::spawn(enter(visitor, gate, invite.clone(), events.clone(), tidings.clone()));
                    }
                }
            },
            () = sleep_until(issued.expires), if session.is_none() => {
                retire(&mut issued, &mut spent, issue(&register, &events, &tidings, epoch)?);
            }
        }
    }
}

/// Makes a new code known at the meeting point and to the person.
fn issue<Place: Send + 'static>(
    register: &impl Fn(mpsc::Sender<Visitor>) -> (RoutingId, Place),
    events: &mpsc::UnboundedSender<Event>,
    tidings: &mpsc::Sender<Tiding>,
    epoch: Instant,
) -> Result<Issued, ShareError> {
    let (visitors, mut knocking) = mpsc::channel(VISITORS);
    let (routing_id, place) = register(visitors);
    let share = Share::open(routing_id, epoch.elapsed())?;
    let expires_in = share.expires_in(epoch.elapsed());
    let expires = Instant::now() + expires_in;
    let _ = events.send(Event::Ready { code: share.code().clone(), expires_in });
    let gate = Gate::new(share, epoch);
    let (to_share, door) = (tidings.clone(), gate.clone());
    let doorman = tokio::spawn(async move {
        let _place = place;
        while let Some(visitor) = knocking.recv().await {
            if to_share.send(Tiding::Visitor(visitor, door.clone())).await.is_err() {
                break;
            }
        }
    });
    Ok(Issued { gate, expires, doorman: doorman.abort_handle() })
}

/// Puts a code among the spent ones, where it is still refused with its reason.
fn retire(issued: &mut Issued, spent: &mut VecDeque<Issued>, fresh: Issued) {
    spent.push_back(std::mem::replace(issued, fresh));
    if spent.len() > SPENT {
        spent.pop_front();
    }
}

/// The key exchange with one visitor.
async fn enter(
    visitor: Visitor,
    gate: Arc<Gate>,
    invite: mpsc::Sender<admission::Line>,
    events: mpsc::UnboundedSender<Event>,
    tidings: mpsc::Sender<Tiding>,
) {
    let from = visitor.from;
    match admission::authenticate(visitor, &gate).await {
        // Only one can pass: the gate's code is used up by it.
        Ok(line) => {
            let _ = invite.send(line).await;
        }
        Err(Turned::Away(reason)) => {
            let _ = events.send(Event::Refused { from, reason });
        }
        Err(Turned::Left) => {}
    }
    let _ = tidings.send(Tiding::Settled).await;
}

/// Somebody who comes while a session is there: its own viewer, or one too many.
async fn come_back(
    visitor: Visitor,
    back: mpsc::Sender<Returning>,
    events: mpsc::UnboundedSender<Event>,
    tidings: mpsc::Sender<Tiding>,
) {
    let from = visitor.from;
    match admission::hear(visitor).await {
        // With no room, or no session any more, it is hung up on, and may try again.
        Ok(returning) => drop(back.try_send(returning)),
        Err(Turned::Away(reason)) => {
            let _ = events.send(Event::Refused { from, reason });
        }
        Err(Turned::Left) => {}
    }
    let _ = tidings.send(Tiding::Settled).await;
}

/// Consent and session of the visitor who knew the code; `None` when it was not let in.
async fn admit(
    mut line: admission::Line,
    returning: mpsc::Receiver<Returning>,
    config: Arc<ShareConfig>,
    events: mpsc::UnboundedSender<Event>,
    mut stop: watch::Receiver<bool>,
) -> Option<Outcome> {
    let consent = tokio::select! {
        consent = admission::consent(&mut line, &config, &events) => consent,
        () = session::stopped(&mut stop) => Ok(()),
    };
    match consent {
        Ok(()) => session::run(line, returning, &config, &events, stop).await,
        Err(Turned::Away(reason)) => {
            let _ = events.send(Event::Refused { from: line.from, reason });
            None
        }
        Err(Turned::Left) => None,
    }
}

/// The end of the running session; never, while there is none.
async fn finished(session: &mut Option<JoinHandle<Option<Outcome>>>) -> Option<Outcome> {
    match session {
        Some(running) => match running.await {
            Ok(outcome) => outcome,
            Err(panic) => Some(Outcome::failed(panic)),
        },
        None => std::future::pending().await,
    }
}
