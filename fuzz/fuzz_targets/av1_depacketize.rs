//! RTP payloads of any kind in any order, taken for AV1.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| farpane_proto::fuzzing::av1_depacketize(data));
