//! One failover over time: which of its candidates is the active one.
//!
//! It moves when the active candidate is not fit to serve, or does not serve, while another is fit. What keeps it from moving for nothing:
//! time to settle after a switch, a least time between switches, candidates that stay suspect for longer each time they did not serve,
//! and the rule that streams which are missing everywhere are missing at the site.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant, SystemTime};

use super::group::Doubt;
use crate::model::Name;
use crate::model::failover::{
    CandidateAnswer, FailoverPin, FailoverSpec, FailoverTotals, SuppressReason, SwitchReason,
};
use crate::model::group::Quorum;
use crate::model::snapshot::{AnswerBasis, HealthAnswer};
use crate::model::spec::UnknownAnswer;

/// Before anything was decided: how long a preferred candidate is waited for of which nothing is known.
const PATIENCE: Duration = Duration::from_secs(15);
/// The last decisions before a crash may not have reached the file: the first one after a restart leaves room for their numbers.
const EPOCH_RESERVE: u64 = 100;

/// A candidate's group as it stands.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct CandidateEvidence {
    pub eligible: Option<bool>,
    pub serving: Option<bool>,
    /// It is not well by judgement, and by now it is by evidence.
    pub returning: bool,
    /// Why it is judged better than it looks.
    pub doubt: Option<Doubt>,
    /// An operator has taken it out of service.
    pub maintenance: bool,
    /// When only streams keep it from serving: which.
    pub missing: Option<Missing>,
}

/// The streams of a group that are not there.
#[derive(Debug, Clone, PartialEq)]
pub struct Missing {
    pub expected: u32,
    pub healthy: u32,
    pub need: Quorum,
    /// Who they are, the same on every candidate.
    pub streams: BTreeSet<u64>,
}

/// Everything that a decision depends on besides its own past.
#[derive(Debug, Clone, Copy)]
pub struct FailoverSituation<'a> {
    pub now: Instant,
    pub wall: SystemTime,
    pub spec: &'a FailoverSpec,
    /// In the order of the spec.
    pub candidates: &'a [CandidateEvidence],
    pub pin: Option<&'a FailoverPin>,
    pub isolated: bool,
    /// We see again, and what was found before has yet to be looked at anew.
    pub looks_anew_until: Option<Instant>,
    /// Everything that is watched has had its first chance: before that only operators decide.
    pub complete: bool,
}

/// What survives a restart of the monitor.
#[derive(Debug, Clone, PartialEq)]
pub struct FailoverMemory {
    pub active: Option<Name>,
    /// The one before.
    pub previous: Option<Name>,
    pub epoch: u64,
    pub since: SystemTime,
    pub reason: SwitchReason,
    pub suspects: Vec<(Name, SuspectMemory)>,
    /// Candidates that did not serve since one last did, and which streams each of them missed.
    pub trials: BTreeMap<Name, BTreeSet<u64>>,
    /// The candidates that answered healthy.
    pub healthy: BTreeSet<Name>,
}

/// A candidate that lost its turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SuspectMemory {
    pub lost_at: SystemTime,
    /// How often, since it last served for long.
    pub strikes: u32,
    /// It was fit and did not serve.
    pub not_serving: bool,
}

/// Another candidate is active.
#[derive(Debug, Clone, PartialEq)]
pub struct Switch {
    pub from: Option<Name>,
    pub to: Name,
    pub reason: SwitchReason,
}

/// Something that happened, by both clocks.
#[derive(Debug, Clone, Copy)]
struct Past {
    at: Instant,
    /// How long before `at`.
    before: Duration,
    wall: SystemTime,
}

impl Past {
    fn now(now: Instant, wall: SystemTime) -> Self {
        Self { at: now, before: Duration::ZERO, wall }
    }

    fn remembered(now: Instant, wall: SystemTime, then: SystemTime) -> Self {
        Self { at: now, before: wall.duration_since(then).unwrap_or_default(), wall: then }
    }

    fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.at).saturating_add(self.before)
    }

    /// When `length` has passed since, if that is still to come.
    fn ends(&self, now: Instant, length: Duration) -> Option<Instant> {
        length.checked_sub(self.age(now)).filter(|left| !left.is_zero()).map(|left| now + left)
    }
}

