//! The meeting point by https: who comes with TLS, without it, and with neither.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use farpane_server::{Limits, Server, Tls, TlsError};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::aws_lc_rs::default_provider;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

struct Meeting {
    addr: SocketAddr,
    connector: TlsConnector,
}

/// Runs as long as the test.
async fn meeting(limits: Limits) -> Meeting {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(vec![HERE.to_string()]).unwrap();
    let pem = cert.pem();
    let tls = Tls::new(pem.as_bytes(), signing_key.serialize_pem().as_bytes()).unwrap();
    let server = Server::bind_with((HERE, 0).into(), limits).await.unwrap().with_tls(tls);
    let addr = server.local_addr();
    tokio::spawn(server.run(std::future::pending()));
    let mut roots = RootCertStore::empty();
    roots.add(cert.der().clone()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    Meeting { addr, connector: Arc::new(config).into() }
}

async fn ask(mut stream: impl AsyncRead + AsyncWrite + Unpin, request: &str) -> String {
    let request =
        format!("{request} HTTP/1.1\r\nhost: farpane.example:8443\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // A server that hangs up without a TLS goodbye has said all the same what it had to say.
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn the_page_comes_by_https_alone() {
    let meeting = meeting(Limits::default()).await;
    let stream = TcpStream::connect(meeting.addr).await.unwrap();
    let name = ServerName::IpAddress(HERE.into());
    let stream = meeting.connector.connect(name, stream).await.unwrap();
    let page = ask(stream, "GET /").await;
    assert!(page.starts_with("HTTP/1.1 200 "), "{page}");
    assert!(page.contains("connect-src"), "{page}");

    for path in ["/", "/signal/ABCD"] {
        let stream = TcpStream::connect(meeting.addr).await.unwrap();
        let elsewhere = ask(stream, &format!("GET {path}")).await;
        assert!(elsewhere.starts_with("HTTP/1.1 307 "), "{elsewhere}");
        let place = format!("\r\nlocation: https://farpane.example:8443{path}\r\n");
        assert!(elsewhere.contains(&place), "{elsewhere}");
    }
}

#[tokio::test]
async fn handshakes_that_fail_or_stop_end() {
    let opening = Duration::from_millis(200);
    let meeting = meeting(Limits { opening, ..Limits::default() }).await;
    // A record that begins a handshake, with nothing of one in it; and one that is not all there.
    for bytes in [&[22, 3, 1, 0, 4, 9, 9, 9, 9][..], &[22, 3, 1, 1, 0, 1]] {
        let mut stream = TcpStream::connect(meeting.addr).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
        assert!(!rest.starts_with(b"HTTP"));
    }
    let stream = TcpStream::connect(meeting.addr).await.unwrap();
    assert!(ask(stream, "GET /").await.starts_with("HTTP/1.1 307 "));
}

#[test]
fn certificates_and_keys_that_will_not_do_are_named() {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(vec![]).unwrap();
    let (pem, key) = (cert.pem(), signing_key.serialize_pem());
    let other = generate_simple_self_signed(vec![]).unwrap().signing_key.serialize_pem();
    let refused = |chain: &str, key: &str| Tls::new(chain.as_bytes(), key.as_bytes()).unwrap_err();
    assert!(matches!(refused("", &key), TlsError::NoCertificate));
    assert!(matches!(refused(&pem[..pem.len() - 30], &key), TlsError::Certificate(_)));
    assert!(matches!(refused(&pem, ""), TlsError::Key(_)));
    assert!(matches!(refused(&pem, &other), TlsError::Together(_)));
    let tls = Tls::new(pem.as_bytes(), key.as_bytes()).unwrap();
    let bytes: Vec<&str> = tls.fingerprint().split(':').collect();
    assert!(bytes.len() == 32 && bytes.iter().all(|byte| u8::from_str_radix(byte, 16).is_ok()));
}
