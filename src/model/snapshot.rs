//! One immutable picture of everything, from which every view is made.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use super::anomaly::AnomalyReadings;
use super::failover::{Decisions, Sight};
use super::health::{Cause, DegradedCauses, DownCause, Health};
use super::path::PathView;
use super::report::StreamReport;
use super::spec::StreamSpec;
use super::target::{TargetClass, TargetSpec};
use super::target_report::{ServerStream, TargetReport};
use super::{Name, closed_enum};

/// The state of the world at one moment.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// When the store last looked at everything that was due. Awake time.
    pub taken_at: Instant,
    /// Number of the fold that made it, from 1.
    pub generation: u64,
    /// Whether every configured stream has had its first verdict or its first chance at one.
    pub complete: bool,
    /// Sorted by name.
    pub streams: Arc<[Arc<StreamView>]>,
    /// Streams that a reload removed and whose last health answer is still kept, sorted by name.
    pub departed: Arc<[Arc<StreamView>]>,
    /// Sorted by id.
    pub targets: Arc<[Arc<TargetView>]>,
    /// Likewise for targets.
    pub departed_targets: Arc<[Arc<TargetView>]>,
    /// Sorted by name.
    pub paths: Arc<[Arc<PathView>]>,
    /// Groups and failovers.
    pub decisions: Arc<Decisions>,
    pub sight: Sight,
}

impl Snapshot {
    /// A snapshot without streams.
    pub fn empty(now: Instant) -> Self {
        Self {
            taken_at: now,
            generation: 0,
            complete: false,
            streams: Arc::new([]),
            departed: Arc::new([]),
            targets: Arc::new([]),
            departed_targets: Arc::new([]),
            paths: Arc::new([]),
            decisions: Arc::default(),
            sight: Sight::default(),
        }
    }

    pub fn stream(&self, name: &str) -> Option<&Arc<StreamView>> {
        find(&self.streams, name)
    }

    /// A stream that is configured no more, within the time its answer is kept.
    pub fn departed(&self, name: &str) -> Option<&Arc<StreamView>> {
        find(&self.departed, name)
    }

    pub fn target(&self, class: TargetClass, name: &str) -> Option<&Arc<TargetView>> {
        find_target(&self.targets, class, name)
    }

    /// A target that is configured no more, within the time its answer is kept.
    pub fn departed_target(&self, class: TargetClass, name: &str) -> Option<&Arc<TargetView>> {
        find_target(&self.departed_targets, class, name)
    }

    /// All targets of a class.
    pub fn targets_of(&self, class: TargetClass) -> &[Arc<TargetView>] {
        let from = self.targets.partition_point(|v| v.spec.id.class < class);
        let to = self.targets.partition_point(|v| v.spec.id.class <= class);
        self.targets.get(from..to).unwrap_or_default()
    }

    pub fn path(&self, name: &str) -> Option<&Arc<PathView>> {
        self.paths.binary_search_by(|v| v.spec.name.as_str().cmp(name)).ok().and_then(|i| self.paths.get(i))
    }
}

fn find<'a>(views: &'a [Arc<StreamView>], name: &str) -> Option<&'a Arc<StreamView>> {
    views.binary_search_by(|v| v.spec.name.as_str().cmp(name)).ok().map(|i| &views[i])
}

fn find_target<'a>(views: &'a [Arc<TargetView>], class: TargetClass, name: &str) -> Option<&'a Arc<TargetView>> {
    let order = |v: &Arc<TargetView>| v.spec.id.class.cmp(&class).then_with(|| v.spec.id.name.as_str().cmp(name));
    views.binary_search_by(order).ok().and_then(|i| views.get(i))
}

/// One endpoint or service in a snapshot.
#[derive(Debug, Clone)]
pub struct TargetView {
    pub spec: Arc<TargetSpec>,
    pub verdict: Verdict,
    pub totals: VerdictTotals,
    /// The newest report; `None` before the first.
    pub report: Option<Arc<TargetReport>>,
    pub answer: HealthAnswer,
}

/// A stream as its media server sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct ServerView {
    /// The service that says so.
    pub service: Name,
    /// `None`: the server lists no such stream.
    pub stream: Option<ServerStream>,
    /// The server says that it is being published, bytes arrive there, and yet it cannot be played: since when.
    pub unplayable_since: Option<SystemTime>,
}

/// One stream in a snapshot.
#[derive(Debug, Clone)]
pub struct StreamView {
    pub spec: Arc<StreamSpec>,
    pub verdict: Verdict,
    pub totals: VerdictTotals,
    /// The newest report; `None` before the first.
    pub report: Option<Arc<StreamReport>>,
    /// What the media server's statistics say of it, when they are watched and fresh.
    pub server: Option<Arc<ServerView>>,
    /// Operator's silence, when in force.
    pub silence: Option<Arc<Silence>>,
    /// Hints for people; no answer depends on them.
    pub hints: AnomalyReadings,
    /// What the health endpoints say: derived from the verdict, the policy and what was said before.
    pub answer: HealthAnswer,
}

/// The judged state of a stream or a target.
#[derive(Debug, Clone)]
pub struct Verdict {
    pub health: Health,
    /// Set exactly while `health` is down.
    pub down: Option<DownCause>,
    /// Non-empty exactly while `health` is degraded.
    pub degraded: DegradedCauses,
    /// What applies and counts for nothing, by the policy's word. Empty unless `health` is up or degraded.
    pub noted: DegradedCauses,
    /// Wall-clock time since which `health` has held.
    pub since: SystemTime,
    /// Why, for people. Redacted.
    pub detail: Arc<str>,
    /// Monotonic number of verdict changes of this stream; survives restarts.
    pub epoch: u64,
}

impl Verdict {
    /// Why it is not up, and what applies beside that.
    pub fn causes(&self) -> impl Iterator<Item = Cause> + use<> {
        let down = self.down.map(Cause::Down).into_iter();
        down.chain(self.degraded.union(self.noted).iter().map(Cause::Degraded))
    }
}

/// Cumulative figures of judgement.
#[derive(Debug, Clone, Default)]
pub struct VerdictTotals {
    /// Changes into each state, in the order of [`Health::ALL`].
    pub changes: [u64; Health::ALL.len()],
    pub outages: u64,
    /// Closed outages plus the open one up to the snapshot.
    pub outage_seconds: f64,
    /// Degraded causes ever seen: their series stay.
    pub causes_seen: DegradedCauses,
    /// Down causes ever seen.
    pub down_causes_seen: [bool; DownCause::ALL.len()],
}

/// What a health endpoint answers for one stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HealthAnswer {
    pub healthy: bool,
    pub basis: AnswerBasis,
}

closed_enum! {
    /// What an answer rests on.
    AnswerBasis {
        /// A verdict from fresh evidence.
        Verdict = "verdict",
        /// The last answer, kept because there is no fresh evidence.
        Held = "held",
        /// The policy for unknown.
        Unknown = "unknown",
    }
}

/// An operator's word that a stream's absence is no outage.
#[derive(Debug, Clone, PartialEq)]
pub struct Silence {
    pub reason: String,
    /// `None`: until it is lifted.
    pub until: Option<SystemTime>,
    pub created: SystemTime,
}
