//! Endpoints, services and paths as integrators and load balancers meet them: health answers, documents, filters, history, page.

mod support;

use std::sync::Arc;
use std::time::Duration;

use rtmp_hmonitor::model::event::Subject;
use rtmp_hmonitor::model::report::Fault;
use rtmp_hmonitor::model::snapshot::{StreamView, TargetView};
use rtmp_hmonitor::model::spec::UnknownAnswer;
use rtmp_hmonitor::model::target::TargetPolicy;
use rtmp_hmonitor::model::target_report::Facts;
use rtmp_hmonitor::model::{DownCause, Health, TargetClass};
use serde_json::json;
use support::{Answer, Bench, event, exchange, server_spec, snapshot, stream, targets};
use targets::{found, target, with};

/// Everything there is, with a stream that its server sees.
async fn bench() -> Bench {
    let bench = Bench::start(server_spec(), vec![]).await;
    let now = bench.clock.now();
    let served = StreamView {
        server: Some(targets::server_view(Some(targets::server_stream()), true)),
        ..stream("gate-1", Health::Down)
    };
    let mut views = targets::one_of_each(now);
    let mut lost = target("lost", targets::icmp(), Health::Down);
    let mut report = targets::report(now, Facts::None);
    report.last_success = None;
    report.duration = None;
    report.fault = Some(Fault { cause: DownCause::Timeout, since: now, detail: "3 pings unanswered".into() });
    lost.report = Some(Arc::new(report));
    views.push(lost);
    views.push(target("same-name", targets::icmp(), Health::Up));
    views.push(target("same-name", targets::vimeo(), Health::Down));
    let paths = vec![
        targets::path("broken", [Health::Up, Health::Down, Health::Down], false),
        targets::path("well", [Health::Up, Health::Up, Health::Idle], true),
    ];
    bench.current.store(Arc::new(with(snapshot(now, vec![served]), views, paths)));
    bench
}

async fn health(bench: &Bench, place: &str) -> (u16, serde_json::Value) {
    let answer = support::ask(bench.health, &[&format!("GET /health/{place} HTTP/1.1")], "").await;
    (answer.status, answer.json())
}

