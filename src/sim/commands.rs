//! What an origin answers to commands (RTMP 1.0, section 7.2; `releaseStream`, `FCPublish` and their like as Flash Media Server took
//! them and encoders still send them).

use std::io::IoSlice;

use super::camera::Camera;
use super::fault::Fault;
use super::manners::{Quirk, play_answer};
use super::message::{self, event, kind};
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
    /// The connection is closed, without a word (MediaMTX, whose log says "no one is publishing to path": bluenviron/mediamtx#1433).
    Closed,
}

/// A command, as far as an origin needs to understand it.
#[derive(Debug, Default)]
struct Call {
    name: String,
    transaction: f64,
    /// Texts of `connect`'s object.
    app: String,
    tc_url: String,
    /// It has Enhanced RTMP's list of codecs.
    enhanced: bool,
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
                (1, b"tcUrl", Scalar::Text(url)) => call.tc_url = text(url),
                (2, ..) if place.parent == b"fourCcList" => call.enhanced = true,
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
        let Some(mut call) = Call::read(body) else { return Ok(()) };
        if self.has(&Quirk::Unnumbered) {
            call.transaction = 0.0;
        }
        match call.name.as_str() {
            "connect" => {
                self.app = call.app.trim_matches('/').to_owned();
                self.tc_url.clone_from(&call.tc_url);
                return self.connect(&call);
            }
            "createStream" => {
                self.created = true;
                let stream = f64::from(message::MEDIA_STREAM);
                self.reply(Writer::default().text("_result").number(call.transaction).null().number(stream));
            }
            "releaseStream" if self.has(&Quirk::RefusesRelease) => {
                let body = Writer::default().text("_error").number(call.transaction).null();
                let description = "Specified stream not found in call to releaseStream";
                self.reply(message::information(body, "error", "NetConnection.Call.Failed", description).end_object());
            }
            "releaseStream" | "FCPublish" => {
                let [released, announced] = &mut self.announced;
                *(if call.name == "FCPublish" { announced } else { released }) |= !self.created;
                self.reply(Writer::default().text("_result").number(call.transaction).null());
            }
            "FCSubscribe" if self.has(&Quirk::RefusesSubscribe) => {
                let body = Writer::default().text("_error").number(call.transaction).null();
                let body = message::information(body, "error", "NetConnection.Call.Failed", "no such method");
                self.reply(body.end_object());
            }
            "FCSubscribe" => {
                self.subscribed = true;
                let body = Writer::default().text("onFCSubscribe").number(0.0).null();
                let body = message::information(body, "status", "NetStream.Play.Start", "subscribed");
                self.reply(body.end_object());
            }
            "play" => return self.play(&call.key),
            "publish" if self.has(&Quirk::NeedsRelease) && self.announced != [true; 2] => {
                self.status("error", "NetStream.Publish.BadName", "not announced");
            }
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

    fn has(&self, quirk: &Quirk) -> bool {
        self.origin.manners.quirks.contains(quirk)
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

    fn connect(&mut self, call: &Call) -> Result<(), End> {
        if call.enhanced && self.has(&Quirk::NoStrictArrays) {
            return Err(End::Refused);
        }
        let fault = match self.origin.fault() {
            Fault::None => self.origin.camera(without_query(&self.app)).map_or(Fault::None, |c| c.lock().fault.clone()),
            fault => fault,
        };
        let window = if self.has(&Quirk::ZeroWindow) { 0 } else { message::WINDOW };
        let mut out = Vec::new();
        message::write_control(&mut out, kind::WINDOW_ACKNOWLEDGEMENT_SIZE, window);
        let mut bandwidth = window.to_be_bytes().to_vec();
        bandwidth.push(2);
        message::write(&mut out, kind::SET_PEER_BANDWIDTH, 0, 0, &bandwidth);
        if self.has(&Quirk::PingFirst) {
            message::write_event(&mut out, event::PING_REQUEST, 1);
        }
        if !self.has(&Quirk::LateChunkSize) {
            message::write_control(&mut out, kind::SET_CHUNK_SIZE, message::CHUNK as u32);
        }
        self.send(&out);
        let error = || Writer::default().text("_error").number(call.transaction).null();
        if call.enhanced && self.has(&Quirk::NoCapabilities) {
            self.reply(message::information(error(), "error", "NetConnection.Connect.Failed", "failed").end_object());
            return Err(End::Refused);
        }
        if let Some(Err(description)) = self.origin.manners.login.as_ref().map(|login| login.check(&self.app)) {
            let code = "NetConnection.Connect.Rejected";
            self.reply(message::information(error(), "error", code, &description).end_object());
            return Err(End::Refused);
        }
        if matches!(fault, Fault::Refuse | Fault::Redirect { .. }) {
            self.reply(rejection(error(), &fault));
            return Err(End::Refused);
        }
        let mut out = Vec::new();
        let body = self.welcome(call.transaction);
        if self.has(&Quirk::LateChunkSize) {
            message::write_first_chunks(&mut out, kind::COMMAND, &body);
        } else {
            message::write(&mut out, kind::COMMAND, 0, 0, &body);
        }
        self.send(&out);
        self.mute = fault == Fault::ConnectThenSilent;
        Ok(())
    }

    /// The answer to a `connect` that is accepted.
    fn welcome(&self, transaction: f64) -> Vec<u8> {
        let body = Writer::default().text("_result").number(transaction).begin_object();
        let mut body = body.key("fmsVer").text("FMS/3,0,1,123").key("capabilities").number(31.0);
        if self.has(&Quirk::Capabilities) {
            body = body.key("fourCcList").begin_list(1).text("*");
            body = body.key("videoFourCcInfoMap").begin_map(1).key("*").number(4.0).end_object();
            body = body.key("capsEx").number(1.0);
        }
        let body = body.end_object();
        let mut body = message::information(body, "status", "NetConnection.Connect.Success", "connected");
        if self.has(&Quirk::SecureToken) {
            body = body.key("secureToken").text("5d5a3e1f0c");
        }
        body.key("objectEncoding").number(0.0).end_object().finish()
    }

    /// Why this key is not played, whether or not it is there.
    fn forbids(&self, key: &str) -> Option<&'static str> {
        self.origin.manners.quirks.iter().find_map(|quirk| match quirk {
            Quirk::Token(token) => (!self.app.contains(token) && !key.contains(token)).then_some("the token is wrong"),
            Quirk::Vhost(host) => (!self.tc_url.contains(&format!("vhost={host}"))).then_some("no such virtual host"),
            Quirk::SecureToken => Some("secure token not answered"),
            _ => None,
        })
    }

    fn play(&mut self, key: &str) -> Result<(), End> {
        if !matches!(self.role, Role::Undecided) {
            return Ok(());
        }
        if let Some(reason) = self.forbids(key) {
            self.status("error", "NetStream.Play.Failed", reason);
            return Ok(());
        }
        if self.has(&Quirk::NeedsSubscribe) && !self.subscribed {
            self.status("error", "NetStream.Play.StreamNotFound", "no such stream");
            return Ok(());
        }
        let Some(camera) = self.asked_camera(key) else {
            let name = channel(&self.app, key);
            let (relay, manners) = (&self.origin.relay, &self.origin.manners);
            match manners.unknown {
                UnknownStream::NotFound if !relay.is_published(&name) => {
                    self.status("error", "NetStream.Play.StreamNotFound", "no such stream");
                }
                UnknownStream::Closed if !relay.is_published(&name) => return Err(End::Refused),
                _ => {
                    let answer = play_answer(&manners.quirks);
                    self.role = Role::Listener(relay.play(name, self.connection, manners.gop_cache, answer));
                }
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
        let manners = &self.origin.manners;
        camera.join(self.connection, self.origin.now(), manners.gop_cache, play_answer(&manners.quirks));
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
                message::write_event(&mut out, event::STREAM_BEGIN, message::MEDIA_STREAM);
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
