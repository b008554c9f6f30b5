//! Every kind of message against the bytes in golden/messages.json, which the browser's tests read as well.
//!
//! The file is one object a line: a name, the type of the outermost message, and its bytes in hex. Bytes of a released
//! version never change; a new field gets a new line.

use std::fmt::Write;

use farpane_wire::v1::*;
use farpane_wire::{
    MAX_CHANNEL_BYTES, MAX_SIGNAL_BYTES, Message, WireError, decode_channel, decode_signal,
};

struct Golden {
    lines: Vec<String>,
}

impl Golden {
    fn add<M: Message + Default + PartialEq + std::fmt::Debug>(
        &mut self,
        name: &str,
        kind: &str,
        message: M,
    ) {
        let bytes = message.encode_to_vec();
        assert_eq!(M::decode(bytes.as_slice()).unwrap(), message, "{name} reads back as it was");
        let hex = bytes.iter().fold(String::new(), |mut hex, byte| {
            write!(hex, "{byte:02x}").expect("a string takes all");
            hex
        });
        self.lines.push(format!(r#"  {{"name": "{name}", "type": "{kind}", "hex": "{hex}"}}"#));
    }

    fn signal(&mut self, name: &str, body: signal::Body) {
        self.add(name, "Signal", Signal { body: Some(body) });
    }

    fn session(&mut self, name: &str, body: session::Body) {
        self.add(name, "Session", Session { body: Some(body) });
    }

    fn stream(&mut self, name: &str, message: StreamMessage) {
        self.add(name, "StreamMessage", message);
    }

    fn input(&mut self, name: &str, body: input_message::Body) {
        self.add(name, "InputMessage", InputMessage { body: Some(body), number: 1 });
    }

    fn cursor(&mut self, name: &str, body: cursor_message::Body) {
        self.add(name, "CursorMessage", CursorMessage { body: Some(body) });
    }

    fn control(&mut self, name: &str, body: control_message::Body) {
        self.add(name, "ControlMessage", ControlMessage { body: Some(body) });
    }
}

#[test]
fn messages_have_the_golden_bytes() {
    let mut golden = Golden { lines: Vec::new() };
    let at = Some(Point { x: 65_535, y: 1 });
    let sdp = || "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\n".to_owned();

    golden.signal(
        "auth_start",
        signal::Body::AuthStart(AuthStart { version: 1, ke1: vec![1, 2, 255] }),
    );
    golden.signal("auth_reply", signal::Body::AuthReply(AuthReply { ke2: vec![3, 4, 254] }));
    golden.signal("auth_finish", signal::Body::AuthFinish(AuthFinish { ke3: vec![5, 6, 253] }));
    golden
        .signal("auth_finish_without_proof", signal::Body::AuthFinish(AuthFinish { ke3: vec![] }));
    golden.signal(
        "refusal_wrong_code",
        signal::Body::Refusal(Refusal {
            reason: RefusalReason::RefusalWrongCode.into(),
            attempts_left: 4,
        }),
    );
    golden.signal(
        "refusal_overloaded",
        signal::Body::Refusal(Refusal {
            reason: RefusalReason::RefusalOverloaded.into(),
            attempts_left: 0,
        }),
    );
    golden.signal(
        "sealed",
        signal::Body::Sealed(Sealed {
            seq: u64::MAX,
            payload: vec![0x12, 0x00],
            mac: (0..32).collect(),
        }),
    );

    let opening = Some(Sealed { seq: 0, payload: Vec::new(), mac: (0..32).collect() });
    golden.signal("resume", signal::Body::Resume(Resume { line: 1, opening }));
    let shown = Session { body: Some(session::Body::Shown(Shown { formats: vec![2, 1, 3] })) };
    let opening = Sealed { seq: 0, payload: shown.encode_to_vec(), mac: (0..32).collect() };
    golden.signal("stream", signal::Body::Stream(Resume { line: 2, opening: Some(opening) }));
    golden.session("waiting", session::Body::Waiting(Waiting { seconds: 60 }));
    golden.session(
        "admitted",
        session::Body::Admitted(Admitted { view_only: true, host_name: "Büro ☕".to_owned() }),
    );
    golden.session("offer", session::Body::Offer(Description { sdp: sdp() }));
    golden.session("answer", session::Body::Answer(Description { sdp: sdp() }));
    golden.session(
        "candidate",
        session::Body::Candidate(Candidate {
            candidate: "candidate:1 1 udp 2130706431 192.0.2.1 50000 typ host".to_owned(),
        }),
    );
    golden.session(
        "no_more_candidates",
        session::Body::Candidate(Candidate { candidate: String::new() }),
    );
    golden.session(
        "session_ended",
        session::Body::Ended(Ended {
            reason: EndReason::EndStopped.into(),
            detail: "sharing was stopped".to_owned(),
        }),
    );
    golden.session(
        "refused",
        session::Body::Refused(Refusal {
            reason: RefusalReason::RefusalDeclined.into(),
            attempts_left: 0,
        }),
    );

    golden.session("shown", session::Body::Shown(Shown { formats: vec![2, 1, 3] }));
    let fragment = Fragment {
        payload: vec![0x67, 0x42],
        format: StreamFormat::StreamH264.into(),
        rtp_time: 4_000_000_000,
        key_frame: true,
        last_of_picture: false,
        changed: None,
    };
    let last = Fragment { payload: vec![0x68], last_of_picture: true, ..fragment.clone() };
    let delta = Fragment {
        payload: vec![0x10],
        format: StreamFormat::StreamAv1444.into(),
        last_of_picture: true,
        ..Fragment::default()
    };
    let area = Area { x: 1_904, y: 16, width: 16, height: 1_064 };
    let little = Fragment { changed: Some(Changed { areas: vec![area] }), ..delta.clone() };
    let nothing = Fragment { changed: Some(Changed::default()), ..delta.clone() };
    let fragments = vec![fragment, last, delta];
    golden.stream("fragments", StreamMessage { fragments, ..StreamMessage::default() });
    let fragments = vec![little, nothing];
    golden.stream("changed", StreamMessage { fragments, ..StreamMessage::default() });
    let letters = vec![
        Letter { channel: StreamChannel::ChannelInput.into(), message: vec![0x22, 0] },
        Letter { channel: StreamChannel::ChannelStats.into(), message: vec![0x12, 0] },
    ];
    golden.stream("letters", StreamMessage { letters, ..StreamMessage::default() });
    let arrivals =
        vec![Arrival { next: 3, at_us: 5_000_000_000 }, Arrival { next: u64::MAX, at_us: 1 }];
    golden.stream("arrivals", StreamMessage { arrivals, ..StreamMessage::default() });
    golden.input("key_down", input_message::Body::Key(Key { usage: 0x04, down: true }));
    golden.input("key_up", input_message::Body::Key(Key { usage: 0xe7, down: false }));
    golden.input(
        "button_left_down",
        input_message::Body::Button(Button {
            button: ButtonName::ButtonLeft.into(),
            down: true,
            at,
            pointer_seq: 300,
        }),
    );
    golden.input(
        "button_forward_up",
        input_message::Body::Button(Button {
            button: ButtonName::ButtonForward.into(),
            down: false,
            at: Some(Point { x: 0, y: 0 }),
            pointer_seq: u32::MAX,
        }),
    );
    golden.input(
        "wheel",
        input_message::Body::Wheel(Wheel { dx: -0.5, dy: 53.25, at, pointer_seq: 7 }),
    );
    golden.input("release_all", input_message::Body::ReleaseAll(ReleaseAll {}));

    golden.add("pointer", "PointerMessage", PointerMessage { seq: 128, at, copies: Vec::new() });
    let body = Some(input_message::Body::Key(Key { usage: 0x04, down: true }));
    let copies = vec![InputMessage { body, number: 300 }];
    golden.add("copy", "PointerMessage", PointerMessage { seq: 0, at: None, copies });

    golden.cursor(
        "cursor_shape",
        cursor_message::Body::Shape(CursorShape {
            id: 0x1234_5678_9abc_def0,
            width: 2,
            height: 1,
            hot_x: 1,
            hot_y: 0,
            rgba: vec![255, 0, 0, 255, 0, 0, 0, 0],
        }),
    );
    golden.cursor("cursor_known", cursor_message::Body::Known(CursorKnown { id: 1 }));
    golden.cursor("cursor_position", cursor_message::Body::Position(CursorPosition { at }));
    golden.cursor("cursor_hidden", cursor_message::Body::Hidden(CursorHidden {}));

    golden.control("ping", control_message::Body::Ping(Ping { viewer_us: 1_700_000_000_000_000 }));
    golden.control(
        "pong",
        control_message::Body::Pong(Pong { viewer_us: 1_700_000_000_000_000, host_us: 42 }),
    );
    golden.control(
        "hello",
        control_message::Body::Hello(Hello {
            width: 1920,
            height: 1080,
            view_only: false,
            codec: "H264".to_owned(),
            encoder: "OpenH264 2 slices".to_owned(),
            reason: String::new(),
        }),
    );
    golden.control(
        "hello with reason",
        control_message::Body::Hello(Hello {
            width: 1920,
            height: 1080,
            view_only: true,
            codec: "AV1".to_owned(),
            encoder: "4:4:4, 2 threads".to_owned(),
            reason: "the sharpest that the browser shows".to_owned(),
        }),
    );
    golden.control(
        "report",
        control_message::Body::Report(ViewerReport {
            fps_x10: 299,
            delay_us_p50: 18_000,
            delay_us_p95: 31_000,
            decode_us: 2_500,
            frames_dropped: 1,
            freezes: 0,
        }),
    );
    golden.control(
        "control_ended",
        control_message::Body::Ended(Ended {
            reason: EndReason::EndViewerLeft.into(),
            detail: String::new(),
        }),
    );
    golden.control("visibility", control_message::Body::Visibility(Visibility { hidden: true }));
    golden.control("refresh", control_message::Body::Refresh(Refresh {}));

    let frame = FrameRecord {
        rtp_time: 4_000_000_000,
        changed_us: 5_000_000_000,
        capture_us: 700,
        wait_us: 100,
        damage_us: 50,
        convert_us: 60,
        encode_us: 4_400,
        packetize_us: 20,
        send_us: 30,
        bytes: 12_345,
        key_frame: true,
        quantizer: 26,
    };
    golden.add(
        "stats",
        "StatsMessage",
        StatsMessage {
            frames: vec![frame, FrameRecord::default()],
            path: Some(PathReport {
                estimate_kbps: 8_000,
                target_kbps: 6_000,
                sent_kbps: 90,
                rtt_us: 1_200,
                loss_permille: 5,
                route: "direct, UDP, IPv4".to_owned(),
                ..PathReport::default()
            }),
        },
    );
    golden.add(
        "stats with repairs",
        "StatsMessage",
        StatsMessage {
            frames: Vec::new(),
            path: Some(PathReport { resent_kbps: 4, parity_kbps: 6, ..PathReport::default() }),
        },
    );

    let expected = format!("[\n{}\n]\n", golden.lines.join(",\n"));
    let found = include_str!("../golden/messages.json");
    assert!(
        found == expected,
        "golden/messages.json differs; if a message was added, it should be:\n{expected}"
    );
}

#[test]
fn too_long_is_refused_before_it_is_read() {
    let zeros = vec![0; MAX_CHANNEL_BYTES + 1];
    assert_eq!(
        decode_signal(&zeros[..=MAX_SIGNAL_BYTES]),
        Err(WireError::TooLong { length: MAX_SIGNAL_BYTES + 1, limit: MAX_SIGNAL_BYTES })
    );
    assert!(matches!(decode_signal(&zeros[..MAX_SIGNAL_BYTES]), Err(WireError::Malformed(_))));
    assert!(matches!(decode_channel::<CursorMessage>(&zeros), Err(WireError::TooLong { .. })));
    assert!(matches!(decode_channel::<CursorMessage>(&zeros[1..]), Err(WireError::Malformed(_))));
}

#[test]
fn a_length_beyond_the_message_is_refused() {
    // auth_start, 4 GiB long; cursor shape with 2^63 bytes of picture.
    assert!(matches!(
        decode_signal(&[0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f]),
        Err(WireError::Malformed(_))
    ));
    let shape = [0x0a, 0x0b, 0x32, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 0x00];
    assert!(matches!(decode_channel::<CursorMessage>(&shape), Err(WireError::Malformed(_))));
}

#[test]
fn what_a_later_version_adds_is_passed_over() {
    // Field 99 of ControlMessage, a kind of message this version does not know; then field 99 inside a Ping.
    let unknown_kind: ControlMessage = decode_channel(&[0x9a, 0x06, 0x02, 0x08, 0x01]).unwrap();
    assert_eq!(unknown_kind.body, None);
    let newer_ping: ControlMessage =
        decode_channel(&[0x0a, 0x05, 0x08, 0x07, 0x98, 0x06, 0x01]).unwrap();
    assert_eq!(newer_ping.body, Some(control_message::Body::Ping(Ping { viewer_us: 7 })));
}

#[test]
fn the_largest_cursor_fits() {
    let shape = CursorShape {
        id: u64::MAX,
        width: 128,
        height: 128,
        hot_x: 127,
        hot_y: 127,
        rgba: vec![0x7f; 128 * 128 * 4],
    };
    let message = CursorMessage { body: Some(cursor_message::Body::Shape(shape)) };
    let bytes = message.encode_to_vec();
    assert!(bytes.len() <= MAX_CHANNEL_BYTES);
    assert_eq!(decode_channel(&bytes), Ok(message));
}
