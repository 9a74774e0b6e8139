//! How reports of endpoints and services become the picture, and what a stream's media server adds to it. Virtual time.

mod support;
mod target_reports;

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use rtmp_hmonitor::health::Remembered;
use rtmp_hmonitor::model::event::{EventKind, Subject, SubjectClass};
use rtmp_hmonitor::model::report::{Connection, Fault};
use rtmp_hmonitor::model::snapshot::{AnswerBasis, ServerView, Snapshot, TargetView};
use rtmp_hmonitor::model::spec::{Desired, EvidenceSource, StreamSpec};
use rtmp_hmonitor::model::target::{Check, ReplicaRole, TargetExpect, TargetPolicy, TcpCheck};
use rtmp_hmonitor::model::target_report::{Facts, ReplicaFacts, ServerStream};
use rtmp_hmonitor::model::{DownCause, Health, StreamReport, StreamUrl, TargetClass, TargetId, TargetReport};
use rtmp_hmonitor::probe::Reports;
use rtmp_hmonitor::store::{Fold, KEEP_DEPARTED, Outcome};
use target_reports::{endpoint, failure, name, published, service, spec, statistics, success};

struct Bench {
    fold: Fold,
    start: Instant,
    now: Instant,
    remembered: HashMap<Subject, Remembered>,
}

/// Streams at `rtmp://h/live/NAME?token=…`, listed by the service `stat`.
fn listed(names: &[&str]) -> Vec<StreamSpec> {
    let stream = |stream: &&str| {
        let mut spec = (*support::stream(stream, Health::Unknown).spec).clone();
        let mut probe = (*spec.probe).clone();
        probe.url = StreamUrl::parse(&format!("rtmp://h/live/{stream}?token=t")).unwrap();
        spec.probe = Arc::new(probe);
        spec.server = Some(name("stat"));
        spec
    };
    names.iter().map(stream).collect()
}

fn desired(streams: Vec<StreamSpec>, targets: &[&TargetId]) -> Desired {
    let mut targets: Vec<_> = targets.iter().map(|id| Arc::new(spec((*id).clone(), TargetPolicy::default()))).collect();
    targets.sort_by(|a, b| a.id.cmp(&b.id));
    let streams = streams.into_iter().map(Arc::new).collect();
    Desired { streams, targets: targets.into(), ..Desired::default() }
}

impl Bench {
    fn new() -> Self {
        let start = Instant::now();
        Self { fold: Fold::default(), start, now: start, remembered: HashMap::new() }
    }

    fn with(desired: &Desired) -> Self {
        let mut bench = Self::new();
        bench.want(desired);
        bench
    }

    fn at(&mut self, seconds: f64) -> &mut Self {
        self.now = self.start + Duration::from_secs_f64(seconds);
        self
    }

    fn wall(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + (self.now - self.start)
    }

    fn want(&mut self, desired: &Desired) -> Outcome {
        let mut outcome = Outcome::default();
        let remembered = self.remembered.clone();
        self.fold.set_desired(self.now, self.wall(), desired, |s| remembered.get(s).cloned(), &mut outcome);
        outcome
    }

    fn take(&mut self, reports: Reports) -> Outcome {
        let mut outcome = Outcome::default();
        self.fold.take_reports(self.now, self.wall(), reports, &mut outcome);
        outcome
    }

    fn target(&mut self, id: &TargetId, report: impl FnOnce(Instant) -> TargetReport) -> Outcome {
        let targets = HashMap::from([(id.clone(), Arc::new(report(self.now)))]);
        self.take(Reports { targets, ..Reports::default() })
    }

    fn succeeds(&mut self, id: &TargetId) -> Outcome {
        self.target(id, |now| success(now, Facts::None))
    }

    /// The service `stat` lists these.
    fn lists(&mut self, streams: Vec<ServerStream>) -> Outcome {
        self.target(&service("stat"), |now| success(now, statistics(streams)))
    }

    fn stream(&mut self, stream: &str, change: impl FnOnce(&mut StreamReport)) -> Outcome {
        let mut report = support::report(self.now);
        change(&mut report);
        let streams = HashMap::from([(name(stream), Arc::new(report))]);
        self.take(Reports { streams, ..Reports::default() })
    }

    /// Playing fails.
    fn refused(&mut self, stream: &str) -> Outcome {
        let now = self.now;
        self.stream(stream, |r| {
            r.connection = Connection::BackingOff;
            r.fault = Some(Fault { cause: DownCause::NoMedia, since: now, detail: "said for people".into() });
        })
    }

