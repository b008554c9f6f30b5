//! One-time codes and the password-authenticated key exchange.

#![forbid(unsafe_code)]
