//! Somebody who works at the desktop: types, scrolls, drags windows, looks at pages, photos and films, resizes the screen.

use std::time::Duration;

use farpane_media::Size;
use farpane_testkit::Random;
use x11rb::connection::Connection as _;
use x11rb::protocol::randr::{ConnectionExt as _, Rotation};
use x11rb::protocol::xproto::*;
use x11rb::rust_connection::RustConnection;
use x11rb::wrapper::ConnectionExt as _;

use crate::Error;

/// Of the font `fixed`, which every X server has built in.
const CHARACTER: (i32, i32) = (6, 13);
const FILM: Size = Size::new(800, 600);
const FILM_FRAMES: u32 = 6;
const FILM_PACE: Duration = Duration::from_millis(33);
const DIALOG: Size = Size::new(300, 200);

/// Lets time pass at the desktop, during which the viewer looks.
pub type Pass<'a> = dyn FnMut(Duration) -> Result<(), Error> + 'a;

pub struct Painter {
    conn: RustConnection,
    root: Window,
    /// Covers the largest screen.
    window: Window,
    /// Floats above it and is dragged about.
    dialog: Window,
    gc: Gcontext,
    photo: Pixmap,
    film: Vec<Pixmap>,
    smallest: Size,
    largest: Size,
    size: Size,
    random: Random,
    pub resizes: u64,
}

impl Painter {
    /// Opens windows over the screen of `display`, which is `size` and cannot be larger.
    pub fn new(display: &str, size: Size, seed: u64) -> Result<Painter, Error> {
        let (conn, screen) = RustConnection::connect(Some(display))?;
        let root = conn.setup().roots[screen].root;
        let range = conn.randr_get_screen_size_range(root)?.reply()?;
        // A screen may be set smaller than its monitor once that is off.
        for crtc in conn.randr_get_screen_resources(root)?.reply()?.crtcs {
            conn.randr_set_crtc_config(crtc, 0, 0, 0, 0, 0, Rotation::ROTATE0, &[])?.reply()?;
        }
        let (window, dialog) = (conn.generate_id()?, conn.generate_id()?);
        let (gc, font) = (conn.generate_id()?, conn.generate_id()?);
        conn.open_font(font, b"fixed")?.check()?;
        let mut painter = Painter {
            root,
            window,
            dialog,
            gc,
            photo: conn.generate_id()?,
            film: (0..FILM_FRAMES).map(|_| conn.generate_id()).collect::<Result<_, _>>()?,
            conn,
            smallest: Size::new(range.min_width.into(), range.min_height.into()),
            largest: size,
            size,
            random: Random::new(seed),
            resizes: 0,
        };
        painter.open(window, size, CreateWindowAux::new().background_pixel(0x30_60_90))?;
        painter.conn.create_gc(gc, window, &CreateGCAux::new().font(font).graphics_exposures(0))?;
        painter.upload(painter.photo, size, 0)?;
        for (at, frame) in (1..).zip(painter.film.clone()) {
            painter.upload(frame, FILM, at)?;
        }
        let photo = painter.photo;
        painter.open(dialog, DIALOG, CreateWindowAux::new().background_pixmap(photo))?;
        painter.page()?;
        painter.conn.sync()?;
        Ok(painter)
    }

    fn open(&self, id: Window, size: Size, look: CreateWindowAux) -> Result<(), Error> {
        let (width, height) = (size.width as u16, size.height as u16);
        let class = WindowClass::INPUT_OUTPUT;
        let look = look.override_redirect(1);
        self.conn.create_window(0, id, self.root, 0, 0, width, height, 0, class, 0, &look)?;
        self.conn.map_window(id)?;
        Ok(())
    }

    /// Gives the server a picture like a photo: soft shapes under a little grain. Different `phase`s are different
    /// moments of a film.
    fn upload(&mut self, pixmap: Pixmap, size: Size, phase: u32) -> Result<(), Error> {
        let (width, height) = (size.width as u16, size.height as u16);
        self.conn.create_pixmap(24, pixmap, self.root, width, height)?;
        let shift = f64::from(phase) * 0.35;
        let mut pixels = Vec::with_capacity(size.pixels() as usize * 4);
        for (y, x) in (0..height).flat_map(|y| (0..width).map(move |x| (y, x))) {
            let (x, y) = (f64::from(x), f64::from(y));
            let grain = self.random.below(8) as f64;
            let wave = |fx: f64, fy: f64| 110.0 + 90.0 * (x * fx + y * fy + shift).sin() + grain;
            let [b, g, r] = [wave(0.011, 0.017), wave(-0.023, 0.009), wave(0.005, -0.013)];
            pixels.extend([b as u8, g as u8, r as u8, 0]);
        }
        self.put(pixmap, size, (0, 0), &pixels)
    }

    fn put(
        &self,
        to: Drawable,
        size: Size,
        (x, y): (i16, i16),
        pixels: &[u8],
    ) -> Result<(), Error> {
        let (width, height) = (size.width as u16, size.height as u16);
        let format = ImageFormat::Z_PIXMAP;
        self.conn.put_image(format, to, self.gc, width, height, x, y, 0, 24, pixels)?;
        Ok(())
    }

