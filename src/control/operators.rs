//! What operators ask: silences, maintenance of groups, pins of failovers. Kept on disk before it is in force.

use std::sync::Arc;
use std::time::SystemTime;

use super::Control;
use super::handle::ControlError;
use crate::model::Name;
use crate::model::failover::FailoverPin;
use crate::model::group::{Maintenance, MaintenanceState};
use crate::model::snapshot::Silence;

impl Control {
    pub(super) async fn silence(
        &mut self,
        name: Name,
        reason: String,
        until: Option<SystemTime>,
    ) -> Result<Arc<Silence>, ControlError> {
        if !self.is_wanted(&name) {
            return Err(ControlError::NotFound(name));
        }
        let silence = Arc::new(Silence { reason, until, created: SystemTime::now() });
        let (kept, of) = (Arc::clone(&silence), name.clone());
        self.keep(move |state| state.add_silence(&of, &kept)).await?;
        self.silences.insert(name, Arc::clone(&silence));
        self.apply();
        Ok(silence)
    }

    pub(super) fn unsilence(&mut self, name: &Name) -> Result<(), ControlError> {
        if self.silences.remove(name).is_none() {
            return Err(ControlError::NotFound(name.clone()));
        }
        self.state.remove_silence(name);
        self.apply();
        Ok(())
    }

    pub(super) async fn maintain(
        &mut self,
        group: Name,
        state: MaintenanceState,
        reason: String,
        until: Option<SystemTime>,
    ) -> Result<Arc<Maintenance>, ControlError> {
        if !self.config.groups.iter().any(|g| g.name == group) {
            return Err(ControlError::NoGroup(group));
        }
        let maintenance = Arc::new(Maintenance { state, reason, until, created: SystemTime::now() });
        let (kept, of) = (Arc::clone(&maintenance), group.clone());
        self.keep(move |file| file.set_maintenance(&of, Some(&kept))).await?;
        self.intents.maintain(group, Arc::clone(&maintenance));
        self.apply();
        Ok(maintenance)
    }

    pub(super) async fn end_maintenance(&mut self, group: &Name) -> Result<(), ControlError> {
        self.intents.end_maintenance(group)?;
        self.apply();
        let of = group.clone();
        self.keep(move |file| file.set_maintenance(&of, None)).await
    }

    pub(super) async fn pin(
        &mut self,
        failover: Name,
        group: Name,
        reason: String,
        until: Option<SystemTime>,
    ) -> Result<Arc<FailoverPin>, ControlError> {
        let Some(spec) = self.config.failovers.iter().find(|f| f.name == failover) else {
            return Err(ControlError::NoFailover(failover));
        };
        if !spec.candidates.iter().any(|candidate| candidate.group == group) {
            return Err(ControlError::NoCandidate(group));
        }
        let pin = Arc::new(FailoverPin { group, reason, until, created: SystemTime::now() });
        let (kept, of) = (Arc::clone(&pin), failover.clone());
        self.keep(move |file| file.set_pin(&of, Some(&kept))).await?;
        self.intents.pin(failover, Arc::clone(&pin));
        self.apply();
        Ok(pin)
    }

    pub(super) async fn unpin(&mut self, failover: &Name) -> Result<(), ControlError> {
        self.intents.unpin(failover)?;
        self.apply();
        let of = failover.clone();
        self.keep(move |file| file.set_pin(&of, None)).await
    }
}
