//! The description of a video stream in plain RTP (RFC 8866), with what its codec wants said of it.

use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};

use base64::prelude::{BASE64_STANDARD, Engine};
use farpane_media::{Bitrate, Codec};

/// The first of the numbers that are given a meaning by a description alone (RFC 3551, section 6).
pub const PAYLOAD_TYPE: u8 = 96;
/// Of video, in Hz.
pub const CLOCK_RATE: u32 = 90_000;

/// What there is to say besides.
#[derive(Clone, Copy, Debug)]
pub struct Description<'a> {
    /// Unlike that of any other session of this machine.
    pub id: u32,
    pub name: &'a str,
    pub from: IpAddr,
    pub to: SocketAddr,
    pub bitrate: Bitrate,
    pub codec: Codec,
    /// Whether the sender listens to players that lack a picture (RFC 4585, RFC 5104).
    pub listens: bool,
}

impl Description<'_> {
    /// Describes a stream that begins with a key frame of these NAL units or OBUs.
    pub fn write<'u>(&self, mut first: impl Iterator<Item = &'u [u8]>) -> String {
        let parameters = match self.codec {
            Codec::Av1 => first.find_map(av1),
            _ => h264(first),
        };
        let Description { id, name, from, to, .. } = self;
        // IPv4 multicast has to say how far it goes: as far as sockets send it unless told otherwise.
        let reach = if to.is_ipv4() && to.ip().is_multicast() { "/1" } else { "" };
        let name: String = name.chars().filter(|letter| !letter.is_control()).collect();
        let (coding, kbps) = (self.codec.encoding_name(), self.bitrate.as_bps() / 1_000);
        let (profile, feedback) = match self.listens {
            true => (
                "RTP/AVPF",
                format!(
                    "a=rtcp-fb:{PAYLOAD_TYPE} nack pli\r\na=rtcp-fb:{PAYLOAD_TYPE} ccm fir\r\n"
                ),
            ),
            false => ("RTP/AVP", String::new()),
        };
        let mut sdp = format!(
            "v=0\r\n\
             o=- {id} 0 {}\r\n\
             s={name}\r\n\
             c={}{reach}\r\n\
             t=0 0\r\n\
             m=video {} {profile} {PAYLOAD_TYPE}\r\n\
             b=AS:{kbps}\r\n\
             a=rtpmap:{PAYLOAD_TYPE} {coding}/{CLOCK_RATE}\r\n\
             {feedback}",
            address(*from),
            address(to.ip()),
            to.port(),
        );
        if let Some(parameters) = parameters {
            let _ = write!(sdp, "a=fmtp:{PAYLOAD_TYPE} {parameters}\r\n");
        }
        sdp
    }
}

fn address(ip: IpAddr) -> String {
    format!("IN IP{} {ip}", if ip.is_ipv4() { 4 } else { 6 })
}

/// RFC 6184, section 8.1, from the parameter sets in an access unit.
fn h264<'a>(nals: impl Iterator<Item = &'a [u8]>) -> Option<String> {
    const TYPE: u8 = 0x1f;
    const SEQUENCE: u8 = 7;
    const PICTURE: u8 = 8;
    let sets: Vec<&[u8]> = nals.filter(|nal| matches!(nal[0] & TYPE, SEQUENCE | PICTURE)).collect();
    let [_, profile, constraints, level, ..] = sets.first()? else { return None };
    let encoded: Vec<String> = sets.iter().map(|set| BASE64_STANDARD.encode(set)).collect();
    Some(format!(
        "packetization-mode=1;profile-level-id={profile:02x}{constraints:02x}{level:02x};sprop-parameter-sets={}",
        encoded.join(",")
    ))
}

/// RTP Payload Format For AV1, section 7.1, from a sequence header; `None` for another unit, or for a header that opens
/// with what our encoder does not write.
fn av1(obu: &[u8]) -> Option<String> {
    /// `obu_type` and `obu_has_size_field`.
    const SEQUENCE_HEADER: u8 = 1 << 3 | 1 << 1;
    /// `reduced_still_picture_header` and `timing_info_present_flag`, which move what follows.
    const OTHERWISE: u8 = 0b1100;
    let [SEQUENCE_HEADER, _size, first, _, _, level, ..] = obu else { return None };
    let (profile, tier) = (first >> 5, level >> 2 & 1);
    let level = level >> 3;
    // Lower levels have no tiers.
    let tier = if level > 7 { tier } else { 0 };
    (first & OTHERWISE == 0).then(|| format!("profile={profile};level-idx={level};tier={tier}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_description_says_where_what_and_how() {
        let description = Description {
            id: 7,
            name: "a\r\nb",
            from: "192.0.2.1".parse().unwrap(),
            to: "233.252.0.1:5004".parse().unwrap(),
            bitrate: Bitrate::mbps(8),
            codec: Codec::H264,
            listens: true,
        };
        let units: [&[u8]; 3] = [&[0x67, 0x42, 0xc0, 0x1f, 9], &[0x68, 1], &[0x65, 2]];
        assert_eq!(
            description.write(units.into_iter()),
            "v=0\r\no=- 7 0 IN IP4 192.0.2.1\r\ns=ab\r\nc=IN IP4 233.252.0.1/1\r\nt=0 0\r\n\
             m=video 5004 RTP/AVPF 96\r\nb=AS:8000\r\na=rtpmap:96 H264/90000\r\n\
             a=rtcp-fb:96 nack pli\r\na=rtcp-fb:96 ccm fir\r\n\
             a=fmtp:96 packetization-mode=1;profile-level-id=42c01f;sprop-parameter-sets=Z0LAHwk=,aAE=\r\n"
        );
        let to = "[::1]:5004".parse().unwrap();
        let description = Description { to, codec: Codec::Av1, listens: false, ..description };
        let units: [&[u8]; 1] = [&[0x0a, 11, 0, 0, 0, 0x4a, 0x2b]];
        let written = description.write(units.into_iter());
        assert!(written.contains("c=IN IP6 ::1\r\n"), "{written}");
        assert!(written.ends_with(
            "RTP/AVP 96\r\nb=AS:8000\r\na=rtpmap:96 AV1/90000\r\na=fmtp:96 profile=0;level-idx=9;tier=0\r\n"
        ), "{written}");
    }
}
