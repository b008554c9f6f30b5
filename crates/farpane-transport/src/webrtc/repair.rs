//! Parity of what is sent, to a viewer that takes `flexfec-03`: a stream of its own in the video section, and how much of
//! it goes out. What comes of what it repairs is known from feedback alone, see [`super::arrivals`].
//!
//! str0m knows no such format, but sends the stream as any other. It tells streams of one section apart by restriction
//! identifiers, so that both have one, which never leaves this host. Its answer is completed here.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use farpane_media::{Bitrate, Time};
use farpane_proto::fec::{Copies, Duplicate, Protector, Strength};
use str0m::Rtc;
use str0m::format::{Codec, CodecConfig, FormatParams};
use str0m::media::{Frequency, Mid, Pt, Rid};
use str0m::rtp::{Extension, RtpHeader, RtpWrite, SeqNo, Ssrc};

use crate::outbox::Fate;

/// The way to the viewer, as far as it is known.
#[derive(Clone, Copy)]
pub(super) struct Path {
    pub rtt: Duration,
    pub estimate: Bitrate,
}

/// See the module.
pub(super) struct Repair {
    payload_type: Pt,
    ssrc: Ssrc,
    /// The stream of pictures.
    protected: Ssrc,
    /// Extensions that differ in a packet that is sent again.
    volatile: [u8; 2],
    next_sequence: SeqNo,
    protector: Protector,
    /// What the protector has is protected.
    done: bool,
    strength: Strength,
    copies: Copies,
}

/// Lets str0m send packets of this type. It is not one that str0m negotiates.
pub(super) fn add_format(codecs: &mut CodecConfig, payload_type: u8) {
    let (clock, params) = (Frequency::NINETY_KHZ, FormatParams::default());
    codecs.add_config(payload_type.into(), None, Codec::Null, clock, None, params);
}

impl Repair {
    /// For the stream of pictures in `mid`, which the viewer has accepted; it takes parity as `payload_type`.
    pub(super) fn new(rtc: &mut Rtc, mid: Mid, payload_type: u8) -> Option<Repair> {
        let extensions = rtc.media(mid)?.remote_extmap();
        // No extension has the identifier 0.
        let id = |extension| extensions.id_of(extension).unwrap_or_default();
        let volatile = [id(Extension::TransportSequenceNumber), id(Extension::AbsoluteSendTime)];
        let mut api = rtc.direct_api();
        let pictures = api.stream_tx_by_mid(mid, None)?;
        let (protected, repeats) = (pictures.ssrc(), pictures.rtx());
        let ssrc = api.new_ssrc();
        api.remove_stream_tx(protected);
        api.declare_stream_tx(protected, repeats, mid, Some(Rid::from("picture")));
        api.declare_stream_tx(ssrc, None, mid, Some(Rid::from("parity"))).set_unpaced(true);
        Some(Repair {
            payload_type: payload_type.into(),
            ssrc,
            protected,
            volatile,
            next_sequence: SeqNo::from(1),
            protector: Protector::default(),
            done: false,
            strength: Strength::default(),
            copies: Copies::default(),
        })
    }

    pub(super) fn ssrc(&self) -> Ssrc {
        self.ssrc
    }

    /// Completes an answer of str0m: the format, the stream, and what it repairs (RFC 5956, section 4.1).
    pub(super) fn complete(&self, answer: &str) -> String {
        let (pt, ssrc, protected) = (self.payload_type, self.ssrc, self.protected);
        let own = format!("a=ssrc:{ssrc} ");
        let mut complete = String::with_capacity(answer.len() + 512);
        // A second answer of str0m has some of this already.
        for section in sections(answer) {
            let video = section.starts_with("m=video ");
            for (at, line) in section.lines().enumerate() {
                if video && line.starts_with(&own) {
                    continue;
                }
                complete.push_str(line);
                if video && at == 0 {
                    _ = write!(complete, " {pt}");
                }
                complete.push_str("\r\n");
            }
            if video {
                _ = write!(
                    complete,
                    "a=rtpmap:{pt} flexfec-03/90000\r\n\
                     a=rtcp-fb:{pt} transport-cc\r\n\
                     a=fmtp:{pt} repair-window=10000000\r\n"
                );
                let source = format!("a=ssrc:{protected} ");
                for of_stream in section.lines().filter_map(|line| line.strip_prefix(&source)) {
                    _ = write!(complete, "{own}{of_stream}\r\n");
                }
                _ = write!(complete, "a=ssrc-group:FEC-FR {protected} {ssrc}\r\n");
            }
        }
        complete
    }

