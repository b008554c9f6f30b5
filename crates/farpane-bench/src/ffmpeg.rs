//! Encoders and decoders of other projects, by way of the `ffmpeg` program where it is installed: never linked, so their
//! licences and builds stay their own.
//!
//! They get the same planes as our encoders do, over a pipe, one picture a tick whether it changed or not, as programs
//! that share screens through ffmpeg feed them. What each picture costs comes from ffmpeg's own `-benchmark_all`.

use std::ffi::{OsStr, OsString};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread::JoinHandle;
use std::time::Duration;

use farpane_media::Size;
use farpane_pixel::{Chroma, Plane, Planes, convert};

use crate::coded::{Coded, CodedPicture, Cost, Task};
use crate::file::FileError;
use crate::link::Link;
use crate::view::Decode;

/// An encoder that ffmpeg may bring.
#[derive(Clone, Copy, Debug)]
pub struct Peer {
    /// What it is called here.
    pub name: &'static str,
    /// What ffmpeg calls it.
    library: &'static str,
    takes_444: bool,
    /// Codes on threads of its own after the call that takes the picture: what a picture costs is then the mean of the
    /// run's CPU, the pipe included.
    behind: bool,
    stream: Stream,
    /// Its settings for real time, bitrate and threads apart.
    settings: &'static [&'static str],
}

/// How coded pictures are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stream {
    /// H.264 with access unit delimiters.
    AnnexB,
    Ivf,
}

/// Each as its project recommends for interactive use, with content settings for screens where there are any.
pub const PEERS: [Peer; 4] = [
    Peer {
        name: "x264",
        library: "libx264",
        takes_444: true,
        behind: false,
        stream: Stream::AnnexB,
        settings: &[
            "-preset",
            "veryfast",
            "-tune",
            "zerolatency",
            "-x264-params",
            "aud=1:scenecut=0:keyint=infinite",
        ],
    },
    Peer {
        name: "vp9",
        library: "libvpx-vp9",
        takes_444: true,
        behind: false,
        stream: Stream::Ivf,
        settings: &[
            "-deadline",
            "realtime",
            "-cpu-used",
            "8",
            "-lag-in-frames",
            "0",
            "-row-mt",
            "1",
            "-tune-content",
            "screen",
            "-aq-mode",
            "3",
            "-auto-alt-ref",
            "0",
        ],
    },
    Peer {
        name: "svt-av1",
        library: "libsvtav1",
        takes_444: false,
        behind: true,
        stream: Stream::Ivf,
        settings: &["-preset", "12", "-svtav1-params", "pred-struct=1:rc=2:scm=1:lookahead=0"],
    },
    Peer {
        name: "aom",
        library: "libaom-av1",
        takes_444: true,
        behind: false,
        stream: Stream::Ivf,
        settings: &[
            "-usage",
            "realtime",
            "-lag-in-frames",
            "0",
            "-row-mt",
            "1",
            "-aq-mode",
            "3",
            "-aom-params",
            "cpu-used=10:tune-content=screen:enable-palette=1:enable-order-hint=0:enable-obmc=0:\
             enable-warped-motion=0:enable-global-motion=0:enable-cdef=1",
        ],
    },
];

impl Peer {
    pub fn named(name: &str) -> Option<Peer> {
        PEERS.into_iter().find(|peer| peer.name == name)
    }
}

