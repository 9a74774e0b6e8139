//! The API as an integrator meets it: the picture, its parts, intent, one-shot probes, and what is refused.

mod support;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rtmp_hmonitor::control::ControlError;
use rtmp_hmonitor::control::handle::{Command, OneShot};
use rtmp_hmonitor::model::health::DegradedCauses;
use rtmp_hmonitor::model::server::{ProbeModule, ServerTls};
use rtmp_hmonitor::model::snapshot::{Silence, StreamView};
use rtmp_hmonitor::model::spec::{PhaseTimeouts, TlsSpec};
use rtmp_hmonitor::model::{DegradedCause, DownCause, Health, StreamPolicy};
use serde_json::json;
use support::{Answer, Bench, OPERATE, SECRET_KEY, exchange, report, server_spec, stream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

fn names(answer: &Answer) -> Vec<String> {
    assert_eq!(answer.status, 200, "{}", answer.text());
    let document = answer.json();
    let streams = document["streams"].as_array().unwrap();
    streams.iter().map(|s| s["name"].as_str().unwrap().to_owned()).collect()
}

fn problem(answer: &Answer, status: u16) {
    assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{}", answer.text());
    assert_eq!((answer.status, &answer.json()["status"]), (status, &status.into()), "{}", answer.text());
}

#[tokio::test]
async fn the_whole_picture() {
    let bench = Bench::start(server_spec(), vec![]).await;
    let now = bench.clock.now();
    let playing = StreamView { report: Some(Arc::new(report(now))), ..stream("b", Health::Up) };
    bench.show(Duration::ZERO, vec![playing, stream("a", Health::Down)]);
    let status = bench.get("/api/v1/status").await.json();
    assert_eq!(status["totals"]["by_health"], json!({"unknown": 0, "up": 1, "degraded": 0, "down": 1, "idle": 0}));
    assert_eq!(status["totals"]["bitrate_bps"], 266_000.0 * 8.0);
    assert_eq!(status["monitor"]["status"], "up");
    let streams = &status["streams"];
    assert_eq!((&streams[0]["name"], &streams[0]["causes"]), (&"a".into(), &json!(["stalled"])));
    assert_eq!((&streams[0]["bitrate_bps"], &streams[0]["healthy"]), (&json!(null), &false.into()));
    assert_eq!((&streams[1]["frames_per_second"], &streams[1]["labels"]), (&json!(25.0), &json!({"site": "plant-a"})));

    let one = bench.get("/api/v1/streams/b").await.json();
    assert_eq!(one["url"], "rtmp://10.0.0.11:1935/live/***");
    assert_eq!(one["connection"]["phase_seconds"]["handshake"], 0.003);
    assert_eq!(one["connection"]["failures"], json!({}));
    assert_eq!(one["media"]["video"]["codec"], "h264");
    assert_eq!(one["media"]["audio"]["sample_rate_hz"], 48_000);
    problem(&bench.get("/api/v1/streams/none").await, 404);

    // A picture that nobody has renewed is not shown as current.
    bench.show(Duration::from_secs(6), vec![stream("a", Health::Up)]);
    let status = bench.get("/api/v1/status").await.json();
    assert_eq!((&status["monitor"]["status"], &status["streams"][0]["health"]), (&"down".into(), &"unknown".into()));
}

#[tokio::test]
async fn what_counts_for_nothing_is_told_beside_the_causes() {
    let mut noted = stream("noted", Health::Up);
    noted.verdict.noted = DegradedCauses::EMPTY.with(DegradedCause::Black);
    let mut black = stream("black", Health::Down);
    black.verdict.down = Some(DownCause::Black);
    let bench = Bench::start(server_spec(), vec![black, noted, stream("up", Health::Up)]).await;
    let of = |name: &str| format!("/api/v1/streams/{name}");
    let document = bench.get(&of("noted")).await.json();
    assert_eq!((&document["health"], &document["healthy"]), (&"up".into(), &true.into()));
    assert_eq!((&document["causes"], &document["noted"]), (&json!([]), &json!(["black"])));
    let document = bench.get(&of("black")).await.json();
    assert_eq!((&document["health"], &document["healthy"]), (&"down".into(), &false.into()));
    assert_eq!((&document["causes"], &document["noted"]), (&json!(["black"]), &json!([])));
    assert_eq!(names(&bench.get("/api/v1/streams?cause=black").await), ["black", "noted"]);
}

#[tokio::test]
async fn filters_narrow_and_mistakes_are_told() {
    let streams = vec![stream("gate-1", Health::Up), stream("gate-2", Health::Down), stream("yard", Health::Degraded)];
    let bench = Bench::start(server_spec(), streams).await;
    for (query, expected) in [
        ("", vec!["gate-1", "gate-2", "yard"]),
        ("?state=down", vec!["gate-2"]),
        ("?state=down&state=degraded", vec!["gate-2", "yard"]),
        ("?cause=bitrate_low", vec!["yard"]),
        ("?q=gate", vec!["gate-1", "gate-2"]),
        ("?label=site:plant-a&q=1", vec!["gate-1"]),
        ("?label=site%3Aplant-a&state=up", vec!["gate-1"]),
        ("?label=site:plant-b", vec![]),
        ("?label=none:x", vec![]),
    ] {
        assert_eq!(names(&bench.get(&format!("/api/v1/streams{query}")).await), expected, "{query}");
    }
    for query in ["?sate=down", "?state=dead", "?cause=x", "?label=site", "?q=a&q=b", "?q=%ff"] {
        problem(&bench.get(&format!("/api/v1/streams{query}")).await, 400);
    }
}

#[tokio::test]
async fn streams_are_added_and_removed() {
    let mut bench = Bench::start(server_spec(), vec![]).await;
    bench.control(|command| match command {
        Command::AddStream { definition, reply } => {
            let name = rtmp_hmonitor::model::Name::new(definition["name"].as_str().unwrap()).unwrap();
            let _ = reply.send(match name.as_str() {
                "taken" => Err(ControlError::Exists(name)),
                "bad" => Err(ControlError::Invalid(vec!["url: no scheme".into(), "stall_timeout: no unit".into()])),
                "disk" => Err(ControlError::Storage(format!("/var/lib: {SECRET_KEY}"))),
                _ => Ok(name),
            });
        }
        Command::RemoveStream { name, reply } => {
            let _ = reply.send(match name.as_str() {
                "file" => Err(ControlError::NotRemovable(name)),
                "none" => Err(ControlError::NotFound(name)),
                _ => Ok(()),
            });
        }
        other => panic!("{other:?}"),
    });
    let answer = bench.operate("POST /api/v1/streams", r#"{"name": "new", "url": "rtmp://h/a/b"}"#).await;
    assert_eq!((answer.status, answer.header("location")), (201, Some("/api/v1/streams/new")));
    problem(&bench.operate("POST /api/v1/streams", r#"{"name": "taken"}"#).await, 409);
    let answer = bench.operate("POST /api/v1/streams", r#"{"name": "bad"}"#).await;
    problem(&answer, 422);
    assert_eq!(answer.json()["errors"], json!(["url: no scheme", "stall_timeout: no unit"]));
    let answer = bench.operate("POST /api/v1/streams", r#"{"name": "disk"}"#).await;
    problem(&answer, 500);
    assert!(!answer.text().contains(SECRET_KEY));
    let answer = bench.operate("POST /api/v1/streams", &format!(r#"{{"name": "new", "url": {SECRET_KEY}}}"#)).await;
    problem(&answer, 400);
    assert!(!answer.text().contains(SECRET_KEY));
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    problem(&bench.operate("POST /api/v1/streams", &deep).await, 400);
    problem(&bench.operate("POST /api/v1/streams", &" ".repeat(300 * 1024)).await, 413);
    let authorization = format!("Authorization: Bearer {OPERATE}");
    for kind in ["text/plain", "application/x-www-form-urlencoded", "application/jsonp"] {
        let head = ["POST /api/v1/streams HTTP/1.1", &authorization, &format!("Content-Type: {kind}")];
        problem(&bench.ask(&head, r#"{"name": "new"}"#).await, 415);
    }
    for (name, status) in [("new", 204), ("file", 409), ("none", 404), ("b%20d", 404)] {
        assert_eq!(bench.operate(&format!("DELETE /api/v1/streams/{name}"), "").await.status, status, "{name}");
    }
}

#[tokio::test]
async fn a_silence_has_a_reason_and_an_end() {
    let mut bench = Bench::start(server_spec(), vec![stream("a", Health::Down)]).await;
    bench.control(|command| match command {
        Command::Silence { reason, until, reply, .. } => {
            let created = SystemTime::UNIX_EPOCH;
            let _ = reply.send(Ok(Arc::new(Silence { reason, until, created })));
        }
        Command::Unsilence { reply, .. } => {
            let _ = reply.send(Ok(()));
        }
        other => panic!("{other:?}"),
    });
    let line = "PUT /api/v1/streams/a/silence";
    let answer = bench.operate(line, r#"{"reason": " lens cleaning ", "until": "2999-01-02T03:04:05+01:00"}"#).await;
    assert_eq!((answer.status, &answer.json()["until"]), (200, &"2999-01-02T02:04:05.000Z".into()));
    assert_eq!(answer.json()["reason"], "lens cleaning");
    assert_eq!(bench.operate(line, r#"{"reason": "x"}"#).await.json()["until"], json!(null));
    let until = bench.operate(line, r#"{"reason": "x", "until": "2h"}"#).await.json()["until"].clone();
    let until: jiff::Timestamp = until.as_str().unwrap().parse().unwrap();
    let from_now = until.as_second() - jiff::Timestamp::now().as_second();
    assert!((7190..=7200).contains(&from_now), "{from_now}");
    for (body, status) in [
        (r#"{"reason": ""}"#.to_owned(), 422),
        (r#"{"reason": "a\nb"}"#.to_owned(), 422),
        (format!(r#"{{"reason": "{}"}}"#, "x".repeat(501)), 422),
        (r#"{"reason": "x", "until": "2001-01-01T00:00:00Z"}"#.to_owned(), 422),
        (r#"{"reason": "x", "until": "0s"}"#.to_owned(), 422),
        (r#"{"reason": "x", "until": "soon"}"#.to_owned(), 422),
        (r#"{"reason": "x", "until": "999999999999years"}"#.to_owned(), 422),
        (r#"{"reason": "x", "until": "20000years"}"#.to_owned(), 422),
        (r#"{"reason": "x", "untill": "2h"}"#.to_owned(), 400),
        (r#"{}"#.to_owned(), 400),
    ] {
        let answer = bench.operate(line, &body).await;
        problem(&answer, status);
    }
    assert_eq!(bench.operate("DELETE /api/v1/streams/a/silence", "").await.status, 204);
}

#[tokio::test]
async fn control_that_is_busy_or_gone_is_told() {
    let mut bench = Bench::start(server_spec(), vec![]).await;
    bench.control(|command| match command {
        Command::Reload { reply } => drop(reply.send(Err(ControlError::Busy))),
        other => panic!("{other:?}"),
    });
    let answer = bench.operate("POST /-/reload", "").await;
    problem(&answer, 503);
    assert_eq!(answer.header("retry-after"), Some("1"));

    let mut spec = server_spec();
    spec.limits.request_timeout = Duration::from_millis(200);
    let mut bench = Bench::start(spec, vec![]).await;
    problem(&bench.operate("POST /-/reload", "").await, 504);
    bench.commands.close();
    problem(&bench.operate("POST /-/reload", "").await, 503);
}

fn module(name: &str) -> ProbeModule {
    ProbeModule {
        name: name.into(),
        duration: Duration::from_secs(1),
        timeouts: PhaseTimeouts::default(),
        tls: TlsSpec::default(),
        policy: Arc::new(StreamPolicy::default()),
        allow: vec![],
    }
}

#[tokio::test]
async fn a_target_is_probed_once() {
    let bench = Bench::start(server_spec(), vec![]).await;
    problem(&bench.get("/probe?target=rtmp://h/a/b").await, 403);
    let mut spec = server_spec();
    spec.modules = vec![module("short")];
    let mut bench = Bench::start(spec.clone(), vec![]).await;
    let now = bench.clock.now();
    let mut never_answered = Vec::new();
    bench.control(move |command| match command {
        Command::Probe { target, module, reply } => {
            assert_eq!(&*module, "short");
            let health = if target.app() == "live" { Health::Up } else { Health::Down };
            let host = target.host().to_string();
            if host == "slow" {
                never_answered.push(reply);
                return;
            }
            let _ = reply.send(match host.as_str() {
                "elsewhere" => Err(ControlError::NotAllowed),
                _ => Ok(OneShot {
                    report: report(now),
                    verdict: stream("x", health).verdict,
                    log: vec!["connected in 3 ms".into()],
                }),
            });
        }
        other => panic!("{other:?}"),
    });
    let target = format!("rtmp%3A%2F%2Fcam%2Flive%2F{SECRET_KEY}%3Ftoken%3DT0KEN");
    let answer = bench.get(&format!("/probe?target={target}")).await;
    let text = answer.text();
    assert_eq!(answer.status, 200);
    assert!(text.contains("probe_success 1\n") && text.contains("\nprobe_duration_seconds 0.0"), "{text}");
    assert!(text.contains("hmonitor_stream_video_width_pixels{stream=\"probe\"} 1280\n"), "{text}");
    let debug = bench.get(&format!("/probe?target={target}&module=short&debug=true")).await;
    assert!(debug.text().contains("target rtmp://cam:1935/live/***, module short\nconnected in 3 ms\n"));
    assert!(debug.text().contains("probe_success 1\n"));
    for answer in [&answer, &debug] {
        assert!(!answer.text().contains(SECRET_KEY) && !answer.text().contains("T0KEN"));
    }
    assert!(bench.get("/probe?target=rtmp://cam/other/x").await.text().contains("probe_success 0\n"));
    // Within Prometheus' scrape timeout.
    let head = ["GET /probe?target=rtmp://slow/live/x HTTP/1.1", "X-Prometheus-Scrape-Timeout-Seconds: 0.7"];
    let answer = bench.ask(&head, "").await;
    assert_eq!((answer.status, answer.text().contains("probe_success 0\n")), (200, true));
    for (query, status) in [
        ("target=rtmp://elsewhere/live/x", 403),
        ("module=short", 400),
        ("target=http://h/x", 400),
        ("target=rtmp://h/live/x&module=long", 400),
        ("target=rtmp://h/live/x&timeout=9", 400),
        ("target=rtmp://h/live/x?user=me&token=T0KEN", 400),
    ] {
        problem(&bench.get(&format!("/probe?{query}")).await, status);
    }
    spec.modules.push(module("long"));
    bench.server.send(spec.into()).unwrap();
    problem(&bench.get("/probe?target=rtmp://h/live/x").await, 400);
}

#[tokio::test]
async fn what_is_not_there_and_what_is_not_meant() {
    let bench = Bench::start(server_spec(), vec![]).await;
    problem(&bench.get("/nothing").await, 404);
    let answer = bench.ask(&["PATCH /api/v1/streams HTTP/1.1"], "").await;
    problem(&answer, 405);
    assert_eq!(answer.header("allow"), Some("GET, HEAD, POST"));
    let head = bench.ask(&["HEAD /api/v1/status HTTP/1.1"], "").await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    // Heads are bounded in size.
    let answer = bench.ask(&["GET /metrics HTTP/1.1", &format!("X: {}", "y".repeat(20_000))], "").await;
    assert_eq!(answer.status, 431);
    let requests = bench.get("/metrics").await;
    for line in [
        r#"hmonitor_http_requests_total{code="404",route="other"} 1"#,
        r#"hmonitor_http_requests_total{code="405",route="/api/v1/streams"} 1"#,
    ] {
        assert!(requests.text().contains(line), "{line}");
    }
}

#[tokio::test]
async fn a_head_that_never_ends_and_a_body_that_never_comes_are_left() {
    let mut spec = server_spec();
    spec.limits.request_timeout = Duration::from_millis(300);
    let bench = Bench::start(spec, vec![]).await;
    for address in [bench.main, bench.health] {
        let raw = exchange(address, b"GET /metrics HTTP/1.1\r\nHost:").await;
        assert!(raw.is_empty() || raw.starts_with(b"HTTP/1.1 408"), "{}", String::from_utf8_lossy(&raw));
    }
    let request = format!(
        "POST /api/v1/streams HTTP/1.1\r\nHost: m\r\nConnection: close\r\nAuthorization: Bearer {OPERATE}\r\n\
         Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{{"
    );
    problem(&Answer::parse(&exchange(bench.main, request.as_bytes()).await), 408);
}

#[tokio::test]
async fn connections_are_bounded() {
    let mut spec = server_spec();
    spec.limits.connections = 2;
    let bench = Bench::start(spec, vec![]).await;
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(bench.main).await.unwrap();
        stream.write_all(b"GET /-/healthy HTTP/1.1\r\nHost: m\r\n\r\n").await.unwrap();
        assert!(stream.read(&mut [0; 1024]).await.unwrap() > 0);
        held.push(stream);
    }
    let mut refused = TcpStream::connect(bench.main).await.unwrap();
    assert!(matches!(refused.read(&mut [0; 1]).await, Ok(0) | Err(_)));
    held.clear();
    // The places come back once the closed connections have been noticed.
    let mut answers = 0;
    for _ in 0..100 {
        let mut stream = TcpStream::connect(bench.main).await.unwrap();
        let _ = stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").await;
        let mut raw = Vec::new();
        if stream.read_to_end(&mut raw).await.is_ok() && !raw.is_empty() {
            assert!(Answer::parse(&raw).text().contains("hmonitor_connections_refused_total{listener=\"main\"} "));
            answers += 1;
            break;
        }
        tokio::task::yield_now().await;
    }
    assert_eq!(answers, 1);
}

#[tokio::test]
async fn a_client_that_does_not_read_is_left() {
    let mut spec = server_spec();
    spec.limits.request_timeout = Duration::from_millis(300);
    spec.limits.connections = 1;
    let bench = Bench::start(spec, vec![]).await;
    let report = Arc::new(report(bench.clock.now()));
    let camera = |i| StreamView { report: Some(Arc::clone(&report)), ..stream(&format!("cam-{i}"), Health::Up) };
    bench.show(Duration::ZERO, (0..1000).map(camera).collect());
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut lazy = socket.connect(bench.main).await.unwrap();
    lazy.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").await.unwrap();
    let served = tokio::time::timeout(Duration::from_secs(20), async {
        loop {
            let mut stream = TcpStream::connect(bench.main).await.unwrap();
            // Refused while the lazy one holds the only place.
            let _ = stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").await;
            let mut raw = Vec::new();
            match stream.read_to_end(&mut raw).await {
                Ok(n) if n > 0 => break Answer::parse(&raw),
                _ => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
    });
    let answer = served.await.expect("the place comes back");
    assert_eq!(answer.text().matches("hmonitor_stream_up{").count(), 1000);
    assert!(answer.text().contains("connections_refused_total{listener=\"main\"} "));
    drop(lazy);
}

#[tokio::test]
async fn shutdown_finishes_what_is_under_way() {
    let mut bench = Bench::start(server_spec(), vec![]).await;
    let (started, under_way) = tokio::sync::oneshot::channel();
    let (go, wait) = tokio::sync::oneshot::channel::<()>();
    let mut parts = Some((started, wait));
    bench.control(move |command| {
        if let (Command::Reload { reply }, Some((started, wait))) = (command, parts.take()) {
            started.send(()).unwrap();
            tokio::spawn(async move {
                wait.await.unwrap();
                let _ = reply.send(Ok(Default::default()));
            });
        }
    });
    let request = format!("POST /-/reload HTTP/1.1\r\nHost: m\r\nAuthorization: Bearer {OPERATE}\r\n\r\n");
    let mut idle = TcpStream::connect(bench.main).await.unwrap();
    let address = bench.main;
    let asked = tokio::spawn(async move { exchange(address, request.as_bytes()).await });
    under_way.await.unwrap();
    bench.shutdown.cancel();
    assert_eq!(idle.read(&mut [0; 1]).await.unwrap_or(0), 0, "an idle connection is closed");
    go.send(()).unwrap();
    assert_eq!(Answer::parse(&asked.await.unwrap()).status, 200);
    for server in &mut bench.servers {
        tokio::time::timeout(Duration::from_secs(5), server).await.expect("servers end").unwrap();
    }
    assert!(TcpStream::connect(address).await.is_err(), "nothing listens any more");
}

#[tokio::test]
async fn the_plain_page_is_safe_to_open() {
    let mut view = stream("a", Health::Down);
    view.verdict.detail = "<script>alert('x')</script>\"&".into();
    let bench = Bench::start(server_spec(), vec![view]).await;
    let page = bench.get("/plain").await;
    assert!(page.header("content-security-policy").unwrap().starts_with("default-src 'none';"));
    assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
    assert!(page.text().contains("<tr class=\"down\"><td>a</td><td>down</td><td title=\"&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&quot;&amp;\">stalled</td>"));
    assert!(!page.text().contains("<script"));
    assert!(!page.text().contains("http://") && !page.text().contains("https://"));
}

#[tokio::test]
async fn the_page_and_all_that_it_names_come_from_here_under_a_strict_policy() {
    let bench = Bench::start(server_spec(), vec![]).await;
    let mut waiting = vec!["/".to_owned()];
    let mut seen = std::collections::BTreeSet::new();
    while let Some(path) = waiting.pop() {
        if !seen.insert(path.clone()) {
            continue;
        }
        let file = bench.get(&path).await;
        assert_eq!(file.status, 200, "{path}");
        let policy = file.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none'; style-src 'self'; script-src 'self';"), "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
        let kind = match path.rsplit_once('.').map_or("html", |(_, end)| end) {
            "js" => "text/javascript; charset=utf-8",
            "css" => "text/css; charset=utf-8",
            "svg" => "image/svg+xml",
            "txt" => "text/plain; charset=utf-8",
            _ => "text/html; charset=utf-8",
        };
        assert_eq!(file.header("content-type"), Some(kind), "{path}");
        // What it names: by attribute, by import.
        for (mark, before) in [("\"/page/", "/page/"), ("from \"./", "/page/")] {
            let named = file.text().split(mark).skip(1).filter_map(|rest| rest.split('"').next());
            waiting.extend(named.map(|name| format!("{before}{name}")));
        }
        assert!(!file.text().contains("innerHTML"), "{path}: markup is never made from text");
    }
    assert!(seen.len() > 20 && seen.contains("/page/charts.js") && seen.contains("/page/uplot.js"), "{seen:?}");
    assert_eq!(bench.get("/page/none.js").await.status, 404);
    assert_eq!(bench.get("/page/..%2Fplain.html").await.status, 404);
}

#[tokio::test]
async fn files_of_the_page_are_sent_once_and_small() {
    let bench = Bench::start(server_spec(), vec![]).await;
    let whole = bench.get("/page/uplot.js").await;
    let tag = whole.header("etag").unwrap();
    assert_eq!(whole.header("cache-control"), Some("no-cache"));
    let known = bench.ask(&["GET /page/uplot.js HTTP/1.1", &format!("If-None-Match: \"x\", {tag}")], "").await;
    assert_eq!((known.status, known.body.len(), known.header("etag")), (304, 0, Some(tag)));
    let small = bench.ask(&["GET /page/uplot.js HTTP/1.1", "Accept-Encoding: gzip"], "").await;
    assert_eq!((small.status, small.header("content-encoding")), (200, Some("gzip")));
    // It is minified already.
    assert!(small.body.len() * 3 < whole.body.len() * 2);
    let mut text = String::new();
    std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(&small.body[..]), &mut text).unwrap();
    assert_eq!(text, whole.text());
}

async fn status_over_tls(bench: &Bench, ca: &str) -> Option<u16> {
    use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject};
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ca.as_bytes()).unwrap()).unwrap();
    let config = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let tcp = TcpStream::connect(bench.main).await.unwrap();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let mut tls = connector.connect(ServerName::try_from("monitor.test").unwrap(), tcp).await.ok()?;
    tls.write_all(b"GET /metrics HTTP/1.1\r\nHost: m\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut raw = Vec::new();
    tls.read_to_end(&mut raw).await.unwrap();
    Some(Answer::parse(&raw).status)
}

#[tokio::test]
async fn tls_and_a_renewed_certificate() {
    let dir = tempfile::tempdir().unwrap();
    let make = || {
        let made = rcgen::generate_simple_self_signed(vec!["monitor.test".to_owned()]).unwrap();
        (made.cert.pem(), made.signing_key.serialize_pem())
    };
    let write = |(cert, key): &(String, String), prefix: &str| ServerTls {
        cert_file: support::write_file(&dir, &format!("{prefix}.crt"), cert),
        key_file: support::write_file(&dir, &format!("{prefix}.key"), key),
    };
    let (first, second) = (make(), make());
    let mut spec = server_spec();
    spec.tls = Some(write(&first, "a"));
    let bench = Bench::start(spec.clone(), vec![]).await;
    assert_eq!(status_over_tls(&bench, &first.0).await, Some(200));
    assert_eq!(status_over_tls(&bench, &second.0).await, None);
    // Health answers stay plain.
    assert_eq!(support::ask(bench.health, &["GET /livez HTTP/1.1"], "").await.status, 200);
    // A broken file changes nothing; a good one counts for the next connection.
    spec.tls = Some(write(&("no certificate".to_owned(), String::new()), "b"));
    bench.server.send(spec.clone().into()).unwrap();
    tokio::time::timeout(Duration::from_secs(5), async {
        spec.tls = Some(write(&second, "c"));
        assert_eq!(status_over_tls(&bench, &first.0).await, Some(200));
        bench.server.send(spec.into()).unwrap();
        while status_over_tls(&bench, &second.0).await.is_none() {}
    })
    .await
    .expect("the new certificate is used");
}

/// A named pipe stands for a file system that hangs. One thread serves everything here, so reading on it would be seen.
#[tokio::test]
async fn a_certificate_that_cannot_be_read_in_time_delays_no_answer() {
    let dir = tempfile::tempdir().unwrap();
    let pipe = dir.path().join("hangs.crt");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let bench = Bench::start(server_spec(), vec![]).await;
    assert_eq!(bench.get("/livez").await.status, 200);
    let began = std::time::Instant::now();
    let tls = ServerTls { cert_file: pipe.clone(), key_file: support::write_file(&dir, "hangs.key", "") };
    bench.server.send(rtmp_hmonitor::model::server::ServerSpec { tls: Some(tls), ..server_spec() }.into()).unwrap();
    for _ in 0..20 {
        assert_eq!(bench.get("/livez").await.status, 200);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(began.elapsed() < Duration::from_millis(1500), "{:?}", began.elapsed());
    bench.shutdown.cancel();
    // Whoever reads from it must come to an end, however late it begins: the runtime waits for that.
    std::thread::spawn(move || {
        let _dir = dir;
        for _ in 0..600 {
            drop(std::fs::OpenOptions::new().read(true).write(true).open(&pipe));
            std::thread::sleep(Duration::from_millis(50));
        }
    });
}
