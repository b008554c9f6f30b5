//! Bitrates and picture sizes as types, so that no function takes a bare number with a unit in its name.

use std::fmt;
use std::ops::{Div, Mul};
use std::time::Duration;

/// Bits per second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bitrate(u64);

impl Bitrate {
    pub const ZERO: Bitrate = Bitrate(0);

    pub const fn bps(bits: u64) -> Bitrate {
        Bitrate(bits)
    }

    pub const fn kbps(kilobits: u64) -> Bitrate {
        Bitrate(kilobits * 1_000)
    }

    pub const fn mbps(megabits: u64) -> Bitrate {
        Bitrate(megabits * 1_000_000)
    }

    /// The rate of `bytes` in `span`; zero for an empty span.
    pub fn of(bytes: u64, span: Duration) -> Bitrate {
        match span.as_nanos() {
            0 => Bitrate::ZERO,
            nanos => Bitrate((u128::from(bytes) * 8_000_000_000 / nanos) as u64),
        }
    }

    pub const fn as_bps(self) -> u64 {
        self.0
    }

    pub fn as_mbps(self) -> f64 {
        self.0 as f64 / 1e6
    }

    /// Bytes that this rate carries in `span`.
    pub fn bytes_in(self, span: Duration) -> u64 {
        (u128::from(self.0) * span.as_nanos() / 8_000_000_000) as u64
    }

    /// How long this rate takes for `bytes`; very long if it is zero.
    pub fn time_of(self, bytes: u64) -> Duration {
        let nanos = u128::from(bytes) * 8_000_000_000 / u128::from(self.0.max(1));
        Duration::from_nanos(nanos.min(u128::from(u64::MAX)) as u64)
    }
}

impl Mul<f64> for Bitrate {
    type Output = Bitrate;

    fn mul(self, factor: f64) -> Bitrate {
        Bitrate((self.0 as f64 * factor) as u64)
    }
}

impl Div<u64> for Bitrate {
    type Output = Bitrate;

    fn div(self, by: u64) -> Bitrate {
        Bitrate(self.0 / by)
    }
}

impl fmt::Display for Bitrate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0..1_000_000 => write!(f, "{} kb/s", self.0 / 1_000),
            _ => write!(f, "{:.1} Mb/s", self.as_mbps()),
        }
    }
}

/// Width and height of a picture, in pixels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Size {
    pub width: u32,
    pub height: u32,
}

impl Size {
    pub const fn new(width: u32, height: u32) -> Size {
        Size { width, height }
    }

    pub const fn pixels(self) -> u64 {
        self.width as u64 * self.height as u64
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.width, self.height)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rate_and_bytes_are_inverse() {
        let rate = Bitrate::mbps(8);
        let bytes = rate.bytes_in(Duration::from_millis(250));
        assert_eq!(bytes, 250_000);
        assert_eq!(Bitrate::of(bytes, Duration::from_millis(250)), rate);
        assert_eq!(Bitrate::of(1, Duration::ZERO), Bitrate::ZERO);
    }

    #[test]
    fn rates_read_well() {
        assert_eq!(Bitrate::kbps(640).to_string(), "640 kb/s");
        assert_eq!(Bitrate::kbps(2_450).to_string(), "2.5 Mb/s");
    }
}
