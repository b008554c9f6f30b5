//! A viewer without a screen: it comes in as a page does, and counts what arrives.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use farpane_auth::{Code, Open, Seal, ViewerHandshake};
use farpane_transport::Channel;
use farpane_wire::v1::{
    ControlMessage, Description, Ping, Session, Signal, control_message, session, signal,
};
use farpane_wire::{Message as _, decode_signal};
use futures_util::{SinkExt, StreamExt};
use str0m::change::{SdpAnswer, SdpOffer, SdpPendingOffer};
use str0m::channel::{ChannelConfig, ChannelId, Reliability};
use str0m::media::{Direction, MediaKind};
use str0m::net::{Protocol, Receive};
use str0m::{Candidate, Event, Input, Output, Rtc};
use tokio::net::{TcpSocket, TcpStream, UdpSocket};
use tokio::sync::oneshot;
use tokio::time::{interval, sleep_until};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use crate::Error;

/// As often as the page says that it is there.
const PING_EVERY: Duration = Duration::from_secs(1);

/// What one viewer has got.
#[derive(Default)]
pub struct Counts {
    pub pictures: AtomicU64,
    pub bytes: AtomicU64,
    /// Packets that are missing in the numbers.
    pub gaps: AtomicU64,
}

/// Comes in by `code` from an address of its own, says so once it has a picture, and stays.
pub async fn view(
    meeting: SocketAddr,
    from: Ipv4Addr,
    code: Code,
    counts: Arc<Counts>,
    live: oneshot::Sender<()>,
) -> Result<(), Error> {
    let mut line = Line::enter(meeting, from, code).await?;
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let (mut viewer, offer, pending) = Viewer::offer(socket, counts, live)?;
    line.send(session::Body::Offer(Description { sdp: offer.to_sdp_string() })).await?;
    let answer = loop {
        match line.recv().await? {
            session::Body::Answer(Description { sdp }) => break SdpAnswer::from_sdp_string(&sdp)?,
            session::Body::Refused(refusal) => return Err(format!("refused: {refusal:?}").into()),
            _ => {}
        }
    };
    viewer.rtc.sdp_api().accept_answer(pending, answer)?;
    let mut pings = interval(PING_EVERY);
    let mut buffer = [0; 2_000];
    loop {
        let due = viewer.drain().await?;
        tokio::select! {
            received = viewer.socket.recv_from(&mut buffer) => {
                let (len, source) = received?;
                let contents = buffer[..len].try_into()?;
                let to = viewer.address;
                let receive = Receive { proto: Protocol::Udp, source, destination: to, contents };
                viewer.rtc.handle_input(Input::Receive(Instant::now(), receive))?;
            }
            () = sleep_until(due.into()) => viewer.rtc.handle_input(Input::Timeout(Instant::now()))?,
            _ = pings.tick() => viewer.ping()?,
            said = line.recv() => if let session::Body::Ended(_) = said? {
                return Ok(());
            },
        }
    }
}

/// The sealed way to the host.
struct Line {
    socket: WebSocketStream<TcpStream>,
    seal: Seal,
    open: Open,
}

impl Line {
    /// Through the key exchange to the host's consent.
    async fn enter(meeting: SocketAddr, from: Ipv4Addr, code: Code) -> Result<Line, Error> {
        let url = format!("ws://{meeting}/signal/{}", code.routing_id().as_str());
        let tcp = TcpSocket::new_v4()?;
        tcp.bind((from, 0).into())?;
        let tcp = tcp.connect(meeting).await?;
        let (mut socket, _) =
            tokio_tungstenite::client_async(url.into_client_request()?, tcp).await?;
        let (handshake, start) = ViewerHandshake::start(code)?;
        say(&mut socket, signal::Body::AuthStart(start)).await?;
        let signal::Body::AuthReply(reply) = hear(&mut socket).await? else {
            return Err("the key exchange was refused".into());
        };
        let (finish, keys) = handshake.finish(&reply)?;
        say(&mut socket, signal::Body::AuthFinish(finish)).await?;
        let (seal, open) = keys.viewer_side(0);
        let mut line = Line { socket, seal, open };
        loop {
            match line.recv().await? {
                session::Body::Admitted(_) => return Ok(line),
                session::Body::Waiting(_) => {}
                other => return Err(format!("not let in: {other:?}").into()),
            }
        }
    }

