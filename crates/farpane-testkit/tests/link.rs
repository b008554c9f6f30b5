//! That a link does what its parameters say, measured from outside in virtual time.

use std::time::Duration;

use farpane_media::{Bitrate, Time};
use farpane_testkit::{Limit, Link, Loss, Overflow, Path, Phase, SCENARIOS, Scenario};

const FULL: usize = 1_250;
/// Longer than any test sends.
const DEEP: Limit = Limit::Bytes(u64::MAX);

/// Datagram number, when it was sent, when it arrived.
type Arrival = (usize, Time, Time);

/// Sends `count` datagrams of [`FULL`] bytes, one every `gap`, and waits for the last.
fn send(link: &mut Link<(usize, Time)>, count: usize, gap: Duration) -> Vec<Arrival> {
    let mut arrivals = Vec::new();
    let mut poll = |link: &mut Link<(usize, Time)>, now| {
        while let Some((arrived, (number, sent))) = link.poll_arrival(now) {
            assert_eq!(arrived, now, "the link asked to be called at the very moment");
            arrivals.push((number, sent, arrived));
        }
    };
    let mut next = Time::ZERO;
    for number in 0..count {
        while link.poll_timeout() < next {
            let now = link.poll_timeout();
            poll(link, now);
        }
        link.handle_datagram(next, FULL, (number, next));
        poll(link, next);
        next += gap;
    }
    while link.poll_timeout() != Time::NEVER {
        let now = link.poll_timeout();
        poll(link, now);
    }
    arrivals
}

