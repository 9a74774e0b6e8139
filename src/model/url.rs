//! `rtmp://` and `rtmps://` URLs, in the forms cameras, encoders and servers use.
//!
//! | form | application | stream key |
//! |---|---|---|
//! | `rtmp://host/live/cam` | `live` | `cam` |
//! | `rtmp://host/NAME` (as many cameras push) | `NAME` | empty |
//! | `rtmp://host/app/instance/cam` | `app/instance` | `cam` |
//! | `rtmp://host/live/cam?token=t` | `live` | `cam?token=t` |
//! | `rtmp://host/live?vhost=v/cam` (SRS) | `live?vhost=v` | `cam` |
//! | `rtmp://host/live?wmsAuthSign=s/cam` (Nimble) | `live?wmsAuthSign=s` | `cam` |
//! | `rtmp://user:password@host/live/cam` | `live` | `cam` |
//!
//! and of the other things that libav plays (`media_url`), which have a path in place of application and key.
//!
//! The last `/` separates application and key; [`StreamUrl::with_app`] overrides that for keys with slashes and for other
//! queries of applications. Percent-escapes in path and credentials are decoded, the query is passed on as it is.

use std::fmt;
use std::sync::Arc;

pub use super::address::Host;
use super::address::parse_authority;
use super::media_url::{self, Scheme};

/// Longest accepted URL in bytes.
pub const MAX_URL: usize = 2048;

/// A validated stream URL. `Debug` and `Display` never show the key, the query or a lone application name.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct StreamUrl {
    inner: Arc<Parts>,
}

#[derive(PartialEq, Eq, Hash)]
struct Parts {
    scheme: Scheme,
    host: Host,
    port: u16,
    app: String,
    key: String,
    /// User and password, neither empty.
    credentials: Option<(String, String)>,
    /// All of it as written, where it is no RTMP URL.
    text: Option<String>,
}

/// Parameters that name or open an application, in front of the key: SRS ("RTMP URL/Vhost", ossrs/srs#1059) and Nimble Streamer
/// (WMSAuth; an example: pili-engineering/PLDroidPlayer#83).
const OF_APPLICATIONS: [&str; 2] = ["vhost=", "wmsAuthSign="];

/// Why a text is no stream URL. Never quotes the text: it may hold a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UrlError {
    TooLong,
    Scheme,
    MediaScheme,
    WebScheme,
    FilePath,
    Playlist,
    UserInfo,
    Host,
    Port,
    MissingApp,
    Escape,
    ControlCharacter,
    Fragment,
    AppMismatch,
}

impl fmt::Display for UrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLong => "the URL is longer than 2048 bytes",
            Self::Scheme => "the URL must start with rtmp:// or rtmps://",
            Self::MediaScheme => {
                "the URL must start with rtmp://, rtmps://, rtsp://, rtsps://, srt://, http://, https://, udp:// or file:"
            }
            Self::Playlist => "a web URL must be that of a playlist: http://host/name.m3u8",
            Self::FilePath => "the URL of a file must have an absolute path: file:/path",
            Self::WebScheme => "the URL must start with http://, https://, ws:// or wss://",
            Self::UserInfo => {
                "credentials must be user:password@ in front of the host, special characters percent-encoded"
            }
            Self::Host => "the URL's host is missing or invalid",
            Self::Port => "the URL's port must be a number from 1 to 65535",
            Self::MissingApp => "the URL needs an application: rtmp://host/app or rtmp://host/app/key",
            Self::Escape => "the URL's path has an invalid percent-escape",
            Self::ControlCharacter => "the URL has white space or a control character",
            Self::Fragment => "the URL has a fragment (#); write %23 for a literal #",
            Self::AppMismatch => "the URL's path does not start with the given application",
        })
    }
}

impl std::error::Error for UrlError {}

