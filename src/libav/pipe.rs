//! Messages over standard input and output.

use std::io::{self, ErrorKind, Read, StdinLock, Write};

use rtmp_hmonitor::libav_protocol::{Answer, LENGTH, MAX_REQUEST, ProtocolError, Request, message_length};
use thiserror::Error;

#[derive(Debug, Error)]
pub enum PipeError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Protocol(#[from] ProtocolError),
}

pub struct Pipe {
    requests: StdinLock<'static>,
}

impl Pipe {
    pub fn standard() -> Self {
        Self { requests: io::stdin().lock() }
    }

    /// The next request; `None` when the monitor has closed the pipe.
    pub fn receive(&mut self) -> Result<Option<Request>, PipeError> {
        let mut prefix = [0; LENGTH];
        match self.requests.read_exact(&mut prefix) {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(None),
            other => other?,
        }
        let mut message = vec![0; message_length(prefix, MAX_REQUEST)?];
        self.requests.read_exact(&mut message)?;
        Ok(Some(Request::decode(&message)?))
    }

    pub fn send(&mut self, answer: &Answer) -> Result<(), PipeError> {
        let mut answers = io::stdout().lock();
        answers.write_all(&answer.encode())?;
        Ok(answers.flush()?)
    }
}
