//! A whole small run: every figure there and sensible, and the same twice.

use std::ffi::OsStr;
use std::time::Duration;

use farpane_bench::ffmpeg::Ffmpeg;
use farpane_bench::file::{Format, Rate};
use farpane_bench::report::{self, Context};
use farpane_bench::scene::Scene;
use farpane_bench::{Coder, Material, Plan, Report, run};
use farpane_media::{Bitrate, Size};
use farpane_pixel::Chroma;
use serde_json::Value;

const SIZE: Size = Size::new(320, 180);

fn plan(scenes: &[&str], coders: &[&str]) -> Plan {
    let scene = |name: &&str| Scene::named(name).expect("a scene");
    Plan {
        material: scenes
            .iter()
            .map(|name| Material::Scene { scene: scene(name), size: SIZE, seed: 1 })
            .collect(),
        coders: coders.iter().map(|name| Coder::named(name).expect("an encoder")).collect(),
        chroma: vec![Chroma::Yuv420],
        bitrates: vec![Bitrate::kbps(300), Bitrate::mbps(2)],
        threads: vec![1],
        span: Duration::from_secs(2),
        ffmpeg: None,
    }
}

fn json(report: &Report) -> Value {
    let context = Context { commit: "abc".into(), ..Context::default() };
    report::json::write(report, &context)
}

fn number(run: &Value, name: &str) -> f64 {
    run[name].as_f64().unwrap_or_else(|| panic!("{name} is {}", run[name]))
}

#[test]
fn a_run_has_all_figures() {
    let mut told = Vec::new();
    let plan = plan(&["page-switch", "typing"], &["h264", "x264"]);
    let report = run(&plan, |progress| told.push((progress.done, progress.total)));
    assert_eq!(told, [(0, 4), (1, 4), (2, 4), (3, 4)]);
    let json = json(&report);
    assert_eq!(json["commit"], "abc");
    assert_eq!(json["scenes"][0]["width"], 320);
    assert_eq!(json["left_out"][0]["what"], "x264", "ffmpeg was not given");
    let runs = json["runs"].as_array().expect("runs");
    assert_eq!(runs.len(), 4);
    for run in runs {
        let target = number(run, "target_bps");
        assert!(number(run, "bps") > 0.0);
        assert!((20.0..70.0).contains(&number(run, "luma_db")), "{}", run["luma_db"]);
        assert!((20.0..70.0).contains(&number(run, "rgb_db")), "{}", run["rgb_db"]);
        assert!((0.8..=1.0).contains(&number(run, "ssim")), "{}", run["ssim"]);
        assert!((-100.0..=100.0).contains(&number(run, "ssimulacra2")));
        assert_eq!(run["key_frames"]["count"], 1, "at {target}");
        assert!(run["encode_ms"]["p50"].as_f64() <= run["encode_ms"]["max"].as_f64());
        let timeline = run["timeline"].as_array().expect("pictures");
        assert_eq!(timeline.len() as f64, number(run, "pictures"));
        assert_eq!(timeline[0]["key_frame"], true);
        let bytes: f64 = timeline.iter().map(|picture| number(picture, "bytes")).sum();
        assert!((bytes * 8.0 / 2.0 - number(run, "bps")).abs() < 2.0, "two seconds of them");
        assert_eq!(run["viewer"].as_array().expect("ticks").len(), 60);
    }
    // At 2 Mb/s a page is sharp before the next one comes, and what is typed at once.
    let [page, typing] = [&runs[1], &runs[3]];
    assert_eq!(page["changes"], 2);
    assert!((20.0..900.0).contains(&number(page, "sharp_45_ms")), "{}", page["sharp_45_ms"]);
    assert!(number(page, "rest_luma_db") > 45.0, "{}", page["rest_luma_db"]);
    assert!(number(typing, "sharp_45_ms") <= number(page, "sharp_45_ms"));
    // More bits, a better picture.
    assert!(number(&runs[0], "luma_db") < number(&runs[1], "luma_db"));
}

