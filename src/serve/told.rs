//! What controllers are told of groups and of candidates of failovers: the same over HTTP and by HAProxy's agent checks.

use std::time::{Instant, SystemTime};

use crate::model::failover::FailoverView;
use crate::model::group::{GroupView, MaintenanceState};
use crate::model::snapshot::{HealthAnswer, Snapshot};
use crate::model::spec::UnknownAnswer;
use crate::model::{Cause, Health};

use super::judged::standing;

/// One group, or one candidate of a failover, in the snapshot.
#[derive(Debug, Clone, Copy)]
pub struct Told<'s> {
    /// Of the group; a candidate is one.
    pub health: Health,
    pub causes: &'s [Cause],
    /// Of a candidate: since when the failover's decision holds.
    pub since: SystemTime,
    /// Of a candidate: number of the failover's decision.
    pub epoch: u64,
    pub observed_at: Option<Instant>,
    pub maintenance: Option<MaintenanceState>,
    /// Nothing says that it could not serve; so one that drains may go on with the sessions it has.
    pub fit: bool,
    /// Configured no more.
    pub departed: bool,
    /// Whether a load balancer's `ready`, `drain` and `maint` states are ours to set.
    pub owns_maintenance: bool,
    /// Share of healthy members, of a group that is asked about as such.
    pub weight: Option<f64>,
    /// What the store answers.
    pub stored: HealthAnswer,
    pub unknown: UnknownAnswer,
}

impl<'s> Told<'s> {
    /// The group of this name, or what is kept of it after a reload has removed it.
    pub fn of_group(snapshot: &'s Snapshot, name: &str) -> Option<Self> {
        let decisions = &snapshot.decisions;
        let departed = || decisions.departed_group(name).map(|group| Self { departed: true, ..Self::group(group) });
        decisions.group(name).map(|group| Self::group(group)).or_else(departed)
    }

    /// Likewise the candidate of a failover.
    pub fn of_candidate(snapshot: &'s Snapshot, failover: &str, candidate: &str) -> Option<Self> {
        let decisions = &snapshot.decisions;
        let group = decisions.group(candidate).or_else(|| decisions.departed_group(candidate))?;
        match decisions.failover(failover) {
            Some(failover) => Self::candidate(failover, group),
            None => Some(Self { departed: true, ..Self::candidate(decisions.departed_failover(failover)?, group)? }),
        }
    }

    fn group(group: &'s GroupView) -> Self {
        Self {
            health: group.health,
            causes: &group.causes,
            since: group.since,
            epoch: group.epoch,
            observed_at: group.observed_at,
            maintenance: group.maintenance.as_ref().map(|m| m.state),
            fit: group.eligible != Some(false),
            departed: false,
            owns_maintenance: group.spec.owns_maintenance,
            weight: Some(group.weight),
            stored: group.answer,
            unknown: group.spec.unknown,
        }
    }

    /// `None`: the group is none of the failover's candidates.
    fn candidate(failover: &'s FailoverView, group: &'s GroupView) -> Option<Self> {
        let index = failover.spec.candidates.iter().position(|c| c.group == group.spec.name)?;
        Some(Self {
            since: failover.since,
            epoch: failover.epoch,
            observed_at: failover.observed_at,
            weight: None,
            stored: failover.candidates.get(index)?.answer,
            unknown: failover.spec.unknown,
            ..Self::group(group)
        })
    }

    /// The answer as it may be given from a snapshot that is `fresh` or not.
    pub fn answer(&self, fresh: bool) -> HealthAnswer {
        standing(self.stored, self.unknown, fresh)
    }
}
