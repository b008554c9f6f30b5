//! `farpane share`: a meeting point and a shared desktop in one process.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::process::ExitCode;

use farpane_host::{Code, Event, RoutingId, ShareConfig, Source, Visitor};
use farpane_server::{BindError, Broker, Knock, Registration, Server};
use tokio::sync::{mpsc, oneshot, watch};

use crate::answers;
use crate::cli::ShareOptions;
use crate::failure::Failure;
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
}

impl Whereabouts {
    fn of(addr: SocketAddr) -> Whereabouts {
        let ips =
            if addr.ip().is_unspecified() { reachable(addr.is_ipv6()) } else { vec![addr.ip()] };
        let base = |ip: IpAddr| format!("http://{}/", SocketAddr::new(ip, addr.port()));
        Whereabouts {
            bases: ips.into_iter().map(base).collect(),
            local_only: addr.ip().is_loopback(),
        }
    }

    /// The page's address with the code in the fragment, which no server ever sees.
    pub fn url(&self, code: &Code) -> String {
        format!("{}#{}", self.bases[0], code.reveal())
    }
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
    let server = bind(options.listen).await?;
    let place = Whereabouts::of(server.local_addr());
    let broker = server.broker();
    let config = ShareConfig {
        formats: options.formats(),
        source: options.display.unwrap_or(Source::X11(None)),
        accept: options.accept,
        view_only: options.view_only,
        host_name: host_name(),
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

/// With no address asked for, the next free port will do; a named one is taken or not.
async fn bind(listen: Option<SocketAddr>) -> Result<Server, BindError> {
    match (listen, Server::bind(listen.unwrap_or(DEFAULT_LISTEN)).await) {
        (None, Err(BindError::Busy { addr, next: Some(port) })) => {
            Server::bind(SocketAddr::new(addr.ip(), port)).await
        }
        (_, bound) => bound,
    }
}

fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    match name.trim() {
        "" => "this desktop".to_owned(),
        name => name.to_owned(),
    }
}

/// Brings the share's question and the person's answer together.
#[derive(Default)]
struct Asker {
    /// Read only once there is a question, so that a share that asks nothing leaves standard input alone.
    lines: Option<mpsc::UnboundedReceiver<String>>,
    reply: Option<oneshot::Sender<bool>>,
}

impl Asker {
    fn event(&mut self, mut event: Event, place: &Whereabouts, show: &mut dyn Show) {
        if let Event::Asked { reply, .. } = &mut event {
            let (unused, _) = oneshot::channel();
            self.reply = Some(std::mem::replace(reply, unused));
            let lines = self.lines.get_or_insert_with(answers::lines);
            // What was typed before the question is no answer to it.
            while lines.try_recv().is_ok() {}
        }
        if let Event::Answered { .. } = &event {
            self.reply = None;
        }
        show.event(&event, place);
    }

    /// The next line, while there is a question.
    async fn line(&mut self) -> Option<String> {
        match (&mut self.lines, &self.reply) {
            (Some(lines), Some(_)) => lines.recv().await,
            _ => std::future::pending().await,
        }
    }

    fn answer(&mut self, line: Option<String>, show: &mut dyn Show) {
        let Some(reply) = self.reply.take() else { return };
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
