//! How a stream's health follows its evidence over time: rise, fall, one outage with several causes, flapping, idle, unknown.
//! Virtual time throughout.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use rtmp_hmonitor::health::{Change, Evaluator, Remembered, Rules, Situation};
use rtmp_hmonitor::model::health::{DegradedCause, DegradedCauses, DownCause, Health};
use rtmp_hmonitor::model::report::{Connection, Fault, MediaReport, Stall, StreamReport, TransportReport};
use rtmp_hmonitor::model::snapshot::{AnswerBasis, HealthAnswer};
use rtmp_hmonitor::model::spec::{Flapping, LocalTime, Range, Schedule, StreamPolicy, UnknownAnswer};

/// A stream under judgement in virtual time.
struct Bench {
    start: Instant,
    now: Instant,
    policy: StreamPolicy,
    evaluator: Evaluator,
    report: Option<StreamReport>,
    silenced: bool,
}

impl Bench {
    fn new(policy: StreamPolicy) -> Self {
        Self::remembering(policy, None)
    }

    fn remembering(policy: StreamPolicy, remembered: Option<Remembered>) -> Self {
        let start = Instant::now();
        let evaluator = Evaluator::new(SystemTime::UNIX_EPOCH, remembered);
        Self { start, now: start, policy, evaluator, report: None, silenced: false }
    }

    fn at(&mut self, seconds: f64) -> &mut Self {
        self.now = self.start + Duration::from_secs_f64(seconds);
        self
    }

    fn wall(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + (self.now - self.start)
    }

    fn judge(&mut self) -> Option<Change> {
        let (wall, report) = (self.wall(), self.report.as_ref());
        self.evaluator.evaluate(Situation::of_stream(self.now, wall, report, &self.policy, self.silenced))
    }

    fn report(&mut self, connection: Connection, change: impl FnOnce(&mut StreamReport)) -> Health {
        let mut report = StreamReport {
            observed_at: self.now,
            connection,
            fault: None,
            transport: TransportReport::default(),
            media: MediaReport::default(),
            content: None,
        };
        change(&mut report);
        self.report = Some(report);
        self.judge();
        self.health()
    }

    fn live(&mut self) -> Health {
        self.measured(|_| {})
    }

    fn measured(&mut self, change: impl FnOnce(&mut MediaReport)) -> Health {
        let (start, now) = (self.start, self.now);
        self.report(Connection::Playing { since: start }, |r| {
            r.media.live_since = Some(start);
            r.media.warm = true;
            r.media.video.medium.last_frame = Some(now);
            change(&mut r.media);
        })
    }

    fn fault(&mut self, cause: DownCause) -> Health {
        let now = self.now;
        self.report(Connection::BackingOff, |r| r.fault = Some(Fault { cause, since: now, detail: "x".into() }))
    }

    fn health(&self) -> Health {
        self.evaluator.verdict().health
    }

    fn answer(&mut self) -> HealthAnswer {
        self.evaluator.answer(&Rules::from(&self.policy))
    }
}

#[test]
fn the_first_evidence_is_the_first_verdict() {
    let mut b = Bench::new(StreamPolicy::default());
    b.judge();
    assert_eq!(b.health(), Health::Unknown);
    assert_eq!(b.answer(), HealthAnswer { healthy: true, basis: AnswerBasis::Unknown });
    assert_eq!(b.at(1.0).live(), Health::Up, "rise is for coming back, not for coming");

    let mut b = Bench::new(StreamPolicy::default());
    assert_eq!(b.fault(DownCause::Connect), Health::Down);
}

#[test]
fn connecting_and_buffered_media_are_no_evidence() {
    let mut b = Bench::new(StreamPolicy::default());
    let start = b.start;
    assert_eq!(b.report(Connection::BackingOff, |_| {}), Health::Unknown);
    assert_eq!(b.report(Connection::Playing { since: start }, |_| {}), Health::Unknown, "playing, not live");
}

#[test]
fn down_at_once_and_up_after_rise() {
    let mut b = Bench::new(StreamPolicy::default());
    b.live();
    assert_eq!(b.at(10.0).fault(DownCause::Closed), Health::Down);
    assert_eq!(b.answer(), HealthAnswer { healthy: false, basis: AnswerBasis::Verdict });
    assert_eq!(b.at(11.0).live(), Health::Down);
    assert_eq!(
        b.evaluator.poll_timeout(),
        Some(b.start + Duration::from_millis(14_001)),
        "the report's age comes first"
    );
    assert_eq!(b.at(13.5).live(), Health::Down);
    assert_eq!(b.evaluator.poll_timeout(), Some(b.start + Duration::from_secs(16)));
    assert_eq!(b.at(15.9).live(), Health::Down);
    assert_eq!(b.at(16.0).live(), Health::Up);
    assert_eq!(b.evaluator.totals().outages, 1);
    assert!((b.evaluator.totals().outage_seconds - 6.0).abs() < 1e-6);
}

