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

/// Shorter secrets (`u=1`) are part of many an honest word and are hidden as whole words only.
const SHORTEST_ANYWHERE: usize = 4;

/// A start of a secret this long is hidden too: some servers cut what they echo.
const TELLING_START: usize = 8;

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

    /// A refusal for want of the right credentials. The server's own words may hold what is needed to guess them.
    pub(super) fn denied(info: &Info<'_>, url: &StreamUrl, why: &str) -> Self {
        Self::Rejected(Refusal { description: why.to_owned(), ..Refusal::new(info, url) })
    }

    /// A refusal by its code.
    pub(super) fn refused(info: &Info<'_>, url: &StreamUrl) -> Self {
        let mut refusal = Refusal::new(info, url);
        if let Some(target) = info.redirect.and_then(|redirect| redirect_target(redirect, url)) {
            if target.is_secure() || !url.is_secure() {
                return Self::Redirect { target };
            }
            // The key was given to be sent encrypted.
            refusal.description = PLAIN_REDIRECT.to_owned();
            return Self::Rejected(refusal);
        }
        match info.code {
            b"NetStream.Play.StreamNotFound" => Self::NotFound(refusal),
            b"NetConnection.Connect.Closed"
            | b"NetConnection.Connect.AppShutdown"
            | b"NetConnection.Connect.IdleTimeout" => Self::Shutdown(refusal),
            _ => Self::Rejected(refusal),
        }
    }
}

const PLAIN_REDIRECT: &str = "redirected from rtmps:// to unencrypted rtmp://, which is not followed";

/// A server's own words, or ours about a redirect that is not followed: status code and description, each at most 200 bytes, without
/// control characters, secrets replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub code: String,
    pub description: String,
    /// The server says to go elsewhere, to a place where a stream could not be followed.
    pub redirects: bool,
}

