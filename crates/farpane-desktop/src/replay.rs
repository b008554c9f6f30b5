//! Recorded frames, played in a loop.
//!
//! The file is a 24-byte header and then `frames` pictures, each `4 * width * height` bytes of BGRX, rows top to bottom
//! and packed, nothing between them:
//!
//! | bytes | what |
//! |---|---|
//! | 0..8 | `FARPANE` and a zero byte |
//! | 8..12 | width, 1 to 16384 |
//! | 12..16 | height, 1 to 16384 |
//! | 16..20 | frames a second, 1 to 240 |
//! | 20..24 | number of frames, at least 1 |
//!
//! Numbers are unsigned 32-bit little-endian.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::Path;
use std::time::Duration;

use farpane_media::{Clock, Rect, Size};

use crate::bell::Bell;
use crate::canvas::Canvas;
use crate::draw::Surface;
use crate::show::{Show, Stage};
use crate::{CaptureError, CursorEvent, Desktop, MOST_PIXELS, NoInput};

/// What stands before the frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    pub size: Size,
    pub fps: u32,
    pub frames: u32,
}

#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    #[error("it does not start with a Farpane recording's header")]
    NotARecording,
    #[error("its header says {what} {value}, which is not from 1 to {most}")]
    OutOfRange { what: &'static str, value: u32, most: u32 },
    #[error("its pictures are {size}, and those of up to {MOST_PIXELS} pixels are played")]
    TooLarge { size: Size },
    #[error(
        "its header promises {promised} bytes but it has {found}; it was cut short or is not a recording"
    )]
    Length { promised: u64, found: u64 },
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Header {
    pub const LEN: usize = 24;
    const MAGIC: [u8; 8] = *b"FARPANE\0";
    const MAX_SIDE: u32 = 16_384;
    const MAX_FPS: u32 = 240;

    pub fn parse(bytes: &[u8]) -> Result<Header, ReplayError> {
        let header: &[u8; Self::LEN] = bytes
            .first_chunk()
            .filter(|b| b.starts_with(&Self::MAGIC))
            .ok_or(ReplayError::NotARecording)?;
        let field = |at: usize, what, most| {
            let value =
                u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
            let is_good = (1..=most).contains(&value);
            is_good.then_some(value).ok_or(ReplayError::OutOfRange { what, value, most })
        };
        let size =
            Size::new(field(8, "width", Self::MAX_SIDE)?, field(12, "height", Self::MAX_SIDE)?);
        if size.pixels() > MOST_PIXELS {
            return Err(ReplayError::TooLarge { size });
        }
        let fps = field(16, "frame rate", Self::MAX_FPS)?;
        Ok(Header { size, fps, frames: field(20, "frame count", u32::MAX)? })
    }

    pub fn to_bytes(&self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        let fields = [self.size.width, self.size.height, self.fps, self.frames];
        bytes[..8].copy_from_slice(&Self::MAGIC);
        for (to, field) in bytes[8..].chunks_exact_mut(4).zip(fields) {
            to.copy_from_slice(&field.to_le_bytes());
        }
        bytes
    }

    /// Bytes of one frame.
    pub fn frame_len(&self) -> u64 {
        self.size.pixels() * 4
    }

    /// Bytes of the whole file: at most 2^62, since sides and count are bounded.
    fn file_len(&self) -> u64 {
        Self::LEN as u64 + self.frame_len() * u64::from(self.frames)
    }
}

pub(crate) fn open(path: &Path, clock: Clock) -> Result<Desktop, ReplayError> {
    let mut file = BufReader::new(File::open(path)?);
    let found = file.get_ref().metadata()?.len();
    let mut start = Vec::with_capacity(Header::LEN);
    file.by_ref().take(Header::LEN as u64).read_to_end(&mut start)?;
    let header = Header::parse(&start)?;
    // Before anything is allocated: a header alone must not make us take a gigabyte.
    if found != header.file_len() {
        return Err(ReplayError::Length { promised: header.file_len(), found });
    }
    let mut canvas = Canvas::new(header.size, clock.now());
    let row = vec![0; header.size.width as usize * 4];
    let mut recording = Recording { file, header, next: 0, row };
    canvas.draw(clock.now(), |surface| recording.read_frame(surface))?;
    let period = (header.frames > 1).then(|| Duration::from_secs(1) / header.fps);
    Ok(Desktop {
        capturer: Box::new(Stage::new(recording, canvas, period, Bell::new()?, clock)),
        input: Box::new(NoInput("a recording is being played")),
        notes: vec!["A recording is being played: it cannot be controlled.".into()],
    })
}

struct Recording {
    file: BufReader<File>,
    header: Header,
    /// The frame that comes next.
    next: u32,
    row: Vec<u8>,
}

impl Recording {
    /// Rows are compared and noted in pieces of this many pixels.
    const TILE: u32 = 64;

    fn read_frame(&mut self, surface: &mut Surface) -> io::Result<()> {
        if self.next == self.header.frames {
            self.file.seek(SeekFrom::Start(Header::LEN as u64))?;
            self.next = 0;
        }
        let size = self.header.size;
        for top in (0..size.height).step_by(Self::TILE as usize) {
            // Bits of tiles that differ anywhere in this band of rows: 16384 / 64 fit.
            let mut differs = [false; (Header::MAX_SIDE / Self::TILE) as usize];
            let h = Self::TILE.min(size.height - top);
            for y in top..top + h {
                self.file.read_exact(&mut self.row)?;
                let old = surface.row_mut(&Rect::of(size), y);
                let tiles = old
                    .chunks_mut(Self::TILE as usize * 4)
                    .zip(self.row.chunks(Self::TILE as usize * 4));
                for ((old, new), differs) in tiles.zip(&mut differs) {
                    if old != new {
                        old.copy_from_slice(new);
                        *differs = true;
                    }
                }
            }
            for (x, _) in
                (0..size.width).step_by(Self::TILE as usize).zip(differs).filter(|(_, d)| *d)
            {
                surface.touch(Rect::new(x, top, Self::TILE, h));
            }
        }
        self.next += 1;
        Ok(())
    }
}

impl Show for Recording {
    fn step(&mut self, surface: &mut Surface) -> Result<(), CaptureError> {
        self.read_frame(surface)
            .map_err(|why| CaptureError::Lost(format!("the recording broke off: {why}")))
    }

    fn react(&mut self, _: &mut Surface, _: &mut VecDeque<CursorEvent>) {}
}
