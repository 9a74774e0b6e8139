//! One group over time: whether it is fit to serve and whether it serves, worsening only while we can see.

use std::time::{Duration, Instant, SystemTime};

use super::evaluator::Remembered;
use super::members::{Reading, Tally};
use super::sight::{SightEvaluator, Suspicion, Trust};
use crate::model::Health;
use crate::model::group::Quorum;
use crate::model::snapshot::{AnswerBasis, HealthAnswer};
use crate::model::spec::UnknownAnswer;

/// While nothing has been seen since a suspicion arose: when to ask again.
const ASK_AGAIN: Duration = Duration::from_millis(500);

/// What all clauses of a requirement show together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Showing {
    pub reading: Reading,
    /// The newest good evidence of those who count against the group.
    pub last_good: Option<Instant>,
    /// All of those are on this host.
    pub local: bool,
    /// Within this all of those are looked at again.
    pub looked_at_within: Duration,
    /// By the newest looks all is well.
    pub returns: bool,
}

impl Showing {
    /// Without a clause there is nothing to miss.
    pub fn of(clauses: &[(Tally, Quorum)]) -> Self {
        let start = Self {
            reading: Reading::Good,
            last_good: None,
            local: true,
            looked_at_within: Duration::ZERO,
            returns: true,
        };
        clauses.iter().fold(start, |all, (tally, need)| Self {
            reading: all.reading.and(tally.reading(*need)),
            last_good: all.last_good.max(tally.last_good),
            local: all.local && tally.local,
            looked_at_within: all.looked_at_within.max(tally.looked_at_within),
            returns: all.returns && tally.returns(*need),
        })
    }
}

/// What a group is judged by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Of a failover. `serving`: only while it is its turn and it has settled.
    Candidate { eligible: Showing, serving: Option<Showing> },
    /// Of none. `eligible`: where there is such a clause.
    Alone { up: Showing, eligible: Option<Showing> },
}

/// Everything that a judgement depends on besides its own past.
#[derive(Debug, Clone, Copy)]
pub struct GroupSituation<'a> {
    pub now: Instant,
    pub wall: SystemTime,
    pub rise: Duration,
    pub fall: Duration,
    pub role: Role,
    /// Some members are down.
    pub any_down: bool,
    pub maintenance: bool,
    pub sight: &'a SightEvaluator,
    /// Everything that is watched has had its first chance: before that nothing worsens.
    pub complete: bool,
}

/// Why a judgement stays although evidence says otherwise; the graver one is greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Doubt {
    /// Members are missing, and nobody is to blame.
    Blame,
    /// We have not seen the outside since.
    Vantage,
}

/// One requirement over time.
#[derive(Debug, Clone, Copy, Default)]
struct Condition {
    /// The last judgement that rested on evidence.
    settled: Option<bool>,
    /// The judgement; `None` while nothing is known.
    holds: Option<bool>,
    /// Since when evidence has said the opposite of what is settled.
    contrary_since: Option<Instant>,
    /// By the newest looks it holds.
    returns: bool,
    doubt: Option<Doubt>,
}

/// Judges one group.
#[derive(Debug, Clone)]
pub struct GroupEvaluator {
    eligible: Condition,
    serving: Condition,
    up: Condition,
    health: Health,
    since: SystemTime,
    epoch: u64,
    held: bool,
    last_answer: Option<bool>,
    wants_look: bool,
    deadline: Option<Instant>,
}

impl GroupEvaluator {
    /// An evaluator that knows nothing, or what the state file remembers.
    pub fn new(wall: SystemTime, remembered: Option<&Remembered>) -> Self {
        let settled = remembered.and_then(|r| match r.health {
            Health::Up | Health::Degraded => Some(true),
            Health::Down => Some(false),
            Health::Unknown | Health::Idle => None,
        });
        let condition = Condition { settled, ..Condition::default() };
        Self {
            eligible: condition,
            serving: Condition::default(),
            up: condition,
            health: Health::Unknown,
            since: wall,
            // As for streams: the last changes before a crash may not have reached the file.
            epoch: remembered.map_or(0, |r| r.epoch + 1000),
            held: false,
            last_answer: remembered.and_then(|r| r.healthy_answer),
            wants_look: false,
            deadline: None,
        }
    }

