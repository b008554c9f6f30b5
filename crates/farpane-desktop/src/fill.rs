//! Turns "this region changed" into pooled frames, telling what a recycled buffer still lacks.

use farpane_media::{Age, Clock, DamageLog, Frame, FramePool, Rect, Region, Size, Stamps, Time};

/// The pool and the damage history behind one capturer.
pub(crate) struct Filler {
    pool: FramePool,
    log: DamageLog,
    size: Size,
    lacks: Region,
}

impl Filler {
    /// One frame is filled, one waits and one is encoded.
    const BUFFERS: usize = 3;

    pub fn new() -> Filler {
        Filler {
            pool: FramePool::new(Self::BUFFERS),
            log: DamageLog::default(),
            size: Size::default(),
            lacks: Region::new(),
        }
    }

    /// A buffer to fill and the region to fill: `damage` and what the buffer missed before. `None` while all are in use.
    pub fn begin(&mut self, size: Size, damage: &Region) -> Option<(Frame, &Region)> {
        if self.size != size {
            self.size = size;
            self.log.reset();
        }
        let mut frame = self.pool.acquire(size)?;
        match self.log.since(frame.seq, &mut self.lacks) {
            Age::Lacks => self.lacks.union(damage),
            Age::Unknown => self.lacks.set(Rect::of(size)),
        }
        // Until it is finished its contents mean nothing.
        frame.seq = 0;
        Some((frame, &self.lacks))
    }

    /// Numbers and stamps a filled frame. `damage` must cover all that was written and differs from the frame before.
    pub fn finish(&mut self, frame: &mut Frame, damage: &Region, changed: Time, clock: &Clock) {
        frame.damage.clone_from(damage);
        frame.seq = self.log.push(damage);
        frame.stamps = Stamps { changed, captured: clock.now(), ..Stamps::default() };
    }
}
