//! One viewer's way through the gate, message by message: start, reply, finish, nothing else and in no other order.

use std::net::IpAddr;
use std::time::Duration;

use farpane_wire::v1::{RefusalReason, Signal, signal::Body};

use crate::{ExchangeId, Refused, SessionKeys, Share};

/// What to do after a viewer's message.
#[derive(Debug)]
pub enum Step {
    /// Send this; the viewer's next message is awaited.
    Reply(Signal),
    /// The viewer knows the code. From here on it is sealed messages only.
    Admitted(SessionKeys),
    /// Send a refusal and hang up.
    Refused(Refused),
}

#[derive(Debug)]
enum Progress {
    Start,
    Finish(ExchangeId),
    Over,
}

/// The host's half of one viewer's exchange. Call [`HostHandshake::close`] when the viewer goes away.
#[derive(Debug)]
pub struct HostHandshake {
    source: IpAddr,
    progress: Progress,
}

impl HostHandshake {
    /// An exchange with the viewer at this address.
    pub fn new(source: IpAddr) -> HostHandshake {
        HostHandshake { source, progress: Progress::Start }
    }

    /// Takes the viewer's next message. A message out of order ends the exchange, and costs an attempt if a reply has
    /// been given.
    pub fn handle(&mut self, now: Duration, share: &mut Share, signal: &Signal) -> Step {
        match (std::mem::replace(&mut self.progress, Progress::Over), &signal.body) {
            (Progress::Start, Some(Body::AuthStart(message))) => {
                match share.start(now, self.source, message) {
                    Ok((id, reply)) => {
                        self.progress = Progress::Finish(id);
                        Step::Reply(Signal { body: Some(Body::AuthReply(reply)) })
                    }
                    Err(refused) => Step::Refused(refused),
                }
            }
            (Progress::Finish(id), Some(Body::AuthFinish(message))) => {
                match share.finish(now, id, message) {
                    Ok(keys) => Step::Admitted(keys),
                    Err(refused) => Step::Refused(refused),
                }
            }
            (progress, _) => {
                self.progress = progress;
                self.close(share);
                Step::Refused(Refused::because(RefusalReason::RefusalProtocol))
            }
        }
    }

    /// The viewer is gone. If it had a reply, that was an attempt.
    pub fn close(&mut self, share: &mut Share) {
        if let Progress::Finish(id) = std::mem::replace(&mut self.progress, Progress::Over) {
            share.abandon(id);
        }
    }
}
