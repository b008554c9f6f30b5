//! The scenes: what the window shows, from pictures that `../../content.mjs` has made.

use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use x11rb::protocol::xproto::Rectangle;

use crate::window::{Error, HEIGHT, Image, WIDTH, Window, rect};

/// Names accepted by [`Scene::open`].
pub const NAMES: [&str; 8] =
    ["idle", "clock", "typing", "scroll30", "scroll60", "video720", "fullvideo", "pageswitch"];

const SCREEN: Rectangle = rect(0, 0, WIDTH, HEIGHT);
const FILM_AT: (i16, i16) = (320, 180);
/// A viewer refreshes 60 times a second. At exactly 30 or 60 frames a second a whole reading would sit at one
/// chance phase of that, worth up to 16.7 ms; this much slower, the phase goes round about every 1.5 s.
const OFF_BEAT: f64 = 1.011;
const SCROLL_PX_PER_S: u64 = 1000;

enum Kind {
    Idle,
    /// A digit sheet below the page (one row of cells) and where each digit of the time goes.
    Clock {
        digits: Vec<Rectangle>,
    },
    /// The finished text below the empty page, and each character's place in typing order.
    Typing {
        characters: Vec<Rectangle>,
    },
    Scroll,
    Film {
        film: Image,
        height: u16,
        x: i16,
        y: i16,
    },
    PageSwitch,
}

/// One scene, ready to be shown.
pub struct Scene {
    page: Image,
    kind: Kind,
    period: Duration,
}

impl Scene {
    /// Opens a scene's pictures in `content`. `period` replaces the scene's own time between two frames.
    pub fn open(
        window: &Window,
        name: &str,
        content: &Path,
        period: Option<Duration>,
    ) -> Result<Self, Error> {
        let film = |file: &str, width, height, (x, y)| -> Result<Kind, Error> {
            Ok(Kind::Film { film: window.image(&content.join(file), width)?, height, x, y })
        };
        // The film's own rate is 25 frames a second.
        let (thirty, sixty) = (30.0 / OFF_BEAT, 60.0 / OFF_BEAT);
        let (page, kind, per_second) = match name {
            "idle" => ("clock", Kind::Idle, 1.0),
            "clock" => {
                ("clock", Kind::Clock { digits: places(&content.join("clock.txt"))? }, thirty)
            }
            "typing" => (
                "typing",
                Kind::Typing { characters: places(&content.join("typing.txt"))? },
                thirty,
            ),
            "scroll30" => ("scroll", Kind::Scroll, thirty),
            "scroll60" => ("scroll", Kind::Scroll, sixty),
            "video720" => ("video", film("film720.bgrx", 1280, 720, FILM_AT)?, 25.0),
            "fullvideo" => ("video", film("film1080.bgrx", WIDTH, HEIGHT, (0, 0))?, 25.0),
            "pageswitch" => ("pages", Kind::PageSwitch, 0.5),
            _ => return Err(format!("no scene {name}; there are {}", NAMES.join(", ")).into()),
        };
        let page = window.image(&content.join(format!("{page}.bgrx")), WIDTH)?;
        let period = period.unwrap_or(Duration::from_secs_f64(1.0 / per_second));
        Ok(Self { page, kind, period })
    }

    /// Shows the first frame, calls `ready`, then shows the rest on a fixed time grid for ever. A frame that
    /// would come a whole period late is left out.
    pub fn run(&self, window: &Window, ready: impl FnOnce()) -> Result<(), Error> {
        window.present(|| window.put(&self.page, 0, SCREEN, 0, 0))?;
        ready();
        if matches!(self.kind, Kind::Idle) {
            loop {
                std::thread::park();
            }
        }
        let start = Instant::now();
        let mut frame = 0;
        loop {
            frame = (frame + 1).max((start.elapsed().as_nanos() / self.period.as_nanos()) as u32);
            let due = start + self.period * frame;
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            window.present(|| self.draw(window, frame))?;
        }
    }

    fn draw(&self, window: &Window, frame: u32) -> Result<(), Error> {
        let page = &self.page;
        match &self.kind {
            Kind::Idle => Ok(()),
            Kind::Clock { digits } => {
                let time = clock_digits();
                digits.iter().zip(time).try_for_each(|(to, digit)| {
                    let from = rect(digit * to.width, 0, to.width, to.height);
                    window.put(page, HEIGHT.into(), from, to.x, to.y)
                })
            }
            Kind::Typing { characters } => {
                let index = frame as usize % (characters.len() + 1);
                match index.checked_sub(1) {
                    None => window.put(page, 0, SCREEN, 0, 0),
                    Some(typed) => {
                        let to = characters[typed];
                        window.put(page, HEIGHT.into(), to, to.x, to.y)
                    }
                }
            }
            Kind::Scroll => {
                let moved = (self.period * frame).as_micros() as u64 * SCROLL_PX_PER_S / 1_000_000;
                let span = u64::from(page.rows) - u64::from(HEIGHT);
                let there = moved % (2 * span);
                window.put(page, there.min(2 * span - there) as u32, SCREEN, 0, 0)
            }
            Kind::Film { film, height, x, y } => {
                let height = *height;
                let row = frame % (film.rows / u32::from(height)) * u32::from(height);
                window.put(film, row, rect(0, 0, film.width, height), *x, *y)
            }
            Kind::PageSwitch => {
                let row = frame % (page.rows / u32::from(HEIGHT)) * u32::from(HEIGHT);
                window.put(page, row, SCREEN, 0, 0)
            }
        }
    }
}

/// Hours, minutes, seconds and milliseconds (UTC) as nine digits.
fn clock_digits() -> [u16; 9] {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let (s, ms) = (since.as_secs(), u64::from(since.subsec_millis()));
    let mut number = (s / 3600 % 24 * 10_000 + s / 60 % 60 * 100 + s % 60) * 1000 + ms;
    let mut digits = [0; 9];
    for digit in digits.iter_mut().rev() {
        *digit = (number % 10) as u16;
        number /= 10;
    }
    digits
}

/// Reads rectangles, one a line: x, y, width, height in pixels.
fn places(path: &Path) -> Result<Vec<Rectangle>, Error> {
    let bad = || format!("{}: not a list of rectangles", path.display());
    let text = std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
    let places = text
        .lines()
        .map(|line| {
            let numbers: Vec<u16> = line.split(' ').map_while(|n| n.parse().ok()).collect();
            match numbers[..] {
                [x, y, width, height] => Ok(rect(x, y, width, height)),
                _ => Err(bad()),
            }
        })
        .collect::<Result<Vec<_>, _>>()?;
    if places.is_empty() { Err(bad().into()) } else { Ok(places) }
}
