//! Values on the command line: how they are written, and what is said about those that are not.

use std::net::SocketAddr;

use farpane_bench::Coder;
use farpane_bench::scene::{SCENES, SIDES, Scene};
use farpane_media::{Bitrate, Chroma, Codec, Size};
use url::Url;

use crate::cli::CodecChoice;

pub fn scene(text: &str) -> Result<Scene, String> {
    Scene::named(text).ok_or_else(|| {
        let names: Vec<&str> = SCENES.iter().map(|scene| scene.name).collect();
        format!("there are {}", names.join(", "))
    })
}

pub fn coder(text: &str) -> Result<Coder, String> {
    Coder::named(text).ok_or_else(|| {
        let names: Vec<&str> = Coder::all().map(|coder| coder.name()).collect();
        format!("there are {}", names.join(", "))
    })
}

pub fn coder_help() -> String {
    let (own, peers): (Vec<Coder>, _) =
        Coder::all().partition(|coder| matches!(coder, Coder::Own(_)));
    let names = |coders: &[Coder]| coders.iter().map(Coder::name).collect::<Vec<_>>().join(", ");
    format!(
        "What to measure, the first being what others are compared with. Farpane's: {}; from ffmpeg, if that is \
         installed: {} [default: h264, and x264 if it is there]",
        names(&own),
        names(&peers)
    )
}

pub fn codec(text: &str) -> Result<CodecChoice, String> {
    match text {
        "auto" => Ok(CodecChoice::Auto),
        _ => one_codec(text).map(CodecChoice::Only).map_err(|why| format!("{why}, or auto")),
    }
}

pub fn codec_help() -> &'static str {
    if has_av1() {
        "How the picture is coded: auto, av1 or h264; auto takes H.264 where the browser shows it, which costs least \
         here, and AV1 elsewhere"
    } else {
        "How the picture is coded: auto or h264, which is all that this build has"
    }
}

fn has_av1() -> bool {
    farpane_host::formats().iter().any(|format| format.codec == Codec::Av1)
}

/// `800k`, `2M`, `2.5M` or plain bits a second.
pub fn bitrate(text: &str) -> Result<Bitrate, String> {
    let (number, unit) = match text.strip_suffix(['k', 'M']) {
        Some(number) if text.ends_with('k') => (number, 1e3),
        Some(number) => (number, 1e6),
        None => (text, 1.0),
    };
    let bits = number.parse::<f64>().ok().map(|number| number * unit);
    bits.filter(|bits| (1e4..=1e9).contains(bits))
        .map(|bits| Bitrate::bps(bits as u64))
        .ok_or_else(|| "write it as 800k or 2.5M, from 10k to 1000M".to_owned())
}

/// What speaks HTTP.
pub fn server(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    url.filter(Url::has_host).ok_or_else(|| "write it as https://example.org/whip/room".to_owned())
}

/// With room for RTCP at the next port.
pub fn destination(text: &str) -> Result<SocketAddr, String> {
    let to = text.parse().ok().filter(|to: &SocketAddr| (1..u16::MAX).contains(&to.port()));
    to.ok_or_else(|| {
        "write it as 192.0.2.7:5004 or [2001:db8::7]:5004, with a port up to 65534".to_owned()
    })
}

pub fn one_codec_help() -> &'static str {
    if has_av1() { "h264, av1" } else { "h264, which is all that this build has" }
}

/// One that is to be used whatever else there is.
pub fn one_codec(text: &str) -> Result<Codec, String> {
    match text {
        "h264" => Ok(Codec::H264),
        "av1" if has_av1() => Ok(Codec::Av1),
        "av1" => {
            Err("this build has no encoder for AV1: build it with the feature libaom or rav1e, or \
                      take h264"
                .to_owned())
        }
        _ if has_av1() => Err("there are h264 and av1".to_owned()),
        _ => Err("there is h264".to_owned()),
    }
}

pub fn chroma(text: &str) -> Result<Chroma, String> {
    match text {
        "420" => Ok(Chroma::Yuv420),
        "444" => Ok(Chroma::Yuv444),
        _ => Err("there are 420 and 444".to_owned()),
    }
}

pub fn size(text: &str) -> Result<Size, String> {
    let side = |text: &str| {
        text.parse().ok().filter(|side: &u32| SIDES.contains(side) && side.is_multiple_of(2))
    };
    let sides = text.split_once('x').and_then(|(w, h)| Some(Size::new(side(w)?, side(h)?)));
    sides.ok_or_else(|| {
        format!("write it as 1920x1080, even numbers from {} to {}", SIDES.start(), SIDES.end())
    })
}

pub fn seconds(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|seconds| (0.1..=3_600.0).contains(seconds))
        .ok_or_else(|| "a number from 0.1 to 3600".to_owned())
}

/// Each costs a thread and some sockets; many more are a WHIP server's work.
pub fn viewers(text: &str) -> Result<usize, String> {
    text.parse()
        .ok()
        .filter(|viewers| (1..=200).contains(viewers))
        .ok_or_else(|| "a number from 1 to 200; `farpane stream --whip` reaches more".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bitrates_as_people_write_them() {
        let kbps = |text| bitrate(text).map(|rate| rate.as_bps() / 1_000);
        assert_eq!(kbps("2M"), Ok(2_000));
        assert_eq!(kbps("2.5M"), Ok(2_500));
        assert_eq!(kbps("800k"), Ok(800));
        assert_eq!(kbps("64000"), Ok(64));
        for wrong in ["", "M", "2G", "-1M", "1", "nan", "9999M"] {
            assert!(bitrate(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn sizes_are_even() {
        assert_eq!(size("1920x1080"), Ok(Size::new(1920, 1080)));
        for wrong in ["1920", "1920x1081", "1920X1080", "16x16", "99999x1080", "x"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }
}
