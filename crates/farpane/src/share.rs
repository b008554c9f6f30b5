//! `farpane share`: a meeting point and a shared desktop in one process.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::process::ExitCode;
use std::sync::Arc;

use farpane_host::{Caller, Code, Door, Event, RoutingId, ShareConfig, Source, Take, Visitor};
use farpane_server::{
    Arrival, BindError, Broker, IceDoor, Knock, Limits, Registration, Server, Tls,
};
use tokio::sync::{mpsc, oneshot, watch};

use crate::answers;
use crate::certificate;
use crate::cli::ShareOptions;
use crate::failure::Failure;
use crate::host_name;
use crate::interrupts::Interrupts;
use crate::json::Json;
use crate::terminal::Terminal;

const DEFAULT_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);

/// Shows what happens, to a person or to a program.
pub trait Show {
    fn event(&mut self, event: &Event, place: &Whereabouts);
    /// Nobody can be asked: standard input has ended.
    fn nobody_there(&mut self);
    fn failure(&mut self, failure: &Failure);
    fn stopped(&mut self);
}

/// Where viewers find the page.
pub struct Whereabouts {
    pub bases: Vec<String>,
    pub local_only: bool,
    /// Of the page's certificate, if it has one.
    pub fingerprint: Option<String>,
}

impl Whereabouts {
    fn of(addr: SocketAddr, tls: Option<&Tls>) -> Whereabouts {
        let scheme = if tls.is_some() { "https" } else { "http" };
        let base = |ip: IpAddr| format!("{scheme}://{}/", SocketAddr::new(ip, addr.port()));
        Whereabouts {
            bases: ips(addr).into_iter().map(base).collect(),
            local_only: addr.ip().is_loopback(),
            fingerprint: tls.map(|tls| tls.fingerprint().to_owned()),
        }
    }

    /// The page's address with the code in the fragment, which no server ever sees.
    pub fn url(&self, code: &Code) -> String {
        format!("{}#{}", self.bases[0], code.reveal())
    }
}

/// The addresses of what listens at `addr`, the best one first.
fn ips(addr: SocketAddr) -> Vec<IpAddr> {
    if addr.ip().is_unspecified() { reachable(addr.is_ipv6()) } else { vec![addr.ip()] }
}

/// The addresses under which other machines can reach this one: first the one that the default route leaves from, rather
/// than those of containers and tunnels, then IPv4, which is what people can read out.
fn reachable(v6: bool) -> Vec<IpAddr> {
    let mut ips: Vec<IpAddr> = if_addrs::get_if_addrs()
        .unwrap_or_default()
        .into_iter()
        .filter(|interface| !interface.is_loopback() && !interface.is_link_local())
        .map(|interface| interface.ip())
        .filter(|ip| v6 || ip.is_ipv4())
        .collect();
    let outward =
        [outward(Ipv4Addr::UNSPECIFIED, TEST_NET), outward(Ipv6Addr::UNSPECIFIED, TEST_NET_6)];
    ips.sort_by_key(|ip| (!outward.contains(&Some(*ip)), *ip));
    if ips.is_empty() {
        ips.push(IpAddr::V4(Ipv4Addr::LOCALHOST));
    }
    ips
}

/// Addresses for documentation (RFC 5737, RFC 3849): no host has them, so the default route leads there.
const TEST_NET: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const TEST_NET_6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);

