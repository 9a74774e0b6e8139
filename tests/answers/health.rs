//! `/health/groups/…` and `/health/failovers/…`.

use std::time::Duration;

use rtmp_hmonitor::model::group::MaintenanceState;
use rtmp_hmonitor::model::spec::UnknownAnswer;
use rtmp_hmonitor::model::{Health, Name};
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::decisions::{decided, failover, group, maintained, specified, verdict};
use crate::support::{Answer, Bench, ask, exchange, server_spec};

async fn health(bench: &Bench, target: &str) -> (u16, Value) {
    let answer = ask(bench.health, &[&format!("GET /health/{target} HTTP/1.1")], "").await;
    (answer.status, answer.json())
}

/// Two slaves, the second down, and a failover between them.
async fn slaves() -> Bench {
    let bench = Bench::start(server_spec(), vec![]).await;
    let now = bench.clock.now();
    let groups = vec![group("slave-1", Health::Up, now), group("slave-2", Health::Down, now)];
    bench.current.store(Arc::new(decided(now, groups, vec![failover("ingest", &["slave-1", "slave-2"], now)])));
    bench
}

#[tokio::test]
async fn every_dialect_gets_the_same_status_on_both_listeners() {
    let bench = slaves().await;
    for address in [bench.health, bench.main] {
        for (target, status) in [
            ("groups/slave-1", 200),
            ("groups/slave-2", 503),
            ("groups/slave-3", 503),
            ("failovers/ingest/slave-1", 200),
            ("failovers/ingest/slave-2", 503),
            ("failovers/ingest/slave-3", 503),
            ("failovers/other/slave-1", 503),
        ] {
            for method in ["GET", "HEAD", "OPTIONS"] {
                for rest in ["HTTP/1.0\r\n\r\n", "HTTP/1.1\r\nHost: m\r\nConnection: close\r\n\r\n"] {
                    let request = format!("{method} /health/{target} {rest}");
                    let answer = Answer::parse(&exchange(address, request.as_bytes()).await);
                    assert_eq!(answer.status, status, "{request}");
                    assert_eq!(answer.body.is_empty(), method == "HEAD", "{request}");
                }
            }
        }
    }
}

#[tokio::test]
async fn paths_that_only_look_like_a_name_are_unknown_names() {
    let bench = slaves().await;
    for path in [
        "groups/slave-1/",
        "groups/slave-1%2F",
        "groups/slave-1%00",
        "groups/../groups/slave-1",
        "groups/%2e%2e/groups/slave-1",
        "groups//slave-1",
        "groups/SLAVE-1",
        "groups/%ff",
        "failovers/ingest",
        "failovers/ingest/",
        "failovers/ingest%2Fslave-1",
        "failovers/ingest/slave-1/slave-1",
        "failovers/ingest/slave-1%2Fslave-1",
        "failovers//slave-1",
    ] {
        let (status, body) = health(&bench, path).await;
        assert_eq!((status, &body["status"], &body["since"]), (503, &json!("unknown"), &Value::Null), "{path}");
    }
    // An escape that was not needed is the same name.
    assert_eq!(health(&bench, "groups/slave%2D1").await.0, 200);
}

#[tokio::test]
async fn the_body_says_why_since_when_and_by_which_decision() {
    let bench = slaves().await;
    let (status, body) = health(&bench, "groups/slave-2").await;
    assert_eq!((status, &body["status"], &body["causes"]), (503, &json!("down"), &json!(["stalled", "closed"])));
    assert_eq!(
        (&body["since"], &body["epoch"], &body["basis"]),
        (&json!("2026-09-21T14:13:20.250Z"), &json!(7), &json!("verdict"))
    );
    assert!(body["age_ms"].as_u64().is_some_and(|age| age < 60_000), "{body}");
    let (_, body) = health(&bench, "failovers/ingest/slave-1").await;
    assert_eq!((&body["status"], &body["epoch"]), (&json!("up"), &json!(3)), "the decision's number");
    // Fit, and not the one to use.
    let now = bench.clock.now();
    let groups = vec![group("slave-1", Health::Up, now), group("slave-2", Health::Up, now)];
    bench.current.store(Arc::new(decided(now, groups, vec![failover("ingest", &["slave-1", "slave-2"], now)])));
    let (status, body) = health(&bench, "failovers/ingest/slave-2").await;
    assert_eq!((status, &body["status"]), (503, &json!("up")));
    assert_eq!(health(&bench, "groups/slave-2").await.0, 200);
}

