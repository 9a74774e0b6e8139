//! Sessions with what is not RTMP.

use std::fmt;

use super::ProtocolError;
use super::wire::{Reader, Wire, get_list, wire_enum, wire_list, wire_struct};
use crate::model::content::Sample;
use crate::model::demuxed::{DemuxedFrame, DemuxedTrack};
use crate::model::health::DownCause;
use crate::model::packet::MediaKind;
use crate::model::spec::Transport;

/// Most frames in one message.
pub const MAX_FRAMES: usize = 4096;
/// Most bytes of all their bodies: a single frame may have as many.
pub const MAX_BODIES: usize = Sample::MAX_FRAME as usize;
/// Longest preamble, which is kept as long as its session. Vorbis has some kilobytes.
pub const MAX_PREAMBLE: usize = 64 * 1024;
/// Video and audio.
const MAX_TRACKS: usize = 2;

/// What to open and how. `Debug` does not show the URL, which may hold secrets.
#[derive(Clone, PartialEq, Eq)]
pub struct DemuxRequest {
    pub url: String,
    pub transport: Transport,
    /// Milliseconds until media must have been found.
    pub open_limit: u32,
    /// How the server's certificate is verified. `None`: it is not, or there is none.
    pub verify: Option<Verify>,
}

/// Whom to trust.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verify {
    /// A PEM file of authorities.
    pub authorities: String,
    /// The name to verify instead of the URL's host.
    pub name: Option<String>,
}

impl fmt::Debug for DemuxRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DemuxRequest").field("transport", &self.transport).finish_non_exhaustive()
    }
}

/// How a session ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DemuxEnd {
    /// One of a stream's.
    pub cause: DownCause,
    /// For people. Names no URL.
    pub detail: String,
}

wire_struct!(DemuxRequest { url, transport, open_limit, verify });
wire_struct!(Verify { authorities, name });
wire_enum!(Transport);
wire_enum!(MediaKind);
wire_list!(DemuxedTrack, MAX_TRACKS);
wire_list!(DemuxedFrame, MAX_FRAMES);
wire_struct!(DemuxedFrame { media, keyframe, dts, pts, size, body });

impl Wire for DemuxEnd {
    fn put(&self, out: &mut Vec<u8>) {
        (self.cause as u8).put(out);
        self.detail.put(out);
    }

    fn get(reader: &mut Reader<'_>) -> Result<Self, ProtocolError> {
        let index = usize::from(u8::get(reader)?);
        let cause = DownCause::ALL.get(index).copied().filter(|cause| *cause <= DownCause::Protocol);
        Ok(Self { cause: cause.ok_or(ProtocolError::Value)?, detail: String::get(reader)? })
    }
}

impl Wire for DemuxedTrack {
    fn put(&self, out: &mut Vec<u8>) {
        self.media.put(out);
        self.codec.put(out);
        self.configuration.put(out);
        self.preamble.put(out);
        [self.width, self.height, self.sample_rate, self.channels].iter().for_each(|number| number.put(out));
    }

    fn get(reader: &mut Reader<'_>) -> Result<Self, ProtocolError> {
        let track = Self {
            media: Wire::get(reader)?,
            codec: Wire::get(reader)?,
            configuration: Wire::get(reader)?,
            preamble: Wire::get(reader)?,
            width: Wire::get(reader)?,
            height: Wire::get(reader)?,
            sample_rate: Wire::get(reader)?,
            channels: Wire::get(reader)?,
        };
        // A record may be a little longer than the preamble that it is made of.
        let is_kept = track.preamble.len() <= MAX_PREAMBLE && track.configuration.len() <= 2 * MAX_PREAMBLE;
        if is_kept { Ok(track) } else { Err(ProtocolError::TooLong) }
    }
}
