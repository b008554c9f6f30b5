//! Between the viewer's messages and the engine's own words.

use std::time::Duration;

use farpane_desktop::{Button, CursorEvent, CursorShape};
use farpane_media::{Size, Stamps};
use farpane_wire::v1::{
    ButtonName, CursorHidden, CursorKnown, CursorMessage, CursorPosition, FrameRecord,
    InputMessage, Point, PointerMessage, cursor_message, input_message,
};

use crate::input::Act;
use crate::video::Record;

/// One end of a picture to the other, as [`Point`] counts.
const FULL: f64 = 65_535.0;

fn fraction(at: u32) -> f64 {
    f64::from(at.min(65_535)) / FULL
}

/// Copies in one message that are looked at.
const MOST_COPIES: usize = 32;

/// The moves and acts of a viewer, in the order in which they were made.
///
/// Moves travel on an unreliable channel and may arrive after an act that came later; such a move is stale. Copies of acts
/// come that way as well, before what got lost on the reliable channel does.
#[derive(Debug, Default)]
pub(crate) struct Hand {
    pointer_seq: Option<u32>,
    /// The number of the last act.
    act: u32,
}

impl Hand {
    pub fn moved(&mut self, message: PointerMessage) -> Option<Act> {
        let at = message.at?;
        self.newer(message.seq).then(|| move_to(at))
    }

    /// The acts of one message; positions first, so that a click lands where it was made. They come in order; when some were
    /// skipped, they went another way, and are too late should that yet bring them.
    pub fn acted(&mut self, message: InputMessage) -> [Option<Act>; 2] {
        if message.number != 0 {
            if message.number.wrapping_sub(self.act) as i32 <= 0 {
                return [None, None];
            }
            self.act = message.number;
        }
        self.acts(message)
    }

    /// The same of a copy, which counts only as the next in order.
    pub fn copied(&mut self, copies: Vec<InputMessage>) -> impl Iterator<Item = Act> {
        let copies = copies.into_iter().take(MOST_COPIES);
        copies.flat_map(|copy| {
            let next = copy.number != 0 && copy.number == self.act.wrapping_add(1);
            if next { self.acted(copy) } else { [None, None] }.into_iter().flatten()
        })
    }

    fn acts(&mut self, message: InputMessage) -> [Option<Act>; 2] {
        match message.body {
            Some(input_message::Body::Key(key)) => {
                let usage = u16::try_from(key.usage).ok();
                [None, usage.map(|usage| Act::Key { usage, down: key.down })]
            }
            Some(input_message::Body::Button(act)) => {
                self.newer(act.pointer_seq);
                [
                    act.at.map(move_to),
                    Some(Act::Button { button: button(act.button()), down: act.down }),
                ]
            }
            Some(input_message::Body::Wheel(act)) => {
                self.newer(act.pointer_seq);
                let sane = act.dx.is_finite() && act.dy.is_finite();
                let wheel = Act::Wheel { dx: act.dx.clamp(-1e4, 1e4), dy: act.dy.clamp(-1e4, 1e4) };
                [act.at.map(move_to), sane.then_some(wheel)]
            }
            Some(input_message::Body::ReleaseAll(_)) => [None, Some(Act::ReleaseAll)],
            None => [None, None],
        }
    }

    /// Takes note of a sequence number (which wraps) and says whether it is news.
    fn newer(&mut self, seq: u32) -> bool {
        let news = self.pointer_seq.is_none_or(|last| seq.wrapping_sub(last) as i32 > 0);
        if news {
            self.pointer_seq = Some(seq);
        }
        news
    }
}

fn move_to(at: Point) -> Act {
    Act::Move { x: fraction(at.x), y: fraction(at.y) }
}

fn button(name: ButtonName) -> Button {
    match name {
        ButtonName::ButtonLeft => Button::Left,
        ButtonName::ButtonMiddle => Button::Middle,
        ButtonName::ButtonRight => Button::Right,
        ButtonName::ButtonBack => Button::Back,
        ButtonName::ButtonForward => Button::Forward,
    }
}

/// Remembers which shapes the viewer has, so that each travels once.
#[derive(Debug, Default)]
pub(crate) struct Cursors {
    known: Vec<u64>,
}

impl Cursors {
    /// More than any desktop cycles through; beyond it the memory starts afresh on this side only, which costs a repeat.
    const KNOWN: usize = 256;

    pub fn message(&mut self, event: &CursorEvent, size: Size) -> CursorMessage {
        let body = match event {
            CursorEvent::Shape(shape) => self.shape(shape),
            CursorEvent::Position { x, y } => {
                cursor_message::Body::Position(CursorPosition { at: Some(point(*x, *y, size)) })
            }
            CursorEvent::Hidden => cursor_message::Body::Hidden(CursorHidden {}),
        };
        CursorMessage { body: Some(body) }
    }

    fn shape(&mut self, shape: &CursorShape) -> cursor_message::Body {
        if self.known.contains(&shape.serial) {
            return cursor_message::Body::Known(CursorKnown { id: shape.serial });
        }
        if self.known.len() == Self::KNOWN {
            self.known.clear();
        }
        self.known.push(shape.serial);
        cursor_message::Body::Shape(farpane_wire::v1::CursorShape {
            id: shape.serial,
            width: shape.size.width,
            height: shape.size.height,
            hot_x: shape.hot_x,
            hot_y: shape.hot_y,
            rgba: shape.rgba.clone(),
        })
    }
}

