//! A report as one page to look at, which loads nothing: what was measured where, who needs how much bitrate for the same
//! quality, then scene by scene curves, time lines and figures.

use std::fmt::Write;

use farpane_media::{Bitrate, Time};

use super::svg::{Axis, Bar, Chart, Line, bars, escaped};
use super::{Context, decibels, sharp};
use crate::metrics::psnr;
use crate::run::{Cell, Report, Shown};
use crate::summary::millis;

const PLAIN: Axis<'_> =
    Axis { label: "", logarithmic: false, from_zero: false, most: f64::INFINITY };
/// Decibels above this look alike.
const TOP_DB: f64 = 60.0;

/// An encoder at a chroma format and a number of threads: a line of a chart.
#[derive(Clone, PartialEq)]
struct Series {
    name: String,
    colour: usize,
}

struct Page<'a> {
    report: &'a Report,
    series: Vec<Series>,
}

/// The whole page.
pub fn write(report: &Report, context: &Context) -> String {
    let page = Page::new(report);
    let mut html =
        String::from("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">");
    let _ = write!(
        html,
        "<meta name=\"viewport\" content=\"width=device-width\"><title>Farpane codec benchmark, {}</title>\
         <style>{}</style></head><body><main>",
        escaped(&context.date),
        include_str!("page.css")
    );
    page.head(&mut html, context);
    page.glance(&mut html);
    for shown in &report.material {
        page.scene(&mut html, shown);
    }
    page.foot(&mut html);
    let _ = write!(
        html,
        "</main><div id=\"tip\"></div><script>{}</script></body></html>",
        include_str!("page.js")
    );
    html
}

fn seconds(time: Time) -> f64 {
    // Material starts a millisecond after zero.
    time.as_nanos() as f64 / 1e9 - 0.001
}

impl Page<'_> {
    fn new(report: &Report) -> Page<'_> {
        let differs = |differs: fn(&Cell, &Cell) -> bool| {
            report.cells.first().is_some_and(|first| report.cells.iter().any(|c| differs(first, c)))
        };
        let (chroma, threads) =
            (differs(|a, b| a.chroma != b.chroma), differs(|a, b| a.threads != b.threads));
        let mut page = Page { report, series: Vec::new() };
        for cell in &report.cells {
            let name = Page::name(cell, chroma, threads);
            if page.series.iter().all(|series| series.name != name) {
                let colour = page.series.len();
                page.series.push(Series { name, colour });
            }
        }
        page
    }

    fn name(cell: &Cell, chroma: bool, threads: bool) -> String {
        let mut name = cell.coder.to_owned();
        if chroma {
            let _ = write!(name, " {}", cell.chroma);
        }
        if threads {
            let _ = write!(name, " {}t", cell.threads);
        }
        name
    }

    /// The series of a cell: its name is made of what the series' names are made of.
    fn series_of(&self, cell: &Cell) -> &Series {
        let names = [(false, false), (true, false), (false, true), (true, true)]
            .map(|(c, t)| Page::name(cell, c, t));
        self.series.iter().find(|series| names.contains(&series.name)).expect("made of all cells")
    }

    fn cells<'b>(&'b self, shown: &'b Shown) -> impl Iterator<Item = &'b Cell> {
        self.report.cells.iter().filter(|cell| cell.material == shown.name)
    }

    fn head(&self, html: &mut String, context: &Context) {
        html.push_str(
            "<h1>Codecs on desktops</h1><p class=\"dim\">What encoders cost, send and show on ",
        );
        let _ = write!(
            html,
            "{} kinds of material, measured by Farpane.</p><dl>",
            self.report.material.len()
        );
        let mut facts = vec![
            ("Machine", context.machine.clone()),
            ("Date", context.date.clone()),
            ("Commit", context.commit.clone()),
        ];
        facts.extend(context.ffmpeg.clone().map(|version| ("Peers", version)));
        for (name, value) in facts {
            let _ = write!(html, "<dt>{name}</dt><dd>{}</dd>", escaped(&value));
        }
        let _ = write!(
            html,
            "</dl><pre><code>{}</code></pre><div class=\"key\">",
            escaped(&context.command)
        );
        for series in &self.series {
            let _ = write!(
                html,
                "<span style=\"--c:var(--c{})\">{}</span>",
                series.colour % 6,
                escaped(&series.name)
            );
        }
        html.push_str("</div><nav>");
        for shown in &self.report.material {
            let name = escaped(&shown.name);
            let _ = write!(html, "<a href=\"#{name}\">{name}</a>");
        }
        html.push_str("</nav>");
    }

    /// One table of what matters most: bitrate for the same quality, and costs, beside the first encoder.
    fn glance(&self, html: &mut String) {
        if self.report.deltas.is_empty() {
            return;
        }
        let anchor = self.report.deltas[0].anchor;
        let _ = write!(
            html,
            "<h2>At a glance, beside {anchor}</h2><p>Bitrate for the same quality (BD-rate; less is better) and CPU time a \
             picture at the highest bitrate (less is better). A dash says that qualities do not overlap.</p>\
             <div class=\"scroll\"><table><thead><tr><th>scene<th class=\"c\">encoder<th>bitrate, luma<th>bitrate, RGB<th>CPU<th>key \
             frame ms<th>key frame kB<th>&ge; 45 dB ms</tr></thead><tbody>"
        );
        for delta in &self.report.deltas {
            let best = |coder: &str| {
                self.report
                    .cells
                    .iter()
                    .filter(|cell| cell.material == delta.material && cell.coder == coder)
                    .filter(|cell| cell.chroma == delta.chroma && cell.threads == delta.threads)
                    .max_by_key(|cell| cell.bitrate)
            };
            let (Some(own), Some(other)) = (best(anchor), best(delta.coder)) else { continue };
            let series = self.series_of(other);
            let percent = |value: Option<f64>| match value {
                None => "<td>-".to_owned(),
                Some(value) => format!(
                    "<td class=\"{}\" data-value=\"{value:.2}\">{value:+.0} %",
                    if value <= 0.0 { "better" } else { "worse" }
                ),
            };
            let factor = other.summary.cpu_ms / own.summary.cpu_ms.max(1e-6);
            let (ours, theirs) = (&own.summary, &other.summary);
            let _ = write!(
                html,
                "<tr><td>{}<td class=\"c\" style=\"--c:var(--c{})\">{}{}{}<td class=\"{}\" \
                 data-value=\"{factor:.3}\">{factor:.2}x<td>{:.1} / {:.1}<td>{:.0} / {:.0}<td>{} / {}</tr>",
                escaped(&delta.material),
                series.colour % 6,
                escaped(&series.name),
                percent(delta.luma),
                percent(delta.rgb),
                if factor <= 1.0 { "better" } else { "worse" },
                theirs.key_frames.encode_ms,
                ours.key_frames.encode_ms,
                theirs.key_frames.bytes as f64 / 1e3,
                ours.key_frames.bytes as f64 / 1e3,
                sharp(theirs.sharp_ms[0], theirs.changes),
                sharp(ours.sharp_ms[0], ours.changes),
            );
        }
        let _ = write!(
            html,
            "</tbody></table></div><p class=\"note\">Pairs are this encoder / {anchor}.</p>"
        );
    }

    fn scene(&self, html: &mut String, shown: &Shown) {
        if self.cells(shown).next().is_none() {
            return;
        }
        let name = escaped(&shown.name);
        let _ = write!(
            html,
            "<h2 id=\"{name}\">{name}</h2><p class=\"dim\">{}, {} at {} pictures a second</p><div class=\"row\">",
            escaped(&shown.about),
            shown.size,
            format!("{:.3}", shown.fps).trim_end_matches('0').trim_end_matches('.')
        );
        self.curve(html, shown, "Luma over bitrate", |cell| cell.summary.luma);
        self.curve(html, shown, "RGB over bitrate", |cell| cell.summary.rgb);
        self.sharpness(html, shown);
        self.times(html, shown);
        self.viewer(html, shown);
        self.key_frames(html, shown);
        html.push_str("</div>");
        self.table(html, shown);
    }

    fn curve(&self, html: &mut String, shown: &Shown, title: &str, quality: fn(&Cell) -> f64) {
        let lines = self.series.iter().map(|series| {
            let mut cells: Vec<&Cell> =
                self.cells(shown).filter(|cell| self.series_of(cell) == series).collect();
            cells.sort_by_key(|cell| cell.summary.rate);
            Line {
                colour: series.colour,
                points: cells
                    .iter()
                    .map(|cell| (cell.summary.rate.as_bps() as f64 / 1e3, quality(cell)))
                    .collect(),
                tips: cells
                    .iter()
                    .map(|cell| {
                        format!(
                            "{}, {} asked\n{} sent, {} dB",
                            series.name,
                            cell.bitrate,
                            cell.summary.rate,
                            decibels(quality(cell))
                        )
                    })
                    .collect(),
            }
        });
        let chart = Chart {
            width: 360.0,
            height: 230.0,
            x: Axis { label: "kb/s sent", logarithmic: true, ..PLAIN },
            y: Axis { label: "PSNR, dB", most: TOP_DB, ..PLAIN },
            lines: lines.collect(),
            ticks: Vec::new(),
        };
        let _ = write!(html, "<figure><h3>{title}</h3>{}</figure>", chart.draw());
    }

    fn sharpness(&self, html: &mut String, shown: &Shown) {
        let bar = |cell: &Cell| {
            let s = &cell.summary;
            let series = self.series_of(cell);
            Bar {
                colour: series.colour,
                label: series.name.clone(),
                value: s.sharp_ms[0],
                said: format!("{} ms", sharp(s.sharp_ms[0], s.changes))
                    .replace("never ms", "never"),
                tip: format!(
                    "{} changes\n45 dB after {} ms, 48 dB after {} ms",
                    s.changes,
                    sharp(s.sharp_ms[0], s.changes),
                    sharp(s.sharp_ms[1], s.changes)
                ),
            }
        };
        // The table has all bitrates; the middle one tells most.
        let mut bitrates: Vec<Bitrate> = self.cells(shown).map(|cell| cell.bitrate).collect();
        bitrates.sort();
        bitrates.dedup();
        let middle = bitrates.get(bitrates.len() / 2).copied().unwrap_or_default();
        let shown_bars: Vec<Bar> = self
            .cells(shown)
            .filter(|cell| cell.bitrate == middle && cell.summary.changes > 0)
            .map(bar)
            .collect();
        let _ = write!(html, "<figure><h3>Time to sharp, at {middle}</h3>");
        if shown_bars.is_empty() {
            html.push_str("<p class=\"dim\">Nothing rests here, so nothing can settle.</p>");
        } else {
            html.push_str(&bars(360.0, &shown_bars));
            html.push_str(
                "<figcaption>From a change until what changed is at 45 dB, on a link of the target; median.</figcaption>",
            );
        }
        html.push_str("</figure>");
    }

    /// The cells at the highest bitrate: one of each series.
    fn richest<'b>(&'b self, shown: &'b Shown) -> Vec<(&'b Series, &'b Cell)> {
        let best = |series: &'b Series| {
            let cells = self.cells(shown).filter(|cell| self.series_of(cell) == series);
            cells.max_by_key(|cell| cell.bitrate).map(|cell| (series, cell))
        };
        self.series.iter().filter_map(best).collect()
    }

    fn times(&self, html: &mut String, shown: &Shown) {
        let richest = self.richest(shown);
        let times = || {
            let cells = richest.iter().flat_map(|(_, cell)| &cell.pictures);
            cells.filter(|picture| !picture.key_frame).map(|picture| millis(picture.cost.wall))
        };
        // A key frame or a hiccup must not press the rest to the floor.
        let most = crate::summary::Spread::of(times()).p99 * 1.3;
        let lines = richest.iter().map(|(series, cell)| Line {
            colour: series.colour,
            points: cell
                .pictures
                .iter()
                .map(|picture| (seconds(picture.captured), millis(picture.cost.wall)))
                .collect(),
            tips: Vec::new(),
        });
        let chart = Chart {
            width: 1_110.0,
            height: 190.0,
            x: Axis { label: "seconds", ..PLAIN },
            y: Axis { label: "ms to code a picture", from_zero: true, most, ..PLAIN },
            lines: lines.collect(),
            ticks: Vec::new(),
        };
        let bitrate = richest.first().map(|(_, cell)| cell.bitrate).unwrap_or_default();
        let _ = write!(
            html,
            "<figure class=\"wide\"><h3>Time a picture takes, at {bitrate}</h3>{}</figure>",
            chart.draw()
        );
    }

    fn viewer(&self, html: &mut String, shown: &Shown) {
        let richest = self.richest(shown);
        let lines = richest.iter().map(|(series, cell)| Line {
            colour: series.colour,
            points: cell
                .looks
                .iter()
                .map(|look| (seconds(look.time), psnr(look.quality.luma).min(TOP_DB)))
                .collect(),
            tips: Vec::new(),
        });
        let changes = richest.first().map(|(_, cell)| {
            let changed = cell.looks.iter().filter(|look| look.changed);
            changed.map(|look| seconds(look.time)).collect()
        });
        let chart = Chart {
            width: 1_110.0,
            height: 190.0,
            x: Axis { label: "seconds", ..PLAIN },
            y: Axis { label: "luma PSNR, dB", most: TOP_DB, ..PLAIN },
            lines: lines.collect(),
            ticks: changes.unwrap_or_default(),
        };
        let _ = write!(
            html,
            "<figure class=\"wide\"><h3>What the viewer has</h3>{}<figcaption>Ticks at the bottom: something changed. \
             {TOP_DB} dB and more are drawn at the top.</figcaption></figure>",
            chart.draw()
        );
    }

    fn key_frames(&self, html: &mut String, shown: &Shown) {
        let richest = self.richest(shown);
        let bars_of = |value: fn(&Cell) -> f64, unit: &str| {
            let rows: Vec<Bar> = richest
                .iter()
                .map(|(series, cell)| Bar {
                    colour: series.colour,
                    label: series.name.clone(),
                    value: Some(value(cell)),
                    said: format!("{:.1} {unit}", value(cell)),
                    tip: format!("{} key frames", cell.summary.key_frames.count),
                })
                .collect();
            bars(360.0, &rows)
        };
        for (title, chart) in [
            ("First picture, ms to code", bars_of(|cell| cell.summary.key_frames.encode_ms, "ms")),
            ("First picture, kB", bars_of(|cell| cell.summary.key_frames.bytes as f64 / 1e3, "kB")),
            ("CPU a later picture, ms", bars_of(|cell| cell.summary.cpu_ms, "ms")),
        ] {
            let _ = write!(html, "<figure><h3>{title}</h3>{chart}</figure>");
        }
    }

    fn table(&self, html: &mut String, shown: &Shown) {
        html.push_str("<div class=\"scroll\"><table><thead><tr>");
        for head in [
            "encoder",
            "target",
            "sent kb/s",
            "pictures",
            "held",
            "ms p50",
            "p95",
            "p99",
            "max",
            "CPU ms",
            "key ms",
            "key kB",
            "luma dB",
            "chroma",
            "RGB",
            "SSIM",
            "SSIMU2",
            "at rest",
            "&ge; 45 dB ms",
            "&ge; 48",
            "link p95 ms",
        ] {
            let _ = write!(html, "<th>{head}");
        }
        html.push_str("</tr></thead><tbody>");
        for cell in self.cells(shown) {
            let s = &cell.summary;
            let series = self.series_of(cell);
            let _ = write!(
                html,
                "<tr><td class=\"c\" style=\"--c:var(--c{})\" data-tip=\"{}\">{}<td data-value=\"{}\">{}",
                series.colour % 6,
                escaped(&cell.settings),
                escaped(&series.name),
                cell.bitrate.as_bps(),
                cell.bitrate
            );
            for figure in [
                format!("{}", s.rate.as_bps() / 1_000),
                s.pictures.to_string(),
                s.held.to_string(),
                format!("{:.2}", s.encode_ms.p50),
                format!("{:.2}", s.encode_ms.p95),
                format!("{:.2}", s.encode_ms.p99),
                format!("{:.2}", s.encode_ms.max),
                format!("{:.2}", s.cpu_ms),
                format!("{:.1}", s.key_frames.encode_ms),
                format!("{:.0}", s.key_frames.bytes as f64 / 1e3),
                decibels(s.luma),
                decibels(s.chroma),
                decibels(s.rgb),
                format!("{:.4}", s.ssim),
                format!("{:.1}", s.ssimulacra2),
                decibels(s.rest_luma),
                sharp(s.sharp_ms[0], s.changes),
                sharp(s.sharp_ms[1], s.changes),
                format!("{:.0}", s.link_ms.p95),
            ] {
                let _ = write!(html, "<td>{figure}");
            }
            html.push_str("</tr>");
        }
        html.push_str("</tbody></table></div>");
    }

    fn foot(&self, html: &mut String) {
        html.push_str(
            "<h2>How to read this</h2>\
             <p>Encoders run in the material's own time, so bitrates and qualities are the same on every machine; \
             milliseconds are this machine's. Ours are told what changed, hold pictures back while the link is full and \
             sharpen what rests, as they do in a session; the time is that of conversion and coding. Peers get every \
             picture over a pipe, as programs that share screens through ffmpeg feed them, already converted; the time is \
             that of coding.</p>\
             <p>Luma, chroma, RGB and SSIM are means (PSNR: of the squared error) over the time in which something changes \
             and 250 ms after, of each coded picture against its own source; pictures that had to wait are counted as held. \
             The source is compared at 4:4:4, so 4:2:0 pays for the colour it drops. SSIMULACRA2 is that \
             of the changed part of a few pictures. \"At rest\" is the luma at the end of the last rest. The link carries \
             the target bitrate and nothing more; its time counts for \"time to sharp\", coding time does not.</p>",
        );
        let mut settings: Vec<(String, &str)> = Vec::new();
        for cell in &self.report.cells {
            let name = self.series_of(cell).name.clone();
            if settings.iter().all(|(known, _)| *known != name) {
                settings.push((name, &cell.settings));
            }
        }
        html.push_str("<h2>Settings</h2><dl>");
        for (name, text) in settings {
            let _ =
                write!(html, "<dt>{}</dt><dd><code>{}</code></dd>", escaped(&name), escaped(text));
        }
        html.push_str("</dl>");
        if !self.report.left_out.is_empty() {
            html.push_str("<h2>Left out</h2><dl>");
            for left_out in &self.report.left_out {
                let _ = write!(
                    html,
                    "<dt>{}</dt><dd>{}</dd>",
                    escaped(&left_out.what),
                    escaped(&left_out.why)
                );
            }
            html.push_str("</dl>");
        }
    }
}
