//! What streams and targets have in common once they are judged: how changes are told, and how the removed are remembered.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use crate::health::{Change, Evaluator, FailoverMemory, Remembered};
use crate::model::event::{Event, EventKind, Subject};
use crate::model::snapshot::Verdict;
use crate::model::{Name, TargetId};

/// How long a removed stream or target keeps its last health answer.
pub const KEEP_DEPARTED: Duration = Duration::from_secs(600);

/// What one fold brought about besides the snapshot.
#[derive(Debug, Default)]
pub struct Outcome {
    pub events: Vec<Event>,
    /// Judgements that changed and should survive a restart.
    pub remember: Vec<(Subject, Remembered)>,
    pub forget: Vec<Subject>,
    /// Failovers whose memory changed.
    pub decided: Vec<(Name, FailoverMemory)>,
    /// A decision must be on disk before it is told.
    pub must_be_kept: bool,
    /// Targets to look at at once.
    pub look_at: Vec<TargetId>,
    /// More is known of what is usual for a stream.
    pub learned: bool,
}

impl Outcome {
    /// Something happened that is no change of health.
    pub fn note(&mut self, at: SystemTime, subject: Subject, kind: EventKind, detail: impl Into<Arc<str>>) {
        self.events.push(Event::new(at, subject, kind, detail));
    }

    pub fn note_change(&mut self, at: SystemTime, subject: Subject, change: &Change, verdict: &Verdict) {
        let causes = verdict.causes().collect();
        let (kind, from, to) = match *change {
            Change::Health { from, to } => (EventKind::State, from, to),
            Change::Causes { health } => (EventKind::Cause, health, health),
        };
        let detail = Arc::clone(&verdict.detail);
        self.events.push(Event {
            from: Some(from.into()),
            to: Some(to.into()),
            causes,
            epoch: Some(verdict.epoch),
            ..Event::new(at, subject, kind, detail)
        });
    }
}

/// Whether a restart should know the difference.
pub fn change_is_lasting(before: &Verdict, after: &Verdict) -> bool {
    before.epoch != after.epoch || before.down != after.down
}

/// The removed: their last answers stay for a while, and their judgement if they come back within that.
#[derive(Debug)]
pub struct Departed<K, V, E = Evaluator> {
    kept: BTreeMap<K, Kept<V, E>>,
}

#[derive(Debug)]
struct Kept<V, E> {
    since: Instant,
    evaluator: E,
    view: Arc<V>,
}

impl<K, V, E> Default for Departed<K, V, E> {
    fn default() -> Self {
        Self { kept: BTreeMap::new() }
    }
}

impl<K: Ord, V, E> Departed<K, V, E> {
    pub fn keep(&mut self, now: Instant, key: K, evaluator: E, view: Arc<V>) {
        self.kept.insert(key, Kept { since: now, evaluator, view });
    }

    /// It is wanted again: its judgement goes on.
    pub fn take(&mut self, key: &K) -> Option<E> {
        self.kept.remove(key).map(|kept| kept.evaluator)
    }

    /// Drops those whose time is over.
    pub fn expire(&mut self, now: Instant, mut dropped: impl FnMut(&K)) {
        self.kept.retain(|key, kept| {
            let stays = now.saturating_duration_since(kept.since) < KEEP_DEPARTED;
            if !stays {
                dropped(key);
            }
            stays
        });
    }

    /// When the first of them is over.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.kept.values().map(|kept| kept.since + KEEP_DEPARTED).min()
    }

    pub fn views(&self) -> Arc<[Arc<V>]> {
        self.kept.values().map(|kept| Arc::clone(&kept.view)).collect()
    }
}
