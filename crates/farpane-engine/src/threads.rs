//! The one place where threads are spawned.

use std::sync::Arc;
use std::sync::mpsc;
use std::thread::{Builder, JoinHandle};

use farpane_desktop::Desktop;
use farpane_media::Clock;
use farpane_queue::{latest, ring};
use farpane_transport::Transport;

use crate::builder::Config;
use crate::net::{Inside, Net, Outside};
use crate::shared::Shared;
use crate::video::{Out, Video};
use crate::{Engine, Event, capture, input};

/// Packets that may be on their way from the video to the net thread: a key frame of almost 5 MB.
pub(crate) const PACKETS: usize = 4096;
/// Frames whose records may be on their way.
const RECORDS: usize = 256;
/// Pictures that have arrived and of which the video thread does not know.
const ARRIVALS: usize = 256;

pub(crate) fn spawn(
    desktop: Desktop,
    transport: Box<dyn Transport>,
    config: Config,
    clock: Clock,
    events: Box<dyn FnMut(Event) + Send>,
) -> Engine {
    let Desktop { capturer, input: hands, notes: _ } = desktop;
    let shared = Arc::new(Shared::new(clock));
    let waker = transport.waker();
    let (commands, from_owner) = mpsc::channel();
    let (publisher, frames) = latest();
    let (packets, outgoing) = ring(PACKETS);
    let (records, sent_records) = ring(RECORDS);
    let (arrivals, arrived) = ring(ARRIVALS);
    let (narrowed, formats) = mpsc::channel();
    let (cursor, cursor_events) = mpsc::channel();
    let handle = capturer.handle();
    let (to_input, acts) = input::channel();

    let out = Out::new(packets, records, waker.clone());
    let video = Video::new(shared.clone(), config, frames, arrived, formats, out, commands.clone());
    let inside = Inside { packets: outgoing, records: sent_records, arrivals, narrowed };
    let outside =
        Outside { commands: from_owner, cursor: cursor_events, capture: handle.clone(), events };
    let net = Net::new(shared.clone(), config, transport, inside, outside, to_input);
    let eyes = capture::Eyes {
        shared,
        capturer,
        publisher,
        cursor,
        commands: commands.clone(),
        waker: waker.clone(),
    };
    let threads = vec![
        thread("farpane-video", move || video.run()),
        thread("farpane-capture", move || eyes.run()),
        thread("farpane-input", move || input::run(hands, acts, handle)),
        thread("farpane-net", move || net.run()),
    ];
    Engine { commands, waker, threads }
}

#[expect(clippy::disallowed_methods, reason = "the one place")]
pub(crate) fn thread(name: &str, body: impl FnOnce() + Send + 'static) -> JoinHandle<()> {
    Builder::new().name(name.to_owned()).spawn(body).expect("the system can start a thread")
}
