//! RTP packets: the fixed header (RFC 3550, section 5.1) and header extensions (RFC 8285), read and written in place.

pub mod descriptor;
pub mod extension;

pub use extension::Extension;

use std::ops::Range;

/// The length of a header without contributing sources and extensions.
pub const FIXED_LEN: usize = 12;

const VERSION: u8 = 2;
const ONE_BYTE: u16 = 0xbede;
/// The lower four bits are for the application.
const TWO_BYTE: u16 = 0x1000;
/// In the one-byte form this local identifier ends the list (RFC 8285, section 4.2).
const STOP: u8 = 15;

/// The fields of an RTP header that differ from packet to packet or stream to stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// For video: this packet ends its frame.
    pub marker: bool,
    /// 0 to 127.
    pub payload_type: u8,
    pub sequence: u16,
    /// In units of the stream's clock, 90 kHz for video.
    pub time: u32,
    pub ssrc: u32,
}

/// One header extension: a local identifier, negotiated in SDP, and its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Element<'a> {
    /// 1 to 255; 1 to 14 for the short form.
    pub id: u8,
    /// Up to 255 bytes; 1 to 16 for the short form.
    pub data: &'a [u8],
}

/// Why bytes from the network are not an RTP packet: the peer's fault, drop them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseError {
    #[error("the packet ends inside its header")]
    Short,
    #[error("version {0} instead of 2")]
    Version(u8),
    #[error("an extension element runs over the end of the header extension")]
    Element,
    #[error("the padding is empty or longer than the packet")]
    Padding,
}

/// Why a header cannot be written: the caller's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    #[error("the header takes {0} bytes, the buffer has fewer")]
    Space(usize),
    #[error("payload type {0} is over 127")]
    PayloadType(u8),
    #[error("extension {0} has an identifier or a length that cannot be written")]
    Element(u8),
}

impl Header {
    /// Writes the header and its extensions to the start of `out`; the payload follows at the returned length, always a
    /// multiple of 4. Extensions take the two-byte form when one of them does not fit the one-byte form, which the peer
    /// must have agreed to (`a=extmap-allow-mixed`).
    pub fn write(&self, elements: &[Element<'_>], out: &mut [u8]) -> Result<usize, WriteError> {
        if self.payload_type > 127 {
            return Err(WriteError::PayloadType(self.payload_type));
        }
        if let Some(bad) = elements.iter().find(|e| e.id == 0 || e.data.len() > 255) {
            return Err(WriteError::Element(bad.id));
        }
        let short = elements.iter().all(|e| e.id < STOP && matches!(e.data.len(), 1..=16));
        let prefix = if short { 1 } else { 2 };
        let used: usize = elements.iter().map(|e| prefix + e.data.len()).sum();
        let words = used.div_ceil(4);
        let len = if elements.is_empty() { FIXED_LEN } else { FIXED_LEN + 4 + words * 4 };
        // A length beyond 16 bits of words cannot arise from a list that fits any packet.
        let word_count = u16::try_from(words).map_err(|_| WriteError::Space(len))?;
        let out = out.get_mut(..len).ok_or(WriteError::Space(len))?;

        out[0] = VERSION << 6 | u8::from(!elements.is_empty()) << 4;
        out[1] = u8::from(self.marker) << 7 | self.payload_type;
        out[2..4].copy_from_slice(&self.sequence.to_be_bytes());
        out[4..8].copy_from_slice(&self.time.to_be_bytes());
        out[8..12].copy_from_slice(&self.ssrc.to_be_bytes());
        if elements.is_empty() {
            return Ok(len);
        }
        out[12..14].copy_from_slice(&if short { ONE_BYTE } else { TWO_BYTE }.to_be_bytes());
        out[14..16].copy_from_slice(&word_count.to_be_bytes());
        let mut at = 16;
        for Element { id, data } in elements {
            let data_len = data.len() as u8; // checked above
            if short {
                out[at] = id << 4 | (data_len - 1);
            } else {
                out[at..at + 2].copy_from_slice(&[*id, data_len]);
            }
            at += prefix;
            out[at..at + data.len()].copy_from_slice(data);
            at += data.len();
        }
        out[at..].fill(0);
        Ok(len)
    }
}

/// A parsed packet, borrowing its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    pub header: Header,
    /// Without padding; may be empty.
    pub payload: &'a [u8],
    csrcs: &'a [u8],
    elements: Elements<'a>,
}

