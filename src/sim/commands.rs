//! What an origin answers to commands (RTMP 1.0, section 7.2; `releaseStream`, `FCPublish` and their like as Flash Media Server took
//! them and encoders still send them).

use std::io::IoSlice;

use super::camera::Camera;
use super::fault::Fault;
use super::message::{self, kind};
use super::session::{End, MAX_MEDIA, Role, Session};
use crate::rtmp::Keep;
use crate::rtmp::amf::{Reader, Scalar, Writer};

/// What `play` of a stream that neither a camera nor a publisher has is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum UnknownStream {
    /// Accepted, then silence until somebody publishes it, as nginx-rtmp does.
    #[default]
    Silent,
    /// `NetStream.Play.StreamNotFound`.
    NotFound,
}

/// A command, as far as an origin needs to understand it.
#[derive(Debug, Default)]
struct Call {
    name: String,
    transaction: f64,
    /// The `app` of `connect`'s object.
    app: String,
    /// The first text behind the transaction: the stream's key.
    key: String,
}

impl Call {
    /// Reads as far as it can be read. `None`: not even a name.
    fn read(body: &[u8]) -> Option<Self> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let mut reader = Reader::new(body);
        let Some(Scalar::Text(name)) = reader.scalar().ok()? else { return None };
        let mut call = Self { name: text(name), ..Self::default() };
        if let Ok(Some(Scalar::Number(transaction))) = reader.scalar() {
            call.transaction = transaction;
        }
        let mut keyed = false;
        while !reader.is_empty() {
            let read = reader.value(&mut |place, scalar| match (place.depth, place.key, scalar) {
                (0, _, Scalar::Text(key)) if !keyed => (keyed, call.key) = (true, text(key)),
                (1, b"app", Scalar::Text(app)) => call.app = text(app),
                _ => {}
            });
            if read.is_err() {
                break;
            }
        }
        Some(call)
    }
}

