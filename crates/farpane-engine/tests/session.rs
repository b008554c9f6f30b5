//! A whole pipeline between a drawn desktop and an in-memory viewer.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use farpane_codec::{Chroma, Codec, EncodeError, Encoder, EncoderConfig, Output, Picture, Request};
use farpane_desktop::{
    Button, CaptureError, CaptureHandle, Captured, Capturer, Desktop, Input, InputError, Source,
};
use farpane_engine::{Builder, Engine, Event, Signal};
use farpane_media::{Bitrate, Clock, Size, Stamps, Time, VideoFormat};
use farpane_proto::PacketMeta;
use farpane_transport::memory::{Far, Sent, pair};
use farpane_transport::{Channel, Event as Happened, PathState, PathStats, Route};
use farpane_wire::v1::{
    ControlMessage, EndReason, InputMessage, Key, Ping, Point, PointerMessage, Refresh, ReleaseAll,
    StatsMessage, control_message, input_message,
};
use farpane_wire::{MAX_CHANNEL_BYTES, Message};

/// Nothing here takes longer, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);
const CLOCK: &str = "synthetic:clock,size=320x240";

/// What reached the desktop.
#[derive(Debug, PartialEq)]
enum Done {
    Key(u16, bool),
    Pointer(f64, f64),
    ReleasedAll,
}

struct Hands(Sender<Done>);

impl Hands {
    fn note(&self, done: Done) -> Result<(), InputError> {
        let _ = self.0.send(done);
        Ok(())
    }
}

impl Input for Hands {
    fn key(&mut self, usage: u16, down: bool) -> Result<(), InputError> {
        self.note(Done::Key(usage, down))
    }

    fn pointer(&mut self, x: f64, y: f64) -> Result<(), InputError> {
        self.note(Done::Pointer(x, y))
    }

    fn button(&mut self, _: Button, _: bool) -> Result<(), InputError> {
        Ok(())
    }

    fn wheel(&mut self, _: f32, _: f32) -> Result<(), InputError> {
        Ok(())
    }

    fn release_all(&mut self) {
        let _ = self.note(Done::ReleasedAll);
    }

    fn flush(&mut self) -> Result<(), InputError> {
        Ok(())
    }
}

/// A desktop that goes away when it is first looked at.
struct Doomed(CaptureHandle);

impl Capturer for Doomed {
    fn size(&self) -> Size {
        Size::new(64, 64)
    }

    fn next(&mut self, _: Time) -> Result<Captured, CaptureError> {
        Err(CaptureError::Lost("it burnt down".to_owned()))
    }

    fn rest(&mut self) -> Result<Captured, CaptureError> {
        self.next(Time::NEVER)
    }

    fn handle(&self) -> CaptureHandle {
        self.0.clone()
    }
}

/// Tells of each frame that is captured by its number, and of each time that it is rung without one. After `frames`
/// frames it takes none any more.
struct Telling {
    capturer: Box<dyn Capturer>,
    frames: u64,
    told: Sender<Option<u64>>,
}

impl Telling {
    fn change(frames: u64, told: Sender<Option<u64>>) -> impl FnOnce(&mut Desktop) {
        move |desktop| {
            let nobody = Box::new(Doomed(desktop.capturer.handle()));
            let capturer = std::mem::replace(&mut desktop.capturer, nobody);
            desktop.capturer = Box::new(Telling { capturer, frames, told });
        }
    }
}

impl Capturer for Telling {
    fn size(&self) -> Size {
        self.capturer.size()
    }

    fn next(&mut self, deadline: Time) -> Result<Captured, CaptureError> {
        if self.frames == 0 {
            return self.rest();
        }
        let captured = self.capturer.next(deadline)?;
        if let Captured::Frame(frame) = &captured {
            self.frames -= 1;
            let _ = self.told.send(Some(frame.seq));
        }
        Ok(captured)
    }

