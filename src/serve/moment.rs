//! The moment a view is made at, and what may be said about the present then.

use std::time::{Duration, Instant, SystemTime};

use crate::model::Health;
use crate::model::clock::{Calendar, Clock};
use crate::model::snapshot::{Snapshot, StreamView};

/// A snapshot older than this says nothing about the present any more: the store has stalled.
pub const SNAPSHOT_MAX_AGE: Duration = Duration::from_secs(5);

/// One moment, read once per answer.
#[derive(Debug, Clone)]
pub struct Moment {
    pub now: Instant,
    calendar: Calendar,
}

impl Moment {
    pub fn read(clock: &Clock) -> Self {
        Self { now: clock.now(), calendar: clock.calendar() }
    }

    /// The moment `now` at the given wall-clock time, as if there had never been a pause.
    pub fn at(now: Instant, wall: SystemTime) -> Self {
        Self { now, calendar: Calendar::anchored(now, wall) }
    }

    /// Wall-clock time of an awake-time moment.
    pub fn wall_of(&self, at: Instant) -> SystemTime {
        self.calendar.wall(at)
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
