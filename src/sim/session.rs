//! One player's or publisher's connection, from the handshake to the end (RTMP 1.0, sections 5.2 and 5.4). What commands are answered:
//! `commands`.

use std::io::{self, IoSlice};
use std::sync::Arc;
use std::time::Duration;

use rml_rtmp::handshake::{Handshake, HandshakeProcessResult, PeerType};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use super::camera::Camera;
use super::connection::Connection;
use super::fault::Fault;
use super::message::{self, event, kind};
use super::origin::Origin;
use super::relay::Guest;
use crate::rtmp::{ChunkError, ChunkReader, Keep};

/// Time for everything up to `play`; sits above any client's own patience.
const SETUP: Duration = Duration::from_secs(60);
/// Time a refused player has to close its side.
const LINGER: Duration = Duration::from_secs(5);
/// RTMP 1.0, section 5.2: version byte and the fixed-size part; a first message may follow closely.
const READ_BUFFER: usize = 4096;
/// Longest message of a player, in bytes.
const MAX_MESSAGE: u32 = 64 * 1024;
/// Longest message of a publisher: a keyframe of any camera.
pub(super) const MAX_MEDIA: u32 = 4 * 1024 * 1024;
/// A publisher that says nothing for so long is gone, and its name free (nginx-rtmp's `ping_timeout`).
const PUBLISHER_SILENCE: Duration = Duration::from_secs(30);

/// Why a session ended. The reason is for the debug log only: what the peer sent is never part of it.
#[derive(Debug, thiserror::Error)]
pub(super) enum End {
    #[error("the player left")]
    Left,
    #[error("the connection broke: {0}")]
    Io(#[from] io::Error),
    #[error("the handshake is none")]
    Handshake,
    #[error(transparent)]
    Protocol(#[from] ChunkError),
    #[error("no play or publish request in time")]
    Setup,
    #[error("the publisher fell silent")]
    Silent,
    #[error("the player was refused")]
    Refused,
}

/// What a connection is for.
#[derive(Debug)]
pub(super) enum Role<'a> {
    Undecided,
    Camera(&'a Camera),
    /// Plays what is published, or will be.
    Listener(#[expect(dead_code, reason = "leaves when dropped")] Guest<'a>),
    Publisher(Guest<'a>),
}

pub(super) struct Session<'a> {
    pub(super) origin: &'a Origin,
    pub(super) connection: &'a Arc<Connection>,
    pub(super) reader: ChunkReader,
    pub(super) app: String,
    pub(super) tc_url: String,
    /// `FCSubscribe` was sent.
    pub(super) subscribed: bool,
    /// A message stream has been made.
    pub(super) created: bool,
    /// Before that, `releaseStream` and `FCPublish` have come.
    pub(super) announced: [bool; 2],
    pub(super) role: Role<'a>,
    /// Asked for while it hung: answered when it runs again.
    pub(super) waiting: Option<&'a Camera>,
    received: u64,
    acknowledged: u64,
    window: u64,
    /// A fault made the origin deaf on this connection.
    pub(super) mute: bool,
}

/// Serves one connection until it ends.
pub(super) async fn run(origin: &Origin, connection: &Arc<Connection>) {
    let mut session = Session {
        origin,
        connection,
        reader: ChunkReader::new(Keep::Whole(MAX_MESSAGE)),
        app: String::new(),
        tc_url: String::new(),
        subscribed: false,
        created: false,
        announced: [false; 2],
        role: Role::Undecided,
        waiting: None,
        received: 0,
        acknowledged: 0,
        window: u64::MAX,
        mute: false,
    };
    let end = tokio::select! {
        end = session.serve_politely() => end.err(),
        () = connection.disconnected() => None,
    };
    if let Some(end) = end {
        tracing::debug!(%end, "simulated origin: a session ended");
    }
}

/// Also when a session is aborted: a camera never keeps a player that nobody serves.
impl Drop for Session<'_> {
    fn drop(&mut self) {
        if let Some(camera) = self.camera() {
            camera.leave(self.connection);
        }
    }
}

impl<'a> Session<'a> {
    async fn serve_politely(&mut self) -> Result<(), End> {
        let end = self.serve().await;
        if let Err(End::Refused) = end {
            self.connection.finish();
            // Closing with bytes unread would turn the FIN into a RST, which may overtake the last word.
            let mut buffer = [0; READ_BUFFER];
            let _ = timeout(LINGER, async { while matches!(self.read(&mut buffer).await, Ok(1..)) {} }).await;
        }
        end
    }

    async fn serve(&mut self) -> Result<(), End> {
        let first = timeout(SETUP, self.handshake()).await.map_err(|_| End::Setup)??;
        self.take(&first).await?;
        let pings = self.origin.manners.ping_interval;
        let mut ping = interval(pings.unwrap_or(SETUP).max(Duration::from_millis(10)));
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ping.reset();
        let setup = Instant::now() + SETUP;
        let mut heard = Instant::now();
        let mut buffer = vec![0; READ_BUFFER];
        loop {
            let decided = !matches!(self.role, Role::Undecided);
            let publishes = matches!(self.role, Role::Publisher(_));
            tokio::select! {
                read = self.read(&mut buffer) => {
                    let n = read?;
                    if n == 0 {
                        return Err(End::Left);
                    }
                    heard = Instant::now();
                    self.acknowledge(n as u64);
                    self.take(buffer.get(..n).unwrap_or_default()).await?;
                }
                _ = ping.tick(), if pings.is_some() && decided => self.ping(),
                flushed = self.connection.keep_flushing(), if matches!(self.role, Role::Listener(_)) => flushed?,
                () = tokio::time::sleep_until(heard + PUBLISHER_SILENCE), if publishes && !self.hung() => {
                    return Err(End::Silent);
                }
                () = tokio::time::sleep_until(setup), if !decided && !self.mute => return Err(End::Setup),
            }
        }
    }

    /// Obeys what these bytes complete.
    async fn take(&mut self, mut bytes: &[u8]) -> Result<(), End> {
        while let Some(message) = self.reader.read(&mut bytes)? {
            let body = self.reader.take_head();
            // A tag of an aggregate may be longer than anything is kept of.
            if body.len() == message.length as usize {
                self.handle(message.type_id, message.timestamp, &body)?;
            }
            if let Some(camera) = self.waiting {
                self.not_hung().await;
                self.waiting = None;
                self.join(camera);
            }
        }
        Ok(())
    }

    /// Gives the bytes that came behind the handshake.
    async fn handshake(&mut self) -> Result<Vec<u8>, End> {
        let mut handshake = Handshake::new(PeerType::Server);
        let mut buffer = [0; READ_BUFFER];
        loop {
            let n = self.read(&mut buffer).await?;
            if n == 0 {
                return Err(End::Left);
            }
            if self.origin.fault() == Fault::AcceptSilent {
                continue;
            }
            let bytes = buffer.get(..n).unwrap_or_default();
            match handshake.process_bytes(bytes).map_err(|_| End::Handshake)? {
                HandshakeProcessResult::InProgress { response_bytes } => self.send(&response_bytes),
                HandshakeProcessResult::Completed { response_bytes, remaining_bytes } => {
                    self.send(&response_bytes);
                    return Ok(remaining_bytes);
                }
            }
        }
    }

    /// Reads some bytes; 0 at the end. While the origin hangs they stay in the kernel.
    async fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            self.not_hung().await;
            match self.connection.try_read(buffer) {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => self.connection.readable().await?,
                done => return done,
            }
        }
    }

