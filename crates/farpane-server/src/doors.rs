//! Who may come in: counts of connections and waiting viewers, per source and overall, and how long each may take.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use farpane_wire::v1::RefusalReason;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Sleep, timeout};

use crate::ice::{self, IceDoor};
use crate::tls::{Line, Tls};

/// Everything that is bounded. A source is an IPv4 address or an IPv6 /64, which is what one household has.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// TCP connections, of all sources and of one. Beyond, a connection is closed as it comes.
    pub connections: usize,
    pub connections_per_source: usize,
    /// Viewers that the host has not admitted. Beyond, they are refused as overloaded.
    pub strangers: usize,
    pub strangers_per_source: usize,
    /// Unknown routing ids that a source may name at once, and how long it takes to forget one.
    pub misses_per_source: u32,
    pub miss_forgotten: Duration,
    /// A connection has to begin to speak within this, and to have said whom it is for if it is for media.
    pub opening: Duration,
    /// A connection that has not become a WebSocket ends after this.
    pub request: Duration,
    /// A viewer's first message is due within this, and to be admitted within that.
    pub first_message: Duration,
    pub admission: Duration,
    /// Messages of a viewer: this many at once, and one more after each interval.
    pub burst: u32,
    pub message_interval: Duration,
    /// The same once the host has admitted it, which may have media and input go this way.
    pub admitted_burst: u32,
    pub admitted_interval: Duration,
    /// A ping goes out this often; a viewer that has been silent for `silence` is gone.
    pub ping: Duration,
    pub silence: Duration,
    /// A message must be taken by the network within this.
    pub write: Duration,
    /// What is queued has this long to go out, when a host hangs up or the server stops.
    pub farewell: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            connections: 192,
            connections_per_source: 48,
            strangers: 64,
            strangers_per_source: 8,
            misses_per_source: 20,
            miss_forgotten: Duration::from_secs(3),
            opening: Duration::from_secs(10),
            request: Duration::from_secs(60),
            first_message: Duration::from_secs(10),
            admission: Duration::from_secs(40),
            burst: 60,
            message_interval: Duration::from_millis(100),
            admitted_burst: 1_000,
            admitted_interval: Duration::from_millis(1),
            ping: Duration::from_secs(8),
            silence: Duration::from_secs(20),
            write: Duration::from_secs(10),
            farewell: Duration::from_secs(1),
        }
    }
}

/// A bucket of permissions that refills by one each interval.
#[derive(Debug)]
pub(crate) struct Bucket {
    taken: u32,
    since: Instant,
}

impl Bucket {
    pub fn new(now: Instant) -> Bucket {
        Bucket { taken: 0, since: now }
    }

    /// Whether all that was taken has come back.
    fn full(&mut self, now: Instant, interval: Duration) -> bool {
        let elapsed = now.saturating_duration_since(self.since);
        let back =
            u32::try_from(elapsed.as_nanos() / interval.as_nanos().max(1)).unwrap_or(u32::MAX);
        if back >= self.taken {
            *self = Bucket::new(now);
        } else {
            self.taken -= back;
            self.since += interval * back;
        }
        self.taken == 0
    }

    /// Whether one is left to take.
    fn has_some(&mut self, now: Instant, size: u32, interval: Duration) -> bool {
        self.full(now, interval);
        self.taken < size
    }

    /// Takes one, if one is left.
    pub fn take(&mut self, now: Instant, size: u32, interval: Duration) -> bool {
        let left = self.has_some(now, size, interval);
        self.taken += u32::from(left);
        left
    }
}

/// What one address, or one IPv6 /64, has open.
#[derive(Debug)]
struct Source {
    connections: usize,
    strangers: usize,
    misses: Bucket,
}

#[derive(Debug, Default)]
struct Counts {
    connections: usize,
    strangers: usize,
    sources: HashMap<IpAddr, Source>,
}

impl Counts {
    fn source(&mut self, source: IpAddr) -> &mut Source {
        self.sources.entry(source).or_insert_with(|| Source {
            connections: 0,
            strangers: 0,
            misses: Bucket::new(Instant::now()),
        })
    }
}

/// The counts of a whole server.
#[derive(Debug)]
pub(crate) struct Doors {
    limits: Limits,
    counts: Mutex<Counts>,
}

impl Doors {
    pub fn new(limits: Limits) -> Doors {
        Doors { limits, counts: Mutex::default() }
    }

    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// Counts a viewer as a stranger until it is admitted or gone.
    pub fn enter(self: &Arc<Doors>, from: SocketAddr) -> Result<Pass, RefusalReason> {
        let Limits { strangers, strangers_per_source, misses_per_source, miss_forgotten, .. } =
            self.limits;
        let source = source_of(from.ip());
        let mut counts = self.lock();
        let all = counts.strangers;
        let one = counts.source(source);
        if all >= strangers
            || one.strangers >= strangers_per_source
            || !one.misses.has_some(Instant::now(), misses_per_source, miss_forgotten)
        {
            return Err(RefusalReason::RefusalOverloaded);
        }
        one.strangers += 1;
        counts.strangers += 1;
        Ok(Pass { doors: Arc::clone(self), source, admitted: Arc::default(), counted: true })
    }

    /// Notes that a source named a routing id that nobody has.
    pub fn missed(&self, from: SocketAddr) -> RefusalReason {
        let Limits { misses_per_source, miss_forgotten, .. } = self.limits;
        let misses = &mut self.lock();
        misses.source(source_of(from.ip())).misses.take(
            Instant::now(),
            misses_per_source,
            miss_forgotten,
        );
        RefusalReason::RefusalUnknownCode
    }

