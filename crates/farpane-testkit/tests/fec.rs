//! Parity over networks in virtual time: what it costs, and when pictures are whole with it and without.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use farpane_media::{Bitrate, Time};
use farpane_proto::fec::{Copies, Protector, Recoverer, Strength};
use farpane_proto::rtp;
use farpane_testkit::{Link, Scenario};

const SSRC: u32 = 7;
const PAYLOAD: usize = 1_200;
/// Packets of a picture, one 30th of a second after the other: of a page that moves, 1.4 Mb/s, and while somebody types.
/// All these networks carry that.
const MOVING: u64 = 5;
const TYPING: u64 = 1;
const TICK: Duration = Duration::from_millis(1);
const LENGTH: u64 = 60_000;

/// What the sender does, and with what.
#[derive(Clone, Copy, PartialEq)]
struct Plan {
    /// Packets of a picture.
    picture: u64,
    parity: bool,
    copies: bool,
}

#[derive(Clone, Debug)]
enum Content {
    Picture(Vec<u8>),
    Parity(Vec<u8>),
}

/// A sender that sends again what it is asked for, and a receiver that asks as Chromium does: at once, then each round trip.
struct Session {
    now: Time,
    rtt: Duration,
    /// What the network carries.
    rate: Bitrate,
    plan: Plan,
    link: Link<(u64, Content)>,
    numbers: u64,
    strength: Strength,
    protector: Protector,
    copies: Copies,
    /// By sequence number.
    sent: Vec<(Time, Vec<u8>)>,
    recoverer: Recoverer,
    /// What the receiver lacks, and when it asks next.
    missing: BTreeMap<u16, Time>,
    next: u16,
    /// Asked for, and when the sender hears of it.
    requests: Vec<(Time, u16)>,
    came: BTreeSet<u64>,
    reported: u64,
    /// By picture, how many packets are there, and when the last one was.
    pictures: Vec<(u64, Time)>,
    sent_bytes: [u64; 2],
}

/// Shares are of bytes.
#[derive(Debug)]
struct Outcome {
    /// What pictures take to be whole, on average, beyond what most of them take.
    wait: Duration,
    /// What one in twenty takes at least.
    p95: Duration,
    /// Parity, of pictures.
    parity: f64,
    lost: f64,
    /// Parity, of what the network carries.
    taken: f64,
}

impl Session {
    fn run(scenario: &Scenario, plan: Plan) -> Outcome {
        let [link, _] = scenario.links(1);
        let path = *link.path(Time::ZERO);
        let rtt = 2 * path.delay;
        let mut session = Session {
            now: Time::from_millis(1_000),
            rtt,
            rate: path.rate.unwrap_or(Bitrate::mbps(100)),
            plan,
            link,
            numbers: 0,
            strength: Strength::default(),
            protector: Protector::default(),
            copies: Copies::default(),
            sent: Vec::new(),
            recoverer: Recoverer::new(SSRC, &[]),
            missing: BTreeMap::new(),
            next: 0,
            requests: Vec::new(),
            came: BTreeSet::new(),
            reported: 0,
            pictures: Vec::new(),
            sent_bytes: [0; 2],
        };
        for tick in 0..LENGTH {
            session.tick(tick);
        }
        session.outcome()
    }

    fn tick(&mut self, tick: u64) {
        self.now += TICK;
        if tick.is_multiple_of(33) && tick < LENGTH - 3_000 {
            self.send_picture();
        }
        let due = self.requests.iter().filter(|(at, _)| *at <= self.now).map(|(_, of)| *of);
        for sequence in due.collect::<Vec<_>>() {
            self.send(Content::Picture(self.sent[usize::from(sequence)].1.clone()));
        }
        self.requests.retain(|(at, _)| *at > self.now);
        while let Some(copy) = self.copies.poll(self.now) {
            self.send(Content::Parity(copy.payload));
        }
        while let Some((_, (number, content))) = self.link.poll_arrival(self.now) {
            self.came.insert(number);
            match content {
                Content::Picture(packet) => {
                    self.recoverer.handle_packet(&packet);
                    self.receive(&packet);
                }
                Content::Parity(payload) => self.recoverer.handle_parity(&payload),
            }
            while let Some(packet) = self.recoverer.poll_recovered() {
                let sequence = rtp::Packet::parse(&packet).unwrap().header.sequence;
                assert_eq!(packet, self.sent[usize::from(sequence)].1);
                self.receive(&packet);
            }
        }
        for (sequence, at) in self.missing.iter_mut().filter(|(_, at)| **at <= self.now) {
            self.requests.push((self.now + self.rtt / 2, *sequence));
            *at = self.now + self.rtt + 10 * TICK;
        }
        if tick.is_multiple_of(100) {
            // What was sent half a round trip ago is here or never will be, jitter and queues aside.
            let newest = self.came.last().copied().unwrap_or_default();
            for number in self.reported..newest {
                let came = self.came.contains(&number);
                self.strength.handle_fate(number, came);
                if came {
                    self.copies.handle_arrival(number);
                }
            }
            self.reported = newest.max(self.reported);
        }
    }

