//! Our own H.264 encoder for screens: constrained baseline or High 4:4:4 Predictive, and cost that follows change.
//!
//! A picture is planned first, by comparing sources: what stands still is left out of the stream, what moved as a whole
//! is a vector, and only the rest is predicted, transformed and coded, in slices on as many threads as it is worth. What
//! the viewer has coarsely is coded again, finer, once the picture rests.
//!
//! Bits are variable-length codes where nearly all is left out and in 4:2:0, else arithmetic ones ([`entropy`]).
//!
//! No loop filter: it blurs text beyond repair. One reference picture, vectors of whole samples that stay inside it. A
//! viewer who lacks that picture gets one from a kept picture ([`crate::kept`]): what differs from it is intra-coded.

mod arithmetic;
mod bits;
mod cabac;
mod cavlc;
mod codes;
mod contexts;
#[allow(unsafe_code)]
mod crew;
mod entropy;
mod headers;
mod intra;
mod macroblock;
mod motion;
pub(crate) mod moves;
mod samples;
mod slice;
mod transform;
mod variable;

use std::ops::Range;

use farpane_media::{Bitrate, Region, Time};
use farpane_pixel::convert::{Chroma, Planes};

use crate::h264::{BLOCK, Format};
use crate::kept::Kept;
use crate::rate::{Choice, Coarse, Fresh, Rate};
use crate::sharpen::Sharpener;
use crate::source::Source;
use crate::{AccessUnit, EncodeError, Output, Picture, Request, Slot};
use arithmetic::Arithmetic;
use bits::Bits;
use crew::Crew;
use headers::{Coding, LongTerm, PictureHeader};
use macroblock::Quantization;
use motion::Reference;
pub(crate) use motion::Vector;
use slice::{Part, Plan, Shared};
use variable::Variable;

/// More threads than this cost more than they gain.
const MAX_THREADS: usize = 8;
/// The cost of coding a macroblock; keeping one costs 1.
const CODE: usize = 64;
/// Slices for each thread of a picture that keeps all of them busy.
const SLICES: usize = 2;
/// What waking a thread is worth, in macroblocks coded.
const WORTH_A_THREAD: usize = 24;
/// Arithmetic codes are shorter where one in so many macroblocks is coded: what changes may be a clock's digits, and then
/// what is left out takes more than they gain.
const WORTH_ARITHMETIC: u64 = 512;
/// They take coder and viewer some 10 ns a bit together, and spare one bit in seven: where one in so many macroblocks is new
/// at once, and the link is that fast, the picture is there sooner without.
const LARGE: u64 = 4;
const FAST: Bitrate = Bitrate::mbps(12);
/// What one thread codes of a picture.
type Share<'a> = [Option<(Part<'a>, &'a mut Bits)>; SLICES];

/// See the module.
pub(crate) struct Screen {
    format: Format,
    source: Source,
    /// The picture that the viewer has, by `shown`, and the one before.
    references: [Reference; 2],
    shown: usize,
    /// Which macroblocks of the two differ.
    stale: Vec<bool>,
    /// The quantizer of each macroblock that the viewer has, likewise.
    quantizers: [Vec<u8>; 2],
    sharpener: Sharpener,
    plans: Vec<Plan>,
    /// Where the last picture differs from the one before.
    redrawn: Region,
    displacements: Vec<Vector>,
    key_frames: u32,
    /// Since the last key frame; none before the first.
    number: Option<u32>,
    kept: Kept,
    /// Where the viewer has the picture coded last.
    place: Option<LongTerm>,
    crew: Crew,
    /// The work in each row of macroblocks, and the rows of each slice.
    work: Vec<usize>,
    cuts: Vec<Range<usize>>,
    /// As many as there may be; those of the last picture come first, one for each of `cuts`.
    slices: Vec<Bits>,
    stream: Vec<u8>,
    units: Vec<Range<usize>>,
}

