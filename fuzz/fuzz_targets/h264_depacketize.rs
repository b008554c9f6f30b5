//! RTP payloads of any kind in any order.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| farpane_proto::fuzzing::h264_depacketize(data));
