//! Messages of the data channels and of streams; the first byte picks the channel.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| farpane_wire::fuzzing::channel(data));