    pub fn size(&self) -> Size {
        self.size
    }

    /// The pixels of the screen, BGRX, once all that was drawn before is on it.
    pub fn screenshot(&self) -> Result<Vec<u8>, Error> {
        let (width, height) = (self.size.width as u16, self.size.height as u16);
        let format = ImageFormat::Z_PIXMAP;
        Ok(self.conn.get_image(format, self.root, 0, 0, width, height, !0)?.reply()?.data)
    }

    /// Does one thing, in steps between which time passes.
    pub fn act(&mut self, pass: &mut Pass<'_>) -> Result<(), Error> {
        // Little happens on a tiny screen, so that it should not stay long.
        let choices = if self.size.pixels() < 100_000 { 24 } else { 16 };
        match self.random.below(choices) {
            0..=2 => self.typing(pass),
            3..=5 => self.scroll(pass),
            6 | 7 => self.drag(pass),
            8 => self.page(),
            9 => self.show_photo(),
            10 => self.noise(),
            11 => self.play(pass),
            12 | 13 => self.select(pass),
            _ => self.resize(),
        }?;
        self.conn.sync()?;
        let pause = self.random.below(120);
        pass(Duration::from_millis(pause.into()))
    }

    fn step(&mut self, pass: &mut Pass<'_>) -> Result<(), Error> {
        self.conn.sync()?;
        let pause = self.random.below(35);
        pass(Duration::from_millis(pause.into()))
    }

    fn foreground(&mut self) -> Result<(), Error> {
        let colour = match self.random.below(3) {
            0 => 0,
            1 => 0xff_ff_ff,
            _ => self.random.below(0x100_0000),
        };
        self.conn.change_gc(self.gc, &ChangeGCAux::new().foreground(colour))?;
        Ok(())
    }

    fn colours(&mut self) -> Result<(), Error> {
        self.foreground()?;
        let paper = if self.random.one_in(2) { 0xff_ff_ff } else { self.random.below(0x100_0000) };
        self.conn.change_gc(self.gc, &ChangeGCAux::new().background(paper))?;
        Ok(())
    }

    /// A rectangle that touches the screen.
    fn somewhere(&mut self) -> Rectangle {
        let (x, y) = (self.random.below(self.size.width), self.random.below(self.size.height));
        let width = self.random.between(1, self.size.width) as u16;
        let height = self.random.between(1, self.size.height) as u16;
        Rectangle { x: x as i16, y: y as i16, width, height }
    }

    fn text(&mut self, (x, y): (i32, i32), length: u32) -> Result<(), Error> {
        let words: Vec<u8> = (0..length.min(255))
            .map(|_| match self.random.below(6) {
                0 => b' ',
                _ => self.random.between(33, 126) as u8,
            })
            .collect();
        self.conn.image_text8(self.window, self.gc, x as i16, y as i16, &words)?;
        Ok(())
    }

    fn line(&mut self, y: i32) -> Result<(), Error> {
        let indent = self.random.below(8) as i32 * CHARACTER.0;
        let room = self.size.width / CHARACTER.0 as u32;
        let length = self.random.between(0, room);
        self.text((indent, y), length)
    }

    /// One character after the other.
    fn typing(&mut self, pass: &mut Pass<'_>) -> Result<(), Error> {
        self.colours()?;
        let at = self.somewhere();
        for column in 0..self.random.between(5, 40) as i32 {
            self.text((i32::from(at.x) + column * CHARACTER.0, at.y.into()), 1)?;
            self.step(pass)?;
        }
        Ok(())
    }

    /// Moves a part of the screen in steps, as a page, a table or a terminal scrolls; lines come in at the bottom.
    fn scroll(&mut self, pass: &mut Pass<'_>) -> Result<(), Error> {
        self.colours()?;
        let part = match self.random.below(3) {
            0 => self.somewhere(),
            _ => {
                let (width, height) = (self.size.width as u16, self.size.height as u16);
                Rectangle { x: 0, y: 0, width, height }
            }
        };
        let (by_x, by_y) = match self.random.below(4) {
            0 => (self.random.between(1, 40) as i16, 0),
            1 => (0, -(self.random.between(1, 60) as i16)),
            2 => (0, CHARACTER.1 as i16),
            _ => (0, self.random.between(1, 200) as i16),
        };
        for _ in 0..self.random.between(3, 30) {
            let Rectangle { x, y, width, height } = part;
            let from = (x + by_x.max(0), y + by_y.max(0));
            let to = (x - by_x.min(0), y - by_y.min(0));
            let width = width.saturating_sub(by_x.unsigned_abs()).max(1);
            let height = height.saturating_sub(by_y.unsigned_abs()).max(1);
            let window = self.window;
            self.conn
                .copy_area(window, window, self.gc, from.0, from.1, to.0, to.1, width, height)?;
            if by_y > 0 {
                let bottom = i32::from(y) + i32::from(part.height);
                for above in (0..i32::from(by_y)).step_by(CHARACTER.1 as usize) {
                    self.line(bottom - above)?;
                }
            }
            self.step(pass)?;
        }
        Ok(())
    }

