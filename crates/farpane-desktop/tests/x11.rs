//! The X11 backend against real X servers: what is captured is what the server shows, and input arrives.
//!
//! Every test starts an Xvfb of its own. Nothing is timed and nothing sleeps: tests wait for events, and a deadline that
//! passes is a failure.

#![cfg(target_os = "linux")]

use std::collections::VecDeque;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use farpane_desktop::{
    Button, CaptureError, Captured, Capturer, CursorEvent, CursorShape, Desktop, InputError,
    OpenError, Source,
};
use farpane_media::{Clock, Frame, FrameBody, Rect, Size, Time};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use x11rb::connection::Connection;
use x11rb::protocol::Event;
use x11rb::protocol::randr::{ConnectionExt as _, Rotation};
use x11rb::protocol::xproto::*;
use x11rb::rust_connection::RustConnection;
use x11rb::wrapper::ConnectionExt as _;

const SIZE: Size = Size::new(640, 480);

struct Server {
    xvfb: Child,
    display: String,
}

impl Server {
    fn start(args: &[&str]) -> Server {
        let mut xvfb = Command::new("Xvfb")
            .args(["-displayfd", "1", "-nolisten", "tcp", "-noreset"])
            .args(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("these tests need Xvfb: apt-get install xvfb");
        let mut number = String::new();
        BufReader::new(xvfb.stdout.take().unwrap()).read_line(&mut number).unwrap();
        Server { xvfb, display: format!(":{}", number.trim()) }
    }

    fn usual() -> Server {
        Server::start(&["-screen", "0", "640x480x24"])
    }

    fn open(&self, clock: Clock) -> Result<Desktop, OpenError> {
        Source::X11(Some(self.display.clone())).open(clock)
    }

    fn client(&self) -> Client {
        let (conn, screen) = RustConnection::connect(Some(&self.display)).unwrap();
        let root = conn.setup().roots[screen].root;
        Client { conn, root }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.xvfb.kill();
        let _ = self.xvfb.wait();
    }
}

/// A program on the display.
struct Client {
    conn: RustConnection,
    root: Window,
}

impl Client {
    fn window(&self, size: Size, events: EventMask) -> Window {
        let window = self.conn.generate_id().unwrap();
        let values = CreateWindowAux::new()
            .override_redirect(1)
            .background_pixel(0x204060)
            .event_mask(events);
        let (width, height) = (size.width as u16, size.height as u16);
        self.conn
            .create_window(
                0,
                window,
                self.root,
                0,
                0,
                width,
                height,
                0,
                WindowClass::INPUT_OUTPUT,
                0,
                &values,
            )
            .unwrap();
        self.conn.map_window(window).unwrap();
        self.conn.sync().unwrap();
        window
    }

    fn screenshot(&self, size: Size) -> Vec<u8> {
        let (width, height) = (size.width as u16, size.height as u16);
        let image = self.conn.get_image(ImageFormat::Z_PIXMAP, self.root, 0, 0, width, height, !0);
        image.unwrap().reply().unwrap().data
    }

    fn title(&self, window: Window) -> Vec<u8> {
        let title = self.conn.get_property(false, window, AtomEnum::WM_NAME, AtomEnum::ANY, 0, 64);
        title.unwrap().reply().unwrap().value
    }

    /// The next event that `wanted` likes.
    fn event<T>(&self, wanted: impl Fn(&Event) -> Option<T>) -> T {
        loop {
            while let Some(event) = self.conn.poll_for_event().unwrap() {
                if let Some(found) = wanted(&event) {
                    return found;
                }
            }
            let socket = PollFd::new(self.conn.stream(), PollFlags::IN);
            let limit = Timespec { tv_sec: 20, tv_nsec: 0 };
            assert_ne!(poll(&mut [socket], Some(&limit)), Ok(0), "the event does not come");
        }
    }
}

/// A consumer that knows the picture only through damage.
struct Viewer {
    clock: Clock,
    capturer: Box<dyn Capturer>,
    size: Size,
    picture: Vec<u8>,
    frames: u64,
    /// Frames not given back yet, as a queue and an encoder hold them.
    held: VecDeque<Frame>,
}

impl Viewer {
    fn new(clock: Clock, capturer: Box<dyn Capturer>) -> Viewer {
        Viewer {
            clock,
            capturer,
            size: Size::default(),
            picture: Vec::new(),
            frames: 0,
            held: VecDeque::new(),
        }
    }

