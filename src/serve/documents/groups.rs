//! Groups, failovers, and the operator's word on them.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use schemars::JsonSchema;
use serde::Serialize;

use crate::model::Health;
use crate::model::failover::{FailoverPin, FailoverView};
use crate::model::group::{GroupView, Maintenance};
use crate::model::snapshot::{HealthAnswer, Snapshot};
use crate::model::spec::UnknownAnswer;
use crate::serve::judged::standing;
use crate::serve::moment::Moment;

use super::rfc3339;

/// What the health endpoint answers.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Answer")]
pub struct AnswerDocument {
    /// 200 when true.
    pub healthy: bool,
    /// What it rests on: `verdict`, `held` or `unknown`.
    pub basis: &'static str,
}

impl AnswerDocument {
    fn new(stored: HealthAnswer, unknown: UnknownAnswer, fresh: bool) -> Self {
        let answer = standing(stored, unknown, fresh);
        Self { healthy: answer.healthy, basis: answer.basis.as_str() }
    }
}

/// Members of a group that count now.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Members")]
pub struct MembersDocument {
    /// All but the idle ones.
    pub expected: u32,
    pub healthy: u32,
    pub unknown: u32,
    pub idle: u32,
}

/// An operator's word on a group.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Maintenance")]
pub struct MaintenanceDocument<'s> {
    /// `ready`, `drain` or `maint`.
    pub state: &'static str,
    pub reason: &'s str,
    /// `null`: until it is lifted.
    pub until: Option<String>,
    pub created: String,
}

impl<'s> MaintenanceDocument<'s> {
    pub fn new(maintenance: &'s Maintenance) -> Self {
        Self {
            state: maintenance.state.as_str(),
            reason: &maintenance.reason,
            until: maintenance.until.map(rfc3339),
            created: rfc3339(maintenance.created),
        }
    }
}

/// One group.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Group")]
pub struct GroupDocument<'s> {
    pub name: &'s str,
    /// `unknown`, `up`, `degraded`, `down` or `idle`.
    pub health: &'static str,
    /// Whether it is fit to serve; `null`: nothing is known, or it is no candidate.
    pub eligible: Option<bool>,
    /// Whether it serves; `null`: it is not its turn, it has only just begun, or nothing is known.
    pub serving: Option<bool>,
    /// Healthy members over expected ones; 1 without members.
    pub weight_ratio: f64,
    pub members: MembersDocument,
    /// Of members that are down.
    pub causes: Vec<&'static str>,
    /// The first members that are down: `stream gate-1`.
    pub failing: Vec<String>,
    /// Since when `health` has held.
    pub since: String,
    /// Grows with every change of `health`.
    pub epoch: u64,
    /// The last judgement is kept because we cannot see.
    pub held: bool,
    pub address: Option<String>,
    pub maintenance: Option<MaintenanceDocument<'s>>,
    pub answer: AnswerDocument,
    /// Milliseconds since the newest evidence.
    pub age_ms: Option<u64>,
    pub labels: BTreeMap<&'s str, &'s str>,
}

impl<'s> GroupDocument<'s> {
    pub fn new(view: &'s GroupView, snapshot: &Snapshot, moment: &Moment) -> Self {
        let fresh = moment.is_fresh(snapshot);
        let members = view.members;
        Self {
            name: view.spec.name.as_str(),
            health: health(view, fresh).as_str(),
            eligible: view.eligible.filter(|_| fresh),
            serving: view.serving.filter(|_| fresh),
            weight_ratio: view.weight,
            members: MembersDocument {
                expected: members.expected,
                healthy: members.healthy,
                unknown: members.unknown,
                idle: members.idle,
            },
            causes: view.causes.iter().filter(|_| fresh).map(|c| c.as_str()).collect(),
            failing: view.failing.iter().filter(|_| fresh).map(ToString::to_string).collect(),
            since: rfc3339(view.since),
            epoch: view.epoch,
            held: view.held,
            address: view.spec.address.as_ref().map(ToString::to_string),
            maintenance: view.maintenance.as_deref().map(MaintenanceDocument::new),
            answer: AnswerDocument::new(view.answer, view.spec.unknown, fresh),
            age_ms: age_ms(view.observed_at, moment),
            labels: view.spec.labels.iter().collect(),
        }
    }
}

