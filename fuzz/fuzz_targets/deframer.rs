//! Packets out of a TCP stream, as a viewer may cut and garble it.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| farpane_proto::fuzzing::deframer(data));
