//! Where probes put reports and the store collects them: one slot per stream, latest wins.
//!
//! Counters in reports are cumulative, so an overwritten report loses nothing, and the board never holds more than one report per
//! stream.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

use crate::model::{StreamName, StreamReport};

/// Shared between all probes and the store.
#[derive(Debug, Default)]
pub struct ReportBoard {
    slots: Mutex<HashMap<StreamName, Arc<StreamReport>>>,
    /// Notified when a report that changes something arrives.
    pub urgent: Notify,
    /// Notified when the board stops being empty.
    pub filled: Notify,
}

impl ReportBoard {
    /// Puts `report` into the stream's slot. `urgent`: it shows a change that must be judged at once.
    pub fn publish(&self, name: &StreamName, report: StreamReport, urgent: bool) {
        let report = Arc::new(report);
        let first = {
            let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
            let first = slots.is_empty();
            match slots.get_mut(name) {
                Some(slot) => *slot = report,
                None => drop(slots.insert(name.clone(), report)),
            }
            first
        };
        if urgent {
            self.urgent.notify_one();
        } else if first {
            self.filled.notify_one();
        }
    }

    /// Empties the board.
    pub fn take(&self) -> HashMap<StreamName, Arc<StreamReport>> {
        std::mem::take(&mut self.slots.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