    fn time_passes(&mut self) -> Outcome {
        let mut outcome = Outcome::default();
        self.fold.handle_timeout(self.now, self.wall(), &mut outcome);
        outcome
    }

    fn snapshot(&mut self) -> Snapshot {
        self.fold.snapshot(self.now)
    }

    fn view(&mut self, id: &TargetId) -> Arc<TargetView> {
        Arc::clone(self.snapshot().target(id.class, id.name.as_str()).unwrap())
    }

    fn health(&mut self, id: &TargetId) -> Health {
        self.view(id).verdict.health
    }

    fn server(&mut self, stream: &str) -> Option<Arc<ServerView>> {
        self.snapshot().stream(stream).unwrap().server.clone()
    }
}

fn told(outcome: &Outcome, kind: EventKind) -> Vec<(String, String)> {
    let of_kind = outcome.events.iter().filter(|e| e.kind == kind);
    of_kind.map(|e| (e.subject.to_string(), e.detail.to_string())).collect()
}

fn judged(health: Health, healthy: bool) -> Remembered {
    Remembered { health, down: None, since: SystemTime::UNIX_EPOCH, epoch: 7, healthy_answer: Some(healthy) }
}

#[test]
fn targets_stand_in_the_picture_by_class_and_name() {
    let (a, b, s) = (endpoint("a"), endpoint("b"), service("a"));
    let mut bench = Bench::with(&desired(vec![], &[&s, &b, &a]));
    bench.succeeds(&a);
    bench.target(&s, |now| failure(now, DownCause::Status));
    let picture = bench.snapshot();
    let order: Vec<_> = picture.targets.iter().map(|v| (v.spec.id.clone(), v.verdict.health)).collect();
    assert_eq!(order, [(a, Health::Up), (b, Health::Unknown), (s, Health::Down)]);
    assert_eq!(picture.targets_of(TargetClass::Service).len(), 1);
    assert_eq!(picture.target(TargetClass::Service, "a").unwrap().verdict.down, Some(DownCause::Status));
    assert!(!picture.target(TargetClass::Service, "a").unwrap().answer.healthy);
}

#[test]
fn changes_are_events_and_are_remembered() {
    let gate = endpoint("gate");
    let mut b = Bench::with(&desired(vec![], &[&gate]));
    b.snapshot();
    let outcome = b.succeeds(&gate);
    assert_eq!(told(&outcome, EventKind::State), [("endpoint gate".to_owned(), String::new())]);
    assert_eq!(outcome.remember.len(), 1);
    let outcome = b.at(1.0).succeeds(&gate);
    assert!(outcome.events.is_empty() && outcome.remember.is_empty(), "nothing changed");
    let outcome = b.at(2.0).target(&gate, |now| failure(now, DownCause::Connect));
    assert_eq!(outcome.events[0].to, Some(Health::Down.into()));
    let outcome = b.at(3.0).target(&gate, |now| failure(now, DownCause::Timeout));
    assert_eq!(told(&outcome, EventKind::Cause).len(), 1, "one outage, another cause");
    let [(subject, judgement)] = &outcome.remember[..] else { panic!("{outcome:?}") };
    assert_eq!(judgement.health, Health::Down);

    let mut after_restart = Bench::new();
    after_restart.remembered.insert(subject.clone(), judgement.clone());
    after_restart.want(&desired(vec![], &[&gate]));
    let view = after_restart.view(&gate);
    assert_eq!((view.verdict.health, view.answer.healthy), (Health::Unknown, false));

    let outcome = b.want(&desired(vec![], &[&gate, &endpoint("new")]));
    assert_eq!(told(&outcome, EventKind::Added), [("endpoint new".to_owned(), "check: tcp".to_owned())]);
}

#[test]
fn a_report_that_is_too_old_is_unknown_by_the_deadline_alone() {
    let gate = endpoint("gate");
    let mut b = Bench::with(&desired(vec![], &[&gate]));
    b.succeeds(&gate);
    assert_eq!(b.fold.poll_timeout(), Some(b.start + target_reports::VALID_FOR + Duration::from_millis(1)));
    b.at(4.001).time_passes();
    let view = b.view(&gate);
    assert_eq!((view.verdict.health, view.answer.basis), (Health::Unknown, AnswerBasis::Held));
    assert_eq!(b.fold.poll_timeout(), None, "nothing spins");
}

