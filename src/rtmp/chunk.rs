//! Chunk stream reader (RTMP 1.0, section 5.3): bytes in, one complete message at a time out.
//!
//! Where the field deviates from the specification, this follows what FFmpeg, nginx-rtmp and SRS agree on:
//!
//! - The extended timestamp may be missing on type 3 chunks although 5.3.1.3 wants it. It is taken only if it repeats the value of the
//!   chunk's header, as SRS does.
//! - A type 3 chunk that starts a message after a type 0 one adds that one's timestamp as its delta (5.3.1.2.4), as FFmpeg, librtmp
//!   and SRS do and as FFmpeg's sender expects.
//! - A chunk with a full header in the middle of a message continues it if the length is the same (FFmpeg).
//! - A chunk stream may begin with type 1: the timestamp then counts from 0 (librtmp's pings).

use thiserror::Error;

use super::aggregate::Aggregate;
use super::body::{Body, Keep};
use super::message_type as kind;
use super::octets::{Octets, u24};

/// Most chunk streams of one session. Servers use fewer than ten.
pub const MAX_CHUNK_STREAMS: usize = 64;
/// Most bytes that partial messages may hold together, besides one of the longest that are kept whole.
const MAX_KEPT: usize = 96 * 1024;
const EXTENDED: u32 = 0x00ff_ffff;
/// Longest chunk header: basic 3, message 11, extended timestamp 4.
const MAX_HEADER: usize = 18;

/// Why the chunk stream cannot be read on. Framing is lost: the session is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ChunkError {
    #[error("chunk size {0} is not allowed")]
    ChunkSize(u32),
    #[error("chunk stream {0} starts without a header")]
    MissingHeader(u32),
    #[error("message of {was} bytes became one of {is} bytes half-way")]
    LengthChanged { was: u32, is: u32 },
    #[error("more than {MAX_CHUNK_STREAMS} chunk streams")]
    TooManyChunkStreams,
    #[error("command of {0} bytes")]
    CommandTooLong(u32),
    #[error("message of {0} bytes")]
    MessageTooLong(u32),
    #[error("too many unfinished messages")]
    TooMuchUnfinished,
}

/// A complete message. The kept part of its body is in [`ChunkReader::head`] until the next read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message {
    pub type_id: u8,
    /// Milliseconds, wraps.
    pub timestamp: u32,
    /// Bytes of the body, kept or not.
    pub length: u32,
}

/// One chunk stream's memory.
#[derive(Debug, Default)]
struct ChunkStream {
    id: u32,
    /// Of the newest message.
    timestamp: u32,
    /// Timestamp field of the newest header, extended if it was: absolute for type 0, else a delta.
    field: u32,
    extended: bool,
    type_id: u8,
    length: u32,
    /// Whether a message has begun and is not complete.
    open: bool,
    body: Body,
    aggregate: Option<Box<Aggregate>>,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// Collecting a header.
    Header,
    /// Deciding whether a type 3 chunk carries the extended timestamp: this many bytes match the header's field or the message's
    /// timestamp.
    Peek {
        matched: usize,
    },
    Body,
}

/// See the module's documentation.
#[derive(Debug)]
pub struct ChunkReader {
    keep: Keep,
    chunk_size: u32,
    streams: Vec<ChunkStream>,
    /// Index of the chunk stream being read.
    current: usize,
    /// Body bytes left in the chunk being read.
    left: usize,
    state: State,
    header: Octets<MAX_HEADER>,
    /// Bytes that turned out not to be an extended timestamp; read again before any input.
    again: Octets<8>,
    head: Vec<u8>,
}

impl ChunkReader {
    pub fn new(keep: Keep) -> Self {
        Self {
            keep,
            chunk_size: 128,
            streams: Vec::new(),
            current: 0,
            left: 0,
            state: State::Header,
            header: Octets::default(),
            again: Octets::default(),
            head: Vec::new(),
        }
    }

    /// Keeps as much as this of messages that begin from now on; with [`Keep::Heads`], no more of those under way.
    pub fn set_keep(&mut self, keep: Keep) {
        self.keep = keep;
        if keep == Keep::Heads {
            self.streams.iter_mut().for_each(ChunkStream::shorten);
        }
    }

    /// The kept part of the newest message's body.
    pub fn head(&self) -> &[u8] {
        &self.head
    }

