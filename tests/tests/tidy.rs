//! Rules of the house that a compiler does not hold: who may depend on whom, where `unsafe` may be, that documents name
//! what exists, that every file says what it is, and which licences come in.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// The crates from bottom to top. An arrow may only point to a crate named earlier.
const ORDER: [&str; 15] = [
    "farpane-media",
    "farpane-pixel",
    "farpane-queue",
    "farpane-desktop",
    "farpane-codec",
    "farpane-wire",
    "farpane-proto",
    "farpane-auth",
    "farpane-transport",
    "farpane-engine",
    "farpane-bench",
    "farpane-host",
    "farpane-server",
    "farpane",
    // Last, so that none but tests may depend on it.
    "farpane-testkit",
];

/// Arrows that the order would allow and the design does not.
const FORBIDDEN: [(&str, &str); 8] = [
    ("farpane-pixel", "farpane-queue"),
    ("farpane-server", "farpane-proto"),
    ("farpane-server", "farpane-engine"),
    ("farpane-server", "farpane-host"),
    ("farpane-proto", "farpane-pixel"),
    ("farpane-proto", "farpane-desktop"),
    ("farpane-proto", "farpane-codec"),
    ("farpane-host", "farpane-server"),
];

/// The crates on a frame's way from the desktop to the network.
const FRAME_WAY: [&str; 8] = [
    "farpane-media",
    "farpane-pixel",
    "farpane-queue",
    "farpane-desktop",
    "farpane-codec",
    "farpane-proto",
    "farpane-transport",
    "farpane-engine",
];

/// The files that may contain `unsafe`.
const UNSAFE: &[&str] = &[
    "crates/farpane-codec/src/av1/ffi.rs",
    "crates/farpane-codec/src/openh264/ffi.rs",
    "crates/farpane-codec/src/screen/crew.rs",
    "crates/farpane-codec/tests/allocations.rs",
    "crates/farpane-desktop/src/x11/segment.rs",
    "crates/farpane-engine/tests/allocations.rs",
    "crates/farpane-engine/tests/touched.rs",
    "crates/farpane-pixel/src/tiles.rs",
    "crates/farpane-pixel/src/vector.rs",
    "crates/farpane-queue/src/latest.rs",
    "crates/farpane-queue/src/ring.rs",
    "tools/netlab/src/kernel.rs",
];

/// Licences that may come in with a dependency.
const LICENCES: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MIT-0",
    "MPL-2.0",
    "NCSA",
    "OpenSSL",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ is in the workspace").to_owned()
}

fn metadata(deps: bool) -> Value {
    let mut command = Command::new(env!("CARGO"));
    command.args(["metadata", "--format-version=1", "--locked"]).current_dir(root());
    command.arg(if deps { "--all-features" } else { "--no-deps" });
    let output = command.output().expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("cargo writes JSON")
}

/// The files under version control with one of these endings.
fn files(endings: &[&str]) -> Vec<(String, String)> {
    let output =
        Command::new("git").args(["ls-files"]).current_dir(root()).output().expect("git runs");
    let list = String::from_utf8(output.stdout).expect("paths are UTF-8");
    let paths = list.lines().filter(|path| endings.iter().any(|ending| path.ends_with(ending)));
    let read = |path: &str| {
        std::fs::read_to_string(root().join(path)).ok().map(|text| (path.to_owned(), text))
    };
    let files: Vec<_> = paths.filter_map(read).collect();
    assert!(!files.is_empty(), "no files end in {endings:?}");
    files
}

fn none(problems: Vec<String>) {
    assert!(problems.is_empty(), "\n{}\n", problems.join("\n"));
}

#[test]
fn arrows_between_crates_point_up() {
    let metadata = metadata(false);
    let place = |name: &str| ORDER.iter().position(|crate_name| *crate_name == name);
    let mut problems = Vec::new();
    let mut seen = 0;
    for package in metadata["packages"].as_array().expect("packages") {
        let name = package["name"].as_str().expect("a name");
        let Some(own) = place(name) else { continue };
        seen += 1;
        for dependency in package["dependencies"].as_array().expect("dependencies") {
            let to = dependency["name"].as_str().expect("a name");
            let test_only = dependency["kind"] == "dev";
            if to.starts_with("farpane") && !test_only && place(to).is_none_or(|to| to >= own) {
                problems.push(format!("{name} depends on {to}, which is not below it"));
            }
            if !test_only && FORBIDDEN.contains(&(name, to)) {
                problems.push(format!("{name} must not depend on {to}"));
            }
        }
    }
    assert_eq!(seen, ORDER.len(), "ORDER names crates that do not exist");
    none(problems);
}

#[test]
fn unsafe_is_where_it_may_be() {
    let word = ["un", "safe"].concat();
    let mut problems = Vec::new();
    for (path, text) in files(&[".rs"]) {
        let used = text.lines().any(|line| {
            let code = line.split("//").next().unwrap_or_default();
            code.split(|c: char| !(c.is_alphanumeric() || "_-".contains(c)))
                .any(|token| token == word)
        });
        if used && !UNSAFE.contains(&path.as_str()) {
            problems.push(format!(
                "{path} contains {word}: move it to a module made for it, or list it here"
            ));
        }
    }
    none(problems);
}

#[test]
fn crates_forbid_or_deny_unsafe() {
    let mut problems = Vec::new();
    for name in ORDER {
        let source = ["lib.rs", "main.rs"]
            .map(|file| root().join("crates").join(name).join("src").join(file));
        let text = source
            .iter()
            .find_map(|path| std::fs::read_to_string(path).ok())
            .expect("a crate root");
        let may = UNSAFE.iter().any(|path| path.starts_with(&format!("crates/{name}/src/")));
        let wanted = if may { "#![deny(unsafe_code)]" } else { "#![forbid(unsafe_code)]" };
        if !text.contains(wanted) {
            problems.push(format!("{name} lacks {wanted}"));
        }
    }
    none(problems);
}

