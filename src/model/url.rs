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
//! The last `/` separates application and key; [`StreamUrl::with_app`] overrides that for keys with slashes and for other
//! queries of applications. Percent-escapes in path and credentials are decoded, the query is passed on as it is.

use std::fmt;
use std::sync::Arc;

pub use super::address::Host;
use super::address::parse_authority;

/// Longest accepted URL in bytes.
pub const MAX_URL: usize = 2048;

/// A validated stream URL. `Debug` and `Display` never show the key, the query or a lone application name.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct StreamUrl {
    inner: Arc<Parts>,
}

#[derive(PartialEq, Eq, Hash)]
struct Parts {
    secure: bool,
    host: Host,
    port: u16,
    app: String,
    key: String,
    /// User and password, neither empty.
    credentials: Option<(String, String)>,
}

/// Parameters that name or open an application, in front of the key: SRS ("RTMP URL/Vhost", ossrs/srs#1059) and Nimble Streamer
/// (WMSAuth; an example: pili-engineering/PLDroidPlayer#83).
const OF_APPLICATIONS: [&str; 2] = ["vhost=", "wmsAuthSign="];

/// Why a text is no stream URL. Never quotes the text: it may hold a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UrlError {
    TooLong,
    Scheme,
    WebScheme,
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
            Self::WebScheme => "the URL must start with http://, https://, ws:// or wss://",
            Self::UserInfo => {
                "credentials must be user:password@ in front of the host of an RTMP URL, special characters percent-encoded"
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

    fn parse_parts(text: &str, given_app: Option<&str>) -> Result<Self, UrlError> {
        if text.len() > MAX_URL {
            return Err(UrlError::TooLong);
        }
        if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err(UrlError::ControlCharacter);
        }
        let (scheme, rest) = text.split_once("://").ok_or(UrlError::Scheme)?;
        let secure = match scheme.to_ascii_lowercase().as_str() {
            "rtmp" => false,
            "rtmps" => true,
            _ => return Err(UrlError::Scheme),
        };
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
        let port = port.unwrap_or(if secure { 443 } else { 1935 });
        Ok(Self { inner: Arc::new(Parts { secure, host, port, app, key, credentials }) })
    }

    /// Whether the scheme is `rtmps`.
    pub fn is_secure(&self) -> bool {
        self.inner.secure
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
        let Parts { secure, ref host, port, ref app, ref key, .. } = *self.inner;
        let (host, app, key) = (host.clone(), app.clone(), key.clone());
        let credentials = other.inner.credentials.clone();
        Self { inner: Arc::new(Parts { secure, host, port, app, key, credentials }) }
    }

    /// The `tcUrl` of the connect command: scheme, host, port unless it is the default one, application. Secret.
    pub fn tc_url(&self) -> String {
        let p = &*self.inner;
        let (scheme, default) = if p.secure { ("rtmps", 443) } else { ("rtmp", 1935) };
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
        if key.is_empty() { app } else { format!("{app}/{key}") }
    }

    /// Host and port, which name the origin: `10.0.0.11:1935`.
    pub fn origin(&self) -> String {
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
        let scheme = if p.secure { "rtmps" } else { "rtmp" };
        write!(f, "{scheme}://{}:{}/", p.host, p.port)?;
        match p.app.split(['/', '?']).next() {
            Some(first) if !p.key.is_empty() => write!(f, "{first}/***"),
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
