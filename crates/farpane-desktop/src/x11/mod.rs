//! The X11 backend.

use farpane_media::Clock;

use crate::{Desktop, OpenError};

pub(crate) fn open(_display: Option<&str>, _clock: Clock) -> Result<Desktop, OpenError> {
    Err(OpenError::NoDisplay)
}
