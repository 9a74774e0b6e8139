//! One kept connection to the text protocol. It sends [`REQUEST`] and can send nothing else.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::profile::is_format;
use super::reading::{Reading, Surroundings};
use super::text::{TextCounts, TextError, TextProtocol};
use crate::model::DownCause;
use crate::model::address::Address;
use crate::model::target_report::CheckPhase;
use crate::probe::check::{Look, LookError};

/// Asks for the one block whose numbers the device does not tell by itself. A header without a key changes nothing.
const REQUEST: &[u8] = b"STREAM STATE:\n\n";
/// Bytes per read.
const BUFFER: usize = 4096;
/// Reads of what has come unasked, before the next question is asked all the same.
const MAX_LEFTOVERS: usize = 32;

/// A connection whose prelude has been read.
#[derive(Debug)]
pub(super) struct EthernetConnection {
    socket: TcpStream,
    protocol: TextProtocol,
}

impl EthernetConnection {
    /// Connects, and reads what the device tells of itself before it is asked.
    pub async fn open(look: &mut Look<'_>, address: &Address) -> Result<Self, LookError> {
        let socket = look.connect(address).await?;
        let mut connection = Self { socket, protocol: TextProtocol::default() };
        look.timed(CheckPhase::Processing, connection.read_until(|counts| counts.prelude_over)).await?;
        Ok(connection)
    }

    /// Asks for the livestream's state.
    pub async fn ask(&mut self, look: &mut Look<'_>) -> Result<Reading, LookError> {
        self.read_leftovers()?;
        let before = self.protocol.counts();
        let answered = async {
            self.socket.write_all(REQUEST).await.map_err(lost)?;
            // Updates may come at any time: a block that tells the status alone may be one, unless it follows the acknowledgement.
            self.read_until(|now| {
                let acknowledged = now.acknowledged > before.acknowledged;
                let told = now.states_since > 0 || now.full_states > before.full_states;
                now.refused > before.refused || acknowledged && told
            })
            .await
        };
        look.timed(CheckPhase::Processing, answered).await?;
        if self.protocol.counts().refused > before.refused {
            return Err(LookError::fault(DownCause::Protocol, "the device refuses to tell its state (NACK)"));
        }
        self.reading()
    }

    /// Completes when the device says, unasked, that its status is another than `seen`. May be dropped and asked again.
    pub async fn changed(&mut self, seen: &str) -> Result<(), LookError> {
        while self.protocol.state().status.as_deref().is_none_or(|status| status == seen) {
            self.read().await?;
        }
        Ok(())
    }

    pub fn surroundings(&self) -> Surroundings {
        let state = self.protocol.state().clone();
        let (model, software, platform, quality) = (state.model, state.software, state.platform, state.quality);
        Surroundings { model, software, platform, quality }
    }

    fn reading(&self) -> Result<Reading, LookError> {
        let state = self.protocol.state();
        let Some(status) = state.status.clone() else {
            return Err(LookError::fault(DownCause::Protocol, "the device does not tell its status"));
        };
        // `Auto` says which format is wanted, not which there is.
        let format = state.video_mode.clone().filter(|mode| is_format(mode));
        Ok(Reading { status, bitrate: state.bitrate, cache: state.cache, duration: state.duration, format })
    }

    async fn read_until(&mut self, done: impl Fn(TextCounts) -> bool) -> Result<(), LookError> {
        while !done(self.protocol.counts()) {
            self.read().await?;
        }
        Ok(())
    }

    async fn read(&mut self) -> Result<(), LookError> {
        let mut buffer = [0; BUFFER];
        let length = self.socket.read(&mut buffer).await.map_err(lost)?;
        self.take(buffer.get(..length).unwrap_or_default())
    }

    /// Reads what has come since the last look, so that an old answer is not taken for the next one.
    fn read_leftovers(&mut self) -> Result<(), LookError> {
        let mut buffer = [0; BUFFER];
        for _ in 0..MAX_LEFTOVERS {
            match self.socket.try_read(&mut buffer) {
                Ok(length) => self.take(buffer.get(..length).unwrap_or_default())?,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(lost(error)),
            }
        }
        Ok(())
    }

    fn take(&mut self, bytes: &[u8]) -> Result<(), LookError> {
        if bytes.is_empty() {
            return Err(LookError::fault(
                DownCause::Closed,
                "the device has closed the connection of the text protocol",
            ));
        }
        self.protocol.feed(bytes).map_err(|error: TextError| {
            LookError::fault(DownCause::Protocol, format!("the text protocol's server is not understood: {error}"))
        })
    }
}

fn lost(error: io::Error) -> LookError {
    LookError::fault(DownCause::Closed, format!("the connection of the text protocol is lost: {error}"))
}
