//! The meeting point: web client and signalling.

#![forbid(unsafe_code)]