    fn rest(&mut self) -> Result<Captured, CaptureError> {
        let captured = self.capturer.rest()?;
        if let Captured::Nothing = &captured {
            let _ = self.told.send(None);
        }
        Ok(captured)
    }

    fn handle(&self) -> CaptureHandle {
        self.capturer.handle()
    }
}

struct Session {
    engine: Engine,
    far: Far,
    events: Receiver<Event>,
    done: Receiver<Done>,
    clock: Clock,
}

impl Session {
    fn start(builder: Builder, change: impl FnOnce(&mut Desktop)) -> Session {
        Session::start_heard(CLOCK, builder, change, |_| ())
    }

    /// `hear` is told of events first, on the net thread.
    fn start_heard(
        source: &str,
        builder: Builder,
        change: impl FnOnce(&mut Desktop),
        mut hear: impl FnMut(&Event) + Send + 'static,
    ) -> Session {
        let clock = Clock::start();
        let source: Source = source.parse().unwrap();
        let (hands, done) = channel();
        let mut desktop = source.open(clock).unwrap();
        desktop.input = Box::new(Hands(hands));
        change(&mut desktop);
        let (near, far) = pair(clock).unwrap();
        let (told, events) = channel();
        let builder = builder.on_event(move |event| {
            hear(&event);
            let _ = told.send(event);
        });
        let engine = builder.start(desktop, near, clock);
        Session { engine, far, events, done, clock }
    }

    fn connected(builder: Builder) -> Session {
        let session = Session::start(builder, |_| ());
        session.far.connect(Bitrate::mbps(8));
        session
    }

    /// To a viewer that is told what pictures refer to.
    fn connect_telling(&self) {
        let (formats, estimate) = (vec![VideoFormat::default()], Bitrate::mbps(8));
        let route =
            Route { relayed: false, protocol: farpane_transport::Protocol::Udp, ipv6: false };
        self.far.set_path(PathStats { state: PathState::Up, estimate, ..PathStats::default() });
        self.far.emit(Happened::Connected { formats, references: true, route });
        self.far.emit(Happened::Estimate(estimate));
    }

    /// The metadata of the next packet for which `wanted` holds.
    fn packet(&self, what: &str, wanted: impl Fn(&PacketMeta) -> bool) -> PacketMeta {
        loop {
            match self.far.recv(PATIENCE).unwrap_or_else(|| panic!("no {what}")) {
                Sent::Video { meta, .. } if wanted(&meta) => return meta,
                _ => {}
            }
        }
    }

    /// The next control message for which `pick` gives something.
    fn told<T>(&self, what: &str, pick: impl Fn(control_message::Body) -> Option<T>) -> T {
        loop {
            let sent = self.far.recv(PATIENCE).unwrap_or_else(|| panic!("no {what}"));
            let Sent::Message(Channel::Control, bytes) = sent else { continue };
            let message = ControlMessage::decode(bytes.as_slice()).unwrap();
            if let Some(found) = message.body.and_then(&pick) {
                return found;
            }
        }
    }

    fn say(&self, channel: Channel, message: &impl Message) {
        self.far.emit(Happened::Data(channel, message.encode_to_vec()));
    }

    fn control(&self, body: control_message::Body) {
        self.say(Channel::Control, &ControlMessage { body: Some(body) });
    }

    fn key(&self, usage: u32, down: bool) {
        let body = Some(input_message::Body::Key(Key { usage, down }));
        self.say(Channel::Input, &InputMessage { body, number: 0 });
    }

    /// Everything said before this has been dealt with when it returns.
    fn round_trip(&self) {
        self.control(control_message::Body::Ping(Ping { viewer_us: 4711 }));
        let echoed = self.told("pong", |body| match body {
            control_message::Body::Pong(pong) => Some(pong.viewer_us),
            _ => None,
        });
        assert_eq!(echoed, 4711);
    }

    fn done(&self) -> Done {
        self.done.recv_timeout(PATIENCE).expect("something reaches the desktop")
    }

