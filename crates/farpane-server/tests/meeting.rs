//! The meeting point over real sockets: what it relays, what it serves, and what it takes from strangers.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use farpane_auth::RoutingId;
use farpane_server::{Arrival, BindError, Broker, IceDoor, Knock, Limits, Registration, Server};
use farpane_wire::v1::{RefusalReason, signal::Body};
use farpane_wire::{MAX_SIGNAL_BYTES, decode_signal};
use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message};

type Viewer = WebSocketStream<TcpStream>;

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const ELSEWHERE: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));

struct Meeting {
    addr: SocketAddr,
    broker: Broker,
    ice: IceDoor,
    stop: oneshot::Sender<()>,
    running: JoinHandle<()>,
}

async fn meeting(limits: Limits) -> Meeting {
    let server = Server::bind_with((HERE, 0).into(), limits).await.unwrap();
    let (addr, broker, ice) = (server.local_addr(), server.broker(), server.ice_door());
    let (stop, stopped) = oneshot::channel();
    let running = tokio::spawn(server.run(async {
        let _ = stopped.await;
    }));
    Meeting { addr, broker, ice, stop, running }
}

/// A host that looks at viewers when it comes to it.
struct Host {
    registration: Registration,
    knocks: mpsc::Receiver<Knock>,
}

impl Host {
    fn routing_id(&self) -> RoutingId {
        self.registration.routing_id()
    }

    async fn next(&mut self) -> Knock {
        self.knocks.recv().await.expect("registered")
    }
}

impl Meeting {
    async fn tcp(&self, from: IpAddr) -> TcpStream {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((from, 0).into()).unwrap();
        socket.connect(self.addr).await.unwrap()
    }

    async fn viewer_at(
        &self,
        from: IpAddr,
        routing_id: &str,
        origin: Option<&str>,
    ) -> Result<Viewer, Error> {
        let mut request =
            format!("ws://{}/signal/{routing_id}", self.addr).into_client_request().unwrap();
        if let Some(origin) = origin {
            request.headers_mut().insert("origin", HeaderValue::from_str(origin).unwrap());
        }
        let stream = self.tcp(from).await;
        Ok(tokio_tungstenite::client_async(request, stream).await?.0)
    }

    async fn viewer(&self, routing_id: &str) -> Viewer {
        self.viewer_at(HERE, routing_id, None).await.unwrap()
    }

    fn host(&self) -> Host {
        let (waiting, knocks) = mpsc::channel(16);
        let registration = self.broker.register(move |knock| waiting.try_send(knock).is_ok());
        Host { registration, knocks }
    }

    async fn pair(&self, host: &mut Host) -> (Viewer, Knock) {
        let viewer = self.viewer(host.routing_id().as_str()).await;
        (viewer, host.next().await)
    }

    /// The whole answer to a request, head and body.
    async fn http(&self, request: &str) -> String {
        let mut stream = self.tcp(HERE).await;
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    }

    async fn get(&self, path: &str, more: &str) -> String {
        self.http(&format!(
            "GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n{more}\r\n",
            self.addr
        ))
        .await
    }
}

async fn next_binary(viewer: &mut Viewer) -> Vec<u8> {
    loop {
        match viewer.next().await.expect("more is to come").unwrap() {
            Message::Binary(bytes) => return bytes.into(),
            Message::Ping(_) => {}
            other => panic!("unexpected {other:?}"),
        }
    }
}

async fn refusal(viewer: &mut Viewer) -> RefusalReason {
    let Some(Body::Refusal(refusal)) = decode_signal(&next_binary(viewer).await).unwrap().body
    else {
        panic!("a refusal was expected")
    };
    let end = viewer.next().await;
    assert!(matches!(end, Some(Ok(Message::Close(_)))), "{end:?}");
    refusal.reason()
}

/// Reads to the end of the connection; the code it was closed with, if it was.
async fn end(viewer: &mut Viewer) -> Option<CloseCode> {
    let mut code = None;
    while let Some(Ok(message)) = viewer.next().await {
        match message {
            Message::Close(frame) => code = frame.map(|frame| frame.code),
            Message::Binary(bytes) => panic!("unexpected {bytes:?}"),
            _ => {}
        }
    }
    code
}