impl Screen {
    pub(crate) fn new(format: Format) -> Screen {
        let (size, blocks) = (format.size, format.width * format.height);
        Screen {
            format,
            source: Source::new(size, format.chroma),
            references: [0, 1].map(|_| Reference::new(format.width, format.height, format.chroma)),
            shown: 0,
            stale: vec![true; blocks],
            quantizers: [0, 1].map(|_| vec![0; blocks]),
            sharpener: Sharpener::new(format.width, format.height, 1),
            plans: vec![Plan::Keep; blocks],
            redrawn: Region::new(),
            displacements: Vec::with_capacity(moves::MOST),
            key_frames: 0,
            number: None,
            kept: Kept::new(blocks),
            place: None,
            crew: Crew::default(),
            work: Vec::with_capacity(format.height),
            cuts: Vec::with_capacity(MAX_THREADS * SLICES),
            slices: (0..MAX_THREADS * SLICES).map(|_| Bits::default()).collect(),
            stream: Vec::new(),
            units: Vec::with_capacity(MAX_THREADS * SLICES + 3),
        }
    }

    /// The picture as it is now.
    pub(crate) fn planes(&self) -> &Planes {
        self.source.now()
    }

    /// Goes on from a picture that another encoder has coded; the next one has to be a key frame.
    pub(crate) fn adopt(&mut self, planes: &Planes) {
        self.source.adopt(planes);
    }

    /// See [`crate::Encoder::update`].
    pub(crate) fn update(&mut self, picture: Picture<'_>) {
        self.source.update(picture);
    }

    /// See [`Kept::missing`].
    pub(crate) fn missing(&self, from: Option<Slot>) -> u64 {
        self.kept.missing(from)
    }

    /// See [`crate::Encoder::encode`]; returns how many macroblocks were new as well.
    pub(crate) fn encode(
        &mut self,
        request: &Request,
        rate: &mut Rate,
    ) -> Result<(Output<'_>, u64), EncodeError> {
        if !self.source.is_seen() {
            return Err(EncodeError::NoPicture);
        }
        let lost = request.from.is_some_and(|slot| !self.kept.holds(slot));
        let key_frame = request.key_frame || self.number.is_none() || lost;
        let from = request.from.filter(|_| !key_frame);
        let restless = self.plan(key_frame, request.now);
        let coded =
            |plans: &[Plan]| plans.iter().filter(|plan| **plan == Plan::Code).count() as u64;
        let new = coded(&self.plans);
        from.into_iter().for_each(|slot| self.plan_from(slot));
        let changed = coded(&self.plans);
        let moved = self.plans.iter().filter(|plan| matches!(plan, Plan::Move(_))).count() as u64;
        self.sharpener.handle_moves(moved, request.now);
        self.kept.handle_moves(moved);
        let coarse = match from {
            None => self.sharpener.coarse(&self.quantizers[self.shown], request.now),
            // It is late as it is.
            Some(_) => Coarse::default(),
        };
        let choose = |rate: &mut Rate, coarse: Coarse| {
            let fresh = Fresh { blocks: changed, restless };
            rate.choose(request.now, request.bitrate, fresh, coarse, key_frame)
        };
        let Choice { mut quantizer, sharpen } = choose(rate, coarse);
        let sharpened = if sharpen > 0 { self.sharpen(quantizer, sharpen, request.now) } else { 0 };
        let number = if key_frame { 0 } else { self.number.map_or(0, |number| number + 1) };
        self.key_frames += u32::from(key_frame);
        // Far from the ones that OpenH264 counts up from 0, as two key frames in a row must differ (clause 7.4.3).
        let id = key_frame.then_some(0x8000 + self.key_frames % 2);
        let refers = from.map(LongTerm::of).or(self.place);
        let becomes = self.format.keeps.then(|| LongTerm::new(number, request.keep));
        let (becomes, kept) = becomes.unzip();
        let kept = kept.flatten();
        let coding = self.coding(changed + sharpened, request.bitrate);
        let mut header =
            PictureHeader { key_frame: id, number, quantizer, coding, refers, becomes };
        let inter = !key_frame && from.is_none();
        self.code(header, inter);
        if sharpen == 0 && rate.is_oversize(quantizer, self.size()) {
            quantizer = choose(rate, Coarse::default()).quantizer.max(quantizer);
            header.quantizer = quantizer;
            self.code(header, inter);
        }
        rate.coded(quantizer, self.size(), key_frame, sharpened);
        self.assemble(header);
        self.number = Some(number);
        self.kept.handle_coded(key_frame, self.plans.iter().map(|plan| *plan != Plan::Keep));
        kept.into_iter().for_each(|slot| self.kept.keep(slot));
        self.place = becomes;
        self.shown = 1 - self.shown;
        self.source.handle_coded();
        self.outline();
        let quantizers = &self.quantizers[self.shown];
        let unit = AccessUnit {
            data: &self.stream,
            units: &self.units,
            key_frame,
            from,
            kept,
            discardable: false,
            quantizer: quantizers.iter().copied().max(),
            again: self.sharpener.due(quantizers).map(|due| due.max(rate.free())),
            film: false,
            // One from a kept picture is to be drawn over any that came after that.
            changed: inter.then_some(&self.redrawn),
        };
        Ok((Output::AccessUnit(unit), new))
    }

