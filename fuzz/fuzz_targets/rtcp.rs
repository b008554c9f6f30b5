//! What receivers of plain RTP say.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| farpane_proto::fuzzing::rtcp(data));
