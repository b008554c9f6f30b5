//! The command line. Its names are an interface: programs start farpane with them.

use std::net::SocketAddr;

use clap::{Args, Parser, Subcommand};
use farpane_host::Source;

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

    /// Print one JSON object a line for programs; with questions, read y or n from standard input
    #[arg(long)]
    pub json: bool,
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
        let line = "farpane share --display synthetic:scroll --listen 127.0.0.1:0 --accept --view-only --json";
        assert!(Cli::try_parse_from(line.split(' ')).is_ok());
    }
}
