//! RTMP messages on the wire: what an origin writes, and a bounded reader of what players send
//! (RTMP 1.0, sections 5.3 and 5.4).

use std::collections::HashMap;

use super::amf::Value;

/// Chunk size of everything an origin here sends after it has announced it.
pub(super) const CHUNK: usize = 4096;
/// Window after which players have to acknowledge.
pub(super) const WINDOW: u32 = 2_500_000;
/// The message stream that carries a player's media: one connection plays one camera.
pub(super) const MEDIA_STREAM: u32 = 1;

/// Message type ids (RTMP 1.0, sections 5.4, 6 and 7).
pub(super) mod kind {
    pub(in super::super) const SET_CHUNK_SIZE: u8 = 1;
    pub(in super::super) const ABORT: u8 = 2;
    pub(in super::super) const ACKNOWLEDGEMENT: u8 = 3;
    pub(in super::super) const USER_CONTROL: u8 = 4;
    pub(in super::super) const WINDOW_ACK_SIZE: u8 = 5;
    pub(in super::super) const SET_PEER_BANDWIDTH: u8 = 6;
    pub(in super::super) const AUDIO: u8 = 8;
    pub(in super::super) const VIDEO: u8 = 9;
    pub(in super::super) const COMMAND_AMF3: u8 = 17;
    pub(in super::super) const DATA: u8 = 18;
    pub(in super::super) const COMMAND: u8 = 20;
}

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
        kind::DATA => 5,
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

/// Appends a command (or, with [`kind::DATA`], a data message) of `values`.
pub(super) fn write_values(out: &mut Vec<u8>, kind: u8, timestamp: u32, stream: u32, values: &[Value]) {
    let mut body = Vec::new();
    values.iter().for_each(|v| v.write(&mut body));
    write(out, kind, timestamp, stream, &body);
}

/// Appends `onStatus` on the media stream.
pub(super) fn write_status(out: &mut Vec<u8>, level: &str, code: &str, description: &str) {
    let info = Value::object([
        ("level", Value::text(level)),
        ("code", Value::text(code)),
        ("description", Value::text(description)),
    ]);
    write_values(
        out,
        kind::COMMAND,
        0,
        MEDIA_STREAM,
        &[Value::text("onStatus"), Value::Number(0.0), Value::Null, info],
    );
}

/// One message of a player.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Inbound {
    pub(super) kind: u8,
    pub(super) body: Vec<u8>,
}

/// Why a player's bytes are no RTMP that an origin would put up with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum ReadError {
    #[error("a chunk continues a message that was never begun")]
    NoHeader,
    #[error("a message is too long")]
    TooLong,
    #[error("too many chunk streams")]
    TooManyStreams,
    #[error("a chunk size out of range")]
    ChunkSize,
}

/// Longest message a player may send.
const MAX_MESSAGE: usize = 64 * 1024;
/// Chunk streams a player may use.
const MAX_STREAMS: usize = 16;

#[derive(Debug, Default)]
struct Assembly {
    length: usize,
    kind: u8,
    extended: bool,
    body: Vec<u8>,
}

/// Puts a player's chunks together. Memory is bounded by the constants above.
#[derive(Debug)]
pub(super) struct Reader {
    chunk_size: usize,
    input: Vec<u8>,
    consumed: usize,
    streams: HashMap<u32, Assembly>,
}

impl Default for Reader {
    fn default() -> Self {
        Self { chunk_size: 128, input: Vec::new(), consumed: 0, streams: HashMap::new() }
    }
}

