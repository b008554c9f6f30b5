//! AV1 temporal units into payloads and back.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| farpane_proto::fuzzing::av1_packetize(data));
