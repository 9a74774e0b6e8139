//! How `connect` presents us: which capabilities it names, how it proves who we are.
//!
//! A server that refuses may have said how it would accept: then the next connection presents us in another way. Capabilities: Enhanced
//! RTMP v2, "Enhancing NetConnection connect Command". Authentication has no specification; it is what FFmpeg (`rtmpproto.c`:
//! `handle_connect_error`, `do_adobe_auth`, `do_llnw_auth`) and OBS's librtmp (`rtmp.c`: `PublisherAuth`) do: the server refuses with
//! `code=403 need auth; authmod=…`, then with `?reason=needauth&…` and a challenge; the answer stands in the query of `app` and `tcUrl`.

use std::fmt;

use base64::prelude::{BASE64_STANDARD, Engine};
use md5::{Digest, Md5};

use crate::model::StreamUrl;

use super::amf::Writer;
use super::command::Info;

/// What our analyser knows: it counts every codec, and reads the configuration of these. A server may leave out what is not named
/// (moq-dev/moq#2135 refuses the play).
const VIDEO: [&str; 6] = ["av01", "vp09", "vp08", "vvc1", "hvc1", "avc1"];
const AUDIO: [&str; 6] = ["ac-3", "ec-3", "Opus", ".mp3", "fLaC", "mp4a"];
/// `FourCcInfoMask.CanDecode`.
const CAN_DECODE: f64 = 1.0;
/// `CapsExMask`: Reconnect, Multitrack, ModEx, TimestampNanoOffset.
const CAPABILITIES: f64 = (0x01 | 0x02 | 0x04 | 0x08) as f64;
/// Longest part of a challenge that is repeated to the server, in bytes.
const MAX_CHALLENGE: usize = 256;

/// How `connect` presents us. `Debug` shows no secret.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Introduction {
    /// Without capabilities of Enhanced RTMP.
    plain: bool,
    authentication: Authentication,
}

#[derive(Clone, PartialEq, Eq, Default)]
enum Authentication {
    #[default]
    Nothing,
    /// The user's name has been told, which asks for a challenge.
    Named(String),
    /// The challenge has been answered.
    Answered(String),
}

/// What a refused `connect` leads to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum After {
    /// Another connection, presented like this.
    Again(Introduction),
    /// It is about credentials, and they do not help: why.
    Denied(&'static str),
    /// It is final.
    Final,
}

impl Introduction {
    /// What is appended to `app` and `tcUrl`. Always with its own `?`: servers look for `?authmod=`.
    fn query(&self) -> &str {
        match &self.authentication {
            Authentication::Nothing => "",
            Authentication::Named(query) | Authentication::Answered(query) => query,
        }
    }

    /// Without capabilities; `None` if that is how it is already.
    pub(super) fn without_capabilities(&self) -> Option<Self> {
        (!self.plain).then(|| Self { plain: true, ..self.clone() })
    }

    /// The body of `connect`, otherwise as FFmpeg sends it: servers are used to these values.
    pub(super) fn connect(&self, transaction: f64, url: &StreamUrl) -> Vec<u8> {
        let with_query = |text: &str| format!("{text}{}", self.query());
        let body = Writer::default().text("connect").number(transaction).begin_object();
        let body = body.key("app").text(&with_query(url.app()));
        let body = body.key("flashVer").text("LNX 9,0,124,2").key("tcUrl").text(&with_query(&url.tc_url()));
        let body = body.key("fpad").boolean(false).key("capabilities").number(15.0);
        let body = body.key("audioCodecs").number(4071.0).key("videoCodecs").number(252.0);
        let mut body = body.key("videoFunction").number(1.0).key("objectEncoding").number(0.0);
        if !self.plain {
            body = body.key("fourCcList").begin_list((VIDEO.len() + AUDIO.len()) as u32);
            body = VIDEO.iter().chain(&AUDIO).fold(body, |body, code| body.text(code));
            for (key, codes) in [("videoFourCcInfoMap", &VIDEO[..]), ("audioFourCcInfoMap", &AUDIO)] {
                body = body.key(key).begin_object();
                body = codes.iter().fold(body, |body, code| body.key(code).number(CAN_DECODE)).end_object();
            }
            body = body.key("capsEx").number(CAPABILITIES);
        }
        body.end_object().finish()
    }

