//! The two requests to the kernel that no safe function makes: namespaces of our own, and a TUN device.

use std::fs::File;

use rustix::fs::{Mode, OFlags};
use rustix::ioctl::{Setter, ioctl, opcode};
use rustix::thread::UnshareFlags;

pub const DEVICE: &str = "/dev/net/tun";

/// `struct ifreq` as TUNSETIFF reads it (linux/if.h, linux/if_tun.h).
#[repr(C)]
struct Request {
    name: [u8; 16],
    flags: u16,
    rest: [u8; 22],
}

const TUNSETIFF: rustix::ioctl::Opcode = opcode::write::<i32>(b'T', 202);
/// Bare IP packets, with nothing in front of them (IFF_TUN | IFF_NO_PI).
const FLAGS: u16 = 0x0001 | 0x1000;

/// Moves this process into a network and a mount namespace of its own.
pub fn leave_namespaces() -> rustix::io::Result<()> {
    // SAFETY: only UnshareFlags::FILES can take descriptors from other threads.
    unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNET | UnshareFlags::NEWNS) }
}

/// A TUN device that is there as long as the file is open, in whichever namespace it is moved to. Reading takes what its
/// network sends, a packet at a time; neither reading nor writing waits.
pub fn tun(name: &str) -> rustix::io::Result<File> {
    let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(DEVICE, flags, Mode::empty())?);
    let mut request = Request { name: [0; 16], flags: FLAGS, rest: [0; 22] };
    request.name[..name.len()].copy_from_slice(name.as_bytes());
    assert_eq!(request.name[15], 0, "a name ends with a zero");
    // SAFETY: TUNSETIFF reads and writes a `struct ifreq`, which `Request` is laid out as, and keeps no pointer to it.
    unsafe { ioctl(&file, Setter::<TUNSETIFF, Request>::new(request))? };
    Ok(file)
}

const _: () = assert!(size_of::<Request>() == 40);
