//! AV1 by libaom: real-time usage, tuned for screens, under our own rate control, looking only where something changed.
//!
//! The library's active map says which parts of the picture are looked at; all others stay what the viewer has. It is fed
//! from the damage, narrowed by comparing sources, and from what the viewer has coarsely once the picture rests.
//!
//! Where pictures are kept ([`crate::kept`]), each refers to one other only, the last or a kept one.
//!
//! In two layers ([`EncoderConfig::layered`]) the last is the last of the lower layer: a discardable picture leaves everything as
//! it was but the budget, so that what it showed is new to the next one, too.

mod accuracy;
#[allow(unsafe_code)]
mod ffi;
mod headroom;

use std::ops::Range;
use std::time::{Duration, Instant};

use farpane_media::{Chroma, Size, Slot, Time};
use farpane_pixel::convert::Planes;

use crate::kept::Kept;
use crate::obu;
use crate::rate::{Choice, Coarse, FINE, Fresh, MOVING, Rate};
use crate::screen::Vector;
use crate::sharpen::{Sharpener, gains};
use crate::source::Source;
use crate::{AccessUnit, Codec, EncodeError, Encoder, EncoderConfig, Output, Picture, Request};
use ffi::{Failure, Library, References, Rows, Setup, Unit};
use headroom::{CAREFUL, Headroom};

/// Either way round: what level 6.0 takes in a picture (AV1 specification, annex A.3).
const LIMIT: Size = Size::new(8192, 4352);
/// Samples of a side of what the active map tells apart.
const BLOCK: u32 = 16;
/// Blocks of a side of a superblock.
///
/// The map is the same all over a superblock: within one that changed in part, the library (3.11) rules out all modes of
/// flat blocks that did not, and what is left of them is noise (35 dB instead of 43 dB in a page that scrolls).
const SUPERBLOCK: usize = 4;
/// The finest of the library's quantizers short of losslessness, for blocks that come out coarse at the usual one.
const FINEST: u8 = 2;
/// What cannot be had finer than this with it is taken as fine.
const GOOD: u8 = 16;
/// Longer than this between pictures tells nothing of how fast they come. What a discardable one showed is coded anew then.
const LONGEST: Duration = Duration::from_millis(100);
/// A picture of which less than this share is new is no load.
const PART: u64 = 16;
/// Of what moves, in samples: twice as far, as it is at the next picture of the lower layer, the library (3.11) still finds it.
/// It does at 16 and not at 32, where pictures get three times as long and 10 dB worse.
const NEAR: u32 = 8;
/// So often is a resting picture coded again without any gain.
const FUTILE: u32 = 12;
/// A picture that has rested for so long is compared with its source all over, and again while that finds something, so
/// often.
const DOUBT: Duration = Duration::from_millis(500);
const DOUBTS: u32 = 4;

/// See the module.
pub(crate) struct Av1 {
    library: Library,
    size: Size,
    /// In blocks.
    width: usize,
    source: Source,
    rate: Rate,
    frame_time: Duration,
    headroom: Headroom,
    /// Of each block, as the viewer has it.
    quantizers: Vec<u8>,
    sharpener: Sharpener,
    /// Blocks that stayed coarser than what they were coded at.
    stubborn: Vec<bool>,
    /// Pictures in a row that were coded again without any gain, and how coarse the picture is.
    futile: u32,
    coarseness: u64,
    /// When the whole picture is to be compared with its source, and how often it may still be.
    doubt: Option<Time>,
    doubts: u32,
    active: Vec<u8>,
    /// Where nothing is.
    idle: Vec<u8>,
    displacements: Vec<Vector>,
    /// None where a viewer is not told what pictures refer to, which is left to the library then.
    kept: Option<Kept>,
    layered: bool,
    /// The last picture was a discardable one.
    discarded: bool,
    /// When the last access unit was coded; none before the first.
    last: Option<Time>,
    unit: Unit,
    units: Vec<Range<usize>>,
}

/// What is new in a picture, in blocks.
#[derive(Clone, Copy, Debug, Default)]
struct Changes {
    new: u64,
    /// Those of them that are new all the time.
    restless: u64,
    moved: u64,
}

