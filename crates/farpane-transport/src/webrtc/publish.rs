//! The other way to negotiate: this host offers, and a server that passes pictures on answers, as WHIP has it (RFC 9725).

use std::time::Instant;

use farpane_media::Clock;
use str0m::change::{SdpAnswer, SdpPendingOffer};
use str0m::media::{Direction, MediaKind};

use super::network::Network;
use super::{Begun, WebRtc, WebRtcConfig, offer, rtc_config};
use crate::{NegotiationError, Waker};

/// An offer that waits for its answer.
pub struct Offered {
    begun: Begun,
    pending: SdpPendingOffer,
    clock: Clock,
}

impl WebRtc {
    /// Offers one video stream and nothing else; all candidates are in the description.
    ///
    /// # Errors
    /// The machine has no usable network.
    pub fn offer(
        config: WebRtcConfig,
        clock: Clock,
    ) -> Result<(Offered, String), NegotiationError> {
        let waker = Waker::new().map_err(NegotiationError::NoInterface)?;
        let start = Instant::now();
        let mut rtc = rtc_config(&config, None).build(start);
        let mut network = Network::new(config.door);
        network.open(&mut rtc).map_err(NegotiationError::NoInterface)?;
        let mut api = rtc.sdp_api();
        let mid = api.add_media(MediaKind::Video, Direction::SendOnly, None, None, None);
        let (description, pending) = api.apply().ok_or(NegotiationError::NoCommonCodec)?;
        let estimate = config.initial_estimate;
        let begun = Begun { rtc, network, waker, mid, start, estimate };
        Ok((Offered { begun, pending, clock }, description.to_sdp_string()))
    }
}

impl Offered {
    /// # Errors
    /// The answer makes no sense or takes none of the formats.
    pub fn accept(mut self, answer: &str) -> Result<WebRtc, NegotiationError> {
        let malformed =
            |error: &dyn std::fmt::Display| NegotiationError::MalformedAnswer(error.to_string());
        let answer = offer::examine(answer).map_err(|error| malformed(&error))?;
        let description =
            SdpAnswer::from_sdp_string(&answer.sdp).map_err(|error| malformed(&error))?;
        let accepted = self.begun.rtc.sdp_api().accept_answer(self.pending, description);
        accepted.map_err(|error| malformed(&error))?;
        self.begun.session(self.clock, None, answer.ufrag)
    }
}
