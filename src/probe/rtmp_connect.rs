//! Whether an RTMP server takes connections to an application: handshake and `connect`, then hang up. Nothing is played.

use super::check::{BoxFuture, Checker, Look, LookError};
use super::dialogue::{Dialogue, End};
use crate::model::report::Phase;
use crate::model::spec::PhaseTimeouts;
use crate::model::target::RtmpCheck;
use crate::model::target_report::{CheckPhase, Facts};
use crate::model::url::{StreamUrl, UrlError};
use crate::rtmp::{Introduction, PlayConfig, PlaySession, SessionError};

/// A play session that is left when `connect` is accepted. A redirect is a success: the server has answered, and where it sends
/// players is a target of its own.
#[derive(Debug)]
pub struct RtmpChecker {
    check: RtmpCheck,
}

impl RtmpChecker {
    pub fn new(check: &RtmpCheck) -> Self {
        Self { check: check.clone() }
    }

    /// The application as a stream URL without a key.
    fn url(&self) -> Result<StreamUrl, UrlError> {
        let RtmpCheck { address, app, tls } = &self.check;
        let scheme = if tls.is_some() { "rtmps" } else { "rtmp" };
        let (path, query) = app.expose().split_once('?').unzip();
        let path = path.unwrap_or(app.expose()).trim_matches('/');
        let query = query.map(|query| format!("?{query}")).unwrap_or_default();
        StreamUrl::parse(&format!("{scheme}://{address}/{path}/{query}"))
    }

    async fn connect(&self, look: &mut Look<'_>) -> Result<Facts, LookError> {
        let address = &self.check.address;
        let url = self.url().map_err(|e| LookError::hindered(format!("the application at {address}: {e}")))?;
        let socket = look.open(address, self.check.tls.as_ref()).await?;
        // The look has the only deadline, so the session's own are never asked.
        let introduction = Introduction::default();
        let config = PlayConfig { url, timeouts: PhaseTimeouts::default(), introduction, random: fastrand::u32(..) };
        let session = PlaySession::new(look.env.clock.now(), config, look.deadline);
        let session = session.map_err(|e| LookError::hindered(e.to_string()))?;
        let mut dialogue = Dialogue::new(look.env.clock.clone(), socket, session);
        for (step, phase) in [(CheckPhase::Handshake, Phase::Handshake), (CheckPhase::Connect, Phase::Connect)] {
            match look.timed(step, dialogue.until_done(phase)).await {
                Ok(()) => {}
                Err(End::Session(SessionError::Redirect { .. })) => break,
                Err(End::Session(SessionError::Rejected(refusal))) if refusal.redirects => break,
                Err(end) => return Err(LookError::fault(end.cause(), format!("{address}: {end}"))),
            }
        }
        Ok(Facts::None)
    }
}

impl Checker for RtmpChecker {
    fn look<'a>(&'a mut self, look: &'a mut Look<'_>) -> BoxFuture<'a, Result<Facts, LookError>> {
        Box::pin(self.connect(look))
    }
}
