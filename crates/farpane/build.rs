//! Tells the program which commit it is built from, for the figures that it publishes.

use std::process::Command;

fn main() {
    // Changes with every commit and checkout; and with the sources, whether they are those of the commit.
    println!("cargo::rerun-if-changed=../../.git/logs/HEAD");
    println!("cargo::rerun-if-changed=..");
    let described = Command::new("git")
        .args(["describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"])
        .output()
        .ok()
        .filter(|output| output.status.success())
        .and_then(|output| String::from_utf8(output.stdout).ok());
    let commit = described.as_deref().map_or("unknown", str::trim);
    println!("cargo::rustc-env=FARPANE_COMMIT={commit}");
}
