//! The input thread: the viewer's hands on the desktop.
//!
//! It has a thread of its own because a busy X server may take its time, which must delay neither media nor feedback.
//! Nothing stays pressed when the viewer falls silent: while anything is held, the viewer's heartbeat must keep coming.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use farpane_desktop::{Button, CaptureHandle, Input, InputError};

/// Events that may wait for a slow desktop; a person makes a few hundred a second at most.
const DEPTH: usize = 1024;

/// The viewer pings once a second; after three missed ones everything is released.
const SILENCE: Duration = Duration::from_millis(3_500);

/// One act of the viewer. Places are fractions of the picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Act {
    Key {
        usage: u16,
        down: bool,
    },
    Move {
        x: f64,
        y: f64,
    },
    Button {
        button: Button,
        down: bool,
    },
    Wheel {
        dx: f32,
        dy: f32,
    },
    ReleaseAll,
    /// The viewer's heartbeat.
    Alive,
}

/// Where the net thread puts acts. Never blocks.
pub(crate) struct Acts {
    acts: SyncSender<Act>,
    overflow: Arc<AtomicBool>,
}

pub(crate) struct Inbox {
    acts: Receiver<Act>,
    overflow: Arc<AtomicBool>,
}

pub(crate) fn channel() -> (Acts, Inbox) {
    let (sender, acts) = sync_channel(DEPTH);
    let overflow = Arc::new(AtomicBool::new(false));
    (Acts { acts: sender, overflow: overflow.clone() }, Inbox { acts, overflow })
}

impl Acts {
    /// Passes an act on. When the desktop is too far behind it is dropped, and since a release may be among the dropped,
    /// everything is released once the desktop catches up.
    pub fn put(&self, act: Act) {
        if let Err(TrySendError::Full(_)) = self.acts.try_send(act) {
            self.overflow.store(true, Ordering::Release);
        }
    }
}

/// Runs until the net thread drops its [`Acts`].
#[expect(clippy::disallowed_methods, reason = "no frame comes this way")]
pub(crate) fn run(mut hands: Box<dyn Input>, inbox: Inbox, capture: CaptureHandle) {
    let mut holding = false;
    loop {
        let act = if holding {
            inbox.acts.recv_timeout(SILENCE)
        } else {
            inbox.acts.recv().map_err(|_| RecvTimeoutError::Disconnected)
        };
        let act = match act {
            Ok(act) => act,
            Err(RecvTimeoutError::Timeout) => Act::ReleaseAll,
            Err(RecvTimeoutError::Disconnected) => break,
        };
        if act == Act::Alive {
            continue;
        }
        // Whatever the application draws in answer shall not wait for the frame pacing.
        capture.hurry();
        let mut done = perform(&mut *hands, act, &mut holding);
        while let Ok(act) = inbox.acts.try_recv() {
            done = done.and_then(|()| perform(&mut *hands, act, &mut holding));
        }
        if inbox.overflow.swap(false, Ordering::AcqRel) {
            tracing::warn!(
                "the desktop fell behind the viewer's input; releasing all keys and buttons"
            );
            hands.release_all();
            holding = false;
        }
        if let Err(InputError::Lost(why)) = done.and_then(|()| hands.flush()) {
            // The capture thread meets the same end and reports it.
            tracing::debug!(%why, "input is gone");
            return;
        }
    }
    hands.release_all();
}

/// Performs one act; an unknown key or a desktop without input is not an error worth ending for.
fn perform(hands: &mut dyn Input, act: Act, holding: &mut bool) -> Result<(), InputError> {
    let done = match act {
        Act::Key { usage, down } => {
            *holding |= down;
            hands.key(usage, down)
        }
        Act::Move { x, y } => hands.pointer(x, y),
        Act::Button { button, down } => {
            *holding |= down;
            hands.button(button, down)
        }
        Act::Wheel { dx, dy } => hands.wheel(dx, dy),
        Act::ReleaseAll => {
            hands.release_all();
            *holding = false;
            Ok(())
        }
        Act::Alive => Ok(()),
    };
    match done {
        Err(lost @ InputError::Lost(_)) => Err(lost),
        Err(ignored) => {
            tracing::debug!(%ignored, "input not performed");
            Ok(())
        }
        Ok(()) => Ok(()),
    }
}