    /// What to do after `connect` was refused. `random` becomes our part of the answer to a challenge.
    pub(super) fn after(&self, refusal: &Info<'_>, url: &StreamUrl, random: u32) -> After {
        let description = String::from_utf8_lossy(refusal.description);
        let Some((_, said)) = description.split_once("authmod=") else {
            return match refusal.code {
                // About the application and the server, not about us.
                b"NetConnection.Connect.InvalidApp" | b"NetConnection.Connect.AppShutdown" => After::Final,
                _ => self.without_capabilities().map_or(After::Final, After::Again),
            };
        };
        let method = said.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default();
        if !["adobe", "llnw"].contains(&method) {
            return After::Denied("the server wants an authentication that is not known here");
        }
        let Some((user, password)) = url.credentials() else {
            return After::Denied("the server wants a user and a password, which the URL does not have");
        };
        let Some((_, challenge)) = description.split_once("?reason=needauth") else {
            let asks = description.contains("code=403 need auth");
            return match self.authentication {
                Authentication::Nothing if asks => {
                    self.presented(Authentication::Named(format!("?authmod={method}&user={user}")))
                }
                _ => After::Denied("the server does not accept the user and the password of the URL"),
            };
        };
        if let Authentication::Answered(_) = self.authentication {
            return After::Denied("the server does not accept the user and the password of the URL");
        }
        let field = |name: &str| {
            let of = |pair: &'_ str| Some(pair.strip_prefix(name)?.strip_prefix('=')?.to_owned());
            // The challenge ends with the text, or in front of what some servers add behind a space or a bracket.
            let fields = challenge.split([' ', ']']).next().unwrap_or_default().split('&');
            fields.filter_map(of).next().filter(|value| value.len() <= MAX_CHALLENGE)
        };
        let ours = format!("{random:08x}");
        let query = if method == "adobe" {
            adobe(user, password, field("salt"), field("opaque"), field("challenge"), &ours)
        } else {
            llnw(user, password, url.app(), &field("nonce").unwrap_or_default(), &ours)
        };
        self.presented(Authentication::Answered(query))
    }

    fn presented(&self, authentication: Authentication) -> After {
        After::Again(Self { authentication, ..self.clone() })
    }
}

fn md5(parts: &[&str]) -> [u8; 16] {
    parts.iter().fold(Md5::new(), |hash, part| hash.chain_update(part)).finalize().into()
}

/// `do_adobe_auth` of FFmpeg.
fn adobe(
    user: &str,
    password: &str,
    salt: Option<String>,
    opaque: Option<String>,
    challenge: Option<String>,
    ours: &str,
) -> String {
    let secret = BASE64_STANDARD.encode(md5(&[user, &salt.unwrap_or_default(), password]));
    let theirs = opaque.clone().or(challenge).unwrap_or_default();
    let response = BASE64_STANDARD.encode(md5(&[&secret, &theirs, ours]));
    let opaque = opaque.map_or_else(String::new, |opaque| format!("&opaque={opaque}"));
    format!("?authmod=adobe&user={user}&challenge={ours}&response={response}{opaque}")
}

/// `do_llnw_auth` of FFmpeg: close to HTTP's digest (RFC 2617) with fixed realm, method and count.
fn llnw(user: &str, password: &str, app: &str, nonce: &str, ours: &str) -> String {
    let hex = |hash: [u8; 16]| hash.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let app = app.split('?').next().unwrap_or_default();
    let instance = if app.contains('/') { "" } else { "/_definst_" };
    let who = hex(md5(&[user, ":live:", password]));
    let what = hex(md5(&["publish:/", app, instance]));
    let response = hex(md5(&[&who, ":", nonce, ":00000001:", ours, ":auth:", &what]));
    format!("?authmod=llnw&user={user}&nonce={nonce}&cnonce={ours}&nc=00000001&response={response}")
}

