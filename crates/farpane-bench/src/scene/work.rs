//! Scenes in which little of the picture changes: what desktops do most of the time.

use farpane_desktop::draw::{Colour, Surface};
use farpane_media::{Rect, Size};

use super::furniture::{
    DARK, INK, LINE, PANEL, PAPER, Theme, code, code_line, desktop, log_line, panel, window,
};
use super::{Draw, FPS};
use crate::paint::{disc, gradient};
use crate::random::below;
use crate::text::{BOLD, MONO, SANS};

struct Clock {
    seed: u64,
}

pub(super) fn clock(_: Size, seed: u64) -> Box<dyn Draw> {
    Box::new(Clock { seed })
}

impl Draw for Clock {
    fn draw(&mut self, surface: &mut Surface, step: u32) {
        let size = surface.size();
        if step == 0 {
            let desktop = desktop(size, self.seed);
            surface.blit(desktop.frame(), Rect::of(size), (0, 0));
        }
        let hundredths = step * 100 / FPS;
        let (seconds, hundredths) = (hundredths / 100, hundredths % 100);
        let text = format!("10:24:{:02}.{hundredths:02}", seconds % 60);
        let face = Rect::new(size.width / 12, size.height / 2, BOLD.measure(&text) + 40, 44);
        surface.fill(face, 0x10_2030);
        BOLD.draw(surface, face, (face.x + 20, face.y + 11), &text, 0xff_ffff);
    }
}

struct LowMotion {
    seed: u64,
}

pub(super) fn low_motion(_: Size, seed: u64) -> Box<dyn Draw> {
    Box::new(LowMotion { seed })
}

impl Draw for LowMotion {
    fn draw(&mut self, surface: &mut Surface, step: u32) {
        let size = surface.size();
        let (w, h) = (size.width.min(420), size.height.min(150));
        let dialog = Rect::new((size.width - w) / 2, (size.height - h) / 2, w, h);
        let inside = Rect { y: dialog.y + 28, h: dialog.h.saturating_sub(28), ..dialog };
        if step == 0 {
            let desktop = desktop(size, self.seed);
            surface.blit(desktop.frame(), Rect::of(size), (0, 0));
            window(surface, dialog, "Copying", false);
            SANS.draw(
                surface,
                inside,
                (inside.x + 70, inside.y + 20),
                "Copying 1,204 files to backup",
                INK,
            );
        }
        // The spinner turns ten times a second, the bar grows twice, the caret blinks once.
        if step.is_multiple_of(3) {
            let spinner = Rect::new(inside.x + 16, inside.y + 12, 40, 40).intersect(&inside);
            surface.fill(spinner, PAPER);
            for dot in 0..8u32 {
                let angle = dot as f32 * std::f32::consts::TAU / 8.0;
                let centre = (
                    spinner.x as f32 + 20.0 + 14.0 * angle.cos(),
                    spinner.y as f32 + 20.0 + 14.0 * angle.sin(),
                );
                let age = (step / 3 + 8 - dot) % 8;
                disc(surface, centre, 3.5, 0x1a_73e8, (255 - age * 30) as u8);
            }
        }
        if step.is_multiple_of(FPS / 2) {
            let bar = Rect::new(inside.x + 70, inside.y + 50, inside.w.saturating_sub(90), 10);
            surface.fill(bar.intersect(&inside), 0xdd_e1e6);
            let done = bar.w * (step / (FPS / 2) % 40 + 1) / 40;
            surface.fill(Rect { w: done, ..bar }.intersect(&inside), 0x1a_73e8);
            let caret = Rect::new(size.width / 8, size.height / 3, 2, 16);
            let lit = step.is_multiple_of(FPS);
            surface.fill(caret, if lit { DARK.plain } else { DARK.paper });
        }
    }
}

/// Code being written at the end of an editor, key by key.
struct Writer {
    seed: u64,
    rect: Rect,
    line: u64,
    /// Characters of the line that stand already.
    column: usize,
    y: u32,
    theme: Theme,
}

impl Writer {
    fn new(seed: u64, rect: Rect, theme: Theme) -> Writer {
        // In the middle of a page, so that there is something above.
        let lines = (rect.h.saturating_sub(4) / LINE).max(2);
        let y = rect.y + 4 + lines / 2 * LINE;
        Writer { seed, rect, line: u64::from(lines / 2), column: 0, y, theme }
    }

    fn page(&self, surface: &mut Surface) {
        code(surface, self.rect, self.seed, 0, self.theme);
        let below = Rect { y: self.y, h: self.rect.bottom().saturating_sub(self.y), ..self.rect };
        surface.fill(below, self.theme.paper);
    }

    fn x(&self) -> u32 {
        self.rect.x + 52 + self.column as u32 * 8
    }

    fn caret(&self, surface: &mut Surface, colour: Colour) {
        surface.fill(Rect::new(self.x(), self.y, 2, 16).intersect(&self.rect), colour);
    }

    fn key(&mut self, surface: &mut Surface) {
        self.caret(surface, self.theme.paper);
        let pieces = code_line(self.seed, self.line, self.theme);
        let mut letters =
            pieces.iter().flat_map(|(text, ink)| text.chars().map(move |c| (c, *ink)));
        // Indentation comes at once.
        let start = letters.clone().take_while(|(c, _)| *c == ' ').count();
        self.column = self.column.max(start);
        match letters.nth(self.column) {
            Some((letter, ink)) if self.x() + 16 < self.rect.right() => {
                let mut text = [0; 4];
                MONO.draw(
                    surface,
                    self.rect,
                    (self.x(), self.y),
                    letter.encode_utf8(&mut text),
                    ink,
                );
                self.column += 1;
            }
            _ => {
                self.column = 0;
                self.line += 1;
                if self.y + 2 * LINE <= self.rect.bottom() {
                    self.y += LINE;
                } else {
                    surface.scroll_up(self.rect, LINE);
                    let last = Rect {
                        y: self.y,
                        h: self.rect.bottom().saturating_sub(self.y),
                        ..self.rect
                    };
                    surface.fill(last, self.theme.paper);
                }
            }
        }
        self.caret(surface, self.theme.plain);
    }
}

