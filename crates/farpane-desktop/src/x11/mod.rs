//! The X11 backend: what the server offers, and a capturer and an input with a connection each.
//!
//! XDAMAGE says what changed, MIT-SHM hands the pixels over, XFIXES tells the cursor, XInput 2 that the pointer moved,
//! XTEST takes input. Each of them may be missing; the desktop is then shared with less, and a note says what is lost.
//! The root window is captured, so several monitors are one picture. Its changes of size come as core
//! `ConfigureNotify` events, which the server sends for every RandR change.

mod capture;
mod cursor;
mod damage;
mod input;
mod pace;
mod plan;
mod reader;
mod segment;

use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use farpane_media::{Clock, Size};
use x11rb::connection::{Connection, RequestConnection};
use x11rb::errors::{
    ConnectError, ConnectionError, DisplayParsingError, ReplyError, ReplyOrIdError,
};
use x11rb::protocol::xproto::{ImageOrder, Screen, Setup};
use x11rb::protocol::{damage as x_damage, shm, xfixes, xinput, xtest};
use x11rb::rust_connection::RustConnection;

use crate::{Desktop, MOST_PIXELS, NoInput, OpenError};

/// The size of the picture, known to both halves. Torn reads during a resize only misplace one pointer event.
#[derive(Default)]
struct SharedSize {
    width: AtomicU32,
    height: AtomicU32,
}

impl SharedSize {
    fn set(&self, size: Size) {
        self.width.store(size.width, Ordering::Relaxed);
        self.height.store(size.height, Ordering::Relaxed);
    }

    fn get(&self) -> Size {
        Size::new(self.width.load(Ordering::Relaxed), self.height.load(Ordering::Relaxed))
    }
}

pub(crate) fn open(display: Option<&str>, clock: Clock) -> Result<Desktop, OpenError> {
    let name = display.unwrap_or("$DISPLAY");
    let connect = || RustConnection::connect(display).map_err(|why| refused(name, why));
    let (conn, screen) = connect()?;
    check_format(name, conn.setup(), &conn.setup().roots[screen])?;
    let mut notes = Vec::new();
    let mut has = |extension: &'static str, lost: &str| -> Result<bool, OpenError> {
        let is_here =
            conn.extension_information(extension).map_err(|why| gone(name, &why))?.is_some();
        if !is_here {
            notes.push(format!("The X server has no {extension} extension: {lost}."));
        }
        Ok(is_here)
    };
    let has_xfixes = has(
        xfixes::X11_EXTENSION_NAME,
        "the cursor's shape is not shown, and whole pictures are compared 15 times a second, which is slow",
    )?;
    let offers = capture::Offers {
        xfixes: has_xfixes,
        // Damage regions are read as XFIXES regions.
        damage: has_xfixes
            && has(
                x_damage::X11_EXTENSION_NAME,
                "whole pictures are compared 15 times a second, which is slower and costs more",
            )?,
        shm: has(
            shm::X11_EXTENSION_NAME,
            "pictures are sent through the connection, which is slower",
        )?,
        xinput: has(
            xinput::X11_EXTENSION_NAME,
            "the cursor's place is only told when its shape changes, not while it is moved here",
        )?,
    };
    let has_xtest = has(xtest::X11_EXTENSION_NAME, "the desktop can be seen but not controlled")?;
    let size = Arc::new(SharedSize::default());
    let input: Box<dyn crate::Input> = if has_xtest {
        let (conn, screen) = connect()?;
        Box::new(input::X11Input::new(conn, screen, size.clone()))
    } else {
        Box::new(NoInput("the X server has no XTEST extension"))
    };
    let capturer = capture::X11Capturer::new(conn, screen, &offers, size, clock, &mut notes)
        .map_err(|why| OpenError::Unsupported { display: name.into(), what: why.to_string() })?;
    Ok(Desktop { capturer: Box::new(capturer), input, notes })
}