    fn deadline(&self) -> Time {
        self.clock.now() + Duration::from_secs(20)
    }

    fn next(&mut self) -> Captured {
        let deadline = self.deadline();
        self.capturer.next(deadline).unwrap()
    }

    /// Copies the damage, and checks that no pixel outside it differs.
    fn take(&mut self, frame: Frame) {
        if frame.size != self.size {
            self.size = frame.size;
            self.picture = vec![0; frame.size.pixels() as usize * 4];
            assert_eq!(frame.damage.rects(), [Rect::of(frame.size)], "another size is full damage");
        }
        assert!(!frame.damage.is_empty());
        let stride = self.size.width as usize * 4;
        for rect in frame.damage.rects() {
            for y in rect.y..rect.bottom() {
                let start = y as usize * stride + rect.x as usize * 4;
                self.picture[start..start + rect.w as usize * 4]
                    .copy_from_slice(frame.row(rect, y));
            }
        }
        assert!(
            same(&self.picture, &frame.pixels),
            "frame {} differs outside its damage",
            frame.seq
        );
        assert!(frame.stamps.captured >= frame.stamps.changed);
        self.frames += 1;
        assert_eq!(frame.seq, self.frames);
        self.held.push_back(frame);
        if self.held.len() > 2 {
            self.held.pop_front();
        }
    }

    /// Takes frames until the picture is `wanted`.
    fn follow_until(&mut self, wanted: &[u8]) {
        while !(self.picture.len() == wanted.len() && same(&self.picture, wanted)) {
            match self.next() {
                Captured::Frame(frame) => self.take(frame),
                Captured::Cursor(_) => {}
                Captured::Nothing | Captured::Stopped => panic!("the picture stays stale"),
            }
        }
    }
}

/// Equal but for the undefined fourth byte.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.chunks_exact(4).zip(b.chunks_exact(4)).all(|(a, b)| a[..3] == b[..3])
}

/// A xorshift generator: the same drawing in every run.
struct Random(u32);

impl Random {
    fn below(&mut self, top: u32) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        self.0 % top
    }
}

/// Draws bursts of rectangles and scrolls all over `window`, without pausing, as long as `more` says so.
fn scribble(client: &Client, window: Window, mut more: impl FnMut() -> bool) {
    let gc = client.conn.generate_id().unwrap();
    client.conn.create_gc(gc, window, &CreateGCAux::new()).unwrap();
    let mut random = Random(0x2545_f491);
    while more() {
        for _ in 0..random.below(40) {
            let colour = ChangeGCAux::new().foreground(random.below(0x100_0000));
            client.conn.change_gc(gc, &colour).unwrap();
            let rect = Rectangle {
                x: random.below(SIZE.width) as i16,
                y: random.below(SIZE.height) as i16,
                width: random.below(90) as u16 + 1,
                height: random.below(40) as u16 + 1,
            };
            client.conn.poly_fill_rectangle(window, gc, &[rect]).unwrap();
        }
        let (width, height) = (SIZE.width as u16, SIZE.height as u16);
        client.conn.copy_area(window, window, gc, 0, 7, 0, 0, width, height / 2).unwrap();
        client.conn.sync().unwrap();
    }
}

fn drawing_is_followed(server: &Server) -> Vec<String> {
    let clock = Clock::start();
    let Desktop { capturer, notes, .. } = server.open(clock).unwrap();
    let mut viewer = Viewer::new(clock, capturer);
    let client = server.client();
    let window = client.window(SIZE, EventMask::NO_EVENT);
    let handle = viewer.capturer.handle();
    let is_seen = AtomicBool::new(false);
    let truth = std::thread::scope(|scope| {
        let painter = scope.spawn(|| {
            scribble(&client, window, || !is_seen.load(Ordering::Relaxed));
            client.screenshot(SIZE)
        });
        // Follow while it draws, so that frames are read while the screen changes under them.
        while viewer.frames < 60 {
            handle.hurry();
            match viewer.next() {
                Captured::Frame(frame) => viewer.take(frame),
                Captured::Cursor(_) => {}
                Captured::Nothing | Captured::Stopped => panic!("nothing is seen of the drawing"),
            }
        }
        is_seen.store(true, Ordering::Relaxed);
        painter.join().unwrap()
    });
    viewer.follow_until(&truth);
    notes
}

