//! A video stream in RTP over UDP (RFC 3550, RFC 3551).

use std::hash::{BuildHasher, RandomState};
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::thread;
use std::time::Duration;

use farpane_codec::AccessUnit;
use farpane_media::{Clock, Codec, Time};
use farpane_proto::MAX_PAYLOAD;
use farpane_proto::packetize::Packetizer;
use farpane_proto::rtcp::SenderReport;
use farpane_proto::rtp::{FIXED_LEN, Header};
use farpane_proto::sdp::{CLOCK_RATE, PAYLOAD_TYPE};

/// The least time between reports (RFC 3550, section 6.2).
const REPORT_EVERY: Duration = Duration::from_secs(5);
/// Players hold pictures back against jitter, and a goodbye that overtakes the last ones cuts them off.
const FAREWELL: Duration = Duration::from_secs(1);
/// Worth a word to the person.
const LATE: Duration = Duration::from_secs(1);

pub struct Stream {
    rtp: UdpSocket,
    rtcp: UdpSocket,
    clock: Clock,
    packetizer: Packetizer,
    header: Header,
    /// The RTP time of the clock's zero.
    base: u32,
    packets: u32,
    octets: u32,
    report_at: Time,
    /// When the last picture has been shown.
    end: Time,
    said_late: bool,
    said_refused: bool,
}

impl Stream {
    pub fn open(to: SocketAddr) -> io::Result<Stream> {
        let socket = |port| {
            let any: IpAddr = match to {
                SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
                SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
            };
            let socket = UdpSocket::bind((any, 0))?;
            socket.connect((to.ip(), port))?;
            Ok::<_, io::Error>(socket)
        };
        // Where to begin is to be unpredictable (RFC 3550, section 5.1).
        let random = RandomState::new();
        let [sequence, base, ssrc] = [0, 1, 2].map(|which| random.hash_one(which));
        Ok(Stream {
            rtp: socket(to.port())?,
            rtcp: socket(to.port() + 1)?,
            clock: Clock::start(),
            packetizer: Packetizer::new(MAX_PAYLOAD),
            header: Header {
                payload_type: PAYLOAD_TYPE,
                sequence: sequence as u16,
                ssrc: ssrc as u32,
                ..Header::default()
            },
            base: base as u32,
            packets: 0,
            octets: 0,
            report_at: Time::ZERO,
            end: Time::ZERO,
            said_late: false,
            said_refused: false,
        })
    }

    pub fn ssrc(&self) -> u32 {
        self.header.ssrc
    }

    /// The address that packets leave from.
    pub fn from(&self) -> io::Result<IpAddr> {
        Ok(self.rtp.local_addr()?.ip())
    }

    /// Time begins now.
    pub fn start(self) -> Stream {
        Stream { clock: Clock::start(), ..self }
    }

    /// Sends a picture that is shown from `now` to `next`. Its packets take half of that time, as many at once would
    /// overrun what sockets hold; the other half is for coding the next picture.
    pub fn send(
        &mut self,
        codec: Codec,
        unit: &AccessUnit<'_>,
        now: Time,
        next: Time,
    ) -> io::Result<()> {
        let payloads = self.packetizer.packetize(codec, unit.data, unit.units, unit.key_frame);
        let count = payloads.clone().count().max(1);
        let gap = next.since(now) / 2 / count as u32;
        let mut at = now;
        self.header.time = self.rtp_time(now);
        self.end = next;
        for payload in payloads {
            self.wait(at);
            self.header.marker = payload.is_last();
            let mut packet = [0; FIXED_LEN + MAX_PAYLOAD];
            let start = self.header.write(&[], &mut packet).expect("a fixed header fits");
            let length = payload.write(&mut packet[start..]);
            self.put(&packet[..start + length])?;
            self.header.sequence = self.header.sequence.wrapping_add(1);
            self.packets = self.packets.wrapping_add(1);
            self.octets = self.octets.wrapping_add(length as u32);
            at += gap;
        }
        if self.report_at <= now {
            self.report_at = now + REPORT_EVERY;
            self.report(false)?;
        }
        Ok(())
    }

    /// Says goodbye when the last picture has been shown.
    pub fn close(mut self) -> io::Result<()> {
        self.wait(self.end + FAREWELL);
        self.report(true)
    }

    /// Waits until a moment on the clock, so that being late once delays nothing that follows.
    fn wait(&mut self, until: Time) {
        let now = self.clock.now();
        thread::sleep(until.since(now));
        if now.since(until) > LATE && !self.said_late {
            self.said_late = true;
            eprintln!("rtp: this machine is slower than the file; what follows comes late");
        }
    }

    /// A player that is not there yet is no error: the next key frame is for it.
    fn put(&mut self, packet: &[u8]) -> io::Result<()> {
        let sent = match self.rtp.send(packet) {
            // That was about an earlier packet; this one has not gone.
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
                if !self.said_refused {
                    self.said_refused = true;
                    eprintln!("rtp: no player listens at {}", self.rtp.peer_addr()?);
                }
                self.rtp.send(packet)
            }
            sent => sent,
        };
        tolerate_refusal(sent)
    }

    fn report(&mut self, goodbye: bool) -> io::Result<()> {
        let now = self.clock.now();
        let report = SenderReport {
            ssrc: self.header.ssrc,
            unix: self.clock.unix(now),
            rtp_time: self.rtp_time(now),
            packets: self.packets,
            octets: self.octets,
        };
        tolerate_refusal(self.rtcp.send(&report.write(goodbye)))
    }

    fn rtp_time(&self, time: Time) -> u32 {
        self.base.wrapping_add(time.rtp(CLOCK_RATE))
    }
}

fn tolerate_refusal(sent: io::Result<usize>) -> io::Result<()> {
    match sent {
        Err(error) if error.kind() != ErrorKind::ConnectionRefused => Err(error),
        _ => Ok(()),
    }
}
