//! The language of the pipes between the monitor and its worker processes. Sans-IO.
//!
//! A message is its length (32 bits, little-endian, of all that follows), its kind (one byte) and its fields in order: numbers
//! little-endian, texts and lists behind their length, an optional field behind a 0 or 1. A worker first says
//! [`Answer::Hello`] with its [`VERSION`]; then it obeys one request after another. Either side bounds what it takes
//! ([`MAX_REQUEST`], [`MAX_ANSWER`]) and takes the other's word for nothing: a worker may have been taken over by what it decodes.

mod demux;
mod error;
mod inspect;
mod wire;

pub use demux::{DemuxEnd, DemuxRequest, MAX_BODIES, MAX_FRAMES, MAX_PREAMBLE, Verify};
pub use error::ProtocolError;

use crate::model::content::{InspectFailure, Inspection, Sample};
use crate::model::demuxed::{DemuxedFrame, DemuxedTrack};
use wire::{Reader, Wire, message};

/// Changes with every change of the format. The two programs are built together; this tells when they were not installed together.
pub const VERSION: u32 = 4;
/// Longest request, without its length.
pub const MAX_REQUEST: usize = Sample::MAX_BYTES + 1024 * 1024;
/// Longest answer, without its length.
pub const MAX_ANSWER: usize = MAX_BODIES + 1024 * 1024;
/// The exit code of a worker that ends because it holds too much memory.
pub const EXIT_MEMORY: u8 = 12;
/// Bytes of a message's length.
pub const LENGTH: usize = 4;

/// What the monitor asks of a worker.
#[derive(Debug, Clone, PartialEq)]
pub enum Request {
    /// Decode this and say what it shows. Answered by `Inspected` or `InspectFailed`.
    Inspect {
        /// Milliseconds that it may take.
        limit: u32,
        thumbnail: bool,
        sample: Sample,
    },
    /// Open this and tell of its frames until it ends. Answered by any number of `Frames` and `Tracks`, then `Ended`. The last request of its
    /// worker but for `KeepBodies`.
    Demux(DemuxRequest),
    /// Bring along the bodies of frames of at most so many bytes from now on; 0: of none. While demuxing, which begins with none.
    KeepBodies(u32),
}

/// What a worker says.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// It is ready.
    Hello {
        version: u32,
        /// Whether it has had to stay root.
        root: bool,
    },
    Inspected(Box<Inspection>),
    InspectFailed(InspectFailure),
    /// What is played is made of these; said again whenever that changes.
    Tracks(Vec<DemuxedTrack>),
    /// Frames in the order of arrival; none is a sign of life.
    Frames(Vec<DemuxedFrame>),
    /// The session is over.
    Ended(DemuxEnd),
}

/// The length of the message that begins with these bytes.
///
/// # Errors
/// [`ProtocolError::TooLong`] beyond `max`, [`ProtocolError::Truncated`] for nothing.
pub fn message_length(prefix: [u8; LENGTH], max: usize) -> Result<usize, ProtocolError> {
    match usize::try_from(u32::from_le_bytes(prefix)) {
        Ok(0) => Err(ProtocolError::Truncated),
        Ok(length) if length <= max => Ok(length),
        _ => Err(ProtocolError::TooLong),
    }
}

impl Request {
    const INSPECT: u8 = 1;
    const DEMUX: u8 = 2;
    const KEEP_BODIES: u8 = 3;

    /// The whole message of an inspection, without a copy of the sample in between.
    pub fn inspect(sample: &Sample, thumbnail: bool, limit: u32) -> Vec<u8> {
        message(Self::INSPECT, |out| {
            limit.put(out);
            thumbnail.put(out);
            sample.put(out);
        })
    }

    /// The whole message.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Inspect { limit, thumbnail, sample } => Self::inspect(sample, *thumbnail, *limit),
            Self::Demux(request) => message(Self::DEMUX, |out| request.put(out)),
            Self::KeepBodies(most) => message(Self::KEEP_BODIES, |out| most.put(out)),
        }
    }

    /// Reads a message without its length.
    pub fn decode(bytes: &[u8]) -> Result<Self, ProtocolError> {
        let mut reader = Reader::new(bytes);
        let request = match u8::get(&mut reader)? {
            Self::INSPECT => Self::Inspect {
                limit: Wire::get(&mut reader)?,
                thumbnail: Wire::get(&mut reader)?,
                sample: Wire::get(&mut reader)?,
            },
            Self::DEMUX => Self::Demux(Wire::get(&mut reader)?),
            Self::KEEP_BODIES => Self::KeepBodies(Wire::get(&mut reader)?),
            _ => return Err(ProtocolError::Kind),
        };
        reader.finish(request)
    }
}

impl Answer {
    const HELLO: u8 = 65;
    const INSPECTED: u8 = 66;
    const INSPECT_FAILED: u8 = 67;
    const TRACKS: u8 = 68;
    const FRAMES: u8 = 69;
    const ENDED: u8 = 70;

    /// The whole message.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Hello { version, root } => message(Self::HELLO, |out| {
                version.put(out);
                root.put(out);
            }),
            Self::Inspected(inspection) => message(Self::INSPECTED, |out| inspection.put(out)),
            Self::InspectFailed(failure) => message(Self::INSPECT_FAILED, |out| failure.put(out)),
            Self::Tracks(tracks) => message(Self::TRACKS, |out| tracks.put(out)),
            Self::Frames(frames) => message(Self::FRAMES, |out| frames.put(out)),
            Self::Ended(end) => message(Self::ENDED, |out| end.put(out)),
        }
    }

    /// Reads a message without its length.
    pub fn decode(bytes: &[u8]) -> Result<Self, ProtocolError> {
        let mut reader = Reader::new(bytes);
        let answer = match u8::get(&mut reader)? {
            Self::HELLO => {
                let version = Wire::get(&mut reader)?;
                // Of an older one only this is known.
                Self::Hello { version, root: version >= VERSION && Wire::get(&mut reader)? }
            }
            Self::INSPECTED => Self::Inspected(Box::new(Wire::get(&mut reader)?)),
            Self::INSPECT_FAILED => Self::InspectFailed(Wire::get(&mut reader)?),
            Self::TRACKS => Self::Tracks(Wire::get(&mut reader)?),
            Self::FRAMES => Self::Frames(Wire::get(&mut reader)?),
            Self::ENDED => Self::Ended(Wire::get(&mut reader)?),
            _ => return Err(ProtocolError::Kind),
        };
        reader.finish(answer)
    }
}
