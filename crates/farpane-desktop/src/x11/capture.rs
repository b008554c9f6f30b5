//! The capturer: sleeps until the server or the bell has something to tell, then reads what changed.

use std::sync::Arc;
use std::time::Duration;

use farpane_media::{Clock, Frame, Rect, Region, Size, Time};
use std::os::fd::AsFd;
use x11rb::connection::Connection;
use x11rb::protocol::Event;
use x11rb::protocol::xfixes::{self, ConnectionExt as _};
use x11rb::protocol::xinput::{self, ConnectionExt as _};
use x11rb::protocol::xproto::{ChangeWindowAttributesAux, ConnectionExt as _, EventMask, Window};
use x11rb::rust_connection::RustConnection;

use super::cursor::{self, Shapes};
use super::damage::{self, DamageSource};
use super::pace::Pacer;
use super::plan::plan;
use super::reader::Reader;
use super::{Failure, SharedSize, check_size};
use crate::bell::Bell;
use crate::fill::Filler;
use crate::{CaptureError, CaptureHandle, Captured, Capturer, CursorEvent};

/// Frames a second, at most.
const MOST_FPS: u32 = 60;
/// After the first damage, drawing goes on for a moment; a frame waits for that long a silence, but not past the limit.
const QUIET: Duration = Duration::from_micros(300);
const SETTLE: Duration = Duration::from_millis(1);
/// How often the pointer's place is told.
const POINTER: Duration = Duration::from_millis(16);
/// How soon to look again for a buffer when all are in use.
const RETRY: Duration = Duration::from_millis(1);
/// Without DAMAGE: from one look at the whole picture to the next; for how long after an input event to look more often.
const LOOK: Duration = Duration::from_micros(66_667);
const LOOK_HURRIED: Duration = Duration::from_micros(16_667);
const HURRIED: Duration = Duration::from_millis(250);

/// Which extensions the server has.
pub(super) struct Offers {
    pub xfixes: bool,
    pub damage: bool,
    pub shm: bool,
    pub xinput: bool,
}

pub(super) struct X11Capturer {
    conn: RustConnection,
    root: Window,
    clock: Clock,
    bell: Arc<Bell>,
    size: Size,
    shared_size: Arc<SharedSize>,

    reader: Reader,
    filler: Filler,
    pacer: Pacer,
    /// Scratch for [`plan`].
    rects: Vec<Rect>,

    /// `None`: the server cannot tell what changed.
    damage: Option<DamageSource>,
    /// The server holds damage that has not been fetched.
    is_waiting: bool,
    /// Damage fetched and not yet in a frame.
    pending: Region,
    /// Scratch: damage just fetched, and what a frame was read from.
    fetched: Region,
    read: Region,
    /// When the oldest damage not yet in a frame was known.
    changed: Option<Time>,
    /// The last news of damage.
    news: Time,
    hurried: bool,
    hurried_until: Time,
    /// Not before then, since all buffers were in use.
    retry: Time,
    next_look: Time,

    has_shapes: bool,
    shapes: Shapes,
    /// The shape changed, to this serial if known.
    new_shape: Option<Option<u32>>,
    has_moved: bool,
    next_position: Time,
    last_position: Option<(u32, u32)>,
}

