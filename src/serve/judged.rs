//! What streams, endpoints and services have in common for those who ask about them: a verdict, and an answer made from it.

use std::time::Instant;

use crate::model::snapshot::{AnswerBasis, HealthAnswer, Snapshot, StreamView, TargetView, Verdict, VerdictTotals};
use crate::model::spec::{Labels, UnknownAnswer};
use crate::model::{Cause, Health, Name};

use super::moment::Moment;

/// One stream, endpoint or service as judged.
#[derive(Debug, Clone, Copy)]
pub struct Judged<'s> {
    pub name: &'s Name,
    pub labels: &'s Labels,
    pub verdict: &'s Verdict,
    pub totals: &'s VerdictTotals,
    /// When the newest evidence came.
    pub observed_at: Option<Instant>,
    answer: HealthAnswer,
    unknown: UnknownAnswer,
}

impl<'s> From<&'s StreamView> for Judged<'s> {
    fn from(view: &'s StreamView) -> Self {
        Self {
            name: &view.spec.name,
            labels: &view.spec.labels,
            verdict: &view.verdict,
            totals: &view.totals,
            observed_at: view.report.as_ref().map(|r| r.observed_at),
            answer: view.answer,
            unknown: view.spec.policy.unknown,
        }
    }
}

impl<'s> From<&'s TargetView> for Judged<'s> {
    fn from(view: &'s TargetView) -> Self {
        // A report that may not stand for any time has seen no look that told something.
        let told = view.report.as_ref().filter(|r| !r.valid_for.is_zero());
        Self {
            name: &view.spec.id.name,
            labels: &view.spec.labels,
            verdict: &view.verdict,
            totals: &view.totals,
            observed_at: told.map(|r| r.observed_at),
            answer: view.answer,
            unknown: view.spec.policy.unknown,
        }
    }
}

impl<'s> Judged<'s> {
    /// The health as it may be shown now: a verdict in a stale snapshot is none.
    pub fn health(&self, snapshot: &Snapshot, moment: &Moment) -> Health {
        if moment.is_fresh(snapshot) { self.verdict.health } else { Health::Unknown }
    }

    /// Why it is not up, as it may be said now.
    pub fn causes(&self, snapshot: &Snapshot, moment: &Moment) -> impl Iterator<Item = Cause> + use<'s> {
        let verdict = Some(self.verdict).filter(|_| self.health(snapshot, moment) != Health::Unknown);
        verdict
            .into_iter()
            .flat_map(|v| v.down.map(Cause::Down).into_iter().chain(v.degraded.iter().map(Cause::Degraded)))
    }

    /// What applies and counts for nothing, as it may be said now.
    pub fn noted(&self, snapshot: &Snapshot, moment: &Moment) -> impl Iterator<Item = Cause> + use<'s> {
        let verdict = Some(self.verdict).filter(|_| moment.is_fresh(snapshot));
        verdict.into_iter().flat_map(|v| v.noted.iter().map(Cause::Degraded))
    }

    /// The store's answer, or the policy for unknown when its snapshot is not `fresh`.
    pub fn answer(&self, fresh: bool) -> HealthAnswer {
        standing(self.answer, self.unknown, fresh)
    }
}

/// What the store's `answer` is worth now: by the policy for unknown when its snapshot is not `fresh`.
pub fn standing(answer: HealthAnswer, unknown: UnknownAnswer, fresh: bool) -> HealthAnswer {
    match unknown {
        _ if fresh => answer,
        UnknownAnswer::Hold => HealthAnswer { healthy: answer.healthy, basis: AnswerBasis::Held },
        UnknownAnswer::Pass => HealthAnswer { healthy: true, basis: AnswerBasis::Unknown },
        UnknownAnswer::Fail => HealthAnswer { healthy: false, basis: AnswerBasis::Unknown },
    }
}
