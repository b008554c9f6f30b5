//! One-time codes and the password-authenticated key exchange: how a viewer proves to the host that it knows the
//! code, and how both then talk past a meeting point that neither has to trust.
//!
//! [`Share`] is the host's side of one code: it counts attempts, holds the expiry and runs the exchanges.
//! [`ViewerHandshake`] is the other side. Both end with [`SessionKeys`], which make a [`Seal`] and an [`Open`].
//! Nothing here reads a clock or a socket: time comes in as a [`std::time::Duration`] since any fixed moment.

#![forbid(unsafe_code)]

mod code;
pub mod fuzzing;
mod handshake;
mod seal;
mod share;
mod suite;
mod viewer;

pub use code::{Code, CodeError, ROUTING_SYMBOLS, RoutingId, SECRET_SYMBOLS, Secret};
pub use handshake::{HostHandshake, Step};
pub use seal::{MediaKeys, Open, Seal, SealError, SessionKeys};
pub use share::{
    CODE_LIFETIME, EXCHANGE_TIMEOUT, ExchangeId, MAX_WRONG_ATTEMPTS, Refused, Share, ShareState,
};
pub use suite::{
    ARGON2_ITERATIONS, ARGON2_MEMORY_KIB, ARGON2_PARALLELISM, HOST_IDENTITY, SetupError,
};
pub use viewer::{ViewerError, ViewerHandshake};
