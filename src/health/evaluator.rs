//! One judgement over time, of a stream or a target: rise, fall, flapping, outages, and the answer when nothing is known.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::causes::Causes;
use super::evidence::{self, Evidence};
use super::recent::Recent;
use super::target::{self as reading, assess_target};
use crate::model::content_policy::Severity;
use crate::model::content_report::ContentIssue;
use crate::model::health::{DegradedCause, DegradedCauses, DownCause, Health};
use crate::model::report::StreamReport;
use crate::model::snapshot::{AnswerBasis, HealthAnswer, Verdict, VerdictTotals};
use crate::model::spec::{self, DegradedAnswer, Flapping, Schedule, StreamPolicy, UnknownAnswer};
use crate::model::target::{self, CheckKind, TargetPolicy};
use crate::model::target_report::TargetReport;

/// How evidence becomes a verdict: what the policies of streams and targets have in common.
#[derive(Debug, Clone, Copy)]
pub struct Rules<'a> {
    pub rise: Duration,
    pub fall: Duration,
    pub flapping: Flapping,
    pub schedule: Option<&'a Schedule>,
    pub degraded: DegradedAnswer,
    pub unknown: UnknownAnswer,
    /// Degraded causes that may be judged; others are dropped.
    pub enabled: DegradedCauses,
    /// Degraded causes that count for nothing but are told, and those that put it down.
    pub told: DegradedCauses,
    pub grave: DegradedCauses,
    /// For how long, of the time in which there is live evidence, a degraded cause stays that this evidence says nothing about; `None`:
    /// until something does.
    pub stands_for: Option<Duration>,
}

impl<'a> From<&'a StreamPolicy> for Rules<'a> {
    fn from(policy: &'a StreamPolicy) -> Self {
        Self {
            rise: policy.rise,
            fall: policy.fall,
            flapping: policy.flapping,
            schedule: policy.schedule.as_ref(),
            degraded: policy.degraded,
            unknown: policy.unknown,
            enabled: spec::enabled_causes(policy),
            told: policy.content.causes(Severity::Info),
            grave: policy.content.causes(Severity::Down),
            stands_for: Some(policy.content.stands_for()),
        }
    }
}

impl<'a> Rules<'a> {
    pub fn of_target(kind: CheckKind, policy: &'a TargetPolicy) -> Self {
        Self {
            rise: policy.rise,
            fall: policy.fall,
            flapping: policy.flapping,
            schedule: policy.schedule.as_ref(),
            degraded: policy.degraded,
            unknown: policy.unknown,
            enabled: target::enabled_causes(kind, policy),
            told: DegradedCauses::EMPTY,
            grave: DegradedCauses::EMPTY,
            stands_for: None,
        }
    }
}

/// Everything a judgement depends on besides its own past.
#[derive(Debug, Clone)]
pub struct Situation<'a> {
    pub now: Instant,
    pub wall: SystemTime,
    pub evidence: Evidence,
    /// When the evidence stops being fresh.
    pub fresh_until: Option<Instant>,
    pub rules: Rules<'a>,
    /// An operator has said that absence is no outage.
    pub silenced: bool,
    /// It belongs to a candidate of a failover that is not the active one.
    pub standby: bool,
    ill_since: Option<Instant>,
}

impl<'a> Situation<'a> {
    /// What `report` shows of a stream.
    pub fn of_stream(
        now: Instant,
        wall: SystemTime,
        report: Option<&StreamReport>,
        policy: &'a StreamPolicy,
        silenced: bool,
    ) -> Self {
        let evidence = evidence::assess(now, report, policy);
        let fresh_until = evidence::fresh_until(now, report);
        Self { now, wall, evidence, fresh_until, rules: policy.into(), silenced, standby: false, ill_since: None }
    }

    /// What `report` shows of a target. `ill_since`: see [`assess_target`].
    pub fn of_target(
        now: Instant,
        wall: SystemTime,
        report: Option<&TargetReport>,
        kind: CheckKind,
        policy: &'a TargetPolicy,
        ill_since: Option<Instant>,
    ) -> Self {
        let evidence = assess_target(now, wall, report, policy, ill_since);
        let ill_since = reading::ill_since(&evidence, report, policy, ill_since);
        let patience = ill_since.filter(|_| evidence == Evidence::Pending);
        let patience_ends = patience.and_then(|since| reading::patience_ends(now, since));
        let fresh_until = reading::fresh_until(now, report).into_iter().chain(patience_ends).min();
        Self {
            now,
            wall,
            evidence,
            fresh_until,
            rules: Rules::of_target(kind, policy),
            silenced: false,
            standby: false,
            ill_since,
        }
    }

