//! How reports and wishes become the picture: first fold, removed streams, unwanted reports, what is remembered. Virtual time.

mod support;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use rtmp_hmonitor::health::Remembered;
use rtmp_hmonitor::model::event::{EventKind, Subject};
use rtmp_hmonitor::model::report::{Connection, Fault};
use rtmp_hmonitor::model::snapshot::{AnswerBasis, HealthAnswer, Silence, Snapshot};
use rtmp_hmonitor::model::spec::{Desired, StreamSpec};
use rtmp_hmonitor::model::{DownCause, Health, Name, StreamReport};
use rtmp_hmonitor::probe::Reports;
use rtmp_hmonitor::store::{Fold, KEEP_DEPARTED, Outcome};

struct Bench {
    fold: Fold,
    start: Instant,
    now: Instant,
    remembered: HashMap<Subject, Remembered>,
}

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn subject(text: &str) -> Subject {
    Subject::stream(&name(text))
}

fn desired(names: &[&str]) -> Desired {
    let mut streams: Vec<Arc<StreamSpec>> = names.iter().map(|n| support::stream(n, Health::Unknown).spec).collect();
    streams.sort_by(|a, b| a.name.cmp(&b.name));
    Desired { streams: streams.into(), ..Desired::default() }
}

impl Bench {
    fn new() -> Self {
        let start = Instant::now();
        Self { fold: Fold::default(), start, now: start, remembered: HashMap::new() }
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
        self.fold.set_desired(self.now, self.wall(), desired, |n| remembered.get(n).cloned(), &mut outcome);
        outcome
    }

    fn report(&mut self, stream: &str, change: impl FnOnce(&mut StreamReport)) -> Outcome {
        let mut report = support::report(self.now);
        change(&mut report);
        let mut outcome = Outcome::default();
        let streams = HashMap::from([(name(stream), Arc::new(report))]);
        let reports = Reports { streams, ..Reports::default() };
        self.fold.take_reports(self.now, self.wall(), reports, &mut outcome);
        outcome
    }

    fn time_passes(&mut self) -> Outcome {
        let mut outcome = Outcome::default();
        self.fold.handle_timeout(self.now, self.wall(), &mut outcome);
        outcome
    }

    fn snapshot(&mut self) -> Snapshot {
        self.fold.snapshot(self.now)
    }
}

fn closed(now: Instant) -> impl FnOnce(&mut StreamReport) {
    move |r| {
        r.connection = Connection::BackingOff;
        r.fault = Some(Fault { cause: DownCause::Closed, since: now, detail: "closed by the server".into() });
    }
}

#[test]
fn the_picture_is_complete_when_every_stream_has_had_its_chance() {
    let mut b = Bench::new();
    b.want(&desired(&["a", "b"]));
    assert!(!b.snapshot().complete);
    b.at(1.0).report("a", |_| {});
    assert!(!b.snapshot().complete, "b has said nothing");
    // Connect budget 5 s, first media 8 s, and a second.
    assert!(!b.at(13.9).snapshot().complete);
    assert!(b.at(14.1).snapshot().complete);
    b.at(15.0).want(&desired(&["a", "b", "c"]));
    assert!(b.snapshot().complete, "a stream added later does not make the monitor unready");
}

#[test]
fn a_stream_without_reports_becomes_unknown_by_the_deadline_alone() {
    let mut b = Bench::new();
    b.want(&desired(&["a"]));
    b.report("a", |_| {});
    assert_eq!(b.snapshot().stream("a").unwrap().verdict.health, Health::Up);
    let due = b.fold.poll_timeout().unwrap();
    assert_eq!(due, b.start + Duration::from_millis(3001));
    b.at(3.001);
    let outcome = b.time_passes();
    let view = Arc::clone(b.snapshot().stream("a").unwrap());
    assert_eq!((view.verdict.health, view.answer.basis), (Health::Unknown, AnswerBasis::Held));
    assert_eq!(outcome.events.len(), 1);
    assert_eq!(b.fold.poll_timeout(), None, "nothing is due any more, and nothing spins");
}

#[test]
fn a_removed_stream_keeps_its_answer_for_ten_minutes() {
    let mut b = Bench::new();
    b.want(&desired(&["a", "b"]));
    let now = b.now;
    b.report("a", closed(now));
    let outcome = b.want(&desired(&["b"]));
    assert!(outcome.forget.is_empty(), "a crash now must not lose the answer");
    assert!(outcome.events.iter().any(|e| e.kind == EventKind::Removed));
    let picture = b.snapshot();
    assert!(picture.stream("a").is_none());
    assert!(!picture.departed("a").unwrap().answer.healthy);
    b.at(KEEP_DEPARTED.as_secs_f64() - 1.0).time_passes();
    assert!(b.snapshot().departed("a").is_some());
    let outcome = b.at(KEEP_DEPARTED.as_secs_f64()).time_passes();
    assert!(b.snapshot().departed("a").is_none());
    assert_eq!(outcome.forget, [subject("a")]);
}