    fn ended(&self) -> (EndReason, String) {
        loop {
            if let Event::Ended { reason, detail } =
                self.events.recv_timeout(PATIENCE).expect("an end")
            {
                return (reason, detail);
            }
        }
    }
}

#[test]
fn the_first_picture_is_a_key_frame_and_later_ones_are_not() {
    let session = Session::connected(Engine::builder());
    let first = session.packet("picture", |_| true);
    assert!(first.key_frame && first.first_of_frame);
    let next = session.packet("change", |meta| meta.frame > first.frame);
    assert!(!next.key_frame);
    assert_ne!(next.rtp_time, first.rtp_time);
}

#[test]
fn no_picture_leaves_before_there_is_a_path() {
    let session = Session::start(Engine::builder(), |_| ());
    session.engine.signal(Signal::Candidate("candidate:1".to_owned()), Box::new(|_| ()));
    assert_eq!(session.far.recv(PATIENCE), Some(Sent::Candidate("candidate:1".to_owned())));
    session.far.connect(Bitrate::mbps(8));
    let video = loop {
        if let Sent::Video { meta, .. } = session.far.recv(PATIENCE).expect("a picture") {
            break meta;
        }
    };
    assert!(video.key_frame);
}

#[test]
fn a_request_is_answered_by_a_key_frame() {
    let session = Session::connected(Engine::builder());
    let first = session.packet("picture", |meta| meta.key_frame && meta.marker);
    session.far.emit(Happened::KeyFrameRequest);
    let answer =
        session.packet("key frame", |meta| meta.key_frame && meta.rtp_time != first.rtp_time);
    assert!(answer.first_of_frame);
}

#[test]
fn a_viewer_that_lacks_pictures_goes_on_from_one_that_it_has() {
    let session = Session::start(Engine::builder(), |_| ());
    session.connect_telling();
    let next = || session.packet("picture", |meta| meta.marker);
    let mut last = 0;
    for _ in 0..20 {
        last = next().number;
        session.far.emit(Happened::Arrived(last));
    }
    let mut lost = (0..5).map(|_| next());
    assert!(lost.all(|meta| meta.reference == Some(meta.number - 1)));
    session.far.emit(Happened::KeyFrameRequest);
    let recovery = session.packet("recovery", |meta| meta.reference != Some(meta.number - 1));
    assert!(!recovery.key_frame);
    assert!(recovery.reference.is_some_and(|number| number <= last), "{recovery:?}");
    assert_eq!(next().reference, Some(recovery.number));
}

#[test]
fn a_last_picture_that_is_unheard_of_is_followed_by_another() {
    let (told, _captured) = channel();
    let session = Session::start(Engine::builder(), Telling::change(1, told));
    session.connect_telling();
    session.packet("sign of life", |meta| meta.keep_alive);
}

#[test]
fn a_viewer_that_wonders_and_lacks_the_last_picture_gets_a_start() {
    let (told, _captured) = channel();
    let session = Session::start(Engine::builder(), Telling::change(1, told));
    session.connect_telling();
    // The first picture is lost, as is what was sent to show that, and nothing changes any more.
    session.packet("sign of life", |meta| meta.keep_alive && meta.marker);
    session.far.emit(Happened::FrameRequest);
    session.packet("start", |meta| meta.key_frame && meta.number > 0);
}

#[test]
fn the_viewer_is_greeted_with_the_size() {
    let session = Session::connected(Engine::builder());
    let hello = session.told("hello", |body| match body {
        control_message::Body::Hello(hello) => Some(hello),
        _ => None,
    });
    assert_eq!((hello.width, hello.height, hello.view_only), (320, 240, false));
    assert_eq!(hello.codec, "H264");
}