    pub fn health(&self) -> Health {
        self.health
    }

    pub fn since(&self) -> SystemTime {
        self.since
    }

    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Fit to serve. `None`: not known, or not asked.
    pub fn eligible(&self) -> Option<bool> {
        self.eligible.holds
    }

    /// Serves. `None`: not known, or not asked.
    pub fn serving(&self) -> Option<bool> {
        self.serving.holds
    }

    /// Judged not to be well, while all evidence says by now that it is: that has yet to last.
    pub fn is_returning(&self) -> bool {
        let mut failing = [&self.eligible, &self.serving].into_iter().filter(|c| c.holds == Some(false)).peekable();
        failing.peek().is_some() && failing.all(|c| c.returns)
    }

    /// The judgement stays although evidence says otherwise, because we cannot see.
    pub fn is_held(&self) -> bool {
        self.held
    }

    pub fn doubt(&self) -> Option<Doubt> {
        self.eligible.doubt.max(self.serving.doubt).max(self.up.doubt)
    }

    /// An immediate look at the vantage endpoints would help.
    pub fn wants_look(&self) -> bool {
        self.wants_look
    }

    /// When to evaluate again even if no member changes.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.deadline
    }

    /// What to write to the state file.
    pub fn remember(&self) -> Remembered {
        let settled = self.up.settled.or(self.eligible.settled);
        let health = match (self.health, settled) {
            (Health::Unknown, Some(true)) => Health::Up,
            (Health::Unknown, Some(false)) => Health::Down,
            (health, _) => health,
        };
        Remembered { health, down: None, since: self.since, epoch: self.epoch, healthy_answer: self.last_answer }
    }

    /// Judges the situation. Gives the health before, when it is another now.
    pub fn evaluate(&mut self, s: &GroupSituation<'_>) -> Option<Health> {
        self.deadline = None;
        self.wants_look = false;
        self.held = s.sight.is_isolated();
        // Who sees nothing learns nothing: everything stays as it is.
        if !self.held {
            match s.role {
                Role::Candidate { eligible, serving } => {
                    self.judge(s, |group| &mut group.eligible, &eligible);
                    match serving {
                        // Those who are missing now are nobody's fault: that it did not serve is no reason to leave any more.
                        Some(serving) if serving.reading == Reading::Unblamed && self.serving.holds == Some(false) => {
                            self.serving = Condition { doubt: Some(Doubt::Blame), ..Condition::default() };
                        }
                        Some(serving) => self.judge(s, |group| &mut group.serving, &serving),
                        None => self.serving = Condition::default(),
                    }
                    self.up = Condition::default();
                }
                Role::Alone { up, eligible } => {
                    self.judge(s, |group| &mut group.up, &up);
                    match eligible {
                        Some(eligible) => self.judge(s, |group| &mut group.eligible, &eligible),
                        None => self.eligible = Condition::default(),
                    }
                    self.serving = Condition::default();
                }
            }
        }
        let holds = match s.role {
            Role::Candidate { .. } => self.eligible.holds.map(|fit| fit && self.serving.holds != Some(false)),
            Role::Alone { .. } => self.up.holds,
        };
        let health = match holds {
            _ if s.maintenance => Health::Idle,
            None => Health::Unknown,
            Some(false) => Health::Down,
            Some(true) if s.any_down => Health::Degraded,
            Some(true) => Health::Up,
        };
        let before = std::mem::replace(&mut self.health, health);
        if before == health {
            return None;
        }
        self.since = s.wall;
        self.epoch += 1;
        Some(before)
    }

    /// What health endpoints say for the present judgement, taken by itself.
    pub fn answer(&mut self, unknown: UnknownAnswer) -> HealthAnswer {
        let blind = self.held && unknown == UnknownAnswer::Fail;
        let healthy = match self.health {
            Health::Up | Health::Degraded if !blind => true,
            Health::Down | Health::Idle => false,
            _ => {
                return match (unknown, self.last_answer) {
                    (UnknownAnswer::Fail, _) => HealthAnswer { healthy: false, basis: AnswerBasis::Unknown },
                    (UnknownAnswer::Hold, Some(healthy)) => HealthAnswer { healthy, basis: AnswerBasis::Held },
                    _ => HealthAnswer { healthy: true, basis: AnswerBasis::Unknown },
                };
            }
        };
        self.last_answer = Some(healthy);
        HealthAnswer { healthy, basis: if self.held { AnswerBasis::Held } else { AnswerBasis::Verdict } }
    }

    /// Whether it last answered healthy.
    pub fn last_answer(&self) -> Option<bool> {
        self.last_answer
    }

    /// It goes on answering healthy: see the all-down guard.
    pub fn guard(&mut self) -> HealthAnswer {
        self.last_answer = Some(true);
        HealthAnswer { healthy: true, basis: AnswerBasis::Held }
    }

    fn judge(&mut self, s: &GroupSituation<'_>, of: impl Fn(&mut Self) -> &mut Condition, showing: &Showing) {
        let step = of(self).judge(s, showing);
        self.deadline = self.deadline.into_iter().chain(step.again).min();
        self.wants_look |= step.wants_look;
        self.held |= step.held;
    }
}

