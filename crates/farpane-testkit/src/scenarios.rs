//! Networks by name: the project's own, and those that Chrome Remote Desktop is tested on.
//!
//! What is said of a network in a few words leaves choices open. Made here, for all: both directions are alike; delays are
//! one way, half of the round trip that the name goes by; in front of each direction waits what it sends in 200 ms, and
//! what comes then is dropped.

use std::time::Duration;

use farpane_media::Bitrate;

use crate::link::Link;
use crate::path::{Limit, Loss, Overflow, Path, Phase};

/// A network between two machines.
#[derive(Clone, Debug)]
pub struct Scenario {
    pub name: &'static str,
    pub about: &'static str,
    /// Of either direction.
    pub phases: &'static [Phase],
    pub limit: Limit,
}

impl Scenario {
    pub fn named(name: &str) -> Option<&'static Scenario> {
        SCENARIOS.iter().find(|scenario| scenario.name == name)
    }

    /// One link for each direction, with fates of their own.
    pub fn links<T>(&self, seed: u64) -> [Link<T>; 2] {
        [seed, !seed].map(|seed| Link::new(self.phases, self.limit, Overflow::Tail, seed))
    }
}

const QUEUE: Limit = Limit::Time(Duration::from_millis(200));
/// How late a datagram of Chrome Remote Desktop's networks is that others overtake: there it changes places with its neighbour.
const LATE: Duration = Duration::from_millis(5);

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

const fn path(mbps: u64, delay: u64) -> Path {
    Path::new(Bitrate::mbps(mbps), ms(delay))
}

const fn scenario(name: &'static str, about: &'static str, phases: &'static [Phase]) -> Scenario {
    Scenario { name, about, phases, limit: QUEUE }
}

const fn queue(limit: u64, scenario: Scenario) -> Scenario {
    Scenario { limit: Limit::Time(ms(limit)), ..scenario }
}

/// All networks.
pub static SCENARIOS: &[Scenario] = &[
    scenario("ideal", "no limit, no delay, no loss", &[Phase::ever(Path::IDEAL)]),
    scenario("office", "20 Mb/s, 20 ms round trip, 0.1 % lost", {
        &[Phase::ever(path(20, 10).loss(Loss::Random(0.001)))]
    }),
    scenario("home", "5 Mb/s, 60 ms round trip, 1 % lost", {
        &[Phase::ever(path(5, 30).loss(Loss::Random(0.01)))]
    }),
    scenario("mobile", "2 Mb/s, 100 to 140 ms round trip (20 ms jitter each way), 2 % lost", {
        &[Phase::ever(path(2, 50).jitter(ms(20)).loss(Loss::Random(0.02)))]
    }),
    scenario("lossy", "50 Mb/s, 30 ms round trip, 5 % lost", {
        &[Phase::ever(path(50, 15).loss(Loss::Random(0.05)))]
    }),
    scenario("burst", "10 Mb/s, 40 ms round trip, 10 % lost in bursts of 8", {
        &[Phase::ever(path(10, 20).loss(Loss::Bursts { share: 0.1, length: 8.0 }))]
    }),
    scenario("satellite", "10 Mb/s, 600 ms round trip", &[Phase::ever(path(10, 300))]),
    scenario("step", "10 s of 10 Mb/s and 10 s of 1 Mb/s in turns, 40 ms round trip", {
        &[Phase::new(ms(10_000), path(10, 20)), Phase::new(ms(10_000), path(1, 20))]
    }),
    scenario("wifi", "20 Mb/s, 20 ms round trip, nothing sent for 200 ms every 5 s", {
        &[Phase::new(ms(4_800), path(20, 10)), Phase::new(ms(200), path(0, 10))]
    }),
    scenario("handover", "20 s at 20 Mb/s, 20 ms round trip, then 5 Mb/s, 100 ms, in turns", {
        &[Phase::new(ms(20_000), path(20, 10)), Phase::new(ms(20_000), path(5, 50))]
    }),
    // Chrome Remote Desktop's (remoting/test/protocol_perftest.cc). "300 +/- 30 ms" is from 270 to 330 here.
    scenario("crd-300ms", "300 +/- 30 ms one way, no limit", &[Phase::ever(crd(270, 60, 0.0))]),
    scenario("crd-30ms", "30 +/- 10 ms one way, no limit", &[Phase::ever(crd(20, 20, 0.0))]),
    scenario("crd-reorder1-2ms", "2 ms one way, 1 % overtaken", &[Phase::ever(crd(2, 0, 0.01))]),
    scenario("crd-reorder10-2ms", "2 ms one way, 10 % overtaken", &[Phase::ever(crd(2, 0, 0.1))]),
    scenario("crd-reorder1-30ms", "30 ms one way, 1 % overtaken", &[Phase::ever(crd(30, 0, 0.01))]),
    scenario("crd-reorder10-30ms", "30 ms one way, 10 % overtaken", {
        &[Phase::ever(crd(30, 0, 0.1))]
    }),
    scenario("crd-reorder1-300ms", "300 ms one way, 1 % overtaken", {
        &[Phase::ever(crd(300, 0, 0.01))]
    }),
    scenario("crd-reorder10-300ms", "300 ms one way, 10 % overtaken", {
        &[Phase::ever(crd(300, 0, 0.1))]
    }),
    queue(250, scenario("crd-100m-250ms", "100 Mb/s, 2 ms one way, queue of 0.25 s", CRD_100M)),
    queue(1_000, scenario("crd-100m-1s", "100 Mb/s, 2 ms one way, queue of 1 s", CRD_100M)),
    queue(250, scenario("crd-8m-250ms", "8 Mb/s, 30 ms, 1 % overtaken, queue of 0.25 s", CRD_8M)),
    queue(1_000, scenario("crd-8m-1s", "8 Mb/s, 30 ms, 1 % overtaken, queue of 1 s", CRD_8M)),
    queue(250, scenario("crd-2m-250ms", "2 Mb/s, 30 ms, 1 % overtaken, queue of 0.25 s", CRD_2M)),
    queue(1_000, scenario("crd-2m-1s", "2 Mb/s, 30 ms, 1 % overtaken, queue of 1 s", CRD_2M)),
    queue(250, scenario("crd-800k-250ms", "800 kb/s, 130 ms one way, queue of 0.25 s", CRD_800K)),
    queue(1_000, scenario("crd-800k-1s", "800 kb/s, 130 ms one way, queue of 1 s", CRD_800K)),
];

const CRD_100M: &[Phase] = &[Phase::ever(path(100, 2))];
const CRD_8M: &[Phase] = &[Phase::ever(path(8, 30).reorder(0.01, LATE))];
const CRD_2M: &[Phase] = &[Phase::ever(path(2, 30).reorder(0.01, LATE))];
const CRD_800K: &[Phase] = &[Phase::ever(Path::new(Bitrate::kbps(800), ms(130)))];

/// Without a limit of the rate.
const fn crd(delay: u64, jitter: u64, reorder: f64) -> Path {
    let path = Path { delay: ms(delay), jitter: ms(jitter), ..Path::IDEAL };
    if reorder > 0.0 { path.reorder(reorder, LATE) } else { path }
}
