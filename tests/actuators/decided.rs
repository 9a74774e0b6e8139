//! Decisions as the store would publish them, and the actuators that follow them.

use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use arc_swap::ArcSwap;
use rtmp_hmonitor::act::{self, ActStatus};
use rtmp_hmonitor::model::action::{ActionKind, ActionOutcome, ActionSpecs, Decider};
use rtmp_hmonitor::model::clock::{Clock, HEARTBEAT};
use rtmp_hmonitor::model::event::Event;
use rtmp_hmonitor::model::failover::{
    Candidate, CandidateAnswer, CandidateView, Decisions, FailoverSpec, FailoverTotals, FailoverView, SwitchReason,
};
use rtmp_hmonitor::model::group::{GroupSpec, GroupView, Maintenance, MaintenanceState, MemberCounts, Requirement};
use rtmp_hmonitor::model::snapshot::{AnswerBasis, HealthAnswer, Snapshot};
use rtmp_hmonitor::model::spec::{Labels, UnknownAnswer};
use rtmp_hmonitor::model::{Health, Name};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::harness::eventually;

/// Enough for anything that happens at all, on a machine that does much else.
pub const SOON: Duration = Duration::from_secs(20);

pub fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

pub fn alone(group: &str) -> Decider {
    Decider { group: name(group), failover: None }
}

pub fn candidate(failover: &str, group: &str) -> Decider {
    Decider { group: name(group), failover: Some(name(failover)) }
}

/// What is decided, to be changed step by step.
#[derive(Clone)]
pub struct World {
    pub complete: bool,
    groups: Vec<GroupView>,
    failovers: Vec<FailoverView>,
}

impl World {
    pub fn new() -> Self {
        Self { complete: true, groups: Vec::new(), failovers: Vec::new() }
    }

    pub fn group(mut self, group: &str, owns_maintenance: bool) -> Self {
        let spec = GroupSpec {
            name: name(group),
            address: None,
            eligible_while: Requirement::default(),
            serving_while: Requirement::default(),
            up_while: Requirement::default(),
            rise: Duration::ZERO,
            fall: Duration::ZERO,
            unknown: UnknownAnswer::Hold,
            owns_maintenance,
            labels: Labels::default(),
        };
        self.groups.push(GroupView {
            spec: Arc::new(spec),
            health: Health::Up,
            eligible: Some(true),
            serving: None,
            weight: 1.0,
            members: MemberCounts::default(),
            causes: Vec::new(),
            failing: Arc::new([]),
            since: SystemTime::now(),
            epoch: 1,
            held: false,
            maintenance: None,
            observed_at: None,
            answer: answer(true),
        });
        self.groups.sort_by(|a, b| a.spec.name.cmp(&b.spec.name));
        self
    }

    /// The first candidate is active.
    pub fn failover(mut self, failover: &str, candidates: &[(&str, Option<&str>)]) -> Self {
        let of = |(group, value): &(&str, Option<&str>)| Candidate { group: name(group), value: value.map(Into::into) };
        let spec = FailoverSpec {
            name: name(failover),
            candidates: candidates.iter().map(of).collect(),
            settle: Duration::ZERO,
            hold: Duration::ZERO,
            hold_max: Duration::ZERO,
            preempt: false,
            answer: CandidateAnswer::Active,
            unknown: UnknownAnswer::Hold,
            labels: Labels::default(),
        };
        self.failovers.push(FailoverView {
            spec: Arc::new(spec),
            active: None,
            previous: None,
            epoch: 0,
            since: SystemTime::now(),
            reason: SwitchReason::Initial,
            suppressed: None,
            pinned: None,
            candidates: Arc::new([]),
            totals: FailoverTotals::default(),
            observed_at: None,
        });
        self.failovers.sort_by(|a, b| a.spec.name.cmp(&b.spec.name));
        self.switch(failover, candidates[0].0, SwitchReason::Initial);
        self
    }

    pub fn set(&mut self, group: &str, health: Health, weight: f64) {
        let view = self.groups.iter_mut().find(|view| view.spec.name.as_str() == group).unwrap();
        if view.health != health {
            (view.health, view.since, view.epoch) = (health, SystemTime::now(), view.epoch + 1);
        }
        view.weight = weight;
        view.answer = answer(health != Health::Down);
    }

    /// Whether the group is fit to serve.
    pub fn judge(&mut self, group: &str, eligible: Option<bool>) {
        let view = self.groups.iter_mut().find(|view| view.spec.name.as_str() == group).unwrap();
        view.eligible = eligible;
    }