#[test]
fn a_removed_target_keeps_its_answer_for_ten_minutes() {
    let gate = endpoint("gate");
    let mut b = Bench::with(&desired(vec![], &[&gate]));
    b.target(&gate, |now| failure(now, DownCause::Connect));
    let outcome = b.want(&desired(vec![], &[]));
    assert_eq!(told(&outcome, EventKind::Removed).len(), 1);
    assert!(outcome.forget.is_empty());
    let picture = b.snapshot();
    assert!(picture.targets.is_empty());
    assert!(!picture.departed_target(TargetClass::Endpoint, "gate").unwrap().answer.healthy);
    assert!(b.at(5.0).succeeds(&gate).events.is_empty(), "a late report is dropped");

    // Back within the time: it goes on where it was.
    b.want(&desired(vec![], &[&gate]));
    b.succeeds(&gate);
    let view = b.view(&gate);
    assert_eq!((view.verdict.health, view.answer.healthy), (Health::Unknown, false), "it has to rise first");
    b.want(&desired(vec![], &[]));
    let outcome = b.at(5.0 + KEEP_DEPARTED.as_secs_f64()).time_passes();
    assert_eq!(outcome.forget, [Subject::target(&gate)]);
    assert!(b.snapshot().departed_targets.is_empty());
}

#[test]
fn what_an_earlier_process_answered_holds_though_it_is_configured_no_more() {
    let mut b = Bench::new();
    let of = |class, text: &str| Subject { class, name: name(text) };
    let remembered = vec![
        (of(SubjectClass::Endpoint, "bad"), judged(Health::Down, false)),
        (of(SubjectClass::Service, "good"), judged(Health::Up, true)),
    ];
    b.fold.recall(b.now, SystemTime::UNIX_EPOCH, remembered);
    let picture = b.snapshot();
    assert!(!picture.departed_target(TargetClass::Endpoint, "bad").unwrap().answer.healthy);
    assert!(picture.departed_target(TargetClass::Service, "good").unwrap().answer.healthy);
    b.want(&desired(vec![], &[&service("good")]));
    assert_eq!(b.snapshot().departed_targets.len(), 1);
    let outcome = b.at(KEEP_DEPARTED.as_secs_f64()).time_passes();
    assert_eq!(outcome.forget, [of(SubjectClass::Endpoint, "bad")]);
}

#[test]
fn new_expectations_apply_to_the_last_report_at_once() {
    let gate = endpoint("gate");
    let mut wish = desired(vec![], &[&gate]);
    let mut b = Bench::with(&wish);
    b.succeeds(&gate);
    assert_eq!(b.health(&gate), Health::Up);
    let expect = TargetExpect { latency_max: Some(Duration::from_millis(1)), ..TargetExpect::default() };
    wish.targets = Arc::new([Arc::new(spec(gate.clone(), TargetPolicy { expect, ..TargetPolicy::default() }))]);
    b.at(1.0).want(&wish);
    assert_eq!(b.health(&gate), Health::Degraded);
}

#[test]
fn the_picture_waits_for_every_target_s_first_chance() {
    let mut b = Bench::with(&desired(vec![], &[&endpoint("a"), &endpoint("b")]));
    b.succeeds(&endpoint("a"));
    // Two looks of a second each, and a second.
    assert!(!b.at(2.9).snapshot().complete);
    assert!(b.at(3.1).snapshot().complete);

    let mut slow = spec(endpoint("slow"), TargetPolicy::default());
    let mut check = (*slow.check).clone();
    check.timeout = Duration::from_secs(60);
    slow.check = Arc::new(check);
    let mut b = Bench::with(&Desired { targets: Arc::new([Arc::new(slow)]), ..Desired::default() });
    assert!(!b.at(14.9).snapshot().complete);
    assert!(b.at(15.1).snapshot().complete, "nobody holds the monitor up for longer");
}

fn member(state: &'static str, identity: &str) -> Facts {
    Facts::Replica(Arc::new(ReplicaFacts {
        role: ReplicaRole::Secondary,
        state: Cow::Borrowed(state),
        lag_bytes: None,
        lag: None,
        connected: None,
        replicas: None,
        version: None,
        identity: Some(identity.into()),
    }))
}

