//! Stream keys, tokens and passwords appear in no log (at trace level), metric, answer, page, error or event of the running monitor.

mod harness;
mod planted;
mod process;
mod rtmp_support;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use harness::{Monitor, eventually, http};
use planted::targets::Targets;
use planted::*;
use process::SOON;
use rtmp_hmonitor::sim::Fault;
use serde_json::json;

#[test]
fn the_search_finds_what_it_looks_for() {
    assert_eq!(base64(b"any carnal pleas"), "YW55IGNhcm5hbCBwbGVhcw");
    for disguise in [
        format!("before {KEY} after"),
        format!("b\"{}\"", TOKEN.escape_default()),
        TOKEN.replace('/', "%2f").replace('+', "%2b").replace('=', "%3d"),
        format!("{:?}", PASSWORD.as_bytes()),
        base64(format!("user:{PASSWORD}:").as_bytes()),
        base64(format!("user1:{PASSWORD}:").as_bytes()),
        base64(format!("user12:{PASSWORD}:").as_bytes()),
        format!("{DECODED:?}"),
        LONE.to_uppercase(),
    ] {
        let mut seen = Seen::default();
        seen.note("here", &disguise);
        assert!(!seen.leaks().is_empty(), "{disguise}");
    }
}

/// A raw request, for what no HTTP library would send.
fn raw(address: SocketAddr, request: &str) -> String {
    let mut socket = TcpStream::connect(address).unwrap();
    // Where the connection is kept, there is nothing more to wait for.
    socket.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    socket.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    let _ = socket.read_to_end(&mut answer);
    format!("answer: {}", String::from_utf8_lossy(&answer))
}

/// Follows the live events in the background.
fn follow_events(address: SocketAddr) -> Arc<Mutex<String>> {
    let seen = Arc::new(Mutex::new(String::new()));
    let text = Arc::clone(&seen);
    std::thread::spawn(move || {
        let mut socket = TcpStream::connect(address).unwrap();
        let head = format!(
            "GET /api/v1/events?after=0 HTTP/1.1\r\nHost: m\r\nAccept: text/event-stream\r\nAuthorization: Bearer {READ}\r\n\r\n"
        );
        socket.write_all(head.as_bytes()).unwrap();
        let mut buffer = [0; 4096];
        while let Ok(n @ 1..) = socket.read(&mut buffer) {
            text.lock().unwrap().push_str(&String::from_utf8_lossy(&buffer[..n]));
        }
    });
    seen
}

/// What a defective inventory answers, each time with a secret in it.
fn inventory_failures(world: &World) -> Vec<String> {
    let target = format!("rtmp://h/live/{DISCOVERED}");
    vec![
        format!("500 {DISCOVERED}\r\n\r\n{DISCOVERED}"),
        format!("200 OK\r\n\r\n[{{\"targets\": [\"{target}\"], \"labels\": {{\"name\": \"{target}\"}}}}]"),
        format!("200 OK\r\n\r\n[{{\"targets\": [\"{target} {INVENTORY}\"]}}]"),
        format!("200 OK\r\n\r\n[{{\"targets\": [\"{target}\"] {target}"),
        format!("200 OK\r\n\r\n{{\"{target}\": 1}}"),
        format!("302 Found\r\nLocation: http://{}/elsewhere?key={DISCOVERED}\r\n\r\n", world.inventory.address),
        format!("302 Found\r\nLocation: ftp://{DISCOVERED}@h/{DISCOVERED}\r\n\r\n"),
    ]
}

