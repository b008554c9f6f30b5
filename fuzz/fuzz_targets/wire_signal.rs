//! Signalling messages, as anybody can send them to a host.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| farpane_wire::fuzzing::signal(data));