    /// Since when the evidence of a target has been bad or in doubt, if it is.
    pub fn ill_since(&self) -> Option<Instant> {
        self.ill_since
    }
}

/// What survives a restart of the monitor.
#[derive(Debug, Clone, PartialEq)]
pub struct Remembered {
    pub health: Health,
    pub down: Option<DownCause>,
    pub since: SystemTime,
    pub epoch: u64,
    pub healthy_answer: Option<bool>,
}

/// What an evaluation changed.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    Health {
        from: Health,
        to: Health,
    },
    /// Same health, other causes.
    Causes {
        health: Health,
    },
}

/// Judges one stream or target.
#[derive(Debug, Clone)]
pub struct Evaluator {
    verdict: Verdict,
    totals: VerdictTotals,
    /// The last judgement that rested on evidence: what staleness returns to.
    settled: Option<Settled>,
    /// What an earlier process found, and since when, until something is found again: that goes on.
    before_start: Option<(Health, SystemTime)>,
    last_answer: Option<bool>,
    /// Since when live evidence has held while down.
    rising: Option<Instant>,
    causes: Causes,
    downs: Recent,
    outage_counted_to: Option<Instant>,
    deadline: Option<Instant>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Settled {
    Healthy,
    Down,
}

impl Evaluator {
    /// An evaluator that knows nothing, or what the state file remembers.
    pub fn new(wall: SystemTime, remembered: Option<Remembered>) -> Self {
        let (settled, last_answer, epoch) = match &remembered {
            Some(r) => (
                match r.health {
                    Health::Down => Some(Settled::Down),
                    Health::Up | Health::Degraded => Some(Settled::Healthy),
                    Health::Unknown | Health::Idle => None,
                },
                r.healthy_answer,
                // Changes of the last moments before a crash may not have reached the file; epochs never go back.
                r.epoch + 1000,
            ),
            None => (None, None, 0),
        };
        // Its picture was that of an outage, and nobody has looked since.
        let seen = remembered.as_ref().and_then(|r| r.down).and_then(ContentIssue::of);
        let detail = if remembered.is_some() { "not seen since the monitor started" } else { "not seen yet" };
        Self {
            verdict: Verdict {
                health: Health::Unknown,
                down: None,
                degraded: DegradedCauses::EMPTY,
                noted: DegradedCauses::EMPTY,
                since: wall,
                detail: detail.into(),
                epoch,
            },
            totals: VerdictTotals::default(),
            settled,
            before_start: remembered.map(|r| (r.health, r.since)),
            last_answer,
            rising: None,
            causes: Causes::remembering(seen.map(ContentIssue::cause).into_iter().collect()),
            downs: Recent::default(),
            outage_counted_to: None,
            deadline: None,
        }
    }

    pub fn verdict(&self) -> &Verdict {
        &self.verdict
    }

    pub fn totals(&self) -> &VerdictTotals {
        &self.totals
    }

    /// When to evaluate again even if nothing new arrives.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.deadline
    }

    /// What to write to the state file.
    pub fn remember(&self) -> Remembered {
        Remembered {
            health: match (self.verdict.health, self.settled) {
                (Health::Unknown, Some(Settled::Down)) => Health::Down,
                (Health::Unknown, Some(Settled::Healthy)) => Health::Up,
                (health, _) => health,
            },
            down: self.verdict.down,
            since: self.before_start.map_or(self.verdict.since, |(_, since)| since),
            epoch: self.verdict.epoch,
            healthy_answer: self.last_answer,
        }
    }

    /// Judges the situation. Returns what changed.
    pub fn evaluate(&mut self, s: Situation<'_>) -> Option<Change> {
        self.deadline = None;
        if !matches!(s.evidence, Evidence::Live { .. } | Evidence::Down { .. }) {
            self.causes.pause();
        }
        let (health, down, detail) = self.judge(&s);
        self.count_outage(s.now, health);
        self.apply(&s, health, down, detail)
    }

