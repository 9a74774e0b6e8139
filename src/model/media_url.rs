//! URLs of what libav plays: RTSP, SRT, HLS and other HTTP, MPEG-TS over UDP, files.

use std::net::{IpAddr, Ipv4Addr};

use super::address::{Host, parse_authority};
use super::closed_enum;
use super::url::{MAX_URL, UrlError};

closed_enum! {
    /// How a stream is fetched.
    Scheme {
        Rtmp = "rtmp",
        Rtmps = "rtmps",
        Rtsp = "rtsp",
        Rtsps = "rtsps",
        Srt = "srt",
        Http = "http",
        Https = "https",
        Udp = "udp",
        File = "file",
    }
}

impl Scheme {
    /// Whether there is a native player.
    pub const fn is_rtmp(self) -> bool {
        matches!(self, Self::Rtmp | Self::Rtmps)
    }

    pub const fn is_rtsp(self) -> bool {
        matches!(self, Self::Rtsp | Self::Rtsps)
    }

    /// Whether a TCP connection to the URL's host is at its beginning.
    pub const fn is_tcp(self) -> bool {
        !matches!(self, Self::Srt | Self::Udp | Self::File)
    }

    /// Whether it runs over TLS.
    pub const fn is_secure(self) -> bool {
        matches!(self, Self::Rtmps | Self::Rtsps | Self::Https)
    }

    const fn default_port(self) -> Option<u16> {
        match self {
            Self::Rtmp => Some(1935),
            Self::Rtmps | Self::Https => Some(443),
            Self::Rtsp => Some(554),
            Self::Rtsps => Some(322),
            Self::Http => Some(80),
            Self::Srt | Self::Udp => None,
            Self::File => Some(0),
        }
    }
}

/// What such a URL says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct MediaUrl {
    pub scheme: Scheme,
    pub host: Host,
    pub port: u16,
    /// Path and query as written, without the first slash.
    pub path: String,
    /// As written, neither empty.
    pub credentials: Option<(String, String)>,
}

/// Takes `text` apart. A missing host means any address of this machine (to listen at), a file is on `localhost`.
pub(super) fn parse(text: &str) -> Result<MediaUrl, UrlError> {
    if text.len() > MAX_URL {
        return Err(UrlError::TooLong);
    }
    if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err(UrlError::ControlCharacter);
    }
    let (scheme, rest) = text.split_once(':').ok_or(UrlError::MediaScheme)?;
    let scheme = Scheme::from_text(&scheme.to_ascii_lowercase()).ok_or(UrlError::MediaScheme)?;
    if scheme == Scheme::File {
        let path = rest.strip_prefix("//").unwrap_or(rest);
        let path = path.strip_prefix('/').filter(|path| !path.is_empty()).ok_or(UrlError::FilePath)?;
        return Ok(MediaUrl {
            scheme,
            host: Host::Name("localhost".into()),
            port: 0,
            path: path.into(),
            credentials: None,
        });
    }
    let rest = rest.strip_prefix("//").ok_or(UrlError::MediaScheme)?;
    if rest.contains('#') {
        return Err(UrlError::Fragment);
    }
    let is_playlist = || rest.split('?').next().is_some_and(|path| path.to_ascii_lowercase().ends_with(".m3u8"));
    if matches!(scheme, Scheme::Http | Scheme::Https) && !is_playlist() {
        return Err(UrlError::Playlist);
    }
    let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let (credentials, authority) = match authority.rsplit_once('@') {
        // `udp://@239.0.0.1:5000`, as VLC writes multicast.
        Some(("", authority)) => (None, authority),
        Some((credentials, authority)) => (Some(credentials), authority),
        None => (None, authority),
    };
    let credentials = match credentials.map(|credentials| credentials.split_once(':')) {
        None => None,
        Some(Some((user, password))) if !user.is_empty() && !password.is_empty() => {
            Some((user.into(), password.into()))
        }
        Some(_) => return Err(UrlError::UserInfo),
    };
    let listens = matches!(scheme, Scheme::Srt | Scheme::Udp) && authority.starts_with(':');
    let (host, port) = if listens {
        let (_, port) = parse_authority(&format!("0.0.0.0{authority}"))?;
        (Host::Address(IpAddr::V4(Ipv4Addr::UNSPECIFIED)), port)
    } else {
        parse_authority(authority)?
    };
    let port = port.or(scheme.default_port()).ok_or(UrlError::Port)?;
    Ok(MediaUrl { scheme, host, port, path: path.strip_prefix('/').unwrap_or(path).into(), credentials })
}
