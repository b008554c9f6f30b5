//! H.264 access units into payloads and back.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| farpane_proto::fuzzing::h264_packetize(data));