    /// Finds what changed, and how. Returns how many macroblocks do all the time.
    fn plan(&mut self, key_frame: bool, now: Time) -> u64 {
        if key_frame {
            self.plans.fill(Plan::Code);
            (0..self.plans.len()).for_each(|block| _ = self.sharpener.handle_change(block, now));
            return 0;
        }
        self.plans.fill(Plan::Keep);
        let mut restless = 0;
        self.source.find_changes(&mut self.displacements, |block, displacement| {
            if let Some(to) = displacement {
                self.plans[block] = Plan::Move(to as u8);
                self.sharpener.handle_move(block, now);
            } else {
                self.plans[block] = Plan::Code;
                restless += u64::from(self.sharpener.handle_change(block, now));
            }
        });
        restless
    }

    /// Plans to code whatever differs from the picture in `slot`, of which no samples are left to predict it from.
    fn plan_from(&mut self, slot: Slot) {
        for (block, plan) in self.plans.iter_mut().enumerate() {
            if *plan != Plan::Keep || self.kept.differs(block, slot) {
                *plan = Plan::Code;
            }
        }
    }

    /// Plans to code again about `most` blocks that gain by it; returns how many.
    fn sharpen(&mut self, quantizer: u8, most: u64, now: Time) -> u64 {
        let (plans, quantizers) = (&mut self.plans, &self.quantizers[self.shown]);
        // What is new as well does not rest.
        self.sharpener.select(quantizers, quantizer, now, most, |block| {
            plans[block] = Plan::Code;
            true
        })
    }

    /// How a picture with so many macroblocks coded is there the soonest. Baseline decoders know no arithmetic codes.
    fn coding(&self, coded: u64, bitrate: Bitrate) -> Coding {
        let blocks = self.format.blocks();
        let worth = coded * WORTH_ARITHMETIC >= blocks;
        let late = coded * LARGE >= blocks && bitrate >= FAST;
        if self.format.chroma == Chroma::Yuv444 && worth && !late {
            Coding::Arithmetic
        } else {
            Coding::Variable
        }
    }

