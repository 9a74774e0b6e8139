//! Why a media message could not be read.

use thiserror::Error;

use crate::model::report::ParseErrorKind;

/// A media message that could not be read. Never quotes the peer's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum MediaError {
    #[error("media tag header: {0}")]
    Tag(&'static str),
    #[error("video configuration: {0}")]
    VideoConfig(&'static str),
    #[error("audio configuration: {0}")]
    AudioConfig(&'static str),
    #[error("metadata: {0}")]
    Metadata(&'static str),
}

impl MediaError {
    /// The counter this error belongs to.
    pub fn kind(self) -> ParseErrorKind {
        match self {
            Self::Tag(_) => ParseErrorKind::Tag,
            Self::VideoConfig(_) => ParseErrorKind::VideoConfig,
            Self::AudioConfig(_) => ParseErrorKind::AudioConfig,
            Self::Metadata(_) => ParseErrorKind::Metadata,
        }
    }
}
