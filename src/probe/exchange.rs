//! One HTTP/1.1 request on a connection of its own, so that each phase of it shows. No redirect is followed.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONNECTION, HOST, USER_AGENT};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;

use super::check::{Look, LookError};
use super::web;
use crate::model::DownCause;
use crate::model::address::WebUrl;
use crate::model::server::Secret;
use crate::model::spec::TlsSpec;
use crate::model::target_report::CheckPhase;

/// Most bytes of an answer that are held at a time, its head among them.
const BUFFER: usize = 64 * 1024;

/// An answer whose head has come.
pub(super) struct Exchange {
    pub(super) status: StatusCode,
    body: Incoming,
    connection: Connection,
}

/// What moves the bytes. `None`: it has ended; what it had read is still to be had.
type Connection = Option<Pin<Box<dyn Future<Output = hyper::Result<()>> + Send>>>;

impl Exchange {
    /// Connects, sends the request and waits for the answer's head.
    pub(super) async fn begin(
        look: &mut Look<'_>,
        method: Method,
        url: &WebUrl,
        tls: &TlsSpec,
        token: Option<&Secret>,
    ) -> Result<Self, LookError> {
        let request = request(method, url, token)?;
        let socket = look.open(&url.address, url.scheme.is_secure().then_some(tls)).await?;
        let (mut sender, connection) =
            http1::Builder::new().max_buf_size(BUFFER).handshake(TokioIo::new(socket)).await.map_err(fault)?;
        let mut connection: Connection = Some(Box::pin(connection));
        let answer = drive(&mut connection, sender.send_request(request));
        let answer = look.timed(CheckPhase::Processing, answer).await.map_err(fault)?;
        Ok(Self { status: answer.status(), body: answer.into_body(), connection })
    }

    /// The next piece of the body, never empty; `None` at its end.
    pub(super) async fn chunk(&mut self) -> Result<Option<Bytes>, LookError> {
        loop {
            let Some(frame) = drive(&mut self.connection, self.body.frame()).await else { return Ok(None) };
            match frame.map_err(fault)?.into_data() {
                Ok(data) if !data.is_empty() => return Ok(Some(data)),
                // Trailers.
                _ => {}
            }
        }
    }
}

fn request(method: Method, url: &WebUrl, token: Option<&Secret>) -> Result<Request<Empty<Bytes>>, LookError> {
    let uri = web::uri(url)?;
    let host = uri.authority().map(ToString::to_string).unwrap_or_default();
    let path = uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
    let mut request = Request::builder().method(method).uri(path).header(HOST, host);
    request = request.header(USER_AGENT, web::USER_AGENT).header(ACCEPT, "*/*").header(CONNECTION, "close");
    if let Some(value) = web::authorization(url, token)? {
        request = request.header(AUTHORIZATION, value);
    }
    let unsendable = |_| LookError::hindered(format!("the request to {} cannot be sent", url.address));
    request.body(Empty::new()).map_err(unsendable)
}

/// Does `work` while the connection moves the bytes for it.
async fn drive<T>(connection: &mut Connection, work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    poll_fn(|cx| {
        if let Poll::Ready(done) = work.as_mut().poll(cx) {
            return Poll::Ready(done);
        }
        // Its errors come out of the work as well.
        if connection.as_mut().is_some_and(|c| c.as_mut().poll(cx).is_ready()) {
            *connection = None;
        }
        work.as_mut().poll(cx)
    })
    .await
}

fn fault(error: hyper::Error) -> LookError {
    web::fault_of(&error, DownCause::Closed)
}
