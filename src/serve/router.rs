//! From a request to its answer: route, access, handler, count.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use tokio_util::sync::CancellationToken;

use crate::model::TargetClass as Class;

use super::health::Asked;
use super::metrics::own::Listener;
use super::peer::Peer;
use super::query::Query;
use super::reply::{Problem, Reply};
use super::routes::{self, Handler, Operation, Parameters, Route, Verb};
use super::slots::{Slot, Slots};
use super::{Views, access, api, health, openapi, page};

/// Answers about all streams at once: at a thousand streams each is megabytes until its reader has taken it.
const LARGE_ANSWERS: usize = 8;

/// What outlives a request on one listener.
pub struct Site {
    pub views: Views,
    pub shutdown: CancellationToken,
    pub event_streams: Slots,
    pub probes: Slots,
    large_answers: Slots,
    /// Tells this process's event ids from an earlier one's: they start again at 1.
    pub started: u64,
}

impl Site {
    pub fn new(views: Views, shutdown: CancellationToken) -> Self {
        let started = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_secs();
        let (event_streams, probes, large_answers) = Default::default();
        Self { views, shutdown, event_streams, probes, large_answers, started }
    }
}

/// One request on its way through a handler.
pub struct Call {
    pub site: Arc<Site>,
    pub peer: Peer,
    pub parts: Parts,
    pub query: Query,
    /// The path's parameter, decoded; empty for routes without one.
    pub parameter: String,
    /// Its second one, likewise.
    candidate: String,
    body: Incoming,
}

impl Call {
    /// For a request's head and body to arrive and for `control` to answer.
    pub fn patience(&self) -> Duration {
        self.site.views.server.borrow().limits.request_timeout
    }

    /// A place for an answer that grows with the number of streams, to be taken before it is made.
    ///
    /// # Errors
    /// 503: too many are being made or sent.
    pub fn large_answer(&self) -> Result<Slot, Problem> {
        let slot = self.site.large_answers.take(LARGE_ANSWERS);
        slot.ok_or_else(|| Problem::busy("too many large answers are under way"))
    }

    /// The body, which must be declared JSON: that keeps forms of foreign web pages out.
    ///
    /// # Errors
    /// 415, 413, 408 or 400.
    pub async fn json_body<T: serde::de::DeserializeOwned>(&mut self) -> Result<T, Problem> {
        let declared = self.parts.headers.get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
        let essence = declared.split(';').next().unwrap_or_default().trim();
        if !essence.eq_ignore_ascii_case("application/json") {
            return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "the body must be application/json"));
        }
        let limit = self.site.views.server.borrow().limits.body;
        let patience = self.patience();
        let whole = Limited::new(&mut self.body, limit).collect();
        let body: Bytes = match tokio::time::timeout(patience, whole).await {
            Ok(Ok(body)) => body.to_bytes(),
            Ok(Err(e)) if e.is::<LengthLimitError>() => {
                let detail = format!("the body may have at most {limit} bytes");
                return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail));
            }
            Ok(Err(_)) => return Err(Problem::bad_request("the body did not arrive whole")),
            Err(_) => return Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "the body took too long")),
        };
        // The parser's own message may quote the body.
        serde_json::from_slice(&body).map_err(|e| {
            let what = match e.classify() {
                serde_json::error::Category::Data => "does not have the shape this path takes",
                _ => "is not JSON",
            };
            Problem::bad_request(format!("the body {what} (line {}, column {})", e.line(), e.column()))
        })
    }
}

/// Answers one request.
pub async fn answer(site: Arc<Site>, listener: Listener, peer: Peer, request: Request<Incoming>) -> Reply {
    let (parts, body) = request.into_parts();
    let found = routes::find(parts.uri.path());
    let found = found.filter(|(route, _)| listener != Listener::Health || route.is_health());
    let Some((route, parameters)) = found else {
        let reply = match parts.uri.path().starts_with("/health/") {
            true => health::unknown_target(&site.views),
            false => Problem::new(StatusCode::NOT_FOUND, "there is nothing at this path").reply(),
        };
        site.views.self_metrics.request_answered("other", reply.status());
        return reply;
    };
    let metrics = Arc::clone(&site.views.self_metrics);
    let reply = match operation(route, &parts.method) {
        None => Problem::method_not_allowed(&route.allow()).reply(),
        Some(operation) => match admit(&site, listener, operation, &parts) {
            Err(problem) => problem.reply(),
            Ok(query) => {
                let Parameters { name: parameter, candidate } = parameters;
                let call = Call { site, peer, parts, query, parameter, candidate, body };
                handle(operation.handler, call).await.unwrap_or_else(|problem| problem.reply())
            }
        },
    };
    tracing::trace!(%peer, route = route.path, status = reply.status().as_u16(), "request answered");
    metrics.request_answered(route.path, reply.status());
    reply
}

