//! A scripted RTMP server made of bytes, and a client that collects what a session gives.
#![allow(dead_code, reason = "each test binary uses its part")]

use std::time::{Duration, Instant};

use rml_rtmp::chunk_io::ChunkDeserializer;
use rml_rtmp::messages::MessagePayload;
use rtmp_hmonitor::model::report::Phase;
use rtmp_hmonitor::model::spec::PhaseTimeouts;
use rtmp_hmonitor::model::{PacketKind, StreamUrl};
use rtmp_hmonitor::rtmp::amf::Writer;
use rtmp_hmonitor::rtmp::{Introduction, Output, PlayConfig, PlaySession, SessionError, SessionEvent};

pub const URL: &str = "rtmp://origin.example/live/S3CRETKEY?token=T0KENVALUE";

#[derive(Debug, Clone, PartialEq)]
pub enum Seen {
    Media { kind: PacketKind, timestamp: u32, length: u32, head: Vec<u8> },
    Event(SessionEvent),
}

pub struct Client {
    pub session: PlaySession,
    pub now: Instant,
    pub start: Instant,
    pub seen: Vec<Seen>,
    decoder: ChunkDeserializer,
    handshake_sent: usize,
}

impl Client {
    pub fn new() -> Self {
        Self::with_timeouts(PhaseTimeouts::default())
    }

    pub fn with_timeouts(timeouts: PhaseTimeouts) -> Self {
        let start = Instant::now();
        let config = PlayConfig {
            url: StreamUrl::parse(URL).unwrap(),
            timeouts,
            introduction: Introduction::default(),
            random: 1,
        };
        let session = PlaySession::new(start, config, start + timeouts.connect_total).unwrap();
        Self { session, now: start, start, seen: Vec::new(), decoder: ChunkDeserializer::new(), handshake_sent: 0 }
    }

    /// A session whose play has been accepted, with nothing seen and nothing to send.
    pub fn playing() -> Self {
        let mut client = Self::new();
        client.feed(&start_of_play()).unwrap();
        client.seen.clear();
        client.sent();
        client
    }

    pub fn feed(&mut self, mut bytes: &[u8]) -> Result<(), SessionError> {
        loop {
            match self.session.advance(self.now, &mut bytes)? {
                Some(Output::Media(p)) => self.seen.push(Seen::Media {
                    kind: p.kind,
                    timestamp: p.timestamp,
                    length: p.length,
                    head: p.head.to_vec(),
                }),
                Some(Output::Event(event)) => self.seen.push(Seen::Event(event)),
                None => {
                    assert!(bytes.is_empty(), "all input is consumed");
                    return Ok(());
                }
            }
        }
    }

    /// What has been seen since the last call.
    pub fn take(&mut self) -> Vec<Seen> {
        std::mem::take(&mut self.seen)
    }

    pub fn events(&mut self) -> Vec<SessionEvent> {
        let event = |seen| if let Seen::Event(event) = seen { Some(event) } else { None };
        self.take().into_iter().filter_map(event).collect()
    }

    /// Timestamp, length and head of the media seen since the last call.
    pub fn media(&mut self) -> Vec<(u32, u32, Vec<u8>)> {
        let media = |seen| match seen {
            Seen::Media { timestamp, length, head, .. } => Some((timestamp, length, head)),
            Seen::Event(_) => None,
        };
        self.take().into_iter().filter_map(media).collect()
    }

    /// Takes the bytes waiting to be sent and decodes the messages in them.
    pub fn sent(&mut self) -> Vec<MessagePayload> {
        let bytes = self.session.transmit().to_vec();
        self.session.transmitted(bytes.len());
        let skip = bytes.len().min(3073 - self.handshake_sent);
        self.handshake_sent += skip;
        let mut messages = Vec::new();
        let mut input = &bytes[skip..];
        while let Some(message) = self.decoder.get_next_message(input).unwrap() {
            messages.push(message);
            input = &[];
        }
        messages
    }

    pub fn pass(&mut self, time: Duration) -> Result<(), SessionError> {
        self.now += time;
        self.session.handle_timeout(self.now)?;
        self.feed(&[])
    }
}

/// S0, S1, S2 in the original form.
pub fn handshake() -> Vec<u8> {
    let mut bytes = vec![0x11; 3073];
    bytes[0] = 3;
    bytes
}

/// Everything from the handshake to `NetStream.Play.Start`.
pub fn start_of_play() -> Vec<u8> {
    [handshake(), connected(), created(), status("status", "NetStream.Play.Start", "")].concat()
}

pub const PHASES_DONE: [SessionEvent; 3] = [
    SessionEvent::PhaseDone(Phase::Handshake),
    SessionEvent::PhaseDone(Phase::Connect),
    SessionEvent::PhaseDone(Phase::Play),
];

/// One message in chunks of 128 bytes.
pub fn message(csid: u8, timestamp: u32, type_id: u8, body: &[u8]) -> Vec<u8> {
    message_in_chunks(csid, timestamp, type_id, body, 128, true)
}

/// One message; type 3 chunks repeat an extended timestamp if `repeat`.
pub fn message_in_chunks(csid: u8, timestamp: u32, type_id: u8, body: &[u8], size: usize, repeat: bool) -> Vec<u8> {
    let mut bytes = vec![csid];
    let extended = timestamp >= 0xff_ffff;
    bytes.extend(&timestamp.min(0xff_ffff).to_be_bytes()[1..]);
    bytes.extend(&(body.len() as u32).to_be_bytes()[1..]);
    bytes.push(type_id);
    bytes.extend(1u32.to_le_bytes());
    if extended {
        bytes.extend(timestamp.to_be_bytes());
    }
    for (index, part) in body.chunks(size).enumerate() {
        if index > 0 {
            bytes.push(0xc0 | csid);
            if extended && repeat {
                bytes.extend(timestamp.to_be_bytes());
            }
        }
        bytes.extend(part);
    }
    bytes
}

/// A chunk with any header.
pub fn chunk(format: u8, csid: u8, fields: &[u8], body: &[u8]) -> Vec<u8> {
    [&[format << 6 | csid], fields, body].concat()
}

pub fn command(body: Writer) -> Vec<u8> {
    message(3, 0, 20, &body.finish())
}

pub fn info(body: Writer, level: &str, code: &str, description: &str) -> Writer {
    body.begin_object()
        .key("level")
        .text(level)
        .key("code")
        .text(code)
        .key("description")
        .text(description)
        .end_object()
}

pub fn status(level: &str, code: &str, description: &str) -> Vec<u8> {
    command(info(Writer::default().text("onStatus").number(0.0).null(), level, code, description))
}

/// The answer to `connect`.
pub fn connected() -> Vec<u8> {
    let body =
        Writer::default().text("_result").number(1.0).begin_object().key("fmsVer").text("FMS/3,0,1,123").end_object();
    command(info(body, "status", "NetConnection.Connect.Success", "Connection succeeded."))
}

/// The answer to `createStream`.
pub fn created() -> Vec<u8> {
    command(Writer::default().text("_result").number(2.0).null().number(1.0))
}

pub fn user_control(event: u16, argument: &[u8]) -> Vec<u8> {
    message(2, 0, 4, &[&event.to_be_bytes(), argument].concat())
}

/// A video frame whose body is `length` bytes of the same value.
pub fn video(timestamp: u32, length: usize) -> Vec<u8> {
    message(6, timestamp, 9, &vec![0x27; length])
}
