//! The moment a view is made at, and what may be said about the present then.

use std::time::{Duration, Instant, SystemTime};

use crate::model::Health;
use crate::model::clock::Clock;
use crate::model::snapshot::{Snapshot, StreamView};

/// A snapshot older than this says nothing about the present any more: the store has stalled.
pub const SNAPSHOT_MAX_AGE: Duration = Duration::from_secs(5);

/// One moment in awake and in wall-clock time, read once per answer.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    pub now: Instant,
    pub wall: SystemTime,
}

impl Moment {
    pub fn read(clock: &Clock) -> Self {
        let now = clock.now();
        Self { now, wall: clock.wall(now) }
    }

    /// Wall-clock time of an awake-time moment.
    pub fn wall_of(&self, at: Instant) -> SystemTime {
        if at > self.now {
            self.wall + (at - self.now)
        } else {
            self.wall.checked_sub(self.now - at).unwrap_or(SystemTime::UNIX_EPOCH)
        }
    }

    pub fn age_of(&self, at: Instant) -> Duration {
        self.now.saturating_duration_since(at)
    }

    /// Whether the store has looked at the world lately.
    pub fn is_fresh(&self, snapshot: &Snapshot) -> bool {
        self.age_of(snapshot.taken_at) < SNAPSHOT_MAX_AGE
    }
}

/// The stream's health as it may be shown now: a verdict in a stale snapshot is none.
pub fn judged_health(view: &StreamView, snapshot: &Snapshot, moment: &Moment) -> Health {
    if moment.is_fresh(snapshot) { view.verdict.health } else { Health::Unknown }
}
