//! Recordings that people bring: YUV4MPEG2 of 8 bits at 4:2:0 or 4:4:4, and raw BGRX.
//!
//! A picture is read when its turn comes, so a file may be as long as the disk; what a header says is bounded before
//! anything is allocated.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use farpane_media::{FrameBody, Size};
use farpane_pixel::{Chroma, Detector, Plane, Planes, convert};

use crate::y4m::{self, HeaderError};

/// Pictures a second as a fraction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    pub numerator: u32,
    pub denominator: u32,
}

impl Rate {
    pub fn value(self) -> f64 {
        f64::from(self.numerator) / f64::from(self.denominator)
    }
}

/// How pictures lie in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Format {
    pub size: Size,
    pub fps: Rate,
    /// Bytes before the first picture.
    skip: usize,
    layout: Layout,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Layout {
    Bgrx,
    Y4m(Chroma),
}

#[derive(Debug, thiserror::Error)]
pub enum FileError {
    #[error("{0}")]
    Header(#[from] HeaderError),
    #[error("its pictures are {0}: encoders of 4:2:0 take even sides from 16 to 8192 pixels")]
    Size(Size),
    #[error("it ends in the middle of picture {0}")]
    Cut(u64),
    #[error("it holds no picture")]
    Empty,
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Sides of pictures that are read.
const SIDES: std::ops::RangeInclusive<u32> = 16..=8192;

impl Format {
    /// Raw BGRX, four bytes a pixel, rows packed, picture after picture.
    ///
    /// # Errors
    /// [`FileError::Size`].
    pub fn bgrx(size: Size, fps: Rate) -> Result<Format, FileError> {
        Format { size, fps, skip: 0, layout: Layout::Bgrx }.checked()
    }

    /// Reads the header of a YUV4MPEG2 file.
    ///
    /// # Errors
    /// [`FileError::Header`] for what is no such file or not in a form that is read here, [`FileError::Size`],
    /// [`FileError::Io`].
    pub fn y4m(path: &Path) -> Result<Format, FileError> {
        let mut start = Vec::with_capacity(y4m::MAX_HEADER);
        File::open(path)?.take(y4m::MAX_HEADER as u64).read_to_end(&mut start)?;
        let y4m::Header { size, fps, chroma, length } = y4m::Header::parse(&start)?;
        Format { size, fps, skip: length, layout: Layout::Y4m(chroma) }.checked()
    }

    fn checked(self) -> Result<Format, FileError> {
        let fits = |side: u32| SIDES.contains(&side) && side.is_multiple_of(2);
        let Size { width, height } = self.size;
        if fits(width) && fits(height) { Ok(self) } else { Err(FileError::Size(self.size)) }
    }
}

/// A file that plays.
pub struct Recording {
    file: BufReader<File>,
    layout: Layout,
    planes: Planes,
    frame: FrameBody,
    detector: Detector,
    pictures: u64,
}

impl Recording {
    /// # Errors
    /// [`FileError::Io`].
    pub fn open(path: &Path, format: Format) -> Result<Recording, FileError> {
        let mut file = BufReader::with_capacity(1 << 20, File::open(path)?);
        io::copy(&mut file.by_ref().take(format.skip as u64), &mut io::sink())?;
        let size = format.size;
        let stride = size.width as usize * 4;
        let pixels = vec![0; stride * size.height as usize];
        let chroma = match format.layout {
            Layout::Y4m(chroma) => chroma,
            Layout::Bgrx => Chroma::Yuv420,
        };
        Ok(Recording {
            file,
            layout: format.layout,
            planes: Planes::new(size, chroma),
            frame: FrameBody { size, stride, pixels, ..FrameBody::default() },
            detector: Detector::new(),
            pictures: 0,
        })
    }

    /// The next picture; its damage is the tiles that differ from the one before. `None` after the last.
    ///
    /// # Errors
    /// [`FileError::Empty`], [`FileError::Cut`], [`FileError::Header`] for what is no picture, [`FileError::Io`].
    pub fn advance(&mut self) -> Result<Option<&FrameBody>, FileError> {
        let mut first = [0; y4m::FRAME.len()];
        let marker = match self.layout {
            Layout::Bgrx => 1,
            Layout::Y4m(_) => first.len(),
        };
        let got = self.file.by_ref().take(marker as u64).read(&mut first)?;
        if got == 0 {
            return if self.pictures == 0 { Err(FileError::Empty) } else { Ok(None) };
        }
        self.pictures += 1;
        self.read(&mut first[..marker], got).map_err(|why| match why {
            FileError::Io(why) if why.kind() == io::ErrorKind::UnexpectedEof => {
                FileError::Cut(self.pictures)
            }
            why => why,
        })?;
        let mut damage = std::mem::take(&mut self.frame.damage);
        self.detector.update(&self.frame, None, &mut damage);
        self.frame.damage = damage;
        Ok(Some(&self.frame))
    }

    /// The picture of which `got` bytes stand in `first` already.
    fn read(&mut self, first: &mut [u8], got: usize) -> Result<(), FileError> {
        self.file.read_exact(&mut first[got..])?;
        match self.layout {
            Layout::Bgrx => {
                self.frame.pixels[0] = first[0];
                self.file.read_exact(&mut self.frame.pixels[1..])?;
            }
            Layout::Y4m(_) => {
                if first != y4m::FRAME {
                    return Err(HeaderError::NoFrame.into());
                }
                y4m::skip_parameters(&mut self.file)?;
                let Planes { y, u, v, .. } = &mut self.planes;
                for plane in [y, u, v] {
                    read_plane(&mut self.file, plane)?;
                }
                convert::to_bgrx(&self.planes, &mut self.frame);
            }
        }
        Ok(())
    }
}

fn read_plane(file: &mut impl Read, plane: &mut Plane) -> io::Result<()> {
    let Size { width, height } = plane.size;
    for row in plane.data.chunks_mut(plane.stride).take(height as usize) {
        file.read_exact(&mut row[..width as usize])?;
    }
    Ok(())
}
