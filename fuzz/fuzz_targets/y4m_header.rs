//! Headers of YUV4MPEG2 files.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| farpane_bench::fuzzing::y4m_header(data));
