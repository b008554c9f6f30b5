//! Measures codecs as a remote desktop uses them: on drawn desktops or recordings, at given bitrates, in the material's own
//! time, with what a viewer gets to see held against the source.
//!
//! A [`Plan`] says what to run, [`run`] runs it, a [`Report`] is what came of it; [`report`] writes it down.
//! Results but for costs are the same on every machine. The module `pipeline` measures the whole way from a desktop to
//! packets instead, on this machine and in its time.

#![forbid(unsafe_code)]

mod bd_rate;
mod coded;
pub mod ffmpeg;
pub mod file;
pub mod fuzzing;
mod link;
mod material;
mod metrics;
mod own;
mod paint;
#[cfg(feature = "pipeline")]
pub mod pipeline;
mod random;
pub mod report;
mod run;
pub mod scene;
mod summary;
mod text;
mod view;
pub mod y4m;

pub use bd_rate::{Point, bd_rate};
pub use coded::Cost;
pub use material::{Material, Pictures};
pub use metrics::{Quality, psnr};
pub use run::{
    Cell, Coder, Delta, LeftOut, Own, PictureFigures, Plan, Progress, Report, Shown, run,
};
pub use summary::{KeyFrames, Spread, Summary};
pub use view::Look;
