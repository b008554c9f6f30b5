//! Points the embedding at the built web client, or, where that has not been built, at a page that says how to.

use std::path::PathBuf;
use std::{env, fs};

const NOTICE: &str = "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>Farpane</title>\n\
    <h1>The web client is not in this build</h1>\n\
    <p>Run <code>npm ci &amp;&amp; npm run build</code> in <code>web/</code>, then build Farpane again. \
    <code>tools/run</code> does both.</p>\n</html>\n";

fn main() {
    let built = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"))
        .join("../../web/dist");
    println!("cargo::rerun-if-changed={}", built.display());
    let folder = if built.join("index.html").is_file() {
        built
    } else {
        let notice = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it")).join("notice");
        fs::create_dir_all(&notice).expect("OUT_DIR is writable");
        fs::write(notice.join("index.html"), NOTICE).expect("OUT_DIR is writable");
        notice
    };
    println!("cargo::rustc-env=FARPANE_WEB={}", folder.display());
}