impl Av1 {
    pub(crate) fn new(config: &EncoderConfig) -> Result<Av1, EncodeError> {
        let EncoderConfig { size, chroma, bitrate, max_fps, threads, keeps, layered } = *config;
        let (long, short) = (size.width.max(size.height), size.width.min(size.height));
        if short == 0 || long > LIMIT.width || short > LIMIT.height {
            return Err(EncodeError::UnsupportedSize { codec: Codec::Av1, size, limit: LIMIT });
        }
        let headroom = Headroom::default();
        let max_fps = max_fps.max(1);
        let setup = Setup {
            width: size.width,
            height: size.height,
            full_chroma: chroma == Chroma::Yuv444,
            max_fps,
            threads: threads.max(1),
            speed: headroom.speed(),
            kbps: u32::try_from(bitrate.as_bps() / 1_000).unwrap_or(u32::MAX).max(1),
        };
        let (width, height) = (size.width.div_ceil(BLOCK), size.height.div_ceil(BLOCK));
        let blocks = (width * height) as usize;
        Ok(Av1 {
            library: Library::new(setup).map_err(failed)?,
            size,
            width: width as usize,
            source: Source::new(size, chroma),
            rate: Rate::new(blocks as u64, max_fps),
            frame_time: Duration::from_secs(1) / max_fps,
            headroom,
            quantizers: vec![0; blocks],
            sharpener: Sharpener::new(width as usize, height as usize, SUPERBLOCK),
            stubborn: vec![false; blocks],
            futile: 0,
            coarseness: 0,
            doubt: None,
            doubts: 0,
            active: vec![0; blocks],
            idle: vec![0; if layered { blocks } else { 0 }],
            displacements: Vec::new(),
            kept: keeps.then(|| Kept::new(blocks)),
            layered,
            discarded: false,
            last: None,
            unit: Unit::default(),
            units: Vec::new(),
        })
    }

    /// Activates what differs from the last picture.
    fn plan(&mut self, key_frame: bool, time: Time) -> Changes {
        if key_frame {
            self.active.fill(1);
            (0..self.active.len()).for_each(|block| _ = self.sharpener.handle_change(block, time));
            return Changes { new: self.active.len() as u64, ..Changes::default() };
        }
        self.active.fill(0);
        let mut changes = Changes::default();
        self.source.find_changes(&mut self.displacements, |block, displacement| {
            self.active[block] = 1;
            if displacement.is_some() {
                changes.moved += 1;
                self.sharpener.handle_move(block, time);
            } else {
                changes.new += 1;
                changes.restless += u64::from(self.sharpener.handle_change(block, time));
            }
        });
        changes
    }

    /// Activates what differs from the picture in `slot` as well; returns how many blocks are active then.
    fn plan_from(&mut self, slot: Slot) -> u64 {
        let kept = self.kept.as_ref().expect("it holds the slot");
        for (block, active) in self.active.iter_mut().enumerate() {
            *active |= u8::from(kept.differs(block, slot));
        }
        self.active.iter().map(|active| u64::from(*active)).sum()
    }

    /// Activates what `choice` is about to sharpen, stubborn blocks after all others; returns how many blocks, and whether
    /// they are stubborn.
    fn sharpen(&mut self, choice: Choice, now: Time) -> (u64, bool) {
        let Choice { quantizer, sharpen } = choice;
        let mut pick = |stubborn: bool| {
            let active = &mut self.active;
            self.sharpener.select(&self.quantizers, quantizer, now, sharpen, |block| {
                let picked = self.stubborn[block] == stubborn;
                active[block] |= u8::from(picked);
                picked
            })
        };
        let others = pick(false);
        if sharpen == 0 || others > 0 { (others, false) } else { (pick(true), true) }
    }

    /// Activates the whole of each superblock that is active in part.
    fn widen(&mut self) {
        for rows in self.active.chunks_mut(self.width * SUPERBLOCK) {
            for left in (0..self.width).step_by(SUPERBLOCK) {
                let right = (left + SUPERBLOCK).min(self.width);
                if rows.chunks(self.width).any(|row| row[left..right].contains(&1)) {
                    rows.chunks_mut(self.width).for_each(|row| row[left..right].fill(1));
                }
            }
        }
    }

    /// Codes the planes into `unit` with one of the library's quantizers.
    fn code(
        &mut self,
        quantizer: u8,
        key_frame: bool,
        now: Time,
        references: References,
    ) -> Result<(), EncodeError> {
        let source = ffi::Source {
            planes: slices(self.source.now()),
            time: now.as_micros() as i64,
            key_frame,
            quantizer,
            active: &mut self.active,
            references: (self.kept.is_some() || self.layered).then_some(references),
        };
        self.library.encode(source, &mut self.unit).map_err(failed)
    }

    /// Shows the library the last source of the lower layer once more, of which nobody is sent anything.
    ///
    /// Where nothing changed since the source it saw last, it looks for no motion and keeps what it refers to. That is to be
    /// the same picture as the source's.
    fn go_back(&mut self, now: Time) -> Result<(), EncodeError> {
        self.idle.fill(0);
        let source = ffi::Source {
            planes: slices(self.source.before()),
            time: now.as_micros() as i64,
            key_frame: false,
            quantizer: scale(MOVING),
            active: &mut self.idle,
            references: Some(References { discardable: true, ..References::default() }),
        };
        self.library.encode(source, &mut self.unit).map_err(failed)
    }