#[test]
fn no_pixel_is_stale_after_any_drawing() {
    assert_eq!(drawing_is_followed(&Server::usual()), [""; 0]);
}

#[test]
fn a_server_without_damage_is_followed() {
    let notes = drawing_is_followed(&Server::start(&[
        "-screen",
        "0",
        "640x480x24",
        "-extension",
        "DAMAGE",
    ]));
    assert!(matches!(notes.as_slice(), [note] if note.contains("DAMAGE")), "{notes:?}");
}

#[test]
fn a_server_without_shared_memory_is_followed() {
    let notes = drawing_is_followed(&Server::start(&[
        "-screen",
        "0",
        "640x480x24",
        "-extension",
        "MIT-SHM",
    ]));
    assert!(matches!(notes.as_slice(), [note] if note.contains("MIT-SHM")), "{notes:?}");
}

#[test]
fn a_server_over_tcp_is_followed() {
    let server = Server::start(&["-screen", "0", "640x480x24", "-ac", "-listen", "tcp"]);
    let remote = Source::X11(Some(format!("127.0.0.1{}", server.display)));
    let clock = Clock::start();
    let Desktop { capturer, notes, .. } = remote.open(clock).unwrap();
    assert!(
        matches!(notes.as_slice(), [note] if note.contains("No memory can be shared")),
        "{notes:?}"
    );
    let client = server.client();
    let window = client.window(SIZE, EventMask::NO_EVENT);
    let mut bursts = 0..5;
    scribble(&client, window, || bursts.next().is_some());
    Viewer::new(clock, capturer).follow_until(&client.screenshot(SIZE));
}

#[test]
fn a_server_without_the_rest_still_shows_its_picture() {
    let server = Server::start(&[
        "-screen",
        "0",
        "640x480x24",
        "-extension",
        "XFIXES",
        "-extension",
        "XTEST",
        "-extension",
        "RANDR",
    ]);
    let clock = Clock::start();
    let Desktop { capturer, mut input, notes } = server.open(clock).unwrap();
    assert_eq!(notes.len(), 2, "{notes:?}");
    assert!(matches!(input.pointer(0.5, 0.5), Err(InputError::Unavailable(_))));
    Viewer::new(clock, capturer).follow_until(&server.client().screenshot(SIZE));
}

#[test]
fn real_programs_are_followed() {
    let server = Server::usual();
    let clock = Clock::start();
    let mut viewer = Viewer::new(clock, server.open(clock).unwrap().capturer);
    let client = server.client();
    let watch = ChangeWindowAttributesAux::new().event_mask(EventMask::SUBSTRUCTURE_NOTIFY);
    client.conn.change_window_attributes(client.root, &watch).unwrap();
    client.conn.sync().unwrap();
    let script = r"i=0; while [ $i -lt 400 ]; do echo line $i of some text; i=$((i+1)); done; printf '\033]0;done\007'";
    let mut xterm = Command::new("xterm")
        .args([
            "-display",
            &server.display,
            "-geometry",
            "80x24+0+0",
            "-hold",
            "-e",
            "sh",
            "-c",
            script,
        ])
        .stderr(Stdio::null())
        .spawn()
        .expect("this test needs xterm");
    let window = client.event(|event| match event {
        Event::MapNotify(event) => Some(event.window),
        _ => None,
    });
    let deadline = viewer.deadline();
    let mut settled = false;
    while !settled {
        let soon = clock.now() + Duration::from_millis(100);
        match viewer.capturer.next(soon).unwrap() {
            Captured::Frame(frame) => viewer.take(frame),
            // Its title says that it has read all text; what it then still draws makes the two pictures differ for a while.
            Captured::Nothing => {
                settled = client.title(window) == b"done"
                    && same(&viewer.picture, &client.screenshot(SIZE));
            }
            Captured::Cursor(_) => {}
            Captured::Stopped => panic!("nobody stopped it"),
        }
        assert!(clock.now() < deadline, "the picture stays stale after {} frames", viewer.frames);
    }
    assert!(viewer.frames > 1);
    xterm.kill().unwrap();
    xterm.wait().unwrap();
}

