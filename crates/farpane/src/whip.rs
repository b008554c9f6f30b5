//! Publishing to a server that passes pictures on to many viewers: the HTTP of WHIP (RFC 9725).

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use ureq::http::header::{AUTHORIZATION, CONTENT_TYPE, LOCATION};
use ureq::http::{HeaderValue, Response, StatusCode};
use ureq::tls::{RootCerts, TlsConfig, TlsProvider};
use ureq::{Agent, Body, RequestBuilder};
use url::Url;

use crate::failure::Failure;

/// For each request. A server may have to find out first who passes on.
const PATIENCE: Duration = Duration::from_secs(20);
/// Redirections in a row.
const MOST_DETOURS: usize = 5;
/// An answer's length, and what of a refusal's text is shown.
const MOST_ANSWER: u64 = 64 * 1024;
const MOST_WORDS: usize = 200;

/// What proves to the server that this host may publish. It is never shown.
#[derive(Clone)]
pub struct Token(HeaderValue);

impl Token {
    /// The text of a file, but for the spaces around it.
    pub fn new(text: &str) -> Option<Token> {
        let mut value = HeaderValue::try_from(format!("Bearer {}", text.trim())).ok()?;
        value.set_sensitive(true);
        (!text.trim().is_empty()).then_some(Token(value))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

/// What the server has made of an offer.
pub struct Resource {
    agent: Agent,
    token: Option<Token>,
    /// Where the token is good, and what came of the offer.
    endpoint: Url,
    place: Option<Url>,
    /// Its answer, in SDP.
    pub answer: String,
}

/// Offers `sdp` to the server at `endpoint`. It waits for the network.
pub fn publish(endpoint: &Url, token: Option<Token>, sdp: &str) -> Result<Resource, Failure> {
    let agent = agent();
    let mut place = endpoint.clone();
    for _ in 0..=MOST_DETOURS {
        let request = agent.post(place.as_str()).header(CONTENT_TYPE, "application/sdp");
        let response = with(request, token.as_ref().filter(|_| same(&place, endpoint))).send(sdp);
        let mut response = response.map_err(|why| unreachable(&place, &why))?;
        let location = location(&response, &place);
        match response.status() {
            StatusCode::CREATED => {
                let answer = response.body_mut().with_config().limit(MOST_ANSWER).read_to_string();
                let answer = answer.map_err(|why| unreachable(&place, &why))?;
                let endpoint = endpoint.clone();
                return Ok(Resource { agent, token, endpoint, place: location, answer });
            }
            StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT => {
                place = location.ok_or_else(|| refused(&place, &mut response))?;
            }
            _ => return Err(refused(&place, &mut response)),
        }
    }
    Err(Failure {
        code: "whip_refused",
        message: format!("{} sends elsewhere again and again", without_secrets(endpoint)),
        hint: "ask whoever runs the server for its WHIP address".to_owned(),
    })
}

impl Resource {
    /// Tells the server that nothing comes any more; if it does not hear that, it will notice.
    pub fn delete(self) {
        let Some(place) = self.place else { return };
        let token = self.token.as_ref().filter(|_| same(&place, &self.endpoint));
        match with(self.agent.delete(place.as_str()), token).call() {
            Ok(response) if response.status().is_success() => {}
            Ok(response) => {
                tracing::info!(status = %response.status(), "the server keeps what was published")
            }
            Err(why) => tracing::info!(%why, "the server was not told of the end"),
        }
    }
}

fn agent() -> Agent {
    let provider = Arc::new(tokio_rustls::rustls::crypto::aws_lc_rs::default_provider());
    let tls = TlsConfig::builder()
        .provider(TlsProvider::Rustls)
        .root_certs(RootCerts::PlatformVerifier)
        .unversioned_rustls_crypto_provider(provider)
        .build();
    let config = Agent::config_builder()
        .timeout_global(Some(PATIENCE))
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .user_agent(concat!("farpane/", env!("CARGO_PKG_VERSION")))
        .tls_config(tls);
    config.build().into()
}

/// Whether the token may go to `place`: to another server, or in clear where it was not, it never does.
fn same(place: &Url, endpoint: &Url) -> bool {
    place.origin() == endpoint.origin()
}

fn with<T>(request: RequestBuilder<T>, token: Option<&Token>) -> RequestBuilder<T> {
    match token {
        Some(Token(value)) => request.header(AUTHORIZATION, value),
        None => request,
    }
}

/// Where the server points, which may be said in short.
fn location(response: &Response<Body>, place: &Url) -> Option<Url> {
    let location = response.headers().get(LOCATION)?.to_str().ok()?;
    let mut url =
        place.join(location).ok().filter(|url| matches!(url.scheme(), "http" | "https"))?;
    if same(&url, place) && url.username().is_empty() {
        // A user's name and password in the address are for all of this server.
        let _ = url.set_username(place.username());
        let _ = url.set_password(place.password());
    }
    Some(url)
}

fn unreachable(place: &Url, why: &ureq::Error) -> Failure {
    Failure {
        code: "whip_unreachable",
        message: format!("cannot publish to {}: {why}", without_secrets(place)),
        hint: "check the address, and that this machine reaches the server".to_owned(),
    }
}

fn refused(place: &Url, response: &mut Response<Body>) -> Failure {
    let status = response.status();
    let words = response.body_mut().with_config().limit(MOST_ANSWER).read_to_string();
    let words: String = words.unwrap_or_default();
    let words: String = words.chars().filter(|c| !c.is_control()).take(MOST_WORDS).collect();
    let words = if words.is_empty() { words } else { format!(": {words}") };
    let hint = match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            "--whip-token FILE names a file with the token that the server wants"
        }
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => {
            "ask whoever runs the server for its WHIP address"
        }
        _ => "the server's own log may say more",
    };
    Failure {
        code: "whip_refused",
        message: format!("{} does not take this desktop ({status}){words}", without_secrets(place)),
        hint: hint.to_owned(),
    }
}

