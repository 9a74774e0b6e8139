//! The JSON documents of the API: shapes for others, made from the model, which knows no JSON. Units are in the names;
//! what is not known is `null`; URLs are redacted; times are RFC 3339 in UTC, to the millisecond.

mod actions;
mod anomaly;
mod content;
mod controllers;
mod enhanced;
mod events;
mod facts;
mod figure;
mod groups;
mod history;
mod paths;
mod streams;
mod targets;

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use schemars::JsonSchema;
use serde::Serialize;

use crate::model::Cause;
use crate::model::report::Fault;
use crate::model::snapshot::Snapshot;

use super::judged::Judged;
use super::moment::Moment;

pub use actions::{ActionDocument, GhostDocument};
pub use controllers::ControllerDocument;
pub use enhanced::{HdrMetadataDocument, ServerCapabilitiesDocument};
pub use events::EventDocument;
pub use groups::{FailoverDocument, GroupDocument, MaintenanceDocument, PinDocument, health as group_health};
pub use history::HistoryDocument;
pub use paths::PathDocument;
pub use streams::{SilenceDocument, StreamDocument, StreamSummary};
pub use targets::{TargetDocument, TargetSummary};

/// RFC 3339 in UTC, to the millisecond.
pub fn rfc3339(at: SystemTime) -> String {
    let millis = at.duration_since(SystemTime::UNIX_EPOCH).map(|d| i64::try_from(d.as_millis()).unwrap_or(i64::MAX));
    jiff::Timestamp::from_millisecond(millis.unwrap_or(0)).map(|t| format!("{t:.3}")).unwrap_or_default()
}

/// A date as HTTP headers have it (RFC 9110, 5.6.7).
pub fn http_date(at: SystemTime) -> String {
    let at = jiff::Timestamp::try_from(at).unwrap_or_default();
    jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&at).unwrap_or_default()
}

type Counts = BTreeMap<&'static str, u64>;

/// Non-zero counters by their label.
fn counts<'n>(names: impl Iterator<Item = &'static str>, counters: impl IntoIterator<Item = &'n u64>) -> Counts {
    names.zip(counters).filter(|(_, n)| **n > 0).map(|(name, n)| (name, *n)).collect()
}

fn secs(d: Option<Duration>) -> Option<f64> {
    d.map(|d| d.as_secs_f64())
}

/// How something is judged.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Judgement")]
pub struct JudgementDocument<'s> {
    pub name: &'s str,
    /// `unknown`, `up`, `degraded`, `down` or `idle`.
    pub health: &'static str,
    /// Why it is not up.
    pub causes: Vec<&'static str>,
    /// What applies beside that and counts for nothing: content checks of severity `info`.
    pub noted: Vec<&'static str>,
    /// Why, for people.
    pub detail: &'s str,
    /// Since when `health` has held.
    pub since: String,
    /// Grows with every change of the verdict.
    pub epoch: u64,
    /// What the health endpoint answers: 200 when true.
    pub healthy: bool,
    /// What that rests on: `verdict`, `held` or `unknown`.
    pub basis: &'static str,
    /// Since the newest evidence.
    pub age_seconds: Option<f64>,
    pub outages: u64,
    pub labels: BTreeMap<&'s str, &'s str>,
}

impl<'s> JudgementDocument<'s> {
    fn new(judged: &Judged<'s>, snapshot: &Snapshot, moment: &Moment) -> Self {
        let fresh = moment.is_fresh(snapshot);
        let answer = judged.answer(fresh);
        Self {
            name: judged.name.as_str(),
            health: judged.health(snapshot, moment).as_str(),
            causes: judged.causes(snapshot, moment).map(Cause::as_str).collect(),
            noted: judged.noted(snapshot, moment).map(Cause::as_str).collect(),
            detail: if fresh { &judged.verdict.detail } else { "the picture is too old" },
            since: rfc3339(judged.verdict.since),
            epoch: judged.verdict.epoch,
            healthy: answer.healthy,
            basis: answer.basis.as_str(),
            age_seconds: judged.observed_at.map(|at| moment.age_of(at).as_secs_f64()),
            outages: judged.totals.outages,
            labels: judged.labels.iter().collect(),
        }
    }
}

/// Evidence that something is not well.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Fault")]
pub struct FaultDocument<'s> {
    pub cause: &'static str,
    pub since: String,
    pub detail: &'s str,
}

impl<'s> FaultDocument<'s> {
    fn new(fault: &'s Fault, moment: &Moment) -> Self {
        Self { cause: fault.cause.as_str(), since: rfc3339(moment.wall_of(fault.since)), detail: &fault.detail }
    }
}
