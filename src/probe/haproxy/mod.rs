//! What HAProxy says of its backends and servers, so that a dashboard can show what the controller decided.
//!
//! Over the statistics socket or over the statistics page as CSV. Read-only by construction: one constant request, for which the socket's
//! `user` level suffices.

pub mod statistics;

use std::path::Path;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::UnixStream;

use super::check::{BoxFuture, Checker, Look, LookError};
use super::rtmp::is_ours;
use super::web::WebClient;
use crate::model::DownCause;
use crate::model::target::HaproxyCheck;
use crate::model::target_report::{CheckPhase, Facts, HaproxyFacts};

/// Bytes of an answer: some 25,000 servers.
const ANSWER_LIMIT: usize = 8 << 20;
/// The connection is closed after it.
const REQUEST: &[u8] = b"show info;show stat\n";

/// Asks one HAProxy.
#[derive(Debug)]
pub struct HaproxyChecker {
    check: HaproxyCheck,
    /// Made at the first look: trust anchors are read from files.
    web: Option<WebClient>,
}

impl HaproxyChecker {
    pub fn new(check: &HaproxyCheck) -> Self {
        Self { check: check.clone(), web: None }
    }

    async fn ask(&mut self, look: &mut Look<'_>) -> Result<Facts, LookError> {
        let (answer, source) = match &self.check {
            HaproxyCheck::Socket(path) => {
                let socket = open(look, path).await?;
                (converse(look, socket).await?, "the statistics socket".to_owned())
            }
            HaproxyCheck::Tcp(address) => {
                let socket = look.connect(address).await?;
                (converse(look, socket).await?, address.to_string())
            }
            HaproxyCheck::Csv { url, tls } => {
                let web = match &mut self.web {
                    Some(web) => web,
                    none => none.insert(WebClient::new(look.env, tls).await?),
                };
                let answer = web.send(look, web.get(url), ANSWER_LIMIT).await;
                if let Err(LookError::Fault { cause: DownCause::Tls, .. }) = answer {
                    // The authorities may have been replaced since they were read.
                    self.web = None;
                }
                let answer = answer?;
                let status = answer.status.as_u16();
                if status != 200 {
                    let cause = if matches!(status, 401 | 403) { DownCause::Rejected } else { DownCause::Status };
                    return Err(LookError::fault(cause, format!("{} answers with status {status}", url.address)));
                }
                (answer.body, url.address.to_string())
            }
        };
        let text = String::from_utf8_lossy(&answer);
        let read = statistics::read(&text);
        let facts: HaproxyFacts = read.map_err(|e| LookError::fault(DownCause::Content, format!("{source}: {e}")))?;
        Ok(Facts::Haproxy(Arc::new(facts)))
    }
}

impl Checker for HaproxyChecker {
    fn look<'a>(&'a mut self, look: &'a mut Look<'_>) -> BoxFuture<'a, Result<Facts, LookError>> {
        Box::pin(self.ask(look))
    }
}

async fn open(look: &mut Look<'_>, path: &Path) -> Result<UnixStream, LookError> {
    let socket = look.timed(CheckPhase::Tcp, UnixStream::connect(path)).await;
    socket.map_err(|error| {
        let detail = format!("statistics socket {}: {error}", path.display());
        // Rights to the file are this machine's affair, and say nothing about HAProxy.
        if is_ours(&error) || error.kind() == std::io::ErrorKind::PermissionDenied {
            LookError::hindered(detail)
        } else {
            LookError::fault(DownCause::Connect, detail)
        }
    })
}

/// The whole answer to the request.
async fn converse(look: &mut Look<'_>, mut socket: impl AsyncRead + AsyncWrite + Unpin) -> Result<Vec<u8>, LookError> {
    let fault = |e: std::io::Error| LookError::fault(DownCause::Closed, format!("the connection broke: {e}"));
    let mut answer = Vec::new();
    let first = look.timed(CheckPhase::Processing, async {
        socket.write_all(REQUEST).await?;
        socket.read_buf(&mut answer).await
    });
    first.await.map_err(fault)?;
    let rest = (ANSWER_LIMIT + 1).saturating_sub(answer.len()) as u64;
    let mut rest = socket.take(rest);
    look.timed(CheckPhase::Transfer, rest.read_to_end(&mut answer)).await.map_err(fault)?;
    if answer.len() > ANSWER_LIMIT {
        let detail = format!("the answer is larger than {ANSWER_LIMIT} bytes");
        return Err(LookError::fault(DownCause::Protocol, detail));
    }
    Ok(answer)
}