#[tokio::test]
async fn head_and_body_come_in_one_piece() {
    let bench = slaves().await;
    let mut stream = TcpStream::connect(bench.health).await.unwrap();
    for _ in 0..50 {
        stream.write_all(b"GET /health/failovers/ingest/slave-1 HTTP/1.1\r\nHost: m\r\n\r\n").await.unwrap();
        let mut piece = [0; 4096];
        let n = stream.read(&mut piece).await.unwrap();
        let answer = Answer::parse(&piece[..n]);
        assert_eq!(answer.header("content-length").unwrap().parse::<usize>().unwrap(), answer.body.len());
        assert_eq!(answer.json()["status"], "up");
    }
}

#[tokio::test]
async fn maintenance_is_out_of_service_and_a_drain_is_404_for_those_who_understand() {
    let bench = Bench::start(server_spec(), vec![]).await;
    let now = bench.clock.now();
    let idle = |name: &str, state| maintained(group(name, Health::Idle, now), state);
    let mut told = failover("ingest", &["drained", "broken", "out", "ready"], now);
    told.candidates = told
        .candidates
        .iter()
        .map(|c| rtmp_hmonitor::model::failover::CandidateView { answer: verdict(true), ..*c })
        .collect();
    let groups = vec![
        idle("drained", MaintenanceState::Drain),
        maintained(group("broken", Health::Down, now), MaintenanceState::Drain),
        idle("out", MaintenanceState::Maint),
        maintained(group("ready", Health::Up, now), MaintenanceState::Ready),
    ];
    bench.current.store(Arc::new(decided(now, groups, vec![told])));
    for place in ["groups", "failovers/ingest"] {
        for (name, query, status) in [
            ("drained", "?drain=404", 404),
            ("drained", "", 200),
            ("drained", "?drain=503", 200),
            ("drained", "?drain", 200),
            ("broken", "?drain=404", if place == "groups" { 503 } else { 200 }),
            ("out", "?drain=404", 503),
            ("out", "", 503),
            ("ready", "?drain=404", 200),
        ] {
            assert_eq!(health(&bench, &format!("{place}/{name}{query}")).await.0, status, "{place}/{name}{query}");
        }
    }
    let answers = crate::harness::metric(
        bench.get("/metrics").await.text(),
        "hmonitor_health_answers_total",
        &["view=\"groups\"", "answer=\"draining\""],
    );
    assert_eq!(answers, Some(1.0));
}

#[tokio::test]
async fn a_stalled_store_answers_by_each_object_s_policy_for_unknown() {
    let bench = Bench::start(server_spec(), vec![]).await;
    let expected =
        [("hold-up", 200, "held"), ("hold-down", 503, "held"), ("pass", 200, "unknown"), ("fail", 503, "unknown")];
    let show = |age: u64| {
        let now = bench.clock.now() - Duration::from_secs(age);
        let with = |name: &str, health, unknown| specified(group(name, health, now), |spec| spec.unknown = unknown);
        let mut failovers = Vec::new();
        for (name, healthy, unknown) in [
            ("hold-up", true, UnknownAnswer::Hold),
            ("hold-down", false, UnknownAnswer::Hold),
            ("pass", false, UnknownAnswer::Pass),
            ("fail", true, UnknownAnswer::Fail),
        ] {
            let mut view = failover(name, &["pass"], now);
            Arc::make_mut(&mut view.spec).unknown = unknown;
            view.candidates = view
                .candidates
                .iter()
                .map(|c| rtmp_hmonitor::model::failover::CandidateView { answer: verdict(healthy), ..*c })
                .collect();
            failovers.push(view);
        }
        let groups = vec![
            with("hold-up", Health::Up, UnknownAnswer::Hold),
            with("hold-down", Health::Down, UnknownAnswer::Hold),
            with("pass", Health::Down, UnknownAnswer::Pass),
            with("fail", Health::Up, UnknownAnswer::Fail),
        ];
        bench.current.store(Arc::new(decided(now, groups, failovers)));
    };
    show(6);
    for (name, status, basis) in expected {
        for target in [format!("groups/{name}"), format!("failovers/{name}/pass")] {
            let (got, body) = health(&bench, &target).await;
            assert_eq!((got, &body["status"], &body["basis"]), (status, &json!("unknown"), &json!(basis)), "{target}");
            assert_eq!(body["causes"], json!([]), "{target}");
        }
    }
    show(4);
    assert_eq!((health(&bench, "groups/fail").await.0, health(&bench, "groups/pass").await.0), (200, 503));
    assert_eq!(health(&bench, "failovers/fail/pass").await.0, 200);
}

