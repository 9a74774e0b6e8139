//! `OP_MSG` requests and replies, one at a time. Format: MongoDB manual, "MongoDB Wire Protocol".

use std::io;

use bson::{RawBsonRef, RawDocument, RawDocumentBuf};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::model::DownCause;
use crate::model::address::Address;
use crate::probe::check::LookError;
use crate::probe::replica::{BoxStream, broken};

const OP_MSG: u32 = 2013;
const HEADER: usize = 16;
/// Flags and the kind of the only section.
const PREFIX: usize = 5;
/// A status of fifty members takes some 50 kB.
const MAX_MESSAGE: usize = 1 << 20;
/// Flag bit: a checksum follows the sections.
const CHECKSUM_PRESENT: u32 = 1;
const MORE_TO_COME: u32 = 2;

/// A connection.
pub(super) struct Wire {
    stream: BoxStream,
    address: Address,
    request: u32,
}

/// The document of an answer.
#[derive(Debug)]
pub(super) struct Reply(RawDocumentBuf);

impl Reply {
    /// The document of a command that has worked, else the error's code.
    pub fn outcome(&self) -> Result<&RawDocument, Option<i64>> {
        match number(&self.0, "ok") {
            Some(1.0) => Ok(&self.0),
            #[allow(clippy::cast_possible_truncation, reason = "a cast of floats saturates")]
            Some(_) => Err(Some(number(&self.0, "code").map_or(0, |code| code as i64))),
            None => Err(None),
        }
    }
}

impl Wire {
    pub fn new(stream: BoxStream, address: Address) -> Self {
        Self { stream, address, request: 0 }
    }

    /// Sends a command and waits for its answer.
    pub async fn command(&mut self, command: RawDocumentBuf) -> Result<Reply, LookError> {
        self.request = self.request.wrapping_add(1);
        self.send(command.as_bytes()).await.map_err(|e| broken(&e, &self.address))?;
        let body = self.receive().await.map_err(|e| broken(&e, &self.address))?;
        let document = read(&body, self.request).and_then(|bytes| RawDocumentBuf::from_bytes(bytes.to_vec()).ok());
        let document = document.ok_or_else(|| {
            LookError::fault(DownCause::Protocol, format!("{} does not speak MongoDB's protocol", self.address))
        })?;
        Ok(Reply(document))
    }

    async fn send(&mut self, document: &[u8]) -> io::Result<()> {
        let length = u32::try_from(HEADER + PREFIX + document.len()).map_err(io::Error::other)?;
        let mut message = Vec::with_capacity(HEADER + PREFIX + document.len());
        for field in [length, self.request, 0, OP_MSG, 0] {
            message.extend_from_slice(&field.to_le_bytes());
        }
        message.push(0);
        message.extend_from_slice(document);
        self.stream.write_all(&message).await?;
        self.stream.flush().await
    }

    /// A message without its length.
    async fn receive(&mut self) -> io::Result<Vec<u8>> {
        let length = self.stream.read_u32_le().await? as usize;
        if !(HEADER + PREFIX..=MAX_MESSAGE).contains(&length) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a message of impossible length"));
        }
        let rest = length - size_of::<u32>();
        // Grows with what comes, not with what is announced.
        let mut body = Vec::new();
        (&mut self.stream).take(rest as u64).read_to_end(&mut body).await?;
        if body.len() < rest { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(body) }
    }
}

/// The document of a message that answers `request`, from its request id on.
fn read(message: &[u8], request: u32) -> Option<&[u8]> {
    let (_, rest) = message.split_at_checked(4)?;
    let (answers, rest) = u32_le(rest)?;
    let (code, rest) = u32_le(rest)?;
    let (flags, rest) = u32_le(rest)?;
    let (kind, rest) = rest.split_first()?;
    let document = match flags & CHECKSUM_PRESENT {
        0 => rest,
        _ => rest.get(..rest.len().checked_sub(4)?)?,
    };
    (answers == request && code == OP_MSG && *kind == 0 && flags & MORE_TO_COME == 0).then_some(document)
}

fn u32_le(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (head, rest) = bytes.split_first_chunk::<4>()?;
    Some((u32::from_le_bytes(*head), rest))
}

/// A number of whatever type: servers and versions differ.
pub(super) fn number(document: &RawDocument, key: &str) -> Option<f64> {
    match document.get(key).ok()?? {
        RawBsonRef::Double(value) => Some(value),
        RawBsonRef::Int32(value) => Some(value.into()),
        #[allow(clippy::cast_precision_loss, reason = "codes, states and terms are small")]
        RawBsonRef::Int64(value) => Some(value as f64),
        RawBsonRef::Boolean(value) => Some(f64::from(u8::from(value))),
        _ => None,
    }
}
