//! Several in-memory viewers of one drawn desktop.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use farpane_codec::{Chroma, Codec, EncodeError, Encoder, EncoderConfig};
use farpane_desktop::{Button, Input, InputError, Source};
use farpane_engine::{Audience, Builder, Engine, Event, Invite, Viewer};
use farpane_media::{Bitrate, Clock, Size, VideoFormat};
use farpane_proto::{Layer, PacketMeta};
use farpane_transport::memory::{Far, Sent, pair};
use farpane_transport::{
    Channel, Event as Happened, PathState, PathStats, Protocol, Route, Transport as _,
};
use farpane_wire::Message;
use farpane_wire::v1::{
    ControlMessage, EndReason, Ended, InputMessage, Key, Ping, StatsMessage, Visibility,
    control_message, input_message,
};

/// Nothing here takes longer, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);
const AV1: VideoFormat = VideoFormat::new(Codec::Av1, Chroma::Yuv420);
const H264: VideoFormat = VideoFormat::new(Codec::H264, Chroma::Yuv420);

/// What is pressed and released on the desktop; no usage for all keys at once.
struct Hands(Sender<Option<u16>>);

impl Input for Hands {
    fn key(&mut self, usage: u16, down: bool) -> Result<(), InputError> {
        if down {
            let _ = self.0.send(Some(usage));
        }
        Ok(())
    }

    fn pointer(&mut self, _: f64, _: f64) -> Result<(), InputError> {
        Ok(())
    }

    fn button(&mut self, _: Button, _: bool) -> Result<(), InputError> {
        Ok(())
    }

    fn wheel(&mut self, _: f32, _: f32) -> Result<(), InputError> {
        Ok(())
    }

    fn release_all(&mut self) {
        let _ = self.0.send(None);
    }

    fn flush(&mut self) -> Result<(), InputError> {
        Ok(())
    }
}

struct Show {
    invite: Invite,
    clock: Clock,
    done: Receiver<Option<u16>>,
    engine: Engine,
}

struct Seen {
    viewer: Viewer,
    far: Far,
    events: Receiver<Event>,
}

impl Show {
    fn begin(builder: Builder) -> Show {
        let clock = Clock::start();
        let source: Source = "synthetic:clock,size=320x240".parse().unwrap();
        let mut desktop = source.open(clock).unwrap();
        let (hands, done) = channel();
        desktop.input = Box::new(Hands(hands));
        let (audience, invite) = Audience::new(clock, PATIENCE).unwrap();
        let engine = builder.start(desktop, audience, clock);
        Show { invite, clock, done, engine }
    }

    fn seat(&self, controls: bool) -> Seen {
        let (near, far) = pair(self.clock).unwrap();
        let (told, events) = channel();
        let viewer = self.invite.seat(near, controls, move |event| {
            let _ = told.send(event);
        });
        Seen { viewer, far, events }
    }

    fn join(&self, controls: bool) -> Seen {
        let seen = self.seat(controls);
        seen.far.connect(Bitrate::mbps(8));
        seen.open_channels();
        seen
    }

    fn pressed(&self) -> Option<u16> {
        self.done.recv_timeout(PATIENCE).expect("something is done")
    }
}

impl Seen {
    fn open_channels(&self) {
        Channel::ALL.into_iter().for_each(|channel| self.far.emit(Happened::ChannelOpen(channel)));
    }

    fn sent<T>(&self, what: &str, mut pick: impl FnMut(Sent) -> Option<T>) -> T {
        loop {
            let sent = self.far.recv(PATIENCE).unwrap_or_else(|| panic!("no {what}"));
            if let Some(found) = pick(sent) {
                return found;
            }
        }
    }

    fn picture(&self, what: &str, wanted: impl Fn(&PacketMeta) -> bool) -> PacketMeta {
        self.sent(what, |sent| match sent {
            Sent::Video { meta, .. } if meta.marker && wanted(&meta) => Some(meta),
            _ => None,
        })
    }

    /// Pictures up to one that `last` picks, each of which can be decoded after those before it.
    fn pictures(&self, last: impl Fn(&PacketMeta) -> bool) -> Vec<u32> {
        let mut numbers: Vec<u32> = Vec::new();
        loop {
            let meta = self.picture("further picture", |_| true);
            let decodable = meta.reference.is_none_or(|reference| numbers.contains(&reference));
            assert!(decodable, "{meta:?} after {numbers:?}");
            numbers.push(meta.number);
            if last(&meta) {
                return numbers;
            }
        }
    }

