//! A viewer on a network that loses packets: puts units together, decodes them, and asks for key frames as browsers do.

use std::collections::HashSet;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use farpane_codec::decode::{self, DecodeError, Decoder};
use farpane_codec::{Chroma, Codec};
use farpane_media::{Bitrate, Size, VideoFormat};
use farpane_pixel::{Plane, Planes};
use farpane_proto::depacketize::{Depacketizer, Event as Assembled};
use farpane_proto::rtp::Header;
use farpane_proto::{Layer, PacketMeta};
use farpane_testkit::Random;
use farpane_transport::memory::{Far, Sent};
use farpane_transport::{Channel, Event, PathState, PathStats};
use farpane_wire::Message as _;
use farpane_wire::v1::{ControlMessage, StatsMessage, Visibility, control_message};

use crate::Error;

/// One packet in so many begins a gap of up to [`LONGEST_GAP`].
const LOSS: u32 = 40;
const LONGEST_GAP: u32 = 4;
/// How long a live session may take to answer anything, on the busiest machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// A new key frame is asked for after so many units, where each look decodes all since the last one.
const LONGEST_RUN: u32 = 2_000;

/// What has arrived since the start.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    pub bytes: u64,
    pub pictures: u64,
    pub key_frames: u64,
    /// Pictures that went on from an earlier one than the last.
    pub recoveries: u64,
    pub lost_packets: u64,
    /// Pictures that others do without, and that were left out.
    pub spared: u64,
}

pub struct Viewer {
    far: Far,
    random: Random,
    /// Whether the network loses packets now, and how many more of the current gap.
    pub lossy: bool,
    gap: u32,
    /// Somebody on the way leaves out the picture of the upper layer that is coming.
    spared: bool,
    sequence: u16,
    stream: Option<Stream>,
    /// What has been decoded since the last key frame, by [`PacketMeta::number`].
    decoded: HashSet<u32>,
    /// Something is missing: nothing can be shown before a picture that builds on what is decoded.
    broken: bool,
    /// The host hears which pictures have arrived, so that the next may build on one of those.
    tells: bool,
    /// Of the coarsest part of the picture, as the host says.
    pub quantizer: u32,
    pub counts: Counts,
}

impl Viewer {
    /// Connects as a viewer that shows `formats`.
    pub fn connect(far: Far, formats: Vec<VideoFormat>, seed: u64) -> Viewer {
        far.connect_showing(formats, Bitrate::mbps(8));
        Viewer {
            far,
            random: Random::new(seed),
            lossy: false,
            gap: 0,
            spared: false,
            sequence: 0,
            stream: None,
            decoded: HashSet::new(),
            broken: true,
            tells: false,
            quantizer: 0,
            counts: Counts::default(),
        }
    }

    /// The path turns out to carry this much, and to hold `queued` bytes back.
    pub fn set_path(&self, estimate: Bitrate, queued: usize) {
        let up = PathState::Up;
        let path = PathStats { state: up, estimate, queued_bytes: queued, ..PathStats::default() };
        self.far.set_path(path);
        self.far.emit(Event::Estimate(estimate));
    }

    /// The page goes into the background or comes back.
    pub fn set_hidden(&self, hidden: bool) {
        let body = Some(control_message::Body::Visibility(Visibility { hidden }));
        let message = ControlMessage { body }.encode_to_vec();
        self.far.emit(Event::Data(Channel::Control, message));
    }

    /// Whether what arrives is told from now on, as by Chromium, or not, as by Firefox.
    pub fn set_tells(&mut self, tells: bool) {
        if self.tells != tells {
            self.tells = tells;
            self.far.emit(Event::References(tells));
        }
    }

    /// Looks for `span`, and until nothing more is waiting.
    pub fn watch(&mut self, span: Duration) -> Result<(), Error> {
        let until = Instant::now() + span;
        loop {
            match self.far.recv(until.saturating_duration_since(Instant::now())) {
                Some(sent) => _ = self.handle(sent)?,
                None => return Ok(()),
            }
        }
    }

    /// Looks until no picture with anything new has come for `silence`. Then wonders, as browsers do, whether there
    /// still is a stream, and returns once that is answered by nothing new: whatever was under way has arrived.
    pub fn watch_until_silent(&mut self, silence: Duration) -> Result<(), Error> {
        loop {
            while self.sees_news(silence)? {}
            self.far.emit(Event::FrameRequest);
            if self.sees_answer()?.keep_alive {
                return Ok(());
            }
        }
    }

