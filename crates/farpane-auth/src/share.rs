//! The gate before a shared desktop: one code, good for one viewer, five minutes and five wrong attempts.
//!
//! In OPAQUE it is the viewer who learns from the host's reply whether its guess was right. So the reply is what an
//! attempt costs: it is counted when it is given and given back when the viewer proves that the guess was right.
//! Whoever takes a reply and then says something else, nothing, or goes away has used an attempt.

use std::net::IpAddr;
use std::time::Duration;

use farpane_wire::PROTOCOL_VERSION;
use farpane_wire::v1::{AuthFinish, AuthReply, AuthStart, Refusal, RefusalReason};
use opaque_ke::{CredentialFinalization, CredentialRequest, ServerLogin};
use rand_core::OsRng;

use crate::suite::{KE1_BYTES, KE3_BYTES, Record, Suite, exactly, login_parameters, register};
use crate::{Code, RoutingId, SessionKeys, SetupError};

/// How long a code can be used.
pub const CODE_LIFETIME: Duration = Duration::from_secs(5 * 60);

/// The wrong attempt that ends the share.
pub const MAX_WRONG_ATTEMPTS: u32 = 5;

/// How long a viewer may take over its half of an exchange; then it counts as a wrong attempt. A slow phone takes
/// about two seconds.
pub const EXCHANGE_TIMEOUT: Duration = Duration::from_secs(20);

/// What a code is still good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShareState {
    /// Somebody may still come in with it.
    Open,
    /// Somebody has.
    Used,
    /// Nobody has within [`CODE_LIFETIME`].
    Expired,
    /// [`MAX_WRONG_ATTEMPTS`] were made.
    Locked,
}

impl ShareState {
    /// Why nobody comes in any more; `None` while somebody may.
    pub fn refusal(self) -> Option<RefusalReason> {
        match self {
            ShareState::Open => None,
            ShareState::Used => Some(RefusalReason::RefusalUsed),
            ShareState::Expired => Some(RefusalReason::RefusalExpired),
            ShareState::Locked => Some(RefusalReason::RefusalLocked),
        }
    }
}

/// The answer to a viewer that does not get in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    pub reason: RefusalReason,
    /// With [`RefusalReason::RefusalWrongCode`]: wrong attempts until the share ends.
    pub attempts_left: u32,
}

impl Refused {
    /// A refusal for any other reason than a wrong code.
    pub fn because(reason: RefusalReason) -> Refused {
        Refused { reason, attempts_left: 0 }
    }
}

impl From<Refused> for Refusal {
    fn from(refused: Refused) -> Refusal {
        Refusal { reason: refused.reason.into(), attempts_left: refused.attempts_left }
    }
}

/// Names an exchange that waits for the viewer's proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExchangeId(u64);

struct Exchange {
    id: ExchangeId,
    source: IpAddr,
    started: Duration,
    login: ServerLogin<Suite>,
}

/// The host's side of one code. `now` is the time since any moment that stays the same for the share's life.
pub struct Share {
    code: Code,
    record: Record,
    opened: Duration,
    used: bool,
    wrong: u32,
    /// Given replies whose outcome is open; each counts as an attempt until it is known.
    pending: Vec<Exchange>,
    next_id: u64,
}

impl Share {
    /// Opens a share with a fresh secret, good from `now` on. Costs one Argon2 (about 50 ms).
    ///
    /// # Errors
    /// [`SetupError`] when the system gives no random numbers or no memory.
    pub fn open(routing_id: RoutingId, now: Duration) -> Result<Share, SetupError> {
        let code = Code::generate(routing_id);
        let record = register(&code)?;
        Ok(Share {
            code,
            record,
            opened: now,
            used: false,
            wrong: 0,
            pending: Vec::new(),
            next_id: 0,
        })
    }

    /// The code to show to the person at the host.
    pub fn code(&self) -> &Code {
        &self.code
    }

    /// How long the code can still be used, if nobody uses it first.
    pub fn expires_in(&self, now: Duration) -> Duration {
        (self.opened + CODE_LIFETIME).saturating_sub(now)
    }

    /// Wrong attempts that are left before the share ends.
    pub fn attempts_left(&self) -> u32 {
        MAX_WRONG_ATTEMPTS.saturating_sub(self.wrong)
    }

