//! An encoder of AV1 and a viewer who decodes what it codes: for the tests of each of them.

#![allow(dead_code, reason = "each test binary looks at a part of this")]

use std::time::Duration;

use farpane_codec::decode::{self, Decoder};
use farpane_codec::{Codec, Encoder, Output, Picture, Request, Slot};
use farpane_media::{Bitrate, FrameBody, Region, Time};
use farpane_pixel::Planes;

/// An encoder and what its viewer sees.
pub struct Session {
    pub encoder: Box<dyn Encoder>,
    pub decoder: Box<dyn Decoder>,
    pub shown: Option<Planes>,
    pub now: Time,
    pub bitrate: Bitrate,
    /// Between pictures.
    frame: Duration,
    /// What the next picture is to refer to, and where it is to be kept.
    pub from: Option<Slot>,
    pub keep: Option<Slot>,
    /// Whether it is better one that no other refers to.
    pub discardable: bool,
    /// Nothing reaches the viewer.
    pub lost: bool,
    /// Of the last access unit.
    pub bytes: usize,
    pub quantizer: u8,
    pub key_frame: bool,
    pub kept: Option<Slot>,
    pub discarded: bool,
    pub data: Vec<u8>,
    /// When the picture gains from being coded again.
    pub again: Option<Time>,
    pub key_frames: usize,
}

impl Session {
    pub fn new(encoder: Box<dyn Encoder>, bitrate: Bitrate, frame: Duration) -> Session {
        Session {
            encoder,
            decoder: decode::open(Codec::Av1).unwrap(),
            shown: None,
            now: Time::from_millis(1),
            bitrate,
            frame,
            from: None,
            keep: None,
            discardable: false,
            lost: false,
            bytes: 0,
            quantizer: u8::MAX,
            key_frame: false,
            kept: None,
            discarded: false,
            data: Vec::new(),
            again: None,
            key_frames: 0,
        }
    }

    pub fn update(&mut self, frame: &FrameBody, damage: &Region) {
        self.encoder.update(Picture { frame, damage }).unwrap();
    }

    pub fn code(&mut self, key_frame: bool) {
        self.code_at(self.now + self.frame, key_frame);
    }

    pub fn code_at(&mut self, now: Time, key_frame: bool) {
        self.now = now;
        let (bitrate, from, keep) = (self.bitrate, self.from.take(), self.keep.take());
        let discardable = std::mem::take(&mut self.discardable);
        let request = Request { key_frame, bitrate, now, from, keep, discardable };
        let Output::AccessUnit(unit) = self.encoder.encode(&request).unwrap() else {
            panic!("nothing is skipped")
        };
        let covered: usize = unit.units.iter().map(ExactSizeIterator::len).sum();
        assert_eq!(covered, unit.data.len(), "the units are all there is");
        self.bytes = unit.data.len();
        self.quantizer = unit.quantizer.expect("known");
        self.again = unit.again;
        self.key_frame = unit.key_frame;
        self.kept = unit.kept;
        self.discarded = unit.discardable;
        self.data.clear();
        self.data.extend_from_slice(unit.data);
        self.key_frames += usize::from(unit.key_frame);
        assert_eq!(unit.from, from.filter(|_| !unit.key_frame));
        if self.lost {
            return;
        }
        let shown = self.decoder.decode(unit.data).unwrap();
        self.shown = Some(shown.expect("a picture without delay").clone());
    }
}
