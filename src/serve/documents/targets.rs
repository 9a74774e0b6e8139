//! Endpoints and services.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use crate::model::DownCause;
use crate::model::snapshot::{Snapshot, TargetView};
use crate::model::target::{Check, HaproxyCheck, VimeoTarget};
use crate::model::target_report::{BlindCause, CheckPhase};
use crate::serve::judged::Judged;
use crate::serve::moment::Moment;

use super::facts::FactsDocument;
use super::figure::figure;
use super::{Counts, FaultDocument, JudgementDocument, counts, rfc3339, secs};

/// An endpoint or a service in a few words.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "TargetSummary")]
pub struct TargetSummary<'s> {
    #[serde(flatten)]
    pub judgement: JudgementDocument<'s>,
    /// How it is checked: `icmp`, `tcp`, `vimeo`, …
    pub kind: &'static str,
    /// Its condition in its own word, where it has one: `Streaming`, `primary`, …
    pub condition: Option<&'s str>,
    /// The figure that tells most, for people.
    pub figure: Option<String>,
}

impl<'s> TargetSummary<'s> {
    pub fn new(view: &'s TargetView, snapshot: &Snapshot, moment: &Moment) -> Self {
        let report = view.report.as_deref().filter(|_| moment.is_fresh(snapshot));
        let facts = report.and_then(|r| Some((r, moment.standing_facts(r)?)));
        Self {
            judgement: JudgementDocument::new(&view.into(), snapshot, moment),
            kind: view.spec.check.check.kind().as_str(),
            condition: facts.and_then(|(_, facts)| facts.condition()),
            figure: facts.and_then(|(report, facts)| figure(facts, report.duration)),
        }
    }
}

/// An endpoint or a service with everything that is found out about it.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Target")]
pub struct TargetDocument<'s> {
    #[serde(flatten)]
    pub summary: TargetSummary<'s>,
    /// What is looked at: host and port at most, of a URL.
    pub target: String,
    pub interval_seconds: f64,
    pub outage_seconds: f64,
    /// Looks that told something.
    pub checks: u64,
    /// Failed ones by cause; causes without one are left out.
    pub failures: Counts,
    /// Looks that told nothing by cause; causes without one are left out.
    pub blind: Counts,
    /// Durations of the newest look's phases.
    pub phase_seconds: BTreeMap<&'static str, f64>,
    /// The whole of the newest successful look.
    pub duration_seconds: Option<f64>,
    pub last_success: Option<String>,
    pub certificate_expiry: Option<String>,
    pub fault: Option<FaultDocument<'s>>,
    /// Of the newest successful look.
    pub facts: Option<FactsDocument<'s>>,
}

impl<'s> TargetDocument<'s> {
    pub fn new(view: &'s TargetView, snapshot: &Snapshot, moment: &Moment) -> Self {
        let report = view.report.as_deref();
        let down = DownCause::ALL.iter().map(|c| c.as_str());
        let blind = BlindCause::ALL.iter().map(|c| c.as_str());
        let phases = report.into_iter().flat_map(|r| CheckPhase::ALL.iter().zip(r.phases));
        Self {
            summary: TargetSummary::new(view, snapshot, moment),
            target: place(&view.spec.check.check),
            interval_seconds: view.spec.check.interval.as_secs_f64(),
            outage_seconds: Judged::from(view).totals.outage_seconds,
            checks: report.map_or(0, |r| r.looks),
            failures: counts(down, report.iter().flat_map(|r| &r.failures)),
            blind: counts(blind, report.iter().flat_map(|r| &r.blind)),
            phase_seconds: phases.filter_map(|(p, d)| Some((p.as_str(), d?.as_secs_f64()))).collect(),
            duration_seconds: secs(report.and_then(|r| r.duration)),
            last_success: report.and_then(|r| r.last_success).map(|at| rfc3339(moment.wall_of(at))),
            certificate_expiry: report.and_then(|r| r.certificate_expiry).map(rfc3339),
            fault: report.and_then(|r| r.fault.as_ref()).map(|f| FaultDocument::new(f, moment)),
            facts: report.and_then(|r| FactsDocument::new(&r.facts)),
        }
    }
}

/// Where the check goes, without what may be secret.
fn place(check: &Check) -> String {
    match check {
        Check::Icmp(c) => c.host.to_string(),
        Check::Tcp(c) => c.address.to_string(),
        Check::Rtmp(c) => c.address.to_string(),
        Check::Canary(c) => c.url.origin(),
        Check::Http(c) => c.url.to_string(),
        Check::Tls(c) => c.address.to_string(),
        Check::Dns(c) => format!("{} {}", c.record, c.name),
        Check::WebSocket(c) => c.url.to_string(),
        Check::Download(c) => c.url.to_string(),
        Check::Postgres(c) | Check::Mongodb(c) | Check::Redis(c) => c.address.to_string(),
        Check::WebPresenter(c) => c.rest.address.host.to_string(),
        Check::Vimeo(c) => match c.target {
            VimeoTarget::Event(id) => format!("event {id}"),
            VimeoTarget::Video(id) => format!("video {id}"),
        },
        Check::RtmpServer(c) => c.url.to_string(),
        Check::Haproxy(HaproxyCheck::Socket(_)) => "statistics socket".to_owned(),
        Check::Haproxy(HaproxyCheck::Tcp(address)) => address.to_string(),
        Check::Haproxy(HaproxyCheck::Csv { url, .. }) => url.to_string(),
    }
}
