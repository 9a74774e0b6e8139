//! How a session ends.

use std::fmt;

use percent_encoding::percent_decode_str;
use thiserror::Error;

use crate::model::report::Phase;
use crate::model::url::UrlError;
use crate::model::{DownCause, StreamUrl};

use super::chunk::ChunkError;
use super::command::{Info, Redirect};

/// Longest text of a server that is kept, in bytes.
const MAX_TEXT: usize = 200;

/// Why a session is over. `Display` and `Debug` show no secret of the session's URL.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SessionError {
    /// The server speaks another protocol, or another version.
    #[error("the answer to the handshake is no RTMP handshake")]
    Handshake,
    /// No answer within the phase's time: handshake, connect or play.
    #[error("no answer in time ({0})")]
    Timeout(Phase),
    /// The transport was closed by the peer in this phase; `FirstMedia` from the accepted play on until media has come, `None` later.
    #[error("closed by the server{}", during(.0))]
    Closed(Option<Phase>),
    /// The server said that it closes the connection.
    #[error("closed by the server: {0}")]
    Shutdown(Refusal),
    #[error("no such stream: {0}")]
    NotFound(Refusal),
    #[error("rejected: {0}")]
    Rejected(Refusal),
    /// The stream is to be played elsewhere.
    #[error("redirected to {target}")]
    Redirect { target: StreamUrl },
    #[error("broken chunk stream: {0}")]
    Chunk(#[from] ChunkError),
    /// The answer to `createStream` names no stream.
    #[error("the answer to createStream is malformed")]
    Answer,
    /// The peer makes us answer and does not read the answers.
    #[error("the server does not read what we send")]
    PeerNotReading,
    #[error("a message of ours cannot be sent")]
    Unsendable,
}

fn during(phase: &Option<Phase>) -> String {
    phase.map_or_else(String::new, |phase| format!(" ({phase})"))
}

impl SessionError {
    /// The cause it is counted under.
    pub fn cause(&self) -> DownCause {
        match self {
            Self::Handshake | Self::Timeout(Phase::Handshake) | Self::Closed(Some(Phase::Handshake)) => {
                DownCause::Handshake
            }
            Self::Timeout(_) => DownCause::OriginUnresponsive,
            Self::Closed(_) | Self::Shutdown(_) => DownCause::Closed,
            Self::NotFound(_) => DownCause::NotFound,
            Self::Rejected(_) | Self::Redirect { .. } => DownCause::Rejected,
            Self::Chunk(_) | Self::Answer | Self::PeerNotReading | Self::Unsendable => DownCause::Protocol,
        }
    }

    /// A refusal by its code.
    pub(super) fn refused(info: &Info<'_>, url: &StreamUrl) -> Self {
        if let Some(target) = info.redirect.and_then(|redirect| redirect_target(redirect, url)) {
            return Self::Redirect { target };
        }
        let refusal = Refusal::new(info, url);
        match info.code {
            b"NetStream.Play.StreamNotFound" => Self::NotFound(refusal),
            b"NetConnection.Connect.Closed"
            | b"NetConnection.Connect.AppShutdown"
            | b"NetConnection.Connect.IdleTimeout" => Self::Shutdown(refusal),
            _ => Self::Rejected(refusal),
        }
    }
}

/// A server's own words: status code and description, each at most 200 bytes, without control characters, secrets replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub code: String,
    pub description: String,
}

impl Refusal {
    pub(super) fn new(info: &Info<'_>, url: &StreamUrl) -> Self {
        Self { code: redact(info.code, url), description: redact(info.description, url) }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.code.is_empty(), self.description.is_empty()) {
            (true, true) => f.write_str("no reason given"),
            (true, false) => f.write_str(&self.description),
            (false, true) => f.write_str(&self.code),
            (false, false) => write!(f, "{} ({})", self.code, self.description),
        }
    }
}

/// Makes a text of the server fit for logs.
fn redact(text: &[u8], url: &StreamUrl) -> String {
    // Control characters go first: they could hide a secret from the search and vanish later.
    let text: String = String::from_utf8_lossy(text).chars().filter(|c| !c.is_control()).collect();
    // The query of a URL is passed on as it is; a server may name what it says.
    let decoded = |secret: &str| percent_decode_str(secret).decode_utf8_lossy().into_owned();
    let mut secrets: Vec<String> = url.secrets().into_iter().flat_map(|s| [s.to_owned(), decoded(s)]).collect();
    // The longest first: what begins with another secret is hidden whole.
    secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    let mut shown = String::new();
    let mut rest = text.as_str();
    while let Some(c) = rest.chars().next() {
        let secret = secrets.iter().find_map(|secret| length_at_start(rest.as_bytes(), secret.as_bytes()));
        let (piece, length) = match secret {
            Some(length) => ("***", length),
            None => (rest.get(..c.len_utf8()).unwrap_or_default(), c.len_utf8()),
        };
        // Cut after redaction: a cut before it could leave a part of a secret that is not recognised.
        if shown.len() + piece.len() > MAX_TEXT {
            break;
        }
        shown.push_str(piece);
        rest = rest.get(length..).unwrap_or_default();
    }
    shown
}

/// How many bytes `secret` takes at the start of `text`: in whatever case, plain or with any of its bytes as `%XX`.
fn length_at_start(text: &[u8], secret: &[u8]) -> Option<usize> {
    if text.get(..secret.len()).is_some_and(|start| start.eq_ignore_ascii_case(secret)) {
        return Some(secret.len());
    }
    let mut rest = text;
    for byte in secret {
        let escaped = match rest {
            [b'%', digits @ ..] => {
                digits.first_chunk::<2>().and_then(|d| u8::from_str_radix(str::from_utf8(d).ok()?, 16).ok())
            }
            _ => None,
        };
        let (found, length) = escaped.map_or_else(|| (rest.first().copied(), 1), |b| (Some(b), 3));
        if !found?.eq_ignore_ascii_case(byte) {
            return None;
        }
        rest = rest.get(length..)?;
    }
    Some(text.len() - rest.len())
}