struct Typing(Writer);

pub(super) fn typing(size: Size, seed: u64) -> Box<dyn Draw> {
    let rect = Rect::new(0, 28, size.width, size.height.saturating_sub(28 + PANEL));
    Box::new(Typing(Writer::new(seed, rect, DARK)))
}

impl Draw for Typing {
    fn draw(&mut self, surface: &mut Surface, step: u32) {
        if step == 0 {
            let whole = Rect::of(surface.size());
            window(surface, whole, "session.rs - farpane", true);
            self.0.page(surface);
            panel(surface, "Fri 21 Nov  10:24");
        } else if step % (3 * FPS) < 2 * FPS && step.is_multiple_of(3) {
            self.0.key(surface);
        }
    }
}

struct Developer {
    seed: u64,
    writer: Writer,
    terminal: Rect,
    chart: Rect,
    backdrop: Surface,
    note: Rect,
}

pub(super) fn developer(size: Size, seed: u64) -> Box<dyn Draw> {
    let Size { width: w, height: h } = size;
    let mut backdrop = desktop(size, seed);
    let editor =
        window(&mut backdrop, Rect::new(0, 0, w * 3 / 5, h * 2 / 3), "rate.rs - farpane", true);
    let side = Rect::new(w * 3 / 5, 0, w - w * 3 / 5, h / 3);
    let chart = window(&mut backdrop, side, "Load", false);
    let shell = Rect::new(0, h * 2 / 3, w * 3 / 5, h.saturating_sub(h * 2 / 3 + PANEL));
    let terminal = window(&mut backdrop, shell, "cargo build", true);
    let note = Rect::new(w.saturating_sub(316), (h / 2).min(h.saturating_sub(84)), 300.min(w), 84);
    Box::new(Developer {
        seed,
        writer: Writer::new(seed + 1, editor, DARK),
        terminal,
        chart: Rect { x: chart.x + 4, w: chart.w.saturating_sub(8), ..chart },
        backdrop,
        note,
    })
}

impl Draw for Developer {
    fn draw(&mut self, surface: &mut Surface, step: u32) {
        if step == 0 {
            surface.blit(self.backdrop.frame(), Rect::of(surface.size()), (0, 0));
            self.writer.page(surface);
        }
        if step % 3 == 1 {
            self.writer.key(surface);
        }
        // A build's output comes in bursts.
        if step % FPS < 18 && step.is_multiple_of(2) {
            surface.scroll_up(self.terminal, LINE);
            let top = self.terminal.bottom().saturating_sub(LINE).max(self.terminal.y);
            let last =
                Rect { y: top, h: self.terminal.bottom().saturating_sub(top), ..self.terminal };
            surface.fill(last, DARK.paper);
            log_line(surface, last, top, self.seed, u64::from(step));
        }
        if step.is_multiple_of(FPS / 5) {
            let (at, bars) = (u64::from(step / (FPS / 5)), self.chart.w / 6);
            surface.fill(self.chart, PAPER);
            for bar in 0..bars {
                let load = below(self.chart.h.max(1), self.seed, at + u64::from(bar), 60);
                let x = self.chart.x + bar * 6;
                let column = Rect::new(x, self.chart.bottom() - load, 4, load);
                gradient(surface, column, 0xe4_6a3c, 0x3c_9ae4);
            }
        }
        match step % (3 * FPS) {
            40 => {
                surface.fill(self.note, 0x2d_2f3a);
                let Rect { x, y, .. } = self.note;
                BOLD.draw(surface, self.note, (x + 14, y + 12), "Build finished", 0xff_ffff);
                SANS.draw(
                    surface,
                    self.note,
                    (x + 14, y + 44),
                    "0 errors, 2 warnings, 41.2 s",
                    0xb8_bcc8,
                );
            }
            75 => {
                let Rect { x, y, .. } = self.note;
                surface.blit(self.backdrop.frame(), self.note, (x as i32, y as i32));
            }
            _ => {}
        }
    }
}

struct RedOnBlack {
    seed: u64,
}

pub(super) fn red_on_black(_: Size, seed: u64) -> Box<dyn Draw> {
    Box::new(RedOnBlack { seed })
}

impl RedOnBlack {
    fn line(&self, surface: &mut Surface, y: u32, line: u64) {
        let size = surface.size();
        let text: Vec<&str> =
            (0..20).map(|at| super::furniture::word(self.seed, line, at)).collect();
        let clip = Rect::new(0, y, size.width, LINE);
        MONO.draw(surface, clip, (10, y), &format!("[{line:5}] {}", text.join(" ")), 0xff_0000);
    }
}

impl Draw for RedOnBlack {
    fn draw(&mut self, surface: &mut Surface, step: u32) {
        let size = surface.size();
        let lines = size.height / LINE;
        if step == 0 {
            surface.fill(Rect::of(size), 0);
            (0..lines).for_each(|line| self.line(surface, line * LINE, u64::from(line)));
        } else if step.is_multiple_of(FPS / 3) {
            let text = Rect::new(0, 0, size.width, lines * LINE);
            surface.scroll_up(text, LINE);
            let top = (lines - 1) * LINE;
            surface.fill(Rect::new(0, top, size.width, LINE), 0);
            self.line(surface, top, u64::from(lines + step / (FPS / 3) - 1));
        }
    }
}
