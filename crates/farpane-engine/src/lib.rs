//! Threads and wiring of the media pipeline.

#![forbid(unsafe_code)]