#[test]
fn a_target_s_own_word_for_its_state_is_an_event_when_it_changes() {
    let db = endpoint("db");
    let mut wish = desired(vec![], &[&db]);
    let mut b = Bench::with(&wish);
    let says = |b: &mut Bench, state, identity| {
        told(&b.target(&db, |now| success(now, member(state, identity))), EventKind::Condition)
            .into_iter()
            .map(|(_, detail)| detail)
            .collect::<Vec<_>>()
    };
    assert!(says(&mut b, "SECONDARY", "rs0").is_empty(), "the first word is no change");
    assert!(says(&mut b, "SECONDARY", "rs0").is_empty());
    assert_eq!(says(&mut b, "PRIMARY", "rs0"), ["SECONDARY → PRIMARY"]);
    b.target(&endpoint("db"), |now| failure(now, DownCause::Connect));
    assert_eq!(says(&mut b, "RECOVERING", "rs1"), ["PRIMARY → RECOVERING", "identity rs0 → rs1"]);

    // Another place is in another state, which is no change.
    let mut moved = (*wish.targets[0]).clone();
    let mut check = (*moved.check).clone();
    check.check = Check::Tcp(TcpCheck { address: rtmp_hmonitor::model::address::Address::parse("h:1", None).unwrap() });
    moved.check = Arc::new(check);
    wish.targets = Arc::new([Arc::new(moved)]);
    b.want(&wish);
    assert!(says(&mut b, "SECONDARY", "rs2").is_empty());
}

#[test]
fn a_stream_shows_what_its_server_lists() {
    let wish = desired(listed(&["gate", "yard"]), &[&service("stat")]);
    let mut b = Bench::with(&wish);
    assert!(b.server("gate").is_none(), "nothing was told yet");
    b.lists(vec![published("live", "gate"), published("other", "yard")]);
    assert_eq!(b.server("gate").unwrap().stream, Some(published("live", "gate")));
    let yard = b.server("yard").unwrap();
    assert_eq!((yard.service.as_str(), &yard.stream), ("stat", &None), "listed elsewhere is not listed");

    // The service's fault and its silence say nothing about streams.
    b.at(1.0).target(&service("stat"), |now| failure(now, DownCause::Connect));
    assert!(b.server("gate").is_none());
    b.at(2.0).lists(vec![published("live", "gate")]);
    assert!(b.server("gate").is_some());
    b.at(6.001).time_passes();
    assert!(b.server("gate").is_none(), "too old");

    b.at(7.0).lists(vec![published("live", "gate")]);
    let mut unlisted = listed(&["gate"]);
    unlisted[0].server = None;
    b.want(&desired(unlisted, &[&service("stat")]));
    assert!(b.server("gate").is_none());
    b.want(&desired(listed(&["gate"]), &[&service("stat")]));
    assert!(b.server("gate").is_some(), "the last report counts at once");
    b.want(&desired(listed(&["gate"]), &[]));
    assert!(b.server("gate").is_none(), "the service is gone");
}

#[test]
fn a_list_touches_only_the_streams_it_tells_something_new_of() {
    let names: Vec<String> = (0..1000).map(|i| format!("cam-{i:04}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut b = Bench::with(&desired(listed(&names), &[&service("stat")]));
    let mut all: Vec<_> = names.iter().map(|n| published("live", n)).collect();
    b.lists(all.clone());
    let before = b.snapshot();
    all.reverse();
    all[3].players = Some(2);
    b.at(2.0).lists(all);
    let after = b.snapshot();
    let rebuilt = before.streams.iter().zip(after.streams.iter()).filter(|(x, y)| !Arc::ptr_eq(x, y)).count();
    assert_eq!(rebuilt, 1);
}

#[test]
fn published_and_yet_unplayable_is_a_finding() {
    let mut b = Bench::with(&desired(listed(&["gate"]), &[&service("stat")]));
    let gate = || vec![published("live", "gate")];
    b.lists(gate());
    b.stream("gate", |_| {});
    assert!(b.refused("gate").events.iter().all(|e| e.kind != EventKind::Finding));
    b.at(2.0).lists(gate());
    b.refused("gate");
    assert_eq!(b.server("gate").unwrap().unplayable_since, None, "it may be passing");
    assert_eq!(b.fold.poll_timeout(), Some(b.start + Duration::from_secs(3)));
    let found = told(&b.at(3.0).time_passes(), EventKind::Finding);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].0, "stream gate");
    assert_eq!(b.server("gate").unwrap().unplayable_since, Some(SystemTime::UNIX_EPOCH), "since it began");
    b.at(4.0);
    assert!(told(&b.lists(gate()), EventKind::Finding).is_empty(), "told once");
    assert!(told(&b.refused("gate"), EventKind::Finding).is_empty());

    // Its bytes stand still: so it is the publisher after all.
    let mut idle = gate();
    idle[0].idle_for = Some(Duration::from_secs(2));
    assert_eq!(told(&b.at(6.0).lists(idle), EventKind::Finding).len(), 1, "the end is told, too");
    assert_eq!(b.server("gate").unwrap().unplayable_since, None);
}

