//! What a video stream is made of.

use std::fmt;

/// A bitstream format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Codec {
    /// ITU-T H.264.
    H264,
    /// AOMedia Video 1.
    Av1,
    /// A description of each picture in place of the picture, for tests of what surrounds an encoder.
    Null,
}

impl Codec {
    /// As in SDP (RFC 6184, section 8.1; RTP Payload Format For AV1, section 7.1).
    pub const fn encoding_name(self) -> &'static str {
        match self {
            Codec::H264 => "H264",
            Codec::Av1 => "AV1",
            Codec::Null => "null",
        }
    }
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Codec::H264 => "H.264",
            Codec::Av1 => "AV1",
            Codec::Null => "null",
        })
    }
}

/// How many colour samples there are for each sample of luma.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Chroma {
    /// One for a square of four.
    Yuv420,
    /// As many.
    Yuv444,
}

impl Chroma {
    /// Luma samples for each chroma sample, in each direction: 2 or 1.
    pub const fn factor(self) -> u32 {
        match self {
            Chroma::Yuv420 => 2,
            Chroma::Yuv444 => 1,
        }
    }
}

impl fmt::Display for Chroma {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Chroma::Yuv420 => "4:2:0",
            Chroma::Yuv444 => "4:4:4",
        })
    }
}

/// What a video stream is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct VideoFormat {
    pub codec: Codec,
    pub chroma: Chroma,
}

impl VideoFormat {
    pub const fn new(codec: Codec, chroma: Chroma) -> VideoFormat {
        VideoFormat { codec, chroma }
    }
}

impl Default for VideoFormat {
    /// What every browser with WebRTC has (RFC 7742, section 5).
    fn default() -> VideoFormat {
        VideoFormat::new(Codec::H264, Chroma::Yuv420)
    }
}

impl fmt::Display for VideoFormat {
    /// For people, as in "H.264 4:2:0".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.codec, self.chroma)
    }
}