#[test]
fn nothing_on_a_frames_way_locks() {
    let rules = std::fs::read_to_string(root().join("clippy.toml")).expect("clippy.toml");
    assert!(rules.contains("std::sync::Mutex") && rules.contains("std::thread::Builder::spawn"));
    let wanted =
        "deny(clippy::disallowed_macros, clippy::disallowed_methods, clippy::disallowed_types)";
    let mut problems = Vec::new();
    for name in FRAME_WAY {
        let source = root().join("crates").join(name).join("src/lib.rs");
        if !std::fs::read_to_string(source).expect("a crate root").contains(wanted) {
            problems.push(format!("{name} lacks {wanted}, for code that is not a test"));
        }
    }
    none(problems);
}

/// Rayon's global pool would have as many threads as there are cores beside an encoder that uses them all. With rav1e, which
/// is not built in unless asked for, it comes in and is given a pool of the encoder's own.
#[test]
fn no_pool_of_threads_is_shared() {
    let is_rayon = |name: &String| name.starts_with("rayon");
    assert_eq!(dependencies(&[]).into_iter().find(is_rayon), None);
    let with_rav1e = ["--no-default-features", "--features=rav1e"];
    assert!(dependencies(&with_rav1e).iter().any(is_rayon), "the rule knows its name");
    let rav1e = std::fs::read_to_string(root().join("crates/farpane-codec/src/rav1e.rs"));
    assert!(rav1e.expect("rav1e.rs").contains(".with_threads(threads)"));
}

#[test]
fn every_file_says_what_it_is() {
    let mut problems = Vec::new();
    for (path, text) in files(&[".rs"]) {
        if !text.starts_with("//! ") {
            problems.push(format!("{path} does not open with a `//!` line"));
        }
    }
    for (path, text) in files(&[".ts", ".mjs", ".css"]) {
        if !(text.starts_with("// ") || text.starts_with("/*") || text.starts_with("#!")) {
            problems.push(format!("{path} does not open with a comment that says what it is"));
        }
    }
    none(problems);
}

#[test]
fn the_architecture_names_what_exists() {
    let text = std::fs::read_to_string(root().join("ARCHITECTURE.md")).expect("ARCHITECTURE.md");
    let tops = ["crates/", "web/", "benches/", "fuzz/", "tests/", "tools/", ".ci/"];
    let mut problems = Vec::new();
    let mut named = 0;
    for path in text
        .split('`')
        .skip(1)
        .step_by(2)
        .filter(|code| tops.iter().any(|top| code.starts_with(top)))
    {
        named += 1;
        if !root().join(path).exists() {
            problems.push(format!("ARCHITECTURE.md names {path}, which does not exist"));
        }
    }
    assert!(named > 20, "ARCHITECTURE.md names only {named} paths");
    none(problems);
}

#[test]
fn every_crate_is_in_the_architecture() {
    let text = std::fs::read_to_string(root().join("ARCHITECTURE.md")).expect("ARCHITECTURE.md");
    none(
        ORDER
            .iter()
            .filter(|name| !text.contains(&format!("`crates/{name}`")))
            .map(|name| format!("ARCHITECTURE.md does not name crates/{name}"))
            .collect(),
    );
}

/// SPDX expressions are simple here: alternatives of licences, sometimes joined by AND.
fn allowed(expression: &str) -> bool {
    let known = |licence: &str| LICENCES.contains(&licence.trim().trim_matches(['(', ')']));
    let flat = expression.replace('/', " OR ");
    flat.split(" AND ").all(|part| part.split(" OR ").any(known))
}

#[test]
fn licences_are_on_the_list() {
    let metadata = metadata(true);
    let mut by_licence: HashMap<String, BTreeSet<String>> = HashMap::new();
    for package in metadata["packages"].as_array().expect("packages") {
        let licence = package["license"].as_str().unwrap_or("none given");
        let name = package["name"].as_str().expect("a name");
        by_licence.entry(licence.to_owned()).or_default().insert(name.to_owned());
    }
    assert!(by_licence.len() > 3, "cargo listed the dependencies");
    none(
        by_licence
            .into_iter()
            .filter(|(licence, _)| !allowed(licence))
            .map(|(licence, names)| format!("{licence}: {names:?}"))
            .collect(),
    );
}

/// All that the program and the codecs with their tests are made of when built with these options.
fn dependencies(options: &[&str]) -> BTreeSet<String> {
    let mut command = Command::new(env!("CARGO"));
    command.args(["tree", "--locked", "--prefix=none", "-p=farpane", "-p=farpane-codec"]);
    let output = command.args(options).current_dir(root()).output().expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("names are UTF-8");
    text.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
}

#[test]
fn builds_without_c_encoders_have_none() {
    let c_encoders = |options: &[&str]| {
        let all = dependencies(options).into_iter();
        all.filter(|name| ["libaom-sys", "openh264-sys2"].contains(&name.as_str())).count()
    };
    assert_eq!(c_encoders(&[]), 2, "the rule knows their names");
    assert_eq!(c_encoders(&["--no-default-features", "--features=av1-decoder,rav1e"]), 0);
}

#[test]
fn the_licence_rule_can_say_no() {
    assert!(allowed("MIT OR Apache-2.0") && allowed("MIT/Apache-2.0") && allowed("GPL-3.0 OR MIT"));
    assert!(allowed("(MIT OR Apache-2.0) AND Unicode-3.0"));
    assert!(!allowed("AGPL-3.0") && !allowed("MIT AND GPL-2.0-or-later") && !allowed("none given"));
}
