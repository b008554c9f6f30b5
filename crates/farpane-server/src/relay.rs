//! One viewer's WebSocket: its messages go to the host unread, the host's go back, and nothing waits for ever.

use std::time::Instant;

use axum::body::Bytes;
use axum::extract::ws::{CloseFrame, Message, WebSocket, close_code};
use farpane_wire::Message as _;
use farpane_wire::v1::{Refusal, RefusalReason, Signal, signal::Body};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::broker::Ends;
use crate::doors::{Bucket, Pass};
use crate::{Limits, stopped};

/// Relays until either side hangs up, breaks a limit or the server stops.
pub(crate) async fn run(
    mut socket: WebSocket,
    mut ends: Ends,
    mut pass: Pass,
    limits: Limits,
    mut stopping: watch::Receiver<bool>,
) {
    let started = Instant::now();
    let mut heard = started;
    let mut spoken = false;
    let mut bucket = Bucket::new(started);
    let mut pings = interval(limits.ping);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    pings.reset();
    // Deadlines are looked at more often than pings go out.
    let mut looks = interval(limits.first_message.min(limits.silence).min(limits.admission) / 8);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let code = loop {
        // Frees its place among the strangers as soon as it is admitted.
        pass.is_admitted();
        tokio::select! {
            message = socket.recv() => {
                let now = Instant::now();
                heard = now;
                let admitted = pass.is_admitted();
                let (burst, interval) = match admitted {
                    true => (limits.admitted_burst, limits.admitted_interval),
                    false => (limits.burst, limits.message_interval),
                };
                match message {
                    Some(Ok(Message::Binary(_) | Message::Ping(_) | Message::Pong(_)))
                        if !bucket.take(now, burst, interval) => break close_code::POLICY,
                    // What the host cannot take at once holds up only this viewer.
                    Some(Ok(Message::Binary(bytes))) if admitted => {
                        match timeout(limits.write, ends.to_host.send(bytes.into())).await {
                            Ok(Ok(())) => {}
                            Ok(Err(_)) => break close_code::NORMAL,
                            Err(_) => break close_code::POLICY,
                        }
                    }
                    Some(Ok(Message::Binary(bytes))) => {
                        spoken = true;
                        match ends.to_host.try_send(bytes.into()) {
                            Ok(()) => {}
                            Err(TrySendError::Full(_)) => break close_code::POLICY,
                            // The host has hung up; what it said before that still goes out below.
                            Err(TrySendError::Closed(_)) => break close_code::NORMAL,
                        }
                    }
                    Some(Ok(Message::Text(_))) => break close_code::UNSUPPORTED,
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                    Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                }
            }
            message = ends.to_viewer.recv() => match message {
                Some(bytes) => {
                    if !send(&mut socket, Message::Binary(bytes.into()), limits).await {
                        return;
                    }
                }
                None => break close_code::NORMAL,
            },
            _ = pings.tick() => {
                if !send(&mut socket, Message::Ping(Bytes::new()), limits).await {
                    return;
                }
            }
            _ = looks.tick() => {
                if heard.elapsed() > limits.silence {
                    return;
                }
                let age = started.elapsed();
                if !pass.is_admitted() && (age > limits.admission || (!spoken && age > limits.first_message)) {
                    break close_code::POLICY;
                }
            }
            () = stopped(&mut stopping) => break close_code::AWAY,
        }
    };
    let farewell = async {
        // The host may still be saying why it stops; it has until the end of the farewell to hang up.
        if matches!(code, close_code::NORMAL | close_code::AWAY) {
            while let Some(bytes) = ends.to_viewer.recv().await {
                if socket.send(Message::Binary(bytes.into())).await.is_err() {
                    return;
                }
            }
        }
        hang_up(&mut socket, code).await;
    };
    let _ = timeout(limits.farewell, farewell).await;
}

/// Says why there is no way in, and hangs up.
pub(crate) async fn refuse(mut socket: WebSocket, reason: RefusalReason, limits: Limits) {
    let refusal = Refusal { reason: reason.into(), attempts_left: 0 };
    let bytes = Signal { body: Some(Body::Refusal(refusal)) }.encode_to_vec();
    let farewell = async {
        if socket.send(Message::Binary(bytes.into())).await.is_ok() {
            hang_up(&mut socket, close_code::NORMAL).await;
        }
    };
    let _ = timeout(limits.farewell, farewell).await;
}

async fn send(socket: &mut WebSocket, message: Message, limits: Limits) -> bool {
    matches!(timeout(limits.write, socket.send(message)).await, Ok(Ok(())))
}

/// Closes, then reads on until the viewer has closed too: closing a socket with unread bytes resets it, which could
/// take back what was sent last.
async fn hang_up(socket: &mut WebSocket, code: u16) {
    let frame = CloseFrame { code, reason: "".into() };
    if socket.send(Message::Close(Some(frame))).await.is_ok() {
        while let Some(Ok(_)) = socket.recv().await {}
    }
}
