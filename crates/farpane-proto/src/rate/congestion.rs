//! What a path carries, read off what our own bursts do on it, and how much may be on its way.
//!
//! Screen traffic is bursts between silences, which estimators made for steady film get wrong: they fall on the first burst
//! and come back by seconds. Here each burst measures. Packets that leave faster than the path takes them arrive at the
//! path's own pace; packets that arrive as they left show that it carries at least as much. In between nothing is known
//! and nothing changes. Two bounds hold beside that: bytes in flight never exceed what the path carries in a round trip
//! and a budget, and when packets find a queue that does not go away, no more is sent than is delivered.
//!
//! Input is transport-wide feedback (draft-holmer-rmcat-transport-wide-cc-extensions-01). Loss alone is no sign of
//! congestion until it is more than radio links have: what a full queue drops has waited in it before.

use std::collections::VecDeque;
use std::time::Duration;

use farpane_media::{Bitrate, Time};

/// Queueing delay that the window allows for.
const BUDGET: Duration = Duration::from_millis(40);
/// A queue that even the luckiest of recent packets found is too long from here on.
const STANDING: Duration = Duration::from_millis(30);
/// For so long a standing queue is taken for one; then the path has become longer, or others fill it.
const DOUBT: Duration = Duration::from_secs(1);
/// How long the shortest delay and round trip count.
const MEMORY: Duration = Duration::from_secs(10);
/// What is sent closer together than this is a burst; so many pairs of packets measure.
const CLOSE: Duration = Duration::from_millis(6);
const TELLING: u32 = 2;
const LONGEST: u32 = 64;
/// A burst of so much of the path's time counts in full when it measures less than before.
const CONVINCING: Duration = Duration::from_millis(60);
/// And when it measures more: of so much.
const PROMISING: Duration = Duration::from_millis(20);
/// Reports come so far apart.
const OFTENEST: Duration = Duration::from_millis(50);
const SELDOMEST: Duration = Duration::from_millis(250);
/// Of so many packets one in so many is lost: the path takes no more than it delivers.
const JUDGED: u32 = 200;
const LOST: u32 = 4;
/// In flight before anything is known, and always allowed, in bytes.
const FIRST: u64 = 30_000;
const LEAST: u64 = 6_000;
/// What counts as sent without having been reported on.
const MOST_PACKETS: usize = 8_192;
const SLOWEST: Bitrate = Bitrate::kbps(100);
const FASTEST: Bitrate = Bitrate::mbps(200);

/// See the module.
#[derive(Clone, Debug)]
pub struct Congestion {
    estimate: Bitrate,
    /// By number, from `first` on.
    packets: VecDeque<Packet>,
    first: u64,
    in_flight: u64,
    /// From sending to arrival, in microseconds between two clocks.
    shortest: Least<i64>,
    /// From sending to hearing of it.
    round_trip: Least<Duration>,
    /// When the present [`MEMORY`] began.
    remembered: Time,
    burst: Option<Burst>,
    reported: Option<Time>,
    interval: Duration,
    delivery: Delivery,
    /// The least queue in the last report and in the one before, in microseconds.
    queue: [i64; 2],
    standing_since: Option<Time>,
    lowered: Time,
    /// Reported on of late, and how many of them were lost.
    recent: (u32, u32),
    /// How often in a row a report has been waited for in vain.
    stalls: u32,
}

#[derive(Clone, Copy, Debug)]
struct Packet {
    sent: Time,
    bytes: u32,
    /// Bytes in flight with it.
    flight: u64,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    InFlight,
    /// Not there when others were; it may be late.
    Missing,
    Gone,
}

/// Packets that left close together, as far as they have arrived. Only pairs count of which nothing was lost between.
#[derive(Clone, Copy, Debug)]
struct Burst {
    /// Of the last packet.
    number: u64,
    sent: Time,
    arrived: Duration,
    packets: u32,
    /// Over all pairs: how many, bytes of the later ones, and microseconds from one to the other.
    pairs: u32,
    bytes: u64,
    left: i64,
    came: i64,
}

/// The least value of this and the last [`MEMORY`].
#[derive(Clone, Copy, Debug)]
struct Least<T>([Option<T>; 2]);

/// Bytes that arrived, by the receiver's clock, over the last reports.
#[derive(Clone, Copy, Debug, Default)]
struct Delivery {
    reports: [(u64, Duration); 3],
    latest: Option<Duration>,
}

impl Congestion {
    /// On a path that is believed to carry `estimate`: better too little, as the first burst corrects it.
    pub fn new(estimate: Bitrate) -> Congestion {
        Congestion {
            estimate,
            packets: VecDeque::new(),
            first: 0,
            in_flight: 0,
            shortest: Least([None; 2]),
            round_trip: Least([None; 2]),
            remembered: Time::ZERO,
            burst: None,
            reported: None,
            interval: OFTENEST,
            delivery: Delivery::default(),
            queue: [0; 2],
            standing_since: None,
            lowered: Time::ZERO,
            recent: (0, 0),
            stalls: 0,
        }
    }

