//! Live events and live videos at Vimeo (API 3.4): where they stand, what comes in, who watches, as far as the API tells.
//!
//! Read-only: the paths that can be asked are a closed set. `fields` is always set, and names nothing secret. What the API does not give is absent.

mod answers;
mod limits;

use std::sync::PoisonError;
use std::time::Duration;

use http::StatusCode;
use http::header::{ACCEPT, ETAG, HeaderValue, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED};
use serde_json::Value;

use super::check::{BoxFuture, Checker, Look, LookError};
use super::web::WebClient;
use crate::model::DownCause;
use crate::model::target::{VimeoCheck, VimeoTarget};
use crate::model::target_report::{BlindCause, Facts};

use answers::{EVENT_FIELDS, SESSION_FIELDS, STATS_FIELDS, VIDEO_FIELDS, event_facts, live_stats, video_facts};
use limits::Account;
pub use limits::Accounts;

/// Largest answer that is read.
const MAX_ANSWER: usize = 1 << 20;
const MEDIA_TYPE: HeaderValue = HeaderValue::from_static("application/vnd.vimeo.*+json;version=3.4");

/// Everything that is ever asked.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Ask {
    Event(u64),
    Video(u64),
    /// Newer form of the session status.
    SessionOfEvent {
        event: u64,
        video: Option<u64>,
    },
    SessionOfVideo(u64),
    /// A path that the API has given, below `/videos/`.
    LiveStats(String),
}

impl Ask {
    fn path(&self) -> String {
        match self {
            Self::Event(id) => format!("/me/live_events/{id}?fields={EVENT_FIELDS}"),
            Self::Video(id) => format!("/videos/{id}?fields={VIDEO_FIELDS}"),
            Self::SessionOfEvent { event, video: Some(video) } => {
                format!("/live_events/{event}/session_status?clip_id={video}&fields={SESSION_FIELDS}")
            }
            Self::SessionOfEvent { event, video: None } => {
                format!("/live_events/{event}/session_status?fields={SESSION_FIELDS}")
            }
            Self::SessionOfVideo(id) => format!("/videos/{id}/sessions/status?fields={SESSION_FIELDS}"),
            Self::LiveStats(path) => format!("{path}?fields={STATS_FIELDS}"),
        }
    }
}

/// The newest main document, for conditional requests.
struct Kept {
    tag: Option<HeaderValue>,
    modified: Option<HeaderValue>,
    document: Value,
}

/// Watches one event or video.
pub struct VimeoChecker {
    check: VimeoCheck,
    client: Option<WebClient>,
    account: Option<Account>,
    kept: Option<Kept>,
    /// Whether the newer form of an event's session status is there; `None`: not tried yet.
    newer_session: Option<bool>,
}

impl VimeoChecker {
    pub fn new(check: &VimeoCheck) -> Self {
        Self { check: check.clone(), client: None, account: None, kept: None, newer_session: None }
    }

    async fn look(&mut self, look: &mut Look<'_>) -> Result<Facts, LookError> {
        let target = self.check.target;
        self.ask_main(look).await?;
        let document = self.kept.as_ref().map_or(&Value::Null, |k| &k.document);
        let stats = live_stats(document).map(|path| Ask::LiveStats(path.to_owned()));
        let video = answers::video_of_event(document);
        let session = match target {
            VimeoTarget::Event(event) => self.session_of_event(look, event, video).await,
            VimeoTarget::Video(video) => self.extra(look, &Ask::SessionOfVideo(video)).await,
        };
        let stats = match stats {
            Some(ask) => self.extra(look, &ask).await,
            None => None,
        };
        let document = self.kept.as_ref().map_or(&Value::Null, |k| &k.document);
        let mut facts = match target {
            VimeoTarget::Event(_) => event_facts(document, session.as_ref(), stats.as_ref()),
            VimeoTarget::Video(_) => video_facts(document, session.as_ref(), stats.as_ref()),
        };
        facts.rate_limit = self.account(look).lock().unwrap_or_else(PoisonError::into_inner).limit();
        Ok(Facts::Vimeo(facts.into()))
    }

    async fn session_of_event(&mut self, look: &Look<'_>, event: u64, video: Option<u64>) -> Option<Value> {
        if self.newer_session != Some(false) {
            let found = self.extra(look, &Ask::SessionOfEvent { event, video }).await;
            // Without a session yet both forms may say "not found": only a success tells them apart for good.
            if found.is_some() {
                self.newer_session = Some(true);
                return found;
            }
        }
        let video = video.filter(|_| self.newer_session != Some(true))?;
        let found = self.extra(look, &Ask::SessionOfVideo(video)).await;
        if found.is_some() {
            self.newer_session = Some(false);
        }
        found
    }

    /// Refreshes the main document.
    async fn ask_main(&mut self, look: &mut Look<'_>) -> Result<(), LookError> {
        let ask = match self.check.target {
            VimeoTarget::Event(id) => Ask::Event(id),
            VimeoTarget::Video(id) => Ask::Video(id),
        };
        let conditional = self.kept.as_ref().map(|k| (k.tag.clone(), k.modified.clone()));
        match self.ask(look, &ask, conditional.unwrap_or_default()).await? {
            Answer::Unchanged => Ok(()),
            Answer::Document(kept) => {
                self.kept = Some(kept);
                Ok(())
            }
            Answer::Refused(error) => {
                self.kept = None;
                Err(error)
            }
        }
    }

