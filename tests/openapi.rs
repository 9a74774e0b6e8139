//! The API's description says what the server does.

mod support;

use std::collections::BTreeSet;
use std::sync::Arc;

use rtmp_hmonitor::model::Health;
use rtmp_hmonitor::model::target_report::Facts;
use rtmp_hmonitor::serve::openapi::document;
use rtmp_hmonitor::serve::routes::ROUTES;
use serde_json::Value;
use support::{Bench, server_spec, targets};

fn references(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => {
            if let Some(Value::String(reference)) = map.get("$ref") {
                found.insert(reference.clone());
            }
            map.values().for_each(|v| references(v, found));
        }
        Value::Array(list) => list.iter().for_each(|v| references(v, found)),
        _ => {}
    }
}

/// With an endpoint, a service, a path, a group and a failover called `a`.
fn picture(bench: &Bench, streams: Vec<rtmp_hmonitor::model::snapshot::StreamView>) {
    let now = bench.clock.now();
    let (ping, device) = (targets::ping(), Facts::WebPresenter(Arc::new(targets::device())));
    let mut found = vec![
        targets::found("a", targets::icmp(), now, ping),
        targets::found("a", targets::web_presenter(), now, device),
    ];
    found.extend(targets::one_of_each(now));
    let path = targets::path("a", [Health::Up, Health::Down, Health::Down], true);
    let decided = support::decisions::decided(
        now,
        vec![support::decisions::group("a", Health::Down, now)],
        vec![support::decisions::failover("a", &["a"], now)],
    );
    let picture = targets::with(support::snapshot(now, streams), found, vec![path]);
    bench.current.store(Arc::new(rtmp_hmonitor::model::snapshot::Snapshot { decisions: decided.decisions, ..picture }));
}

/// A path with all its parameters.
fn filled(path: &str) -> String {
    path.replace("{name}", "a").replace("{candidate}", "a").replace("{check}", "ping").replace("{file}", "app.js")
}

#[tokio::test]
async fn every_route_is_described_and_every_described_route_answers() {
    let bench = Bench::start(server_spec(), vec![]).await;
    picture(&bench, vec![support::inspected("a", bench.clock.now())]);
    let served = bench.get("/api/v1/openapi.json").await.json();
    assert_eq!(served, document());
    let paths = served["paths"].as_object().unwrap();
    assert_eq!(paths.keys().map(String::as_str).collect::<BTreeSet<_>>(), ROUTES.iter().map(|r| r.path).collect());
    let mut ids = BTreeSet::new();
    for (path, item) in paths {
        for (method, operation) in item.as_object().unwrap() {
            assert!(ids.insert(operation["operationId"].as_str().unwrap().to_owned()), "{path} {method}");
            let target = filled(path);
            let line = format!("{} {target} HTTP/1.1", method.to_uppercase());
            let status = bench.ask(&[&line], "").await.status;
            let secured = operation["security"] == serde_json::json!([{ "bearer": [] }]);
            assert_eq!(status == 401, secured, "{line}: {status}");
            assert!(status != 404 && status != 405, "{line}: {status}");
        }
        let undescribed = ["get", "head", "options", "post", "put", "delete", "patch"];
        for method in undescribed.into_iter().filter(|m| item.get(*m).is_none()) {
            let line = format!("{} {} HTTP/1.1", method.to_uppercase(), filled(path));
            assert_eq!(bench.ask(&[&line], "").await.status, 405, "{line}");
        }
    }
}

#[test]
fn references_lead_somewhere_and_schemas_are_used() {
    let document = document();
    let mut found = BTreeSet::new();
    references(&document, &mut found);
    let schemas = document["components"]["schemas"].as_object().unwrap();
    let there: BTreeSet<String> = schemas.keys().map(|k| format!("#/components/schemas/{k}")).collect();
    assert_eq!(found, there);
    assert!(there.contains("#/components/schemas/StreamSummary") && there.contains("#/components/schemas/Problem"));
}

