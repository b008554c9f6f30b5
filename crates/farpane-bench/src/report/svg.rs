//! Charts as SVG that a page takes in: lines over two axes, and bars. Marks carry what they stand for in `data-tip`.

use std::fmt::Write;

/// Text as it may stand in a page, in attributes too.
pub(super) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// One line of a chart.
pub(super) struct Line {
    /// Which of the page's colours.
    pub colour: usize,
    pub points: Vec<(f64, f64)>,
    /// Of each point; none where points are too many to be marked.
    pub tips: Vec<String>,
}

pub(super) struct Chart<'a> {
    /// Of the drawing, in its own units.
    pub width: f64,
    pub height: f64,
    pub x: Axis<'a>,
    pub y: Axis<'a>,
    pub lines: Vec<Line>,
    /// Places on the x axis that something happened at.
    pub ticks: Vec<f64>,
}

#[derive(Clone, Copy)]
pub(super) struct Axis<'a> {
    pub label: &'a str,
    /// By factors in place of differences.
    pub logarithmic: bool,
    /// The range holds this, whatever the data.
    pub from_zero: bool,
    /// What is above is drawn at the edge.
    pub most: f64,
}

const LEFT: f64 = 42.0;
const RIGHT: f64 = 10.0;
const TOP: f64 = 18.0;
const BOTTOM: f64 = 30.0;

/// Where values are between the ends of an axis, 0 to 1, and which are named.
struct Scale {
    low: f64,
    high: f64,
    logarithmic: bool,
    marks: Vec<f64>,
}

impl Scale {
    fn of(axis: Axis<'_>, values: impl Iterator<Item = f64>) -> Scale {
        let values: Vec<f64> = values.filter(|v| v.is_finite()).map(|v| v.min(axis.most)).collect();
        let mut low = values.iter().copied().fold(f64::INFINITY, f64::min);
        let mut high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        if low > high {
            (low, high) = (0.0, 1.0);
        }
        if axis.from_zero {
            low = low.min(0.0);
        }
        if axis.logarithmic {
            let (low, high) = (low.max(1e-9) / 1.15, high.max(1e-9) * 1.15);
            let decades = || low.log10().floor() as i32..=high.log10().ceil() as i32;
            let marks = |steps: &[f64]| -> Vec<f64> {
                let all =
                    decades().flat_map(|decade| steps.iter().map(move |s| s * 10f64.powi(decade)));
                all.filter(|mark| (low..=high).contains(mark)).collect()
            };
            let coarse = marks(&[1.0, 2.0, 5.0]);
            let marks = if coarse.len() > 2 {
                coarse
            } else {
                marks(&[1.0, 1.25, 1.6, 2.0, 2.5, 3.2, 4.0, 5.0, 6.3, 8.0])
            };
            return Scale { low, high, logarithmic: true, marks };
        }
        if high - low < 1e-6 {
            high = low + 1.0;
        }
        // About five marks, a round distance apart.
        let raw = (high - low) / 5.0;
        let unit = 10f64.powf(raw.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].map(|n| n * unit).into_iter().find(|s| *s >= raw);
        let step = step.unwrap_or(raw);
        let (low, high) = ((low / step).floor() * step, (high / step).ceil() * step);
        let count = ((high - low) / step).round() as u32;
        let marks = (0..=count).map(|at| low + f64::from(at) * step).collect();
        Scale { low, high, logarithmic: false, marks }
    }

    fn place(&self, value: f64) -> f64 {
        let value = value.clamp(self.low, self.high);
        if self.logarithmic {
            (value / self.low).ln() / (self.high / self.low).ln()
        } else {
            (value - self.low) / (self.high - self.low)
        }
    }
}

fn number(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        magnitude if magnitude >= 10.0 || value.fract().abs() < 1e-6 => format!("{value:.0}"),
        magnitude if magnitude >= 0.1 => {
            let text = format!("{value:.2}");
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        }
        _ => format!("{value:.3}"),
    }
}

