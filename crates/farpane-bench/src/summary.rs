//! A run in a handful of figures.

use std::time::Duration;

use farpane_media::Bitrate;

use crate::coded::Coded;
use crate::metrics::psnr;
use crate::view::Seen;

/// Ticks after a change that still count as its time: what an encoder makes of a page within a quarter of a second
/// matters as much as its first picture, and the rest that follows would only dilute it.
const BUSY: Duration = Duration::from_millis(250);

/// How values are spread, in their own unit.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Spread {
    pub p50: f64,
    pub p95: f64,
    pub p99: f64,
    pub max: f64,
}

impl Spread {
    /// Nearest ranks; zeros for no values.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Spread {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let rank = |part: f64| {
            let at = (part * values.len() as f64).ceil() as usize;
            values.get(at.max(1) - 1).copied().unwrap_or_default()
        };
        Spread { p50: rank(0.5), p95: rank(0.95), p99: rank(0.99), max: rank(1.0) }
    }
}

/// What a key frame costs.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct KeyFrames {
    pub count: usize,
    /// Of the first, which every stream starts with.
    pub bytes: usize,
    pub encode_ms: f64,
}

/// Qualities are of the time in which something changes and 250 ms after, in dB of the mean squared error.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    pub pictures: usize,
    /// Pictures that changed and had to wait.
    pub held: u32,
    /// What was sent, over the whole time.
    pub rate: Bitrate,
    /// Milliseconds a picture, key frames apart.
    pub encode_ms: Spread,
    /// Mean milliseconds of all threads together for a picture of the material, key frames apart: what is coded between
    /// two pictures counts, too.
    pub cpu_ms: f64,
    pub key_frames: KeyFrames,
    /// Bytes a picture, key frames apart.
    pub bytes: Spread,
    /// Milliseconds from capture to the last byte's arrival over a link of the target bitrate, coding not counted.
    pub link_ms: Spread,
    pub luma: f64,
    pub chroma: f64,
    pub rgb: f64,
    /// 0 to 1.
    pub ssim: f64,
    /// Mean over the pictures looked at, 100 for equal.
    pub ssimulacra2: f64,
    /// At the end of the last rest, or of the run; `rest_rgb` may be infinite as all decibels may.
    pub rest_luma: f64,
    pub rest_rgb: f64,
    /// Changes that came to rest.
    pub changes: usize,
    /// The median change's milliseconds until 45 and 48 dB; `None` if it never is as sharp.
    pub sharp_ms: [Option<f64>; 2],
}

pub(crate) fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

impl Summary {
    pub(crate) fn of(coded: &Coded, seen: &Seen, span: Duration) -> Summary {
        let deltas = || coded.pictures.iter().filter(|picture| !picture.key_frame);
        let keys: Vec<_> = coded.pictures.iter().filter(|picture| picture.key_frame).collect();
        let mut last_change = None;
        let busy: Vec<_> = seen
            .looks
            .iter()
            .filter(|look| {
                last_change = if look.changed { Some(look.time) } else { last_change };
                last_change.is_some_and(|at| look.time.since(at) < BUSY)
            })
            .collect();
        let mean = |value: fn(&crate::metrics::Quality) -> f64| {
            busy.iter().map(|look| value(&look.quality)).sum::<f64>() / busy.len().max(1) as f64
        };
        // The last tick before a change, the first one's apart, or the last of all.
        let rest = seen
            .looks
            .windows(2)
            .rev()
            .find(|pair| pair[1].changed && !pair[0].changed)
            .map(|pair| &pair[0])
            .filter(|_| seen.looks.last().is_some_and(|look| look.changed))
            .or(seen.looks.last())
            .map(|look| look.quality)
            .unwrap_or_default();
        let sharp = |at: usize| {
            let mut times: Vec<_> = seen.changes.iter().map(|change| change.sharp[at]).collect();
            times.sort_by_key(|time| time.unwrap_or(Duration::MAX));
            times.get(times.len().saturating_sub(1) / 2).copied().flatten().map(millis)
        };
        let looks = seen.ssimulacra2.len().max(1) as f64;
        let ticks = seen.looks.len().max(1) as f64;
        Summary {
            pictures: coded.pictures.len(),
            held: coded.held,
            rate: Bitrate::of(coded.stream.len() as u64, span),
            encode_ms: Spread::of(deltas().map(|picture| millis(picture.cost.wall))),
            cpu_ms: deltas().map(|picture| millis(picture.cost.cpu)).sum::<f64>() / ticks,
            key_frames: KeyFrames {
                count: keys.len(),
                bytes: keys.first().map_or(0, |key| key.bytes.len()),
                encode_ms: keys.first().map_or(0.0, |key| millis(key.cost.wall)),
            },
            bytes: Spread::of(deltas().map(|picture| picture.bytes.len() as f64)),
            link_ms: Spread::of(coded.pictures.iter().map(|p| millis(p.arrived.since(p.captured)))),
            luma: psnr(mean(|quality| quality.luma)),
            chroma: psnr(mean(|quality| quality.chroma)),
            rgb: psnr(mean(|quality| quality.rgb)),
            ssim: mean(|quality| quality.ssim),
            ssimulacra2: seen.ssimulacra2.iter().sum::<f64>() / looks,
            rest_luma: psnr(rest.luma),
            rest_rgb: psnr(rest.rgb),
            changes: seen.changes.len(),
            sharp_ms: [sharp(0), sharp(1)],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_the_nearest() {
        let spread = Spread::of((1..=100).map(f64::from));
        assert_eq!((spread.p50, spread.p95, spread.p99, spread.max), (50.0, 95.0, 99.0, 100.0));
        let one = Spread::of([7.0]);
        assert_eq!((one.p50, one.max), (7.0, 7.0));
        assert_eq!(Spread::of([]), Spread::default());
    }
}
