//! Whether a WebSocket server opens a connection and is alive behind it (RFC 6455).

use futures_util::{FutureExt, SinkExt, StreamExt};
use http::Request;
use http::header::{AUTHORIZATION, CONNECTION, HOST, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE, USER_AGENT};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message};

use super::check::{BoxFuture, ByteStream, Checker, Look, LookError};
use super::web;
use crate::model::DownCause;
use crate::model::target::WebSocketCheck;
use crate::model::target_report::{CheckPhase, Facts};

/// Longest message that is read.
const MAX_MESSAGE: usize = 64 * 1024;
const BUFFER: usize = 4 * 1024;

/// Opening handshake, ping, any frame in return. Keeps no connection.
#[derive(Debug)]
pub struct WebSocketChecker {
    check: WebSocketCheck,
}

impl WebSocketChecker {
    pub fn new(check: &WebSocketCheck) -> Self {
        Self { check: check.clone() }
    }

    async fn ask(&self, look: &mut Look<'_>) -> Result<Facts, LookError> {
        let WebSocketCheck { url, tls, .. } = &self.check;
        let request = self.request()?;
        let socket = look.open(&url.address, url.scheme.is_secure().then_some(tls)).await?;
        let config = WebSocketConfig::default()
            .read_buffer_size(BUFFER)
            .write_buffer_size(0)
            .max_write_buffer_size(MAX_MESSAGE)
            .max_message_size(Some(MAX_MESSAGE))
            .max_frame_size(Some(MAX_MESSAGE));
        let opening = tokio_tungstenite::client_async_with_config(request, socket, Some(config));
        let (mut socket, _) =
            look.timed(CheckPhase::Handshake, opening).await.map_err(|e| self.fault(&e, "the opening handshake"))?;
        let answer = look.timed(CheckPhase::Processing, ping(&mut socket)).await;
        // A polite end if it can be had at once; the connection is dropped in any case.
        let _ = socket.close(None).now_or_never();
        answer.map(|()| Facts::None).map_err(|e| self.fault(&e, "the ping"))
    }

    fn request(&self) -> Result<Request<()>, LookError> {
        let WebSocketCheck { url, token, .. } = &self.check;
        let uri = web::uri(url)?;
        let host = uri.authority().map(ToString::to_string).unwrap_or_default();
        let mut request = Request::builder()
            .uri(uri)
            .header(HOST, host)
            .header(CONNECTION, "Upgrade")
            .header(UPGRADE, "websocket")
            .header(SEC_WEBSOCKET_VERSION, "13")
            .header(SEC_WEBSOCKET_KEY, generate_key())
            .header(USER_AGENT, web::USER_AGENT);
        if let Some(value) = web::authorization(url, token.as_ref())? {
            request = request.header(AUTHORIZATION, value);
        }
        request.body(()).map_err(|_| LookError::hindered(format!("the request to {} cannot be sent", url.address)))
    }

    fn fault(&self, error: &Error, step: &str) -> LookError {
        let address = &self.check.url.address;
        let cause = match error {
            Error::Http(response) => {
                let status = response.status().as_u16();
                let detail = format!("{address} answers with status {status} and opens no WebSocket");
                return LookError::fault(DownCause::Status, detail);
            }
            Error::Io(error) => return web::fault_of(error, DownCause::Closed),
            Error::ConnectionClosed | Error::AlreadyClosed => DownCause::Closed,
            // Some ends come as this.
            Error::Protocol(
                tokio_tungstenite::tungstenite::error::ProtocolError::HandshakeIncomplete
                | tokio_tungstenite::tungstenite::error::ProtocolError::ResetWithoutClosingHandshake,
            ) => DownCause::Closed,
            _ => DownCause::Protocol,
        };
        LookError::fault(cause, format!("{address}, {step}: {error}"))
    }
}

impl Checker for WebSocketChecker {
    fn look<'a>(&'a mut self, look: &'a mut Look<'_>) -> BoxFuture<'a, Result<Facts, LookError>> {
        Box::pin(self.ask(look))
    }
}

/// Any frame is a sign of life: a server may have much to say before it comes to the pong.
async fn ping(socket: &mut WebSocketStream<Box<dyn ByteStream>>) -> Result<(), Error> {
    socket.send(Message::Ping(bytes::Bytes::from_static(b"rtmp-hmonitor"))).await?;
    match socket.next().await {
        Some(Ok(Message::Close(_))) | None => Err(Error::ConnectionClosed),
        // A message too long to be read is a frame as well.
        Some(Ok(_) | Err(Error::Capacity(_))) => Ok(()),
        Some(Err(error)) => Err(error),
    }
}
