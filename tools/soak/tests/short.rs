//! A few still moments of each format, on a real X server.

use std::process::Command;

/// Runs the tool and checks that it compared as many pictures as it was told to.
fn soak(arguments: &str) {
    let out = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(arguments.replace(' ', ""));
    let soak = Command::new(env!("CARGO_BIN_EXE_farpane-soak"))
        .args(["--moments", "4", "--minutes", "10", "--out"])
        .arg(out)
        .args(arguments.split(' '))
        .output()
        .expect("it was built for this test");
    let said = String::from_utf8_lossy(&soak.stderr);
    assert!(soak.status.success(), "{said}");
    let summary = String::from_utf8_lossy(&soak.stdout);
    assert!(summary.contains("\"moments\":4"), "{summary}\n{said}");
}

#[test]
fn h264_leaves_nothing_stale() {
    soak("--codec h264 --chroma 420 --seed 1");
}

#[test]
fn h264_with_sharp_colour_leaves_nothing_stale() {
    soak("--codec h264 --chroma 444 --seed 2");
}

#[test]
fn av1_leaves_nothing_stale() {
    soak("--codec av1 --chroma 420 --seed 3");
}
