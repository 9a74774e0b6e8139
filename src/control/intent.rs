//! Operators' words on groups and failovers: kept in the state file until they are taken back or their time is over.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use super::handle::ControlError;
use crate::model::Name;
use crate::model::failover::FailoverPin;
use crate::model::group::Maintenance;
use crate::state::StateFile;

/// What is in force.
#[derive(Debug, Default, Clone)]
pub struct Intents {
    /// By group.
    pub maintenance: Arc<BTreeMap<Name, Arc<Maintenance>>>,
    /// By failover.
    pub pins: Arc<BTreeMap<Name, Arc<FailoverPin>>>,
}

impl Intents {
    /// What the state file holds of them.
    pub fn recall(state: &StateFile) -> Self {
        Self {
            maintenance: Arc::new(state.maintenance().into_iter().collect()),
            pins: Arc::new(state.pins().into_iter().collect()),
        }
    }

    /// Ends what is over. `true`: something was.
    pub fn expire(&mut self, wall: SystemTime, state: &StateFile) -> bool {
        let over = |until: Option<SystemTime>| until.is_some_and(|until| until <= wall);
        let groups: Vec<Name> =
            self.maintenance.iter().filter(|(_, m)| over(m.until)).map(|(name, _)| name.clone()).collect();
        let failovers: Vec<Name> =
            self.pins.iter().filter(|(_, p)| over(p.until)).map(|(name, _)| name.clone()).collect();
        for group in &groups {
            Arc::make_mut(&mut self.maintenance).remove(group);
        }
        for failover in &failovers {
            Arc::make_mut(&mut self.pins).remove(failover);
        }
        let expired = !groups.is_empty() || !failovers.is_empty();
        if expired {
            state.drop_over(wall);
        }
        expired
    }

    pub fn maintain(&mut self, group: Name, maintenance: Arc<Maintenance>) {
        Arc::make_mut(&mut self.maintenance).insert(group, maintenance);
    }

    pub fn end_maintenance(&mut self, group: &Name) -> Result<(), ControlError> {
        let ended = Arc::make_mut(&mut self.maintenance).remove(group);
        ended.map(drop).ok_or_else(|| ControlError::NotMaintained(group.clone()))
    }

    pub fn pin(&mut self, failover: Name, pin: Arc<FailoverPin>) {
        Arc::make_mut(&mut self.pins).insert(failover, pin);
    }

    pub fn unpin(&mut self, failover: &Name) -> Result<(), ControlError> {
        let ended = Arc::make_mut(&mut self.pins).remove(failover);
        ended.map(drop).ok_or_else(|| ControlError::NotPinned(failover.clone()))
    }
}
