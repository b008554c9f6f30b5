//! Memory that the X server writes pictures to and no other user can read.
//!
//! A System V segment has to be open to the server's user, in practice to everybody: a published weakness of screen
//! sharing programs. This one is an unlinked memory file of mode 0600, passed to the server over its socket, and sealed
//! so that neither side can shrink it under the other.

#![allow(unsafe_code)]

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::ptr::NonNull;

use rustix::fs::{MemfdFlags, Mode, SealFlags, fchmod, fcntl_add_seals, ftruncate, memfd_create};
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

pub(crate) struct Segment {
    fd: OwnedFd,
    start: NonNull<u8>,
    len: usize,
}

// SAFETY: the mapping belongs to this value alone within this process and is not tied to a thread.
unsafe impl Send for Segment {}

impl Segment {
    /// `len` zero bytes; `len` must not be 0.
    pub fn new(len: usize) -> rustix::io::Result<Segment> {
        let fd = memfd_create("farpane-capture", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
        fchmod(&fd, Mode::RUSR | Mode::WUSR)?;
        ftruncate(&fd, len as u64)?;
        fcntl_add_seals(&fd, SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)?;
        // SAFETY: a fresh mapping at an address of the kernel's choice; no memory in use is replaced.
        let start =
            unsafe { mmap(std::ptr::null_mut(), len, ProtFlags::READ, MapFlags::SHARED, &fd, 0)? };
        let start = NonNull::new(start.cast()).ok_or(rustix::io::Errno::NOMEM)?;
        Ok(Segment { fd, start, len })
    }

    /// The file, to be passed to the server.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Copies from `offset` on to all of `to`.
    ///
    /// # Panics
    /// When the segment ends before that.
    pub fn read(&self, offset: usize, to: &mut [u8]) {
        assert!(
            offset.checked_add(to.len()).is_some_and(|end| end <= self.len),
            "read past the segment"
        );
        // SAFETY: the source lies within the mapping (checked above), which cannot shrink (sealed), and cannot overlap
        // `to`, which is other memory. The server writes only while a request of ours is unanswered; should it write
        // now all the same, the bytes are wrong but still bytes: no reference to the mapping is ever made.
        unsafe {
            std::ptr::copy_nonoverlapping(
                self.start.as_ptr().add(offset),
                to.as_mut_ptr(),
                to.len(),
            )
        }
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        // SAFETY: exactly the range mapped in `new`; nothing refers to it any more.
        let unmapped = unsafe { munmap(self.start.as_ptr().cast(), self.len) };
        debug_assert!(unmapped.is_ok(), "a mapping of ours can be unmapped");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{fcntl_get_seals, fstat};

    #[test]
    fn other_users_cannot_open_it_and_nobody_can_shrink_it() {
        let segment = Segment::new(4096).unwrap();
        let stat = fstat(segment.fd()).unwrap();
        assert_eq!((stat.st_mode & 0o777, stat.st_nlink), (0o600, 0));
        assert!(
            fcntl_get_seals(segment.fd()).unwrap().contains(SealFlags::SHRINK | SealFlags::SEAL)
        );
        assert!(ftruncate(segment.fd(), 0).is_err());
    }

    #[test]
    fn what_is_written_to_the_file_is_read() {
        let segment = Segment::new(16).unwrap();
        rustix::io::pwrite(segment.fd(), &[1, 2, 3, 4], 8).unwrap();
        let mut bytes = [0; 6];
        segment.read(6, &mut bytes);
        assert_eq!(bytes, [0, 0, 1, 2, 3, 4]);
    }

    #[test]
    #[should_panic(expected = "read past the segment")]
    fn reading_past_the_end_panics() {
        Segment::new(16).unwrap().read(usize::MAX, &mut [0; 2]);
    }
}
