//! The command line, and the link it asks for.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use farpane_media::Bitrate;
use farpane_testkit::{Limit, Link, Loss, Overflow, Path, Phase, SCENARIOS, Scenario};

use crate::Error;

#[derive(Parser)]
#[command(
    name = "tools/netlab/run",
    about = "Runs a command between two network namespaces, `host` (192.0.2.1) and `viewer` (192.0.2.2), that are \
             joined by a link as bad as wanted",
    after_help = "The command is in neither namespace unless --at says so; it enters one by `ip netns exec host ...`. \
                  All that it leaves behind is ended with it."
)]
pub struct Options {
    /// One of the links that --list lists
    #[arg(long)]
    link: Option<String>,
    /// What each direction sends, in bits a second, as 800k or 2.5M [default: no limit]
    #[arg(long, conflicts_with = "link", value_parser = rate)]
    rate: Option<Bitrate>,
    /// The same from the viewer to the host, if it differs
    #[arg(long, conflicts_with = "link", value_parser = rate)]
    up_rate: Option<Bitrate>,
    /// One way, in milliseconds
    #[arg(long, conflicts_with = "link", value_parser = ms, default_value = "0")]
    delay: Duration,
    /// Up to so many milliseconds more
    #[arg(long, conflicts_with = "link", value_parser = ms, default_value = "0")]
    jitter: Duration,
    /// Of all packets, in per cent
    #[arg(long, conflicts_with = "link", value_parser = per_cent, default_value = "0")]
    loss: f64,
    /// The same from the viewer to the host, if it differs
    #[arg(long, conflicts_with = "link", value_parser = per_cent)]
    up_loss: Option<f64>,
    /// How many packets are lost in a row on average [default: as chance has it]
    #[arg(long, conflicts_with = "link", value_parser = clap::value_parser!(u32).range(2..=1000))]
    burst: Option<u32>,
    /// How long packets wait in front of the link at most, in milliseconds
    #[arg(long, conflicts_with = "link", value_parser = ms, default_value = "200")]
    queue: Duration,
    /// Which packets are lost, and how jitter goes, follows from it
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The namespace to run the command in
    #[arg(long)]
    pub at: Option<Side>,
    /// Writes what the link does, as JSON lines
    #[arg(long, value_name = "FILE")]
    pub record: Option<PathBuf>,
    /// Lists the links and ends
    #[arg(long)]
    pub list: bool,
    /// What to run
    #[arg(last = true, required_unless_present = "list")]
    pub command: Vec<String>,
}

#[derive(Clone, Copy, ValueEnum)]
pub enum Side {
    Host,
    Viewer,
}

/// What joins the namespaces; of arrays the first is from the host to the viewer.
pub struct Plan {
    pub name: String,
    pub phases: [Vec<Phase>; 2],
    pub links: [Link<Box<[u8]>>; 2],
}

impl Options {
    pub fn plan(&self) -> Result<Plan, Error> {
        if let Some(name) = &self.link {
            let scenario = Scenario::named(name)
                .ok_or_else(|| format!("there is no link {name}: --list lists those that are"))?;
            let phases = [(); 2].map(|()| scenario.phases.to_vec());
            return Ok(Plan { name: name.clone(), phases, links: scenario.links(self.seed) });
        }
        let direction = |rate, share| {
            let loss = match self.burst {
                Some(length) => Loss::Bursts { share, length: length.into() },
                None => Loss::Random(share),
            };
            let (delay, jitter) = (self.delay, self.jitter);
            vec![Phase::ever(Path { rate, delay, jitter, loss, ..Path::IDEAL })]
        };
        let down = direction(self.rate, self.loss);
        let up = direction(self.up_rate.or(self.rate), self.up_loss.unwrap_or(self.loss));
        let link = |phases: &[Phase], seed| {
            Link::new(phases, Limit::Time(self.queue), Overflow::Tail, seed)
        };
        let links = [link(&down, self.seed), link(&up, !self.seed)];
        Ok(Plan { name: "custom".to_owned(), phases: [down, up], links })
    }
}

pub fn list() {
    for scenario in SCENARIOS {
        println!("{:20} {}", scenario.name, scenario.about);
    }
}

fn rate(text: &str) -> Result<Bitrate, String> {
    let (number, unit) = match text.char_indices().next_back() {
        Some((end, 'k')) => (&text[..end], 1e3),
        Some((end, 'M')) => (&text[..end], 1e6),
        _ => (text, 1.0),
    };
    match number.parse::<f64>().map(|number| number * unit) {
        Ok(bits) if (1e3..=1e10).contains(&bits) => Ok(Bitrate::bps(bits as u64)),
        _ => Err("a rate is a number of bits a second from 1k to 10000M, as 800k or 2.5M".into()),
    }
}

fn ms(text: &str) -> Result<Duration, String> {
    match text.parse::<f64>() {
        Ok(ms) if (0.0..=60_000.0).contains(&ms) => Ok(Duration::from_secs_f64(ms / 1e3)),
        _ => Err("a number of milliseconds from 0 to 60000".into()),
    }
}

fn per_cent(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(share) if (0.0..=90.0).contains(&share) => Ok(share / 100.0),
        _ => Err("a number from 0 to 90".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(options: &str) -> Plan {
        let words = format!("netlab {options} -- true");
        Options::try_parse_from(words.split(' ')).expect("good options").plan().expect("a plan")
    }

    #[test]
    fn directions_differ_where_said() {
        let Plan { phases: [down, up], .. } =
            plan("--rate 2.5M --up-rate 800k --loss 5 --up-loss 0");
        assert_eq!(down[0].path.rate, Some(Bitrate::kbps(2_500)));
        assert_eq!(up[0].path.rate, Some(Bitrate::kbps(800)));
        assert_eq!((down[0].path.loss, up[0].path.loss), (Loss::Random(0.05), Loss::Random(0.0)));
        let Plan { phases: [down, up], .. } = plan("--delay 7.5 --loss 10 --burst 8");
        assert_eq!(down, up);
        assert_eq!(down[0].path.delay, Duration::from_micros(7_500));
        assert_eq!(down[0].path.loss, Loss::Bursts { share: 0.1, length: 8.0 });
    }

    #[test]
    fn what_makes_no_link_is_refused() {
        for options in
            ["--rate 0", "--rate -5M", "--rate 5G", "--delay NaN", "--loss 100", "--burst 1"]
        {
            let words = format!("netlab {options} -- true");
            assert!(Options::try_parse_from(words.split(' ')).is_err(), "{options}");
        }
        assert!(Options::try_parse_from(["netlab", "--link", "home"]).is_err(), "no command");
    }
}
