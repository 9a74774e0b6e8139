//! Health answers, in the grammar of HAProxy's `httpchk`, Kubernetes and Docker.
//!
//! 200 or 503 and nothing else for targets: HAProxy takes 3xx for up and 404 for drain. That last word is used where `?drain=404` asks for it.

use std::fmt::{self, Write as _};
use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderValue, StatusCode};
use schemars::JsonSchema;
use serde::Serialize;

use crate::model::group::MaintenanceState;
use crate::model::snapshot::{AnswerBasis, HealthAnswer, Snapshot};
use crate::model::{Cause, Health, TargetClass};

use super::Views;
use super::controllers::STATE_HEADER;
use super::documents::rfc3339;
use super::judged::Judged;
use super::metrics::own::{AnswerGiven, AnswerView};
use super::moment::{Moment, SNAPSHOT_MAX_AGE};
use super::query::Query;
use super::reply::{Reply, TEXT, json, whole};
use super::told::Told;

/// Body of `/health/streams/{name}` and its like for endpoints, services, groups and candidates of failovers.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[schemars(rename = "TargetHealth")]
pub struct TargetHealth {
    /// `unknown`, `up`, `degraded`, `down` or `idle`.
    pub status: &'static str,
    pub causes: Vec<&'static str>,
    /// RFC 3339: since when the status has held; `null` for an unknown name.
    pub since: Option<String>,
    /// Milliseconds since the newest evidence; `null` when there is none.
    pub age_ms: Option<u64>,
    /// Grows with every change of the status.
    pub epoch: Option<u64>,
    /// What the answer rests on: `verdict`, `held` or `unknown`.
    pub basis: &'static str,
}

/// What is asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked<'n> {
    Stream(&'n str),
    Target(TargetClass, &'n str),
    Group(&'n str),
    Candidate { failover: &'n str, candidate: &'n str },
}

impl fmt::Display for Asked<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stream(name) => write!(f, "stream {name}"),
            Self::Target(class, name) => write!(f, "{class} {name}"),
            Self::Group(name) => write!(f, "group {name}"),
            Self::Candidate { failover, candidate } => write!(f, "failover {failover}/{candidate}"),
        }
    }
}

/// An answer and how it is counted.
struct Answer {
    status: StatusCode,
    view: AnswerView,
    given: AnswerGiven,
    body: TargetHealth,
}

impl Asked<'_> {
    fn view(self) -> AnswerView {
        match self {
            Self::Stream(_) => AnswerView::Streams,
            Self::Target(TargetClass::Endpoint, _) => AnswerView::Endpoints,
            Self::Target(TargetClass::Service, _) => AnswerView::Services,
            Self::Group(_) => AnswerView::Groups,
            Self::Candidate { .. } => AnswerView::Failovers,
        }
    }

    /// Answers from `snapshot`. A stalled store answers by the policy for unknown; a name that a reload has removed is answered as
    /// before for as long as the snapshot keeps it.
    fn answer(self, snapshot: &Snapshot, moment: &Moment, drain: Drain) -> Answer {
        let judged = |judged: Judged<'_>, view| Answer::of_judged(&judged, view, snapshot, moment);
        let told = |told: Told<'_>| Answer::of_told(&told, self.view(), snapshot, moment, drain);
        let answer = match self {
            Self::Stream(name) => {
                let departed = || Some(judged((&**snapshot.departed(name)?).into(), AnswerView::Departed));
                snapshot.stream(name).map(|v| judged((&**v).into(), self.view())).or_else(departed)
            }
            Self::Target(class, name) => {
                let departed =
                    || Some(judged((&**snapshot.departed_target(class, name)?).into(), AnswerView::Departed));
                snapshot.target(class, name).map(|v| judged((&**v).into(), self.view())).or_else(departed)
            }
            Self::Group(name) => Told::of_group(snapshot, name).map(told),
            Self::Candidate { failover, candidate } => Told::of_candidate(snapshot, failover, candidate).map(told),
        };
        answer.unwrap_or_else(|| Answer::no_such(self.view()))
    }
}

impl Answer {
    fn no_such(view: AnswerView) -> Self {
        let body = TargetHealth {
            status: Health::Unknown.as_str(),
            causes: Vec::new(),
            since: None,
            age_ms: None,
            epoch: None,
            basis: AnswerBasis::Unknown.as_str(),
        };
        Self { status: StatusCode::SERVICE_UNAVAILABLE, view, given: AnswerGiven::NoSuchName, body }
    }

