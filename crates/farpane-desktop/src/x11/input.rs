//! Keys, buttons, wheel and pointer by XTEST.

use std::sync::Arc;

use keycode::KeyMap;
use x11rb::connection::Connection;
use x11rb::protocol::xproto::{
    BUTTON_PRESS_EVENT, BUTTON_RELEASE_EVENT, KEY_PRESS_EVENT, KEY_RELEASE_EVENT,
    MOTION_NOTIFY_EVENT, Window,
};
use x11rb::protocol::xtest::ConnectionExt as _;
use x11rb::rust_connection::RustConnection;
use x11rb::wrapper::ConnectionExt as _;

use super::SharedSize;
use crate::{Button, Input, InputError, pixel_at};

pub(super) struct X11Input {
    conn: RustConnection,
    root: Window,
    size: Arc<SharedSize>,
    /// X key codes and button numbers that we pressed and have not released.
    keys: Vec<u8>,
    buttons: Vec<u8>,
    /// CSS pixels scrolled that do not make a whole wheel step yet.
    rest: (f32, f32),
}

/// CSS pixels for one click of the wheel: what Chromium scrolls for one on X11, so that a page here moves as far as the
/// viewer meant it to. Chrome Remote Desktop uses the same figure.
const WHEEL_STEP: f32 = 160.0 / 3.0;
/// Clicks that one event adds at most.
const WHEEL_MOST: f32 = 20.0;

impl X11Input {
    pub fn new(conn: RustConnection, screen: usize, size: Arc<SharedSize>) -> X11Input {
        let root = conn.setup().roots[screen].root;
        X11Input { conn, root, size, keys: Vec::new(), buttons: Vec::new(), rest: (0.0, 0.0) }
    }

    fn fake(&self, kind: u8, detail: u8, x: i16, y: i16) -> Result<(), InputError> {
        // The cookie is dropped: should the server refuse the event, the error comes as an event, see `flush`.
        self.conn.xtest_fake_input(kind, detail, 0, self.root, x, y, 0).map(drop).map_err(lost)
    }

    fn clicks(&mut self, clicks: f32, back: u8, forth: u8) -> Result<(), InputError> {
        let button = if clicks < 0.0 { back } else { forth };
        for _ in 0..clicks.abs() as u32 {
            self.fake(BUTTON_PRESS_EVENT, button, 0, 0)?;
            self.fake(BUTTON_RELEASE_EVENT, button, 0, 0)?;
        }
        Ok(())
    }
}

impl Input for X11Input {
    fn key(&mut self, usage: u16, down: bool) -> Result<(), InputError> {
        let setup = self.conn.setup();
        let code = x_keycode(usage)
            .filter(|code| (setup.min_keycode..=setup.max_keycode).contains(code))
            .ok_or(InputError::UnknownKey(usage))?;
        // Browsers repeat a held key; the server does so itself.
        if !change(&mut self.keys, code, down) {
            return Ok(());
        }
        self.fake(if down { KEY_PRESS_EVENT } else { KEY_RELEASE_EVENT }, code, 0, 0)
    }

    fn pointer(&mut self, x: f64, y: f64) -> Result<(), InputError> {
        let size = self.size.get();
        // Screens are at most 32767 pixels each way.
        let (x, y) = (pixel_at(x, size.width) as i16, pixel_at(y, size.height) as i16);
        self.fake(MOTION_NOTIFY_EVENT, 0, x, y)
    }

    fn button(&mut self, button: Button, down: bool) -> Result<(), InputError> {
        let number = match button {
            Button::Left => 1,
            Button::Middle => 2,
            Button::Right => 3,
            Button::Back => 8,
            Button::Forward => 9,
        };
        if !change(&mut self.buttons, number, down) {
            return Ok(());
        }
        self.fake(if down { BUTTON_PRESS_EVENT } else { BUTTON_RELEASE_EVENT }, number, 0, 0)
    }

