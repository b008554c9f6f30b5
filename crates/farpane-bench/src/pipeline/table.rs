//! A report as text, for a terminal: the waterfall, what was sent, what the processor did.

use std::fmt::Write;

use super::{Frame, Report, STAGES, Times};
use crate::report::Context;
use crate::summary::{Spread, millis};

/// Characters of a waterfall, each of which has two halves.
const WIDTH: usize = 36;

const LEGEND: &str = "\
of frames that show a change, key frames apart. wait: for the encoder, or until the link takes more. link: until it has
carried the frame. capture: of drawn scenes, with the drawing.

";

/// The whole report.
pub fn write(report: &Report, context: &Context) -> String {
    let plan = &report.plan;
    let mut text = format!("{}\ncommit {}, {}\n\n", context.machine, context.commit, context.date);
    let _ = writeln!(
        text,
        "{}: {}, {} at {}, {} encoder thread{}, {:.1} s\n",
        plan.source,
        report.size(),
        plan.format,
        plan.bitrate,
        plan.threads,
        if plan.threads == 1 { "" } else { "s" },
        report.span.as_secs_f64()
    );
    waterfall(&mut text, report);
    sent(&mut text, report);
    cores(&mut text, report);
    for note in &report.notes {
        let _ = writeln!(text, "\nNote: {note}");
    }
    text
}

fn waterfall(text: &mut String, report: &Report) {
    if report.changes().next().is_none() {
        text.push_str("nothing changed after the first picture\n\n");
        return;
    }
    let _ = writeln!(
        text,
        "{:<10}{:>8}{:>8}{:>8}{:>8}{:>8}  the mean, one stage after the other",
        "ms", "mean", "p50", "p95", "p99", "max"
    );
    let row = |name: &str, times: &Times, bar: String| {
        let Times { mean, spread: Spread { p50, p95, p99, max } } = times;
        let line = format!("{name:<10}{mean:>8.2}{p50:>8.2}{p95:>8.2}{p99:>8.2}{max:>8.2}  {bar}");
        line.trim_end().to_owned() + "\n"
    };
    let whole = report.in_all();
    let mut began = 0.0;
    for stage in &STAGES {
        let times = report.stage(stage);
        text.push_str(&row(stage.name, &times, bar(began, times.mean, whole.mean)));
        began += times.mean;
    }
    text.push_str(&row("in all", &whole, String::new()));
    text.push_str(&row("link", &report.link(), String::new()));
    text.push_str(LEGEND);
}

/// What takes `length` of `whole` and begins `at`, to half a character.
fn bar(at: f64, length: f64, whole: f64) -> String {
    if whole <= 0.0 {
        return String::new();
    }
    let halves = (2 * WIDTH) as f64;
    let from = (at / whole * halves).round().min(halves - 1.0) as usize;
    let to = ((at + length) / whole * halves).round() as usize;
    let is_on = |half: usize| (from..to.max(from + 1)).contains(&half);
    let cell = |cell: usize| match (is_on(2 * cell), is_on(2 * cell + 1)) {
        (true, true) => '█',
        (true, false) => '▌',
        (false, true) => '▐',
        (false, false) => ' ',
    };
    (0..WIDTH).map(cell).collect::<String>().trim_end().to_owned()
}

fn sent(text: &mut String, report: &Report) {
    let _ = writeln!(
        text,
        "frames      {} captured, {} displaced by newer ones, {} coded ({:.1} a second)",
        report.captured(),
        report.displaced(),
        report.coded(),
        report.fps(),
    );
    let mut some = |name: &str, frames: Vec<&Frame>, what: &str| {
        if !frames.is_empty() {
            let count = frames.len() as f64;
            let took = frames.iter().map(|frame| millis(frame.in_all())).sum::<f64>() / count;
            let bytes = frames.iter().map(|frame| frame.record.bytes as f64).sum::<f64>() / count;
            let _ =
                writeln!(text, "{name:<12}{count}{what}: {took:.2} ms, {:.1} kB each", bytes / 1e3);
        }
    };
    some("key frames", report.key_frames().collect(), "");
    some("again", report.again().collect(), " of pictures at rest, to be sharper");
    let kilobytes = |bytes: u64| bytes as f64 / 1e3;
    let _ = writeln!(
        text,
        "sent        {} in {} packets: {:.1} kB, {:.1} kB with the headers of RTP, UDP and IP",
        report.rate(),
        report.packets(),
        kilobytes(report.bytes()),
        kilobytes(report.carried()),
    );
    if report.changes().next().is_some() {
        let Spread { p50, p95, max, .. } = report.quantizer();
        let _ = writeln!(text, "quantizer   {p50:.0} (p50), {p95:.0} (p95), {max:.0} at most");
    }
}

fn cores(text: &mut String, report: &Report) {
    let each = millis(report.cpu) / report.frames.len().max(1) as f64;
    let _ = writeln!(
        text,
        "cores       {:.3} of the whole process, {each:.2} ms of CPU a frame",
        report.cores(report.cpu)
    );
    if report.threads.is_empty() {
        text.push_str("            this system does not tell what each thread takes; Linux does\n");
        return;
    }
    let _ = writeln!(text, "\n{:<16}{:>8}{:>10}  (Linux)", "thread", "cores", "waiting");
    for thread in &report.threads {
        let (ran, waited) = (report.cores(thread.ran), report.cores(thread.waited));
        let _ = writeln!(text, "{:<16}{ran:>8.3}{waited:>10.3}", thread.name);
    }
    text.push_str("waiting: ready to run while others had the cores; where it is much, so are the times above.\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_begin_where_the_one_before_ends() {
        let stages = [3.0, 1.0, 0.0, 8.0];
        let whole = stages.iter().sum();
        let mut at = 0.0;
        let bars = stages.map(|length| {
            let bar = bar(at, length, whole);
            at += length;
            bar
        });
        assert_eq!(bars[0], "█".repeat(9));
        assert_eq!(bars[1], " ".repeat(9) + "███");
        assert_eq!(bars[2], " ".repeat(12) + "▌", "what takes no time is seen all the same");
        assert_eq!(bars[3], " ".repeat(12) + &"█".repeat(24));
        assert_eq!(bar(0.0, 0.0, 0.0), "");
        assert_eq!(bar(5.0, 0.0, 5.0), " ".repeat(WIDTH - 1) + "▐");
    }
}
