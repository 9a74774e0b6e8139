//! What the API shows of groups and failovers.

use std::sync::Arc;
use std::time::Duration;

use rtmp_hmonitor::model::event::{Event, EventKind, Status, Subject};
use rtmp_hmonitor::model::failover::{CandidateView, FailoverPin, SuppressReason};
use rtmp_hmonitor::model::group::MaintenanceState;
use rtmp_hmonitor::model::{Health, Name};
use serde_json::{Value, json};

use crate::support::decisions::{decided, failover, group, maintained, since};
use crate::support::{Bench, event, server_spec};

async fn bench() -> Bench {
    let bench = Bench::start(server_spec(), vec![]).await;
    let now = bench.clock.now();
    let mut ingest = failover("ingest", &["slave-1", "slave-2"], now);
    let pin = FailoverPin {
        group: Name::new("slave-1").unwrap(),
        reason: "rehearsal".into(),
        until: Some(since() + Duration::from_secs(60)),
        created: since(),
    };
    ingest.pinned = Some(Arc::new(pin));
    ingest.suppressed = Some(SuppressReason::Pinned);
    let suspect = Some(since() + Duration::from_secs(30));
    ingest.candidates = ingest
        .candidates
        .iter()
        .enumerate()
        .map(|(i, c)| CandidateView { suspect_until: suspect.filter(|_| i == 1), ..*c })
        .collect();
    let groups = vec![
        group("slave-1", Health::Down, now),
        maintained(group("slave-2", Health::Idle, now), MaintenanceState::Drain),
        group("zone-up", Health::Up, now),
    ];
    bench.current.store(Arc::new(decided(now, groups, vec![ingest])));
    bench
}

/// Takes the age out, which is never the same.
fn without_age(mut document: Value) -> Value {
    let age = document.as_object_mut().unwrap().remove("age_ms").unwrap();
    assert!(age.as_u64().is_some_and(|age| age < 60_000), "{age}");
    document
}

#[tokio::test]
async fn a_group_has_this_shape() {
    let bench = bench().await;
    let group = bench.get("/api/v1/groups/slave-1").await.json();
    assert_eq!(
        without_age(group),
        json!({
            "name": "slave-1", "health": "down", "eligible": false, "serving": null, "weight_ratio": 0.5,
            "members": { "expected": 2, "healthy": 1, "unknown": 0, "idle": 3 },
            "causes": ["stalled", "closed"], "failing": ["stream gate-1"],
            "since": "2026-09-21T14:13:20.250Z", "epoch": 7, "held": false, "address": "10.0.0.11",
            "maintenance": null, "answer": { "healthy": false, "basis": "verdict" }, "labels": { "site": "plant-a" },
        })
    );
    let drained = bench.get("/api/v1/groups/slave-2").await.json();
    assert_eq!(
        drained["maintenance"],
        json!({ "state": "drain", "reason": "new disk", "until": null, "created": "2026-09-21T14:13:20.250Z" })
    );
}

#[tokio::test]
async fn a_failover_has_this_shape() {
    let bench = bench().await;
    let failover = bench.get("/api/v1/failovers/ingest").await.json();
    let candidate = |group: &str, active: bool| {
        json!({
            "group": group, "value": format!("rtmp://{group}"), "eligible": true,
            "serving": if active { json!(true) } else { Value::Null },
            "suspect_until": if active { Value::Null } else { json!("2026-09-21T14:13:50.250Z") },
            "active": active, "answer": { "healthy": active, "basis": "verdict" },
        })
    };
    assert_eq!(
        without_age(failover),
        json!({
            "name": "ingest", "active": "slave-1", "value": "rtmp://slave-1", "address": "10.0.0.11", "epoch": 3,
            "reason": "not_eligible", "since": "2026-09-21T14:13:20.250Z", "suppressed": "pinned",
            "pinned": {
                "group": "slave-1", "reason": "rehearsal", "until": "2026-09-21T14:14:20.250Z",
                "created": "2026-09-21T14:13:20.250Z",
            },
            "isolated": false, "held": false, "labels": { "site": "plant-a" },
            "candidates": [candidate("slave-1", true), candidate("slave-2", false)],
        })
    );
}

#[tokio::test]
async fn the_status_has_both_in_the_same_shape() {
    let bench = bench().await;
    let status = bench.get("/api/v1/status").await.json();
    let lists = (bench.get("/api/v1/groups").await.json(), bench.get("/api/v1/failovers").await.json());
    let bare = |list: &Value| list.as_array().unwrap().iter().cloned().map(without_age).collect::<Vec<_>>();
    assert_eq!(bare(&status["groups"]), bare(&lists.0["groups"]));
    assert_eq!(bare(&status["failovers"]), bare(&lists.1["failovers"]));
    assert_eq!((&status["totals"]["groups"], &status["totals"]["failovers"]), (&json!(3), &json!(1)));
    assert_eq!(status["totals"]["groups_by_health"]["idle"], json!(1));
    assert_eq!(status["isolated_since"], Value::Null);
    let mut blind = (**bench.current.load()).clone();
    blind.sight.isolated_since = Some(since());
    bench.current.store(Arc::new(blind));
    let status = bench.get("/api/v1/status").await.json();
    assert_eq!(status["isolated_since"], "2026-09-21T14:13:20.250Z");
    let failover = &status["failovers"][0];
    assert_eq!((&failover["isolated"], &failover["held"]), (&json!(true), &json!(true)));
}