    /// Takes note of what the viewer now has: what looks no coarser than `good` is as `quantizer` promises.
    fn coded(&mut self, quantizer: u8, good: u8) {
        let shown = self.library.shown();
        let source = self.source.now();
        for (at, before) in self.quantizers.iter_mut().enumerate() {
            if self.active[at] != 0 {
                let (x, y) = (at % self.width * 16, at / self.width * 16);
                let apparent =
                    |shown: &[Rows<'_>; 3]| accuracy::apparent(source, shown, x, y, quantizer);
                let apparent = shown.as_ref().map_or(quantizer, apparent);
                *before = if apparent <= good { quantizer } else { apparent };
                self.stubborn[at] = gains(*before, quantizer);
            }
        }
        self.source.handle_coded();
    }

    /// When coding the picture again begins to gain something, after one of which a part was `sharpened` or none.
    fn again(&mut self, sharpened: bool) -> Option<Time> {
        let beyond = self.quantizers.iter().map(|quantizer| quantizer.saturating_sub(FINE));
        let coarseness = beyond.map(u64::from).sum();
        let futile = sharpened && coarseness >= self.coarseness;
        self.futile = if futile { self.futile + 1 } else { 0 };
        self.coarseness = coarseness;
        if self.futile == FUTILE {
            // This is as good as they get.
            for (stubborn, quantizer) in self.stubborn.iter_mut().zip(&mut self.quantizers) {
                *quantizer = if std::mem::take(stubborn) { FINE } else { *quantizer };
            }
            self.futile = 0;
        }
        self.sharpener.due(&self.quantizers).map(|due| due.max(self.rate.free())).or(self.doubt)
    }

    /// Compares all of the picture with its source: what a coded part does to those beside it, which nobody looked at, may
    /// add up.
    fn look_all_over(&mut self, now: Time) {
        let source = self.source.now();
        let Some(shown) = self.library.shown() else { return };
        let mut found = false;
        for (at, quantizer) in self.quantizers.iter_mut().enumerate() {
            let (x, y) = (at % self.width * 16, at / self.width * 16);
            let apparent = accuracy::apparent(source, &shown, x, y, FINE);
            if apparent > GOOD.max(*quantizer) {
                (*quantizer, self.stubborn[at], found) = (apparent, true, true);
            }
        }
        self.doubts -= 1;
        self.doubt = (found && self.doubts > 0).then_some(now + DOUBT);
    }
}

impl Encoder for Av1 {
    fn codec(&self) -> Codec {
        Codec::Av1
    }

    fn is_layered(&self) -> bool {
        self.layered
    }

    fn restart_cost(&self, from: Option<Slot>) -> u64 {
        self.kept.as_ref().map_or(0, |kept| self.rate.least(kept.missing(from)))
    }

    fn update(&mut self, picture: Picture<'_>) -> Result<(), EncodeError> {
        let (expected, got) = (self.size, picture.frame.size);
        if got != expected {
            return Err(EncodeError::SizeChanged { expected, got });
        }
        self.source.update(picture);
        Ok(())
    }