#[test]
fn the_owner_hears_each_frames_way_in_order() {
    let session = Session::connected(Engine::builder());
    let mut last = None;
    for _ in 0..5 {
        let record = loop {
            if let Event::Frame(record) = session.events.recv_timeout(PATIENCE).expect("a frame") {
                break record;
            }
        };
        let meta = session.packet("end of the frame", |meta| meta.marker);
        assert_eq!((record.frame, record.rtp_time), (meta.frame, meta.rtp_time));
        assert_eq!(record.key_frame, last.is_none());
        assert!(record.captured >= record.frame && record.bytes > 0);
        let Stamps { changed, captured, taken, narrowed, converted, encoded, packetized, sent } =
            record.stamps;
        let way = [changed, captured, taken, narrowed, converted, encoded, packetized, sent];
        assert!(way.is_sorted() && changed > Time::ZERO, "{way:?}");
        assert!(last < Some(sent));
        last = Some(sent);
    }
}

#[test]
fn input_arrives_in_order_and_garbage_does_not() {
    let session = Session::connected(Engine::builder());
    session.far.emit(Happened::Data(Channel::Input, vec![0xff; 40]));
    session.far.emit(Happened::Data(Channel::Input, vec![0; MAX_CHANNEL_BYTES + 1]));
    session.key(4, true);
    let at = Some(Point { x: 65_535, y: 0 });
    session.say(Channel::Pointer, &PointerMessage { seq: 2, at, copies: Vec::new() });
    session.say(
        Channel::Pointer,
        &PointerMessage { seq: 1, at: Some(Point { x: 0, y: 0 }), copies: Vec::new() },
    );
    session.key(4, false);
    assert_eq!(session.done(), Done::Key(4, true));
    assert_eq!(session.done(), Done::Pointer(1.0, 0.0));
    assert_eq!(session.done(), Done::Key(4, false), "the older move is stale");
}

#[test]
fn view_only_lets_nothing_through() {
    let session = Session::connected(Engine::builder().view_only(true));
    session.key(4, true);
    session.round_trip();
    drop(session.engine);
    let reached: Vec<Done> = session.done.iter().collect();
    assert!(reached.iter().all(|done| *done == Done::ReleasedAll), "{reached:?}");
}

#[test]
fn a_held_key_is_released_when_the_viewer_falls_silent() {
    let session = Session::connected(Engine::builder());
    session.key(4, true);
    assert_eq!(session.done(), Done::Key(4, true));
    assert_eq!(session.done(), Done::ReleasedAll);
}

#[test]
fn a_viewer_that_leaves_focus_releases_at_once() {
    let session = Session::connected(Engine::builder());
    session.key(4, true);
    let body = Some(input_message::Body::ReleaseAll(ReleaseAll {}));
    session.say(Channel::Input, &InputMessage { body, number: 0 });
    assert_eq!(session.done(), Done::Key(4, true));
    assert_eq!(session.done(), Done::ReleasedAll);
}

#[test]
fn a_path_that_stays_away_ends_the_session() {
    let patience = Duration::from_millis(50);
    let session = Session::connected(Engine::builder().path_patience(patience));
    session.packet("picture", |_| true);
    session.far.emit(Happened::PathLost);
    assert_eq!(session.ended().0, EndReason::EndPathLost);
}

#[test]
fn a_path_that_comes_back_starts_with_a_key_frame() {
    let session = Session::connected(Engine::builder());
    let first = session.packet("picture", |meta| meta.marker);
    session.far.emit(Happened::PathLost);
    session.far.emit(Happened::PathRestored);
    session.packet("key frame", |meta| meta.key_frame && meta.rtp_time != first.rtp_time);
}

/// A decoder that has begun anew has none of what arrived before.
#[test]
fn a_new_path_and_a_stuck_decoder_get_a_key_frame_whatever_has_arrived() {
    let session = Session::start(Engine::builder(), |_| ());
    session.connect_telling();
    for way in ["path", "refresh"] {
        for _ in 0..20 {
            let number = session.packet("picture", |meta| meta.marker).number;
            session.far.emit(Happened::Arrived(number));
        }
        match way {
            "path" => {
                session.far.emit(Happened::PathLost);
                session.far.emit(Happened::PathRestored);
            }
            _ => session.control(control_message::Body::Refresh(Refresh {})),
        }
        let start = session.packet("start", |meta| {
            meta.reference.is_none_or(|reference| reference + 1 != meta.number)
        });
        assert!(start.key_frame, "after {way}: {start:?}");
    }
}

