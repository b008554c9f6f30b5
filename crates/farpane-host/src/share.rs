//! The life of a share: codes come and go, and viewers with them.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;

use farpane_auth::{RoutingId, SetupError, Share, ShareState};
use farpane_desktop::OpenError;
use farpane_media::Clock;
use farpane_wire::v1::{EndReason, RefusalReason};
use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, Id, JoinSet};
use tokio::time::{Instant, sleep_until};

use crate::admission::{self, Gate, Returning, Turned};
use crate::hall::Hall;
use crate::session::{self, Outcome, Place};
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

    let (tidings, news) = mpsc::channel(VISITORS);
    let (invite, invited) = mpsc::channel(1);
    let mut sharing = Sharing {
        hall: (config.viewers > 1).then(Arc::default),
        config: Arc::new(config),
        events,
        tidings,
        invite,
        stop: stop.clone(),
        epoch: Instant::now(),
        open: None,
        spent: VecDeque::new(),
        seats: Vec::new(),
        sessions: JoinSet::new(),
        entering: 0,
        locked: false,
    };
    let ended = sharing.run(&register, news, invited, &mut stop).await;
    if matches!(ended, Err(ShareError::Code(_))) {
        sharing.sessions.abort_all();
    }
    // Otherwise those who still view are ended by what ended this.
    while let Some(ended) = sharing.sessions.join_next_with_id().await {
        sharing.leave(ended);
    }
    ended
}

/// A running share.
struct Sharing {
    config: Arc<ShareConfig>,
    /// Where viewers meet, if there may be several.
    hall: Option<Arc<Hall>>,
    events: mpsc::UnboundedSender<Event>,
    tidings: mpsc::Sender<Tiding>,
    invite: mpsc::Sender<(admission::Line, Arc<Gate>)>,
    stop: watch::Receiver<bool>,
    epoch: Instant,
    /// The code that lets the next viewer in, while there is room for one.
    open: Option<Issued>,
    spent: VecDeque<Issued>,
    seats: Vec<Seat>,
    sessions: JoinSet<Option<Outcome>>,
    /// Visitors in the key exchange.
    entering: usize,
    /// Too many codes were wrong; nobody comes in any more.
    locked: bool,
}

/// Somebody who views, or is to.
struct Seat {
    session: Id,
    from: SocketAddr,
    /// By this code it came in, and at its place it is found again.
    issued: Issued,
    back: mpsc::Sender<Returning>,
}