fn names(answer: &Answer, part: &str) -> Vec<String> {
    assert_eq!(answer.status, 200, "{}", answer.text());
    let document = answer.json();
    document[part].as_array().unwrap().iter().map(|s| s["name"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_load_balancer_asks_for_an_endpoint_or_a_service() {
    let bench = bench().await;
    for address in [bench.health, bench.main] {
        for (place, status) in [
            ("endpoints/host", 200),
            ("endpoints/lost", 503),
            ("endpoints/none", 503),
            ("services/lb", 200),
            // A name belongs to its class.
            ("services/host", 503),
            ("streams/host", 503),
            ("endpoints/same-name", 200),
            ("services/same-name", 503),
        ] {
            for method in ["GET", "HEAD", "OPTIONS"] {
                let request = format!("{method} /health/{place} HTTP/1.0\r\n\r\n");
                let answer = Answer::parse(&exchange(address, request.as_bytes()).await);
                assert_eq!((answer.status, answer.body.is_empty()), (status, method == "HEAD"), "{request}");
            }
        }
    }
    let (_, body) = health(&bench, "services/same-name").await;
    assert_eq!(
        body,
        json!({"status": "down", "causes": ["timeout"], "since": "2026-09-21T14:13:20.250Z", "age_ms": null, "epoch": 7, "basis": "verdict"})
    );
    let (_, body) = health(&bench, "endpoints/none").await;
    assert_eq!(
        body,
        json!({"status": "unknown", "causes": [], "since": null, "age_ms": null, "epoch": null, "basis": "unknown"})
    );
    assert!(health(&bench, "endpoints/host").await.1["age_ms"].is_u64());
}

#[tokio::test]
async fn a_stalled_store_and_a_removed_name_answer_as_for_streams() {
    let bench = Bench::start(server_spec(), vec![]).await;
    let with_policy = |name: &str, health, unknown| {
        let mut view = target(name, targets::postgres(), health);
        let mut spec = (*view.spec).clone();
        spec.policy = Arc::new(TargetPolicy { unknown, ..TargetPolicy::default() });
        view.spec = Arc::new(spec);
        view
    };
    let views = || {
        vec![
            with_policy("hold-up", Health::Up, UnknownAnswer::Hold),
            with_policy("hold-down", Health::Down, UnknownAnswer::Hold),
            with_policy("pass", Health::Down, UnknownAnswer::Pass),
            with_policy("fail", Health::Up, UnknownAnswer::Fail),
        ]
    };
    let mut picture = with(snapshot(bench.clock.now() - Duration::from_secs(6), vec![]), views(), vec![]);
    let gone = |name, check, health| -> Arc<TargetView> { Arc::new(target(name, check, health)) };
    picture.departed_targets = Arc::new([
        gone("gone-down", targets::icmp(), Health::Down),
        gone("gone-up", targets::icmp(), Health::Up),
        gone("gone-up", targets::vimeo(), Health::Up),
    ]);
    bench.current.store(Arc::new(picture.clone()));
    for (name, status, basis) in
        [("hold-up", 200, "held"), ("hold-down", 503, "held"), ("pass", 200, "unknown"), ("fail", 503, "unknown")]
    {
        let (got, body) = health(&bench, &format!("endpoints/{name}")).await;
        assert_eq!((got, &body["status"], &body["basis"]), (status, &"unknown".into(), &basis.into()), "{name}");
        assert_eq!(body["causes"], json!([]));
    }
    picture.taken_at = bench.clock.now();
    bench.current.store(Arc::new(picture));
    for (place, status) in [
        ("endpoints/fail", 200),
        ("endpoints/pass", 503),
        ("endpoints/gone-up", 200),
        ("endpoints/gone-down", 503),
        ("services/gone-up", 200),
        ("services/gone-down", 503),
    ] {
        assert_eq!(health(&bench, place).await.0, status, "{place}");
    }
    let metrics = bench.get("/metrics").await;
    for line in [
        r#"hmonitor_health_answers_total{answer="healthy",view="departed"} 2"#,
        r#"hmonitor_health_answers_total{answer="unhealthy",view="departed"} 1"#,
        r#"hmonitor_health_answers_total{answer="no_such_name",view="services"} 1"#,
        r#"hmonitor_health_answers_total{answer="held_healthy",view="endpoints"} 1"#,
        "hmonitor_endpoints_configured 4",
        "hmonitor_services_configured 0",
    ] {
        assert!(metrics.text().contains(line), "{line}");
    }
}

#[tokio::test]
async fn the_whole_picture_has_its_parts() {
    let bench = bench().await;
    let status = bench.get("/api/v1/status").await.json();
    let totals = &status["totals"];
    assert_eq!((&totals["endpoints"], &totals["services"], &totals["paths"]), (&9.into(), &5.into(), &2.into()));
    assert_eq!(totals["endpoints_by_health"], json!({"unknown": 0, "up": 8, "degraded": 0, "down": 1, "idle": 0}));
    assert_eq!((&totals["services_by_health"]["down"], &totals["paths_with_fault"]), (&1.into(), &1.into()));
    let find = |part: &str, name: &str| {
        let all = status[part].as_array().unwrap();
        all.iter().find(|t| t["name"] == name).unwrap_or_else(|| panic!("{part}/{name}")).clone()
    };
    for (part, name, kind, condition, figure) in [
        ("endpoints", "host", "icmp", json!(null), json!("1.25 ms, 12.5 % lost")),
        ("endpoints", "web", "http", json!(null), json!("HTTP 204, 12.0 ms")),
        ("endpoints", "certificate", "tls", json!(null), json!("12.0 ms")),
        ("endpoints", "names", "dns", json!(null), json!("2 answers, 12.0 ms")),
        ("endpoints", "link", "download", json!(null), json!("40.00 Mbit/s")),
        ("endpoints", "db", "postgres", json!("standby"), json!("standby, 1.5 s behind")),
        ("endpoints", "lost", "icmp", json!(null), json!(null)),
        ("services", "presenter", "web_presenter", json!("Streaming"), json!("Streaming, 6.60 Mbit/s")),
        ("services", "sunday", "vimeo", json!("live"), json!("live, 120 viewers")),
        ("services", "stat", "rtmp_server", json!(null), json!("2 publishing, 7 clients")),
        ("services", "lb", "haproxy", json!(null), json!("1 of 2 servers up")),
    ] {
        let shown = find(part, name);
        assert_eq!(
            (&shown["kind"], &shown["condition"], &shown["figure"]),
            (&kind.into(), &condition, &figure),
            "{name}"
        );
    }
    let lost = find("endpoints", "lost");
    assert_eq!(
        (&lost["health"], &lost["causes"], &lost["healthy"]),
        (&"down".into(), &json!(["timeout"]), &false.into())
    );
    assert_eq!(lost["labels"], json!({"site": "plant-a"}));

    let broken = find("paths", "broken");
    assert_eq!((&broken["health"], &broken["causes"]), (&"down".into(), &json!(["stalled"])));
    assert_eq!(
        broken["fault"],
        json!({"hop": "stream/gate-1", "index": 1, "since": "2026-09-21T14:13:20.000Z", "certain": false})
    );
    assert_eq!(
        broken["hops"][2],
        json!({"class": "service", "name": "presenter", "health": "down", "causes": ["stalled"], "consequence": true})
    );
    assert_eq!(
        broken["link"],
        json!({"streams": 1, "received_bitrate_bps": 2e6, "expected_bitrate_bps": 4e6, "receive_ratio": 0.5})
    );
    assert_eq!((&find("paths", "well")["health"], &find("paths", "well")["fault"]), (&"up".into(), &json!(null)));

    // A picture that nobody has renewed is not shown as current.
    let mut picture = (**bench.current.load()).clone();
    picture.taken_at = bench.clock.now() - Duration::from_secs(6);
    bench.current.store(Arc::new(picture));
    let status = bench.get("/api/v1/status").await.json();
    assert_eq!(status["totals"]["endpoints_by_health"]["unknown"], 9);
    let host = status["endpoints"].as_array().unwrap().iter().find(|t| t["name"] == "host").unwrap();
    assert_eq!((&host["health"], &host["figure"]), (&"unknown".into(), &json!(null)));
    assert_eq!((&status["paths"][0]["health"], &status["paths"][0]["fault"]), (&"unknown".into(), &json!(null)));
    assert_eq!(status["paths"][0]["link"]["receive_ratio"], json!(null));
    assert_eq!(bench.get("/api/v1/streams/gate-1").await.json()["server"], json!(null));
}

#[tokio::test]
async fn one_in_full() {
    let bench = bench().await;
    let one = bench.get("/api/v1/endpoints/lost").await.json();
    assert_eq!(
        (&one["target"], &one["checks"], &one["interval_seconds"]),
        (&"10.0.0.11".into(), &40.into(), &2.0.into())
    );
    assert_eq!((&one["failures"], &one["blind"]), (&json!({"timeout": 3}), &json!({"rate_limited": 2})));
    assert_eq!((&one["phase_seconds"], &one["duration_seconds"]), (&json!({"tcp": 0.003}), &json!(null)));
    assert_eq!((&one["fault"]["cause"], &one["fault"]["detail"]), (&"timeout".into(), &"3 pings unanswered".into()));
    assert_eq!((&one["last_success"], &one["facts"]), (&json!(null), &json!(null)));
    let one = bench.get("/api/v1/endpoints/web").await.json();
    assert_eq!((&one["target"], &one["facts"]), (&"http://10.0.0.11:8080".into(), &json!({"http": {"status": 204}})));
    let one = bench.get("/api/v1/endpoints/certificate").await.json();
    assert_eq!(one["certificate_expiry"], "2027-01-15T08:00:00.000Z");
    let one = bench.get("/api/v1/endpoints/names").await.json();
    assert_eq!(
        (&one["target"], &one["facts"]["dns"]["answers"]),
        (&"a media.example".into(), &json!(["192.0.2.1", "192.0.2.2"]))
    );
    let ping = &bench.get("/api/v1/endpoints/host").await.json()["facts"]["ping"];
    assert_eq!(
        (&ping["sent"], &ping["loss_ratio"], &ping["rtt_mean_seconds"]),
        (&8.into(), &0.125.into(), &0.00125.into())
    );
    let one = bench.get("/api/v1/services/presenter").await.json();
    assert_eq!(one["facts"]["web_presenter"]["format"], "1920x1080p29.97");
    let vimeo = &bench.get("/api/v1/services/sunday").await.json()["facts"]["vimeo"];
    assert_eq!((&vimeo["title"], &vimeo["ingest"]["height_pixels"]), (&"Sunday service".into(), &1080.into()));
    let server = &bench.get("/api/v1/services/stat").await.json()["facts"]["rtmp_server"];
    assert_eq!((&server["streams"], &server["publishing"]), (&3.into(), &2.into()));
    let proxies = &bench.get("/api/v1/services/lb").await.json()["facts"]["haproxy"]["proxies"];
    assert_eq!((&proxies[0]["name"], &proxies[0]["servers"][0]["status"]), (&"slaves".into(), &"DOWN".into()));
    assert_eq!(bench.get("/api/v1/paths/broken").await.json()["fault"]["index"], 1);

    // What the server says is beside what playing says.
    let one = bench.get("/api/v1/streams/gate-1").await.json();
    let server = &one["server"];
    assert_eq!(
        (&one["health"], &server["publishing"], &server["service"]),
        (&"down".into(), &true.into(), &"stat".into())
    );
    assert_eq!((&server["bitrate_bps"], &server["players"]), (&2e6.into(), &3.into()));
    assert_eq!(
        (&server["video"]["codec"], &server["video"]["frames_per_second"], &server["audio"]["sample_rate_hz"]),
        (&"h264".into(), &25.0.into(), &48_000.into())
    );
    assert_eq!(server["unplayable_since"], "2026-09-21T14:13:20.000Z");
    for place in ["endpoints/none", "services/host", "paths/none", "streams/host"] {
        let answer = bench.get(&format!("/api/v1/{place}")).await;
        assert_eq!((answer.status, answer.header("content-type")), (404, Some("application/problem+json")), "{place}");
    }
}

#[tokio::test]
async fn filters_narrow_and_mistakes_are_told() {
    let bench = bench().await;
    for (list, query, expected) in [
        ("endpoints", "?state=down", vec!["lost"]),
        ("endpoints", "?cause=timeout&label=site:plant-a", vec!["lost"]),
        ("endpoints", "?q=o&state=up", vec!["host"]),
        ("endpoints", "?label=site:plant-b", vec![]),
        ("services", "?state=up&state=degraded", vec!["lb", "presenter", "stat", "sunday"]),
        ("services", "?q=same", vec!["same-name"]),
        ("paths", "", vec!["broken", "well"]),
        ("paths", "?state=down", vec!["broken"]),
        ("paths", "?cause=stalled", vec!["broken"]),
        ("paths", "?cause=timeout", vec![]),
        ("paths", "?label=site:plant-a&q=we", vec!["well"]),
    ] {
        assert_eq!(names(&bench.get(&format!("/api/v1/{list}{query}")).await, list), expected, "{list}{query}");
    }
    for list in ["endpoints", "services", "paths"] {
        for query in ["?sate=down", "?state=dead", "?cause=x", "?label=site", "?q=a&q=b"] {
            assert_eq!(bench.get(&format!("/api/v1/{list}{query}")).await.status, 400, "{list}{query}");
        }
        assert_eq!(bench.get(&format!("/api/v1/{list}/x?state=up")).await.status, 400);
    }
}

#[tokio::test]
async fn each_has_its_own_history() {
    let bench = bench().await;
    let push = |class, name: &str| {
        let id = rtmp_hmonitor::model::TargetId { class, name: rtmp_hmonitor::model::Name::new(name).unwrap() };
        bench
            .events
            .push(rtmp_hmonitor::model::event::Event { subject: Subject::target(&id), ..event("x", Health::Down) });
    };
    push(TargetClass::Endpoint, "same-name");
    push(TargetClass::Service, "same-name");
    push(TargetClass::Service, "removed-long-ago");
    bench.events.push(event("same-name", Health::Up));
    for (class, other) in [("endpoint", "service"), ("service", "endpoint")] {
        let events = bench.get(&format!("/api/v1/{class}s/same-name/events")).await.json();
        let events = events["events"].as_array().unwrap();
        assert_eq!(events.len(), 1);
        assert_eq!((&events[0][class], events[0].get(other)), (&"same-name".into(), None));
    }
    assert_eq!(bench.get("/api/v1/services/removed-long-ago/events").await.status, 200);
    assert_eq!(bench.get("/api/v1/endpoints/lost/events").await.json(), json!({"events": []}));
    for place in ["endpoints/removed-long-ago", "services/none", "endpoints/b%20d"] {
        assert_eq!(bench.get(&format!("/api/v1/{place}/events")).await.status, 404, "{place}");
    }
}

#[tokio::test]
async fn nothing_secret_is_shown() {
    let bench = bench().await;
    let mut shown = String::new();
    for path in [
        "/metrics",
        "/",
        "/api/v1/status",
        "/api/v1/streams",
        "/api/v1/endpoints",
        "/api/v1/services",
        "/api/v1/paths",
        "/api/v1/streams/gate-1",
        "/api/v1/services/stat",
        "/api/v1/services/lb",
        "/api/v1/endpoints/web",
        "/api/v1/endpoints/db",
        "/health/services/stat",
    ] {
        let answer = bench.get(path).await;
        assert_eq!(answer.status, 200, "{path}");
        shown.push_str(answer.text());
    }
    for secret in targets::SECRETS {
        assert!(!shown.contains(secret), "{secret}");
    }
}

#[tokio::test]
async fn the_plain_page_has_a_table_of_each() {
    let bench = bench().await;
    let now = bench.clock.now();
    let mut picture = (**bench.current.load()).clone();
    let mut odd = targets::device();
    odd.status = "<script>alert('x')</script>".into();
    let odd = found("odd", targets::web_presenter(), now, Facts::WebPresenter(Arc::new(odd)));
    picture = with(
        picture,
        vec![odd, found("host", targets::icmp(), now, targets::ping())],
        vec![targets::path("broken", [Health::Unknown, Health::Down, Health::Down], false)],
    );
    bench.current.store(Arc::new(picture));
    let page = bench.get("/plain").await;
    for row in [
        r#"<tr class="up"><td>host</td><td>up</td><td title="said for people"></td><td>icmp</td><td>1.25 ms, 12.5 % lost</td><td>2026-09-21T14:13:20.250Z</td></tr>"#,
        r#"<td>web_presenter</td><td>&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;, 6.60 Mbit/s</td>"#,
        r#"<tr class="down"><td>broken</td><td>down</td><td>stalled</td><td>stream/gate-1 or before</td><td class="number">50 %</td><td>2026-09-21T14:13:20.000Z</td></tr>"#,
    ] {
        assert!(page.text().contains(row), "{row}\n{}", page.text());
    }
    let tables: Vec<usize> = ["streams", "endpoints", "services", "paths"]
        .map(|t| page.text().find(&format!("<tbody id=\"{t}\">")).unwrap())
        .into();
    let rows: Vec<usize> =
        ["gate-1", "host", "odd", "broken"].map(|n| page.text().find(&format!("<td>{n}</td>")).unwrap()).into();
    for i in 0..4 {
        assert!(tables[i] < rows[i] && tables.get(i + 1).is_none_or(|next| rows[i] < *next), "{i}");
    }
    assert!(!page.text().contains("<script"));
    assert!(!page.text().contains("<!--rows-->"));
}
