//! Where to capture, as a person writes it after `--display`.

use std::path::PathBuf;
use std::str::FromStr;

use farpane_media::Clock;

use crate::{Desktop, replay, synthetic};

/// Where to capture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// An X11 display such as `:0`; `None` for the one in `$DISPLAY`.
    X11(Option<String>),
    /// `synthetic:SCENE[,seed=N][,size=WxH][,fps=N]`
    Synthetic(synthetic::Options),
    /// `replay:FILE`
    Replay(PathBuf),
}

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ParseSourceError(pub(crate) String);

impl FromStr for Source {
    type Err = ParseSourceError;

    fn from_str(text: &str) -> Result<Source, ParseSourceError> {
        Err(ParseSourceError(text.into()))
    }
}

#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("no display to share: DISPLAY is not set")]
    NoDisplay,
    #[error("cannot open display {display}: {why}")]
    CannotOpen { display: String, why: String },
    #[error("display {display} cannot be shared: {what}")]
    Unsupported { display: String, what: String },
    #[error("cannot replay {}: {why}", path.display())]
    Replay { path: PathBuf, why: replay::ReplayError },
}

impl Source {
    pub fn open(&self, _clock: Clock) -> Result<Desktop, OpenError> {
        Err(OpenError::NoDisplay)
    }
}