#[derive(Debug, Clone, Copy)]
struct Suspect {
    lost: Past,
    strikes: u32,
    not_serving: bool,
}

impl Suspect {
    /// How long it is not trusted: doubles each time.
    fn term(&self, spec: &FailoverSpec) -> Duration {
        let factor = 1u32.checked_shl(self.strikes.saturating_sub(1)).unwrap_or(u32::MAX);
        spec.hold.saturating_mul(factor).min(spec.hold_max.max(spec.hold))
    }
}

/// Decides for one failover.
#[derive(Debug, Clone)]
pub struct FailoverEvaluator {
    active: Option<Name>,
    previous: Option<Name>,
    epoch: u64,
    reserve: u64,
    began: Past,
    reason: SwitchReason,
    suppressed: Option<SuppressReason>,
    suspects: BTreeMap<Name, Suspect>,
    /// Candidates that did not serve since one last did, and which streams each of them missed.
    trials: BTreeMap<Name, BTreeSet<u64>>,
    in_maintenance: BTreeSet<Name>,
    healthy: BTreeSet<Name>,
    totals: FailoverTotals,
    created: Instant,
    deadline: Option<Instant>,
}

impl FailoverEvaluator {
    /// Nothing has been decided, or what the state file remembers.
    pub fn new(now: Instant, wall: SystemTime, memory: Option<&FailoverMemory>) -> Self {
        let suspect = |m: &SuspectMemory| Suspect {
            lost: Past::remembered(now, wall, m.lost_at),
            strikes: m.strikes,
            not_serving: m.not_serving,
        };
        Self {
            active: memory.and_then(|m| m.active.clone()),
            previous: memory.and_then(|m| m.previous.clone()),
            epoch: memory.map_or(0, |m| m.epoch),
            reserve: if memory.is_some() { EPOCH_RESERVE } else { 0 },
            began: memory.map_or(Past::now(now, wall), |m| Past::remembered(now, wall, m.since)),
            reason: memory.map_or(SwitchReason::Initial, |m| m.reason),
            suppressed: None,
            suspects: memory
                .iter()
                .flat_map(|m| &m.suspects)
                .map(|(name, memory)| (name.clone(), suspect(memory)))
                .collect(),
            trials: memory.map(|m| m.trials.clone()).unwrap_or_default(),
            in_maintenance: BTreeSet::new(),
            healthy: memory.map(|m| m.healthy.clone()).unwrap_or_default(),
            totals: FailoverTotals::default(),
            created: now,
            deadline: None,
        }
    }

    /// What to write to the state file.
    pub fn remember(&self) -> FailoverMemory {
        let memory =
            |s: &Suspect| SuspectMemory { lost_at: s.lost.wall, strikes: s.strikes, not_serving: s.not_serving };
        FailoverMemory {
            active: self.active.clone(),
            previous: self.previous.clone(),
            epoch: self.epoch,
            since: self.began.wall,
            reason: self.reason,
            suspects: self.suspects.iter().map(|(name, suspect)| (name.clone(), memory(suspect))).collect(),
            trials: self.trials.clone(),
            healthy: self.healthy.clone(),
        }
    }

    pub fn active(&self) -> Option<&Name> {
        self.active.as_ref()
    }

    /// The one that was active before.
    pub fn previous(&self) -> Option<&Name> {
        self.previous.as_ref()
    }

    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Since when the active candidate has been that.
    pub fn since(&self) -> SystemTime {
        self.began.wall
    }

    pub fn reason(&self) -> SwitchReason {
        self.reason
    }

    pub fn suppressed(&self) -> Option<SuppressReason> {
        self.suppressed
    }

    pub fn totals(&self) -> FailoverTotals {
        self.totals
    }

