//! Reads rectangles of the root window into a frame: through shared memory, or else through the connection.
//!
//! All rectangles are asked for in one go and then awaited, so that any number of them costs one round trip.

use farpane_media::{FrameBody, Rect, Size};
use rustix::net::{AddressFamily, getsockname};
use x11rb::connection::Connection;
use x11rb::cookie::Cookie;
use x11rb::protocol::shm::{self, ConnectionExt as _};
use x11rb::protocol::xproto::{ConnectionExt as _, GetImageReply, ImageFormat, Window};
use x11rb::rust_connection::RustConnection;

use super::Failure;
use super::segment::Segment;

pub(super) enum Reader {
    /// The server writes each rectangle, rows packed, into the segment.
    Shared { segment: Segment, id: shm::Seg },
    /// The server sends the pixels.
    Plain,
}

/// A rectangle that was asked for.
pub(super) enum Asked<'c> {
    Shared { rect: Rect, offset: usize, reply: Cookie<'c, RustConnection, shm::GetImageReply> },
    Plain { rect: Rect, reply: Cookie<'c, RustConnection, GetImageReply> },
}

impl Reader {
    /// Pixels in one plain reply, so that neither side has to hold a whole picture in one message.
    const STRIP: u32 = 65_536;

    /// Shared memory for pictures of `size`. Fails where descriptors cannot be passed: a server on another machine, or
    /// one with MIT-SHM older than 1.2.
    pub fn shared(conn: &RustConnection, size: Size) -> Result<Reader, Failure> {
        // On any other socket the descriptor would break the connection instead of being refused.
        if getsockname(conn.stream())?.address_family() != AddressFamily::UNIX {
            return Err(Failure::Refused("a connection that takes no file descriptors".into()));
        }
        let version = conn.shm_query_version()?.reply()?;
        if (version.major_version, version.minor_version) < (1, 2) {
            return Err(Failure::Refused("an MIT-SHM that takes no file descriptors".into()));
        }
        let segment = Segment::new((size.pixels() as usize * 4).max(1))?;
        let id = conn.generate_id()?;
        conn.shm_attach_fd(id, segment.fd().try_clone_to_owned()?, false)?.check()?;
        Ok(Reader::Shared { segment, id })
    }

    /// Gives the server's half of the memory back.
    pub fn close(self, conn: &RustConnection) -> Result<(), Failure> {
        if let Reader::Shared { id, .. } = self {
            conn.shm_detach(id)?;
        }
        Ok(())
    }

    /// Asks for `rects`, whose pixels together must fit into the segment.
    pub fn ask<'c>(
        &self,
        conn: &'c RustConnection,
        root: Window,
        rects: &[Rect],
    ) -> Result<Vec<Asked<'c>>, Failure> {
        let mut asked = Vec::with_capacity(rects.len());
        let mut offset = 0;
        for rect in rects {
            match self {
                Reader::Shared { id, .. } => {
                    let format = ImageFormat::Z_PIXMAP.into();
                    let (x, y, w, h) = wire(rect);
                    let reply =
                        conn.shm_get_image(root, x, y, w, h, !0, format, *id, offset as u32)?;
                    asked.push(Asked::Shared { rect: *rect, offset, reply });
                    offset += rect.area() as usize * 4;
                }
                Reader::Plain => {
                    let rows = (Self::STRIP / rect.w.max(1)).max(1);
                    for top in (rect.y..rect.bottom()).step_by(rows as usize) {
                        let strip = Rect { y: top, h: rows.min(rect.bottom() - top), ..*rect };
                        let (x, y, w, h) = wire(&strip);
                        let reply = conn.get_image(ImageFormat::Z_PIXMAP, root, x, y, w, h, !0)?;
                        asked.push(Asked::Plain { rect: strip, reply });
                    }
                }
            }
        }
        Ok(asked)
    }

    /// Awaits what was asked for and copies it to its place in `frame`.
    pub fn collect(&self, asked: Vec<Asked<'_>>, frame: &mut FrameBody) -> Result<(), Failure> {
        for one in asked {
            match (one, self) {
                (Asked::Shared { rect, mut offset, reply }, Reader::Shared { segment, .. }) => {
                    reply.reply()?;
                    let row = rect.w as usize * 4;
                    if row == frame.stride {
                        // One large copy passes by the cache, many small ones read their target first.
                        let start = rect.y as usize * row;
                        segment
                            .read(offset, &mut frame.pixels[start..start + rect.h as usize * row]);
                        continue;
                    }
                    for y in rect.y..rect.bottom() {
                        segment.read(offset, frame.row_mut(&rect, y));
                        offset += row;
                    }
                }
                (Asked::Plain { rect, reply }, _) => {
                    let data = reply.reply()?.data;
                    let row = rect.w as usize * 4;
                    if data.len() < row * rect.h as usize {
                        return Err(Failure::Refused("too few pixels".into()));
                    }
                    for (y, pixels) in (rect.y..rect.bottom()).zip(data.chunks_exact(row)) {
                        frame.row_mut(&rect, y).copy_from_slice(pixels);
                    }
                }
                (Asked::Shared { .. }, Reader::Plain) => {
                    unreachable!("shared rectangles are asked for by a shared reader")
                }
            }
        }
        Ok(())
    }
}

/// As X11 wants it; screens are at most 32767 pixels each way.
fn wire(rect: &Rect) -> (i16, i16, u16, u16) {
    (rect.x as i16, rect.y as i16, rect.w as u16, rect.h as u16)
}
