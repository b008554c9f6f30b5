//! Networks in virtual time: what tests of rate control and recovery run over, and what `tools/netlab` does to real programs.
//!
//! A [`Link`] is one direction of a path between two machines. It is sans-IO: datagrams go in with the moment they are
//! sent and come out when they have arrived; the same seed and the same input give the same fate to each. [`SCENARIOS`]
//! are the networks by name. Nothing that is shipped depends on this crate.

#![forbid(unsafe_code)]

mod link;
mod path;
mod random;
mod scenarios;

pub use link::{Counters, Link, Tally};
pub use path::{Limit, Loss, Overflow, Path, Phase, Reorder, Schedule};
pub use random::Random;
pub use scenarios::{SCENARIOS, Scenario};
