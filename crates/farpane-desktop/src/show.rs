//! The capturer of pictures that this program draws itself: pacing, wake-ups and frames around a [`Show`].

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use farpane_media::{Clock, Size, Time};

use crate::bell::Bell;
use crate::canvas::Canvas;
use crate::draw::Surface;
use crate::{CaptureError, CaptureHandle, Captured, Capturer, CursorEvent};

/// What is drawn.
pub(crate) trait Show: Send {
    /// Draws the next picture over the one before.
    fn step(&mut self, surface: &mut Surface) -> Result<(), CaptureError>;

    /// Draws what input has arrived and tells how the cursor changed.
    fn react(&mut self, surface: &mut Surface, cursor: &mut VecDeque<CursorEvent>);
}

pub(crate) struct Stage<S> {
    show: S,
    canvas: Canvas,
    clock: Clock,
    bell: Arc<Bell>,
    /// Between two pictures; `None` for one that never changes by itself.
    period: Option<Duration>,
    next_step: Time,
    cursor: VecDeque<CursorEvent>,
}

impl<S: Show> Stage<S> {
    /// How soon to look again for a buffer when all are in use.
    const RETRY: Duration = Duration::from_millis(1);

    pub fn new(
        show: S,
        canvas: Canvas,
        period: Option<Duration>,
        bell: Arc<Bell>,
        clock: Clock,
    ) -> Self {
        let next_step = period.map_or(Time::NEVER, |period| clock.now() + period);
        Stage { show, canvas, clock, bell, period, next_step, cursor: VecDeque::new() }
    }

    /// One step for each period that passed on time; a late caller does not get a burst to catch up.
    fn step_when_due(&mut self, now: Time) -> Result<(), CaptureError> {
        let Some(period) = self.period.filter(|_| now >= self.next_step) else { return Ok(()) };
        self.canvas.draw(now, |surface| self.show.step(surface))?;
        self.next_step = (self.next_step + period).max(now);
        Ok(())
    }
}

impl<S: Show> Capturer for Stage<S> {
    fn size(&self) -> Size {
        self.canvas.surface.size()
    }

    fn rest(&mut self) -> Result<Captured, CaptureError> {
        loop {
            let rung = self.bell.take();
            if rung & Bell::STOP != 0 {
                return Ok(Captured::Stopped);
            }
            if rung & Bell::REFRESH != 0 {
                self.canvas.refresh(self.clock.now());
            }
            if rung != 0 {
                return Ok(Captured::Nothing);
            }
            self.bell.wait(None);
        }
    }

    fn next(&mut self, deadline: Time) -> Result<Captured, CaptureError> {
        loop {
            let rung = self.bell.take();
            let now = self.clock.now();
            if rung & Bell::STOP != 0 {
                return Ok(Captured::Stopped);
            }
            if rung & Bell::REFRESH != 0 {
                self.canvas.refresh(now);
            }
            self.canvas.draw(now, |surface| self.show.react(surface, &mut self.cursor));
            if let Some(event) = self.cursor.pop_front() {
                return Ok(Captured::Cursor(event));
            }
            // A picture is taken before the next is drawn, so that what is seen does not depend on timing.
            if !self.canvas.is_damaged() {
                self.step_when_due(now)?;
            }
            let mut wake = deadline.min(self.next_step);
            if self.canvas.is_damaged() {
                if let Some(frame) = self.canvas.frame(&self.clock) {
                    return Ok(Captured::Frame(frame));
                }
                wake = wake.min(now + Self::RETRY);
            }
            if now >= deadline {
                return Ok(Captured::Nothing);
            }
            self.bell.wait((wake != Time::NEVER).then(|| wake.since(now)));
        }
    }

    fn handle(&self) -> CaptureHandle {
        CaptureHandle(self.bell.clone())
    }
}
