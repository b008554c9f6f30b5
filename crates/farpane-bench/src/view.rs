//! The viewer's side of a run: decodes what was coded and holds it against the material, tick by tick.

use std::time::Duration;

use farpane_media::{FrameBody, Rect, Region, Size, Time};
use farpane_pixel::Planes;

use crate::coded::{Coded, CodedPicture, Task};
use crate::file::FileError;
use crate::metrics::{Judge, Quality, psnr};

/// Luma from which a change counts as sharp, in dB, and as very sharp.
pub const SHARP: [f64; 2] = [45.0, 48.0];
/// A change is looked at with what surrounds it, in tiles of this many pixels: a character alone is all edges.
const TILE: u32 = 64;
/// Pictures of a run that SSIMULACRA2 looks at, and the part of each at most: it is slow.
const LOOKS: usize = 4;
const PART: Size = Size::new(384, 256);

/// Pictures in the order they were coded in.
pub(crate) trait Decode {
    /// The picture of the next access unit.
    fn decode(&mut self, unit: &[u8]) -> Result<&Planes, String>;
}

/// What a viewer sees at one tick of the material.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Look {
    pub time: Time,
    /// Something differs from the tick before.
    pub changed: bool,
    /// Of the picture that was coded last, against what it was coded from.
    pub quality: Quality,
}

/// A change that was followed by rest, and how long after it the viewer saw it sharp.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    pub time: Time,
    /// Pixels, those of tiles around it included.
    pub area: u64,
    /// Until the luma of that area is at least [`SHARP`], link included; `None` if that never came.
    pub sharp: [Option<Duration>; 2],
}

/// What came of looking.
#[derive(Debug, Default)]
pub struct Seen {
    pub looks: Vec<Look>,
    pub changes: Vec<Change>,
    /// SSIMULACRA2 of the changed part, at a few pictures.
    pub ssimulacra2: Vec<f64>,
}

#[derive(Debug, thiserror::Error)]
pub enum ViewError {
    #[error(transparent)]
    File(#[from] FileError),
    #[error("the picture of {time:.3} s cannot be decoded: {why}", time = .at.as_nanos() as f64 / 1e9)]
    Decode { at: Time, why: String },
    #[error("{coded} pictures were decoded as {seen}, smaller than what was coded")]
    Small { coded: Size, seen: Size },
    #[error("the stream starts after the material does")]
    Late,
}

pub(crate) fn look(
    task: &Task<'_>,
    coded: &Coded,
    decoder: &mut dyn Decode,
) -> Result<Seen, ViewError> {
    let material = task.material;
    let size = material.size();
    let mut pictures = material.open()?;
    let mut viewer = Viewer {
        coded,
        decoder,
        judge: Judge::new(size),
        current: None,
        arrived: Time::ZERO,
        quality: Quality::default(),
        decoded: 0,
        ssimulacra2: Vec::new(),
    };
    let mut seen = Seen::default();
    let mut change = Pending::default();
    let mut next = coded.pictures.iter().peekable();
    for step in 0..task.steps {
        let Some(frame) = pictures.advance()? else { break };
        let time = material.time(step);
        viewer.judge.update(frame);
        let changed = !frame.damage.is_empty();
        if changed {
            seen.changes.extend(change.handle_change(time, &frame.damage, size));
        }
        while let Some(picture) =
            next.next_if(|picture| picture.step == step && picture.now <= time)
        {
            viewer.show(picture, frame, &change.region)?;
        }
        change.handle_tick(changed, |region| viewer.luma(region, time));
        seen.looks.push(Look { time, changed, quality: viewer.quality });
        // What is coded between two ticks.
        while let Some(picture) = next.next_if(|picture| picture.step == step) {
            viewer.show(picture, frame, &change.region)?;
            change.handle_tick(false, |region| viewer.luma(region, time));
        }
        if viewer.current.is_none() {
            return Err(ViewError::Late);
        }
    }
    seen.changes.extend(change.end());
    seen.ssimulacra2 = viewer.ssimulacra2;
    Ok(seen)
}

/// What the viewer has, and how good it is.
struct Viewer<'a> {
    coded: &'a Coded,
    decoder: &'a mut dyn Decode,
    judge: Judge,
    current: Option<Planes>,
    /// When that arrived.
    arrived: Time,
    quality: Quality,
    decoded: usize,
    ssimulacra2: Vec<f64>,
}

impl Viewer<'_> {
    /// Shows what was coded of `frame`. A picture that waits leaves the viewer with the one before, which is as good as it
    /// was: that it is late shows in how many were held, and would drown everything else here.
    fn show(
        &mut self,
        picture: &CodedPicture,
        frame: &FrameBody,
        change: &Region,
    ) -> Result<(), ViewError> {
        let unit = &self.coded.stream[picture.bytes.clone()];
        let planes =
            self.decoder.decode(unit).map_err(|why| ViewError::Decode { at: picture.now, why })?;
        if planes.size.width < frame.size.width || planes.size.height < frame.size.height {
            return Err(ViewError::Small { coded: frame.size, seen: planes.size });
        }
        self.quality = self.judge.quality(frame, planes);
        self.decoded += 1;
        let count = self.coded.pictures.len();
        if self.decoded.is_multiple_of(count.div_ceil(LOOKS).max(1)) || self.decoded == count {
            let part = middle(change.bounds(), frame.size);
            self.ssimulacra2.push(self.judge.ssimulacra2(frame, planes, &part));
        }
        match &mut self.current {
            Some(current) => current.clone_from(planes),
            None => self.current = Some(planes.clone()),
        }
        self.arrived = picture.arrived;
        Ok(())
    }

    /// Of `region`, and since when, if that is after `time`.
    fn luma(&mut self, region: &Region, time: Time) -> (f64, Time) {
        let planes = self.current.as_ref();
        let luma = planes.map_or(0.0, |planes| psnr(self.judge.luma_within(region, planes)));
        (luma, self.arrived.max(time))
    }
}

