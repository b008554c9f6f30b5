//! RTP headers and their extensions.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| farpane_proto::fuzzing::rtp_header(data));