async fn exchange(viewer: &mut Viewer, knock: &mut Knock, text: &str) {
    viewer.send(Message::binary(text.as_bytes().to_vec())).await.unwrap();
    assert_eq!(knock.incoming.recv().await.unwrap(), text.as_bytes());
    knock.outgoing.send(text.as_bytes().to_vec()).await.unwrap();
    assert_eq!(next_binary(viewer).await, text.as_bytes());
}

#[tokio::test]
async fn messages_pass_both_ways_unread() {
    let meeting = meeting(Limits::default()).await;
    let mut host = meeting.host();
    let (mut viewer, mut knock) = meeting.pair(&mut host).await;
    assert_eq!(knock.from.ip(), HERE);
    for text in ["first", "", "not a protobuf message \u{0}"] {
        exchange(&mut viewer, &mut knock, text).await;
    }
    let longest = vec![7; MAX_SIGNAL_BYTES];
    viewer.send(Message::binary(longest.clone())).await.unwrap();
    assert_eq!(knock.incoming.recv().await.unwrap(), longest);
    knock.outgoing.send(longest.clone()).await.unwrap();
    assert_eq!(next_binary(&mut viewer).await, longest);
}

#[tokio::test]
async fn each_viewer_reaches_the_host_it_names() {
    let meeting = meeting(Limits::default()).await;
    let (mut one, mut other) = (meeting.host(), meeting.host());
    assert_ne!(one.routing_id(), other.routing_id());
    let (mut at_one, mut knock_one) = meeting.pair(&mut one).await;
    // Typed in lower case.
    let mut at_other = meeting.viewer(&other.routing_id().as_str().to_lowercase()).await;
    let mut knock_other = other.next().await;
    exchange(&mut at_one, &mut knock_one, "one").await;
    exchange(&mut at_other, &mut knock_other, "other").await;
}

#[tokio::test]
async fn whoever_hangs_up_the_other_hears_of_it() {
    let meeting = meeting(Limits::default()).await;
    let mut host = meeting.host();
    let (mut viewer, knock) = meeting.pair(&mut host).await;
    knock.outgoing.send(b"goodbye".to_vec()).await.unwrap();
    drop(knock);
    assert_eq!(next_binary(&mut viewer).await, b"goodbye");
    assert_eq!(end(&mut viewer).await, Some(CloseCode::Normal));

    let (mut viewer, mut knock) = meeting.pair(&mut host).await;
    viewer.close(None).await.unwrap();
    assert_eq!(knock.incoming.recv().await, None);

    let (viewer, mut knock) = meeting.pair(&mut host).await;
    drop(viewer);
    assert_eq!(knock.incoming.recv().await, None);
    knock.outgoing.closed().await;
}

#[tokio::test]
async fn an_unknown_routing_id_is_refused_in_words_the_page_can_read() {
    let meeting = meeting(Limits { misses_per_source: 100, ..Limits::default() }).await;
    let host = meeting.host();
    let ended = host.routing_id();
    drop(host);
    for routing_id in [ended.as_str(), "UUUU", "0", "%00%2e", &"A".repeat(5000)] {
        assert_eq!(
            refusal(&mut meeting.viewer(routing_id).await).await,
            RefusalReason::RefusalUnknownCode
        );
    }
}

#[tokio::test]
async fn a_source_that_guesses_routing_ids_is_held_up() {
    let limits = Limits {
        misses_per_source: 3,
        miss_forgotten: Duration::from_secs(3600),
        ..Limits::default()
    };
    let meeting = meeting(limits).await;
    let mut host = meeting.host();
    for _ in 0..3 {
        assert_eq!(
            refusal(&mut meeting.viewer("UUUU").await).await,
            RefusalReason::RefusalUnknownCode
        );
    }
    let mut viewer = meeting.viewer(host.routing_id().as_str()).await;
    assert_eq!(refusal(&mut viewer).await, RefusalReason::RefusalOverloaded);
    meeting.viewer_at(ELSEWHERE, host.routing_id().as_str(), None).await.unwrap();
    assert_eq!(host.next().await.from.ip(), ELSEWHERE);
}

