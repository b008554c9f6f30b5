//! The pointer's shape, by XFIXES, and its place.

use std::collections::VecDeque;
use std::sync::Arc;

use farpane_media::Size;
use x11rb::protocol::xfixes::{ConnectionExt as _, GetCursorImageReply};
use x11rb::protocol::xproto::{ConnectionExt as _, Window};
use x11rb::rust_connection::RustConnection;

use super::Failure;
use crate::{CursorEvent, CursorShape};

/// Remembers recent shapes, so that going to and fro between two does not fetch them again.
#[derive(Default)]
pub(super) struct Shapes {
    recent: VecDeque<Arc<CursorShape>>,
}

impl Shapes {
    const MOST: usize = 32;

    /// The event for the shape shown now. `serial` is what the server's event said it is, if one did.
    pub fn current(
        &mut self,
        conn: &RustConnection,
        serial: Option<u32>,
    ) -> Result<CursorEvent, Failure> {
        let known = serial
            .and_then(|serial| self.recent.iter().find(|shape| shape.serial == u64::from(serial)));
        let shape = match known {
            Some(shape) => shape.clone(),
            None => {
                let Some(shape) = convert(&conn.xfixes_get_cursor_image()?.reply()?) else {
                    return Ok(CursorEvent::Hidden);
                };
                // By the time of the reply it may be yet another shape; the reply's own serial is right.
                self.recent.retain(|old| old.serial != shape.serial);
                self.recent.truncate(Self::MOST - 1);
                let shape = Arc::new(shape);
                self.recent.push_front(shape.clone());
                shape
            }
        };
        let is_visible = shape.rgba.chunks_exact(4).any(|pixel| pixel[3] != 0);
        Ok(if is_visible { CursorEvent::Shape(shape) } else { CursorEvent::Hidden })
    }
}

/// Where the pointer is; hidden when it is on another screen of the display.
pub(super) fn position(conn: &RustConnection, root: Window) -> Result<CursorEvent, Failure> {
    let reply = conn.query_pointer(root)?.reply()?;
    let pixel = |at: i16| u32::try_from(at).unwrap_or(0);
    Ok(if reply.same_screen {
        CursorEvent::Position { x: pixel(reply.root_x), y: pixel(reply.root_y) }
    } else {
        CursorEvent::Hidden
    })
}

/// From the server's premultiplied ARGB words; `None` for a picture without pixels.
fn convert(image: &GetCursorImageReply) -> Option<CursorShape> {
    let size = Size::new(image.width.into(), image.height.into());
    if size.pixels() == 0 || image.cursor_image.len() as u64 != size.pixels() {
        return None;
    }
    let longest = size.width.max(size.height);
    let scale = |side: u32| {
        if longest <= CursorShape::MAX_SIDE {
            side
        } else {
            (side * CursorShape::MAX_SIDE / longest).max(1)
        }
    };
    let small = Size::new(scale(size.width), scale(size.height));
    let mut rgba = Vec::with_capacity(small.pixels() as usize * 4);
    for y in 0..small.height {
        for x in 0..small.width {
            rgba.extend_from_slice(&average(&image.cursor_image, size, small, x, y));
        }
    }
    let hot = |at: u16, side: u32, small: u32| (u32::from(at) * small / side).min(small - 1);
    Some(CursorShape {
        serial: image.cursor_serial.into(),
        size: small,
        hot_x: hot(image.xhot, size.width, small.width),
        hot_y: hot(image.yhot, size.height, small.height),
        rgba,
    })
}

/// The straight colour of the pixels that fall on pixel `x`, `y` of the small picture: one, unless it is smaller.
fn average(pixels: &[u32], size: Size, small: Size, x: u32, y: u32) -> [u8; 4] {
    let span = |at: u32, side: u32, small: u32| {
        let start = at * side / small;
        start..((at + 1) * side / small).max(start + 1)
    };
    let (mut sum, mut count) = ([0u32; 4], 0);
    for row in span(y, size.height, small.height) {
        for column in span(x, size.width, small.width) {
            let argb = pixels[(row * size.width + column) as usize].to_be_bytes();
            sum.iter_mut().zip(argb).for_each(|(sum, value)| *sum += u32::from(value));
            count += 1;
        }
    }
    let [alpha, red, green, blue] = sum;
    let straight = |colour: u32| match alpha {
        0 => 0,
        _ => ((colour * 255 + alpha / 2) / alpha).min(255) as u8,
    };
    [straight(red), straight(green), straight(blue), (alpha / count) as u8]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(width: u16, height: u16, pixels: Vec<u32>) -> GetCursorImageReply {
        GetCursorImageReply {
            width,
            height,
            xhot: width / 2,
            yhot: height - 1,
            cursor_serial: 7,
            cursor_image: pixels,
            ..GetCursorImageReply::default()
        }
    }

    #[test]
    fn premultiplied_becomes_straight() {
        let shape = convert(&image(3, 1, vec![0x8040_2000, 0xff01_02ff, 0])).unwrap();
        assert_eq!(shape.rgba, [128, 64, 0, 128, 1, 2, 255, 255, 0, 0, 0, 0]);
        assert_eq!((shape.serial, shape.hot_x, shape.hot_y), (7, 1, 0));
    }

    #[test]
    fn a_large_shape_is_scaled_down_with_its_hot_spot() {
        let pixels =
            (0..256 * 64).map(|at| if at % 2 == 0 { 0xffff_ffff } else { 0xff00_0000 }).collect();
        let shape = convert(&image(256, 64, pixels)).unwrap();
        assert_eq!(shape.size, Size::new(128, 32));
        assert_eq!((shape.hot_x, shape.hot_y), (64, 31));
        assert_eq!(shape.rgba[..4], [128, 128, 128, 255]);
    }

    #[test]
    fn a_picture_of_the_wrong_length_is_none() {
        assert!(convert(&image(4, 4, vec![0; 15])).is_none());
        assert!(convert(&GetCursorImageReply::default()).is_none());
    }
}
