//! One group or failover: what is wanted of it, its evaluator, and how it is shown.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use super::report;
use super::roster::Roster;
use super::standing::{Review, Turn, Witnesses};
use crate::health::{
    CandidateEvidence, FailoverEvaluator, FailoverMemory, FailoverSituation, GroupEvaluator, GroupSituation,
    SightEvaluator,
};
use crate::model::Name;
use crate::model::failover::{CandidateView, FailoverPin, FailoverSpec, FailoverView};
use crate::model::group::{GroupSpec, GroupView, Maintenance, MaintenanceState, MemberCounts};
use crate::model::snapshot::HealthAnswer;
use crate::store::judged::Outcome;
use crate::store::paths::Known;

#[derive(Debug)]
pub struct GroupEntry {
    pub spec: Arc<GroupSpec>,
    pub roster: Roster,
    pub evaluator: GroupEvaluator,
    pub maintenance: Option<Arc<Maintenance>>,
    /// As it was judged.
    pub turn: Turn,
    pub review: Option<Review>,
    /// When the newest evidence came.
    pub observed_at: Option<Instant>,
    pub answer: HealthAnswer,
    pub view: Arc<GroupView>,
}

#[derive(Debug)]
pub struct FailoverEntry {
    pub spec: Arc<FailoverSpec>,
    pub evaluator: FailoverEvaluator,
    pub pin: Option<Arc<FailoverPin>>,
    pub kept: FailoverMemory,
    pub view: Arc<FailoverView>,
}

/// When, and whether everything that is watched has had its first chance.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    pub now: Instant,
    pub wall: SystemTime,
    pub complete: bool,
}

impl Moment {
    pub fn situation<'s>(
        self,
        spec: &'s FailoverSpec,
        candidates: &'s [CandidateEvidence],
        pin: Option<&'s FailoverPin>,
        sight: &SightEvaluator,
    ) -> FailoverSituation<'s> {
        let Self { now, wall, complete } = self;
        let (isolated, looks_anew_until) = (sight.is_isolated(), sight.looks_anew_until(now));
        FailoverSituation { now, wall, spec, candidates, pin, isolated, looks_anew_until, complete }
    }
}

impl GroupEntry {
    pub fn new(spec: Arc<GroupSpec>, roster: Roster, mut evaluator: GroupEvaluator) -> Self {
        let answer = evaluator.answer(spec.unknown);
        let view = GroupView {
            spec: Arc::clone(&spec),
            health: evaluator.health(),
            eligible: None,
            serving: None,
            weight: 1.0,
            members: MemberCounts::default(),
            causes: Vec::new(),
            failing: Arc::new([]),
            since: evaluator.since(),
            epoch: evaluator.epoch(),
            held: false,
            maintenance: None,
            observed_at: None,
            answer,
        };
        let view = Arc::new(view);
        Self {
            spec,
            roster,
            evaluator,
            maintenance: None,
            turn: Turn::No,
            review: None,
            observed_at: None,
            answer,
            view,
        }
    }

    /// An operator's word that is in force.
    pub fn maintenance(&self, wall: SystemTime) -> Option<&Arc<Maintenance>> {
        self.maintenance.as_ref().filter(|m| m.until.is_none_or(|until| wall < until))
    }

    pub fn is_out_of_service(&self, wall: SystemTime) -> bool {
        self.maintenance(wall).is_some_and(|m| m.state != MaintenanceState::Ready)
    }

    pub fn evaluate(
        &mut self,
        moment: Moment,
        witnesses: &Witnesses,
        sight: &SightEvaluator,
        known: &impl Known,
        outcome: &mut Outcome,
    ) {
        let review = Review::new(&self.roster, self.turn, moment.now, witnesses, known);
        let before = self.evaluator.evaluate(&GroupSituation {
            now: moment.now,
            wall: moment.wall,
            rise: self.spec.rise,
            fall: self.spec.fall,
            role: review.role,
            any_down: !review.failing.is_empty(),
            maintenance: self.is_out_of_service(moment.wall),
            sight,
            complete: moment.complete,
        });
        if let Some(from) = before {
            outcome.events.push(report::change(moment.wall, &self.spec.name, from, &self.evaluator, &review));
        }
        self.review = Some(review);
    }

