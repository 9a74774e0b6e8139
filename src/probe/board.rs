//! Where probes put reports and the store collects them: one slot per stream and target, latest wins.
//!
//! Counters in reports are cumulative, so an overwritten report loses nothing, and the board never holds more than one report per
//! stream or target.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, watch};

use crate::model::{Name, StreamReport, TargetId, TargetReport};

/// Shared between all probes and the store.
#[derive(Debug, Default)]
pub struct ReportBoard {
    slots: Mutex<Reports>,
    /// Those who want every report of one target themselves.
    followers: Mutex<HashMap<TargetId, watch::Sender<Option<Arc<TargetReport>>>>>,
    /// Those who look at a target and can be asked to do so at once.
    askable: Mutex<HashMap<TargetId, Arc<Notify>>>,
    /// Notified when a report that changes something arrives.
    pub urgent: Notify,
    /// Notified when the board stops being empty.
    pub filled: Notify,
}

/// What has come in since the board was last emptied.
#[derive(Debug, Default)]
pub struct Reports {
    pub streams: HashMap<Name, Arc<StreamReport>>,
    pub targets: HashMap<TargetId, Arc<TargetReport>>,
}

impl Reports {
    fn is_empty(&self) -> bool {
        self.streams.is_empty() && self.targets.is_empty()
    }
}

impl ReportBoard {
    /// Puts `report` into the stream's slot. `urgent`: it shows a change that must be judged at once.
    pub fn publish(&self, name: &Name, report: StreamReport, urgent: bool) {
        let report = Arc::new(report);
        self.put(urgent, |slots| match slots.streams.get_mut(name) {
            Some(slot) => *slot = report,
            None => drop(slots.streams.insert(name.clone(), report)),
        });
    }

    /// Puts `report` into the target's slot, and shows it to those who follow the target.
    pub fn publish_target(&self, id: &TargetId, report: TargetReport, urgent: bool) {
        let report = Arc::new(report);
        self.put(urgent, |slots| drop(slots.targets.insert(id.clone(), Arc::clone(&report))));
        // Only now: what a follower makes of it must not reach the store before it.
        if let Some(follower) = lock(&self.followers).get(id) {
            follower.send_replace(Some(report));
        }
    }

    /// Every report of one target from now on, the newest first.
    pub fn follow(&self, id: &TargetId) -> watch::Receiver<Option<Arc<TargetReport>>> {
        let mut followers = lock(&self.followers);
        followers.retain(|_, sender| sender.receiver_count() > 0);
        followers.entry(id.clone()).or_insert_with(|| watch::channel(None).0).subscribe()
    }

    /// Asks whoever looks at the target to look at once, and to tell at once.
    pub fn ask(&self, id: &TargetId) {
        if let Some(asked) = lock(&self.askable).get(id) {
            asked.notify_one();
        }
    }

    /// Notified when somebody asks for an immediate look at the target.
    pub fn asked(&self, id: &TargetId) -> Arc<Notify> {
        let mut askable = lock(&self.askable);
        // Of those who look no more nobody else holds it.
        askable.retain(|_, asked| Arc::strong_count(asked) > 1);
        Arc::clone(askable.entry(id.clone()).or_default())
    }

    /// Empties the board.
    pub fn take(&self) -> Reports {
        std::mem::take(&mut *lock(&self.slots))
    }

    fn put(&self, urgent: bool, put: impl FnOnce(&mut Reports)) {
        let first = {
            let mut slots = lock(&self.slots);
            let first = slots.is_empty();
            put(&mut slots);
            first
        };
        if urgent {
            self.urgent.notify_one();
        } else if first {
            self.filled.notify_one();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
