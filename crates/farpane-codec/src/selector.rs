//! Which format a session's pictures are coded in, and why.
//!
//! The sharpest that the viewer shows and this machine codes in time. H.264 comes before AV1 where a viewer shows both: on
//! screens our encoder takes a tenth of libaom's time. A format that turns out too slow gives way to a cheaper one, a film
//! to one of half the columns and rows, and comes back when there has been time for it for a while; a format whose encoder
//! fails does not come back.

use std::fmt;
use std::time::Duration;

use farpane_media::{Chroma, Codec, Time, VideoFormat};

/// By preference.
pub(crate) const PREFERENCE: [VideoFormat; 4] = [
    VideoFormat::new(Codec::H264, Chroma::Yuv444),
    VideoFormat::new(Codec::H264, Chroma::Yuv420),
    VideoFormat::new(Codec::Av1, Chroma::Yuv444),
    VideoFormat::new(Codec::Av1, Chroma::Yuv420),
];
/// Of the time between pictures that coding may take.
const BUSY: f64 = 0.9;
const IDLE: f64 = 0.3;
/// A film in full takes four times what it takes in half the columns and rows.
const SMALL_IDLE: f64 = 0.2;
/// So much time must have been short within [`WINDOW`] pictures.
const WINDOW: u32 = 40;
const LATE: u32 = 25;
/// A format that was too slow is tried again after so long without haste; twice as long each time that it is too slow
/// again.
const PATIENCE: Duration = Duration::from_secs(20);
/// Pictures farther apart than this tell nothing of how fast they come.
const LONGEST: Duration = Duration::from_millis(100);

/// Why a format was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The sharpest that the viewer shows.
    Sharpest,
    /// The picture is a film, which OpenH264 takes in half the bits and without sharp colour.
    Film,
    /// The same, and there is no time for all of its pixels.
    SmallFilm,
    /// Sharper ones take longer than the time between pictures.
    TooSlow,
    /// The encoder of a better one failed.
    Failed,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Reason::Sharpest => "the sharpest that the browser shows",
            Reason::Film => "best for a film",
            Reason::SmallFilm => "best for a film, at half size to keep up",
            Reason::TooSlow => "sharper ones are too slow here",
            Reason::Failed => "a better one failed",
        })
    }
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Selector {
    /// Without those that failed, best first.
    formats: Vec<VideoFormat>,
    current: usize,
    reason: Reason,
    failed: bool,
    small_films: bool,
    /// Of the last pictures: how many, and how many of them were late.
    pictures: u32,
    late: u32,
    /// Since when there has been time to spare.
    calm_since: Option<Time>,
    patience: Duration,
}

impl Selector {
    /// Chooses among `offered`; those that this build cannot code count as not offered.
    pub fn new(offered: &[VideoFormat]) -> Selector {
        Selector::among(&crate::formats(), offered)
    }

    fn among(coded: &[VideoFormat], offered: &[VideoFormat]) -> Selector {
        let mut formats: Vec<VideoFormat> =
            coded.iter().filter(|format| offered.contains(format)).copied().collect();
        // Such as the one for tests.
        formats.extend(offered.iter().filter(|format| !PREFERENCE.contains(format)));
        Selector {
            formats,
            current: 0,
            reason: Reason::Sharpest,
            failed: false,
            small_films: false,
            pictures: 0,
            late: 0,
            calm_since: None,
            patience: PATIENCE,
        }
    }

    /// What to code in; `None` when nothing is left.
    pub fn format(&self) -> Option<VideoFormat> {
        self.formats.get(self.current).copied()
    }

    pub fn reason(&self) -> Reason {
        self.reason
    }

    /// Whether films are to be coded with half the columns and rows.
    pub fn small_films(&self) -> bool {
        self.small_films
    }

    /// The encoder of the current format failed for good.
    pub fn handle_failure(&mut self) {
        if self.current < self.formats.len() {
            self.formats.remove(self.current);
            (self.current, self.failed, self.reason) = (0, true, Reason::Failed);
            self.start_over();
        }
    }

    /// A picture that came `interval` after the one before took `took` to code, as a film or not.
    pub fn handle_picture(&mut self, now: Time, took: Duration, interval: Duration, film: bool) {
        let load = took.as_secs_f64() / interval.min(LONGEST).as_secs_f64().max(1e-3);
        self.pictures += 1;
        self.late += u32::from(load > BUSY);
        let calm_since = *self.calm_since.get_or_insert(now);
        let calm = load <= if self.small_films { SMALL_IDLE } else { IDLE };
        if !calm {
            self.calm_since = None;
        }
        let stepped_down = self.current > 0 || self.small_films;
        if self.late >= LATE {
            self.step_down(film);
        } else if self.pictures >= WINDOW {
            (self.pictures, self.late) = (0, 0);
        } else if stepped_down && calm && now.since(calm_since) >= self.patience {
            self.patience *= 2;
            (self.current, self.small_films) = (0, false);
            self.reason = if self.failed { Reason::Failed } else { Reason::Sharpest };
            self.start_over();
        }
    }