#[tokio::test]
async fn the_plain_page_shows_both_with_what_operators_said() {
    let bench = bench().await;
    let page = bench.get("/plain").await;
    let rows = |table: &str| {
        let (_, rest) = page.text().split_once(&format!("<tbody id=\"{table}\">\n")).unwrap();
        rest.split_once("</tbody>").unwrap().0.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let since = "2026-09-21T14:13:20.250Z";
    assert_eq!(
        rows("failovers"),
        [format!(
            "<tr><td>ingest</td><td>slave-1</td><td>not_eligible</td><td>no switch: pinned, pinned to slave-1: rehearsal</td>\
             <td>slave-1: eligible, serving; slave-2: eligible, suspect until 2026-09-21T14:13:50.250Z</td><td>{since}</td></tr>"
        )]
    );
    let groups = rows("groups");
    assert_eq!(groups.len(), 3);
    assert_eq!(
        groups[0],
        format!(
            "<tr class=\"down\"><td>slave-1</td><td>down</td><td title=\"stream gate-1\">stalled, closed</td>\
             <td class=\"number\">1 of 2</td><td>not eligible</td><td>{since}</td></tr>"
        )
    );
    assert!(groups[1].contains("drain: new disk"), "{}", groups[1]);
}

#[tokio::test]
async fn an_old_picture_shows_decisions_and_no_evidence() {
    let bench = bench().await;
    let mut old = (**bench.current.load()).clone();
    old.taken_at = bench.clock.now() - Duration::from_secs(6);
    bench.current.store(Arc::new(old));
    let group = bench.get("/api/v1/groups/slave-1").await.json();
    for (key, value) in
        [("health", json!("unknown")), ("eligible", Value::Null), ("causes", json!([])), ("failing", json!([]))]
    {
        assert_eq!(group[key], value, "{key}");
    }
    assert_eq!(group["answer"], json!({ "healthy": false, "basis": "held" }));
    let failover = bench.get("/api/v1/failovers/ingest").await.json();
    assert_eq!((&failover["active"], &failover["held"]), (&json!("slave-1"), &json!(true)));
    assert_eq!(failover["candidates"][0]["eligible"], Value::Null);
}

#[tokio::test]
async fn lists_are_filtered_and_typing_errors_are_told() {
    let bench = bench().await;
    let names = async |query: &str, kind: &str| {
        let list = bench.get(&format!("/api/v1/{kind}{query}")).await.json();
        list[kind].as_array().unwrap().iter().map(|g| g["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names("?state=down&state=idle", "groups").await, ["slave-1", "slave-2"]);
    assert_eq!(names("?cause=closed&q=zone", "groups").await, Vec::<String>::new());
    assert_eq!(names("?label=site:plant-a&q=zone", "groups").await, ["zone-up"]);
    assert_eq!(names("?label=site:plant-a", "failovers").await, ["ingest"]);
    assert_eq!(names("?label=site:other", "failovers").await, Vec::<String>::new());
    for bad in ["groups?state=broken", "groups?sate=up", "failovers?state=up", "failovers/ingest?x", "groups/slave-1?x"]
    {
        let answer = bench.get(&format!("/api/v1/{bad}")).await;
        assert_eq!((answer.status, answer.header("content-type")), (400, Some("application/problem+json")), "{bad}");
    }
    for unknown in
        ["groups/x", "groups/slave-1%2Fx", "failovers/x", "failovers/%2e%2e", "groups/x/events", "failovers/x/events"]
    {
        assert_eq!(bench.get(&format!("/api/v1/{unknown}")).await.status, 404, "{unknown}");
    }
}

#[tokio::test]
async fn each_has_its_own_history() {
    let bench = bench().await;
    let named = |name: &str| Name::new(name).unwrap();
    let switched = Event {
        subject: Subject::failover(&named("ingest")),
        kind: EventKind::Switched,
        from: Some(Status::Candidate(named("slave-1"))),
        to: Some(Status::Candidate(named("slave-2"))),
        reason: Some("not_serving"),
        epoch: Some(7),
        ..event("x", Health::Up)
    };
    bench.events.push(switched);
    bench.events.push(Event { subject: Subject::group(&named("slave-1")), ..event("x", Health::Down) });
    bench.events.push(event("slave-1", Health::Down));
    let events = bench.get("/api/v1/failovers/ingest/events").await.json();
    assert_eq!(
        (&events["events"][0]["kind"], &events["events"][0]["failover"]),
        (&json!("switched"), &json!("ingest"))
    );
    let told = ["from", "to", "reason", "epoch"].map(|field| events["events"][0][field].clone());
    assert_eq!(told, [json!("slave-1"), json!("slave-2"), json!("not_serving"), json!(7)]);
    assert_eq!(events["events"].as_array().unwrap().len(), 1);
    let events = bench.get("/api/v1/groups/slave-1/events").await.json();
    assert_eq!((events["events"].as_array().unwrap().len(), &events["events"][0]["group"]), (1, &json!("slave-1")));
    assert_eq!(bench.get("/api/v1/groups/zone-up/events").await.json()["events"], json!([]));
}