#[test]
fn a_server_that_dies_with_its_stream_contradicts_nothing() {
    let mut b = Bench::with(&desired(listed(&["gate"]), &[&service("stat")]));
    b.lists(vec![published("live", "gate")]);
    b.stream("gate", |_| {});
    b.at(0.5).refused("gate");
    // A look that fails is no fault yet, and repeats what was heard last.
    for at in [1.5, 3.0, 4.5] {
        let heard = b.start;
        b.at(at).target(&service("stat"), |now| TargetReport {
            last_success: Some(heard),
            ..success(now, statistics(vec![published("live", "gate")]))
        });
        b.refused("gate");
        b.time_passes();
    }
    assert!(b.server("gate").is_some(), "its statistics are still fresh");
    assert_eq!(b.server("gate").unwrap().unplayable_since, None);
    let outcome = b.at(5.0).lists(vec![published("live", "gate")]);
    assert_eq!(told(&outcome, EventKind::Finding).len(), 1, "it lives, and insists");
}

#[test]
fn a_check_of_another_place_begins_with_nothing_known() {
    let gate = endpoint("gate");
    let mut wish = desired(vec![], &[&gate]);
    let mut b = Bench::with(&wish);
    b.target(&gate, |now| failure(now, DownCause::Connect));
    assert_eq!(b.health(&gate), Health::Down);
    let mut moved = (*wish.targets[0]).clone();
    let mut check = (*moved.check).clone();
    check.check = Check::Tcp(TcpCheck { address: rtmp_hmonitor::model::address::Address::parse("h:1", None).unwrap() });
    moved.check = Arc::new(check);
    wish.targets = Arc::new([Arc::new(moved)]);
    b.at(1.0).want(&wish);
    let view = b.view(&gate);
    assert_eq!((view.verdict.health, &*view.verdict.detail), (Health::Unknown, "not seen yet"));
    assert!(view.report.is_none());
}

#[test]
fn a_finding_ends_when_it_plays_and_when_its_server_falls_silent() {
    let mut b = Bench::with(&desired(listed(&["gate"]), &[&service("stat")]));
    let unplayable = |b: &mut Bench, at: f64| {
        for step in [0.0, 1.5, 3.0] {
            b.at(at + step).lists(vec![published("live", "gate")]);
            b.refused("gate");
        }
        assert!(b.server("gate").unwrap().unplayable_since.is_some());
    };
    unplayable(&mut b, 0.0);
    b.at(4.0).stream("gate", |_| {});
    b.at(6.0).stream("gate", |_| {});
    b.at(8.0).stream("gate", |_| {});
    let outcome = b.at(9.0).stream("gate", |_| {});
    assert_eq!(told(&outcome, EventKind::Finding).len(), 1, "it is up again");
    unplayable(&mut b, 20.0);
    let outcome = b.at(24.0).target(&service("stat"), |now| failure(now, DownCause::Connect));
    assert_eq!(told(&outcome, EventKind::Finding).len(), 1);
    assert!(b.server("gate").is_none());
}

#[test]
fn a_stream_that_is_not_played_cannot_be_unplayable() {
    let mut streams = listed(&["gate"]);
    let mut probe = (*streams[0].probe).clone();
    probe.evidence = EvidenceSource::Server(name("stat"));
    streams[0].probe = Arc::new(probe);
    let mut b = Bench::with(&desired(streams, &[&service("stat")]));
    for at in [0.0, 1.0, 2.0, 3.0, 4.0] {
        b.at(at).lists(vec![published("live", "gate")]);
        b.refused("gate");
    }
    assert_eq!(b.server("gate").unwrap().unplayable_since, None);
}

#[test]
fn reports_of_unwanted_targets_leave_no_trace() {
    let mut b = Bench::with(&desired(listed(&["gate"]), &[]));
    assert!(b.lists(vec![published("live", "gate")]).events.is_empty());
    assert!(b.snapshot().targets.is_empty());
    assert!(b.server("gate").is_none());
}
