//! Real sockets over a lab's link get what the model says, to the packet. Needs root, as the lab does.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsFd as _;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use farpane_media::Time;
use farpane_testkit::{Limit, Link, Loss, Overflow, Path, Phase};
use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use serde_json::Value;

const HOST: &str = "192.0.2.1:7000";
const VIEWER: &str = "192.0.2.2:7000";

/// A lab whose command has said that it runs. Its stdout ends when nothing in the lab runs any more.
struct Lab {
    netlab: Child,
    stdout: BufReader<ChildStdout>,
}

impl Lab {
    fn start(options: &[&str], command: &str) -> Lab {
        let mut netlab = Command::new(env!("CARGO_BIN_EXE_farpane-netlab"))
            .args(options)
            .args(["--", "sh", "-c", command])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("netlab starts");
        let mut stdout = BufReader::new(netlab.stdout.take().expect("it is piped"));
        let mut line = String::new();
        stdout.read_line(&mut line).expect("netlab's stdout");
        assert_eq!(line, "ready\n", "netlab says above what is missing");
        Lab { netlab, stdout }
    }

    /// What `work` gives when it is done by a thread in that namespace.
    fn at<T: Send>(&self, name: &str, work: impl FnOnce() -> T + Send) -> T {
        let path = format!("/proc/{}/root/run/netns/{name}", self.netlab.id());
        let namespace = File::open(path).expect("the namespace is there");
        let enter = || {
            move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))
                .expect("root may enter it");
            work()
        };
        thread::scope(|scope| scope.spawn(enter).join().expect("no panic in the namespace"))
    }

    /// Waits for all to end; the exit status.
    fn end(mut self) -> i32 {
        drop(self.netlab.stdin.take());
        self.stdout.read_to_end(&mut Vec::new()).expect("netlab's stdout");
        self.netlab.wait().expect("netlab ends").code().expect("not by a signal")
    }
}

#[test]
fn packets_fare_as_the_model_says() {
    let record = std::env::temp_dir().join(format!("netlab-{}.jsonl", std::process::id()));
    let file = record.to_str().expect("a name in UTF-8");
    let options = "--delay 20 --loss 10 --up-loss 0 --seed 9 --record";
    let options = [options.split(' ').collect(), vec![file]].concat();
    let lab = Lab::start(&options, "echo ready; cat");

    // Nothing else is sent from the host yet, so it is known which are lost.
    let path = Path { loss: Loss::Random(0.1), ..Path::IDEAL };
    let mut model = Link::new(&[Phase::ever(path)], Limit::Bytes(0), Overflow::Tail, 9);
    (0..200u32).for_each(|number| model.handle_datagram(Time::ZERO, 32, number));
    let arrived = std::iter::from_fn(|| model.poll_arrival(Time::ZERO));
    let arrived: Vec<u32> = arrived.map(|(_, number)| number).collect();
    let lost = 200 - arrived.len() as u64;
    assert!(lost > 10, "a loss that shows");

    let host = lab.at("host", || UdpSocket::bind(HOST).expect("its address"));
    let viewer = lab.at("viewer", || UdpSocket::bind(VIEWER).expect("its address"));
    let sent = Instant::now();
    for number in 0..200u32 {
        host.send_to(&number.to_be_bytes(), VIEWER).expect("sent");
    }
    let receive = || {
        let mut number = [0; 4];
        viewer.recv(&mut number).expect("received");
        u32::from_be_bytes(number)
    };
    let first = receive();
    assert!(sent.elapsed() >= Duration::from_millis(20));
    let numbers: Vec<u32> =
        std::iter::once(first).chain((1..arrived.len()).map(|_| receive())).collect();
    assert_eq!(numbers, arrived);

    // TCP makes up for losses, and a handshake is a round trip.
    let listener = lab.at("host", || TcpListener::bind(HOST).expect("its address"));
    let began = Instant::now();
    let mut stream = lab.at("viewer", || TcpStream::connect(HOST).expect("connected"));
    assert!(began.elapsed() >= Duration::from_millis(40));
    let text = vec![b'x'; 20_000];
    let (mut accepted, _) = listener.accept().expect("accepted");
    accepted.write_all(&text).expect("written");
    drop(accepted);
    let mut read = Vec::new();
    stream.read_to_end(&mut read).expect("read");
    assert_eq!(read, text);

    assert_eq!(lab.end(), 0);
    let lines = std::fs::read_to_string(&record).expect("the record");
    std::fs::remove_file(&record).expect("the record");
    let lines: Vec<Value> =
        lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(lines[0]["down"][0]["loss"], 0.1);
    let last = lines.last().expect("a last line");
    let count = |way: &str, what: &str| last[way][what]["packets"].as_u64().expect("a number");
    assert!(count("down", "lost") >= lost);
    assert!(count("down", "offered") >= count("down", "lost") + count("down", "arrived"));
    assert_eq!((count("up", "lost"), count("down", "dropped")), (0, 0));
}

#[test]
fn a_signal_ends_all_that_a_lab_runs() {
    let command = "ip netns exec host setsid sleep 1000 & sleep 1000 & trap '' TERM; echo ready; sleep 1000; sleep 1000";
    let mut lab = Lab::start(&["--link", "home"], command);
    // Whoever keeps stdin open does not keep the lab.
    let stdin = lab.netlab.stdin.take();
    kill_process(Pid::from_child(&lab.netlab), Signal::TERM).expect("it runs");
    assert_eq!(lab.end(), 128 + 15);
    drop(stdin);
}

#[test]
fn two_labs_have_nothing_to_do_with_each_other() {
    let labs = [(); 2].map(|()| Lab::start(&["--link", "ideal"], "echo ready; cat"));
    let bind = |lab: &Lab| lab.at("host", || UdpSocket::bind(HOST).expect("its address"));
    let hosts = labs.each_ref().map(bind);
    let viewers = labs
        .each_ref()
        .map(|lab| lab.at("viewer", || UdpSocket::bind(VIEWER).expect("its address")));
    for (number, host) in hosts.iter().enumerate() {
        host.send_to(&[number as u8], VIEWER).expect("sent");
    }
    let mut seen = BTreeSet::new();
    for viewer in &viewers {
        let mut byte = [0];
        viewer.recv(&mut byte).expect("received");
        seen.insert(byte[0]);
    }
    assert_eq!(seen, BTreeSet::from([0, 1]));
    assert_eq!(labs.map(Lab::end), [0, 0]);
}

#[test]
fn the_command_decides_the_status_and_bad_options_are_refused() {
    let netlab = |options: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_farpane-netlab"))
            .args(options)
            .output()
            .expect("netlab starts")
    };
    assert_eq!(netlab(&["--at", "viewer", "--", "sh", "-c", "exit 7"]).status.code(), Some(7));
    let unknown = netlab(&["--link", "moon", "--", "true"]);
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("--list"));
    assert_eq!(unknown.status.code(), Some(1));
    assert_eq!(netlab(&["--rate", "0", "--", "true"]).status.code(), Some(2));
}
