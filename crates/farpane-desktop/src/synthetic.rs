//! Scenes drawn by this program: a desktop for tests, benches and people without X11.
//!
//! A scene is a function of its seed and the number of steps taken, so that two runs draw the same pictures. Its damage
//! is exact: what was drawn and nothing else. Input leaves marks: a square where a button went down, a character for
//! each key, a moving thumb at the right edge for the wheel.

use std::collections::VecDeque;
use std::fmt;
use std::io::Write as _;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use farpane_media::{Clock, Rect, Size};

use crate::bell::Bell;
use crate::canvas::Canvas;
use crate::draw::{Colour, Surface};
use crate::font::CELL;
use crate::show::{Show, Stage};
use crate::source::ParseSourceError;
use crate::{Button, CaptureError, CursorEvent, CursorShape, Desktop, Input, InputError, pixel_at};

/// Which scene and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    pub scene: Scene,
    pub seed: u64,
    /// 64 to 8192 pixels each way.
    pub size: Size,
    /// Steps a second, 1 to 240.
    pub fps: u32,
}

impl Options {
    pub const SIDES: std::ops::RangeInclusive<u32> = 64..=8192;
    pub const FPS: std::ops::RangeInclusive<u32> = 1..=240;

    pub const fn new(scene: Scene) -> Options {
        Options { scene, seed: 1, size: Size::new(1280, 720), fps: 30 }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scene {
    /// A page of text that does not change.
    Idle,
    /// Running digits over a page of text.
    Clock,
    /// One character a step, with a caret.
    Typing,
    /// A page of text that moves up by half a line a step.
    Scroll,
    /// A window that moves over a page of text.
    Window,
    /// Gradients, noise and a moving disc all over the picture.
    Video,
    /// Small squares in two opposite corners.
    Corners,
}

impl Scene {
    pub const ALL: [(&'static str, Scene); 7] = [
        ("idle", Scene::Idle),
        ("clock", Scene::Clock),
        ("typing", Scene::Typing),
        ("scroll", Scene::Scroll),
        ("window", Scene::Window),
        ("video", Scene::Video),
        ("corners", Scene::Corners),
    ];
}

impl fmt::Display for Options {
    /// As it is written, in full.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Options { scene, seed, size, fps } = self;
        let known = Scene::ALL.iter().find(|(_, known)| known == scene);
        let (name, _) = known.expect("every scene is listed");
        write!(f, "{name},seed={seed},size={size},fps={fps}")
    }
}

impl FromStr for Options {
    type Err = ParseSourceError;

    fn from_str(text: &str) -> Result<Options, ParseSourceError> {
        let mut parts = text.split(',');
        let name = parts.next().unwrap_or_default();
        let scene = Scene::ALL.iter().find(|(known, _)| *known == name).ok_or_else(|| {
            let known: Vec<&str> = Scene::ALL.iter().map(|(name, _)| *name).collect();
            ParseSourceError(format!("no scene \"{name}\"; there are {}", known.join(", ")))
        })?;
        let mut options = Options::new(scene.1);
        for part in parts {
            match part.split_once('=') {
                Some(("seed", value)) => options.seed = number("seed", value, 0..=u64::MAX)?,
                Some(("fps", value)) => options.fps = number("fps", value, Options::FPS)?,
                Some(("size", value)) => {
                    let (width, height) = value.split_once('x').ok_or_else(|| {
                        ParseSourceError(format!("size \"{value}\" is not of the form 1280x720"))
                    })?;
                    options.size = Size::new(
                        number("width", width, Options::SIDES)?,
                        number("height", height, Options::SIDES)?,
                    );
                }
                _ => {
                    return Err(ParseSourceError(format!(
                        "unknown scene option \"{part}\"; there are seed=N, size=WxH and fps=N"
                    )));
                }
            }
        }
        Ok(options)
    }
}

fn number<T>(
    what: &str,
    text: &str,
    allowed: std::ops::RangeInclusive<T>,
) -> Result<T, ParseSourceError>
where
    T: FromStr + PartialOrd + std::fmt::Display,
{
    text.parse().ok().filter(|n| allowed.contains(n)).ok_or_else(|| {
        let (low, high) = (allowed.start(), allowed.end());
        ParseSourceError(format!("{what} \"{text}\" is not a number from {low} to {high}"))
    })
}

pub(crate) fn open(options: &Options, clock: Clock) -> std::io::Result<Desktop> {
    let bell = Bell::new()?;
    let (sender, marks) = sync_channel(MARKS);
    let moves = options.scene != Scene::Idle;
    let period = moves.then(|| Duration::from_secs(1) / options.fps);
    let mut canvas = Canvas::new(options.size, clock.now());
    let scene = canvas.draw(clock.now(), |surface| Drawing::new(options, marks, surface));
    let input = Marker { marks: sender, bell: bell.clone(), held: Vec::new(), buttons: Vec::new() };
    Ok(Desktop {
        capturer: Box::new(Stage::new(scene, canvas, period, bell, clock)),
        input: Box::new(input),
        notes: Vec::new(),
    })
}

/// Input events that wait to be drawn; what exceeds them is dropped.
const MARKS: usize = 256;
const SCALE: u32 = 2;
const LINE: u32 = CELL.height * SCALE;
const COLUMN: u32 = CELL.width * SCALE;
const PAPER: Colour = 0xfdf6e3;
const INKS: [Colour; 6] = [0x002b36, 0x586e75, 0x268bd2, 0xd33682, 0x859900, 0xcb4b16];

/// One input event, to be drawn.
enum Mark {
    Pointer(f64, f64),
    Button(Button),
    Key(char),
    Wheel(f32),
}

struct Drawing {
    scene: Scene,
    seed: u64,
    fps: u32,
    steps: u64,
    marks: Receiver<Mark>,
    /// Told once, before anything else.
    shape: Option<Arc<CursorShape>>,
    pointer: (u32, u32),
    /// Characters drawn for keys so far.
    keys: u32,
    thumb: f64,
}

impl Drawing {
    fn new(options: &Options, marks: Receiver<Mark>, surface: &mut Surface) -> Drawing {
        let drawing = Drawing {
            scene: options.scene,
            seed: options.seed,
            fps: options.fps,
            steps: 0,
            marks,
            shape: Some(Arc::new(arrow())),
            pointer: (options.size.width / 2, options.size.height / 2),
            keys: 0,
            thumb: 0.0,
        };
        surface.fill(Rect::of(options.size), PAPER);
        match options.scene {
            Scene::Typing => {}
            Scene::Video => drawing.video(surface),
            _ => drawing.page(surface, Rect::of(options.size)),
        }
        drawing
    }

    /// Redraws every character cell of the page that touches `rect`.
    fn page(&self, surface: &mut Surface, rect: Rect) {
        for line in rect.y / LINE..rect.bottom().div_ceil(LINE) {
            for column in rect.x / COLUMN..rect.right().div_ceil(COLUMN) {
                self.cell(surface, u64::from(line), column, line * LINE);
            }
        }
    }

    /// Draws the character at `column` of text line `line` with its top at row `y`.
    fn cell(&self, surface: &mut Surface, line: u64, column: u32, y: u32) {
        let (text, ink) = self.letter(line, column);
        surface.glyph((column * COLUMN, y), text, SCALE, ink, PAPER);
    }

    /// The endless text of this seed: words of about five letters, lines of uneven length, some words coloured.
    fn letter(&self, line: u64, column: u32) -> (char, Colour) {
        let length = 20 + (hash(self.seed, line, 0) % 120) as u32;
        let random = hash(self.seed, line, u64::from(column) + 1);
        let text = match random % 6 {
            _ if column >= length => ' ',
            0 => ' ',
            1 => char::from(b'!' + (random >> 8) as u8 % 94),
            _ => char::from(b'a' + (random >> 8) as u8 % 26),
        };
        let word = hash(self.seed, line, u64::from(column / 6) << 32);
        (text, INKS[if word.is_multiple_of(3) { word as usize / 3 % INKS.len() } else { 0 }])
    }

    fn clock(&self, surface: &mut Surface) {
        const SCALE: u32 = 4;
        let millis = self.steps * 1000 / u64::from(self.fps);
        let (s, ms) = (millis / 1000, millis % 1000);
        let mut text = [0; 12];
        write!(&mut text[..], "{:02}:{:02}:{:02}.{ms:03}", s / 3600 % 24, s / 60 % 60, s % 60)
            .expect("twelve characters");
        surface.text((4 * LINE, 4 * LINE), text.map(char::from), SCALE, 0xffffff, 0x073642);
    }

    fn typing(&self, surface: &mut Surface) {
        let columns = (surface.size().width / COLUMN).max(2) - 1;
        let rows = u64::from((surface.size().height / LINE).max(1));
        let (line, column) =
            (self.steps / u64::from(columns), (self.steps % u64::from(columns)) as u32);
        let y = line.min(rows - 1) as u32 * LINE;
        if column == 0 && line > 0 {
            // Take the caret off the end of the line before.
            let end = if line < rows { y - LINE } else { y };
            surface.fill(Rect::new(columns * COLUMN, end, COLUMN, LINE), PAPER);
            if line >= rows {
                let page = Rect::new(0, 0, surface.size().width, rows as u32 * LINE);
                surface.scroll_up(page, LINE);
                surface.fill(Rect::new(0, y, surface.size().width, LINE), PAPER);
            }
        }
        self.cell(surface, line, column, y);
        surface.fill(Rect::new((column + 1) * COLUMN, y, COLUMN, LINE), INKS[0]);
    }

    fn scroll(&self, surface: &mut Surface) {
        const BY: u32 = LINE / 2;
        let size = surface.size();
        surface.scroll_up(Rect::of(size), BY);
        surface.fill(Rect::new(0, size.height - BY, size.width, BY), PAPER);
        // Text rows in page coordinates: `offset` of them have left at the top.
        let offset = self.steps * u64::from(BY);
        let first = (offset + u64::from(size.height - BY)) / u64::from(LINE);
        let last = (offset + u64::from(size.height) - 1) / u64::from(LINE);
        for line in first..=last {
            let y = (line * u64::from(LINE)).saturating_sub(offset) as u32;
            for column in 0..size.width.div_ceil(COLUMN) {
                self.cell(surface, line, column, y);
            }
        }
    }

    fn window(&self, surface: &mut Surface) {
        let size = surface.size();
        let (w, h) = (size.width / 3, size.height / 3);
        let place = |step: u64| {
            let x = triangle(step * 9 + self.seed % 97, u64::from(size.width - w));
            Rect::new(x, triangle(step * 5 + self.seed % 89, u64::from(size.height - h)), w, h)
        };
        if self.steps > 1 {
            self.page(surface, place(self.steps - 1));
        }
        let at = place(self.steps);
        surface.fill(at, 0xeee8d5);
        surface.fill(Rect { h: LINE + 4, ..at }, 0x268bd2);
        let title = "A moving window".chars().take((w / COLUMN) as usize);
        surface.text((at.x, at.y + 2), title, SCALE, 0xffffff, 0x268bd2);
    }

    fn video(&self, surface: &mut Surface) {
        let size = surface.size();
        let t = self.steps as u32;
        let radius = i64::from(size.width.min(size.height) / 6);
        let disc_x = i64::from(triangle(self.steps * 11, u64::from(size.width)));
        let disc_y = i64::from(triangle(self.steps * 7, u64::from(size.height)));
        let whole = Rect::of(size);
        let mut noise = hash(self.seed, self.steps, 1) as u32 | 1;
        for y in 0..size.height {
            let dy = i64::from(y) - disc_y;
            for (x, p) in (0u32..).zip(surface.row_mut(&whole, y).chunks_exact_mut(4)) {
                // Xorshift (Marsaglia 2003): cheap grain as a camera has it.
                noise ^= noise << 13;
                noise ^= noise >> 17;
                noise ^= noise << 5;
                let grain = noise & 7;
                let dx = i64::from(x) - disc_x;
                let lit = if dx * dx + dy * dy < radius * radius { 96 } else { 0 };
                p[0] = ((x / 4 + t * 3) % 192 + grain) as u8;
                p[1] = ((y / 3 + x / 8 + t) % 160 + lit / 2 + grain) as u8;
                p[2] = ((x / 6 + y / 5 + t * 2) % 128 + lit + grain) as u8;
                p[3] = 0xff;
            }
        }
        surface.touch(whole);
    }

    fn corners(&self, surface: &mut Surface) {
        const SIDE: u32 = 32;
        let colour = hash(self.seed, self.steps, 2) as Colour;
        let (right, bottom) = (surface.size().width - SIDE, surface.size().height - SIDE);
        surface.fill(Rect::new(0, 0, SIDE, SIDE), colour);
        surface.fill(Rect::new(right, bottom, SIDE, SIDE), !colour);
    }

    fn draw(&mut self, mark: &Mark, surface: &mut Surface) {
        const SQUARE: u32 = 24;
        let (width, height) = (surface.size().width, surface.size().height);
        match mark {
            Mark::Pointer(x, y) => self.pointer = (pixel_at(*x, width), pixel_at(*y, height)),
            Mark::Button(button) => {
                let colour = match button {
                    Button::Left => 0xdc322f,
                    Button::Middle => 0x2aa198,
                    Button::Right => 0x268bd2,
                    Button::Back => 0x6c71c4,
                    Button::Forward => 0xb58900,
                };
                let (x, y) = self.pointer;
                let (left, top) = (x.saturating_sub(SQUARE / 2), y.saturating_sub(SQUARE / 2));
                surface.fill(Rect::new(left, top, SQUARE, SQUARE), colour);
            }
            Mark::Key(text) => {
                let columns = (width / COLUMN).max(1);
                let at = (self.keys % columns * COLUMN, height - LINE);
                surface.glyph(at, *text, SCALE, 0xffffff, 0x002b36);
                self.keys += 1;
            }
            Mark::Wheel(dy) => {
                let track = Rect::new(width - LINE, 0, LINE, height);
                self.thumb = (self.thumb + f64::from(*dy)).clamp(0.0, f64::from(height - LINE));
                surface.fill(track, 0xeee8d5);
                surface.fill(Rect { y: self.thumb as u32, h: LINE, ..track }, 0x586e75);
            }
        }
    }
}

impl Show for Drawing {
    fn step(&mut self, surface: &mut Surface) -> Result<(), CaptureError> {
        match self.scene {
            Scene::Idle => {}
            Scene::Clock => self.clock(surface),
            Scene::Typing => self.typing(surface),
            Scene::Scroll => {
                self.steps += 1;
                self.scroll(surface);
                return Ok(());
            }
            Scene::Window => {
                self.steps += 1;
                self.window(surface);
                return Ok(());
            }
            Scene::Video => self.video(surface),
            Scene::Corners => self.corners(surface),
        }
        self.steps += 1;
        Ok(())
    }

    fn react(&mut self, surface: &mut Surface, cursor: &mut VecDeque<CursorEvent>) {
        let before = self.pointer;
        while let Ok(mark) = self.marks.try_recv() {
            self.draw(&mark, surface);
        }
        let first =
            self.shape.take().inspect(|shape| cursor.push_back(CursorEvent::Shape(shape.clone())));
        if first.is_some() || self.pointer != before {
            let (x, y) = self.pointer;
            cursor.push_back(CursorEvent::Position { x, y });
        }
    }
}

/// The input half: turns events into marks and rings the capturer.
struct Marker {
    marks: SyncSender<Mark>,
    bell: Arc<Bell>,
    held: Vec<u16>,
    buttons: Vec<Button>,
}

impl Marker {
    fn send(&self, mark: Mark) {
        // A full channel means that nobody is drawing: the event is dropped. A closed one: nobody ever will.
        if self.marks.try_send(mark).is_ok() {
            self.bell.ring(Bell::INPUT);
        }
    }

    fn is_shifted(&self) -> bool {
        self.held.iter().any(|usage| matches!(usage, 0xe1 | 0xe5))
    }
}

impl Input for Marker {
    fn key(&mut self, usage: u16, down: bool) -> Result<(), InputError> {
        if !(0x04..=0xe7).contains(&usage) {
            return Err(InputError::UnknownKey(usage));
        }
        let was_held = self.held.contains(&usage);
        if !down {
            self.held.retain(|held| *held != usage);
        } else if !was_held {
            self.held.push(usage);
            self.send(Mark::Key(character(usage, self.is_shifted())));
        }
        Ok(())
    }

    fn pointer(&mut self, x: f64, y: f64) -> Result<(), InputError> {
        self.send(Mark::Pointer(x, y));
        Ok(())
    }

    fn button(&mut self, button: Button, down: bool) -> Result<(), InputError> {
        let was_held = self.buttons.contains(&button);
        if !down {
            self.buttons.retain(|held| *held != button);
        } else if !was_held {
            self.buttons.push(button);
            self.send(Mark::Button(button));
        }
        Ok(())
    }

    fn wheel(&mut self, _dx: f32, dy: f32) -> Result<(), InputError> {
        if dy.is_finite() {
            self.send(Mark::Wheel(dy));
        }
        Ok(())
    }

    fn release_all(&mut self) {
        self.held.clear();
        self.buttons.clear();
    }

    fn flush(&mut self) -> Result<(), InputError> {
        Ok(())
    }
}

/// What is printed on a key of a US keyboard; a solid box where nothing is.
fn character(usage: u16, shift: bool) -> char {
    let place = usize::from(usage);
    match usage {
        0x04..=0x1d if shift => char::from(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ"[place - 0x04]),
        0x04..=0x1d => char::from(b"abcdefghijklmnopqrstuvwxyz"[place - 0x04]),
        0x1e..=0x27 if shift => char::from(b"!@#$%^&*()"[place - 0x1e]),
        0x1e..=0x27 => char::from(b"1234567890"[place - 0x1e]),
        0x2c => ' ',
        _ => '\u{7f}',
    }
}

/// SplitMix64 (Steele et al. 2014) over three numbers.
fn hash(seed: u64, a: u64, b: u64) -> u64 {
    let mut z = seed
        .wrapping_add(a.wrapping_mul(0x9e37_79b9_7f4a_7c15))
        .wrapping_add(b.wrapping_mul(0xd1b5_4a32_d192_ed03));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// To and fro between 0 and `top`.
fn triangle(step: u64, top: u64) -> u32 {
    let at = step % (2 * top.max(1));
    at.min(2 * top - at.min(2 * top)) as u32
}

/// A plain arrow: `#` black, `.` white, the rest transparent.
fn arrow() -> CursorShape {
    const ROWS: [&str; 17] = [
        "#           ",
        "##          ",
        "#.#         ",
        "#..#        ",
        "#...#       ",
        "#....#      ",
        "#.....#     ",
        "#......#    ",
        "#.......#   ",
        "#........#  ",
        "#.....##### ",
        "#..#..#     ",
        "#.# #..#    ",
        "##  #..#    ",
        "#    #..#   ",
        "     #..#   ",
        "      ##    ",
    ];
    let dots = ROWS.iter().flat_map(|row| row.bytes());
    let rgba = dots.flat_map(|dot| match dot {
        b'#' => [0, 0, 0, 255],
        b'.' => [255; 4],
        _ => [0; 4],
    });
    let size = Size::new(ROWS[0].len() as u32, ROWS.len() as u32);
    CursorShape { serial: 1, size, hot_x: 0, hot_y: 0, rgba: rgba.collect() }
}
