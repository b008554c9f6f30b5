//! Lock-free hand-off between the pipeline's threads, one producer and one consumer each.
//!
//! [`latest`] carries pictures: only the newest counts, and what it displaces comes back to the producer. [`ring`]
//! carries packets: all count, in order, and a full ring refuses. Neither allocates after creation, neither blocks or
//! wakes anybody: the thread that has published wakes the other one by whatever that one sleeps on.
//!
//! `RUSTFLAGS="--cfg loom" cargo test -p farpane-queue --release loom` explores every interleaving of small runs.

#![deny(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(clippy::disallowed_macros, clippy::disallowed_methods, clippy::disallowed_types)
)]

mod latest;
mod primitive;
mod ring;

pub use latest::{Publisher, Taker, latest};
pub use ring::{Consumer, Producer, ring};