    fn connect(self: &Arc<Doors>, from: SocketAddr) -> Option<Place> {
        let source = source_of(from.ip());
        let mut counts = self.lock();
        if counts.connections >= self.limits.connections
            || counts.source(source).connections >= self.limits.connections_per_source
        {
            return None;
        }
        counts.connections += 1;
        counts.source(source).connections += 1;
        Some(Place { doors: Arc::clone(self), source })
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        // Counts are whole after every statement, so that a panic elsewhere cannot leave them wrong.
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An IPv4 address, also one in IPv6 clothes, or the first half of an IPv6 address.
fn source_of(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(ip) => IpAddr::V6((ip.to_bits() >> 64 << 64).into()),
        v4 => v4,
    }
}

/// A viewer's place among the strangers.
pub(crate) struct Pass {
    doors: Arc<Doors>,
    source: IpAddr,
    admitted: Arc<AtomicBool>,
    counted: bool,
}

impl Pass {
    /// What the host sets to admit the viewer.
    pub fn admission(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.admitted)
    }

    /// Whether the host has admitted the viewer; if so, its place is free for the next.
    pub fn is_admitted(&mut self) -> bool {
        let admitted = self.admitted.load(Ordering::Acquire);
        if admitted {
            self.uncount();
        }
        admitted
    }

    fn uncount(&mut self) {
        if std::mem::replace(&mut self.counted, false) {
            let mut counts = self.doors.lock();
            counts.strangers -= 1;
            counts.source(self.source).strangers -= 1;
        }
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        self.uncount();
    }
}

/// A place among the TCP connections, held by the connection itself.
struct Place {
    doors: Arc<Doors>,
    source: IpAddr,
}

impl Drop for Place {
    fn drop(&mut self) {
        let interval = self.doors.limits.miss_forgotten;
        let mut counts = self.doors.lock();
        counts.connections -= 1;
        counts.source(self.source).connections -= 1;
        // Sources that have nothing open and nothing to forget need no memory; the rest forget within a minute, and
        // are looked at again whenever a connection ends.
        let now = Instant::now();
        counts.sources.retain(|_, source| {
            source.connections > 0 || source.strangers > 0 || !source.misses.full(now, interval)
        });
    }
}

/// Takes TCP connections for the web server, as many as there are places for, and sorts out those for media.
pub(crate) struct GuestListener {
    listener: TcpListener,
    doors: Arc<Doors>,
    ice: IceDoor,
    tls: Option<Tls>,
    /// Connections that have not said yet what they are for.
    opening: JoinSet<Option<GuestStream>>,
}

impl GuestListener {
    pub fn new(
        listener: TcpListener,
        doors: Arc<Doors>,
        ice: IceDoor,
        tls: Option<Tls>,
    ) -> GuestListener {
        GuestListener { listener, doors, ice, tls, opening: JoinSet::new() }
    }

    fn open(&mut self, stream: TcpStream, addr: SocketAddr) {
        let Some(place) = self.doors.connect(addr) else { return };
        // Signalling is a few small messages in turn, which Nagle's algorithm would hold back.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "connection lost as it came");
            return;
        }
        let Limits { opening, request, .. } = self.doors.limits;
        let deadline = Box::pin(tokio::time::sleep(request));
        let (ice, tls) = (self.ice.clone(), self.tls.clone());
        self.opening.spawn(async move {
            let opened = async {
                let stream = ice::sort_out(&ice, stream).await?;
                Line::open(stream, tls.as_ref()).await.ok()
            };
            let line = timeout(opening.min(request), opened).await.ok()??;
            let wants_tls = tls.is_some() && matches!(line, Line::Plain(_));
            let guest = Guest { addr, wants_tls, upgraded: Arc::default() };
            Some(GuestStream { line, guest, deadline, _place: place })
        });
    }
}

impl Listener for GuestListener {
    type Io = GuestStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (GuestStream, SocketAddr) {
        loop {
            tokio::select! {
                (stream, addr) = Listener::accept(&mut self.listener) => self.open(stream, addr),
                Some(opened) = self.opening.join_next() => {
                    if let Ok(Some(guest)) = opened {
                        let addr = guest.guest.addr();
                        return (guest, addr);
                    }
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// What a request handler knows of its connection.
#[derive(Clone, Debug)]
pub(crate) struct Guest {
    addr: SocketAddr,
    wants_tls: bool,
    upgraded: Arc<AtomicBool>,
}

impl Guest {
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Whether it came without TLS to a server that has it.
    pub fn wants_tls(&self) -> bool {
        self.wants_tls
    }

    /// Says that the connection is a WebSocket now and has limits of its own.
    pub fn upgraded(&self) {
        self.upgraded.store(true, Ordering::Release);
    }
}

impl Connected<IncomingStream<'_, GuestListener>> for Guest {
    fn connect_info(stream: IncomingStream<'_, GuestListener>) -> Guest {
        stream.io().guest.clone()
    }
}

/// A connection that fails once its time is over, however slowly its requests come or its answers are taken.
pub(crate) struct GuestStream {
    line: Line,
    guest: Guest,
    deadline: Pin<Box<Sleep>>,
    _place: Place,
}

impl GuestStream {
    fn poll_in_time(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        if !self.guest.upgraded.load(Ordering::Acquire)
            && self.deadline.as_mut().poll(context).is_ready()
        {
            return Err(io::ErrorKind::TimedOut.into());
        }
        Ok(())
    }
}

impl AsyncRead for GuestStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.poll_in_time(context)?;
        Pin::new(&mut self.line).poll_read(context, buf)
    }
}

impl AsyncWrite for GuestStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_in_time(context)?;
        Pin::new(&mut self.line).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_in_time(context)?;
        Pin::new(&mut self.line).poll_write_vectored(context, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.line.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.line).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.line).poll_shutdown(context)
    }
}
