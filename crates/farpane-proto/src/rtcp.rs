//! RTCP of a sender of plain RTP: what it reports, and what receivers say of its stream (RFC 3550, section 6; RFC 4585;
//! RFC 5104). WebRTC has str0m's.

use std::time::Duration;

const VERSION: u8 = 2;
const SENDER_REPORT: u8 = 200;
const RECEIVER_REPORT: u8 = 201;
const SOURCE_DESCRIPTION: u8 = 202;
const GOODBYE: u8 = 203;
const PAYLOAD_FEEDBACK: u8 = 206;
/// Kinds of feedback: picture loss indication and full intra request.
const PICTURE_LOSS: u8 = 1;
const FULL_INTRA: u8 = 4;
const CNAME: u8 = 1;
/// Of a packet, of what a sender says of itself, and of one reception report, in bytes.
const HEADER: usize = 4;
const SENDER_INFO: usize = 20;
const RECEPTION: usize = 24;
/// From NTP's epoch, 1900, to Unix's.
const EPOCHS_APART: u64 = 2_208_988_800;

/// What a sender has sent so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SenderReport {
    pub ssrc: u32,
    /// The moment of the report, since the Unix epoch and on the stream's clock.
    pub unix: Duration,
    pub rtp_time: u32,
    pub packets: u32,
    pub octets: u32,
}

impl SenderReport {
    /// A compound packet, with the goodbye if that is asked for.
    pub fn write(&self, goodbye: bool) -> Vec<u8> {
        let ntp = ntp(self.unix);
        let report =
            [self.ssrc, (ntp >> 32) as u32, ntp as u32, self.rtp_time, self.packets, self.octets];
        let mut out = Vec::new();
        packet(&mut out, 0, SENDER_REPORT, &report.map(u32::to_be_bytes).concat());
        let name = format!("farpane-{:08x}", self.ssrc);
        let mut chunk = self.ssrc.to_be_bytes().to_vec();
        chunk.extend([CNAME, name.len() as u8]);
        chunk.extend(name.bytes());
        // At least one zero ends the list.
        chunk.resize((chunk.len() + 1).next_multiple_of(4), 0);
        packet(&mut out, 1, SOURCE_DESCRIPTION, &chunk);
        if goodbye {
            packet(&mut out, 1, GOODBYE, &self.ssrc.to_be_bytes());
        }
        out
    }
}

/// Seconds and their fraction in 32 bits each; wraps in 2036, as NTP does.
fn ntp(unix: Duration) -> u64 {
    let seconds = unix.as_secs().wrapping_add(EPOCHS_APART);
    (seconds << 32) + (u64::from(unix.subsec_nanos()) << 32) / 1_000_000_000
}

/// `count` is of the sources or reports in `body`, which is a multiple of four bytes.
fn packet(out: &mut Vec<u8>, count: u8, kind: u8, body: &[u8]) {
    out.extend([VERSION << 6 | count, kind]);
    out.extend(((body.len() / 4) as u16).to_be_bytes());
    out.extend(body);
}

/// What a receiver says. `by` is its own source identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    Reception {
        by: u32,
        reception: Reception,
    },
    /// It cannot go on without a key frame.
    KeyFrame {
        by: u32,
    },
    Goodbye {
        by: u32,
    },
}

/// What came of a stream, as one receiver reports it (RFC 3550, section 6.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reception {
    /// Of the packets since its report before, in 256ths.
    pub lost: u8,
    /// When the last sender report left, in the middle 32 bits of NTP; 0 before there was one.
    last: u32,
    /// For how long the receiver has had that report, in 65536ths of a second.
    delay: u32,
}

impl Reception {
    /// From the sender report to hearing of it, `unix` being the time now, without the time that the receiver took.
    pub fn round_trip(&self, unix: Duration) -> Option<Duration> {
        let now = (ntp(unix) >> 16) as u32;
        let passed = now.wrapping_sub(self.last).wrapping_sub(self.delay);
        // Half of the numbers are in the future: clocks are read at different times.
        (self.last != 0 && passed < 1 << 31)
            .then(|| Duration::from_micros((u64::from(passed) * 1_000_000) >> 16))
    }
}

/// Why a datagram is not RTCP: the peer's fault, drop it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseError {
    #[error("the datagram ends inside a packet")]
    Short,
    #[error("version {0} instead of 2")]
    Version(u8),
    #[error("the padding is empty or longer than the packet")]
    Padding,
}

/// What a datagram says of the stream `ssrc`; of other streams it may say what it likes. Nothing of a datagram counts
/// that does not hold together.
pub fn parse(datagram: &[u8], ssrc: u32) -> Result<impl Iterator<Item = Said>, ParseError> {
    for packet in packets(datagram) {
        packet?.check()?;
    }
    Ok(packets(datagram).flatten().flat_map(move |packet| packet.said(ssrc)))
}

