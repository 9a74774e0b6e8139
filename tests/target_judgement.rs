//! What a report of an endpoint or a service shows under a policy, and how its health follows over time. Virtual time throughout.

mod target_reports;

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use rtmp_hmonitor::health::{Evaluator, Evidence, Situation, assess_target};
use rtmp_hmonitor::model::BitRate;
use rtmp_hmonitor::model::health::{DegradedCause, DegradedCauses, DownCause, Health};
use rtmp_hmonitor::model::spec::Range;
use rtmp_hmonitor::model::target::{CheckKind, DeviceTransport, ReplicaRole, TargetExpect, TargetPolicy};
use rtmp_hmonitor::model::target_report::{
    Facts, HaproxyFacts, HaproxyProxy, HaproxyServer, LiveState, PingFacts, PingWindow, ReplicaFacts, TargetReport,
    VimeoFacts, WebPresenterFacts,
};
use target_reports::{VALID_FOR, failure, success};

use DegradedCause as C;

const WALL: SystemTime = SystemTime::UNIX_EPOCH;

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn s(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// Expectations of every kind at once: each check is judged by those that mean something for it.
fn strict() -> TargetExpect {
    TargetExpect {
        latency_max: Some(ms(50)),
        loss_max: Some(0.05),
        jitter_max: Some(ms(5)),
        certificate_min: Some(s(14 * 86400)),
        bitrate: Range {
            min: Some(BitRate::from_bits_per_second(2_000_000)),
            max: Some(BitRate::from_bits_per_second(8_000_000)),
        },
        cache_max: Some(0.5),
        ..TargetExpect::default()
    }
}

fn window(decided: u32, loss: f64, mean_ms: u64, jitter_ms: u64) -> Facts {
    let window =
        PingWindow { decided, loss, rtt_mean: Some(ms(mean_ms)), jitter: Some(ms(jitter_ms)), ..PingWindow::default() };
    Facts::Ping(Arc::new(PingFacts { window: Some(window), ..PingFacts::default() }))
}

fn replica(role: ReplicaRole, lag: Option<Duration>, bytes: Option<u64>, connected: Option<bool>) -> Facts {
    Facts::Replica(Arc::new(ReplicaFacts {
        role,
        state: role.as_str().into(),
        lag_bytes: bytes,
        lag,
        connected,
        replicas: None,
        version: None,
        identity: None,
    }))
}

fn presenter(live: LiveState, change: impl FnOnce(&mut WebPresenterFacts)) -> Facts {
    let mut facts = WebPresenterFacts {
        transport: DeviceTransport::Rest,
        status: "Streaming".into(),
        live,
        bitrate: Some(6_000_000),
        cache: Some(0.03),
        duration: None,
        stuck_for: None,
        no_data_for: None,
        format: None,
        target_bitrate: None,
        platform: None,
        quality: None,
        model: None,
        software: None,
    };
    change(&mut facts);
    Facts::WebPresenter(Arc::new(facts))
}

fn vimeo(state: LiveState) -> Facts {
    Facts::Vimeo(Arc::new(VimeoFacts {
        state,
        title: None,
        video: None,
        ingest: None,
        viewers: None,
        viewers_peak: None,
        plays: None,
        seconds_remaining: None,
        next_occurrence: None,
        rate_limit: None,
    }))
}

fn haproxy(servers: &[(bool, bool)]) -> Facts {
    let server = |&(up, wanted): &(bool, bool)| HaproxyServer {
        name: "s".into(),
        status: "UP".into(),
        up,
        wanted,
        sessions: 0,
        sessions_total: 0,
        weight: 1,
        agent_up: None,
        check_failures: 0,
        downtime: None,
        last_change: None,
    };
    let proxy = HaproxyProxy {
        name: "b".into(),
        up: true,
        sessions: 0,
        sessions_total: 0,
        bytes_in: 0,
        bytes_out: 0,
        servers: servers.iter().map(server).collect(),
    };
    Facts::Haproxy(Arc::new(HaproxyFacts { version: None, uptime: None, proxies: Arc::new([proxy]) }))
}

fn assess(report: &TargetReport, expect: TargetExpect) -> Evidence {
    let policy = TargetPolicy { expect, ..TargetPolicy::default() };
    assess_target(report.observed_at, WALL, Some(report), &policy, None)
}

fn causes(list: &[C]) -> DegradedCauses {
    list.iter().copied().collect()
}

#[test]
fn what_degrades_and_what_cannot_be_judged() {
    use LiveState::{Connecting, Degraded, Live, Offline, Unknown};
    let rates = [C::BitrateLow, C::BitrateHigh];
    let device = [C::Latency, C::Congested, C::Interrupted, C::NoData, C::Stuck];
    let streaming = [&device[..], &rates].concat();
    let ping = [C::Latency, C::Jitter, C::Loss];
    #[rustfmt::skip]
    let table: Vec<(&str, Facts, Vec<C>, Vec<C>)> = vec![
        ("a port that answers", Facts::None, vec![C::Latency], vec![]),
        ("no ping decided", Facts::Ping(Arc::default()), vec![], vec![]),
        ("four pings", window(4, 1.0, 500, 500), vec![], vec![]),
        ("five pings", window(5, 1.0, 51, 6), vec![C::Latency, C::Jitter], vec![C::Latency, C::Jitter]),
        ("nine pings", window(9, 1.0, 50, 5), vec![C::Latency, C::Jitter], vec![]),
        ("ten pings", window(10, 0.06, 50, 5), ping.to_vec(), vec![C::Loss]),
        ("loss at the limit", window(10, 0.05, 50, 5), ping.to_vec(), vec![]),
        ("a slow download", Facts::Download { bytes_per_second: 200_000.0 }, [&rates[..], &[C::Latency]].concat(), vec![C::BitrateLow]),
        ("a good download", Facts::Download { bytes_per_second: 500_000.0 }, [&rates[..], &[C::Latency]].concat(), vec![]),
        ("a device that streams", presenter(Live, |_| {}), streaming.clone(), vec![]),
        ("too little", presenter(Live, |f| f.bitrate = Some(1_900_000)), streaming.clone(), vec![C::BitrateLow]),
        ("too much", presenter(Live, |f| f.bitrate = Some(8_100_000)), streaming.clone(), vec![C::BitrateHigh]),
        ("no bitrate told", presenter(Live, |f| f.bitrate = None), device.to_vec(), vec![]),
        // An idle device shows a bitrate that means nothing.
        ("an idle device", presenter(Offline, |f| (f.bitrate, f.cache) = (Some(128_000), Some(0.9))), streaming.clone(), vec![]),
        ("interrupted", presenter(Degraded, |f| f.bitrate = Some(0)), device.to_vec(), vec![C::Interrupted]),
        ("a word nobody knows", presenter(Unknown, |_| {}), vec![C::Latency, C::Congested, C::NoData, C::Stuck], vec![]),
        ("half full", presenter(Live, |f| f.cache = Some(0.5)), streaming.clone(), vec![]),
        ("congested", presenter(Live, |f| f.cache = Some(0.51)), streaming.clone(), vec![C::Congested]),
        ("no cache told", presenter(Degraded, |f| f.cache = None), vec![C::Latency, C::Interrupted, C::NoData, C::Stuck], vec![C::Interrupted]),
        ("no data for a moment", presenter(Live, |f| f.no_data_for = Some(ms(2_999))), streaming.clone(), vec![]),
        ("no data", presenter(Live, |f| f.no_data_for = Some(s(3))), streaming.clone(), vec![C::NoData]),
        ("its clock rests", presenter(Live, |f| f.stuck_for = Some(ms(4_999))), streaming.clone(), vec![]),
        ("stuck", presenter(Connecting, |f| f.stuck_for = Some(s(5))), streaming.clone(), vec![C::Stuck]),
        ("an event in trouble", vimeo(Degraded), vec![C::Latency, C::Interrupted], vec![C::Interrupted]),
        ("an event that ended", vimeo(LiveState::Ended), vec![C::Latency, C::Interrupted], vec![]),
        ("all servers up", haproxy(&[(true, true), (true, true)]), vec![C::Latency, C::ServersDown], vec![]),
        ("one in maintenance", haproxy(&[(true, true), (false, false)]), vec![C::Latency, C::ServersDown], vec![]),
        ("one is down", haproxy(&[(true, true), (false, true)]), vec![C::Latency, C::ServersDown], vec![C::ServersDown]),
    ];
    for (case, facts, judged, found) in table {
        let evidence = assess(&success(Instant::now(), facts), strict());
        assert_eq!(evidence, Evidence::Live { judged: causes(&judged), found: causes(&found) }, "{case}");
    }
}

#[test]
fn answers_may_be_slow_and_certificates_old() {
    let now = Instant::now();
    let slow = TargetReport { duration: Some(ms(51)), ..success(now, Facts::None) };
    let latency = causes(&[C::Latency]);
    assert_eq!(assess(&slow, strict()), Evidence::Live { judged: latency, found: latency });
    assert_eq!(
        assess(&slow, TargetExpect::default()),
        Evidence::Live { judged: DegradedCauses::EMPTY, found: DegradedCauses::EMPTY },
        "without a threshold nothing is judged"
    );
    let expires = |at| TargetReport { certificate_expiry: Some(WALL + at), ..success(now, Facts::None) };
    let expiring = |evidence| match evidence {
        Evidence::Live { judged, found } => {
            (judged.contains(C::CertificateExpiring), found.contains(C::CertificateExpiring))
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(expiring(assess(&slow, strict())), (false, false), "no certificate was shown");
    assert_eq!(expiring(assess(&expires(s(15 * 86400)), strict())), (true, false));
    assert_eq!(expiring(assess(&expires(s(13 * 86400)), strict())), (true, true));
    let gone = TargetReport { certificate_expiry: Some(WALL), ..success(now, Facts::None) };
    let policy = TargetPolicy { expect: strict(), ..TargetPolicy::default() };
    assert_eq!(expiring(assess_target(now, WALL + s(1), Some(&gone), &policy, None)), (true, true), "expired");
}

#[test]
fn expectations_that_mean_down() {
    use DownCause::{Lag, NotLive, Role};
    use ReplicaRole::{Other, Primary, Secondary};
    let role = |role| TargetExpect { role: Some(role), ..TargetExpect::default() };
    let lag = || TargetExpect { lag_max: Some(s(10)), ..TargetExpect::default() };
    let bytes = || TargetExpect { lag_bytes_max: Some(1000), ..TargetExpect::default() };
    let live = || TargetExpect { live: true, ..TargetExpect::default() };
    let both = || TargetExpect { role: Some(Secondary), ..lag() };
    #[rustfmt::skip]
    let table = vec![
        ("the role it should have", replica(Primary, None, None, None), role(Primary), None),
        ("another role", replica(Secondary, None, None, None), role(Primary), Some(Role)),
        ("recovering", replica(Other, None, None, None), role(Secondary), Some(Role)),
        ("any role will do", replica(Other, None, None, None), TargetExpect::default(), None),
        ("close behind", replica(Secondary, Some(s(10)), None, Some(true)), lag(), None),
        ("far behind", replica(Secondary, Some(ms(10_001)), None, Some(true)), lag(), Some(Lag)),
        ("nobody knows how far", replica(Secondary, None, None, Some(true)), lag(), Some(Lag)),
        ("cut off, with an old figure", replica(Secondary, Some(s(0)), None, Some(false)), lag(), Some(Lag)),
        ("not told whether connected", replica(Secondary, Some(s(0)), None, None), lag(), None),
        ("a primary lags behind nobody", replica(Primary, None, None, None), lag(), None),
        ("neither primary nor known", replica(Other, None, None, None), lag(), Some(Lag)),
        ("bytes behind", replica(Secondary, None, Some(1001), None), bytes(), Some(Lag)),
        ("few bytes behind", replica(Secondary, None, Some(1000), None), bytes(), None),
        ("bytes not known", replica(Secondary, Some(s(0)), None, None), bytes(), Some(Lag)),
        ("the role comes first", replica(Primary, None, None, None), both(), Some(Role)),
        ("on air", presenter(LiveState::Live, |_| {}), live(), None),
        ("on air, and no data for a moment", presenter(LiveState::Live, |f| f.no_data_for = Some(ms(2_999))), live(), None),
        ("on air without data", presenter(LiveState::Live, |f| f.no_data_for = Some(s(3))), live(), Some(NotLive)),
        ("on air, and stuck", presenter(LiveState::Live, |f| f.stuck_for = Some(s(5))), live(), Some(NotLive)),
        ("stuck, and may be", presenter(LiveState::Live, |f| f.stuck_for = Some(s(5))), TargetExpect::default(), None),
        ("may be off", presenter(LiveState::Offline, |_| {}), TargetExpect::default(), None),
        ("live at the platform", vimeo(LiveState::Live), live(), None),
        ("a preview is not live", vimeo(LiveState::Preview), live(), Some(NotLive)),
        ("ended", vimeo(LiveState::Ended), live(), Some(NotLive)),
    ];
    for (case, facts, expect, cause) in table {
        let now = Instant::now();
        match (assess(&success(now, facts), expect), cause) {
            (Evidence::Live { .. }, None) => {}
            (Evidence::Down { cause, since, detail }, Some(expected)) => {
                assert_eq!((cause, since), (expected, now), "{case}");
                assert!(!detail.is_empty(), "{case}");
            }
            (other, _) => panic!("{case}: {other:?}"),
        }
    }
}

#[test]
fn evidence_has_an_age() {
    let now = Instant::now();
    let policy = TargetPolicy::default();
    let at = |age, report: &TargetReport| assess_target(now + age, WALL, Some(report), &policy, None);
    assert_eq!(assess_target(now, WALL, None, &policy, None), Evidence::Unseen);
    let good = success(now, Facts::None);
    assert!(matches!(at(VALID_FOR, &good), Evidence::Live { .. }));
    assert_eq!(at(VALID_FOR + ms(1), &good), Evidence::Stale);
    let bad = failure(now, DownCause::Connect);
    assert!(matches!(at(VALID_FOR, &bad), Evidence::Down { cause: DownCause::Connect, .. }));
    assert_eq!(at(VALID_FOR + ms(1), &bad), Evidence::Stale);
    let nothing_yet = TargetReport { last_success: None, ..good };
    assert_eq!(at(VALID_FOR, &nothing_yet), Evidence::Pending);
    assert_eq!(at(VALID_FOR + ms(1), &nothing_yet), Evidence::Stale);
}

/// A target under judgement, as the fold leads it.
struct Bench {
    start: Instant,
    policy: TargetPolicy,
    evaluator: Evaluator,
    ill_since: Option<Instant>,
}

impl Bench {
    fn new(policy: TargetPolicy) -> Self {
        Self { start: Instant::now(), policy, evaluator: Evaluator::new(WALL, None), ill_since: None }
    }

    fn judge(&mut self, at: u64, report: impl FnOnce(Instant) -> TargetReport) -> Health {
        let now = self.start + s(at);
        let report = report(now);
        let situation =
            Situation::of_target(now, WALL + s(at), Some(&report), CheckKind::Postgres, &self.policy, self.ill_since);
        self.ill_since = situation.ill_since();
        self.evaluator.evaluate(situation);
        self.evaluator.verdict().health
    }
}

fn standby(now: Instant) -> TargetReport {
    success(now, replica(ReplicaRole::Secondary, None, None, None))
}

fn primary(now: Instant) -> TargetReport {
    success(now, replica(ReplicaRole::Primary, None, None, None))
}

#[test]
fn an_unmet_expectation_outlasts_fall_over_many_reports() {
    let expect = TargetExpect { role: Some(ReplicaRole::Primary), ..TargetExpect::default() };
    let policy = TargetPolicy { expect, fall: s(5), rise: s(3), ..TargetPolicy::default() };
    let mut b = Bench::new(policy);
    assert_eq!(b.judge(0, primary), Health::Up);
    assert_eq!(b.judge(2, standby), Health::Up, "the grace begins");
    assert_eq!(b.judge(4, standby), Health::Up);
    assert_eq!(b.judge(6, primary), Health::Up, "and begins anew after every good look");
    assert_eq!(b.judge(8, standby), Health::Up);
    assert_eq!(b.judge(10, standby), Health::Up);
    // What follows an unmet expectation is the same ill.
    assert_eq!(b.judge(12, |now| failure(now, DownCause::Connect)), Health::Up);
    assert_eq!(b.judge(13, |now| failure(now, DownCause::Connect)), Health::Down);
    assert_eq!(b.judge(14, standby), Health::Down);
    assert_eq!(b.evaluator.verdict().down, Some(DownCause::Role));
    assert_eq!(b.judge(16, primary), Health::Down);
    assert_eq!(b.judge(19, primary), Health::Up);
    assert_eq!(b.evaluator.totals().outages, 1);
}

#[test]
fn thresholds_take_their_time_as_those_of_streams_do() {
    let expect = TargetExpect { latency_max: Some(ms(10)), ..TargetExpect::default() };
    let policy = TargetPolicy { expect, fall: s(2), rise: s(3), ..TargetPolicy::default() };
    let mut b = Bench::new(policy);
    let took = |time| move |now| TargetReport { duration: Some(ms(time)), ..success(now, Facts::None) };
    assert_eq!(b.judge(0, took(5)), Health::Up);
    assert_eq!(b.judge(1, took(11)), Health::Up);
    assert_eq!(b.judge(3, took(11)), Health::Degraded);
    assert_eq!(b.judge(4, took(5)), Health::Degraded);
    assert_eq!(b.judge(7, took(5)), Health::Up);
}

#[test]
fn what_should_be_live_has_time_to_come_back() {
    let device = |state| move |now| success(now, presenter(state, |_| {}));
    let policy = || {
        let expect = TargetExpect { live: true, ..TargetExpect::default() };
        TargetPolicy { expect, fall: s(0), rise: s(0), ..TargetPolicy::default() }
    };
    for (state, after) in [
        (LiveState::Connecting, Health::Down),
        (LiveState::Degraded, Health::Down),
        // Nobody knows: no outage.
        (LiveState::Unknown, Health::Unknown),
    ] {
        let mut b = Bench::new(policy());
        assert_eq!(b.judge(0, device(LiveState::Live)), Health::Up);
        assert_eq!(b.judge(10, device(state)), Health::Up, "{state}");
        assert_eq!(b.judge(24, device(state)), Health::Up, "{state}");
        let due = b.evaluator.poll_timeout().unwrap();
        assert!(due >= b.start + s(25) && due < b.start + s(26), "{state}: {:?}", due - b.start);
        assert_eq!(b.judge(25, device(state)), after, "{state}");
        assert_eq!(b.judge(40, device(state)), after, "{state}");
        assert_eq!(b.judge(41, device(LiveState::Live)), Health::Up, "{state}");
        assert_eq!(b.judge(50, device(state)), Health::Up, "{state}: it begins anew");
        assert_eq!(b.judge(52, device(LiveState::Offline)), Health::Down, "{state}");
    }
}