    fn encode(&mut self, request: &Request) -> Result<Output<'_>, EncodeError> {
        if !self.source.is_seen() {
            return Err(EncodeError::NoPicture);
        }
        let Request { bitrate, now, .. } = *request;
        let holds = |slot| self.kept.as_ref().is_some_and(|kept| kept.holds(slot));
        let lost = request.from.is_some_and(|slot| !holds(slot));
        let key_frame = request.key_frame || self.last.is_none() || lost;
        let from = request.from.filter(|_| !key_frame);
        let Changes { mut new, restless, moved } = self.plan(key_frame, now);
        if let Some(slot) = from {
            new = self.plan_from(slot);
        }
        let discardable = request.discardable
            && self.layered
            && !key_frame
            && from.is_none()
            && new + moved > 0
            && self.displacements.iter().all(|by| by.length() <= NEAR);
        let keep = request.keep.filter(|_| !discardable);
        let blocks = self.active.len() as u64;
        if key_frame || new + moved > 0 {
            (self.doubt, self.doubts) = (Some(now + DOUBT), DOUBTS);
        } else if self.doubt.is_some_and(|doubt| doubt <= now) {
            self.look_all_over(now);
        }
        self.sharpener.handle_moves(moved, now);
        self.kept.iter_mut().for_each(|kept| kept.handle_moves(moved));
        let coarse = match from {
            None if !discardable => self.sharpener.coarse(&self.quantizers, now),
            // It is late as it is, or would have to be done again.
            _ => Coarse::default(),
        };
        let fresh = Fresh { blocks: new, restless };
        let choice = self.rate.choose(now, bitrate, fresh, coarse, key_frame);
        let (sharpened, insist) = self.sharpen(choice, now);
        // What moved the library codes anew as well, by the quantizer of all.
        let moves = choice.sharpen == 0 && !key_frame && moved * PART >= blocks;
        let mut quantizer = choice.quantizer.max(if moves { MOVING } else { FINE });
        self.widen();
        // When in haste the library passes over what its source was before, however coarse, and whatever it refers to.
        let careful = sharpened > 0 || from.is_some();
        let speed = if careful { CAREFUL } else { self.headroom.speed() };
        self.library.set_speed(speed).map_err(failed)?;
        // The library wants time to grow from picture to picture.
        let mut time = self.last.map_or(now, |last| now.max(last + Duration::from_micros(2)));
        let began = Instant::now();
        if self.discarded && !key_frame && from.is_none() {
            self.go_back(time)?;
            time += Duration::from_micros(1);
        }
        let references = References { from, keep, discardable };
        self.code(if insist { FINEST } else { scale(quantizer) }, key_frame, time, references)?;
        if (new + moved) * PART >= blocks && !key_frame && from.is_none() {
            let interval = self.last.map_or(LONGEST, |last| now.since(last));
            let interval = interval.clamp(self.frame_time, LONGEST.max(self.frame_time));
            self.headroom.handle_picture(began.elapsed(), interval);
        }
        if choice.sharpen == 0 && self.rate.is_oversize(quantizer, self.unit.data.len()) {
            // The library goes on from what the viewer will never have.
            self.active.fill(1);
            let coarser =
                self.rate.choose(now, bitrate, Fresh::from(blocks), Coarse::default(), true);
            quantizer = coarser.quantizer.max(quantizer);
            let references = References::default();
            self.code(scale(quantizer), true, time + Duration::from_micros(1), references)?;
        }
        self.last = Some(time);
        let key_frame = self.unit.key_frame;
        obu::split(&self.unit.data, &mut self.units);
        self.rate.coded(quantizer, self.unit.data.len(), key_frame, sharpened);
        self.discarded = discardable && !key_frame;
        let (kept, again);
        if self.discarded {
            (kept, again) = (None, Some(now + LONGEST));
        } else {
            self.coded(quantizer, if insist { quantizer.max(GOOD) } else { quantizer });
            kept = keep.filter(|_| self.kept.is_some() && !key_frame);
            if let Some(pictures) = &mut self.kept {
                let changed =
                    (0..self.active.len()).map(|at| is_near(&self.active, self.width, at));
                pictures.handle_coded(key_frame, changed);
                kept.into_iter().for_each(|slot| pictures.keep(slot));
            }
            again = self.again(sharpened > 0);
        }
        let coarsest = self.quantizers.iter().copied().max();
        Ok(Output::AccessUnit(AccessUnit {
            data: &self.unit.data,
            units: &self.units,
            key_frame,
            from: from.filter(|_| !key_frame),
            kept,
            discardable: self.discarded,
            quantizer: coarsest.map(|quantizer| quantizer.max(FINE)),
            again,
            film: false,
            changed: None,
        }))
    }
}

fn slices(planes: &Planes) -> [(&[u8], usize); 3] {
    [&planes.y, &planes.u, &planes.v].map(|plane| (plane.data.as_slice(), plane.stride))
}

/// Whether a block or one beside it is active: the library smooths the edge between the two on both sides.
fn is_near(active: &[u8], width: usize, block: usize) -> bool {
    let (x, y) = (block % width, block / width);
    let rows = y.saturating_sub(1)..(y + 2).min(active.len() / width);
    let (left, right) = (x.saturating_sub(1), (x + 2).min(width));
    rows.map(|row| row * width).any(|start| active[start + left..start + right].contains(&1))
}

fn failed(failure: Failure) -> EncodeError {
    EncodeError::Library { codec: Codec::Av1, call: failure.call, code: failure.code }
}

/// The library's quantizer (0 to 63) whose step comes closest to that of a quantizer of H.264 (0.625 * 2^(q/6), against
/// the AC table of the AV1 specification, section 7.12.2, divided by 8).
fn scale(quantizer: u8) -> u8 {
    const FROM_FINE: [u8; 40] = [
        3, 3, 4, 5, 6, 7, 8, 9, 10, 12, 14, 16, 18, 21, 23, 25, 27, 29, 31, 32, 34, 36, 37, 39, 41,
        42, 44, 45, 47, 48, 50, 52, 53, 55, 56, 58, 59, 61, 62, 63,
    ];
    FROM_FINE[usize::from(quantizer.clamp(FINE, 51) - FINE)]
}
