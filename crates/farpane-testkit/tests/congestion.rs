//! The congestion controller over networks in virtual time, with what a remote desktop sends.

use std::fmt;
use std::time::Duration;

use farpane_media::{Bitrate, Size, Time};
use farpane_proto::rate::{Congestion, Controller, Pacer};
use farpane_testkit::{Limit, Link, Path, Phase, Random, SCENARIOS, Scenario};

const PACKET: usize = 1_250;
const HD: Size = Size::new(1920, 1080);
/// New pictures wait while more than this waits in the pacer, as in the engine.
const BACKLOG: Duration = Duration::from_millis(25);
/// Runs begin here, are as long as that, and count from then on.
const START: Time = Time::from_millis(1_000);
const LENGTH: Duration = Duration::from_secs(22);
const SETTLED: Duration = Duration::from_secs(2);
/// What is later than the path's own delay, its jitter and the queues that it is allowed.
const LATE: Duration = Duration::from_millis(150);

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// What is on the screen.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Content {
    /// A film that takes all the encoder is given.
    Film,
    /// A page now and then, as large as the encoder lets it be, made sharp afterwards.
    Pages,
    /// Hardly anything.
    Typing,
}

#[derive(Clone, Copy, Debug)]
struct Packet {
    number: u64,
    captured: Time,
}

type Report = Vec<(u64, Option<Duration>)>;

struct Session {
    now: Time,
    down: Link<Packet>,
    up: Link<Report>,
    congestion: Congestion,
    controller: Controller,
    /// Of each packet, when it was captured.
    pacer: Pacer<Time>,
    next_number: u64,
    next_picture: Time,
    pictures: u64,
    random: Random,
    /// What has arrived since the last report; all below `reported` has been reported on.
    arrived: Vec<(u64, Time)>,
    reported: u64,
    next_report: Time,
    outcome: Outcome,
}

impl Session {
    fn new(scenario: &'static Scenario, content: Content, seed: u64) -> Session {
        let [down, _] = scenario.links(seed);
        let [_, up] = scenario.links(seed);
        let estimate = Bitrate::mbps(3);
        let time = Duration::ZERO;
        let (excess, estimates) = (Vec::new(), Vec::new());
        Session {
            now: START,
            down,
            up,
            congestion: Congestion::new(estimate),
            controller: Controller::new(HD, estimate),
            pacer: Pacer::default(),
            next_number: 1,
            next_picture: START,
            pictures: 0,
            random: Random::new(seed),
            arrived: Vec::new(),
            reported: 1,
            next_report: Time::NEVER,
            outcome: Outcome { scenario, content, seed, excess, bytes: 0, time, estimates },
        }
    }

    fn run(mut self, time: Duration) -> Outcome {
        let end = self.now + time;
        while self.now < end {
            self.step();
            let pacer = self.pacer.poll_timeout(self.congestion.room());
            self.now = [
                self.next_picture,
                self.next_report,
                self.down.poll_timeout(),
                self.up.poll_timeout(),
                self.congestion.poll_timeout(),
                pacer,
            ]
            .into_iter()
            .min()
            .unwrap()
            .max(self.now + Duration::from_micros(1));
        }
        Outcome { time, ..self.outcome }
    }

    fn step(&mut self) {
        let now = self.now;
        while let Some((at, packet)) = self.down.poll_arrival(now) {
            let path = self.down.path(at).delay;
            let excess = &mut self.outcome.excess;
            excess.push((packet.captured, at.since(packet.captured).saturating_sub(path)));
            self.outcome.bytes += PACKET as u64;
            self.arrived.push((packet.number, at));
            if self.next_report == Time::NEVER {
                self.next_report = at + ms(50);
            }
        }
        if self.next_report <= now {
            self.report();
        }
        while let Some((_, report)) = self.up.poll_arrival(now) {
            self.congestion.handle_report(now, report.into_iter());
            self.controller.handle_estimate(self.congestion.estimate(), Bitrate::ZERO);
            self.outcome.estimates.push((now, self.congestion.estimate()));
        }
        if self.congestion.poll_timeout() <= now {
            self.congestion.handle_timeout(now);
        }
        if self.next_picture <= now {
            self.next_picture = now + Duration::from_micros(33_333);
            self.picture();
        }
        self.pacer.give_up(now, |_| false).for_each(drop);
        let pace = self.congestion.pace();
        while let Some(captured) = self.pacer.pop(now, pace, self.congestion.room()) {
            let number = self.next_number;
            self.next_number += 1;
            self.congestion.handle_sent(now, number, PACKET);
            self.down.handle_datagram(now, PACKET, Packet { number, captured });
        }
    }