fn exercise(format: &str) {
    let world = World::new();
    let targets = Targets::start();
    let mut seen = Seen::default();
    let streams: String =
        world.streams().iter().map(|(n, url)| format!("  - {{ name: {n}, url: \"{url}\" }}\n")).collect();
    let inventory = world.inventory.address;
    let config = format!(
        "log: {{ format: {format} }}
supervisor: {{ backoff_max: 300ms, connects_per_second_per_origin: 1000 }}
defaults: {{ connect_timeout: 2s, first_media_timeout: 1s, stall_timeout: 1s, rise: 0s }}
discover:
  - {{ http: \"http://{inventory}/list?key={INVENTORY_QUERY}\", token: {INVENTORY}, refresh: 1s }}
  - {{ http: \"https://{inventory}/list?key={INVENTORY_QUERY}\", token: {INVENTORY}, refresh: 1s }}
probe: {{ modules: [{{ name: default, duration: 1s, allow: [\"127.0.0.0/8\", \"*.invalid\"] }}] }}
streams:
{streams}{}",
        targets.config(&world)
    );
    let server = format!(
        "  read: token\n  tokens: [{{ role: operate, token: \"{OPERATE}\" }}, {{ role: read, token: \"{READ}\" }}]\n"
    );
    let monitor = Monitor::start_with(&config, &server, &[("RUST_LOG", "trace"), ("RUST_BACKTRACE", "full")], |c| c);
    let live = follow_events(monitor.listen);
    let read = format!("Authorization: Bearer {READ}");
    let operate = format!("Authorization: Bearer {OPERATE}");
    let get = |path: &str| http(monitor.listen, "GET", path, &[&read], "").unwrap();
    let said_of = |place: &str| {
        let document = get(&format!("/api/v1/{place}")).json();
        format!(
            "{} {}",
            document["health"].as_str().unwrap_or_default(),
            document["causes"][0].as_str().unwrap_or_default()
        )
    };
    let verdict = |name: &str| said_of(&format!("streams/{name}"));
    for (name, expected) in [
        ("gate", "up "),
        ("lone", "up "),
        ("escaped", "down no_media"),
        ("redirected", "up "),
        ("parrot", "down rejected"),
        ("lone-parrot", "down rejected"),
        ("odd-parrot", "down rejected"),
        ("known", "up "),
        ("stranger", "down rejected"),
        ("unnamed", "down rejected"),
        ("garbage", "down handshake"),
        ("untrusted", "down tls"),
        ("no-tls", "down tls"),
        ("refused", "down connect"),
        ("unresolved", "down dns"),
    ] {
        eventually(&format!("{name} is {expected}"), SOON, || (verdict(name) == expected).then_some(()));
    }

    for (place, expected) in targets.verdicts(&world) {
        let mut last = String::new();
        let holds = || {
            last = said_of(place);
            last.starts_with(expected).then_some(())
        };
        if std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| eventually(place, SOON, holds))).is_err() {
            panic!("{place} is {last:?}, not {expected:?}");
        }
    }
    targets.assert_asked();
    // The server's view of a stream, found by its key.
    assert_eq!(get("/api/v1/streams/gate").json()["server"]["publishing"], true);

    // Operators and their mistakes.
    let mut ask = |method: &str, path: &str, headers: &[&str], body: &str| {
        let answer = http(monitor.listen, method, path, headers, body).unwrap();
        let shown = format!("{method} {} {}", path.split('?').next().unwrap(), body.len());
        seen.note(shown, format!("{}\n{}", answer.head, answer.body));
        answer.status
    };
    let added = json!({ "name": "added", "url": world.gate.url(&format!("{ADDED}?token={TOKEN}")) }).to_string();
    assert_eq!(ask("POST", "/api/v1/streams", &[&operate], &added), 201);
    assert_eq!(ask("POST", "/api/v1/streams", &[&operate], &added), 409);
    for (definition, status) in [
        (json!({ "name": "bad", "url": format!("http://h/{ADDED}") }).to_string(), 422),
        (json!({ "name": "bad", "url": format!("rtmp://{ADDED}@h/live/x") }).to_string(), 422),
        (json!({ "name": format!("rtmp://h/live/{ADDED}"), "url": "rtmp://h/a" }).to_string(), 422),
        (json!({ "name": "bad", "url": "rtmp://h/a", "watch": ADDED, "rise": ADDED, "app": ADDED }).to_string(), 422),
        (json!({ "name": "bad", "url": "rtmp://h/a", "expect": ADDED, "labels": { "a": [ADDED] } }).to_string(), 422),
        (json!({ "name": "bad", (format!("rtmp://h/live/{ADDED}")): 1 }).to_string(), 422),
        (json!({ "name": "bad", "url": format!("${{{ADDED}}}") }).to_string(), 422),
        (json!([format!("rtmp://h/live/{ADDED}")]).to_string(), 422),
        (format!("{{ \"url\": \"rtmp://h/live/{ADDED}\""), 400),
        (format!("rtmp://h/live/{ADDED}"), 400),
    ] {
        assert_eq!(ask("POST", "/api/v1/streams", &[&operate], &definition), status, "{definition}");
    }
    let wrong = format!("Authorization: Bearer {GUESSED}");
    let basic = format!("Authorization: Basic {}", base64(format!("u:{PASSWORD}").as_bytes()));
    for header in [&wrong, &basic] {
        assert_eq!(ask("POST", "/-/reload", &[header], ""), 401);
        assert_eq!(ask("GET", "/metrics", &[header], ""), 401);
    }
    let silence = format!("{{ \"reason\": \"x\", \"until\": \"{ADDED}\", \"{ADDED}\": 1 }}");
    assert_eq!(ask("PUT", "/api/v1/streams/gate/silence", &[&operate], &silence) / 100, 4);
    let silence = format!("{{ \"reason\": \"x\", \"until\": \"{ADDED}\" }}");
    assert_eq!(ask("PUT", "/api/v1/streams/gate/silence", &[&operate], &silence) / 100, 4);
    assert_eq!(ask("POST", "/-/reload", &[&operate], ""), 200);

    // Every route, and requests that carry a secret where it does not belong.
    for path in [
        "/",
        "/page/app.js",
        "/plain",
        "/metrics",
        "/health",
        "/livez?verbose",
        "/readyz?verbose",
        "/-/healthy",
        "/-/ready",
        "/api/v1/status",
        "/api/v1/streams",
        "/api/v1/streams?state=down",
        "/api/v1/endpoints",
        "/api/v1/services",
        "/api/v1/paths",
        "/api/v1/events?limit=1000",
        "/api/v1/history",
        "/api/v1/openapi.json",
    ] {
        assert_eq!(ask("GET", path, &[&read], "") % 100, 0, "{path}");
    }
    for (name, _) in world.streams() {
        for path in [
            format!("/api/v1/streams/{name}"),
            format!("/api/v1/streams/{name}/events"),
            format!("/api/v1/streams/{name}/history"),
            format!("/health/streams/{name}"),
        ] {
            ask("GET", &path, &[&read], "");
        }
        ask("HEAD", &format!("/health/streams/{name}"), &[], "");
        ask("OPTIONS", &format!("/health/streams/{name}"), &[], "");
    }
    for (place, _) in targets.verdicts(&world) {
        for path in [format!("/api/v1/{place}"), format!("/api/v1/{place}/events"), format!("/health/{place}")] {
            assert_ne!(ask("GET", &path, &[&read], ""), 404, "{path}");
        }
    }
    for path in [
        format!("/{KEY}"),
        format!("/health/streams/{KEY}"),
        format!("/health/nothing/{KEY}"),
        format!("/health/endpoints/{KEY}"),
        format!("/health/services/{KEY}"),
        format!("/livez/{KEY}"),
        format!("/readyz?exclude={KEY}&verbose"),
        format!("/api/v1/streams/{KEY}"),
        format!("/api/v1/endpoints/{KEY}"),
        format!("/api/v1/services/{KEY}/events"),
        format!("/api/v1/paths/{KEY}"),
        format!("/api/v1/endpoints?state={KEY}"),
        format!("/api/v1/streams/{}/events", encoded(DECODED)),
        format!("/api/v1/streams?state={KEY}"),
        format!("/api/v1/streams?label={KEY}:{KEY}&cause={KEY}&q={KEY}"),
        format!("/api/v1/streams?{KEY}=1"),
        format!("/api/v1/events?after={KEY}"),
        format!("/metrics?token={READ}"),
        format!("/probe?module={KEY}&target=rtmp://127.0.0.1/live/{KEY}"),
        format!("/probe?target={}", encoded(&format!("http://127.0.0.1/live/{KEY}"))),
        format!("/probe?target={}", encoded(&format!("rtmp://198.51.100.1/live/{KEY}"))),
        format!("/probe?target={KEY}&target={KEY}"),
        format!("/probe?{KEY}"),
    ] {
        let answer = http(monitor.listen, "GET", &path, &[&read], "").unwrap();
        seen.note(format!("bad path {path}"), format!("{}\n{}", answer.head, answer.body));
        let answer = http(monitor.health, "GET", &path, &[], "").unwrap();
        seen.note(format!("bad path {path} on the health listener"), format!("{}\n{}", answer.head, answer.body));
    }
    for request in [
        format!("{KEY} / HTTP/1.1\r\nHost: m\r\n\r\n"),
        format!("GET /{KEY} {KEY} HTTP/1.1\r\n\r\n"),
        format!("GET / HTTP/1.1\r\n{KEY}\r\n\r\n"),
        format!("GET / HTTP/1.1\r\nHost: m\r\nContent-Length: {KEY}\r\n\r\n"),
        format!("{KEY}\r\n\r\n"),
        format!("PATCH /api/v1/streams/{KEY} HTTP/1.1\r\nHost: {KEY}\r\nConnection: close\r\n\r\n"),
    ] {
        for address in [monitor.listen, monitor.health] {
            seen.note("a malformed request", raw(address, &request));
        }
    }

    // One-shot probes by HTTP.
    let mut shown = String::new();
    std::thread::scope(|scope| {
        let (monitor, read) = (&monitor, &read);
        let probes: Vec<_> = world
            .streams()
            .into_iter()
            .map(|(name, url)| {
                scope.spawn(move || {
                    let path = format!("/probe?target={}&debug=true", encoded(&url));
                    let answer = http(monitor.listen, "GET", &path, &[read], "").unwrap();
                    format!("{name}: {}\n{}\n", answer.head, answer.body)
                })
            })
            .collect();
        probes.into_iter().for_each(|p| shown.push_str(&p.join().unwrap()));
    });
    assert!(shown.contains("hmonitor_probe_success 1") || shown.contains("probe_success 1"), "{shown}");
    assert!(shown.contains("/live/***"), "{shown}");
    seen.note("/probe", shown);

    // An inventory that fails in every way, then one that works.
    for answer in inventory_failures(&world) {
        world.inventory.set(&answer);
        let asked = world.inventory.heads().len();
        eventually("the inventory was asked", SOON, || (world.inventory.heads().len() > asked).then_some(()));
    }
    let target = world.gate.url(&format!("{DISCOVERED}?token={TOKEN}"));
    world.inventory.set_json(&json!([{ "targets": [target], "labels": { "name": "found" } }]).to_string());
    eventually("the discovered stream is up", SOON, || (verdict("found") == "up ").then_some(()));
    assert!(world.inventory.heads().concat().contains(INVENTORY), "the token was used");

    // Reloads with mistakes beside secrets.
    let good = std::fs::read_to_string(monitor.config_path()).unwrap();
    for bad in [
        good.replace("url: \"rtmp://", "url: \"http://"),
        good.replace("name: gate,", "nmae: gate,"),
        good.replace("stall_timeout: 1s", &format!("stall_timeout: {KEY}")),
        good.replace("url: \"rtmp://127", "url: \"rtmp://127 "),
        good.replacen("\" }", " }", 1),
        good.replace("url: \"ws://", "url: \"ftp://"),
        good.replace(&format!("token: {TARGET_TOKEN}"), &format!("tokne: {TARGET_TOKEN}")),
        good.replace("interval: 1s, down_after: 1", &format!("interval: {TARGET_TOKEN}, down_after: {TARGET_QUERY}")),
        good.replace("kind: srs", &format!("kind: {TARGET_QUERY}")),
    ] {
        assert_ne!(bad, good);
        std::fs::write(monitor.config_path(), bad).unwrap();
        let answer = http(monitor.listen, "POST", "/-/reload", &[&operate], "").unwrap();
        assert_eq!(answer.status, 422, "{}", answer.body);
        seen.note("a refused reload", format!("{}\n{}", answer.head, answer.body));
    }
    std::fs::write(monitor.config_path(), &good).unwrap();

    // Outages make events and log lines.
    world.gate.fault(KEY, &Fault::NotFound);
    world.gate.fault(LONE, &Fault::PlayFailed);
    eventually("gate is down", SOON, || verdict("gate").starts_with("down").then_some(()));
    eventually("lone is down", SOON, || verdict("lone").starts_with("down").then_some(()));
    let compressed = http(monitor.listen, "GET", "/metrics", &[&read], "").unwrap();
    seen.note("metrics at the end", compressed.body);
    seen.note("events at the end", get("/api/v1/events?limit=1000").body);
    eventually("the event stream tells of it", SOON, || live.lock().unwrap().contains("not_found").then_some(()));
    seen.note("the event stream", live.lock().unwrap().clone());

    // The one place that has to keep an added stream's URL; and so the search can find something.
    let state = monitor.path().join("state.json");
    assert_eq!(std::fs::metadata(&state).unwrap().permissions().mode() & 0o777, 0o600);
    let state = std::fs::read_to_string(&state).unwrap();
    assert!(state.contains(ADDED));
    // It needs nothing of the others.
    seen.note("the state file", state.replace(ADDED, "").replace(TOKEN, "").replace(DISCOVERED, ""));

    let (directory, mut monitor) = (monitor.path().join("log"), monitor);
    assert_eq!(monitor.end_by("TERM").code(), Some(0));
    seen.note("the log", std::fs::read_to_string(directory).unwrap());
    let log = seen.text("the log");
    for part in [
        if format == "ecs" { "\"trace\"" } else { "TRACE" },
        "parrot",
        "NetStream.Play.Failed",
        "***",
        "discovery failed",
        "unresolved",
        "add stream",
        "stopping",
        "no-such-host.invalid",
        "refused-page",
        "wrong-stat",
    ] {
        assert!(log.contains(part), "{part} is missing: the log does not show what it should");
    }
    let leaks = seen.leaks();
    assert!(leaks.is_empty(), "{} leaks:\n{}", leaks.len(), leaks.join("\n"));
}

#[test]
fn the_running_monitor_tells_no_secret() {
    exercise("pretty");
}

#[test]
fn the_running_monitor_tells_no_secret_in_ecs_documents() {
    exercise("ecs");
}