/// Frames are BGRX in memory; anything else is refused rather than shown in wrong colours.
fn check_format(name: &str, setup: &Setup, screen: &Screen) -> Result<(), OpenError> {
    let refuse = |what: String| Err(OpenError::Unsupported { display: name.into(), what });
    let depth = screen.root_depth;
    let bits = setup
        .pixmap_formats
        .iter()
        .find(|format| format.depth == depth)
        .map_or(0, |f| f.bits_per_pixel);
    if !matches!(depth, 24 | 32) || bits != 32 {
        return refuse(format!(
            "its screen has {depth} bits of colour in {bits} bits a pixel, and only 24 in 32 is supported; start the \
             X server with a depth of 24"
        ));
    }
    let visuals = screen.allowed_depths.iter().flat_map(|depth| &depth.visuals);
    let masks = visuals
        .filter(|visual| visual.visual_id == screen.root_visual)
        .map(|visual| (visual.red_mask, visual.green_mask, visual.blue_mask))
        .next();
    if masks != Some((0xff_0000, 0xff00, 0xff)) || setup.image_byte_order != ImageOrder::LSB_FIRST {
        return refuse(
            "its pixels are not blue, green, red in that order of bytes; start the X server with a 24-bit TrueColor \
             visual on a little-endian machine"
                .into(),
        );
    }
    Ok(())
}

fn gone(name: &str, why: &ConnectionError) -> OpenError {
    OpenError::CannotOpen {
        display: name.into(),
        why: why.to_string(),
        hint: "The X server went away; start it and try again",
    }
}

/// Says why no connection came about, and what to do.
fn refused(name: &str, why: ConnectError) -> OpenError {
    let hint = match &why {
        ConnectError::DisplayParsingError(DisplayParsingError::DisplayNotSet) => {
            return OpenError::NoDisplay;
        }
        ConnectError::DisplayParsingError(_) => {
            "A display is written as :NUMBER or HOST:NUMBER, such as :0"
        }
        ConnectError::InvalidScreen => {
            "The display has no such screen: leave out what follows the dot"
        }
        ConnectError::SetupFailed(_) | ConnectError::SetupAuthenticate(_) => {
            "The X server does not let this user in: run this as the user who owns the desktop, or point XAUTHORITY to \
             that session's cookie file (xauth info shows it)"
        }
        ConnectError::IoError(e) if e.kind() == ErrorKind::PermissionDenied => {
            "This user may not use the X server's socket: run this as the user who owns the desktop"
        }
        _ => {
            "No X server answers there: ls /tmp/.X11-unix shows the displays of this machine (X0 is :0)"
        }
    };
    OpenError::CannotOpen { display: name.into(), why: why.to_string(), hint }
}

fn check_size(size: Size) -> Result<(), Failure> {
    if size.pixels() <= MOST_PIXELS { Ok(()) } else { Err(Failure::TooLarge { size }) }
}

/// Why a request failed: the server is gone, or it answered with an error.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(
        "its screen is {size}, and pictures of up to {MOST_PIXELS} pixels are shared: lower its resolution"
    )]
    TooLarge { size: Size },
    #[error("the X server closed the connection ({0})")]
    Lost(#[from] ConnectionError),
    #[error("the X server answered with {0}")]
    Refused(String),
    #[error("the system refuses a resource: {0}")]
    System(#[from] std::io::Error),
}

impl From<ReplyError> for Failure {
    fn from(error: ReplyError) -> Failure {
        match error {
            ReplyError::ConnectionError(why) => Failure::Lost(why),
            ReplyError::X11Error(why) => Failure::Refused(format!("{:?}", why.error_kind)),
        }
    }
}

impl From<ReplyOrIdError> for Failure {
    fn from(error: ReplyOrIdError) -> Failure {
        match error {
            ReplyOrIdError::ConnectionError(why) => Failure::Lost(why),
            ReplyOrIdError::X11Error(why) => Failure::Refused(format!("{:?}", why.error_kind)),
            ReplyOrIdError::IdsExhausted => Failure::Refused("no identifiers left".into()),
        }
    }
}

impl From<rustix::io::Errno> for Failure {
    fn from(error: rustix::io::Errno) -> Failure {
        Failure::System(error.into())
    }
}
