//! The null encoder: each access unit describes its picture instead of holding it.
//!
//! It keeps the contract of [`Encoder`] exactly (damage adds up until coded, the first unit is a key frame), which makes
//! it the reference for tests of the stages around an encoder.

use std::ops::Range;

use farpane_media::{Rect, Region, Size};

use crate::kept::Kept;
use crate::{AccessUnit, Codec, EncodeError, Encoder, EncoderConfig, Output, Picture, Request};

const LIMIT: Size = Size::new(u32::MAX, u32::MAX);

/// What a null access unit says of its picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    pub key_frame: bool,
    /// [`farpane_media::FrameBody::seq`] of the newest picture in it.
    pub seq: u64,
    /// All damage since the access unit before.
    pub damage: Region,
}

impl Description {
    /// Reads an access unit of the null encoder; `None` when it is not one.
    pub fn parse(data: &[u8]) -> Option<Description> {
        let (&key_frame, rest) = data.split_first().filter(|(flag, _)| **flag <= 1)?;
        let (seq, rects) = rest.split_first_chunk::<8>()?;
        let (rects, []) = rects.as_chunks::<16>() else { return None };
        let number = |bytes: &[u8; 16], at: usize| {
            u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
        };
        let damage = rects
            .iter()
            .map(|r| Rect::new(number(r, 0), number(r, 4), number(r, 8), number(r, 12)))
            .collect();
        Some(Description { key_frame: key_frame == 1, seq: u64::from_le_bytes(*seq), damage })
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.clear();
        out.push(self.key_frame.into());
        out.extend(self.seq.to_le_bytes());
        for r in self.damage.rects() {
            [r.x, r.y, r.w, r.h].iter().for_each(|number| out.extend(number.to_le_bytes()));
        }
    }
}

/// See the module.
pub(crate) struct NullEncoder {
    size: Size,
    /// Of the pictures since the last access unit; `seq` 0 before the first picture.
    pending: Description,
    layered: bool,
    kept: Kept,
    data: Vec<u8>,
    unit: Range<usize>,
}

impl NullEncoder {
    pub(crate) fn new(config: &EncoderConfig) -> Result<NullEncoder, EncodeError> {
        let size = config.size;
        if size.pixels() == 0 {
            return Err(EncodeError::UnsupportedSize { codec: Codec::Null, size, limit: LIMIT });
        }
        let pending = Description { key_frame: true, seq: 0, damage: Region::new() };
        Ok(NullEncoder {
            size,
            layered: config.layered,
            pending,
            kept: Kept::new(0),
            data: Vec::new(),
            unit: 0..0,
        })
    }
}

impl Encoder for NullEncoder {
    fn codec(&self) -> Codec {
        Codec::Null
    }

    fn is_layered(&self) -> bool {
        self.layered
    }

    fn update(&mut self, picture: Picture<'_>) -> Result<(), EncodeError> {
        if picture.frame.size != self.size {
            return Err(EncodeError::SizeChanged { expected: self.size, got: picture.frame.size });
        }
        if self.pending.seq == 0 {
            self.pending.damage.set(Rect::of(self.size));
        } else {
            self.pending.damage.union(picture.damage);
        }
        self.pending.seq = picture.frame.seq;
        Ok(())
    }

    fn encode(&mut self, request: &Request) -> Result<Output<'_>, EncodeError> {
        if self.pending.seq == 0 {
            return Err(EncodeError::NoPicture);
        }
        let lost = request.from.is_some_and(|slot| !self.kept.holds(slot));
        self.pending.key_frame |= request.key_frame || lost;
        self.pending.write(&mut self.data);
        let key_frame = std::mem::take(&mut self.pending.key_frame);
        let discardable =
            request.discardable && self.layered && !key_frame && request.from.is_none();
        if !discardable {
            self.pending.damage.clear();
        }
        self.unit = 0..self.data.len();
        let kept = request.keep.filter(|_| !key_frame && !discardable);
        self.kept.handle_coded(key_frame, std::iter::empty());
        kept.into_iter().for_each(|slot| self.kept.keep(slot));
        Ok(Output::AccessUnit(AccessUnit {
            data: &self.data,
            units: std::slice::from_ref(&self.unit),
            key_frame,
            from: request.from.filter(|_| !key_frame),
            kept,
            discardable,
            quantizer: None,
            again: None,
            film: false,
            changed: None,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Chroma;
    use farpane_media::{Bitrate, FrameBody, Time};

    const SIZE: Size = Size::new(64, 32);

    fn picture(seq: u64, damage: &[Rect]) -> (FrameBody, Region) {
        let frame = FrameBody { size: SIZE, seq, ..FrameBody::default() };
        (frame, damage.iter().copied().collect())
    }

    fn encode(encoder: &mut NullEncoder, key_frame: bool) -> Description {
        let request =
            Request { key_frame, bitrate: Bitrate::mbps(1), now: Time::ZERO, ..Request::default() };
        let Output::AccessUnit(unit) = encoder.encode(&request).unwrap() else {
            panic!("never skips")
        };
        let description = Description::parse(unit.data).unwrap();
        assert_eq!(unit.key_frame, description.key_frame);
        assert_eq!(unit.units, std::slice::from_ref(&(0..unit.data.len())));
        description
    }

    #[test]
    fn damage_adds_up_until_it_is_coded() {
        let config = EncoderConfig {
            size: SIZE,
            chroma: Chroma::Yuv420,
            bitrate: Bitrate::mbps(1),
            max_fps: 30,
            threads: 1,
            keeps: false,
            layered: false,
        };
        let mut encoder = NullEncoder::new(&config).unwrap();
        let nothing = Request {
            key_frame: false,
            bitrate: config.bitrate,
            now: Time::ZERO,
            ..Request::default()
        };
        assert_eq!(encoder.encode(&nothing).unwrap_err(), EncodeError::NoPicture);

        let rects = [Rect::new(0, 0, 2, 2), Rect::new(60, 30, 4, 2)];
        for (seq, damage) in [(1, &rects[..0]), (2, &rects[..1]), (3, &rects[1..])] {
            let (frame, damage) = picture(seq, damage);
            encoder.update(Picture { frame: &frame, damage: &damage }).unwrap();
            if seq == 1 {
                let first = encode(&mut encoder, false);
                assert_eq!(
                    first,
                    Description { key_frame: true, seq: 1, damage: Rect::of(SIZE).into() }
                );
            }
        }
        let second = encode(&mut encoder, false);
        assert_eq!(
            second,
            Description { key_frame: false, seq: 3, damage: rects.into_iter().collect() }
        );
        let again = encode(&mut encoder, true);
        assert_eq!(again, Description { key_frame: true, seq: 3, damage: Region::new() });
    }

    #[test]
    fn another_size_is_refused() {
        let config = EncoderConfig {
            size: Size::new(1, 1),
            chroma: Chroma::Yuv420,
            bitrate: Bitrate::mbps(1),
            max_fps: 30,
            threads: 1,
            keeps: false,
            layered: false,
        };
        let mut encoder = NullEncoder::new(&config).unwrap();
        let (frame, damage) = picture(1, &[]);
        let refused = encoder.update(Picture { frame: &frame, damage: &damage });
        assert_eq!(refused, Err(EncodeError::SizeChanged { expected: config.size, got: SIZE }));
    }

    #[test]
    fn garbage_is_no_description() {
        for data in [&[][..], &[2; 9], &[0; 8], &[0; 10], &[1; 24]] {
            assert_eq!(Description::parse(data), None);
        }
    }
}
