//! The moment a view is made at, and what may be said about the present then.

use std::time::{Duration, Instant, SystemTime};

use crate::model::clock::{Calendar, Clock};
use crate::model::snapshot::Snapshot;
use crate::model::target_report::{Facts, TargetReport};

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

    /// Whether the report may still stand for the present.
    pub fn stands(&self, report: &TargetReport) -> bool {
        self.is_within(report.observed_at, report)
    }

    /// The report's facts as far as they may still stand for the present: those of a look that succeeded a while ago, before the
    /// failures since, may not.
    pub fn standing_facts<'r>(&self, report: &'r TargetReport) -> Option<&'r Facts> {
        let stand = match &report.facts {
            // Its facts tell of failures too.
            Facts::Ping(_) => self.stands(report),
            _ => report.last_success.is_some_and(|at| self.is_within(at, report)),
        };
        stand.then_some(&report.facts)
    }

    fn is_within(&self, at: Instant, report: &TargetReport) -> bool {
        !report.valid_for.is_zero() && self.age_of(at) <= report.valid_for
    }
}