/// A group's health as it may be shown: in a stale snapshot there is none.
pub fn health(view: &GroupView, fresh: bool) -> Health {
    if fresh { view.health } else { Health::Unknown }
}

/// An operator's word on a failover.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Pin")]
pub struct PinDocument<'s> {
    pub group: &'s str,
    pub reason: &'s str,
    /// `null`: until it is lifted.
    pub until: Option<String>,
    pub created: String,
}

impl<'s> PinDocument<'s> {
    pub fn new(pin: &'s FailoverPin) -> Self {
        Self {
            group: pin.group.as_str(),
            reason: &pin.reason,
            until: pin.until.map(rfc3339),
            created: rfc3339(pin.created),
        }
    }
}

/// One failover.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Failover")]
pub struct FailoverDocument<'s> {
    pub name: &'s str,
    /// The group that is to be used; `null`: nothing has been decided yet.
    pub active: Option<&'s str>,
    /// Of the active candidate, for those who follow it.
    pub value: Option<&'s str>,
    /// Of the active group.
    pub address: Option<String>,
    /// Grows with every decision.
    pub epoch: u64,
    /// Why it is the active one: `initial`, `not_eligible`, `not_serving`, `preempt`, `pinned`, `maintenance` or `removed`.
    pub reason: &'static str,
    /// Since when it has been.
    pub since: String,
    /// Why a switch that evidence asks for is not made: `isolated`, `vantage`, `hold`, `no_candidate`, `site`, `pinned` or `blame`.
    pub suppressed: Option<&'static str>,
    pub pinned: Option<PinDocument<'s>>,
    /// We see nothing at all.
    pub isolated: bool,
    /// The decision is kept because we cannot see.
    pub held: bool,
    pub candidates: Vec<CandidateDocument<'s>>,
    /// Milliseconds since the evidence was last looked at.
    pub age_ms: Option<u64>,
    pub labels: BTreeMap<&'s str, &'s str>,
}

/// One candidate of a failover.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Candidate")]
pub struct CandidateDocument<'s> {
    pub group: &'s str,
    pub value: Option<&'s str>,
    pub eligible: Option<bool>,
    /// Only of the active one.
    pub serving: Option<bool>,
    /// It lost its turn for not serving, and is not eligible until then.
    pub suspect_until: Option<String>,
    pub active: bool,
    pub answer: AnswerDocument,
}

impl<'s> FailoverDocument<'s> {
    pub fn new(view: &'s FailoverView, snapshot: &Snapshot, moment: &Moment) -> Self {
        let fresh = moment.is_fresh(snapshot);
        let spec = &view.spec;
        let active = view.active_candidate();
        let group = active.and_then(|c| snapshot.decisions.group(c.group.as_str()));
        let isolated = snapshot.sight.isolated_since.is_some();
        let candidates = spec.candidates.iter().zip(view.candidates.iter()).enumerate();
        Self {
            name: spec.name.as_str(),
            active: active.map(|c| c.group.as_str()),
            value: active.and_then(|c| c.value.as_deref()),
            address: group.and_then(|g| g.spec.address.as_ref()).map(ToString::to_string),
            epoch: view.epoch,
            reason: view.reason.as_str(),
            since: rfc3339(view.since),
            suppressed: view.suppressed.map(|s| s.as_str()),
            pinned: view.pinned.as_deref().map(PinDocument::new),
            isolated,
            held: isolated || !fresh || group.is_some_and(|g| g.held),
            candidates: candidates
                .map(|(index, (candidate, seen))| CandidateDocument {
                    group: candidate.group.as_str(),
                    value: candidate.value.as_deref(),
                    eligible: seen.eligible.filter(|_| fresh),
                    serving: seen.serving.filter(|_| fresh),
                    suspect_until: seen.suspect_until.map(rfc3339),
                    active: view.active == Some(index),
                    answer: AnswerDocument::new(seen.answer, spec.unknown, fresh),
                })
                .collect(),
            age_ms: age_ms(view.observed_at, moment),
            labels: spec.labels.iter().collect(),
        }
    }
}

fn age_ms(at: Option<Instant>, moment: &Moment) -> Option<u64> {
    let millis = |age: Duration| u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
    at.map(|at| millis(moment.age_of(at)))
}
