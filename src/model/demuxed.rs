//! What a demuxer tells of a stream that is no RTMP.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use super::packet::MediaKind;

/// A medium and its parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DemuxedTrack {
    pub media: MediaKind,
    /// As ffprobe names it.
    pub codec: Cow<'static, str>,
    /// The configuration record as FLV carries it; empty where there is none.
    pub configuration: Arc<[u8]>,
    /// What a decoder must know before the frames as they come here, which may be in another format than the record is for; empty
    /// where they carry it themselves.
    pub preamble: Arc<[u8]>,
    /// Pixels; 0 when not known, as for audio.
    pub width: u32,
    pub height: u32,
    /// Hertz; 0 when not known, as for video.
    pub sample_rate: u32,
    pub channels: u32,
}

/// A coded frame. Its body is counted, and only brought along where it was asked for.
#[derive(Clone, PartialEq, Eq)]
pub struct DemuxedFrame {
    pub media: MediaKind,
    pub keyframe: bool,
    /// Decoding time, milliseconds.
    pub dts: i64,
    /// Presentation time, milliseconds.
    pub pts: i64,
    /// Bytes.
    pub size: u32,
    /// The frame itself, or nothing.
    pub body: Vec<u8>,
}

impl fmt::Debug for DemuxedFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (media, key) = (self.media, if self.keyframe { " key" } else { "" });
        write!(f, "DemuxedFrame({media:?}{key}, {} ms, {} bytes, {} here)", self.dts, self.size, self.body.len())
    }
}
