//! Hints in the picture: told and shown, kept while a stream is away, and without a part in any judgement. Virtual time.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use rtmp_hmonitor::health::anomaly::LearnedSignals;
use rtmp_hmonitor::model::anomaly::Signal;
use rtmp_hmonitor::model::event::{Event, EventKind};
use rtmp_hmonitor::model::group::{Clause, GroupSpec, Quorum, Requirement, Selection};
use rtmp_hmonitor::model::snapshot::{AnswerBasis, Snapshot};
use rtmp_hmonitor::model::spec::{Desired, StreamSpec};
use rtmp_hmonitor::model::{Health, Name};
use rtmp_hmonitor::probe::Reports;
use rtmp_hmonitor::serve::metrics;
use rtmp_hmonitor::serve::moment::Moment;
use rtmp_hmonitor::store::{Fold, KEEP_DEPARTED, Outcome};

use crate::support::{self, decisions};

/// 2026-09-14 06:40 UTC, a Monday.
const MORNING: u64 = 1_789_368_000;

struct Bench {
    fold: Fold,
    start: Instant,
    seconds: f64,
}

impl Bench {
    fn new(learned: LearnedSignals) -> Self {
        let (mut fold, start) = (Fold::default(), Instant::now());
        fold.recall_learned(start, vec![(name("gate-1"), learned)]);
        Self { fold, start, seconds: 0.0 }
    }

    fn now(&self) -> Instant {
        self.start + Duration::from_secs_f64(self.seconds)
    }

    fn wall(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs_f64(MORNING as f64 + self.seconds)
    }

    fn want(&mut self, streams: &[Arc<StreamSpec>]) {
        let clause = Clause { members: Selection::Named(Arc::new([name("gate-1")])), need: Quorum::All };
        let up_while = Requirement { streams: Some(clause), ..Requirement::default() };
        let spec = (*decisions::group("slave-1", Health::Up, self.start).spec).clone();
        let group = Arc::new(GroupSpec { up_while, ..spec });
        let desired = Desired { streams: streams.into(), groups: Arc::new([group]), ..Desired::default() };
        self.fold.set_desired(self.now(), self.wall(), &desired, |_| None, &mut Outcome::default());
    }

    /// A report twice a second for so many seconds, of video at `bytes_per_second` and the sound of all reports.
    fn play(&mut self, seconds: f64, bytes_per_second: f64) -> (Vec<Event>, Snapshot) {
        let end = self.seconds + seconds;
        let mut outcome = Outcome::default();
        while self.seconds < end {
            let mut report = support::report(self.now());
            report.media.video.medium.bytes_per_second = Some(bytes_per_second);
            let streams = HashMap::from([(name("gate-1"), Arc::new(report))]);
            let reports = Reports { streams, ..Reports::default() };
            self.fold.take_reports(self.now(), self.wall(), reports, &mut outcome);
            self.fold.handle_timeout(self.now(), self.wall(), &mut outcome);
            // Groups are judged once there has been a picture.
            self.fold.snapshot(self.now());
            self.seconds += 0.5;
        }
        (outcome.events, self.fold.snapshot(self.now()))
    }
}

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn spec() -> Arc<StreamSpec> {
    support::stream("gate-1", Health::Unknown).spec
}

/// As `support::report` has them.
fn usual() -> LearnedSignals {
    support::known([266_000.0, 25.0, 0.041])
}