/// The address from which `to` would be reached. Nothing is sent.
fn outward(any: impl Into<IpAddr>, to: impl Into<IpAddr>) -> Option<IpAddr> {
    let socket = UdpSocket::bind((any.into(), 0)).ok()?;
    socket.connect((to.into(), 9)).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

pub async fn run(options: ShareOptions) -> ExitCode {
    let mut show: Box<dyn Show> =
        if options.json { Box::new(Json::new()) } else { Box::new(Terminal::new()) };
    match share(options, &mut *show).await {
        Ok(()) => {
            show.stopped();
            ExitCode::SUCCESS
        }
        Err(failure) => {
            show.failure(&failure);
            ExitCode::FAILURE
        }
    }
}

async fn share(options: ShareOptions, show: &mut dyn Show) -> Result<(), Failure> {
    let mut server = bind(options.listen, limits(options.viewers)).await?;
    let (tls, note) = tls(&options, server.local_addr())?;
    let place = Whereabouts::of(server.local_addr(), tls.as_ref());
    if let Some(note) = note {
        show.event(&Event::Note(note), &place);
    }
    if let Some(tls) = tls {
        server = server.with_tls(tls);
    }
    let broker = server.broker();
    let config = ShareConfig {
        formats: options.formats(),
        source: options.display.unwrap_or(Source::X11(None)),
        accept: options.accept,
        view_only: options.view_only,
        viewers: options.viewers,
        temporal_layers: options.temporal_layers == 2,
        host_name: host_name(),
        door: Some(Arc::new(Entrance { addr: server.local_addr(), ice: server.ice_door() })),
    };
    let (events, mut happened) = mpsc::unbounded_channel();
    let (stop, stopping) = watch::channel(false);
    let mut server_stop = stopping.clone();
    let serving = tokio::spawn(server.run(async move {
        let _ = server_stop.wait_for(|stop| *stop).await;
    }));
    let register = |visitors| register(&broker, visitors);
    let sharing = farpane_host::share(config, register, events, stopping);
    tokio::pin!(sharing);
    let mut asker = Asker::default();
    let mut interrupts = Interrupts::new();
    let ended = loop {
        tokio::select! {
            biased;
            ended = &mut sharing => break ended,
            () = interrupts.next() => {
                stop.send_replace(true);
                // A second Ctrl-C while saying goodbye is the end, whatever is left to say.
                break tokio::select! {
                    ended = &mut sharing => ended,
                    () = interrupts.next() => Ok(()),
                };
            }
            Some(event) = happened.recv() => asker.event(event, &place, show),
            line = asker.line() => asker.answer(line, show),
        }
    };
    while let Ok(event) = happened.try_recv() {
        asker.event(event, &place, show);
    }
    stop.send_replace(true);
    // Lets the goodbyes leave.
    let _ = serving.await;
    Ok(ended?)
}

/// What the page is served with, and what the person should know of it.
fn tls(options: &ShareOptions, addr: SocketAddr) -> Result<(Option<Tls>, Option<String>), Failure> {
    if let (Some(chain), Some(key)) = (&options.tls_cert, &options.tls_key) {
        return Ok((Some(certificate::read(chain, key)?), None));
    }
    if !options.tls {
        return Ok((None, None));
    }
    let mut addresses = ips(addr);
    addresses.push(if addr.is_ipv6() {
        Ipv6Addr::LOCALHOST.into()
    } else {
        Ipv4Addr::LOCALHOST.into()
    });
    let (tls, note) = certificate::own(&addresses, &host_name())?;
    Ok((Some(tls), note))
}

/// Room for two connections of each viewer, the one that signals and one for media; all may come from one address.
fn limits(viewers: usize) -> Limits {
    let usual = Limits::default();
    Limits {
        connections: usual.connections + 2 * viewers,
        connections_per_source: usual.connections_per_source + 2 * viewers,
        ..usual
    }
}

/// With no address asked for, the next free port will do; a named one is taken or not.
async fn bind(listen: Option<SocketAddr>, limits: Limits) -> Result<Server, BindError> {
    match (listen, Server::bind_with(listen.unwrap_or(DEFAULT_LISTEN), limits).await) {
        (None, Err(BindError::Busy { addr, next: Some(port) })) => {
            Server::bind_with(SocketAddr::new(addr.ip(), port), limits).await
        }
        (_, bound) => bound,
    }
}

/// Brings the share's questions and the person's answers together, one question at a time.
#[derive(Default)]
struct Asker {
    /// Read only once there is a question, so that a share that asks nothing leaves standard input alone.
    lines: Option<mpsc::UnboundedReceiver<String>>,
    question: Option<Question>,
    /// Asked once that is settled.
    waiting: VecDeque<(SocketAddr, oneshot::Sender<bool>)>,
}

struct Question {
    from: SocketAddr,
    /// Until it is answered.
    reply: Option<oneshot::Sender<bool>>,
}

impl Asker {
    fn event(&mut self, event: Event, place: &Whereabouts, show: &mut dyn Show) {
        match event {
            Event::Asked { from, reply } => {
                self.waiting.push_back((from, reply));
                self.ask(place, show);
            }
            Event::Answered { from, .. } => {
                if self.question.take_if(|question| question.from == from).is_some() {
                    show.event(&event, place);
                }
                self.waiting.retain(|(waiting, _)| *waiting != from);
                self.ask(place, show);
            }
            event => show.event(&event, place),
        }
    }

    /// Asks the next question, unless the last is not settled.
    fn ask(&mut self, place: &Whereabouts, show: &mut dyn Show) {
        if self.question.is_some() {
            return;
        }
        let Some((from, reply)) = self.waiting.pop_front() else { return };
        let lines = self.lines.get_or_insert_with(answers::lines);
        // What was typed before the question is no answer to it.
        while lines.try_recv().is_ok() {}
        let (unused, _) = oneshot::channel();
        show.event(&Event::Asked { from, reply: unused }, place);
        self.question = Some(Question { from, reply: Some(reply) });
    }

    /// The next line, while there is a question.
    async fn line(&mut self) -> Option<String> {
        match (&mut self.lines, &self.question) {
            (Some(lines), Some(Question { reply: Some(_), .. })) => lines.recv().await,
            _ => std::future::pending().await,
        }
    }

    fn answer(&mut self, line: Option<String>, show: &mut dyn Show) {
        let reply = self.question.as_mut().and_then(|question| question.reply.take());
        let Some(reply) = reply else { return };
        if line.is_none() {
            show.nobody_there();
        }
        let _ = reply.send(line.is_some_and(|line| answers::is_yes(&line)));
    }
}

/// A place at the built-in meeting point.
fn register(broker: &Broker, visitors: mpsc::Sender<Visitor>) -> (RoutingId, Registration) {
    let place = broker.register(move |Knock { from, incoming, outgoing, admission }| {
        let admit = Box::new(move || admission.grant());
        visitors.try_send(Visitor { from, incoming, outgoing, admit }).is_ok()
    });
    (place.routing_id(), place)
}

/// The built-in meeting point's port as a way in for media.
#[derive(Debug)]
struct Entrance {
    addr: SocketAddr,
    ice: IceDoor,
}

impl Door for Entrance {
    fn addr(&self) -> SocketAddr {
        self.addr
    }

    fn register(&self, ufrag: &str, take: Take) -> Box<dyn Send> {
        Box::new(
            self.ice.register(ufrag, move |Arrival { stream, read }| take(Caller { stream, read })),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Shown(Vec<(&'static str, SocketAddr)>);

    impl Show for Shown {
        fn event(&mut self, event: &Event, _: &Whereabouts) {
            match event {
                Event::Asked { from, .. } => self.0.push(("asked", *from)),
                Event::Answered { from, .. } => self.0.push(("answered", *from)),
                other => panic!("{other:?}"),
            }
        }

        fn nobody_there(&mut self) {}
        fn failure(&mut self, _: &Failure) {}
        fn stopped(&mut self) {}
    }

    #[test]
    fn who_asks_while_another_is_asked_about_waits() {
        let place = Whereabouts { bases: Vec::new(), local_only: true, fingerprint: None };
        let (_typing, lines) = mpsc::unbounded_channel();
        let mut asker = Asker { lines: Some(lines), ..Asker::default() };
        let mut shown = Shown::default();
        let visitors = [1, 2, 3].map(|port| SocketAddr::from(([192, 0, 2, 1], port)));
        let mut answers = visitors.map(|from| {
            let (reply, answer) = oneshot::channel();
            asker.event(Event::Asked { from, reply }, &place, &mut shown);
            answer
        });
        let settled = |from| Event::Answered { from, admitted: true };
        // Its visitor has gone away.
        asker.event(settled(visitors[1]), &place, &mut shown);
        asker.answer(Some("y".to_owned()), &mut shown);
        assert_eq!(answers[0].try_recv(), Ok(true));
        assert_eq!(shown.0, [("asked", visitors[0])]);
        asker.event(settled(visitors[0]), &place, &mut shown);
        assert_eq!(shown.0[1..], [("answered", visitors[0]), ("asked", visitors[2])]);
        asker.answer(None, &mut shown);
        assert_eq!(answers[2].try_recv(), Ok(false));
        // It is answered already.
        asker.answer(Some("y".to_owned()), &mut shown);
    }
}
