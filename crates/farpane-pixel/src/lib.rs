//! Work on pixels, in proportion to what changed: which tiles of a frame really differ ([`Detector`]), and the
//! conversion of just those to an encoder's planes ([`convert`]).
//!
//! Kernels are written once over a small vector trait and chosen at run time; [`Level`] names the choices and lets a
//! program lower them.

#![deny(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(clippy::disallowed_macros, clippy::disallowed_methods, clippy::disallowed_types)
)]

pub mod convert;
mod cpu;
mod damage;
pub mod quality;
mod tiles;
mod vector;

pub use convert::{Chroma, Plane, Planes};
pub use cpu::{Level, UnknownLevel};
pub use damage::Detector;
pub use tiles::{Kernel, TILE};
