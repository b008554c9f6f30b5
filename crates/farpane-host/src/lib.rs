//! A shared desktop: admission, consent and the life of a session.

#![forbid(unsafe_code)]
