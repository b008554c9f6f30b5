//! The description of a video stream (RFC 8866), with what its codec wants said of it.

use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};

use base64::prelude::{BASE64_STANDARD, Engine};
use farpane_codec::AccessUnit;
use farpane_media::{Bitrate, Codec};

use crate::stream::{PAYLOAD_TYPE, RATE};

/// What there is to say besides.
pub struct Session<'a> {
    /// Unlike that of any other session of this machine.
    pub id: u32,
    pub name: &'a str,
    pub from: IpAddr,
    pub to: SocketAddr,
    pub bitrate: Bitrate,
    pub codec: Codec,
}

impl Session<'_> {
    /// Describes a stream that begins with the key frame `first`.
    pub fn describe(&self, first: &AccessUnit<'_>) -> String {
        let mut units = first.units.iter().map(|unit| &first.data[unit.clone()]);
        let parameters = match self.codec {
            Codec::Av1 => units.find_map(av1),
            _ => h264(units),
        };
        let Session { id, name, from, to, .. } = self;
        // IPv4 multicast has to say how far it goes: as far as sockets send it unless told otherwise.
        let reach = if to.is_ipv4() && to.ip().is_multicast() { "/1" } else { "" };
        let name: String = name.chars().filter(|letter| !letter.is_control()).collect();
        let (coding, kbps) = (self.codec.encoding_name(), self.bitrate.as_bps() / 1_000);
        let mut sdp = format!(
            "v=0\r\n\
             o=- {id} 0 {}\r\n\
             s={name}\r\n\
             c={}{reach}\r\n\
             t=0 0\r\n\
             m=video {} RTP/AVP {PAYLOAD_TYPE}\r\n\
             b=AS:{kbps}\r\n\
             a=rtpmap:{PAYLOAD_TYPE} {coding}/{RATE}\r\n",
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
