//! Endpoints and services in the fold: their evaluators and views.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::agenda::Agenda;
use super::judged::{Departed, Outcome, change_is_lasting};
use crate::health::{Evaluator, Remembered, Rules, Situation};
use crate::model::address::{Address, Host};
use crate::model::event::{EventKind, Subject};
use crate::model::health::Health;
use crate::model::snapshot::TargetView;
use crate::model::spec::Labels;
use crate::model::target::{Check, CheckSpec, HaproxyCheck, TargetPolicy, TcpCheck};
use crate::model::target_report::{Facts, RtmpServerFacts};
use crate::model::{Name, TargetClass, TargetId, TargetReport, TargetSpec};

/// A target that answers nothing for longer than this does not keep the monitor from being ready.
const LONGEST_CHANCE: Duration = Duration::from_secs(15);

/// All targets.
#[derive(Debug, Default)]
pub struct Targets {
    entries: BTreeMap<TargetId, Entry>,
    departed: Departed<TargetId, TargetView>,
    due: Agenda<TargetId>,
}

#[derive(Debug)]
struct Entry {
    spec: Arc<TargetSpec>,
    evaluator: Evaluator,
    report: Option<Arc<TargetReport>>,
    ill_since: Option<Instant>,
    /// What was last seen: a change is an event.
    condition: Option<Box<str>>,
    identity: Option<Box<str>>,
    added: Instant,
    view: Arc<TargetView>,
}

impl Targets {
    /// When something is due although nothing arrives.
    pub fn poll_timeout(&self) -> Option<Instant> {
        [self.due.first(), self.departed.poll_timeout()].into_iter().flatten().min()
    }

    /// Holds what an earlier process last answered, as for departed targets.
    pub fn recall(&mut self, now: Instant, wall: SystemTime, id: TargetId, judgement: Remembered) {
        // Nobody looks at it. Only the answer is asked for.
        let check = match id.class {
            TargetClass::Endpoint => {
                Check::Tcp(TcpCheck { address: Address { host: Host::Name("recalled".into()), port: 1 } })
            }
            TargetClass::Service => Check::Haproxy(HaproxyCheck::Socket(PathBuf::new())),
        };
        let check = CheckSpec { interval: Duration::ZERO, timeout: Duration::ZERO, down_after: 1, check };
        let policy = Arc::new(TargetPolicy::default());
        let spec = TargetSpec { id, check: Arc::new(check), policy, labels: Labels::default() };
        self.depart(now, Entry::new(now, Arc::new(spec), Evaluator::new(wall, Some(judgement))));
    }

    /// Makes the set of targets match what is wanted. Unchanged ones keep everything, changed ones their judgement. `announce`: those
    /// that are new are an event.
    pub fn set_desired(
        &mut self,
        now: Instant,
        wall: SystemTime,
        wanted: &[Arc<TargetSpec>],
        remembered: impl Fn(&Subject) -> Option<Remembered>,
        announce: bool,
        outcome: &mut Outcome,
    ) {
        let is_wanted = |id: &TargetId| wanted.binary_search_by(|s| s.id.cmp(id)).is_ok();
        let gone: Vec<TargetId> = self.entries.keys().filter(|id| !is_wanted(id)).cloned().collect();
        for id in gone {
            let Some(entry) = self.entries.remove(&id) else { continue };
            self.due.set(now, &id, None);
            outcome.note(wall, Subject::target(&id), EventKind::Removed, "no longer configured");
            self.depart(now, entry);
        }
        for spec in wanted {
            let subject = Subject::target(&spec.id);
            if let Some(entry) = self.entries.get_mut(&spec.id) {
                entry.take_spec(spec);
            } else {
                let departed = self.departed.take(&spec.id);
                let evaluator = departed.unwrap_or_else(|| Evaluator::new(wall, remembered(&subject)));
                self.entries.insert(spec.id.clone(), Entry::new(now, Arc::clone(spec), evaluator));
                if announce {
                    outcome.note(wall, subject, EventKind::Added, format!("check: {}", spec.check.check.kind()));
                }
            }
            self.evaluate(now, wall, &spec.id, outcome);
        }
    }

    /// Takes new reports and gives whose they were. Those of targets that are not wanted are dropped.
    pub fn take_reports(
        &mut self,
        now: Instant,
        wall: SystemTime,
        reports: HashMap<TargetId, Arc<TargetReport>>,
        outcome: &mut Outcome,
    ) -> Vec<TargetId> {
        let mut taken = Vec::with_capacity(reports.len());
        for (id, report) in reports {
            if let Some(entry) = self.entries.get_mut(&id) {
                entry.take_report(report, wall, outcome);
                self.evaluate(now, wall, &id, outcome);
                taken.push(id);
            }
        }
        taken
    }

    /// Looks at everything whose time has come, and gives what that was.
    pub fn handle_timeout(&mut self, now: Instant, wall: SystemTime, outcome: &mut Outcome) -> Vec<TargetId> {
        let mut looked_at = Vec::new();
        while let Some(id) = self.due.take_due(now) {
            self.evaluate(now, wall, &id, outcome);
            looked_at.push(id);
        }
        self.departed.expire(now, |id| outcome.forget.push(Subject::target(id)));
        looked_at
    }