#[test]
fn a_resize_is_followed() {
    let server = Server::start(&["-screen", "0", "1280x1024x24"]);
    let clock = Clock::start();
    let Desktop { capturer, mut input, .. } = server.open(clock).unwrap();
    let mut viewer = Viewer::new(clock, capturer);
    let client = server.client();
    viewer.follow_until(&client.screenshot(Size::new(1280, 1024)));
    let resources = client.conn.randr_get_screen_resources(client.root).unwrap().reply().unwrap();
    // A screen may be set smaller than its monitor once that is off.
    let [crtc] = resources.crtcs[..] else { panic!("Xvfb has one monitor") };
    let off =
        client.conn.randr_set_crtc_config(crtc, 0, 0, 0, 0, 0, Rotation::ROTATE0, &[]).unwrap();
    off.reply().unwrap();
    let wanted = Size::new(800, 600);
    for (width, height) in [(400, 1000), (1280, 300), (800, 600)] {
        client
            .conn
            .randr_set_screen_size(client.root, width, height, 200, 150)
            .unwrap()
            .check()
            .unwrap();
        client.window(Size::new(300, 200), EventMask::NO_EVENT);
    }
    viewer.follow_until(&client.screenshot(wanted));
    assert_eq!(viewer.capturer.size(), wanted);
    input.pointer(1.0, 1.0).unwrap();
    input.flush().unwrap();
    loop {
        match viewer.next() {
            Captured::Cursor(CursorEvent::Position { x: 799, y: 599 }) => break,
            Captured::Nothing | Captured::Stopped => {
                panic!("the pointer is not in the corner of the new size")
            }
            _ => {}
        }
    }
}

/// A screen that would take gigabytes is no picture but a clear end, from the start and when it grows.
#[test]
fn a_screen_too_large_is_refused_and_ends_what_was_shared() {
    let server = Server::start(&["-screen", "0", "16384x4097x24"]);
    let clock = Clock::start();
    let refused = server.open(clock).err().expect("it has too many pixels").to_string();
    assert!(refused.contains("16384x4097") && refused.contains("67108864"), "{refused}");
    let Client { conn, root } = server.client();
    let [crtc] = conn.randr_get_screen_resources(root).unwrap().reply().unwrap().crtcs[..] else {
        panic!("Xvfb has one monitor")
    };
    let off = conn.randr_set_crtc_config(crtc, 0, 0, 0, 0, 0, Rotation::ROTATE0, &[]).unwrap();
    off.reply().unwrap();
    let resize = |height| {
        conn.randr_set_screen_size(root, 16_384, height, 400, 100).unwrap().check().unwrap();
    };
    resize(40);
    let mut capturer = server.open(clock).unwrap().capturer;
    assert_eq!(capturer.size(), Size::new(16_384, 40));
    resize(4_097);
    loop {
        match capturer.next(clock.now() + Duration::from_secs(20)) {
            Ok(Captured::Frame(_) | Captured::Cursor(_)) => {}
            Ok(other) => panic!("it should end: {other:?}"),
            Err(CaptureError::Lost(why)) => return assert!(why.contains("16384x4097"), "{why}"),
            Err(why) => panic!("it cannot come back: {why}"),
        }
    }
}

#[test]
fn the_cursor_comes_beside_the_picture() {
    let server = Server::usual();
    let clock = Clock::start();
    let Desktop { capturer, mut input, .. } = server.open(clock).unwrap();
    let mut viewer = Viewer::new(clock, capturer);
    let client = server.client();
    let window = client.window(Size::new(200, 200), EventMask::NO_EVENT);
    let without = client.screenshot(SIZE);
    // A solid 9x9 square of one colour, hot in the middle.
    let [pixmap, cursor, gc] = [(); 3].map(|()| client.conn.generate_id().unwrap());
    client.conn.create_pixmap(1, pixmap, client.root, 9, 9).unwrap();
    client.conn.create_gc(gc, pixmap, &CreateGCAux::new().foreground(1)).unwrap();
    let whole = Rectangle { x: 0, y: 0, width: 9, height: 9 };
    client.conn.poly_fill_rectangle(pixmap, gc, &[whole]).unwrap();
    client.conn.create_cursor(cursor, pixmap, pixmap, 0xffff, 0x8080, 0, 0, 0, 0, 4, 4).unwrap();
    let values = ChangeWindowAttributesAux::new().cursor(cursor);
    client.conn.change_window_attributes(window, &values).unwrap();
    client.conn.sync().unwrap();
    input.pointer(100.5 / 640.0, 50.5 / 480.0).unwrap();
    input.flush().unwrap();
    let (mut shape, mut place) = (None, None);
    let is_ours = |shape: &CursorShape| shape.size == Size::new(9, 9);
    while !(place == Some((100, 50)) && shape.as_deref().is_some_and(is_ours)) {
        match viewer.next() {
            Captured::Cursor(CursorEvent::Shape(new)) => shape = Some(new),
            Captured::Cursor(CursorEvent::Position { x, y }) => place = Some((x, y)),
            Captured::Cursor(CursorEvent::Hidden) => {}
            Captured::Frame(frame) => viewer.take(frame),
            Captured::Nothing | Captured::Stopped => {
                panic!("no cursor comes: {shape:?} at {place:?}")
            }
        }
    }
    let shape = shape.unwrap();
    assert_eq!((shape.hot_x, shape.hot_y), (4, 4));
    assert!(shape.rgba.chunks_exact(4).all(|pixel| pixel == [255, 128, 0, 255]));
    viewer.follow_until(&without);
}

