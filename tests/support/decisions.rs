//! Hand-made groups and failovers.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use rtmp_hmonitor::model::address::Host;
use rtmp_hmonitor::model::event::Subject;
use rtmp_hmonitor::model::failover::{
    Candidate, CandidateAnswer, CandidateView, Decisions, FailoverTotals, FailoverView, SwitchReason,
};
use rtmp_hmonitor::model::group::{GroupView, Maintenance, MaintenanceState, MemberCounts, Requirement};
use rtmp_hmonitor::model::snapshot::{AnswerBasis, HealthAnswer, Snapshot};
use rtmp_hmonitor::model::spec::{Labels, UnknownAnswer};
use rtmp_hmonitor::model::{Cause, DownCause, FailoverSpec, GroupSpec, Health, Name};

/// The wall-clock time of everything that has a `since`.
pub const SINCE: SystemTime = SystemTime::UNIX_EPOCH;
pub const SINCE_MILLIS: u64 = 1_790_000_000_250;

pub fn since() -> SystemTime {
    SINCE + Duration::from_millis(SINCE_MILLIS)
}

pub fn verdict(healthy: bool) -> HealthAnswer {
    HealthAnswer { healthy, basis: AnswerBasis::Verdict }
}

/// A group, to be changed before it goes into a snapshot: one of two members is down unless it is up.
pub fn group(name: &str, health: Health, observed_at: Instant) -> GroupView {
    let up = health == Health::Up;
    let none = Requirement::default();
    GroupView {
        spec: Arc::new(GroupSpec {
            name: Name::new(name).unwrap(),
            address: Some(Host::parse("10.0.0.11").unwrap()),
            eligible_while: none.clone(),
            serving_while: none.clone(),
            up_while: none,
            rise: Duration::ZERO,
            fall: Duration::ZERO,
            unknown: UnknownAnswer::Hold,
            owns_maintenance: false,
            labels: Labels(Arc::new([("site".into(), "plant-a".into())])),
        }),
        health,
        eligible: (health != Health::Unknown).then_some(health != Health::Down),
        serving: None,
        weight: if up { 1.0 } else { 0.5 },
        members: MemberCounts { expected: 2, healthy: if up { 2 } else { 1 }, unknown: 0, idle: 3 },
        causes: if up { vec![] } else { vec![Cause::Down(DownCause::Stalled), Cause::Down(DownCause::Closed)] },
        failing: if up { Arc::new([]) } else { Arc::new([Subject::stream(&Name::new("gate-1").unwrap())]) },
        since: since(),
        epoch: 7,
        held: false,
        maintenance: None,
        observed_at: Some(observed_at),
        answer: match health {
            Health::Unknown => HealthAnswer { healthy: true, basis: AnswerBasis::Unknown },
            health => verdict(health != Health::Down),
        },
    }
}

/// The same with another specification.
pub fn specified(mut view: GroupView, change: impl FnOnce(&mut GroupSpec)) -> GroupView {
    change(Arc::make_mut(&mut view.spec));
    view
}

pub fn maintained(mut view: GroupView, state: MaintenanceState) -> GroupView {
    let maintenance = Maintenance { state, reason: "new disk".into(), until: None, created: since() };
    view.maintenance = Some(Arc::new(maintenance));
    view
}

/// A failover whose first candidate is active. Each has the value `rtmp://NAME`.
pub fn failover(name: &str, candidates: &[&str], observed_at: Instant) -> FailoverView {
    let candidate =
        |group: &&str| Candidate { group: Name::new(group).unwrap(), value: Some(format!("rtmp://{group}").into()) };
    let view = |(index, _)| CandidateView {
        eligible: Some(true),
        serving: (index == 0).then_some(true),
        suspect_until: None,
        answer: verdict(index == 0),
    };
    FailoverView {
        spec: Arc::new(FailoverSpec {
            name: Name::new(name).unwrap(),
            candidates: candidates.iter().map(candidate).collect(),
            settle: Duration::from_secs(10),
            hold: Duration::from_secs(30),
            hold_max: Duration::from_secs(600),
            preempt: false,
            answer: CandidateAnswer::Active,
            unknown: UnknownAnswer::Hold,
            labels: Labels(Arc::new([("site".into(), "plant-a".into())])),
        }),
        active: Some(0),
        previous: candidates.get(1).map(|group| Name::new(group).unwrap()),
        epoch: 3,
        since: since(),
        reason: SwitchReason::NotEligible,
        suppressed: None,
        pinned: None,
        candidates: candidates.iter().enumerate().map(view).collect(),
        totals: FailoverTotals { switches: [1, 2, 0, 0, 0, 0, 0], suppressed: [0, 0, 4, 0, 0, 0, 0] },
        observed_at: Some(observed_at),
    }
}

/// A complete picture with these.
pub fn decided(taken_at: Instant, groups: Vec<GroupView>, failovers: Vec<FailoverView>) -> Snapshot {
    let mut groups: Vec<_> = groups.into_iter().map(Arc::new).collect();
    groups.sort_by(|a, b| a.spec.name.cmp(&b.spec.name));
    let mut failovers: Vec<_> = failovers.into_iter().map(Arc::new).collect();
    failovers.sort_by(|a, b| a.spec.name.cmp(&b.spec.name));
    let decisions =
        Decisions { complete: true, groups: groups.into(), failovers: failovers.into(), ..Decisions::default() };
    Snapshot { decisions: Arc::new(decisions), ..super::snapshot(taken_at, vec![]) }
}