#[test]
fn what_an_earlier_process_answered_holds_until_the_stream_is_wanted_or_the_time_is_over() {
    let mut b = Bench::new();
    let judged = |health, healthy| Remembered {
        health,
        down: None,
        since: SystemTime::UNIX_EPOCH,
        epoch: 7,
        healthy_answer: Some(healthy),
    };
    let remembered = vec![(subject("bad"), judged(Health::Down, false)), (subject("good"), judged(Health::Up, true))];
    b.fold.recall(b.now, SystemTime::UNIX_EPOCH, remembered);
    let picture = b.snapshot();
    let answer = |name: &str| picture.departed(name).unwrap().answer;
    assert_eq!(answer("good"), HealthAnswer { healthy: true, basis: AnswerBasis::Held });
    assert_eq!(answer("bad"), HealthAnswer { healthy: false, basis: AnswerBasis::Held });
    assert!(picture.streams.is_empty());
    b.want(&desired(&["good"]));
    let picture = b.snapshot();
    assert!(picture.departed("good").is_none() && picture.stream("good").is_some());
    let outcome = b.at(KEEP_DEPARTED.as_secs_f64()).time_passes();
    assert_eq!(outcome.forget, [subject("bad")], "nothing stays for ever");
}

#[test]
fn reports_of_unwanted_streams_leave_no_trace() {
    let mut b = Bench::new();
    b.want(&desired(&["a"]));
    b.report("ghost", |_| {});
    assert_eq!(b.snapshot().streams.len(), 1);
}

#[test]
fn new_thresholds_apply_to_the_last_report_at_once() {
    let mut b = Bench::new();
    b.want(&desired(&["a"]));
    b.report("a", |_| {});
    let mut tuned = desired(&["a"]);
    let mut spec = (*tuned.streams[0]).clone();
    let mut policy = (*spec.policy).clone();
    policy.expect.video.fps.min = Some(50.0);
    spec.policy = Arc::new(policy);
    tuned.streams = Arc::new([Arc::new(spec)]);
    b.at(1.0).want(&tuned);
    assert_eq!(b.snapshot().stream("a").unwrap().verdict.health, Health::Degraded);
}

#[test]
fn changes_are_remembered_and_ordinary_reports_are_not() {
    let mut b = Bench::new();
    b.want(&desired(&["a"]));
    let outcome = b.report("a", |_| {});
    assert_eq!(outcome.remember.len(), 1);
    let outcome = b.at(0.5).report("a", |_| {});
    assert!(outcome.remember.is_empty() && outcome.events.is_empty(), "nothing changed");
    b.at(1.0);
    let now = b.now;
    let outcome = b.report("a", closed(now));
    let [(stream, judgement)] = &outcome.remember[..] else { panic!("{outcome:?}") };
    assert_eq!((stream.name.as_str(), judgement.health, judgement.healthy_answer), ("a", Health::Down, Some(false)));

    let mut after_restart = Bench::new();
    after_restart.remembered.insert(stream.clone(), judgement.clone());
    after_restart.want(&desired(&["a"]));
    let view = Arc::clone(after_restart.snapshot().stream("a").unwrap());
    assert_eq!((view.verdict.health, view.answer.healthy), (Health::Unknown, false));
}

#[test]
fn a_silence_ends_by_itself() {
    let mut b = Bench::new();
    let mut wish = desired(&["a"]);
    let silence = Silence {
        reason: "works".into(),
        until: Some(SystemTime::UNIX_EPOCH + Duration::from_secs(2)),
        created: SystemTime::UNIX_EPOCH,
    };
    wish.silences = Arc::new(BTreeMap::from([(name("a"), Arc::new(silence))]));
    b.want(&wish);
    let now = b.now;
    b.report("a", closed(now));
    assert_eq!(b.snapshot().stream("a").unwrap().verdict.health, Health::Idle);
    assert!(b.fold.poll_timeout().unwrap() <= b.start + Duration::from_secs(1));
    b.at(2.0).time_passes();
    assert_eq!(b.snapshot().stream("a").unwrap().verdict.health, Health::Down);
    assert!(b.snapshot().stream("a").unwrap().silence.is_none());
}

#[test]
fn a_thousand_streams_fold_by_themselves_only() {
    let names: Vec<String> = (0..1000).map(|i| format!("cam-{i:04}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut b = Bench::new();
    b.want(&desired(&names));
    let before = b.snapshot();
    b.report("cam-0500", |_| {});
    let after = b.snapshot();
    let rebuilt = before.streams.iter().zip(after.streams.iter()).filter(|(x, y)| !Arc::ptr_eq(x, y)).count();
    assert_eq!(rebuilt, 1, "only what is dirty is rebuilt");
}