#[test]
fn a_relapse_while_rising_starts_the_wait_anew() {
    let mut b = Bench::new(StreamPolicy::default());
    b.fault(DownCause::Closed);
    b.at(1.0).live();
    b.at(4.0).fault(DownCause::Closed);
    b.at(5.0).live();
    assert_eq!(b.at(9.9).live(), Health::Down);
    assert_eq!(b.at(10.0).live(), Health::Up);
    assert_eq!(b.evaluator.totals().outages, 1);
}

#[test]
fn fall_is_a_grace_that_a_short_fault_does_not_outlast() {
    let policy = StreamPolicy { fall: Duration::from_secs(3), ..StreamPolicy::default() };
    let mut b = Bench::new(policy);
    b.live();
    let fault_at = b.start + Duration::from_secs(10);
    let fault = |b: &mut Bench| {
        b.report(Connection::BackingOff, |r| {
            r.fault = Some(Fault { cause: DownCause::Closed, since: fault_at, detail: "x".into() });
        })
    };
    assert_eq!(fault(b.at(10.0)), Health::Up);
    assert_eq!(b.at(12.0).live(), Health::Up);
    assert_eq!(fault(b.at(12.9)), Health::Up);
    assert_eq!(fault(b.at(13.0)), Health::Down);
    assert_eq!(b.evaluator.totals().outages, 1);
}

#[test]
fn one_outage_stays_one_while_its_cause_changes() {
    let mut b = Bench::new(StreamPolicy::default());
    b.live();
    let epoch = b.evaluator.verdict().epoch;
    b.at(10.0).fault(DownCause::Closed);
    b.at(11.0).fault(DownCause::Connect);
    b.at(12.0).fault(DownCause::NoMedia);
    assert_eq!(b.evaluator.verdict().down, Some(DownCause::NoMedia));
    assert_eq!(b.evaluator.verdict().epoch, epoch + 1);
    assert_eq!(b.evaluator.totals().outages, 1);
    assert_eq!(b.evaluator.totals().changes[Health::Down as usize], 1);
}

#[test]
fn a_stall_counts_when_the_probe_has_seen_the_silence() {
    let mut b = Bench::new(StreamPolicy::default());
    b.live();
    let silent_since = b.start + Duration::from_secs(8);
    let health = b.at(10.0).measured(|m| m.stall = Some(Stall { media: None, since: silent_since }));
    assert_eq!((health, b.evaluator.verdict().down), (Health::Down, Some(DownCause::Stalled)));
}

#[test]
fn old_evidence_is_no_evidence_and_never_up() {
    let mut b = Bench::new(StreamPolicy::default());
    b.live();
    b.answer();
    b.at(3.0).judge();
    assert_eq!(b.health(), Health::Up, "three seconds are allowed");
    b.at(3.002).judge();
    assert_eq!(b.health(), Health::Unknown);
    assert_eq!(b.answer(), HealthAnswer { healthy: true, basis: AnswerBasis::Held }, "the last answer is held");
    b.policy.unknown = UnknownAnswer::Fail;
    assert_eq!(b.answer(), HealthAnswer { healthy: false, basis: AnswerBasis::Unknown });
    assert_eq!(b.at(9.0).live(), Health::Up, "up before, up again without rise");
}

#[test]
fn a_stream_that_was_down_before_unknown_needs_its_rise() {
    let mut b = Bench::new(StreamPolicy::default());
    b.fault(DownCause::Closed);
    b.answer();
    b.at(60.0).judge();
    assert_eq!(b.health(), Health::Unknown);
    assert!(!b.answer().healthy, "held");
    assert_eq!(b.at(61.0).live(), Health::Unknown);
    assert_eq!(b.at(66.0).live(), Health::Up);
    assert_eq!(b.evaluator.totals().outages, 1);
}

#[test]
fn a_restarted_monitor_holds_its_answer_until_it_sees() {
    let remembered = Remembered {
        health: Health::Down,
        down: Some(DownCause::Stalled),
        since: SystemTime::UNIX_EPOCH,
        epoch: 7,
        healthy_answer: Some(false),
    };
    let mut b = Bench::remembering(StreamPolicy::default(), Some(remembered));
    b.judge();
    assert_eq!(b.health(), Health::Unknown);
    assert_eq!(b.answer(), HealthAnswer { healthy: false, basis: AnswerBasis::Held });
    assert!(b.evaluator.verdict().epoch > 7, "epochs never go back");
    b.at(1.0).live();
    assert_eq!(b.at(5.9).live(), Health::Unknown);
    assert_eq!(b.at(6.0).live(), Health::Up);
}