    fn send_picture(&mut self) {
        self.pictures.push((0, Time::ZERO));
        let copies = if self.plan.copies { self.strength.copies(self.rtt) } else { 0 };
        for at in 0..self.plan.picture {
            let sequence = self.sent.len() as u16;
            let marker = at + 1 == self.plan.picture;
            let header = rtp::Header { marker, sequence, ssrc: SSRC, ..rtp::Header::default() };
            let mut packet = vec![sequence as u8; rtp::FIXED_LEN + PAYLOAD];
            header.write(&[], &mut packet).unwrap();
            self.sent.push((self.now, packet.clone()));
            self.protector.handle_sent(self.now, &packet, &[]);
            self.strength.handle_sent(packet.len());
            self.copies.handle_sent(self.now, self.numbers, &packet, &[], copies, self.rate);
            self.send(Content::Picture(packet));
        }
        if self.plan.parity && self.strength.is_worth(self.rtt) {
            let (packets, longest) = (self.protector.packets(), self.protector.longest());
            let count = self.strength.poll_parity(packets, longest);
            for index in 0..count {
                let mut payload = Vec::new();
                self.protector.write(index, count, &mut payload);
                self.send(Content::Parity(payload));
            }
            if count > 0 {
                self.protector.clear();
            }
        }
        self.protector.forget(self.now, self.rtt * 3 / 4);
    }

    fn send(&mut self, content: Content) {
        let (kind, bytes) = match &content {
            Content::Picture(packet) => (0, packet.len()),
            Content::Parity(payload) => (1, rtp::FIXED_LEN + payload.len()),
        };
        self.sent_bytes[kind] += bytes as u64;
        self.link.handle_datagram(self.now, bytes + 44, (self.numbers, content));
        self.numbers += 1;
    }

    fn receive(&mut self, packet: &[u8]) {
        let sequence = rtp::Packet::parse(packet).unwrap().header.sequence;
        let new = sequence >= self.next;
        (self.next..sequence).for_each(|lost| _ = self.missing.insert(lost, self.now));
        self.next = self.next.max(sequence + 1);
        if self.missing.remove(&sequence).is_some() || new {
            let picture = &mut self.pictures[usize::from(sequence) / self.plan.picture as usize];
            *picture = (picture.0 + 1, self.now);
        }
    }

    fn outcome(self) -> Outcome {
        let mut whole: Vec<Duration> = Vec::new();
        for (at, (packets, last)) in self.pictures.iter().enumerate() {
            assert_eq!(*packets, self.plan.picture, "all comes in the end");
            whole.push(last.since(self.sent[at * self.plan.picture as usize].0));
        }
        whole.sort();
        let mean = whole.iter().sum::<Duration>() / whole.len() as u32;
        let counters = self.link.counters();
        Outcome {
            wait: mean.saturating_sub(whole[whole.len() / 2]),
            p95: whole[whole.len() * 95 / 100],
            parity: self.sent_bytes[1] as f64 / self.sent_bytes[0] as f64,
            taken: 8.0 * self.sent_bytes[1] as f64
                / (self.rate.as_bps() as f64 * LENGTH as f64 / 1e3),
            lost: counters.lost.bytes as f64 / counters.offered.bytes as f64,
        }
    }
}

/// Of a page that moves, without parity and with it.
fn both(name: &str) -> [Outcome; 2] {
    let plan = |parity| Plan { picture: MOVING, parity, copies: false };
    outcomes(name, [false, true].map(plan))
}

fn outcomes(name: &str, plans: [Plan; 2]) -> [Outcome; 2] {
    let scenario = Scenario::named(name).unwrap();
    let outcomes = plans.map(|plan| Session::run(scenario, plan));
    println!("{name}: {outcomes:.3?}");
    outcomes
}

#[test]
fn pictures_wait_less_for_no_more_than_its_price() {
    for (name, gain) in [("home", 0.05), ("mobile", 0.2), ("lossy", 0.25), ("burst", 0.02)] {
        let [without, with] = both(name);
        let saved = 1.0 - with.wait.as_secs_f64() / without.wait.as_secs_f64();
        assert!(saved >= gain, "{name}: {saved}");
        assert!(with.p95 <= without.p95, "{name}");
        assert!(with.parity > 0.0 && with.parity <= 1.3 * with.lost, "{name}: {with:?}");
    }
}

#[test]
fn what_is_typed_waits_for_no_repeat() {
    for (name, gain) in [("home", 0.4), ("mobile", 0.5), ("lossy", 0.5), ("burst", 0.3)] {
        let plan = |copies| Plan { picture: TYPING, parity: true, copies };
        let [without, with] = outcomes(name, [false, true].map(plan));
        let saved = 1.0 - with.wait.as_secs_f64() / without.wait.as_secs_f64();
        assert!(saved >= gain, "{name}: {saved}");
        assert!(with.p95 <= without.p95, "{name}");
        // Which is much of so little, but little of what the path carries.
        assert!(with.taken <= 0.1, "{name}: {with:?}");
    }
}

#[test]
fn where_nothing_is_lost_nothing_is_sent() {
    for name in ["ideal", "satellite", "crd-30ms"] {
        let [_, with] = both(name);
        assert_eq!(with.parity, 0.0, "{name}");
    }
}