    /// When it has to be judged although no member has changed.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let again = self.review.as_ref().and_then(|review| review.again);
        self.evaluator.poll_timeout().into_iter().chain(again).min()
    }

    pub fn answered_well(&self, name: &Name) -> Option<Name> {
        (self.evaluator.last_answer() == Some(true)).then(|| name.clone())
    }

    pub fn view(&self, wall: SystemTime) -> GroupView {
        let review = self.review.as_ref();
        let failing = review.map(|r| r.failing.as_slice()).unwrap_or_default();
        let failing = failing.get(..GroupView::MOST_FAILING).unwrap_or(failing);
        // The same list in the same memory: most looks change nothing.
        let failing = if *self.view.failing == *failing { Arc::clone(&self.view.failing) } else { failing.into() };
        let weight = review.map_or(1.0, |r| r.weight);
        GroupView {
            spec: Arc::clone(&self.spec),
            health: self.evaluator.health(),
            eligible: self.evaluator.eligible(),
            serving: self.evaluator.serving(),
            weight: if self.answer.healthy { weight.max(0.01) } else { weight },
            members: review.map(|r| r.counts).unwrap_or_default(),
            causes: review.map(|r| r.causes.clone()).unwrap_or_default(),
            failing,
            since: self.evaluator.since(),
            epoch: self.evaluator.epoch(),
            held: self.evaluator.is_held(),
            maintenance: self.maintenance(wall).cloned(),
            observed_at: self.observed_at,
            answer: self.answer,
        }
    }
}

impl FailoverEntry {
    pub fn new(spec: Arc<FailoverSpec>, evaluator: FailoverEvaluator) -> Self {
        let view = FailoverView {
            spec: Arc::clone(&spec),
            active: None,
            epoch: evaluator.epoch(),
            since: evaluator.since(),
            reason: evaluator.reason(),
            suppressed: None,
            pinned: None,
            candidates: Arc::new([]),
            totals: evaluator.totals(),
            observed_at: None,
        };
        let kept = evaluator.remember();
        Self { spec, evaluator, pin: None, kept, view: Arc::new(view) }
    }

    pub fn pin(&self, wall: SystemTime) -> Option<&Arc<FailoverPin>> {
        self.pin.as_ref().filter(|pin| pin.until.is_none_or(|until| wall < until))
    }

    pub fn wanted(&self, wall: SystemTime) -> (Arc<FailoverSpec>, Option<Arc<FailoverPin>>) {
        (Arc::clone(&self.spec), self.pin(wall).cloned())
    }

    pub fn view(
        &self,
        moment: Moment,
        candidates: &[CandidateEvidence],
        answers: Vec<HealthAnswer>,
        observed_at: Option<Instant>,
    ) -> Arc<FailoverView> {
        let evaluator = &self.evaluator;
        let active = self.spec.candidates.iter().position(|c| Some(&c.group) == evaluator.active());
        let each = self.spec.candidates.iter().zip(candidates).zip(answers).enumerate();
        let candidates = each.map(|(i, ((candidate, evidence), answer))| {
            let suspect_until = evaluator.suspect_until(moment.now, &self.spec, &candidate.group);
            let out = evidence.maintenance || suspect_until.is_some();
            CandidateView {
                eligible: if out { Some(false) } else { evidence.eligible },
                serving: evidence.serving.filter(|_| Some(i) == active),
                suspect_until,
                answer,
            }
        });
        let view = FailoverView {
            spec: Arc::clone(&self.spec),
            active,
            epoch: evaluator.epoch(),
            since: evaluator.since(),
            reason: evaluator.reason(),
            suppressed: evaluator.suppressed(),
            pinned: self.pin(moment.wall).cloned(),
            candidates: candidates.collect(),
            totals: evaluator.totals(),
            observed_at,
        };
        if view == *self.view { Arc::clone(&self.view) } else { Arc::new(view) }
    }
}