    fn step_down(&mut self, film: bool) {
        let cheaper = |at: &usize| cost(self.formats[*at]) < cost(self.formats[self.current]);
        if film && !self.small_films {
            self.small_films = true;
        } else if let Some(next) = (0..self.formats.len()).find(cheaper) {
            (self.current, self.reason) = (next, Reason::TooSlow);
        }
        self.start_over();
    }

    fn start_over(&mut self) {
        (self.pictures, self.late, self.calm_since) = (0, 0, None);
    }
}

/// In the order of what a picture takes to code.
fn cost(format: VideoFormat) -> u8 {
    match (format.codec, format.chroma) {
        (Codec::Null, _) => 0,
        (Codec::H264, Chroma::Yuv420) => 1,
        (Codec::H264, Chroma::Yuv444) => 2,
        (Codec::Av1, Chroma::Yuv420) => 3,
        (Codec::Av1, Chroma::Yuv444) => 4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const H264: VideoFormat = PREFERENCE[1];
    const H264_FULL: VideoFormat = PREFERENCE[0];
    const AV1: VideoFormat = PREFERENCE[3];
    const AV1_FULL: VideoFormat = PREFERENCE[2];
    const FRAME: Duration = Duration::from_millis(33);

    fn choose(offered: &[VideoFormat]) -> Selector {
        Selector::among(&PREFERENCE, offered)
    }

    /// Pictures 33 ms apart that take `took` each, from `from` on, as milliseconds; returns when the last one was.
    fn code(selector: &mut Selector, from: u64, pictures: u64, took: u64) -> u64 {
        let end = from + pictures * 33;
        for at in (from..end).step_by(33) {
            handle(selector, at, took, false);
        }
        end
    }

    fn handle(selector: &mut Selector, at: u64, took: u64, film: bool) {
        let (at, took) = (Time::from_millis(at), Duration::from_millis(took));
        selector.handle_picture(at, took, FRAME, film);
    }

    #[test]
    fn the_sharpest_that_the_viewer_shows_comes_first() {
        assert_eq!(choose(&[AV1, AV1_FULL, H264, H264_FULL]).format(), Some(H264_FULL));
        assert_eq!(choose(&[AV1, H264]).format(), Some(H264));
        assert_eq!(choose(&[AV1]).format(), Some(AV1));
        assert_eq!(choose(&[]).format(), None);
    }

    #[test]
    fn what_this_build_cannot_code_is_not_chosen() {
        let without_av1 = |offered: &[VideoFormat]| Selector::among(&PREFERENCE[..2], offered);
        assert_eq!(without_av1(&[AV1, H264]).format(), Some(H264));
        assert_eq!(without_av1(&[AV1, AV1_FULL]).format(), None);
    }

    #[test]
    fn a_slow_format_gives_way_and_comes_back_ever_later() {
        let mut selector = choose(&[H264, AV1, H264_FULL]);
        let now = code(&mut selector, 0, 24, 40);
        assert_eq!(selector.format(), Some(H264_FULL), "a burst is no reason");
        let now = code(&mut selector, now, 60, 40);
        assert_eq!((selector.format(), selector.reason()), (Some(H264), Reason::TooSlow));
        // It never goes to what is dearer still.
        let now = code(&mut selector, now, 200, 40);
        assert_eq!(selector.format(), Some(H264));
        let now = code(&mut selector, now, 20_500 / 33, 5);
        assert_eq!((selector.format(), selector.reason()), (Some(H264_FULL), Reason::Sharpest));
        let now = code(&mut selector, now, 60, 40);
        let now = code(&mut selector, now, 20_500 / 33, 5);
        assert_eq!(selector.format(), Some(H264), "twice as long now");
        code(&mut selector, now, 20_500 / 33, 5);
        assert_eq!(selector.format(), Some(H264_FULL));
    }

    #[test]
    fn a_slow_film_gives_up_pixels_before_colour_and_gets_them_back() {
        let mut selector = choose(&[H264, H264_FULL]);
        let films = |selector: &mut Selector, from: u64, seconds: u64, took: u64| {
            (from..from + seconds * 1000)
                .step_by(33)
                .for_each(|at| handle(selector, at, took, true));
        };
        films(&mut selector, 0, 1, 40);
        assert_eq!((selector.small_films(), selector.format()), (true, Some(H264_FULL)));
        films(&mut selector, 1_000, 60, 9);
        assert!(selector.small_films(), "in full it would take 36 ms");
        films(&mut selector, 61_000, 21, 5);
        assert!(!selector.small_films());
        films(&mut selector, 82_000, 1, 40);
        films(&mut selector, 83_000, 1, 40);
        assert_eq!((selector.small_films(), selector.format()), (true, Some(H264)));
    }

    #[test]
    fn what_failed_is_not_tried_again() {
        let mut selector = choose(&[AV1, H264, H264_FULL]);
        for expected in [Some(H264), Some(AV1), None] {
            selector.handle_failure();
            assert_eq!((selector.format(), selector.reason()), (expected, Reason::Failed));
        }
        selector.handle_failure();
        assert_eq!(selector.format(), None);
    }
}
