//! FFmpeg's decoder, which is Chromium's, for tests: it takes what OpenH264's does not.

use std::io::Write;
use std::process::{Command, Stdio};

/// Decodes an Annex B stream into the samples of its pictures, one after the other: Y, U and V without padding, sampled
/// as `format` says (FFmpeg's names: yuv420p, yuv444p).
///
/// # Panics
/// If there is no `ffmpeg`, or it finds an error in the stream.
pub(crate) fn decode(stream: &[u8], format: &str) -> Vec<u8> {
    let mut ffmpeg = Command::new("ffmpeg")
        .args(["-v", "warning", "-flags", "output_corrupt", "-f", "h264", "-i", "pipe:0"])
        .args(["-fps_mode", "passthrough", "-f", "rawvideo", "-pix_fmt", format, "pipe:1"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("ffmpeg is installed");
    let mut input = ffmpeg.stdin.take().expect("it is piped");
    let output = std::thread::scope(|scope| {
        scope.spawn(move || input.write_all(stream).expect("ffmpeg reads all of the stream"));
        ffmpeg.wait_with_output().expect("ffmpeg ends")
    });
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "ffmpeg: {said}");
    output.stdout
}