#[derive(Debug, thiserror::Error)]
pub enum FfmpegError {
    #[error("{program} cannot be started: {why}", program = .program.display())]
    Start { program: OsString, why: io::Error },
    #[error("{peer} has no {chroma}")]
    Chroma { peer: &'static str, chroma: Chroma },
    #[error("ffmpeg broke off: {0}")]
    Failed(String),
    #[error("{given} pictures went in and {coded} came out")]
    Dropped { given: usize, coded: usize },
    #[error(transparent)]
    File(#[from] FileError),
    #[error("the pipe to ffmpeg broke: {0}")]
    Pipe(#[from] io::Error),
}

/// The program, and what it brings.
#[derive(Clone, Debug)]
pub struct Ffmpeg {
    program: OsString,
    /// As it says itself.
    pub version: String,
    encoders: String,
}

impl Ffmpeg {
    /// Asks `program`, a path or a name to be searched for as commands are, what it brings.
    ///
    /// # Errors
    /// [`FfmpegError::Start`] when there is no such program.
    pub fn find(program: &OsStr) -> Result<Ffmpeg, FfmpegError> {
        let ask = |option: &str| -> Result<String, FfmpegError> {
            let output = Command::new(program).args(["-hide_banner", option]).output();
            let output =
                output.map_err(|why| FfmpegError::Start { program: program.to_owned(), why })?;
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        };
        let version = ask("-version")?.lines().next().unwrap_or_default().to_owned();
        let version = version.split(" Copyright").next().unwrap_or_default().to_owned();
        Ok(Ffmpeg { program: program.to_owned(), version, encoders: ask("-encoders")? })
    }

    pub fn has(&self, peer: &Peer) -> bool {
        self.encoders.split_whitespace().any(|word| word == peer.library)
    }

    fn command(&self, arguments: &[String]) -> Result<Child, FfmpegError> {
        Command::new(&self.program)
            .args(["-hide_banner", "-nostats", "-nostdin"])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|why| FfmpegError::Start { program: self.program.clone(), why })
    }

    /// Codes the task's material, every tick of it.
    pub(crate) fn encode(&self, peer: &Peer, task: &Task<'_>) -> Result<Coded, FfmpegError> {
        if task.chroma == Chroma::Yuv444 && !peer.takes_444 {
            return Err(FfmpegError::Chroma { peer: peer.name, chroma: task.chroma });
        }
        let settings = settings(peer, task);
        let mut child = self.command(&arguments(peer, task, &settings))?;
        let mut stdout = child.stdout.take().expect("a pipe was asked for");
        let reader = std::thread::spawn(move || {
            let mut stream = Vec::new();
            stdout.read_to_end(&mut stream).map(|_| stream)
        });
        let log = read_log(&mut child);
        let mut stdin = child.stdin.take().expect("a pipe was asked for");
        let fed = feed(task, &mut stdin);
        drop(stdin);
        let stream = reader.join().expect("reading does not panic")?;
        let log = log.join().expect("reading does not panic");
        let status = child.wait()?;
        if !status.success() {
            return Err(FfmpegError::Failed(log.last_words()));
        }
        let given = fed?;
        let units = match peer.stream {
            Stream::AnnexB => access_units(&stream),
            Stream::Ivf => ivf_frames(&stream),
        };
        if units.len() != given {
            return Err(FfmpegError::Dropped { given, coded: units.len() });
        }
        let mean = log.total / given.max(1) as u32;
        let cost = |step: u32| match peer.behind {
            true => Cost { wall: mean, cpu: mean },
            false => log.costs.get(step as usize).copied().unwrap_or_default(),
        };
        let mut link = Link::new(task.bitrate);
        let pictures = (0..).zip(units).map(|(step, bytes)| {
            let now = task.material.time(step);
            CodedPicture {
                step,
                captured: now,
                now,
                // Key frames were asked for at the start alone.
                key_frame: step == 0,
                cost: cost(step),
                arrived: link.send(now, bytes.len()),
                bytes,
            }
        });
        let pictures = pictures.collect();
        let mut settings = settings.join(" ");
        if peer.behind {
            settings.push_str(
                " (codes on threads of its own: a picture's cost is the mean CPU of the run)",
            );
        }
        Ok(Coded { pictures, settings, stream, held: 0 })
    }

    /// A decoder of a whole stream that was made by `peer`.
    pub(crate) fn decoder(
        &self,
        stream: &[u8],
        kind: Stream,
        size: Size,
        chroma: Chroma,
    ) -> Result<FfmpegDecoder, FfmpegError> {
        let format = match kind {
            Stream::AnnexB => "h264",
            Stream::Ivf => "ivf",
        };
        let arguments = [
            "-loglevel",
            "error",
            "-f",
            format,
            "-i",
            "pipe:0",
            "-vsync",
            "passthrough",
            "-f",
            "rawvideo",
            "-pix_fmt",
            pixel_format(chroma),
            "pipe:1",
        ];
        let mut child = self.command(&arguments.map(str::to_owned))?;
        let mut stdin = child.stdin.take().expect("a pipe was asked for");
        let stream = stream.to_vec();
        // A decoder that gives up closes its end; what it said is told then.
        let feeder = std::thread::spawn(move || {
            let _ = stdin.write_all(&stream);
        });
        let log = read_log(&mut child);
        let stdout = BufReader::new(child.stdout.take().expect("a pipe was asked for"));
        let planes = Planes::new(size, chroma);
        Ok(FfmpegDecoder { child, stdout, planes, feeder: Some(feeder), log: Some(log) })
    }
}

impl Peer {
    pub(crate) fn stream(&self) -> Stream {
        self.stream
    }
}

fn pixel_format(chroma: Chroma) -> &'static str {
    match chroma {
        Chroma::Yuv420 => "yuv420p",
        Chroma::Yuv444 => "yuv444p",
    }
}

/// What makes the encoder what it is, as a person would type it.
fn settings(peer: &Peer, task: &Task<'_>) -> Vec<String> {
    let rate = task.bitrate.as_bps();
    let mut settings = vec!["-c:v".to_owned(), peer.library.to_owned()];
    settings.extend(peer.settings.iter().map(|word| (*word).to_owned()));
    let mut add = |option: &str, value: String| settings.extend([option.to_owned(), value]);
    add("-b:v", rate.to_string());
    if peer.library == "libsvtav1" {
        // Has no other limits in this mode; threads are a parameter of its own.
        let last = settings.iter_mut().find(|word| word.starts_with("pred-struct"));
        last.expect("stands above").push_str(&format!(":lp={}", task.threads));
        return settings;
    }
    add("-maxrate", rate.to_string());
    if peer.library != "libx264" {
        add("-minrate", rate.to_string());
        add("-tile-columns", task.threads.ilog2().to_string());
    }
    // What the link carries in 200 ms.
    add("-bufsize", (rate / 5).to_string());
    add("-threads", task.threads.to_string());
    settings
}

fn arguments(peer: &Peer, task: &Task<'_>, settings: &[String]) -> Vec<String> {
    let material = task.material;
    let input = [
        "-loglevel",
        "info",
        "-benchmark",
        "-benchmark_all",
        "-f",
        "rawvideo",
        "-pix_fmt",
        pixel_format(task.chroma),
        "-s",
    ];
    let colours = [
        "-i",
        "pipe:0",
        "-g",
        "1000000",
        "-color_range",
        "tv",
        "-colorspace",
        "bt709",
        "-color_primaries",
        "bt709",
        "-color_trc",
        "bt709",
    ];
    let output = match peer.stream {
        Stream::AnnexB => ["-f", "h264", "pipe:1"],
        Stream::Ivf => ["-f", "ivf", "pipe:1"],
    };
    let mut arguments: Vec<String> = input.map(str::to_owned).to_vec();
    arguments.extend([material.size().to_string(), "-r".into(), material.fps().to_string()]);
    arguments.extend(colours.map(str::to_owned));
    arguments.extend(settings.iter().cloned());
    arguments.extend(output.map(str::to_owned));
    arguments
}

/// Writes every picture's planes; returns how many there were.
fn feed(task: &Task<'_>, to: &mut impl Write) -> Result<usize, FfmpegError> {
    let mut pictures = task.material.open()?;
    let mut planes = Planes::new(task.material.size(), task.chroma);
    for step in 0..task.steps {
        let Some(frame) = pictures.advance()? else { return Ok(step as usize) };
        convert::update(&mut planes, frame, &frame.damage);
        for plane in [&planes.y, &planes.u, &planes.v] {
            for y in 0..plane.size.height as usize {
                to.write_all(plane.row(y))?;
            }
        }
    }
    Ok(task.steps as usize)
}

/// What ffmpeg said on stderr.
#[derive(Default)]
struct Log {
    /// Of each picture in turn.
    costs: Vec<Cost>,
    /// CPU of the whole run.
    total: Duration,
    lines: Vec<String>,
}

impl Log {
    /// The last line that is no measurement.
    fn last_words(&self) -> String {
        self.lines.last().cloned().unwrap_or_else(|| "it did not say why".to_owned())
    }
}

fn read_log(child: &mut Child) -> JoinHandle<Log> {
    let stderr = child.stderr.take().expect("a pipe was asked for");
    std::thread::spawn(move || {
        let mut log = Log::default();
        let mut pending = None;
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            match measured(&line) {
                // One picture is offered to the encoder in several calls; the next one's decoding ends it.
                Some(("encode_video", cost)) => {
                    let sum: &mut Cost = pending.get_or_insert_default();
                    sum.wall += cost.wall;
                    sum.cpu += cost.cpu;
                }
                Some(_) => log.costs.extend(pending.take()),
                None => match total(&line) {
                    Some(total) => log.total = total,
                    None => log.lines.push(line),
                },
            }
        }
        log.costs.extend(pending);
        log
    })
}