#[tokio::test]
async fn strangers_are_counted_per_source_and_overall_until_admitted() {
    let limits = Limits { strangers: 3, strangers_per_source: 2, ..Limits::default() };
    let meeting = meeting(limits).await;
    let mut host = meeting.host();
    let routing_id = host.routing_id();
    let (mut first, mut first_knock) = meeting.pair(&mut host).await;
    let _second = meeting.pair(&mut host).await;
    assert_eq!(
        refusal(&mut meeting.viewer(routing_id.as_str()).await).await,
        RefusalReason::RefusalOverloaded
    );
    let _third = meeting.viewer_at(ELSEWHERE, routing_id.as_str(), None).await.unwrap();
    let mut fourth = meeting.viewer_at(ELSEWHERE, routing_id.as_str(), None).await.unwrap();
    assert_eq!(refusal(&mut fourth).await, RefusalReason::RefusalOverloaded);
    host.next().await;

    first_knock.admission.grant();
    exchange(&mut first, &mut first_knock, "still here").await;
    let (mut next, mut knock) = meeting.pair(&mut host).await;
    exchange(&mut next, &mut knock, "its place was free").await;
}

#[tokio::test]
async fn a_thousand_garbage_connections_change_nothing_for_the_live_session() {
    let meeting = meeting(Limits::default()).await;
    let mut host = meeting.host();
    let routing_id = host.routing_id();
    let (mut viewer, mut live) = meeting.pair(&mut host).await;
    live.admission.grant();
    exchange(&mut viewer, &mut live, "before").await;
    // A host that looks at each knock and keeps the strangers waiting.
    let (meet, mut met) = mpsc::unbounded_channel();
    let hosting = tokio::spawn(async move {
        loop {
            if meet.send(host.next().await).is_err() {
                return;
            }
        }
    });
    let mut held = Vec::new();
    for round in 0..1000 {
        let mut stream = meeting.tcp(ELSEWHERE).await;
        let garbage: &[u8] = match round % 4 {
            0 => b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
            1 => b"GET / HTTP/1.1\r\nHost: farpane\r\nX: ",
            2 => &[0xff; 4096],
            _ => b"",
        };
        // The server may have hung up already.
        let _ = stream.write_all(garbage).await;
        if round % 10 == 9 {
            held.push(stream);
            // A full house hangs up, so that the garbage may be all there is to a connection.
            if let Ok(mut stranger) = meeting.viewer_at(ELSEWHERE, routing_id.as_str(), None).await
            {
                let _ = stranger.send(Message::binary(vec![0xff; 1000])).await;
            }
        }
        if round % 50 == 49 {
            exchange(&mut viewer, &mut live, &format!("during {round}")).await;
        }
    }
    let mut late = meeting.viewer(routing_id.as_str()).await;
    let mut knock = loop {
        let knock = met.recv().await.expect("the host is up");
        if knock.from.ip() == HERE {
            break knock;
        }
    };
    exchange(&mut late, &mut knock, "another source still gets in").await;
    exchange(&mut viewer, &mut live, "after").await;
    hosting.abort();
}

#[tokio::test]
async fn a_message_of_ten_megabytes_ends_its_connection_and_reaches_nobody() {
    let meeting = meeting(Limits::default()).await;
    let mut host = meeting.host();
    let (mut viewer, mut live) = meeting.pair(&mut host).await;
    let (mut stranger, mut knock) = meeting.pair(&mut host).await;
    // The server hangs up in the middle of it.
    let _ = stranger.send(Message::binary(vec![1; 10_000_000])).await;
    assert_eq!(knock.incoming.recv().await, None);
    let (mut stranger, mut knock) = meeting.pair(&mut host).await;
    let _ = stranger.send(Message::binary(vec![1; MAX_SIGNAL_BYTES + 1])).await;
    assert_eq!(knock.incoming.recv().await, None);
    exchange(&mut viewer, &mut live, "unharmed").await;
}

#[tokio::test]
async fn text_is_refused_and_so_are_too_many_messages() {
    let limits =
        Limits { burst: 5, message_interval: Duration::from_secs(3600), ..Limits::default() };
    let meeting = meeting(limits).await;
    let mut host = meeting.host();
    let (mut viewer, mut knock) = meeting.pair(&mut host).await;
    viewer.send(Message::text("hello")).await.unwrap();
    assert_eq!(end(&mut viewer).await, Some(CloseCode::Unsupported));
    assert_eq!(knock.incoming.recv().await, None);

    let (mut viewer, mut knock) = meeting.pair(&mut host).await;
    for _ in 0..6 {
        viewer.send(Message::binary(vec![1])).await.unwrap();
    }
    assert_eq!(end(&mut viewer).await, Some(CloseCode::Policy));
    let mut arrived = 0;
    while knock.incoming.recv().await.is_some() {
        arrived += 1;
    }
    assert_eq!(arrived, 5);
}

