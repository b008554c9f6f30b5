//! A [`Surface`] as a capturer hands it on: in pooled frames, each with what was drawn since the one before and when.

use farpane_media::{Clock, Frame, Rect, Size, Time};

use crate::draw::Surface;
use crate::fill::Filler;

pub(crate) struct Canvas {
    pub surface: Surface,
    /// When its damage stopped being empty.
    changed: Time,
    filler: Filler,
}

impl Canvas {
    /// All of it counts as drawn `now`.
    pub fn new(size: Size, now: Time) -> Canvas {
        Canvas { surface: Surface::new(size), changed: now, filler: Filler::new() }
    }

    pub fn is_damaged(&self) -> bool {
        !self.surface.damage().is_empty()
    }

    /// Lets `draw` change the picture at `now`.
    pub fn draw<T>(&mut self, now: Time, draw: impl FnOnce(&mut Surface) -> T) -> T {
        let before = self.is_damaged();
        let result = draw(&mut self.surface);
        if !before && self.is_damaged() {
            self.changed = now;
        }
        result
    }

    /// Notes that all of it is to be shown again.
    pub fn refresh(&mut self, now: Time) {
        self.draw(now, |surface| surface.touch(Rect::of(surface.size())));
    }

    /// A frame of the picture as it is; `None` while all buffers are in use.
    pub fn frame(&mut self, clock: &Clock) -> Option<Frame> {
        let picture = self.surface.frame();
        let (mut frame, lacks) = self.filler.begin(picture.size, &picture.damage)?;
        for rect in lacks.rects() {
            for y in rect.y..rect.bottom() {
                frame.row_mut(rect, y).copy_from_slice(picture.row(rect, y));
            }
        }
        self.filler.finish(&mut frame, &picture.damage, self.changed, clock);
        self.surface.clear_damage();
        Some(frame)
    }
}
