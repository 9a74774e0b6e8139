//! The read side: what views get.

use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::watch;

use crate::model::clock::Clock;
use crate::model::failover::Decisions;
use crate::model::snapshot::Snapshot;

use super::events::EventLog;
use super::history::History;

/// Gives every view the same newest snapshot. Cheap to clone.
#[derive(Debug, Clone)]
pub struct StoreReader {
    pub clock: Clock,
    pub events: Arc<EventLog>,
    /// Changes when anything that controllers are told changes.
    pub decisions: watch::Receiver<Arc<Decisions>>,
    pub history: Arc<History>,
    current: Arc<ArcSwap<Snapshot>>,
}

impl StoreReader {
    /// With an empty history of figures.
    pub fn new(
        clock: Clock,
        events: Arc<EventLog>,
        decisions: watch::Receiver<Arc<Decisions>>,
        current: Arc<ArcSwap<Snapshot>>,
    ) -> Self {
        Self { clock, events, history: Arc::default(), decisions, current }
    }

    /// The newest snapshot.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }
}