#[tokio::test]
async fn a_removed_name_keeps_its_answer_and_is_counted() {
    let bench = Bench::start(server_spec(), vec![]).await;
    let now = bench.clock.now();
    let gone = vec![group("gone-down", Health::Down, now), group("gone-up", Health::Up, now)];
    let gone = decided(now, gone, vec![failover("gone", &["gone-up", "gone-down", "here"], now)]);
    let mut picture = decided(now, vec![group("here", Health::Up, now)], vec![failover("stays", &["gone-up"], now)]);
    let decisions = Arc::make_mut(&mut picture.decisions);
    decisions.departed_groups = Arc::clone(&gone.decisions.groups);
    decisions.departed_failovers = Arc::clone(&gone.decisions.failovers);
    bench.current.store(Arc::new(picture));
    for (target, status) in [
        ("groups/gone-up", 200),
        ("groups/gone-down", 503),
        ("failovers/gone/gone-up", 200),
        ("failovers/gone/here", 503),
        ("failovers/stays/gone-up", 200),
        ("failovers/stays/here", 503),
    ] {
        assert_eq!(health(&bench, target).await.0, status, "{target}");
    }
    assert_eq!(bench.get("/api/v1/groups/gone-up").await.status, 404, "the API knows what is configured");
    let metrics = bench.get("/metrics").await;
    let count = |answer: &str| {
        let label = format!("answer=\"{answer}\"");
        crate::harness::metric(metrics.text(), "hmonitor_health_answers_total", &["view=\"departed\"", &label])
    };
    assert_eq!((count("healthy"), count("unhealthy")), (Some(2.0), Some(2.0)));
}

#[tokio::test]
async fn a_load_balancer_that_does_otherwise_is_shown_and_believed_in_nothing() {
    let bench = slaves().await;
    let said =
        |target: &str, state: &str| format!("GET /health/{target} HTTP/1.0\r\nX-Haproxy-Server-State: {state}\r\n\r\n");
    let asks = [
        said("groups/slave-2", "UP; name=slaves/s2; node=lb1; weight=1/2; scur=3/4; qcur=0"),
        said("failovers/ingest/slave-1", "UP 2/3; name=ingest/slave-1; node=lb1"),
        said("groups/no-such", "UP; name=slaves/s3; node=lb1"),
        said("groups/slave-1", &format!("DOWN; name={}; node=x", "n".repeat(3000))),
    ];
    for (ask, status) in asks.iter().zip([503, 200, 503, 200]) {
        assert_eq!(Answer::parse(&exchange(bench.health, ask.as_bytes()).await).status, status, "{ask}");
    }
    let controllers = bench.get("/api/v1/status").await.json()["controllers"].clone();
    let objects: Vec<_> = controllers.as_array().unwrap().iter().map(|c| c["object"].as_str().unwrap()).collect();
    assert_eq!(objects, ["failover ingest/slave-1", "group slave-1", "group slave-2"], "no unknown names");
    let second = &controllers[2];
    assert_eq!((&second["node"], &second["server"], &second["up"]), (&json!("lb1"), &json!("slaves/s2"), &json!(true)));
    assert_eq!(
        (&second["told_healthy"], &second["disagrees"]),
        (&json!(false), &json!(false)),
        "it has only just been told"
    );
    // Long after: the clock's time cannot be turned, so the same is noted for later.
    let state = b"UP; name=slaves/s2; node=lb1";
    bench.views.controllers.note("group slave-2", state, false, bench.clock.now() + Duration::from_secs(30));
    let controllers = bench.get("/api/v1/status").await.json()["controllers"].clone();
    assert_eq!(controllers[2]["disagrees"], json!(true), "{controllers}");
    let metrics = bench.get("/metrics").await;
    let seconds = |object: &str| {
        let label = format!("object=\"{object}\"");
        crate::harness::metric(metrics.text(), "hmonitor_controller_disagreement_seconds", &[&label])
    };
    assert!(seconds("group slave-2").is_some_and(|s| (29.0..60.0).contains(&s)), "{:?}", seconds("group slave-2"));
    assert_eq!(seconds("failover ingest/slave-1"), Some(0.0));
}

#[tokio::test]
async fn what_was_answered_is_counted_by_view() {
    let bench = slaves().await;
    for target in ["groups/slave-1", "groups/slave-2", "groups/x", "failovers/ingest/slave-2", "failovers/ingest/x"] {
        health(&bench, target).await;
    }
    let metrics = bench.get("/metrics").await;
    let count = |view: &str, answer: &str| {
        let labels = [format!("view=\"{view}\""), format!("answer=\"{answer}\"")];
        crate::harness::metric(metrics.text(), "hmonitor_health_answers_total", &[&labels[0], &labels[1]])
    };
    assert_eq!((count("groups", "healthy"), count("groups", "unhealthy")), (Some(1.0), Some(1.0)));
    assert_eq!((count("groups", "no_such_name"), count("failovers", "no_such_name")), (Some(1.0), Some(1.0)));
    assert_eq!(count("failovers", "unhealthy"), Some(1.0));
    assert!(Name::new("ingest/slave-1").is_err(), "a slash in a name would make the agent's question ambiguous");
}