#[test]
fn a_desktop_that_goes_away_ends_the_session_in_words() {
    let session = Session::start(Engine::builder(), |desktop| {
        desktop.capturer = Box::new(Doomed(desktop.capturer.handle()));
    });
    session.far.connect(Bitrate::mbps(8));
    assert_eq!(session.ended(), (EndReason::EndDisplayLost, "it burnt down".to_owned()));
}

#[test]
fn stopping_tells_the_viewer_and_hangs_up() {
    let session = Session::connected(Engine::builder());
    session.packet("picture", |_| true);
    session.engine.stop(EndReason::EndStopped, "enough");
    let ended = session.told("end", |body| match body {
        control_message::Body::Ended(ended) => Some(ended),
        _ => None,
    });
    assert_eq!((ended.reason(), ended.detail.as_str()), (EndReason::EndStopped, "enough"));
    while session.far.recv(PATIENCE).expect("a goodbye") != Sent::Closed {}
    assert_eq!(session.ended().0, EndReason::EndStopped);
}

#[test]
fn a_hidden_page_gets_no_pictures_until_it_is_shown() {
    use farpane_wire::v1::Visibility;
    let session = Session::connected(Engine::builder());
    session.packet("picture", |_| true);
    session.control(control_message::Body::Visibility(Visibility { hidden: true }));
    session.round_trip();
    // What was in the encoder at that moment may still come; then the stream stands still while messages go on.
    let stands_still = (0..1_000).any(|_| {
        session.round_trip();
        !session.far.drain().iter().any(|sent| matches!(sent, Sent::Video { .. }))
    });
    assert!(stands_still);
    session.control(control_message::Body::Visibility(Visibility { hidden: false }));
    session.packet("picture", |_| true);
}

const H264: VideoFormat = VideoFormat::new(Codec::H264, Chroma::Yuv420);
const H264_FULL: VideoFormat = VideoFormat::new(Codec::H264, Chroma::Yuv444);
const AV1: VideoFormat = VideoFormat::new(Codec::Av1, Chroma::Yuv420);

/// A real encoder with something wrong.
struct Faulty {
    encoder: Box<dyn Encoder>,
    /// How many more pictures it codes before it fails.
    left: u32,
    /// What each takes in addition.
    delay: Duration,
}

impl Encoder for Faulty {
    fn codec(&self) -> Codec {
        self.encoder.codec()
    }

    fn update(&mut self, picture: Picture<'_>) -> Result<(), EncodeError> {
        self.encoder.update(picture)
    }

    fn encode(&mut self, request: &Request) -> Result<Output<'_>, EncodeError> {
        if self.left == 0 {
            return Err(broken(self.codec()));
        }
        self.left -= 1;
        std::thread::sleep(self.delay);
        self.encoder.encode(request)
    }
}

fn broken(codec: Codec) -> EncodeError {
    EncodeError::Library { codec, call: "injected", code: 1 }
}

type Opened = Result<Box<dyn Encoder>, EncodeError>;

fn faulty(codec: Codec, config: &EncoderConfig, left: u32, delay: Duration) -> Opened {
    let encoder = farpane_codec::open(codec, config)?;
    Ok(Box::new(Faulty { encoder, left, delay }))
}

fn showing(formats: &[VideoFormat], open: fn(Codec, &EncoderConfig) -> Opened) -> Session {
    let session = Session::start(Engine::builder().open_encoder(open), |_| ());
    session.far.connect_showing(formats.to_vec(), Bitrate::mbps(8));
    session
}