    fn of_judged(judged: &Judged<'_>, view: AnswerView, snapshot: &Snapshot, moment: &Moment) -> Self {
        let fresh = moment.is_fresh(snapshot);
        let answer = judged.answer(fresh);
        let body = TargetHealth {
            status: judged.health(snapshot, moment).as_str(),
            causes: judged.causes(snapshot, moment).map(Cause::as_str).collect(),
            since: Some(since(judged.verdict.since, snapshot, moment)),
            age_ms: judged.observed_at.map(|at| millis(moment.age_of(at))),
            epoch: Some(judged.verdict.epoch),
            basis: answer.basis.as_str(),
        };
        Self { status: ok_or_unavailable(answer.healthy), view, given: given(answer), body }
    }

    fn of_told(told: &Told<'_>, view: AnswerView, snapshot: &Snapshot, moment: &Moment, drain: Drain) -> Self {
        let fresh = moment.is_fresh(snapshot);
        let answer = told.answer(fresh);
        let body = TargetHealth {
            status: if fresh { told.health } else { Health::Unknown }.as_str(),
            causes: told.causes.iter().filter(|_| fresh).map(|c| c.as_str()).collect(),
            since: Some(since(told.since, snapshot, moment)),
            age_ms: told.observed_at.map(|at| millis(moment.age_of(at))),
            epoch: Some(told.epoch),
            basis: answer.basis.as_str(),
        };
        let (status, given) = match told.maintenance {
            // An operator's word, whatever we know or see.
            Some(MaintenanceState::Maint) => (StatusCode::SERVICE_UNAVAILABLE, AnswerGiven::Unhealthy),
            Some(MaintenanceState::Drain) if told.fit && drain == Drain::NotFound => {
                (StatusCode::NOT_FOUND, AnswerGiven::Draining)
            }
            _ => (ok_or_unavailable(answer.healthy), given(answer)),
        };
        Self { status, view: if told.departed { AnswerView::Departed } else { view }, given, body }
    }
}

/// Since when what is shown has held: nothing is known since a snapshot that is too old was taken.
fn since(held: SystemTime, snapshot: &Snapshot, moment: &Moment) -> String {
    rfc3339(if moment.is_fresh(snapshot) { held } else { moment.wall_of(snapshot.taken_at) })
}

/// What the asking controller understands of drains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Drain {
    /// Nothing.
    Ignored,
    /// 404, as HAProxy does with `disable-on-404`.
    NotFound,
}

pub(super) fn given(answer: HealthAnswer) -> AnswerGiven {
    use AnswerGiven as G;
    match (answer.basis, answer.healthy) {
        (AnswerBasis::Verdict, true) => G::Healthy,
        (AnswerBasis::Verdict, false) => G::Unhealthy,
        (AnswerBasis::Held, true) => G::HeldHealthy,
        (AnswerBasis::Held, false) => G::HeldUnhealthy,
        (AnswerBasis::Unknown, true) => G::AssumedHealthy,
        (AnswerBasis::Unknown, false) => G::AssumedUnhealthy,
    }
}

fn millis(d: Duration) -> u64 {
    u64::try_from(d.as_millis()).unwrap_or(u64::MAX)
}

fn ok_or_unavailable(ok: bool) -> StatusCode {
    if ok { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}

/// Answers `/health/{streams|endpoints|services|groups}/{name}` and `/health/failovers/{name}/{candidate}`, counts the answer, and notes
/// what the asking load balancer says of itself.
pub fn target(views: &Views, asked: Asked<'_>, query: &Query, headers: &HeaderMap) -> Reply {
    let moment = Moment::read(&views.store.clock);
    let drain = if query.all("drain").any(|v| v == "404") { Drain::NotFound } else { Drain::Ignored };
    let answer = asked.answer(&views.store.snapshot(), &moment, drain);
    if let (Some(state), true) = (headers.get(STATE_HEADER), answer.given != AnswerGiven::NoSuchName) {
        let told = answer.status == StatusCode::OK;
        views.controllers.note(&asked.to_string(), state.as_bytes(), told, moment.now);
    }
    counted(views, answer)
}

fn counted(views: &Views, answer: Answer) -> Reply {
    views.self_metrics.health_answered(answer.view, answer.given);
    json(answer.status, &answer.body)
}

/// Body of `/health`: the monitor itself.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[schemars(rename = "MonitorHealth")]
pub struct MonitorHealth {
    /// `up` while the loops are fresh, else `down`.
    pub status: &'static str,
    /// Milliseconds since the store last looked at everything.
    pub snapshot_age_ms: u64,
    /// Milliseconds since control, which follows decisions and reads the configuration, last came round; `null` before it begins and once
    /// it has ended.
    pub control_age_ms: Option<u64>,
    /// Number of the fold that made the picture.
    pub generation: u64,
    /// Whether every stream has had its first verdict or its chance at one.
    pub complete: bool,
    /// A rejected configuration leaves the running one in force, so it does not make the monitor unhealthy.
    pub config_reload_successful: bool,
    pub observer_pauses: u64,
    pub version: &'static str,
}

impl MonitorHealth {
    pub fn read(views: &Views, snapshot: &Snapshot, moment: &Moment) -> Self {
        Self {
            status: if is_well(views, snapshot, moment) { Health::Up } else { Health::Down }.as_str(),
            snapshot_age_ms: millis(moment.age_of(snapshot.taken_at)),
            control_age_ms: views.control.status().last_beat().map(|at| millis(moment.age_of(at))),
            generation: snapshot.generation,
            complete: snapshot.complete,
            config_reload_successful: views.control.status().last_reload_successful(),
            observer_pauses: views.store.clock.pauses(),
            version: env!("CARGO_PKG_VERSION"),
        }
    }
}

/// Whether the loops are fresh.
fn is_well(views: &Views, snapshot: &Snapshot, moment: &Moment) -> bool {
    moment.is_fresh(snapshot) && control_is_fresh(views, moment)
}

fn control_is_fresh(views: &Views, moment: &Moment) -> bool {
    views.control.status().last_beat().is_none_or(|at| moment.age_of(at) < SNAPSHOT_MAX_AGE)
}

/// Answers `/health`.
pub fn monitor(views: &Views) -> Reply {
    let moment = Moment::read(&views.store.clock);
    let snapshot = views.store.snapshot();
    json(ok_or_unavailable(is_well(views, &snapshot, &moment)), &MonitorHealth::read(views, &snapshot, &moment))
}

/// Which of Kubernetes' two questions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Question {
    Live,
    Ready,
}

