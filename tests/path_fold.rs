//! Paths in the picture: what the fold says of their hops, and of what their streams deliver.

mod support;
mod target_reports;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use rtmp_hmonitor::model::event::{EventKind, Subject};
use rtmp_hmonitor::model::path::{Carries, Hop, HopClass, LinkView, PathSpec, PathView};
use rtmp_hmonitor::model::spec::{Desired, Labels, Range, StreamSpec};
use rtmp_hmonitor::model::target::TargetPolicy;
use rtmp_hmonitor::model::target_report::Facts;
use rtmp_hmonitor::model::{BitRate, DownCause, Health, StreamPolicy};
use rtmp_hmonitor::probe::Reports;
use rtmp_hmonitor::store::{Fold, Outcome};
use target_reports::{endpoint, failure, name, spec, success};

/// Bytes per second of every stream's sound.
const AUDIO: f64 = 1000.0;

struct Bench {
    fold: Fold,
    start: Instant,
    now: Instant,
}

impl Bench {
    /// An endpoint, two streams with a minimum of 800 kbit/s each, and one path over the endpoint and the first.
    fn new(carries: Carries, expect_rate: Option<BitRate>) -> Self {
        let start = Instant::now();
        let mut bench = Self { fold: Fold::default(), start, now: start };
        let streams = ["gate-1", "gate-2"].map(|stream| {
            let mut policy = StreamPolicy { rise: Duration::ZERO, ..StreamPolicy::default() };
            let least = Some(BitRate::from_bits_per_second(800_000));
            policy.expect.video.bitrate = Range { min: least, max: None };
            let spec = (*support::stream(stream, Health::Unknown).spec).clone();
            Arc::new(StreamSpec { policy: Arc::new(policy), ..spec })
        });
        let hop = |class, text| Hop { class, name: name(text) };
        let path = PathSpec {
            name: name("gate"),
            hops: [hop(HopClass::Endpoint, "slave"), hop(HopClass::Stream, "gate-1")].into(),
            settle: Duration::from_secs(2),
            carries,
            expect_rate,
            labels: Labels::default(),
        };
        let policy = TargetPolicy { rise: Duration::ZERO, ..TargetPolicy::default() };
        let desired = Desired {
            streams: streams.into(),
            targets: [Arc::new(spec(endpoint("slave"), policy))].into(),
            paths: [Arc::new(path)].into(),
            ..Desired::default()
        };
        bench.fold.set_desired(start, SystemTime::UNIX_EPOCH, &desired, |_| None, &mut Outcome::default());
        bench
    }

    /// Reports at this moment: the endpoint's answer, and bytes per second of streams, 0 for one that stalls.
    fn at(&mut self, seconds: f64, answers: bool, rates: &[(&str, f64)]) -> Outcome {
        self.now = self.start + Duration::from_secs_f64(seconds);
        let report = if answers { success(self.now, Facts::None) } else { failure(self.now, DownCause::Connect) };
        let streams = rates.iter().map(|(stream, rate)| {
            let mut report = support::report(self.now);
            report.media.video.medium.last_frame = (*rate > 0.0).then_some(self.now);
            report.media.video.medium.bytes_per_second = Some(*rate);
            // Nothing is asked of the sound, so it is no part of what is compared.
            report.media.audio.medium.bytes_per_second = Some(AUDIO);
            report.media.audio.medium.last_frame = None;
            if *rate == 0.0 {
                let since = self.now;
                let detail = "closed".into();
                report.fault = Some(rtmp_hmonitor::model::report::Fault { cause: DownCause::Closed, since, detail });
            }
            (name(stream), Arc::new(report))
        });
        let reports =
            Reports { streams: streams.collect(), targets: HashMap::from([(endpoint("slave"), Arc::new(report))]) };
        let mut outcome = Outcome::default();
        self.fold.take_reports(self.now, SystemTime::UNIX_EPOCH, reports, &mut outcome);
        self.fold.handle_timeout(self.now, SystemTime::UNIX_EPOCH, &mut outcome);
        outcome
    }

    fn path(&mut self) -> Arc<PathView> {
        Arc::clone(self.fold.snapshot(self.now).path("gate").unwrap())
    }
}

fn faults(outcome: &Outcome) -> Vec<&str> {
    let about = Subject::path(&name("gate"));
    let faults = outcome.events.iter().filter(|e| e.kind == EventKind::Fault && e.subject == about);
    faults.map(|e| &*e.detail).collect()
}

