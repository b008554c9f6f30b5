//! Where to capture, as a person writes it after `--display`, and why that may fail.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use farpane_media::Clock;

use crate::{Desktop, replay, synthetic};

/// Where to capture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// An X11 display such as `:0` or `host:0.0`; `None` for the one in `$DISPLAY`.
    X11(Option<String>),
    /// `synthetic:SCENE[,seed=N][,size=WxH][,fps=N]`
    Synthetic(synthetic::Options),
    /// `replay:FILE`, see [`replay`].
    Replay(PathBuf),
}

/// Says in words what is wrong with the text and what is right.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ParseSourceError(pub(crate) String);

impl FromStr for Source {
    type Err = ParseSourceError;

    fn from_str(text: &str) -> Result<Source, ParseSourceError> {
        if let Some(options) = text.strip_prefix("synthetic:") {
            return Ok(Source::Synthetic(options.parse()?));
        }
        if let Some(path) = text.strip_prefix("replay:").filter(|path| !path.is_empty()) {
            return Ok(Source::Replay(path.into()));
        }
        // HOST:DISPLAY[.SCREEN]; the host may hold colons (IPv6).
        let is_number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        let is_display =
            text.rsplit_once(':').is_some_and(|(_, display)| match display.split_once('.') {
                Some((display, screen)) => is_number(display) && is_number(screen),
                None => is_number(display),
            });
        if is_display {
            return Ok(Source::X11(Some(text.to_owned())));
        }
        Err(ParseSourceError(format!(
            "\"{text}\" names no display; give an X11 display such as :0, a scene such as synthetic:scroll, or \
             replay:FILE"
        )))
    }
}

impl fmt::Display for Source {
    /// As it is written.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::X11(display) => f.write_str(display.as_deref().unwrap_or("$DISPLAY")),
            Source::Synthetic(options) => write!(f, "synthetic:{options}"),
            Source::Replay(path) => write!(f, "replay:{}", path.display()),
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error(
        "there is no display to share: DISPLAY is not set. Start this inside the desktop session, or name the display, \
         as in --display :0"
    )]
    NoDisplay,
    /// `hint` says what to do about `why`.
    #[error("cannot open display {display}: {why}. {hint}")]
    CannotOpen { display: String, why: String, hint: &'static str },
    /// The display answers but cannot be shared as it is set up.
    #[error("display {display} cannot be shared: {what}")]
    Unsupported { display: String, what: String },
    #[error("cannot play {}: {why}", path.display())]
    Replay { path: PathBuf, why: replay::ReplayError },
    #[error("the system refuses a resource that is needed here: {0}")]
    System(#[from] std::io::Error),
}

impl Source {
    /// Opens the desktop; its frames and events are stamped by `clock`.
    pub fn open(&self, clock: Clock) -> Result<Desktop, OpenError> {
        match self {
            #[cfg(target_os = "linux")]
            Source::X11(display) => crate::x11::open(display.as_deref(), clock),
            #[cfg(not(target_os = "linux"))]
            Source::X11(display) => Err(OpenError::Unsupported {
                display: display.clone().unwrap_or_default(),
                what: "X11 desktops are shared from Linux only; try --display synthetic:scroll"
                    .into(),
            }),
            Source::Synthetic(options) => Ok(synthetic::open(options, clock)?),
            Source::Replay(path) => replay::open(path, clock)
                .map_err(|why| OpenError::Replay { path: path.clone(), why }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use farpane_media::Size;

    #[test]
    fn the_forms_people_write() {
        let x11 = |display: &str| Ok(Source::X11(Some(display.into())));
        for display in [":0", ":0.1", "host:10.0", "::1:3"] {
            assert_eq!(display.parse::<Source>(), x11(display));
        }
        assert_eq!("replay:/a b".parse::<Source>(), Ok(Source::Replay("/a b".into())));
        let options = synthetic::Options {
            scene: synthetic::Scene::Scroll,
            seed: 7,
            size: Size::new(640, 480),
            fps: 60,
        };
        let text = "synthetic:scroll,seed=7,size=640x480,fps=60";
        assert_eq!(text.parse::<Source>(), Ok(Source::Synthetic(options)));
        for text in [":0", "replay:/a b", text] {
            assert_eq!(text.parse::<Source>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, said) in [
            ("", "names no display"),
            ("0", "names no display"),
            (":x", "names no display"),
            ("replay:", "names no display"),
            ("synthetic:snow", "there are idle, clock"),
            ("synthetic:idle,fps=0", "from 1 to 240"),
            ("synthetic:idle,size=9x9", "from 64 to 8192"),
            ("synthetic:idle,size=9", "1280x720"),
            ("synthetic:idle,depth=8", "unknown scene option"),
        ] {
            let error = text.parse::<Source>().expect_err(text).to_string();
            assert!(error.contains(said), "{text}: {error}");
        }
    }
}
