//! What stands on a drawn desktop: wallpaper, windows, panels, code, prose, a terminal, a table.

use farpane_desktop::draw::{Colour, Surface};
use farpane_media::{Rect, Size};

use crate::paint::{disc, gradient, photograph, veil};
use crate::random::{below, hash};
use crate::text::{BOLD, MONO, SANS};

/// Rows of the panel at the bottom of the screen.
pub(super) const PANEL: u32 = 34;
/// Rows of a window's title.
const TITLE: u32 = 28;
/// Rows from one line of text to the next.
pub(super) const LINE: u32 = 19;

pub(super) const PAPER: Colour = 0xfd_fdfb;
pub(super) const INK: Colour = 0x1f_2328;

/// An editor's colours.
#[derive(Clone, Copy)]
pub(super) struct Theme {
    pub paper: Colour,
    pub gutter: Colour,
    pub plain: Colour,
    keyword: Colour,
    kind: Colour,
    string: Colour,
    number: Colour,
    comment: Colour,
}

pub(super) const DARK: Theme = Theme {
    paper: 0x1e_1f29,
    gutter: 0x5a_6078,
    plain: 0xd6_deeb,
    keyword: 0xc7_92ea,
    kind: 0x7f_dbca,
    string: 0xec_c48d,
    number: 0xf7_8c6c,
    comment: 0x63_7777,
};

pub(super) const LIGHT: Theme = Theme {
    paper: 0xff_ffff,
    gutter: 0x9a_a0a6,
    plain: 0x24_292e,
    keyword: 0xd7_3a49,
    kind: 0x6f_42c1,
    string: 0x03_2f62,
    number: 0x00_5cc5,
    comment: 0x6a_737d,
};

const WORDS: [&str; 48] = [
    "frame", "region", "screen", "window", "buffer", "packet", "queue", "clock", "colour", "pixel",
    "stream", "bitrate", "damage", "cursor", "decoder", "encoder", "session", "network", "motion",
    "quality", "sample", "block", "vector", "filter", "index", "table", "picture", "source",
    "target", "budget", "delay", "jitter", "loss", "repair", "layer", "slice", "tile", "plane",
    "entropy", "signal", "noise", "level", "profile", "thread", "memory", "cache", "pointer",
    "key",
];

pub(super) fn word(seed: u64, a: u64, b: u64) -> &'static str {
    WORDS[below(WORDS.len() as u32, seed, a, b) as usize]
}

/// Wallpaper with an editor, a document and a panel on it: a working day's screen.
pub(super) fn desktop(size: Size, seed: u64) -> Surface {
    let mut surface = Surface::new(size);
    wallpaper(&mut surface, seed);
    let (w, h) = (size.width, size.height);
    let editor = Rect::new(w / 40, h / 24, w * 11 / 20, h * 3 / 4);
    let inside = window(&mut surface, editor, "session.rs - farpane", true);
    code(&mut surface, inside, seed, 0, DARK);
    let document = Rect::new(w / 2, h / 7, w * 9 / 20, h * 7 / 10);
    let inside = window(&mut surface, document, "Notes on screen coding", false);
    surface.fill(inside, PAPER);
    prose(&mut surface, inside, seed + 1, 0);
    panel(&mut surface, "Fri 21 Nov  10:24");
    surface
}

fn wallpaper(surface: &mut Surface, seed: u64) {
    let size = surface.size();
    let hues = [(0x2b_5876, 0x4e_4376), (0x13_4e5e, 0x71_b280), (0x3a_1c71, 0xd7_6d77)];
    let (top, bottom) = hues[below(hues.len() as u32, seed, 9, 9) as usize];
    gradient(surface, Rect::of(size), top, bottom);
    let unit = size.height as f32;
    for at in 0..5u64 {
        let place = |way| below(1_000, seed, at, way) as f32 / 1_000.0;
        let centre = (place(1) * size.width as f32, place(2) * unit);
        disc(surface, centre, unit * (0.15 + 0.3 * place(3)), 0xff_ffff, 14);
    }
}

