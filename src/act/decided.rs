//! What decisions say about one object, as actuators need it.

use std::time::Instant;

use crate::model::action::Decider;
use crate::model::event::Subject;
use crate::model::failover::Decisions;
use crate::model::group::MaintenanceState;

/// A decision.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Decided {
    pub healthy: bool,
    /// What a load balancer is told, as its agent checks are: what drains goes on with the sessions it has, for as long as it is fit.
    pub up: bool,
    /// No new sessions.
    pub drains: bool,
    /// Share of the group's members that are healthy, 0 to 1.
    pub weight: f64,
    /// Where the load balancer's own states are ours to set: what they shall be.
    pub maintenance: Option<MaintenanceState>,
    /// When the evidence came.
    pub observed_at: Option<Instant>,
}

impl Decided {
    /// `None`: nothing is decided, and whatever is stays as it is.
    pub fn find(decisions: &Decisions, decider: &Decider) -> Option<Self> {
        if !decisions.complete {
            return None;
        }
        let group = decisions.group(decider.group.as_str())?;
        let (healthy, observed_at) = match &decider.failover {
            None => (group.answer.healthy, group.observed_at),
            Some(name) => {
                let failover = decisions.failover(name.as_str())?;
                // Before the first decision nobody is active, and that is no reason to take all of them down.
                failover.active?;
                let at = failover.spec.candidates.iter().position(|candidate| candidate.group == decider.group)?;
                (failover.candidates.get(at)?.answer.healthy, failover.observed_at)
            }
        };
        let word = group.maintenance.as_ref().map_or(MaintenanceState::Ready, |maintenance| maintenance.state);
        let up = match word {
            MaintenanceState::Ready => healthy,
            MaintenanceState::Drain => group.eligible != Some(false),
            MaintenanceState::Maint => false,
        };
        let drains = word == MaintenanceState::Drain;
        let maintenance = group.spec.owns_maintenance.then_some(word);
        Some(Self { healthy, up, drains, weight: group.weight, maintenance, observed_at })
    }
}

/// Whom events about a decision are about.
pub fn subject(decider: &Decider) -> Subject {
    decider.failover.as_ref().map_or_else(|| Subject::group(&decider.group), Subject::failover)
}