    /// When to evaluate again even if no candidate changes.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.deadline
    }

    /// Until when the streams of the active candidate have time to arrive.
    pub fn settles(&self, now: Instant, spec: &FailoverSpec) -> Option<Instant> {
        self.began.ends(now, spec.settle)
    }

    /// Until when a candidate is not eligible because it did not serve.
    pub fn suspect_until(&self, now: Instant, spec: &FailoverSpec, group: &Name) -> Option<SystemTime> {
        let suspect = self.suspects.get(group).filter(|s| s.not_serving)?;
        suspect.lost.ends(now, suspect.term(spec))?;
        suspect.lost.wall.checked_add(suspect.term(spec))
    }

    /// Decides. Gives the switch, if there is one.
    pub fn evaluate(&mut self, s: &FailoverSituation<'_>) -> Option<Switch> {
        self.deadline = None;
        self.forgive(s);
        let decision = self.decide(s);
        let (target, suppressed) = match decision {
            Decision::Stay(suppressed) => (None, suppressed),
            Decision::Move(to, reason) => (Some((to, reason)), None),
        };
        if let Some(reason) = suppressed.filter(|_| suppressed != self.suppressed) {
            self.totals.suppressed[reason as usize] += 1;
        }
        self.suppressed = suppressed;
        let switch = target.and_then(|(to, reason)| self.switch(s, to, reason));
        if let Some(end) = self.settles(s.now, s.spec) {
            self.wake_at(end);
        }
        switch
    }

    /// What health endpoints say, in the order of the candidates. Call it after [`Self::evaluate`].
    pub fn answers(&mut self, s: &FailoverSituation<'_>) -> Vec<HealthAnswer> {
        let active = self.position(s, self.active.as_ref());
        let decided = s.complete && active.is_some();
        let known_before = s.spec.candidates.iter().any(|c| self.healthy.contains(&c.group));
        let held = |healthy| HealthAnswer { healthy, basis: AnswerBasis::Held };
        let verdict = |healthy| HealthAnswer { healthy, basis: AnswerBasis::Verdict };
        let unknown = |group: &Name| match s.spec.unknown {
            UnknownAnswer::Fail => HealthAnswer { healthy: false, basis: AnswerBasis::Unknown },
            UnknownAnswer::Hold if known_before => held(self.healthy.contains(group)),
            UnknownAnswer::Hold | UnknownAnswer::Pass => HealthAnswer { healthy: true, basis: AnswerBasis::Unknown },
        };
        let closed = s.spec.unknown == UnknownAnswer::Fail;
        let answer = |i: usize, c: &CandidateEvidence, group: &Name| match s.spec.answer {
            _ if !decided => unknown(group),
            CandidateAnswer::Active if Some(i) != active => verdict(false),
            CandidateAnswer::Active if closed && (s.isolated || c.eligible.is_none()) => unknown(group),
            CandidateAnswer::Active if closed => verdict(c.eligible == Some(true) && c.serving != Some(false)),
            CandidateAnswer::Active if s.isolated || c.eligible != Some(true) || c.doubt.is_some() => held(true),
            CandidateAnswer::Active => verdict(true),
            CandidateAnswer::Eligible if c.maintenance || self.is_suspect(s, group) => verdict(false),
            CandidateAnswer::Eligible if s.isolated && closed => unknown(group),
            CandidateAnswer::Eligible => match c.eligible {
                None => unknown(group),
                Some(eligible) if s.isolated => held(eligible),
                Some(eligible) => verdict(eligible),
            },
        };
        let each = s.spec.candidates.iter().zip(s.candidates).enumerate();
        let mut answers: Vec<_> = each.map(|(i, (candidate, c))| answer(i, c, &candidate.group)).collect();
        if !closed && answers.iter().all(|a| !a.healthy) {
            // The last one that answered healthy is never taken down.
            let last = s.spec.candidates.iter().position(|c| self.healthy.contains(&c.group));
            let last = active.filter(|_| !s.candidates.iter().all(|c| c.maintenance)).or(last);
            if let Some(answer) = last.and_then(|i| answers.get_mut(i)) {
                *answer = held(true);
            }
        }
        if decided {
            let each = s.spec.candidates.iter().zip(&answers);
            self.healthy = each.filter(|(_, a)| a.healthy).map(|(c, _)| c.group.clone()).collect();
        }
        answers
    }

    fn decide(&mut self, s: &FailoverSituation<'_>) -> Decision {
        let active = self.position(s, self.active.as_ref());
        let current = active.and_then(|i| s.candidates.get(i));
        if let Some(pinned) = s.pin.and_then(|pin| self.position(s, Some(&pin.group))) {
            if active != Some(pinned) {
                return Decision::Move(pinned, SwitchReason::Pinned);
            }
            let leave = current.is_some_and(|c| reason_to_leave(c).is_some());
            return Decision::Stay(leave.then_some(SuppressReason::Pinned));
        }
        if !s.complete {
            return Decision::Stay(None);
        }
        let Some((active, current)) = active.zip(current) else { return self.begin(s) };
        if s.isolated {
            let asked = reason_to_leave(current).is_some() || current.doubt.is_some();
            return Decision::Stay(asked.then_some(SuppressReason::Isolated));
        }
        if let Some(until) = s.looks_anew_until {
            self.wake_at(until);
            let asked = reason_to_leave(current).is_some();
            return Decision::Stay(asked.then_some(SuppressReason::Vantage));
        }
        if current.serving == Some(true) {
            self.trials.clear();
        }
        match reason_to_leave(current) {
            // Another one would take over what has just come back.
            Some(SwitchReason::NotEligible | SwitchReason::NotServing) if current.returning => Decision::Stay(None),
            Some(reason) => self.leave(s, active, current, reason),
            None => self.improve(s, active, current),
        }
    }

    /// Nothing has been decided, or what was is no candidate any more.
    fn begin(&mut self, s: &FailoverSituation<'_>) -> Decision {
        if s.isolated {
            return Decision::Stay(None);
        }
        let reason = if self.active.is_some() { SwitchReason::Removed } else { SwitchReason::Initial };
        let Some(first) = self.first_fit(s, s.candidates.len(), |_| true) else { return Decision::Stay(None) };
        let patience = self.created + PATIENCE;
        let unknown = s.candidates.iter().take(first).any(|c| c.eligible.is_none() && !c.maintenance);
        if unknown && s.now < patience && reason == SwitchReason::Initial {
            self.wake_at(patience);
            return Decision::Stay(None);
        }
        Decision::Move(first, reason)
    }

    fn leave(
        &mut self,
        s: &FailoverSituation<'_>,
        active: usize,
        current: &CandidateEvidence,
        reason: SwitchReason,
    ) -> Decision {
        if reason == SwitchReason::NotServing && self.is_site(current) {
            return Decision::Stay(Some(SuppressReason::Site));
        }
        let Some(target) = self.first_fit(s, s.candidates.len(), |i| i != active) else {
            return Decision::Stay(Some(SuppressReason::NoCandidate));
        };
        match self.hold_ends(s).filter(|_| reason != SwitchReason::Maintenance) {
            Some(end) => {
                self.wake_at(end);
                Decision::Stay(Some(SuppressReason::Hold))
            }
            None => Decision::Move(target, reason),
        }
    }

    /// The active candidate is well, or not known to be ill.
    fn improve(&mut self, s: &FailoverSituation<'_>, active: usize, current: &CandidateEvidence) -> Decision {
        let suppressed = current.doubt.map(|doubt| match doubt {
            Doubt::Vantage => SuppressReason::Vantage,
            Doubt::Blame => SuppressReason::Blame,
        });
        if !s.spec.preempt {
            return Decision::Stay(suppressed);
        }
        let Some(preferred) = self.first_fit(s, active, |_| true) else { return Decision::Stay(suppressed) };
        let group = s.spec.candidates.get(preferred).map(|c| &c.group);
        // It did not serve either, and nobody has since: what is missing may be missing at the site.
        if group.is_some_and(|group| self.trials.contains_key(group)) {
            return Decision::Stay(suppressed);
        }
        let distrusted = group.and_then(|group| self.distrusted_until(s, group));
        match self.hold_ends(s).max(distrusted) {
            Some(end) => {
                self.wake_at(end);
                Decision::Stay(suppressed)
            }
            None => Decision::Move(preferred, SwitchReason::Preempt),
        }
    }

    /// The first of the leading `count` candidates that can take over.
    fn first_fit(&mut self, s: &FailoverSituation<'_>, count: usize, may: impl Fn(usize) -> bool) -> Option<usize> {
        for (i, (candidate, c)) in s.spec.candidates.iter().zip(s.candidates).enumerate().take(count) {
            if !may(i) || c.maintenance || c.eligible != Some(true) {
                continue;
            }
            if !self.is_suspect(s, &candidate.group) {
                return Some(i);
            }
            if let Some(end) = self.distrusted_until(s, &candidate.group) {
                self.wake_at(end);
            }
        }
        None
    }

    /// Whether the streams that are missing here are those that were missing on all others that were tried, as far as it takes.
    fn is_site(&self, current: &CandidateEvidence) -> bool {
        let Some(missing) = &current.missing else { return false };
        let mut tried = self.trials.iter().filter(|(name, _)| Some(*name) != self.active.as_ref()).map(|(_, m)| m);
        let Some(first) = tried.next() else { return false };
        let everywhere = tried.fold(first & &missing.streams, |all, streams| &all & streams);
        let left = missing.expected.saturating_sub(u32::try_from(everywhere.len()).unwrap_or(u32::MAX));
        left == 0 || missing.healthy >= missing.need.of(left).min(left)
    }

    fn is_suspect(&self, s: &FailoverSituation<'_>, group: &Name) -> bool {
        self.suspects.get(group).is_some_and(|x| x.not_serving && x.lost.ends(s.now, x.term(s.spec)).is_some())
    }

    fn distrusted_until(&self, s: &FailoverSituation<'_>, group: &Name) -> Option<Instant> {
        self.suspects.get(group).and_then(|x| x.lost.ends(s.now, x.term(s.spec)))
    }

    /// When the least time between two switches is over, if that is still to come.
    fn hold_ends(&self, s: &FailoverSituation<'_>) -> Option<Instant> {
        self.began.ends(s.now, s.spec.hold).filter(|_| self.reason != SwitchReason::Initial)
    }

    /// Clears those whom an operator has looked at, and those who have served for long.
    fn forgive(&mut self, s: &FailoverSituation<'_>) {
        if let Some(pin) = s.pin {
            self.suspects.remove(&pin.group);
        }
        let each = s.spec.candidates.iter().zip(s.candidates);
        let now_in: BTreeSet<Name> = each.filter(|(_, c)| c.maintenance).map(|(c, _)| c.group.clone()).collect();
        for group in self.in_maintenance.difference(&now_in) {
            self.suspects.remove(group);
        }
        self.in_maintenance = now_in;
        if let Some(active) = &self.active
            && self.suspects.contains_key(active)
            && self.began.age(s.now) >= s.spec.hold_max.max(s.spec.hold)
        {
            self.suspects.remove(active);
        }
    }

    fn switch(&mut self, s: &FailoverSituation<'_>, to: usize, reason: SwitchReason) -> Option<Switch> {
        let to = s.spec.candidates.get(to)?.group.clone();
        let from = self.active.replace(to.clone());
        self.previous.clone_from(&from);
        let lost = match reason {
            SwitchReason::NotServing => Some(true),
            SwitchReason::NotEligible => Some(false),
            _ => None,
        };
        if let Some((group, not_serving)) = from.as_ref().zip(lost) {
            let strikes = self.suspects.get(group).map_or(0, |suspect| suspect.strikes).saturating_add(1);
            let suspect = Suspect { lost: Past::now(s.now, s.wall), strikes, not_serving };
            self.suspects.insert(group.clone(), suspect);
            let missing = self.position(s, Some(group)).and_then(|i| s.candidates.get(i)?.missing.as_ref());
            if let Some(missing) = missing.filter(|_| not_serving) {
                self.trials.insert(group.clone(), missing.streams.clone());
            }
        } else {
            self.trials.clear();
        }
        self.epoch += 1 + std::mem::take(&mut self.reserve);
        self.began = Past::now(s.now, s.wall);
        self.reason = reason;
        self.totals.switches[reason as usize] += 1;
        Some(Switch { from, to, reason })
    }

    fn position(&self, s: &FailoverSituation<'_>, group: Option<&Name>) -> Option<usize> {
        s.spec.candidates.iter().position(|c| Some(&c.group) == group)
    }

    fn wake_at(&mut self, at: Instant) {
        self.deadline = Some(self.deadline.map_or(at, |d| d.min(at)));
    }
}

enum Decision {
    Stay(Option<SuppressReason>),
    Move(usize, SwitchReason),
}

fn reason_to_leave(current: &CandidateEvidence) -> Option<SwitchReason> {
    match () {
        () if current.maintenance => Some(SwitchReason::Maintenance),
        () if current.eligible == Some(false) => Some(SwitchReason::NotEligible),
        () if current.serving == Some(false) => Some(SwitchReason::NotServing),
        () => None,
    }
}
