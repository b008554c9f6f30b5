//! A captured picture and the pool its buffer comes from and returns to.
//!
//! A pooled buffer remembers which frame it last held, so that a capturer copies only what that buffer lacks (*buffer
//! age*, as in `EGL_EXT_buffer_age`): [`DamageLog::since`] says which region that is. The pool belongs to the capturing
//! thread; frames find their way back over a bounded channel from whichever thread drops them, without a lock and
//! without an allocation.

use std::collections::VecDeque;
use std::ops::{Deref, DerefMut};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use crate::{Rect, Region, Size, Time};

/// When each stage finished with a frame; [`Time::ZERO`] where it has not been there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stamps {
    /// The change was first known: the damage event, or the tick of a synthetic source.
    pub changed: Time,
    /// The pixels had been read; for what the network is told, this is the capture time.
    pub captured: Time,
    /// The video thread took the frame from the queue.
    pub taken: Time,
    /// Damage had been narrowed to what really differs.
    pub narrowed: Time,
    /// Damaged rows had been converted to the codec's planes.
    pub converted: Time,
    /// The access unit was complete.
    pub encoded: Time,
    /// All of its packets were handed to the network thread.
    pub packetized: Time,
    /// The last packet was written to the transport.
    pub sent: Time,
}

/// What a [`Frame`] holds. Pixels are BGRX, 8 bits each, rows `stride` bytes apart; X is undefined.
#[derive(Debug, Default)]
pub struct FrameBody {
    pub size: Size,
    /// Bytes from one row to the next, at least `4 * size.width`.
    pub stride: usize,
    pub pixels: Vec<u8>,
    /// Counts captured frames from 1; a gap means that frames were displaced in a queue.
    pub seq: u64,
    /// A superset of the pixels that differ from the frame that the consumer took before this one.
    pub damage: Region,
    pub stamps: Stamps,
}

impl FrameBody {
    /// The pixels of one row of `rect`, which must lie within the frame.
    pub fn row(&self, rect: &Rect, y: u32) -> &[u8] {
        let start = y as usize * self.stride + rect.x as usize * 4;
        &self.pixels[start..start + rect.w as usize * 4]
    }

    /// As [`FrameBody::row`], writable.
    pub fn row_mut(&mut self, rect: &Rect, y: u32) -> &mut [u8] {
        let start = y as usize * self.stride + rect.x as usize * 4;
        &mut self.pixels[start..start + rect.w as usize * 4]
    }
}

/// A picture in a pooled buffer; dropping it, on any thread, gives the buffer back.
#[derive(Debug)]
pub struct Frame {
    /// Always `Some` until dropped.
    body: Option<Box<FrameBody>>,
    home: SyncSender<Box<FrameBody>>,
}

impl Frame {
    /// Takes over the damage of a frame that the consumer never saw.
    pub fn absorb(&mut self, displaced: &Frame) {
        let size = self.size;
        if displaced.size == size {
            self.damage.union(&displaced.damage);
        } else {
            self.damage.set(Rect::of(size));
        }
        self.stamps.changed = self.stamps.changed.min(displaced.stamps.changed);
    }
}

impl Deref for Frame {
    type Target = FrameBody;

    fn deref(&self) -> &FrameBody {
        self.body.as_ref().expect("a frame has a body until it is dropped")
    }
}

impl DerefMut for Frame {
    fn deref_mut(&mut self) -> &mut FrameBody {
        self.body.as_mut().expect("a frame has a body until it is dropped")
    }
}

impl Drop for Frame {
    fn drop(&mut self) {
        // A full or closed channel means that the pool is gone: then the buffer is simply freed.
        if let Some(body) = self.body.take() {
            let _ = self.home.try_send(body);
        }
    }
}

/// A bounded set of frame buffers, owned by the thread that fills them.
#[derive(Debug)]
pub struct FramePool {
    #[expect(clippy::vec_box, reason = "the boxes travel with the frames and are never made anew")]
    free: Vec<Box<FrameBody>>,
    returned: Receiver<Box<FrameBody>>,
    home: SyncSender<Box<FrameBody>>,
    allocated: usize,
    capacity: usize,
}

impl FramePool {
    /// At most `capacity` buffers. Three let one be filled, one wait and one be encoded.
    pub fn new(capacity: usize) -> FramePool {
        let (home, returned) = sync_channel(capacity);
        FramePool { free: Vec::with_capacity(capacity), returned, home, allocated: 0, capacity }
    }

    /// A buffer for a picture of `size`: the one that held the most recent frame, since it lacks least. Its `seq` is
    /// the frame it still holds, or 0 when its contents mean nothing. `None` while all are in use.
    pub fn acquire(&mut self, size: Size) -> Option<Frame> {
        self.free.extend(self.returned.try_iter());
        let stale = self.free.len();
        self.free.retain(|body| body.size == size);
        self.allocated -= stale - self.free.len();
        let youngest = (0..self.free.len()).max_by_key(|at| self.free[*at].seq);
        let body = match youngest {
            Some(at) => self.free.swap_remove(at),
            None if self.allocated < self.capacity => {
                self.allocated += 1;
                let stride = size.width as usize * 4;
                let pixels = vec![0; stride * size.height as usize];
                Box::new(FrameBody { size, stride, pixels, ..FrameBody::default() })
            }
            None => return None,
        };
        Some(Frame { body: Some(body), home: self.home.clone() })
    }
}

