//! Parity packets, from outside and our own.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| farpane_proto::fuzzing::fec(data));