    fn drag(&mut self, pass: &mut Pass<'_>) -> Result<(), Error> {
        let (from, to) = (self.somewhere(), self.somewhere());
        let steps = self.random.between(2, 30) as i32;
        for step in 0..=steps {
            let between = |from: i16, to: i16| {
                i32::from(from) + (i32::from(to) - i32::from(from)) * step / steps
            };
            let place = ConfigureWindowAux::new().x(between(from.x, to.x)).y(between(from.y, to.y));
            self.conn.configure_window(self.dialog, &place)?;
            self.step(pass)?;
        }
        Ok(())
    }

    /// Another page, all of it.
    fn page(&mut self) -> Result<(), Error> {
        self.colours()?;
        let paper = self.random.between(0xc0_c0_c0, 0xff_ff_ff);
        let (width, height) = (self.largest.width as u16, self.largest.height as u16);
        self.conn.change_gc(self.gc, &ChangeGCAux::new().foreground(paper).background(paper))?;
        let whole = Rectangle { x: 0, y: 0, width, height };
        self.conn.poly_fill_rectangle(self.window, self.gc, &[whole])?;
        self.foreground()?;
        let spacing = self.random.between(13, 30);
        for y in (spacing..self.size.height + spacing).step_by(spacing as usize) {
            self.line(y as i32)?;
        }
        for _ in 0..self.random.below(6) {
            self.foreground()?;
            let mut block = self.somewhere();
            (block.width, block.height) = (block.width / 3 + 1, block.height / 3 + 1);
            self.conn.poly_fill_rectangle(self.window, self.gc, &[block])?;
        }
        Ok(())
    }

    fn show_photo(&mut self) -> Result<(), Error> {
        let (from, to) = (self.somewhere(), self.somewhere());
        let Rectangle { x, y, width, height } = to;
        self.conn.copy_area(
            self.photo,
            self.window,
            self.gc,
            from.x,
            from.y,
            x,
            y,
            width,
            height,
        )?;
        Ok(())
    }

    fn noise(&mut self) -> Result<(), Error> {
        let at = self.somewhere();
        let size = Size::new(self.random.between(1, 120), self.random.between(1, 120));
        let pixels: Vec<u8> =
            (0..size.pixels()).flat_map(|_| (self.random.bits() as u32).to_le_bytes()).collect();
        self.put(self.window, size, (at.x, at.y), &pixels)
    }

    /// A film in a large part of the screen; now and then the screen is resized under it.
    fn play(&mut self, pass: &mut Pass<'_>) -> Result<(), Error> {
        let (x, y) = (self.random.below(80) as i16, self.random.below(80) as i16);
        let resize_at = self.random.below(120);
        for frame in 0..self.random.between(10, 60) {
            let picture = self.film[(frame % FILM_FRAMES) as usize];
            let (width, height) = (FILM.width as u16, FILM.height as u16);
            self.conn.copy_area(picture, self.window, self.gc, 0, 0, x, y, width, height)?;
            if frame == resize_at {
                self.resize()?;
            }
            self.conn.sync()?;
            pass(FILM_PACE)?;
        }
        Ok(())
    }

    /// Highlights that come and go, strong and faint.
    fn select(&mut self, pass: &mut Pass<'_>) -> Result<(), Error> {
        let part = self.somewhere();
        let mask = if self.random.one_in(2) { 0xff_ff_ff } else { 0x10_18_20 };
        let xor = ChangeGCAux::new().function(GX::XOR).foreground(mask);
        let copy = ChangeGCAux::new().function(GX::COPY);
        for _ in 0..self.random.between(1, 5) {
            self.conn.change_gc(self.gc, &xor)?;
            self.conn.poly_fill_rectangle(self.window, self.gc, &[part])?;
            self.conn.change_gc(self.gc, &copy)?;
            self.step(pass)?;
        }
        Ok(())
    }

    /// Any size that the server takes, the usual ones more often than their share.
    fn resize(&mut self) -> Result<(), Error> {
        let (low, high) = (self.smallest, self.largest);
        let wanted = match self.random.below(12) {
            0 => Size::new(self.random.between(1, 40), self.random.between(1, 40)),
            1 => Size::new(high.width, self.random.between(1, 64)),
            2 | 3 => {
                Size::new(self.random.between(1, high.width), self.random.between(1, high.height))
            }
            4 => Size::new(800, 600),
            5 => Size::new(1023, 767),
            _ => high,
        };
        let width = wanted.width.clamp(low.width, high.width);
        let height = wanted.height.clamp(low.height, high.height);
        self.conn
            .randr_set_screen_size(self.root, width as u16, height as u16, 300, 200)?
            .check()?;
        self.size = Size::new(width, height);
        self.resizes += 1;
        if self.random.one_in(2) { self.page() } else { Ok(()) }
    }
}
