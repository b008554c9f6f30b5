//! The command line. Its names are an interface: programs start farpane with them.

use std::net::SocketAddr;

use clap::{Args, Parser, Subcommand, ValueEnum};
use farpane_host::{Chroma, Codec, Source, VideoFormat};

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

    /// Let in whoever knows the code without asking here
    #[arg(long)]
    pub accept: bool,

    /// Show the desktop but take no mouse and keyboard
    #[arg(long)]
    pub view_only: bool,

    /// How the picture is coded; auto takes H.264 where the browser shows it, which costs least here, and AV1 elsewhere
    #[arg(long, value_name = "CODEC", default_value = "auto")]
    pub codec: CodecChoice,

    /// How densely colour is sampled: 444 keeps coloured text sharp, 420 costs less; auto takes 444 where the browser
    /// shows it and this machine keeps up
    #[arg(long, value_name = "CHROMA", default_value = "auto")]
    pub chroma: ChromaChoice,

    /// Print one JSON object a line for programs; with questions, read y or n from standard input
    #[arg(long)]
    pub json: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum CodecChoice {
    Auto,
    Av1,
    H264,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum ChromaChoice {
    Auto,
    #[value(name = "420")]
    Yuv420,
    #[value(name = "444")]
    Yuv444,
}

impl ShareOptions {
    /// What pictures may be coded in.
    pub fn formats(&self) -> Vec<VideoFormat> {
        let wanted = |format: &VideoFormat| {
            let codec = match self.codec {
                CodecChoice::Auto => true,
                CodecChoice::Av1 => format.codec == Codec::Av1,
                CodecChoice::H264 => format.codec == Codec::H264,
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
    use clap::CommandFactory;

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
        ] {
            assert_eq!(Cli::try_parse_from(arguments).unwrap_err().exit_code(), 2, "{arguments:?}");
        }
    }

    #[test]
    fn the_documented_options_are_taken() {
        let line = "farpane share --display synthetic:scroll --listen 127.0.0.1:0 --accept --view-only --codec av1 \
                    --chroma 420 --json";
        assert!(Cli::try_parse_from(line.split(' ')).is_ok());
    }
}