    /// What health endpoints say for the present verdict.
    pub fn answer(&mut self, rules: &Rules<'_>) -> HealthAnswer {
        let healthy = match self.verdict.health {
            Health::Up | Health::Idle => true,
            Health::Degraded => rules.degraded == DegradedAnswer::Pass,
            Health::Down => false,
            Health::Unknown => {
                return match (rules.unknown, self.last_answer) {
                    (UnknownAnswer::Hold, Some(healthy)) => HealthAnswer { healthy, basis: AnswerBasis::Held },
                    (UnknownAnswer::Hold | UnknownAnswer::Pass, _) => {
                        HealthAnswer { healthy: true, basis: AnswerBasis::Unknown }
                    }
                    (UnknownAnswer::Fail, _) => HealthAnswer { healthy: false, basis: AnswerBasis::Unknown },
                };
            }
        };
        self.last_answer = Some(healthy);
        HealthAnswer { healthy, basis: AnswerBasis::Verdict }
    }

    fn judge(&mut self, s: &Situation<'_>) -> (Health, Option<DownCause>, Arc<str>) {
        if let Some(why) = intended_absence(s) {
            self.wake_with_wall_clock(s);
            self.forget_evidence();
            self.settled = None;
            self.causes.keep(DegradedCauses::EMPTY);
            return (Health::Idle, None, why.into());
        }
        self.wake_with_wall_clock(s);
        if let Some(until) = s.fresh_until {
            // Just past the age: at the exact age the report still counts.
            self.wake_at(until + Duration::from_millis(1));
        }
        match &s.evidence {
            Evidence::Unseen => {
                self.forget_evidence();
                // What was said of an earlier report is not true of none.
                let detail = match self.verdict.health {
                    Health::Unknown => Arc::clone(&self.verdict.detail),
                    _ => "not seen yet".into(),
                };
                (Health::Unknown, None, detail)
            }
            Evidence::Stale => {
                self.forget_evidence();
                (Health::Unknown, None, "no fresh report from the probe".into())
            }
            Evidence::Pending => self.last_verdict(),
            Evidence::Down { cause, since, detail } => {
                self.rising = None;
                let outlived = self.causes.outlived(s.now, DegradedCauses::EMPTY, s.rules.stands_for);
                self.causes.keep(self.causes.active().minus(outlived));
                let counts_at = *since + s.rules.fall;
                if self.verdict.health == Health::Down || s.now >= counts_at {
                    self.settled = Some(Settled::Down);
                    return (Health::Down, Some(*cause), Arc::clone(detail));
                }
                self.wake_at(counts_at);
                match self.verdict.health {
                    Health::Up | Health::Degraded => self.unchanged(),
                    _ => (Health::Unknown, None, Arc::clone(detail)),
                }
            }
            Evidence::Live { judged, found } => self.judge_live(s, *judged, *found),
        }
    }

    fn judge_live(
        &mut self,
        s: &Situation<'_>,
        judged: DegradedCauses,
        found: DegradedCauses,
    ) -> (Health, Option<DownCause>, Arc<str>) {
        let Rules { grave, told, rise, fall, stands_for, .. } = s.rules;
        let judged = judged.union(self.causes.outlived(s.now, judged.union(found), stands_for));
        // Coming back has to last; that this goes need not, too.
        let again = self.causes.update(s.now, judged.intersection(grave), found, fall, Duration::ZERO);
        self.wake(again);
        if let Some(issue) = self.gravest(grave) {
            self.rising = None;
            self.settled = Some(Settled::Down);
            return (Health::Down, Some(issue.down_cause()), issue.detail().into());
        }
        if self.settled == Some(Settled::Down) {
            let rising = *self.rising.get_or_insert(s.now);
            let up_at = rising + rise;
            if s.now < up_at {
                self.wake_at(up_at);
                return match self.verdict.health {
                    Health::Down => (Health::Down, self.verdict.down, "it is back; waiting for it to last".into()),
                    _ => (Health::Unknown, None, "it is back; waiting for it to last".into()),
                };
            }
        }
        self.rising = None;
        self.settled = Some(Settled::Healthy);
        let again = self.causes.update(s.now, judged.minus(grave), found, fall, rise);
        self.wake(again);
        // A cause whose threshold was removed from the policy is no cause any more.
        self.causes.keep(s.rules.enabled);
        let limits = s.rules.flapping;
        let flapping = self.downs.crowded_until(s.now, limits.changes as usize, limits.window);
        self.causes.set(DegradedCause::Flapping, flapping.is_some());
        self.wake(flapping);
        let health = if self.causes.active().minus(told).is_empty() { Health::Up } else { Health::Degraded };
        (health, None, "".into())
    }