    /// What the code is still good for. An unfinished exchange that has run out counts here already.
    pub fn state(&mut self, now: Duration) -> ShareState {
        self.drop_stale(now);
        if self.used {
            ShareState::Used
        } else if self.wrong >= MAX_WRONG_ATTEMPTS {
            ShareState::Locked
        } else if self.expires_in(now).is_zero() {
            ShareState::Expired
        } else {
            ShareState::Open
        }
    }

    /// Answers a viewer's first message. A reply costs an attempt until [`Share::finish`] gives it back.
    ///
    /// One address has one exchange at a time, and no more are open at once than there are attempts left: others are
    /// refused as busy, which costs nothing and ends by itself within [`EXCHANGE_TIMEOUT`].
    ///
    /// # Errors
    /// [`Refused`] is the answer to give.
    pub fn start(
        &mut self,
        now: Duration,
        source: IpAddr,
        message: &AuthStart,
    ) -> Result<(ExchangeId, AuthReply), Refused> {
        self.check_open(now)?;
        if message.version != PROTOCOL_VERSION {
            return Err(Refused::because(RefusalReason::RefusalVersion));
        }
        let source = source.to_canonical();
        let busy = self.pending.iter().any(|exchange| exchange.source == source);
        if busy || self.pending.len() >= self.attempts_left() as usize {
            return Err(Refused::because(RefusalReason::RefusalBusy));
        }
        let malformed = |_| Refused::because(RefusalReason::RefusalProtocol);
        let request =
            exactly(&message.ke1, KE1_BYTES, CredentialRequest::deserialize).map_err(malformed)?;
        let routing_id = self.code.routing_id();
        let start = ServerLogin::start(
            &mut OsRng,
            &self.record.setup,
            Some(self.record.registration.clone()),
            request,
            routing_id.as_str().as_bytes(),
            login_parameters(&routing_id),
        )
        .map_err(malformed)?;
        let id = ExchangeId(self.next_id);
        self.next_id += 1;
        self.pending.push(Exchange { id, source, started: now, login: start.state });
        Ok((id, AuthReply { ke2: start.message.serialize().to_vec() }))
    }

    /// Checks a viewer's proof. The first right one uses the code up.
    ///
    /// # Errors
    /// [`Refused`] is the answer to give; a wrong or malformed proof has cost an attempt.
    pub fn finish(
        &mut self,
        now: Duration,
        id: ExchangeId,
        message: &AuthFinish,
    ) -> Result<SessionKeys, Refused> {
        self.check_open(now)?;
        let Some(place) = self.pending.iter().position(|exchange| exchange.id == id) else {
            return Err(Refused::because(RefusalReason::RefusalProtocol));
        };
        let exchange = self.pending.swap_remove(place);
        let routing_id = self.code.routing_id();
        let proof = exactly(&message.ke3, KE3_BYTES, CredentialFinalization::deserialize)
            .and_then(|proof| exchange.login.finish(proof, login_parameters(&routing_id)));
        match proof {
            Ok(finish) => {
                self.used = true;
                Ok(SessionKeys::new(&finish.session_key, routing_id))
            }
            Err(_) => {
                self.wrong += 1;
                Err(match self.attempts_left() {
                    0 => Refused::because(RefusalReason::RefusalLocked),
                    attempts_left => {
                        Refused { reason: RefusalReason::RefusalWrongCode, attempts_left }
                    }
                })
            }
        }
    }

    /// The viewer went away before its proof came: a wrong attempt.
    pub fn abandon(&mut self, id: ExchangeId) {
        if let Some(place) = self.pending.iter().position(|exchange| exchange.id == id) {
            self.pending.swap_remove(place);
            self.wrong += 1;
        }
    }

    fn check_open(&mut self, now: Duration) -> Result<(), Refused> {
        self.state(now).refusal().map_or(Ok(()), |reason| Err(Refused::because(reason)))
    }

    fn drop_stale(&mut self, now: Duration) {
        let before = self.pending.len();
        self.pending.retain(|exchange| now < exchange.started + EXCHANGE_TIMEOUT);
        self.wrong += (before - self.pending.len()) as u32;
    }
}

impl std::fmt::Debug for Share {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Share")
            .field("routing_id", &self.code.routing_id())
            .field("used", &self.used)
            .field("wrong", &self.wrong)
            .field("pending", &self.pending.len())
            .finish_non_exhaustive()
    }
}
