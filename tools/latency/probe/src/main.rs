//! The window that tools/latency measures with.
fn main() {}
