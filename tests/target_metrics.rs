//! What Prometheus reads of endpoints, services and paths: right figures, absent instead of wrong, bounded.

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use rtmp_hmonitor::model::health::DegradedCauses;
use rtmp_hmonitor::model::path::LinkView;
use rtmp_hmonitor::model::report::Fault;
use rtmp_hmonitor::model::snapshot::{Snapshot, StreamView, TargetView};
use rtmp_hmonitor::model::spec::Labels;
use rtmp_hmonitor::model::target::{ReplicaRole, TargetPolicy};
use rtmp_hmonitor::model::target_report::{Facts, PingFacts, VimeoFacts};
use rtmp_hmonitor::model::{DegradedCause, DownCause, Health, TargetReport};
use rtmp_hmonitor::serve::metrics;
use rtmp_hmonitor::serve::moment::Moment;
use support::{snapshot, stream, targets};
use targets::{found, target, with};

fn render(snapshot: &Snapshot, now: Instant) -> String {
    let mut out = String::new();
    let wall = SystemTime::UNIX_EPOCH + Duration::from_secs(1_790_000_100);
    metrics::render(snapshot, &Moment::at(now, wall), &mut out);
    out
}

/// Series by their whole text before the value.
fn series(text: &str) -> BTreeMap<&str, f64> {
    let mut found = BTreeMap::new();
    for line in text.lines().filter(|l| !l.starts_with('#')) {
        let (name, value) = line.rsplit_once(' ').unwrap();
        assert!(found.insert(name, value.parse().unwrap()).is_none(), "twice: {name}");
    }
    found
}

fn picture(now: Instant, targets: Vec<TargetView>) -> Snapshot {
    with(snapshot(now, vec![]), targets, vec![])
}