impl Question {
    fn name(self) -> &'static str {
        match self {
            Self::Live => "livez",
            Self::Ready => "readyz",
        }
    }
}

type Checks = Vec<(&'static str, bool)>;

/// The checks of a question; none depends on a target.
fn checks(views: &Views, question: Question) -> Checks {
    let snapshot = views.store.snapshot();
    let moment = Moment::read(&views.store.clock);
    let (store, control) = (moment.is_fresh(&snapshot), control_is_fresh(views, &moment));
    let mut checks = vec![("ping", true), ("store", store), ("control", control)];
    if question == Question::Ready {
        checks.push(("first-fold", snapshot.complete));
    }
    checks
}

/// Answers `/livez` and `/readyz`: 200 `ok`, or 500 and the list; the list also with `?verbose`.
pub fn checklist(views: &Views, question: Question, query: &Query) -> Reply {
    let checks = checks(views, question);
    let excluded: Vec<&str> = query.all("exclude").collect();
    let passed = checks.iter().all(|(name, ok)| *ok || excluded.contains(name));
    if passed && !query.has("verbose") {
        return whole(StatusCode::OK, TEXT, "ok");
    }
    let mut list = String::new();
    for (name, ok) in &checks {
        let line = match (excluded.contains(name), ok) {
            (true, _) => format!("[+]{name} excluded: ok"),
            (false, true) => format!("[+]{name} ok"),
            (false, false) => format!("[-]{name} failed: reason withheld"),
        };
        list.push_str(&line);
        list.push('\n');
    }
    if excluded.iter().any(|e| !checks.iter().any(|(name, _)| name == e)) {
        list.push_str("warn: some health checks cannot be excluded: no matches\n");
    }
    // Writing into a String cannot fail.
    let _ = writeln!(list, "{} check {}", question.name(), if passed { "passed" } else { "failed" });
    let status = if passed { StatusCode::OK } else { StatusCode::INTERNAL_SERVER_ERROR };
    whole(status, TEXT, list)
}

/// Answers `/livez/{check}` and `/readyz/{check}`.
pub fn single_check(views: &Views, question: Question, name: &str) -> Reply {
    match checks(views, question).iter().find(|(check, _)| *check == name) {
        Some((_, true)) => whole(StatusCode::OK, TEXT, "ok"),
        Some((_, false)) => whole(StatusCode::INTERNAL_SERVER_ERROR, TEXT, "internal server error: reason withheld"),
        None => whole(StatusCode::NOT_FOUND, TEXT, "no such check"),
    }
}

/// Answers `/-/ready` in Prometheus' words.
pub fn prometheus_ready(views: &Views) -> Reply {
    let ready = checks(views, Question::Ready).iter().all(|(_, ok)| *ok);
    let text = if ready { "rtmp-hmonitor is Ready.\n" } else { "Service Unavailable\n" };
    whole(ok_or_unavailable(ready), TEXT, text)
}

/// Answers `/-/healthy`.
pub fn prometheus_healthy() -> Reply {
    whole(StatusCode::OK, HeaderValue::from_static("text/plain; charset=utf-8"), "rtmp-hmonitor is Healthy.\n")
}

/// Answers a path below `/health/` that names nothing: as an unknown target, because a load balancer asks.
pub fn unknown_target(views: &Views) -> Reply {
    counted(views, Answer::no_such(AnswerView::Streams))
}