impl Chart<'_> {
    pub fn draw(&self) -> String {
        let points = || self.lines.iter().flat_map(|line| line.points.iter());
        let across = Scale::of(self.x, points().map(|point| point.0));
        let up = Scale::of(self.y, points().map(|point| point.1));
        let (w, h) = (self.width - LEFT - RIGHT, self.height - TOP - BOTTOM);
        let x = |value: f64| LEFT + across.place(value) * w;
        // Infinitely good is at the top.
        let y = |value: f64| TOP + h - up.place(value) * h;
        let mut svg = format!(
            r#"<svg viewBox="0 0 {} {}" role="img" aria-label="{} over {}">"#,
            self.width,
            self.height,
            escaped(self.y.label),
            escaped(self.x.label)
        );
        for mark in &up.marks {
            let at = y(*mark);
            let _ = write!(
                svg,
                r#"<line class="axis" x1="{LEFT}" x2="{:.1}" y1="{at:.1}" y2="{at:.1}"/><text x="{:.1}" y="{:.1}" text-anchor="end">{}</text>"#,
                LEFT + w,
                LEFT - 6.0,
                at + 4.0,
                number(*mark)
            );
        }
        for mark in &across.marks {
            let _ = write!(
                svg,
                r#"<text x="{:.1}" y="{:.1}" text-anchor="middle">{}</text>"#,
                x(*mark),
                TOP + h + 14.0,
                number(*mark)
            );
        }
        let _ = write!(
            svg,
            r#"<text x="{:.1}" y="{:.1}" text-anchor="end">{}</text><text x="2" y="9">{}</text>"#,
            LEFT + w,
            self.height - 2.0,
            escaped(self.x.label),
            escaped(self.y.label)
        );
        for tick in &self.ticks {
            let at = x(*tick);
            let (from, to) = (TOP + h, TOP + h - 4.0);
            let _ = write!(
                svg,
                r#"<line class="axis" x1="{at:.1}" x2="{at:.1}" y1="{from}" y2="{to}"/>"#
            );
        }
        for line in &self.lines {
            let colour = line.colour % 6;
            let dense = if line.tips.is_empty() { " thin" } else { "" };
            let path: Vec<String> =
                line.points.iter().map(|(a, b)| format!("{:.1},{:.1}", x(*a), y(*b))).collect();
            let _ = write!(
                svg,
                r#"<polyline class="curve{dense}" style="--c:var(--c{colour})" points="{}"/>"#,
                path.join(" ")
            );
            for ((a, b), tip) in line.points.iter().zip(&line.tips) {
                let _ = write!(
                    svg,
                    r#"<circle class="dot" style="--c:var(--c{colour})" cx="{:.1}" cy="{:.1}" r="4" data-tip="{}"/>"#,
                    x(*a),
                    y(*b),
                    escaped(tip)
                );
            }
        }
        svg.push_str("</svg>");
        svg
    }
}

/// A bar of a group.
pub(super) struct Bar {
    pub colour: usize,
    pub label: String,
    /// How far it reaches; `None` never ends.
    pub value: Option<f64>,
    pub said: String,
    pub tip: String,
}

/// Bars from the left, one below the other, all on one scale.
pub(super) fn bars(width: f64, bars: &[Bar]) -> String {
    const ROW: f64 = 21.0;
    const NAMES: f64 = 108.0;
    let most = bars.iter().filter_map(|bar| bar.value).fold(1e-9, f64::max);
    let height = ROW * bars.len() as f64 + 2.0;
    let room = width - NAMES - 58.0;
    let mut svg = format!(r#"<svg viewBox="0 0 {width} {height}" role="img">"#);
    for (at, bar) in bars.iter().enumerate() {
        let top = at as f64 * ROW;
        let (length, faint) = match bar.value {
            Some(value) => ((value / most * room).max(2.0), ""),
            None => (room, " faint"),
        };
        let _ = write!(
            svg,
            r#"<g data-tip="{}"><text x="0" y="{:.1}">{}</text><rect class="bar{faint}" style="--c:var(--c{})" x="{NAMES}" y="{:.1}" width="{length:.1}" height="12" rx="2"/><text class="on" x="{:.1}" y="{:.1}">{}</text></g>"#,
            escaped(&bar.tip),
            top + 13.0,
            escaped(&bar.label),
            bar.colour % 6,
            top + 3.0,
            NAMES + length + 6.0,
            top + 13.0,
            escaped(&bar.said)
        );
    }
    svg.push_str("</svg>");
    svg
}

#[cfg(test)]
mod tests {
    use super::*;

    const AXIS: Axis<'_> =
        Axis { label: "", logarithmic: false, from_zero: false, most: f64::INFINITY };

    #[test]
    fn marks_are_round_and_hold_the_data() {
        let scale = Scale::of(AXIS, [31.2, 44.9, f64::INFINITY].into_iter());
        assert_eq!(scale.marks, [30.0, 35.0, 40.0, 45.0]);
        assert_eq!([30.0, 45.0, f64::INFINITY].map(|value| scale.place(value)), [0.0, 1.0, 1.0]);
        let factors = Scale::of(Axis { logarithmic: true, ..AXIS }, [500.0, 8_000.0].into_iter());
        assert_eq!(factors.marks, [500.0, 1_000.0, 2_000.0, 5_000.0]);
        let narrow = Scale::of(Axis { logarithmic: true, ..AXIS }, [1_400.0, 1_700.0].into_iter());
        assert_eq!(narrow.marks, [1_250.0, 1_600.0]);
        assert!(Scale::of(AXIS, std::iter::empty()).place(0.5) == 0.5);
    }

    #[test]
    fn names_cannot_break_the_page() {
        assert_eq!(escaped("<a href=\"x\">&"), "&lt;a href=&quot;x&quot;&gt;&amp;");
    }
}