/// A packet of a compound one, without padding.
#[derive(Clone, Copy)]
struct Packet<'a> {
    count: u8,
    kind: u8,
    body: &'a [u8],
}

fn packets(mut rest: &[u8]) -> impl Iterator<Item = Result<Packet<'_>, ParseError>> {
    std::iter::from_fn(move || {
        (!rest.is_empty()).then(|| {
            let packet = first(rest);
            rest = packet.as_ref().map_or(&[][..], |(_, after)| *after);
            packet.map(|(packet, _)| packet)
        })
    })
}

fn first(bytes: &[u8]) -> Result<(Packet<'_>, &[u8]), ParseError> {
    let (&[start, kind, high, low], rest) =
        bytes.split_first_chunk::<HEADER>().ok_or(ParseError::Short)?;
    if start >> 6 != VERSION {
        return Err(ParseError::Version(start >> 6));
    }
    let len = usize::from(u16::from_be_bytes([high, low])) * 4;
    let (mut body, rest) = rest.split_at_checked(len).ok_or(ParseError::Short)?;
    if start & 0x20 != 0 {
        let padding = usize::from(*body.last().ok_or(ParseError::Padding)?);
        let len = body.len().checked_sub(padding).filter(|_| padding > 0);
        body = &body[..len.ok_or(ParseError::Padding)?];
    }
    Ok((Packet { count: start & 0x1f, kind, body }, rest))
}

impl<'a> Packet<'a> {
    /// Whether all is there that its count promises.
    fn check(&self) -> Result<(), ParseError> {
        let least = match self.kind {
            SENDER_REPORT => HEADER + SENDER_INFO + usize::from(self.count) * RECEPTION,
            RECEIVER_REPORT => HEADER + usize::from(self.count) * RECEPTION,
            GOODBYE => usize::from(self.count) * 4,
            PAYLOAD_FEEDBACK => 8,
            _ => 0,
        };
        if self.body.len() < least { Err(ParseError::Short) } else { Ok(()) }
    }

    fn said(self, ssrc: u32) -> impl Iterator<Item = Said> {
        let by = self.word(0).unwrap_or_default();
        let receptions = match self.kind {
            SENDER_REPORT => self.receptions(HEADER + SENDER_INFO),
            RECEIVER_REPORT => self.receptions(HEADER),
            _ => self.receptions(self.body.len()),
        };
        let receptions = receptions
            .filter(move |(of, _)| *of == ssrc)
            .map(move |(_, reception)| Said::Reception { by, reception });
        let wants = self.kind == PAYLOAD_FEEDBACK
            && match self.count {
                PICTURE_LOSS => self.word(4) == Some(ssrc),
                // Each entry has eight bytes; the stream is in the first four.
                FULL_INTRA => self.body[8..].chunks_exact(8).any(|e| e[..4] == ssrc.to_be_bytes()),
                _ => false,
            };
        let leaves = if self.kind == GOODBYE { usize::from(self.count) * 4 } else { 0 };
        let leaving = self.body[..leaves].chunks_exact(4);
        receptions.chain(wants.then_some(Said::KeyFrame { by })).chain(
            leaving
                .map(|by| Said::Goodbye { by: u32::from_be_bytes([by[0], by[1], by[2], by[3]]) }),
        )
    }

    /// The reports from `start` on, each with the stream that it is about.
    fn receptions(self, start: usize) -> impl Iterator<Item = (u32, Reception)> {
        self.body[start..].chunks_exact(RECEPTION).take(usize::from(self.count)).map(|block| {
            let word = |at: usize| {
                u32::from_be_bytes([block[at], block[at + 1], block[at + 2], block[at + 3]])
            };
            (word(0), Reception { lost: block[4], last: word(16), delay: word(20) })
        })
    }