fn operation(route: &'static Route, method: &Method) -> Option<&'static Operation> {
    let verb = match *method {
        Method::GET | Method::HEAD => Verb::Get,
        Method::OPTIONS if route.is_health() => Verb::Get,
        Method::POST => Verb::Post,
        Method::PUT => Verb::Put,
        Method::DELETE => Verb::Delete,
        _ => return None,
    };
    route.operations.iter().find(|o| o.verb == verb)
}

fn admit(site: &Site, listener: Listener, operation: &Operation, parts: &Parts) -> Result<Query, Problem> {
    let query = match Query::parse(parts.uri.query()) {
        // Whatever a load balancer appends, its question is answered.
        Err(_) if operation.access == access::Access::Health => Query::default(),
        parsed => parsed?,
    };
    let spec = site.views.server.borrow();
    access::check_host(operation.access, listener, &spec, &parts.headers)?;
    access::check(operation.access, listener, &spec, &parts.headers, &query)?;
    Ok(query)
}

async fn handle(handler: Handler, call: Call) -> Result<Reply, Problem> {
    let views = &call.site.views;
    let asked = |asked| health::target(views, asked, &call.query, &call.parts.headers);
    Ok(match handler {
        Handler::StreamHealth => asked(Asked::Stream(&call.parameter)),
        Handler::EndpointHealth => asked(Asked::Target(Class::Endpoint, &call.parameter)),
        Handler::ServiceHealth => asked(Asked::Target(Class::Service, &call.parameter)),
        Handler::GroupHealth => asked(Asked::Group(&call.parameter)),
        Handler::CandidateHealth => asked(Asked::Candidate { failover: &call.parameter, candidate: &call.candidate }),
        Handler::MonitorHealth => health::monitor(views),
        Handler::Live => health::checklist(views, health::Question::Live, &call.query),
        Handler::LiveCheck => health::single_check(views, health::Question::Live, &call.parameter),
        Handler::Ready => health::checklist(views, health::Question::Ready, &call.query),
        Handler::ReadyCheck => health::single_check(views, health::Question::Ready, &call.parameter),
        Handler::PrometheusHealthy => health::prometheus_healthy(),
        Handler::PrometheusReady => health::prometheus_ready(views),
        Handler::Metrics => api::metrics::scrape(call).await?,
        Handler::Status => api::status::status(&call).await?,
        Handler::Streams => api::streams::list(&call)?,
        Handler::Stream => api::streams::one(&call)?,
        Handler::StreamHistory => api::history::one(&call)?,
        Handler::History => api::history::list(&call).await?,
        Handler::Endpoints => api::targets::list(&call, Class::Endpoint)?,
        Handler::Endpoint => api::targets::one(&call, Class::Endpoint)?,
        Handler::EndpointEvents => api::events::of_target(&call, Class::Endpoint)?,
        Handler::Services => api::targets::list(&call, Class::Service)?,
        Handler::Service => api::targets::one(&call, Class::Service)?,
        Handler::ServiceEvents => api::events::of_target(&call, Class::Service)?,
        Handler::Paths => api::paths::list(&call)?,
        Handler::Path => api::paths::one(&call)?,
        Handler::Groups => api::groups::list(&call)?,
        Handler::Group => api::groups::one(&call)?,
        Handler::GroupEvents => api::events::of_group(&call)?,
        Handler::Maintain => api::intent::maintain(call).await?,
        Handler::EndMaintenance => api::intent::end_maintenance(call).await?,
        Handler::Failovers => api::failovers::list(&call)?,
        Handler::Failover => api::failovers::one(&call)?,
        Handler::FailoverEvents => api::events::of_failover(&call)?,
        Handler::Pin => api::intent::pin(call).await?,
        Handler::Unpin => api::intent::unpin(call).await?,
        Handler::Events => api::events::all(&call)?,
        Handler::Thumbnail => api::thumbnail::newest(&call)?,
        Handler::StreamEvents => api::events::of_stream(&call)?,
        Handler::Reload => api::intent::reload(call).await?,
        Handler::AddStream => api::intent::add_stream(call).await?,
        Handler::RemoveStream => api::intent::remove_stream(call).await?,
        Handler::Silence => api::intent::silence(call).await?,
        Handler::Unsilence => api::intent::unsilence(call).await?,
        Handler::Probe => api::probe::probe(call).await?,
        Handler::OpenApi => openapi::reply(),
        Handler::Page => page::shell(&call.parts.headers),
        Handler::PageFile => page::file(&call.parts.headers, &call.parameter)?,
        Handler::Runbook => page::runbook(&call.parts.headers),
        Handler::PlainPage => page::plain(&call)?,
    })
}
