//! Scenes in which much of the picture moves.

use farpane_desktop::draw::{Colour, Surface, bgrx};
use farpane_media::{Rect, Size};

use super::furniture::{COLUMN, DARK, PANEL, PAPER, code, desktop, panel, prose, table, window};
use super::{Draw, FPS, triangle, two_of_three};
use crate::paint::{disc, gradient, photograph, turned_square, xorshift};
use crate::random::{below, hash};
use crate::text::mix;

/// A window whose contents are a long page that moves one way or the other.
struct Scroll {
    page: Surface,
    view: Rect,
    title: &'static str,
    /// Pixels a step, across and down.
    by: (u32, u32),
}

/// Where the scrolled contents are: all but a window's title and the panel.
fn view(size: Size) -> Rect {
    Rect::new(0, 28, size.width, size.height.saturating_sub(28 + PANEL))
}

pub(super) fn scroll_vertical(size: Size, seed: u64) -> Box<dyn Draw> {
    let view = view(size);
    let mut page = Surface::new(Size::new(view.w, view.h * 3));
    page.fill(Rect::of(page.size()), PAPER);
    let column = Rect::new(view.w / 8, 0, view.w * 3 / 4, view.h * 3);
    prose(&mut page, column, seed, 0);
    Box::new(Scroll { page, view, title: "Notes on screen coding", by: (0, 24) })
}

pub(super) fn scroll_horizontal(size: Size, seed: u64) -> Box<dyn Draw> {
    let view = view(size);
    let mut page = Surface::new(Size::new((view.w * 2).next_multiple_of(COLUMN), view.h));
    let whole = Rect::of(page.size());
    table(&mut page, whole, seed, 0);
    Box::new(Scroll { page, view, title: "Measurements", by: (18, 0) })
}

impl Draw for Scroll {
    fn draw(&mut self, surface: &mut Surface, step: u32) {
        let (moves, moved) = two_of_three(step);
        if step == 0 {
            let whole = Rect::of(surface.size());
            window(surface, whole, self.title, false);
            panel(surface, "Fri 21 Nov  10:24");
        } else if !moves {
            return;
        }
        let Size { width, height } = self.page.size();
        let (left, top) = (moved * self.by.0 % width, moved * self.by.1 % height);
        let Rect { x, y, w, h } = self.view;
        // The page goes on with its beginning.
        for (from_y, to_y, rows) in [(top, 0, h.min(height - top)), (0, height - top, height)] {
            for (from_x, to_x, columns) in
                [(left, 0, w.min(width - left)), (0, width - left, width)]
            {
                let columns = columns.min(w.saturating_sub(to_x));
                let rows = rows.min(h.saturating_sub(to_y));
                let part = Rect::new(from_x, from_y, columns, rows);
                if !part.is_empty() {
                    surface.blit(self.page.frame(), part, ((x + to_x) as i32, (y + to_y) as i32));
                }
            }
        }
    }
}

struct MovingWindow {
    backdrop: Surface,
    window: Surface,
    at: Option<Rect>,
}

pub(super) fn moving_window(size: Size, seed: u64) -> Box<dyn Draw> {
    let mut dragged = Surface::new(Size::new(size.width * 2 / 5, size.height * 2 / 5));
    let whole = Rect::of(dragged.size());
    let inside = window(&mut dragged, whole, "Dragged", true);
    code(&mut dragged, inside, seed + 3, 40, DARK);
    Box::new(MovingWindow { backdrop: desktop(size, seed), window: dragged, at: None })
}

impl Draw for MovingWindow {
    fn draw(&mut self, surface: &mut Surface, step: u32) {
        let (size, window) = (surface.size(), self.window.size());
        match self.at {
            None => surface.blit(self.backdrop.frame(), Rect::of(size), (0, 0)),
            Some(_) if !two_of_three(step).0 => return,
            Some(old) => surface.blit(self.backdrop.frame(), old, (old.x as i32, old.y as i32)),
        }
        let moved = u64::from(two_of_three(step).1);
        let x = triangle(moved * 14, u64::from(size.width - window.width));
        let y = triangle(moved * 7, u64::from(size.height - window.height));
        surface.blit(self.window.frame(), Rect::of(window), (x as i32, y as i32));
        self.at = Some(Rect::new(x, y, window.width, window.height));
    }
}

/// Layers of a landscape that pass at different speeds, and things that fly over it.
struct HighMotion {
    seed: u64,
    ground: Surface,
    hills: Vec<(u32, Colour, Vec<u32>)>,
}

pub(super) fn high_motion(size: Size, seed: u64) -> Box<dyn Draw> {
    let Size { width, height } = size;
    let hills = [(3, 0x4b_6a88), (7, 0x3c_5a4c), (14, 0x26_3f2a)].into_iter().zip(1u64..);
    let hills = hills.map(|((speed, colour), layer)| {
        let tops = (0..width * 2)
            .map(|x| {
                let at = x as f32 * std::f32::consts::TAU / (width * 2) as f32;
                let wave = (at * (2 + layer) as f32).sin() + 0.4 * (at * (9 + layer) as f32).sin();
                (height as f32 * (0.35 + 0.13 * layer as f32 + 0.06 * wave)) as u32
            })
            .collect();
        (speed, colour, tops)
    });
    let strip = photograph(Size::new(width * 2, height / 5 + 1), seed);
    Box::new(HighMotion { seed, ground: strip, hills: hills.collect() })
}