impl Sharing {
    /// Until it is stopped, or something ends it.
    async fn run<Place: Send + 'static>(
        &mut self,
        register: &impl Fn(mpsc::Sender<Visitor>) -> (RoutingId, Place),
        mut news: mpsc::Receiver<Tiding>,
        mut invited: mpsc::Receiver<(admission::Line, Arc<Gate>)>,
        stop: &mut watch::Receiver<bool>,
    ) -> Result<(), ShareError> {
        loop {
            let room = self.seats.len() < self.config.viewers;
            if self.locked && self.seats.is_empty() {
                return Err(ShareError::Locked);
            }
            if self.open.is_none() && room && !self.locked {
                self.open = Some(issue(register, &self.events, &self.tidings, self.epoch)?);
            }
            let expires = self.open.as_ref().map(|open| open.expires);
            tokio::select! {
                biased;
                () = session::stopped(stop) => return Ok(()),
                Some(ended) = self.sessions.join_next_with_id() => {
                    if let Some(why) = self.leave(ended) {
                        return Err(ShareError::DesktopLost(why));
                    }
                }
                Some((line, gate)) = invited.recv() => self.seat(line, &gate),
                Some(tiding) = news.recv() => match tiding {
                    Tiding::Visitor(visitor, gate) => self.visit(visitor, gate),
                    Tiding::Settled => {
                        self.entering -= 1;
                        self.look_at_lock();
                    }
                },
                () = sleep_until(expires.unwrap_or_else(Instant::now)), if expires.is_some() => {
                    let expired = self.open.take();
                    self.retire(expired);
                }
            }
        }
    }

    /// Somebody knew the code.
    fn seat(&mut self, line: admission::Line, gate: &Arc<Gate>) {
        let is = |issued: &Issued| Arc::ptr_eq(&issued.gate, gate);
        // It may have expired since.
        let issued = self.open.take_if(|open| is(open)).or_else(|| {
            let at = self.spent.iter().position(is)?;
            self.spent.remove(at)
        });
        let Some(issued) = issued else { return };
        let from = line.from;
        let (back, returning) = mpsc::channel(RETURNING);
        let (config, events) = (self.config.clone(), self.events.clone());
        let admitted = admit(line, returning, self.hall.clone(), config, events, self.stop.clone());
        let session = self.sessions.spawn(admitted).id();
        self.seats.push(Seat { session, from, issued, back });
    }

    /// A session is over; returns why the desktop is gone, if it is.
    fn leave(
        &mut self,
        ended: Result<(Id, Option<Outcome>), tokio::task::JoinError>,
    ) -> Option<String> {
        let (session, outcome) = match ended {
            Ok((session, outcome)) => (session, outcome),
            Err(panic) => (panic.id(), Some(Outcome::failed(panic))),
        };
        let at = self.seats.iter().position(|seat| seat.session == session)?;
        let Seat { from, issued, .. } = self.seats.remove(at);
        self.retire(Some(issued));
        let Outcome { reason, detail } = outcome?;
        let lost = (reason == EndReason::EndDisplayLost).then(|| detail.clone());
        let _ = self.events.send(Event::Disconnected { from, reason, detail });
        lost
    }

    /// Puts a code among the spent ones, where it is still refused with its reason.
    fn retire(&mut self, issued: Option<Issued>) {
        self.spent.extend(issued);
        if self.spent.len() > SPENT {
            self.spent.pop_front();
        }
    }

    /// A visitor begins at the door of `gate`.
    fn visit(&mut self, visitor: Visitor, gate: Arc<Gate>) {
        let seat = self.seats.iter().find(|seat| Arc::ptr_eq(&seat.issued.gate, &gate));
        let busy = self.entering >= VISITORS;
        let refusal = match gate.with(Share::state) {
            ShareState::Open | ShareState::Used if busy => Some(RefusalReason::RefusalBusy),
            _ if seat.is_some() => None,
            // A spent code takes no place from those who hold the fresh one.
            state => state.refusal(),
        };
        let (events, tidings) = (self.events.clone(), self.tidings.clone());
        if let Some(reason) = refusal {
            let _ = events.send(Event::Refused { from: visitor.from, reason });
            tokio::spawn(admission::refuse(visitor, reason));
            return;
        }
        self.entering += 1;
        match seat {
            Some(seat) => {
                tokio::spawn(come_back(visitor, seat.back.clone(), events, tidings));
            }
            None => {
                tokio::spawn(enter(visitor, gate, self.invite.clone(), events, tidings));
            }
        }
    }

    /// After too many wrong codes nobody comes in any more, and whoever is there stays.
    fn look_at_lock(&mut self) {
        let locked = |open: &mut Issued| open.gate.with(Share::state) == ShareState::Locked;
        if let Some(open) = self.open.take_if(locked) {
            self.retire(Some(open));
            self.locked = true;
            if !self.seats.is_empty() {
                let _ = self.events.send(Event::Note(
                    "five wrong codes were tried, so nobody else is let in; whoever views stays"
                        .to_owned(),
                ));
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

/// The key exchange with one visitor.
async fn enter(
    visitor: Visitor,
    gate: Arc<Gate>,
    invite: mpsc::Sender<(admission::Line, Arc<Gate>)>,
    events: mpsc::UnboundedSender<Event>,
    tidings: mpsc::Sender<Tiding>,
) {
    let from = visitor.from;
    match admission::authenticate(visitor, &gate).await {
        // Only one can pass: the gate's code is used up by it.
        Ok(line) => {
            let _ = invite.send((line, gate)).await;
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
    hall: Option<Arc<Hall>>,
    config: Arc<ShareConfig>,
    events: mpsc::UnboundedSender<Event>,
    mut stop: watch::Receiver<bool>,
) -> Option<Outcome> {
    // Held until the session is over.
    let control = hall.as_ref().filter(|_| !config.view_only).and_then(|hall| hall.control());
    let view_only = config.view_only || (hall.is_some() && control.is_none());
    let consent = tokio::select! {
        consent = admission::consent(&mut line, view_only, &config, &events) => consent,
        () = session::stopped(&mut stop) => Ok(()),
    };
    match consent {
        Ok(()) => {
            let temporal_layers = config.temporal_layers;
            let place = Place { hall, view_only, temporal_layers };
            session::run(line, returning, place, &config, &events, stop).await
        }
        Err(Turned::Away(reason)) => {
            let _ = events.send(Event::Refused { from: line.from, reason });
            None
        }
        Err(Turned::Left) => None,
    }
}