/// As much of the middle of `rect` as is looked at, or around it where it is smaller.
fn middle(rect: Rect, size: Size) -> Rect {
    let side = |at: u32, length: u32, most: u32, whole: u32| {
        let most = most.min(whole);
        (at.saturating_sub((most.saturating_sub(length)) / 2) + length.saturating_sub(most) / 2)
            .min(whole - most)
    };
    Rect::new(
        side(rect.x, rect.w, PART.width, size.width),
        side(rect.y, rect.h, PART.height, size.height),
        PART.width.min(size.width),
        PART.height.min(size.height),
    )
}

/// The change that is being waited for. Changes on ticks that follow each other are one, which counts from its last.
#[derive(Default)]
struct Pending {
    region: Region,
    change: Option<Change>,
    /// The tick before changed something as well.
    running: bool,
    /// A tick without a change has come since.
    rested: bool,
}

impl Pending {
    /// Returns the change before this one, if that came to rest.
    fn handle_change(&mut self, time: Time, damage: &Region, size: Size) -> Option<Change> {
        let before = self.end();
        if !self.running {
            self.region.clear();
        }
        self.region.union(damage);
        self.region.snap(TILE, size);
        let area = self.region.area();
        self.change = Some(Change { time, area, sharp: [None; 2] });
        self.rested = false;
        before
    }

    fn handle_tick(&mut self, changed: bool, look: impl FnOnce(&Region) -> (f64, Time)) {
        self.running = changed;
        self.rested |= !changed;
        let Some(change) = self.change.as_mut().filter(|change| change.sharp[1].is_none()) else {
            return;
        };
        let (luma, arrived) = look(&self.region);
        for (sharp, enough) in change.sharp.iter_mut().zip(SHARP) {
            if sharp.is_none() && luma >= enough {
                *sharp = Some(arrived.since(change.time));
            }
        }
    }

    fn end(&mut self) -> Option<Change> {
        self.change.take().filter(|_| self.rested)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn region(x: u32) -> Region {
        Rect::new(x, 0, 10, 10).into()
    }

    /// What comes of ticks 10 ms apart that change `region(x)` or nothing, with the luma seen at each.
    fn changes(ticks: &[(Option<u32>, f64)]) -> Vec<Change> {
        let (mut pending, mut changes) = (Pending::default(), Vec::new());
        for (at, (x, luma)) in (0..).zip(ticks) {
            let time = Time::from_millis(at * 10);
            if let Some(x) = x {
                let size = Size::new(1_000, 100);
                changes.extend(pending.handle_change(time, &region(*x), size));
            }
            pending.handle_tick(x.is_some(), |_| (*luma, time + Duration::from_millis(3)));
        }
        changes.extend(pending.end());
        changes
    }

    #[test]
    fn a_change_counts_from_its_last_tick_until_it_is_sharp() {
        let millis = |millis| Some(Duration::from_millis(millis));
        let got = changes(&[
            (Some(0), 30.0),
            (Some(200), 46.0),
            (None, 40.0),
            (None, 45.5),
            (None, 50.0),
            (Some(0), 50.0),
            (None, 50.0),
        ]);
        assert_eq!(got.len(), 2);
        assert_eq!((got[0].time, got[0].area), (Time::from_millis(10), 2 * 64 * 64));
        assert_eq!(got[0].sharp, [millis(3), millis(33)]);
        assert_eq!((got[1].area, got[1].sharp), (64 * 64, [millis(3), millis(3)]));
    }

    #[test]
    fn motion_without_rest_is_no_change_and_blur_never_sharp() {
        assert!(changes(&[(Some(0), 50.0), (Some(10), 50.0), (Some(20), 50.0)]).is_empty());
        assert_eq!(changes(&[(Some(0), 44.0), (None, 44.9)])[0].sharp, [None; 2]);
    }

    #[test]
    fn the_part_that_is_looked_at_lies_in_the_picture() {
        let size = Size::new(1_000, 500);
        for (rect, expected) in [
            (Rect::of(size), Rect::new(308, 122, 384, 256)),
            (Rect::new(990, 490, 10, 10), Rect::new(616, 244, 384, 256)),
            (Rect::new(500, 250, 20, 20), Rect::new(318, 132, 384, 256)),
        ] {
            assert_eq!(middle(rect, size), expected);
        }
        assert_eq!(middle(Rect::default(), Size::new(20, 16)), Rect::new(0, 0, 20, 16));
    }
}
