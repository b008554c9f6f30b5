//! Headers of YUV4MPEG2 files, as mjpegtools' `yuv4mpeg(5)` describes them.

use std::io::Read;

use farpane_media::Size;
use farpane_pixel::Chroma;

use crate::file::Rate;

/// Longer headers are refused.
pub const MAX_HEADER: usize = 256;
/// Longer sides are refused.
pub const MAX_SIDE: u32 = 16_384;
const MAGIC: &[u8] = b"YUV4MPEG2";
/// What each picture opens with.
pub(crate) const FRAME: &[u8; 5] = b"FRAME";

/// What stands before the pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// 1 to 16384 each way.
    pub size: Size,
    /// 1 to 240.
    pub fps: Rate,
    pub chroma: Chroma,
    /// Bytes of the header, its line feed included.
    pub length: usize,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    #[error("it does not start with YUV4MPEG2")]
    NotY4m,
    #[error("its header does not end within {MAX_HEADER} bytes")]
    Endless,
    #[error("its header gives no {0}")]
    Missing(&'static str),
    #[error("its header says \"{0}\", which makes no sense")]
    Senseless(String),
    #[error("its pictures are {0}; progressive 4:2:0 and 4:4:4 of 8 bits can be read")]
    Unsupported(String),
    #[error("a picture does not start with FRAME")]
    NoFrame,
}

impl Header {
    /// Reads the header at the start of `bytes`, of which no more than [`MAX_HEADER`] are looked at.
    ///
    /// # Errors
    /// See [`HeaderError`].
    pub fn parse(bytes: &[u8]) -> Result<Header, HeaderError> {
        let rest = bytes.strip_prefix(MAGIC).ok_or(HeaderError::NotY4m)?;
        let bounded = &rest[..rest.len().min(MAX_HEADER - MAGIC.len())];
        let end = bounded.iter().position(|byte| *byte == b'\n').ok_or(HeaderError::Endless)?;
        let (mut width, mut height, mut fps, mut chroma) = (None, None, None, Chroma::Yuv420);
        for field in bounded[..end].split(|byte| *byte == b' ').filter(|field| !field.is_empty()) {
            let text = String::from_utf8_lossy(field).into_owned();
            let senseless = || HeaderError::Senseless(text.clone());
            let mut letters = text.chars();
            let (tag, value) = (letters.next(), letters.as_str());
            let side = || number(value, MAX_SIDE).ok_or_else(senseless);
            match tag {
                Some('W') => width = Some(side()?),
                Some('H') => height = Some(side()?),
                Some('F') => fps = Some(rate(value).ok_or_else(senseless)?),
                Some('C') => {
                    chroma = match value {
                        "420" | "420jpeg" | "420mpeg2" | "420paldv" => Chroma::Yuv420,
                        "444" => Chroma::Yuv444,
                        _ => return Err(HeaderError::Unsupported(text)),
                    }
                }
                Some('I') if !matches!(value, "p" | "?") => {
                    return Err(HeaderError::Unsupported(text));
                }
                // Aspect ratios and comments change nothing here.
                _ => {}
            }
        }
        Ok(Header {
            size: Size::new(
                width.ok_or(HeaderError::Missing("width"))?,
                height.ok_or(HeaderError::Missing("height"))?,
            ),
            fps: fps.ok_or(HeaderError::Missing("frame rate"))?,
            chroma,
            length: MAGIC.len() + end + 1,
        })
    }

    /// The header as a line of text, its line feed included.
    pub fn write(&self) -> String {
        let Header { size, fps, chroma, .. } = self;
        let chroma = match chroma {
            Chroma::Yuv420 => "420",
            Chroma::Yuv444 => "444",
        };
        let Rate { numerator, denominator } = fps;
        format!(
            "YUV4MPEG2 W{} H{} F{numerator}:{denominator} Ip C{chroma}\n",
            size.width, size.height
        )
    }
}

fn number(text: &str, most: u32) -> Option<u32> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|number| is_plain && (1..=most).contains(number))
}

/// From 1 to 240 pictures a second.
fn rate(text: &str) -> Option<Rate> {
    let (numerator, denominator) = text.split_once(':')?;
    let (numerator, denominator) = (number(numerator, u32::MAX)?, number(denominator, u32::MAX)?);
    let sensible = numerator >= denominator && u64::from(numerator) <= 240 * u64::from(denominator);
    sensible.then_some(Rate { numerator, denominator })
}

/// Reads on behind `FRAME` up to the line feed, over parameters that change nothing here.
pub(crate) fn skip_parameters(file: &mut impl Read) -> Result<(), crate::file::FileError> {
    for _ in 0..MAX_HEADER {
        let mut byte = [0];
        file.read_exact(&mut byte)?;
        if byte[0] == b'\n' {
            return Ok(());
        }
    }
    Err(HeaderError::NoFrame.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_as_programs_write_them() {
        let parsed = Header::parse(
            b"YUV4MPEG2 W352 H288 F30000:1001 Ip A128:117 C420jpeg XYSCSS=420JPEG\nFRAME\n",
        );
        assert_eq!(
            parsed,
            Ok(Header {
                size: Size::new(352, 288),
                fps: Rate { numerator: 30_000, denominator: 1_001 },
                chroma: Chroma::Yuv420,
                length: 68,
            })
        );
        let parsed = Header::parse(b"YUV4MPEG2 C444 H2 W4 F25:1\n").unwrap();
        assert_eq!((parsed.size, parsed.chroma), (Size::new(4, 2), Chroma::Yuv444));
    }

    #[test]
    fn what_is_wrong_is_said() {
        let long = [b"YUV4MPEG2 W4 H4 F1:1 X".as_slice(), &[b'a'; 300], b"\n"].concat();
        for (bytes, said) in [
            (b"RIFF".as_slice(), "does not start"),
            (b"YUV4MPEG2 W4 H4 F1:1", "does not end"),
            (&long, "does not end"),
            (b"YUV4MPEG2 W4 F1:1\n", "no height"),
            (b"YUV4MPEG2 W4 H4\n", "no frame rate"),
            (b"YUV4MPEG2 W0 H4 F1:1\n", "\"W0\""),
            (b"YUV4MPEG2 W+4 H4 F1:1\n", "\"W+4\""),
            (b"YUV4MPEG2 W99999 H4 F1:1\n", "\"W99999\""),
            (b"YUV4MPEG2 W4 H4 F1:0\n", "\"F1:0\""),
            (b"YUV4MPEG2 W4 H4 F999:1\n", "\"F999:1\""),
            (b"YUV4MPEG2 W4 H4 F1:1 C420p10\n", "C420p10"),
            (b"YUV4MPEG2 W4 H4 F1:1 It\n", "It"),
        ] {
            let error = Header::parse(bytes).expect_err(said).to_string();
            assert!(error.contains(said), "{error}");
        }
    }
}