/// A line of `-benchmark_all`, `bench:  583 user  201 sys  790 real encode_video 0.0`, in microseconds.
fn measured(line: &str) -> Option<(&str, Cost)> {
    let words: Vec<&str> = line.split("bench:").nth(1)?.split_whitespace().collect();
    let [user, "user", system, "sys", real, "real", task, ..] = words[..] else { return None };
    let micros = |word: &str| word.parse().ok().map(Duration::from_micros);
    let cpu = micros(user)? + micros(system)?;
    Some((task, Cost { wall: micros(real)?, cpu }))
}

/// The last line of `-benchmark`, `bench: utime=1.204s stime=0.080s rtime=1.310s`: user and system time together.
fn total(line: &str) -> Option<Duration> {
    let rest = line.split("bench: utime=").nth(1)?;
    let (user, rest) = rest.split_once("s stime=")?;
    let (system, _) = rest.split_once('s')?;
    let seconds = user.parse::<f64>().ok()? + system.parse::<f64>().ok()?;
    Duration::try_from_secs_f64(seconds).ok()
}

/// H.264 cut before each access unit delimiter (NAL unit type 9).
fn access_units(stream: &[u8]) -> Vec<std::ops::Range<usize>> {
    let delimiter = |at: &usize| matches!(stream[*at..], [0, 0, 0, 1, head, ..] if head & 31 == 9);
    let starts: Vec<usize> = (0..stream.len()).filter(delimiter).collect();
    let ends = starts.iter().skip(1).copied().chain([stream.len()]);
    starts.iter().copied().zip(ends).map(|(start, end)| start..end).collect()
}

