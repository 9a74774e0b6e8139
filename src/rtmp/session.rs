//! The session's course: handshake, connect, createStream, play or publish, media.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use rml_rtmp::handshake::{Handshake, HandshakeProcessResult, PeerType};

use crate::model::capabilities::ServerCapabilities;
use crate::model::report::Phase;
use crate::model::spec::PhaseTimeouts;
use crate::model::{MediaPacket, PacketKind, StreamUrl};

use super::body::Keep;
use super::chunk::{ChunkReader, Message};
use super::command::Command;
use super::error::SessionError;
use super::introduction::Introduction;
use super::message_type as kind;
use super::outbound::Outbound;
use super::output::{Output, SessionEvent, UnpublishCode};

/// S0, S1 and S2 (RTMP 1.0, 5.2).
const HANDSHAKE_BYTES: usize = 1 + 1536 + 1536;
const VERSION: u8 = 3;

/// Transaction of `connect`.
pub(super) const CONNECT: f64 = 1.0;

/// Acknowledgement window until the server names its own (FFmpeg's and librtmp's order of magnitude).
pub(super) const DEFAULT_WINDOW: u32 = 2_500_000;

/// What a session needs to know.
#[derive(Debug, Clone)]
pub struct PlayConfig {
    pub url: StreamUrl,
    pub timeouts: PhaseTimeouts,
    /// The default one, or what [`PlaySession::next_introduction`] said after the connection before.
    pub introduction: Introduction,
    /// Our part of the answer to an authentication's challenge; another one each time.
    pub random: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Handshake,
    Connect,
    CreateStream,
    Play,
    Playing,
}

/// What the session is for. The course is the same: [`Stage::Play`] waits for the publication to be accepted just as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    Play,
    Publish,
}

/// What the server has said about the publication.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Publication {
    Unmentioned,
    Announced,
    Ended,
}

/// One RTMP connection that plays one stream, or [publishes](Self::publishing) one. Sans-IO:
///
/// - bytes from the transport go to [`advance`](Self::advance), again and again until it gives `Ok(None)`;
/// - bytes of [`transmit`](Self::transmit) go to the transport after every call that may have added some;
/// - at [`poll_timeout`](Self::poll_timeout) call [`handle_timeout`](Self::handle_timeout), then `advance` with empty input for what it may say.
///
/// An error ends the session: drop it. What was given before the error counts.
pub struct PlaySession {
    pub(super) purpose: Purpose,
    pub(super) url: StreamUrl,
    pub(super) timeouts: PhaseTimeouts,
    pub(super) introduction: Introduction,
    pub(super) random: u32,
    /// How another connection may be accepted where this one was not.
    pub(super) again: Option<Introduction>,
    /// Where the server wants us to reconnect to.
    pub(super) moved_to: Option<StreamUrl>,
    pub(super) server_capabilities: Option<Arc<ServerCapabilities>>,
    started: Instant,
    total_deadline: Instant,
    /// Of the present stage; of the first media while playing.
    deadline: Option<Instant>,
    pub(super) stage: Stage,
    /// The message stream that the server has made for us.
    pub(super) stream_id: u32,
    /// Boxed and dropped when done: it takes 3 KiB.
    handshake: Option<Box<Handshake>>,
    pub(super) reader: ChunkReader,
    pub(super) outbound: Outbound,
    pub(super) events: VecDeque<SessionEvent>,
    /// Media that waits for the events in front of it; its head is in `reader`.
    ready: Option<Media>,
    pub(super) publication: Publication,
    media_seen: bool,
    no_media_reported: bool,
    ping: Option<Instant>,
    /// Whether the origin has shown since `play` that it is alive.
    pub(super) answered_ping: bool,
    received: u64,
    /// Of `received`, what belongs to the handshake.
    handshake_received: usize,
    acknowledged: u64,
    window: u32,
    pub(super) announced_window: Option<u32>,
}

#[derive(Debug, Clone, Copy)]
struct Media {
    kind: PacketKind,
    timestamp: u32,
    length: u32,
    /// Bytes in front of the body: AMF3 data messages have one.
    skip: usize,
}

impl PlaySession {
    /// Starts a session on a transport that is connected. `total_deadline` bounds everything until play is accepted, each phase has its own
    /// bound besides.
    pub fn new(now: Instant, config: PlayConfig, total_deadline: Instant) -> Result<Self, SessionError> {
        Self::start(Purpose::Play, now, config, total_deadline)
    }

    /// The same, to publish: [`Phase::Play`] is done when the server has accepted the publication. Then give it media with
    /// [`Self::send_media`].
    pub fn publishing(now: Instant, config: PlayConfig, total_deadline: Instant) -> Result<Self, SessionError> {
        Self::start(Purpose::Publish, now, config, total_deadline)
    }

