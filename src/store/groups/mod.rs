//! Groups and failovers in the picture: what their members say goes to the evaluators, and what those decide becomes [`Decisions`].

mod entries;
mod proof;
mod report;
mod roster;
mod standing;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use super::judged::{Departed, Outcome};
use super::paths::Known;
use crate::health::{
    CandidateEvidence, FailoverEvaluator, FailoverMemory, GroupEvaluator, Remembered, SightEvaluator, Standing,
};
use crate::model::event::{EventKind, Subject, SubjectClass};
use crate::model::failover::{Decisions, FailoverSpec, FailoverView, Sight};
use crate::model::group::GroupView;
use crate::model::spec::{Desired, UnknownAnswer};
use crate::model::{Name, TargetClass, TargetId};

use entries::{FailoverEntry, GroupEntry, Moment};
use roster::{Index, Roster};
use standing::{Turn, Witnesses};

/// A switch changes whose turn it is, which may ask for another look, but never for many.
const MOST_ROUNDS: usize = 3;

/// All groups and failovers.
#[derive(Debug, Default)]
pub struct Groups {
    groups: BTreeMap<Name, GroupEntry>,
    failovers: BTreeMap<Name, FailoverEntry>,
    departed_groups: Departed<Name, GroupView, GroupEvaluator>,
    departed_failovers: Departed<Name, FailoverView, FailoverEvaluator>,
    /// Of failovers that have not been wanted yet since the start.
    remembered: BTreeMap<Name, FailoverMemory>,
    index: Index,
    witnesses: Witnesses,
    sight: SightEvaluator,
    told_sight: Sight,
    vantage: Arc<[Name]>,
    /// Streams of candidates whose turn it is not.
    standby: HashSet<Name>,
    /// Whose views have changed since the last look.
    touched: HashSet<Subject>,
    /// How members stood then.
    standings: HashMap<Subject, Standing>,
    dirty: BTreeSet<Name>,
    deadline: Option<Instant>,
    decisions: Arc<Decisions>,
}