#[derive(Default)]
struct Step {
    again: Option<Instant>,
    wants_look: bool,
    held: bool,
}

impl Condition {
    fn judge(&mut self, s: &GroupSituation<'_>, showing: &Showing) -> Step {
        self.doubt = None;
        self.returns = showing.returns;
        match (showing.reading, self.settled) {
            (Reading::Good, None | Some(true)) => self.settle(true),
            (Reading::Good, Some(false)) => {
                let at = *self.contrary_since.get_or_insert(s.now) + s.rise;
                if s.now < at {
                    return Step { again: Some(at), ..Step::default() };
                }
                self.settle(true);
            }
            (Reading::Bad, Some(false)) if s.complete => self.settle(false),
            (Reading::Bad, _) => return self.worsen(s, showing),
            (Reading::Unblamed, _) => {
                self.contrary_since = None;
                self.doubt = Some(Doubt::Blame);
                // What is not to blame is as fit as it was before.
                self.holds = self.holds.or(self.settled);
            }
            (Reading::Unknown, _) => {
                self.contrary_since = None;
                self.holds = None;
            }
        }
        Step::default()
    }

    fn settle(&mut self, holds: bool) {
        self.settled = Some(holds);
        self.holds = self.settled;
        self.contrary_since = None;
    }

    fn worsen(&mut self, s: &GroupSituation<'_>, showing: &Showing) -> Step {
        let counts_at = *self.contrary_since.get_or_insert(s.now) + s.fall;
        if s.now < counts_at {
            return Step { again: Some(counts_at), ..Step::default() };
        }
        let Showing { last_good, local, looked_at_within, .. } = *showing;
        let trust = s.sight.trust(s.now, &Suspicion { since: counts_at, last_good, local, looked_at_within });
        let again = match trust {
            Trust::Confirmed if s.complete => {
                self.settle(false);
                return Step::default();
            }
            Trust::Confirmed => None,
            Trust::Unconfirmed => Some(s.now + ASK_AGAIN),
            Trust::Clearing { until } => Some(until),
        };
        // We cannot see, or not yet.
        let held = trust != Trust::Confirmed;
        self.doubt = held.then_some(Doubt::Vantage);
        Step { again, wants_look: trust == Trust::Unconfirmed, held }
    }
}
