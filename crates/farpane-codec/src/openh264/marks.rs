//! Which of the library's pictures are kept, by the slots of a [`Request`](crate::Request).
//!
//! The library makes a picture a long-term one (ITU-T H.264, clause 8.2.5) only when it has heard of the one before, and
//! goes back only to one that it has heard the viewer has got. What is asked for tells both: who wants a picture kept has
//! given up the one in the same slot, and knows that the one in the other has arrived, as does who goes on from it.

use farpane_media::{Region, Slot};

use super::ffi::{Failure, Library};
use super::slice_header::{FRAME_NUMBERS, Marked, SliceHeader};

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Marks {
    /// idr_pic_id of the last key frame.
    key_frame: u32,
    /// frame_num of the last picture.
    last: u32,
    /// The viewer has got it, and the library knows.
    safe: Option<Mark>,
    /// The library waits for word of it.
    pending: Option<Mark>,
}

#[derive(Debug)]
struct Mark {
    slot: Slot,
    /// frame_num
    number: u32,
    /// frame_num of the picture that says so, itself or the one after it. The viewer has got that too.
    by: u32,
    /// What has changed since.
    differs: Region,
}

impl Marks {
    /// The library waits for word of the picture in `slot`.
    pub(super) fn is_pending(&self, slot: Slot) -> bool {
        self.pending.as_ref().is_some_and(|mark| mark.slot == slot)
    }

    /// Where the last picture differs from the one in `slot`, if one is kept there.
    pub(super) fn differs(&self, slot: Slot) -> Option<&Region> {
        let mut marks = self.safe.iter().chain(&self.pending);
        marks.find(|mark| mark.slot == slot).map(|mark| &mark.differs)
    }

    /// The viewer has got the pending picture, or it is given up.
    pub(super) fn hear(&mut self, library: &mut Library, got: bool) -> Result<(), Failure> {
        let Some(mark) = self.pending.take() else { return Ok(()) };
        library.hear(self.key_frame, mark.number, got)?;
        if got {
            self.safe = Some(mark);
        }
        Ok(())
    }

    /// Has the library keep the next picture, if it can: in `slot`.
    pub(super) fn keep(
        &mut self,
        library: &mut Library,
        slot: Option<Slot>,
    ) -> Result<(), Failure> {
        if let Some(slot) = slot {
            self.hear(library, !self.is_pending(slot))?;
        }
        library.set_marking(slot.is_some())
    }

    /// Has the next picture refer to the one in `slot`; returns whether that is there and safe.
    pub(super) fn go_back(&mut self, library: &mut Library, slot: Slot) -> Result<bool, Failure> {
        let Some(mark) = self.safe.as_ref().filter(|mark| mark.slot == slot) else {
            return Ok(false);
        };
        self.pending = None;
        library.set_marking(false)?;
        library.go_back(self.key_frame, mark.by, self.last)?;
        Ok(true)
    }

    /// A picture was coded, anew in `changed` only; returns whether one is kept now, in `slot`.
    pub(super) fn handle_coded(
        &mut self,
        header: SliceHeader,
        slot: Option<Slot>,
        changed: &Region,
    ) -> Option<Slot> {
        self.last = header.number;
        if let Some(key_frame) = header.key_frame {
            *self = Marks { key_frame, last: header.number, ..Marks::default() };
            return None;
        }
        let marks = [&mut self.safe, &mut self.pending].into_iter().flatten();
        marks.for_each(|mark| mark.differs.union(changed));
        let (slot, marked) = slot.zip(header.marks)?;
        let number = match marked {
            Marked::This => header.number,
            Marked::Previous => header.number.checked_sub(1).unwrap_or(FRAME_NUMBERS - 1),
        };
        self.pending = Some(Mark { slot, number, by: header.number, differs: changed.clone() });
        Some(slot)
    }
}
