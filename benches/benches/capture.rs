//! Reading the screen of an Xvfb: from a drawing to the frame in hand.
//!
//! Counted is all that a viewer waits for: settling (0.3 ms), the region's round trip, the pixels.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use farpane_desktop::{Captured, Capturer, Source};
use farpane_media::{Clock, Frame, Time};
use x11rb::connection::Connection;
use x11rb::protocol::xproto::{ConnectionExt as _, CreateGCAux, Rectangle};
use x11rb::rust_connection::RustConnection;
use x11rb::wrapper::ConnectionExt as _;

struct Server {
    xvfb: Child,
    display: String,
}

impl Server {
    fn start() -> Option<Server> {
        let mut xvfb = Command::new("Xvfb")
            .args([
                "-displayfd",
                "1",
                "-nolisten",
                "tcp",
                "-noreset",
                "-screen",
                "0",
                "1920x1080x24",
            ])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let mut number = String::new();
        BufReader::new(xvfb.stdout.take()?).read_line(&mut number).ok()?;
        Some(Server { xvfb, display: format!(":{}", number.trim()) })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.xvfb.kill();
        let _ = self.xvfb.wait();
    }
}

fn next_frame(capturer: &mut dyn Capturer) -> Frame {
    loop {
        if let Captured::Frame(frame) = capturer.next(Time::NEVER).expect("the server lives") {
            return frame;
        }
    }
}

fn capture(c: &mut Criterion) {
    let Some(server) = Server::start() else {
        eprintln!("capture: skipped, Xvfb is not installed (apt-get install xvfb)");
        return;
    };
    let source: Source = server.display.parse().expect("a display");
    let clock = Clock::start();
    let mut capturer = source.open(clock).expect("the display opens").capturer;
    let (conn, screen) = RustConnection::connect(Some(&server.display)).expect("the display opens");
    let root = conn.setup().roots[screen].root;
    let gc = conn.generate_id().expect("an identifier");
    conn.create_gc(gc, root, &CreateGCAux::new().foreground(0x12_3456)).expect("a live connection");
    drop(next_frame(capturer.as_mut()));

    let mut group = c.benchmark_group("capture");
    // The time counted is from `changed` to `captured`. Each change comes when the pacing of the frame before it is over.
    let mut measure = |name: &str, change: &dyn Fn()| {
        group.bench_function(name, |b| {
            b.iter_custom(|rounds| {
                (0..rounds)
                    .map(|_| {
                        let paced = clock.now() + Duration::from_millis(17);
                        while !matches!(capturer.next(paced), Ok(Captured::Nothing)) {}
                        change();
                        let frame = next_frame(capturer.as_mut());
                        frame.stamps.captured - frame.stamps.changed
                    })
                    .sum()
            });
        });
    };
    let draw = |width, height| {
        let rect = Rectangle { x: 0, y: 0, width, height };
        conn.poly_fill_rectangle(root, gc, &[rect]).expect("a live connection");
        conn.sync().expect("a live connection");
    };
    measure("full 1080p", &|| draw(1920, 1080));
    measure("square 64x64", &|| draw(64, 64));
    group.finish();
}

criterion_group!(benches, capture);
criterion_main!(benches);
