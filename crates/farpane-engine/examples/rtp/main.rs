//! Sends a video file as RTP over UDP, in the file's own time, and prints the SDP that players want.
//!
//!     cargo run -p farpane-engine --example rtp -- film.y4m > film.sdp
//!     ffplay -protocol_whitelist file,udp,rtp film.sdp
//!     gst-launch-1.0 filesrc location=film.sdp ! sdpdemux ! decodebin ! videoconvert ! autovideosink

mod stream;

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, ValueEnum, value_parser};
use farpane_bench::Material;
use farpane_bench::file::Format;
use farpane_codec::{AccessUnit, EncoderConfig, Output, Picture, Request};
use farpane_media::{Bitrate, Chroma, Codec, Time};

use farpane_proto::sdp::Description;
use stream::Stream;

/// Sends a video file as RTP over UDP and prints the SDP that players want.
#[derive(Parser)]
struct Options {
    /// A YUV4MPEG2 file of 8 bits, 4:2:0 or 4:4:4.
    file: PathBuf,
    /// Where to send; RTCP goes to the next port.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:5004", value_parser = destination)]
    to: SocketAddr,
    #[arg(long, value_enum, default_value = "h264")]
    codec: CodecName,
    /// Kilobits a second.
    #[arg(long, value_name = "RATE", default_value_t = 8_000, value_parser = value_parser!(u64).range(10..=1_000_000))]
    kbps: u64,
    /// Seconds between key frames. RTP alone has no way back, so players that start late or lose packets wait for one.
    #[arg(long, value_name = "SECONDS", default_value_t = 2, value_parser = value_parser!(u64).range(1..=3_600))]
    key_frames: u64,
}

#[derive(Clone, Copy, ValueEnum)]
enum CodecName {
    H264,
    Av1,
}

fn destination(text: &str) -> Result<SocketAddr, String> {
    let to: Option<SocketAddr> = text.parse().ok();
    to.filter(|to| to.port() > 0 && to.port() < u16::MAX).ok_or_else(|| {
        "write it as 127.0.0.1:5004 or [::1]:5004, with ports up to 65534".to_owned()
    })
}

fn main() -> ExitCode {
    let options = Options::parse();
    match send(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("rtp: {}: {why}", options.file.display());
            ExitCode::FAILURE
        }
    }
}

fn send(options: &Options) -> Result<(), Box<dyn Error>> {
    let material =
        Material::File { path: options.file.clone(), format: Format::y4m(&options.file)? };
    let codec = match options.codec {
        CodecName::H264 => Codec::H264,
        CodecName::Av1 => Codec::Av1,
    };
    let bitrate = Bitrate::kbps(options.kbps);
    let mut encoder = farpane_codec::open(
        codec,
        &EncoderConfig {
            size: material.size(),
            chroma: Chroma::Yuv420,
            bitrate,
            max_fps: material.fps().ceil() as u32,
            threads: 2,
            keeps: false,
            layered: false,
        },
    )?;
    let mut pictures = material.open()?;
    let mut stream: Option<Stream> = None;
    let mut key_frame_at = Time::ZERO;
    for step in 0.. {
        let Some(frame) = pictures.advance()? else { break };
        // Rate control follows the file, so what is sent does not depend on the machine's speed.
        let (now, next) = (material.time(step), material.time(step + 1));
        encoder.update(Picture { frame, damage: &frame.damage })?;
        let request =
            Request { key_frame: key_frame_at <= now, bitrate, now, ..Request::default() };
        let Output::AccessUnit(unit) = encoder.encode(&request)? else { continue };
        if unit.key_frame {
            key_frame_at = now + Duration::from_secs(options.key_frames);
        }
        let stream = match &mut stream {
            Some(stream) => stream,
            // The first key frame holds what the description has to say.
            none => none.insert(introduce(options, codec, &unit)?),
        };
        stream.send(codec, &unit, now, next)?;
    }
    stream.map_or(Ok(()), |stream| Ok(stream.close()?))
}

/// Prints the description and waits until whoever reads it is ready.
fn introduce(
    options: &Options,
    codec: Codec,
    unit: &AccessUnit<'_>,
) -> Result<Stream, Box<dyn Error>> {
    let stream = Stream::open(options.to)?;
    let description = Description {
        id: stream.ssrc(),
        name: &options.file.file_name().unwrap_or_default().to_string_lossy(),
        from: stream.from()?,
        to: options.to,
        bitrate: Bitrate::kbps(options.kbps),
        codec,
        listens: false,
    };
    let units = unit.units.iter().map(|range| &unit.data[range.clone()]);
    print!("{}", description.write(units));
    eprintln!("Start the player, then press Enter.");
    io::stdin().read_line(&mut String::new())?;
    Ok(stream.start())
}