/// Every field of a document is in its schema, so the schema cannot fall behind.
#[tokio::test]
async fn documents_have_the_described_fields() {
    let view = rtmp_hmonitor::model::snapshot::StreamView {
        server: Some(targets::server_view(Some(targets::server_stream()), true)),
        hints: support::hints(),
        ..support::inspected("a", std::time::Instant::now())
    };
    let bench = Bench::start(server_spec(), vec![]).await;
    picture(&bench, vec![view]);
    let document = document();
    let fields = |name: &str| -> BTreeSet<String> {
        document["components"]["schemas"][name]["properties"].as_object().unwrap().keys().cloned().collect()
    };
    let keys = |value: &Value| -> BTreeSet<String> { value.as_object().unwrap().keys().cloned().collect() };
    let status = bench.get("/api/v1/status").await.json();
    bench.views.store.history.note(bench.clock.now(), std::time::SystemTime::now(), &bench.current.load());
    assert_eq!(keys(&bench.get("/api/v1/history").await.json()), fields("HistoryList"));
    assert_eq!(keys(&bench.get("/api/v1/streams/a/history").await.json()), fields("History"));
    assert_eq!(keys(&status), fields("Status"));
    assert_eq!(keys(&status["streams"][0]), fields("StreamSummary"));
    let one = bench.get("/api/v1/streams/a").await.json();
    assert_eq!(keys(&one["anomaly"]), fields("Anomaly"));
    assert_eq!(keys(&one["anomaly"]["bitrate_bps"]), fields("Usual"));
    assert_eq!(keys(&one), fields("Stream"));
    assert_eq!(keys(&one["media"]["video"]), fields("Video"));
    assert_eq!(keys(&one["media"]["video"]["colour"]), fields("Colour"));
    assert_eq!(keys(&one["media"]["audio"]), fields("Audio"));
    let content = &one["content"];
    assert_eq!(keys(content), fields("Content"));
    assert_eq!(keys(&content["picture"]), fields("Picture"));
    assert_eq!(keys(&content["sound"]), fields("Sound"));
    assert_eq!(keys(&content["checks"]["frozen"]), fields("ContentCheck"));
    assert_eq!(keys(&content["thumbnail"]), fields("Thumbnail"));
    assert_eq!(keys(&one["server"]), fields("ServerSide"));
    assert_eq!(keys(&one["server"]["video"]), fields("ServerVideo"));
    assert_eq!(keys(&one["server"]["audio"]), fields("ServerAudio"));
    assert_eq!(keys(&status["totals"]), fields("Totals"));
    assert_eq!(keys(&status["endpoints"][0]), fields("TargetSummary"));
    assert_eq!(keys(&status["paths"][0]), fields("Path"));
    let path = bench.get("/api/v1/paths/a").await.json();
    assert_eq!(keys(&path["hops"][0]), fields("Hop"));
    assert_eq!(keys(&path["fault"]), fields("PathFault"));
    assert_eq!(keys(&path["link"]), fields("Link"));
    let (groups, failovers) = (&status["groups"][0], &status["failovers"][0]);
    assert_eq!((keys(groups), keys(failovers)), (fields("Group"), fields("Failover")));
    assert_eq!(keys(&groups["members"]), fields("Members"));
    assert_eq!(keys(&failovers["candidates"][0]), fields("Candidate"));
    assert_eq!(keys(&failovers["candidates"][0]["answer"]), fields("Answer"));
    let mut kinds = 0;
    for (place, fact, schema) in [
        ("endpoints/host", "ping", "Ping"),
        ("endpoints/web", "http", "Http"),
        ("endpoints/names", "dns", "Dns"),
        ("endpoints/link", "download", "Download"),
        ("endpoints/relay", "canary", "Canary"),
        ("endpoints/db", "replica", "Replica"),
        ("services/presenter", "web_presenter", "WebPresenter"),
        ("services/sunday", "vimeo", "Vimeo"),
        ("services/stat", "rtmp_server", "RtmpServer"),
        ("services/lb", "haproxy", "Haproxy"),
    ] {
        let one = bench.get(&format!("/api/v1/{place}")).await.json();
        assert_eq!(keys(&one), fields("Target"), "{place}");
        assert_eq!(keys(&one["facts"]), BTreeSet::from([fact.to_owned()]), "{place}");
        assert_eq!(keys(&one["facts"][fact]), fields(schema), "{place}");
        kinds += 1;
    }
    assert_eq!(document["components"]["schemas"]["Facts"]["oneOf"].as_array().unwrap().len(), kinds);
    assert_eq!(keys(&bench.get("/health/streams/a").await.json()), fields("TargetHealth"));
    assert_eq!(keys(&bench.get("/health").await.json()), fields("MonitorHealth"));
}
