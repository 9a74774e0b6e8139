//! RTMP play session: bytes in; bytes to send, media and events out. No I/O and no clock.
//!
//! ```text
//! bytes ─► handshake ─► chunk ─► session ─► Output::Media / Output::Event
//!          (rml_rtmp)   body, aggregate │
//!                command, conversation ─┴─► outbound (rml_rtmp's serializer) ─► transmit()
//! ```
//!
//! The receive path after the handshake is this module's own: a peer can neither crash it nor make it hold more than a bounded number
//! of bytes. Message bodies are counted, and kept only as far as [`MediaPacket`](crate::model::MediaPacket) says.
//!
//! Specification: Adobe RTMP 1.0 (2012), Enhanced RTMP v2 for what is kept whole. Only C1 and C2 of the handshake are random; that randomness is
//! `rml_rtmp`'s and changes nothing else.

mod aggregate;
pub mod amf;
mod body;
mod chunk;
mod command;
mod conversation;
mod error;
mod introduction;
mod octets;
mod outbound;
mod output;
mod session;
pub mod tag;

pub use body::Keep;
pub use chunk::{ChunkError, ChunkReader, MAX_CHUNK_STREAMS, Message};
pub use error::{Refusal, SessionError};
pub use introduction::Introduction;
pub use output::{Output, SessionEvent, UnpublishCode};
pub use session::{PlayConfig, PlaySession};

/// Message type ids (RTMP 1.0, 5.4 and 7.1).
pub mod message_type {
    /// Used by no message: what is stepped over.
    pub const UNKNOWN: u8 = 0;
    pub const SET_CHUNK_SIZE: u8 = 1;
    pub const ABORT: u8 = 2;
    pub const ACKNOWLEDGEMENT: u8 = 3;
    pub const USER_CONTROL: u8 = 4;
    pub const WINDOW_ACKNOWLEDGEMENT_SIZE: u8 = 5;
    pub const SET_PEER_BANDWIDTH: u8 = 6;
    pub const AUDIO: u8 = 8;
    pub const VIDEO: u8 = 9;
    pub const DATA_AMF3: u8 = 15;
    pub const COMMAND_AMF3: u8 = 17;
    pub const DATA: u8 = 18;
    pub const COMMAND: u8 = 20;
    pub const AGGREGATE: u8 = 22;
}
