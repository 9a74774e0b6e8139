//! The optional notification WebSocket: a change of status is seen when it happens, not at the next look.
//!
//! It sends [`SUBSCRIBE`] and can send nothing else. It is a help and no more: a WebSocket that fails is tried again later, and no look
//! fails for it.

use std::fmt;
use std::future::pending;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use rustls::ClientConfig;
use serde::Deserialize;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self, Message, Utf8Bytes};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};
use tokio_util::either::Either;

use super::reading::word;
use crate::model::address::{WebScheme, WebUrl};
use crate::model::spec::TlsSpec;
use crate::model::target::WebPresenterCheck;
use crate::probe::check::BoxFuture;
use crate::probe::resolve::Resolver;
use crate::probe::rtmp::server_name;
use crate::probe::{ProbeEnvironment, dial};

/// The one message. The property of the active platform would bring secrets.
const SUBSCRIBE: Utf8Bytes = Utf8Bytes::from_static(
    r#"{"type":"request","id":1,"data":{"action":"subscribe","properties":["/livestreams/0"]}}"#,
);
/// From the first packet to the subscription sent.
const OPEN_TIMEOUT: Duration = Duration::from_secs(5);
/// Before the second attempt; doubled for each that follows.
const BACKOFF: Duration = Duration::from_secs(1);
const BACKOFF_MAX: Duration = Duration::from_secs(60);
/// Largest message.
const MAX_MESSAGE: usize = 64 * 1024;
const BUFFER: usize = 4096;

type Socket = WebSocketStream<Either<TcpStream, TlsStream<TcpStream>>>;

/// One WebSocket's life.
pub(super) enum Session {
    /// Lives on while looks interrupt the waiting for it.
    Opening(BoxFuture<'static, Result<Socket, String>>),
    Open(Box<Socket>),
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Opening(_) => "Opening",
            Self::Open(_) => "Open",
        })
    }
}

/// The notifications of one device.
#[derive(Debug)]
pub(super) struct Notifications {
    url: WebUrl,
    tls: TlsSpec,
    session: Option<Session>,
    /// Attempts in a row that have brought nothing.
    failures: u32,
    /// A session has ended by itself since the last look.
    ended: bool,
    retry_at: Option<Instant>,
}

impl Notifications {
    /// `None`: not wanted.
    pub fn new(check: &WebPresenterCheck) -> Option<Self> {
        let mut url = check.rest.with_path(check.events.as_deref()?);
        url.scheme = if url.scheme.is_secure() { WebScheme::Wss } else { WebScheme::Ws };
        let tls = check.tls.clone();
        Some(Self { url, tls, session: None, failures: 0, ended: false, retry_at: None })
    }

    /// Hangs up, for as long as nobody knows whether the device is there.
    pub fn suspend(&mut self) -> Option<Session> {
        self.session.take()
    }

    /// Goes on with `session`, or begins another when it is time to. The device has just answered a request.
    pub async fn resume(&mut self, env: &ProbeEnvironment, session: Option<Session>) {
        self.session = session;
        if self.session.is_some() {
            return;
        }
        let now = env.clock.now();
        if std::mem::take(&mut self.ended) {
            let wait = BACKOFF.saturating_mul(1 << self.failures.min(6)).min(BACKOFF_MAX);
            self.failures = self.failures.saturating_add(1);
            self.retry_at = Some(now + wait);
        }
        if self.retry_at.is_some_and(|at| now < at) {
            return;
        }
        let tls = match self.url.scheme.is_secure() {
            true => match env.tls_config(&self.tls).await {
                Ok(config) => Some((config, self.tls.server_name.clone())),
                Err(error) => return self.end(&error.to_string()),
            },
            false => None,
        };
        self.session = Some(Session::Opening(Box::pin(open(env.resolver.clone(), self.url.clone(), tls))));
    }

    /// Completes when the device says that its status is another than `seen`. May be dropped and asked again.
    pub async fn changed(&mut self, seen: &str) {
        loop {
            match &mut self.session {
                None => pending().await,
                Some(Session::Opening(opening)) => match opening.await {
                    Ok(socket) => self.session = Some(Session::Open(Box::new(socket))),
                    Err(reason) => self.end(&reason),
                },
                Some(Session::Open(socket)) => match socket.next().await {
                    Some(Ok(Message::Text(text))) => match Notice::read(&text) {
                        Notice::Refused => self.end("the device refuses the subscription"),
                        Notice::Status(status) => {
                            self.failures = 0;
                            if *status != *seen {
                                return;
                            }
                        }
                        Notice::Other => {}
                    },
                    // Pongs are sent by the library.
                    Some(Ok(_)) => {}
                    Some(Err(error)) => {
                        let reason = describe(&error);
                        self.end(&reason);
                    }
                    None => self.end("closed"),
                },
            }
        }
    }

