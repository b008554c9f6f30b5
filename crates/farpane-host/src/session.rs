//! One viewer's session: from its offer to the last goodbye.

use std::time::Duration;

use farpane_desktop::OpenError;
use farpane_engine::{Engine, Event as Engined, Signal};
use farpane_media::{Bitrate, Clock};
use farpane_transport::NegotiationError;
use farpane_transport::webrtc::{WebRtc, WebRtcConfig};
use farpane_wire::v1::{Candidate, Description, EndReason, Ended, Refusal, RefusalReason, session};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, timeout_at};

use crate::admission::Line;
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

/// Runs a session with an admitted viewer until it ends; `None` when it was refused after all. `stop` ends it from this
/// side.
pub(crate) async fn run(
    mut line: Line,
    config: &ShareConfig,
    events: &mpsc::UnboundedSender<Event>,
    mut stop: watch::Receiver<bool>,
) -> Option<Outcome> {
    let negotiated = tokio::select! {
        negotiated = negotiate(&mut line, config) => negotiated,
        () = stopped(&mut stop) => {
            Err(Failed::Ended(Outcome { reason: EndReason::EndStopped, detail: String::new() }))
        }
    };
    let outcome = match negotiated {
        Ok(negotiated) => live(negotiated, &mut line, config, events, stop).await,
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

struct Negotiated {
    desktop: farpane_desktop::Desktop,
    transport: WebRtc,
    clock: Clock,
}

/// Waits for the viewer's offer, opens desktop and transport, and answers.
async fn negotiate(line: &mut Line, config: &ShareConfig) -> Result<Negotiated, Failed> {
    let mut early = Vec::new();
    let deadline = Instant::now() + OFFER_TIME;
    let offer = loop {
        match timeout_at(deadline, line.recv()).await {
            Ok(Some(session::Body::Offer(Description { sdp }))) => break sdp,
            Ok(Some(session::Body::Candidate(Candidate { candidate }))) if early.len() < 32 => {
                early.push(candidate)
            }
            Ok(Some(_)) => {}
            Ok(None) | Err(_) => return Err(Outcome::left().into()),
        }
    };
    let clock = Clock::start();
    let source = config.source.clone();
    let transport = WebRtcConfig { formats: config.formats.clone(), initial_estimate: START_RATE };
    // Opening a display talks to a server that may be slow; gathering candidates asks the kernel.
    let opened = tokio::task::spawn_blocking(move || {
        let answered = WebRtc::answer(&offer, transport, clock);
        (answered, source.open(clock))
    });
    let (answered, desktop) = opened.await.map_err(Outcome::failed)?;
    let (mut transport, sdp) = match answered {
        Ok(answered) => answered,
        Err(NegotiationError::NoCommonCodec) => {
            return Err(Failed::Refused(RefusalReason::RefusalNoCodec));
        }
        Err(error) => return Err(Outcome::failed(error).into()),
    };
    let desktop = desktop.map_err(|error: OpenError| Outcome {
        reason: EndReason::EndDisplayLost,
        detail: error.to_string(),
    })?;
    for candidate in &early {
        use farpane_transport::{Remote, Transport as _};
        if let Err(error) = transport.handle_signal(Remote::Candidate(candidate)) {
            tracing::debug!(%error, "candidate ignored");
        }
    }
    match line.send(session::Body::Answer(Description { sdp })).await {
        true => Ok(Negotiated { desktop, transport, clock }),
        false => Err(Outcome::left().into()),
    }
}

async fn live(
    negotiated: Negotiated,
    line: &mut Line,
    config: &ShareConfig,
    events: &mpsc::UnboundedSender<Event>,
    mut stop: watch::Receiver<bool>,
) -> Outcome {
    let Negotiated { desktop, transport, clock } = negotiated;
    let from = line.from;
    let (told, mut happened) = mpsc::unbounded_channel();
    let builder = Engine::builder().view_only(config.view_only).on_event(move |event| {
        // Frames are many, and nobody here measures.
        if !matches!(event, Engined::Frame(_)) {
            // The receiver lives until the engine has ended.
            let _ = told.send(event);
        }
    });
    let engine = builder.start(desktop, transport, clock);
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
                    let _ = events.send(Event::Reconnecting);
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
                Some(session::Body::Offer(Description { sdp })) => relay(&engine, Signal::Offer(sdp), &answers),
                Some(session::Body::Candidate(Candidate { candidate })) => {
                    relay(&engine, Signal::Candidate(candidate), &answers);
                }
                Some(session::Body::Ended(_)) => engine.stop(EndReason::EndViewerLeft, ""),
                Some(_) => {}
                // Media has its own path: it goes on, only without ICE restarts.
                None => signalling = false,
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
                engine.stop(EndReason::EndStopped, "");
            }
        }
    };
    // Joining the threads blocks for as long as they take to notice.
    if tokio::task::spawn_blocking(move || drop(engine)).await.is_err() {
        tracing::error!("the pipeline panicked while ending");
    }
    outcome
}

/// Completes when the share is to end, or its owner is gone.
pub(crate) async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

type Answers = mpsc::Sender<oneshot::Receiver<Result<Option<String>, NegotiationError>>>;

fn relay(engine: &Engine, signal: Signal, answers: &Answers) {
    let (reply, answer) = oneshot::channel();
    // A viewer that signals faster than it is answered loses signals, not memory.
    if answers.try_send(answer).is_ok() {
        engine.signal(
            signal,
            Box::new(move |result| {
                let _ = reply.send(result);
            }),
        );
    }
}
