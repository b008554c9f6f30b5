//! A keystroke touches next to nothing of the pictures that a session holds, in any of its stages.
//!
//! Nobody is asked what they copy. All that pictures consist of lies in one arena, whose pages are taken away before the
//! keystroke and given back one by one as somebody reads or writes them.

#![cfg(target_os = "linux")]

mod wire;

use std::alloc::{GlobalAlloc, Layout, System};
use std::ffi::{c_int, c_void};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicUsize};

use farpane_codec::{Codec, EncodeError, Encoder, EncoderConfig, Output, Picture, Request};
use farpane_engine::Engine;
use farpane_media::{Chroma, VideoFormat};
use farpane_transport::{Channel, Event};
use farpane_wire::Message;
use farpane_wire::v1::{InputMessage, Key, input_message};
use rustix::mm::{MapFlags, MprotectFlags, ProtFlags, mmap_anonymous, mprotect};

use wire::Session;

const PAGE: usize = 4096;
/// What takes more is (part of) a picture: the smallest is a plane of chroma, half a megabyte.
const LARGE: usize = 256 << 10;
const PAGES: usize = (512 << 20) / PAGE;

/// Where the arena is; 0 before there is one.
static START: AtomicUsize = AtomicUsize::new(0);
/// Pages given away; they do not come back.
static USED: AtomicUsize = AtomicUsize::new(0);
static TOUCHED: [AtomicBool; PAGES] = [const { AtomicBool::new(false) }; PAGES];

fn page(at: usize) -> *mut c_void {
    std::ptr::with_exposed_provenance_mut(START.load(Relaxed) + at * PAGE)
}

/// The page at an address, if it has been given away.
fn page_at(address: usize) -> Option<usize> {
    let at = address.checked_sub(START.load(Relaxed))? / PAGE;
    (at < USED.load(Relaxed)).then_some(at)
}

/// The system's allocator, except for what is large.
struct Watching;

// SAFETY: what is large gets pages that nobody else has or gets, and everything else is passed on as it is; `realloc` and
// `alloc_zeroed` by default go by way of `alloc`.
unsafe impl GlobalAlloc for Watching {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.size() < LARGE || START.load(Relaxed) == 0 {
            // SAFETY: as the caller promises.
            return unsafe { System.alloc(layout) };
        }
        let pages = layout.size().div_ceil(PAGE);
        let first = USED.fetch_add(pages, Relaxed);
        if first + pages > PAGES || layout.align() > PAGE {
            return std::ptr::null_mut();
        }
        page(first).cast()
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        if page_at(pointer.expose_provenance()).is_none() {
            // SAFETY: as the caller promises; it came from `System`.
            unsafe { System.dealloc(pointer, layout) }
        }
    }
}

#[global_allocator]
static ALLOCATOR: Watching = Watching;

/// Gives the page back that a thread wanted.
extern "C" fn handle_fault(_: c_int, info: *mut libc::siginfo_t, _: *mut c_void) {
    // SAFETY: the system passes the address of the fault.
    let address = unsafe { (*info).si_addr() }.expose_provenance();
    let Some(at) = page_at(address) else {
        // Not ours: it happens again, without this handler.
        // SAFETY: no more than that.
        unsafe { libc::signal(libc::SIGSEGV, libc::SIG_DFL) };
        return;
    };
    TOUCHED[at].store(true, Relaxed);
    // SAFETY: a page of the arena becomes what it was before `take_away`.
    unsafe { mprotect(page(at), PAGE, MprotectFlags::READ | MprotectFlags::WRITE) }.unwrap();
}

/// Takes all pages away.
fn take_away() {
    TOUCHED.iter().for_each(|touched| touched.store(false, Relaxed));
    let len = USED.load(Relaxed) * PAGE;
    // SAFETY: `handle_fault` gives each of them back as it is wanted.
    unsafe { mprotect(page(0), len, MprotectFlags::empty()) }.unwrap();
}

/// How many pages have been touched since.
fn touched() -> usize {
    TOUCHED.iter().filter(|touched| touched.load(Relaxed)).count()
}

/// From now on what is large comes from the arena.
fn watch() {
    let (access, flags) =
        (ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE | MapFlags::NORESERVE);
    // SAFETY: a fresh mapping at an address of the kernel's choice. The handler does nothing but a system call and
    // atomic stores, and all zeros are a valid `sigaction`.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handle_fault as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
        assert_eq!(libc::sigaction(libc::SIGSEGV, &action, std::ptr::null_mut()), 0);
        let start = mmap_anonymous(std::ptr::null_mut(), PAGES * PAGE, access, flags).unwrap();
        START.store(start.expose_provenance(), Relaxed);
    }
}

/// Whether the picture that was sent last is as sharp as it gets.
static SHARP: AtomicBool = AtomicBool::new(false);

struct Telling(Box<dyn Encoder>);

impl Encoder for Telling {
    fn codec(&self) -> Codec {
        self.0.codec()
    }

    fn update(&mut self, picture: Picture<'_>) -> Result<(), EncodeError> {
        self.0.update(picture)
    }

    fn encode(&mut self, request: &Request) -> Result<Output<'_>, EncodeError> {
        let output = self.0.encode(request)?;
        if let Output::AccessUnit(unit) = output {
            SHARP.store(unit.again.is_none(), Relaxed);
        }
        Ok(output)
    }
}

fn open(codec: Codec, config: &EncoderConfig) -> Result<Box<dyn Encoder>, EncodeError> {
    Ok(Box::new(Telling(farpane_codec::open(codec, config)?)))
}

fn press(session: &Session, usage: u32) {
    for down in [true, false] {
        let body = Some(input_message::Body::Key(Key { usage, down }));
        session.emit(Event::Data(Channel::Input, InputMessage { body, number: 0 }.encode_to_vec()));
    }
}

/// A picture of 1920x1080 as it is captured.
const FRAME: usize = 1920 * 1080 * 4 / PAGE;

#[test]
fn a_keystroke_touches_next_to_nothing() {
    watch();
    let builder = Engine::builder().open_encoder(open);
    let format = VideoFormat::new(Codec::H264, Chroma::Yuv420);
    let session = Session::start("synthetic:idle,size=1920x1080", vec![format], builder);
    session.until("a sharp picture", || SHARP.load(Relaxed));
    let held = USED.load(Relaxed);
    let keystrokes = (4..30).map(|usage| {
        take_away();
        session.frames(1, || press(&session, usage));
        touched()
    });
    // The first ones find buffers that have never been filled.
    let mut pages: Vec<usize> = keystrokes.skip(6).collect();
    pages.sort_unstable();
    let (usual, most) = (pages[pages.len() / 2], pages[pages.len() - 1]);
    let told = format!("{usual} pages and at most {most} of {held}; a frame has {FRAME}");
    assert!(0 < usual && usual < FRAME / 12, "{told}");
    assert!(most < FRAME / 6, "{told}");

    // The same way of measuring sees what goes over whole pictures.
    take_away();
    session.frames(1, || {
        session.refresh();
        press(&session, 4);
    });
    assert!(touched() > 2 * FRAME);
}
