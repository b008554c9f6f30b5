//! The capture thread: waits for the desktop to change and publishes what it sees.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc;

use farpane_desktop::{CaptureError, Captured, Capturer, CursorEvent};
use farpane_media::{Frame, Time};
use farpane_queue::Publisher;
use farpane_transport::Waker;
use farpane_wire::v1::EndReason;

use crate::net::Command;
use crate::shared::Shared;

/// So many captures may fail in a row before the desktop counts as lost.
const PATIENCE: u32 = 20;

pub(crate) struct Eyes {
    pub shared: Arc<Shared>,
    pub capturer: Box<dyn Capturer>,
    pub publisher: Publisher<Frame>,
    pub cursor: mpsc::Sender<CursorEvent>,
    pub commands: mpsc::Sender<Command>,
    pub waker: Waker,
}

impl Eyes {
    pub fn run(mut self) {
        let mut failures = 0;
        while !self.shared.stop.is_set() {
            let captured = match self.shared.hidden.is_set() {
                true => self.capturer.rest(),
                false => self.capturer.next(Time::NEVER),
            };
            if captured.is_ok() {
                failures = 0;
            }
            match captured {
                Ok(Captured::Frame(frame)) => self.publish(frame),
                Ok(Captured::Cursor(event)) => {
                    // The receiver only goes away when the session ends, which `stop` tells too.
                    let _ = self.cursor.send(event);
                    self.waker.ring();
                }
                Ok(Captured::Nothing) => {}
                Ok(Captured::Stopped) => break,
                Err(CaptureError::Temporary(why)) if failures < PATIENCE => {
                    failures += 1;
                    tracing::debug!(%why, failures, "capture failed, trying again");
                    self.capturer.handle().refresh();
                }
                Err(CaptureError::Temporary(why) | CaptureError::Lost(why)) => {
                    let _ = self
                        .commands
                        .send(Command::End { reason: EndReason::EndDisplayLost, detail: why });
                    self.waker.ring();
                    break;
                }
            }
        }
    }

    fn publish(&mut self, frame: Frame) {
        self.shared.captured.fetch_add(1, Relaxed);
        let displaced = self.publisher.publish_with(frame, Frame::absorb);
        if displaced.is_some() {
            self.shared.displaced.fetch_add(1, Relaxed);
        }
        self.shared.wake_video();
    }
}