/// Asserts that `hmonitor_{family}{…,labels}` of the target has this value, or is not there.
fn check(text: &str, subject: &str, expected: &[(&str, &str, Option<f64>)]) {
    let found = series(text);
    for (family, labels, value) in expected {
        let name = format!(r#"hmonitor_{family}{{{subject},site="plant-a"{labels}}}"#);
        assert_eq!(found.get(name.as_str()).copied(), *value, "{name}\n{text}");
    }
}

fn with_report(mut view: TargetView, change: impl FnOnce(&mut TargetReport)) -> TargetView {
    let mut report = (**view.report.as_ref().unwrap()).clone();
    change(&mut report);
    view.report = Some(Arc::new(report));
    view
}

fn with_policy(mut view: TargetView, change: impl FnOnce(&mut TargetPolicy)) -> TargetView {
    let mut spec = (*view.spec).clone();
    let mut policy = (*spec.policy).clone();
    change(&mut policy);
    spec.policy = Arc::new(policy);
    view.spec = Arc::new(spec);
    view
}

#[test]
fn an_endpoint_and_a_service_in_numbers() {
    let now = Instant::now();
    let web = with_report(found("x", targets::http(), now, Facts::Http { status: 204 }), |r| {
        r.certificate_expiry = Some(SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000));
    });
    let text = render(&picture(now, vec![web, found("x", targets::rtmp_server(), now, targets::server_facts())]), now);
    for (class, label, kind) in [("endpoint", "probe", "http"), ("service", "kind", "rtmp_server")] {
        for (family, labels, value) in [
            ("up", format!(r#",{label}="{kind}""#), 1.0),
            ("health", r#",state="up""#.to_owned(), 1.0),
            ("health", r#",state="down""#.to_owned(), 0.0),
            ("state_changes_total", r#",to="down""#.to_owned(), 2.0),
            ("outages_total", String::new(), 2.0),
            ("outage_seconds_total", String::new(), 12.5),
            ("last_change_timestamp_seconds", String::new(), 1_790_000_000.25),
            ("checks_total", String::new(), 40.0),
            ("checks_failed_total", String::new(), 3.0),
            ("duration_seconds", r#",phase="tcp""#.to_owned(), 0.003),
            ("check_duration_seconds", String::new(), 0.012),
            ("last_success_timestamp_seconds", String::new(), 1_790_000_100.0),
        ] {
            let family = format!("{class}_{family}");
            check(&text, &format!(r#"{class}="x""#), &[(&family, &labels, Some(value))]);
        }
    }
    check(
        &text,
        r#"endpoint="x""#,
        &[
            ("endpoint_failures_total", r#",cause="timeout""#, Some(3.0)),
            ("endpoint_failures_total", r#",cause="dns""#, None),
            ("endpoint_blind_total", r#",cause="rate_limited""#, Some(2.0)),
            ("endpoint_blind_total", r#",cause="panic""#, Some(0.0)),
            ("endpoint_http_status", "", Some(204.0)),
            ("endpoint_tls_expiry_timestamp_seconds", "", Some(1_800_000_000.0)),
        ],
    );
    check(
        &text,
        r#"service="x""#,
        &[
            ("service_errors_total", r#",kind="rtmp_server",cause="timeout""#, Some(3.0)),
            ("service_errors_total", r#",kind="rtmp_server",cause="rate_limited""#, Some(2.0)),
            ("service_errors_total", r#",kind="rtmp_server",cause="dns""#, None),
            ("rtmp_server_clients", "", Some(7.0)),
            ("rtmp_server_streams", "", Some(2.0)),
            ("rtmp_server_bytes_total", r#",direction="in""#, Some(1e6)),
            ("rtmp_server_bytes_total", r#",direction="out""#, Some(3e6)),
            ("rtmp_server_uptime_seconds", "", Some(86_400.0)),
            ("rtmp_server_info", r#",flavor="nginx_rtmp",version="1.22.1""#, Some(1.0)),
            ("service_tls_expiry_timestamp_seconds", "", None),
        ],
    );
}

#[test]
fn round_trips_are_a_histogram() {
    let now = Instant::now();
    let text = render(&picture(now, vec![found("h", targets::icmp(), now, targets::ping())]), now);
    let buckets: Vec<(f64, f64)> = text
        .lines()
        .filter_map(|l| l.strip_prefix(r#"hmonitor_ping_rtt_seconds_bucket{endpoint="h",site="plant-a",le=""#))
        .map(|rest| rest.split_once("\"} ").unwrap())
        .map(|(bound, count)| (bound.parse().unwrap(), count.parse().unwrap()))
        .collect();
    let bounds: Vec<f64> = buckets.iter().map(|(bound, _)| *bound).collect();
    assert_eq!(bounds[..3], [50e-6, 100e-6, 250e-6]);
    assert_eq!((bounds.len(), bounds[15], bounds[16]), (17, 5.0, f64::INFINITY));
    assert!(bounds.is_sorted());
    let counts: Vec<f64> = buckets.iter().map(|(_, count)| *count).collect();
    assert_eq!((&counts[..5], &counts[15..]), (&[2.0, 2.0, 2.0, 2.0, 5.0][..], &[5.0, 6.0][..]));
    assert_eq!(text.matches("# TYPE hmonitor_ping_rtt_seconds histogram\n").count(), 1);
    check(
        &text,
        r#"endpoint="h""#,
        &[
            ("ping_rtt_seconds_count", "", Some(6.0)),
            ("ping_rtt_seconds_sum", "", Some(6.003)),
            ("ping_sent_total", "", Some(8.0)),
            ("ping_received_total", "", Some(6.0)),
            ("ping_lost_total", "", Some(1.0)),
            ("ping_duplicates_total", "", Some(4.0)),
            ("ping_late_total", "", Some(5.0)),
            ("ping_reordered_total", "", Some(7.0)),
            ("ping_loss_ratio", "", Some(0.125)),
            ("ping_jitter_seconds", "", Some(0.0003)),
            ("ping_rtt_mean_seconds", "", Some(0.00125)),
        ],
    );
    // Before the first ping is decided there is no share and no mean.
    let facts = Facts::Ping(Arc::new(PingFacts { sent: 1, ..PingFacts::default() }));
    let text = render(&picture(now, vec![found("h", targets::icmp(), now, facts)]), now);
    let expected =
        [("ping_loss_ratio", "", None), ("ping_rtt_mean_seconds", "", None), ("ping_sent_total", "", Some(1.0))];
    check(&text, r#"endpoint="h""#, &expected);
}

#[test]
fn a_role_or_state_is_one_of_its_words() {
    let now = Instant::now();
    let text = render(&picture(now, targets::one_of_each(now)), now);
    for role in ReplicaRole::ALL {
        let expected = f64::from(u8::from(*role == ReplicaRole::Secondary));
        check(&text, r#"endpoint="db""#, &[("replication_role", &format!(r#",role="{role}""#), Some(expected))]);
    }
    for (service, family) in [("presenter", "web_presenter_state"), ("sunday", "vimeo_state")] {
        let of_service = format!("hmonitor_{family}{{service=\"{service}\",");
        let states: Vec<&str> = text.lines().filter(|l| l.starts_with(&of_service)).collect();
        assert_eq!(states.len(), 9, "{states:?}");
        assert_eq!(states.iter().filter(|l| l.ends_with(" 0")).count(), 8);
        assert!(states.iter().any(|l| l.ends_with(r#"state="live"} 1"#)));
    }
    check(
        &text,
        r#"endpoint="db""#,
        &[
            ("replication_lag_bytes", "", Some(4096.0)),
            ("replication_lag_seconds", "", Some(1.5)),
            ("replication_connected", "", Some(1.0)),
            ("replication_replicas", "", Some(1.0)),
        ],
    );
    let info = r#",model="Blackmagic Streaming Encoder HD",software="3.4",platform="Vimeo",quality="Streaming \"High\"",format="1920x1080p29.97""#;
    check(
        &text,
        r#"service="presenter""#,
        &[
            ("web_presenter_bytes_per_second", "", Some(825_000.0)),
            ("web_presenter_target_bytes_per_second", "", Some(750_000.0)),
            ("web_presenter_cache_ratio", "", Some(0.03)),
            ("web_presenter_duration_seconds", "", Some(754.0)),
            ("web_presenter_info", info, Some(1.0)),
        ],
    );
    check(
        &text,
        r#"service="sunday""#,
        &[
            ("vimeo_viewers", "", Some(120.0)),
            ("vimeo_plays", "", Some(900.0)),
            ("vimeo_ingest_status", "", Some(3.0)),
            ("vimeo_video_height_pixels", "", Some(1080.0)),
            ("vimeo_seconds_remaining", "", Some(3600.0)),
            ("vimeo_rate_limit_remaining", "", Some(597.0)),
        ],
    );
    check(&text, r#"endpoint="link""#, &[("download_bytes_per_second", "", Some(5e6))]);
    check(&text, r#"endpoint="relay""#, &[("canary_delay_seconds", "", Some(0.25))]);
}

#[test]
fn what_is_not_known_is_absent() {
    let now = Instant::now();
    let bare = VimeoFacts {
        viewers: None,
        plays: None,
        ingest: None,
        seconds_remaining: None,
        rate_limit: None,
        ..targets::vimeo_facts()
    };
    let text = render(
        &picture(
            now,
            vec![
                target("new", targets::icmp(), Health::Unknown),
                target("off", targets::icmp(), Health::Idle),
                target("off", targets::vimeo(), Health::Down),
                found("bare", targets::vimeo(), now, Facts::Vimeo(Arc::new(bare))),
            ],
        ),
        now,
    );
    for absent in [
        "hmonitor_endpoint_up{",
        "hmonitor_endpoint_checks_total",
        "hmonitor_endpoint_last_success",
        "hmonitor_endpoint_duration",
        "hmonitor_ping",
        "hmonitor_vimeo_viewers",
        "hmonitor_vimeo_plays",
        "hmonitor_vimeo_ingest",
        "hmonitor_vimeo_video",
        "hmonitor_vimeo_seconds",
        "hmonitor_vimeo_rate",
        "hmonitor_replication",
    ] {
        assert!(!text.contains(absent), "{absent}\n{text}");
    }
    check(
        &text,
        r#"service="off""#,
        &[("service_up", r#",kind="vimeo""#, Some(0.0)), ("service_issue", r#",cause="timeout""#, Some(1.0))],
    );
    check(&text, r#"endpoint="off""#, &[("endpoint_health", r#",state="idle""#, Some(1.0))]);
}

#[test]
fn an_old_report_gives_no_figures_of_the_present() {
    let now = Instant::now();
    let old = now - Duration::from_millis(4001);
    let mut views = targets::one_of_each(old);
    views.iter_mut().for_each(|v| v.verdict.health = Health::Unknown);
    let text = render(&picture(now, views), now);
    for gauge in [
        "ping_loss_ratio",
        "ping_jitter",
        "ping_rtt_mean",
        "endpoint_duration",
        "endpoint_check_duration",
        "endpoint_http_status",
        "download_",
        "canary_delay",
        "replication_",
        "web_presenter_state",
        "web_presenter_bytes",
        "vimeo_",
        "rtmp_server_clients",
        "rtmp_server_uptime",
        "haproxy_server_up",
        "haproxy_sessions{",
        "endpoint_up",
        "service_up",
    ] {
        assert!(!text.contains(gauge), "{gauge}");
    }
    // Counters stay where they were, and what does not age stays too.
    for kept in [
        "ping_sent_total",
        "ping_rtt_seconds_bucket",
        "rtmp_server_bytes_total",
        "haproxy_sessions_total",
        "endpoint_checks_total",
        "endpoint_last_success_timestamp_seconds",
        "endpoint_tls_expiry_timestamp_seconds",
    ] {
        assert!(text.contains(&format!("hmonitor_{kept}{{")), "{kept}");
    }
    // Just within its age it counts.
    let text = render(&picture(now, targets::one_of_each(now - Duration::from_secs(4))), now);
    assert!(text.contains("hmonitor_ping_loss_ratio{") && text.contains("hmonitor_vimeo_viewers{"));
    // A picture that nobody has renewed says nothing about the present, however long its reports may stand.
    let views = targets::one_of_each(now).into_iter();
    let views = views.map(|v| with_report(v, |r| r.valid_for = Duration::from_secs(3600))).collect();
    let picture =
        with(snapshot(now, vec![]), views, vec![targets::path("p", [Health::Up, Health::Down, Health::Up], true)]);
    let text = render(&picture, now + Duration::from_secs(5));
    for gauge in ["ping_loss_ratio", "vimeo_viewers", "service_up", "path_fault", "link_"] {
        assert!(!text.contains(gauge), "{gauge}");
    }
    assert_eq!(text.matches(r#",state="unknown"} 1"#).count(), 11);
}

#[test]
fn facts_from_before_the_failures_are_not_shown_as_current() {
    let now = Instant::now();
    let failing = |view: TargetView| {
        with_report(view, |r| {
            r.last_success = Some(now - Duration::from_secs(60));
            r.fault = Some(Fault { cause: DownCause::Timeout, since: now, detail: "no answer".into() });
        })
    };
    let views = vec![
        failing(found("web", targets::http(), now, Facts::Http { status: 200 })),
        failing(found("host", targets::icmp(), now, targets::ping())),
    ];
    let text = render(&picture(now, views), now);
    assert!(!text.contains("endpoint_http_status"));
    // Pings that are lost are facts about loss.
    check(&text, r#"endpoint="host""#, &[("ping_loss_ratio", "", Some(0.125))]);
}

#[test]
fn causes_that_are_expected_are_there_before_they_apply() {
    let now = Instant::now();
    let store = with_policy(found("db", targets::postgres(), now, targets::replica()), |p| {
        p.expect.role = Some(ReplicaRole::Primary);
        p.expect.lag_max = Some(Duration::from_secs(10));
        p.expect.latency_max = Some(Duration::from_secs(1));
    });
    let mut host = target("host", targets::icmp(), Health::Degraded);
    host.verdict.degraded = DegradedCauses::EMPTY.with(DegradedCause::Loss);
    host.totals.causes_seen = DegradedCauses::EMPTY.with(DegradedCause::Jitter);
    host.totals.down_causes_seen[DownCause::Unreachable as usize] = true;
    let device = target("presenter", targets::web_presenter(), Health::Up);
    let text = render(&picture(now, vec![store, host, device]), now);
    let issues = |name: &str| -> Vec<String> {
        let found =
            series(&text).into_iter().filter(|(s, _)| s.contains("_issue{") && s.contains(&format!("=\"{name}\"")));
        found.map(|(s, v)| format!("{} {v}", s.rsplit('"').nth(1).unwrap())).collect()
    };
    assert_eq!(issues("db"), ["lag 0", "latency 0", "role 0"]);
    assert_eq!(issues("host"), ["jitter 0", "loss 1", "unreachable 0"]);
    assert_eq!(issues("presenter"), ["interrupted 0", "no_data 0", "stuck 0"]);
}

#[test]
fn a_balancer_shows_at_most_a_thousand_servers() {
    let now = Instant::now();
    let text = render(&picture(now, vec![found("lb", targets::haproxy(), now, targets::haproxy_facts(1500))]), now);
    assert_eq!(text.matches("hmonitor_haproxy_server_up{").count(), 1000);
    assert_eq!(text.matches("hmonitor_haproxy_server_check_failures_total{").count(), 1000);
    check(
        &text,
        r#"service="lb""#,
        &[
            ("haproxy_server_up", r#",proxy="slaves",server="s0""#, Some(0.0)),
            ("haproxy_server_up", r#",proxy="slaves",server="s1""#, Some(1.0)),
            ("haproxy_server_sessions", r#",proxy="slaves",server="s1""#, Some(4.0)),
            ("haproxy_server_weight", r#",proxy="slaves",server="s1""#, Some(100.0)),
            ("haproxy_server_check_failures_total", r#",proxy="slaves",server="s1""#, Some(9.0)),
            ("haproxy_backend_up", r#",proxy="slaves""#, Some(1.0)),
            ("haproxy_sessions", r#",proxy="slaves""#, Some(8.0)),
            ("haproxy_sessions_total", r#",proxy="slaves""#, Some(80.0)),
        ],
    );
}

#[test]
fn labels_that_a_family_sets_itself_are_left_out() {
    let now = Instant::now();
    let mut views = targets::one_of_each(now);
    for view in &mut views {
        let mut spec = (*view.spec).clone();
        let taken = ["endpoint", "model", "probe", "proxy", "role", "service", "site"];
        spec.labels = Labels(taken.iter().map(|name| ((*name).into(), "a\"b".into())).collect());
        view.spec = Arc::new(spec);
    }
    let text = render(&picture(now, views), now);
    for line in text.lines().filter(|l| !l.starts_with('#')) {
        let names: Vec<&str> =
            line.split('"').step_by(2).filter_map(|p| p.trim_start_matches([',', ' ']).strip_suffix('=')).collect();
        let mut unique = names.iter().map(|n| n.rsplit('{').next().unwrap()).collect::<Vec<_>>();
        unique.sort_unstable();
        let all = unique.len();
        unique.dedup();
        assert_eq!(unique.len(), all, "{line}");
        assert!(line.contains(r#"site="a\"b""#), "{line}");
    }
}

#[test]
fn a_path_says_which_hop_is_broken() {
    let now = Instant::now();
    let mut uncertain = targets::path("uncertain", [Health::Unknown, Health::Down, Health::Down], false);
    uncertain.link = LinkView::default();
    let paths = vec![
        targets::path("broken", [Health::Up, Health::Down, Health::Down], true),
        targets::path("well", [Health::Up, Health::Up, Health::Up], true),
        uncertain,
    ];
    let text = render(&with(snapshot(now, vec![]), vec![], paths), now);
    check(
        &text,
        r#"path="broken""#,
        &[
            ("path_fault", r#",hop="endpoint/cam""#, Some(0.0)),
            ("path_fault", r#",hop="stream/gate-1""#, Some(1.0)),
            ("path_fault", r#",hop="service/presenter""#, Some(0.0)),
            ("path_fault_certain", "", Some(1.0)),
            ("path_consequence", r#",hop="stream/gate-1""#, Some(0.0)),
            ("path_consequence", r#",hop="service/presenter""#, Some(1.0)),
            ("link_receive_ratio", "", Some(0.5)),
            ("link_received_bytes_per_second", "", Some(250_000.0)),
            ("link_expected_bytes_per_second", "", Some(500_000.0)),
        ],
    );
    check(
        &text,
        r#"path="well""#,
        &[("path_fault", r#",hop="stream/gate-1""#, Some(0.0)), ("path_fault_certain", "", None)],
    );
    check(
        &text,
        r#"path="uncertain""#,
        &[
            ("path_fault_certain", "", Some(0.0)),
            ("link_receive_ratio", "", None),
            ("link_received_bytes_per_second", "", None),
        ],
    );
}

#[test]
fn a_stream_has_its_server_s_view_beside_its_own() {
    let now = Instant::now();
    let served = |name: &str, stream_there: bool, unplayable: bool| StreamView {
        server: Some(targets::server_view(stream_there.then(targets::server_stream), unplayable)),
        ..stream(name, Health::Down)
    };
    let streams = vec![served("stuck", true, true), served("gone", false, false), stream("alone", Health::Down)];
    let text = render(&snapshot(now, streams.clone()), now);
    check(
        &text,
        r#"stream="stuck""#,
        &[
            ("stream_server_publishing", "", Some(1.0)),
            ("stream_server_bytes_total", "", Some(25e6)),
            ("stream_server_players", "", Some(3.0)),
            ("stream_unplayable", "", Some(1.0)),
        ],
    );
    check(
        &text,
        r#"stream="gone""#,
        &[
            ("stream_server_publishing", "", Some(0.0)),
            ("stream_server_bytes_total", "", None),
            ("stream_server_players", "", None),
            ("stream_unplayable", "", Some(0.0)),
        ],
    );
    check(&text, r#"stream="alone""#, &[("stream_server_publishing", "", None), ("stream_unplayable", "", None)]);
    for secret in targets::SECRETS {
        assert!(!text.contains(secret), "{secret}");
    }
    let text = render(&snapshot(now, streams), now + Duration::from_secs(5));
    assert!(!text.contains("stream_server_publishing") && !text.contains("stream_unplayable"));
}
