//! The window: content, strip and click square, each frame sent to the X server in one write.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use x11rb::connection::Connection;
use x11rb::protocol::Event;
use x11rb::protocol::shm::{self, ConnectionExt as _};
use x11rb::protocol::xproto::{
    ClipOrdering, ConnectionExt as _, CreateGCAux, CreateWindowAux, EventMask, Gcontext,
    ImageFormat, Rectangle, Window as WindowId, WindowClass,
};
use x11rb::rust_connection::RustConnection;
use x11rb::wrapper::ConnectionExt as _;

use crate::strip;

pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// Width in pixels of the X screen and of every picture of a page.
pub const WIDTH: u16 = 1920;
/// Height of the X screen in pixels.
pub const HEIGHT: u16 = 1080;

const STRIP: Rectangle = rect(0, strip::Y, strip::CELL * strip::CELLS, strip::CELL);
const SQUARE: Rectangle = rect(WIDTH - 64, HEIGHT - 64, 64, 64);

/// A rectangle from coordinates that are on the screen.
pub const fn rect(x: u16, y: u16, width: u16, height: u16) -> Rectangle {
    Rectangle { x: x as i16, y: y as i16, width, height }
}

/// A picture file that the X server maps itself, so that drawing from it copies nothing in this process.
pub struct Image {
    segment: shm::Seg,
    /// Pixels in a row.
    pub width: u16,
    /// Rows in the file; the frames of a film lie one below the other.
    pub rows: u32,
}

/// A full-screen window that needs no window manager.
pub struct Window {
    conn: RustConnection,
    id: WindowId,
    content: Gcontext,
    black: Gcontext,
    white: Gcontext,
    clicks: Mutex<u32>,
}

impl Window {
    /// Opens a window over the whole of `$DISPLAY`, which must be 1920x1080 at depth 24.
    pub fn open() -> Result<Self, Error> {
        let (conn, screen) = x11rb::connect(None)?;
        let screen = &conn.setup().roots[screen];
        let size = (screen.width_in_pixels, screen.height_in_pixels);
        if (size, screen.root_depth) != ((WIDTH, HEIGHT), 24) {
            return Err("the X screen must be 1920x1080x24".into());
        }
        let (root, inherit) = (screen.root, x11rb::COPY_FROM_PARENT);
        let (black, white) = (screen.black_pixel, screen.white_pixel);
        let aux = CreateWindowAux::new().override_redirect(1).event_mask(EventMask::BUTTON_PRESS);
        let (id, class) = (conn.generate_id()?, WindowClass::INPUT_OUTPUT);
        conn.create_window(0, id, root, 0, 0, WIDTH, HEIGHT, 0, class, inherit, &aux)?;
        let gc = |pixel| -> Result<Gcontext, Error> {
            let gc = conn.generate_id()?;
            conn.create_gc(gc, id, &CreateGCAux::new().foreground(pixel))?;
            Ok(gc)
        };
        let (content, black, white) = (gc(black)?, gc(black)?, gc(white)?);
        // Content never draws over strip and square: neither flickers in a capture between two requests.
        let (strip_end, strip_bottom) = (STRIP.width, strip::Y + strip::CELL);
        let (square_x, square_y) = (WIDTH - SQUARE.width, HEIGHT - SQUARE.height);
        let around = [
            rect(0, 0, WIDTH, square_y),
            rect(0, square_y, square_x, strip::Y - square_y),
            rect(strip_end, strip::Y, square_x - strip_end, strip::CELL),
            rect(0, strip_bottom, square_x, HEIGHT - strip_bottom),
        ];
        conn.set_clip_rectangles(ClipOrdering::UNSORTED, content, 0, 0, &around)?;
        conn.map_window(id)?;
        conn.sync()?;
        Ok(Self { conn, id, content, black, white, clicks: Mutex::default() })
    }

    /// Lets the X server map a file of BGRX pixels, `width` of them a row.
    pub fn image(&self, path: &Path, width: u16) -> Result<Image, Error> {
        let named = |e: io::Error| format!("{}: {e}", path.display());
        let file = File::open(path).map_err(named)?;
        let bytes = file.metadata().map_err(named)?.len();
        let bytes = u32::try_from(bytes).map_err(|_| "a picture file must be under 4 GiB")?;
        let segment = self.conn.generate_id()?;
        self.conn.shm_attach_fd(segment, file, true)?.check()?;
        Ok(Image { segment, width, rows: bytes / (u32::from(width) * 4) })
    }

    /// Draws one frame, stamped with the time of this call. `draw` queues the content; strip and square come
    /// last, so whoever sees them sees the content; one write sends it all. Returns once the server has drawn
    /// it, so no queue builds up in front of a busy server.
    pub fn present(&self, draw: impl FnOnce() -> Result<(), Error>) -> Result<(), Error> {
        let clicks = self.clicks.lock().unwrap_or_else(PoisonError::into_inner);
        self.present_with(*clicks, draw)
    }

    fn present_with(
        &self,
        clicks: u32,
        draw: impl FnOnce() -> Result<(), Error>,
    ) -> Result<(), Error> {
        let code = strip::encode(strip::now(), clicks);
        draw()?;
        let square = if clicks.is_multiple_of(2) { self.black } else { self.white };
        let (white, black): (Vec<_>, Vec<_>) = (0..strip::CELLS)
            .map(|cell| {
                (
                    strip::is_white(code, cell),
                    rect(cell * STRIP.height, strip::Y, STRIP.height, STRIP.height),
                )
            })
            .partition(|&(white, _)| white);
        let cells =
            |cells: Vec<(bool, Rectangle)>| cells.into_iter().map(|c| c.1).collect::<Vec<_>>();
        self.conn.poly_fill_rectangle(self.id, square, &[SQUARE])?;
        self.conn.poly_fill_rectangle(self.id, self.white, &cells(white))?;
        self.conn.poly_fill_rectangle(self.id, self.black, &cells(black))?;
        self.conn.sync()?;
        Ok(())
    }

    /// Queues a copy of the rectangle `from`, counted from row `row` of `image`, to the same size at (`x`, `y`).
    pub fn put(
        &self,
        image: &Image,
        row: u32,
        from: Rectangle,
        x: i16,
        y: i16,
    ) -> Result<(), Error> {
        let offset = (row + from.y as u32) * u32::from(image.width) * 4;
        self.conn.shm_put_image(
            self.id,
            self.content,
            image.width,
            from.height,
            from.x as u16,
            0,
            from.width,
            from.height,
            x,
            y,
            24,
            ImageFormat::Z_PIXMAP.into(),
            false,
            image.segment,
            offset,
        )?;
        Ok(())
    }

    /// Counts button presses and shows each at once; returns only when the display is gone.
    pub fn answer_clicks(&self) -> Result<(), Error> {
        loop {
            match self.conn.wait_for_event()? {
                Event::ButtonPress(_) => {
                    let mut clicks = self.clicks.lock().unwrap_or_else(PoisonError::into_inner);
                    *clicks += 1;
                    self.present_with(*clicks, || Ok(()))?;
                }
                Event::Error(e) => return Err(format!("X error: {e:?}").into()),
                _ => {}
            }
        }
    }
}

/// The pixels of the screen of `$DISPLAY`, BGRX, row by row.
pub fn grab() -> Result<Vec<u8>, Error> {
    let (conn, screen) = x11rb::connect(None)?;
    let root = &conn.setup().roots[screen];
    let (width, height) = (root.width_in_pixels, root.height_in_pixels);
    Ok(conn.get_image(ImageFormat::Z_PIXMAP, root.root, 0, 0, width, height, !0)?.reply()?.data)
}