    async fn send(&mut self, body: session::Body) -> Result<(), Error> {
        let sealed = self.seal.seal(&Session { body: Some(body) })?;
        say(&mut self.socket, signal::Body::Sealed(sealed)).await
    }

    async fn recv(&mut self) -> Result<session::Body, Error> {
        loop {
            let signal::Body::Sealed(sealed) = hear(&mut self.socket).await? else {
                return Err("the host no longer seals what it says".into());
            };
            if let Some(body) = self.open.open(&sealed)?.body {
                return Ok(body);
            }
        }
    }
}

async fn say(socket: &mut WebSocketStream<TcpStream>, body: signal::Body) -> Result<(), Error> {
    let bytes = Signal { body: Some(body) }.encode_to_vec();
    Ok(socket.send(Message::Binary(bytes.into())).await?)
}

async fn hear(socket: &mut WebSocketStream<TcpStream>) -> Result<signal::Body, Error> {
    loop {
        match socket.next().await.ok_or("the meeting point hung up")?? {
            Message::Binary(bytes) => {
                return Ok(decode_signal(&bytes)?.body.ok_or("an empty signal")?);
            }
            Message::Close(_) => return Err("the meeting point hung up".into()),
            _ => {}
        }
    }
}

struct Viewer {
    rtc: Rtc,
    socket: UdpSocket,
    address: SocketAddr,
    control: ChannelId,
    counts: Arc<Counts>,
    live: Option<oneshot::Sender<()>>,
    next: Option<u64>,
}

impl Viewer {
    fn offer(
        socket: UdpSocket,
        counts: Arc<Counts>,
        live: oneshot::Sender<()>,
    ) -> Result<(Viewer, SdpOffer, SdpPendingOffer), Error> {
        let address = socket.local_addr()?;
        let config = Rtc::builder().clear_codecs().enable_h264(true).set_rtp_mode(true);
        let mut rtc = config.build(Instant::now());
        rtc.add_local_candidate(Candidate::host(address, "udp")?);
        let mut api = rtc.sdp_api();
        api.add_media(MediaKind::Video, Direction::RecvOnly, None, None, None);
        let mut open = |channel: Channel| {
            let unreliable = matches!(channel, Channel::Pointer | Channel::Stats);
            api.add_channel_with_config(ChannelConfig {
                label: channel.label().to_owned(),
                ordered: !unreliable,
                reliability: match unreliable {
                    true => Reliability::MaxRetransmits { retransmits: 0 },
                    false => Reliability::Reliable,
                },
                ..ChannelConfig::default()
            })
        };
        let control = open(Channel::Control);
        for channel in Channel::ALL.into_iter().filter(|channel| *channel != Channel::Control) {
            open(channel);
        }
        let (offer, pending) = api.apply().ok_or("nothing to offer")?;
        let live = Some(live);
        Ok((Viewer { rtc, socket, address, control, counts, live, next: None }, offer, pending))
    }

    /// Sends and counts what there is; returns when there will be more.
    async fn drain(&mut self) -> Result<Instant, Error> {
        loop {
            match self.rtc.poll_output()? {
                Output::Timeout(due) => return Ok(due),
                Output::Transmit(transmit) => {
                    // The host has addresses of other interfaces, too; some cannot be reached from this socket.
                    let _ = self.socket.send_to(&transmit.contents, transmit.destination).await;
                }
                Output::Event(Event::RtpPacket(packet)) => {
                    let number = *packet.seq_no;
                    let missing = self.next.map_or(0, |next| number.saturating_sub(next));
                    self.next = self.next.max(Some(number + 1));
                    self.counts.gaps.fetch_add(missing, Relaxed);
                    self.counts.bytes.fetch_add(packet.payload.len() as u64, Relaxed);
                    if packet.header.marker {
                        self.counts.pictures.fetch_add(1, Relaxed);
                        self.live.take().map(|live| live.send(()));
                    }
                }
                Output::Event(_) => {}
            }
        }
    }

    fn ping(&mut self) -> Result<(), Error> {
        let ping = control_message::Body::Ping(Ping { viewer_us: 0 });
        let message = ControlMessage { body: Some(ping) }.encode_to_vec();
        if let Some(mut channel) = self.rtc.channel(self.control) {
            channel.write(true, &message)?;
        }
        Ok(())
    }
}