/// The frames of an IVF file; what is cut off at its end is left out.
fn ivf_frames(stream: &[u8]) -> Vec<std::ops::Range<usize>> {
    const HEADER: usize = 32;
    const FRAME_HEADER: usize = 12;
    let mut frames = Vec::new();
    let mut at = HEADER;
    while let Some(length) = stream.get(at..).and_then(|rest| rest.first_chunk()) {
        let start = at + FRAME_HEADER;
        at = start.saturating_add(u32::from_le_bytes(*length) as usize);
        if at > stream.len() {
            break;
        }
        frames.push(start..at);
    }
    frames
}

/// Decodes in step with its caller, from a stream that it was given whole.
pub(crate) struct FfmpegDecoder {
    child: Child,
    stdout: BufReader<ChildStdout>,
    planes: Planes,
    feeder: Option<JoinHandle<()>>,
    log: Option<JoinHandle<Log>>,
}

impl FfmpegDecoder {
    fn read(&mut self) -> io::Result<()> {
        let Planes { y, u, v, .. } = &mut self.planes;
        for plane in [y, u, v] {
            let Plane { data, stride, size, .. } = plane;
            for row in data.chunks_mut(*stride).take(size.height as usize) {
                self.stdout.read_exact(&mut row[..size.width as usize])?;
            }
        }
        Ok(())
    }
}

impl Decode for FfmpegDecoder {
    fn decode(&mut self, _: &[u8]) -> Result<&Planes, String> {
        match self.read() {
            Ok(()) => Ok(&self.planes),
            Err(why) => {
                let log = self.log.take().and_then(|log| log.join().ok());
                Err(log.map_or_else(|| why.to_string(), |log| log.last_words()))
            }
        }
    }
}

impl Drop for FfmpegDecoder {
    fn drop(&mut self) {
        // It may still have pictures to write that nobody wants; killing it ends the feeding thread too.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(feeder) = self.feeder.take() {
            let _ = feeder.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn measurements_are_read_wherever_they_stand_in_a_line() {
        let line = "frame=    1 fps=0.0 speed=N/A    bench:      468 user      234 sys      702 real encode_video 0.0 ";
        let cost = Cost { wall: Duration::from_micros(702), cpu: Duration::from_micros(702) };
        assert_eq!(measured(line), Some(("encode_video", cost)));
        let line = "bench: utime=1.204s stime=0.080s rtime=1.310s";
        assert_eq!((measured(line), total(line)), (None, Some(Duration::from_millis(1_284))));
        assert_eq!(total("bench: utime=-s"), None);
        assert_eq!(measured("Stream #0:0: Video"), None);
        assert_eq!(measured("bench: some user"), None);
    }

    #[test]
    fn streams_are_cut_into_pictures() {
        let stream = [0, 0, 0, 1, 9, 0xf0, 0, 0, 0, 1, 0x65, 7, 0, 0, 0, 1, 9, 0xf0, 0, 0, 1, 0x41];
        assert_eq!(access_units(&stream), [0..12, 12..22]);
        let mut ivf = vec![0; 32];
        for length in [3u32, 0, 5] {
            ivf.extend(length.to_le_bytes());
            ivf.extend(vec![0; 8 + length as usize]);
        }
        assert_eq!(ivf_frames(&ivf), [44..47, 59..59, 71..76]);
        assert_eq!(ivf_frames(&ivf[..75]), [44..47, 59..59]);
        assert!(ivf_frames(&[]).is_empty());
    }
}
