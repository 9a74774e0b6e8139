//! One player's connection, from the handshake to the end: what the origin answers (RTMP 1.0, sections 5.2 and 7).

use std::io::{self, IoSlice};
use std::sync::Arc;
use std::time::Duration;

use rml_rtmp::handshake::{Handshake, HandshakeProcessResult, PeerType};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use super::amf::{self, Value};
use super::camera::{Camera, play_answer};
use super::connection::Connection;
use super::fault::Fault;
use super::message::{self, Inbound, Reader, event, kind};
use super::origin::Origin;

/// Time for everything up to `play`; sits above any client's own patience.
const SETUP: Duration = Duration::from_secs(60);
/// Time a refused player has to close its side.
const LINGER: Duration = Duration::from_secs(5);
/// RTMP 1.0, section 5.2: version byte and the fixed-size part; a first message may follow closely.
const READ_BUFFER: usize = 4096;

/// What `play` of a stream that no camera has is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum UnknownStream {
    /// Accepted, then silence, as nginx-rtmp does.
    #[default]
    Silent,
    /// `NetStream.Play.StreamNotFound`.
    NotFound,
}

/// Why a session ended. The reason is for the debug log only: what the peer sent is never part of it.
#[derive(Debug, thiserror::Error)]
enum End {
    #[error("the player left")]
    Left,
    #[error("the connection broke: {0}")]
    Io(#[from] io::Error),
    #[error("the handshake is none")]
    Handshake,
    #[error(transparent)]
    Protocol(#[from] message::ReadError),
    #[error("no play request in time")]
    Setup,
    #[error("the player was refused")]
    Refused,
}

struct Session<'a> {
    origin: &'a Origin,
    connection: &'a Arc<Connection>,
    reader: Reader,
    app: String,
    /// Some once play was accepted. `None` inside: a stream that no camera has.
    playing: Option<Option<&'a Camera>>,
    /// Asked for while it hung: answered when it runs again.
    waiting: Option<&'a Camera>,
    received: u64,
    acknowledged: u64,
    window: u64,
    /// A fault made the origin deaf on this connection.
    mute: bool,
}

/// Serves one connection until it ends.
pub(super) async fn run(origin: &Origin, connection: &Arc<Connection>) {
    let mut session = Session {
        origin,
        connection,
        reader: Reader::default(),
        app: String::new(),
        playing: None,
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
        timeout(SETUP, self.handshake()).await.map_err(|_| End::Setup)??;
        let pings = self.origin.manners.ping_interval;
        let mut ping = interval(pings.unwrap_or(SETUP).max(Duration::from_millis(10)));
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ping.reset();
        let setup = Instant::now() + SETUP;
        let mut buffer = vec![0; READ_BUFFER];
        loop {
            while let Some(message) = self.reader.next()? {
                self.handle(&message)?;
                if let Some(camera) = self.waiting {
                    self.not_hung().await;
                    self.waiting = None;
                    self.join(camera);
                }
            }
            tokio::select! {
                read = self.read(&mut buffer) => {
                    let n = read?;
                    if n == 0 {
                        return Err(End::Left);
                    }
                    self.reader.push(buffer.get(..n).unwrap_or_default());
                    self.acknowledge(n as u64);
                }
                _ = ping.tick(), if pings.is_some() && self.playing.is_some() => self.ping(),
                () = tokio::time::sleep_until(setup), if self.playing.is_none() && !self.mute => return Err(End::Setup),
            }
        }
    }

    async fn handshake(&mut self) -> Result<(), End> {
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
                    self.reader.push(&remaining_bytes);
                    return Ok(());
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

    fn send(&self, bytes: &[u8]) {
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

    fn camera(&self) -> Option<&'a Camera> {
        self.playing.flatten()
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

    fn handle(&mut self, inbound: &Inbound) -> Result<(), End> {
        if self.mute || self.origin.fault() == Fault::HandshakeThenSilent {
            self.mute = true;
            return Ok(());
        }
        let body = inbound.body.as_slice();
        match inbound.kind {
            kind::COMMAND => self.command(body),
            // One format byte, then AMF0 all the same.
            kind::COMMAND_AMF3 => self.command(body.get(1..).unwrap_or_default()),
            kind::USER_CONTROL => {
                self.user_control(body);
                Ok(())
            }
            kind::WINDOW_ACK_SIZE => {
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

    fn command(&mut self, body: &[u8]) -> Result<(), End> {
        let values = amf::read_all(body);
        let Some(name) = values.first().and_then(Value::as_text) else { return Ok(()) };
        let transaction = values.get(1).and_then(Value::as_number).unwrap_or(0.0);
        match name {
            "connect" => {
                let app = values.get(2).and_then(|o| o.field("app")).and_then(Value::as_text).unwrap_or_default();
                self.app = app.trim_matches('/').to_owned();
                return self.connect(transaction);
            }
            "createStream" => {
                self.reply("_result", transaction, Value::Null, Value::Number(f64::from(message::MEDIA_STREAM)));
            }
            "play" => return self.play(values.get(3).and_then(Value::as_text).unwrap_or_default()),
            "closeStream" | "deleteStream" => {
                if let Some(Some(camera)) = self.playing.take() {
                    camera.leave(self.connection);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn reply(&self, name: &str, transaction: f64, properties: Value, information: Value) {
        let mut out = Vec::new();
        let values = [Value::text(name), Value::Number(transaction), properties, information];
        message::write_values(&mut out, kind::COMMAND, 0, 0, &values);
        self.send(&out);
    }

    fn connect(&mut self, transaction: f64) -> Result<(), End> {
        let fault = match self.origin.fault() {
            Fault::None => self.origin.camera(without_query(&self.app)).map_or(Fault::None, |c| c.lock().fault.clone()),
            fault => fault,
        };
        let mut out = Vec::new();
        message::write_control(&mut out, kind::WINDOW_ACK_SIZE, message::WINDOW);
        let mut bandwidth = message::WINDOW.to_be_bytes().to_vec();
        bandwidth.push(2);
        message::write(&mut out, kind::SET_PEER_BANDWIDTH, 0, 0, &bandwidth);
        message::write_control(&mut out, kind::SET_CHUNK_SIZE, message::CHUNK as u32);
        self.send(&out);
        if matches!(fault, Fault::Refuse | Fault::Redirect { .. }) {
            self.reply("_error", transaction, Value::Null, rejection(&fault));
            return Err(End::Refused);
        }
        let properties =
            Value::object([("fmsVer", Value::text("FMS/3,0,1,123")), ("capabilities", Value::Number(31.0))]);
        let information = Value::object([
            ("level", Value::text("status")),
            ("code", Value::text("NetConnection.Connect.Success")),
            ("description", Value::text("connected")),
            ("objectEncoding", Value::Number(0.0)),
        ]);
        self.reply("_result", transaction, properties, information);
        self.mute = fault == Fault::ConnectThenSilent;
        Ok(())
    }

    fn play(&mut self, key: &str) -> Result<(), End> {
        if self.playing.is_some() {
            return Ok(());
        }
        let key = without_query(key);
        let camera = self.origin.camera(if key.is_empty() { without_query(&self.app) } else { key });
        let error = |code: &str, description: &str| {
            let mut out = Vec::new();
            message::write_status(&mut out, "error", code, description);
            self.send(&out);
        };
        let Some(camera) = camera else {
            match self.origin.manners.unknown {
                UnknownStream::NotFound => error("NetStream.Play.StreamNotFound", "no such stream"),
                UnknownStream::Silent => {
                    self.send(&play_answer());
                    self.playing = Some(None);
                }
            }
            return Ok(());
        };
        let fault = camera.lock().fault.clone();
        match fault {
            Fault::NotFound => error("NetStream.Play.StreamNotFound", "no such stream"),
            Fault::PlayFailed => error("NetStream.Play.Failed", "play failed"),
            Fault::Refuse | Fault::Redirect { .. } => {
                // Known only now that the player asks for this very camera.
                let mut out = Vec::new();
                let values = [Value::text("onStatus"), Value::Number(0.0), Value::Null, rejection(&fault)];
                message::write_values(&mut out, kind::COMMAND, 0, message::MEDIA_STREAM, &values);
                self.send(&out);
                return Err(End::Refused);
            }
            Fault::ConnectThenSilent => self.mute = true,
            Fault::Hang => self.waiting = Some(camera),
            _ => self.join(camera),
        }
        Ok(())
    }

    fn join(&mut self, camera: &'a Camera) {
        self.playing = Some(Some(camera));
        camera.join(self.connection, self.origin.now(), self.origin.manners.gop_cache);
    }
}

fn rejection(fault: &Fault) -> Value {
    let mut fields = vec![
        ("level".to_owned(), Value::text("error")),
        ("code".to_owned(), Value::text("NetConnection.Connect.Rejected")),
        ("description".to_owned(), Value::text("rejected")),
    ];
    if let Fault::Redirect { to } = fault {
        // The shape of Flash Media Server and SRS.
        let redirect = Value::object([("code", Value::Number(302.0)), ("redirect", Value::text(to))]);
        fields.push(("ex".to_owned(), redirect));
    }
    Value::Object(fields)
}

fn without_query(text: &str) -> &str {
    text.split_once('?').map_or(text, |(path, _)| path)
}

fn value(body: &[u8]) -> Option<u32> {
    body.first_chunk().map(|b| u32::from_be_bytes(*b))
}
