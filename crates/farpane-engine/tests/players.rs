//! What `examples/rtp` sends, as other people's programs see it: GStreamer follows the description and decodes H.264.
//! As Debian's takes no AV1 out of RTP, our depacketizer does that and ffmpeg decodes.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use farpane_bench::psnr;
use farpane_proto::depacketize::av1::{Depacketizer, Event};
use farpane_proto::rtp::Packet;

/// Nothing here takes longer, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

const WIDTH: usize = 320;
const HEIGHT: usize = 240;
const LUMA: usize = WIDTH * HEIGHT;
const PICTURE: usize = LUMA * 3 / 2;
const FPS: usize = 30;
/// Pictures in motion, then some in which little changes.
const MOVING: usize = 45;
const PICTURES: usize = 75;

/// The picture's number is written on it, in blocks of this side, one a bit.
const BLOCK: usize = 16;
const BITS: usize = 8;

/// A picture in planes of 4:2:0.
fn picture(number: usize) -> Vec<u8> {
    let shift = number.min(MOVING) as f64;
    let wave = |x: usize, y: usize, length: f64, height: f64| {
        let (x, y) = (x as f64 + 3.0 * shift, y as f64 + 2.0 * shift);
        (128.0 + height * (x / length).sin() * (y / length).cos()) as u8
    };
    let samples = |width, height, length, swing| {
        (0..height).flat_map(move |y| (0..width).map(move |x| wave(x, y, length, swing)))
    };
    let mut planes: Vec<u8> = samples(WIDTH, HEIGHT, 9.0, 50.0).collect();
    for (y, row) in planes.chunks_mut(WIDTH).take(BLOCK).enumerate() {
        for bit in 0..BITS {
            let value = if number >> bit & 1 == 1 { 220 } else { 30 };
            row[bit * BLOCK..][..BLOCK].fill(value + (y & 1) as u8);
        }
    }
    planes.extend(samples(WIDTH / 2, HEIGHT / 2, 31.0, 20.0));
    planes.extend(samples(WIDTH / 2, HEIGHT / 2, 23.0, 20.0));
    planes
}

fn number(planes: &[u8]) -> usize {
    let row = &planes[BLOCK / 2 * WIDTH..][..BITS * BLOCK];
    let lit = |bit: usize| row[bit * BLOCK + BLOCK / 2] > 128;
    (0..BITS).filter(|bit| lit(*bit)).map(|bit| 1 << bit).sum()
}

/// Of luma and of both chroma planes.
fn qualities(a: &[u8], b: &[u8]) -> [f64; 2] {
    let quality = |a: &[u8], b: &[u8]| {
        let squares = a.iter().zip(b).map(|(a, b)| f64::from(a.abs_diff(*b)).powi(2));
        psnr(squares.sum::<f64>() / a.len() as f64)
    };
    [quality(&a[..LUMA], &b[..LUMA]), quality(&a[LUMA..], &b[LUMA..])]
}

