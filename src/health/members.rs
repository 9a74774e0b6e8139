//! The members of a group, and how many of them it takes.

use std::time::{Duration, Instant};

use super::blame::Blame;
use crate::model::group::{MemberCounts, Quorum};

/// Streams that vanish within this are gone at one moment.
const MOMENT: Duration = Duration::from_secs(3);

/// One member as it stands.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Member {
    pub standing: Standing,
    /// The newest moment at which something good came from it: a frame, an answer.
    pub seen_well: Option<Instant>,
    /// It is on this host: no network lies between.
    pub local: bool,
    /// While it is down: within this it is looked at again, and that look has ended.
    pub looked_at_within: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Standing {
    Well,
    /// Not well. `camera`: whether the stream's camera has answered since it is missing; `None`: nobody asks it.
    Down {
        blame: Blame,
        camera: Option<bool>,
    },
    /// It was down and shows itself well again, which has to last; or looks at it fail, and what plays there shows it well. Counts for
    /// nobody: after an outage of our own network all are so.
    Returning,
    Unknown,
    /// Not expected now.
    Idle,
}

impl Standing {
    /// Of an endpoint or service: its own fault.
    pub const DOWN: Self = Self::Down { blame: Blame::Origin, camera: None };
}

/// Who is to blame for streams that are missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accounting {
    /// Whatever is down counts.
    Plain,
    /// Only what is the origin's fault counts. `canary_failed`: a publication of our own cannot be played back.
    Blaming { canary_failed: bool },
}

/// What a clause, or all of them, shows at this moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// It holds.
    Good,
    /// It does not hold.
    Bad,
    /// It does not hold, and nothing says that the origin is at fault.
    Unblamed,
    /// Too little is known, or nobody is expected.
    Unknown,
}

impl Reading {
    /// What two clauses that must both hold show together.
    pub fn and(self, other: Self) -> Self {
        let weight = |reading| match reading {
            Self::Good => 0,
            Self::Unblamed => 1,
            Self::Unknown => 2,
            Self::Bad => 3,
        };
        if weight(self) >= weight(other) { self } else { other }
    }
}

/// The members of one clause, counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    pub counts: MemberCounts,
    /// Those that count against the group.
    pub against: u32,
    /// The newest good evidence of those.
    pub last_good: Option<Instant>,
    /// All of those are on this host.
    pub local: bool,
    /// Within this all of those are looked at again.
    pub looked_at_within: Duration,
    /// Those that show themselves well again.
    pub returning: u32,
}

impl Tally {
    pub fn of(members: &[Member], accounting: Accounting) -> Self {
        let mut tally = Self { local: true, ..Self::default() };
        let expected = members.iter().filter(|m| m.standing != Standing::Idle).count();
        let vanished = vanished_at_once(members, expected);
        for member in members {
            match member.standing {
                Standing::Idle => tally.counts.idle += 1,
                Standing::Well => tally.counts.healthy += 1,
                Standing::Returning => tally.returning += 1,
                Standing::Unknown => tally.counts.unknown += 1,
                Standing::Down { blame, camera } => {
                    let counts = match (accounting, blame) {
                        (Accounting::Plain, _) | (_, Blame::Origin) => true,
                        (_, Blame::Nobody) => false,
                        (Accounting::Blaming { canary_failed }, Blame::Absent { vanished: at, .. }) => {
                            let together = vanished.zip(at).is_some_and(|((from, to), at)| (from..=to).contains(&at));
                            canary_failed || together && camera != Some(false)
                        }
                    };
                    if counts {
                        tally.against += 1;
                        tally.last_good = tally.last_good.max(member.seen_well);
                        tally.local &= member.local;
                        tally.looked_at_within = tally.looked_at_within.max(member.looked_at_within);
                    }
                }
            }
        }
        tally.counts.expected = u32::try_from(expected).unwrap_or(u32::MAX);
        tally
    }

    /// Whether as many as it takes are well.
    pub fn reading(&self, need: Quorum) -> Reading {
        let MemberCounts { expected, healthy, unknown, .. } = self.counts;
        let needed = self.needed(need);
        match () {
            () if expected == 0 => Reading::Unknown,
            () if healthy >= needed => Reading::Good,
            () if expected - self.against < needed => Reading::Bad,
            () if healthy + unknown >= needed => Reading::Unknown,
            () => Reading::Unblamed,
        }
    }

    /// Whether they are, or show themselves so by now.
    pub fn returns(&self, need: Quorum) -> bool {
        self.counts.expected > 0 && self.counts.healthy + self.returning >= self.needed(need)
    }

    /// Nobody can be asked for more than there are.
    fn needed(&self, need: Quorum) -> u32 {
        need.of(self.counts.expected).min(self.counts.expected)
    }
}

/// The moment in which most of the expected streams vanished although their cameras answer, if there is one: from, to.
fn vanished_at_once(members: &[Member], expected: usize) -> Option<(Instant, Instant)> {
    let mut answering: Vec<Instant> = members
        .iter()
        .filter_map(|m| match m.standing {
            Standing::Down { blame: Blame::Absent { vanished, .. }, camera: Some(true) } => vanished,
            _ => None,
        })
        .collect();
    answering.sort_unstable();
    let size = expected / 2 + 1;
    let moment = answering.windows(size).find(|w| w[size - 1].saturating_duration_since(w[0]) <= MOMENT)?;
    // Those without a camera to ask, and those that go a little later, went along.
    Some((moment[0].checked_sub(MOMENT).unwrap_or(moment[0]), moment[0] + MOMENT))
}
