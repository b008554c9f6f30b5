//! A viewer that does not know the code and tries everything.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| farpane_auth::fuzzing::handshake(data));