#[test]
fn a_dead_stream_is_blamed_when_its_server_goes_on_answering() {
    let mut b = Bench::new(Carries::Streams(Arc::new([])), None);
    assert_eq!(faults(&b.at(0.0, true, &[("gate-1", 1e5)])), [""; 0]);
    assert_eq!(b.path().fault, None);
    // The endpoint's last answer comes with the failure: it may have been a moment earlier.
    assert_eq!(faults(&b.at(1.0, true, &[("gate-1", 0.0)])), [""; 0]);
    let outcome = b.at(1.5, true, &[("gate-1", 0.0)]);
    assert_eq!(faults(&outcome), ["first failing hop: stream/gate-1; 0 after it fail in consequence"]);
    let told = outcome.events.iter().find(|e| e.kind == EventKind::Fault).unwrap();
    assert!(told.causes.iter().any(|c| c.as_str() == "closed"));
    assert_eq!((&told.from, &told.to), (&Some(Health::Up.into()), &Some(Health::Down.into())));
    assert_eq!((told.hop.as_ref().unwrap().to_string(), told.epoch), ("stream/gate-1".to_owned(), Some(1)));
    assert_eq!(b.path().fault.map(|f| (f.hop, f.certain)), Some((1, true)));
    assert_eq!(faults(&b.at(3.0, true, &[("gate-1", 1e5)])), ["no hop fails"]);
}

#[test]
fn a_dead_server_is_blamed_and_its_stream_is_a_consequence() {
    let mut b = Bench::new(Carries::Streams(Arc::new([])), None);
    b.at(0.0, true, &[("gate-1", 1e5)]);
    b.at(1.0, false, &[("gate-1", 0.0)]);
    let path = b.path();
    assert_eq!(path.fault.map(|f| f.hop), Some(0));
    assert_eq!(
        path.hops.iter().map(|h| (h.health, h.consequence)).collect::<Vec<_>>(),
        [(Health::Down, false), (Health::Down, true)]
    );
}

#[test]
fn it_is_not_up_before_every_hop_is() {
    let mut b = Bench::new(Carries::Streams(Arc::new([])), None);
    b.at(0.0, true, &[("gate-1", 1e5)]);
    b.at(1.0, false, &[("gate-1", 0.0)]);
    let outcome = b.at(5.0, true, &[("gate-1", 0.0)]);
    assert_eq!(faults(&outcome), ["hop endpoint/slave is back; 1 after it have yet to come back"]);
    assert!(outcome.events.iter().filter(|e| e.kind == EventKind::Fault).all(|e| e.to.is_none()));
    assert_eq!(faults(&b.at(6.0, true, &[("gate-1", 0.0)])), [""; 0]);
    let outcome = b.at(7.0, true, &[("gate-1", 1e5)]);
    assert_eq!(faults(&outcome), ["no hop fails"]);
    assert!(outcome.events.iter().any(|e| e.kind == EventKind::Fault && e.to == Some(Health::Up.into())));
    assert_eq!(faults(&b.at(8.0, true, &[("gate-1", 1e5)])), [""; 0], "told once");
}

#[test]
fn the_settling_time_ends_without_any_report() {
    let mut b = Bench::new(Carries::Streams(Arc::new([])), None);
    b.at(0.0, true, &[("gate-1", 1e5)]);
    b.at(1.0, true, &[("gate-1", 0.0)]);
    let due = b.fold.poll_timeout().unwrap();
    assert!(due <= b.start + Duration::from_secs(3), "{:?}", due - b.start);
    let mut outcome = Outcome::default();
    b.fold.handle_timeout(b.start + Duration::from_secs(3), SystemTime::UNIX_EPOCH, &mut outcome);
    assert_eq!(faults(&outcome).len(), 1);
}

#[test]
fn a_link_delivers_what_its_streams_do() {
    let both = || Carries::Streams([name("gate-1"), name("gate-2"), name("not-there")].into());
    let labelled = Carries::Labelled(Labels([("site".into(), "plant-a".into())].into()));
    let link = |carries, expect, rates: &[(&str, f64)]| {
        let mut b = Bench::new(carries, expect);
        b.at(0.0, true, rates);
        b.path().link
    };
    let rates: &[_] = &[("gate-1", 150_000.0), ("gate-2", 50_000.0)];
    // Two minima of 800 kbit/s are 200 kB/s.
    let full = LinkView { streams: 2, received: Some(200_000.0), expected: Some(200_000.0) };
    assert_eq!(link(both(), None, rates), full);
    assert_eq!(link(labelled, None, rates), full);
    let wanted = Some(BitRate::from_bits_per_second(3_200_000));
    assert_eq!(link(both(), wanted, rates).received, Some(200_000.0 + 2.0 * AUDIO), "the whole is the whole");
    let half_dead = link(both(), None, &[("gate-1", 100_000.0), ("gate-2", 0.0)]);
    assert_eq!((half_dead.received, half_dead.ratio()), (Some(100_000.0), Some(0.5)), "a dead stream delivers nothing");
    let unseen = link(both(), None, &[("gate-1", 100_000.0)]);
    assert_eq!((unseen.streams, unseen.ratio()), (2, Some(1.0)), "nothing is known of the other");
    assert_eq!(link(both(), None, &[]).ratio(), None);
    let unseen = link(both(), wanted, &[("gate-1", 100_000.0)]);
    assert_eq!((unseen.received, unseen.ratio()), (None, None), "what all deliver is not known");
}