impl X11Capturer {
    pub fn new(
        conn: RustConnection,
        screen: usize,
        offers: &Offers,
        shared_size: Arc<SharedSize>,
        clock: Clock,
        notes: &mut Vec<String>,
    ) -> Result<X11Capturer, Failure> {
        let root = conn.setup().roots[screen].root;
        // Ask for changes first, then for the state: nothing falls in between.
        let mask = ChangeWindowAttributesAux::new().event_mask(EventMask::STRUCTURE_NOTIFY);
        conn.change_window_attributes(root, &mask)?.check()?;
        if offers.xfixes {
            conn.xfixes_query_version(5, 0)?.reply()?;
            conn.xfixes_select_cursor_input(root, xfixes::CursorNotifyMask::DISPLAY_CURSOR)?
                .check()?;
        }
        if offers.xinput {
            conn.xinput_xi_query_version(2, 2)?.reply()?;
            let mask = xinput::EventMask {
                deviceid: xinput::Device::ALL_MASTER.into(),
                mask: vec![xinput::XIEventMask::RAW_MOTION],
            };
            conn.xinput_xi_select_events(root, &[mask])?.check()?;
        }
        let damage = offers.damage.then(|| DamageSource::new(&conn, root)).transpose()?;
        let size = geometry(&conn, root)?;
        check_size(size)?;
        shared_size.set(size);
        let reader = match offers.shm.then(|| Reader::shared(&conn, size)) {
            None => Reader::Plain,
            Some(Ok(reader)) => reader,
            Some(Err(Failure::Lost(why))) => return Err(Failure::Lost(why)),
            Some(Err(why)) => {
                notes.push(format!(
                    "No memory can be shared with the X server ({why}): pictures are sent through the connection, \
                     which is slower."
                ));
                Reader::Plain
            }
        };
        let now = clock.now();
        Ok(X11Capturer {
            conn,
            root,
            clock,
            bell: Bell::new()?,
            size,
            shared_size,
            reader,
            filler: Filler::new(),
            pacer: Pacer::new(MOST_FPS),
            rects: Vec::new(),
            damage,
            is_waiting: false,
            pending: Rect::of(size).into(),
            fetched: Region::new(),
            read: Region::new(),
            changed: Some(now),
            news: Time::ZERO,
            hurried: false,
            hurried_until: Time::ZERO,
            retry: Time::ZERO,
            next_look: Time::ZERO,
            has_shapes: offers.xfixes,
            shapes: Shapes::default(),
            new_shape: offers.xfixes.then_some(None),
            has_moved: true,
            next_position: Time::ZERO,
            last_position: None,
        })
    }

    /// Takes in all events that have arrived; tells whether there were any.
    fn take_events(&mut self) -> Result<bool, Failure> {
        let mut any = false;
        while let Some((event, sequence)) = self.conn.poll_for_event_with_sequence()? {
            any = true;
            match event {
                Event::DamageNotify(_)
                    if self.damage.as_ref().is_some_and(|d| d.is_news(sequence)) =>
                {
                    self.news = self.clock.now();
                    self.changed.get_or_insert(self.news);
                    self.is_waiting = true;
                }
                Event::ConfigureNotify(event) if event.window == self.root => {
                    self.resize(Size::new(event.width.into(), event.height.into()))?;
                }
                Event::XfixesCursorNotify(event) if self.has_shapes => {
                    self.new_shape = Some(Some(event.cursor_serial));
                    // A warped pointer gives no motion event but usually another shape.
                    self.has_moved = true;
                }
                Event::XinputRawMotion(_) => self.has_moved = true,
                Event::Error(error) => tracing::debug!(?error, "the X server reports an error"),
                _ => {}
            }
        }
        Ok(any)
    }

    fn resize(&mut self, size: Size) -> Result<(), Failure> {
        if size == self.size {
            return Ok(());
        }
        check_size(size)?;
        self.size = size;
        self.shared_size.set(size);
        if matches!(self.reader, Reader::Shared { .. }) {
            std::mem::replace(&mut self.reader, Reader::Plain).close(&self.conn)?;
            match Reader::shared(&self.conn, size) {
                Ok(reader) => self.reader = reader,
                Err(Failure::Lost(why)) => return Err(Failure::Lost(why)),
                Err(why) => {
                    tracing::warn!(%why, "no shared memory after a resize; capture is slower")
                }
            }
        }
        self.redraw_all();
        Ok(())
    }

    fn redraw_all(&mut self) {
        self.pending.set(Rect::of(self.size));
        self.changed.get_or_insert(self.clock.now());
    }

    fn ring(&mut self, rung: u8, now: Time) {
        if rung & Bell::REFRESH != 0 {
            self.redraw_all();
        }
        if rung & Bell::HURRY != 0 {
            self.hurried = true;
            self.hurried_until = now + HURRIED;
            if self.damage.is_none() {
                self.next_look = self.next_look.min(now + LOOK_HURRIED);
            }
        }
    }