    /// What the path is believed to carry.
    pub fn estimate(&self) -> Bitrate {
        self.estimate
    }

    /// How fast packets leave that wait: faster than the path takes them, or they would measure nothing.
    pub fn pace(&self) -> Bitrate {
        self.estimate * 2.0
    }

    /// How many more bytes may leave now.
    pub fn room(&self) -> u64 {
        self.window().saturating_sub(self.in_flight)
    }

    fn window(&self) -> u64 {
        match self.round_trip.get() {
            None => FIRST,
            Some(_) if self.stalls > 0 => {
                (self.estimate.bytes_in(self.patience()) >> self.stalls.min(2)).max(LEAST)
            }
            // What is more than in flight on an empty path is the queue.
            Some(shortest) if self.standing_since.is_some() => {
                self.estimate.bytes_in(shortest + self.interval / 2).max(LEAST)
            }
            Some(shortest) => self.estimate.bytes_in(shortest + self.interval + BUDGET).max(LEAST),
        }
    }

    /// A packet has left. Numbers follow each other; one that does not starts anew.
    pub fn handle_sent(&mut self, now: Time, number: u64, bytes: usize) {
        if number != self.first + self.packets.len() as u64 {
            self.packets.clear();
            (self.first, self.in_flight) = (number, 0);
        }
        if self.packets.len() == MOST_PACKETS {
            self.forget(1);
        }
        if self.in_flight == 0 {
            // From here on a report is waited for.
            self.reported = Some(now);
        }
        self.in_flight += bytes as u64;
        let packet = Packet {
            sent: now,
            bytes: bytes as u32,
            flight: self.in_flight,
            state: State::InFlight,
        };
        self.packets.push_back(packet);
    }

    /// Takes a report: of each packet that it speaks of, by rising number, when it arrived by the receiver's clock, if it
    /// did.
    pub fn handle_report(
        &mut self,
        now: Time,
        report: impl Iterator<Item = (u64, Option<Duration>)>,
    ) {
        self.remember(now);
        let mut newest = None;
        let mut least = None::<i64>;
        let mut bytes = 0;
        let mut flight = 0;
        let mut last_arrival = None::<Duration>;
        for (number, arrived) in report {
            let Some(at) = number.checked_sub(self.first) else { continue };
            let Some(&packet) = self.packets.get(at as usize) else { continue };
            if packet.state == State::Gone {
                continue;
            }
            self.land(at as usize, arrived.is_some());
            self.recent.0 += 1;
            self.recent.1 += u32::from(arrived.is_none());
            newest = Some((at as usize, packet.sent));
            let Some(arrived) = arrived else { continue };
            let delay = arrived.as_micros() as i64 - packet.sent.as_micros() as i64;
            self.shortest.handle(delay);
            let queue = delay - self.shortest.get().unwrap_or(delay);
            if least.is_none_or(|least| queue < least) {
                (least, flight) = (Some(queue), packet.flight);
            }
            bytes += u64::from(packet.bytes);
            last_arrival = last_arrival.max(Some(arrived));
            self.follow_burst(number, packet, arrived);
        }
        let Some((newest, sent)) = newest else { return };
        // What was never reported on, as reports get lost too.
        self.lose(newest);
        self.forget(newest.saturating_sub(MOST_PACKETS / 4));
        if let Some(before) = self.reported.replace(now) {
            let interval = now.since(before).clamp(OFTENEST, SELDOMEST);
            self.interval = (self.interval * 7 + interval) / 8;
        }
        self.round_trip.handle(now.since(sent));
        self.stalls = 0;
        if let (Some(queue), Some(arrived)) = (least, last_arrival) {
            self.delivery.handle(bytes, arrived);
            self.queue = [queue, self.queue[0]];
            self.look_for_queue(now, flight);
        }
        self.look_for_loss(now);
    }

    /// When to call [`Congestion::handle_timeout`].
    pub fn poll_timeout(&self) -> Time {
        match self.reported {
            Some(since) if self.in_flight > 0 => since + self.patience(),
            _ => Time::NEVER,
        }
    }

    /// Nothing has been heard for long: what is in flight counts as lost. Reports get lost too, so that sending goes on, at
    /// half the rate, then a quarter.
    pub fn handle_timeout(&mut self, now: Time) {
        if now < self.poll_timeout() {
            return;
        }
        self.lose(self.packets.len());
        self.burst = None;
        self.stalls += 1;
    }

    fn patience(&self) -> Duration {
        let round_trip = self.round_trip.get().unwrap_or(Duration::from_millis(500));
        round_trip + 2 * self.interval.max(2 * OFTENEST)
    }

    /// A packet is no longer in flight.
    fn land(&mut self, at: usize, arrived: bool) {
        let packet = &mut self.packets[at];
        let state = if arrived { State::Gone } else { State::Missing };
        if std::mem::replace(&mut packet.state, state) == State::InFlight {
            self.in_flight -= u64::from(packet.bytes);
        }
    }

