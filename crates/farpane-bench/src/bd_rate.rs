//! By how much one encoder needs more or less bitrate than another for the same quality, on average.
//!
//! The Bjontegaard delta (ITU-T VCEG-M33) over curves that are interpolated piecewise by monotone cubics (Fritsch and
//! Carlson 1980, with the slopes of Fritsch and Butland 1984), as JCT-VC's and AOM's test conditions do: one cubic through
//! all points, as in M33 itself, swings between them.

/// A point of a curve: bits a second, and quality that grows with them, in dB.
pub type Point = (f64, f64);

/// The mean difference in bitrate, in percent, of `test` to `anchor` where their qualities overlap: negative when `test`
/// needs less. `None` with fewer than two points of different quality, or where the curves do not overlap.
pub fn bd_rate(anchor: &[Point], test: &[Point]) -> Option<f64> {
    let (anchor, test) = (Curve::new(anchor)?, Curve::new(test)?);
    let low = anchor.first().max(test.first());
    let high = anchor.last().min(test.last());
    if high - low < 1e-9 {
        return None;
    }
    let difference = (test.integral(low, high) - anchor.integral(low, high)) / (high - low);
    Some((difference.exp() - 1.0) * 100.0)
}

/// The logarithm of the bitrate over quality.
struct Curve {
    /// Quality, logarithm, slope.
    knots: Vec<[f64; 3]>,
}

impl Curve {
    fn new(points: &[Point]) -> Option<Curve> {
        let mut points: Vec<Point> = points
            .iter()
            .filter(|(rate, quality)| *rate > 0.0 && quality.is_finite())
            .map(|(rate, quality)| (*quality, rate.ln()))
            .collect();
        points.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
        // Of points of one quality, the cheapest.
        points.dedup_by(|b, a| b.0 - a.0 < 1e-9);
        if points.len() < 2 {
            return None;
        }
        let secants: Vec<(f64, f64)> = points
            .windows(2)
            .map(|pair| {
                let width = pair[1].0 - pair[0].0;
                (width, (pair[1].1 - pair[0].1) / width)
            })
            .collect();
        let last = secants.len() - 1;
        let slope = |at: usize| match at {
            _ if last == 0 => secants[0].1,
            0 => end_slope(secants[0], secants[1]),
            at if at > last => end_slope(secants[last], secants[last - 1]),
            at => {
                let ((w0, s0), (w1, s1)) = (secants[at - 1], secants[at]);
                if s0 * s1 <= 0.0 {
                    return 0.0;
                }
                let (a, b) = (2.0 * w1 + w0, w1 + 2.0 * w0);
                (a + b) / (a / s0 + b / s1)
            }
        };
        let knots = points.iter().enumerate().map(|(at, (x, y))| [*x, *y, slope(at)]);
        Some(Curve { knots: knots.collect() })
    }

    fn first(&self) -> f64 {
        self.knots[0][0]
    }

    fn last(&self) -> f64 {
        self.knots[self.knots.len() - 1][0]
    }

    /// From `low` to `high`, which lie within the curve.
    fn integral(&self, low: f64, high: f64) -> f64 {
        self.knots
            .windows(2)
            .map(|pair| {
                let ([x0, y0, m0], [x1, y1, m1]) = (pair[0], pair[1]);
                let width = x1 - x0;
                let (from, to) = (low.clamp(x0, x1) - x0, high.clamp(x0, x1) - x0);
                let secant = (y1 - y0) / width;
                let (c, d) = (
                    (3.0 * secant - 2.0 * m0 - m1) / width,
                    (m0 + m1 - 2.0 * secant) / (width * width),
                );
                let primitive = |t: f64| t * (y0 + t * (m0 / 2.0 + t * (c / 3.0 + t * d / 4.0)));
                primitive(to) - primitive(from)
            })
            .sum()
    }
}

/// At an end, from the nearest and the next secant: three points' parabola, kept monotone.
fn end_slope((w0, s0): (f64, f64), (w1, s1): (f64, f64)) -> f64 {
    let slope = ((2.0 * w0 + w1) * s0 - w0 * s1) / (w0 + w1);
    if slope * s0 <= 0.0 {
        0.0
    } else if s0 * s1 <= 0.0 && slope.abs() > 3.0 * s0.abs() {
        3.0 * s0
    } else {
        slope
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(anchor: &[Point], test: &[Point], expected: f64) {
        let got = bd_rate(anchor, test).expect("they overlap");
        assert!((got - expected).abs() < 0.01, "{got:.3} for {expected}");
    }

    const CURVE: [Point; 4] = [(1e6, 32.0), (2e6, 35.5), (4e6, 38.2), (8e6, 40.1)];

    #[test]
    fn a_factor_of_bitrate_comes_out_as_it_is() {
        check(&CURVE, &CURVE, 0.0);
        check(&CURVE, &CURVE.map(|(rate, quality)| (rate * 0.7, quality)), -30.0);
        check(&CURVE, &CURVE.map(|(rate, quality)| (rate * 1.25, quality)), 25.0);
    }

    /// On lines of 6 dB a doubling, 3 dB are a factor of the square root of two, whatever part overlaps.
    #[test]
    fn a_shift_of_quality_on_lines_is_its_factor() {
        let line: Vec<Point> =
            (0..4).map(|at| (1e6 * 2f64.powi(at), 30.0 + 6.0 * f64::from(at))).collect();
        let better: Vec<Point> =
            line.iter().map(|(rate, quality)| (*rate, quality + 3.0)).collect();
        check(&line, &better, (0.5f64.sqrt() - 1.0) * 100.0);
        check(&line[..2], &better[..2], (0.5f64.sqrt() - 1.0) * 100.0);
    }

    /// The four points that go with VCEG-M33's spreadsheet, by SciPy's `PchipInterpolator`.
    #[test]
    fn the_known_example() {
        let anchor = [(686.76, 40.28), (309.58, 37.18), (157.11, 34.24), (85.95, 31.42)];
        let test = [(893.34, 40.39), (407.8, 37.21), (204.93, 34.17), (112.75, 31.24)];
        check(&anchor, &test, 31.379_88);
    }

    #[test]
    fn what_does_not_overlap_has_no_answer() {
        assert_eq!(bd_rate(&CURVE, &CURVE[..1]), None);
        assert_eq!(bd_rate(&CURVE, &CURVE.map(|(rate, quality)| (rate, quality + 20.0))), None);
        assert_eq!(bd_rate(&CURVE, &[(1e6, f64::INFINITY), (2e6, f64::INFINITY)]), None);
    }
}
