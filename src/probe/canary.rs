//! Whether an RTMP server relays: a tiny stream is published to it and played back.
//!
//! What answers TCP, and even takes a publication, may still pass nothing on. One look:
//!
//! 1. listen at the place for a moment: where somebody publishes, nothing is published over it;
//! 2. publish, and go on sending;
//! 3. play it back until a frame of this very run arrives.

use std::time::{Duration, Instant};

use super::check::{BoxFuture, Checker, Look, LookError};
use super::dialogue::{Dialogue, End};
use super::environment::ProbeEnvironment;
use crate::media::canary::{CanaryFrame, FRAME, is_sound, sequence_header};
use crate::model::address::Address;
use crate::model::report::Phase;
use crate::model::spec::PhaseTimeouts;
use crate::model::target::CanaryCheck;
use crate::model::target_report::{CheckPhase, Facts};
use crate::model::{DownCause, PacketKind, StreamUrl};
use crate::rtmp::amf::Writer;
use crate::rtmp::{Introduction, Output, PlayConfig, PlaySession, SessionError};

/// How long is listened for somebody else before anything is published: servers send what they have to a new player at once.
const LISTEN: Duration = Duration::from_millis(500);
/// A server may not give out at once what it has just accepted.
const PLAY_AGAIN: Duration = Duration::from_millis(250);
/// Before the look is cut off, to say what was wrong last.
const MARGIN: Duration = Duration::from_millis(100);
/// Connections until one is accepted: authentication takes three.
const INTRODUCTIONS: usize = 3;

/// Publishes and plays back, every look anew.
#[derive(Debug)]
pub struct CanaryChecker {
    check: CanaryCheck,
}

/// What a session is begun for.
type Begin = fn(Instant, PlayConfig, Instant) -> Result<PlaySession, SessionError>;

impl CanaryChecker {
    pub fn new(check: &CanaryCheck) -> Self {
        Self { check: check.clone() }
    }

    async fn fly(&self, look: &mut Look<'_>) -> Result<Facts, LookError> {
        self.keep_off(look).await?;
        let (mut publisher, accepted) = self.connect(look, &self.check.url, PlaySession::publishing).await?;
        let published = async {
            accepted?;
            publisher.until_done(Phase::Play).await
        };
        look.timed(CheckPhase::Publish, published).await.map_err(|end| failed("the publication is refused", &end))?;
        let mut song = Song::new(fastrand::u64(..));
        let relayed = self.relay(look.env, look.deadline, &mut publisher, &mut song);
        let delay = look.timed(CheckPhase::Relay, relayed).await?;
        Ok(Facts::Canary { delay })
    }

    /// Fails, with nothing said about the server, if somebody publishes at the place.
    async fn keep_off(&self, look: &mut Look<'_>) -> Result<(), LookError> {
        let (mut player, accepted) = self.connect(look, &self.check.play, PlaySession::new).await?;
        let heard = async {
            accepted?;
            player.until(is_media).await
        };
        match tokio::time::timeout(LISTEN, heard).await {
            Ok(Ok(())) => {
                Err(LookError::hindered("somebody publishes under this name, so nothing is published over it"))
            }
            // Silence, or the server's word that there is nothing.
            Ok(Err(_)) | Err(_) => Ok(()),
        }
    }

    /// Sends frames until one of them comes back. Gives how long that took it.
    async fn relay(
        &self,
        env: &ProbeEnvironment,
        deadline: Instant,
        publisher: &mut Dialogue,
        song: &mut Song,
    ) -> Result<Duration, LookError> {
        let mut last = None;
        let id = song.id;
        let number = tokio::select! {
            biased;
            number = self.play_back(env, deadline, id, &mut last) => number,
            end = song.sing(env, publisher) => return Err(failed("the publication is ended", &end)),
            () = env.sleep_until(deadline - MARGIN) => {
                let why = last.map_or_else(String::new, |why| format!(": {why}"));
                let detail = format!("what is published is not played back{why}");
                return Err(LookError::fault(DownCause::CanaryFailed, detail));
            }
        };
        let sent = song.sent.get(number as usize).copied().unwrap_or(deadline);
        Ok(env.clock.now().saturating_duration_since(sent))
    }

    /// Plays until a frame of the run `id` comes. Gives its number.
    async fn play_back(&self, env: &ProbeEnvironment, deadline: Instant, id: u64, last: &mut Option<String>) -> u32 {
        loop {
            // Its steps are part of one of the look's own.
            let mut look = Look::new(env, deadline);
            let why = match self.connect(&mut look, &self.check.play, PlaySession::new).await {
                Err(LookError::Fault { detail, .. } | LookError::Blind { detail, .. }) => detail,
                Ok((_, Err(end))) => end.to_string(),
                Ok((mut player, Ok(()))) => {
                    let mut number = None;
                    let heard = player.until(|output| {
                        number = frame(output).filter(|frame| frame.id == id).map(|frame| frame.number);
                        number.is_some()
                    });
                    match (heard.await, number) {
                        (Ok(()), Some(number)) => return number,
                        (Ok(()), None) => String::new(),
                        (Err(end), _) => end.to_string(),
                    }
                }
            };
            *last = Some(why);
            tokio::time::sleep(PLAY_AGAIN).await;
        }
    }

