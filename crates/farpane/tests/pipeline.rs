//! `farpane bench pipeline` as people and programs run it: the command, a drawn desktop, real threads.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

const STAGES: [&str; 7] = ["capture", "wait", "damage", "convert", "encode", "packetize", "send"];

/// Options are separated by spaces.
fn farpane(options: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_farpane"));
    command.args(["bench", "pipeline"]).args(options.split_whitespace()).env_remove("DISPLAY");
    command
}

fn run(options: &str) -> Output {
    farpane(options).output().expect("the command starts")
}

/// Runs with `options` and gives standard output, figures and trace.
fn measure(name: &str, options: &str) -> (String, Value, Value) {
    let file = |what: &str| {
        let name = format!("{name}-{what}-{}.json", std::process::id());
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
    };
    let (figures, trace) = (file("figures"), file("trace"));
    let mut command = farpane(options);
    let output = command.arg("--json").arg(&figures).arg("--trace").arg(&trace).output();
    let output = output.expect("the command starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let parse = |path: &Path| {
        let text = std::fs::read_to_string(path).expect("the file is written");
        std::fs::remove_file(path).expect("and is ours");
        serde_json::from_str(&text).expect("it is JSON")
    };
    (String::from_utf8(output.stdout).expect("text"), parse(&figures), parse(&trace))
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

fn list(value: &Value) -> &[Value] {
    value.as_array().expect("a list")
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() < 1e-6
}

/// Whether a frame's stages add up to its whole time, and everything to what its parts say.
fn check_figures(report: &Value) {
    let timeline = list(&report["timeline"]);
    let sum = |of: fn(&Value) -> f64| timeline.iter().map(of).sum::<f64>();
    let (coded, again) = (number(&report["coded"]), number(&report["coded_again"]));
    assert!(coded > 0.0 && number(&report["captured"]) >= coded);
    assert_eq!(coded + again, timeline.len() as f64);
    assert_eq!(timeline[0]["key_frame"], true, "a stream starts with a key frame");
    assert_eq!(timeline[0]["again"], false);
    for frame in timeline {
        let stages: f64 = STAGES.iter().map(|stage| number(&frame["stages_ms"][stage])).sum();
        assert!(close(stages, number(&frame["in_all_ms"])), "{frame}");
        assert!(number(&frame["packets"]) >= 1.0 && number(&frame["bytes"]) > 0.0, "{frame}");
    }
    assert_eq!(number(&report["bytes"]), sum(|frame| number(&frame["bytes"])));
    assert_eq!(number(&report["packets"]), sum(|frame| number(&frame["packets"])));
    // A packet has headers of 40 bytes and at least one of its own.
    assert!(number(&report["bytes_with_headers"]) >= sum(|frame| 41.0 * number(&frame["packets"])));
    assert!(close(number(&report["fps"]) * number(&report["seconds"]), coded));

    let means: f64 = STAGES.iter().map(|stage| number(&report["stages_ms"][stage]["mean"])).sum();
    assert!(close(means, number(&report["in_all_ms"]["mean"])));
    for stage in STAGES {
        let spread = &report["stages_ms"][stage];
        let ranks = ["p50", "p95", "p99", "max"].map(|rank| number(&spread[rank]));
        assert!(ranks.is_sorted() && ranks[0] >= 0.0, "{stage}: {spread}");
    }

    let threads = list(&report["cores_by_thread"]);
    for name in ["farpane-capture", "farpane-video", "farpane-net"] {
        let thread = threads.iter().find(|thread| thread["name"] == name).expect(name);
        assert!(number(&thread["cores"]) > 0.0, "{name} has worked: {thread}");
    }
    assert!(number(&report["cores"]) > 0.0);
}

/// Whether Perfetto shows the trace in full: what it needs of each event, slices of a track that nest or follow each
/// other, times that do not go back. And whether each slice lies within its frame.
fn check_trace(trace: &Value, report: &Value) {
    let mut tracks = HashMap::new();
    let mut open: HashMap<u64, Vec<(u64, u64)>> = HashMap::new();
    let mut counted: HashMap<&str, u64> = HashMap::new();
    let mut slices: HashMap<&str, usize> = HashMap::new();
    let (mut begun, mut ended) = (HashSet::new(), HashSet::new());
    let whole = |event: &Value, field: &str| {
        event[field].as_u64().unwrap_or_else(|| panic!("{field} of {event}"))
    };
    for event in list(&trace["traceEvents"]) {
        let (ts, tid) = (whole(event, "ts"), whole(event, "tid"));
        assert_eq!(whole(event, "pid"), 1);
        let name = event["name"].as_str().expect("a name");
        match event["ph"].as_str().expect("a phase") {
            "M" => _ = tracks.insert(tid, event["args"]["name"].as_str().expect("a name")),
            "C" => {
                let before = counted.insert(name, ts).unwrap_or(0);
                assert!(ts >= before, "{name} goes back at {ts}");
                assert!(event["args"].as_object().expect("values").values().all(Value::is_number));
            }
            "X" => {
                let end = ts + whole(event, "dur");
                let around = open.entry(tid).or_default();
                assert!(around.last().is_none_or(|(from, _)| ts >= *from), "goes back: {event}");
                while around.pop_if(|(_, until)| *until <= ts).is_some() {}
                assert!(around.last().is_none_or(|(_, until)| end <= *until), "overlaps: {event}");
                around.push((ts, end));
                if let Some(flow) = event["bind_id"].as_str() {
                    assert_eq!(event["flow_in"], !begun.insert(flow), "{event}");
                    assert_eq!(event["flow_out"], tracks[&tid] != "link", "{event}");
                    assert!(event["flow_out"] == true || ended.insert(flow), "ends twice: {event}");
                }
                *slices.entry(name).or_default() += 1;
                let args = &event["args"];
                assert!(args["quantizer"].is_number() && args["bytes"].is_number(), "{event}");
                let within = list(&report["timeline"]).iter().any(|frame| {
                    let from = 1e3 * number(&frame["t_ms"]);
                    let mut until = from + 1e3 * number(&frame["in_all_ms"]);
                    if tracks[&tid] == "link" {
                        until += 1e3 * number(&frame["link_ms"]);
                    }
                    // Microseconds are whole there.
                    let lies = ts as f64 >= from - 1.0 && end as f64 <= until + 1.0;
                    frame["frame"] == args["frame"] && lies
                });
                assert!(within, "not within its frame: {event}");
            }
            other => panic!("{other} is no phase that is written here"),
        }
    }
    let tracks: HashSet<&str> = tracks.into_values().collect();
    for name in ["farpane-capture", "farpane-video", "farpane-net"] {
        assert!(tracks.contains(name), "{name} has no track");
    }
    let count = |name: &str| number(&report[name]) as usize;
    let (coded, again) = (count("coded"), count("coded_again"));
    for stage in STAGES {
        let whenever = ["encode", "packetize", "send"].contains(&stage);
        assert_eq!(slices[stage], coded + if whenever { again } else { 0 }, "{stage}");
    }
    assert_eq!(begun.len(), coded + again);
    assert_eq!(begun, ended);
    for counter in ["backlog", "bitrate", "quantizer", "displaced"] {
        assert!(counted.contains_key(counter), "no {counter}");
    }
}

#[test]
fn a_drawn_desktop_is_measured_and_the_figures_agree() {
    // Less than the scene wants, so that frames wait for the link.
    let (table, report, trace) = measure(
        "drawn",
        "--display synthetic:window,size=640x480,fps=60 --seconds 2 --bitrate 1M --chroma 420",
    );
    assert_eq!(report["farpane_bench_pipeline"], 1);
    assert_eq!((&report["width"], &report["height"]), (&640.into(), &480.into()));
    assert_eq!((&report["codec"], &report["chroma"]), (&"H264".into(), &"4:2:0".into()));
    assert!(number(&report["seconds"]) >= 2.0);
    check_figures(&report);
    check_trace(&trace, &report);

    let rows = table.lines().map(|line| line.split_whitespace().next().unwrap_or_default());
    let stages: Vec<&str> = rows.clone().filter(|first| STAGES.contains(first)).collect();
    assert_eq!(stages, STAGES, "{table}");
    for row in ["in", "link", "frames", "key", "sent", "quantizer", "cores", "farpane-video"] {
        assert!(rows.clone().any(|first| first == row), "no row {row}:\n{table}");
    }
    assert!(table.contains("synthetic:window,seed=1,size=640x480,fps=60: 640x480, H.264 4:2:0"));
}

#[test]
fn a_picture_at_rest_is_coded_again_and_counted_apart() {
    let (table, report, trace) =
        measure("rest", "--display synthetic:idle,size=320x240 --seconds 3 --bitrate 500k");
    assert_eq!((&report["coded"], &report["captured"]), (&1.into(), &1.into()));
    assert!(number(&report["coded_again"]) > 0.0);
    assert!(table.contains("nothing changed") && table.contains("of pictures at rest"), "{table}");
    check_figures(&report);
    check_trace(&trace, &report);
}

#[test]
fn json_on_standard_output_is_alone_there() {
    let options =
        "--display synthetic:clock,size=320x240 --seconds 3 --codec h264 --chroma 420 --json -";
    let report: Value = serde_json::from_slice(&run(options).stdout).expect("nothing but JSON");
    assert_eq!(report["codec"], "H264");
    check_figures(&report);
}

#[test]
fn wrong_arguments_are_usage_errors_that_say_what_is_right() {
    for (options, hint) in [
        ("--display nowhere", "synthetic:scroll"),
        ("--display synthetic:snow", "there are idle, clock"),
        ("--bitrate fast", "write it as 800k"),
        ("--seconds 0", "a number from 0.1"),
        ("--codec vp9", "h264"),
        ("--nope", "--help"),
    ] {
        let output = run(options);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{options}: {said}");
        assert!(said.contains(hint), "{options}: {said}");
    }
}

#[test]
fn a_desktop_that_is_not_there_is_named_with_a_way_out() {
    for (options, what) in [
        ("", "DISPLAY is not set"),
        ("--display host.invalid:0", "cannot open display host.invalid:0"),
        ("--display replay:/nothing/here", "cannot play /nothing/here"),
    ] {
        let output = run(options);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{options}: {said}");
        assert!(said.contains(what) && said.contains("--display synthetic:scroll"), "{said}");
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn a_file_that_cannot_be_written_is_known_before_the_time_is_spent() {
    let output = run("--display synthetic:clock --seconds 3600 --trace /nothing/here.json");
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("cannot write /nothing/here.json"), "{said}");
}

/// How often the thread of this name has had a core so far; 0 before there is one.
fn turns(process: u32, name: &str) -> u64 {
    let tasks = std::fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
    let read = |path: PathBuf| std::fs::read_to_string(path).unwrap_or_default();
    let mut named = tasks.filter(|task| read(task.path().join("comm")).trim_end() == name);
    let schedstat =
        named.next().map(|task| read(task.path().join("schedstat"))).unwrap_or_default();
    schedstat.split_whitespace().nth(2).map_or(0, |turns| turns.parse().expect("a number"))
}

#[test]
fn ctrl_c_ends_it_with_the_report_so_far() {
    let mut child =
        farpane("--display synthetic:clock,size=320x240,fps=60 --seconds 3600 --json -")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the command starts");
    // By then it has coded some frames: it sleeps between them.
    while turns(child.id(), "farpane-video") < 40 {
        assert_eq!(child.try_wait().expect("a child"), None, "it ended by itself");
        std::thread::yield_now();
    }
    let interrupted = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(interrupted.expect("kill runs").success());
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(0));
    let report: Value = serde_json::from_slice(&output.stdout).expect("the report");
    assert_eq!(report["broke_off"], Value::Null);
    assert!(number(&report["seconds"]) < 3600.0);
    check_figures(&report);
}
