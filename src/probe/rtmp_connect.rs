//! Whether an RTMP server takes connections to an application: handshake and `connect`, then hang up. Nothing is played.

use std::io;
use std::ops::Range;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::check::{BoxFuture, ByteStream, Checker, Look, LookError};
use crate::model::DownCause;
use crate::model::clock::Clock;
use crate::model::report::Phase;
use crate::model::spec::PhaseTimeouts;
use crate::model::target::RtmpCheck;
use crate::model::target_report::{CheckPhase, Facts};
use crate::model::url::{StreamUrl, UrlError};
use crate::rtmp::{Introduction, Output, PlayConfig, PlaySession, SessionError, SessionEvent};

const READ_BUFFER: usize = 4 * 1024;
/// A server that has said this much and has not answered never will. Answers take a few hundred bytes.
const MAX_RECEIVED: u64 = 1024 * 1024;

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
        let clock = look.env.clock.clone();
        // The look has the only deadline, so the session's own are never asked.
        let introduction = Introduction::default();
        let random = fastrand::u32(..);
        let config = PlayConfig { url, timeouts: PhaseTimeouts::default(), introduction, random };
        let session = PlaySession::new(clock.now(), config, look.deadline);
        let session = session.map_err(|e| LookError::hindered(e.to_string()))?;
        let buffer = vec![0; READ_BUFFER].into_boxed_slice();
        let mut dialogue = Dialogue { clock, socket, session, buffer, unread: 0..0 };
        for (step, phase) in [(CheckPhase::Handshake, Phase::Handshake), (CheckPhase::Connect, Phase::Connect)] {
            match look.timed(step, dialogue.until(phase)).await {
                Ok(()) => {}
                Err(End::Session(SessionError::Redirect { .. })) => break,
                Err(End::Session(SessionError::Rejected(refusal))) if refusal.redirects => break,
                Err(End::Session(error)) => {
                    return Err(LookError::fault(error.cause(), format!("{address}: {error}")));
                }
                Err(End::Broken(cause, error)) => {
                    return Err(LookError::fault(cause, format!("{address}: connection lost: {error}")));
                }
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

/// A session and what carries it.
struct Dialogue {
    clock: Clock,
    socket: Box<dyn ByteStream>,
    session: PlaySession,
    buffer: Box<[u8]>,
    /// What of `buffer` the session has not seen.
    unread: Range<usize>,
}

enum End {
    Session(SessionError),
    Broken(DownCause, io::Error),
}

impl From<SessionError> for End {
    fn from(error: SessionError) -> Self {
        Self::Session(error)
    }
}

impl Dialogue {
    /// Goes on until `phase` is done. What the session would send after that stays unsent.
    async fn until(&mut self, phase: Phase) -> Result<(), End> {
        loop {
            if self.advance(phase)? {
                return Ok(());
            }
            if self.session.received_bytes() > MAX_RECEIVED {
                let endless = io::Error::other("the server talks without answering");
                return Err(End::Broken(DownCause::Protocol, endless));
            }
            let moved = self.transfer().await;
            let length = match moved {
                Ok(length) => length,
                // TLS cut without a word of goodbye.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => 0,
                Err(error) => return Err(End::Broken(self.session.handle_eof().cause(), error)),
            };
            if length == 0 {
                return Err(self.session.handle_eof().into());
            }
            self.unread = 0..length;
        }
    }

    /// Has the session see what was read. `true`: `phase` is done.
    fn advance(&mut self, phase: Phase) -> Result<bool, SessionError> {
        loop {
            let mut input = self.buffer.get(self.unread.clone()).unwrap_or_default();
            let output = self.session.advance(self.clock.now(), &mut input);
            self.unread.start = self.unread.end - input.len();
            match output? {
                Some(Output::Event(SessionEvent::PhaseDone(done))) if done == phase => return Ok(true),
                Some(_) => {}
                None => return Ok(false),
            }
        }
    }

    /// Sends what waits, then reads.
    async fn transfer(&mut self) -> io::Result<usize> {
        while !self.session.transmit().is_empty() {
            let sent = self.socket.write(self.session.transmit()).await?;
            if sent == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            self.session.transmitted(sent);
        }
        self.socket.flush().await?;
        self.socket.read(&mut self.buffer).await
    }
}
