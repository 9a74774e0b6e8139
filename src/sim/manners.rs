//! Ways in which real servers differ on the way to `play`, each with the place where it was met.

use base64::prelude::{BASE64_STANDARD, Engine};
use md5::{Digest, Md5};

use super::message::{self, MEDIA_STREAM, event, kind};
use crate::rtmp::amf::Writer;

/// One way in which a server differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Quirk {
    /// Closes without a word when `connect` has a strict array, as Enhanced RTMP's `fourCcList` is (MediaMTX 1.6.0: bluenviron/mediamtx#3188).
    NoStrictArrays,
    /// `NetConnection.Connect.Failed` when `connect` has `fourCcList` (HaishinKit/HaishinKit.swift#1486).
    NoCapabilities,
    /// Names its own capabilities in the answer to `connect` (Enhanced RTMP v2, "Enhancing NetConnection connect Command").
    Capabilities,
    /// Takes no publication that was not announced with `releaseStream` and `FCPublish` in front of `createStream` (Wowza:
    /// HaishinKit/HaishinKit.swift#1391).
    NeedsRelease,
    /// Answers `releaseStream` with an error (CRtmpServer: ossrs/srs#627).
    RefusesRelease,
    /// A ping in front of the answer to `connect` (Flussonic: jgh-/VideoCore-Inactive#203; EvoStream: jgh-/VideoCore-Inactive#50).
    PingFirst,
    /// Windows of 0 (FFmpeg's `handle_window_ack_size` names them an error).
    ZeroWindow,
    /// Chunks of 128 bytes until `play` (RTMP 1.0, 5.4.1: the size may change at any time).
    LateChunkSize,
    /// Transaction 0 in every answer (SRS: bluenviron/mediamtx#4630).
    Unnumbered,
    /// Plays nothing without `FCSubscribe` (Akamai, Edgecast, Limelight: videojs/video.js#1846).
    NeedsSubscribe,
    /// Answers `FCSubscribe` with an error (FFmpeg's `handle_invoke_error` calls such errors historical artefacts).
    RefusesSubscribe,
    /// Media in front of the answer to `play` (librtmp's `RTMP_ConnectStream`: "Received FLV packet before play()").
    MediaFirst,
    /// `onStatus` on message stream 0 (ZLMediaKit/ZLMediaKit#4002).
    StatusElsewhere,
    /// A video command frame and an empty audio message in front of media (Wowza: bluenviron/gortmplib#128).
    SeekFrames,
    /// Plays only with this in the query of application or key (token authentication: ossrs/srs#1140).
    Token(String),
    /// Plays only with this virtual host in the query of `tcUrl` (SRS: ossrs/srs#1059).
    Vhost(String),
    /// A secure token in the answer to `connect`, and no play without the answer to that (Wowza: yixia/VitamioBundle#63).
    SecureToken,
}

/// How an origin asks who its clients are. The server's side of what FFmpeg's `rtmpproto.c` answers (`handle_connect_error`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoginMethod {
    /// Flash Media Server and its followers, Nimble Streamer (pedroSG94/RootEncoder#835) among them.
    Adobe,
    /// Limelight (pedroSG94/RootEncoder#766).
    Llnw,
}

/// Who may connect.
#[derive(Debug, Clone)]
pub struct Login {
    pub method: LoginMethod,
    pub user: String,
    pub password: String,
}

const SALT: &str = "c2FsdA";
const CHALLENGE: &str = "Y2hhbGxlbmdl";
const OPAQUE: &str = "b3BhcXVl";

impl Login {
    /// Looks at an `app`. `Ok`: welcome. `Err`: the description of the refusal.
    pub(super) fn check(&self, app: &str) -> Result<(), String> {
        let method = match self.method {
            LoginMethod::Adobe => "adobe",
            LoginMethod::Llnw => "llnw",
        };
        let (path, query) = app.split_once('?').unwrap_or((app, ""));
        let field = |name: &str| {
            let of = |pair: &'_ str| Some(pair.strip_prefix(name)?.strip_prefix('=')?.to_owned());
            query.split(['&', '?']).find_map(of)
        };
        if field("authmod").as_deref() != Some(method) {
            return Err(format!("[ AccessManager.Reject ] : [ code=403 need auth; authmod={method} ] : "));
        }
        let Some(response) = field("response") else {
            let theirs = match self.method {
                LoginMethod::Adobe => format!("salt={SALT}&challenge={CHALLENGE}&opaque={OPAQUE}"),
                LoginMethod::Llnw => format!("nonce={CHALLENGE}"),
            };
            let user = field("user").unwrap_or_default();
            return Err(format!(
                "[ AccessManager.Reject ] : [ authmod={method} ] : ?reason=needauth&user={user}&{theirs}"
            ));
        };
        let expected = match self.method {
            LoginMethod::Adobe => {
                let secret = base64(&[&self.user, SALT, &self.password].concat());
                base64(&[&secret, OPAQUE, &field("challenge").unwrap_or_default()].concat())
            }
            LoginMethod::Llnw => {
                let instance = if path.contains('/') { "" } else { "/_definst_" };
                let who = hex(&format!("{}:live:{}", self.user, self.password));
                let what = hex(&format!("publish:/{path}{instance}"));
                let (count, nonce) = (field("nc").unwrap_or_default(), field("cnonce").unwrap_or_default());
                hex(&format!("{who}:{CHALLENGE}:{count}:{nonce}:auth:{what}"))
            }
        };
        if response == expected && field("user").as_ref() == Some(&self.user) {
            return Ok(());
        }
        Err(format!("[ AccessManager.Reject ] : [ authmod={method} ] : ?reason=authfailed&opaque={OPAQUE}"))
    }
}

fn base64(text: &str) -> String {
    BASE64_STANDARD.encode(Md5::digest(text))
}

fn hex(text: &str) -> String {
    Md5::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What `play` is answered before metadata and media.
pub(super) fn play_answer(quirks: &[Quirk]) -> Vec<u8> {
    let has = |quirk: &Quirk| quirks.contains(quirk);
    let mut out = Vec::new();
    if has(&Quirk::LateChunkSize) {
        message::write_control(&mut out, kind::SET_CHUNK_SIZE, message::CHUNK as u32);
    }
    if has(&Quirk::MediaFirst) {
        message::write(&mut out, kind::AUDIO, 0, MEDIA_STREAM, &[0xaf, 0, 0x11, 0x88]);
    }
    message::write_event(&mut out, event::STREAM_BEGIN, MEDIA_STREAM);
    let stream = if has(&Quirk::StatusElsewhere) { 0 } else { MEDIA_STREAM };
    for (code, description) in
        [("NetStream.Play.Reset", "playing and resetting"), ("NetStream.Play.Start", "started playing")]
    {
        let body = Writer::default().text("onStatus").number(0.0).null();
        let body = message::information(body, "status", code, description).end_object().finish();
        message::write(&mut out, kind::COMMAND, 0, stream, &body);
    }
    if has(&Quirk::SeekFrames) {
        message::write(&mut out, kind::VIDEO, 0, MEDIA_STREAM, &[0x57, 0]);
        message::write(&mut out, kind::AUDIO, 0, MEDIA_STREAM, &[]);
    }
    out
}
