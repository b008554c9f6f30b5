//! Parity over networks in virtual time: what it costs, and when pictures are whole with it and without.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use farpane_media::Time;
use farpane_proto::fec::{Protector, Recoverer, Strength};
use farpane_proto::rtp;
use farpane_testkit::{Link, Scenario};

const SSRC: u32 = 7;
const PAYLOAD: usize = 1_200;
/// Packets of a picture, one 30th of a second after the other; 1.4 Mb/s, which all these networks carry.
const PICTURE: u64 = 5;
const TICK: Duration = Duration::from_millis(1);
const LENGTH: u64 = 60_000;

#[derive(Clone, Debug)]
enum Content {
    Picture(Vec<u8>),
    Parity(Vec<u8>),
}

/// A sender that sends again what it is asked for, and a receiver that asks as Chromium does: at once, then each round trip.
struct Session {
    now: Time,
    rtt: Duration,
    parity: bool,
    link: Link<(u64, Content)>,
    numbers: u64,
    strength: Strength,
    protector: Protector,
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
}

impl Session {
    fn run(scenario: &Scenario, parity: bool) -> Outcome {
        let [link, _] = scenario.links(1);
        let rtt = 2 * link.path(Time::ZERO).delay;
        let mut session = Session {
            now: Time::from_millis(1_000),
            rtt,
            parity,
            link,
            numbers: 0,
            strength: Strength::default(),
            protector: Protector::default(),
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
                self.strength.handle_fate(number, self.came.contains(&number));
            }
            self.reported = newest.max(self.reported);
        }
    }

    fn send_picture(&mut self) {
        self.pictures.push((0, Time::ZERO));
        for at in 0..PICTURE {
            let sequence = self.sent.len() as u16;
            let marker = at + 1 == PICTURE;
            let header = rtp::Header { marker, sequence, ssrc: SSRC, ..rtp::Header::default() };
            let mut packet = vec![sequence as u8; rtp::FIXED_LEN + PAYLOAD];
            header.write(&[], &mut packet).unwrap();
            self.sent.push((self.now, packet.clone()));
            self.protector.handle_sent(self.now, &packet, &[]);
            self.strength.handle_sent(packet.len());
            self.send(Content::Picture(packet));
        }
        if self.parity && self.strength.is_worth(self.rtt) {
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
            let picture = &mut self.pictures[usize::from(sequence) / PICTURE as usize];
            *picture = (picture.0 + 1, self.now);
        }
    }

    fn outcome(self) -> Outcome {
        let mut whole: Vec<Duration> = Vec::new();
        for (at, (packets, last)) in self.pictures.iter().enumerate() {
            assert_eq!(*packets, PICTURE, "all comes in the end");
            whole.push(last.since(self.sent[at * PICTURE as usize].0));
        }
        whole.sort();
        let mean = whole.iter().sum::<Duration>() / whole.len() as u32;
        let counters = self.link.counters();
        Outcome {
            wait: mean.saturating_sub(whole[whole.len() / 2]),
            p95: whole[whole.len() * 95 / 100],
            parity: self.sent_bytes[1] as f64 / self.sent_bytes[0] as f64,
            lost: counters.lost.bytes as f64 / counters.offered.bytes as f64,
        }
    }
}

/// Without parity and with it.
fn both(name: &str) -> [Outcome; 2] {
    let scenario = Scenario::named(name).unwrap();
    let outcomes = [false, true].map(|parity| Session::run(scenario, parity));
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
fn where_nothing_is_lost_nothing_is_sent() {
    for name in ["ideal", "satellite", "crd-30ms"] {
        let [_, with] = both(name);
        assert_eq!(with.parity, 0.0, "{name}");
    }
}
