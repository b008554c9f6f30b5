//! Replays the fuzz corpora, with every input that once broke a promise.

use std::fs;
use std::path::Path;

use farpane_proto::fuzzing;

type Body = fn(&[u8]);

/// Runs `body` on each file for `target`, and returns how many there were.
fn replay(target: &str, body: Body) -> usize {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let files = fs::read_dir(corpus).unwrap();
    files.map(|file| body(&fs::read(file.unwrap().path()).unwrap())).count()
}

#[test]
fn fuzz_inputs_keep_every_promise() {
    let targets: [(&str, Body); 8] = [
        ("rtp_header", fuzzing::rtp_header),
        ("h264_packetize", fuzzing::h264_packetize),
        ("h264_depacketize", fuzzing::h264_depacketize),
        ("av1_packetize", fuzzing::av1_packetize),
        ("av1_depacketize", fuzzing::av1_depacketize),
        ("deframer", fuzzing::deframer),
        ("fec", fuzzing::fec),
        ("rtcp", fuzzing::rtcp),
    ];
    for (target, body) in targets {
        assert!(replay(target, body) > 0, "{target} has a corpus");
    }
}