impl Refusal {
    pub(super) fn new(info: &Info<'_>, url: &StreamUrl) -> Self {
        Self {
            code: redact(info.code, url),
            description: redact(info.description, url),
            redirects: info.redirect.is_some(),
        }
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
    let secrets = hidden_texts(url);
    let mut shown = String::new();
    let mut at = 0;
    while let Some((before, rest)) = text.split_at_checked(at).filter(|(_, rest)| !rest.is_empty()) {
        let secret = secrets.iter().filter_map(|secret| length_at_start(before, rest, secret.as_bytes())).max();
        let length = secret.or(rest.chars().next().map(char::len_utf8)).unwrap_or(1);
        let piece = if secret.is_some() { "***" } else { rest.get(..length).unwrap_or_default() };
        // Cut after redaction: a cut before it could leave a part of a secret that is not recognised.
        if shown.len() + piece.len() > MAX_TEXT {
            break;
        }
        shown.push_str(piece);
        at += length;
    }
    shown
}

/// The secrets of a URL, also as a server may have decoded them (URL Standard, 5.1: `+` in a query is a space).
fn hidden_texts(url: &StreamUrl) -> Vec<String> {
    let decoded = |secret: &str| percent_decode_str(secret).decode_utf8_lossy().into_owned();
    let forms = |s: &str| [s.to_owned(), decoded(s), decoded(&s.replace('+', " "))];
    let mut texts: Vec<_> = url.secrets().into_iter().flat_map(forms).collect();
    // As the text they are looked for in.
    texts.iter_mut().for_each(|text| text.retain(|c| !c.is_control()));
    texts.retain(|text| !text.is_empty());
    texts.sort_unstable();
    texts.dedup();
    texts
}

/// How many bytes `secret`, or a telling start of it, takes at the start of `rest`, which follows `before`.
fn length_at_start(before: &str, rest: &str, secret: &[u8]) -> Option<usize> {
    let plain = rest.bytes().zip(secret).take_while(|(a, b)| a.eq_ignore_ascii_case(b)).count();
    let (matched, mut length) = [(plain, plain), escaped_match(rest.as_bytes(), secret)].into_iter().max()?;
    if matched < secret.len() {
        if matched < TELLING_START {
            return None;
        }
        // A character of which only a part belongs to the start goes with it.
        while !rest.is_char_boundary(length) {
            length += 1;
        }
    } else if secret.len() < SHORTEST_ANYWHERE {
        let is_word = |c: &char| c.is_alphanumeric() || *c == '_';
        let before = if ends_with_escape(before.as_bytes()) { None } else { before.chars().next_back() };
        let after = rest.get(length..).unwrap_or_default().chars().next();
        if [before, after].iter().flatten().any(is_word) {
            return None;
        }
    }
    Some(length)
}

/// How many bytes of `secret` stand at the start of `text`, in whatever case, any of them as `%XX`, and how many bytes that takes.
fn escaped_match(text: &[u8], secret: &[u8]) -> (usize, usize) {
    let mut rest = text;
    for (matched, byte) in secret.iter().enumerate() {
        let (found, length) = unescape(rest).map_or_else(|| (rest.first().copied(), 1), |b| (Some(b), 3));
        match (found, rest.get(length..)) {
            (Some(found), Some(after)) if found.eq_ignore_ascii_case(byte) => rest = after,
            _ => return (matched, text.len() - rest.len()),
        }
    }
    (secret.len(), text.len() - rest.len())
}

/// The byte that a `%XX` at the start of `text` stands for.
fn unescape(text: &[u8]) -> Option<u8> {
    let digits = text.strip_prefix(b"%")?.first_chunk::<2>()?;
    u8::from_str_radix(str::from_utf8(digits).ok()?, 16).ok()
}

/// Then the text's last letter is none, whatever it is.
fn ends_with_escape(text: &[u8]) -> bool {
    text.last_chunk::<3>().is_some_and(|end| unescape(end).is_some())
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
    if target.credentials().is_some() {
        return None;
    }
    // Host and application will be shown, more than our own URL shows they may not give away. Short values (`u=1`) are part of many an
    // honest name: those count only as a whole path segment.
    let [shown, own] = [&target, url].map(|u| u.to_string().to_ascii_lowercase());
    let leaks = hidden_texts(url).iter().map(|secret| secret.to_ascii_lowercase()).any(|secret| {
        let found = secret.len() >= 8 && shown.contains(&secret) || shown.split('/').any(|part| part == secret);
        found && !own.contains(&secret)
    });
    // Whoever has the credentials' challenge can guess at them: another host does not get to ask.
    let target = if target.host() == url.host() { target.with_credentials_of(url) } else { target };
    (!leaks).then_some(target)
}

/// Where a reconnect request wants the stream of `url` to be played on: `reference` resolved against its `tcUrl` (RFC 3986, 5.2), or the
/// same place where it is empty. `None` if that is no place to go to, or one without the encryption of the present one.
pub(super) fn moved_target(reference: &[u8], url: &StreamUrl) -> Option<StreamUrl> {
    let reference = str::from_utf8(reference).ok()?;
    if reference.is_empty() {
        return Some(url.clone());
    }
    let base = url.tc_url();
    let (scheme, rest) = base.split_once("://")?;
    let rest = rest.split('?').next()?;
    let (authority, path) = rest.split_once('/')?;
    let resolved = if reference.contains("://") {
        reference.to_owned()
    } else if let Some(authority) = reference.strip_prefix("//") {
        format!("{scheme}://{authority}")
    } else if let Some(path) = reference.strip_prefix('/') {
        format!("{scheme}://{authority}/{path}")
    } else {
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        let separator = if folder.is_empty() { "" } else { "/" };
        format!("{scheme}://{authority}/{folder}{separator}{reference}")
    };
    let target = redirect_target(Redirect::Either(resolved.as_bytes()), url)?;
    (target.is_secure() || !url.is_secure()).then_some(target)
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
    fn whatever_part_of_the_url_a_server_names_is_hidden() {
        for (url, said, shown) in [
            (
                "rtmp://h/app/SEGSECRET/cam",
                "application app/SEGSECRET is not known",
                "application app/*** is not known",
            ),
            ("rtmp://h/live/cam?BARETOKEN", "denied: BARETOKEN", "denied: ***"),
            ("rtmp://h/live/cam?token=AB%2FCD%3D", "bad token AB/CD=", "bad token ***"),
            ("rtmp://h/live/cam?token=two+words", "bad token 'two words'", "bad token '***'"),
            ("rtmp://h/live/cam?token=AB%00CD%0A&x=%01", "bad token AB\0CD\n!", "bad token ***!"),
            ("rtmp://h/live/site%2FKEYPART", "KEYPART is not published", "*** is not published"),
            // Some servers cut what they echo.
            ("rtmp://h/live/S3CRETKEY-0123456789", "no S3CRETKEY-01... here", "no ***... here"),
            ("rtmp://h/live/S3CRETKEY-0123456789", "no S3CRETK here", "no S3CRETK here"),
            ("rtmp://h/live/S3CRET%20KEY-0123456789", "no s3cret%20key%2D012 here", "no *** here"),
            ("rtmp://h/live/ééééé", "no éééé\u{e8}! here", "no ***! here"),
        ] {
            let url = StreamUrl::parse(url).unwrap();
            assert_eq!(redact(said.as_bytes(), &url), shown, "{url}");
        }
    }

    #[test]
    fn a_short_value_is_hidden_as_a_word_only() {
        let url = StreamUrl::parse("rtmp://h/live/cam?a=1&u=ab").unwrap();
        for (said, shown) in [
            ("10 of 21 players, id 0x1f, about Abel", "10 of 21 players, id 0x1f, about Abel"),
            ("a=1, u='AB'. (1)", "a=***, u='***'. (***)"),
            ("camera 12, cam-1 cam", "camera 12, ***-*** ***"),
            ("live%2Fcam%3Fa=%31", "live%2F***%3Fa=***"),
            ("1", "***"),
        ] {
            assert_eq!(redact(said.as_bytes(), &url), shown);
        }
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
        let escaped = StreamUrl::parse("rtmp://h/live/cam?token=LONGER%2DSECRET").unwrap();
        assert_eq!(redirect_target(Redirect::Either(b"rtmp://other/LONGER-SECRET/x"), &escaped), None);
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

    #[test]
    fn a_reconnect_request_may_name_a_place_relative_to_this_one() {
        let ours = StreamUrl::parse("rtmp://h:1936/app/inst/S3CRETKEY?token=T0KENVALUE").unwrap();
        for (reference, shown, app) in [
            ("", "rtmp://h:1936/app/***", "app/inst"),
            ("rtmp://other/edge", "rtmp://other:1935/edge/***", "edge"),
            ("rtmps://other/edge", "rtmps://other:443/edge/***", "edge"),
            ("//192.0.2.0/edge", "rtmp://192.0.2.0:1935/edge/***", "edge"),
            ("/edge", "rtmp://h:1936/edge/***", "edge"),
            ("edge", "rtmp://h:1936/app/***", "app/edge"),
        ] {
            let target = moved_target(reference.as_bytes(), &ours).unwrap();
            assert_eq!((target.to_string().as_str(), target.app()), (shown, app), "{reference}");
            assert_eq!(target.key(), ours.key(), "{reference}");
        }
        let secure = StreamUrl::parse("rtmps://h/app/S3CRETKEY").unwrap();
        assert_eq!(moved_target(b"/edge", &secure).unwrap().to_string(), "rtmps://h:443/edge/***");
        assert_eq!(moved_target(b"rtmp://h/edge", &secure), None);
        for bad in [&b"http://h/edge"[..], b"//", b"\xff", b"rtmp://u:p@h/edge", b"rtmp://S3CRETKEY.example/edge"] {
            assert_eq!(moved_target(bad, &ours), None, "{bad:?}");
        }
        let known = StreamUrl::parse("rtmp://user:password@h/app/cam").unwrap();
        assert_eq!(moved_target(b"/edge", &known).unwrap().credentials(), known.credentials());
        assert_eq!(moved_target(b"//other/edge", &known).unwrap().credentials(), None);
    }

    #[test]
    fn a_redirect_does_not_take_the_encryption_away() {
        let plain = StreamUrl::parse("rtmp://h/live/S3CRETKEY").unwrap();
        let secure = StreamUrl::parse("rtmps://h/live/S3CRETKEY").unwrap();
        let refused = |target: &'static [u8], url| {
            let info = Info {
                level: b"error",
                code: b"NetConnection.Connect.Rejected",
                description: b"moved",
                redirect: Some(Redirect::Either(target)),
                tc_url: b"",
            };
            SessionError::refused(&info, url)
        };
        let down = refused(b"rtmp://other/edge", &secure);
        assert_eq!(down.cause(), DownCause::Rejected);
        assert_eq!(
            down.to_string(),
            "rejected: NetConnection.Connect.Rejected (redirected from rtmps:// to unencrypted rtmp://, which is not followed)"
        );
        for (target, url) in
            [(&b"rtmps://other/edge"[..], &secure), (b"rtmps://other/edge", &plain), (b"rtmp://other/edge", &plain)]
        {
            assert!(matches!(refused(target, url), SessionError::Redirect { .. }), "{url}");
        }
    }
}
