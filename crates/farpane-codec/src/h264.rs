//! H.264, by the encoder that the content asks for: our own for screens ([`crate::screen`]), OpenH264 for motion.
//!
//! Ours spends nothing on what stands still or moved as a whole; OpenH264 takes a film in half the bits. One hands the
//! picture over to the other by a key frame, when most of it has been in motion for a while and when it has come to rest.
//!
//! Screens are constrained baseline, or High 4:4:4 Predictive where colour is sampled as densely as luma. Films stay
//! constrained baseline: a decoder for the other profile takes that as well, from the key frame on.

use std::time::Duration;

use farpane_media::{Size, Slot, Time};

use crate::openh264::OpenH264;
use crate::rate::Rate;
use crate::screen::Screen;
use crate::{Chroma, Codec, EncodeError, Encoder, EncoderConfig, Output, Picture, Request};

/// Either way round.
pub(crate) const LIMIT: Size = Size::new(3840, 2160);
/// A picture is in motion when at least one in this many of its macroblocks is new.
const PART: u64 = 6;
/// So many pictures in motion over so long are a film,
const FILM: (u32, Duration) = (14, Duration::from_millis(600));
/// unless one comes later than this after the one before. A film ends when what comes so late is no motion.
pub(crate) const REST: Duration = Duration::from_millis(400);

/// What pictures of one size have in common for both encoders.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Format {
    /// What is shown.
    pub(crate) size: Size,
    /// What the stream says: even, as 4:2:0 has no half samples, and no smaller than a macroblock.
    pub(crate) coded: Size,
    pub(crate) chroma: Chroma,
    /// In macroblocks.
    pub(crate) width: usize,
    pub(crate) height: usize,
    /// Ten times the lowest level that takes it (ITU-T H.264, table A-1).
    pub(crate) level: u8,
    pub(crate) max_fps: u32,
    pub(crate) threads: u32,
    /// Whether pictures are kept in slots.
    pub(crate) keeps: bool,
}

/// Samples of a macroblock's side.
pub(crate) const BLOCK: u32 = 16;

/// What a side of a picture is coded as: see [`Format::coded`].
pub(crate) fn coded_side(side: u32) -> u32 {
    side.max(BLOCK).next_multiple_of(2)
}

impl Format {
    pub(crate) fn new(config: &EncoderConfig) -> Result<Format, EncodeError> {
        let EncoderConfig { size, chroma, max_fps, threads, keeps, .. } = *config;
        let (long, short) = (size.width.max(size.height), size.width.min(size.height));
        if short == 0 || long > LIMIT.width || short > LIMIT.height {
            return Err(EncodeError::UnsupportedSize { codec: Codec::H264, size, limit: LIMIT });
        }
        let coded = Size::new(coded_side(size.width), coded_side(size.height));
        let (width, height) = (coded.width.div_ceil(BLOCK), coded.height.div_ceil(BLOCK));
        let max_fps = max_fps.clamp(1, 60);
        Ok(Format {
            size,
            coded,
            chroma,
            width: width as usize,
            height: height as usize,
            level: level(u64::from(width), u64::from(height), u64::from(max_fps)),
            max_fps,
            threads: threads.clamp(1, height),
            keeps,
        })
    }

    /// Macroblocks.
    pub(crate) fn blocks(&self) -> u64 {
        (self.width * self.height) as u64
    }
}

/// See the module.
pub(crate) struct H264 {
    format: Format,
    rate: Rate,
    screen: Screen,
    /// Made for the first film.
    film: Option<OpenH264>,
    small_films: bool,
    motion: Motion,
}

impl H264 {
    pub(crate) fn new(config: &EncoderConfig) -> Result<H264, EncodeError> {
        let format = Format::new(config)?;
        Ok(H264 {
            format,
            rate: Rate::new(format.blocks(), format.max_fps),
            screen: Screen::new(format),
            film: None,
            small_films: false,
            motion: Motion::default(),
        })
    }

    /// Hands the picture over when the content has changed its kind, or films their size; returns whether anything did.
    fn follow(&mut self, now: Time) -> Result<bool, EncodeError> {
        if !OpenH264::IS_PRESENT {
            return Ok(false);
        }
        let was = self.motion.film;
        let changed = self.film.as_ref().map_or(0, OpenH264::changed);
        let moving = changed * PART >= self.format.blocks();
        self.motion.handle_time(now, moving);
        if !self.motion.film {
            let Some(film) = self.film.as_ref().filter(|_| was) else { return Ok(false) };
            // Other planes have been kept up, as colour does not come back.
            if self.format.chroma == film.planes().chroma {
                self.screen.adopt(film.planes());
            }
            return Ok(true);
        }
        let film = match &mut self.film {
            Some(film) => film,
            none => none.insert(OpenH264::new(self.format)?),
        };
        let resized = film.is_small() != self.small_films;
        if resized {
            film.set_small(self.small_films)?;
        }
        if !was {
            film.adopt(self.screen.planes());
        }
        Ok(resized || !was)
    }
}