    fn told<T>(&self, what: &str, mut pick: impl FnMut(control_message::Body) -> Option<T>) -> T {
        self.sent(what, |sent| match sent {
            Sent::Message(Channel::Control, bytes) => {
                pick(ControlMessage::decode(bytes.as_slice()).unwrap().body.unwrap())
            }
            _ => None,
        })
    }

    fn control(&self, body: control_message::Body) {
        let message = ControlMessage { body: Some(body) }.encode_to_vec();
        self.far.emit(Happened::Data(Channel::Control, message));
    }

    fn press(&self, usage: u32, number: u32) {
        let body = Some(input_message::Body::Key(Key { usage, down: true }));
        let message = InputMessage { body, number }.encode_to_vec();
        self.far.emit(Happened::Data(Channel::Input, message));
    }

    fn ended(&self) -> (EndReason, String) {
        loop {
            if let Event::Ended { reason, detail } = self.events.recv_timeout(PATIENCE).unwrap() {
                return (reason, detail);
            }
        }
    }
}

static OPENED: AtomicUsize = AtomicUsize::new(0);

fn count_encoders(codec: Codec, config: &EncoderConfig) -> Result<Box<dyn Encoder>, EncodeError> {
    OPENED.fetch_add(1, Ordering::Relaxed);
    farpane_codec::open(codec, config)
}

#[test]
fn all_see_what_is_coded_once_and_one_controls() {
    let show = Show::begin(Engine::builder().open_encoder(count_encoders));
    let first = show.join(true);
    first.picture("picture", |meta| meta.number > 3);
    let others = [show.join(false), show.join(false)];
    let hello = |seen: &Seen| {
        seen.told("hello", |body| match body {
            control_message::Body::Hello(hello) => Some((hello.view_only, hello.width)),
            _ => None,
        })
    };
    assert_eq!(hello(&first), (false, 320));
    for seen in &others {
        assert_eq!(hello(seen), (true, 320));
        let start = seen.picture("start", |_| true);
        seen.picture("picture", |meta| meta.number > start.number + 5);
    }
    assert_eq!(OPENED.load(Ordering::Relaxed), 1);

    // Acts of whoever only watches come to nothing.
    others[0].press(4, 1);
    first.press(5, 1);
    assert_eq!(show.pressed(), Some(5));

    // Each clock is set by its own answers, and each path is its own.
    for (at, seen) in [&first, &others[0], &others[1]].into_iter().enumerate() {
        let estimate = Bitrate::mbps(1 + at as u64);
        let path = PathStats { state: PathState::Up, estimate, ..PathStats::default() };
        seen.far.set_path(path);
        seen.control(control_message::Body::Ping(Ping { viewer_us: 100 + at as u64 }));
    }
    for (at, seen) in [&first, &others[0], &others[1]].into_iter().enumerate() {
        let answered = seen.told("answer", |body| match body {
            control_message::Body::Pong(pong) => Some(pong.viewer_us),
            _ => None,
        });
        assert_eq!(answered, 100 + at as u64);
        let estimated = seen.sent("path of its own", |sent| match sent {
            Sent::Message(Channel::Stats, bytes) => {
                let path = StatsMessage::decode(bytes.as_slice()).unwrap().path?;
                (path.estimate_kbps == 1_000 * (1 + at as u32)).then_some(path)
            }
            _ => None,
        });
        assert!(estimated.target_kbps > 0);
    }
}

/// A path that takes nothing more.
fn full() -> PathStats {
    PathStats {
        state: PathState::Up,
        estimate: Bitrate::mbps(1),
        queued_bytes: 1 << 20,
        ..PathStats::default()
    }
}

#[test]
fn one_that_cannot_keep_up_costs_nobody_else_a_picture() {
    let show = Show::begin(Engine::builder());
    let first = show.join(true);
    let slow = show.join(false);
    slow.picture("picture", |meta| meta.key_frame);
    slow.far.set_path(full());
    let last = first.picture("picture", |_| true).number;
    // For some seconds: longer than anything waits for a path, even after a start.
    let numbers = std::iter::repeat_with(|| first.picture("picture", |_| true).number);
    let numbers: Vec<u32> = numbers.take_while(|number| *number < last + 200).collect();
    assert!(numbers.iter().zip(last + 1..).all(|(number, expected)| *number == expected));

    slow.far.set_path(PathStats { queued_bytes: 0, ..full() });
    // What it got before the path was full may still be there to be read.
    let start = slow.picture("new start", |meta| meta.key_frame && meta.number > last + 100);
    let next = slow.picture("picture that builds on it", |_| true);
    assert_eq!(next.reference, Some(start.number));
}

