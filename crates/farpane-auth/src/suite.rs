//! The one cipher suite: OPAQUE (RFC 9807) over ristretto255 with SHA-512 and Argon2id, as the npm package
//! `@serenity-kit/opaque` has it in the browser.

use argon2::{Algorithm, Argon2, Params, Version};
use opaque_ke::errors::ProtocolError;
use opaque_ke::key_exchange::tripledh::TripleDh;
use opaque_ke::{
    CipherSuite, ClientRegistration, ClientRegistrationFinishParameters, Identifiers, Ristretto255,
    ServerLoginParameters, ServerRegistration, ServerSetup,
};
use rand_core::OsRng;

use crate::{Code, RoutingId};

/// Argon2id memory in KiB: 19 MiB, the smallest that OWASP's password storage cheat sheet recommends; a phone's
/// browser affords it. The secret is 40 random bits and a guess costs an attempt, so this is a second line.
pub const ARGON2_MEMORY_KIB: u32 = 19 * 1024;
/// Argon2id passes.
pub const ARGON2_ITERATIONS: u32 = 2;
/// Argon2id lanes.
pub const ARGON2_PARALLELISM: u32 = 1;

/// The `server` identifier of OPAQUE. The `client` identifier is the routing id, four upper-case symbols.
pub const HOST_IDENTITY: &str = "farpane host";

/// Lengths of the three messages (RFC 9807, section 6.1). The library reads what it needs and passes over the rest;
/// we take no byte that means nothing.
pub(crate) const KE1_BYTES: usize = 96;
pub(crate) const KE2_BYTES: usize = 320;
pub(crate) const KE3_BYTES: usize = 64;

pub(crate) struct Suite;

impl CipherSuite for Suite {
    type OprfCs = Ristretto255;
    type KeyExchange = TripleDh<Ristretto255, sha2::Sha512>;
    type Ksf = Argon2<'static>;
}

/// The random source of the operating system failed, or there is no memory for Argon2.
#[derive(Debug, thiserror::Error)]
#[error("cannot prepare the one-time code: {0}")]
pub struct SetupError(#[from] ProtocolError);

/// Reads a message of exactly `length` bytes.
pub(crate) fn exactly<T>(
    bytes: &[u8],
    length: usize,
    read: impl FnOnce(&[u8]) -> Result<T, ProtocolError>,
) -> Result<T, ProtocolError> {
    if bytes.len() == length { read(bytes) } else { Err(ProtocolError::SerializationError) }
}

pub(crate) fn stretching() -> Argon2<'static> {
    let params = Params::new(ARGON2_MEMORY_KIB, ARGON2_ITERATIONS, ARGON2_PARALLELISM, None)
        .expect("the parameters are within the limits of RFC 9106");
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

pub(crate) fn identifiers(routing_id: &RoutingId) -> Identifiers<'_> {
    Identifiers {
        client: Some(routing_id.as_str().as_bytes()),
        server: Some(HOST_IDENTITY.as_bytes()),
    }
}

pub(crate) fn login_parameters(routing_id: &RoutingId) -> ServerLoginParameters<'static, '_> {
    ServerLoginParameters { context: None, identifiers: identifiers(routing_id) }
}

/// What the host keeps of a code: enough to check a viewer, not enough to find the secret again.
pub(crate) struct Record {
    pub setup: ServerSetup<Suite>,
    pub registration: ServerRegistration<Suite>,
}

/// Registers the host's own code with itself; both sides of the registration run here. Costs one Argon2.
pub(crate) fn register(code: &Code) -> Result<Record, SetupError> {
    let setup = ServerSetup::<Suite>::new(&mut OsRng);
    let routing_id = code.routing_id();
    let secret = code.secret().as_bytes();
    let start = ClientRegistration::<Suite>::start(&mut OsRng, secret)?;
    let response =
        ServerRegistration::start(&setup, start.message, routing_id.as_str().as_bytes())?.message;
    let stretching = stretching();
    let parameters =
        ClientRegistrationFinishParameters::new(identifiers(&routing_id), Some(&stretching));
    let upload = start.state.finish(&mut OsRng, secret, response, parameters)?.message;
    Ok(Record { setup, registration: ServerRegistration::finish(upload) })
}