impl Groups {
    /// When something is due although nothing changes.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let departed = [self.departed_groups.poll_timeout(), self.departed_failovers.poll_timeout()];
        departed.into_iter().chain([self.deadline]).flatten().min()
    }

    /// What an earlier process decided.
    pub fn recall(&mut self, memories: impl IntoIterator<Item = (Name, FailoverMemory)>) {
        self.remembered.extend(memories);
    }

    /// This host's addresses: what is there needs no network.
    pub fn set_own_addresses(&mut self, own: HashSet<IpAddr>) {
        self.witnesses.set_own_addresses(own);
    }

    /// Follows what is wanted. Unchanged groups and failovers keep everything, changed ones their judgement and their decision.
    pub fn set_desired(
        &mut self,
        now: Instant,
        wall: SystemTime,
        desired: &Desired,
        remembered: impl Fn(&Subject) -> Option<Remembered>,
        announce: bool,
        outcome: &mut Outcome,
    ) {
        self.vantage = Arc::clone(&desired.vantage);
        self.set_groups(now, wall, desired, &remembered, announce, outcome);
        self.set_failovers(now, wall, desired, announce, outcome);
        self.index = Index::new(self.groups.iter().map(|(name, entry)| (name, &entry.roster)), desired);
        self.witnesses.set_desired(now, wall, desired, &self.index, &remembered);
        self.standings.retain(|member, _| self.index.knows(member));
        let targets: HashSet<Subject> = desired.targets.iter().map(|t| Subject::target(&t.id)).collect();
        let streams: HashSet<&Name> = desired.streams.iter().map(|s| &s.name).collect();
        self.sight.retain(&self.vantage, |s| targets.contains(s) || streams.contains(&s.name));
        self.touched.extend(targets);
        self.touched.extend(streams.into_iter().map(Subject::stream));
        self.dirty.extend(self.groups.keys().cloned());
    }

    fn set_groups(
        &mut self,
        now: Instant,
        wall: SystemTime,
        desired: &Desired,
        remembered: impl Fn(&Subject) -> Option<Remembered>,
        announce: bool,
        outcome: &mut Outcome,
    ) {
        let mut before = std::mem::take(&mut self.groups);
        for spec in desired.groups.iter() {
            let subject = Subject::group(&spec.name);
            let roster = Roster::new(spec, desired);
            let maintenance = desired.maintenance.get(&spec.name).cloned();
            let mut entry = before.remove(&spec.name).unwrap_or_else(|| {
                if announce {
                    outcome.note(wall, subject.clone(), EventKind::Added, "");
                }
                let departed = self.departed_groups.take(&spec.name);
                let evaluator = departed.unwrap_or_else(|| GroupEvaluator::new(wall, remembered(&subject).as_ref()));
                GroupEntry::new(Arc::clone(spec), roster.clone(), evaluator)
            });
            if entry.maintenance != maintenance && announce {
                outcome.note(wall, subject, EventKind::Intent, report::maintenance(maintenance.as_deref()));
            }
            entry.spec = Arc::clone(spec);
            entry.roster = roster;
            entry.maintenance = maintenance;
            self.groups.insert(spec.name.clone(), entry);
        }
        for (name, entry) in before {
            outcome.note(wall, Subject::group(&name), EventKind::Removed, "no longer configured");
            self.departed_groups.keep(now, name, entry.evaluator, entry.view);
        }
    }

    fn set_failovers(
        &mut self,
        now: Instant,
        wall: SystemTime,
        desired: &Desired,
        announce: bool,
        outcome: &mut Outcome,
    ) {
        let mut before = std::mem::take(&mut self.failovers);
        for spec in desired.failovers.iter() {
            let subject = Subject::failover(&spec.name);
            let pin = desired.pins.get(&spec.name).cloned();
            let mut entry = before.remove(&spec.name).unwrap_or_else(|| {
                if announce {
                    outcome.note(wall, subject.clone(), EventKind::Added, "");
                }
                let memory = self.remembered.remove(&spec.name);
                let departed = self.departed_failovers.take(&spec.name);
                let evaluator = departed.unwrap_or_else(|| FailoverEvaluator::new(now, wall, memory.as_ref()));
                FailoverEntry::new(Arc::clone(spec), evaluator)
            });
            if entry.pin != pin && announce {
                outcome.note(wall, subject, EventKind::Intent, report::pin(pin.as_deref()));
            }
            entry.spec = Arc::clone(spec);
            entry.pin = pin;
            self.failovers.insert(spec.name.clone(), entry);
        }
        for (name, entry) in before {
            outcome.note(wall, Subject::failover(&name), EventKind::Removed, "no longer configured");
            self.departed_failovers.keep(now, name, entry.evaluator, entry.view);
        }
    }

    /// A stream or target has been judged anew.
    pub fn touch(&mut self, subject: Subject) {
        self.touched.insert(subject);
    }

    /// Whether it is not this stream's turn.
    pub fn is_standby(&self, stream: &Name) -> bool {
        self.standby.contains(stream)
    }

    /// Looks at all that has changed or is due. Gives the streams whose turn it is now or is no more.
    pub fn evaluate(
        &mut self,
        now: Instant,
        wall: SystemTime,
        complete: bool,
        known: &impl Known,
        outcome: &mut Outcome,
    ) -> Vec<Name> {
        self.read_touched(now, known);
        let moment = Moment { now, wall, complete };
        if self.sight.evaluate(now, wall) {
            self.note_isolation(wall, outcome);
        }
        if complete != self.decisions.complete {
            // Nothing is found bad before; what was bad already counts from now on.
            self.dirty.extend(self.groups.keys().cloned());
        }
        for _ in 0..MOST_ROUNDS {
            self.judge(moment, known, outcome);
            let switched = self.decide(moment, outcome);
            if switched.is_empty() {
                break;
            }
            // After a first decision streams are where they were; those that are not have another URL then.
            let moved: Vec<Name> = switched.into_iter().filter_map(|(name, from)| from.map(|_| name)).collect();
            self.note_moves(now, &moved, known);
        }
        self.answer(moment, outcome);
        self.departed_groups.expire(now, |name| outcome.forget.push(Subject::group(name)));
        self.departed_failovers.expire(now, |name| outcome.forget.push(Subject::failover(name)));
        if self.groups.values().any(|entry| entry.evaluator.wants_look()) {
            let endpoint = |name: &Name| TargetId { class: TargetClass::Endpoint, name: name.clone() };
            outcome.look_at.extend(self.vantage.iter().map(endpoint));
        }
        self.deadline = self.next_deadline(moment);
        self.publish(complete);
        self.change_turns()
    }

    pub fn decisions(&self) -> Arc<Decisions> {
        Arc::clone(&self.decisions)
    }

    pub fn sight(&self) -> Sight {
        self.told_sight
    }

    /// Reads what has been judged anew. Groups are dirty whose members stand otherwise than before.
    fn read_touched(&mut self, now: Instant, known: &impl Known) {
        for subject in std::mem::take(&mut self.touched) {
            match subject.class {
                SubjectClass::Stream => {
                    if let Some(view) = known.stream(&subject.name) {
                        self.witnesses.note_stream(now, view, &mut self.sight);
                    }
                }
                SubjectClass::Endpoint | SubjectClass::Service => {
                    let endpoint = subject.class == SubjectClass::Endpoint;
                    let class = if endpoint { TargetClass::Endpoint } else { TargetClass::Service };
                    let is_vantage = endpoint && self.vantage.contains(&subject.name);
                    if let Some(view) = known.target(&TargetId { class, name: subject.name.clone() }) {
                        self.witnesses.note_target(view, is_vantage, &mut self.sight);
                    }
                }
                _ => {}
            }
            let observed_at = standing::observed_at(&subject, known);
            for group in self.index.groups_of(&subject) {
                if let Some(entry) = self.groups.get_mut(group) {
                    entry.observed_at = entry.observed_at.max(observed_at);
                }
            }
            for member in self.index.films(&subject).iter().chain([&subject]) {
                if !self.index.knows(member) {
                    continue;
                }
                let standing = self.witnesses.member(member, known).standing;
                if self.standings.insert(member.clone(), standing) != Some(standing) {
                    self.dirty.extend(self.index.groups_of(member).cloned());
                }
            }
        }
    }

    fn note_isolation(&mut self, wall: SystemTime, outcome: &mut Outcome) {
        let isolated = self.sight.is_isolated();
        self.told_sight.isolated_since = isolated.then_some(wall);
        self.told_sight.isolations += u64::from(isolated);
        if let Ok(monitor) = Name::new("monitor") {
            outcome.events.push(report::isolation(wall, monitor, isolated, self.told_sight.isolations));
        }
        self.dirty.extend(self.groups.keys().cloned());
    }

    /// Judges the groups that are dirty or due.
    fn judge(&mut self, moment: Moment, known: &impl Known, outcome: &mut Outcome) {
        let mut dirty = std::mem::take(&mut self.dirty);
        for (name, entry) in &mut self.groups {
            let failovers = entry.roster.failovers.iter().filter_map(|name| self.failovers.get(name));
            let turns = failovers.filter(|failover| failover.evaluator.active() == Some(name));
            let turns = turns.map(|failover| match failover.evaluator.settles(moment.now, &failover.spec) {
                Some(_) => Turn::Settling,
                None => Turn::Settled,
            });
            let turn = turns.max().unwrap_or_default();
            let due = entry.poll_timeout().is_some_and(|at| at <= moment.now);
            // What is held for want of sight is looked at whenever something is seen.
            let waits = entry.evaluator.wants_look() || entry.evaluator.is_held();
            if !dirty.remove(name) && !due && !waits && turn == entry.turn && entry.review.is_some() {
                continue;
            }
            entry.turn = turn;
            entry.evaluate(moment, &self.witnesses, &self.sight, known, outcome);
        }
    }

    /// Their followers are played elsewhere from now on.
    fn note_moves(&mut self, now: Instant, moved: &[Name], known: &impl Known) {
        for (name, entry) in &self.groups {
            for failover in entry.roster.failovers.iter().filter(|failover| moved.contains(failover)) {
                let active = self.failovers.get(failover).and_then(|entry| entry.evaluator.active());
                for stream in entry.roster.followers() {
                    self.witnesses.note_move(now, stream, active, known);
                }
                self.dirty.insert(name.clone());
            }
        }
    }

    /// Lets all failovers decide. Gives those that have switched, and from where.
    fn decide(&mut self, moment: Moment, outcome: &mut Outcome) -> Vec<(Name, Option<Name>)> {
        let mut switched = Vec::new();
        for (name, entry) in &mut self.failovers {
            let candidates = candidates(&entry.spec, &self.groups, moment.wall);
            let (spec, pin) = entry.wanted(moment.wall);
            let situation = moment.situation(&spec, &candidates, pin.as_deref(), &self.sight);
            let before = entry.evaluator.suppressed();
            let switch = entry.evaluator.evaluate(&situation);
            let made = switch.is_some();
            let epoch = entry.evaluator.epoch();
            if let Some(switch) = switch {
                outcome.events.push(report::switch(moment.wall, name, epoch, &switch));
                outcome.must_be_kept = true;
                switched.push((name.clone(), switch.from));
            }
            let suppressed = entry.evaluator.suppressed();
            if suppressed != before && !made {
                outcome.events.push(report::suppression(moment.wall, name, epoch, before, suppressed));
            }
        }
        switched
    }

    /// What is answered for every group and candidate, with the all-down guard.
    fn answer(&mut self, moment: Moment, outcome: &mut Outcome) {
        let last: BTreeSet<Name> = self.groups.iter().filter_map(|(name, e)| e.answered_well(name)).collect();
        for entry in self.groups.values_mut() {
            entry.answer = entry.evaluator.answer(entry.spec.unknown);
        }
        for entry in self.failovers.values_mut() {
            guard(&entry.spec, entry.evaluator.active(), &mut self.groups, &last, moment.wall);
            let candidates = candidates(&entry.spec, &self.groups, moment.wall);
            let (spec, pin) = entry.wanted(moment.wall);
            let situation = moment.situation(&spec, &candidates, pin.as_deref(), &self.sight);
            let answers = entry.evaluator.answers(&situation);
            let observed_at = entry.spec.candidates.iter().filter_map(|c| self.groups.get(&c.group)?.observed_at).max();
            entry.view = entry.view(moment, &candidates, answers, observed_at);
            let memory = entry.evaluator.remember();
            if memory != entry.kept {
                outcome.decided.push((entry.spec.name.clone(), memory.clone()));
                entry.kept = memory;
            }
        }
        for (name, entry) in &mut self.groups {
            let view = entry.view(moment.wall);
            if view.epoch != entry.view.epoch || view.answer.healthy != entry.view.answer.healthy {
                outcome.remember.push((Subject::group(name), entry.evaluator.remember()));
            }
            if view != *entry.view {
                entry.view = Arc::new(view);
            }
        }
    }

    fn next_deadline(&self, Moment { now, wall, .. }: Moment) -> Option<Instant> {
        let groups = self.groups.values().filter_map(GroupEntry::poll_timeout);
        let failovers = self.failovers.values().filter_map(|entry| entry.evaluator.poll_timeout());
        // An operator's word ends by the wall clock.
        let maintenance = self.groups.values().filter_map(|entry| entry.maintenance.as_ref()?.until);
        let pins = self.failovers.values().filter_map(|entry| entry.pin.as_ref()?.until);
        let words = maintenance.chain(pins).filter_map(|until| until.duration_since(wall).ok());
        let words = words.filter(|left| !left.is_zero()).filter_map(|left| now.checked_add(left));
        groups.chain(failovers).chain(words).chain(self.sight.poll_timeout(now)).min()
    }

    fn publish(&mut self, complete: bool) {
        fn unless_same<V: PartialEq>(before: &Arc<[Arc<V>]>, now: Arc<[Arc<V>]>) -> Arc<[Arc<V>]> {
            let same = before.len() == now.len() && before.iter().zip(now.iter()).all(|(a, b)| Arc::ptr_eq(a, b));
            if same { Arc::clone(before) } else { now }
        }
        let before = &self.decisions;
        let decisions = Decisions {
            complete,
            groups: unless_same(&before.groups, self.groups.values().map(|e| Arc::clone(&e.view)).collect()),
            failovers: unless_same(&before.failovers, self.failovers.values().map(|e| Arc::clone(&e.view)).collect()),
            departed_groups: unless_same(&before.departed_groups, self.departed_groups.views()),
            departed_failovers: unless_same(&before.departed_failovers, self.departed_failovers.views()),
        };
        let same = complete == before.complete
            && Arc::ptr_eq(&decisions.groups, &before.groups)
            && Arc::ptr_eq(&decisions.failovers, &before.failovers)
            && Arc::ptr_eq(&decisions.departed_groups, &before.departed_groups)
            && Arc::ptr_eq(&decisions.departed_failovers, &before.departed_failovers);
        if !same {
            self.decisions = Arc::new(decisions);
        }
    }

    /// Finds the streams whose turn it is not, and gives those for which that has changed.
    fn change_turns(&mut self) -> Vec<Name> {
        let (mut on, mut off) = (HashSet::new(), HashSet::new());
        for (name, entry) in self.groups.iter().filter(|(_, entry)| entry.roster.is_candidate()) {
            let mut actives = entry.roster.failovers.iter().filter_map(|f| self.failovers.get(f)?.evaluator.active());
            // Before anything is decided, anybody may be the one.
            let undecided = actives.clone().next().is_none();
            let turn = undecided || actives.any(|active| active == name);
            if turn { &mut on } else { &mut off }.extend(entry.roster.own_streams().cloned());
        }
        let standby: HashSet<Name> = off.difference(&on).cloned().collect();
        let changed = standby.symmetric_difference(&self.standby).cloned().collect();
        self.standby = standby;
        changed
    }
}