#[test]
fn in_two_layers_no_picture_builds_on_one_of_the_upper() {
    let show = Show::begin(Engine::builder().temporal_layers(true));
    let seen = show.seat(true);
    seen.far.connect_showing(vec![AV1], Bitrate::mbps(8));
    let pictures = std::iter::repeat_with(|| seen.picture("picture", |_| true));
    let pictures: Vec<PacketMeta> = pictures.take(60).collect();
    let mut last = None;
    for (before, meta) in
        pictures.iter().skip(1).zip(&pictures).map(|(meta, before)| (before, meta))
    {
        if before.layer == Layer::Lower {
            last = Some(before.number);
        }
        assert_eq!(meta.reference, last, "{meta:?}");
        assert!([before.layer, meta.layer] != [Layer::Upper; 2], "two in a row");
    }
    let upper = pictures.iter().filter(|meta| meta.layer == Layer::Upper).count();
    assert!(upper >= 15, "{upper} of 60");
    // Other encoders have one layer, and say so.
    let show = Show::begin(Engine::builder().temporal_layers(true));
    let seen = show.seat(true);
    seen.far.connect_showing(vec![H264], Bitrate::mbps(8));
    (0..5).for_each(|_| assert_eq!(seen.picture("picture", |_| true).layer, Layer::Only));
}

#[test]
fn one_whose_path_is_stuck_does_not_hold_up_the_others() {
    let show = Show::begin(Engine::builder());
    let first = show.join(true);
    let second = show.join(false);
    second.picture("start", |meta| meta.key_frame);
    first.far.set_path(PathStats { queued_for: Duration::from_secs(2), ..full() });
    let last = second.picture("picture", |_| true).number;
    second.picture("picture", |meta| meta.number > last + 60);
    // It controls all the same, and hears so.
    first.press(4, 1);
    assert_eq!(show.pressed(), Some(4));
    first.control(control_message::Body::Ping(Ping { viewer_us: 7 }));
    first.told("answer", |body| match body {
        control_message::Body::Pong(pong) => (pong.viewer_us == 7).then_some(()),
        _ => None,
    });
    // Nothing is meant for it alone.
    second.far.emit(Happened::KeyFrameRequest);
    second.picture("start", |meta| meta.number > last + 60 && meta.reference.is_none());
}

#[test]
fn a_loss_is_made_up_for_where_it_happened() {
    let show = Show::begin(Engine::builder());
    let first = show.join(true);
    let second = show.join(false);
    let start = second.picture("start", |meta| meta.key_frame);
    second.far.emit(Happened::KeyFrameRequest);
    let again = second.picture("start", |meta| meta.key_frame && meta.number > start.number);
    // Nothing that came between could be decoded.
    assert_eq!(second.picture("picture", |_| true).reference, Some(again.number));
    assert!(first.pictures(|meta| meta.number == again.number).ends_with(&[again.number]));
}

#[test]
fn those_who_stay_go_on_when_the_one_who_controls_leaves() {
    let show = Show::begin(Engine::builder());
    let first = show.join(true);
    first.press(4, 7);
    assert_eq!(show.pressed(), Some(4));
    let second = show.join(false);
    let before = second.picture("picture", |meta| meta.key_frame).number;
    first.control(control_message::Body::Ended(Ended::default()));
    assert_eq!(first.ended().0, EndReason::EndViewerLeft);
    assert_eq!(show.pressed(), None, "what was held is let go");
    second.picture("start", |meta| meta.key_frame && meta.number > before);
    second.press(5, 1);
    // Whoever controls next counts from one again.
    let third = show.join(true);
    third.picture("start", |meta| meta.key_frame);
    third.press(6, 1);
    assert_eq!(show.pressed(), Some(6));
    // Nobody is left, and somebody comes.
    drop((second, third));
    let fourth = show.join(true);
    fourth.picture("start", |meta| meta.key_frame);
}

