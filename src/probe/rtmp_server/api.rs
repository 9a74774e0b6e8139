//! The questions that are asked, and what their answers mean before they are read.

use std::sync::Arc;
use std::time::Instant;

use http::StatusCode;
use jiff::Timestamp;
use tokio::sync::Mutex;

use crate::model::DownCause;
use crate::model::address::WebUrl;
use crate::probe::check::{Look, LookError};
use crate::probe::web::WebClient;

/// Largest answer that is read, in bytes.
const LARGEST: usize = 16 << 20;
/// Larger answers are parsed away from the threads that serve all probes.
const LARGE: usize = 64 << 10;

/// All that is ever asked. Every request is a GET: beside these paths lie others that throw clients out and change settings.
#[derive(Debug, Clone, Copy)]
pub(super) enum Question {
    NginxStatistics,
    SrsStreams { start: usize, count: usize },
    SrsClients { count: u64 },
    SrsSummaries,
    MediamtxPaths { page: u64, size: usize },
    MediamtxInfo,
}

impl Question {
    /// Path and query below the API's base. nginx-rtmp has one page, which is configured whole.
    fn place(self) -> (&'static str, String) {
        match self {
            Self::NginxStatistics => ("", String::new()),
            Self::SrsStreams { start, count } => ("/api/v1/streams", format!("start={start}&count={count}")),
            Self::SrsClients { count } => ("/api/v1/clients", format!("start=0&count={count}")),
            Self::SrsSummaries => ("/api/v1/summaries", String::new()),
            Self::MediamtxPaths { page, size } => ("/v3/paths/list", format!("page={page}&itemsPerPage={size}")),
            Self::MediamtxInfo => ("/v3/info", String::new()),
        }
    }

    fn at(self, base: &WebUrl) -> WebUrl {
        let (path, query) = self.place();
        if path.is_empty() {
            return base.clone();
        }
        let (prefix, given) = base.path().split_once('?').unwrap_or((base.path(), ""));
        let queries: Vec<_> = [given, &query].into_iter().filter(|q| !q.is_empty()).collect();
        let mark = if queries.is_empty() { "" } else { "?" };
        base.with_path(&format!("{}{path}{mark}{}", prefix.trim_end_matches('/'), queries.join("&")))
    }

    /// For people.
    const fn subject(self) -> &'static str {
        match self {
            Self::NginxStatistics => "statistics",
            Self::SrsStreams { .. } => "list of streams",
            Self::SrsClients { .. } => "list of clients",
            Self::SrsSummaries => "summary",
            Self::MediamtxPaths { .. } => "list of paths",
            Self::MediamtxInfo => "information",
        }
    }
}

/// Why an answer cannot be read. Never quotes it: it is full of stream keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    #[error("not well-formed at byte {0}")]
    Xml(u64),
    #[error("elements are nested too deep at byte {0}")]
    Depth(u64),
    #[error("it ends too early")]
    Truncated,
    #[error("not valid JSON at line {line}, column {column}")]
    Json { line: usize, column: usize },
    #[error("it is not what {0} answers")]
    Foreign(&'static str),
    #[error("the server answers with error {0}")]
    Code(i64),
}

impl From<serde_json::Error> for Unreadable {
    fn from(error: serde_json::Error) -> Self {
        match error.is_eof() {
            true => Self::Truncated,
            false => Self::Json { line: error.line(), column: error.column() },
        }
    }
}

/// What an answer says, and when.
#[derive(Debug)]
pub(super) struct Answer<T> {
    pub content: T,
    /// When it had come, on a clock that goes on while the monitor is frozen, as the server's counters do.
    pub at: Instant,
}

/// One server's API.
#[derive(Debug)]
pub(super) struct Api<'a> {
    pub client: WebClient,
    pub url: &'a WebUrl,
    pub aside: &'a Aside,
}

