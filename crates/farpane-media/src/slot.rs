//! Where sender and viewer keep a picture, beside the one shown last.

/// A place for a kept picture, in the encoder and in every decoder (H.264: a long-term frame index).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slot {
    First,
    Second,
}

impl Slot {
    pub const ALL: [Slot; 2] = [Slot::First, Slot::Second];

    pub const fn other(self) -> Slot {
        match self {
            Slot::First => Slot::Second,
            Slot::Second => Slot::First,
        }
    }
}
