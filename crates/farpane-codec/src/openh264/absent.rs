//! What stands for OpenH264 in builds without it: there is none, so films are coded as screens are.

use farpane_pixel::Planes;

use crate::h264::Format;
use crate::rate::Rate;
use crate::{EncodeError, Output, Picture, Request};

pub(crate) enum OpenH264 {}

impl OpenH264 {
    pub(crate) const IS_PRESENT: bool = false;

    pub(crate) fn new(_: Format) -> Result<OpenH264, EncodeError> {
        unreachable!("nobody asks for what is not present")
    }

    pub(crate) fn planes(&self) -> &Planes {
        match *self {}
    }

    pub(crate) fn adopt(&mut self, _: &Planes) {
        match *self {}
    }

    pub(crate) fn is_small(&self) -> bool {
        match *self {}
    }

    pub(crate) fn set_small(&mut self, _: bool) -> Result<(), EncodeError> {
        match *self {}
    }

    pub(crate) fn update(&mut self, _: Picture<'_>) {
        match *self {}
    }

    pub(crate) fn changed(&self) -> u64 {
        match *self {}
    }

    pub(crate) fn encode(
        &mut self,
        _: &Request,
        _: &mut Rate,
    ) -> Result<(Output<'_>, u64), EncodeError> {
        match *self {}
    }
}
