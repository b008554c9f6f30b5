//! The command line. Its names are an interface: programs start farpane with them.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};
use farpane_bench::Coder;
use farpane_bench::scene::Scene;
use farpane_host::Source;
use farpane_media::{Bitrate, Chroma, Codec, Size, VideoFormat};
use url::Url;

use crate::values;

#[derive(Debug, Parser)]
#[command(name = "farpane", version, about = "A remote desktop that you host yourself")]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Share this desktop with whoever holds the one-time code that is printed
    Share(ShareOptions),
    /// Send this desktop to a player or recorder by plain RTP, without a code and unencrypted; or to a WHIP server
    Stream(StreamOptions),
    /// Measure, and compare with others
    #[command(subcommand)]
    Bench(Bench),
}

#[derive(Debug, Subcommand)]
pub enum Bench {
    /// Code drawn desktops or your own recordings: cost, bitrate, and what a viewer gets to see
    Codec(CodecOptions),
    /// Run the engine from the desktop to packets, with no network: where each frame's time goes, and what that costs
    Pipeline(PipelineOptions),
}

/// Lists are separated by commas.
#[derive(Args, Debug)]
pub struct CodecOptions {
    /// What to draw [default: all, or none with --file]: clock, scroll-vertical, scroll-horizontal, moving-window,
    /// low-motion, high-motion, chaos, developer, typing, page-switch, photo, film, red-on-black
    #[arg(long, value_name = "NAMES", value_delimiter = ',', value_parser = values::scene)]
    pub scenes: Vec<Scene>,

    #[arg(long, value_name = "NAMES", value_delimiter = ',', value_parser = values::coder, help = values::coder_help())]
    pub encoders: Vec<Coder>,

    /// Bits a second that rate control aims at and the viewer's link carries
    #[arg(long, value_name = "RATES", value_delimiter = ',', value_parser = values::bitrate, default_value = "2M,8M")]
    pub bitrates: Vec<Bitrate>,

    /// 420, 444
    #[arg(long, value_name = "FORMATS", value_delimiter = ',', value_parser = values::chroma, default_value = "420")]
    pub chroma: Vec<Chroma>,

    /// Of drawn scenes and raw files, in pixels, even numbers [default: 1280x720]
    #[arg(long, value_name = "WIDTHxHEIGHT", value_parser = values::size)]
    pub size: Option<Size>,

    /// Of each scene or file, in its own time
    #[arg(long, value_name = "N", default_value = "3", value_parser = values::seconds)]
    pub seconds: f64,

    /// Threads that an encoder may use
    #[arg(long, value_name = "N", value_delimiter = ',', default_value = "1", value_parser = clap::value_parser!(u32).range(1..=64))]
    pub threads: Vec<u32>,

    /// A recording of yours: YUV4MPEG2 (.y4m), or raw BGRX with --size and --fps
    #[arg(long, value_name = "PATH", num_args = 1..)]
    pub file: Vec<PathBuf>,

