//! The arithmetic coder and its contexts (ITU-T H.264, clause 9.3).

use super::bits::{self, Bits};
use super::contexts::{AFTER, CODED, COUNT, INTER, INTRA, RANGE};

/// Contexts that each component has of its own, from [`CODED`] on; those of U and V start like those of Y.
pub(super) const RESIDUAL: usize = COUNT - CODED;
const STATES: usize = COUNT + 2 * RESIDUAL;

/// Codes decisions, each in a context that learns how likely it is.
#[derive(Debug)]
pub(super) struct Coder<'a> {
    bits: &'a mut Bits,
    interval: Interval,
    /// pStateIdx, and valMPS in the lowest bit.
    states: [u8; STATES],
}

#[derive(Clone, Copy, Debug)]
struct Interval {
    /// codILow, with the bits before it that are not written yet and the carry above them.
    low: u64,
    /// codIRange.
    range: u32,
    /// How many of the bits before codILow there are beyond a word of 32; negative while the word is not full.
    beyond: i32,
    /// Words of ones that wait for whether a carry comes.
    waiting: usize,
}

/// A place that writing may return to.
#[derive(Debug)]
pub(super) struct Mark {
    bits: bits::Mark,
    /// A carry may still go into it.
    last: u32,
    interval: Interval,
    states: [u8; STATES],
}

impl Interval {
    /// Clause 9.3.4.1; the first of the bits is not written.
    const START: Interval = Interval { low: 0, range: 510, beyond: -33, waiting: 0 };
}

