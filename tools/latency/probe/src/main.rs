//! The window that tools/latency measures with: a time-code strip, a scene and a square that answers clicks.
//!
//! `farpane-probe show SCENE CONTENT [PERIOD_MS]` shows a scene on `$DISPLAY` until it is killed or the display
//! goes away, and prints `ready` when its first frame is up. `farpane-probe grab` writes the pixels of the
//! screen to stdout, BGRX.

#![forbid(unsafe_code)]

mod scene;
mod strip;
mod window;

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use scene::Scene;
use window::{Error, Window};

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let result = match args[..] {
        ["show", scene, content] => show(scene, content, None),
        ["show", scene, content, period] => match period.parse() {
            Ok(ms) if ms > 0 => show(scene, content, Some(Duration::from_millis(ms))),
            _ => Err("PERIOD_MS must be a whole number above 0".into()),
        },
        ["grab"] => window::grab().and_then(|pixels| Ok(std::io::stdout().write_all(&pixels)?)),
        _ => {
            eprintln!("usage: farpane-probe show SCENE CONTENT [PERIOD_MS] | farpane-probe grab");
            eprintln!("scenes: {}", scene::NAMES.join(", "));
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("farpane-probe: {e}");
            ExitCode::FAILURE
        }
    }
}

fn show(scene: &str, content: &str, period: Option<Duration>) -> Result<(), Error> {
    let window = Window::open()?;
    let scene = Scene::open(&window, scene, Path::new(content), period)?;
    thread::scope(|threads| {
        threads.spawn(|| {
            // Without its display the probe has nothing left to do.
            let Err(e) = window.answer_clicks() else { return };
            eprintln!("farpane-probe: {e}");
            std::process::exit(1);
        });
        scene.run(&window, || println!("ready"))
    })
}