    /// The gravest issue that applies and is an outage.
    fn gravest(&self, grave: DegradedCauses) -> Option<ContentIssue> {
        let applies = self.causes.active().intersection(grave);
        ContentIssue::ALL.iter().copied().find(|issue| applies.contains(issue.cause()))
    }

    /// The verdict while there is nothing to judge by: the last one, unless staleness or a restart has made it unknown.
    fn last_verdict(&self) -> (Health, Option<DownCause>, Arc<str>) {
        match self.verdict.health {
            Health::Up | Health::Degraded | Health::Down => self.unchanged(),
            Health::Unknown | Health::Idle => (Health::Unknown, None, "waiting for the first evidence".into()),
        }
    }

    fn unchanged(&self) -> (Health, Option<DownCause>, Arc<str>) {
        (self.verdict.health, self.verdict.down, Arc::clone(&self.verdict.detail))
    }

    /// Interrupted evidence has no duration: rise and fall start anew.
    fn forget_evidence(&mut self) {
        self.rising = None;
        self.causes.interrupt();
    }

    fn apply(
        &mut self,
        s: &Situation<'_>,
        health: Health,
        down: Option<DownCause>,
        detail: Arc<str>,
    ) -> Option<Change> {
        let (active, told) = (self.causes.active(), s.rules.told);
        let (degraded, noted) = match health {
            Health::Degraded | Health::Up => (active.minus(told), active.intersection(told)),
            _ => Default::default(),
        };
        let from = self.verdict.health;
        let before = (self.verdict.down, self.verdict.degraded, self.verdict.noted);
        let causes_changed = before != (down, degraded, noted);
        self.totals.causes_seen = self.totals.causes_seen.union(degraded).union(noted);
        if let Some(seen) = down.and_then(|c| self.totals.down_causes_seen.get_mut(c as usize)) {
            *seen = true;
        }
        self.verdict.down = down;
        self.verdict.degraded = degraded;
        self.verdict.noted = noted;
        self.verdict.detail = detail;
        if health == from {
            return causes_changed.then_some(Change::Causes { health });
        }
        self.verdict.health = health;
        let goes_on = self.before_start.take().filter(|(before, _)| *before == health);
        self.verdict.since = goes_on.map_or(s.wall, |(_, since)| since);
        self.verdict.epoch += 1;
        self.totals.changes[health as usize] += 1;
        if health == Health::Down {
            self.downs.note(s.now, s.rules.flapping.changes as usize);
            self.causes.keep(s.rules.grave);
            self.forget_evidence();
        }
        Some(Change::Health { from, to: health })
    }

    /// An outage lasts from down to healthy or idle, over changes of cause and over unknown.
    fn count_outage(&mut self, now: Instant, health: Health) {
        if let Some(counted) = self.outage_counted_to {
            self.totals.outage_seconds += now.saturating_duration_since(counted).as_secs_f64();
            let ends = matches!(health, Health::Up | Health::Degraded | Health::Idle);
            self.outage_counted_to = (!ends).then_some(now);
        } else if health == Health::Down {
            self.totals.outages += 1;
            self.outage_counted_to = Some(now);
        }
    }

    fn wake(&mut self, again: Option<Instant>) {
        if let Some(at) = again {
            self.wake_at(at);
        }
    }

    fn wake_at(&mut self, at: Instant) {
        self.deadline = Some(self.deadline.map_or(at, |d| d.min(at)));
    }

    /// Schedules and silences change with the wall clock, by whole seconds at the finest.
    fn wake_with_wall_clock(&mut self, s: &Situation<'_>) {
        if s.rules.schedule.is_some() || s.silenced {
            self.wake_at(s.now + Duration::from_secs(1));
        }
    }
}

fn intended_absence(s: &Situation<'_>) -> Option<&'static str> {
    if s.silenced {
        return Some("silenced by an operator");
    }
    if s.standby {
        return Some("not its turn: another candidate is active");
    }
    let unix = s.wall.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |d| d.as_secs());
    let schedule = s.rules.schedule?;
    (!schedule.is_on_air(i64::try_from(unix).unwrap_or(i64::MAX))).then_some("off air by schedule")
}