#[test]
fn an_unusual_stream_is_told_of_and_stays_as_healthy_as_it_was() {
    let mut bench = Bench::new(usual());
    bench.want(&[spec()]);
    let (_, picture) = bench.play(120.0, 250_000.0);
    let judged = |picture: &Snapshot| {
        let stream = picture.stream("gate-1").unwrap();
        let group = picture.decisions.group("slave-1").unwrap();
        (stream.verdict.clone(), stream.answer, group.health, group.answer, group.weight, group.epoch)
    };
    let before = judged(&picture);
    assert_eq!((before.0.health, before.1.basis, before.2), (Health::Up, AnswerBasis::Verdict, Health::Up));

    let (events, picture) = bench.play(90.0, 100_000.0);
    let [event] = &events[..] else { panic!("{events:?}") };
    assert_eq!((event.kind, &event.from, &event.to), (EventKind::Unusual, &None, &None));
    assert_eq!(&*event.detail, "bit rate 928 kbit/s; usual for this stream at this time: 1.67 Mbit/s to 2.71 Mbit/s");
    let after = judged(&picture);
    assert_eq!(format!("{before:?}"), format!("{after:?}"));

    let moment = Moment::at(bench.now(), bench.wall());
    let reading = picture.stream("gate-1").unwrap().hints[Signal::Bitrate as usize].unwrap();
    assert!(reading.ratio < -3.0 && reading.unusual_since.is_some(), "{reading:?}");
    let mut text = String::new();
    metrics::render(&picture, &moment, &mut text);
    for signal in Signal::ALL {
        let series =
            format!("hmonitor_stream_anomaly_ratio{{stream=\"gate-1\",site=\"plant-a\",signal=\"{signal}\"}} ");
        assert_eq!(text.matches(&series).count(), 1, "{text}");
    }

    let (events, picture) = bench.play(600.0, 250_000.0);
    let [event] = &events[..] else { panic!("{events:?}") };
    assert_eq!(event.kind, EventKind::Usual);
    assert!(event.detail.starts_with("bit rate 2.13 Mbit/s is usual again: "), "{}", event.detail);
    assert_eq!(format!("{:?}", judged(&picture)), format!("{before:?}"));
}

#[test]
fn nothing_is_shown_of_what_does_not_play() {
    let mut bench = Bench::new(usual());
    bench.want(&[spec()]);
    let (_, picture) = bench.play(60.0, 250_000.0);
    assert!(picture.stream("gate-1").unwrap().hints.iter().all(Option::is_some));
    bench.seconds += 10.0;
    bench.fold.handle_timeout(bench.now(), bench.wall(), &mut Outcome::default());
    let picture = bench.fold.snapshot(bench.now());
    let stream = picture.stream("gate-1").unwrap();
    assert_eq!((stream.verdict.health, stream.hints), (Health::Unknown, [None; Signal::ALL.len()]));
}

#[test]
fn what_is_usual_is_known_while_a_stream_is_away_for_ten_minutes_and_no_longer() {
    let mut bench = Bench::new(usual());
    bench.want(&[spec()]);
    bench.play(60.0, 250_000.0);
    bench.want(&[]);
    assert_eq!(bench.fold.learned(), [(name("gate-1"), usual())]);
    bench.want(&[spec()]);
    let (_, picture) = bench.play(60.0, 250_000.0);
    assert!(picture.stream("gate-1").unwrap().hints[0].is_some());
    bench.want(&[]);
    bench.seconds += KEEP_DEPARTED.as_secs_f64();
    bench.fold.handle_timeout(bench.now(), bench.wall(), &mut Outcome::default());
    assert_eq!(bench.fold.learned(), []);
}

#[test]
fn where_there_are_no_hints_nothing_is_learnt_and_what_was_is_forgotten() {
    let mut bench = Bench::new(usual());
    let mut quiet = (*spec()).clone();
    Arc::make_mut(&mut quiet.policy).anomaly = None;
    bench.want(&[Arc::new(quiet)]);
    let (events, picture) = bench.play(120.0, 100_000.0);
    assert!(events.iter().all(|event| event.kind != EventKind::Unusual), "{events:?}");
    assert_eq!(picture.stream("gate-1").unwrap().hints, [None; Signal::ALL.len()]);
    assert_eq!(bench.fold.learned(), []);
}

#[test]
fn what_an_hour_has_taught_is_told_to_those_who_keep_it() {
    let mut bench = Bench::new(usual());
    bench.want(&[spec()]);
    // The test begins twenty minutes before the hour: too little of it is seen. The next one is seen whole.
    bench.play(1_250.0, 250_000.0);
    assert_eq!(bench.fold.learned(), [(name("gate-1"), usual())]);
    bench.play(3_600.0, 250_000.0);
    let learned = bench.fold.learned();
    let days = |hour: usize| learned[0].1.signals[0].hours()[hour].len();
    assert_eq!((days(6), days(7), days(8)), (10, 11, 10));
}
