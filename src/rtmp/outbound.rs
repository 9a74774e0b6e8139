//! What we send: messages, their chunks, and the bytes waiting for the transport.

use rml_rtmp::chunk_io::ChunkSerializer;
use rml_rtmp::messages::MessagePayload;
use rml_rtmp::time::RtmpTimestamp;

use super::amf::Writer;
use super::error::SessionError;
use super::message_type as kind;

/// Most bytes that may wait. A session sends about 5 KiB to begin and a few bytes now and then, so more means that the peer
/// asks and does not read.
const MAX_WAITING: usize = 16 * 1024;
/// An acknowledgement waits while this much is waiting: it is cumulative, a later one says more.
const CROWDED: usize = 4 * 1024;

/// User control events that we send (RTMP 1.0, 7.1.7).
const SET_BUFFER_LENGTH: u16 = 3;
const PING_REQUEST: u16 = 6;
const PING_RESPONSE: u16 = 7;

/// Milliseconds we claim to buffer, as FFmpeg does: some servers send that much as a burst.
const BUFFER_LENGTH: u32 = 3000;

pub(super) struct Outbound {
    serializer: ChunkSerializer,
    waiting: Vec<u8>,
    sent: usize,
}

impl Outbound {
    pub(super) fn new(first: Vec<u8>) -> Self {
        Self { serializer: ChunkSerializer::new(), waiting: first, sent: 0 }
    }

    pub(super) fn waiting(&self) -> &[u8] {
        self.waiting.get(self.sent..).unwrap_or_default()
    }

    pub(super) fn sent(&mut self, count: usize) {
        self.sent = self.sent.saturating_add(count).min(self.waiting.len());
        if self.sent == self.waiting.len() {
            self.waiting.clear();
            self.waiting.shrink_to(64);
            self.sent = 0;
        }
    }

    pub(super) fn is_crowded(&self) -> bool {
        self.waiting().len() > CROWDED
    }

    pub(super) fn raw(&mut self, bytes: &[u8]) -> Result<(), SessionError> {
        if self.waiting().len() + bytes.len() > MAX_WAITING {
            return Err(SessionError::PeerNotReading);
        }
        self.waiting.drain(..self.sent);
        self.sent = 0;
        self.waiting.extend_from_slice(bytes);
        Ok(())
    }

    pub(super) fn command(&mut self, stream_id: u32, body: Vec<u8>) -> Result<(), SessionError> {
        self.message(kind::COMMAND, stream_id, body)
    }

    pub(super) fn create_stream(&mut self, transaction: f64) -> Result<(), SessionError> {
        let body = Writer::default().text("createStream").number(transaction).null();
        self.command(0, body.finish())
    }

    /// `FCSubscribe`, `FCPublish`, `releaseStream`: what origins of some delivery networks (Akamai, Edgecast, Limelight: videojs/video.js#1846)
    /// want before the play, or the publication, of a live stream; the last one takes the name from a publisher that is gone. FFmpeg and librtmp send them like this; servers that do not know them ignore them or
    /// answer with an error.
    pub(super) fn announce(&mut self, name: &str, transaction: f64, key: &str) -> Result<(), SessionError> {
        let body = Writer::default().text(name).number(transaction).null().text(key);
        self.command(0, body.finish())
    }

    /// `play` with start -2000 as FFmpeg and librtmp send it: the live stream if there is one (-2; those two count milliseconds).
    pub(super) fn play(&mut self, transaction: f64, stream_id: u32, key: &str) -> Result<(), SessionError> {
        let mut event = SET_BUFFER_LENGTH.to_be_bytes().to_vec();
        event.extend(stream_id.to_be_bytes());
        event.extend(BUFFER_LENGTH.to_be_bytes());
        self.message(kind::USER_CONTROL, 0, event)?;
        let body = Writer::default().text("play").number(transaction).null().text(key).number(-2000.0);
        self.command(stream_id, body.finish())
    }

    /// `publish` of a live stream (RTMP 1.0, 7.2.2.6).
    pub(super) fn publish(&mut self, transaction: f64, stream_id: u32, key: &str) -> Result<(), SessionError> {
        let body = Writer::default().text("publish").number(transaction).null().text(key).text("live");
        self.command(stream_id, body.finish())
    }

    pub(super) fn ping_request(&mut self, timestamp: u32) -> Result<(), SessionError> {
        self.user_control(PING_REQUEST, timestamp)
    }

    pub(super) fn ping_response(&mut self, timestamp: u32) -> Result<(), SessionError> {
        self.user_control(PING_RESPONSE, timestamp)
    }

    fn user_control(&mut self, event: u16, argument: u32) -> Result<(), SessionError> {
        let mut body = event.to_be_bytes().to_vec();
        body.extend(argument.to_be_bytes());
        self.message(kind::USER_CONTROL, 0, body)
    }

    pub(super) fn acknowledgement(&mut self, total: u32) -> Result<(), SessionError> {
        self.message(kind::ACKNOWLEDGEMENT, 0, total.to_be_bytes().to_vec())
    }

    pub(super) fn window_acknowledgement_size(&mut self, size: u32) -> Result<(), SessionError> {
        self.message(kind::WINDOW_ACKNOWLEDGEMENT_SIZE, 0, size.to_be_bytes().to_vec())
    }

    fn message(&mut self, type_id: u8, stream_id: u32, body: Vec<u8>) -> Result<(), SessionError> {
        self.timed_message(type_id, stream_id, 0, body)
    }

    /// A message at a moment of the stream's own time, in milliseconds.
    pub(super) fn timed_message(
        &mut self,
        type_id: u8,
        stream_id: u32,
        time: u32,
        body: Vec<u8>,
    ) -> Result<(), SessionError> {
        let message = MessagePayload {
            timestamp: RtmpTimestamp::new(time),
            type_id,
            message_stream_id: stream_id,
            data: body.into(),
        };
        let packet = self.serializer.serialize(&message, false, false).map_err(|_| SessionError::Unsendable)?;
        self.raw(&packet.bytes)
    }
}