    fn cursor_event(&mut self, now: Time) -> Result<Option<CursorEvent>, Failure> {
        if let Some(serial) = self.new_shape.take() {
            return self.shapes.current(&self.conn, serial).map(Some);
        }
        if self.has_moved && now >= self.next_position {
            self.has_moved = false;
            self.next_position = now + POINTER;
            let event = cursor::position(&self.conn, self.root)?;
            let place = match event {
                CursorEvent::Position { x, y } => Some((x, y)),
                CursorEvent::Hidden | CursorEvent::Shape(_) => None,
            };
            if place.is_none() || place != self.last_position {
                // Back from another screen the shape has to be told again.
                if place.is_some() && self.last_position.is_none() && self.has_shapes {
                    self.new_shape.get_or_insert(None);
                }
                self.last_position = place;
                return Ok(Some(event));
            }
        }
        Ok(None)
    }

    /// Fetches what the server knows, in a round trip.
    fn fetch(&mut self) -> Result<(), Failure> {
        self.is_waiting = false;
        if let Some(source) = &mut self.damage {
            let reply = source.fetch(&self.conn)?.reply()?;
            damage::region(&reply.rectangles, self.size, &mut self.fetched);
            self.pending.union(&self.fetched);
        }
        if self.pending.is_empty() {
            self.changed = None;
        }
        Ok(())
    }

    /// A frame, or when to ask again.
    fn frame(&mut self, now: Time) -> Result<Result<Frame, Time>, Failure> {
        if self.damage.is_none() && now >= self.next_look {
            self.redraw_all();
            self.next_look = now + if now < self.hurried_until { LOOK_HURRIED } else { LOOK };
        }
        let Some(changed) = self.changed else {
            return Ok(Err(if self.damage.is_none() { self.next_look } else { Time::NEVER }));
        };
        let due = self.pacer.due(self.hurried).max(self.retry);
        if now < due {
            return Ok(Err(due));
        }
        // Fetching makes the server tell of the next drawing, so that silence can be heard.
        if self.is_waiting {
            self.fetch()?;
        }
        let settled = (self.news + QUIET).min(changed + SETTLE);
        let now = self.clock.now();
        if now < settled {
            return Ok(Err(settled));
        }
        if self.pending.is_empty() {
            return Ok(Err(Time::NEVER));
        }
        match self.grab(changed) {
            Ok(Some(frame)) => {
                self.pacer.took(now);
                self.hurried = false;
                Ok(Ok(frame))
            }
            Ok(None) => {
                self.retry = now + RETRY;
                Ok(Err(self.retry))
            }
            Err(why) => {
                self.pacer.took(now);
                Err(why)
            }
        }
    }

    /// Reads the pending damage into a frame; `None` while all buffers are in use.
    ///
    /// A recycled buffer lacks more than the damage, and by the time it is read, that part of the screen may have changed
    /// once more. So the damage of the meanwhile is fetched in the same round trip, after the pixels: where it touches
    /// pixels that were read it belongs to this frame, and all of it belongs to the next.
    fn grab(&mut self, changed: Time) -> Result<Option<Frame>, Failure> {
        let Some((mut frame, lacks)) = self.filler.begin(self.size, &self.pending) else {
            return Ok(None);
        };
        plan(lacks.rects(), self.size, &mut self.rects);
        let asked = self.reader.ask(&self.conn, self.root, &self.rects)?;
        let meanwhile = match &mut self.damage {
            Some(source) => Some(source.fetch(&self.conn)?),
            None => None,
        };
        self.reader.collect(asked, &mut frame)?;
        match meanwhile {
            Some(reply) => {
                damage::region(&reply.reply()?.rectangles, self.size, &mut self.fetched);
            }
            None => self.fetched.clear(),
        }
        let now = self.clock.now();
        self.is_waiting = false;
        self.changed = (!self.fetched.is_empty()).then_some(now);
        if !self.fetched.is_empty() {
            self.news = now;
            self.read.clear();
            self.rects.iter().for_each(|rect| self.read.add(*rect));
            self.read.intersect(&self.fetched);
            self.pending.union(&self.read);
        }
        self.filler.finish(&mut frame, &self.pending, changed, &self.clock);
        std::mem::swap(&mut self.pending, &mut self.fetched);
        Ok(Some(frame))
    }

