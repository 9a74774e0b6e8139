//! Every expression of rules and dashboards on a Prometheus that scrapes the demo.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::harness::eventually;
use crate::shipped::{Expression, expressions, families};
use crate::world::World;

/// The demo shows each of its faults in the first two minutes; and again, on a machine that does much else.
const LIMIT: Duration = Duration::from_secs(400);
const LOOK: Duration = Duration::from_secs(1);

/// Families that the demo has not, and what there would have to be.
const BEYOND_THE_DEMO: &[(&str, &str)] = &[
    ("hmonitor_web_presenter_", "a Web Presenter"),
    ("hmonitor_vimeo_", "an event at Vimeo"),
    ("hmonitor_haproxy_", "HAProxy: the profile ha has it"),
    ("hmonitor_controller_disagreement_seconds", "a load balancer that asks for decisions"),
    ("hmonitor_replication_", "a database"),
    ("hmonitor_endpoint_tls_", "a server with a certificate"),
    ("hmonitor_service_tls_", "a server with a certificate"),
    ("hmonitor_stream_parse_errors_total", "an encoder that writes headers nobody understands"),
    ("hmonitor_stream_anomaly_ratio", "a week"),
    ("hmonitor_stream_unusual", "a week"),
];

/// There once a look at a service has failed, which on a busy machine one may.
const BY_CHANCE: &[&str] = &["hmonitor_service_issue", "hmonitor_service_errors_total"];

/// What a build without FFmpeg cannot see.
const DECODED: &[&str] = &[
    "hmonitor_stream_luma_mean_ratio",
    "hmonitor_stream_frozen_seconds",
    "hmonitor_stream_audio_loudness_dbfs",
    "hmonitor_stream_decode_errors_total",
];

fn excepted(family: &str) -> bool {
    BEYOND_THE_DEMO.iter().any(|(prefix, _)| family.starts_with(prefix))
}

fn beyond_the_demo(family: &str) -> bool {
    excepted(family) || BY_CHANCE.contains(&family) || (!cfg!(feature = "libav") && DECODED.contains(&family))
}

/// As Grafana fills its variables in, with all of everything.
pub fn filled(expression: &Expression) -> String {
    let variables = [
        ("stream=\"$stream\"", "stream=~\".+\""),
        ("$instance", ".*"),
        ("$site", ".*"),
        ("$machine", ".*"),
        ("$endpoint", ".*"),
        ("$service", ".*"),
        ("$path", ".*"),
        ("$failover", ".*"),
        ("$group", ".*"),
        ("$__range", "1m"),
        ("$__rate_interval", "10s"),
    ];
    let text = variables.iter().fold(expression.text.clone(), |text, (name, value)| text.replace(name, value));
    // `$1` is a part of what label_replace has matched.
    let unknown = text.replace("\"$1\"", "").contains('$');
    assert!(!unknown, "{}: an unknown variable: {text}", expression.place);
    text
}

#[test]
fn every_expression_runs_and_in_the_demo_no_panel_is_without_data() {
    let (world, _origin) = World::demo();
    let started = Instant::now();
    let mut waiting = Vec::new();
    let (mut ran, mut beyond) = (0, 0);
    for expression in expressions() {
        let text = filled(&expression);
        let found = eventually("Prometheus answers", LIMIT, || world.ask(&text));
        found.unwrap_or_else(|why| panic!("{}: {why}: {text}", expression.place));
        ran += 1;
        let named = families(&text);
        if !named.is_empty() && named.iter().all(|family| beyond_the_demo(family)) {
            beyond += 1;
        } else if expression.finds {
            waiting.push((expression.place, text));
        }
    }
    let shown = waiting.len();
    // A fault that is over has been seen, as it would be in a panel that shows the past hour.
    let mut last = Vec::new();
    while !waiting.is_empty() {
        let found = |(_, text): &mut (String, String)| matches!(world.query(text), Some(found) if !found.is_empty());
        let now: Vec<_> = waiting.extract_if(.., found).map(|(place, _)| place).collect();
        if !now.is_empty() {
            last = now;
        }
        assert!(waiting.is_empty() || started.elapsed() < LIMIT, "nothing to show within {LIMIT:?}: {waiting:#?}");
        std::thread::sleep(LOOK);
    }
    println!(
        "{ran} expressions ran; {shown} of dashboards and recording rules have found something after {:?}, at last {last:?}; \
         {beyond} are beyond the demo",
        started.elapsed()
    );

    // What alerts are about is there, too, and no exception is made for what is.
    let existing: BTreeSet<String> = world
        .query("count by (__name__) (last_over_time({__name__=~\"(hmonitor|process)_.+\"}[10m]))")
        .unwrap()
        .iter()
        .map(|series| series["metric"]["__name__"].as_str().unwrap().to_owned())
        .collect();
    let named: BTreeSet<String> = expressions().iter().flat_map(|expression| families(&expression.text)).collect();
    let missing: Vec<_> = named.iter().filter(|f| !existing.contains(*f) && !beyond_the_demo(f)).collect();
    assert!(missing.is_empty(), "named by rules or dashboards, and not in the demo: {missing:?}");
    let needless: Vec<_> = existing.iter().filter(|f| excepted(f)).collect();
    assert!(needless.is_empty(), "excepted, and yet in the demo: {needless:?}");
}
