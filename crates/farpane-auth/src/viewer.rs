//! The viewer's side of the key exchange, for viewers that are not a browser.

use farpane_wire::v1::{AuthFinish, AuthReply, AuthStart};
use opaque_ke::errors::ProtocolError;
use opaque_ke::{ClientLogin, ClientLoginFinishParameters, CredentialResponse};
use rand_core::OsRng;

use crate::suite::{KE2_BYTES, Suite, exactly, identifiers, stretching};
use crate::{Code, SessionKeys, SetupError};

/// An exchange that waits for the host's [`AuthReply`].
pub struct ViewerHandshake {
    code: Code,
    login: ClientLogin<Suite>,
}

/// Why the exchange ended at the viewer.
#[derive(Debug, thiserror::Error)]
pub enum ViewerError {
    /// Tell the host with an [`AuthFinish`] without a `ke3`; it answers how many attempts are left.
    #[error("the code is wrong")]
    WrongCode,
    #[error("the host's reply is malformed")]
    Malformed,
}

impl ViewerHandshake {
    /// Begins an exchange; the message goes to the host.
    ///
    /// # Errors
    /// [`SetupError`] when the system's random source fails.
    pub fn start(code: Code) -> Result<(ViewerHandshake, AuthStart), SetupError> {
        let start = ClientLogin::<Suite>::start(&mut OsRng, code.secret().as_bytes())?;
        let message = AuthStart {
            version: farpane_wire::PROTOCOL_VERSION,
            ke1: start.message.serialize().to_vec(),
        };
        Ok((ViewerHandshake { code, login: start.state }, message))
    }

    /// Checks the host's reply; the message is the proof that goes back. Costs one Argon2.
    ///
    /// # Errors
    /// [`ViewerError`] says whether the code or the message was at fault.
    pub fn finish(self, reply: &AuthReply) -> Result<(AuthFinish, SessionKeys), ViewerError> {
        let response = exactly(&reply.ke2, KE2_BYTES, CredentialResponse::deserialize)
            .map_err(|_| ViewerError::Malformed)?;
        let routing_id = self.code.routing_id();
        let stretching = stretching();
        let parameters =
            ClientLoginFinishParameters::new(None, identifiers(&routing_id), Some(&stretching));
        let finish = self
            .login
            .finish(&mut OsRng, self.code.secret().as_bytes(), response, parameters)
            .map_err(|error| match error {
                ProtocolError::InvalidLoginError => ViewerError::WrongCode,
                _ => ViewerError::Malformed,
            })?;
        let message = AuthFinish { ke3: finish.message.serialize().to_vec() };
        Ok((message, SessionKeys::new(&finish.session_key, routing_id)))
    }
}
