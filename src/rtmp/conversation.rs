//! What the server's commands mean at each stage of a session, and what is said next.

use std::sync::Arc;
use std::time::Instant;

use crate::model::report::Phase;

use super::chunk::Message;
use super::command::{Command, Info, Status, capabilities};
use super::error::{Refusal, SessionError, moved_target};
use super::introduction::{After, Introduction};
use super::message_type as kind;
use super::output::SessionEvent;
use super::session::{CONNECT, DEFAULT_WINDOW, PlaySession, Purpose, Stage};

const CREATE_STREAM: f64 = 2.0;
/// Of `play` or `publish`.
const PLAY: f64 = 3.0;
/// Of `FCSubscribe` or `FCPublish`.
const ANNOUNCE: f64 = 4.0;
const RELEASE: f64 = 5.0;

impl PlaySession {
    pub(super) fn handle_command(&mut self, now: Instant, message: Message) -> Result<(), SessionError> {
        let skip = self.amf3_prefix(message, kind::COMMAND_AMF3);
        let body = self.reader.head().get(skip..).unwrap_or_default();
        let Ok(command) = Command::parse(body) else { return Ok(()) };
        match command.name {
            b"_result" if self.is_answered_by(&command) && command.info.level != b"error" => {
                let number = command.number;
                if self.stage == Stage::Connect {
                    self.server_capabilities = capabilities(body).map(Arc::new);
                }
                self.go_on(now, number)
            }
            b"_error" | b"_result" if self.is_answered_by(&command) => {
                let (refusal, again) = self.refused_by(&command.info);
                self.again = again;
                Err(refusal)
            }
            b"onStatus" => {
                if command.info.ends_session() {
                    return Err(SessionError::refused(&command.info, &self.url));
                }
                match Status::of(command.info.code) {
                    Status::PublishStart if self.purpose == Purpose::Publish => self.accept_play(now),
                    Status::PlayStart if self.purpose == Purpose::Publish => {}
                    Status::PlayStart if self.stage == Stage::Playing => self.published(),
                    Status::PlayStart => self.accept_play(now),
                    Status::PublishNotify => self.published(),
                    Status::Ended(code) => self.unpublished(code),
                    Status::ReconnectRequest if self.moved_to.is_none() => {
                        self.moved_to = moved_target(command.info.tc_url, &self.url);
                        self.events.extend(self.moved_to.is_some().then_some(SessionEvent::Moved));
                    }
                    Status::ReconnectRequest | Status::PublishStart | Status::Other => {}
                }
                Ok(())
            }
            b"close" => Err(SessionError::Shutdown(Refusal::new(&command.info, &self.url))),
            _ => Ok(()),
        }
    }

    /// Whether a `_result` or `_error` is about the call that the present stage waits for.
    fn is_answered_by(&self, command: &Command<'_>) -> bool {
        let (waiting_for, gives_number) = match self.stage {
            Stage::Connect => (CONNECT, false),
            Stage::CreateStream => (CREATE_STREAM, true),
            Stage::Play => (PLAY, false),
            Stage::Handshake | Stage::Playing => return false,
        };
        // Some servers answer every call with transaction 0 (bluenviron/mediamtx#4630), also those that we do not wait for.
        let unnumbered = command.transaction == 0.0
            && !command.info.is_about_a_call()
            && (command.name == b"_error" || !gives_number || command.number.is_some());
        command.transaction == waiting_for || unnumbered
    }

    /// The call that the present stage waits for has failed: the session's end, and what may be accepted on another connection.
    fn refused_by(&self, info: &Info<'_>) -> (SessionError, Option<Introduction>) {
        let refusal = SessionError::refused(info, &self.url);
        if self.stage != Stage::Connect || matches!(refusal, SessionError::Redirect { .. }) {
            return (refusal, None);
        }
        match self.introduction.after(info, &self.url, self.random) {
            After::Again(introduction) => (refusal, Some(introduction)),
            After::Denied(why) => (SessionError::denied(info, &self.url, why), None),
            After::Final => (refusal, None),
        }
    }

    /// The present stage's call has succeeded.
    fn go_on(&mut self, now: Instant, number: Option<f64>) -> Result<(), SessionError> {
        match self.stage {
            Stage::Connect => {
                self.events.push_back(SessionEvent::PhaseDone(Phase::Connect));
                self.enter(Stage::CreateStream, now + self.timeouts.play);
                if self.announced_window.is_none() {
                    self.announced_window = Some(DEFAULT_WINDOW);
                    self.outbound.window_acknowledgement_size(DEFAULT_WINDOW)?;
                }
                // Nobody waits for the answers to what is announced: some servers never give one
                // (sergey-dryabzhinsky/nginx-rtmp-module#193), and some give an error (ossrs/srs#627).
                let key = Some(self.url.key()).filter(|key| !key.is_empty());
                // Encoders say them before there is a stream, and servers look for them there (HaishinKit/HaishinKit.swift#1391).
                if let (Purpose::Publish, Some(key)) = (self.purpose, key) {
                    self.outbound.announce("releaseStream", RELEASE, key)?;
                    self.outbound.announce("FCPublish", ANNOUNCE, key)?;
                }
                self.outbound.create_stream(CREATE_STREAM)?;
                match (self.purpose, key) {
                    (Purpose::Play, Some(key)) => self.outbound.announce("FCSubscribe", ANNOUNCE, key),
                    _ => Ok(()),
                }
            }
            Stage::CreateStream => {
                let id = number.filter(|id| (0.0..=f64::from(u32::MAX)).contains(id)).ok_or(SessionError::Answer)?;
                // The phase's time runs on from createStream.
                self.stage = Stage::Play;
                self.stream_id = id as u32;
                match self.purpose {
                    Purpose::Play => self.outbound.play(PLAY, self.stream_id, self.url.key())?,
                    Purpose::Publish => self.outbound.publish(PLAY, self.stream_id, self.url.key())?,
                }
                self.answered_ping = false;
                self.send_ping(now);
                Ok(())
            }
            Stage::Handshake | Stage::Play | Stage::Playing => Ok(()),
        }
    }
}
