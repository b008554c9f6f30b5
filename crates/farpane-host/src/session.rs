//! One viewer's session: from its offer to the last goodbye.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use farpane_desktop::{Desktop, OpenError};
use farpane_engine::{Engine, Event as Engined, Report, Signal, SignalReply, Viewer};
use farpane_media::{Bitrate, Clock};
use farpane_transport::{
    Attach, NegotiationError, Remote, Transport as _, Ways, WebRtc, WebRtcConfig,
};
use farpane_wire::v1::{Candidate, Description, EndReason, Ended, Refusal, RefusalReason, session};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, timeout_at};

use crate::admission::{Line, Returned, Returning};
use crate::hall::{Hall, Show};
use crate::streams::{self, Opened};
use crate::{Event, ShareConfig};

/// How long an admitted viewer may take to make its offer.
const OFFER_TIME: Duration = Duration::from_secs(20);

/// The transport's first guess of a path: low, as the first picture corrects it upwards in a round trip, and what is too
/// large for a slow path would stand in a queue.
const START_RATE: Bitrate = Bitrate::mbps(4);

/// How a session came to its end.
pub(crate) struct Outcome {
    pub reason: EndReason,
    pub detail: String,
}

impl Outcome {
    fn left() -> Outcome {
        Outcome { reason: EndReason::EndViewerLeft, detail: String::new() }
    }

    pub fn failed(detail: impl ToString) -> Outcome {
        Outcome { reason: EndReason::EndHostError, detail: detail.to_string() }
    }
}

/// Who views, and where.
pub(crate) struct Place {
    /// Where several meet; otherwise the viewer is alone.
    pub hall: Option<Arc<Hall>>,
    pub view_only: bool,
    /// Code in two; several viewers have that decided where they meet.
    pub temporal_layers: bool,
}

/// Runs a session with an admitted viewer until it ends; `None` when it was refused after all. `stop` ends it from this
/// side. Among those who are `returning` it finds its viewer again.
pub(crate) async fn run(
    mut line: Line,
    mut returning: mpsc::Receiver<Returning>,
    place: Place,
    config: &Arc<ShareConfig>,
    events: &mpsc::UnboundedSender<Event>,
    mut stop: watch::Receiver<bool>,
) -> Option<Outcome> {
    let negotiated = tokio::select! {
        negotiated = negotiate(&mut line, &mut returning, &place, config, events) => negotiated,
        () = stopped(&mut stop) => {
            Err(Failed::Ended(Outcome { reason: EndReason::EndStopped, detail: String::new() }))
        }
    };
    let outcome = match negotiated {
        Ok(negotiated) => live(negotiated, &mut line, returning, place, config, events, stop).await,
        Err(Failed::Ended(outcome)) => outcome,
        Err(Failed::Refused(reason)) => {
            let _ = events.send(Event::Refused { from: line.from, reason });
            let refusal = Refusal { reason: reason.into(), attempts_left: 0 };
            line.send(session::Body::Refused(refusal)).await;
            return None;
        }
    };
    let ended = Ended { reason: outcome.reason.into(), detail: outcome.detail.clone() };
    line.send(session::Body::Ended(ended)).await;
    Some(outcome)
}

/// Why there will be no session.
enum Failed {
    Refused(RefusalReason),
    Ended(Outcome),
}

impl From<Outcome> for Failed {
    fn from(outcome: Outcome) -> Failed {
        Failed::Ended(outcome)
    }
}

impl From<OpenError> for Failed {
    fn from(error: OpenError) -> Failed {
        let detail = error.to_string();
        Failed::Ended(Outcome { reason: EndReason::EndDisplayLost, detail })
    }
}

impl From<NegotiationError> for Failed {
    fn from(error: NegotiationError) -> Failed {
        match error {
            NegotiationError::NoCommonCodec => Failed::Refused(RefusalReason::RefusalNoCodec),
            error => Failed::Ended(Outcome::failed(error)),
        }
    }
}

struct Negotiated {
    scene: Scene,
    transport: Ways,
    attach: Attach,
}

/// What the viewer is to see.
enum Scene {
    /// A desktop that is its own.
    Alone(Desktop, Clock),
    /// What others see as well.
    Shared(Arc<Show>),
}

impl Scene {
    fn open(
        hall: Option<&Hall>,
        config: &ShareConfig,
        events: mpsc::UnboundedSender<Event>,
    ) -> Result<Scene, OpenError> {
        let Some(hall) = hall else {
            let clock = Clock::start();
            return Ok(Scene::Alone(config.source.open(clock)?, clock));
        };
        let reports = move |report: Report| {
            let _ = events.send(Event::Report(report));
        };
        hall.enter(config, reports).map(Scene::Shared)
    }