    fn picture(&mut self) {
        let target = self.controller.target();
        let waits = self.pacer.bytes() > self.congestion.estimate().bytes_in(BACKLOG);
        if waits {
            return;
        }
        self.pictures += 1;
        let one = target.bytes_in(Duration::from_micros(33_333));
        let bytes = match self.outcome.content {
            Content::Film => (one as f64 * (0.6 + 0.8 * self.random.unit())) as u64,
            Content::Pages if self.pictures % 90 == 1 => 2 * one,
            Content::Pages if self.pictures % 90 < 30 => one * 6 / 10,
            Content::Pages => 0,
            Content::Typing => 300,
        };
        let packets = bytes.div_ceil(PACKET as u64);
        for at in 1..=packets {
            self.pacer.push(self.now, PACKET, at == packets, self.now);
        }
    }

    fn report(&mut self) {
        self.next_report = Time::NEVER;
        self.arrived.sort_unstable();
        let Some(&(last, _)) = self.arrived.last() else { return };
        let mut report: Report = Vec::new();
        let mut arrived = self.arrived.drain(..).peekable();
        let mut number = self.reported.min(arrived.peek().map_or(u64::MAX, |first| first.0));
        while number <= last {
            let here = arrived.next_if(|(arrived, _)| *arrived == number);
            if here.is_some() || number >= self.reported {
                report.push((number, here.map(|(_, at)| at.since(Time::ZERO))));
            }
            number += 1;
        }
        drop(arrived);
        self.reported = self.reported.max(last + 1);
        self.up.handle_datagram(self.now, 100 + report.len(), report);
    }
}

/// What became of a session.
struct Outcome {
    scenario: &'static Scenario,
    content: Content,
    seed: u64,
    /// Of each packet that arrived: when it was captured, and how long it took beyond what the empty path takes.
    excess: Vec<(Time, Duration)>,
    bytes: u64,
    time: Duration,
    estimates: Vec<(Time, Bitrate)>,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Outcome { scenario, content, seed, .. } = self;
        let [p50, p95, most] = [0.5, 0.95, 1.0].map(|share| self.excess(share).as_millis());
        let (rate, estimate) = (Bitrate::of(self.bytes, self.time), self.estimate());
        write!(
            f,
            "{}, {content:?}, seed {seed}: {p50} ms, p95 {p95} ms, at most {most} ms over the path's own; {rate} of {estimate}",
            scenario.name
        )
    }
}

impl Outcome {
    /// After the start, by its share among all.
    fn excess(&self, share: f64) -> Duration {
        let settled = self.excess.iter().filter(|(at, _)| at.since(START) >= SETTLED);
        let mut all: Vec<Duration> = settled.map(|(_, excess)| *excess).collect();
        all.sort_unstable();
        all.get(((all.len().max(1) - 1) as f64 * share) as usize).copied().unwrap_or_default()
    }

    /// The median.
    fn estimate(&self) -> Bitrate {
        let settled = self.estimates.iter().filter(|(at, _)| at.since(START) >= SETTLED);
        let mut all: Vec<Bitrate> = settled.map(|(_, estimate)| *estimate).collect();
        all.sort_unstable();
        all.get(all.len() / 2).copied().unwrap_or_default()
    }