    fn word(&self, at: usize) -> Option<u32> {
        self.body.get(at..)?.first_chunk().map(|bytes| u32::from_be_bytes(*bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: u32 = 0x0102_0304;
    const THEIRS: u32 = 0x0a0b_0c0d;

    fn written(kind: u8, count: u8, body: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        packet(&mut out, count, kind, body);
        out
    }

    fn reception(of: u32, lost: u8, last: u32, delay: u32) -> Vec<u8> {
        [of, u32::from(lost) << 24 | 5, 77, 9, last, delay].map(u32::to_be_bytes).concat()
    }

    fn said(datagram: &[u8]) -> Vec<Said> {
        parse(datagram, OURS).unwrap().collect()
    }

    #[test]
    fn a_report_names_the_moment_on_both_clocks_and_the_source() {
        let report = SenderReport {
            ssrc: OURS,
            unix: Duration::new(1, 500_000_000),
            rtp_time: 90_000,
            packets: 7,
            octets: 1_000,
        };
        let bytes = report.write(true);
        assert_eq!(bytes[..8], [0x80, 200, 0, 6, 1, 2, 3, 4]);
        assert_eq!(bytes[8..12], (EPOCHS_APART as u32 + 1).to_be_bytes());
        assert_eq!(bytes[12..16], [0x80, 0, 0, 0]);
        assert_eq!(bytes[16..28], [90_000u32, 7, 1_000].map(u32::to_be_bytes).concat());
        assert_eq!(bytes[28..34], [0x81, 202, 0, 6, 1, 2]);
        assert_eq!(bytes[36..38], [1, 16]);
        assert_eq!(&bytes[38..54], b"farpane-01020304");
        assert_eq!(bytes[bytes.len() - 8..], [0x81, 203, 0, 1, 1, 2, 3, 4]);
        assert!(report.write(false).len() < bytes.len());
        assert_eq!(said(&bytes), [Said::Goodbye { by: OURS }]);
    }

    #[test]
    fn receivers_are_heard_about_this_stream_alone() {
        let reports = [reception(9, 200, 1, 1), reception(OURS, 64, 0x1_0000, 0x8000)].concat();
        let body = [&THEIRS.to_be_bytes()[..], &reports].concat();
        let mut datagram = written(RECEIVER_REPORT, 2, &body);
        datagram.extend(written(SOURCE_DESCRIPTION, 0, &[]));
        let about = |ssrc: u32| [THEIRS, ssrc].map(u32::to_be_bytes).concat();
        datagram.extend(written(PAYLOAD_FEEDBACK, PICTURE_LOSS, &about(9)));
        datagram.extend(written(PAYLOAD_FEEDBACK, PICTURE_LOSS, &about(OURS)));
        let entries = [0, 9, 1 << 24, OURS, 2 << 24].map(u32::to_be_bytes).concat();
        let body = [&THEIRS.to_be_bytes()[..], &entries].concat();
        datagram.extend(written(PAYLOAD_FEEDBACK, FULL_INTRA, &body));
        datagram.extend(written(GOODBYE, 1, &THEIRS.to_be_bytes()));
        let heard = said(&datagram);
        let Said::Reception { by: THEIRS, reception } = heard[0] else { panic!("{heard:?}") };
        assert_eq!((reception.lost, heard.len()), (64, 4));
        assert_eq!(heard[1..3], [Said::KeyFrame { by: THEIRS }; 2]);
        assert_eq!(heard[3], Said::Goodbye { by: THEIRS });
        // The report left at second 1 of the era, was kept for half of one, and is heard of at second 2.
        let era = Duration::from_secs((1 << 32) - EPOCHS_APART);
        let trip = |seconds| reception.round_trip(era + Duration::from_secs(seconds));
        assert_eq!(trip(2), Some(Duration::from_millis(500)));
        assert_eq!(trip(1), None);
    }

    #[test]
    fn padding_is_passed_over() {
        let mut datagram =
            written(GOODBYE, 1, &[&THEIRS.to_be_bytes()[..], &[0, 0, 0, 4]].concat());
        datagram[0] |= 0x20;
        assert_eq!(said(&datagram), [Said::Goodbye { by: THEIRS }]);
        *datagram.last_mut().unwrap() = 0;
        assert_eq!(parse(&datagram, OURS).err(), Some(ParseError::Padding));
    }

    #[test]
    fn what_does_not_hold_together_says_nothing() {
        let goodbye = written(GOODBYE, 1, &THEIRS.to_be_bytes());
        for (bad, why) in [
            (vec![0x80], ParseError::Short),
            (written(RECEIVER_REPORT, 1, &THEIRS.to_be_bytes()), ParseError::Short),
            (written(SENDER_REPORT, 0, &THEIRS.to_be_bytes()), ParseError::Short),
            (written(PAYLOAD_FEEDBACK, PICTURE_LOSS, &THEIRS.to_be_bytes()), ParseError::Short),
            (written(GOODBYE, 2, &THEIRS.to_be_bytes()), ParseError::Short),
            (vec![0x80, 203, 0, 1], ParseError::Short),
            (vec![0x40, 203, 0, 0], ParseError::Version(1)),
        ] {
            let datagram = [goodbye.clone(), bad].concat();
            assert_eq!(parse(&datagram, OURS).err(), Some(why));
        }
        assert_eq!(said(&[]), []);
    }
}
