//! RTMP messages on the wire, as an origin writes them (RTMP 1.0, sections 5.3 and 5.4).

use crate::rtmp::amf::Writer;
pub(super) use crate::rtmp::message_type as kind;

/// Chunk size of everything an origin here sends after it has announced it.
pub(super) const CHUNK: usize = 4096;
/// Window after which players have to acknowledge.
pub(super) const WINDOW: u32 = 2_500_000;
/// The message stream that carries a player's media: one connection plays one camera.
pub(super) const MEDIA_STREAM: u32 = 1;

/// User control events (RTMP 1.0, section 7.1.7).
pub(super) mod event {
    pub(in super::super) const STREAM_BEGIN: u16 = 0;
    pub(in super::super) const STREAM_EOF: u16 = 1;
    pub(in super::super) const PING_REQUEST: u16 = 6;
    pub(in super::super) const PING_RESPONSE: u16 = 7;
}

/// The chunk stream each message type travels on. All below 64, so a basic header is one byte.
pub(super) const fn chunk_stream(kind: u8) -> u8 {
    match kind {
        kind::COMMAND => 3,
        kind::AUDIO => 4,
        kind::DATA | kind::DATA_AMF3 => 5,
        kind::VIDEO => 6,
        _ => 2,
    }
}

/// Timestamps from here on do not fit a chunk header (RTMP 1.0, section 5.3.1.3).
const EXTENDED: u32 = 0xFF_FFFF;

/// The first chunk's header of a message, and what has to stand before every further chunk's data.
#[derive(Debug, Clone, Copy)]
pub(super) struct Header {
    bytes: [u8; 16],
    len: u8,
}

impl Header {
    /// A full (type 0) header.
    pub(super) fn new(kind: u8, timestamp: u32, length: usize, stream: u32) -> Self {
        let mut bytes = [0; 16];
        let extended = timestamp >= EXTENDED;
        let short = timestamp.min(EXTENDED).to_be_bytes();
        let length = (length as u32).to_be_bytes();
        bytes[0] = chunk_stream(kind);
        bytes[1..4].copy_from_slice(&short[1..]);
        bytes[4..7].copy_from_slice(&length[1..]);
        bytes[7] = kind;
        bytes[8..12].copy_from_slice(&stream.to_le_bytes());
        bytes[12..16].copy_from_slice(&timestamp.to_be_bytes());
        Self { bytes, len: if extended { 16 } else { 12 } }
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }

    /// The extended timestamp, which continuation chunks repeat; empty where there is none.
    pub(super) fn extension(&self) -> &[u8] {
        &self.bytes[12..usize::from(self.len)]
    }
}

/// A message body with the one-byte headers of continuation chunks already between its pieces: what all players of all
/// cameras share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ChunkedBody {
    bytes: Box<[u8]>,
    length: usize,
}

impl ChunkedBody {
    pub(super) fn new(kind: u8, body: &[u8]) -> Self {
        let mut bytes = Vec::with_capacity(body.len() + body.len() / CHUNK);
        for (i, piece) in body.chunks(CHUNK).enumerate() {
            if i > 0 {
                bytes.push(0xC0 | chunk_stream(kind));
            }
            bytes.extend_from_slice(piece);
        }
        Self { bytes: bytes.into(), length: body.len() }
    }

    /// Length of the body itself.
    pub(super) fn length(&self) -> usize {
        self.length
    }

    /// The wire's pieces behind `header`, without copying.
    pub(super) fn pieces<'a>(&'a self, header: &'a Header, mut piece: impl FnMut(&'a [u8])) {
        if header.extension().is_empty() {
            return piece(&self.bytes);
        }
        // Each piece ends with the next chunk's basic header, after which the extended timestamp is repeated.
        let mut pieces = self.bytes.chunks(CHUNK + 1).peekable();
        while let Some(part) = pieces.next() {
            piece(part);
            if pieces.peek().is_some() {
                piece(header.extension());
            }
        }
    }
}

