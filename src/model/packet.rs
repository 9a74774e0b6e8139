//! What a session hands to the analyser.

use super::closed_enum;

closed_enum! {
    /// The media that are measured.
    MediaKind {
        Video = "video",
        Audio = "audio",
    }
}

/// What an RTMP message carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PacketKind {
    Video,
    Audio,
    /// A data message (`onMetaData`, cue points): AMF0 body, whole.
    Data,
}

/// One media message: its head and its length. Bodies are counted, not kept, unless an inspection waits for them.
///
/// `head` holds the first bytes of the body as they are on the wire (FLV tag body, FLV specification 10.1 annex E): at least
/// [`MediaPacket::HEAD`] bytes or all there are; sequence headers and data messages whole up to
/// [`MediaPacket::WHOLE`] bytes. While bodies are asked for, audio and video whole.
#[derive(Debug, Clone, Copy)]
pub struct MediaPacket<'a> {
    pub kind: PacketKind,
    /// RTMP timestamp, milliseconds, 32-bit, wraps.
    pub timestamp: u32,
    /// Body length in bytes.
    pub length: u32,
    pub head: &'a [u8],
}

impl MediaPacket<'_> {
    /// Bytes of an ordinary frame's body that are kept.
    pub const HEAD: usize = 48;
    /// Most bytes of a sequence header or data message that are kept.
    pub const WHOLE: usize = 16 * 1024;
}