impl<'a> Session<'a> {
    pub(super) fn command(&mut self, body: &[u8]) -> Result<(), End> {
        let Some(call) = Call::read(body) else { return Ok(()) };
        match call.name.as_str() {
            "connect" => {
                self.app = call.app.trim_matches('/').to_owned();
                return self.connect(call.transaction);
            }
            "createStream" => {
                let stream = f64::from(message::MEDIA_STREAM);
                self.reply(Writer::default().text("_result").number(call.transaction).null().number(stream));
            }
            "releaseStream" | "FCPublish" => {
                self.reply(Writer::default().text("_result").number(call.transaction).null());
            }
            "play" => return self.play(&call.key),
            "publish" => self.publish(&call.key),
            "closeStream" | "deleteStream" | "FCUnpublish" => {
                if let Role::Camera(camera) = std::mem::replace(&mut self.role, Role::Undecided) {
                    camera.leave(self.connection);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn reply(&self, body: Writer) {
        let mut out = Vec::new();
        message::write(&mut out, kind::COMMAND, 0, 0, &body.finish());
        self.send(&out);
    }

    fn status(&self, level: &str, code: &str, description: &str) {
        let mut out = Vec::new();
        message::write_status(&mut out, level, code, description);
        self.send(&out);
    }

    fn connect(&mut self, transaction: f64) -> Result<(), End> {
        let fault = match self.origin.fault() {
            Fault::None => self.origin.camera(without_query(&self.app)).map_or(Fault::None, |c| c.lock().fault.clone()),
            fault => fault,
        };
        let mut out = Vec::new();
        message::write_control(&mut out, kind::WINDOW_ACKNOWLEDGEMENT_SIZE, message::WINDOW);
        let mut bandwidth = message::WINDOW.to_be_bytes().to_vec();
        bandwidth.push(2);
        message::write(&mut out, kind::SET_PEER_BANDWIDTH, 0, 0, &bandwidth);
        message::write_control(&mut out, kind::SET_CHUNK_SIZE, message::CHUNK as u32);
        self.send(&out);
        if matches!(fault, Fault::Refuse | Fault::Redirect { .. }) {
            self.reply(rejection(Writer::default().text("_error").number(transaction).null(), &fault));
            return Err(End::Refused);
        }
        let properties = Writer::default().text("_result").number(transaction).begin_object();
        let properties = properties.key("fmsVer").text("FMS/3,0,1,123").key("capabilities").number(31.0).end_object();
        let answer = message::information(properties, "status", "NetConnection.Connect.Success", "connected");
        self.reply(answer.key("objectEncoding").number(0.0).end_object());
        self.mute = fault == Fault::ConnectThenSilent;
        Ok(())
    }

    fn play(&mut self, key: &str) -> Result<(), End> {
        if !matches!(self.role, Role::Undecided) {
            return Ok(());
        }
        let Some(camera) = self.asked_camera(key) else {
            let name = channel(&self.app, key);
            let (relay, manners) = (&self.origin.relay, &self.origin.manners);
            if manners.unknown == UnknownStream::NotFound && !relay.is_published(&name) {
                self.status("error", "NetStream.Play.StreamNotFound", "no such stream");
            } else {
                self.role = Role::Listener(relay.play(name, self.connection, manners.gop_cache));
            }
            return Ok(());
        };
        let fault = camera.lock().fault.clone();
        match fault {
            Fault::NotFound => self.status("error", "NetStream.Play.StreamNotFound", "no such stream"),
            Fault::PlayFailed => self.status("error", "NetStream.Play.Failed", "play failed"),
            Fault::Refuse | Fault::Redirect { .. } => {
                // Known only now that the player asks for this very camera.
                let mut out = Vec::new();
                let body = rejection(Writer::default().text("onStatus").number(0.0).null(), &fault).finish();
                message::write(&mut out, kind::COMMAND, 0, message::MEDIA_STREAM, &body);
                self.send(&out);
                return Err(End::Refused);
            }
            Fault::ConnectThenSilent => self.mute = true,
            Fault::Hang => self.waiting = Some(camera),
            _ => self.join(camera),
        }
        Ok(())
    }

    pub(super) fn join(&mut self, camera: &'a Camera) {
        self.role = Role::Camera(camera);
        camera.join(self.connection, self.origin.now(), self.origin.manners.gop_cache);
    }

    fn publish(&mut self, key: &str) {
        if !matches!(self.role, Role::Undecided) {
            return;
        }
        let name = channel(&self.app, key);
        // A camera is a publisher too.
        let taken = self.asked_camera(key).is_some();
        let publication = if taken { None } else { self.origin.relay.publish(name, self.origin.manners.farewell) };
        match publication {
            Some(publication) => {
                self.role = Role::Publisher(publication);
                self.reader.set_keep(Keep::Whole(MAX_MEDIA));
                let mut out = Vec::new();
                message::write_event(&mut out, message::event::STREAM_BEGIN, message::MEDIA_STREAM);
                self.connection.send(&[IoSlice::new(&out)]);
                self.status("status", "NetStream.Publish.Start", "publishing");
            }
            None => self.status("error", "NetStream.Publish.BadName", "somebody publishes this already"),
        }
    }

    fn asked_camera(&self, key: &str) -> Option<&'a Camera> {
        let key = without_query(key);
        self.origin.camera(if key.is_empty() { without_query(&self.app) } else { key })
    }
}

/// Ends `body` with why a connection is not accepted.
fn rejection(body: Writer, fault: &Fault) -> Writer {
    let body = message::information(body, "error", "NetConnection.Connect.Rejected", "rejected");
    let Fault::Redirect { to } = fault else { return body.end_object() };
    // The shape of Flash Media Server and SRS.
    let body = body.key("ex").begin_object().key("code").number(302.0).key("redirect").text(to);
    body.end_object().end_object()
}

/// Application and key, which name a publication.
fn channel(app: &str, key: &str) -> String {
    let (app, key) = (without_query(app), without_query(key));
    if key.is_empty() { app.to_owned() } else { format!("{app}/{key}") }
}

fn without_query(text: &str) -> &str {
    text.split_once('?').map_or(text, |(path, _)| path)
}
