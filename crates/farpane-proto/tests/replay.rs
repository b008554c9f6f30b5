//! Replays the fuzz corpora and every input that once broke a promise.

use std::fs;
use std::path::Path;

use farpane_proto::fuzzing;

type Body = fn(&[u8]);

/// Runs `body` on each file for `target`, and returns how many there were.
fn replay(target: &str, body: Body) -> usize {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folders =
        [root.join("../../fuzz/corpus").join(target), root.join("tests/fixtures").join(target)];
    let files = folders.iter().filter_map(|folder| fs::read_dir(folder).ok()).flatten();
    files.map(|file| body(&fs::read(file.unwrap().path()).unwrap())).count()
}

#[test]
fn fuzz_inputs_keep_every_promise() {
    let targets: [(&str, Body); 5] = [
        ("rtp_header", fuzzing::rtp_header),
        ("h264_packetize", fuzzing::h264_packetize),
        ("h264_depacketize", fuzzing::h264_depacketize),
        ("av1_packetize", fuzzing::av1_packetize),
        ("av1_depacketize", fuzzing::av1_depacketize),
    ];
    for (target, body) in targets {
        assert!(replay(target, body) > 0, "{target} has a corpus");
    }
}