/// Costs differ from run to run, nothing else does.
#[test]
fn results_do_not_depend_on_the_machines_speed() {
    let figures = || {
        let report = run(&plan(&["developer"], &["h264"]), |_| {});
        report
            .cells
            .iter()
            .map(|cell| {
                let sizes: Vec<usize> = cell.pictures.iter().map(|picture| picture.bytes).collect();
                (sizes, cell.looks.clone(), cell.summary.sharp_ms, cell.summary.link_ms)
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(figures(), figures());
}

#[test]
fn what_cannot_be_coded_is_left_out_with_its_reason() {
    let mut plan = plan(&["clock"], &["h264"]);
    plan.span = Duration::from_millis(200);
    plan.material = vec![Material::Scene {
        scene: Scene::named("clock").expect("a scene"),
        size: Size::new(8_000, 130),
        seed: 1,
    }];
    let report = run(&plan, |_| {});
    assert!(report.cells.is_empty());
    assert!(report.left_out[0].why.contains("3840x2160"), "{:?}", report.left_out);
}

#[test]
fn tables_and_csv_have_a_line_a_run() {
    let mut plan = plan(&["clock"], &["h264"]);
    plan.span = Duration::from_millis(500);
    let report = run(&plan, |_| {});
    let csv = report::csv::write(&report);
    let lines: Vec<&str> = csv.lines().collect();
    assert_eq!(lines.len(), 3);
    let columns = |line: &str| line.split(',').count();
    assert!(lines.iter().all(|line| columns(line) == columns(lines[0])));
    let table = report::table::write(&report, &Context::default());
    assert_eq!(table.lines().filter(|line| line.starts_with("clock")).count(), 2, "{table}");
}

/// Two pictures of a file that was written here, in both forms that are read.
#[test]
fn recordings_are_coded_as_scenes_are() {
    let folder = std::env::temp_dir().join(format!("farpane-bench-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let size = Size::new(64, 32);
    let grey = |value: u8| vec![value; 64 * 32 * 4];
    let raw = folder.join("grey.bgrx");
    std::fs::write(&raw, [grey(40), grey(200)].concat()).expect("it is written");
    let y4m = folder.join("grey.y4m");
    let picture = |value: u8| [b"FRAME\n".to_vec(), vec![value; 64 * 32 * 3 / 2]].concat();
    let header = b"YUV4MPEG2 W64 H32 F25:1 C420\n".to_vec();
    std::fs::write(&y4m, [header.clone(), picture(60), picture(128)].concat())
        .expect("it is written");

    let rate = Rate { numerator: 25, denominator: 1 };
    let format = Format::bgrx(size, rate).expect("a fine size");
    let mut plan = plan(&[], &["h264"]);
    plan.material = vec![
        Material::File { path: raw.clone(), format },
        Material::File { path: y4m.clone(), format: Format::y4m(&y4m).expect("a header") },
    ];
    let report = run(&plan, |_| {});
    assert_eq!(report.left_out, []);
    assert_eq!(report.material[1].fps, 25.0);
    for cell in &report.cells {
        assert_eq!(cell.looks.len(), 2, "{}: two pictures", cell.material);
        assert!(cell.looks.iter().all(|look| look.changed));
        assert!(cell.summary.luma > 40.0, "{}: {}", cell.material, cell.summary.luma);
    }

    // Cut short, and empty.
    std::fs::write(&y4m, [header, picture(60)[..900].to_vec()].concat()).expect("it is written");
    std::fs::write(&raw, []).expect("it is written");
    let report = run(&plan, |_| {});
    let whys: Vec<&str> = report.left_out.iter().map(|left_out| left_out.why.as_str()).collect();
    assert!(whys[0].contains("no picture") && whys[2].contains("middle of picture 1"), "{whys:?}");
    std::fs::remove_dir_all(&folder).expect("it was made above");
    assert!(Format::bgrx(Size::new(63, 32), rate).is_err());
}

/// Other projects' encoders are on some machines only; where they are, they give figures as ours do.
#[test]
fn peers_that_are_installed_are_measured() {
    let names = ["h264", "x264", "vp9", "svt-av1", "aom"];
    let mut plan = plan(&["typing"], &names);
    plan.span = Duration::from_millis(500);
    plan.bitrates = vec![Bitrate::mbps(1)];
    plan.ffmpeg = Ffmpeg::find(OsStr::new("ffmpeg")).ok();
    let report = run(&plan, |_| {});
    assert_eq!(report.cells.len() + report.left_out.len(), names.len());
    for left_out in &report.left_out {
        let absent = ["not installed", "built without it"];
        assert!(absent.iter().any(|why| left_out.why.contains(why)), "{left_out:?}");
    }
    for cell in &report.cells {
        assert!(cell.summary.luma > 25.0, "{}: {} dB", cell.coder, cell.summary.luma);
        assert!(!cell.settings.is_empty());
        assert!(cell.pictures.iter().any(|picture| !picture.cost.wall.is_zero()), "{}", cell.coder);
    }
}