#[tokio::test]
async fn a_viewer_that_says_nothing_is_shown_out() {
    let limits = Limits { first_message: Duration::from_millis(50), ..Limits::default() };
    let meeting = meeting(limits).await;
    let mut host = meeting.host();
    let (mut viewer, _knock) = meeting.pair(&mut host).await;
    assert_eq!(end(&mut viewer).await, Some(CloseCode::Policy));
}

#[tokio::test]
async fn a_viewer_that_is_not_admitted_in_time_is_shown_out_and_an_admitted_one_stays() {
    let limits = Limits { admission: Duration::from_millis(200), ..Limits::default() };
    let meeting = meeting(limits).await;
    let mut host = meeting.host();
    let (mut admitted, mut admitted_knock) = meeting.pair(&mut host).await;
    admitted_knock.admission.grant();
    let (mut viewer, mut knock) = meeting.pair(&mut host).await;
    exchange(&mut viewer, &mut knock, "hello").await;
    assert_eq!(end(&mut viewer).await, Some(CloseCode::Policy));
    exchange(&mut admitted, &mut admitted_knock, "still here").await;
}

#[tokio::test]
async fn a_viewer_that_vanished_without_a_word_is_noticed() {
    let limits = Limits {
        ping: Duration::from_millis(20),
        silence: Duration::from_millis(200),
        ..Limits::default()
    };
    let meeting = meeting(limits).await;
    let mut host = meeting.host();
    // Not polled, this viewer answers no ping; its socket stays open.
    let (_vanished, mut knock) = meeting.pair(&mut host).await;
    knock.admission.grant();
    assert_eq!(knock.incoming.recv().await, None);
}

