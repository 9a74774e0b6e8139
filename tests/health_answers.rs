//! What a load balancer reads: 200 or 503, in whatever dialect it asks, from one write.

mod support;

use std::time::Duration;

use rtmp_hmonitor::model::spec::UnknownAnswer;
use rtmp_hmonitor::model::{Health, StreamPolicy};
use std::sync::Arc;
use support::{Answer, Bench, exchange, server_spec, stream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

fn with_policy(
    mut view: rtmp_hmonitor::model::snapshot::StreamView,
    unknown: UnknownAnswer,
) -> rtmp_hmonitor::model::snapshot::StreamView {
    let mut spec = (*view.spec).clone();
    spec.policy = Arc::new(StreamPolicy { unknown, ..StreamPolicy::default() });
    view.spec = Arc::new(spec);
    view
}

async fn status_of(bench: &Bench, name: &str) -> (u16, serde_json::Value) {
    let answer = support::ask(bench.health, &[&format!("GET /health/streams/{name} HTTP/1.1")], "").await;
    (answer.status, answer.json())
}

#[tokio::test]
async fn every_dialect_gets_the_same_status_on_both_listeners() {
    let bench = Bench::start(server_spec(), vec![stream("up", Health::Up), stream("down", Health::Down)]).await;
    for address in [bench.health, bench.main] {
        for (name, status) in [("up", 200), ("down", 503), ("no-such", 503)] {
            for method in ["GET", "HEAD", "OPTIONS"] {
                for rest in ["HTTP/1.0\r\n\r\n", "HTTP/1.1\r\nHost: m\r\nConnection: close\r\n\r\n"] {
                    let request = format!("{method} /health/streams/{name} {rest}");
                    let answer = Answer::parse(&exchange(address, request.as_bytes()).await);
                    assert_eq!(answer.status, status, "{request}");
                    assert_eq!(answer.body.is_empty(), method == "HEAD", "{request}");
                    assert_eq!(answer.header("cache-control"), Some("no-store"));
                }
            }
        }
    }
    // Whatever the query says, and with a header HAProxy adds.
    let request = "GET /health/streams/up?%ff&x HTTP/1.0\r\nX-Haproxy-Server-State: UP; name=b/s1; weight=1/1\r\n\r\n";
    assert_eq!(Answer::parse(&exchange(bench.health, request.as_bytes()).await).status, 200);
    // A kind of target that is not there (yet) is an unknown target.
    let request = "OPTIONS /health/groups/slave-1 HTTP/1.0\r\n\r\n";
    assert_eq!(Answer::parse(&exchange(bench.health, request.as_bytes()).await).status, 503);
}

#[tokio::test]
async fn the_body_says_why() {
    let mut down = stream("down", Health::Down);
    let bench = Bench::start(server_spec(), vec![]).await;
    down.report = Some(Arc::new(support::report(bench.clock.now() - Duration::from_millis(700))));
    bench.show(Duration::ZERO, vec![down, stream("degraded", Health::Degraded), stream("idle", Health::Idle)]);
    let (status, body) = status_of(&bench, "down").await;
    let age = body["age_ms"].as_u64().unwrap();
    assert_eq!((status, (700..5000).contains(&age)), (503, true), "{body}");
    assert_eq!(body["status"], "down");
    assert_eq!(body["causes"], serde_json::json!(["stalled"]));
    assert_eq!(body["since"], "2026-09-21T14:13:20.250Z");
    assert_eq!((&body["epoch"], &body["basis"]), (&serde_json::json!(7), &serde_json::json!("verdict")));
    let (status, body) = status_of(&bench, "degraded").await;
    assert_eq!((status, &body["status"], &body["age_ms"]), (200, &"degraded".into(), &serde_json::Value::Null));
    assert_eq!(body["causes"], serde_json::json!(["bitrate_low"]));
    let (status, body) = status_of(&bench, "idle").await;
    assert_eq!((status, &body["status"]), (200, &"idle".into()));
}

#[tokio::test]
async fn head_and_body_come_in_one_piece() {
    let bench = Bench::start(server_spec(), vec![stream("up", Health::Up)]).await;
    let mut stream = TcpStream::connect(bench.health).await.unwrap();
    for _ in 0..50 {
        stream.write_all(b"GET /health/streams/up HTTP/1.1\r\nHost: m\r\n\r\n").await.unwrap();
        let mut piece = [0; 4096];
        let n = stream.read(&mut piece).await.unwrap();
        let answer = Answer::parse(&piece[..n]);
        assert_eq!(answer.header("content-length").unwrap().parse::<usize>().unwrap(), answer.body.len());
        assert_eq!(answer.json()["status"], "up");
    }
}

#[tokio::test]
async fn a_stalled_store_answers_by_the_policy_for_unknown() {
    let bench = Bench::start(server_spec(), vec![]).await;
    let streams = || {
        vec![
            with_policy(stream("hold-up", Health::Up), UnknownAnswer::Hold),
            with_policy(stream("hold-down", Health::Down), UnknownAnswer::Hold),
            with_policy(stream("pass", Health::Down), UnknownAnswer::Pass),
            with_policy(stream("fail", Health::Up), UnknownAnswer::Fail),
        ]
    };
    let expected =
        [("hold-up", 200, "held"), ("hold-down", 503, "held"), ("pass", 200, "unknown"), ("fail", 503, "unknown")];
    bench.show(Duration::from_secs(6), streams());
    for (name, status, basis) in expected {
        let (got, body) = status_of(&bench, name).await;
        assert_eq!((got, &body["status"], &body["basis"]), (status, &"unknown".into(), &basis.into()), "{name}");
        assert_eq!(body["causes"], serde_json::json!([]));
    }
    // Just within its age the verdicts count.
    bench.show(Duration::from_secs(4), streams());
    assert_eq!(status_of(&bench, "fail").await.0, 200);
    assert_eq!(status_of(&bench, "pass").await.0, 503);
}

#[tokio::test]
async fn a_removed_name_keeps_its_answer_and_is_counted() {
    let bench = Bench::start(server_spec(), vec![]).await;
    let mut picture = support::snapshot(bench.clock.now(), vec![stream("kept", Health::Up)]);
    picture.departed = Arc::new([Arc::new(stream("gone-down", Health::Down)), Arc::new(stream("gone-up", Health::Up))]);
    bench.current.store(Arc::new(picture));
    assert_eq!(status_of(&bench, "gone-up").await.0, 200);
    assert_eq!(status_of(&bench, "gone-down").await.0, 503);
    assert_eq!(status_of(&bench, "never-there").await.0, 503);
    let metrics = bench.get("/metrics").await;
    for line in [
        r#"hmonitor_health_answers_total{answer="healthy",view="departed"} 1"#,
        r#"hmonitor_health_answers_total{answer="unhealthy",view="departed"} 1"#,
        r#"hmonitor_health_answers_total{answer="no_such_name",view="streams"} 1"#,
    ] {
        assert!(metrics.text().contains(line), "{line}");
    }
}

#[tokio::test]
async fn the_monitor_itself() {
    let bench = Bench::start(server_spec(), vec![stream("down", Health::Down)]).await;
    bench.views.control.status().note_reload(false);
    let paths = ["/health", "/livez", "/readyz", "/-/healthy", "/-/ready", "/livez/store", "/readyz/first-fold"];
    for path in paths {
        // Neither a target that is down nor a rejected configuration makes the monitor unhealthy.
        let answer = support::ask(bench.health, &[&format!("GET {path} HTTP/1.1")], "").await;
        assert_eq!(answer.status, 200, "{path}");
    }
    let health = bench.get("/health").await.json();
    assert_eq!((&health["status"], &health["config_reload_successful"]), (&"up".into(), &false.into()));

    bench.show(Duration::from_secs(6), vec![]);
    let statuses = [503, 500, 500, 200, 503, 500, 200];
    for (path, status) in paths.into_iter().zip(statuses) {
        assert_eq!(bench.get(path).await.status, status, "{path}");
    }
    let excluded = bench.get("/readyz?exclude=store&exclude=nothing").await;
    assert_eq!((excluded.status, excluded.text()), (200, "ok"));

    let mut early = support::snapshot(bench.clock.now(), vec![]);
    early.complete = false;
    bench.current.store(Arc::new(early));
    assert_eq!(bench.get("/livez").await.status, 200);
    let ready = bench.get("/readyz").await;
    let list = "[+]ping ok\n[+]store ok\n[+]control ok\n[-]first-fold failed: reason withheld\nreadyz check failed\n";
    assert_eq!((ready.status, ready.text()), (500, list));
    let ready = bench.get("/readyz?verbose&exclude=first-fold").await;
    let list = "[+]ping ok\n[+]store ok\n[+]control ok\n[+]first-fold excluded: ok\nreadyz check passed\n";
    assert_eq!((ready.status, ready.text()), (200, list));
    assert_eq!(bench.get("/readyz/no-such").await.status, 404);
}

#[tokio::test]
async fn the_monitor_is_not_well_without_control() {
    let bench = Bench::start(server_spec(), vec![stream("up", Health::Up)]).await;
    let control = bench.views.control.status();
    assert_eq!(bench.get("/health").await.json()["control_age_ms"], serde_json::Value::Null, "it has not begun");
    control.beat(bench.clock.now() - Duration::from_secs(6));
    let health = bench.get("/health").await;
    assert_eq!((health.status, &health.json()["status"]), (503, &"down".into()));
    assert!(health.json()["control_age_ms"].as_u64().is_some_and(|age| age >= 6000));
    assert_eq!(bench.get("/livez/control").await.status, 500);
    assert_eq!(bench.get("/livez").await.status, 500);
    control.beat(bench.clock.now());
    assert_eq!(bench.get("/health").await.status, 200);
    control.beat(bench.clock.now() - Duration::from_secs(6));
    control.rest();
    assert_eq!(bench.get("/health").await.status, 200, "it has ended, as it shall");
}

#[tokio::test]
async fn the_health_listener_has_nothing_else_and_lives_through_bad_clients() {
    let mut spec = server_spec();
    spec.limits.health_connections = 4;
    let bench = Bench::start(spec, vec![stream("up", Health::Up)]).await;
    for path in ["/metrics", "/api/v1/status", "/", "/probe"] {
        assert_eq!(support::ask(bench.health, &[&format!("GET {path} HTTP/1.1")], "").await.status, 404, "{path}");
    }
    assert_eq!(support::ask(bench.health, &["POST /health/streams/up HTTP/1.1"], "").await.status, 405);
    // More held-open connections than there may be: the newest is still served.
    let mut held = Vec::new();
    for _ in 0..12 {
        let mut stream = TcpStream::connect(bench.health).await.unwrap();
        stream.write_all(b"GET /health/streams/up HT").await.unwrap();
        held.push(stream);
        assert_eq!(status_of(&bench, "up").await.0, 200);
    }
    // Resets right after the question.
    for _ in 0..20 {
        let mut stream = TcpStream::connect(bench.health).await.unwrap();
        stream.write_all(b"OPTIONS /health/streams/up HTTP/1.0\r\n\r\n").await.unwrap();
        stream.set_zero_linger().unwrap();
    }
    let garbage: [&[u8]; 3] =
        [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"GET / HTTP/9.9\r\n\r\n", &[b'A'; 40_000]];
    for bytes in garbage {
        let mut stream = TcpStream::connect(bench.health).await.unwrap();
        // It may be refused before all is sent.
        let _ = stream.write_all(bytes).await;
        drop(stream);
    }
    assert_eq!(status_of(&bench, "up").await.0, 200);
}
