//! Where checks go: hosts, addresses with a port, and web URLs.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use super::closed_enum;
use super::url::{MAX_URL, UrlError};

/// Where a URL points.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Host {
    Name(String),
    Address(IpAddr),
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Address(IpAddr::V6(a)) => write!(f, "[{a}]"),
            Self::Address(a) => write!(f, "{a}"),
        }
    }
}

/// A host and a port: `10.0.0.11:1935`, `media.example:443`, `[2001:db8::1]:80`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Address {
    pub host: Host,
    pub port: u16,
}

impl Address {
    /// Parses `text`; without a port in it, `default_port` is meant. A bare IPv6 address needs no brackets then.
    pub fn parse(text: &str, default_port: Option<u16>) -> Result<Self, UrlError> {
        if let Ok(address) = text.parse::<Ipv6Addr>() {
            return default_port.map(|port| Self { host: Host::Address(address.into()), port }).ok_or(UrlError::Port);
        }
        let (host, port) = parse_authority(text)?;
        Ok(Self { host, port: port.or(default_port).ok_or(UrlError::Port)? })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

impl Host {
    /// Parses a host name or an IP address, without a port.
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self::Address(address));
        }
        match parse_authority(text)? {
            (host, None) => Ok(host),
            (_, Some(_)) => Err(UrlError::Host),
        }
    }
}

closed_enum! {
    /// What a [`WebUrl`] speaks.
    WebScheme {
        Http = "http",
        Https = "https",
        Ws = "ws",
        Wss = "wss",
    }
}

impl WebScheme {
    pub const fn is_secure(self) -> bool {
        matches!(self, Self::Https | Self::Wss)
    }
}

/// An `http://`, `https://`, `ws://` or `wss://` URL. `Debug` and `Display` show scheme, host and port alone: a path, a query and
/// credentials may be secret.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct WebUrl {
    pub scheme: WebScheme,
    pub address: Address,
    /// Path and query as written, at least `/`.
    path: Arc<str>,
    /// `user:password`, percent-escapes as written.
    credentials: Option<Arc<str>>,
}

impl WebUrl {
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        if text.len() > MAX_URL {
            return Err(UrlError::TooLong);
        }
        if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err(UrlError::ControlCharacter);
        }
        if text.contains('#') {
            return Err(UrlError::Fragment);
        }
        let (scheme, rest) = text.split_once("://").ok_or(UrlError::WebScheme)?;
        let scheme = WebScheme::from_text(&scheme.to_ascii_lowercase()).ok_or(UrlError::WebScheme)?;
        let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let (credentials, authority) = match authority.rsplit_once('@') {
            Some((credentials, authority)) => (Some(credentials.into()), authority),
            None => (None, authority),
        };
        let address = Address::parse(authority, Some(if scheme.is_secure() { 443 } else { 80 }))?;
        let path = if path.starts_with('/') { path.into() } else { format!("/{path}").into() };
        Ok(Self { scheme, address, path, credentials })
    }

    /// Path and query: to send, never to print.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// `user:password`: to send, never to print.
    pub fn credentials(&self) -> Option<&str> {
        self.credentials.as_deref()
    }

    /// The same place with another path and query, which must start with `/`.
    pub fn with_path(&self, path: &str) -> Self {
        Self { path: path.into(), ..self.clone() }
    }

    /// The URL without credentials: to send, never to print.
    pub fn expose(&self) -> String {
        format!("{}://{}{}", self.scheme, self.address, self.path)
    }
}

impl fmt::Display for WebUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme, self.address)
    }
}

impl fmt::Debug for WebUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WebUrl({self}/…)")
    }
}

pub(super) fn parse_authority(authority: &str) -> Result<(Host, Option<u16>), UrlError> {
    if authority.contains('@') {
        return Err(UrlError::UserInfo);
    }
    let (host, port) = if let Some(rest) = authority.strip_prefix('[') {
        let (address, rest) = rest.split_once(']').ok_or(UrlError::Host)?;
        let address: Ipv6Addr = address.parse().map_err(|_| UrlError::Host)?;
        let port = match rest.strip_prefix(':') {
            Some(port) => Some(port),
            None if rest.is_empty() => None,
            None => return Err(UrlError::Host),
        };
        (Host::Address(address.into()), port)
    } else {
        let (host, port) = match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        };
        (parse_host(host)?, port)
    };
    let port = match port {
        Some(text) if text.bytes().all(|b| b.is_ascii_digit()) => match text.parse::<u16>() {
            Ok(port) if port > 0 => Some(port),
            _ => return Err(UrlError::Port),
        },
        Some(_) => return Err(UrlError::Port),
        None => None,
    };
    Ok((host, port))
}

fn parse_host(text: &str) -> Result<Host, UrlError> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(Host::Address(address));
    }
    let valid = !text.is_empty()
        && text.len() <= 253
        && text.trim_end_matches('.').split('.').all(|label| {
            !label.is_empty()
                && label.len() <= 63
                && !label.starts_with('-')
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        });
    // Four numbers with a wrong value are a typing error, not a host name.
    let looks_numeric = text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    if valid && !looks_numeric { Ok(Host::Name(text.to_ascii_lowercase())) } else { Err(UrlError::Host) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_read_and_print() {
        for (text, default, printed) in [
            ("10.0.0.11:1935", None, "10.0.0.11:1935"),
            ("Media.Example", Some(443), "media.example:443"),
            ("[2001:db8::1]:80", None, "[2001:db8::1]:80"),
            ("2001:db8::1", Some(80), "[2001:db8::1]:80"),
        ] {
            assert_eq!(Address::parse(text, default).unwrap().to_string(), printed);
        }
        for (bad, default) in [("host", None), ("host:0", None), ("", Some(1)), ("u@h:1", None), ("1.2.3:4", None)] {
            assert!(Address::parse(bad, default).is_err(), "{bad}");
        }
    }

    #[test]
    fn web_urls_read_and_hide_what_may_be_secret() {
        let url = WebUrl::parse("HTTPS://user:pa55@media.example/stat?key=s3cret").unwrap();
        assert_eq!((url.path(), url.credentials()), ("/stat?key=s3cret", Some("user:pa55")));
        assert_eq!(url.expose(), "https://media.example:443/stat?key=s3cret");
        assert_eq!(format!("{url} {url:?}"), "https://media.example:443 WebUrl(https://media.example:443/…)");
        assert_eq!(WebUrl::parse("http://h").unwrap().path(), "/");
        assert_eq!(WebUrl::parse("ws://[::1]:81?x").unwrap().expose(), "ws://[::1]:81/?x");
        for bad in ["ftp://h/", "h/", "http://", "http://h/#x", "http://h h/"] {
            assert!(WebUrl::parse(bad).is_err(), "{bad}");
        }
    }
}