impl Encoder for H264 {
    fn codec(&self) -> Codec {
        Codec::H264
    }

    fn set_small_films(&mut self, small: bool) {
        self.small_films = small;
    }

    fn update(&mut self, picture: Picture<'_>) -> Result<(), EncodeError> {
        let (expected, got) = (self.format.size, picture.frame.size);
        if got != expected {
            return Err(EncodeError::SizeChanged { expected, got });
        }
        let film = self.film.as_mut().filter(|_| self.motion.film);
        if film.is_none() || self.format.chroma != Chroma::Yuv420 {
            self.screen.update(picture);
        }
        if let Some(film) = film {
            film.update(picture);
        }
        Ok(())
    }

    fn encode(&mut self, request: &Request) -> Result<Output<'_>, EncodeError> {
        let handed_over = self.follow(request.now)?;
        let request = &Request { key_frame: request.key_frame || handed_over, ..*request };
        let rate = &mut self.rate;
        let (output, new) = match &mut self.film {
            Some(film) if self.motion.film => film.encode(request, rate)?,
            _ => self.screen.encode(request, rate)?,
        };
        let moving = new * PART >= self.format.blocks();
        self.motion.handle_picture(request.now, moving);
        Ok(output)
    }

    fn restart_cost(&self, from: Option<Slot>) -> u64 {
        if self.motion.film { 0 } else { self.rate.least(self.screen.missing(from)) }
    }
}

/// Tells films from screens.
#[derive(Debug, Default)]
struct Motion {
    film: bool,
    /// Pictures in motion that followed each other closely, and when the first and the last of them was.
    run: Option<(u32, Time, Time)>,
}

impl Motion {
    fn handle_picture(&mut self, now: Time, moving: bool) {
        if moving {
            let (count, first) = self.run.map_or((0, now), |(count, first, _)| (count, first));
            self.run = Some((count + 1, first, now));
        }
    }

    /// Before a picture is coded, `moving` if it is to be by the encoder for films and in motion.
    fn handle_time(&mut self, now: Time, moving: bool) {
        let goes_on = self.film && moving;
        self.run = self.run.filter(|(_, _, last)| goes_on || now.since(*last) < REST);
        self.film = match self.run {
            None => false,
            Some((count, first, last)) => {
                self.film || count >= FILM.0 && last.since(first) >= FILM.1
            }
        };
    }
}

/// The lowest level that takes pictures of `width` by `height` macroblocks at `fps`; from 3.1, the one that browsers
/// name, upwards.
fn level(width: u64, height: u64, fps: u64) -> u8 {
    let (blocks, long) = (width * height, width.max(height));
    let table = [
        (31, 3_600, 108_000),
        (32, 5_120, 216_000),
        (40, 8_192, 245_760),
        (42, 8_704, 522_240),
        (50, 22_080, 589_824),
        (51, 36_864, 983_040),
    ];
    let fits = |&&(_, picture, second): &&(u8, u64, u64)| {
        blocks <= picture && long * long <= 8 * picture && blocks * fps <= second
    };
    table.iter().find(fits).map_or(52, |(level, ..)| *level)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_fit_the_picture() {
        let cases = [
            (80, 45, 30, 31),
            (120, 68, 30, 40),
            (120, 68, 60, 42),
            (240, 135, 60, 52),
            (240, 13, 30, 40),
        ];
        for (width, height, fps, expected) in cases {
            assert_eq!(level(width, height, fps), expected, "{width}x{height} blocks at {fps}");
        }
    }

    /// What comes of pictures at these times, in motion or not: at which of them it is a film.
    fn films(pictures: impl Iterator<Item = (u64, bool)>) -> Vec<u64> {
        let mut motion = Motion::default();
        let mut films = Vec::new();
        for (millis, moving) in pictures {
            let now = Time::from_millis(millis);
            motion.handle_time(now, moving);
            films.extend(motion.film.then_some(millis));
            motion.handle_picture(now, moving);
        }
        films
    }

    #[test]
    fn a_film_is_told_after_a_while_and_ends_when_it_rests() {
        let film = (1..50).map(|at| (at * 40, true));
        let rest = (1..20).map(|at| (1_960 + at * 60, false));
        let films = films(film.chain(rest));
        assert_eq!((films[0], *films.last().unwrap()), (680, 2_320));
    }

    #[test]
    fn a_film_that_the_link_holds_up_stays_one() {
        let film = (1..30).map(|at| (at * 40, true));
        let slow = (1..20).map(|at| (1_160 + at * 700, true));
        assert_eq!(films(film.chain(slow)).last(), Some(&14_460));
    }

    #[test]
    fn pages_and_pauses_are_no_film() {
        assert!(films((1..40).map(|at| (at * 500, true))).is_empty(), "a page every half second");
        assert!(films((1..90).map(|at| (at * 40, at % 20 < 8))).is_empty(), "stutter");
        assert!(films((1..200).map(|at| (at * 33, false))).is_empty(), "typing");
    }
}