#[test]
fn shared_memory_is_private() {
    let server = Server::usual();
    let clock = Clock::start();
    let desktop = server.open(clock).unwrap();
    assert_eq!(desktop.notes, [""; 0], "memory is shared");
    let mut found = 0;
    for entry in std::fs::read_dir("/proc/self/fd").unwrap().flatten() {
        let target = std::fs::read_link(entry.path()).unwrap_or_default();
        if target.to_string_lossy().contains("memfd:farpane-capture") {
            use std::os::unix::fs::PermissionsExt;
            let mode = std::fs::metadata(entry.path()).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
            found += 1;
        }
    }
    assert!(found > 0);
    // Fifth column: the process that made a System V segment; seventh and eighth belong to its owner.
    let me = std::process::id().to_string();
    let segments = std::fs::read_to_string("/proc/sysvipc/shm").unwrap();
    let ours = segments.lines().skip(1).filter(|line| line.split_whitespace().nth(4) == Some(&me));
    assert_eq!(ours.count(), 0, "no System V segment");
}

#[test]
fn a_dying_server_is_told() {
    let mut server = Server::usual();
    let clock = Clock::start();
    let Desktop { mut capturer, mut input, .. } = server.open(clock).unwrap();
    let (quiet, settled) = std::sync::mpsc::channel();
    let watcher = std::thread::spawn(move || {
        loop {
            let deadline = clock.now() + Duration::from_millis(100);
            match capturer.next(deadline) {
                Ok(Captured::Nothing) => drop(quiet.send(())),
                Ok(_) => {}
                Err(CaptureError::Temporary(why)) => panic!("not temporary: {why}"),
                Err(CaptureError::Lost(why)) => return why,
            }
        }
    });
    settled.recv().unwrap();
    server.xvfb.kill().unwrap();
    server.xvfb.wait().unwrap();
    assert!(watcher.join().unwrap().contains("closed the connection"));
    let outcome = (0..1000).find_map(|_| input.key(0x04, true).and_then(|()| input.flush()).err());
    assert!(matches!(outcome, Some(InputError::Lost(_))), "{outcome:?}");
}

#[test]
fn the_handle_stops_and_refreshes() {
    let server = Server::usual();
    let clock = Clock::start();
    let mut viewer = Viewer::new(clock, server.open(clock).unwrap().capturer);
    viewer.follow_until(&server.client().screenshot(SIZE));
    let handle = viewer.capturer.handle();
    handle.refresh();
    loop {
        match viewer.next() {
            Captured::Frame(frame) => {
                let is_whole = frame.damage.rects() == [Rect::of(SIZE)];
                viewer.take(frame);
                if is_whole {
                    break;
                }
            }
            Captured::Cursor(_) => {}
            Captured::Nothing | Captured::Stopped => panic!("no frame after a refresh"),
        }
    }
    let stopper = std::thread::spawn(move || handle.stop());
    while !matches!(viewer.next(), Captured::Stopped) {}
    assert!(matches!(viewer.next(), Captured::Stopped), "it stays stopped");
    stopper.join().unwrap();
}