/// Draws a window's frame, title and shadow; returns where its contents go.
pub(super) fn window(surface: &mut Surface, rect: Rect, title: &str, dark: bool) -> Rect {
    for spread in 1..=6 {
        let shadow = Rect::new(
            rect.x.saturating_sub(spread),
            rect.y + spread,
            rect.w + spread * 2,
            rect.h + spread,
        );
        veil(surface, shadow, 0, 12);
    }
    let (bar, ink) = if dark { (0x2b_2d3a, 0xc8_ccd8) } else { (0xe4_e4e7, 0x3f_3f46) };
    let title_bar = Rect { h: TITLE.min(rect.h), ..rect };
    surface.fill(title_bar, bar);
    for (at, colour) in [0xff_5f57, 0xfe_bc2e, 0x28_c840].into_iter().enumerate() {
        let centre = (rect.x as f32 + 16.0 + at as f32 * 20.0, rect.y as f32 + 14.0);
        disc(surface, centre, 6.0, colour, 255);
    }
    let left = rect.x + (rect.w.saturating_sub(SANS.measure(title)) / 2).max(72);
    SANS.draw(surface, title_bar, (left, rect.y + 6), title, ink);
    let inside = Rect { y: rect.y + title_bar.h, h: rect.h - title_bar.h, ..rect };
    surface.fill(inside, if dark { DARK.paper } else { PAPER });
    inside
}

/// The panel at the bottom, with icons and the time.
pub(super) fn panel(surface: &mut Surface, time: &str) {
    let size = surface.size();
    let rect = Rect::new(0, size.height.saturating_sub(PANEL), size.width, PANEL);
    surface.fill(rect, 0x1b_1d24);
    let icons = [0x42_85f4, 0xdb_4437, 0xf4_b400, 0x0f_9d58, 0x8e_6bd8, 0x00_acc1];
    for (at, colour) in (0..).zip(icons) {
        let icon = Rect::new(10 + at * 34, rect.y + 6, 22, 22);
        gradient(surface, icon, colour, (colour / 2) & 0x7f_7f7f);
        disc(surface, (icon.x as f32 + 11.0, icon.y as f32 + 11.0), 5.0, 0xff_ffff, 200);
    }
    let left = size.width.saturating_sub(SANS.measure(time) + 16);
    SANS.draw(surface, rect, (left, rect.y + 9), time, 0xe8_eaed);
}

/// One line of code as coloured pieces, the same for the same seed and line.
pub(super) fn code_line(seed: u64, line: u64, theme: Theme) -> Vec<(String, Colour)> {
    let Theme { plain, keyword, kind, string, number, comment, .. } = theme;
    let word = |at| word(seed, line, at).to_owned();
    let indent = " ".repeat(4 * (1 + below(3, seed, line, 90)) as usize);
    let value = below(4_000, seed, line, 91).to_string();
    let p = |text: &str| (text.to_owned(), plain);
    match below(9, seed, line, 92) {
        0 => vec![],
        1 => vec![(
            format!("{indent}// The {} of a {} is known {}.", word(1), word(2), word(3)),
            comment,
        )],
        2 => vec![
            (format!("{indent}fn "), keyword),
            (word(1), number),
            p("("),
            (word(2), plain),
            p(": &"),
            ("Region".into(), kind),
            p(") -> "),
            ("Option".into(), kind),
            p("<usize> {"),
        ],
        3 => vec![
            (format!("{indent}let "), keyword),
            (format!("{}_{}", word(1), word(2)), plain),
            p(" = "),
            (value, number),
            p(" + self."),
            (word(3), plain),
            p("();"),
        ],
        4 => vec![
            (format!("{indent}if "), keyword),
            (format!("{}.{}() > ", word(1), word(2)), plain),
            (value, number),
            p(" {"),
        ],
        5 => vec![
            (format!("{indent}tracing::"), plain),
            ("debug!".into(), kind),
            p("("),
            (format!("\"{} of {} lost\"", word(1), word(2)), string),
            p(");"),
        ],
        6 => vec![(format!("{indent}}}"), plain)],
        7 => vec![
            (format!("{indent}Some"), kind),
            (format!("({}) => self.{}.push({}),", word(1), word(2), word(1)), plain),
        ],
        _ => vec![
            (format!("{indent}self.{}", word(1)), plain),
            (format!(".{}()", word(2)), plain),
            (format!(".map(|{}| ", word(3)), plain),
            (value, number),
            p(");"),
        ],
    }
}

/// Fills `rect` with code from line `first` on.
pub(super) fn code(surface: &mut Surface, rect: Rect, seed: u64, first: u64, theme: Theme) {
    surface.fill(rect, theme.paper);
    for (line, y) in (first..).zip((rect.y + 4..rect.bottom()).step_by(LINE as usize)) {
        MONO.draw(surface, rect, (rect.x + 8, y), &format!("{:4}", line + 1), theme.gutter);
        let mut x = rect.x + 52;
        for (text, colour) in code_line(seed, line, theme) {
            x = MONO.draw(surface, rect, (x, y), &text, colour);
        }
    }
}