impl StreamUrl {
    /// Parses `text`; the last `/` of the path separates application and key.
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        Self::parse_parts(text, None)
    }

    /// Parses `text`, taking `app` as the application and the rest of the path as the key.
    pub fn with_app(text: &str, app: &str) -> Result<Self, UrlError> {
        Self::parse_parts(text, Some(app))
    }

    /// Parses the URL of anything that can be watched, RTMP or not.
    pub fn parse_media(text: &str) -> Result<Self, UrlError> {
        let rtmp = |scheme: &str| Scheme::from_text(&scheme.to_ascii_lowercase()).is_some_and(Scheme::is_rtmp);
        if text.split_once("://").is_some_and(|(scheme, _)| rtmp(scheme)) {
            return Self::parse(text);
        }
        let media_url::MediaUrl { scheme, host, port, path, credentials } = media_url::parse(text)?;
        if scheme.is_rtmp() {
            return Err(UrlError::MediaScheme);
        }
        let text = Some(text.to_owned());
        Ok(Self { inner: Arc::new(Parts { scheme, host, port, app: String::new(), key: path, credentials, text }) })
    }

    fn parse_parts(text: &str, given_app: Option<&str>) -> Result<Self, UrlError> {
        if text.len() > MAX_URL {
            return Err(UrlError::TooLong);
        }
        if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err(UrlError::ControlCharacter);
        }
        let (scheme, rest) = text.split_once("://").ok_or(UrlError::Scheme)?;
        let scheme = Scheme::from_text(&scheme.to_ascii_lowercase()).filter(|scheme| scheme.is_rtmp());
        let scheme = scheme.ok_or(UrlError::Scheme)?;
        if rest.contains('#') {
            return Err(UrlError::Fragment);
        }
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, rest) = rest.split_at(end);
        let (credentials, authority) = match authority.rsplit_once('@') {
            Some((credentials, authority)) => (Some(parse_credentials(credentials)?), authority),
            None => (None, authority),
        };
        let (host, port) = parse_authority(authority)?;
        let rest = rest.strip_prefix('/').unwrap_or(rest);
        let (app, app_query, rest) = split_app(rest, given_app)?;
        let (key, query) = match rest.split_once('?') {
            Some((key, query)) => (key, Some(query)),
            None => (rest, None),
        };
        let mut app = decode(app)?;
        let mut key = decode(key)?;
        if app.is_empty() {
            return Err(UrlError::MissingApp);
        }
        if let Some(query) = app_query {
            app = format!("{app}?{query}");
        }
        if let Some(query) = query {
            let target = if key.is_empty() { &mut app } else { &mut key };
            target.push('?');
            target.push_str(query);
        }
        let port = port.unwrap_or(if scheme == Scheme::Rtmps { 443 } else { 1935 });
        Ok(Self { inner: Arc::new(Parts { scheme, host, port, app, key, credentials, text: None }) })
    }

    pub fn scheme(&self) -> Scheme {
        self.inner.scheme
    }

    /// Whether the scheme is `rtmps`.
    pub fn is_secure(&self) -> bool {
        self.inner.scheme == Scheme::Rtmps
    }

    /// All of it, with everything that is secret: for whoever connects.
    pub fn expose(&self) -> String {
        let p = &*self.inner;
        if let Some(text) = &p.text {
            return text.clone();
        }
        let mut text = format!("{}://", p.scheme);
        if let Some((user, password)) = &p.credentials {
            text.push_str(&format!("{user}:{password}@"));
        }
        text.push_str(&format!("{}:{}/{}", p.host, p.port, p.app));
        if !p.key.is_empty() {
            text.push('/');
            text.push_str(&p.key);
        }
        text
    }

    pub fn host(&self) -> &Host {
        &self.inner.host
    }

    pub fn port(&self) -> u16 {
        self.inner.port
    }

    /// Application, decoded; carries the query when the key is empty. Secret when the key is empty.
    pub fn app(&self) -> &str {
        &self.inner.app
    }

    /// Stream key with its query; may be empty. Secret.
    pub fn key(&self) -> &str {
        &self.inner.key
    }

    /// User and password, decoded. Secret.
    pub fn credentials(&self) -> Option<(&str, &str)> {
        self.inner.credentials.as_ref().map(|(user, password)| (user.as_str(), password.as_str()))
    }

    /// The same place, with the credentials of `other`.
    pub fn with_credentials_of(&self, other: &Self) -> Self {
        let Parts { scheme, ref host, port, ref app, ref key, ref text, .. } = *self.inner;
        let (host, app, key, text) = (host.clone(), app.clone(), key.clone(), text.clone());
        let credentials = other.inner.credentials.clone();
        Self { inner: Arc::new(Parts { scheme, host, port, app, key, credentials, text }) }
    }

    /// The `tcUrl` of the connect command: scheme, host, port unless it is the default one, application. Secret.
    pub fn tc_url(&self) -> String {
        let p = &*self.inner;
        let (scheme, default) = (p.scheme, if self.is_secure() { 443 } else { 1935 });
        if p.port == default {
            format!("{scheme}://{}/{}", p.host, p.app)
        } else {
            format!("{scheme}://{}:{}/{}", p.host, p.port, p.app)
        }
    }

    /// Where the stream is published at its server: application and key as one path, without queries. Secret.
    pub fn publication(&self) -> String {
        let path = |text: &str| text.split('?').next().unwrap_or_default().trim_matches('/').to_owned();
        let (app, key) = (path(&self.inner.app), path(&self.inner.key));
        match (app.is_empty(), key.is_empty()) {
            (_, true) => app,
            (true, false) => key,
            (false, false) => format!("{app}/{key}"),
        }
    }

    /// Host and port, which name the origin: `10.0.0.11:1935`; `file` for a file.
    pub fn origin(&self) -> String {
        if self.inner.scheme == Scheme::File {
            return self.inner.scheme.to_string();
        }
        format!("{}:{}", self.inner.host, self.inner.port)
    }

    /// Texts that must never appear in any output, as they stand in the URL (path decoded, query not), each once: the key and the
    /// application behind its first segment, their segments, the query, its values and words, all of an application that stands for
    /// the key, user and password.
    pub fn secrets(&self) -> Vec<&str> {
        let p = &*self.inner;
        let hidden = if p.key.is_empty() {
            [p.app.as_str(), ""]
        } else {
            // What `Display` shows of the application is its first segment.
            [p.key.as_str(), p.app.split_once(['/', '?']).map_or("", |(_, rest)| rest)]
        };
        let mut found: Vec<&str> = Vec::new();
        found.extend(p.credentials.iter().flat_map(|(user, password)| [user.as_str(), password.as_str()]));
        for text in hidden {
            let (path, query) = text.split_once('?').unwrap_or((text, ""));
            let values = query.split('&').chain(text.split(['/', '?', '&'])).map(value);
            for secret in [text, path].into_iter().chain(values) {
                if !secret.is_empty() && !found.contains(&secret) {
                    found.push(secret);
                }
            }
        }
        found
    }
}

