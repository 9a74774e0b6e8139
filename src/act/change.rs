//! Which changes receivers and programs are told of, and how. Pure.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use crate::model::action::ChangeFilter;
use crate::model::failover::{Decisions, FailoverView};
use crate::model::group::GroupView;

/// One change: the JSON body of a webhook's request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// The same for the same change, however often it is told, also after a restart: the idempotency key.
    pub id: String,
    /// The failover's or group's name.
    pub object: String,
    pub kind: ChangeKind,
    /// Of a failover: the group that was active. Of a group: its health, `up`, `degraded`, `down`, `idle` or `unknown`. Null: not known.
    pub from: Option<String>,
    pub to: Option<String>,
    /// Of a failover: what its candidates have as `value`.
    pub value: Values,
    /// Number of the decision; grows with each change of the object.
    pub epoch: u64,
    /// Of a failover: why it switched. Of a group: the causes of its members that are down, with commas between them.
    pub reason: String,
    /// RFC 3339, UTC.
    pub at: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    /// A failover has another active candidate, or its first.
    Failover,
    /// A group's health changed.
    Group,
}

impl ChangeKind {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Failover => "failover",
            Self::Group => "group",
        }
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Values {
    pub old: Option<String>,
    pub new: Option<String>,
}

/// What has been told of each object: what comes next is a change from that.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Ledger(BTreeMap<String, Told>);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Told {
    epoch: u64,
    /// Tells decisions of the same number apart when the state file was lost.
    since_ms: u64,
    state: Option<String>,
    value: Option<String>,
}

impl Ledger {
    /// The changes since the last time, of what `filter` lets through, and takes them as told. Of a group that is seen for the first time
    /// there is no change; of a failover the first active candidate is one, so that whoever follows it knows where to begin.
    pub fn changes(&mut self, decisions: &Decisions, filter: &ChangeFilter) -> Vec<Change> {
        if !decisions.complete {
            return Vec::new();
        }
        let mut changes = Vec::new();
        let mut told = BTreeMap::new();
        for view in decisions.failovers.iter().filter(|view| filter.failovers.holds(&view.spec.name)) {
            let name = view.spec.name.as_str();
            let key = format!("failover {name}");
            let before = self.0.remove(&key);
            let now = of_failover(view);
            if now.state.is_some() && before.as_ref().is_none_or(|b| b.state != now.state && b.is_before(&now)) {
                changes.push(change(
                    ChangeKind::Failover,
                    name,
                    before.as_ref(),
                    &now,
                    view.reason.to_string(),
                    view.since,
                ));
            }
            told.insert(key, newest(before, now));
        }
        for view in decisions.groups.iter().filter(|view| filter.groups.holds(&view.spec.name)) {
            let name = view.spec.name.as_str();
            let key = format!("group {name}");
            let before = self.0.remove(&key);
            let now = of_group(view);
            if let Some(before) = before.as_ref().filter(|b| b.state != now.state && b.is_before(&now)) {
                let causes: Vec<_> = view.causes.iter().map(|cause| cause.as_str()).collect();
                changes.push(change(ChangeKind::Group, name, Some(before), &now, causes.join(","), view.since));
            }
            told.insert(key, newest(before, now));
        }
        // What is configured no more is forgotten.
        self.0 = told;
        changes
    }
}

impl Told {
    /// A decision of another number, or of the same one in another life.
    fn is_before(&self, other: &Self) -> bool {
        (self.epoch, self.since_ms) != (other.epoch, other.since_ms)
    }
}

/// What to take as told: a state that is no change leaves the old one, from which the next change starts.
fn newest(before: Option<Told>, now: Told) -> Told {
    match before {
        Some(before) if !before.is_before(&now) => before,
        _ => now,
    }
}

fn of_failover(view: &FailoverView) -> Told {
    let active = view.active_candidate();
    Told {
        epoch: view.epoch,
        since_ms: unix_ms(view.since),
        state: active.map(|candidate| candidate.group.to_string()),
        value: active.and_then(|candidate| candidate.value.as_deref()).map(str::to_owned),
    }
}

fn of_group(view: &GroupView) -> Told {
    Told { epoch: view.epoch, since_ms: unix_ms(view.since), state: Some(view.health.to_string()), value: None }
}

fn change(kind: ChangeKind, name: &str, before: Option<&Told>, now: &Told, reason: String, at: SystemTime) -> Change {
    Change {
        id: format!("{}-{name}-{}-{}", kind.as_str(), now.epoch, now.since_ms),
        object: name.to_owned(),
        kind,
        from: before.and_then(|before| before.state.clone()),
        to: now.state.clone(),
        value: Values { old: before.and_then(|before| before.value.clone()), new: now.value.clone() },
        epoch: now.epoch,
        reason,
        at: jiff::Timestamp::try_from(at).unwrap_or_default().to_string(),
    }
}

fn unix_ms(at: SystemTime) -> u64 {
    let since = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