#[test]
fn keys_buttons_and_wheel_arrive() {
    let server = Server::usual();
    let clock = Clock::start();
    let Desktop { mut input, .. } = server.open(clock).unwrap();
    let client = server.client();
    let window = client.window(
        SIZE,
        EventMask::KEY_PRESS
            | EventMask::KEY_RELEASE
            | EventMask::BUTTON_PRESS
            | EventMask::BUTTON_RELEASE
            | EventMask::POINTER_MOTION,
    );
    client.conn.set_input_focus(InputFocus::POINTER_ROOT, window, x11rb::CURRENT_TIME).unwrap();
    client.conn.sync().unwrap();
    let moved = |event: &Event| match event {
        Event::MotionNotify(event) => Some((event.event_x, event.event_y)),
        _ => None,
    };
    input.pointer(0.25, 0.25).unwrap();
    input.flush().unwrap();
    assert_eq!(client.event(moved), (160, 120));
    input.pointer(7.0, f64::NAN).unwrap();
    input.flush().unwrap();
    assert_eq!(client.event(moved), (639, 0));

    // What a test client sees, as (kind, code).
    let seen = |event: &Event| match event {
        Event::KeyPress(e) => Some(("key", e.detail)),
        Event::KeyRelease(e) => Some(("key up", e.detail)),
        Event::ButtonPress(e) => Some(("button", e.detail)),
        Event::ButtonRelease(e) => Some(("button up", e.detail)),
        _ => None,
    };
    input.key(0x04, true).unwrap();
    input.key(0x04, true).unwrap();
    input.key(0x04, false).unwrap();
    input.button(Button::Back, true).unwrap();
    input.button(Button::Back, false).unwrap();
    input.wheel(0.0, 30.0).unwrap();
    input.wheel(0.0, 30.0).unwrap();
    input.wheel(-60.0, 0.0).unwrap();
    input.flush().unwrap();
    let expected = [
        ("key", 38),
        ("key up", 38),
        ("button", 8),
        ("button up", 8),
        ("button", 5),
        ("button up", 5),
        ("button", 6),
        ("button up", 6),
    ];
    for one in expected {
        assert_eq!(client.event(seen), one);
    }
    assert!(matches!(input.key(0xfff0, true), Err(InputError::UnknownKey(0xfff0))));

    input.key(0xe1, true).unwrap();
    input.button(Button::Left, true).unwrap();
    input.release_all();
    input.key(0xe0, true).unwrap();
    drop(input);
    let expected =
        [("key", 50), ("button", 1), ("key up", 50), ("button up", 1), ("key", 37), ("key up", 37)];
    for one in expected {
        assert_eq!(client.event(seen), one);
    }
}

#[test]
fn what_cannot_be_opened_says_what_to_do() {
    let clock = Clock::start();
    let why = |source: &str| source.parse::<Source>().unwrap().open(clock).err().unwrap();
    let nobody = why(":4711");
    assert!(matches!(nobody, OpenError::CannotOpen { .. }));
    assert!(nobody.to_string().contains("/tmp/.X11-unix"), "{nobody}");

    let shallow = Server::start(&["-screen", "0", "640x480x16"]);
    let shallow = why(&shallow.display);
    assert!(matches!(shallow, OpenError::Unsupported { .. }), "{shallow}");
    assert!(shallow.to_string().contains("depth of 24"), "{shallow}");

    // One record of an Xauthority file: any address, any display, a cookie that nobody knows.
    let name = b"MIT-MAGIC-COOKIE-1";
    let fields: [&[u8]; 4] = [b"", b"", name, &[7; 16]];
    let mut record = vec![0xff, 0xff];
    for field in fields {
        record.extend((field.len() as u16).to_be_bytes());
        record.extend(field);
    }
    let file = std::env::temp_dir().join(format!("farpane-auth-{}", std::process::id()));
    std::fs::write(&file, record).unwrap();
    let locked = Server::start(&["-screen", "0", "640x480x24", "-auth", file.to_str().unwrap()]);
    let refused = why(&locked.display);
    std::fs::remove_file(&file).unwrap();
    assert!(refused.to_string().contains("XAUTHORITY"), "{refused}");
}

/// The body is public so that consumers can read it without a pool; a test of the test.
#[test]
fn the_viewer_notices_a_stale_pixel() {
    let body = FrameBody {
        size: Size::new(1, 1),
        stride: 4,
        pixels: vec![1, 2, 3, 4],
        ..FrameBody::default()
    };
    assert!(same(&body.pixels, &[1, 2, 3, 9]));
    assert!(!same(&body.pixels, &[1, 2, 4, 4]));
}
