//! Whether an HTTP server gives the answer that is expected.

use http::Method;

use super::check::{BoxFuture, Checker, Look, LookError};
use super::exchange::Exchange;
use crate::model::DownCause;
use crate::model::target::HttpCheck;
use crate::model::target_report::{CheckPhase, Facts};

/// Most bytes of a body that are read.
const MAX_BODY: usize = 1024 * 1024;

/// One request, one connection. A body is read to its end, up to 1 MiB.
#[derive(Debug)]
pub struct HttpChecker {
    check: HttpCheck,
}

impl HttpChecker {
    pub fn new(check: &HttpCheck) -> Self {
        Self { check: check.clone() }
    }

    async fn ask(&self, look: &mut Look<'_>) -> Result<Facts, LookError> {
        let HttpCheck { url, tls, token, .. } = &self.check;
        let method = if self.check.head { Method::HEAD } else { Method::GET };
        let mut answer = Exchange::begin(look, method, url, tls, token.as_ref()).await?;
        let status = answer.status.as_u16();
        if !self.check.status.iter().any(|accepted| accepted.contains(&status)) {
            return Err(LookError::fault(DownCause::Status, format!("{} answers with status {status}", url.address)));
        }
        let body = look.timed(CheckPhase::Transfer, read(&mut answer)).await?;
        if let Some(text) = self.check.body.as_deref().filter(|text| !holds(&body, text)) {
            let place = if body.len() < MAX_BODY { "the answer" } else { "the first MiB of the answer" };
            let detail = format!("{place} does not hold the text that is expected ({} bytes)", text.len());
            return Err(LookError::fault(DownCause::Content, detail));
        }
        Ok(Facts::Http { status })
    }
}

impl Checker for HttpChecker {
    fn look<'a>(&'a mut self, look: &'a mut Look<'_>) -> BoxFuture<'a, Result<Facts, LookError>> {
        Box::pin(self.ask(look))
    }
}

async fn read(answer: &mut Exchange) -> Result<Vec<u8>, LookError> {
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await? {
        let room = MAX_BODY - body.len();
        body.extend(chunk.iter().take(room));
        if body.len() == MAX_BODY {
            break;
        }
    }
    Ok(body)
}

fn holds(body: &[u8], text: &str) -> bool {
    text.is_empty() || body.windows(text.len()).any(|window| window == text.as_bytes())
}
