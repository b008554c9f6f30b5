//! The web client, out of the executable, with the headers that keep it to itself.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, Uri, header};
use rust_embed::RustEmbed;

#[derive(RustEmbed)]
#[folder = "$FARPANE_WEB"]
struct Web;

const PERMISSIONS: &str = "fullscreen=(self), keyboard-map=(self), clipboard-read=(self), clipboard-write=(self), \
    camera=(), microphone=(), display-capture=(), geolocation=(), payment=(), usb=(), serial=(), hid=(), midi=()";

/// Answers GET and HEAD for a file of the client; `/` is its page.
pub(crate) async fn serve(uri: Uri, headers: HeaderMap) -> Response<Body> {
    let path = match uri.path().trim_start_matches('/') {
        "" => "index.html",
        path => path,
    };
    let compressed = accepts_gzip(&headers).then(|| Web::get(&format!("{path}.gz"))).flatten();
    let is_compressed = compressed.is_some();
    let mut response = match compressed.or_else(|| Web::get(path)) {
        Some(file) => {
            let etag = format!("\"{}\"", hex(&file.metadata.sha256_hash()[..16]));
            let known = headers
                .get(header::IF_NONE_MATCH)
                .is_some_and(|known| known.as_bytes() == etag.as_bytes());
            let mut response =
                Response::new(if known { Body::empty() } else { Body::from(file.data) });
            if known {
                *response.status_mut() = StatusCode::NOT_MODIFIED;
            }
            // Vite puts a hash of the content into the names of what it writes to assets/.
            let caching = if path.starts_with("assets/") {
                "public, max-age=31536000, immutable"
            } else {
                "no-cache"
            };
            let headers = response.headers_mut();
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(caching));
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type(path)));
            headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
            if is_compressed {
                headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            }
            headers.insert(
                header::ETAG,
                HeaderValue::try_from(etag).expect("hex digits and quotes are allowed"),
            );
            response
        }
        None => {
            let mut response = Response::new(Body::from("not found\n"));
            *response.status_mut() = StatusCode::NOT_FOUND;
            response
                .headers_mut()
                .insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
            response
        }
    };
    let policy = content_security_policy(headers.get(header::HOST));
    let fixed: [(HeaderName, &str); 5] = [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (HeaderName::from_static("permissions-policy"), PERMISSIONS),
    ];
    for (name, value) in fixed {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    response
}

/// RFC 9110, section 12.5.3; who says nothing of gzip gets none.
fn accepts_gzip(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::ACCEPT_ENCODING).iter();
    let codings = values.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    codings.map(|coding| coding.split_once(';').unwrap_or((coding, ""))).any(|(coding, weight)| {
        let refused = weight.trim().strip_prefix("q=").is_some_and(|q| q.parse() == Ok(0.0));
        coding.trim().eq_ignore_ascii_case("gzip") && !refused
    })
}

/// Scripts only from here (and WebAssembly, for the key exchange), nothing inline, no frames, no forms. Safari before
/// 15.4 does not take `'self'` to cover the WebSocket, so the host that was asked for is named as well.
fn content_security_policy(host: Option<&HeaderValue>) -> HeaderValue {
    let plain = |host: &&str| {
        host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte))
    };
    let sockets = match host.and_then(|host| host.to_str().ok()).filter(plain) {
        Some(host) => format!(" ws://{host} wss://{host}"),
        None => String::new(),
    };
    let policy = format!(
        "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self' data: blob:; \
         font-src 'self'; connect-src 'self'{sockets}; media-src 'self' blob: mediastream:; worker-src 'self'; \
         manifest-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
    );
    HeaderValue::try_from(policy).expect("only visible ASCII went in")
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map(|(_, extension)| extension) {
        Some("html") => "text/html; charset=utf-8",
        Some("js" | "mjs") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("json" | "map") => "application/json",
        Some("webmanifest") => "application/manifest+json",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("ico") => "image/x-icon",
        Some("webp") => "image/webp",
        Some("wasm") => "application/wasm",
        Some("woff2") => "font/woff2",
        Some("txt") => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_is_for_those_who_take_it() {
        let accepts = |value: &str| {
            let value = HeaderValue::try_from(value).unwrap();
            accepts_gzip(&HeaderMap::from_iter([(header::ACCEPT_ENCODING, value)]))
        };
        assert!(accepts("gzip, deflate, br") && accepts("br;q=1.0, GZIP;q=0.5"));
        assert!(!accepts("br, identity") && !accepts("gzip;q=0") && !accepts("gzip; q=0.000"));
        assert!(!accepts("") && !accepts_gzip(&HeaderMap::new()));
    }
}
