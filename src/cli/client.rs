//! A few words of HTTP to a running monitor, with blocking sockets: commands that a load balancer starts every second have no time for a
//! runtime.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use crate::model::address::{WebScheme, WebUrl};
use crate::model::clock::Clock;

/// Longest answer that is read.
const LONGEST_ANSWER: usize = 64 * 1024 * 1024;

/// Where a monitor answers: `http://host:port` or `unix:/path/of/socket`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    Http { host: String, port: u16 },
    Unix(PathBuf),
}

impl Place {
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if let Some(path) = text.strip_prefix("unix:") {
            return if path.is_empty() {
                Err("the path of the socket is missing")
            } else {
                Ok(Self::Unix(path.into()))
            };
        }
        let expected = "expected http://host:port or unix:PATH";
        let url = WebUrl::parse(text).map_err(|_| expected)?;
        if url.scheme != WebScheme::Http || url.path() != "/" || url.credentials().is_some() {
            return Err(expected);
        }
        // Resolving wants an IPv6 address without brackets.
        let host = url.address.host.to_string();
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        Ok(Self::Http { host, port: url.address.port })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Http { host, port } => write!(f, "{host}:{port}"),
            Self::Unix(path) => write!(f, "{}", path.display()),
        }
    }
}

/// What to send.
#[derive(Clone, Copy)]
pub struct Request<'r> {
    pub method: &'static str,
    /// Starts with `/`, needs no escaping.
    pub path: &'r str,
    pub token: Option<&'r str>,
    /// JSON.
    pub body: Option<&'r str>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub body: Vec<u8>,
}

/// Asks once, and waits for the whole answer until `patience` is over. Resolving a name is beyond that.
///
/// # Errors
/// No connection, no answer in time, or none that is HTTP.
pub fn ask(place: &Place, request: Request<'_>, patience: Duration) -> io::Result<Answer> {
    let clock = Clock::new();
    let end = clock.now() + patience;
    let left = || {
        let left = end.saturating_duration_since(clock.now());
        if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
    };
    let mut wire: Box<dyn Wire> = match place {
        Place::Unix(path) => Box::new(UnixStream::connect(path)?),
        Place::Http { host, port } => Box::new(connect(host, *port, &left)?),
    };
    let body = request.body.unwrap_or_default();
    let mut text = format!("{} {} HTTP/1.1\r\nHost: {place}\r\nConnection: close\r\n", request.method, request.path);
    if let Some(token) = request.token {
        text.push_str(&format!("Authorization: Bearer {token}\r\n"));
    }
    if request.body.is_some() {
        text.push_str(&format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len()));
    }
    text.push_str("\r\n");
    text.push_str(body);
    wire.wait_at_most(left()?)?;
    wire.write_all(text.as_bytes())?;

    let mut answer = Vec::new();
    let mut piece = [0; 16 * 1024];
    loop {
        if let Some(answer) = Answer::parse(&answer)? {
            return Ok(answer);
        }
        wire.wait_at_most(left()?)?;
        let read = match wire.read(&mut piece) {
            // What a socket says when its time is over.
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Err(io::ErrorKind::TimedOut.into()),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            read => read?,
        };
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        answer.extend_from_slice(piece.get(..read).unwrap_or_default());
        if answer.len() > LONGEST_ANSWER {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the answer is too long"));
        }
    }
}

fn connect(host: &str, port: u16, left: &dyn Fn() -> io::Result<Duration>) -> io::Result<TcpStream> {
    let mut failed = io::Error::from(io::ErrorKind::NotFound);
    for address in (host, port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, left()?) {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

trait Wire: Read + Write {
    fn wait_at_most(&self, left: Duration) -> io::Result<()>;
}

impl Wire for TcpStream {
    fn wait_at_most(&self, left: Duration) -> io::Result<()> {
        self.set_read_timeout(Some(left)).and_then(|()| self.set_write_timeout(Some(left)))
    }
}

impl Wire for UnixStream {
    fn wait_at_most(&self, left: Duration) -> io::Result<()> {
        self.set_read_timeout(Some(left)).and_then(|()| self.set_write_timeout(Some(left)))
    }
}

impl Answer {
    /// The answer once it is whole. A monitor says how long each is.
    fn parse(raw: &[u8]) -> io::Result<Option<Self>> {
        let foreign = || io::Error::new(io::ErrorKind::InvalidData, "that is no monitor's answer");
        let Some(end) = raw.windows(4).position(|w| w == b"\r\n\r\n") else { return Ok(None) };
        let head = raw.get(..end).and_then(|head| std::str::from_utf8(head).ok()).ok_or_else(foreign)?;
        let mut lines = head.split("\r\n");
        let mut first = lines.next().unwrap_or_default().split(' ');
        let is_http = first.next().is_some_and(|version| version.starts_with("HTTP/1."));
        let status = first.next().and_then(|s| s.parse().ok()).filter(|_| is_http).ok_or_else(foreign)?;
        let named = |line: &&str| line.get(..15).is_some_and(|name| name.eq_ignore_ascii_case("content-length:"));
        let length = lines.find(named).and_then(|line| line.get(15..)?.trim().parse::<usize>().ok());
        // Without a length there is no body, as after a DELETE.
        let body = raw.get(end + 4..).unwrap_or_default();
        Ok(body.get(..length.unwrap_or(0)).map(|body| Self { status, body: body.to_owned() }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_urls_without_more() {
        let http = |host: &str, port| Ok(Place::Http { host: host.into(), port });
        assert_eq!(Place::parse("http://10.0.0.1:9937"), http("10.0.0.1", 9937));
        assert_eq!(Place::parse("http://[::1]:9937/"), http("::1", 9937));
        assert_eq!(Place::parse("unix:/run/x.sock"), Ok(Place::Unix("/run/x.sock".into())));
        for bad in ["", "unix:", "https://h", "http://h/x", "http://u:p@h", "h:1", "ws://h"] {
            assert!(Place::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn answers_are_read_whole_or_not_at_all() {
        let whole = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 2\r\n\r\n{}";
        for cut in 0..whole.len() {
            assert_eq!(Answer::parse(&whole[..cut]).unwrap(), None);
        }
        assert_eq!(Answer::parse(whole).unwrap(), Some(Answer { status: 503, body: b"{}".to_vec() }));
        let bare = Answer::parse(b"HTTP/1.1 204 No Content\r\ndate: x\r\n\r\n").unwrap();
        assert_eq!(bare, Some(Answer { status: 204, body: vec![] }));
        for foreign in [&b"SSH-2.0\r\n\r\n"[..], b"HTTP/1.1 x\r\n\r\n", b"\xff\r\n\r\n"] {
            assert!(Answer::parse(foreign).is_err());
        }
    }
}