    fn clock(&self) -> Clock {
        match self {
            Scene::Alone(_, clock) => *clock,
            Scene::Shared(show) => show.clock,
        }
    }
}

/// How a viewer wants to begin.
enum Beginning {
    /// By WebRTC: its description, and candidates that came ahead of it.
    Offer(String, Vec<String>),
    Stream(Opened),
}

/// Waits for what the viewer begins with, opens desktop and transport, and answers.
async fn negotiate(
    line: &mut Line,
    returning: &mut mpsc::Receiver<Returning>,
    place: &Place,
    config: &Arc<ShareConfig>,
    events: &mpsc::UnboundedSender<Event>,
) -> Result<Negotiated, Failed> {
    let beginning = begin(line, returning, config, events);
    let beginning = timeout_at(Instant::now() + OFFER_TIME, beginning).await;
    let Some(beginning) = beginning.ok().flatten() else { return Err(Outcome::left().into()) };
    let (hall, config, events) = (place.hall.clone(), config.clone(), events.clone());
    // Opening a display talks to a server that may be slow; gathering candidates asks the kernel.
    let opened = tokio::task::spawn_blocking(move || {
        let scene = Scene::open(hall.as_deref(), &config, events)?;
        let clock = scene.clock();
        let webrtc = WebRtcConfig {
            formats: config.formats.clone(),
            initial_estimate: START_RATE,
            door: config.door.clone(),
        };
        let (webrtc, sdp, stream) = match beginning {
            Beginning::Offer(offer, early) => {
                let (mut webrtc, sdp) = WebRtc::answer(&offer, webrtc, clock)?;
                for candidate in &early {
                    if let Err(error) = webrtc.handle_signal(Remote::Candidate(candidate)) {
                        tracing::debug!(%error, "candidate ignored");
                    }
                }
                (Some(webrtc), Some(sdp), None)
            }
            Beginning::Stream(stream) if stream.formats.is_empty() => {
                return Err(NegotiationError::NoCommonCodec.into());
            }
            Beginning::Stream(stream) => (None, None, Some(stream)),
        };
        let (transport, attach) =
            Ways::new(webrtc, clock).map_err(NegotiationError::NoInterface)?;
        Ok::<_, Failed>((Negotiated { scene, transport, attach }, sdp, stream))
    });
    let (negotiated, sdp, stream) = opened.await.map_err(Outcome::failed)??;
    if let Some(stream) = stream {
        stream.attach(&negotiated.attach, START_RATE);
    }
    if let Some(sdp) = sdp
        && !line.send(session::Body::Answer(Description { sdp })).await
    {
        return Err(Outcome::left().into());
    }
    Ok(negotiated)
}

/// `None` when the viewer has left.
async fn begin(
    line: &mut Line,
    returning: &mut mpsc::Receiver<Returning>,
    config: &ShareConfig,
    events: &mpsc::UnboundedSender<Event>,
) -> Option<Beginning> {
    let mut early = Vec::new();
    loop {
        tokio::select! {
            message = line.recv() => match message? {
                session::Body::Offer(Description { sdp }) => {
                    return Some(Beginning::Offer(sdp, early));
                }
                session::Body::Candidate(Candidate { candidate }) if early.len() < 32 => {
                    early.push(candidate);
                }
                _ => {}
            },
            Some(visitor) = returning.recv() => match line.resume(visitor).await {
                Returned::Stream(visitor, keys, shown) => {
                    return Some(Beginning::Stream(streams::open(visitor, keys, &shown, config)));
                }
                Returned::Line => {}
                Returned::Stranger(from) => turn_away(events, from),
            },
        }
    }
}

fn turn_away(events: &mpsc::UnboundedSender<Event>, from: SocketAddr) {
    let _ = events.send(Event::Refused { from, reason: RefusalReason::RefusalBusy });
}

/// What shows the viewer the desktop.
enum Running {
    Alone(Engine),
    /// The viewer goes before what it sees.
    Shared {
        viewer: Viewer,
        _show: Arc<Show>,
    },
}

