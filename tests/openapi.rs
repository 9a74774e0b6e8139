//! The API's description says what the server does.

mod support;

use std::collections::BTreeSet;

use rtmp_hmonitor::model::Health;
use rtmp_hmonitor::serve::openapi::document;
use rtmp_hmonitor::serve::routes::ROUTES;
use serde_json::Value;
use support::{Bench, server_spec, stream};

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

#[tokio::test]
async fn every_route_is_described_and_every_described_route_answers() {
    let bench = Bench::start(server_spec(), vec![stream("a", Health::Up)]).await;
    let served = bench.get("/api/v1/openapi.json").await.json();
    assert_eq!(served, document());
    let paths = served["paths"].as_object().unwrap();
    assert_eq!(paths.keys().map(String::as_str).collect::<BTreeSet<_>>(), ROUTES.iter().map(|r| r.path).collect());
    let mut ids = BTreeSet::new();
    for (path, item) in paths {
        for (method, operation) in item.as_object().unwrap() {
            assert!(ids.insert(operation["operationId"].as_str().unwrap().to_owned()), "{path} {method}");
            let target = path.replace("{name}", "a").replace("{check}", "ping");
            let line = format!("{} {target} HTTP/1.1", method.to_uppercase());
            let status = bench.ask(&[&line], "").await.status;
            let secured = operation["security"] == serde_json::json!([{ "bearer": [] }]);
            assert_eq!(status == 401, secured, "{line}: {status}");
            assert!(status != 404 && status != 405, "{line}: {status}");
        }
        let undescribed = ["get", "head", "options", "post", "put", "delete", "patch"];
        for method in undescribed.into_iter().filter(|m| item.get(*m).is_none()) {
            let line = format!(
                "{} {} HTTP/1.1",
                method.to_uppercase(),
                path.replace("{name}", "a").replace("{check}", "ping")
            );
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
        report: Some(std::sync::Arc::new(support::report(std::time::Instant::now()))),
        ..stream("a", Health::Up)
    };
    let bench = Bench::start(server_spec(), vec![view]).await;
    let document = document();
    let fields = |name: &str| -> BTreeSet<String> {
        document["components"]["schemas"][name]["properties"].as_object().unwrap().keys().cloned().collect()
    };
    let keys = |value: &Value| -> BTreeSet<String> { value.as_object().unwrap().keys().cloned().collect() };
    let status = bench.get("/api/v1/status").await.json();
    assert_eq!(keys(&status), fields("Status"));
    assert_eq!(keys(&status["streams"][0]), fields("StreamSummary"));
    let one = bench.get("/api/v1/streams/a").await.json();
    assert_eq!(keys(&one), fields("Stream"));
    assert_eq!(keys(&one["media"]["video"]), fields("Video"));
    assert_eq!(keys(&bench.get("/health/streams/a").await.json()), fields("TargetHealth"));
    assert_eq!(keys(&bench.get("/health").await.json()), fields("MonitorHealth"));
}