fn point(x: u32, y: u32, size: Size) -> Point {
    let scale = |at: u32, len: u32| {
        (f64::from(at) / f64::from(len.max(2) - 1) * FULL).clamp(0.0, FULL) as u32
    };
    Point { x: scale(x, size.width), y: scale(y, size.height) }
}

/// The waterfall of one frame.
pub(crate) fn frame_record(record: &Record) -> FrameRecord {
    let Stamps { changed, captured, taken, narrowed, converted, encoded, packetized, sent } =
        record.stamps;
    let micros = |span: Duration| u32::try_from(span.as_micros()).unwrap_or(u32::MAX);
    FrameRecord {
        rtp_time: record.rtp_time,
        changed_us: changed.as_micros(),
        capture_us: micros(captured - changed),
        wait_us: micros(taken - captured),
        damage_us: micros(narrowed - taken),
        convert_us: micros(converted - narrowed),
        encode_us: micros(encoded - converted),
        packetize_us: micros(packetized - encoded),
        send_us: micros(sent - packetized),
        bytes: u32::try_from(record.bytes).unwrap_or(u32::MAX),
        key_frame: record.key_frame,
        quantizer: record.quantizer.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use farpane_wire::v1::{Button as WireButton, Key, Wheel};

    fn at(x: u32, y: u32) -> Option<Point> {
        Some(Point { x, y })
    }

    fn moves(seq: u32) -> PointerMessage {
        PointerMessage { seq, at: at(0, 0), copies: Vec::new() }
    }

    fn key(number: u32) -> InputMessage {
        let key = Key { usage: number, down: true };
        InputMessage { body: Some(input_message::Body::Key(key)), number }
    }

    #[test]
    fn an_act_is_done_once_and_in_order_by_whatever_comes_first() {
        let mut hand = Hand::default();
        let done = |acts: &mut dyn Iterator<Item = Act>| {
            acts.map(|act| match act {
                Act::Key { usage, .. } => usage,
                other => panic!("{other:?}"),
            })
            .collect::<Vec<u16>>()
        };
        let own =
            |hand: &mut Hand, number| done(&mut hand.acted(key(number)).into_iter().flatten());
        let copies = |hand: &mut Hand, numbers: &[u32]| {
            let copies = numbers.iter().map(|number| key(*number)).collect();
            done(&mut hand.copied(copies))
        };
        assert_eq!(own(&mut hand, 1), [1]);
        // The second is lost on its channel, and the third waits for it there.
        assert_eq!(copies(&mut hand, &[1, 2, 3]), [2, 3]);
        assert_eq!(copies(&mut hand, &[1, 2, 3]), []);
        // What lies between is not known.
        assert_eq!(copies(&mut hand, &[5, 6]), []);
        assert_eq!([own(&mut hand, 2), own(&mut hand, 3), own(&mut hand, 4)].concat(), [4]);
        assert_eq!(copies(&mut hand, &[5, 6]), [5, 6]);
        // By another way, while the last one still has some.
        assert_eq!(own(&mut hand, 9), [9]);
        assert_eq!([own(&mut hand, 7), own(&mut hand, 8), own(&mut hand, 10)].concat(), [10]);
        // From a viewer that does not count.
        assert_eq!(
            hand.acted(InputMessage { number: 0, ..key(3) })[1],
            Some(Act::Key { usage: 3, down: true })
        );
        assert_eq!(copies(&mut hand, &[0]), []);
    }

    #[test]
    fn a_move_that_arrives_after_a_later_click_is_stale() {
        let mut hand = Hand::default();
        assert!(hand.moved(moves(7)).is_some());
        let click = WireButton { button: 0, down: true, at: at(65_535, 0), pointer_seq: 9 };
        let acts =
            hand.acted(InputMessage { body: Some(input_message::Body::Button(click)), number: 0 });
        assert_eq!(acts[0], Some(Act::Move { x: 1.0, y: 0.0 }));
        assert_eq!(hand.moved(moves(8)), None);
        assert!(hand.moved(moves(10)).is_some());
    }

    #[test]
    fn sequence_numbers_may_wrap() {
        let mut hand = Hand::default();
        hand.moved(moves(u32::MAX));
        assert!(hand.moved(moves(0)).is_some());
    }

    #[test]
    fn wheels_that_are_no_numbers_do_nothing() {
        let wheel = Wheel { dx: f32::NAN, dy: 1.0, at: None, pointer_seq: 1 };
        let acts = Hand::default()
            .acted(InputMessage { body: Some(input_message::Body::Wheel(wheel)), number: 1 });
        assert_eq!(acts, [None, None]);
    }

    #[test]
    fn positions_beyond_the_picture_are_its_edge() {
        assert_eq!(move_to(Point { x: u32::MAX, y: 0 }), Act::Move { x: 1.0, y: 0.0 });
    }

    #[test]
    fn a_shape_travels_once() {
        let shape = std::sync::Arc::new(CursorShape {
            serial: 3,
            size: Size::new(1, 1),
            hot_x: 0,
            hot_y: 0,
            rgba: vec![0; 4],
        });
        let (mut cursors, event) = (Cursors::default(), CursorEvent::Shape(shape));
        let size = Size::new(100, 100);
        let body = |cursors: &mut Cursors| cursors.message(&event, size).body;
        assert!(matches!(body(&mut cursors), Some(cursor_message::Body::Shape(_))));
        assert_eq!(body(&mut cursors), Some(cursor_message::Body::Known(CursorKnown { id: 3 })));
    }
}