impl Session {
    /// Waits for pictures in `format`, which have to start with a key frame, and for the viewer to be told why.
    fn goes_on_in(&self, format: VideoFormat, why: &str) {
        let first = self.packet("picture", |meta| meta.format == format);
        assert!(first.first_of_frame && first.key_frame, "{format}: {first:?}");
        let codec = format.codec.encoding_name();
        self.told("reason", |body| match body {
            control_message::Body::Hello(hello) => {
                (hello.codec == codec && hello.reason == why).then_some(())
            }
            _ => None,
        });
    }
}

#[test]
fn an_encoder_that_fails_gives_way_to_the_next_best() {
    fn open(codec: Codec, config: &EncoderConfig) -> Opened {
        match (codec, config.chroma) {
            // One cannot be made, one dies at work.
            (Codec::H264, Chroma::Yuv444) => Err(broken(codec)),
            (Codec::H264, Chroma::Yuv420) => faulty(codec, config, 5, Duration::ZERO),
            _ => farpane_codec::open(codec, config),
        }
    }
    let session = showing(&[AV1, H264, H264_FULL], open);
    session.goes_on_in(H264, "a better one failed");
    session.goes_on_in(AV1, "a better one failed");
    // And it stays with that.
    (0..10).for_each(|_| assert_eq!(session.packet("picture", |_| true).format, AV1));
}

#[test]
fn an_encoder_that_is_too_slow_gives_way_to_a_cheaper_one() {
    fn open(codec: Codec, config: &EncoderConfig) -> Opened {
        let slow = if config.chroma == Chroma::Yuv444 { 60 } else { 0 };
        faulty(codec, config, u32::MAX, Duration::from_millis(slow))
    }
    let session = showing(&[H264_FULL, H264], open);
    session.goes_on_in(H264_FULL, "the sharpest that the browser shows");
    session.goes_on_in(H264, "sharper ones are too slow here");
}

/// An encoder whose pictures come out when it has been asked a few more times.
struct Late {
    encoder: Box<dyn Encoder>,
    behind: u32,
}

impl Encoder for Late {
    fn codec(&self) -> Codec {
        self.encoder.codec()
    }

    fn update(&mut self, picture: Picture<'_>) -> Result<(), EncodeError> {
        self.behind = 4;
        self.encoder.update(picture)
    }

    fn encode(&mut self, request: &Request) -> Result<Output<'_>, EncodeError> {
        self.behind = self.behind.saturating_sub(1);
        // What describes a key frame passes for a NAL unit, the rest would not.
        self.encoder.encode(&Request { key_frame: true, ..*request })
    }

    fn is_behind(&self) -> bool {
        self.behind > 0
    }
}

#[test]
fn an_encoder_that_is_behind_is_asked_until_the_picture_is_out() {
    fn open(codec: Codec, config: &EncoderConfig) -> Opened {
        Ok(Box::new(Late { encoder: farpane_codec::open(codec, config)?, behind: 0 }))
    }
    let builder = Engine::builder().open_encoder(open);
    let still = "synthetic:idle,size=320x240";
    let session = Session::start_heard(still, builder, |_| (), |_| ());
    // It says of nothing that it could be sharper, so nothing else makes the engine ask again.
    session
        .far
        .connect_showing(vec![VideoFormat::new(Codec::Null, Chroma::Yuv420)], Bitrate::mbps(8));
    let first = session.packet("picture", |_| true).frame;
    for _ in 0..3 {
        assert_eq!(session.packet("picture", |_| true).frame, first);
    }
}

#[test]
fn when_no_encoder_is_left_the_session_ends_and_says_why() {
    fn open(codec: Codec, _: &EncoderConfig) -> Opened {
        Err(broken(codec))
    }
    let session = showing(&[AV1, H264], open);
    let (reason, detail) = session.ended();
    assert_eq!(reason, EndReason::EndHostError);
    assert!(detail.contains("injected"), "{detail}");
}

