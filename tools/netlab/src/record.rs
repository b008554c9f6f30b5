//! What the link did, as one JSON object a line: the plan first, then the counters ten times a second.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::time::Duration;

use farpane_media::{Clock, Time};
use farpane_testkit::{Link, Loss, Phase, Tally};
use serde_json::{Value, json};

use crate::Error;
use crate::lab::ADDRESSES;

const EVERY: Duration = Duration::from_millis(100);

/// Writes to nowhere when there is no file.
pub struct Record {
    file: Option<BufWriter<File>>,
    due: Time,
}

impl Record {
    /// `phases` are those from the host and those from the viewer; they begin when `clock` does.
    pub fn start(
        file: Option<&Path>,
        name: &str,
        phases: [&[Phase]; 2],
        clock: &Clock,
    ) -> Result<Record, Error> {
        let Some(path) = file else { return Ok(Record { file: None, due: Time::NEVER }) };
        let made = File::create(path).map_err(|why| format!("{}: {why}", path.display()))?;
        let mut file = BufWriter::new(made);
        let plan = json!({
            "link": name,
            "start_unix_ms": unix_ms(clock, Time::ZERO),
            "host": ADDRESSES[0],
            "viewer": ADDRESSES[1],
            "down": phases[0].iter().map(phase).collect::<Vec<_>>(),
            "up": phases[1].iter().map(phase).collect::<Vec<_>>(),
        });
        writeln!(file, "{plan}")?;
        file.flush()?;
        Ok(Record { file: Some(file), due: Time::ZERO })
    }

    /// When there is something to write next.
    pub fn due(&self) -> Time {
        self.due
    }

    /// Writes a line if it is time to.
    pub fn write<T>(
        &mut self,
        now: Time,
        clock: &Clock,
        links: &[Link<T>; 2],
    ) -> Result<(), Error> {
        if now < self.due {
            return Ok(());
        }
        self.due = now + EVERY;
        self.end(now, clock, links)
    }

    /// Writes a line, whenever it is.
    pub fn end<T>(&mut self, now: Time, clock: &Clock, links: &[Link<T>; 2]) -> Result<(), Error> {
        let Some(file) = &mut self.file else { return Ok(()) };
        let [down, up] = links.each_ref().map(counters);
        writeln!(file, "{}", json!({ "unix_ms": unix_ms(clock, now), "down": down, "up": up }))?;
        Ok(file.flush()?)
    }
}

fn unix_ms(clock: &Clock, time: Time) -> f64 {
    clock.unix(time).as_secs_f64() * 1e3
}

fn phase(phase: &Phase) -> Value {
    let path = &phase.path;
    let ms = |span: Duration| span.as_secs_f64() * 1e3;
    let (loss, burst) = match path.loss {
        Loss::None => (0.0, 1.0),
        Loss::Random(share) => (share, 1.0),
        Loss::Bursts { share, length } => (share, length),
    };
    json!({
        "lasts_ms": (phase.lasts != Duration::MAX).then(|| ms(phase.lasts)),
        "rate_bps": path.rate.map(|rate| rate.as_bps()),
        "delay_ms": ms(path.delay),
        "jitter_ms": ms(path.jitter),
        "loss": loss,
        "burst": burst,
    })
}

fn counters<T>(link: &Link<T>) -> Value {
    let counters = link.counters();
    let tally = |tally: &Tally| json!({ "packets": tally.datagrams, "bytes": tally.bytes });
    json!({
        "offered": tally(&counters.offered),
        "dropped": tally(&counters.dropped),
        "lost": tally(&counters.lost),
        "arrived": tally(&counters.arrived),
        "queued_bytes": link.queued(),
    })
}