fn candidates(spec: &FailoverSpec, groups: &BTreeMap<Name, GroupEntry>, wall: SystemTime) -> Vec<CandidateEvidence> {
    let evidence = |entry: &GroupEntry| CandidateEvidence {
        eligible: entry.evaluator.eligible(),
        serving: entry.evaluator.serving(),
        returning: entry.evaluator.is_returning(),
        doubt: entry.evaluator.doubt(),
        maintenance: entry.is_out_of_service(wall),
        missing: entry.review.as_ref().and_then(|review| review.missing.clone()),
    };
    spec.candidates.iter().map(|c| groups.get(&c.group).map(evidence).unwrap_or_default()).collect()
}

/// The all-down guard: the last candidate that answered healthy goes on doing so, unless an operator took it out of service, or its
/// answers fail closed.
fn guard(
    spec: &FailoverSpec,
    active: Option<&Name>,
    groups: &mut BTreeMap<Name, GroupEntry>,
    last: &BTreeSet<Name>,
    wall: SystemTime,
) {
    if spec.candidates.iter().any(|c| groups.get(&c.group).is_some_and(|entry| entry.answer.healthy)) {
        return;
    }
    let may = |name: &&Name| {
        let entry = groups.get(*name);
        last.contains(*name)
            && entry.is_some_and(|e| !e.is_out_of_service(wall) && e.spec.unknown != UnknownAnswer::Fail)
    };
    let names = || spec.candidates.iter().map(|c| &c.group);
    let guarded = names().filter(|name| Some(*name) == active).find(may).or_else(|| names().find(may)).cloned();
    if let Some(entry) = guarded.and_then(|name| groups.get_mut(&name)) {
        entry.answer = entry.evaluator.guard();
    }
}
