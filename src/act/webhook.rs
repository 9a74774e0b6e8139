//! Tells receivers of changes over HTTP: a POST of one [`Change`] as JSON.
//!
//! | header | holds |
//! |---|---|
//! | `Idempotency-Key` | the change's id: the same however often it is told |
//! | `X-Hmonitor-Timestamp` | Unix time of the request in seconds |
//! | `X-Hmonitor-Signature` | `sha256=` and HMAC-SHA256 in hexadecimal of timestamp, `.` and body, where a key is configured |
//!
//! An answer with 2xx is a delivery. 400, 405, 410, 413, 415 and 422 are a receiver that will never take it; anything else is tried again.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use http::Method;
use ring::hmac;

use super::Inputs;
use super::change::Change;
use super::outbox::{self, Deliver, Delivery, Route};
use crate::model::action::{ActionKind, ActionOutcome, Webhook};
use crate::probe::web::WebClient;
use crate::probe::{BoxFuture, Look, LookError, ProbeEnvironment};

/// Bytes of an answer that are read; they mean nothing.
const ANSWER_LIMIT: usize = 64 * 1024;
/// Statuses of a receiver that understands, and refuses.
const NEVER: &[u16] = &[400, 405, 410, 413, 415, 422];

/// Tells one receiver of every change. Ends with the decisions' source.
pub async fn run(spec: Arc<Webhook>, directory: Option<Arc<Path>>, inputs: Inputs, env: Arc<ProbeEnvironment>) {
    let kind = ActionKind::Webhook;
    let route = Route { kind, name: spec.name.clone(), changes: spec.changes.clone(), directory };
    let receiver = Receiver { spec, env, client: Mutex::default() };
    outbox::run(route, inputs, Arc::new(receiver)).await;
}

struct Receiver {
    spec: Arc<Webhook>,
    env: Arc<ProbeEnvironment>,
    /// Made at the first delivery: trust anchors are read from files.
    client: Mutex<Option<WebClient>>,
}

impl Deliver for Receiver {
    fn deliver<'a>(&'a self, change: &'a Change) -> BoxFuture<'a, Delivery> {
        Box::pin(async move {
            let posted = tokio::time::timeout(self.spec.timeout, self.post(change)).await;
            match posted {
                Ok(Ok(status)) if (200..300).contains(&status) => Delivery::Done,
                Ok(Ok(status)) if NEVER.contains(&status) => {
                    Delivery::Never(ActionOutcome::Refused, format!("refused with status {status}"))
                }
                Ok(Ok(status)) => Delivery::Later(format!("answered with status {status}")),
                Ok(Err(why)) => {
                    // Authorities may have been replaced since they were read.
                    *self.kept() = None;
                    Delivery::Later(why)
                }
                Err(_) => Delivery::Later(format!("no answer within {:?}", self.spec.timeout)),
            }
        })
    }
}

impl Receiver {
    fn kept(&self) -> std::sync::MutexGuard<'_, Option<WebClient>> {
        self.client.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn post(&self, change: &Change) -> Result<u16, String> {
        let told = |error| match error {
            LookError::Fault { detail, .. } | LookError::Blind { detail, .. } => detail,
        };
        let kept = self.kept().clone();
        let client = match kept {
            Some(client) => client,
            None => {
                let client = WebClient::new(&self.env, &self.spec.tls).await.map_err(told)?;
                self.kept().insert(client).clone()
            }
        };
        let body = serde_json::to_string(change).map_err(|error| error.to_string())?;
        let timestamp = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let mut request = client
            .request(Method::POST, &self.spec.url)
            .header(http::header::CONTENT_TYPE, "application/json")
            .header("Idempotency-Key", &change.id)
            .header("X-Hmonitor-Timestamp", timestamp);
        if let Some(secret) = &self.spec.secret {
            request = request.header("X-Hmonitor-Signature", signature(secret.expose(), timestamp, &body));
        }
        let mut look = Look::new(&self.env, self.env.clock.now() + self.spec.timeout);
        let answer = client.send(&mut look, request.body(body), ANSWER_LIMIT).await.map_err(told)?;
        Ok(answer.status.as_u16())
    }
}

/// What a receiver computes to know that a request is ours.
pub fn signature(secret: &str, timestamp: u64, body: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let tag = hmac::sign(&key, format!("{timestamp}.{body}").as_bytes());
    tag.as_ref().iter().fold("sha256=".to_owned(), |text, byte| format!("{text}{byte:02x}"))
}