    fn start(
        purpose: Purpose,
        now: Instant,
        config: PlayConfig,
        total_deadline: Instant,
    ) -> Result<Self, SessionError> {
        let mut handshake = Box::new(Handshake::new(PeerType::Client));
        let first = handshake.generate_outbound_p0_and_p1().map_err(|_| SessionError::Unsendable)?;
        Ok(Self {
            deadline: Some(now + config.timeouts.handshake),
            purpose,
            url: config.url,
            timeouts: config.timeouts,
            introduction: config.introduction,
            random: config.random,
            again: None,
            moved_to: None,
            server_capabilities: None,
            started: now,
            total_deadline,
            stage: Stage::Handshake,
            stream_id: 0,
            handshake: Some(handshake),
            reader: ChunkReader::new(Keep::Heads),
            outbound: Outbound::new(first),
            events: VecDeque::new(),
            ready: None,
            publication: Publication::Unmentioned,
            media_seen: false,
            no_media_reported: false,
            ping: None,
            answered_ping: false,
            received: 0,
            handshake_received: 0,
            acknowledged: 0,
            window: DEFAULT_WINDOW,
            announced_window: None,
        })
    }

    /// Consumes from the front of `input` until one output is ready, or until the input is used up and nothing is left to say (`None`).
    pub fn advance(&mut self, now: Instant, input: &mut &[u8]) -> Result<Option<Output<'_>>, SessionError> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Ok(Some(Output::Event(event)));
            }
            if let Some(media) = self.ready.take() {
                let head = self.reader.head().get(media.skip..).unwrap_or_default();
                let Media { kind, timestamp, length, .. } = media;
                return Ok(Some(Output::Media(MediaPacket { kind, timestamp, length, head })));
            }
            let before = input.len();
            let message = if self.stage == Stage::Handshake {
                self.shake_hands(now, input).map(|()| None)
            } else {
                self.reader.read(input).map_err(SessionError::from)
            };
            self.received += (before - input.len()) as u64;
            match message? {
                Some(message) => self.handle_message(now, message)?,
                None if input.is_empty() && self.events.is_empty() => {
                    self.acknowledge()?;
                    return Ok(None);
                }
                None => {}
            }
            self.acknowledge()?;
        }
    }

    /// Gives audio and video messages of up to this many bytes whole from the next one on, for as long as it is set; else heads.
    pub fn keep_bodies(&mut self, most: Option<u32>) {
        self.reader.set_keep(most.map_or(Keep::Heads, Keep::Media));
    }

    /// The phase under way.
    pub fn phase(&self) -> Phase {
        match self.stage {
            Stage::Handshake => Phase::Handshake,
            Stage::Connect => Phase::Connect,
            Stage::CreateStream | Stage::Play => Phase::Play,
            Stage::Playing => Phase::FirstMedia,
        }
    }

    /// Bytes that wait to be sent, never more than 16 KiB.
    pub fn transmit(&self) -> &[u8] {
        self.outbound.waiting()
    }

    /// The first `count` bytes of [`PlaySession::transmit`] have been sent.
    pub fn transmitted(&mut self, count: usize) {
        self.outbound.sent(count);
    }

    /// When [`PlaySession::handle_timeout`] is due next.
    pub fn poll_timeout(&self) -> Option<Instant> {
        match self.stage {
            Stage::Playing => self.deadline,
            _ => self.deadline.map(|deadline| deadline.min(self.total_deadline)),
        }
    }

    /// Tells that time has passed. Ends the session when a phase has taken too long. Missing media does not: see
    /// [`SessionEvent::NoMedia`].
    pub fn handle_timeout(&mut self, now: Instant) -> Result<(), SessionError> {
        if self.poll_timeout().is_none_or(|due| now < due) {
            return Ok(());
        }
        let phase = match self.stage {
            Stage::Handshake => Phase::Handshake,
            Stage::Connect => Phase::Connect,
            Stage::CreateStream => Phase::Play,
            Stage::Play if !self.answered_ping => Phase::Play,
            Stage::Play | Stage::Playing => {
                self.deadline = None;
                if !self.no_media_reported {
                    self.no_media_reported = true;
                    self.events.push_back(SessionEvent::NoMedia);
                }
                return Ok(());
            }
        };
        Err(SessionError::Timeout(phase))
    }

    /// Asks the origin for a sign of life. Takes the place of an earlier ping that is unanswered. Does nothing before `connect` is
    /// answered.
    pub fn send_ping(&mut self, now: Instant) {
        let connected = !matches!(self.stage, Stage::Handshake | Stage::Connect);
        let timestamp = now.saturating_duration_since(self.started).as_millis() as u32;
        if connected && self.outbound.ping_request(timestamp).is_ok() {
            self.ping = Some(now);
        }
    }

    /// Sends one message of what is published, whole and at once: `body` as in an FLV tag, for data an AMF0 body. Does nothing before the
    /// publication is accepted. An error says that the server does not read.
    pub fn send_media(&mut self, kind: PacketKind, timestamp: u32, body: Vec<u8>) -> Result<(), SessionError> {
        let type_id = match kind {
            PacketKind::Audio => kind::AUDIO,
            PacketKind::Video => kind::VIDEO,
            PacketKind::Data => kind::DATA,
        };
        match (self.purpose, self.stage) {
            (Purpose::Publish, Stage::Playing) => self.outbound.timed_message(type_id, self.stream_id, timestamp, body),
            _ => Ok(()),
        }
    }

    /// When the ping was sent that is not yet answered.
    pub fn ping_outstanding(&self) -> Option<Instant> {
        self.ping
    }

    /// Bytes taken from the transport, handshake included.
    pub fn received_bytes(&self) -> u64 {
        self.received
    }

    /// After the end: how to present us on another connection to the same URL, when that may be accepted where this one was not.
    pub fn next_introduction(&mut self) -> Option<Introduction> {
        self.again.take()
    }

    /// Where to play on after [`SessionEvent::Moved`].
    pub fn moved_to(&self) -> Option<&StreamUrl> {
        self.moved_to.as_ref()
    }

    /// What the server has said in its answer to `connect` that it can do, if it has: known once [`Phase::Connect`] is done.
    pub fn server_capabilities(&self) -> Option<&Arc<ServerCapabilities>> {
        self.server_capabilities.as_ref()
    }

    /// The transport has ended: what that means now.
    pub fn handle_eof(&mut self) -> SessionError {
        if self.stage == Stage::Connect {
            // Servers that cannot read what capabilities are written with close without a word (bluenviron/mediamtx#3188).
            self.again = self.introduction.without_capabilities();
        }
        SessionError::Closed(match self.stage {
            Stage::Handshake => Some(Phase::Handshake),
            Stage::Connect => Some(Phase::Connect),
            Stage::CreateStream | Stage::Play => Some(Phase::Play),
            Stage::Playing if !self.media_seen => Some(Phase::FirstMedia),
            Stage::Playing => None,
        })
    }

    fn shake_hands(&mut self, now: Instant, input: &mut &[u8]) -> Result<(), SessionError> {
        let Some(handshake) = &mut self.handshake else { return Err(SessionError::Handshake) };
        if self.handshake_received == 0 && input.first().is_some_and(|version| *version != VERSION) {
            return Err(SessionError::Handshake);
        }
        // It never sees a byte beyond its own.
        let (now_read, rest) = input.split_at(input.len().min(HANDSHAKE_BYTES - self.handshake_received));
        *input = rest;
        self.handshake_received += now_read.len();
        let (answer, done) = match handshake.process_bytes(now_read).map_err(|_| SessionError::Handshake)? {
            HandshakeProcessResult::InProgress { response_bytes } => (response_bytes, false),
            HandshakeProcessResult::Completed { response_bytes, .. } => (response_bytes, true),
        };
        self.outbound.raw(&answer)?;
        if done {
            self.handshake = None;
            self.enter(Stage::Connect, now + self.timeouts.connect);
            self.events.push_back(SessionEvent::PhaseDone(Phase::Handshake));
            self.outbound.command(0, self.introduction.connect(CONNECT, &self.url))?;
        } else if self.handshake_received == HANDSHAKE_BYTES {
            return Err(SessionError::Handshake);
        }
        Ok(())
    }

    pub(super) fn enter(&mut self, stage: Stage, deadline: Instant) {
        self.stage = stage;
        self.deadline = Some(deadline);
    }

    fn handle_message(&mut self, now: Instant, message: Message) -> Result<(), SessionError> {
        match message.type_id {
            kind::AUDIO => self.handle_media(now, PacketKind::Audio, message),
            kind::VIDEO => self.handle_media(now, PacketKind::Video, message),
            kind::DATA | kind::DATA_AMF3 => self.handle_data(message),
            kind::COMMAND | kind::COMMAND_AMF3 => return self.handle_command(now, message),
            kind::USER_CONTROL => return self.handle_user_control(now),
            kind::WINDOW_ACKNOWLEDGEMENT_SIZE => {
                if let Some(size) = self.argument() {
                    self.window = size;
                }
            }
            kind::SET_PEER_BANDWIDTH => {
                // Answered with our own window if that is new to the server (RTMP 1.0, 5.4.5).
                if let Some(size) = self.argument().filter(|size| *size > 0 && self.announced_window != Some(*size)) {
                    self.announced_window = Some(size);
                    self.outbound.window_acknowledgement_size(size)?;
                }
            }
            // Acknowledgements, shared objects and what is not known: nothing to do.
            _ => {}
        }
        Ok(())
    }

    fn argument(&self) -> Option<u32> {
        self.reader.head().first_chunk::<4>().map(|bytes| u32::from_be_bytes(*bytes))
    }

    /// Acknowledges the total of bytes (since the handshake) at every half of the server's window, so that it never waits for us.
    fn acknowledge(&mut self) -> Result<(), SessionError> {
        let total = self.received.saturating_sub(self.handshake_received as u64);
        let due = u64::from(self.window / 2).max(1);
        if self.window > 0 && total - self.acknowledged >= due && !self.outbound.is_crowded() {
            self.acknowledged = total;
            // The field wraps with the 32 bits it has.
            self.outbound.acknowledgement(total as u32)?;
        }
        Ok(())
    }
    /// Length of the zero that stands in front of the AMF0 values of an AMF3 message.
    pub(super) fn amf3_prefix(&self, message: Message, amf3: u8) -> usize {
        usize::from(message.type_id == amf3 && self.reader.head().first() == Some(&0))
    }

    fn handle_media(&mut self, now: Instant, kind: PacketKind, message: Message) {
        // Media can only belong to a play: before one it has no meaning.
        if !matches!(self.stage, Stage::Play | Stage::Playing) {
            return;
        }
        if message.length > 0 {
            self.accept_play(now);
            self.media_seen = true;
            self.deadline = None;
            if self.publication == Publication::Ended {
                self.publication = Publication::Unmentioned;
            }
        }
        self.ready = Some(Media { kind, timestamp: message.timestamp, length: message.length, skip: 0 });
    }

    fn handle_data(&mut self, message: Message) {
        let skip = self.amf3_prefix(message, kind::DATA_AMF3);
        let body = self.reader.head().get(skip..).unwrap_or_default();
        // Data that cannot be read is handed on as it is: framing is intact.
        let command = Command::parse_data(body).unwrap_or_default();
        if command.name == b"onPlayStatus" {
            if command.info.code == b"NetStream.Play.Complete" {
                self.unpublished(UnpublishCode::PlayComplete);
            }
        } else if matches!(self.stage, Stage::Play | Stage::Playing) {
            let length = message.length.saturating_sub(skip as u32);
            self.ready = Some(Media { kind: PacketKind::Data, timestamp: message.timestamp, length, skip });
        }
    }

    pub(super) fn accept_play(&mut self, now: Instant) {
        if self.stage == Stage::Play {
            self.enter(Stage::Playing, now + self.timeouts.first_media);
            self.events.push_back(SessionEvent::PhaseDone(Phase::Play));
        }
    }

    pub(super) fn published(&mut self) {
        if self.publication != Publication::Announced {
            self.publication = Publication::Announced;
            self.events.push_back(SessionEvent::Published);
        }
    }

    pub(super) fn unpublished(&mut self, code: UnpublishCode) {
        if self.stage == Stage::Playing && self.publication != Publication::Ended {
            self.publication = Publication::Ended;
            self.events.push_back(SessionEvent::Unpublished { code });
        }
    }

    fn handle_user_control(&mut self, now: Instant) -> Result<(), SessionError> {
        let [e0, e1, ref argument @ ..] = *self.reader.head() else { return Ok(()) };
        let argument = argument.first_chunk::<4>().map(|bytes| u32::from_be_bytes(*bytes));
        match (u16::from_be_bytes([e0, e1]), argument) {
            // StreamBegin: with the play's answer it means no more than that answer.
            (0, _) if self.publication == Publication::Ended => self.published(),
            (1, _) => self.unpublished(UnpublishCode::StreamEof),
            (2, _) if self.stage == Stage::Playing => self.events.push_back(SessionEvent::Dry),
            (6, Some(timestamp)) => self.outbound.ping_response(timestamp)?,
            (7, _) => {
                if let Some(sent) = self.ping.take() {
                    self.answered_ping = true;
                    self.events.push_back(SessionEvent::Pong { rtt: now.saturating_duration_since(sent) });
                }
            }
            _ => {}
        }
        Ok(())
    }
}

impl fmt::Debug for PlaySession {
    /// Buffers hold the stream key: they are not shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PlaySession").field("url", &self.url).field("stage", &self.stage).finish_non_exhaustive()
    }
}