impl Draw for HighMotion {
    fn draw(&mut self, surface: &mut Surface, step: u32) {
        let size = surface.size();
        let whole = Rect::of(size);
        gradient(surface, whole, 0x6f_b1e8, 0xf6_d9a8);
        for (speed, colour, tops) in &self.hills {
            let offset = (step * speed) as usize % tops.len();
            let pixel = bgrx(*colour);
            let highest = tops.iter().min().copied().unwrap_or(0).min(size.height);
            for y in highest..size.height {
                let row = surface.row_mut(&whole, y).as_chunks_mut::<4>().0;
                for (x, to) in row.iter_mut().enumerate() {
                    if tops[(x + offset) % tops.len()] <= y {
                        *to = pixel;
                    }
                }
            }
        }
        let strip = self.ground.size();
        let left = step * 24 % (strip.width - size.width + 1);
        let part = Rect::new(left, 0, size.width, strip.height);
        surface.blit(self.ground.frame(), part, (0, (size.height - strip.height) as i32));
        for at in 0..12u64 {
            let speed = 6 + below(20, self.seed, at, 1);
            let x = (below(size.width, self.seed, at, 2) + step * speed) % size.width;
            let y = below(size.height * 3 / 4, self.seed, at, 3) as f32;
            let bob = (step as f32 * 0.2 + at as f32).sin() * 20.0;
            let colour = hash(self.seed, at, 4) as Colour & 0xff_ffff;
            let radius = size.height as f32 / 36.0;
            disc(surface, (x as f32, y + bob), radius, colour, 255);
            turned_square(
                surface,
                (x as f32, y + bob),
                radius * 0.5,
                step as f32 * 0.3,
                0xff_ffff,
                220,
            );
        }
        surface.touch(whole);
    }
}

struct Chaos {
    seed: u64,
}

pub(super) fn chaos(_: Size, seed: u64) -> Box<dyn Draw> {
    Box::new(Chaos { seed })
}

impl Draw for Chaos {
    fn draw(&mut self, surface: &mut Surface, step: u32) {
        const SHAPES: u64 = 160;
        let size = surface.size();
        surface.fill(Rect::of(size), 0x10_1018);
        for at in 0..SHAPES {
            let number = |way, most| below(most, self.seed, at, way);
            let (speed_x, speed_y) = (3 + number(1, 14), 2 + number(2, 11));
            let along = |speed: u32, way, side: u32| {
                triangle(u64::from(step * speed + number(way, 2 * side)), u64::from(side)) as f32
            };
            let centre = (along(speed_x, 3, size.width), along(speed_y, 4, size.height));
            let radius = size.height as f32 * (0.02 + number(5, 60) as f32 / 1_000.0);
            let colour = hash(self.seed, at, 6) as Colour & 0xff_ffff;
            if at % 2 == 0 {
                let angle = step as f32 * (0.04 + number(7, 100) as f32 / 800.0);
                turned_square(surface, centre, radius, angle, colour, 150);
            } else {
                disc(surface, centre, radius, colour, 150);
            }
        }
    }
}

/// A film in a page: a camera that pans over a landscape past passers-by, under grain that never repeats.
struct Film {
    seed: u64,
    screen: Rect,
    scenery: Surface,
    picture: Surface,
}

pub(super) fn film(size: Size, seed: u64) -> Box<dyn Draw> {
    let (w, h) = (size.width * 2 / 3, size.height * 2 / 3);
    let screen = Rect::new(size.width / 6, size.height / 8, w, h);
    let scenery = photograph(Size::new(w * 5 / 4, h * 5 / 4), seed);
    Box::new(Film { seed, screen, scenery, picture: Surface::new(Size::new(w, h)) })
}

impl Draw for Film {
    fn draw(&mut self, surface: &mut Surface, step: u32) {
        if step == 0 {
            let whole = Rect::of(surface.size());
            let inside = window(surface, whole, "A film", false);
            prose(surface, inside, self.seed, 0);
            panel(surface, "Fri 21 Nov  10:24");
        }
        let (size, scenery) = (self.picture.size(), self.scenery.size());
        let time = step as f32 / FPS as f32;
        let pan = |room: u32, speed: f32| ((time * speed).sin() * 0.5 + 0.5) * room as f32;
        let left = pan(scenery.width - size.width, 0.7) as u32;
        let top = pan(scenery.height - size.height, 0.45) as u32;
        let part = Rect::new(left, top, size.width, size.height);
        self.picture.blit(self.scenery.frame(), part, (0, 0));
        for at in 0..4u64 {
            let speed = 3 + below(6, self.seed, at, 20);
            let x = (below(size.width, self.seed, at, 21) + step * speed) % size.width;
            let centre = (x as f32, size.height as f32 * (0.55 + 0.1 * at as f32));
            let unit = size.height as f32 * 0.06;
            let colour = hash(self.seed, at, 22) as Colour & 0x7f_7f7f;
            disc(&mut self.picture, centre, unit, colour, 255);
            disc(&mut self.picture, (centre.0, centre.1 - unit * 1.3), unit * 0.5, 0xd2_a58a, 255);
        }
        let mut grain = hash(self.seed, u64::from(step), 23) as u32 | 1;
        let whole = Rect::of(size);
        for y in 0..size.height {
            for pixel in self.picture.row_mut(&whole, y).as_chunks_mut::<4>().0 {
                grain = xorshift(grain);
                let (toward, alpha) = if grain & 16 == 0 { (0, 0) } else { (0xff_ffff, 1) };
                *pixel = mix(*pixel, bgrx(toward), (grain & 7) as u8 + alpha);
            }
        }
        surface.blit(self.picture.frame(), whole, (self.screen.x as i32, self.screen.y as i32));
    }
}
