//! The key exchange against the npm package that the browser runs: same keys with the code, none without it.

use std::io::{BufRead, BufReader, Lines, Write};
use std::net::IpAddr;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use farpane_auth::{Code, MAX_WRONG_ATTEMPTS, RoutingId, Share};
use farpane_wire::v1::{
    AuthFinish, AuthStart, Description, RefusalReason, Sealed, Session, Waiting, session::Body,
};
use farpane_wire::{Message, PROTOCOL_VERSION};

const NOW: Duration = Duration::ZERO;

/// The script interop.mjs, running.
struct Browser {
    child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

impl Browser {
    fn start(code: &Code) -> Browser {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let web = here.join("../../web");
        assert!(
            web.join("node_modules/@serenity-kit/opaque").is_dir(),
            "@serenity-kit/opaque is missing: run `npm ci` in web/"
        );
        let secret = code.reveal().replace('-', "").split_off(farpane_auth::ROUTING_SYMBOLS);
        let mut child = Command::new("node")
            .arg(here.join("tests/interop.mjs"))
            .arg(&web)
            .args([code.routing_id().as_str(), &secret])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("Node.js is needed to test against the browser's library: install nodejs");
        let input = child.stdin.take().expect("piped");
        let output = BufReader::new(child.stdout.take().expect("piped")).lines();
        Browser { child, input, output }
    }

    fn line(&mut self) -> String {
        self.output.next().expect("the script has more to say").expect("it is text")
    }

    fn send(&mut self, bytes: &[u8]) {
        writeln!(self.input, "{}", hex(bytes)).expect("the script reads");
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // It has ended by itself unless an assertion failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_right_code_gives_both_sides_the_same_keys() {
    let mut share = Share::open(RoutingId::random(), NOW).unwrap();
    let mut browser = Browser::start(share.code());
    let start = AuthStart { version: PROTOCOL_VERSION, ke1: unhex(&browser.line()) };
    let (id, reply) = share.start(NOW, IpAddr::from([192, 0, 2, 1]), &start).unwrap();
    browser.send(&reply.ke2);
    let finish = AuthFinish { ke3: unhex(&browser.line()) };
    let (mut seal, mut open) = share.finish(NOW, id, &finish).unwrap().host_side(0);

    let line = browser.line();
    let (payload, mac) = line.split_once(' ').unwrap();
    let offer = open.open(&Sealed { seq: 0, payload: unhex(payload), mac: unhex(mac) }).unwrap();
    assert_eq!(offer, Session { body: Some(Body::Offer(Description { sdp: "v=0".into() })) });

    let waiting = Session { body: Some(Body::Waiting(Waiting { seconds: 60 })) };
    let sealed = seal.seal(&waiting).unwrap();
    assert_eq!(Session::decode(sealed.payload.as_slice()).unwrap(), waiting);
    browser.send(&sealed.payload);
    assert_eq!(browser.line(), hex(&sealed.mac));
}

#[test]
fn a_wrong_code_is_noticed_by_the_browser_and_counted_by_the_host() {
    let mut share = Share::open(RoutingId::random(), NOW).unwrap();
    let mut browser = Browser::start(&Code::generate(share.code().routing_id()));
    let start = AuthStart { version: PROTOCOL_VERSION, ke1: unhex(&browser.line()) };
    let (id, reply) = share.start(NOW, IpAddr::from([192, 0, 2, 1]), &start).unwrap();
    browser.send(&reply.ke2);
    assert_eq!(browser.line(), "wrong code");
    let refused = share.finish(NOW, id, &AuthFinish { ke3: Vec::new() }).unwrap_err();
    assert_eq!(refused.reason, RefusalReason::RefusalWrongCode);
    assert_eq!(refused.attempts_left, MAX_WRONG_ATTEMPTS - 1);
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    text.as_bytes()
        .chunks(2)
        .map(|pair| {
            u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).expect("hex from the script")
        })
        .collect()
}
