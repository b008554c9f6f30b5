//! The farpane command.
fn main() {}
