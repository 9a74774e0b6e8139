//! What actuators tell of themselves: read by metrics and API.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use crate::model::Name;
use crate::model::action::{ActionKind, ActionOutcome};

/// Upper bounds of the decision latency's histogram, in seconds.
pub const LATENCY_BUCKETS: [f64; 10] = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];

/// Figures of all actuators, cumulative since the monitor started.
#[derive(Debug, Default)]
pub struct ActStatus {
    outcomes: [[AtomicU64; ActionOutcome::ALL.len()]; ActionKind::ALL.len()],
    pending: [AtomicU64; ActionKind::ALL.len()],
    panics: AtomicU64,
    latency: Mutex<Latency>,
    ghosts: Mutex<Arc<[GhostView]>>,
}

/// From the evidence of a decision to the moment at which a load balancer had been told.
#[derive(Debug, Clone, Copy, Default)]
pub struct Latency {
    /// Up to each bound of [`LATENCY_BUCKETS`], not cumulative; the last slot holds those above all bounds.
    pub counts: [u64; LATENCY_BUCKETS.len() + 1],
    pub sum: Duration,
}

/// A publication whose publisher has gone, and which its server keeps all the same. Names neither application nor key: keys are secrets.
#[derive(Debug, Clone, PartialEq)]
pub struct GhostView {
    pub service: Name,
    /// The stream that is watched there, where there is one.
    pub stream: Option<Name>,
    /// Since when no byte has come from the publisher.
    pub since: SystemTime,
    /// Whether it began to stand still about when an address moved: then it is what keeps the publisher out.
    pub moved: bool,
}

impl ActStatus {
    pub fn count(&self, kind: ActionKind, outcome: ActionOutcome) {
        if let Some(count) = self.outcomes.get(kind as usize).and_then(|of| of.get(outcome as usize)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Every kind and outcome, those that have not happened, too.
    pub fn outcomes(&self) -> impl Iterator<Item = (ActionKind, ActionOutcome, u64)> {
        ActionKind::ALL.iter().zip(&self.outcomes).flat_map(|(kind, counts)| {
            let counts = ActionOutcome::ALL.iter().zip(counts);
            counts.map(|(outcome, count)| (*kind, *outcome, count.load(Ordering::Relaxed)))
        })
    }

    /// What is still to be done, by kind.
    pub fn pending(&self) -> impl Iterator<Item = (ActionKind, u64)> {
        ActionKind::ALL.iter().zip(&self.pending).map(|(kind, count)| (*kind, count.load(Ordering::Relaxed)))
    }

    /// Actuators that panicked and were started again.
    pub fn panics(&self) -> u64 {
        self.panics.load(Ordering::Relaxed)
    }

    pub(super) fn count_panic(&self) {
        self.panics.fetch_add(1, Ordering::Relaxed);
    }

    pub fn latency(&self) -> Latency {
        *self.latency.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn observe_latency(&self, took: Duration) {
        let mut latency = self.latency.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = LATENCY_BUCKETS.partition_point(|bound| *bound < took.as_secs_f64());
        if let Some(count) = latency.counts.get_mut(slot) {
            *count += 1;
        }
        latency.sum += took;
    }

    /// Ghosts at the last look, by service.
    pub fn ghosts(&self) -> Arc<[GhostView]> {
        Arc::clone(&self.ghosts.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn show_ghosts(&self, ghosts: Arc<[GhostView]>) {
        *self.ghosts.lock().unwrap_or_else(PoisonError::into_inner) = ghosts;
    }
}

/// One actuator's share of what is pending. Gone with it.
#[derive(Debug)]
pub struct Pending {
    status: Arc<ActStatus>,
    kind: ActionKind,
    count: u64,
}

impl Pending {
    pub fn new(status: &Arc<ActStatus>, kind: ActionKind) -> Self {
        Self { status: Arc::clone(status), kind, count: 0 }
    }

    pub fn set(&mut self, count: usize) {
        let (before, count) = (std::mem::replace(&mut self.count, count as u64), count as u64);
        if let Some(total) = self.status.pending.get(self.kind as usize) {
            total.fetch_add(count, Ordering::Relaxed);
            total.fetch_sub(before, Ordering::Relaxed);
        }
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.set(0);
    }
}