/// Appends one whole message.
pub(super) fn write(out: &mut Vec<u8>, kind: u8, timestamp: u32, stream: u32, body: &[u8]) {
    let header = Header::new(kind, timestamp, body.len(), stream);
    out.extend_from_slice(header.as_bytes());
    ChunkedBody::new(kind, body).pieces(&header, |piece| out.extend_from_slice(piece));
}

/// Appends a protocol control message with one 32-bit value.
pub(super) fn write_control(out: &mut Vec<u8>, kind: u8, value: u32) {
    write(out, kind, 0, 0, &value.to_be_bytes());
}

/// Appends a user control event with one 32-bit value.
pub(super) fn write_event(out: &mut Vec<u8>, event: u16, value: u32) {
    let mut body = event.to_be_bytes().to_vec();
    body.extend_from_slice(&value.to_be_bytes());
    write(out, kind::USER_CONTROL, 0, 0, &body);
}

/// Appends `onStatus` on the media stream.
pub(super) fn write_status(out: &mut Vec<u8>, level: &str, code: &str, description: &str) {
    let body = information(Writer::default().text("onStatus").number(0.0).null(), level, code, description);
    write(out, kind::COMMAND, 0, MEDIA_STREAM, &body.end_object().finish());
}

/// Cuts a message into the chunks that hold before any size was agreed on.
pub(super) fn write_first_chunks(out: &mut Vec<u8>, kind: u8, body: &[u8]) {
    out.extend_from_slice(Header::new(kind, 0, body.len(), 0).as_bytes());
    for (i, piece) in body.chunks(128).enumerate() {
        out.extend((i > 0).then_some(0xC0 | chunk_stream(kind)));
        out.extend_from_slice(piece);
    }
}

/// Begins an information object: the caller may add to it, and ends it.
pub(super) fn information(body: Writer, level: &str, code: &str, description: &str) -> Writer {
    let body = body.begin_object().key("level").text(level).key("code").text(code);
    body.key("description").text(description)
}

/// Appends the leave to read samples, which players get before metadata.
pub(super) fn write_access(out: &mut Vec<u8>, timestamp: u32) {
    let body = Writer::default().text("|RtmpSampleAccess").boolean(true).boolean(true).finish();
    write(out, kind::DATA, timestamp, MEDIA_STREAM, &body);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtmp::{ChunkReader, Keep};

    #[test]
    fn extended_timestamps_are_repeated_on_every_chunk() {
        let body = vec![7; 2 * CHUNK + 1];
        for (timestamp, extra) in [(0xFF_FFFE, 0), (0xFF_FFFF, 4), (u32::MAX, 4)] {
            let mut out = Vec::new();
            write(&mut out, kind::VIDEO, timestamp, 1, &body);
            assert_eq!(out.len(), 12 + body.len() + 2 + 3 * extra, "{timestamp:x}");
            let second = 12 + extra + CHUNK;
            assert_eq!(out[second], 0xC6);
            if extra > 0 {
                assert_eq!(out[12..16], timestamp.to_be_bytes());
                assert_eq!(out[second + 1..second + 5], timestamp.to_be_bytes());
            }
        }
    }

    #[test]
    fn what_is_written_is_read_in_any_pieces() {
        let mut wire = Vec::new();
        // A reader begins with 128-byte chunks, so announce ours first.
        write_control(&mut wire, kind::SET_CHUNK_SIZE, CHUNK as u32);
        write(&mut wire, kind::VIDEO, 0xFF_FFFF, 0, &vec![1; 3 * CHUNK + 5]);
        write_event(&mut wire, event::PING_RESPONSE, 9);
        for step in [1, 7, 1000, wire.len()] {
            let mut reader = ChunkReader::new(Keep::Whole(1 << 20));
            let mut seen = Vec::new();
            for mut part in wire.chunks(step) {
                while let Some(message) = reader.read(&mut part).unwrap() {
                    seen.push((message.type_id, message.timestamp, reader.take_head().len()));
                }
            }
            assert_eq!(seen, [(kind::VIDEO, 0xFF_FFFF, 3 * CHUNK + 5), (kind::USER_CONTROL, 0, 6)], "step {step}");
        }
    }
}
