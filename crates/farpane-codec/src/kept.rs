//! Pictures that encoder and viewer both keep, to go on from when later ones were lost.
//!
//! An encoder has the samples of its last picture only. Of a kept one it remembers where the last one differs: there it
//! codes anew, and the rest is as the viewer has it. So a recovery costs what changed since, not a key frame.

use farpane_media::Slot;

/// Which slots are taken, and where the last picture differs from theirs.
#[derive(Debug)]
pub(crate) struct Kept {
    held: u8,
    /// Of each block, the slots whose picture has it otherwise.
    differs: Vec<u8>,
    /// Much of the last picture has moved.
    moves: bool,
}

/// Of the blocks, this share is much.
const MUCH: u64 = 16;

impl Kept {
    pub(crate) fn new(blocks: usize) -> Kept {
        Kept { held: 0, differs: vec![0; blocks], moves: false }
    }

    pub(crate) fn holds(&self, slot: Slot) -> bool {
        self.held & bit(slot) != 0
    }

    pub(crate) fn differs(&self, block: usize, slot: Slot) -> bool {
        self.differs[block] & bit(slot) != 0
    }

    /// So many blocks of the picture to code have moved.
    pub(crate) fn handle_moves(&mut self, moved: u64) {
        self.moves = moved * MUCH > self.differs.len() as u64;
    }

    /// How many blocks have to be coded for the next picture to go on from the one in `slot`, or from none, that else would only
    /// have moved.
    pub(crate) fn missing(&self, slot: Option<Slot>) -> u64 {
        if !self.moves {
            return 0;
        }
        let others =
            |slot| self.differs.iter().filter(|differs| **differs & bit(slot) != 0).count();
        let held = slot.filter(|slot| self.holds(*slot));
        held.map_or(self.differs.len(), others) as u64
    }

    /// A picture was coded, anew where `changed` says so; a key frame empties all slots.
    pub(crate) fn handle_coded(&mut self, key_frame: bool, changed: impl Iterator<Item = bool>) {
        if key_frame {
            self.held = 0;
        }
        if self.held != 0 {
            for (differs, changed) in self.differs.iter_mut().zip(changed) {
                *differs |= if changed { self.held } else { 0 };
            }
        }
    }

    /// The picture coded last is kept in `slot`.
    pub(crate) fn keep(&mut self, slot: Slot) {
        self.held |= bit(slot);
        self.differs.iter_mut().for_each(|differs| *differs &= !bit(slot));
    }
}

fn bit(slot: Slot) -> u8 {
    1 << slot as u8
}
