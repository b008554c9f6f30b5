//! H.264 access units into RTP payloads: RFC 6184, packetization mode 1.
//!
//! Neighbouring NAL units that fit a payload together share it (STAP-A), one that fits alone goes as it is, a longer one
//! is cut (FU-A). Planning and writing are apart: [`Packetizer::packetize`] yields [`Payload`]s that only borrow, so a
//! caller can count them before it takes buffers, and nothing is ever allocated.

use std::ops::Range;

use crate::nal;

/// STAP-A and FU-A both begin with a byte in the place of a NAL unit header; an FU-A has a second one.
const FU_HEADERS: usize = 2;
const STAP_HEADER: usize = 1;
const STAP_LENGTH: usize = 2;

/// Cuts access units into payloads of a bounded length.
#[derive(Clone, Copy, Debug)]
pub struct Packetizer {
    max_payload: usize,
}

impl Packetizer {
    /// Payloads will have at most `max_payload` bytes.
    ///
    /// # Panics
    /// When `max_payload` is not in `16..=65535`: less has no room for payload beside headers, more cannot be sent.
    pub fn new(max_payload: usize) -> Packetizer {
        assert!((16..=65535).contains(&max_payload), "payloads of {max_payload} bytes");
        Packetizer { max_payload }
    }

    pub fn max_payload(&self) -> usize {
        self.max_payload
    }

    /// The payloads of the access unit whose NAL units, without start codes, are the given ranges of `data`.
    ///
    /// Left out are empty NAL units, access unit delimiters and filler, which tell an RTP receiver nothing, and types
    /// that H.264 does not assign, since RFC 6184 gives them another meaning.
    ///
    /// # Panics
    /// The iterator panics on a range outside `data`.
    pub fn packetize<'a>(&self, data: &'a [u8], nals: &'a [Range<usize>]) -> Payloads<'a> {
        let mut payloads = Payloads { data, nals, sent: 0, max_payload: self.max_payload };
        payloads.skip_unsent();
        payloads
    }
}

/// The payloads of one access unit, in order.
#[derive(Clone, Debug)]
pub struct Payloads<'a> {
    data: &'a [u8],
    /// From the next NAL unit to send, which is one that is sent.
    nals: &'a [Range<usize>],
    /// How much of it has gone in fragments, its header included; 0 when it has not been begun.
    sent: usize,
    max_payload: usize,
}

/// One payload to be written.
#[derive(Clone, Copy, Debug)]
pub struct Payload<'a> {
    /// It ends its access unit: the RTP marker bit.
    pub last: bool,
    form: Form<'a>,
}

#[derive(Clone, Copy, Debug)]
enum Form<'a> {
    Single(&'a [u8]),
    /// All NAL units in these ranges that are sent at all.
    Aggregate {
        data: &'a [u8],
        nals: &'a [Range<usize>],
        len: usize,
    },
    Fragment {
        headers: [u8; FU_HEADERS],
        bytes: &'a [u8],
    },
}

impl Payload<'_> {
    /// Bytes that [`Payload::write`] writes.
    #[expect(clippy::len_without_is_empty, reason = "a payload is never empty")]
    pub fn len(&self) -> usize {
        match self.form {
            Form::Single(nal) => nal.len(),
            Form::Aggregate { len, .. } => len,
            Form::Fragment { bytes, .. } => FU_HEADERS + bytes.len(),
        }
    }

    /// Writes the payload to the start of `out` and returns its length.
    ///
    /// # Panics
    /// When `out` is shorter than that.
    pub fn write(&self, out: &mut [u8]) -> usize {
        match self.form {
            Form::Single(nal) => out[..nal.len()].copy_from_slice(nal),
            Form::Aggregate { data, nals, .. } => aggregate(data, nals, out),
            Form::Fragment { headers, bytes } => {
                out[..FU_HEADERS].copy_from_slice(&headers);
                out[FU_HEADERS..FU_HEADERS + bytes.len()].copy_from_slice(bytes);
            }
        }
        self.len()
    }
}

/// RFC 6184, section 5.7.1: the header takes the highest importance and any forbidden bit of what it holds.
fn aggregate(data: &[u8], nals: &[Range<usize>], out: &mut [u8]) {
    let (mut forbidden, mut importance, mut at) = (0, 0, STAP_HEADER);
    for nal in nals.iter().map(|range| &data[range.clone()]).filter(|nal| is_sent(nal)) {
        forbidden |= nal[0] & nal::FORBIDDEN;
        importance = importance.max(nal[0] & nal::NRI);
        let len = u16::try_from(nal.len()).expect("a NAL unit in a STAP-A fits a payload");
        out[at..at + STAP_LENGTH].copy_from_slice(&len.to_be_bytes());
        at += STAP_LENGTH;
        out[at..at + nal.len()].copy_from_slice(nal);
        at += nal.len();
    }
    out[0] = forbidden | importance | nal::STAP_A;
}

fn is_sent(nal: &[u8]) -> bool {
    nal.first().is_some_and(|header| {
        nal::is_nal(*header) && !matches!(header & nal::TYPE, nal::DELIMITER | nal::FILLER)
    })
}

impl<'a> Payloads<'a> {
    fn nal(&self, at: usize) -> Option<&'a [u8]> {
        self.nals.get(at).map(|range| &self.data[range.clone()])
    }

    fn skip_unsent(&mut self) {
        while self.nal(0).is_some_and(|nal| !is_sent(nal)) {
            self.nals = &self.nals[1..];
        }
    }

    fn advance(&mut self, nals: usize) {
        self.nals = &self.nals[nals..];
        self.sent = 0;
        self.skip_unsent();
    }

    /// How many ranges from the next on go into one STAP-A, how many NAL units those hold, and its length.
    fn aggregation(&self) -> (usize, usize, usize) {
        let (mut ranges, mut sent, mut len) = (0, 0, STAP_HEADER);
        while let Some(nal) = self.nal(ranges) {
            if is_sent(nal) {
                if len + STAP_LENGTH + nal.len() > self.max_payload {
                    break;
                }
                len += STAP_LENGTH + nal.len();
                sent += 1;
            }
            ranges += 1;
        }
        (ranges, sent, len)
    }
}

impl<'a> Iterator for Payloads<'a> {
    type Item = Payload<'a>;

    fn next(&mut self) -> Option<Payload<'a>> {
        let nal = self.nal(0)?;
        let form = if nal.len() > self.max_payload {
            let begin = self.sent.max(1);
            let end = nal.len().min(begin + self.max_payload - FU_HEADERS);
            let mut position = 0;
            if begin == 1 {
                position |= nal::FU_START;
            }
            if end == nal.len() {
                position |= nal::FU_END;
            }
            let indicator = nal[0] & !nal::TYPE | nal::FU_A;
            self.sent = end;
            if end == nal.len() {
                self.advance(1);
            }
            Form::Fragment {
                headers: [indicator, position | nal[0] & nal::TYPE],
                bytes: &nal[begin..end],
            }
        } else {
            match self.aggregation() {
                (ranges, 2.., len) => {
                    let nals = &self.nals[..ranges];
                    self.advance(ranges);
                    Form::Aggregate { data: self.data, nals, len }
                }
                _ => {
                    self.advance(1);
                    Form::Single(nal)
                }
            }
        };
        Some(Payload { last: self.nals.is_empty(), form })
    }
}
