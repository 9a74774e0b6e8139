//! What `control` tells of itself: read by the self metrics.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Instant, SystemTime};

use crate::model::health::DownCause;
use crate::model::libav::WorkerEnds;

/// Figures of the supervisor and of reloads.
#[derive(Debug, Default)]
pub struct ControlStatus {
    restarts: [AtomicU64; DownCause::ALL.len()],
    interruptions: AtomicU64,
    hindrances: AtomicU64,
    panics: AtomicU64,
    worker_ends: Arc<WorkerEnds>,
    discovery_failing: AtomicU64,
    reload_failed: AtomicBool,
    last_success: Mutex<Option<SystemTime>>,
    beat: Mutex<Option<Instant>>,
}

impl ControlStatus {
    pub fn count_restart(&self, cause: DownCause) {
        if let Some(count) = self.restarts.get(cause as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A session ended right after a pause of ours.
    pub fn count_interruption(&self) {
        self.interruptions.fetch_add(1, Ordering::Relaxed);
    }

    /// An attempt failed for want of something on our own side.
    pub fn count_hindrance(&self) {
        self.hindrances.fetch_add(1, Ordering::Relaxed);
    }

    pub fn count_panic(&self) {
        self.panics.fetch_add(1, Ordering::Relaxed);
    }

    pub fn note_reload(&self, success: bool) {
        self.reload_failed.store(!success, Ordering::Relaxed);
        if success {
            *self.last_success.lock().unwrap_or_else(PoisonError::into_inner) = Some(SystemTime::now());
        }
    }

    /// How many discovery sources cannot be read now.
    pub fn note_discovery(&self, failing: usize) {
        self.discovery_failing.store(failing as u64, Ordering::Relaxed);
    }

    pub fn discovery_failing(&self) -> u64 {
        self.discovery_failing.load(Ordering::Relaxed)
    }

    /// Sessions that ended and were tried again, by why they ended: a down cause, or a reason of our own.
    pub fn restarts(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let causes = DownCause::ALL.iter().map(|cause| cause.as_str()).zip(&self.restarts);
        let own = [("interrupted", &self.interruptions), ("hindered", &self.hindrances), ("panic", &self.panics)];
        causes.chain(own).map(|(reason, count)| (reason, count.load(Ordering::Relaxed)))
    }

    /// Probe tasks that panicked.
    pub fn panics(&self) -> u64 {
        self.panics.load(Ordering::Relaxed)
    }

    /// How often libav workers were replaced. The pool of them counts.
    pub fn worker_ends(&self) -> &Arc<WorkerEnds> {
        &self.worker_ends
    }

    pub fn last_reload_successful(&self) -> bool {
        !self.reload_failed.load(Ordering::Relaxed)
    }

    /// Control has come round.
    pub fn beat(&self, now: Instant) {
        *self.beat.lock().unwrap_or_else(PoisonError::into_inner) = Some(now);
    }

    /// Control comes round no more, as it shall.
    pub fn rest(&self) {
        *self.beat.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// When control last came round. `None`: it has not begun, or has ended.
    pub fn last_beat(&self) -> Option<Instant> {
        *self.beat.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn last_reload_success(&self) -> Option<SystemTime> {
        *self.last_success.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