impl Reader {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.input.drain(..self.consumed);
        self.consumed = 0;
        self.input.extend_from_slice(bytes);
    }

    /// The next whole message, if the bytes so far hold one.
    pub(super) fn next(&mut self) -> Result<Option<Inbound>, ReadError> {
        loop {
            let Some(done) = self.chunk()? else { return Ok(None) };
            let Some(message) = done else { continue };
            let value = || message.body.first_chunk().map(|b| u32::from_be_bytes(*b));
            match message.kind {
                kind::SET_CHUNK_SIZE => {
                    let size = value().map(|v| v as usize).ok_or(ReadError::ChunkSize)?;
                    if !(1..=MAX_MESSAGE).contains(&size) {
                        return Err(ReadError::ChunkSize);
                    }
                    self.chunk_size = size;
                }
                kind::ABORT => {
                    if let Some(stream) = value().and_then(|id| self.streams.get_mut(&id)) {
                        stream.body.clear();
                    }
                }
                _ => return Ok(Some(message)),
            }
        }
    }

    /// Consumes one chunk. `None`: needs more bytes. `Some(None)`: the message goes on.
    fn chunk(&mut self) -> Result<Option<Option<Inbound>>, ReadError> {
        let mut rest = self.input.get(self.consumed..).unwrap_or_default();
        let before = rest.len();
        let mut take = |n: usize| {
            let (head, tail) = rest.split_at_checked(n)?;
            rest = tail;
            Some(head)
        };
        let Some(&[basic]) = take(1) else { return Ok(None) };
        let id = match basic & 0x3F {
            0 => match take(1) {
                Some(&[low]) => 64 + u32::from(low),
                _ => return Ok(None),
            },
            1 => match take(2) {
                Some(&[low, high]) => 64 + u32::from(low) + 256 * u32::from(high),
                _ => return Ok(None),
            },
            id => u32::from(id),
        };
        let format = basic >> 6;
        let Some(header) = take([11, 7, 3, 0][usize::from(format)]) else { return Ok(None) };
        if !self.streams.contains_key(&id) {
            if format > 1 {
                return Err(ReadError::NoHeader);
            }
            if self.streams.len() >= MAX_STREAMS {
                return Err(ReadError::TooManyStreams);
            }
        }
        let known = self.streams.get(&id);
        let extended = match header.first_chunk::<3>() {
            Some(time) => *time == [0xFF; 3],
            None => known.is_some_and(|s| s.extended),
        };
        let (length, kind) = match header {
            [_, _, _, a, b, c, kind, ..] => (u32::from_be_bytes([0, *a, *b, *c]) as usize, *kind),
            _ => known.map_or((0, 0), |s| (s.length, s.kind)),
        };
        if length > MAX_MESSAGE {
            return Err(ReadError::TooLong);
        }
        if extended && take(4).is_none() {
            return Ok(None);
        }
        // A new header in the middle of a message begins it anew.
        let have = if format == 3 { known.map_or(0, |s| s.body.len()) } else { 0 };
        let Some(data) = take((length - have.min(length)).min(self.chunk_size)) else { return Ok(None) };
        let stream = self.streams.entry(id).or_default();
        stream.body.truncate(have);
        (stream.length, stream.kind, stream.extended) = (length, kind, extended);
        stream.body.extend_from_slice(data);
        let done = (stream.body.len() >= length).then(|| Inbound { kind, body: std::mem::take(&mut stream.body) });
        self.consumed += before - rest.len();
        Ok(Some(done))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn messages_survive_any_split_of_the_bytes() {
        let mut wire = Vec::new();
        // The reader begins with 128-byte chunks, so announce ours first.
        write_control(&mut wire, kind::SET_CHUNK_SIZE, CHUNK as u32);
        write(&mut wire, kind::COMMAND, 0xFF_FFFF, 0, &vec![1; 3 * CHUNK + 5]);
        write_event(&mut wire, event::PING_RESPONSE, 9);
        for step in [1, 7, 1000, wire.len()] {
            let mut reader = Reader::default();
            let mut seen = Vec::new();
            for part in wire.chunks(step) {
                reader.push(part);
                while let Some(message) = reader.next().unwrap() {
                    seen.push((message.kind, message.body.len()));
                }
            }
            assert_eq!(seen, [(kind::COMMAND, 3 * CHUNK + 5), (kind::USER_CONTROL, 6)], "step {step}");
        }
    }

    #[test]
    fn hostile_chunks_end_in_an_error() {
        let cases: [(&[u8], ReadError); 3] = [
            (&[0xC3], ReadError::NoHeader),
            (&[3, 0, 0, 0, 0xFF, 0xFF, 0xFF, 20, 0, 0, 0, 0], ReadError::TooLong),
            (&[2, 0, 0, 0, 0, 0, 4, 1, 0, 0, 0, 0, 0, 0, 0, 0], ReadError::ChunkSize),
        ];
        for (bytes, error) in cases {
            let mut reader = Reader::default();
            reader.push(bytes);
            assert_eq!(reader.next(), Err(error));
        }
        let mut random = fastrand::Rng::with_seed(1);
        for _ in 0..2000 {
            let mut reader = Reader::default();
            let bytes: Vec<u8> = std::iter::repeat_with(|| random.u8(..)).take(600).collect();
            reader.push(&bytes);
            while let Ok(Some(_)) = reader.next() {}
            assert!(reader.streams.len() <= MAX_STREAMS);
        }
    }
}