    /// Gives [`ChunkReader::head`] away.
    pub fn take_head(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.head)
    }

    /// Reads from the front of `input` until a message is complete (`Some`) or the input is used up (`None`).
    pub fn read(&mut self, input: &mut &[u8]) -> Result<Option<Message>, ChunkError> {
        loop {
            let message = if self.again.is_empty() {
                self.step(input)?
            } else {
                let again = std::mem::take(&mut self.again);
                let mut bytes = again.as_slice();
                let message = self.step(&mut bytes)?;
                self.again.extend(bytes);
                message
            };
            if message.is_some() || (self.again.is_empty() && input.is_empty()) {
                return Ok(message);
            }
        }
    }

    /// As `read`, but also stops where bytes must be read again.
    fn step(&mut self, input: &mut &[u8]) -> Result<Option<Message>, ChunkError> {
        loop {
            match self.state {
                State::Header => {
                    if !self.collect_header(input) {
                        return Ok(None);
                    }
                    self.begin_chunk()?;
                    self.header.clear();
                }
                State::Peek { matched: 4 } => self.state = State::Body,
                State::Peek { matched } => {
                    let Some(stream) = self.streams.get(self.current) else { return Ok(None) };
                    let Some((byte, rest)) = input.split_first() else { return Ok(None) };
                    // Bytes that have matched so far are the same in every candidate that still matches.
                    let [field, absolute] = [stream.field, stream.timestamp].map(u32::to_be_bytes);
                    let prefix = self.header.as_slice();
                    let fits = |value: &[u8]| value.starts_with(prefix) && value.get(matched) == Some(byte);
                    if fits(&field) || fits(&absolute) {
                        self.header.extend(&[*byte]);
                        *input = rest;
                        self.state = State::Peek { matched: matched + 1 };
                        if matched == 3 {
                            self.header.clear();
                        }
                    } else {
                        self.again = Octets::default();
                        self.again.extend(prefix);
                        self.header.clear();
                        self.state = State::Body;
                        if matched > 0 {
                            return Ok(None);
                        }
                    }
                }
                State::Body => {
                    let message = self.take_body(input)?;
                    if message.is_some() || matches!(self.state, State::Body) {
                        return Ok(message);
                    }
                }
            }
        }
    }

    /// Whether the whole header up to its extended timestamp is there (that of type 3 chunks is left to `State::Peek`).
    fn collect_header(&mut self, input: &mut &[u8]) -> bool {
        let basic = match self.header.as_slice().first().map(|first| first & 0x3f) {
            None => return self.header.fill(1, input) && self.collect_header(input),
            Some(0) => 2,
            Some(1) => 3,
            Some(_) => 1,
        };
        let fixed = basic + message_header_length(self.format());
        if !self.header.fill(fixed, input) {
            return false;
        }
        let field = self.header.as_slice().get(basic..basic + 3).map(u24);
        field != Some(EXTENDED) || fixed == basic || self.header.fill(fixed + 4, input)
    }

    fn format(&self) -> u8 {
        self.header.as_slice().first().map_or(0, |first| first >> 6)
    }

    /// Reads the collected header (5.3.1) and begins a message or goes on with one.
    fn begin_chunk(&mut self) -> Result<(), ChunkError> {
        let format = self.format();
        let header = self.header;
        let (id, fields) = match *header.as_slice() {
            [first, low, ref rest @ ..] if first & 0x3f == 0 => (64 + u32::from(low), rest),
            [first, low, high, ref rest @ ..] if first & 0x3f == 1 => {
                (64 + u32::from(low) + 256 * u32::from(high), rest)
            }
            [first, ref rest @ ..] => (u32::from(first & 0x3f), rest),
            [] => return Ok(()),
        };
        let (chunk_size, keep) = (self.chunk_size, self.keep);
        let stream = self.stream(id, format)?;
        let mut length = stream.length;
        if let [_, _, _, l0, l1, l2, type_id, ..] = *fields {
            length = u24(&[l0, l1, l2]);
            if !stream.open {
                stream.type_id = type_id;
            }
        }
        if stream.open && length != stream.length {
            return Err(ChunkError::LengthChanged { was: stream.length, is: length });
        }
        stream.length = length;
        if !stream.open {
            if format < 3 {
                let field = u24(fields);
                let extended = fields.get(message_header_length(format)..).and_then(|rest| rest.first_chunk::<4>());
                stream.extended = extended.is_some();
                stream.field = extended.map_or(field, |bytes| u32::from_be_bytes(*bytes));
            }
            stream.timestamp = if format == 0 { stream.field } else { stream.timestamp.wrapping_add(stream.field) };
            stream.open = true;
            stream.aggregate =
                (stream.type_id == kind::AGGREGATE).then(|| Box::new(Aggregate::new(stream.timestamp, keep)));
            stream.body.begin(stream.type_id, length, keep)?;
        }
        let peek = format == 3 && stream.extended;
        self.left = stream.body.missing().min(chunk_size as usize);
        self.state = if peek { State::Peek { matched: 0 } } else { State::Body };
        Ok(())
    }

    /// Makes the chunk stream with this id the current one.
    fn stream(&mut self, id: u32, format: u8) -> Result<&mut ChunkStream, ChunkError> {
        self.current = match self.streams.iter().position(|stream| stream.id == id) {
            Some(index) => index,
            None if format > 1 => return Err(ChunkError::MissingHeader(id)),
            None if self.streams.len() == MAX_CHUNK_STREAMS => return Err(ChunkError::TooManyChunkStreams),
            None => {
                self.streams.push(ChunkStream { id, ..ChunkStream::default() });
                self.streams.len() - 1
            }
        };
        self.streams.get_mut(self.current).ok_or(ChunkError::MissingHeader(id))
    }

    /// Takes what belongs to the current chunk. `state` leaves `Body` when the chunk is complete.
    fn take_body(&mut self, input: &mut &[u8]) -> Result<Option<Message>, ChunkError> {
        let Some(stream) = self.streams.get_mut(self.current) else { return Ok(None) };
        let mut now = input.split_at(self.left.min(input.len())).0;
        let mut tag = None;
        if let Some(aggregate) = &mut stream.aggregate {
            let mut unread = now;
            tag = aggregate.read(&mut unread, &mut self.head);
            now = now.split_at(now.len() - unread.len()).0;
        }
        stream.body.feed(now);
        self.left -= now.len();
        *input = input.split_at(now.len()).1;
        if self.left == 0 {
            self.state = State::Header;
            if stream.body.missing() == 0 {
                return self.finish_message(tag);
            }
        }
        let most = match self.keep {
            Keep::Heads => MAX_KEPT,
            Keep::Media(most) | Keep::Whole(most) => most as usize + MAX_KEPT,
        };
        if stream.excess() > 0 && self.streams.iter().map(ChunkStream::excess).sum::<usize>() > most {
            return Err(ChunkError::TooMuchUnfinished);
        }
        Ok(tag)
    }

    fn finish_message(&mut self, tag: Option<Message>) -> Result<Option<Message>, ChunkError> {
        let Some(stream) = self.streams.get_mut(self.current) else { return Ok(None) };
        stream.open = false;
        if stream.aggregate.take().is_some() {
            stream.body.forget();
            return Ok(tag);
        }
        let message = Message { type_id: stream.type_id, timestamp: stream.timestamp, length: stream.length };
        stream.body.finish(&mut self.head);
        let argument = self.head.first_chunk::<4>().map_or(0, |bytes| u32::from_be_bytes(*bytes));
        match message.type_id {
            kind::SET_CHUNK_SIZE => {
                if argument == 0 || argument > i32::MAX as u32 {
                    return Err(ChunkError::ChunkSize(argument));
                }
                self.chunk_size = argument;
                Ok(None)
            }
            kind::ABORT => {
                if let Some(stream) = self.streams.iter_mut().find(|stream| stream.id == argument) {
                    stream.open = false;
                    stream.aggregate = None;
                    stream.body.forget();
                }
                Ok(None)
            }
            _ => Ok(Some(message)),
        }
    }
}

impl ChunkStream {
    fn shorten(&mut self) {
        self.body.shorten();
        if let Some(aggregate) = &mut self.aggregate {
            aggregate.shorten();
        }
    }

    fn excess(&self) -> usize {
        self.body.excess() + self.aggregate.as_ref().map_or(0, |aggregate| aggregate.excess())
    }
}

fn message_header_length(format: u8) -> usize {
    match format {
        0 => 11,
        1 => 7,
        2 => 3,
        _ => 0,
    }
}
