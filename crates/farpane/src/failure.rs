//! Why sharing could not begin or had to end: a stable name for programs, and what to do about it for people.

use std::net::SocketAddr;

use farpane_host::{OpenError, ShareError};
use farpane_server::BindError;

/// What is told before exiting with status 1.
pub struct Failure {
    /// Stable.
    pub code: &'static str,
    pub message: String,
    pub hint: String,
}

impl From<BindError> for Failure {
    fn from(error: BindError) -> Failure {
        let (code, hint) = match &error {
            BindError::Busy { addr, next: Some(port) } => {
                ("port_busy", format!("try --listen {}", SocketAddr::new(addr.ip(), *port)))
            }
            BindError::Busy { .. } => ("port_busy", "choose another port with --listen".to_owned()),
            BindError::Privileged { addr } => (
                "port_privileged",
                format!("choose a port from 1024 up, as in --listen {}:8080", addr.ip()),
            ),
            BindError::NotHere { .. } => {
                ("no_such_address", "0.0.0.0 listens on every address of this machine".to_owned())
            }
            BindError::Io { source, .. } => ("listen_failed", source.to_string()),
        };
        Failure { code, message: error.to_string(), hint }
    }
}

impl From<ShareError> for Failure {
    fn from(error: ShareError) -> Failure {
        let code = match &error {
            ShareError::Desktop(OpenError::NoDisplay) => "no_display",
            ShareError::Desktop(OpenError::CannotOpen { .. }) => "cannot_open_display",
            ShareError::Desktop(OpenError::Unsupported { .. }) => "unsupported_display",
            ShareError::Desktop(OpenError::Replay { .. }) => "cannot_replay",
            ShareError::Desktop(OpenError::System(_)) | ShareError::Code(_) => "system",
            ShareError::Locked => "locked",
            ShareError::DesktopLost(_) => "display_lost",
        };
        let hint = match &error {
            ShareError::Locked => {
                "somebody may be guessing; give the new code only to the person you mean"
            }
            ShareError::DesktopLost(_) => "start sharing again once the desktop is back",
            ShareError::Desktop(_) => {
                "without a desktop, --display synthetic:scroll shows a drawn one"
            }
            ShareError::Code(_) => "free some memory and try again",
        };
        Failure { code, message: error.to_string(), hint: hint.to_owned() }
    }
}
