//! The first bytes of a TCP connection, as anybody can send them to the meeting point.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| farpane_wire::fuzzing::opening(data));
