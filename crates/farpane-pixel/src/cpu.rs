//! Which vector instructions the kernels may use.

use std::str::FromStr;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

/// A set of vector instructions; the best available one is used unless the process was [limited](Level::limit).
///
/// AVX-512 is left out on measurement: rows are not aligned to cache lines, so that each of its loads takes two, and it
/// was no faster than AVX2 on whole frames and slower on windows that fit the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    Scalar,
    /// aarch64.
    Neon,
    /// x86-64, as the rest.
    Sse41,
    Avx2,
}

/// Not one of the names of a [`Level`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown CPU level {0:?}; write scalar, neon, sse41 or avx2")]
pub struct UnknownLevel(String);

static LIMIT: AtomicU8 = AtomicU8::new(Level::Avx2 as u8);

impl Level {
    pub const ALL: [Level; 4] = [Level::Scalar, Level::Neon, Level::Sse41, Level::Avx2];

    /// Whether this machine has the instructions.
    pub fn is_available(self) -> bool {
        match self {
            Level::Scalar => true,
            #[cfg(target_arch = "aarch64")]
            Level::Neon => true,
            #[cfg(target_arch = "x86_64")]
            Level::Sse41 => is_x86_feature_detected!("sse4.1"),
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => is_x86_feature_detected!("avx2"),
            _ => false,
        }
    }

    /// The best level that this machine has and the process allows.
    pub fn detect() -> Level {
        // Relaxed: a number, nothing is accessed because of it.
        let limit = LIMIT.load(Relaxed);
        let allowed = |level: &Level| *level as u8 <= limit && level.is_available();
        Level::ALL.into_iter().rev().find(allowed).unwrap_or(Level::Scalar)
    }

    /// Forbids this process all above `level` from now on; a second call can only lower it further. For the start of a
    /// program: what has been created keeps its level.
    pub fn limit(level: Level) {
        LIMIT.fetch_min(level as u8, Relaxed);
    }
}

impl FromStr for Level {
    type Err = UnknownLevel;

    fn from_str(name: &str) -> Result<Level, UnknownLevel> {
        match name {
            "scalar" => Ok(Level::Scalar),
            "neon" => Ok(Level::Neon),
            "sse41" => Ok(Level::Sse41),
            "avx2" => Ok(Level::Avx2),
            other => Err(UnknownLevel(other.to_owned())),
        }
    }
}
