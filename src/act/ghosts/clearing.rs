//! The only requests of this program that throw anybody out. Each names one connection by the number that its server gave it, so that it
//! can end nothing but the ghost, whoever publishes under the name by then.

use std::sync::Arc;
use std::time::Duration;

use http::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::detector::Ghost;
use crate::model::action::GhostClearing;
use crate::model::address::WebUrl;
use crate::model::spec::TlsSpec;
use crate::model::target::{RtmpServerCheck, ServerFlavor};
use crate::probe::web::WebClient;
use crate::probe::{Look, LookError, ProbeEnvironment};

const TIMEOUT: Duration = Duration::from_secs(3);
const ANSWER_LIMIT: usize = 64 * 1024;
/// Longest number of a connection; MediaMTX has UUIDs.
const LONGEST_ID: usize = 64;

/// One request that ends one publisher's connection. There is no other way to make one than from a ghost.
#[derive(Clone)]
pub struct Removal {
    method: Method,
    url: WebUrl,
    tls: TlsSpec,
    /// nginx-rtmp answers with how many it has dropped.
    counts: bool,
}

/// Paths hold stream keys.
impl std::fmt::Debug for Removal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Removal({} {})", self.method, self.url)
    }
}

impl Removal {
    /// `None`: the server does not say which connection it is, or that is no number, or it cannot be addressed.
    pub fn of(ghost: &Ghost, server: &RtmpServerCheck, clearing: &GhostClearing) -> Option<Self> {
        let id = ghost.publication.publisher.as_deref()?;
        let number = id.len() <= LONGEST_ID && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        // MediaMTX shows a kind where there is no connection (`rtmpSource`): it fetches the stream itself.
        let connection = number && id.bytes().any(|b| b.is_ascii_digit());
        if !connection || ghost.flavor != server.flavor {
            return None;
        }
        let (method, url) = match server.flavor {
            ServerFlavor::NginxRtmp => {
                let escaped = |text: &str| utf8_percent_encode(text, NAME).to_string();
                let (app, key) = (escaped(&ghost.publication.app), escaped(&ghost.publication.key));
                let query = format!("app={app}&name={key}&clientid={id}");
                (Method::GET, below(clearing.control.as_ref()?, "/drop/publisher", &query))
            }
            ServerFlavor::Srs => (Method::DELETE, below(&server.url, &format!("/api/v1/clients/{id}"), "")),
            ServerFlavor::Mediamtx => (Method::POST, below(&server.url, &format!("/v3/rtmpconns/kick/{id}"), "")),
        };
        Some(Self { method, url, tls: server.tls.clone(), counts: server.flavor == ServerFlavor::NginxRtmp })
    }

    /// Asks the server. Errors name neither path nor key.
    pub async fn send(&self, env: &Arc<ProbeEnvironment>) -> Result<(), String> {
        let told = |error| match error {
            LookError::Fault { detail, .. } | LookError::Blind { detail, .. } => detail,
        };
        let asked = async {
            let client = WebClient::new(env, &self.tls).await.map_err(told)?;
            let mut look = Look::new(env, env.clock.now() + TIMEOUT);
            let request = client.request(self.method.clone(), &self.url);
            client.send(&mut look, request, ANSWER_LIMIT).await.map_err(told)
        };
        let answer =
            tokio::time::timeout(TIMEOUT, asked).await.map_err(|_| format!("no answer within {TIMEOUT:?}"))??;
        if !answer.status.is_success() {
            return Err(format!("{} answers with status {}", self.url.address, answer.status.as_u16()));
        }
        if self.counts && answer.body.trim_ascii() == b"0" {
            return Err(format!("{} knows no such publisher", self.url.address));
        }
        Ok(())
    }
}

/// What nginx-rtmp compares as it is written: it decodes nothing.
const NAME: &percent_encoding::AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// A place below the API's base, whose own query stays.
fn below(base: &WebUrl, path: &str, query: &str) -> WebUrl {
    let (prefix, given) = base.path().split_once('?').unwrap_or((base.path(), ""));
    let queries: Vec<_> = [given, query].into_iter().filter(|q| !q.is_empty()).collect();
    let mark = if queries.is_empty() { "" } else { "?" };
    base.with_path(&format!("{}{path}{mark}{}", prefix.trim_end_matches('/'), queries.join("&")))
}
