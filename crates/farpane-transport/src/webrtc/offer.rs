//! What of a viewer's session description (RFC 8866) reaches the WebRTC stack.

use std::net::IpAddr;

use str0m::Candidate;
use str0m::net::Protocol;

use crate::NegotiationError;

/// A browser's offer of one video stream and data channels is 3 to 6 kB.
const MAX_OFFER: usize = 64 * 1024;
/// Of one description. Each is paired with every local address and checked.
const MAX_CANDIDATES: usize = 32;

/// A description that is safe to parse and act on.
#[derive(Debug)]
pub(super) struct Offer {
    pub sdp: String,
    /// The media identification tag (RFC 5888) of the video section.
    pub video: String,
    /// The first ICE user name fragment; with bundled sections there is but one.
    pub ufrag: String,
    /// The payload type of parity packets, if the viewer takes them.
    pub parity: Option<u8>,
}

/// Leaves out the candidates that this host cannot use and checks the shape: one video section, and at most one for
/// data channels.
pub(super) fn examine(sdp: &str) -> Result<Offer, NegotiationError> {
    let malformed = |what: &str| NegotiationError::MalformedOffer(what.to_owned());
    if sdp.len() > MAX_OFFER {
        return Err(malformed("it is longer than 64 kB"));
    }
    let mut clean = String::with_capacity(sdp.len());
    let (mut section, mut videos, mut channels, mut candidates) = ("", 0, 0, 0);
    let (mut video, mut ufrag, mut parity) = (None, "", None);
    for line in sdp.lines() {
        if let Some(media) = line.strip_prefix("m=") {
            section = media.split(' ').next().unwrap_or_default();
            match section {
                "video" => videos += 1,
                "application" => channels += 1,
                _ => {
                    return Err(malformed(
                        "it has a section that is neither video nor data channels",
                    ));
                }
            }
        }
        if let Some(mid) = line.strip_prefix("a=mid:").filter(|_| section == "video") {
            video = Some(mid.to_owned());
        }
        if section == "video"
            && let Some((payload_type, "flexfec-03/90000")) = rtp_map(line)
        {
            parity = parity.or(Some(payload_type));
        }
        if ufrag.is_empty()
            && let Some(value) = line.strip_prefix("a=ice-ufrag:")
        {
            ufrag = value;
        }
        if let Some(attribute) = line.strip_prefix("a=candidate:") {
            if candidates == MAX_CANDIDATES || !matches!(candidate(attribute), Ok(Some(_))) {
                continue;
            }
            candidates += 1;
        }
        clean.push_str(line);
        clean.push_str("\r\n");
    }
    match (video, videos, channels) {
        (Some(video), 1, 0..=1) => Ok(Offer { sdp: clean, video, ufrag: ufrag.to_owned(), parity }),
        _ => Err(malformed(
            "it needs exactly one video section, with a mid, and at most one for data channels",
        )),
    }
}

/// A dynamic payload type and its format.
fn rtp_map(line: &str) -> Option<(u8, &str)> {
    let (payload_type, format) = line.strip_prefix("a=rtpmap:")?.split_once(' ')?;
    let payload_type = payload_type.parse().ok().filter(|number| (35..=127).contains(number))?;
    Some((payload_type, format.trim_end()))
}

/// A description that [`examine`] has passed, without its candidates.
pub(super) fn without_candidates(sdp: &str) -> String {
    sdp.split_inclusive('\n').filter(|line| !line.starts_with("a=candidate:")).collect()
}

/// Reads the value of a candidate attribute (RFC 8839, section 5.1), with or without the attribute's name. `None` for
/// one that is well formed but of no use here: TCP, or a name instead of an address. Browsers hide their addresses
/// behind mDNS names; the address is then learnt from the connectivity checks that come from it.
pub(super) fn candidate(attribute: &str) -> Result<Option<Candidate>, NegotiationError> {
    let malformed = |what: &str| NegotiationError::MalformedCandidate(what.to_owned());
    if attribute.len() > 1_000 {
        return Err(malformed("it is longer than 1000 bytes"));
    }
    let value = attribute.strip_prefix("candidate:").unwrap_or(attribute);
    let mut fields = value.split_ascii_whitespace();
    let (Some(protocol), Some(address)) = (fields.nth(2), fields.nth(1)) else {
        return Err(malformed("it has too few fields"));
    };
    if !protocol.eq_ignore_ascii_case("udp") {
        return Ok(None);
    }
    if address.parse::<IpAddr>().is_err() {
        return if address.ends_with(".local") {
            Ok(None)
        } else {
            Err(malformed("its address is none"))
        };
    }
    let candidate = Candidate::from_sdp_string(&format!("candidate:{value}"))
        .map_err(|error| NegotiationError::MalformedCandidate(error.to_string()))?;
    Ok(Some(candidate).filter(|candidate| candidate.proto() == Protocol::Udp))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: &str = "1 1 udp 2122260223 192.0.2.7 51000 typ host generation 0";
    const HIDDEN: &str =
        "1 1 udp 2122260223 6b0c9a9e-0f3e-4c7e-9d46-2a1c2bd6b5d1.local 51000 typ host";
    const TCP: &str = "1 1 tcp 1518280447 192.0.2.7 9 typ host tcptype active";

    #[test]
    fn only_udp_candidates_with_an_address_are_of_use() {
        assert!(candidate(HOST).unwrap().is_some());
        assert!(candidate(&format!("candidate:{HOST}")).unwrap().is_some());
        assert!(candidate(HIDDEN).unwrap().is_none());
        assert!(candidate(TCP).unwrap().is_none());
        for bad in
            ["", "1 1 udp", "1 1 udp 1 example.org 5 typ host", "1 1 udp x 192.0.2.7 y typ host"]
        {
            assert!(
                matches!(candidate(bad), Err(NegotiationError::MalformedCandidate(_))),
                "{bad}"
            );
        }
    }

    #[test]
    fn an_offer_keeps_its_lines_but_not_the_useless_candidates() {
        let head = "v=0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:0\r\n";
        let sdp =
            format!("{head}a=candidate:{HOST}\r\na=candidate:{HIDDEN}\r\na=candidate:{TCP}\r\n");
        let offer = examine(&sdp).unwrap();
        assert_eq!(offer.sdp, format!("{head}a=candidate:{HOST}\r\n"));
        assert_eq!(without_candidates(&offer.sdp), head);
        assert_eq!(offer.video, "0");
        let many = format!("{head}{}", format!("a=candidate:{HOST}\r\n").repeat(100));
        assert_eq!(examine(&many).unwrap().sdp.matches("a=candidate").count(), MAX_CANDIDATES);
    }

    #[test]
    fn an_offer_of_another_shape_is_refused() {
        let video = "m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:0\r\n";
        let audio = "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:1\r\n";
        let long = format!("{video}{}", "a=x\r\n".repeat(20_000));
        for bad in
            ["", "garbage", "m=video 9\r\n", &video.repeat(2), &format!("{video}{audio}"), &long]
        {
            assert!(matches!(examine(bad), Err(NegotiationError::MalformedOffer(_))), "{bad:.40}");
        }
    }
}
