//! Replays the fuzz corpora.

use std::fs;
use std::path::Path;

use farpane_wire::fuzzing;

type Body = fn(&[u8]);

#[test]
fn fuzz_inputs_keep_every_promise() {
    let targets: [(&str, Body); 3] = [
        ("wire_signal", fuzzing::signal),
        ("wire_channel", fuzzing::channel),
        ("wire_opening", fuzzing::opening),
    ];
    for (target, body) in targets {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
        let files = fs::read_dir(corpus).unwrap();
        let count = files.map(|file| body(&fs::read(file.unwrap().path()).unwrap())).count();
        assert!(count > 0, "{target} has a corpus");
    }
}