/// Takes what follows the host's `/` apart: the application, its query if it has one of its own, the rest.
fn split_app<'t>(text: &'t str, given: Option<&'t str>) -> Result<(&'t str, Option<&'t str>, &'t str), UrlError> {
    let path_end = text.find('?').unwrap_or(text.len());
    let (path, query) = text.split_at(path_end);
    if let Some(given) = given {
        let rest = text.strip_prefix(given).ok_or(UrlError::AppMismatch)?;
        let rest = match rest.strip_prefix('/') {
            Some(rest) => rest,
            None if rest.is_empty() || rest.starts_with('?') => rest,
            None => return Err(UrlError::AppMismatch),
        };
        let (app, query) = given.split_once('?').map_or((given, None), |(app, query)| (app, Some(query)));
        return Ok((app, query, rest));
    }
    let query = query.get(1..).unwrap_or_default();
    // A key's own query may hold slashes.
    let own = query.split('?').next().unwrap_or_default();
    if let (false, Some((own, _))) = (path.contains('/'), own.rsplit_once('/'))
        && own.split('&').any(|pair| OF_APPLICATIONS.iter().any(|name| pair.starts_with(name)))
    {
        let behind = text.len() - query.len() + own.len() + 1;
        return Ok((path, Some(own), text.get(behind..).unwrap_or_default()));
    }
    match path.rfind('/') {
        Some(at) => Ok((path.get(..at).unwrap_or_default(), None, text.get(at + 1..).unwrap_or_default())),
        None => Ok((path, None, text.get(path_end..).unwrap_or_default())),
    }
}

fn parse_credentials(text: &str) -> Result<(String, String), UrlError> {
    let (user, password) = text.split_once(':').ok_or(UrlError::UserInfo)?;
    if user.is_empty() || password.is_empty() || text.contains('@') {
        return Err(UrlError::UserInfo);
    }
    Ok((decode(user)?, decode(password)?))
}

/// What a `name=value` says; a bare word is all value.
fn value(pair: &str) -> &str {
    pair.split_once('=').map_or(pair, |(_, value)| value)
}

fn decode(text: &str) -> Result<String, UrlError> {
    if !text.contains('%') {
        return Ok(text.to_owned());
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || rest.next().and_then(|b| char::from(b).to_digit(16)).ok_or(UrlError::Escape);
        let value = digit()? * 16 + digit()?;
        bytes.push(value as u8);
    }
    let decoded = String::from_utf8(bytes).map_err(|_| UrlError::Escape)?;
    if decoded.chars().any(char::is_control) { Err(UrlError::ControlCharacter) } else { Ok(decoded) }
}

