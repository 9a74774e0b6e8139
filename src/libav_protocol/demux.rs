//! Sessions with what is not RTMP.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use super::ProtocolError;
use super::wire::{Reader, Wire, get_list, wire_enum, wire_list, wire_struct};
use crate::model::closed_enum;
use crate::model::health::DownCause;
use crate::model::packet::MediaKind;

/// Most packets in one message.
pub const MAX_PACKETS: usize = 4096;
/// Video and audio.
const MAX_TRACKS: usize = 2;

closed_enum! {
    /// What RTSP's media come over.
    Transport {
        Tcp = "tcp",
        Udp = "udp",
    }
}

/// What to open and how. `Debug` does not show the URL, which may hold secrets.
#[derive(Clone, PartialEq, Eq)]
pub struct DemuxRequest {
    pub url: String,
    pub transport: Transport,
    /// Milliseconds until media must have been found.
    pub open_limit: u32,
    /// Milliseconds without a packet that end a session.
    pub silence_limit: u32,
    /// PEM file of authorities to trust; the system's without one.
    pub authorities: Option<String>,
}

impl fmt::Debug for DemuxRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DemuxRequest").field("transport", &self.transport).finish_non_exhaustive()
    }
}

/// A medium and its parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Track {
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

/// A coded frame's head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    pub media: MediaKind,
    pub keyframe: bool,
    /// Milliseconds.
    pub dts: i64,
    /// Milliseconds.
    pub pts: i64,
    /// Bytes.
    pub size: u32,
    /// Its first bytes.
    pub head: Vec<u8>,
}

/// How a session ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DemuxEnd {
    /// One of a stream's.
    pub cause: DownCause,
    /// For people. Names no URL.
    pub detail: String,
}

wire_struct!(DemuxRequest { url, transport, open_limit, silence_limit, authorities });
wire_enum!(Transport);
wire_enum!(MediaKind);
wire_list!(Track, MAX_TRACKS);
wire_struct!(Track { media, codec, configuration, width, height, sample_rate, channels });
wire_list!(Packet, MAX_PACKETS);
wire_struct!(Packet { media, keyframe, dts, pts, size, head });

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