impl<'a> Coder<'a> {
    /// For a slice of `quantizer` whose header is written.
    pub(super) fn new(bits: &'a mut Bits, inter: bool, quantizer: u8) -> Coder<'a> {
        bits.align_ones();
        let starts = if inter { &INTER } else { &INTRA };
        let mut states = [0; STATES];
        for (state, (m, n)) in states.iter_mut().zip(starts) {
            let likely = ((i32::from(*m) * i32::from(quantizer)) >> 4) + i32::from(*n);
            *state = match likely.clamp(1, 126) {
                likely @ 64.. => (likely - 64) << 1 | 1,
                likely => (63 - likely) << 1,
            } as u8;
        }
        states.copy_within(CODED..COUNT, COUNT);
        states.copy_within(CODED..COUNT, COUNT + RESIDUAL);
        Coder { bits, interval: Interval::START, states }
    }

    /// A decision in a context.
    #[inline(always)]
    pub(super) fn put(&mut self, context: usize, bin: bool) {
        let state = &mut self.states[context];
        let interval = &mut self.interval;
        let index = usize::from(*state >> 1);
        let unlikely = u32::from(RANGE[index & 63][(interval.range >> 6) as usize & 3]);
        interval.range -= unlikely;
        if bin == (*state & 1 == 1) {
            *state += if index < 62 { 2 } else { 0 };
        } else {
            interval.low += u64::from(interval.range);
            interval.range = unlikely;
            // Where both are as likely, the other one is the likelier from now on.
            *state = AFTER[index & 63] << 1 | (*state & 1) ^ u8::from(index == 0);
        }
        self.normalize();
    }

    /// A decision that is as likely as not.
    #[inline(always)]
    pub(super) fn bypass(&mut self, bin: bool) {
        self.interval.low <<= 1;
        self.interval.low += if bin { u64::from(self.interval.range) } else { 0 };
        self.interval.beyond += 1;
        self.emit();
    }

    /// Exp-Golomb of order `order`, each bit as likely as not (clause 9.3.2.3).
    pub(super) fn golomb(&mut self, mut value: u32, mut order: u32) {
        while value >> order > 0 {
            self.bypass(true);
            value -= 1 << order;
            order += 1;
        }
        self.bypass(false);
        for bit in (0..order).rev() {
            self.bypass(value >> bit & 1 == 1);
        }
    }

    /// That the slice goes on, or that a macroblock is none that is not compressed.
    #[inline(always)]
    pub(super) fn go_on(&mut self) {
        self.interval.range -= 2;
        self.normalize();
    }

    /// The opposite, after which whole bytes follow or nothing; [`Coder::restart`] goes on.
    pub(super) fn end(&mut self) {
        let interval = &mut self.interval;
        interval.low += u64::from(interval.range - 2);
        interval.range = 2;
        self.normalize();
        // What was the end of the payload is what a decoder has read ahead.
        let Interval { low, beyond, waiting, .. } = self.interval;
        let rest = low >> 7 | 1;
        let length = (beyond + 35) as u32;
        self.settle(rest >> length > 0, waiting);
        let high = length.saturating_sub(32);
        self.bits.put((rest >> 32) as u32 & ((1 << high) - 1), high);
        self.bits.put((rest & ((1 << (length - high)) - 1)) as u32, length - high);
        self.bits.align();
        self.interval = Interval::START;
    }

    /// Bytes as they are, after [`Coder::end`].
    pub(super) fn put_bytes(&mut self, bytes: impl Iterator<Item = u8>) {
        bytes.for_each(|byte| self.bits.put(u32::from(byte), 8));
        self.bits.align();
    }

    pub(super) fn len(&self) -> usize {
        self.bits.len() + self.interval.waiting * 32 + (self.interval.beyond + 33) as usize
    }

    pub(super) fn mark(&self) -> Mark {
        Mark {
            bits: self.bits.mark(),
            last: self.bits.last(),
            interval: self.interval,
            states: self.states,
        }
    }

    pub(super) fn rewind(&mut self, mark: Mark) {
        self.bits.rewind(mark.bits);
        self.bits.set_last(mark.last);
        (self.interval, self.states) = (mark.interval, mark.states);
    }

    #[inline(always)]
    fn normalize(&mut self) {
        let shift = self.interval.range.leading_zeros() - 23;
        self.interval.range <<= shift;
        self.interval.low <<= shift;
        self.interval.beyond += shift as i32;
        self.emit();
    }

    /// Hands a word on once it is full.
    #[inline(always)]
    fn emit(&mut self) {
        if self.interval.beyond >= 0 {
            self.emit_word();
        }
    }

    #[inline(never)]
    fn emit_word(&mut self) {
        let interval = &mut self.interval;
        let word = interval.low >> (interval.beyond + 10);
        interval.low &= (0x400 << interval.beyond) - 1;
        interval.beyond -= 32;
        if word as u32 == u32::MAX {
            interval.waiting += 1;
            return;
        }
        let waiting = std::mem::take(&mut interval.waiting);
        self.settle(word >> 32 > 0, waiting);
        self.bits.put(word as u32, 32);
    }

    /// Writes the words that waited for whether there is a carry. The first bit of a payload never has one.
    fn settle(&mut self, carry: bool, waiting: usize) {
        if carry {
            self.bits.set_last(self.bits.last() + 1);
        }
        (0..waiting).for_each(|_| self.bits.put(if carry { 0 } else { u32::MAX }, 32));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    /// Reads what [`Coder`] wrote, by the decoding process of clause 9.3.3.2.
    struct Reader<'a> {
        bytes: &'a [u8],
        at: usize,
        range: u32,
        offset: u32,
        states: [u8; STATES],
    }

    impl<'a> Reader<'a> {
        fn new(bytes: &'a [u8], states: [u8; STATES]) -> Reader<'a> {
            let mut reader = Reader { bytes, at: 0, range: 510, offset: 0, states };
            reader.offset = (0..9).fold(0, |offset, _| offset << 1 | reader.bit());
            reader
        }

        fn bit(&mut self) -> u32 {
            let bit = u32::from(self.bytes[self.at / 8] >> (7 - self.at % 8) & 1);
            self.at += 1;
            bit
        }

        fn normalize(&mut self) {
            while self.range < 256 {
                self.range <<= 1;
                self.offset = self.offset << 1 | self.bit();
            }
        }

        fn decision(&mut self, context: usize) -> bool {
            let state = self.states[context];
            let (index, likely) = (usize::from(state >> 1), state & 1 == 1);
            let unlikely = u32::from(RANGE[index][(self.range >> 6) as usize & 3]);
            self.range -= unlikely;
            let (bin, index, mps) = if self.offset >= self.range {
                self.offset -= self.range;
                self.range = unlikely;
                (!likely, AFTER[index], likely ^ (index == 0))
            } else {
                (likely, (index as u8 + 1).min(62), likely)
            };
            self.states[context] = index << 1 | u8::from(mps);
            self.normalize();
            bin
        }

        fn bypass(&mut self) -> bool {
            self.offset = self.offset << 1 | self.bit();
            let bin = self.offset >= self.range;
            self.offset -= if bin { self.range } else { 0 };
            bin
        }

        fn ends(&mut self) -> bool {
            self.range -= 2;
            let bin = self.offset >= self.range;
            if !bin {
                self.normalize();
            }
            bin
        }

        fn golomb(&mut self, mut order: u32) -> u32 {
            let mut value = 0;
            while self.bypass() {
                value += 1 << order;
                order += 1;
            }
            value + (0..order).fold(0, |rest, _| rest << 1 | u32::from(self.bypass()))
        }
    }

    #[derive(Clone, Copy)]
    enum Put {
        Decision(usize, bool),
        Bypass(bool),
        Golomb(u32, u32),
        GoOn,
    }

    fn put(coder: &mut Coder<'_>, what: Put) {
        match what {
            Put::Decision(context, bin) => coder.put(context, bin),
            Put::Bypass(bin) => coder.bypass(bin),
            Put::Golomb(value, order) => coder.golomb(value, order),
            Put::GoOn => coder.go_on(),
        }
    }

    fn any(random: &mut Random, bias: u32) -> Put {
        match random.below(8) {
            0 => Put::Bypass(random.below(2) == 0),
            1 => {
                let (size, order) = (random.below(12), random.below(2) * 3);
                Put::Golomb(random.below(1 << size), order)
            }
            2 => Put::GoOn,
            _ => Put::Decision(random.below(8) as usize * 50, random.below(100) < bias),
        }
    }

    #[test]
    fn what_is_written_can_be_read() {
        let mut random = Random(11);
        for round in 0..2_000 {
            let (quantizer, inter) = (random.below(52) as u8, random.below(2) == 0);
            // Nearly always the same makes carries run through many bytes.
            let bias = [0, 1, 50, 99, 100][random.below(5) as usize];
            let all: Vec<Put> = (0..random.below(400)).map(|_| any(&mut random, bias)).collect();
            let mut bits = Bits::default();
            bits.put(5, 3);
            let mut coder = Coder::new(&mut bits, inter, quantizer);
            let states = coder.states;
            for (at, what) in all.iter().enumerate() {
                if random.below(8) == 0 {
                    // What is written between must leave no trace, whatever it carried into.
                    let (mark, length) = (coder.mark(), coder.len());
                    (0..random.below(60)).for_each(|_| put(&mut coder, any(&mut random, bias)));
                    if random.below(4) == 0 {
                        coder.end();
                    }
                    coder.rewind(mark);
                    assert_eq!(coder.len(), length);
                }
                put(&mut coder, *what);
                assert!(coder.len() >= 8, "{at}");
            }
            coder.end();
            coder.put_bytes([1, 2, 3].into_iter());
            assert_eq!(bits.bytes()[0], 0b1011_1111);
            let mut reader = Reader::new(&bits.bytes()[1..], states);
            for (at, what) in all.iter().enumerate() {
                let same = match *what {
                    Put::Decision(context, bin) => reader.decision(context) == bin,
                    Put::Bypass(bin) => reader.bypass() == bin,
                    Put::Golomb(value, order) => reader.golomb(order) == value,
                    Put::GoOn => !reader.ends(),
                };
                assert!(same, "round {round}, {at} of {}", all.len());
            }
            assert!(reader.ends());
            // The last bit that the decoder has read is the one that ends the payload (clause 9.3.1.2).
            reader.at -= 1;
            assert_eq!(reader.bit(), 1, "round {round}: rbsp_stop_one_bit");
            let rest = &bits.bytes()[1 + reader.at.div_ceil(8)..];
            assert_eq!(rest, [1, 2, 3], "round {round}");
        }
    }
}