/// A folder that goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("farpane-rtp-{}-{count}", std::process::id()));
        fs::create_dir(&path).unwrap();
        Folder(path)
    }

    fn film(&self) -> PathBuf {
        let path = self.0.join("film.y4m");
        let mut file = format!("YUV4MPEG2 W{WIDTH} H{HEIGHT} F{FPS}:1 Ip C420\n").into_bytes();
        for number in 0..PICTURES {
            file.extend(b"FRAME\n");
            file.extend(picture(number));
        }
        fs::write(&path, file).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A program whose lines can be waited for; it does not outlive the test.
struct Program {
    child: Child,
    lines: Receiver<String>,
    seen: Vec<String>,
}

impl Program {
    fn start(command: &mut Command) -> Program {
        let name = command.get_program().to_string_lossy().into_owned();
        let started = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = started.unwrap_or_else(|why| panic!("{name}: {why}"));
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (told, lines) = channel();
        thread::spawn(move || {
            stdout.lines().map_while(Result::ok).try_for_each(|line| told.send(line))
        });
        Program { child, lines, seen: Vec::new() }
    }

    /// Reads on to a line with `text` in it.
    fn says(&mut self, text: &str) {
        while !self.seen.last().is_some_and(|line| line.contains(text)) {
            let line = self.lines.recv_timeout(PATIENCE);
            self.seen.push(line.unwrap_or_else(|_| panic!("no {text:?} in {:#?}", self.seen)));
        }
    }

    /// Waits for the end, which has to be a good one.
    fn ends(mut self) {
        while let Ok(line) = self.lines.recv_timeout(PATIENCE) {
            self.seen.push(line);
        }
        // What has closed its output is about to end or hangs.
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}: {:#?}", self.seen);
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The example at work, and what it sends. A thread takes that off the sockets, which hold little.
struct Sender {
    program: Program,
    sdp: String,
    port: u16,
    packets: Receiver<Vec<u8>>,
    reports: UdpSocket,
}

impl Sender {
    fn start(film: &Path, options: &[&str]) -> Sender {
        let mut example = std::env::current_exe().unwrap();
        example.pop();
        example.pop();
        example.push("examples/rtp");
        assert!(example.exists(), "first run: cargo build -p farpane-engine --example rtp");
        let (rtp, reports) = ports();
        let port = rtp.local_addr().unwrap().port();
        let mut command = Command::new(example);
        command.arg(film).args(["--kbps", "1000", "--to", &format!("127.0.0.1:{port}")]);
        let mut program = Program::start(command.args(options));
        program.says("a=fmtp:96");
        let sdp = program.seen.iter().map(|line| format!("{line}\r\n")).collect();
        Sender { program, sdp, port, packets: packets(rtp), reports }
    }

    fn go(&mut self) {
        self.program.child.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
    }

    /// The packets of the next picture.
    fn picture(&self) -> Vec<Vec<u8>> {
        let mut picture = Vec::new();
        loop {
            let packet = self.packets.recv_timeout(PATIENCE).expect("another picture");
            let last = Packet::parse(&packet).unwrap().header.marker;
            picture.push(packet);
            if last {
                return picture;
            }
        }
    }

    /// Waits for the end of the program; what it has told by RTCP until then.
    fn reports(self) -> Vec<Vec<u8>> {
        self.program.ends();
        self.reports.set_nonblocking(true).unwrap();
        let mut packet = [0; 2048];
        let reports = std::iter::from_fn(|| {
            self.reports.recv(&mut packet).ok().map(|len| packet[..len].to_vec())
        });
        reports.collect()
    }
}

/// Sockets for RTP, at an even port, and for RTCP.
fn ports() -> (UdpSocket, UdpSocket) {
    loop {
        let rtp = UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = rtp.local_addr().unwrap().port();
        if port.is_multiple_of(2)
            && let Ok(rtcp) = UdpSocket::bind(("127.0.0.1", port + 1))
        {
            return (rtp, rtcp);
        }
    }
}

fn packets(socket: UdpSocket) -> Receiver<Vec<u8>> {
    let (got, packets) = channel();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    thread::spawn(move || {
        let mut packet = [0; 2048];
        while let Ok(len) = socket.recv(&mut packet)
            && got.send(packet[..len].to_vec()).is_ok()
        {}
    });
    packets
}

/// GStreamer, decoding what the description says.
struct Player {
    program: Program,
    way: UdpSocket,
    port: u16,
    decoded: PathBuf,
    sent: usize,
}

impl Player {
    /// So many pictures are on the way to it at most, so that a busy machine loses none.
    const WINDOW: usize = 4;

    /// Returns once it listens.
    fn start(folder: &Folder, sender: &Sender) -> Player {
        let (free, _) = ports();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let media = |port: u16| format!("m=video {port} ");
        let sdp = sender.sdp.replace(&media(sender.port), &media(port));
        let (description, decoded) = (folder.0.join("film.sdp"), folder.0.join("decoded"));
        fs::write(&description, sdp).unwrap();
        let pipeline = format!(
            "filesrc location={} ! sdpdemux ! rtph264depay wait-for-keyframe=true ! h264parse \
             ! avdec_h264 max-threads=1 ! video/x-raw,format=I420 ! identity name=shown silent=false \
             ! filesink location={}",
            description.display(),
            decoded.display()
        );
        let mut command = Command::new("gst-launch-1.0");
        let mut program = Program::start(command.arg("-v").args(pipeline.split_whitespace()));
        // This property is set right after the socket is bound.
        program.says("GstUDPSrc:udpsrc0: timeout");
        let way = UdpSocket::bind("127.0.0.1:0").unwrap();
        Player { program, way, port, decoded, sent: 0 }
    }

    fn send_unseen(&self, picture: &[Vec<u8>]) {
        for packet in picture {
            self.way.send_to(packet, ("127.0.0.1", self.port)).unwrap();
        }
    }

    fn send(&mut self, picture: &[Vec<u8>]) {
        self.send_unseen(picture);
        self.sent += 1;
        if self.sent > Player::WINDOW {
            self.shows_another();
        }
    }

    fn shows_another(&mut self) {
        self.program.seen.clear();
        self.program.says("shown: last-message = chain");
    }

    /// Takes the goodbye once everything has been shown.
    fn ends(mut self, reports: &[Vec<u8>]) -> PathBuf {
        (0..self.sent.min(Player::WINDOW)).for_each(|_| self.shows_another());
        for report in reports {
            self.way.send_to(report, ("127.0.0.1", self.port + 1)).unwrap();
        }
        self.program.ends();
        self.decoded
    }
}

/// Whether a picture opens with parameter sets: RFC 6184, an aggregate with a sequence parameter set in front.
fn is_start(picture: &[Vec<u8>]) -> bool {
    let payload = Packet::parse(&picture[0]).unwrap().payload;
    payload[0] & 0x1f == 24 && payload[3] & 0x1f == 7
}

/// All of `expected` and nothing else is in the file, in order, each like its source.
fn looks_like(decoded: &Path, expected: std::ops::Range<usize>) {
    let decoded = fs::read(decoded).unwrap();
    let (pictures, []) = decoded.as_chunks::<PICTURE>() else { panic!("a cut picture") };
    let numbers: Vec<usize> = pictures.iter().map(|planes| number(planes)).collect();
    assert_eq!(numbers, expected.clone().collect::<Vec<_>>());
    for (number, planes) in expected.zip(pictures) {
        let [luma, chroma] = qualities(planes, &picture(number));
        assert!(luma > 36.0 && chroma > 40.0, "picture {number}: {luma:.1} dB, {chroma:.1} dB");
    }
}

#[test]
fn gstreamer_shows_every_picture() {
    let folder = Folder::new();
    let mut sender = Sender::start(&folder.film(), &[]);
    let mut player = Player::start(&folder, &sender);
    sender.go();
    for _ in 0..PICTURES {
        player.send(&sender.picture());
    }
    let decoded = player.ends(&sender.reports());
    looks_like(&decoded, 0..PICTURES);
}

#[test]
fn gstreamer_that_comes_late_joins_at_the_next_key_frame() {
    const LATE: usize = 5;
    let folder = Folder::new();
    let mut sender = Sender::start(&folder.film(), &["--key-frames", "1"]);
    let mut player = Player::start(&folder, &sender);
    sender.go();
    let mut joined = None;
    for number in 0..PICTURES {
        let picture = sender.picture();
        if number >= LATE && is_start(&picture) {
            joined.get_or_insert(number);
        }
        match joined {
            Some(_) => player.send(&picture),
            // Of no use, and not to be shown.
            None if number >= LATE => player.send_unseen(&picture),
            None => {}
        }
    }
    let joined = joined.expect("a key frame a second");
    assert!(joined <= FPS, "{joined}");
    let decoded = player.ends(&sender.reports());
    looks_like(&decoded, joined..PICTURES);
}

#[test]
fn ffmpeg_shows_every_picture_of_av1() {
    let folder = Folder::new();
    let mut sender = Sender::start(&folder.film(), &["--codec", "av1"]);
    assert!(sender.sdp.contains("a=rtpmap:96 AV1/90000\r\na=fmtp:96 profile=0;level-idx="));
    let stream = folder.0.join("film.obu");
    let mut file = fs::File::create(&stream).unwrap();
    let mut depacketizer = Depacketizer::default();
    sender.go();
    for packet in (0..PICTURES).flat_map(|_| sender.picture()) {
        let Packet { header, payload, .. } = Packet::parse(&packet).unwrap();
        depacketizer.handle_packet(&header, payload).unwrap();
        while let Some(event) = depacketizer.poll_event() {
            let Event::Unit(unit) = event else { panic!("a loss on the way") };
            file.write_all(&[0x12, 0]).unwrap(); // a temporal delimiter
            file.write_all(unit.data).unwrap();
        }
    }
    sender.program.ends();
    let decoded = folder.0.join("decoded");
    let ffmpeg = Command::new("ffmpeg")
        .args(["-loglevel", "error", "-f", "obu", "-i"])
        .arg(&stream)
        .args(["-fps_mode", "passthrough", "-f", "rawvideo", "-pix_fmt", "yuv420p"])
        .arg(&decoded)
        .status()
        .unwrap();
    assert!(ffmpeg.success());
    looks_like(&decoded, 0..PICTURES);
}
