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

/// The moves and acts of a viewer, in the order in which they were made.
///
/// Moves travel on an unreliable channel and may arrive after an act that came later; such a move is stale.
#[derive(Debug, Default)]
pub(crate) struct Hand {
    pointer_seq: Option<u32>,
}

impl Hand {
    pub fn moved(&mut self, message: PointerMessage) -> Option<Act> {
        let at = message.at?;
        self.newer(message.seq).then(|| move_to(at))
    }

    /// The acts of one message; positions first, so that a click lands where it was made.
    pub fn acted(&mut self, message: InputMessage) -> [Option<Act>; 2] {
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
    use farpane_wire::v1::{Button as WireButton, Wheel};

    fn at(x: u32, y: u32) -> Option<Point> {
        Some(Point { x, y })
    }

    #[test]
    fn a_move_that_arrives_after_a_later_click_is_stale() {
        let mut hand = Hand::default();
        assert!(hand.moved(PointerMessage { seq: 7, at: at(0, 0) }).is_some());
        let click = WireButton { button: 0, down: true, at: at(65_535, 0), pointer_seq: 9 };
        let acts = hand.acted(InputMessage { body: Some(input_message::Body::Button(click)) });
        assert_eq!(acts[0], Some(Act::Move { x: 1.0, y: 0.0 }));
        assert_eq!(hand.moved(PointerMessage { seq: 8, at: at(0, 0) }), None);
        assert!(hand.moved(PointerMessage { seq: 10, at: at(0, 0) }).is_some());
    }

    #[test]
    fn sequence_numbers_may_wrap() {
        let mut hand = Hand::default();
        hand.moved(PointerMessage { seq: u32::MAX, at: at(0, 0) });
        assert!(hand.moved(PointerMessage { seq: 0, at: at(0, 0) }).is_some());
    }

    #[test]
    fn wheels_that_are_no_numbers_do_nothing() {
        let wheel = Wheel { dx: f32::NAN, dy: 1.0, at: None, pointer_seq: 1 };
        let acts =
            Hand::default().acted(InputMessage { body: Some(input_message::Body::Wheel(wheel)) });
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
