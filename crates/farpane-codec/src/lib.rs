//! Video encoders behind one trait, and decoders behind another.
//!
//! An [`Encoder`] owns the planar picture that it codes. [`Encoder::update`] converts what changed into it and
//! [`Encoder::encode`] codes the whole, so that a stage clock can be read between the two and a still picture can be
//! coded again (refined) without being converted again. [`open`] makes the encoder for a [`Codec`].
//!
//! Libraries come by features: `libaom` and `openh264` are C, `rav1e` is not. Without any, H.264 is coded all the same.

#![deny(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(clippy::disallowed_macros, clippy::disallowed_methods, clippy::disallowed_types)
)]

#[cfg(feature = "libaom")]
mod av1;
pub mod decode;
#[cfg(test)]
mod ffmpeg;
mod h264;
mod kept;
mod null;
#[cfg(any(feature = "libaom", feature = "rav1e"))]
mod obu;
#[cfg(feature = "openh264")]
mod openh264;
#[cfg(not(feature = "openh264"))]
#[path = "openh264/absent.rs"]
mod openh264;
#[cfg(test)]
mod random;
mod rate;
#[cfg(feature = "rav1e")]
mod rav1e;
mod screen;
mod selector;
mod sharpen;
mod source;

use std::ops::Range;

use farpane_media::{Bitrate, FrameBody, Region, Size, Time, VideoFormat};

pub use farpane_media::{Chroma, Codec, Slot};
pub use null::Description;
#[cfg(feature = "rav1e")]
pub use rav1e::Rav1e;
pub use selector::{Reason, Selector};

/// What an encoder is made for. A picture of another size needs another encoder.
#[derive(Clone, Copy, Debug)]
pub struct EncoderConfig {
    pub size: Size,
    pub chroma: Chroma,
    /// The target at the start; each [`Request`] carries the current one.
    pub bitrate: Bitrate,
    /// Pictures a second at most.
    pub max_fps: u32,
    /// Threads the encoder may use, itself included; each codes a slice or tile of its own.
    pub threads: u32,
    /// Whether pictures may be kept, for a viewer that is told what each refers to (by the dependency descriptor).
    pub keeps: bool,
    /// Two temporal layers (L1T2), for encoders that have them: AV1 by libaom. Pictures may then be discardable.
    pub layered: bool,
}

/// A picture to code and where it differs from the one given before it.
#[derive(Clone, Copy, Debug)]
pub struct Picture<'a> {
    pub frame: &'a FrameBody,
    /// A superset of the changed pixels; ignored for an encoder's first picture, which is taken whole.
    pub damage: &'a Region,
}

/// How to code one access unit.
#[derive(Clone, Copy, Debug, Default)]
pub struct Request {
    /// Code the picture without reference to earlier ones, with all parameter sets in front.
    pub key_frame: bool,
    /// The target from now on, as the network allows.
    pub bitrate: Bitrate,
    /// The moment of the call. Rate control counts by it, so it must not go backwards.
    pub now: Time,
    /// Refer to the picture kept there, as the viewer lacks later ones. It has to be one that the viewer has, kept since
    /// the last key frame; an encoder that does not have it gives a key frame.
    pub from: Option<Slot>,
    /// Keep this picture there, in place of another, if the encoder can: none does with a key frame, which empties both
    /// slots, and some do only after a few more.
    pub keep: Option<Slot>,
    /// The picture is better one that no other refers to, so that a viewer can do without. What it shows is coded once
    /// more with the next.
    pub discardable: bool,
}

/// What came of one [`Encoder::encode`].
#[derive(Clone, Copy, Debug)]
pub enum Output<'a> {
    AccessUnit(AccessUnit<'a>),
    /// The bit budget is spent. The picture stays pending in full, and so does a requested key frame: encode again, with
    /// or without an update in between, one frame time later.
    Skipped,
}