impl Api<'_> {
    /// Asks, and reads the answer with `parse`, which is told the server's time: its clock need not agree with ours.
    pub(super) async fn ask<T: Send + 'static>(
        &self,
        look: &mut Look<'_>,
        question: Question,
        parse: fn(&str, Timestamp) -> Result<T, Unreadable>,
    ) -> Result<Answer<T>, LookError> {
        let request = self.client.get(&question.at(self.url));
        let answer = self.client.send(look, request, LARGEST).await?;
        let at = look.env.clock.real(look.env.clock.now());
        let place = self.url.address.to_string();
        let cause = match answer.status {
            StatusCode::OK => None,
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Some(DownCause::Rejected),
            StatusCode::NOT_FOUND => Some(DownCause::NotFound),
            _ => Some(DownCause::Status),
        };
        if let Some(cause) = cause {
            let detail = format!("{place} answers {} to the request for its {}", answer.status, question.subject());
            return Err(LookError::fault(cause, detail));
        }
        let date = answer.headers.get(http::header::DATE).and_then(|date| date.to_str().ok());
        let date = date.and_then(|date| jiff::fmt::rfc2822::parse(date).ok()).map(|date| date.timestamp());
        let ours = || Timestamp::try_from(look.env.clock.calendar().wall(look.env.clock.now())).unwrap_or_default();
        let now = date.unwrap_or_else(ours);
        let body = answer.body;
        let large = body.len() > LARGE;
        // Publishers choose names: an odd byte in one of them must not hide all the others.
        let parse = move || parse(&String::from_utf8_lossy(&body), now);
        let parsed = if large { self.aside.run(parse).await? } else { parse() };
        let content = parsed.map_err(|error| {
            let cause = if matches!(error, Unreadable::Code(_)) { DownCause::Status } else { DownCause::Protocol };
            LookError::fault(cause, format!("cannot read the {} of {place}: {error}", question.subject()))
        })?;
        Ok(Answer { content, at })
    }

    /// Asks for what adds detail. It may be switched off, forbidden, broken or not there yet in an older version, and take half of the
    /// time that is left: then it is absent, and the look is none the worse for it.
    pub(super) async fn optional<T: Send + 'static>(
        &self,
        look: &Look<'_>,
        question: Question,
        parse: fn(&str, Timestamp) -> Result<T, Unreadable>,
    ) -> Option<T> {
        let env = look.env;
        let now = env.clock.now();
        let until = now + look.deadline.saturating_duration_since(now) / 2;
        // The look's phases are those of the request that counts.
        let mut look = Look::new(env, until);
        let answer = tokio::select! {
            biased;
            answer = self.ask(&mut look, question, parse) => answer,
            () = env.sleep_until(until) => return None,
        };
        answer
            .inspect_err(|error| tracing::debug!(?error, "part of a server's statistics is missing"))
            .ok()
            .map(|answer| answer.content)
    }
}

/// Where one server's long work is done, away from the threads that serve all probes: one at a time. Work cannot be ended from outside
/// and goes on when its look is over, so the next must not begin beside it, and the one after that, until no thread is left.
#[derive(Debug, Clone, Default)]
pub(super) struct Aside(Arc<Mutex<()>>);

impl Aside {
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, LookError> {
        let Ok(busy) = Arc::clone(&self.0).try_lock_owned() else {
            return Err(LookError::hindered("the answer before is still being read"));
        };
        let task = tokio::task::spawn_blocking(move || {
            let _busy = busy;
            work()
        });
        match task.await {
            Ok(result) => Ok(result),
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => Err(LookError::hindered("the monitor is stopping")),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn long_work_is_not_begun_beside_what_a_look_has_left_behind() {
        let aside = Aside::default();
        let (go_on, held) = std::sync::mpsc::sync_channel::<()>(1);
        let left = aside.run(move || held.recv());
        assert!(tokio::time::timeout(std::time::Duration::from_millis(1), left).await.is_err());
        assert!(matches!(aside.run(|| ()).await, Err(LookError::Blind { .. })));
        go_on.send(()).unwrap();
        while aside.run(|| ()).await.is_err() {
            tokio::task::yield_now().await;
        }
    }

    #[test]
    fn questions_lie_below_the_configured_base() {
        #[rustfmt::skip]
        let table = [
            ("http://h/stat?k=1", Question::NginxStatistics, "/stat?k=1"),
            ("http://h", Question::SrsSummaries, "/api/v1/summaries"),
            ("http://h/srs/?token=t", Question::SrsStreams { start: 10, count: 20 }, "/srs/api/v1/streams?token=t&start=10&count=20"),
            ("http://h/", Question::MediamtxPaths { page: 1, size: 100 }, "/v3/paths/list?page=1&itemsPerPage=100"),
        ];
        for (base, question, path) in table {
            assert_eq!(question.at(&WebUrl::parse(base).unwrap()).path(), path, "{base}");
        }
    }
}