    /// The end of the next picture.
    fn sees_answer(&mut self) -> Result<PacketMeta, Error> {
        let until = Instant::now() + PATIENCE;
        while let Some(sent) = self.far.recv(until.saturating_duration_since(Instant::now())) {
            if let Some(meta) = self.handle(sent)?.filter(|meta| meta.marker) {
                return Ok(meta);
            }
        }
        Err("the stream is dead: a frame was asked for in vain".into())
    }

    /// Whether a picture with something new comes within `silence`.
    fn sees_news(&mut self, silence: Duration) -> Result<bool, Error> {
        let until = Instant::now() + silence;
        while let Some(sent) = self.far.recv(until.saturating_duration_since(Instant::now())) {
            if self.handle(sent)?.is_some_and(|meta| !meta.keep_alive) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// What is shown now, and what it should be; `None` while something is missing.
    pub fn picture(&self) -> Result<Option<(Planes, VideoFormat)>, Error> {
        match &self.stream {
            Some(Stream { decoder, format, .. }) if !self.broken => {
                Ok(Some((decoder.picture()?, *format)))
            }
            _ => Ok(None),
        }
    }

    fn handle(&mut self, sent: Sent) -> Result<Option<PacketMeta>, Error> {
        match sent {
            Sent::Video { payload, meta } => {
                self.packet(&payload, &meta)?;
                Ok(Some(meta))
            }
            Sent::Message(Channel::Control, bytes) => {
                match ControlMessage::decode(bytes.as_slice())?.body {
                    Some(control_message::Body::Ended(ended)) => {
                        Err(format!("the session ended: {:?}, {}", ended.reason(), ended.detail))?
                    }
                    _ => Ok(None),
                }
            }
            Sent::Message(Channel::Stats, bytes) => {
                let stats = StatsMessage::decode(bytes.as_slice())?;
                self.quantizer = stats.frames.last().map_or(self.quantizer, |f| f.quantizer);
                Ok(None)
            }
            Sent::Closed => Err("the session ended without a word".into()),
            _ => Ok(None),
        }
    }

    fn packet(&mut self, payload: &[u8], meta: &PacketMeta) -> Result<(), Error> {
        if meta.layer == Layer::Upper {
            if meta.first_of_frame {
                self.spared = self.random.one_in(2);
            }
            if self.spared {
                self.counts.spared += u64::from(meta.first_of_frame);
                return Ok(());
            }
        }
        self.sequence = self.sequence.wrapping_add(1);
        self.counts.bytes += payload.len() as u64;
        if self.gap == 0 && self.lossy && self.random.one_in(LOSS) {
            self.gap = self.random.between(1, LONGEST_GAP);
        }
        if self.gap > 0 {
            self.gap -= 1;
            self.counts.lost_packets += 1;
            self.broken = true;
            return Ok(());
        }
        if self.stream.as_ref().is_none_or(|stream| stream.format != meta.format) {
            self.stream = Some(Stream::new(meta.format)?);
            self.decoded.clear();
            self.broken = true;
        }
        let stream = self.stream.as_mut().expect("made above");
        let header = Header {
            marker: meta.marker,
            payload_type: 96,
            sequence: self.sequence,
            time: meta.rtp_time,
            ssrc: 1,
        };
        let (counts, broken, decoded) = (&mut self.counts, &mut self.broken, &mut self.decoded);
        stream.depacketizer.handle_packet(&header, payload)?;
        // Nothing comes late here.
        if stream.depacketizer.is_waiting() {
            stream.depacketizer.give_up();
        }
        while let Some(event) = stream.depacketizer.poll_event() {
            let Assembled::Unit(unit) = event else {
                *broken = true;
                continue;
            };
            // A unit comes out with its last packet.
            if self.tells {
                self.far.emit(Event::Arrived(meta.number));
            }
            if unit.key_frame {
                decoded.clear();
            }
            let can_go_on = meta.reference.is_none_or(|number| decoded.contains(&number));
            *broken &= !(meta.starts_anew && can_go_on);
            if !*broken {
                decoded.insert(meta.number);
                counts.pictures += 1;
                counts.key_frames += u64::from(unit.key_frame);
                counts.recoveries += u64::from(meta.starts_anew && !unit.key_frame);
                stream.decoder.take(unit.data, unit.key_frame)?;
            }
        }
        if self.broken || stream.decoder.is_long() {
            // The host thins these out.
            self.far.emit(Event::KeyFrameRequest);
        }
        Ok(())
    }
}

/// What comes in one format.
struct Stream {
    format: VideoFormat,
    depacketizer: Depacketizer,
    decoder: Shown,
}

impl Stream {
    fn new(format: VideoFormat) -> Result<Stream, Error> {
        let depacketizer = Depacketizer::new(format.codec);
        let decoder = match (format.codec, format.chroma) {
            (Codec::H264, Chroma::Yuv444) => Shown::Later { stream: Vec::new(), units: 0 },
            (codec, _) => Shown::Now { decoder: decode::open(codec)?, picture: None },
        };
        Ok(Stream { format, depacketizer, decoder })
    }
}

/// The newest picture of a stream.
enum Shown {
    /// Each unit is decoded as it comes.
    Now { decoder: Box<dyn Decoder>, picture: Option<Planes> },
    /// H.264 of 4:4:4, which no library here decodes: FFmpeg, Chromium's decoder, is given all since the last key frame
    /// when somebody looks.
    Later { stream: Vec<u8>, units: u32 },
}

impl Shown {
    fn take(&mut self, unit: &[u8], key_frame: bool) -> Result<(), Error> {
        match self {
            Shown::Now { decoder, picture } => {
                let seen = decoder.decode(unit).map_err(|why: DecodeError| {
                    format!("nothing was lost, and yet a unit cannot be decoded: {why}")
                })?;
                if let Some(seen) = seen {
                    *picture = Some(seen.clone());
                }
            }
            Shown::Later { stream, units } => {
                if key_frame {
                    stream.clear();
                    *units = 0;
                }
                stream.extend(unit);
                *units += 1;
            }
        }
        Ok(())
    }

    fn is_long(&self) -> bool {
        matches!(self, Shown::Later { units, .. } if *units > LONGEST_RUN)
    }

    fn picture(&self) -> Result<Planes, Error> {
        match self {
            Shown::Now { picture, .. } => picture.clone().ok_or("no picture".into()),
            Shown::Later { stream, .. } => last_picture(stream),
        }
    }
}

/// The last picture of an Annex B stream of pictures of one size, by FFmpeg.
fn last_picture(stream: &[u8]) -> Result<Planes, Error> {
    let mut ffmpeg = Command::new("ffmpeg")
        .args(["-v", "error", "-threads", "1", "-flags", "output_corrupt", "-f", "h264"])
        .args(["-i", "pipe:0", "-fps_mode", "passthrough", "-f", "yuv4mpegpipe", "pipe:1"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|why| format!("ffmpeg does not start ({why}): apt-get install ffmpeg"))?;
    let (mut input, output) = (ffmpeg.stdin.take(), ffmpeg.stdout.take().expect("it is piped"));
    let last = std::thread::scope(|scope| {
        // Dropped afterwards, so that the stream ends. Should ffmpeg end before that, it says why.
        scope.spawn(move || _ = input.take().map(|mut input| input.write_all(stream)));
        y4m(std::io::BufReader::new(output))
    });
    let ended = ffmpeg.wait_with_output()?;
    if !ended.stderr.is_empty() {
        let said = String::from_utf8_lossy(&ended.stderr);
        return Err(format!("nothing was lost, and yet ffmpeg finds: {said}").into());
    }
    last
}

/// The last picture of a YUV4MPEG2 stream.
fn y4m(mut stream: impl std::io::BufRead) -> Result<Planes, Error> {
    let mut header = String::new();
    stream.read_line(&mut header)?;
    let field = |name: char| header.split_whitespace().find_map(|word| word.strip_prefix(name));
    let side = |name| -> Result<u32, Error> { Ok(field(name).ok_or("no picture")?.parse()?) };
    let size = Size::new(side('W')?, side('H')?);
    let is_full = field('C').is_some_and(|sampling| sampling.starts_with("444"));
    let chroma = if is_full { Chroma::Yuv444 } else { Chroma::Yuv420 };
    let mut planes = Planes::new(size, chroma);
    let mut line = String::new();
    loop {
        line.clear();
        if stream.read_line(&mut line)? == 0 {
            return Ok(planes);
        }
        for plane in [&mut planes.y, &mut planes.u, &mut planes.v] {
            let Plane { data, stride, size, .. } = plane;
            for row in data.chunks_mut(*stride).take(size.height as usize) {
                stream.read_exact(&mut row[..size.width as usize])?;
            }
        }
    }
}