    /// Pictures a second of raw files
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=240))]
    pub fps: Option<u32>,

    /// Writes all figures, every picture's among them; - is standard output, in place of the table
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,

    /// Writes a line a run
    #[arg(long, value_name = "FILE")]
    pub csv: Option<PathBuf>,

    /// Writes a page to look at, which needs nothing else
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub struct PipelineOptions {
    /// What to capture, as with share: an X11 display such as :0 [default: $DISPLAY]; a drawn scene such as
    /// synthetic:scroll,size=1920x1080,fps=60; or recorded frames, replay:FILE
    #[arg(long, value_name = "DISPLAY")]
    pub display: Option<Source>,

    /// How long; Ctrl-C ends it earlier, with a report so far
    #[arg(long, value_name = "N", default_value = "10", value_parser = values::seconds)]
    pub seconds: f64,

    /// Bits a second that rate control aims at and the link carries, at whose end packets are forgotten
    #[arg(long, value_name = "RATE", default_value = "8M", value_parser = values::bitrate)]
    pub bitrate: Bitrate,

    #[arg(long, value_name = "CODEC", default_value = "h264", value_parser = values::one_codec, help = values::one_codec_help())]
    pub codec: Codec,

    /// 420, 444
    #[arg(long, value_name = "CHROMA", default_value = "444", value_parser = values::chroma)]
    pub chroma: Chroma,

    /// Threads that the encoder may use
    #[arg(long, value_name = "N", default_value = "2", value_parser = clap::value_parser!(u32).range(1..=64))]
    pub threads: u32,

    /// Writes all figures, every frame's among them; - is standard output, in place of the table
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,

    /// Writes a time line of every frame's way through the threads, to open at https://ui.perfetto.dev
    #[arg(long, value_name = "FILE")]
    pub trace: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub struct ShareOptions {
    /// What to share: an X11 display such as :0 [default: $DISPLAY]; a drawn scene, synthetic:SCENE with SCENE one of
    /// scroll, clock, typing, window, video, corners, idle; or recorded frames, replay:FILE
    #[arg(long, value_name = "DISPLAY")]
    pub display: Option<Source>,

    /// Where the web page is served; 0.0.0.0:8080 lets other machines in [default: 127.0.0.1:8080, or the next free
    /// port]
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub listen: Option<SocketAddr>,

    /// Serve the page by https, with a certificate that is made here, unless --tls-cert names another; browsers warn of
    /// one that they do not know
    #[arg(long)]
    pub tls: bool,

    /// The page's certificate and those that vouch for it, in PEM form
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,

    /// The certificate's key, in PEM form
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,

    /// Let in whoever knows the code without asking here
    #[arg(long)]
    pub accept: bool,

    /// Show the desktop but take no mouse and keyboard
    #[arg(long)]
    pub view_only: bool,

    /// How many may view at a time, each by a code of its own. The first one controls the desktop, the others watch
    #[arg(long, value_name = "N", default_value = "1", value_parser = values::viewers)]
    pub viewers: usize,

    #[arg(long, value_name = "CODEC", default_value = "auto", value_parser = values::codec, help = values::codec_help())]
    pub codec: CodecChoice,

    /// 2 codes what moves so that slow viewers can be sent every second picture, for a tenth to two fifths more bits; with
    /// --codec av1
    #[arg(long, value_name = "N", default_value = "1", value_parser = clap::value_parser!(u8).range(1..=2))]
    pub temporal_layers: u8,

    /// How densely colour is sampled: 444 keeps coloured text sharp, 420 costs less; auto takes 444 where the browser
    /// shows it and this machine keeps up
    #[arg(long, value_name = "CHROMA", default_value = "auto")]
    pub chroma: ChromaChoice,

    /// Print one JSON object a line for programs; with questions, read y or n from standard input
    #[arg(long)]
    pub json: bool,
}

#[derive(Args, Debug)]
pub struct StreamOptions {
    /// Where the player listens; RTCP takes the next port. A multicast address reaches whoever on this network listens
    #[arg(long, value_name = "ADDRESS:PORT", value_parser = values::destination, required_unless_present = "whip")]
    pub to: Option<SocketAddr>,

    /// Where to write the description that players open
    #[arg(long, value_name = "FILE", default_value = "farpane.sdp")]
    pub sdp: PathBuf,

    /// The WHIP address of a server that passes the stream on to many viewers; in place of --to
    #[arg(long, value_name = "URL", value_parser = values::server, conflicts_with_all = ["to", "sdp", "key_frames"])]
    pub whip: Option<Url>,

    /// A file with the token that this server wants
    #[arg(long, value_name = "FILE", requires = "whip", conflicts_with = "to")]
    pub whip_token: Option<PathBuf>,

    /// What to send, as with share: an X11 display such as :0 [default: $DISPLAY]; a drawn scene such as
    /// synthetic:scroll; or recorded frames, replay:FILE
    #[arg(long, value_name = "DISPLAY")]
    pub display: Option<Source>,

    #[arg(long, value_name = "CODEC", default_value = "h264", value_parser = values::one_codec, help = values::one_codec_help())]
    pub codec: Codec,

    /// 2 codes what moves so that the server can send slow viewers every second picture, for a tenth to two fifths more
    /// bits; with --codec av1
    #[arg(long, value_name = "N", default_value = "1", requires = "whip", conflicts_with = "to", value_parser = clap::value_parser!(u8).range(1..=2))]
    pub temporal_layers: u8,

    /// 420, which every player shows, or 444
    #[arg(long, value_name = "CHROMA", default_value = "420", value_parser = values::chroma)]
    pub chroma: Chroma,

    /// Bits a second at most; fewer when a player reports losses
    #[arg(long, value_name = "RATE", default_value = "8M", value_parser = values::bitrate)]
    pub bitrate: Bitrate,

    /// Seconds between key frames, at which players begin that do not say that they are there
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    pub key_frames: u64,

    /// Print one JSON object a line for programs
    #[arg(long)]
    pub json: bool,
}

#[derive(Clone, Copy, Debug)]
pub enum CodecChoice {
    Auto,
    Only(Codec),
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum ChromaChoice {
    Auto,
    #[value(name = "420")]
    Yuv420,
    #[value(name = "444")]
    Yuv444,
}

impl Cli {
    /// # Errors
    /// Options that do not go together, beyond what their definitions say.
    pub fn check(&self) -> Result<(), clap::Error> {
        let (layers, codec) = match &self.command {
            Command::Share(options) => (options.temporal_layers, options.codec),
            Command::Stream(options) => (options.temporal_layers, CodecChoice::Only(options.codec)),
            Command::Bench(_) => return Ok(()),
        };
        let layered = matches!(codec, CodecChoice::Only(codec) if farpane_host::has_layers(codec));
        if layers == 1 || layered {
            return Ok(());
        }
        let why = if farpane_host::has_layers(Codec::Av1) {
            "--temporal-layers 2 needs --codec av1: nothing else is coded in layers"
        } else {
            "--temporal-layers 2 needs a build with libaom: no encoder of this one codes in layers"
        };
        Err(Cli::command().error(ErrorKind::ArgumentConflict, why))
    }
}

impl ShareOptions {
    /// What pictures may be coded in.
    pub fn formats(&self) -> Vec<VideoFormat> {
        let wanted = |format: &VideoFormat| {
            let codec = match self.codec {
                CodecChoice::Auto => true,
                CodecChoice::Only(codec) => format.codec == codec,
            };
            let chroma = match self.chroma {
                ChromaChoice::Auto => true,
                ChromaChoice::Yuv420 => format.chroma == Chroma::Yuv420,
                ChromaChoice::Yuv444 => format.chroma == Chroma::Yuv444,
            };
            codec && chroma
        };
        farpane_host::formats().into_iter().filter(wanted).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn unknown_options_and_displays_are_usage_errors() {
        for arguments in [
            &["farpane", "share", "--nope"][..],
            &["farpane", "share", "--display", "nowhere"],
            &["farpane"],
            &["farpane", "share", "--viewers", "0"],
            &["farpane", "share", "--viewers", "many"],
            &["farpane", "share", "--tls-cert", "a.pem"],
            &["farpane", "share", "--tls-key", "a.pem"],
            &["farpane", "share", "--temporal-layers", "2"],
            &["farpane", "share", "--temporal-layers", "2", "--codec", "h264"],
            &["farpane", "share", "--temporal-layers", "3", "--codec", "av1"],
            &[
                "farpane",
                "stream",
                "--to",
                "127.0.0.1:5004",
                "--codec",
                "av1",
                "--temporal-layers",
                "2",
            ],
            &["farpane", "stream", "--whip", "https://example.org/", "--temporal-layers", "2"],
            &["farpane", "stream"],
            &["farpane", "stream", "--to", "127.0.0.1"],
            &["farpane", "stream", "--whip", "ftp://example.org/"],
            &["farpane", "stream", "--whip", "https://example.org/", "--to", "127.0.0.1:5004"],
            &["farpane", "stream", "--to", "127.0.0.1:5004", "--whip-token", "t"],
            &["farpane", "stream", "--to", "127.0.0.1:0"],
            &["farpane", "stream", "--to", "127.0.0.1:65535"],
            &["farpane", "stream", "--to", "127.0.0.1:5004", "--key-frames", "0"],
            &["farpane", "bench"],
            &["farpane", "bench", "codec", "--scenes", "snow"],
            &["farpane", "bench", "codec", "--encoders", "divx"],
            &["farpane", "bench", "codec", "--bitrates", "fast"],
            &["farpane", "bench", "codec", "--chroma", "422"],
            &["farpane", "bench", "codec", "--size", "641x480"],
            &["farpane", "bench", "codec", "--seconds", "0"],
            &["farpane", "bench", "codec", "--threads", "0"],
            &["farpane", "bench", "pipeline", "--display", "synthetic:snow"],
            &["farpane", "bench", "pipeline", "--codec", "vp9"],
            &["farpane", "bench", "pipeline", "--chroma", "422"],
            &["farpane", "bench", "pipeline", "--bitrate", "fast"],
            &["farpane", "bench", "pipeline", "--seconds", "0"],
            &["farpane", "bench", "pipeline", "--threads", "0"],
        ] {
            let refused = Cli::try_parse_from(arguments).and_then(|cli| cli.check());
            assert_eq!(refused.unwrap_err().exit_code(), 2, "{arguments:?}");
        }
    }

    #[test]
    fn only_codecs_of_this_build_are_offered_and_taken() {
        let has_av1 = farpane_host::formats().iter().any(|format| format.codec == Codec::Av1);
        let parsed = Cli::try_parse_from(["farpane", "share", "--codec", "av1"]);
        assert_eq!(parsed.is_ok(), has_av1);
        if let Err(refused) = parsed {
            assert_eq!(refused.exit_code(), 2);
            assert!(refused.to_string().contains("no encoder for AV1"), "{refused}");
        }
        let mut cli = Cli::command();
        let share = cli.find_subcommand_mut("share").expect("it exists");
        let promised = share.render_long_help().to_string().contains("and AV1 elsewhere");
        assert_eq!(promised, has_av1);
    }

    #[test]
    fn the_documented_options_are_taken() {
        let line = "farpane share --display synthetic:scroll --listen 127.0.0.1:0 --accept --view-only --codec h264 \
                    --chroma 420 --json --tls --tls-cert a.pem --tls-key b.pem --viewers 3";
        assert!(Cli::try_parse_from(line.split_whitespace()).is_ok());
        let line = "farpane stream --to [::1]:5004 --sdp a.sdp --display synthetic:scroll --codec h264 --chroma 444 \
                    --bitrate 4M --key-frames 2 --json";
        assert!(Cli::try_parse_from(line.split_whitespace()).is_ok());
        let line = "farpane stream --whip https://example.org/whip/room --whip-token file --bitrate 4M --codec h264";
        assert!(Cli::try_parse_from(line.split_whitespace()).is_ok());
        let line = "farpane bench codec --scenes clock,film --encoders h264,x264 --bitrates 2M,800k --chroma 420,444 \
                    --size 1920x1080 --seconds 1.5 --threads 1,2 --file a.y4m b.bgrx --fps 30 --json - --csv c --html h";
        assert!(Cli::try_parse_from(line.split_whitespace()).is_ok());
        let line = "farpane bench pipeline --display synthetic:scroll,size=640x480 --seconds 2 --bitrate 2.5M \
                    --codec h264 --chroma 420 --threads 1 --json - --trace t.json";
        assert!(Cli::try_parse_from(line.split_whitespace()).is_ok());
    }
}