impl Running {
    fn start(
        Negotiated { scene, transport, .. }: Negotiated,
        place: &Place,
        happened: impl FnMut(Engined) + Send + 'static,
    ) -> Running {
        match scene {
            Scene::Alone(desktop, clock) => {
                let builder = Engine::builder().view_only(place.view_only).on_event(happened);
                let builder = builder.temporal_layers(place.temporal_layers);
                Running::Alone(builder.start(desktop, transport, clock))
            }
            Scene::Shared(show) => {
                let viewer = show.invite.seat(transport, !place.view_only, happened);
                Running::Shared { viewer, _show: show }
            }
        }
    }

    fn signal(&self, signal: Signal, reply: SignalReply) {
        match self {
            Running::Alone(engine) => engine.signal(signal, reply),
            Running::Shared { viewer, .. } => viewer.signal(signal, reply),
        }
    }

    fn stop(&self, reason: EndReason) {
        match self {
            Running::Alone(engine) => engine.stop(reason, ""),
            Running::Shared { viewer, .. } => viewer.stop(reason, ""),
        }
    }
}

async fn live(
    negotiated: Negotiated,
    line: &mut Line,
    mut returning: mpsc::Receiver<Returning>,
    place: Place,
    config: &ShareConfig,
    events: &mpsc::UnboundedSender<Event>,
    mut stop: watch::Receiver<bool>,
) -> Outcome {
    let from = line.from;
    let attach = negotiated.attach.clone();
    let (told, mut happened) = mpsc::unbounded_channel();
    let running = Running::start(negotiated, &place, move |event| {
        // Frames are many, and nobody here measures.
        if !matches!(event, Engined::Frame(_)) {
            // The receiver lives until the session has ended.
            let _ = told.send(event);
        }
    });
    let (answers, mut answered) =
        mpsc::channel::<oneshot::Receiver<Result<Option<String>, NegotiationError>>>(8);
    let mut signalling = true;
    let mut stopping = false;
    let outcome = loop {
        tokio::select! {
            event = happened.recv() => match event {
                Some(Engined::Connected { route, format }) => {
                    let _ = events.send(Event::Connected { from, route, format });
                }
                Some(Engined::PathLost) => {
                    let _ = events.send(Event::Reconnecting { from });
                }
                Some(Engined::Report(report)) => {
                    let _ = events.send(Event::Report(report));
                }
                // Not sent above.
                Some(Engined::Frame(_)) => {}
                Some(Engined::Ended { reason, detail }) => break Outcome { reason, detail },
                None => break Outcome::failed("the pipeline ended without saying why"),
            },
            message = line.recv(), if signalling => match message {
                Some(session::Body::Offer(Description { sdp })) => relay(&running, Signal::Offer(sdp), &answers),
                Some(session::Body::Candidate(Candidate { candidate })) => {
                    relay(&running, Signal::Candidate(candidate), &answers);
                }
                Some(session::Body::Ended(_)) => running.stop(EndReason::EndViewerLeft),
                Some(_) => {}
                // Media has its own path: it goes on, only without ICE restarts until the viewer is back.
                None => signalling = false,
            },
            Some(visitor) = returning.recv() => match line.resume(visitor).await {
                Returned::Line => signalling = true,
                Returned::Stream(visitor, keys, shown) => {
                    streams::open(visitor, keys, &shown, config).attach(&attach, START_RATE);
                }
                Returned::Stranger(from) => turn_away(events, from),
            },
            Some(answer) = answered.recv() => match answer.await {
                Ok(Ok(Some(sdp))) => {
                    line.send(session::Body::Answer(Description { sdp })).await;
                }
                Ok(Err(error)) => tracing::debug!(%error, "the viewer's signal was refused"),
                Ok(Ok(None)) | Err(_) => {}
            },
            () = stopped(&mut stop), if !stopping => {
                stopping = true;
                running.stop(EndReason::EndStopped);
            }
        }
    };
    // Joining the threads blocks for as long as they take to notice.
    if tokio::task::spawn_blocking(move || drop(running)).await.is_err() {
        tracing::error!("the pipeline panicked while ending");
    }
    outcome
}

/// Completes when the share is to end, or its owner is gone.
pub(crate) async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

type Answers = mpsc::Sender<oneshot::Receiver<Result<Option<String>, NegotiationError>>>;

fn relay(running: &Running, signal: Signal, answers: &Answers) {
    let (reply, answer) = oneshot::channel();
    // A viewer that signals faster than it is answered loses signals, not memory.
    if answers.try_send(answer).is_ok() {
        running.signal(
            signal,
            Box::new(move |result| {
                let _ = reply.send(result);
            }),
        );
    }
}
