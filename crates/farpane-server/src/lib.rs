//! The meeting point: it serves the web client and relays signalling between a viewer's WebSocket and the host. On the
//! same port it takes TCP connections for media and hands them on ([`IceDoor`]).
//!
//! It knows routing ids and nothing else: the messages it relays are opaque to it, and no secret part of a code ever
//! reaches it. So reaching it authorises nothing, and what it guards is only its own resources and those of the
//! session that is already there:
//! - [`Limits`] bound connections, waiting viewers, guesses at routing ids, messages and time, per source and overall;
//! - a viewer that the host has admitted ([`Admission::grant`]) no longer counts as waiting and is never the one to go;
//! - a WebSocket is only taken from a page of the same origin. The `Host` header is not held to a list: whoever runs
//!   this reaches it by names and addresses that it cannot know. A page that rebinds its own name to this address
//!   can therefore connect, and gains what any program on the network has: a try at a code, which the host counts.

#![forbid(unsafe_code)]

mod assets;
mod broker;
mod doors;
mod ice;
mod relay;
mod tls;

use std::future::{Future, IntoFuture};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::connect_info::ConnectInfo;
use axum::extract::{Path, Request, State, WebSocketUpgrade};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use farpane_auth::RoutingId;
use farpane_wire::MAX_SIGNAL_BYTES;
use farpane_wire::v1::RefusalReason;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};

pub use broker::{Admission, Broker, Knock, Registration};
pub use doors::Limits;
use doors::{Doors, Guest, GuestListener};
pub use ice::{Arrival, IceDoor, IceRegistration};
pub use tls::{Tls, TlsError};

/// A meeting point that listens but does not answer yet.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    local_addr: SocketAddr,
    broker: Broker,
    ice: IceDoor,
    tls: Option<Tls>,
    limits: Limits,
}

/// Why the meeting point cannot listen where it was told to.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// `next` is a free port nearby, if there is one.
    #[error("{addr} is in use by another program")]
    Busy { addr: SocketAddr, next: Option<u16> },
    #[error("ports below 1024 need privileges that this user does not have: {addr}")]
    Privileged { addr: SocketAddr },
    #[error("this machine has no address {}", addr.ip())]
    NotHere { addr: SocketAddr },
    #[error("cannot listen on {addr}")]
    Io { addr: SocketAddr, source: io::Error },
}

impl Server {
    /// Listens on `addr`; port 0 takes any free one.
    ///
    /// # Errors
    /// [`BindError`] says whether the port or the address is at fault and offers another port.
    pub async fn bind(addr: SocketAddr) -> Result<Server, BindError> {
        Server::bind_with(addr, Limits::default()).await
    }

    /// [`Server::bind`] with other limits than the default ones.
    ///
    /// # Errors
    /// As [`Server::bind`].
    pub async fn bind_with(addr: SocketAddr, limits: Limits) -> Result<Server, BindError> {
        let listening = async {
            let listener = TcpListener::bind(addr).await?;
            let local_addr = listener.local_addr()?;
            let (broker, ice) = (Broker::default(), IceDoor::default());
            Ok::<_, io::Error>(Server { listener, local_addr, broker, ice, tls: None, limits })
        };
        match listening.await {
            Ok(server) => Ok(server),
            Err(source) => Err(match source.kind() {
                io::ErrorKind::AddrInUse => {
                    BindError::Busy { addr, next: next_free_port(addr).await }
                }
                io::ErrorKind::PermissionDenied if addr.port() < 1024 => {
                    BindError::Privileged { addr }
                }
                io::ErrorKind::AddrNotAvailable => BindError::NotHere { addr },
                _ => BindError::Io { addr, source },
            }),
        }
    }