#[test]
fn thresholds_degrade_and_recover_with_rise() {
    let mut policy = StreamPolicy::default();
    policy.expect.video.fps = Range { min: Some(24.0), max: None };
    let mut b = Bench::new(policy);
    let fps = |b: &mut Bench, fps: f64| b.measured(|m| m.video.frames_per_second = Some(fps));
    assert_eq!(fps(&mut b, 25.0), Health::Up);
    assert_eq!(fps(b.at(1.0), 12.0), Health::Degraded);
    assert_eq!(b.evaluator.verdict().degraded, DegradedCauses::EMPTY.with(DegradedCause::FpsLow));
    assert!(b.answer().healthy, "degraded counts as healthy");
    let warming = |m: &mut MediaReport| {
        m.warm = false;
        m.video.frames_per_second = None;
    };
    assert_eq!(b.at(2.0).measured(warming), Health::Degraded, "what cannot be judged stays");
    assert_eq!(fps(b.at(3.0), 25.0), Health::Degraded);
    assert_eq!(fps(b.at(7.9), 25.0), Health::Degraded);
    assert_eq!(fps(b.at(8.0), 25.0), Health::Up);
    assert_eq!(b.evaluator.totals().outages, 0);

    fps(b.at(20.0), 12.0);
    b.policy.expect.video.fps = Range::default();
    assert_eq!(fps(b.at(21.0), 12.0), Health::Up, "a threshold that is gone is no cause");
}

#[test]
fn missing_video_degrades_a_stream_that_has_sound() {
    let mut b = Bench::new(StreamPolicy::default());
    let sound_only = |m: &mut MediaReport| m.video.medium.last_frame = None;
    assert_eq!(b.at(9.9).measured(sound_only), Health::Up, "video starts with the next keyframe: too early to miss it");
    assert_eq!(b.at(10.0).measured(sound_only), Health::Degraded);
    assert!(b.evaluator.verdict().degraded.contains(DegradedCause::VideoMissing));
}

#[test]
fn flapping_degrades_until_it_is_over() {
    let flapping = Flapping { changes: 3, window: Duration::from_secs(100) };
    let policy = StreamPolicy { rise: Duration::ZERO, flapping, ..StreamPolicy::default() };
    let mut b = Bench::new(policy);
    for i in 0..3 {
        let t = f64::from(i) * 10.0;
        b.at(t).fault(DownCause::Closed);
        b.at(t + 5.0).live();
    }
    assert_eq!(b.health(), Health::Degraded);
    assert_eq!(b.evaluator.verdict().degraded, DegradedCauses::EMPTY.with(DegradedCause::Flapping));
    assert_eq!(b.at(99.9).live(), Health::Degraded);
    assert_eq!(b.at(100.0).live(), Health::Up);
}

#[test]
fn a_stream_watched_in_windows_rises_over_its_rests() {
    let mut b = Bench::new(StreamPolicy { rise: Duration::from_secs(20), ..StreamPolicy::default() });
    b.fault(DownCause::Closed);
    b.at(5.0).live();
    for second in 6..25 {
        let connection = if second < 24 { Connection::Resting } else { Connection::BackingOff };
        assert_eq!(b.at(f64::from(second)).report(connection, |_| {}), Health::Down, "nobody looks");
    }
    assert_eq!(b.at(25.0).live(), Health::Up, "nothing went wrong since the first window");
}

#[test]
fn silenced_streams_are_idle_and_have_no_outage() {
    let mut b = Bench::new(StreamPolicy::default());
    b.live();
    b.silenced = true;
    assert_eq!(b.at(5.0).fault(DownCause::Closed), Health::Idle);
    assert!(b.answer().healthy);
    assert_eq!(b.evaluator.totals().outages, 0);
    b.silenced = false;
    assert_eq!(b.at(6.0).fault(DownCause::Closed), Health::Down);
}

#[derive(Debug)]
struct Utc;

impl LocalTime for Utc {
    fn name(&self) -> &str {
        "UTC"
    }

    /// 1970-01-01 was a Thursday.
    fn minute_of_week(&self, unix_seconds: i64) -> u16 {
        ((unix_seconds / 60 + 3 * 24 * 60) % i64::from(Schedule::WEEK)) as u16
    }
}

#[test]
fn off_air_is_idle() {
    let thursday = 3 * 24 * 60;
    let schedule = Schedule { windows: vec![(thursday + 1, thursday + 2)], zone: Arc::new(Utc) };
    let mut b = Bench::new(StreamPolicy { schedule: Some(schedule), ..StreamPolicy::default() });
    assert_eq!(b.at(59.0).fault(DownCause::NoMedia), Health::Idle);
    assert_eq!(b.at(60.0).fault(DownCause::NoMedia), Health::Down);
    assert_eq!(b.at(120.0).fault(DownCause::NoMedia), Health::Idle);
    assert_eq!(b.evaluator.totals().outages, 1);
    assert!((b.evaluator.totals().outage_seconds - 60.0).abs() < 1e-6);
}
