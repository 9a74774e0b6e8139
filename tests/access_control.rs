//! Who may do what, and that tokens and keys stay secret.

mod support;

use rtmp_hmonitor::control::handle::{Command, Reloaded};
use rtmp_hmonitor::model::Health;
use rtmp_hmonitor::model::server::{HostPattern, ReadAccess, Role};
use support::{Answer, Bench, OPERATE, READ, server_spec, stream, token};

const CHANGES: [&str; 9] = [
    "POST /-/reload",
    "POST /api/v1/streams",
    "DELETE /api/v1/streams/a",
    "PUT /api/v1/streams/a/silence",
    "DELETE /api/v1/streams/a/silence",
    "PUT /api/v1/groups/a/maintenance",
    "DELETE /api/v1/groups/a/maintenance",
    "PUT /api/v1/failovers/a/pin",
    "DELETE /api/v1/failovers/a/pin",
];
const READS: [&str; 15] = [
    "/metrics",
    "/api/v1/status",
    "/api/v1/streams",
    "/api/v1/streams/a",
    "/api/v1/streams/a/events",
    "/api/v1/events",
    "/api/v1/groups",
    "/api/v1/groups/a",
    "/api/v1/failovers",
    "/api/v1/failovers/a/events",
    "/api/v1/openapi.json",
    "/probe?target=rtmp://h/a/b",
    "/api/v1/streams/a/history",
    "/api/v1/history",
    "/plain",
];
const NEVER: [&str; 11] = [
    "/",
    "/page/app.js",
    "/runbook",
    "/health",
    "/health/streams/a",
    "/health/groups/a",
    "/health/failovers/a/a",
    "/livez",
    "/readyz",
    "/-/healthy",
    "/-/ready",
];

async fn with(bench: &Bench, line: &str, authorization: Option<&str>) -> Answer {
    let line = format!("{line} HTTP/1.1");
    let authorization = authorization.map(|a| format!("Authorization: {a}"));
    let head: Vec<&str> = [Some(line.as_str()), authorization.as_deref()].into_iter().flatten().collect();
    bench.ask(&head, "").await
}

#[tokio::test]
async fn a_change_needs_the_operate_role() {
    let bench = Bench::start(server_spec(), vec![stream("a", Health::Up)]).await;
    for line in CHANGES {
        let answer = with(&bench, line, None).await;
        assert_eq!(
            (answer.status, answer.header("www-authenticate")),
            (401, Some("Bearer realm=\"rtmp-hmonitor\"")),
            "{line}"
        );
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
        let refused = [
            "Bearer wrong".to_owned(),
            format!("Bearer {OPERATE}x"),
            format!("Bearer {}", &OPERATE[1..]),
            format!("Basic {OPERATE}"),
            OPERATE.to_owned(),
            "Bearer ".to_owned(),
        ];
        for authorization in refused {
            let answer = with(&bench, line, Some(&authorization)).await;
            assert_eq!(answer.status, 401, "{line} {authorization}");
            assert!(answer.header("www-authenticate").is_some() && !answer.text().contains(OPERATE));
        }
        let answer = with(&bench, line, Some(&format!("Bearer {READ}"))).await;
        assert_eq!(answer.status, 403, "{line}");
        assert!(answer.header("www-authenticate").unwrap().contains("insufficient_scope"));
    }
}

#[tokio::test]
async fn without_a_configured_token_nothing_can_be_changed() {
    for tokens in [vec![], vec![token(Role::Read, READ)], vec![token(Role::Operate, "")]] {
        let mut spec = server_spec();
        let empty_secret = tokens.iter().any(|t| t.secret.expose().is_empty());
        spec.tokens = tokens;
        let bench = Bench::start(spec, vec![stream("a", Health::Up)]).await;
        for line in CHANGES {
            for authorization in [None, Some("Bearer "), Some("Bearer x")] {
                let answer = with(&bench, line, authorization).await;
                assert_eq!(answer.status, if empty_secret { 401 } else { 403 }, "{line}");
            }
        }
    }
}