    /// What a service's newest statistics say, while they stand for the present, and when they were read.
    pub fn statistics(&self, now: Instant, service: &Name) -> Option<(Arc<RtmpServerFacts>, Instant)> {
        let id = TargetId { class: TargetClass::Service, name: service.clone() };
        let report = self.entries.get(&id)?.report.as_ref()?;
        let fresh = report.fault.is_none() && now.saturating_duration_since(report.observed_at) <= report.valid_for;
        match &report.facts {
            Facts::RtmpServer(facts) if fresh => Some((Arc::clone(facts), report.last_success?)),
            _ => None,
        }
    }

    /// Whether every target has been judged or has had its first chance at that.
    pub fn have_had_their_chance(&self, now: Instant) -> bool {
        self.entries.values().all(|e| e.has_had_its_chance(now))
    }

    pub fn view(&self, id: &TargetId) -> Option<&TargetView> {
        self.entries.get(id).map(|entry| &*entry.view)
    }

    pub fn views(&self) -> Arc<[Arc<TargetView>]> {
        self.entries.values().map(|e| Arc::clone(&e.view)).collect()
    }

    pub fn departed_views(&self) -> Arc<[Arc<TargetView>]> {
        self.departed.views()
    }

    fn depart(&mut self, now: Instant, entry: Entry) {
        self.departed.keep(now, entry.spec.id.clone(), entry.evaluator, entry.view);
    }

    fn evaluate(&mut self, now: Instant, wall: SystemTime, id: &TargetId, outcome: &mut Outcome) {
        let Some(entry) = self.entries.get_mut(id) else { return };
        entry.evaluate(now, wall, outcome);
        self.due.set(now, id, entry.evaluator.poll_timeout());
    }
}

impl Entry {
    fn new(now: Instant, spec: Arc<TargetSpec>, mut evaluator: Evaluator) -> Self {
        let view = TargetView {
            verdict: evaluator.verdict().clone(),
            totals: evaluator.totals().clone(),
            report: None,
            answer: evaluator.answer(&rules(&spec)),
            spec: Arc::clone(&spec),
        };
        let view = Arc::new(view);
        Self { spec, evaluator, report: None, ill_since: None, condition: None, identity: None, added: now, view }
    }

    fn take_spec(&mut self, spec: &Arc<TargetSpec>) {
        if self.spec.check.check != spec.check.check {
            // Another place is in another condition, which is no change; and nothing is known of it yet.
            self.report = None;
            self.ill_since = None;
            self.condition = None;
            self.identity = None;
        }
        self.spec = Arc::clone(spec);
    }

    /// Tells when the target's own word for its state, or which set it belongs to, is another than before.
    fn take_report(&mut self, report: Arc<TargetReport>, wall: SystemTime, outcome: &mut Outcome) {
        let identity = match &report.facts {
            Facts::Replica(facts) => facts.identity.as_deref(),
            _ => None,
        };
        let seen = [(&mut self.condition, report.facts.condition(), ""), (&mut self.identity, identity, "identity ")];
        for (before, now, what) in seen {
            let Some(now) = now.filter(|now| before.as_deref() != Some(*now)) else { continue };
            if let Some(before) = before {
                let detail = format!("{what}{before} → {now}");
                outcome.note(wall, Subject::target(&self.spec.id), EventKind::Condition, detail);
            }
            *before = Some(now.into());
        }
        self.report = Some(report);
    }

    fn evaluate(&mut self, now: Instant, wall: SystemTime, outcome: &mut Outcome) {
        let subject = Subject::target(&self.spec.id);
        let (kind, policy) = (self.spec.check.check.kind(), &self.spec.policy);
        let situation = Situation::of_target(now, wall, self.report.as_deref(), kind, policy, self.ill_since);
        self.ill_since = situation.ill_since();
        if let Some(change) = self.evaluator.evaluate(situation) {
            outcome.note_change(wall, subject.clone(), &change, self.evaluator.verdict());
        }
        let answer = self.evaluator.answer(&rules(&self.spec));
        if change_is_lasting(&self.view.verdict, self.evaluator.verdict()) || answer != self.view.answer {
            outcome.remember.push((subject, self.evaluator.remember()));
        }
        self.view = Arc::new(TargetView {
            spec: Arc::clone(&self.spec),
            verdict: self.evaluator.verdict().clone(),
            totals: self.evaluator.totals().clone(),
            report: self.report.clone(),
            answer,
        });
    }

    /// Judged, or long enough in the set for as many looks as are evidence.
    fn has_had_its_chance(&self, now: Instant) -> bool {
        let CheckSpec { timeout, down_after, .. } = *self.spec.check;
        let chance = (timeout.saturating_mul(down_after) + Duration::from_secs(1)).min(LONGEST_CHANCE);
        self.view.verdict.health != Health::Unknown || now.saturating_duration_since(self.added) > chance
    }
}

fn rules(spec: &TargetSpec) -> Rules<'_> {
    Rules::of_target(spec.check.check.kind(), &spec.policy)
}
