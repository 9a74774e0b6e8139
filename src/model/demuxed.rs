//! What a demuxer tells of a stream that is no RTMP.

use std::borrow::Cow;
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
    /// Pixels; 0 when not known, as for audio.
    pub width: u32,
    pub height: u32,
    /// Hertz; 0 when not known, as for video.
    pub sample_rate: u32,
    pub channels: u32,
}

/// A coded frame. Its body is counted, not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DemuxedFrame {
    pub media: MediaKind,
    pub keyframe: bool,
    /// Decoding time, milliseconds.
    pub dts: i64,
    /// Bytes.
    pub size: u32,
}
