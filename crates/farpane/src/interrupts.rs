//! What ends a program from outside, for programs that have something to say first.

use std::future::poll_fn;
use std::task::Poll;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Ctrl-C, or a polite request to end; one that comes while nobody waits for it is not lost.
pub struct Interrupts(Vec<Signal>);

impl Interrupts {
    pub fn new() -> Interrupts {
        let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
        // One that cannot be caught ends the program at once, as it would have without us.
        Interrupts(kinds.into_iter().filter_map(|kind| signal(kind).ok()).collect())
    }

    pub async fn next(&mut self) {
        poll_fn(|context| {
            let came = self.0.iter_mut().any(|signal| signal.poll_recv(context).is_ready());
            if came { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}