    /// The longest time in which packets arrived late, or none of what always moves did.
    fn late_for(&self) -> Duration {
        let mut arrivals: Vec<(Time, Duration)> =
            self.excess.iter().map(|(captured, excess)| (*captured + *excess, *excess)).collect();
        arrivals.sort_unstable();
        let (mut longest, mut late_since, mut before) = (Duration::ZERO, None, START);
        for (at, excess) in arrivals {
            if self.content != Content::Pages {
                longest = longest.max(at.since(before));
            }
            before = at;
            if excess > LATE {
                longest = longest.max(at.since(*late_since.get_or_insert(at)));
            } else {
                late_since = None;
            }
        }
        longest
    }
}

/// Every network with everything on the screen, several times.
fn all(seeds: u64) -> impl Iterator<Item = Outcome> {
    let contents = [Content::Film, Content::Pages, Content::Typing];
    SCENARIOS.iter().flat_map(move |scenario| {
        contents.into_iter().flat_map(move |content| {
            (0..seeds).map(move |seed| Session::new(scenario, content, seed).run(LENGTH))
        })
    })
}

/// No network, whatever is on the screen, leaves the delay above the budget for long.
#[test]
fn delay_is_bounded_on_every_network() {
    for outcome in all(6) {
        assert!(outcome.late_for() < ms(2_000), "{outcome}");
    }
}

/// What is steady is measured, and used.
#[test]
fn the_estimate_is_what_the_path_carries() {
    let steady = SCENARIOS.iter().filter(|scenario| scenario.phases.len() == 1);
    for scenario in steady {
        let Some(rate) = scenario.phases[0].path.rate else { continue };
        for seed in 0..6 {
            let outcome = Session::new(scenario, Content::Film, seed).run(LENGTH);
            let (estimate, most) = (outcome.estimate(), Controller::new(HD, rate).target());
            assert!(estimate >= rate * 0.8 && estimate <= rate * 1.3, "{outcome}");
            let sent = Bitrate::of(outcome.bytes, outcome.time);
            assert!(sent >= most * 0.7, "{outcome}");
        }
    }
}

/// A path that carries more again is found to within seconds, by what a film sends.
#[test]
fn a_path_that_widens_is_found_out() {
    let scenario = Scenario::named("step").unwrap();
    for seed in 0..20 {
        let outcome = Session::new(scenario, Content::Film, seed).run(ms(25_000));
        let widened = Time::from_millis(20_000);
        let found =
            outcome.estimates.iter().find(|(at, e)| *at > widened && *e >= Bitrate::mbps(8));
        let found = found.expect("it is found out").0;
        assert!(found.since(widened) < ms(2_000), "after {:?}: {outcome}", found.since(widened));
    }
}

/// A path that has become longer holds more, and is filled again.
#[test]
fn a_path_that_becomes_longer_is_filled() {
    static LONGER: Scenario = Scenario {
        name: "longer",
        about: "10 Mb/s, 10 ms one way, then 300 ms",
        phases: &[
            Phase::new(ms(10_000), Path::new(Bitrate::mbps(10), ms(10))),
            Phase::ever(Path::new(Bitrate::mbps(10), ms(300))),
        ],
        limit: Limit::Time(ms(200)),
    };
    for seed in 0..6 {
        let outcome = Session::new(&LONGER, Content::Film, seed).run(ms(60_000));
        let late = outcome.excess.iter().filter(|(at, _)| at.since(START) >= ms(45_000)).count();
        let rate = Bitrate::of((late * PACKET) as u64, ms(15_000));
        assert!(rate >= Controller::new(HD, Bitrate::mbps(10)).target() * 0.7, "{rate}: {outcome}");
    }
}

/// What is small waits for nothing on a path that has room for it.
#[test]
fn typing_is_not_delayed() {
    for name in ["office", "home", "mobile", "lossy", "burst", "satellite", "step"] {
        let scenario = Scenario::named(name).unwrap();
        for seed in 0..6 {
            let outcome = Session::new(scenario, Content::Typing, seed).run(LENGTH);
            assert!(outcome.excess(0.95) < ms(40), "{outcome}");
        }
    }
}