fn link(path: Path, limit: Limit, seed: u64) -> Link<(usize, Time)> {
    Link::new(&[Phase::ever(path)], limit, Overflow::Tail, seed)
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn numbers(arrivals: &[Arrival]) -> Vec<usize> {
    arrivals.iter().map(|(number, ..)| *number).collect()
}

#[test]
fn the_rate_is_held_and_the_delay_comes_on_top() {
    // A datagram takes 2 ms.
    let path = Path::new(Bitrate::mbps(5), ms(30));
    let arrivals = send(&mut link(path, DEEP, 1), 1_000, Duration::ZERO);
    assert_eq!(arrivals[0], (0, Time::ZERO, Time::from_millis(32)));
    assert_eq!(arrivals[999], (999, Time::ZERO, Time::from_millis(2_030)));
    // Slower than the rate nothing waits.
    let arrivals = send(&mut link(path, DEEP, 1), 100, ms(3));
    assert!(arrivals.iter().all(|(_, sent, arrived)| arrived.since(*sent) == ms(32)));
}

#[test]
fn the_queue_is_bounded_in_time_and_in_bytes() {
    let path = Path::new(Bitrate::mbps(5), ms(30));
    for limit in [Limit::Time(ms(200)), Limit::Bytes(125_000)] {
        // Ten times the rate.
        let mut link = link(path, limit, 1);
        let arrivals = send(&mut link, 5_000, Duration::from_micros(200));
        let waited = arrivals.iter().map(|(_, sent, arrived)| arrived.since(*sent)).max().unwrap();
        // What is being sent does not count.
        assert!(waited > ms(225) && waited <= ms(200 + 30 + 4), "{waited:?}");
        let counters = link.counters();
        assert_eq!(counters.offered.datagrams, 5_000);
        assert_eq!(counters.arrived.datagrams + counters.dropped.datagrams, 5_000);
        assert_eq!(counters.arrived.bytes, arrivals.len() as u64 * FULL as u64);
        assert!((590..=610).contains(&arrivals.len()), "{}", arrivals.len());
    }
}

#[test]
fn a_full_queue_loses_the_newest_or_the_oldest() {
    let path = Path::new(Bitrate::mbps(5), ms(30));
    let arrived = |overflow| {
        let limit = Limit::Bytes(3 * FULL as u64);
        let mut link = Link::new(&[Phase::ever(path)], limit, overflow, 1);
        numbers(&send(&mut link, 8, Duration::ZERO))
    };
    // The first is sent at once.
    assert_eq!(arrived(Overflow::Tail), [0, 1, 2, 3]);
    assert_eq!(arrived(Overflow::Head), [0, 5, 6, 7]);
}

#[test]
fn one_datagram_may_wait_however_short_the_queue() {
    let path = Path::new(Bitrate::mbps(5), ms(30));
    assert_eq!(numbers(&send(&mut link(path, Limit::Bytes(1), 1), 5, Duration::ZERO)), [0, 1]);
}

#[test]
fn random_losses_are_as_many_as_said_and_stand_alone() {
    let path = Path { loss: Loss::Random(0.05), ..Path::IDEAL };
    let mut link = link(path, DEEP, 7);
    let (share, run) = losses(&send(&mut link, 100_000, ms(1)), 100_000);
    assert!((0.047..0.053).contains(&share), "{share}");
    // 1 / (1 - 0.05)
    assert!((1.02..1.09).contains(&run), "{run}");
    assert_eq!(link.counters().lost.datagrams, (share * 100_000.0).round() as u64);
}

#[test]
fn bursts_are_as_many_and_as_long_as_said() {
    let path = Path { loss: Loss::Bursts { share: 0.1, length: 8.0 }, ..Path::IDEAL };
    let (share, run) = losses(&send(&mut link(path, DEEP, 7), 200_000, ms(1)), 200_000);
    assert!((0.09..0.11).contains(&share), "{share}");
    assert!((7.4..8.6).contains(&run), "{run}");
}

/// The share of datagrams that did not arrive, and how many in a row on average.
fn losses(arrivals: &[Arrival], count: usize) -> (f64, f64) {
    let mut arrived = vec![false; count];
    arrivals.iter().for_each(|(number, ..)| arrived[*number] = true);
    let lost = count - arrivals.len();
    let runs = arrived.windows(2).filter(|pair| pair[0] && !pair[1]).count();
    (lost as f64 / count as f64, lost as f64 / runs as f64)
}

#[test]
fn lost_datagrams_take_their_share_of_the_rate() {
    let path = Path::new(Bitrate::mbps(5), ms(0)).loss(Loss::Random(0.5));
    let mut link = link(path, DEEP, 3);
    let arrivals = send(&mut link, 1_000, Duration::ZERO);
    assert!(link.counters().lost.datagrams > 400);
    assert!(arrivals.last().unwrap().2 > Time::from_millis(1_950));
}

#[test]
fn jitter_spreads_delays_and_keeps_the_order() {
    let path = Path::new(Bitrate::mbps(20), ms(50)).jitter(ms(20));
    let arrivals = send(&mut link(path, DEEP, 5), 10_000, ms(1));
    assert_eq!(numbers(&arrivals), (0..10_000).collect::<Vec<_>>());
    let mut delays: Vec<_> =
        arrivals.iter().map(|(_, sent, arrived)| arrived.since(*sent)).collect();
    delays.sort();
    let at = |share: f64| delays[(share * 9_999.0) as usize];
    assert!(at(0.0) >= ms(50) && at(1.0) <= ms(71), "{:?} to {:?}", at(0.0), at(1.0));
    assert!(at(0.1) < ms(57) && at(0.9) > ms(64), "{:?} to {:?}", at(0.1), at(0.9));
}

#[test]
fn as_many_are_overtaken_as_said() {
    let path = Path { delay: ms(30), ..Path::IDEAL }.reorder(0.1, ms(5));
    let arrivals = send(&mut link(path, DEEP, 5), 20_000, ms(1));
    let late = arrivals.iter().filter(|(_, sent, arrived)| arrived.since(*sent) == ms(35)).count();
    assert!((1_850..2_150).contains(&late), "{late}");
    let backwards = arrivals.windows(2).filter(|pair| pair[0].0 > pair[1].0).count();
    assert!((1_600..=late).contains(&backwards), "{backwards}");
}

#[test]
fn a_blackout_holds_back_what_comes_and_nothing_on_its_way() {
    let [light, dark] = [20, 0].map(|mbps| Path::new(Bitrate::mbps(mbps), ms(10)));
    let phases = [Phase::new(ms(4_800), light), Phase::new(ms(200), dark)];
    let mut link = Link::new(&phases, DEEP, Overflow::Tail, 1);
    let arrivals = send(&mut link, 10_000, ms(1));
    assert_eq!(arrivals.len(), 10_000);
    for (_, sent, arrived) in arrivals {
        let into = sent.as_micros() % 5_000_000 / 1_000;
        let delay = arrived.since(sent);
        match into {
            // What waited is sent at twice the rate at which it came.
            ..=200 if sent >= Time::from_millis(5_000) => {
                assert!(delay <= ms(211) && delay >= ms(10))
            }
            ..=4_799 => assert_eq!(delay, Duration::from_micros(10_500)),
            _ => assert!(delay >= ms(5_010 - into), "{delay:?} at {sent:?}"),
        }
    }
}

#[test]
fn a_shorter_path_is_overtaken_on_and_a_longer_one_is_not() {
    let [far, near] = [60, 10].map(|delay| Path { delay: ms(delay), ..Path::IDEAL });
    let phases = [Phase::new(ms(100), far), Phase::new(ms(100), near), Phase::ever(far)];
    let mut link = Link::new(&phases, DEEP, Overflow::Tail, 1);
    let arrivals = send(&mut link, 300, ms(1));
    let delay = |number: usize| {
        let (_, sent, arrived) = arrivals.iter().find(|arrival| arrival.0 == number).unwrap();
        arrived.since(*sent)
    };
    assert_eq!([99, 100, 199, 200].map(delay), [ms(60), ms(10), ms(10), ms(60)]);
    // The first on the shorter path arrives 50 ms before the last on the longer one.
    assert_eq!(numbers(&arrivals)[50..54], [50, 100, 51, 101]);
    assert!(numbers(&arrivals)[150..].is_sorted());
}

#[test]
fn fates_follow_from_the_seed_and_not_from_who_asks_when() {
    for scenario in SCENARIOS {
        let run = |seed| {
            let [mut down, _] = scenario.links(seed);
            send(&mut down, 3_000, ms(2))
        };
        assert_eq!(run(1), run(1), "{}", scenario.name);
        let drawn = scenario.phases.iter().any(|phase| {
            phase.path.loss != Loss::None
                || phase.path.reorder.is_some()
                || !phase.path.jitter.is_zero()
        });
        assert_eq!(run(1) != run(2), drawn, "{}", scenario.name);

        // Asked once at the end instead of whenever something is due.
        let [mut down, _] = scenario.links(1);
        for number in 0..3_000 {
            let now = Time::from_millis(2 * number as u64);
            down.handle_datagram(now, FULL, (number, now));
        }
        let mut late = Vec::new();
        while let Some((arrived, (number, sent))) = down.poll_arrival(Time::from_millis(1 << 20)) {
            late.push((number, sent, arrived));
        }
        assert_eq!(late, run(1), "{}", scenario.name);
    }
}

#[test]
fn the_two_directions_have_fates_of_their_own() {
    let [mut down, mut up] = Scenario::named("lossy").unwrap().links(1);
    assert_ne!(numbers(&send(&mut down, 1_000, ms(1))), numbers(&send(&mut up, 1_000, ms(1))));
}

#[test]
fn scenarios_have_names_of_their_own() {
    for (index, scenario) in SCENARIOS.iter().enumerate() {
        let found = SCENARIOS.iter().position(|other| other.name == scenario.name);
        assert_eq!(found, Some(index), "{}", scenario.name);
    }
    assert!(Scenario::named("home").is_some() && Scenario::named("nowhere").is_none());
}
