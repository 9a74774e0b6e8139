//! Failovers: an ordered list of candidate groups, one of which is active.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::group::GroupView;
use super::snapshot::HealthAnswer;
use super::spec::{Labels, UnknownAnswer};
use super::{Name, closed_enum};

/// What is wanted of one failover.
#[derive(Debug, Clone, PartialEq)]
pub struct FailoverSpec {
    pub name: Name,
    /// At least one; the first is preferred. No group twice.
    pub candidates: Arc<[Candidate]>,
    /// After a switch, the new candidate's streams are not judged for this long: cameras reconnect.
    pub settle: Duration,
    /// Least time between two switches, and for which a candidate that lost its turn for not serving is suspect. Doubles each time.
    pub hold: Duration,
    /// The longest that `hold` grows to.
    pub hold_max: Duration,
    /// Whether a more preferred candidate takes over when it is eligible again.
    pub preempt: bool,
    pub answer: CandidateAnswer,
    pub unknown: UnknownAnswer,
    pub labels: Labels,
}

/// One candidate.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    pub group: Name,
    /// What clients read while it is active.
    pub value: Option<Arc<str>>,
}

closed_enum! {
    /// Which candidates answer healthy.
    CandidateAnswer {
        /// The active one alone.
        Active = "active",
        /// Every eligible one.
        Eligible = "eligible",
    }
}

closed_enum! {
    /// Why the active candidate is the active one.
    SwitchReason {
        /// The first decision ever made.
        Initial = "initial",
        /// The one before was not fit to serve.
        NotEligible = "not_eligible",
        /// The one before did not serve.
        NotServing = "not_serving",
        /// A more preferred one was fit again.
        Preempt = "preempt",
        /// An operator pinned it.
        Pinned = "pinned",
        /// An operator took the one before out of service.
        Maintenance = "maintenance",
        /// The one before is configured no more.
        Removed = "removed",
    }
}

closed_enum! {
    /// Why a switch that evidence asks for is not made.
    SuppressReason {
        /// We see nothing at all.
        Isolated = "isolated",
        /// No success of a vantage point is newer than the last good evidence.
        Vantage = "vantage",
        /// The last switch was less than `hold` ago.
        Hold = "hold",
        /// No other candidate is known to be fit.
        NoCandidate = "no_candidate",
        /// The same streams are missing on every candidate tried: it is the site.
        Site = "site",
        /// An operator pinned the active candidate.
        Pinned = "pinned",
        /// Streams are missing, and nothing says that the origin is at fault.
        Blame = "blame",
    }
}

/// An operator's word on a failover.
#[derive(Debug, Clone, PartialEq)]
pub struct FailoverPin {
    pub group: Name,
    pub reason: String,
    /// `None`: until it is lifted.
    pub until: Option<SystemTime>,
    pub created: SystemTime,
}

/// One failover in a snapshot.
#[derive(Debug, Clone, PartialEq)]
pub struct FailoverView {
    pub spec: Arc<FailoverSpec>,
    /// Index into the candidates. `None`: nothing has been decided yet.
    pub active: Option<usize>,
    /// The candidate that was active before; also after a restart.
    pub previous: Option<Name>,
    /// Monotonic number of decisions; survives restarts.
    pub epoch: u64,
    /// Since when the active candidate has been that.
    pub since: SystemTime,
    pub reason: SwitchReason,
    /// Why a switch that evidence asks for is not made now.
    pub suppressed: Option<SuppressReason>,
    pub pinned: Option<Arc<FailoverPin>>,
    /// In the order of the spec.
    pub candidates: Arc<[CandidateView]>,
    pub totals: FailoverTotals,
    /// When the evidence that this rests on was last looked at.
    pub observed_at: Option<Instant>,
}

impl FailoverView {
    pub fn active_candidate(&self) -> Option<&Candidate> {
        self.spec.candidates.get(self.active?)
    }
}

/// A candidate as it stands.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CandidateView {
    pub eligible: Option<bool>,
    /// Only of the active one, and not while it settles.
    pub serving: Option<bool>,
    /// It lost its turn for not serving, and is not eligible until then.
    pub suspect_until: Option<SystemTime>,
    pub answer: HealthAnswer,
}

/// Cumulative figures of a failover, since the monitor started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FailoverTotals {
    /// By [`SwitchReason`].
    pub switches: [u64; SwitchReason::ALL.len()],
    /// Times that a switch began to be suppressed, by [`SuppressReason`].
    pub suppressed: [u64; SuppressReason::ALL.len()],
}

/// Everything that controllers are told, at one moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Decisions {
    /// Whether all of it rests on a full fold. Until then actuators stay still.
    pub complete: bool,
    /// Sorted by name.
    pub groups: Arc<[Arc<GroupView>]>,
    /// Sorted by name.
    pub failovers: Arc<[Arc<FailoverView>]>,
    /// Groups that a reload removed and whose last answer is still kept, sorted by name.
    pub departed_groups: Arc<[Arc<GroupView>]>,
    /// Likewise for failovers.
    pub departed_failovers: Arc<[Arc<FailoverView>]>,
}

impl Decisions {
    /// Whether controllers are told the same: all but when it was last looked at.
    pub fn tells_the_same(&self, other: &Self) -> bool {
        fn same<V>(a: &[Arc<V>], b: &[Arc<V>], alike: impl Fn(&V, &V) -> bool) -> bool {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| Arc::ptr_eq(a, b) || alike(a, b))
        }
        self.complete == other.complete
            && same(&self.groups, &other.groups, |a, b| GroupView { observed_at: b.observed_at, ..a.clone() } == *b)
            && same(&self.failovers, &other.failovers, |a, b| {
                FailoverView { observed_at: b.observed_at, ..a.clone() } == *b
            })
    }

    pub fn group(&self, name: &str) -> Option<&Arc<GroupView>> {
        find(&self.groups, name, |v| &v.spec.name)
    }

    pub fn failover(&self, name: &str) -> Option<&Arc<FailoverView>> {
        find(&self.failovers, name, |v| &v.spec.name)
    }

    /// A group that is configured no more, within the time its answer is kept.
    pub fn departed_group(&self, name: &str) -> Option<&Arc<GroupView>> {
        find(&self.departed_groups, name, |v| &v.spec.name)
    }

    /// Likewise a failover.
    pub fn departed_failover(&self, name: &str) -> Option<&Arc<FailoverView>> {
        find(&self.departed_failovers, name, |v| &v.spec.name)
    }
}

fn find<'v, V>(views: &'v [Arc<V>], name: &str, of: impl Fn(&V) -> &Name) -> Option<&'v Arc<V>> {
    views.binary_search_by(|v| of(v).as_str().cmp(name)).ok().and_then(|i| views.get(i))
}

/// Whether we can see at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sight {
    /// Since when we have seen nothing at all.
    pub isolated_since: Option<SystemTime>,
    /// Times that began.
    pub isolations: u64,
}