    /// The viewer says what came.
    pub(super) fn handle_report(&mut self, report: &[Fate]) {
        for (number, arrived) in report {
            self.strength.handle_fate(*number, arrived.is_some());
            if arrived.is_some() {
                self.copies.handle_arrival(*number);
            }
        }
    }

    /// Bytes of parity for each byte of pictures.
    pub(super) fn share(&self, rtt: Duration) -> f64 {
        if self.strength.is_worth(rtt) { self.strength.share() } else { 0.0 }
    }

    /// A packet has left under a transport-wide number; `packet` is all of it before encryption. Returns how many parity
    /// packets are to follow it, to be had from [`Repair::fill`] until the next packet; copies may follow later.
    pub(super) fn handle_sent(
        &mut self,
        now: Time,
        number: u64,
        header: &RtpHeader,
        packet: &[u8],
        Path { rtt, estimate }: Path,
    ) -> usize {
        if header.ssrc != self.protected {
            return 0;
        }
        let copies = self.strength.copies(rtt);
        self.copies.handle_sent(now, number, packet, &self.volatile, copies, estimate);
        let worth = self.strength.is_worth(rtt);
        if std::mem::take(&mut self.done) || !worth {
            self.protector.clear();
        }
        if !worth {
            return 0;
        }
        self.protector.handle_sent(now, packet, &self.volatile);
        self.strength.handle_sent(packet.len());
        // What is sent again for a lost packet comes a round trip later: parity that is no sooner is of no use.
        let soon = rtt * 3 / 4;
        let late = self.protector.since().is_some_and(|since| now.since(since) >= soon);
        if !(header.marker || late || self.protector.is_full()) {
            return 0;
        }
        let (packets, longest) = (self.protector.packets(), self.protector.longest());
        let count = self.strength.poll_parity(packets, longest);
        self.done = count > 0;
        if count == 0 {
            self.protector.forget(now, soon);
        }
        count
    }

    /// The payload of a parity packet, one of `count`.
    pub(super) fn fill(&self, index: usize, count: usize, payload: &mut Vec<u8>) {
        self.protector.write(index, count, payload);
    }

    /// When the next copy is due.
    pub(super) fn poll_timeout(&self) -> Time {
        self.copies.poll_timeout()
    }

    pub(super) fn poll_copy(&mut self, now: Time) -> Option<Duplicate> {
        self.copies.poll(now)
    }

    /// Writes a packet for str0m to send at once.
    pub(super) fn write(&mut self, rtc: &mut Rtc, rtp_time: u32, payload: &[u8]) {
        let sequence = self.next_sequence.inc();
        let packet = RtpWrite::new(self.payload_type, sequence, rtp_time, Instant::now(), payload);
        if let Some(stream) = rtc.direct_api().stream_tx(&self.ssrc) {
            stream.write_rtp(packet);
        }
    }
}

/// The session's own lines, then each media section.
fn sections(sdp: &str) -> impl Iterator<Item = &str> {
    let mut rest = sdp;
    std::iter::from_fn(move || {
        let end = rest.find("\nm=").map_or(rest.len(), |at| at + 1);
        let (section, after) = rest.split_at(end);
        rest = after;
        (!section.is_empty()).then_some(section)
    })
}