/// As the key would stand in a URL's path; `/` stays.
fn percent_encode(text: &str) -> String {
    use std::fmt::Write;
    text.bytes().fold(String::new(), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~/!$&'()*+,;=:@".contains(&byte) {
            encoded.push(byte.into());
        } else {
            // Writing to a String does not fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
        encoded
    })
}

/// The stream's URL at the place a redirect names. `None` if it is none, or if it would show a secret of the stream.
fn redirect_target(redirect: Redirect<'_>, url: &StreamUrl) -> Option<StreamUrl> {
    let (Redirect::Either(text) | Redirect::Stream(text)) = redirect;
    let text = std::str::from_utf8(text).ok()?;
    let target = match redirect {
        Redirect::Stream(_) => StreamUrl::parse(text),
        Redirect::Either(_) => follow(text, url),
    }
    .ok()?;
    // Host and application will be shown, more than our own URL shows they may not give away. Short values (`u=1`) are part of many an
    // honest name: those count only as a whole path segment.
    let [shown, own] = [&target, url].map(|u| u.to_string().to_ascii_lowercase());
    let leaks = url.secrets().into_iter().map(str::to_ascii_lowercase).any(|secret| {
        let found = secret.len() >= 8 && shown.contains(&secret) || shown.split('/').any(|part| part == secret);
        found && !own.contains(&secret)
    });
    (!leaks).then_some(target)
}

/// `text` as it is if it already ends with our key, otherwise our key below it.
fn follow(text: &str, url: &StreamUrl) -> Result<StreamUrl, UrlError> {
    let whole = StreamUrl::parse(text)?;
    let (key, query) = url.key().split_once('?').unwrap_or((url.key(), ""));
    if key.is_empty() || whole.key().split('?').next() == Some(key) {
        return Ok(whole);
    }
    let (base, their_query) = text.split_once('?').unwrap_or((text, ""));
    let base = base.trim_end_matches('/');
    // The application is all of the path, also where the key has slashes of its own.
    let app = base.split_once("://").and_then(|(_, rest)| rest.split_once('/')).map_or("", |(_, path)| path);
    let mut joined = format!("{base}/{}", percent_encode(key));
    for (separator, query) in
        [query, their_query].into_iter().filter(|q| !q.is_empty()).zip(["?", "&"]).map(|(q, s)| (s, q))
    {
        joined.push_str(separator);
        joined.push_str(query);
    }
    StreamUrl::with_app(&joined, app)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url() -> StreamUrl {
        StreamUrl::parse("rtmp://h/live/S3CRET%20key?token=T0KEN").unwrap()
    }

    #[test]
    fn a_servers_words_are_shown_without_secrets() {
        for (text, shown) in [
            (&b"stream S3CRET key?token=T0KEN not found"[..], "stream *** not found"),
            (b"no s3cret%20key here", "no *** here"),
            (b"no S3CRET%20%6bey%3Ftoken%3DT%30KEN here, %zz %", "no *** here, %zz %"),
            (b"S3C\x00RET key and T0\nKEN", "*** and ***"),
            (b"\x1b[31mred\xff", "[31mred\u{fffd}"),
        ] {
            assert_eq!(redact(text, &url()), shown);
        }
    }

    #[test]
    fn a_server_may_decode_a_query_and_name_what_it_says() {
        let url = StreamUrl::parse("rtmp://h/live/cam?token=a%2Fb%3D%2525").unwrap();
        assert_eq!(redact(b"a/b=%25, a%2fb%3d%2525, a%2fb=%2525", &url), "***, ***, ***");
    }

    #[test]
    fn a_long_text_is_cut_and_no_part_of_a_secret_stays() {
        let long =
            redact("x".repeat(196).as_bytes().iter().chain(b"T0KEN").copied().collect::<Vec<_>>().as_slice(), &url());
        assert_eq!(long, format!("{}***", "x".repeat(196)));
        let longer =
            redact("x".repeat(198).as_bytes().iter().chain(b"T0KEN").copied().collect::<Vec<_>>().as_slice(), &url());
        assert_eq!(longer, "x".repeat(198));
        assert_eq!(redact("ä".repeat(500).as_bytes(), &url()), "ä".repeat(100));
    }

    #[test]
    fn a_redirect_keeps_the_key() {
        let ours = StreamUrl::parse("rtmp://h/live/S3CRET%20key?token=LONGSECRET").unwrap();
        for (redirect, app) in [
            (Redirect::Either(b"rtmp://other:1936/edge"), "edge"),
            (Redirect::Either(b"rtmp://other:1936/edge/"), "edge"),
            (Redirect::Either(b"rtmp://other:1936/edge/inst"), "edge/inst"),
            (Redirect::Either(b"rtmp://other:1936/edge/S3CRET%20key?token=LONGSECRET"), "edge"),
            (Redirect::Stream(b"rtmp://other:1936/edge/S3CRET%20key?token=LONGSECRET"), "edge"),
        ] {
            let target = redirect_target(redirect, &ours).unwrap();
            assert_eq!((target.app(), target.key(), target.port()), (app, ours.key(), 1936), "{redirect:?}");
        }
        for bad in [
            &b"http://other/x"[..],
            b"rtmp://with.LONGSECRET.example/edge",
            b"rtmp://other/LONGSECRET/x",
            b"rtmp://other/S3CRET%20key/x",
            b"\xff",
            b"",
        ] {
            assert_eq!(redirect_target(Redirect::Either(bad), &ours), None);
        }
    }
}