/// Fills `rect` with paragraphs under headings, from line `first` on; every fortieth line starts a figure.
pub(super) fn prose(surface: &mut Surface, rect: Rect, seed: u64, first: u64) {
    let margin = (rect.w / 16).min(60);
    let right = rect.right().saturating_sub(margin);
    for (line, y) in (first..).zip((rect.y + 8..rect.bottom()).step_by(LINE as usize)) {
        let mut x = rect.x + margin;
        match line % 40 {
            0 => {
                let text = format!(
                    "{}. The {} of a {}",
                    line / 40 + 1,
                    word(seed, line, 1),
                    word(seed, line, 2)
                );
                BOLD.draw(surface, rect, (x, y), &text, INK);
            }
            // The lines beside a figure, which stays on its first line.
            28..=36 => {
                if line % 40 == 28 || line == first {
                    let top = y as i32 - (line % 40 - 28) as i32 * LINE as i32;
                    let figure = photograph(
                        Size::new(rect.w.saturating_sub(2 * margin).clamp(1, 420), 8 * LINE),
                        seed + line / 40,
                    );
                    let skip = (rect.y as i32 - top).max(0) as u32;
                    let size = figure.size();
                    if skip < size.height {
                        let shown = (size.height - skip)
                            .min(rect.bottom().saturating_sub(top.max(0) as u32));
                        let part = Rect::new(0, skip, size.width, shown);
                        surface.blit(figure.frame(), part, (x as i32, top + skip as i32));
                    }
                }
            }
            // A paragraph's end.
            1 | 10 | 19 | 27 | 37 => {}
            _ => {
                for at in 0.. {
                    let text = word(seed, line, at);
                    if x + SANS.measure(text) > right {
                        break;
                    }
                    let link = hash(seed, line, at + 500).is_multiple_of(29);
                    let ink = if link { 0x1a_5fb4 } else { INK };
                    x = SANS.draw(surface, rect, (x, y), text, ink) + 4;
                }
            }
        }
    }
}

/// One line of a build's output in a terminal.
pub(super) fn log_line(surface: &mut Surface, rect: Rect, y: u32, seed: u64, line: u64) {
    let (verb, colour) = match below(8, seed, line, 1) {
        0 => ("warning", 0xe5_c07b),
        1 => ("  Fresh", 0x56_b6c2),
        _ => ("Compiling", 0x98_c379),
    };
    let x = MONO.draw(surface, rect, (rect.x + 8, y), &format!("{verb:>12} "), colour);
    let text = format!(
        "{}-{} v{}.{}.{}",
        word(seed, line, 2),
        word(seed, line, 3),
        below(3, seed, line, 4),
        below(30, seed, line, 5),
        below(12, seed, line, 6)
    );
    MONO.draw(surface, rect, (x, y), &text, 0xab_b2bf);
}

/// Fills `rect` with a table of numbers whose columns are [`COLUMN`] wide, from column `first` on.
pub(super) fn table(surface: &mut Surface, rect: Rect, seed: u64, first: u64) {
    surface.fill(rect, 0xff_ffff);
    for (column, x) in (first..).zip((rect.x..rect.right()).step_by(COLUMN as usize)) {
        surface.fill(Rect::new(x, rect.y, COLUMN - 1, LINE).intersect(&rect), 0xee_f1f5);
        SANS.draw(surface, rect, (x + 8, rect.y + 1), word(seed, column, 1), 0x44_5566);
        for (row, y) in (1u64..).zip((rect.y + LINE..rect.bottom()).step_by(LINE as usize)) {
            let value = below(200_000, seed, column, row);
            let ink = if value < 20_000 { 0xc0_2a2a } else { INK };
            let text = format!("{}.{:02}", value / 100, value % 100);
            let left = (x + COLUMN).saturating_sub(SANS.measure(&text) + 10);
            SANS.draw(surface, rect, (left, y + 1), &text, ink);
            surface.fill(Rect::new(x, y + LINE - 1, COLUMN, 1).intersect(&rect), 0xe3_e6ea);
        }
        surface.fill(Rect::new(x + COLUMN - 1, rect.y, 1, rect.h).intersect(&rect), 0xd5_d9de);
    }
}

/// Columns of pixels of a table's column.
pub(super) const COLUMN: u32 = 96;