    /// Serves by https alone; who comes without is sent there.
    pub fn with_tls(self, tls: Tls) -> Server {
        Server { tls: Some(tls), ..self }
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// What hosts in this process register with.
    pub fn broker(&self) -> Broker {
        self.broker.clone()
    }

    /// What ICE agents in this process register with, for media over the same port.
    pub fn ice_door(&self) -> IceDoor {
        self.ice.clone()
    }

    /// Serves until `shutdown` completes; then takes nothing new, lets what the hosts have already sent go out for at
    /// most [`Limits::farewell`], and hangs up.
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send + 'static) {
        let farewell = self.limits.farewell;
        let doors = Arc::new(Doors::new(self.limits));
        let (stop, stopping) = watch::channel(false);
        let (relaying, mut relays_over) = mpsc::channel::<()>(1);
        let app = App {
            broker: self.broker,
            doors: Arc::clone(&doors),
            stopping: stopping.clone(),
            relaying,
        };
        let router = Router::new()
            .route("/signal/{routing_id}", get(signal))
            .fallback_service(get(assets::serve))
            .layer(from_fn(to_https))
            .with_state(app);
        let service = router.into_make_service_with_connect_info::<Guest>();
        let mut asked_to_stop = stopping.clone();
        let serving =
            axum::serve(GuestListener::new(self.listener, doors, self.ice, self.tls), service)
                .with_graceful_shutdown(async move { stopped(&mut asked_to_stop).await })
                .into_future();
        let mut serving = std::pin::pin!(serving);
        tokio::select! {
            _ = &mut serving => {}
            () = shutdown => {
                stop.send_replace(true);
                let drained = async {
                    let _ = serving.await;
                    relays_over.recv().await
                };
                let _ = tokio::time::timeout(farewell, drained).await;
            }
        }
    }
}

async fn next_free_port(addr: SocketAddr) -> Option<u16> {
    for port in (addr.port().checked_add(1)?..=u16::MAX).take(100) {
        if TcpListener::bind(SocketAddr::new(addr.ip(), port)).await.is_ok() {
            return Some(port);
        }
    }
    None
}

/// Waits until the server is to stop; a sender that is gone means the same.
async fn stopped(stopping: &mut watch::Receiver<bool>) {
    let _ = stopping.wait_for(|stop| *stop).await;
}

#[derive(Clone)]
struct App {
    broker: Broker,
    doors: Arc<Doors>,
    stopping: watch::Receiver<bool>,
    /// Held by every relay; when all are gone, the receiver hears of it.
    relaying: mpsc::Sender<()>,
}

/// Sends whoever comes without TLS to where it is; a page's fragment goes with it. Not for good: the next time this port
/// may have none.
async fn to_https(
    ConnectInfo(guest): ConnectInfo<Guest>,
    request: Request,
    next: Next,
) -> Response {
    if !guest.wants_tls() {
        return next.run(request).await;
    }
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    let path = request.uri().path();
    match host.map(|host| header::HeaderValue::try_from(format!("https://{host}{path}"))) {
        Some(Ok(place)) => {
            (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, place)]).into_response()
        }
        _ => StatusCode::BAD_REQUEST.into_response(),
    }
}

/// Takes a viewer's WebSocket. What is wrong with it is said over the WebSocket, as pages cannot read the status of a
/// refused one; only a foreign origin gets nothing but the status.
async fn signal(
    State(app): State<App>,
    Path(routing_id): Path<String>,
    ConnectInfo(guest): ConnectInfo<Guest>,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Response {
    if !same_origin(&headers) {
        tracing::warn!(from = %guest.addr(), "WebSocket from a page of another origin refused");
        return StatusCode::FORBIDDEN.into_response();
    }
    let upgrade = upgrade
        .max_message_size(MAX_SIGNAL_BYTES)
        .max_frame_size(MAX_SIGNAL_BYTES)
        .read_buffer_size(4 * 1024)
        .write_buffer_size(0)
        .max_write_buffer_size(2 * MAX_SIGNAL_BYTES);
    let entry = app.doors.enter(guest.addr()).and_then(|pass| {
        let host = RoutingId::parse(&routing_id).ok().and_then(|id| app.broker.find(id));
        let host = host.ok_or_else(|| app.doors.missed(guest.addr()))?;
        let (knock, ends) = broker::knock(guest.addr(), pass.admission());
        if host(knock) { Ok((pass, ends)) } else { Err(RefusalReason::RefusalOverloaded) }
    });
    let limits = app.doors.limits();
    guest.upgraded();
    upgrade.on_upgrade(move |socket| async move {
        match entry {
            Ok((pass, ends)) => relay::run(socket, ends, pass, limits, app.stopping).await,
            Err(reason) => {
                tracing::info!(from = %guest.addr(), reason = reason.as_str_name(), "viewer refused");
                relay::refuse(socket, reason, limits).await;
            }
        }
        drop(app.relaying);
    })
}

/// Browsers name the page's origin in every WebSocket request; it must be the host they connect to. Other programs
/// name none and could name any.
fn same_origin(headers: &HeaderMap) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else { return true };
    let (Ok(origin), Some(Ok(host))) =
        (origin.to_str(), headers.get(header::HOST).map(|host| host.to_str()))
    else {
        return false;
    };
    origin.split_once("://").is_some_and(|(scheme, authority)| {
        matches!(scheme, "http" | "https") && authority.eq_ignore_ascii_case(host)
    })
}