/// What a buffer lacks to become the current picture.
#[derive(Debug, PartialEq, Eq)]
pub enum Age {
    /// It lacks exactly the region that was written out.
    Lacks,
    /// Too old or never filled: it lacks everything.
    Unknown,
}

/// The damage of the last few frames, to find what a buffer of some age lacks.
#[derive(Debug, Default)]
pub struct DamageLog {
    entries: VecDeque<Region>,
    newest: u64,
}

impl DamageLog {
    /// More than the buffers of any pool here; an older buffer is filled whole.
    const DEPTH: usize = 8;

    /// Notes that frame `newest() + 1` differs from its predecessor by `damage`, and returns its number.
    pub fn push(&mut self, damage: &Region) -> u64 {
        let mut entry = if self.entries.len() == Self::DEPTH {
            self.entries.pop_front().unwrap_or_default()
        } else {
            Region::new()
        };
        entry.clone_from(damage);
        self.entries.push_back(entry);
        self.newest += 1;
        self.newest
    }

    /// The number of the newest frame, 0 before the first.
    pub fn newest(&self) -> u64 {
        self.newest
    }

    /// Writes to `out` what changed after frame `seq` up to the newest.
    pub fn since(&self, seq: u64, out: &mut Region) -> Age {
        out.clear();
        let missed = self.newest - seq.min(self.newest);
        if seq == 0 || missed > self.entries.len() as u64 {
            return Age::Unknown;
        }
        self.entries.iter().rev().take(missed as usize).for_each(|damage| out.union(damage));
        Age::Lacks
    }

    /// Forgets all history (after a size change): every older buffer is then of unknown age.
    pub fn reset(&mut self) {
        self.entries.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: Size = Size::new(8, 8);

    #[test]
    fn the_youngest_buffer_comes_back_first() {
        let mut pool = FramePool::new(3);
        let frames: Vec<Frame> = (1..=3)
            .map(|seq| {
                let mut frame = pool.acquire(SIZE).unwrap();
                frame.seq = seq;
                frame
            })
            .collect();
        assert!(pool.acquire(SIZE).is_none(), "the pool is bounded");
        drop(frames);
        assert_eq!(pool.acquire(SIZE).unwrap().seq, 3);
    }

    #[test]
    fn frames_return_from_another_thread() {
        let mut pool = FramePool::new(1);
        let frame = pool.acquire(SIZE).unwrap();
        std::thread::spawn(move || drop(frame)).join().unwrap();
        assert!(pool.acquire(SIZE).is_some());
    }

    #[test]
    fn a_new_size_replaces_the_buffers() {
        let mut pool = FramePool::new(1);
        drop(pool.acquire(SIZE).unwrap());
        let frame = pool.acquire(Size::new(4, 2)).unwrap();
        assert_eq!((frame.pixels.len(), frame.seq), (32, 0));
    }

    #[test]
    fn a_frame_outlives_its_pool() {
        let mut pool = FramePool::new(1);
        let frame = pool.acquire(SIZE).unwrap();
        drop(pool);
        drop(frame);
    }

    #[test]
    fn the_log_tells_what_a_buffer_lacks() {
        let mut log = DamageLog::default();
        let first = log.push(&Rect::of(SIZE).into());
        log.push(&Rect::new(0, 0, 1, 1).into());
        log.push(&Rect::new(5, 5, 1, 1).into());
        let mut lacks = Region::new();
        assert_eq!(log.since(first, &mut lacks), Age::Lacks);
        assert_eq!(lacks.area(), 2);
        assert_eq!(log.since(log.newest(), &mut lacks), Age::Lacks);
        assert!(lacks.is_empty());
        assert_eq!(log.since(0, &mut lacks), Age::Unknown);
        for _ in 0..DamageLog::DEPTH {
            log.push(&Region::new());
        }
        assert_eq!(log.since(first, &mut lacks), Age::Unknown);
        log.reset();
        assert_eq!(log.since(log.newest() - 1, &mut lacks), Age::Unknown);
    }

    #[test]
    fn absorbing_keeps_damage_as_a_region() {
        let mut pool = FramePool::new(2);
        let (mut old, mut new) = (pool.acquire(SIZE).unwrap(), pool.acquire(SIZE).unwrap());
        old.damage.set(Rect::new(0, 0, 1, 1));
        new.damage.set(Rect::new(7, 7, 1, 1));
        new.absorb(&old);
        assert_eq!(new.damage.area(), 2);
    }
}