/// One coded picture.
#[derive(Clone, Copy, Debug)]
pub struct AccessUnit<'a> {
    /// The bytes in the codec's own stream format (H.264: Annex B).
    pub data: &'a [u8],
    /// Where in `data` its units are: H.264 NAL units without start codes, AV1 OBUs.
    pub units: &'a [Range<usize>],
    pub key_frame: bool,
    /// The kept picture that this one refers to, instead of the one before it.
    pub from: Option<Slot>,
    /// Where it is kept, of the slots that were asked for.
    pub kept: Option<Slot>,
    /// None will refer to it: as was asked for, by an encoder in layers and of a picture that shows something new.
    pub discardable: bool,
    /// The quantizer of the coarsest part of the picture as the viewer now has it, on the codec's own scale (H.264: 0 to
    /// 51), where it is known.
    pub quantizer: Option<u8>,
    /// When the picture, if it has not changed until then, gains from being coded again; `None` when it is as sharp as it
    /// gets.
    pub again: Option<Time>,
    /// By the encoder for films, in 4:2:0 whatever was asked for.
    pub film: bool,
    /// All that may differ from the picture before it, if the encoder knows.
    pub changed: Option<&'a Region>,
}

/// Codes pictures of one size. Made by [`open`].
pub trait Encoder: Send {
    fn codec(&self) -> Codec;

    /// Converts the damaged part of `picture` into the encoder's own planes.
    ///
    /// # Errors
    /// [`EncodeError::SizeChanged`] when the picture is not of the configured size; the encoder stays usable.
    fn update(&mut self, picture: Picture<'_>) -> Result<(), EncodeError>;

    /// Codes the planes as they are after the last [`Encoder::update`]. The first access unit is a key frame; later
    /// ones are on request, and where the encoder cannot go on from what the viewer has.
    ///
    /// # Errors
    /// [`EncodeError::NoPicture`] before the first update; [`EncodeError::Library`] when the codec itself failed, after
    /// which only a new encoder helps.
    fn encode(&mut self, request: &Request) -> Result<Output<'_>, EncodeError>;

    /// Lets films, from the next picture on, be coded with half the columns and rows, or no longer. Encoders that do not
    /// tell films from screens have no such mode.
    fn set_small_films(&mut self, _small: bool) {}

    /// Whether it codes in two layers, as it was asked to.
    fn is_layered(&self) -> bool {
        false
    }

    /// About how many bytes a picture takes at the least that goes on from the kept one, or from none, where that is more than
    /// for any other: what moved since is not found there. 0 when nothing moves.
    fn restart_cost(&self, _from: Option<Slot>) -> u64 {
        0
    }

    /// Whether the last access unit shows an earlier picture than the planes hold: encode again and it comes.
    fn is_behind(&self) -> bool {
        false
    }
}

/// What this build can code, best first.
pub fn formats() -> Vec<VideoFormat> {
    let has_av1 = cfg!(any(feature = "libaom", feature = "rav1e"));
    let is_coded = |format: &VideoFormat| format.codec != Codec::Av1 || has_av1;
    selector::PREFERENCE.into_iter().filter(is_coded).collect()
}

/// Whether this build codes `codec` in two temporal layers.
pub fn has_layers(codec: Codec) -> bool {
    cfg!(feature = "libaom") && codec == Codec::Av1
}

/// Makes an encoder.
///
/// # Errors
/// [`EncodeError::UnsupportedSize`] when the codec cannot take pictures that large (or empty);
/// [`EncodeError::NoEncoder`] for a codec that is not among [`formats`].
pub fn open(codec: Codec, config: &EncoderConfig) -> Result<Box<dyn Encoder>, EncodeError> {
    match codec {
        Codec::H264 => Ok(Box::new(h264::H264::new(config)?)),
        Codec::Av1 => cfg_select! {
            feature = "libaom" => { Ok(Box::new(av1::Av1::new(config)?)) }
            feature = "rav1e" => { Ok(Box::new(Rav1e::new(config)?)) }
            _ => { Err(EncodeError::NoEncoder { codec }) }
        },
        Codec::Null => Ok(Box::new(null::NullEncoder::new(config)?)),
    }
}

/// Why a picture could not be coded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    #[error("this build has no encoder for {codec}: build it with the feature libaom or rav1e")]
    NoEncoder { codec: Codec },
    #[error(
        "{codec} takes pictures from 1x1 to {limit}, not {size}: share a smaller display or lower its resolution"
    )]
    UnsupportedSize { codec: Codec, size: Size, limit: Size },
    #[error("the picture is {got} and the encoder was made for {expected}: make a new encoder")]
    SizeChanged { expected: Size, got: Size },
    #[error("there is no picture to code yet: update the encoder first")]
    NoPicture,
    #[error("{codec}: {call} failed with code {code}: make a new encoder")]
    Library { codec: Codec, call: &'static str, code: i64 },
}
