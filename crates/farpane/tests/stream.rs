//! `farpane stream` as people and programs run it, with players of other people.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::Value;

/// Ends with the test.
struct Stream {
    child: Child,
    lines: BufReader<ChildStdout>,
    sdp: PathBuf,
}

impl Stream {
    /// Options are separated by spaces.
    fn start(name: &str, options: &str) -> Stream {
        let file = format!("stream-{name}-{}.sdp", std::process::id());
        let sdp = Path::new(env!("CARGO_TARGET_TMPDIR")).join(file);
        let mut command = Command::new(env!("CARGO_BIN_EXE_farpane"));
        command.args(["stream", "--json", "--sdp"]).arg(&sdp).args(options.split_whitespace());
        let mut child = command.env_remove("DISPLAY").stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Stream { child, lines, sdp }
    }

    /// The next of these events.
    fn event(&mut self, name: &str) -> Value {
        let mut line = String::new();
        loop {
            line.clear();
            assert!(self.lines.read_line(&mut line).unwrap() > 0, "no {name}");
            let event: Value = serde_json::from_str(&line).unwrap();
            if event["event"] == name {
                return event;
            }
        }
    }

    fn terminate(&mut self) -> Option<i32> {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").arg(pid).status().unwrap().success());
        self.child.wait().unwrap().code()
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_file(&self.sdp);
    }
}

/// A port that was free with its neighbour a moment ago.
fn port() -> u16 {
    loop {
        let rtp = UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = rtp.local_addr().unwrap().port();
        if port.is_multiple_of(2) && UdpSocket::bind(("127.0.0.1", port + 1)).is_ok() {
            return port;
        }
    }
}

#[test]
fn a_recorder_that_comes_late_records() {
    let to = format!("127.0.0.1:{}", port());
    let options = format!("--to {to} --display synthetic:scroll,size=320x240 --key-frames 1");
    let mut stream = Stream::start("record", &options);
    let ready = stream.event("ready");
    assert_eq!((&ready["to"], &ready["sdp"]), (&to.into(), &stream.sdp.to_str().into()));
    // Some of it has passed.
    stream.event("stats");
    let ffmpeg = Command::new("ffmpeg")
        .args(["-loglevel", "error", "-protocol_whitelist", "file,udp,rtp", "-i"])
        .arg(&stream.sdp)
        .args(["-frames:v", "20", "-f", "framemd5", "-"])
        .output()
        .unwrap();
    assert!(ffmpeg.status.success());
    let text = String::from_utf8(ffmpeg.stdout).unwrap();
    let mut pictures: Vec<&str> = text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.rsplit(", ").next().unwrap())
        .collect();
    assert!(text.contains("#dimensions 0: 320x240"), "{text}");
    assert_eq!(pictures.len(), 20);
    // A page that scrolls looks different each time.
    pictures.sort_unstable();
    pictures.dedup();
    assert!(pictures.len() > 15, "{text}");
    let stats = stream.event("stats");
    assert!(stats["fps"].as_f64().unwrap() > 0.0 && stats["estimate_mbps"] == 8.0, "{stats}");
    assert_eq!(stream.terminate(), Some(0));
}

#[test]
fn what_cannot_be_is_said_at_once() {
    for (options, code) in [
        ("--to 127.255.255.255:5004 --display synthetic:clock,size=64x64", "no_route"),
        ("--to 127.0.0.1:5004 --display :4711", "cannot_open_display"),
        ("--to 127.0.0.1:5004", "no_display"),
    ] {
        let mut stream = Stream::start("wrong", options);
        let error = stream.event("error");
        assert_eq!(error["code"], code, "{error}");
        assert!(!error["hint"].as_str().unwrap().is_empty());
        assert_eq!(stream.child.wait().unwrap().code(), Some(1));
    }
    let options = format!("--to 127.0.0.1:{} --display synthetic:clock,size=64x64", port());
    let mut stream = Stream::start("nowhere/at/all", &options);
    assert_eq!(stream.event("error")["code"], "cannot_write");
    assert_eq!(stream.child.wait().unwrap().code(), Some(1));
}
