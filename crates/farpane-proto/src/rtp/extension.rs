//! The header extensions that Farpane sends and reads, as values.

use std::time::Duration;

/// From the epoch of NTP, 1900, to that of Unix, 1970, in seconds (RFC 5905, figure 4).
const NTP_TO_UNIX: u64 = 2_208_988_800;

/// The longest encoding of any extension here, in bytes.
pub const MAX_LEN: usize = 16;

/// A header extension with a fixed meaning, known in SDP by its URI (`a=extmap`).
pub trait Extension: Sized {
    const URI: &'static str;

    /// Writes the value to the start of `out` and returns what was written.
    fn encode<'a>(&self, out: &'a mut [u8; MAX_LEN]) -> &'a [u8];

    /// `None` when `data` has the wrong length.
    fn decode(data: &[u8]) -> Option<Self>;
}

fn put<'a>(out: &'a mut [u8; MAX_LEN], bytes: &[u8]) -> &'a [u8] {
    out[..bytes.len()].copy_from_slice(bytes);
    &out[..bytes.len()]
}

/// A number that counts packets over all streams of a transport, for congestion feedback
/// (draft-holmer-rmcat-transport-wide-cc-extensions-01, section 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransportCc(pub u16);

impl Extension for TransportCc {
    const URI: &'static str =
        "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01";

    fn encode<'a>(&self, out: &'a mut [u8; MAX_LEN]) -> &'a [u8] {
        put(out, &self.0.to_be_bytes())
    }

    fn decode(data: &[u8]) -> Option<TransportCc> {
        Some(TransportCc(u16::from_be_bytes(data.try_into().ok()?)))
    }
}

/// When the packet left: seconds modulo 64 as 6.18 bit fixed point
/// (<http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time>).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AbsSendTime(u32);

impl AbsSendTime {
    const BITS: u32 = 24;
    const FRACTION: u32 = 18;

    /// Of a moment given as time since any epoch; all senders of a session may use their own.
    pub fn of(since_epoch: Duration) -> AbsSendTime {
        let fixed = (since_epoch.as_nanos() << Self::FRACTION) / 1_000_000_000;
        AbsSendTime((fixed & ((1 << Self::BITS) - 1)) as u32)
    }

    /// The time from `earlier` to this, modulo 64 s.
    pub fn since(self, earlier: AbsSendTime) -> Duration {
        let ticks = self.0.wrapping_sub(earlier.0) & ((1 << Self::BITS) - 1);
        Duration::from_nanos((u64::from(ticks) * 1_000_000_000) >> Self::FRACTION)
    }
}

impl Extension for AbsSendTime {
    const URI: &'static str = "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time";

    fn encode<'a>(&self, out: &'a mut [u8; MAX_LEN]) -> &'a [u8] {
        put(out, &self.0.to_be_bytes()[1..])
    }

    fn decode(data: &[u8]) -> Option<AbsSendTime> {
        let [a, b, c]: [u8; 3] = data.try_into().ok()?;
        Some(AbsSendTime(u32::from_be_bytes([0, a, b, c])))
    }
}

/// How long the receiver may hold a frame back to smooth its playout; both zero means show it at once
/// (<http://www.webrtc.org/experiments/rtp-hdrext/playout-delay>).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlayoutDelay {
    min: u16,
    max: u16,
}

impl PlayoutDelay {
    pub const NONE: PlayoutDelay = PlayoutDelay { min: 0, max: 0 };
    const UNIT: Duration = Duration::from_millis(10);
    const LARGEST: u16 = 0xfff;

    /// Rounded down to 10 ms and cut to 40.95 s; `max` is raised to `min`.
    pub fn new(min: Duration, max: Duration) -> PlayoutDelay {
        let units = |delay: Duration| {
            let units = delay.as_nanos() / Self::UNIT.as_nanos();
            units.min(u128::from(Self::LARGEST)) as u16
        };
        PlayoutDelay { min: units(min), max: units(max.max(min)) }
    }

    pub fn min(self) -> Duration {
        Self::UNIT * u32::from(self.min)
    }

    pub fn max(self) -> Duration {
        Self::UNIT * u32::from(self.max)
    }
}

impl Extension for PlayoutDelay {
    const URI: &'static str = "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay";

    fn encode<'a>(&self, out: &'a mut [u8; MAX_LEN]) -> &'a [u8] {
        let bits = u32::from(self.min) << 12 | u32::from(self.max);
        put(out, &bits.to_be_bytes()[1..])
    }

    /// `None` also when the minimum is over the maximum.
    fn decode(data: &[u8]) -> Option<PlayoutDelay> {
        let [a, b, c]: [u8; 3] = data.try_into().ok()?;
        let delay = PlayoutDelay {
            min: u16::from(a) << 4 | u16::from(b) >> 4,
            max: u16::from(b & 0x0f) << 8 | u16::from(c),
        };
        (delay.min <= delay.max).then_some(delay)
    }
}

/// When the frame was captured by the sender's wall clock
/// (<http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time>).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AbsCaptureTime {
    /// 32.32 bit fixed point seconds since 1900.
    ntp: u64,
    /// 32.32 bit fixed point seconds.
    offset: Option<i64>,
}

impl AbsCaptureTime {
    /// Of a moment since the Unix epoch by the clock of the system that both captures and sends.
    pub fn of(unix: Duration) -> AbsCaptureTime {
        let seconds = unix.as_secs().wrapping_add(NTP_TO_UNIX) as u32;
        let fraction = ((u64::from(unix.subsec_nanos()) << 32) / 1_000_000_000) as u32;
        AbsCaptureTime { ntp: u64::from(seconds) << 32 | u64::from(fraction), offset: None }
    }

    /// With the estimated offset, in 2^-32 s, of the capturing system's clock from the sending one's.
    pub fn with_offset(self, offset: i64) -> AbsCaptureTime {
        AbsCaptureTime { offset: Some(offset), ..self }
    }

    /// Time since the Unix epoch, to the nanosecond below; `None` before 1970 (the era that ends in 2036 is meant).
    pub fn unix(self) -> Option<Duration> {
        let seconds = (self.ntp >> 32).checked_sub(NTP_TO_UNIX)?;
        Some(Duration::new(seconds, (((self.ntp & 0xffff_ffff) * 1_000_000_000) >> 32) as u32))
    }

    pub fn offset(self) -> Option<i64> {
        self.offset
    }
}

impl Extension for AbsCaptureTime {
    const URI: &'static str = "http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time";

    fn encode<'a>(&self, out: &'a mut [u8; MAX_LEN]) -> &'a [u8] {
        out[..8].copy_from_slice(&self.ntp.to_be_bytes());
        match self.offset {
            None => &out[..8],
            Some(offset) => {
                out[8..].copy_from_slice(&offset.to_be_bytes());
                out
            }
        }
    }

    fn decode(data: &[u8]) -> Option<AbsCaptureTime> {
        let (ntp, offset) = data.split_first_chunk()?;
        let offset = match offset {
            [] => None,
            _ => Some(i64::from_be_bytes(offset.try_into().ok()?)),
        };
        Some(AbsCaptureTime { ntp: u64::from_be_bytes(*ntp), offset })
    }
}