    /// Something that is good to know: it may fail and take half of the time that is left, and the look is none the worse for it.
    async fn extra(&mut self, look: &Look<'_>, ask: &Ask) -> Option<Value> {
        let env = look.env;
        let now = env.clock.now();
        let until = now + look.deadline.saturating_duration_since(now) / 2;
        // The look's phases are those of the request that counts.
        let mut look = Look::new(env, until);
        let answer = tokio::select! {
            biased;
            answer = self.ask(&mut look, ask, (None, None)) => answer,
            () = env.sleep_until(until) => return None,
        };
        match answer {
            Ok(Answer::Document(kept)) => Some(kept.document),
            // The main document has been had: a ban now counts against the next look.
            Ok(Answer::Unchanged | Answer::Refused(_)) | Err(LookError::Blind { .. }) => None,
            Err(LookError::Fault { detail, .. }) => {
                tracing::debug!(%detail, "part of an answer from Vimeo is missing");
                None
            }
        }
    }

    fn account(&mut self, look: &Look<'_>) -> Account {
        let (api, token) = (&self.check.api.address, &self.check.token);
        self.account.get_or_insert_with(|| look.env.vimeo.of(api, token)).clone()
    }

    async fn ask(
        &mut self,
        look: &mut Look<'_>,
        ask: &Ask,
        (tag, modified): (Option<HeaderValue>, Option<HeaderValue>),
    ) -> Result<Answer, LookError> {
        let account = self.account(look);
        let budget = || account.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(wait) = budget().wait(look.env.clock.now()) {
            return Err(rate_limited(wait));
        }
        let client = match &self.client {
            Some(client) => client.clone(),
            None => self.client.insert(WebClient::new(look.env, &self.check.tls).await?).clone(),
        };
        let mut request = client.get(&self.check.api.with_path(&ask.path())).header(ACCEPT, MEDIA_TYPE);
        request = request.bearer_auth(self.check.token.expose());
        for (name, value) in [(IF_NONE_MATCH, tag), (IF_MODIFIED_SINCE, modified)] {
            if let Some(value) = value {
                request = request.header(name, value);
            }
        }
        let begun = look.env.clock.now();
        let answer = client.send(look, request, MAX_ANSWER).await;
        if let Err(LookError::Fault { cause: DownCause::Tls, .. }) = answer {
            // The authorities may have been replaced since they were read.
            self.client = None;
        }
        let answer = answer?;
        let now = look.env.clock.now();
        let wall = look.env.clock.calendar().wall(now);
        if answer.status == StatusCode::TOO_MANY_REQUESTS {
            return Err(rate_limited(budget().note_ban(now, wall, &answer.headers, fastrand::f64())));
        }
        budget().note_answer(begun, now, wall, &answer.headers);
        if answer.status == StatusCode::NOT_MODIFIED {
            return Ok(Answer::Unchanged);
        }
        let document = serde_json::from_slice::<Value>(&answer.body);
        if answer.status != StatusCode::OK {
            return Ok(Answer::Refused(refusal(answer.status, document.ok().as_ref())));
        }
        let Some(document) = document.ok().filter(Value::is_object) else {
            return Err(LookError::fault(DownCause::Protocol, "the answer is no JSON object"));
        };
        let header = |name| answer.headers.get(name).cloned();
        Ok(Answer::Document(Kept { tag: header(ETAG), modified: header(LAST_MODIFIED), document }))
    }
}

impl std::fmt::Debug for VimeoChecker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Answers may hold anything.
        f.debug_struct("VimeoChecker").field("target", &self.check.target).finish_non_exhaustive()
    }
}

enum Answer {
    Document(Kept),
    /// 304: as it was.
    Unchanged,
    Refused(LookError),
}

fn rate_limited(wait: Duration) -> LookError {
    let detail = format!("Vimeo's rate limit: no request for {:.0} s", wait.as_secs_f64());
    LookError::Blind { cause: BlindCause::RateLimited, detail, wait: Some(wait) }
}

/// What a status other than 200 says. The body's texts are not passed on: they may quote what was sent.
fn refusal(status: StatusCode, document: Option<&Value>) -> LookError {
    let code = document.and_then(|d| d.get("error_code")?.as_i64());
    let cause = match (status.as_u16(), code) {
        (_, Some(5000)) | (404 | 410, _) => DownCause::NotFound,
        (_, Some(3200 | 8000..=8003)) | (401 | 403, _) => DownCause::Rejected,
        _ => DownCause::Status,
    };
    let code = code.map_or_else(String::new, |code| format!(", Vimeo's error code {code}"));
    LookError::fault(cause, format!("status {}{code}", status.as_u16()))
}

impl Checker for VimeoChecker {
    fn look<'a>(&'a mut self, look: &'a mut Look<'_>) -> BoxFuture<'a, Result<Facts, LookError>> {
        Box::pin(Self::look(self, look))
    }
}