impl<'a> Packet<'a> {
    /// Takes an RTP packet apart. RTCP on the same port (RFC 5761) has been sorted out before.
    pub fn parse(bytes: &'a [u8]) -> Result<Packet<'a>, ParseError> {
        let (fixed, rest) = bytes.split_first_chunk::<FIXED_LEN>().ok_or(ParseError::Short)?;
        if fixed[0] >> 6 != VERSION {
            return Err(ParseError::Version(fixed[0] >> 6));
        }
        let header = Header {
            marker: fixed[1] & 0x80 != 0,
            payload_type: fixed[1] & 0x7f,
            sequence: u16::from_be_bytes([fixed[2], fixed[3]]),
            time: u32::from_be_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]),
            ssrc: u32::from_be_bytes([fixed[8], fixed[9], fixed[10], fixed[11]]),
        };
        let csrc_len = usize::from(fixed[0] & 0x0f) * 4;
        let (csrcs, mut rest) = rest.split_at_checked(csrc_len).ok_or(ParseError::Short)?;
        let mut elements = Elements::default();
        if fixed[0] & 0x10 != 0 {
            let (prefix, after) = rest.split_first_chunk::<4>().ok_or(ParseError::Short)?;
            let len = usize::from(u16::from_be_bytes([prefix[2], prefix[3]])) * 4;
            let (data, after) = after.split_at_checked(len).ok_or(ParseError::Short)?;
            elements = Elements::new(u16::from_be_bytes([prefix[0], prefix[1]]), data)?;
            rest = after;
        }
        if fixed[0] & 0x20 != 0 {
            let padding = usize::from(*rest.last().ok_or(ParseError::Padding)?);
            let len = rest.len().checked_sub(padding).filter(|_| padding > 0);
            rest = &rest[..len.ok_or(ParseError::Padding)?];
        }
        Ok(Packet { header, payload: rest, csrcs, elements })
    }

    /// The contributing sources, which a mixer lists.
    pub fn csrcs(&self) -> impl ExactSizeIterator<Item = u32> + use<'a> {
        self.csrcs.chunks_exact(4).map(|c| u32::from_be_bytes([c[0], c[1], c[2], c[3]]))
    }

    /// The header extensions in order; none when they are of a form other than those of RFC 8285.
    pub fn elements(&self) -> Elements<'a> {
        self.elements
    }

    /// The same, each with where its data is in the packet.
    pub(crate) fn placed_elements(&self) -> impl Iterator<Item = (Range<usize>, Element<'a>)> {
        let mut elements = self.elements;
        let end = FIXED_LEN + self.csrcs.len() + 4 + elements.rest.len();
        std::iter::from_fn(move || {
            let element = elements.next()?;
            let end = end - elements.rest.len();
            Some((end - element.data.len()..end, element))
        })
    }

    /// The extension `E` under the identifier that was negotiated for it; `None` when it is absent or malformed.
    pub fn extension<E: Extension>(&self, id: u8) -> Option<E> {
        self.elements().find(|element| element.id == id).and_then(|element| E::decode(element.data))
    }
}

/// Walks the elements of a header extension.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Elements<'a> {
    short: bool,
    rest: &'a [u8],
}

impl<'a> Elements<'a> {
    fn new(profile: u16, data: &'a [u8]) -> Result<Elements<'a>, ParseError> {
        let elements = match profile {
            ONE_BYTE => Elements { short: true, rest: data },
            _ if profile & 0xfff0 == TWO_BYTE => Elements { short: false, rest: data },
            _ => Elements::default(),
        };
        let mut walk = elements;
        while walk.step()?.is_some() {}
        Ok(elements)
    }

    fn step(&mut self) -> Result<Option<Element<'a>>, ParseError> {
        // Zero bytes pad, in both forms and anywhere.
        while let [0, rest @ ..] = self.rest {
            self.rest = rest;
        }
        let (id, len, rest) = match (self.short, self.rest) {
            (_, []) => return Ok(None),
            // Identifier 0 with a length is as final as the stop mark.
            (true, [head, ..]) if matches!(head >> 4, 0 | STOP) => {
                self.rest = &[];
                return Ok(None);
            }
            (true, [head, rest @ ..]) => (head >> 4, usize::from(head & 0x0f) + 1, rest),
            (false, [id, len, rest @ ..]) => (*id, usize::from(*len), rest),
            (false, [_]) => return Err(ParseError::Element),
        };
        let (data, rest) = rest.split_at_checked(len).ok_or(ParseError::Element)?;
        self.rest = rest;
        Ok(Some(Element { id, data }))
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = Element<'a>;

    fn next(&mut self) -> Option<Element<'a>> {
        self.step().expect("elements were walked when the packet was parsed")
    }
}