    fn wheel(&mut self, dx: f32, dy: f32) -> Result<(), InputError> {
        let (x, y) = (step(&mut self.rest.0, dx), step(&mut self.rest.1, dy));
        self.clicks(y, 4, 5)?;
        self.clicks(x, 6, 7)
    }

    fn release_all(&mut self) {
        // A connection that fails here is gone, and what it held with it.
        for code in std::mem::take(&mut self.keys) {
            let _ = self.fake(KEY_RELEASE_EVENT, code, 0, 0);
        }
        for number in std::mem::take(&mut self.buttons) {
            let _ = self.fake(BUTTON_RELEASE_EVENT, number, 0, 0);
        }
        self.rest = (0.0, 0.0);
        // Awaited, since a socket that is closed with something unread makes the server drop what it has not read.
        let _ = self.conn.sync();
        let _ = self.flush();
    }

    fn flush(&mut self) -> Result<(), InputError> {
        self.conn.flush().map_err(lost)?;
        // Nobody selects events here, but errors and keyboard mapping changes come unasked and must not pile up.
        while let Some(event) = self.conn.poll_for_event().map_err(lost)? {
            tracing::trace!(?event, "from the X server");
        }
        Ok(())
    }
}

impl Drop for X11Input {
    fn drop(&mut self) {
        self.release_all();
    }
}

/// X key codes are the kernel's, plus 8 (the first 8 codes are reserved by X11).
fn x_keycode(usage: u16) -> Option<u8> {
    const KEYBOARD_PAGE: u16 = 7;
    let key = KeyMap::from_usb_code(KEYBOARD_PAGE, usage).ok()?;
    let evdev = u8::try_from(key.evdev).ok().filter(|code| *code != 0)?;
    evdev.checked_add(8)
}

/// Notes in `held` that `what` goes down or up; whether that changes anything.
fn change(held: &mut Vec<u8>, what: u8, down: bool) -> bool {
    match (held.iter().position(|one| *one == what), down) {
        (None, true) => held.push(what),
        (Some(at), false) => drop(held.swap_remove(at)),
        _ => return false,
    }
    true
}

/// Adds `delta` to `rest` and takes whole clicks out of it. Turning round forgets what was left.
fn step(rest: &mut f32, delta: f32) -> f32 {
    if !delta.is_finite() {
        return 0.0;
    }
    if *rest * delta < 0.0 {
        *rest = 0.0;
    }
    let total = *rest + delta.clamp(-WHEEL_MOST * WHEEL_STEP, WHEEL_MOST * WHEEL_STEP);
    let clicks = (total / WHEEL_STEP).trunc();
    *rest = total - clicks * WHEEL_STEP;
    clicks
}

fn lost(why: impl std::fmt::Display) -> InputError {
    InputError::Lost(format!("the X server closed the connection ({why})"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_the_codes_of_the_evdev_keymap() {
        for (usage, code) in
            [(0x04, 38), (0x1e, 10), (0x28, 36), (0x2c, 65), (0xe1, 50), (0xe6, 108), (0x64, 94)]
        {
            assert_eq!(x_keycode(usage), Some(code), "usage {usage:#x}");
        }
        assert_eq!(x_keycode(0), None);
        assert_eq!(x_keycode(0xffff), None);
    }

    #[test]
    fn small_deltas_add_up_to_clicks() {
        let mut rest = 0.0;
        let clicks: f32 = (0..160).map(|_| step(&mut rest, 1.0)).sum();
        assert!((2.0..=3.0).contains(&clicks) && clicks * WHEEL_STEP + rest > 159.9);
        rest = 50.0;
        assert_eq!(step(&mut rest, -10.0), 0.0, "turning round starts afresh");
        assert_eq!(step(&mut rest, -44.0), -1.0);
        assert_eq!(step(&mut rest, f32::NAN), 0.0);
        assert_eq!(step(&mut rest, f32::MAX), WHEEL_MOST);
        assert!(rest.abs() < WHEEL_STEP);
    }
}
