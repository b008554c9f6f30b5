//! Scenes in which all of the picture is another one at once.

use farpane_desktop::draw::Surface;
use farpane_media::{Rect, Size};

use super::furniture::{DARK, LIGHT, PAPER, Theme, code, desktop, panel, prose, table, window};
use super::{Draw, FPS};
use crate::paint::photograph;

/// Pages that were drawn in advance, shown in turns.
struct Slides {
    pages: Vec<Surface>,
    /// Steps a page stays.
    stay: u32,
}

impl Draw for Slides {
    fn draw(&mut self, surface: &mut Surface, step: u32) {
        if step.is_multiple_of(self.stay) {
            let page = &self.pages[(step / self.stay) as usize % self.pages.len()];
            surface.blit(page.frame(), Rect::of(page.size()), (0, 0));
        }
    }
}

pub(super) fn page_switch(size: Size, seed: u64) -> Box<dyn Draw> {
    let editor = |theme: Theme, title| {
        let mut page = Surface::new(size);
        let inside = window(&mut page, Rect::of(size), title, theme.paper == DARK.paper);
        code(&mut page, inside, seed + 2, 100, theme);
        panel(&mut page, "Fri 21 Nov  10:24");
        page
    };
    let document = {
        let mut page = Surface::new(size);
        let inside = window(&mut page, Rect::of(size), "Notes on screen coding", false);
        page.fill(inside, PAPER);
        prose(&mut page, Rect { x: size.width / 8, w: size.width * 3 / 4, ..inside }, seed, 0);
        panel(&mut page, "Fri 21 Nov  10:24");
        page
    };
    let sheet = {
        let mut page = Surface::new(size);
        let inside = window(&mut page, Rect::of(size), "Measurements", false);
        table(&mut page, inside, seed, 0);
        panel(&mut page, "Fri 21 Nov  10:24");
        page
    };
    let pages = vec![
        document,
        editor(DARK, "session.rs - farpane"),
        sheet,
        desktop(size, seed),
        editor(LIGHT, "region.rs - farpane"),
    ];
    Box::new(Slides { pages, stay: FPS })
}

pub(super) fn photo(size: Size, seed: u64) -> Box<dyn Draw> {
    let pages = (0..3).map(|at| photograph(size, seed + at)).collect();
    Box::new(Slides { pages, stay: FPS * 3 / 2 })
}