/// Some servers have keys in addresses.
pub fn without_secrets(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    let _ = url.set_password(None);
    url.to_string()
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{SocketAddr, TcpListener};
    use std::thread::{self, JoinHandle};

    use super::*;

    /// Answers one request, which ends with `end`, and returns it.
    fn serve(end: &'static str, answer: String) -> (SocketAddr, JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let served = thread::spawn(move || {
            let (mut socket, _) = listener.accept().unwrap();
            let (mut request, mut buffer) = (String::new(), [0; 4_096]);
            while !request.ends_with(end) {
                let len = socket.read(&mut buffer).unwrap();
                request += std::str::from_utf8(&buffer[..len]).unwrap();
            }
            socket.write_all(answer.as_bytes()).unwrap();
            request
        });
        (address, served)
    }

    #[test]
    fn a_token_is_for_the_server_it_was_given_for() {
        let done = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_owned();
        let (other, told) = serve("\r\n\r\n", done);
        let created = format!(
            "HTTP/1.1 201 Created\r\nlocation: http://{other}/me\r\ncontent-length: 3\r\n\r\nsdp"
        );
        let (server, asked) = serve("offer", created);
        let endpoint = Url::parse(&format!("http://{server}/whip")).unwrap();
        let resource = publish(&endpoint, Token::new("secret"), "offer").ok().unwrap();
        assert_eq!(resource.answer, "sdp");
        assert!(asked.join().unwrap().contains("Bearer secret"));
        resource.delete();
        let told = told.join().unwrap();
        assert!(told.starts_with("DELETE /me ") && !told.contains("secret"), "{told}");
    }

    #[test]
    fn tokens_are_what_a_header_can_say_and_never_shown() {
        for bad in ["", " \n", "a\nb", "ü\u{0}"] {
            assert!(Token::new(bad).is_none(), "{bad:?}");
        }
        let token = Token::new("secret\n").unwrap();
        assert_eq!(token.0.to_str().unwrap(), "Bearer secret");
        assert_eq!(format!("{token:?} {:?}", token.0), "Token Sensitive");
    }

    #[test]
    fn secrets_in_an_address_are_not_shown() {
        let url = Url::parse("https://user:word@example.org/whip?key=1").unwrap();
        assert_eq!(without_secrets(&url), "https://user@example.org/whip");
    }
}