    /// Codes the picture as planned into `slices`; what is coded may refer to the last picture if it is `inter`.
    fn code(&mut self, header: PictureHeader, inter: bool) {
        let [first, second] = &mut self.references;
        let (reference, out) = if self.shown == 0 { (&*first, second) } else { (&*second, first) };
        let [first, second] = &mut self.quantizers;
        let (before, after) = if self.shown == 0 { (&*first, second) } else { (&*second, first) };
        let quantization = Quantization::new(header.quantizer);
        let shared = Shared {
            source: self.source.now(),
            reference: header.key_frame.is_none().then_some(reference),
            inter,
            width: self.format.width,
            displacements: &self.displacements,
            quantization: &quantization,
            before,
        };
        let threads = (self.format.threads as usize).min(MAX_THREADS);
        cut(&self.plans, self.format.width, threads, &mut self.work, &mut self.cuts);
        // The dense half of a page takes longer than the empty one, so threads take turns down the picture.
        let mut shares: [Share<'_>; MAX_THREADS] = Default::default();
        let areas = motion::areas(self.format.chroma);
        let mut planes = out.planes.each_mut().map(Vec::as_mut_slice);
        let (mut stale, mut quantizers) = (&mut self.stale[..], &mut after[..]);
        for ((at, rows), bits) in self.cuts.iter().enumerate().zip(&mut self.slices) {
            let (first, blocks) = (rows.start * self.format.width, rows.len() * self.format.width);
            bits.clear();
            header.write(bits, first);
            let part = Part {
                first_row: rows.start,
                plans: &self.plans[first..first + blocks],
                planes: std::array::from_fn(|at| cut_off(&mut planes[at], blocks * areas[at])),
                stale: cut_off(&mut stale, blocks),
                quantizers: cut_off(&mut quantizers, blocks),
            };
            shares[at % threads][at / threads] = Some((part, bits));
        }
        let (chroma, coding) = (self.format.chroma, header.coding);
        let refers = shared.reference.is_some();
        self.crew.share(&mut shares[..threads.min(self.cuts.len())], |share| {
            for (part, bits) in share.iter_mut().filter_map(Option::take) {
                match (chroma, coding) {
                    (Chroma::Yuv420, _) => {
                        slice::code::<1, _>(&shared, part, Variable::new(bits, refers));
                    }
                    (Chroma::Yuv444, Coding::Variable) => {
                        slice::code::<3, _>(&shared, part, Variable::new(bits, refers));
                    }
                    (Chroma::Yuv444, Coding::Arithmetic) => {
                        let entropy = Arithmetic::new(bits, refers, header.quantizer);
                        slice::code::<3, _>(&shared, part, entropy);
                    }
                }
            }
        });
    }

    /// Takes down what was not left out of the picture.
    fn outline(&mut self) {
        self.redrawn.clear();
        for (row, plans) in self.plans.chunks_exact(self.format.width).enumerate() {
            let runs = plans.chunk_by(|one, next| (*one == Plan::Keep) == (*next == Plan::Keep));
            let spans = runs.scan(0, |at, run| {
                let start = std::mem::replace(at, *at + run.len() as u32 * BLOCK);
                Some((run[0] != Plan::Keep).then_some(start..*at))
            });
            let mut spans = spans.flatten().peekable();
            if spans.peek().is_some() {
                self.redrawn.push_band(row as u32 * BLOCK, BLOCK, spans);
            }
        }
        self.redrawn.clip(self.format.coded);
    }

    /// Bytes of the slices together.
    fn size(&self) -> usize {
        self.slices[..self.cuts.len()].iter().map(|bits| bits.bytes().len()).sum()
    }

    /// Puts the slices, and for a key frame the parameter sets, into `stream`.
    fn assemble(&mut self, header: PictureHeader) {
        self.stream.clear();
        self.units.clear();
        let mut put = |kind: u8, payload: &[u8]| {
            let start = bits::nal(&mut self.stream, kind, payload);
            self.units.push(start..self.stream.len());
        };
        if header.key_frame.is_some() {
            let mut bits = Bits::default();
            headers::sequence(&mut bits, &self.format);
            put(0x67, bits.bytes());
            let codings = match self.format.chroma {
                Chroma::Yuv420 => &[Coding::Variable][..],
                Chroma::Yuv444 => &[Coding::Variable, Coding::Arithmetic],
            };
            for coding in codings {
                bits.clear();
                headers::picture(&mut bits, *coding);
                put(0x68, bits.bytes());
            }
        }
        for slice in &self.slices[..self.cuts.len()] {
            put(header.nal(), slice.bytes());
        }
    }
}

/// Takes the first `count` elements away from `rest`.
fn cut_off<'a, T>(rest: &mut &'a mut [T], count: usize) -> &'a mut [T] {
    rest.split_off_mut(..count).expect("the picture is as long as its slices together")
}

