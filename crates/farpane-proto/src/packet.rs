//! RTP payloads in pooled buffers, on their way from the video thread to the network thread.
//!
//! The pool has the shape of [`farpane_media::FramePool`]: it belongs to the thread that fills packets, and a packet
//! finds its way back over a bounded channel from whichever thread drops it, without a lock and without an allocation.

use std::ops::{Deref, DerefMut};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use farpane_media::{Patches, Time, VideoFormat};

/// The longest payload, in bytes. With RTP header, extensions, SRTP tag, UDP and IPv6 it fits the 1280 bytes that every
/// IPv6 link carries (RFC 8200, section 5), and so does parity of it, which is up to 64 bytes longer with all of that.
pub const MAX_PAYLOAD: usize = 1_100;

/// What the transport needs to know of a payload besides its bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PacketMeta {
    pub format: VideoFormat,
    /// The RTP timestamp, in units of the stream's clock.
    pub rtp_time: u32,
    /// This is the last packet of its frame.
    pub marker: bool,
    /// The frame's number, [`farpane_media::FrameBody::seq`].
    pub frame: u64,
    pub first_of_frame: bool,
    /// Counts what was coded, and what of that it refers to; none for a key frame.
    pub number: u32,
    pub reference: Option<u32>,
    /// The frame does without those that its viewer may still lack, and so do all after it.
    pub starts_anew: bool,
    pub layer: Layer,
    /// The frame can be decoded without any before it.
    pub key_frame: bool,
    /// The frame tells nothing new; it goes so that a viewer who hears nothing knows that there is nothing to hear.
    pub keep_alive: bool,
    /// When the frame's pixels were read.
    pub capture: Time,
    /// All that may differ from the frame before it, if that is known; the last packet tells.
    pub changed: Option<Patches>,
}

/// The temporal layer that a frame is of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Layer {
    /// There is one only.
    #[default]
    Only,
    Lower,
    /// No other frame refers to it.
    Upper,
}

/// What a [`PacketBuf`] holds.
#[derive(Debug)]
pub struct PacketBody {
    pub meta: PacketMeta,
    len: usize,
    bytes: [u8; MAX_PAYLOAD],
}

impl PacketBody {
    pub fn payload(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    /// Replaces the payload by what `write` puts at the start of the buffer; it returns how many bytes that is.
    ///
    /// # Panics
    /// When `write` claims more than [`MAX_PAYLOAD`] bytes.
    pub fn fill(&mut self, write: impl FnOnce(&mut [u8]) -> usize) {
        let len = write(&mut self.bytes);
        assert!(len <= MAX_PAYLOAD, "a payload of {len} bytes in a buffer of {MAX_PAYLOAD}");
        self.len = len;
    }
}

/// A payload in a pooled buffer; dropping it, on any thread, gives the buffer back.
#[derive(Debug)]
pub struct PacketBuf {
    /// Always `Some` until dropped.
    body: Option<Box<PacketBody>>,
    home: SyncSender<Box<PacketBody>>,
}

impl Deref for PacketBuf {
    type Target = PacketBody;

    fn deref(&self) -> &PacketBody {
        self.body.as_ref().expect("a packet has a body until it is dropped")
    }
}

impl DerefMut for PacketBuf {
    fn deref_mut(&mut self) -> &mut PacketBody {
        self.body.as_mut().expect("a packet has a body until it is dropped")
    }
}

impl Drop for PacketBuf {
    fn drop(&mut self) {
        // A full or closed channel means that the pool is gone: then the buffer is simply freed.
        if let Some(body) = self.body.take() {
            let _ = self.home.try_send(body);
        }
    }
}

/// A bounded set of packet buffers, owned by the thread that fills them.
#[derive(Debug)]
pub struct PacketPool {
    #[expect(clippy::vec_box, reason = "the boxes travel; moving their contents would copy them")]
    free: Vec<Box<PacketBody>>,
    returned: Receiver<Box<PacketBody>>,
    home: SyncSender<Box<PacketBody>>,
    allocated: usize,
    capacity: usize,
}

impl PacketPool {
    /// At most `capacity` buffers, allocated as they are first needed.
    pub fn new(capacity: usize) -> PacketPool {
        let (home, returned) = sync_channel(capacity);
        PacketPool { free: Vec::with_capacity(capacity), returned, home, allocated: 0, capacity }
    }

    /// An empty packet, or `None` while all are in use.
    pub fn acquire(&mut self) -> Option<PacketBuf> {
        if self.free.is_empty() {
            self.free.extend(self.returned.try_iter());
        }
        let mut body = match self.free.pop() {
            Some(body) => body,
            None if self.allocated < self.capacity => {
                self.allocated += 1;
                Box::new(PacketBody {
                    meta: PacketMeta::default(),
                    len: 0,
                    bytes: [0; MAX_PAYLOAD],
                })
            }
            None => return None,
        };
        (body.len, body.meta) = (0, PacketMeta::default());
        Some(PacketBuf { body: Some(body), home: self.home.clone() })
    }

    /// How many packets could be acquired now: enough for a whole frame, or better none of it.
    pub fn available(&mut self) -> usize {
        self.free.extend(self.returned.try_iter());
        self.free.len() + self.capacity - self.allocated
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pool_is_bounded_and_packets_return_from_another_thread() {
        let mut pool = PacketPool::new(2);
        let packets = [pool.acquire().unwrap(), pool.acquire().unwrap()];
        assert_eq!(pool.available(), 0);
        assert!(pool.acquire().is_none());
        std::thread::spawn(move || drop(packets)).join().unwrap();
        assert_eq!(pool.available(), 2);
        assert!(pool.acquire().is_some());
    }

    #[test]
    fn a_packet_comes_back_empty() {
        let mut pool = PacketPool::new(1);
        let mut packet = pool.acquire().unwrap();
        packet.meta.marker = true;
        packet.fill(|space| {
            space[..3].copy_from_slice(b"abc");
            3
        });
        assert_eq!(packet.payload(), b"abc");
        drop(packet);
        let again = pool.acquire().unwrap();
        assert_eq!((again.payload(), again.meta), (&[][..], PacketMeta::default()));
    }

    #[test]
    fn a_packet_outlives_its_pool() {
        let mut pool = PacketPool::new(1);
        let packet = pool.acquire().unwrap();
        drop(pool);
        drop(packet);
    }
}