    /// A session at `url` whose `connect` was accepted, or, beside it, what came in place of that. A server that cannot be talked to at
    /// all is a fault of another kind.
    async fn connect(
        &self,
        look: &mut Look<'_>,
        url: &StreamUrl,
        begin: Begin,
    ) -> Result<(Dialogue, Result<(), End>), LookError> {
        let address = Address { host: url.host().clone(), port: url.port() };
        let mut introduction = Introduction::default();
        for _ in 1..INTRODUCTIONS {
            let (mut dialogue, accepted) = self.attempt(look, url, &address, begin, introduction).await?;
            match dialogue.session.next_introduction() {
                Some(next) if accepted.is_err() => introduction = next,
                _ => return Ok((dialogue, accepted)),
            }
        }
        self.attempt(look, url, &address, begin, introduction).await
    }

    async fn attempt(
        &self,
        look: &mut Look<'_>,
        url: &StreamUrl,
        address: &Address,
        begin: Begin,
        introduction: Introduction,
    ) -> Result<(Dialogue, Result<(), End>), LookError> {
        let socket = look.open(address, url.is_secure().then_some(&self.check.tls)).await?;
        // The look has the only deadline, so the session's own are never asked.
        let timeouts = PhaseTimeouts::default();
        let config = PlayConfig { url: url.clone(), timeouts, introduction, random: fastrand::u32(..) };
        let session = begin(look.env.clock.now(), config, look.deadline);
        let session = session.map_err(|e| LookError::hindered(e.to_string()))?;
        let mut dialogue = Dialogue::new(look.env.clock.clone(), socket, session);
        let shaken = look.timed(CheckPhase::Handshake, dialogue.until_done(Phase::Handshake)).await;
        shaken.map_err(|end| LookError::fault(end.cause(), format!("{address}: {end}")))?;
        let accepted = look.timed(CheckPhase::Connect, dialogue.until_done(Phase::Connect)).await;
        Ok((dialogue, accepted))
    }
}

impl Checker for CanaryChecker {
    fn look<'a>(&'a mut self, look: &'a mut Look<'_>) -> BoxFuture<'a, Result<Facts, LookError>> {
        Box::pin(self.fly(look))
    }

    /// Whatever asks for haste, a server gets no more publications than are configured.
    fn rest(&self) -> Duration {
        LEAST_REST
    }
}

/// From the start of one publication to the next, also when a look failed and is repeated.
const LEAST_REST: Duration = Duration::from_secs(1);

fn failed(what: &str, end: &End) -> LookError {
    LookError::fault(DownCause::CanaryFailed, format!("{what}: {end}"))
}

fn is_media(output: &Output<'_>) -> bool {
    match output {
        Output::Media(packet) => match packet.kind {
            PacketKind::Audio => is_sound(packet.head),
            PacketKind::Video => packet.length > 0,
            PacketKind::Data => false,
        },
        Output::Event(_) => false,
    }
}

fn frame(output: &Output<'_>) -> Option<CanaryFrame> {
    match output {
        Output::Media(packet) if packet.kind == PacketKind::Audio => CanaryFrame::parse(packet.head),
        _ => None,
    }
}

/// What is published in one run.
struct Song {
    id: u64,
    /// When each frame was.
    sent: Vec<Instant>,
}

impl Song {
    fn new(id: u64) -> Self {
        Self { id, sent: Vec::new() }
    }

    /// Sends it until the session ends.
    async fn sing(&mut self, env: &ProbeEnvironment, publisher: &mut Dialogue) -> End {
        match self.sing_on(env, publisher).await {
            Ok(never) => match never {},
            Err(end) => end,
        }
    }

    async fn sing_on(
        &mut self,
        env: &ProbeEnvironment,
        publisher: &mut Dialogue,
    ) -> Result<std::convert::Infallible, End> {
        publisher.session.send_media(PacketKind::Data, 0, metadata())?;
        publisher.session.send_media(PacketKind::Audio, 0, sequence_header())?;
        let start = env.clock.now();
        loop {
            let number = self.sent.len() as u32;
            let frame = CanaryFrame { id: self.id, number };
            self.sent.push(env.clock.now());
            publisher.session.send_media(PacketKind::Audio, frame.timestamp(), frame.body())?;
            tokio::select! {
                ended = publisher.until(|_| false) => ended?,
                () = env.sleep_until(start + FRAME * (number + 1)) => {}
            }
        }
    }
}

/// What servers read to know that no video will come.
fn metadata() -> Vec<u8> {
    let body = Writer::default().text("@setDataFrame").text("onMetaData").begin_map(4);
    let body = body.key("audiocodecid").number(10.0).key("audiosamplerate").number(8000.0);
    body.key("stereo").boolean(false).key("encoder").text("rtmp-hmonitor canary").end_object().finish()
}
