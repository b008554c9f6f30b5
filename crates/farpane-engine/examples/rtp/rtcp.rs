//! What a sender tells by RTCP (RFC 3550, section 6): what it has sent, what it is called, and goodbye.

use std::time::Duration;

const VERSION: u8 = 2 << 6;
const SENDER_REPORT: u8 = 200;
const SOURCE_DESCRIPTION: u8 = 202;
const GOODBYE: u8 = 203;
const CNAME: u8 = 1;
/// From NTP's epoch, 1900, to Unix's.
const EPOCHS_APART: u64 = 2_208_988_800;

pub struct Report {
    pub ssrc: u32,
    /// The moment of the report, since the Unix epoch and on the stream's clock.
    pub unix: Duration,
    pub rtp_time: u32,
    pub packets: u32,
    pub octets: u32,
}

impl Report {
    /// A compound packet, with the goodbye if that is asked for.
    pub fn write(&self, goodbye: bool) -> Vec<u8> {
        let seconds = (self.unix.as_secs() + EPOCHS_APART) as u32; // wraps in 2036, as NTP does
        let fraction = (u64::from(self.unix.subsec_nanos()) << 32) / 1_000_000_000;
        let mut out = Vec::new();
        let report =
            [self.ssrc, seconds, fraction as u32, self.rtp_time, self.packets, self.octets];
        packet(&mut out, 0, SENDER_REPORT, &report.map(u32::to_be_bytes).concat());
        let name = format!("farpane-{:08x}", self.ssrc);
        let mut chunk = self.ssrc.to_be_bytes().to_vec();
        chunk.extend([CNAME, name.len() as u8]);
        chunk.extend(name.bytes());
        // At least one zero ends the list.
        chunk.resize((chunk.len() + 1).next_multiple_of(4), 0);
        packet(&mut out, 1, SOURCE_DESCRIPTION, &chunk);
        if goodbye {
            packet(&mut out, 1, GOODBYE, &self.ssrc.to_be_bytes());
        }
        out
    }
}

/// `count` is of the sources or reports in `body`, which is a multiple of four bytes.
fn packet(out: &mut Vec<u8>, count: u8, kind: u8, body: &[u8]) {
    out.extend([VERSION | count, kind]);
    out.extend(((body.len() / 4) as u16).to_be_bytes());
    out.extend(body);
}