    pub(super) fn send(&self, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.connection.send(&[IoSlice::new(bytes)]);
        }
    }

    fn hung(&self) -> bool {
        self.origin.fault() == Fault::Hang
            || self.camera().or(self.waiting).is_some_and(|c| c.lock().fault == Fault::Hang)
    }

    async fn not_hung(&self) {
        let mut watch = self.origin.watch();
        while self.hung() {
            if watch.changed().await.is_err() {
                return;
            }
        }
    }

    pub(super) fn camera(&self) -> Option<&'a Camera> {
        if let Role::Camera(camera) = self.role { Some(camera) } else { None }
    }

    fn acknowledge(&mut self, read: u64) {
        self.received += read;
        if self.received - self.acknowledged >= self.window {
            self.acknowledged = self.received;
            let mut out = Vec::new();
            // The sequence number wraps (RTMP 1.0, section 5.4.3).
            message::write_control(&mut out, kind::ACKNOWLEDGEMENT, self.received as u32);
            self.send(&out);
        }
    }

    fn ping(&self) {
        if self.mute || self.hung() {
            return;
        }
        if let Some(camera) = self.camera() {
            camera.lock().stats.pings_sent += 1;
        }
        let mut out = Vec::new();
        message::write_event(&mut out, event::PING_REQUEST, (self.origin.now() / 1000) as u32);
        self.send(&out);
    }

    fn handle(&mut self, type_id: u8, timestamp: u32, body: &[u8]) -> Result<(), End> {
        if self.mute || self.origin.fault() == Fault::HandshakeThenSilent {
            self.mute = true;
            return Ok(());
        }
        match type_id {
            kind::COMMAND => self.command(body),
            // One format byte, then AMF0 all the same.
            kind::COMMAND_AMF3 => self.command(body.get(1..).unwrap_or_default()),
            kind::USER_CONTROL => {
                self.user_control(body);
                Ok(())
            }
            kind::WINDOW_ACKNOWLEDGEMENT_SIZE => {
                self.window = value(body).map_or(u64::MAX, |v| u64::from(v.max(1)));
                Ok(())
            }
            kind::ACKNOWLEDGEMENT => {
                if let (Some(camera), Some(sequence)) = (self.camera(), value(body)) {
                    let mut state = camera.lock();
                    state.stats.acknowledgements += 1;
                    state.stats.last_acknowledged = sequence;
                }
                Ok(())
            }
            kind::AUDIO | kind::VIDEO | kind::DATA | kind::DATA_AMF3 => {
                if let Role::Publisher(publication) = &self.role
                    && self.origin.fault() != Fault::Stall
                {
                    publication.relay(type_id, timestamp, body);
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn user_control(&self, body: &[u8]) {
        let Some((code, rest)) = body.split_first_chunk::<2>() else { return };
        match u16::from_be_bytes(*code) {
            event::PING_REQUEST => {
                if let Some(camera) = self.camera() {
                    camera.lock().stats.pings_received += 1;
                }
                if let (true, Some(time)) = (self.origin.manners.answer_ping, value(rest)) {
                    let mut out = Vec::new();
                    message::write_event(&mut out, event::PING_RESPONSE, time);
                    self.send(&out);
                }
            }
            event::PING_RESPONSE => {
                if let Some(camera) = self.camera() {
                    camera.lock().stats.pongs_received += 1;
                }
            }
            _ => {}
        }
    }
}

fn value(body: &[u8]) -> Option<u32> {
    body.first_chunk().map(|b| u32::from_be_bytes(*b))
}
