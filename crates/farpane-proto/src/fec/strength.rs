//! How much parity is worth sending, from what got lost lately.

use std::time::Duration;

use super::Copies;

/// What is remembered: half of it is forgotten each time that so many packets were heard of.
const MEMORY: f64 = 1_000.0;
/// The same for what was sent, in bytes of pictures.
const SENT_MEMORY: f64 = 2_000_000.0;
/// With fewer lost, the share of them says nothing.
const LEAST_LOST: f64 = 3.0;
/// Of packets that are lost, below which a path counts as clean.
const CLEAN: f64 = 0.005;
/// When a repeat comes so soon, as many as that may be lost before parity is worth its bytes.
const SOON: Duration = Duration::from_millis(50);
const SOON_ENOUGH: f64 = 0.03;
/// Bytes of parity for each byte that is lost, at most.
const PRICE: f64 = 1.3;
/// Lost in a row on average, from where on a single copy may well be lost with its packet.
const SEVERAL: f64 = 2.0;
/// Beside what it protects: its header, and those of RTP.
const HEADERS: usize = 48;

/// See the module. On a path that loses nothing it asks for nothing.
#[derive(Debug, Default)]
pub struct Strength {
    /// All below this were heard of.
    next: u64,
    /// Packets, those that were lost, and how often some were in a row; older ones count less.
    heard: f64,
    lost: f64,
    runs: f64,
    losing: bool,
    /// Bytes of parity that may be sent.
    credit: f64,
    /// Bytes that were sent; older ones count less.
    pictures: f64,
    parity: f64,
}

impl Strength {
    /// The viewer says whether the packet of this transport-wide number came.
    pub fn handle_fate(&mut self, number: u64, arrived: bool) {
        if number < self.next {
            return;
        }
        self.next = number + 1;
        self.heard += 1.0;
        if !arrived {
            self.lost += 1.0;
            self.runs += f64::from(u8::from(!self.losing));
        }
        self.losing = !arrived;
        if self.heard >= MEMORY {
            [self.heard, self.lost, self.runs] =
                [self.heard, self.lost, self.runs].map(|count| count / 2.0);
        }
    }

    /// Whether parity is worth anything on a path with this round trip, which a repeat takes.
    pub fn is_worth(&self, rtt: Duration) -> bool {
        let loss = self.loss();
        let enough = if rtt < SOON { SOON_ENOUGH } else { CLEAN };
        self.lost >= LEAST_LOST && loss >= enough
    }

    /// How many copies of the packets of a small picture are worth sending, on such a path.
    pub fn copies(&self, rtt: Duration) -> usize {
        match self.is_worth(rtt) {
            false => 0,
            true if self.run() < SEVERAL => 1,
            true => Copies::MOST,
        }
    }

    /// A packet of pictures was sent, of so many bytes.
    pub fn handle_sent(&mut self, bytes: usize) {
        self.credit += bytes as f64 * self.loss() * PRICE;
        self.pictures += bytes as f64;
        if self.pictures >= SENT_MEMORY {
            [self.pictures, self.parity] = [self.pictures / 2.0, self.parity / 2.0];
        }
    }

    /// How many parity packets to send now for the last `packets`, the longest of which has so many bytes. Below the length
    /// of the usual loss in a row they would make good none of it; then their bytes are kept for later.
    pub fn poll_parity(&mut self, packets: usize, longest: usize) -> usize {
        let bytes = (longest + HEADERS) as f64;
        let count = ((self.credit / bytes) as usize).min(packets);
        let run = self.run().round().max(1.0);
        if (count as f64) < run {
            self.credit = self.credit.min(run * bytes);
            return 0;
        }
        self.credit -= count as f64 * bytes;
        self.parity += count as f64 * bytes;
        count
    }

    /// Bytes of parity for each byte of pictures lately.
    pub fn share(&self) -> f64 {
        self.parity / self.pictures.max(1.0)
    }

    /// The share of packets that are lost.
    fn loss(&self) -> f64 {
        self.lost / self.heard.max(1.0)
    }

    /// How many are lost in a row, on average.
    fn run(&self) -> f64 {
        self.lost / self.runs.max(1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAR: Duration = Duration::from_millis(120);
    const NEAR: Duration = Duration::from_millis(20);

    /// Of each `of` packets the first `run` are lost.
    fn strength(run: u64, of: u64) -> Strength {
        let mut strength = Strength::default();
        (0..20_000).for_each(|number| strength.handle_fate(number, number % of >= run));
        strength
    }

    /// What is sent for a picture of so many packets.
    fn parity(strength: &mut Strength, packets: usize) -> usize {
        (0..packets).for_each(|_| strength.handle_sent(1_200));
        strength.poll_parity(40, 1_200)
    }

    #[test]
    fn a_clean_path_and_one_that_repeats_soon_get_none() {
        assert!(!Strength::default().is_worth(FAR));
        assert!(!strength(0, 1).is_worth(FAR));
        assert!(!strength(1, 400).is_worth(FAR));
        assert!(!strength(1, 50).is_worth(NEAR));
        assert!(strength(1, 50).is_worth(FAR));
        assert!(strength(1, 10).is_worth(NEAR));
    }

    #[test]
    fn where_losses_come_in_runs_one_copy_is_not_enough() {
        assert_eq!(strength(0, 1).copies(FAR), 0);
        assert_eq!(strength(1, 50).copies(NEAR), 0);
        assert_eq!(strength(1, 50).copies(FAR), 1);
        assert_eq!(strength(4, 50).copies(FAR), Copies::MOST);
    }

    #[test]
    fn what_was_lost_long_ago_is_forgotten() {
        let mut strength = strength(1, 10);
        (20_000..26_000).for_each(|number| strength.handle_fate(number, true));
        assert!(!strength.is_worth(FAR));
        // What is said twice counts once.
        (0..6_000).for_each(|number| strength.handle_fate(number, false));
        assert!(!strength.is_worth(FAR));
    }

    #[test]
    fn parity_is_about_what_is_lost_whatever_the_pictures() {
        for packets in [1, 5, 40, 109] {
            let mut strength = strength(1, 20);
            let sent: usize = (0..1_000).map(|_| parity(&mut strength, packets)).sum();
            let share = sent as f64 / (1_000 * packets) as f64;
            assert!(share > 0.05 && share <= 0.05 * PRICE, "{share} for {packets} packets");
            assert!((strength.share() - share).abs() < 0.01, "{}", strength.share());
        }
    }

    #[test]
    fn there_is_enough_for_a_usual_loss_in_a_row_or_nothing() {
        let mut strength = strength(6, 100);
        let counts: Vec<usize> = (0..100).map(|_| parity(&mut strength, 30)).collect();
        assert!(counts.contains(&0));
        assert!(counts.iter().all(|count| *count == 0 || (6..=8).contains(count)), "{counts:?}");
    }
}