impl fmt::Debug for Introduction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let authentication = match self.authentication {
            Authentication::Nothing => "none",
            Authentication::Named(_) => "named",
            Authentication::Answered(_) => "answered",
        };
        let mut shown = f.debug_struct("Introduction");
        shown.field("plain", &self.plain).field("authentication", &authentication).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(description: &str) -> Info<'_> {
        let code = b"NetConnection.Connect.Rejected";
        Info { level: b"error", code, description: description.as_bytes(), ..Info::default() }
    }

    fn again(after: After) -> Introduction {
        let After::Again(introduction) = after else { panic!("{after:?}") };
        introduction
    }

    #[test]
    fn adobe_in_two_steps() {
        let url = StreamUrl::parse("rtmp://user:pass@h/live/cam").unwrap();
        let need = refusal("[ AccessManager.Reject ] : [ code=403 need auth; authmod=adobe ] : ");
        let named = again(Introduction::default().after(&need, &url, 0));
        assert_eq!(named.query(), "?authmod=adobe&user=user");
        // By md5sum and base64 over the same words.
        let text = "authmod=adobe ?reason=needauth&user=user&salt=testsalt&challenge=testchallenge";
        let answered = again(named.after(&refusal(text), &url, 0x0102_0304));
        assert_eq!(answered.query(), "?authmod=adobe&user=user&challenge=01020304&response=o8x/rdx0X61sHWR1BJCX0w==");
        let text =
            "[ AccessManager.Reject ] : [ authmod=adobe ] : ?reason=needauth&user=user&salt=S&challenge=C==&opaque=O==";
        let opaque = again(named.after(&refusal(text), &url, 7));
        assert!(opaque.query().ends_with("&opaque=O=="), "{}", opaque.query());
        for last in [need, refusal(text), refusal("authmod=adobe ?reason=authfailed")] {
            assert!(matches!(answered.after(&last, &url, 0), After::Denied(_)), "no third try");
        }
        assert!(!format!("{named:?} {answered:?}").contains("user"), "{answered:?}");
    }

    #[test]
    fn llnw_is_a_digest() {
        let url = StreamUrl::parse("rtmp://user:pass@h/live?vhost=y/cam").unwrap();
        let named = again(Introduction::default().after(&refusal("[ code=403 need auth; authmod=llnw ]"), &url, 0));
        assert_eq!(named.query(), "?authmod=llnw&user=user");
        let answered = again(named.after(&refusal("authmod=llnw ?reason=needauth&user=user&nonce=NN"), &url, 1));
        // md5sum of "user:live:pass", of "publish:/live/_definst_", and of the two with nonce, count and qop between them.
        let response = "adea3fb663b48b7ea1e8ea49ad7baee0";
        assert_eq!(
            answered.query().split("&response=").next(),
            Some("?authmod=llnw&user=user&nonce=NN&cnonce=00000001&nc=00000001")
        );
        assert_eq!(answered.query().split("&response=").nth(1), Some(response));
    }

    #[test]
    fn who_has_no_credentials_or_an_unknown_way_is_told_so() {
        let bare = StreamUrl::parse("rtmp://h/live/cam").unwrap();
        let with = StreamUrl::parse("rtmp://user:pass@h/live/cam").unwrap();
        let need = |method: &str| format!("code=403 need auth; authmod={method}");
        for (description, url) in [(need("adobe"), &bare), (need("llnw"), &bare), (need("kerberos"), &with)] {
            assert!(matches!(Introduction::default().after(&refusal(&description), url, 0), After::Denied(_)));
        }
    }

    #[test]
    fn capabilities_are_left_out_once() {
        let url = StreamUrl::parse("rtmp://h/live/cam").unwrap();
        let first = Introduction::default();
        let plain = again(first.after(&refusal("unknown property"), &url, 0));
        assert_eq!(plain.after(&refusal("unknown property"), &url, 0), After::Final);
        let shown =
            |introduction: &Introduction| String::from_utf8_lossy(&introduction.connect(1.0, &url)).into_owned();
        for key in ["fourCcList", "videoFourCcInfoMap", "audioFourCcInfoMap", "capsEx"] {
            assert!(shown(&first).contains(key) && !shown(&plain).contains(key), "{key}");
        }
        let invalid = Info { code: b"NetConnection.Connect.InvalidApp", ..refusal("no such application") };
        assert_eq!(first.after(&invalid, &url, 0), After::Final);
    }
}
