//! An RTMP session of a look: it goes on until what is looked for is heard. Deadlines are the look's.

use std::io;
use std::ops::Range;

use thiserror::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::check::ByteStream;
use crate::model::DownCause;
use crate::model::clock::Clock;
use crate::model::report::Phase;
use crate::rtmp::{Output, PlaySession, SessionError, SessionEvent};

const READ_BUFFER: usize = 4 * 1024;
/// A server that has said this much and has not answered never will. Answers take a few hundred bytes.
const MAX_RECEIVED: u64 = 1024 * 1024;

/// A session and what carries it.
pub(super) struct Dialogue {
    clock: Clock,
    socket: Box<dyn ByteStream>,
    pub session: PlaySession,
    buffer: Box<[u8]>,
    /// What of `buffer` the session has not seen.
    unread: Range<usize>,
}

/// Why a dialogue is over. Shows no secret.
#[derive(Debug, Error)]
pub(super) enum End {
    #[error("{0}")]
    Session(#[from] SessionError),
    #[error("connection lost: {1}")]
    Broken(DownCause, io::Error),
}

impl End {
    pub fn cause(&self) -> DownCause {
        match self {
            Self::Session(error) => error.cause(),
            Self::Broken(cause, _) => *cause,
        }
    }
}

impl Dialogue {
    pub fn new(clock: Clock, socket: Box<dyn ByteStream>, session: PlaySession) -> Self {
        Self { clock, socket, session, buffer: vec![0; READ_BUFFER].into_boxed_slice(), unread: 0..0 }
    }

    /// Goes on until `phase` is done. What the session would send after that stays unsent.
    pub async fn until_done(&mut self, phase: Phase) -> Result<(), End> {
        self.until(|output| matches!(output, Output::Event(SessionEvent::PhaseDone(done)) if *done == phase)).await
    }

    /// Goes on until something is heard that is `wanted`. May be dropped and called again: nothing gets lost.
    pub async fn until(&mut self, mut wanted: impl FnMut(&Output<'_>) -> bool) -> Result<(), End> {
        loop {
            if self.advance(&mut wanted)? {
                return Ok(());
            }
            if self.session.received_bytes() > MAX_RECEIVED {
                let endless = io::Error::other("the server talks without answering");
                return Err(End::Broken(DownCause::Protocol, endless));
            }
            let length = match self.transfer().await {
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

    /// Has the session see what was read. `true`: what is wanted was there.
    fn advance(&mut self, wanted: &mut impl FnMut(&Output<'_>) -> bool) -> Result<bool, SessionError> {
        loop {
            let mut input = self.buffer.get(self.unread.clone()).unwrap_or_default();
            let output = self.session.advance(self.clock.now(), &mut input);
            self.unread.start = self.unread.end - input.len();
            match output? {
                Some(output) if wanted(&output) => return Ok(true),
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