    fn end(&mut self, reason: &str) {
        tracing::debug!(device = %self.url, %reason, "no notifications");
        self.session = None;
        self.ended = true;
    }
}

async fn open(
    resolver: Resolver,
    url: WebUrl,
    tls: Option<(Arc<ClientConfig>, Option<String>)>,
) -> Result<Socket, String> {
    let opening = async {
        let addresses = resolver.resolve(&url.address.host).await.map_err(|e| e.to_string())?;
        let socket = dial::connect(&addresses, url.address.port).await.map_err(|e| e.to_string())?;
        let socket = match tls {
            Some((config, name)) => {
                let name = server_name(name.as_deref(), &url.address.host).map_err(|e| e.to_string())?;
                Either::Right(TlsConnector::from(config).connect(name, socket).await.map_err(|e| e.to_string())?)
            }
            None => Either::Left(socket),
        };
        let limits = WebSocketConfig::default()
            .read_buffer_size(BUFFER)
            .write_buffer_size(0)
            .max_write_buffer_size(BUFFER)
            .max_message_size(Some(MAX_MESSAGE))
            .max_frame_size(Some(MAX_MESSAGE));
        let opened = client_async_with_config(url.expose(), socket, Some(limits)).await;
        let (mut socket, _) = opened.map_err(|e| describe(&e))?;
        socket.send(Message::Text(SUBSCRIBE)).await.map_err(|e| describe(&e))?;
        Ok(socket)
    };
    tokio::time::timeout(OPEN_TIMEOUT, opening).await.unwrap_or_else(|_| Err("no answer in time".to_owned()))
}

/// The library's own words quote what was asked for and what has come.
fn describe(error: &tungstenite::Error) -> String {
    use tungstenite::Error;
    match error {
        Error::Io(error) => error.to_string(),
        Error::Http(answer) => format!("the handshake is answered with status {}", answer.status().as_u16()),
        Error::Capacity(_) => format!("a message is larger than {MAX_MESSAGE} bytes"),
        Error::ConnectionClosed | Error::AlreadyClosed => "closed".to_owned(),
        Error::Url(_) | Error::HttpFormat(_) => "the path of the notifications cannot be asked for".to_owned(),
        _ => "what comes is no WebSocket".to_owned(),
    }
}

/// What a message says, as far as it matters.
#[derive(Debug, PartialEq)]
enum Notice {
    Status(Box<str>),
    Refused,
    Other,
}

#[derive(Deserialize)]
struct Envelope {
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    /// Of an answer.
    success: Option<bool>,
    values: Option<Values>,
    /// Of an event.
    property: Option<String>,
    value: Option<Livestream>,
}

#[derive(Deserialize)]
struct Values {
    #[serde(rename = "/livestreams/0")]
    livestream: Option<Livestream>,
}

#[derive(Deserialize)]
struct Livestream {
    status: Option<String>,
}

impl Notice {
    /// What cannot be read is none of those that were asked for.
    fn read(text: &str) -> Self {
        let Ok(Envelope { data }) = serde_json::from_str(text) else { return Self::Other };
        let told = match data.property.as_deref() {
            Some("/livestreams/0") => data.value,
            Some(_) => None,
            None => data.values.and_then(|values| values.livestream),
        };
        match told.and_then(|livestream| word(&livestream.status?)) {
            Some(status) => Self::Status(status),
            None if data.success == Some(false) => Self::Refused,
            None => Self::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_told_apart() {
        let status = |text: &str| Notice::Status(text.into());
        for (text, wanted) in [
            (
                r#"{"type":"response","id":1,"data":{"action":"subscribe","properties":["/livestreams/0"],
                    "values":{"/livestreams/0":{"status":"Idle","bitrate":1}},"success":true}}"#,
                status("Idle"),
            ),
            (
                r#"{"type":"event","data":{"action":"propertyValueChanged","property":"/livestreams/0",
                    "value":{"status":"Connecting","bitrate":1,"duration":0}}}"#,
                status("Connecting"),
            ),
            (r#"{"type":"event","data":{"property":"/livestreams/0","value":{"bitrate":5}}}"#, Notice::Other),
            (r#"{"type":"event","data":{"property":"/system","value":{"status":"Idle"}}}"#, Notice::Other),
            (r#"{"type":"event","data":{"action":"websocketOpened"}}"#, Notice::Other),
            (r#"{"type":"response","data":{"action":"subscribe","success":false}}"#, Notice::Refused),
            (r#"{"type":"event","data":{"property":"/livestreams/0","value":"Idle"}}"#, Notice::Other),
            ("[]", Notice::Other),
            ("Idle", Notice::Other),
        ] {
            assert_eq!(Notice::read(text), wanted, "{text}");
        }
    }
}
