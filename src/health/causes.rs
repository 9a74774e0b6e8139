//! Degraded causes over time: each comes when it has lasted, and goes when it is over or nobody can tell any more.

use std::time::{Duration, Instant};

use crate::model::health::{DegradedCause, DegradedCauses};

type PerCause<T> = [T; DegradedCause::ALL.len()];

/// Those that apply, and how long evidence has said what it says of each.
#[derive(Debug, Clone, Default)]
pub(super) struct Causes {
    active: DegradedCauses,
    /// When each was last found without interruption, or last absent.
    found_since: PerCause<Option<Instant>>,
    clear_since: PerCause<Option<Instant>>,
    /// For how long evidence has said nothing about each that applies.
    silent: PerCause<Duration>,
    /// When there was evidence last, unless it has been interrupted since.
    heard: Option<Instant>,
}

impl Causes {
    /// These apply, by evidence of some time ago.
    pub fn remembering(active: DegradedCauses) -> Self {
        Self { active, ..Self::default() }
    }

    pub fn active(&self) -> DegradedCauses {
        self.active
    }

    pub fn set(&mut self, cause: DegradedCause, on: bool) {
        self.active.set(cause, on);
    }

    /// None but these may apply.
    pub fn keep(&mut self, causes: DegradedCauses) {
        self.active = self.active.intersection(causes);
    }

    /// Interrupted evidence has no duration.
    pub fn interrupt(&mut self) {
        self.found_since = Default::default();
        self.clear_since = Default::default();
    }

    /// There is no evidence: time that passes says nothing.
    pub fn pause(&mut self) {
        self.heard = None;
    }

    /// There is evidence, which says something of those that are `shown`. Those that apply and of which it has said nothing for more than
    /// `stands_for`.
    pub fn outlived(&mut self, now: Instant, shown: DegradedCauses, stands_for: Option<Duration>) -> DegradedCauses {
        let passed = self.heard.replace(now).map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
        for (cause, silent) in DegradedCause::ALL.iter().zip(&mut self.silent) {
            let is_silent = self.active.contains(*cause) && !shown.contains(*cause);
            *silent = if is_silent { *silent + passed } else { Duration::ZERO };
        }
        let causes = DegradedCause::ALL.iter().copied().zip(self.silent);
        causes.filter(|(_, silent)| stands_for.is_some_and(|most| *silent > most)).map(|(cause, _)| cause).collect()
    }

    /// Moves those in that are found, after `fall`, and the others of those `judged` out, after `rise`. When to look again.
    pub fn update(
        &mut self,
        now: Instant,
        judged: DegradedCauses,
        found: DegradedCauses,
        fall: Duration,
        rise: Duration,
    ) -> Option<Instant> {
        let mut again: Option<Instant> = None;
        for cause in judged.iter() {
            let (Some(found_since), Some(clear_since)) =
                (self.found_since.get_mut(cause as usize), self.clear_since.get_mut(cause as usize))
            else {
                continue;
            };
            let is_found = found.contains(cause);
            let (begun, ended, lasts) =
                if is_found { (found_since, clear_since, fall) } else { (clear_since, found_since, rise) };
            *ended = None;
            if self.active.contains(cause) == is_found {
                if !is_found {
                    *begun = None;
                }
                continue;
            }
            let at = *begun.get_or_insert(now) + lasts;
            if now >= at {
                self.active.set(cause, is_found);
            } else {
                again = again.into_iter().chain([at]).min();
            }
        }
        again
    }
}