/// A page elsewhere may have its own name lead to the monitor's address, and read what the browser is answered.
#[tokio::test]
async fn under_a_name_that_is_not_configured_only_health_is_answered() {
    let mut spec = server_spec();
    let bench = Bench::start(spec.clone(), vec![stream("a", Health::Up)]).await;
    let under = async |path: &str, host: &str| {
        let request = format!("GET {path} HTTP/1.1\r\n{host}\r\nConnection: close\r\n\r\n");
        Answer::parse(&support::exchange(bench.main, request.as_bytes()).await)
    };
    assert_eq!(under("/metrics", "Host: rebound.example").await.status, 200, "nothing is configured");
    spec.hosts = vec![HostPattern::Name("monitor.example".into()), HostPattern::Suffix(".site.example".into())];
    bench.server.send(spec.into()).unwrap();
    for host in [
        "Host: monitor.example",
        "host: Monitor.Example:9935",
        "Host: monitor.example.",
        "Host: a.site.example:80",
        "Host: 192.0.2.7:9935",
        "Host: [2001:db8::7]:9935",
        "Host: localhost:9935",
        // No browser.
        "X: y",
    ] {
        for path in ["/metrics", "/api/v1/status", "/health/streams/a"] {
            assert_eq!(under(path, host).await.status, 200, "{path} {host}");
        }
    }
    for host in [
        "Host: rebound.example",
        "Host: monitor.example.rebound.example",
        "Host: site.example",
        "Host: 192.0.2.7.rebound.example",
        "Host: localhost.rebound.example",
        "Host: ",
    ] {
        for path in ["/metrics", "/api/v1/status", "/", "/plain"] {
            let answer = under(path, host).await;
            assert_eq!(answer.status, 421, "{path} {host}");
            assert_eq!(answer.header("content-type"), Some("application/problem+json"));
            assert!(answer.text().contains("server.hosts") && !answer.text().contains("rebound"));
        }
        assert_eq!(under("/health/streams/a", host).await.status, 200, "{host}");
    }
}

#[tokio::test]
async fn reading_is_open_or_closed_and_health_is_always_open() {
    let bench = Bench::start(server_spec(), vec![stream("a", Health::Up)]).await;
    let mut open = Vec::new();
    for path in READS {
        let status = with(&bench, &format!("GET {path}"), None).await.status;
        assert!(![401, 403].contains(&status) || path.starts_with("/probe"), "{path}: {status}");
        open.push(status);
    }
    let mut closed = server_spec();
    closed.read = ReadAccess::Token;
    bench.server.send(closed.into()).unwrap();
    for (path, open) in READS.into_iter().zip(open) {
        for method in ["GET", "HEAD"] {
            assert_eq!(with(&bench, &format!("{method} {path}"), None).await.status, 401, "{path}");
            assert_eq!(with(&bench, &format!("{method} {path}"), Some("Bearer wrong")).await.status, 401, "{path}");
            for secret in [READ, OPERATE] {
                let answer = with(&bench, &format!("{method} {path}"), Some(&format!("bearer {secret}"))).await;
                // As where reading is open: there is no group of this name, and no probe module.
                assert_eq!(answer.status, open, "{path}");
            }
        }
    }
    for path in NEVER {
        // Nobody knows a group or failover of this name, which is no question of tokens.
        let expected = if path.contains("/groups/") || path.contains("/failovers/") { 503 } else { 200 };
        assert_eq!(with(&bench, &format!("GET {path}"), None).await.status, expected, "{path}");
    }
}

#[tokio::test]
async fn a_token_in_the_query_is_refused_wherever_one_could_matter() {
    let bench = Bench::start(server_spec(), vec![stream("a", Health::Up)]).await;
    for key in ["token", "access_token"] {
        for path in ["GET /metrics", "GET /api/v1/status", "GET /", "POST /-/reload"] {
            let answer = with(&bench, &format!("{path}?{key}={OPERATE}"), None).await;
            assert_eq!(answer.status, 400, "{path}");
            assert!(!answer.text().contains(OPERATE));
        }
    }
}

#[tokio::test]
async fn tokens_change_while_running() {
    let mut bench = Bench::start(server_spec(), vec![]).await;
    bench.control(|command| {
        if let Command::Reload { reply } = command {
            let _ = reply.send(Ok(Reloaded { started: 1, stopped: 2, restarted: 3, unchanged: 4 }));
        }
    });
    let answer = bench.operate("POST /-/reload", "").await;
    assert_eq!((answer.status, &answer.json()["restarted"]), (200, &3.into()));
    let mut spec = server_spec();
    spec.tokens = vec![token(Role::Operate, "another")];
    bench.server.send(spec.into()).unwrap();
    assert_eq!(bench.operate("POST /-/reload", "").await.status, 401);
    assert_eq!(with(&bench, "POST /-/reload", Some("Bearer another")).await.status, 200);
}

#[tokio::test]
async fn no_answer_shows_a_stream_key() {
    let mut view = stream("a", Health::Down);
    view.report = Some(std::sync::Arc::new(support::report(std::time::Instant::now())));
    let bench = Bench::start(server_spec(), vec![view]).await;
    bench.events.push(support::event("a", Health::Down));
    for path in READS
        .into_iter()
        .chain(NEVER)
        .chain(["/api/v1/nothing?key=S3CRETKEY", "/probe?module=S3CRETKEY&target=rtmp://u:S3CRETKEY@h/a"])
    {
        let answer = with(&bench, &format!("GET {path}"), None).await;
        let shown = format!("{}{}", answer.head, answer.text());
        assert!(!shown.contains(support::SECRET_KEY) && !shown.contains("T0KEN"), "{path}");
    }
    assert!(bench.get("/api/v1/streams/a").await.text().contains("rtmp://10.0.0.11:1935/live/***"));
}