    fn try_next(&mut self, deadline: Time) -> Result<Captured, Failure> {
        loop {
            self.take_events()?;
            let rung = self.bell.take();
            let now = self.clock.now();
            if rung & Bell::STOP != 0 {
                return Ok(Captured::Stopped);
            }
            self.ring(rung, now);
            if let Some(event) = self.cursor_event(now)? {
                return Ok(Captured::Cursor(event));
            }
            let mut wake = match self.frame(now)? {
                Ok(frame) => return Ok(Captured::Frame(frame)),
                Err(wake) => wake.min(deadline),
            };
            if now >= deadline {
                return Ok(Captured::Nothing);
            }
            if self.has_moved {
                wake = wake.min(self.next_position);
            }
            self.conn.flush()?;
            // Events that arrived with a reply are in the connection's queue, where no poll sees them.
            if !self.take_events()? {
                let timeout = (wake != Time::NEVER).then(|| wake.since(self.clock.now()));
                self.bell.wait_with(self.conn.stream().as_fd(), timeout);
            }
        }
    }

    /// Keeps taking in events: the server would store them without limit.
    fn try_rest(&mut self) -> Result<Captured, Failure> {
        loop {
            self.take_events()?;
            let rung = self.bell.take();
            if rung & Bell::STOP != 0 {
                return Ok(Captured::Stopped);
            }
            if rung != 0 {
                self.ring(rung, self.clock.now());
                return Ok(Captured::Nothing);
            }
            self.conn.flush()?;
            if !self.take_events()? {
                self.bell.wait_with(self.conn.stream().as_fd(), None);
            }
        }
    }

    /// Tries until it works or cannot.
    fn recovering(
        &mut self,
        attempt: impl Fn(&mut Self) -> Result<Captured, Failure>,
    ) -> Result<Captured, CaptureError> {
        loop {
            match attempt(self) {
                Ok(captured) => return Ok(captured),
                Err(Failure::Refused(why)) => self.recover(&why)?,
                Err(why) => return Err(lost(&why)),
            }
        }
    }

    /// After a refused request: most likely the screen was resized under it.
    fn recover(&mut self, why: &str) -> Result<(), CaptureError> {
        let now_sized = geometry(&self.conn, self.root).and_then(|size| {
            let is_new = size != self.size;
            self.resize(size)?;
            self.redraw_all();
            Ok(is_new)
        });
        match now_sized {
            Ok(true) => Ok(()),
            Ok(false) => Err(CaptureError::Temporary(format!("the X server answered with {why}"))),
            Err(why @ (Failure::Lost(_) | Failure::TooLarge { .. })) => Err(lost(&why)),
            Err(why) => Err(CaptureError::Temporary(why.to_string())),
        }
    }
}

impl Capturer for X11Capturer {
    fn size(&self) -> Size {
        self.size
    }

    fn next(&mut self, deadline: Time) -> Result<Captured, CaptureError> {
        self.recovering(|capturer| capturer.try_next(deadline))
    }

    fn rest(&mut self) -> Result<Captured, CaptureError> {
        self.recovering(Self::try_rest)
    }

    fn handle(&self) -> CaptureHandle {
        CaptureHandle(self.bell.clone())
    }
}

fn lost(why: &Failure) -> CaptureError {
    CaptureError::Lost(why.to_string())
}

fn geometry(conn: &RustConnection, root: Window) -> Result<Size, Failure> {
    let geometry = conn.get_geometry(root)?.reply()?;
    Ok(Size::new(geometry.width.into(), geometry.height.into()))
}
