//! Why a message could not be read.

use thiserror::Error;

/// A message that could not be read. Never quotes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ProtocolError {
    #[error("the message is longer than allowed")]
    TooLong,
    #[error("the message ends within a field")]
    Truncated,
    #[error("the message goes on behind its last field")]
    Trailing,
    #[error("no such kind of message")]
    Kind,
    #[error("a field has a value that it cannot have")]
    Value,
}