    pub fn maintain(&mut self, group: &str, state: Option<MaintenanceState>) {
        let view = self.groups.iter_mut().find(|view| view.spec.name.as_str() == group).unwrap();
        let word = |state| Maintenance { state, reason: "test".into(), until: None, created: SystemTime::now() };
        view.maintenance = state.map(word).map(Arc::new);
    }

    pub fn switch(&mut self, failover: &str, to: &str, reason: SwitchReason) {
        let view = self.failovers.iter_mut().find(|view| view.spec.name.as_str() == failover).unwrap();
        let active = view.spec.candidates.iter().position(|c| c.group.as_str() == to);
        (view.active, view.reason, view.since, view.epoch) = (active, reason, SystemTime::now(), view.epoch + 1);
        let of = |at| CandidateView {
            eligible: Some(true),
            serving: None,
            suspect_until: None,
            answer: answer(Some(at) == active),
        };
        view.candidates = (0..view.spec.candidates.len()).map(of).collect();
    }

    fn decisions(&self, observed_at: Instant) -> Arc<Decisions> {
        let seen = Some(observed_at);
        let groups = self.groups.iter().map(|view| Arc::new(GroupView { observed_at: seen, ..view.clone() }));
        let failovers = self.failovers.iter().map(|view| Arc::new(FailoverView { observed_at: seen, ..view.clone() }));
        Arc::new(Decisions {
            complete: self.complete,
            groups: groups.collect(),
            failovers: failovers.collect(),
            ..Decisions::default()
        })
    }
}

fn answer(healthy: bool) -> HealthAnswer {
    HealthAnswer { healthy, basis: AnswerBasis::Verdict }
}

/// Actuators on a thread of their own, as the monitor has them.
pub struct Acting {
    pub clock: Clock,
    pub status: Arc<ActStatus>,
    pub snapshot: Arc<ArcSwap<Snapshot>>,
    decisions: watch::Sender<Arc<Decisions>>,
    specs: watch::Sender<Arc<ActionSpecs>>,
    events: Arc<Mutex<Vec<Event>>>,
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

impl Acting {
    pub fn start(specs: ActionSpecs, world: &World) -> Self {
        Self::start_hearing(specs, world, |_| {})
    }

    /// The same, where each event is `heard` by the actuator that tells of it.
    pub fn start_hearing(specs: ActionSpecs, world: &World, heard: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        rtmp_hmonitor::app::install_crypto_provider();
        let clock = Clock::new();
        let status = Arc::new(ActStatus::default());
        let snapshot = Arc::new(ArcSwap::from_pointee(Snapshot::empty(clock.now())));
        let (decisions, told) = watch::channel(world.decisions(clock.now()));
        let (specs, wanted) = watch::channel(Arc::new(specs));
        let events = Arc::new(Mutex::new(Vec::new()));
        let (pictures, history) = (Arc::clone(&snapshot), Arc::clone(&events));
        let inputs = act::Inputs {
            clock: clock.clone(),
            decisions: told,
            snapshot: Arc::new(move || pictures.load_full()),
            events: Arc::new(move |event| {
                heard(&event);
                history.lock().unwrap().push(event);
            }),
            status: Arc::clone(&status),
        };
        let (stop, beating) = (CancellationToken::new(), clock.clone());
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
            runtime.block_on(async {
                let beat = async {
                    loop {
                        beating.beat();
                        tokio::time::sleep(HEARTBEAT).await;
                    }
                };
                tokio::select! {
                    () = act::run(wanted, inputs, stopped) => {}
                    () = beat => {}
                }
            });
            runtime.shutdown_background();
        });
        Self { clock, status, snapshot, decisions, specs, events, stop, thread: Some(thread) }
    }

    pub fn decide(&self, world: &World) {
        self.decisions.send_replace(world.decisions(self.clock.now()));
    }

    pub fn configure(&self, specs: ActionSpecs) {
        self.specs.send_replace(Arc::new(specs));
    }

    pub fn count(&self, kind: ActionKind, outcome: ActionOutcome) -> u64 {
        self.status.outcomes().find(|(k, o, _)| (*k, *o) == (kind, outcome)).unwrap().2
    }

    pub fn pending(&self, kind: ActionKind) -> u64 {
        self.status.pending().find(|(k, _)| *k == kind).unwrap().1
    }

    /// What people are told, line by line.
    pub fn told(&self) -> Vec<String> {
        self.events.lock().unwrap().iter().map(|event| format!("{}: {}", event.subject, event.detail)).collect()
    }

    pub fn wait_told(&self, text: &str) -> String {
        eventually(&format!("{text:?} among {:?}", self.told()), SOON, || {
            self.told().into_iter().find(|line| line.contains(text))
        })
    }

    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

impl Drop for Acting {
    fn drop(&mut self) {
        self.end();
    }
}