/// Shares the rows of a picture among slices of about equal work: one where little is to be done, [`SLICES`] for each
/// thread where much is. `rows` becomes the work in each row.
fn cut(
    plans: &[Plan],
    width: usize,
    threads: usize,
    rows: &mut Vec<usize>,
    cuts: &mut Vec<Range<usize>>,
) {
    let work = |plan: &Plan| match plan {
        Plan::Keep => 1,
        Plan::Move(_) => 6,
        Plan::Code => CODE,
    };
    rows.clear();
    rows.extend(plans.chunks_exact(width).map(|row| row.iter().map(work).sum::<usize>()));
    let total: usize = rows.iter().sum();
    let slices = match total / (CODE * WORTH_A_THREAD) {
        0 | 1 => 1,
        worth if worth < 32 * threads => threads.min(worth),
        _ if threads == 1 => 1,
        _ => threads * SLICES,
    };
    cuts.clear();
    let (mut start, mut done) = (0, 0);
    for (row, work) in rows.iter().enumerate() {
        done += work;
        if done * slices >= total * (cuts.len() + 1) && cuts.len() + 1 < slices {
            cuts.push(start..row + 1);
            start = row + 1;
        }
    }
    if start < rows.len() {
        cuts.push(start..rows.len());
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use farpane_media::{FrameBody, Rect, Region, Size, Time};

    use super::*;
    use crate::random::Random;
    use crate::{EncoderConfig, ffmpeg};

    fn any_rect(random: &mut Random, size: Size) -> Rect {
        let (x, y) = (random.below(size.width), random.below(size.height));
        let (w, h) = (1 + random.below(size.width - x), 1 + random.below(size.height - y));
        Rect::new(x, y, w, h)
    }

    /// Changes a part of the picture in one of the ways of desktops; returns it.
    fn change(frame: &mut FrameBody, random: &mut Random) -> Rect {
        let size = frame.size;
        let rect = any_rect(random, size);
        let kind = random.below(6);
        let colour = [0, 1, 2, 3].map(|_| random.below(256) as u8);
        let (dx, dy) = (random.below(40) as i32 - 20, random.below(80) as i32 - 40);
        let (dx, dy) = if random.below(2) == 0 { (dx, 0) } else { (0, dy) };
        let before = frame.pixels.clone();
        for y in rect.y..rect.bottom() {
            for x in rect.x..rect.right() {
                let at = y as usize * frame.stride + x as usize * 4;
                let pixel: [u8; 4] = match kind {
                    0 => colour,
                    // Letters, stripes and gradients.
                    1 => [if random.below(3) == 0 { 0 } else { 255 }; 4],
                    2 => [((x * 7) ^ (y / 3 * 31)) as u8, (x * 3) as u8, colour[0], 0],
                    3 => [(x + y) as u8, (2 * x) as u8, (3 * y) as u8, 0],
                    4 => [0, 1, 2, 3].map(|_| random.below(256) as u8),
                    _ => {
                        let (from_x, from_y) = (x as i32 + dx, y as i32 + dy);
                        if from_x < 0
                            || from_y < 0
                            || from_x >= size.width as i32
                            || from_y >= size.height as i32
                        {
                            continue;
                        }
                        let from = from_y as usize * frame.stride + from_x as usize * 4;
                        before[from..from + 4].try_into().unwrap()
                    }
                };
                frame.pixels[at..at + 4].copy_from_slice(&pixel);
            }
        }
        rect
    }

    /// Codes random changes of a small desktop; hands out each access unit that the viewer can show, with the picture that
    /// the encoder goes on from. Some are lost, and all after them until one that refers to a picture kept before.
    fn code_changes(
        seed: u64,
        chroma: Chroma,
        mut each: impl FnMut(&[u8], &Format, &Reference, Option<&Region>),
    ) {
        let mut random = Random(seed * 0x9E37_79B9);
        let size = Size::new(16 + random.below(300), 16 + random.below(200));
        let bitrate = Bitrate::kbps(200 << random.below(8));
        let threads = 1 + random.below(4);
        let config = EncoderConfig {
            size,
            chroma,
            bitrate,
            max_fps: 60,
            threads,
            keeps: random.below(3) > 0,
            layered: false,
        };
        let format = Format::new(&config).unwrap();
        let mut encoder = Screen::new(format);
        let mut rate = Rate::new(format.blocks(), format.max_fps);
        let stride = size.width as usize * 4;
        let pixels = vec![255; stride * size.height as usize];
        let mut frame = FrameBody { size, stride, pixels, ..FrameBody::default() };
        let mut now = Time::from_millis(1);
        // Where a picture is kept that the viewer has.
        let (mut safe, mut lost) = (None, false);
        for picture in 0..60 {
            let mut damage = Region::new();
            for _ in 0..random.below(3) {
                damage.union(&Region::from(change(&mut frame, &mut random)));
            }
            if picture == 0 || !damage.is_empty() {
                encoder.update(Picture { frame: &frame, damage: &damage });
            }
            now += Duration::from_millis(1 + u64::from(random.below(300)));
            let key_frame = random.below(12) == 0;
            let from = safe.filter(|_| lost && random.below(3) == 0);
            let keep = (random.below(4) == 0).then(|| safe.map_or(Slot::First, Slot::other));
            let request = Request { key_frame, bitrate, now, from, keep, ..Request::default() };
            let (Output::AccessUnit(unit), _) = encoder.encode(&request, &mut rate).unwrap() else {
                panic!("skipped")
            };
            assert_eq!(unit.from, from.filter(|_| !unit.key_frame));
            let (data, kept, changed) = (unit.data.to_vec(), unit.kept, unit.changed.cloned());
            if unit.key_frame || from.is_some() {
                lost = false;
            } else if safe.is_some() && random.below(6) == 0 {
                lost = true;
            }
            if unit.key_frame {
                safe = None;
            }
            if lost {
                continue;
            }
            safe = kept.or(safe);
            each(&data, &format, &encoder.references[encoder.shown], changed.as_ref());
        }
    }

    /// The visible samples of each plane.
    fn visible(format: &Format, reference: &Reference) -> [Vec<u8>; 3] {
        std::array::from_fn(|plane| {
            let factor = if plane == 0 { 1 } else { format.chroma.factor() as usize };
            let [width, height] =
                [format.coded.width, format.coded.height].map(|side| side as usize / factor);
            let rows = reference.planes[plane].chunks_exact(reference.width * 16 / factor);
            rows.take(height).flat_map(|row| &row[..width]).copied().collect()
        })
    }

    /// The viewer's picture is exactly the one that the encoder goes on from, whatever happens.
    #[cfg(feature = "openh264")]
    #[test]
    fn a_decoder_has_the_same_picture() {
        use openh264::decoder::Decoder;
        use openh264::formats::YUVSource;

        for seed in 1..=40 {
            let mut decoder = Decoder::new().unwrap();
            let mut picture = 0;
            code_changes(seed, Chroma::Yuv420, |data, format, reference, _| {
                let seen = decoder.decode(data).unwrap().expect("a picture");
                let (width, strides) = (seen.dimensions().0, seen.strides());
                let crop = |samples: &[u8], stride: usize, width: usize, rows: usize| {
                    let rows = samples.chunks(stride).take(rows);
                    rows.flat_map(|row| &row[..width]).copied().collect::<Vec<u8>>()
                };
                let height = format.coded.height as usize;
                let seen = [
                    crop(seen.y(), strides.0, width, height),
                    crop(seen.u(), strides.1, width / 2, height / 2),
                    crop(seen.v(), strides.2, width / 2, height / 2),
                ];
                assert!(seen == visible(format, reference), "seed {seed}, picture {picture}");
                picture += 1;
            });
        }
    }

    /// The same for the decoder of browsers, which knows 4:4:4 too.
    #[test]
    fn a_browsers_decoder_has_the_same_picture() {
        for (chroma, name) in [(Chroma::Yuv420, "yuv420p"), (Chroma::Yuv444, "yuv444p")] {
            for seed in 1..=40 {
                let (mut stream, mut pictures) = (Vec::new(), Vec::new());
                code_changes(seed, chroma, |data, format, reference, _| {
                    stream.extend_from_slice(data);
                    pictures.push(visible(format, reference).concat());
                });
                let seen = ffmpeg::decode(&stream, name);
                assert_eq!(seen.len(), pictures.concat().len(), "{chroma}, seed {seed}");
                let mut seen = seen.chunks_exact(pictures[0].len());
                let differs = pictures.iter().position(|picture| seen.next() != Some(picture));
                assert_eq!(differs, None, "{chroma}, seed {seed}");
            }
        }
    }

    /// A viewer who draws only what is said to have changed has the whole picture, and no more is said than was coded.
    #[test]
    fn outside_of_what_is_told_nothing_changes() {
        for chroma in [Chroma::Yuv420, Chroma::Yuv444] {
            let (mut told, mut rested) = (0, 0);
            for seed in 1..=40 {
                let mut before: Option<[Vec<u8>; 3]> = None;
                code_changes(seed, chroma, |_, format, reference, changed| {
                    let now = visible(format, reference);
                    let Some(changed) = changed else {
                        before = Some(now);
                        return;
                    };
                    let old = before.as_ref().expect("a key frame came first");
                    assert!(changed.rects().iter().all(|rect| {
                        rect.right() <= format.coded.width && rect.bottom() <= format.coded.height
                    }));
                    for (plane, (now, old)) in now.iter().zip(old).enumerate() {
                        let factor = if plane == 0 { 1 } else { chroma.factor() };
                        let width = (format.coded.width / factor) as usize;
                        for (at, _) in now.iter().zip(old).enumerate().filter(|(_, (a, b))| a != b)
                        {
                            let (x, y) = (at % width, at / width);
                            let [x, y] = [x, y].map(|side| side as u32 * factor);
                            assert!(changed.contains(x, y), "{chroma}, seed {seed}: {x}, {y}");
                        }
                    }
                    told += 1;
                    rested += u32::from(changed.is_empty());
                    before = Some(now);
                });
            }
            assert!(told > 500 && rested > 10, "{told} pictures, {rested} the same as before");
        }
    }

    /// Noise at a quantizer that rate control never asks for would be larger than the standard allows.
    #[test]
    fn what_comes_out_too_large_is_left_uncompressed() {
        for (chroma, name, raw) in
            [(Chroma::Yuv420, "yuv420p", 384), (Chroma::Yuv444, "yuv444p", 768)]
        {
            let (size, bitrate) = (Size::new(96, 80), Bitrate::mbps(8));
            let config = EncoderConfig {
                size,
                chroma,
                bitrate,
                max_fps: 60,
                threads: 1,
                keeps: false,
                layered: false,
            };
            let format = Format::new(&config).unwrap();
            let mut encoder = Screen::new(format);
            let stride = size.width as usize * 4;
            let mut random = Random(5);
            let (mut stream, mut pictures) = (Vec::new(), Vec::new());
            for number in 0..3 {
                let pixels = (0..stride * 80).map(|_| random.below(2) as u8 * 255).collect();
                let frame = FrameBody { size, stride, pixels, ..FrameBody::default() };
                encoder.update(Picture { frame: &frame, damage: &Rect::of(size).into() });
                let key_frame = (number == 0).then_some(1);
                encoder.plan(key_frame.is_some(), Time::from_millis(1));
                let (refers, becomes) = (None, None);
                let coding = if number < 2 { encoder.coding(1, bitrate) } else { Coding::Variable };
                let header =
                    PictureHeader { key_frame, number, quantizer: 2, coding, refers, becomes };
                encoder.code(header, true);
                encoder.assemble(header);
                encoder.shown = 1 - encoder.shown;
                assert!(encoder.stream.len() > raw * format.blocks() as usize);
                stream.extend_from_slice(&encoder.stream);
                pictures.extend(visible(&format, &encoder.references[encoder.shown]).concat());
            }
            assert!(ffmpeg::decode(&stream, name) == pictures, "{chroma}");
        }
    }
}