impl fmt::Display for StreamUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let p = &*self.inner;
        if p.scheme == Scheme::File {
            return f.write_str("file:/***");
        }
        write!(f, "{}://{}:{}/", p.scheme, p.host, p.port)?;
        match p.app.split(['/', '?']).next() {
            Some(first) if !p.key.is_empty() && !first.is_empty() => write!(f, "{first}/***"),
            _ => f.write_str("***"),
        }
    }
}

impl fmt::Debug for StreamUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StreamUrl({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_in_the_field() {
        // text, secure, host, port, app, key, tcUrl, shown
        #[rustfmt::skip]
        let table = [
            ("rtmp://h/live/cam", false, "h", 1935, "live", "cam", "rtmp://h/live", "rtmp://h:1935/live/***"),
            ("rtmp://10.0.0.11:1936/NAME", false, "10.0.0.11", 1936, "NAME", "", "rtmp://10.0.0.11:1936/NAME", "rtmp://10.0.0.11:1936/***"),
            ("rtmp://h/live/", false, "h", 1935, "live", "", "rtmp://h/live", "rtmp://h:1935/***"),
            ("RTMPS://H.Example/app/inst/cam", true, "h.example", 443, "app/inst", "cam", "rtmps://h.example/app/inst", "rtmps://h.example:443/app/***"),
            ("rtmp://[::1]:19350/live/cam", false, "[::1]", 19350, "live", "cam", "rtmp://[::1]:19350/live", "rtmp://[::1]:19350/live/***"),
            ("rtmp://[fe80::2]/live/cam", false, "[fe80::2]", 1935, "live", "cam", "rtmp://[fe80::2]/live", "rtmp://[fe80::2]:1935/live/***"),
            ("rtmp://h/live/cam?token=a/b&x=1", false, "h", 1935, "live", "cam?token=a/b&x=1", "rtmp://h/live", "rtmp://h:1935/live/***"),
            ("rtmp://h/NAME?token=t", false, "h", 1935, "NAME?token=t", "", "rtmp://h/NAME?token=t", "rtmp://h:1935/***"),
            ("rtmp://u%40:p%3Aw@h:1936/live/cam", false, "h", 1936, "live", "cam", "rtmp://h:1936/live", "rtmp://h:1936/live/***"),
            ("rtmp://h/live?vhost=v/cam", false, "h", 1935, "live?vhost=v", "cam", "rtmp://h/live?vhost=v", "rtmp://h:1935/live/***"),
            ("rtmp://h/live?a=b&vhost=v/cam?t=x/y", false, "h", 1935, "live?a=b&vhost=v", "cam?t=x/y", "rtmp://h/live?a=b&vhost=v", "rtmp://h:1935/live/***"),
            ("rtmp://h/live?wmsAuthSign=ab/c==/cam", false, "h", 1935, "live?wmsAuthSign=ab/c==", "cam", "rtmp://h/live?wmsAuthSign=ab/c==", "rtmp://h:1935/live/***"),
            ("rtmp://h/live/cam?vhost=v/w", false, "h", 1935, "live", "cam?vhost=v/w", "rtmp://h/live", "rtmp://h:1935/live/***"),
            ("rtmp://h/NAME?token=a/b", false, "h", 1935, "NAME?token=a/b", "", "rtmp://h/NAME?token=a/b", "rtmp://h:1935/***"),
            ("rtmp://h/live/a%20b%2Fc", false, "h", 1935, "live", "a b/c", "rtmp://h/live", "rtmp://h:1935/live/***"),
        ];
        for (text, secure, host, port, app, key, tc_url, shown) in table {
            let url = StreamUrl::parse(text).unwrap_or_else(|e| panic!("{text}: {e}"));
            assert_eq!(url.is_secure(), secure, "{text}");
            assert_eq!(url.host().to_string(), host, "{text}");
            assert_eq!((url.port(), url.app(), url.key()), (port, app, key), "{text}");
            assert_eq!(url.tc_url(), tc_url, "{text}");
            assert_eq!(url.to_string(), shown, "{text}");
        }
    }

    #[test]
    fn a_publication_has_one_path_however_it_is_written() {
        for (text, path) in [
            ("rtmp://h/live/cam?token=a/b", "live/cam"),
            ("rtmp://h/NAME?token=t", "NAME"),
            ("rtmp://h/live/", "live"),
            ("rtmp://h/app/inst/cam", "app/inst/cam"),
        ] {
            assert_eq!(StreamUrl::parse(text).unwrap().publication(), path, "{text}");
        }
        assert_eq!(StreamUrl::with_app("rtmp://h/app/inst/cam", "app").unwrap().publication(), "app/inst/cam");
    }

    #[test]
    fn what_libav_plays() {
        // text, host, port, publication, shown
        #[rustfmt::skip]
        let table = [
            ("rtsp://cam.example/stream1", "cam.example", 554, "stream1", "rtsp://cam.example:554/***"),
            ("RTSP://u:p%40w@10.0.0.9:8554/live/a?x=T0KEN", "10.0.0.9", 8554, "live/a", "rtsp://10.0.0.9:8554/***"),
            ("rtsps://h/a", "h", 322, "a", "rtsps://h:322/***"),
            ("srt://h:9000?streamid=T0KEN&passphrase=S3CRET", "h", 9000, "", "srt://h:9000/***"),
            ("srt://:9000?mode=listener", "0.0.0.0", 9000, "", "srt://0.0.0.0:9000/***"),
            ("https://cdn.example/a/b.m3u8?sig=T0KEN", "cdn.example", 443, "a/b.m3u8", "https://cdn.example:443/***"),
            ("http://[::1]:8080/b.m3u8", "[::1]", 8080, "b.m3u8", "http://[::1]:8080/***"),
            ("udp://@239.0.0.1:5000", "239.0.0.1", 5000, "", "udp://239.0.0.1:5000/***"),
            ("udp://:5000", "0.0.0.0", 5000, "", "udp://0.0.0.0:5000/***"),
            ("file:/srv/a.ts", "localhost", 0, "srv/a.ts", "file:/***"),
            ("file:///srv/a.ts", "localhost", 0, "srv/a.ts", "file:/***"),
        ];
        for (text, host, port, publication, shown) in table {
            let url = StreamUrl::parse_media(text).unwrap_or_else(|e| panic!("{text}: {e}"));
            assert_eq!((url.host().to_string().as_str(), url.port()), (host, port), "{text}");
            assert_eq!((url.publication().as_str(), url.to_string().as_str()), (publication, shown), "{text}");
            assert_eq!(url.expose(), text);
            assert!(!format!("{url:?}{}", url.origin()).contains("T0KEN"), "{text}");
        }
        let url = StreamUrl::parse_media("rtsp://user:PASS@h/live/S3CRET?token=T0KEN").unwrap();
        for secret in ["user", "PASS", "S3CRET", "T0KEN", "live/S3CRET?token=T0KEN"] {
            assert!(url.secrets().contains(&secret), "{secret} of {:?}", url.secrets());
        }
        for (text, error) in [
            ("ftp://h/a", UrlError::MediaScheme),
            ("rtsp:h", UrlError::MediaScheme),
            ("rtmp:/h/live/a", UrlError::MediaScheme),
            ("srt://h", UrlError::Port),
            ("udp://239.0.0.1", UrlError::Port),
            ("rtsp:///a", UrlError::Host),
            ("rtsp://user@h/a", UrlError::UserInfo),
            ("file:a.ts", UrlError::FilePath),
            ("rtsp://h/a b", UrlError::ControlCharacter),
            ("http://h/a.m3u8#b", UrlError::Fragment),
            ("https://h/live/cam", UrlError::Playlist),
            ("https://h/live/cam?a.m3u8", UrlError::Playlist),
        ] {
            assert_eq!(StreamUrl::parse_media(text), Err(error), "{text}");
        }
    }

    #[test]
    fn an_rtmp_url_can_be_written_out_again() {
        for text in ["rtmp://u:p@h:1936/live/cam?token=a/b", "rtmps://h:443/NAME", "rtmp://[::1]:1935/app/inst/cam"] {
            let url = StreamUrl::parse_media(text).unwrap();
            assert_eq!(url.expose(), text);
            assert_eq!(StreamUrl::parse(&url.expose()).unwrap(), url);
        }
    }

    #[test]
    fn an_application_can_be_given() {
        let url = StreamUrl::with_app("rtmp://h/live/site/cam", "live").unwrap();
        assert_eq!((url.app(), url.key()), ("live", "site/cam"));
        assert_eq!(StreamUrl::with_app("rtmp://h/live2/cam", "live"), Err(UrlError::AppMismatch));
        let url = StreamUrl::with_app("rtmp://h/live?token=a/b/cam?x=y", "live?token=a/b").unwrap();
        assert_eq!((url.app(), url.key()), ("live?token=a/b", "cam?x=y"));
        let url = StreamUrl::with_app("rtmp://h/live?token=a/b", "live").unwrap();
        assert_eq!((url.app(), url.key()), ("live?token=a/b", ""));
    }

    #[test]
    fn credentials_are_kept_and_not_shown() {
        let url = StreamUrl::parse("rtmps://user:p%40ss@h/live/cam").unwrap();
        assert_eq!(url.credentials(), Some(("user", "p@ss")));
        assert!(!format!("{url} {url:?} {} {}", url.tc_url(), url.origin()).contains("user"));
        assert_ne!(url, StreamUrl::parse("rtmps://h/live/cam").unwrap());
        assert_eq!(StreamUrl::parse("rtmps://h/live/cam").unwrap().with_credentials_of(&url), url);
    }

    #[test]
    fn refused_forms() {
        for (text, error) in [
            ("http://h/live/cam", UrlError::Scheme),
            ("h/live/cam", UrlError::Scheme),
            ("rtmp://h", UrlError::MissingApp),
            ("rtmp://h/", UrlError::MissingApp),
            ("rtmp://h//key", UrlError::MissingApp),
            ("rtmp:///live/cam", UrlError::Host),
            ("rtmp://10.0.0.300/live/cam", UrlError::Host),
            ("rtmp://-h/live/cam", UrlError::Host),
            ("rtmp://[::1/live/cam", UrlError::Host),
            ("rtmp://h:0/live/cam", UrlError::Port),
            ("rtmp://h:70000/live/cam", UrlError::Port),
            ("rtmp://h:x/live/cam", UrlError::Port),
            ("rtmp://u@h/live/cam", UrlError::UserInfo),
            ("rtmp://:p@h/live/cam", UrlError::UserInfo),
            ("rtmp://u:p@x@h/live/cam", UrlError::UserInfo),
            ("rtmp://u:%0a@h/live/cam", UrlError::ControlCharacter),
            ("rtmp://h/live/c%zz", UrlError::Escape),
            ("rtmp://h/live/c%0a", UrlError::ControlCharacter),
            ("rtmp://h/live/c am", UrlError::ControlCharacter),
            ("rtmp://h/live/cam#1", UrlError::Fragment),
        ] {
            assert_eq!(StreamUrl::parse(text), Err(error), "{text}");
        }
    }

    #[test]
    fn secrets_are_named_and_not_shown() {
        let url = StreamUrl::parse("rtmp://h/live/S3CRET?token=T0KEN&u=1").unwrap();
        for shown in [url.to_string(), format!("{url:?}")] {
            assert!(!shown.contains("S3CRET") && !shown.contains("T0KEN"), "{shown}");
        }
        #[rustfmt::skip]
        let table = [
            ("rtmp://h/live/S3CRET?token=T0KEN&u=1", &["S3CRET?token=T0KEN&u=1", "S3CRET", "T0KEN", "1"][..]),
            ("rtmp://h/app/SEG/cam", &["cam", "SEG"]),
            ("rtmp://h/app/A/B/cam", &["cam", "A/B", "A", "B"]),
            ("rtmp://h/app/SEG/", &["app/SEG", "app", "SEG"]),
            ("rtmp://h/app%3Fx=SEG/cam", &["cam", "x=SEG", "SEG"]),
            ("rtmp://h/live/cam?BARE", &["cam?BARE", "cam", "BARE"]),
            ("rtmp://h/live/cam?BARE&t=a/b=c&empty=", &["cam?BARE&t=a/b=c&empty=", "cam", "BARE", "a/b=c", "a", "c"]),
            ("rtmp://h/live/site%2FPART", &["site/PART", "site", "PART"]),
            ("rtmp://h/NAME?T0KEN", &["NAME?T0KEN", "NAME", "T0KEN"]),
            ("rtmp://user:pa%2Fss@h/live/cam", &["user", "pa/ss", "cam"]),
            ("rtmp://h/live?vhost=v&k=T0KEN/cam", &["cam", "vhost=v&k=T0KEN", "v", "T0KEN"]),
        ];
        for (text, secrets) in table {
            assert_eq!(StreamUrl::parse(text).unwrap().secrets(), secrets, "{text}");
        }
    }
}