    /// The oldest `count` packets are no longer in flight.
    fn lose(&mut self, count: usize) {
        for at in 0..count {
            if self.packets[at].state == State::InFlight {
                self.land(at, false);
            }
        }
    }

    fn forget(&mut self, count: usize) {
        for packet in self.packets.drain(..count) {
            if packet.state == State::InFlight {
                self.in_flight -= u64::from(packet.bytes);
            }
        }
        self.first += count as u64;
    }

    fn remember(&mut self, now: Time) {
        if now.since(self.remembered) >= MEMORY {
            self.remembered = now;
            self.shortest.age();
            self.round_trip.age();
        }
    }

    fn follow_burst(&mut self, number: u64, packet: Packet, arrived: Duration) {
        // Pacing spreads packets on a slow path.
        let close = CLOSE.max(self.pace().time_of(2 * u64::from(packet.bytes)));
        if let Some(burst) = &mut self.burst {
            if packet.sent.since(burst.sent) <= close && burst.packets < LONGEST {
                if number == burst.number + 1 {
                    burst.pairs += 1;
                    burst.bytes += u64::from(packet.bytes);
                    burst.left += packet.sent.since(burst.sent).as_micros() as i64;
                    burst.came += arrived.as_micros() as i64 - burst.arrived.as_micros() as i64;
                }
                (burst.number, burst.sent, burst.arrived) = (number, packet.sent, arrived);
                burst.packets += 1;
                return;
            }
            let burst = *burst;
            self.measure(burst);
        }
        let (sent, packets) = (packet.sent, 1);
        self.burst =
            Some(Burst { number, sent, arrived, packets, pairs: 0, bytes: 0, left: 0, came: 0 });
    }

    fn measure(&mut self, Burst { pairs, bytes, left, came, .. }: Burst) {
        if pairs < TELLING {
            return;
        }
        let took = Duration::from_micros(left.max(came).max(500) as u64);
        let (rate, before) = (Bitrate::of(bytes, took).as_bps(), self.estimate.as_bps());
        let weight = |full: Duration| (took.as_secs_f64() / full.as_secs_f64()).min(1.0);
        if rate >= before {
            let step = (rate - before) as f64 * weight(PROMISING);
            self.set(Bitrate::bps(before + step as u64));
        } else if came > left + left / 8 + 1_000 {
            // It was held up. A short burst may have met with jitter.
            let step = (before - rate) as f64 * weight(CONVINCING);
            self.set(Bitrate::bps(before - step as u64));
        }
    }

    /// `flight` is what was in flight with the packet that found the shortest queue.
    fn look_for_queue(&mut self, now: Time, flight: u64) {
        let queue = Duration::from_micros(self.queue[0].min(self.queue[1]).max(0) as u64);
        if queue < STANDING {
            self.standing_since = None;
            return;
        }
        let since = *self.standing_since.get_or_insert(now);
        if now.since(since) >= DOUBT {
            let shortest = self.shortest.get().unwrap_or_default();
            self.shortest = Least([Some(shortest + queue.as_micros() as i64), None]);
            self.standing_since = None;
            return;
        }
        // Little in flight makes no queue.
        let ours = flight * 2 >= self.window();
        let answered = now.since(self.lowered) >= self.round_trip.get().unwrap_or_default();
        if let Some(delivered) = self.delivery.rate().filter(|_| ours && answered) {
            self.lowered = now;
            self.set(self.estimate.min(delivered));
        }
    }

    fn look_for_loss(&mut self, now: Time) {
        let (reported, lost) = self.recent;
        if reported < JUDGED {
            return;
        }
        self.recent = (0, 0);
        if lost * LOST >= reported
            && let Some(delivered) = self.delivery.rate()
        {
            self.lowered = now;
            self.set(self.estimate.min(delivered));
        }
    }

    fn set(&mut self, estimate: Bitrate) {
        self.estimate = estimate.clamp(SLOWEST, FASTEST);
    }
}

impl<T: Copy + Ord> Least<T> {
    fn handle(&mut self, value: T) {
        let Least([this, _]) = self;
        *this = Some(this.map_or(value, |least| least.min(value)));
    }

    /// Begins anew.
    fn age(&mut self) {
        let Least([this, _]) = *self;
        self.0 = [None, this];
    }

    fn get(&self) -> Option<T> {
        self.0.into_iter().flatten().min()
    }
}

impl Delivery {
    fn handle(&mut self, bytes: u64, arrived: Duration) {
        if let Some(before) = self.latest {
            let span = arrived.saturating_sub(before);
            self.reports = [(bytes, span), self.reports[0], self.reports[1]];
        }
        self.latest = self.latest.max(Some(arrived));
    }

    /// None while too little time is known.
    fn rate(&self) -> Option<Bitrate> {
        let (mut bytes, mut span) = (0, Duration::ZERO);
        for (more, longer) in self.reports {
            (bytes, span) = (bytes + more, span + longer);
            if span >= Duration::from_millis(100) {
                break;
            }
        }
        (span >= OFTENEST).then(|| Bitrate::of(bytes, span))
    }
}