#[tokio::test]
async fn a_request_that_never_ends_is_cut_off() {
    let limits = Limits { request: Duration::from_millis(500), ..Limits::default() };
    let meeting = meeting(limits).await;
    let mut host = meeting.host();
    let (mut viewer, mut knock) = meeting.pair(&mut host).await;
    for start in ["", "GET / HT", "GET / HTTP/1.1\r\nHost: farpane\r\nX-Slow: "] {
        let mut stream = meeting.tcp(HERE).await;
        stream.write_all(start.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        // An end or a reset, but in any case not for ever.
        let _ = stream.read_to_end(&mut answer).await;
        assert!(!answer.starts_with(b"HTTP/1.1 200"));
    }
    exchange(&mut viewer, &mut knock, "the limit is for requests, not for sessions").await;
}

/// A connectivity check as it begins a TCP connection: framed (RFC 4571), with a user name and nothing else.
fn check(user: &str) -> Vec<u8> {
    let padded = user.len().next_multiple_of(4);
    let mut message = vec![0, 1, 0, padded as u8 + 4, 0x21, 0x12, 0xa4, 0x42];
    message.extend([7; 12]);
    message.extend([0, 6, 0, user.len() as u8]);
    message.extend(user.as_bytes());
    message.resize(24 + padded, 0);
    [vec![0, message.len() as u8], message].concat()
}

/// Whether the server hangs up without a word.
async fn hung_up(mut stream: TcpStream) -> bool {
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    answer.is_empty()
}

#[tokio::test]
async fn a_connection_for_media_reaches_the_agent_that_it_names() {
    // Those that were handed over have left, so that a place for one is enough.
    let meeting = meeting(Limits { connections_per_source: 1, ..Limits::default() }).await;
    let (arrived, mut arrivals) = mpsc::unbounded_channel();
    let registration = meeting.ice.register("ours", move |arrival| {
        let _ = arrived.send(arrival);
    });
    let _other = meeting.ice.register("another", |_| panic!("for somebody else"));
    let hello = check("ours:theirs");
    for cut in [0, 1, 2, 21, hello.len()] {
        let mut stream = meeting.tcp(HERE).await;
        stream.set_nodelay(true).unwrap();
        stream.write_all(&hello[..cut]).await.unwrap();
        tokio::task::yield_now().await;
        stream.write_all(&hello[cut..]).await.unwrap();
        stream.write_all(b"what follows").await.unwrap();
        let Arrival { stream: far, read } = arrivals.recv().await.unwrap();
        assert_eq!(read, hello);
        let mut far = TcpStream::from_std(far).unwrap();
        far.write_all(b"an answer").await.unwrap();
        let (mut there, mut here) = ([0; 12], [0; 9]);
        far.read_exact(&mut there).await.unwrap();
        stream.read_exact(&mut here).await.unwrap();
        assert_eq!((&there, &here), (b"what follows", b"an answer"));
        // Both are for the agent now, whatever becomes of the server's places.
        drop((far, stream));
        assert!(meeting.get("/", "").await.starts_with("HTTP/1.1 200"));
    }
    drop(registration);
    let mut late = meeting.tcp(HERE).await;
    late.write_all(&hello).await.unwrap();
    assert!(hung_up(late).await);
    assert!(arrivals.recv().await.is_none());
}

#[tokio::test]
async fn connections_for_nobody_and_half_checks_are_hung_up_on() {
    let limits = Limits { opening: Duration::from_millis(300), ..Limits::default() };
    let meeting = meeting(limits).await;
    let _agent = meeting.ice.register("ours", |_| panic!("nobody is for it"));
    let mut unfit = check("ours:theirs");
    // A response.
    unfit[2] = 1;
    let whole = check("ours:theirs");
    let hellos: [&[u8]; 6] =
        [&check("unknown:theirs"), &unfit, &[0, 0], b"", &whole[..1], &whole[..30]];
    for hello in hellos {
        let mut stream = meeting.tcp(HERE).await;
        stream.write_all(hello).await.unwrap();
        assert!(hung_up(stream).await, "{hello:?}");
    }
    // Byte by byte it takes no longer: the time is for all of them.
    let mut slow = meeting.tcp(HERE).await;
    let mut pace = tokio::time::interval(Duration::from_millis(50));
    let mut sent = 0;
    while sent < whole.len() - 1 && slow.write_all(&whole[sent..=sent]).await.is_ok() {
        pace.tick().await;
        sent += 1;
    }
    assert!(sent < whole.len() - 1);
}

#[tokio::test]
async fn of_two_agents_with_one_name_the_later_counts_until_it_is_gone() {
    let meeting = meeting(Limits::default()).await;
    let (arrived, mut arrivals) = mpsc::unbounded_channel();
    let earlier = meeting.ice.register("ours", |_| panic!("replaced"));
    let _later = meeting.ice.register("ours", move |arrival: Arrival| {
        let _ = arrived.send(arrival);
    });
    drop(earlier);
    for _ in 0..2 {
        let mut stream = meeting.tcp(HERE).await;
        stream.write_all(&check("ours:theirs")).await.unwrap();
        assert!(arrivals.recv().await.is_some());
    }
}

#[tokio::test]
async fn connections_of_one_source_are_bounded() {
    let meeting = meeting(Limits { connections_per_source: 2, ..Limits::default() }).await;
    let _held = [meeting.tcp(ELSEWHERE).await, meeting.tcp(ELSEWHERE).await];
    let mut third = meeting.tcp(ELSEWHERE).await;
    // The server has hung up; if it had not, it would answer.
    let _ = third.write_all(b"GET / HTTP/1.1\r\nHost: farpane\r\nConnection: close\r\n\r\n").await;
    let mut answer = Vec::new();
    let _ = third.read_to_end(&mut answer).await;
    assert!(answer.is_empty());
    assert!(meeting.get("/", "").await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn only_pages_of_the_same_origin_may_connect() {
    let meeting = meeting(Limits::default()).await;
    let host = meeting.host();
    let routing_id = host.routing_id();
    let own = format!("http://{}", meeting.addr);
    let secure = format!("https://{}", meeting.addr);
    for origin in [own.as_str(), &secure] {
        assert!(
            meeting.viewer_at(HERE, routing_id.as_str(), Some(origin)).await.is_ok(),
            "{origin}"
        );
    }
    let other_port = format!("http://127.0.0.1:{}", meeting.addr.port() ^ 1);
    let suffix = format!("http://{}.example.com", meeting.addr);
    let user = format!("http://{}@example.com", meeting.addr);
    for origin in ["http://example.com", "null", "", "file://", &other_port, &suffix, &user] {
        match meeting.viewer_at(HERE, routing_id.as_str(), Some(origin)).await {
            Err(Error::Http(answer)) => assert_eq!(answer.status(), 403, "{origin}"),
            other => panic!("{origin}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn the_page_comes_with_its_headers() {
    let meeting = meeting(Limits::default()).await;
    let answer = meeting.get("/", "").await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let head = head.to_ascii_lowercase();
    assert!(head.starts_with("http/1.1 200"), "{head}");
    assert!(body.to_ascii_lowercase().starts_with("<!doctype html>"), "{body}");
    let sockets = format!("connect-src 'self' ws://{0} wss://{0};", meeting.addr);
    for part in [
        "content-type: text/html; charset=utf-8",
        "cache-control: no-cache",
        "x-content-type-options: nosniff",
        "referrer-policy: no-referrer",
        "cross-origin-opener-policy: same-origin",
        "permissions-policy: fullscreen=(self), keyboard-map=(self)",
        "content-security-policy: default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self';",
        "frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
        &sockets,
    ] {
        assert!(head.contains(part), "{part} in {head}");
    }
    let etag = head.lines().find_map(|line| line.strip_prefix("etag: ")).unwrap();
    assert!(
        meeting.get("/", &format!("If-None-Match: {etag}\r\n")).await.starts_with("HTTP/1.1 304")
    );
}

#[tokio::test]
async fn the_page_is_compressed_for_browsers_that_take_it() {
    let meeting = meeting(Limits::default()).await;
    if meeting.get("/", "").await.contains("not in this build") {
        return;
    }
    let head = async |codings: &str| {
        let host = meeting.addr;
        let head = format!(
            "HEAD / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nAccept-Encoding: {codings}\r\n\r\n"
        );
        meeting.http(&head).await.to_ascii_lowercase()
    };
    let (plain, packed) = (head("identity").await, head("gzip, br").await);
    assert!(packed.contains("content-encoding: gzip") && !plain.contains("content-encoding"));
    for part in ["content-type: text/html; charset=utf-8", "vary: accept-encoding"] {
        assert!(plain.contains(part) && packed.contains(part), "{part} in {plain} and {packed}");
    }
    let of = |head: &str, name: &str| {
        head.lines().find_map(|line| line.strip_prefix(name).map(str::to_owned)).unwrap()
    };
    let length = |head: &str| of(head, "content-length: ").parse::<u32>().unwrap();
    assert!(length(&packed) * 2 < length(&plain), "{plain} and {packed}");
    assert_ne!(of(&plain, "etag: "), of(&packed, "etag: "));
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    let meeting = meeting(Limits::default()).await;
    for path in
        ["/nothing", "/../Cargo.toml", "/%2e%2e/Cargo.toml", "/assets/", "/signal", "//etc/passwd"]
    {
        let answer = meeting.get(path, "").await;
        assert!(answer.starts_with("HTTP/1.1 404"), "{path}: {answer}");
        assert!(answer.contains("content-security-policy"), "{path}");
    }
    let post = format!(
        "POST / HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
        meeting.addr
    );
    assert!(meeting.http(&post).await.starts_with("HTTP/1.1 405"));
}

#[tokio::test]
async fn a_host_name_cannot_add_to_the_policy() {
    let meeting = meeting(Limits::default()).await;
    let answer = meeting
        .http("GET / HTTP/1.1\r\nHost: x; script-src *\r\nConnection: close\r\n\r\n")
        .await
        .to_lowercase();
    assert!(!answer.contains("script-src *"), "{answer}");
}

#[tokio::test]
async fn what_the_host_has_sent_goes_out_when_the_server_stops() {
    let meeting = meeting(Limits::default()).await;
    let mut host = meeting.host();
    let (mut viewer, knock) = meeting.pair(&mut host).await;
    let _idle = meeting.tcp(HERE).await;
    knock.outgoing.send(b"stopped".to_vec()).await.unwrap();
    meeting.stop.send(()).unwrap();
    drop(knock);
    assert_eq!(next_binary(&mut viewer).await, b"stopped");
    assert!(end(&mut viewer).await.is_some());
    meeting.running.await.unwrap();
    assert!(TcpStream::connect(meeting.addr).await.is_err());
}

#[tokio::test]
async fn a_busy_port_comes_with_another_one() {
    let first = Server::bind((HERE, 0).into()).await.unwrap();
    let addr = first.local_addr();
    match Server::bind(addr).await {
        Err(BindError::Busy { addr: busy, next: Some(next) }) => {
            assert_eq!(busy, addr);
            assert!(Server::bind((HERE, next).into()).await.is_ok());
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_address_of_another_machine_is_said_to_be_that() {
    // TEST-NET-1 (RFC 5737) belongs to nobody.
    let error = Server::bind(([192, 0, 2, 1], 0).into()).await.unwrap_err();
    assert!(matches!(error, BindError::NotHere { .. }), "{error}");
}