#[test]
fn pictures_are_coded_in_what_all_can_see() {
    let show = Show::begin(Engine::builder());
    let first = show.seat(true);
    first.far.connect_showing(vec![H264, AV1], Bitrate::mbps(8));
    first.picture("picture", |meta| meta.format == H264);
    let second = show.seat(false);
    second.far.connect_showing(vec![AV1], Bitrate::mbps(8));
    for seen in [&first, &second] {
        seen.picture("start", |meta| meta.format == AV1 && meta.key_frame);
    }
    let third = show.seat(false);
    third.far.connect_showing(vec![H264], Bitrate::mbps(8));
    third.open_channels();
    let (reason, detail) = third.ended();
    assert_eq!(reason, EndReason::EndHostError);
    assert!(detail.contains("no video"), "{detail}");
    first.picture("further picture", |meta| meta.format == AV1);
}

#[test]
fn the_one_who_leads_decides_whether_pictures_refer_to_kept_ones() {
    let clock = Clock::start();
    let (mut audience, invite) = Audience::new(clock, PATIENCE).unwrap();
    let seat = |controls, references| {
        let (near, far) = pair(clock).unwrap();
        let viewer = invite.seat(near, controls, |_| {});
        let route = Route { relayed: false, protocol: Protocol::Udp, ipv6: false };
        far.emit(Happened::Connected { formats: vec![H264], references, route });
        (viewer, far)
    };
    let mut next = || {
        loop {
            match audience.poll_event() {
                Some(Happened::Connected { references, .. }) => break ("first", references),
                Some(Happened::References(references)) => break ("another", references),
                Some(_) => {}
                None => audience.wait(clock.now() + PATIENCE).unwrap(),
            }
        }
    };
    let (_first, first) = seat(false, true);
    assert_eq!(next(), ("first", true));
    let (_second, second) = seat(true, false);
    assert_eq!(next(), ("another", false));
    second.emit(Happened::PathLost);
    assert_eq!(next(), ("another", true));
    second.emit(Happened::PathRestored);
    assert_eq!(next(), ("another", false));
    drop(first);
}

fn open_av1_only(codec: Codec, config: &EncoderConfig) -> Result<Box<dyn Encoder>, EncodeError> {
    match codec {
        Codec::Av1 => farpane_codec::open(codec, config),
        _ => {
            let (size, limit) = (config.size, Size::default());
            Err(EncodeError::UnsupportedSize { codec, size, limit })
        }
    }
}

#[test]
fn one_who_shows_only_what_does_not_work_here_is_turned_away() {
    let show = Show::begin(Engine::builder().open_encoder(open_av1_only));
    let first = show.seat(true);
    first.far.connect_showing(vec![H264, AV1], Bitrate::mbps(8));
    let before = first.picture("picture", |meta| meta.format == AV1).number;
    let second = show.seat(false);
    second.far.connect_showing(vec![H264], Bitrate::mbps(8));
    second.open_channels();
    let (reason, detail) = second.ended();
    assert_eq!(reason, EndReason::EndHostError);
    assert!(detail.contains("does not show"), "{detail}");
    first.picture("further picture", |meta| meta.format == AV1 && meta.number > before + 60);
}

#[test]
fn nothing_is_sent_to_a_hidden_page_and_it_begins_anew() {
    let show = Show::begin(Engine::builder());
    let first = show.join(true);
    let second = show.join(false);
    let start = second.picture("start", |meta| meta.key_frame).number;
    let hide = |seen: &Seen, hidden| {
        seen.control(control_message::Body::Visibility(Visibility { hidden }));
    };
    hide(&second, true);
    let last = first.picture("picture", |meta| meta.number > start + 10).number;
    let later = first.picture("picture", |meta| meta.number > last + 30).number;
    hide(&second, false);
    let again = second.picture("start", |meta| meta.key_frame && meta.number > start).number;
    assert!(again > later - 30, "{again} after {later}");
    // One who hides does not take the picture from another.
    hide(&first, true);
    second.picture("picture", |meta| meta.number > again + 30);
}

#[test]
fn all_are_told_why_it_ends() {
    let show = Show::begin(Engine::builder());
    let seen = [show.join(true), show.join(false)];
    seen.iter().for_each(|seen| _ = seen.picture("picture", |_| true));
    show.engine.stop(EndReason::EndStopped, "enough");
    for seen in &seen {
        let told = seen.told("goodbye", |body| match body {
            control_message::Body::Ended(ended) => Some(ended.detail),
            _ => None,
        });
        assert_eq!(told, "enough");
        assert_eq!(seen.ended(), (EndReason::EndStopped, "enough".to_owned()));
    }
    // Too late.
    let late = show.seat(false);
    assert_eq!(late.ended().0, EndReason::EndStopped);
    late.viewer.stop(EndReason::EndStopped, "");
}
