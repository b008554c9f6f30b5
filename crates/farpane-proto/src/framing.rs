//! Packets in a byte stream, each after its length in two bytes (RFC 4571, section 2).

/// Longest packet taken from a stream, in bytes; as long as the longest datagram taken from a network.
pub const MAX_FRAME: usize = 2_000;

/// Some packets at once, so that a burst does not take a system call for each.
const BUFFER: usize = 16 * 1024;
const LENGTH: usize = 2;

/// What goes before a packet of `len` bytes; `None` for one that no frame can hold.
pub fn length(len: usize) -> Option<[u8; LENGTH]> {
    u16::try_from(len).ok().map(u16::to_be_bytes)
}

/// The stream holds a packet longer than [`MAX_FRAME`]; what follows it cannot be found any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a packet of {0} bytes is longer than the {MAX_FRAME} that are allowed")]
pub struct FrameTooLong(pub usize);

/// Finds the packets in a stream. Allocates nothing after it was made.
#[derive(Debug)]
pub struct Deframer {
    buffer: Box<[u8; BUFFER]>,
    /// What was received and not yet taken.
    start: usize,
    end: usize,
}

impl Default for Deframer {
    fn default() -> Deframer {
        Deframer { buffer: Box::new([0; BUFFER]), start: 0, end: 0 }
    }
}

impl Deframer {
    /// Where to put what comes next. Never empty once all packets were taken.
    pub fn space(&mut self) -> &mut [u8] {
        self.buffer.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, self.end - self.start);
        &mut self.buffer[self.end..]
    }

    /// So many bytes were put into [`Deframer::space`].
    pub fn handle_received(&mut self, len: usize) {
        self.end = (self.end + len).min(BUFFER);
    }

    /// Whether the next packet is whole.
    ///
    /// # Errors
    /// [`FrameTooLong`], now and ever after.
    pub fn has_frame(&mut self) -> Result<bool, FrameTooLong> {
        loop {
            match self.next() {
                // An empty one keeps a connection alive (RFC 4571, section 2).
                Some((0, _)) => self.start += LENGTH,
                Some((len, _)) if len > MAX_FRAME => return Err(FrameTooLong(len)),
                next => return Ok(next.is_some_and(|(len, received)| len <= received)),
            }
        }
    }

    /// The next packet; `None` unless [`Deframer::has_frame`].
    pub fn poll_frame(&mut self) -> Option<&[u8]> {
        let (len, received) = self.next()?;
        if len > received {
            return None;
        }
        let from = self.start + LENGTH;
        self.start = from + len;
        Some(&self.buffer[from..self.start])
    }

    /// How long the next packet is, and how much of it is there.
    fn next(&self) -> Option<(usize, usize)> {
        let (length, packet) = self.buffer[self.start..self.end].split_first_chunk::<LENGTH>()?;
        Some((usize::from(u16::from_be_bytes(*length)), packet.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framed(packets: &[&[u8]]) -> Vec<u8> {
        let mut stream = Vec::new();
        for packet in packets {
            stream.extend(length(packet.len()).unwrap());
            stream.extend_from_slice(packet);
        }
        stream
    }

    /// All packets of a stream that comes in pieces of `step` bytes.
    fn deframed(stream: &[u8], step: usize) -> Result<Vec<Vec<u8>>, FrameTooLong> {
        let mut deframer = Deframer::default();
        let mut packets = Vec::new();
        for piece in stream.chunks(step) {
            deframer.space()[..piece.len()].copy_from_slice(piece);
            deframer.handle_received(piece.len());
            while deframer.has_frame()? {
                packets.push(deframer.poll_frame().unwrap().to_vec());
            }
            assert_eq!(deframer.poll_frame(), None);
        }
        Ok(packets)
    }

    #[test]
    fn packets_come_out_as_they_went_in_however_the_stream_is_cut() {
        let (long, short) = (vec![7; MAX_FRAME], [1, 2, 3]);
        let packets = [&short[..], &long, &short, b"", &long, &[9], &long];
        let stream = framed(&packets);
        let wanted: Vec<_> = packets.iter().filter(|p| !p.is_empty()).map(|p| p.to_vec()).collect();
        for step in [1, 2, 3, 700, 2_001, BUFFER - MAX_FRAME - LENGTH] {
            assert_eq!(deframed(&stream, step).as_ref(), Ok(&wanted), "{step}");
        }
    }

    #[test]
    fn a_longer_packet_is_the_end_of_a_stream() {
        let stream = framed(&[&[1, 2], &[0; MAX_FRAME + 1], &[3]]);
        assert_eq!(deframed(&stream, 100), Err(FrameTooLong(MAX_FRAME + 1)));
        assert_eq!(length(usize::from(u16::MAX) + 1), None);
    }

    #[test]
    fn there_is_space_while_a_packet_is_not_whole() {
        let mut deframer = Deframer::default();
        let header = length(MAX_FRAME).unwrap();
        deframer.space()[..2].copy_from_slice(&header);
        deframer.handle_received(2);
        for _ in 0..MAX_FRAME {
            assert_eq!(deframer.has_frame(), Ok(false));
            assert!(!deframer.space().is_empty());
            deframer.handle_received(1);
        }
        assert_eq!(deframer.has_frame(), Ok(true));
        assert_eq!(deframer.poll_frame().unwrap().len(), MAX_FRAME);
    }
}