#[test]
fn every_stage_stamps_the_frame() {
    let session = Session::connected(Engine::builder());
    // The first picture was there before the session.
    let records = loop {
        let Sent::Message(Channel::Stats, bytes) = session.far.recv(PATIENCE).expect("records")
        else {
            continue;
        };
        let mut records = StatsMessage::decode(bytes.as_slice()).unwrap().frames;
        records.retain(|record| !record.key_frame);
        if !records.is_empty() {
            break records;
        }
    };
    for record in records {
        // Spans from stamp to stamp: one that is missing makes the next as long as the session.
        let stages = [
            record.capture_us,
            record.wait_us,
            record.damage_us,
            record.convert_us,
            record.encode_us,
            record.packetize_us,
            record.send_us,
        ];
        let sent = record.changed_us + stages.iter().map(|us| u64::from(*us)).sum::<u64>();
        assert!(0 < record.changed_us && sent <= session.clock.now().as_micros(), "{record:?}");
    }
}

#[test]
fn an_input_event_makes_the_next_capture_immediate() {
    let (told, captures) = channel();
    let session = Session::start(Engine::builder(), Telling::change(1, told));
    session.far.connect(Bitrate::mbps(8));
    assert_eq!(captures.recv_timeout(PATIENCE), Ok(Some(1)));
    session.key(4, true);
    assert_eq!(session.done(), Done::Key(4, true));
    assert_eq!(captures.recv_timeout(PATIENCE), Ok(None), "nothing else rings it");
}

#[test]
fn an_encoder_that_stands_still_holds_up_nobody_and_then_gets_the_newest() {
    static GATE: Mutex<()> = Mutex::new(());
    static TAKEN: AtomicU64 = AtomicU64::new(0);

    struct Gated(Box<dyn Encoder>);

    impl Encoder for Gated {
        fn codec(&self) -> Codec {
            self.0.codec()
        }

        fn update(&mut self, picture: Picture<'_>) -> Result<(), EncodeError> {
            self.0.update(picture)?;
            TAKEN.store(picture.frame.seq, Ordering::Release);
            Ok(())
        }

        fn encode(&mut self, request: &Request) -> Result<Output<'_>, EncodeError> {
            drop(GATE.lock().unwrap_or_else(PoisonError::into_inner));
            self.0.encode(request)
        }
    }

    fn open(codec: Codec, config: &EncoderConfig) -> Opened {
        Ok(Box::new(Gated(farpane_codec::open(codec, config)?)))
    }

    let gate = GATE.lock().unwrap();
    let (told, captures) = channel();
    let builder = Engine::builder().open_encoder(open);
    let session = Session::start(builder, Telling::change(u64::MAX, told));
    session.far.connect(Bitrate::mbps(8));
    let taken = loop {
        session.round_trip();
        match TAKEN.load(Ordering::Acquire) {
            0 => continue,
            taken => break taken,
        }
    };
    let newest = taken + 20;
    while captures.recv_timeout(PATIENCE).expect("captures") < Some(newest) {}
    session.round_trip();
    drop(gate);
    assert_eq!(session.packet("picture", |_| true).frame, taken);
    let next = session.packet("newer one", |meta| meta.frame > taken);
    assert!(next.frame >= newest, "one picture waits, not all: {next:?}");
}

#[test]
fn a_network_that_stands_still_holds_up_no_capture() {
    static GATE: Mutex<()> = Mutex::new(());
    let gate = GATE.lock().unwrap();
    let (told, captures) = channel();
    let session = Session::start_heard(
        CLOCK,
        Engine::builder(),
        Telling::change(u64::MAX, told),
        // On the net thread.
        |event| {
            if let Event::Connected { .. } = event {
                drop(GATE.lock().unwrap_or_else(PoisonError::into_inner));
            }
        },
    );
    session.far.connect(Bitrate::mbps(8));
    while captures.recv_timeout(PATIENCE).expect("captures") < Some(20) {}
    assert!(session.far.drain().iter().all(|sent| !matches!(sent, Sent::Video { .. })));
    drop(gate);
    session.packet("picture", |meta| meta.key_frame);
}
