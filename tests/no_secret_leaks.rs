//! Stream keys, tokens and passwords appear in no log (at trace level), metric, answer, page, error, event, probe output or panic.

mod harness;
mod process;
mod rtmp_support;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use harness::{Monitor, eventually, free_port, http};
use process::{Origin, SOON, WebServer, blunt_server, finish, run, run_with};
use rtmp_hmonitor::sim::{Fault, SimConfig};
use serde_json::json;

/// Camera and stream key.
const KEY: &str = "K3yOfGate-zQ7w";
/// `?token=`, with characters that escapes change.
const TOKEN: &str = "T0ken/OfGate+zQ8=";
const PASSWORD: &str = "P4ssw0rdOfGate!zQ9";
/// Application that stands for a key, as cameras push.
const LONE: &str = "L0neApp-zX1";
/// A key with escapes, as the URL says it and as it is.
const ESCAPED: &str = "G%C3%BCrtel%20zX2%2fd";
const DECODED: &str = "Gürtel zX2/d";
const OPERATE: &str = "0perate-Token-zX3";
const READ: &str = "R3ad-Token-zX4";
const INVENTORY: &str = "1nventory-Token-zX5";
const INVENTORY_QUERY: &str = "1nventory-Query-zX6";
const DISCOVERED: &str = "D1scoveredKey-zX7";
const ADDED: &str = "4ddedKey-zX8";
const REDIRECTED: &str = "R3directedKey-zX9";
const GUESSED: &str = "Gu3ssedToken-zY1";

const SECRETS: [&str; 14] = [
    KEY,
    TOKEN,
    PASSWORD,
    LONE,
    ESCAPED,
    DECODED,
    OPERATE,
    READ,
    INVENTORY,
    INVENTORY_QUERY,
    DISCOVERED,
    ADDED,
    REDIRECTED,
    GUESSED,
];

/// Everything that anyone could see, by where it was seen.
#[derive(Default)]
struct Seen(Vec<(String, String)>);

impl Seen {
    fn note(&mut self, place: impl Into<String>, text: impl Into<String>) {
        let (place, text) = (place.into(), text.into());
        assert!(!text.is_empty(), "{place} shows nothing, which proves nothing");
        self.0.push((place, text));
    }

    fn text(&self, place: &str) -> &str {
        &self.0.iter().find(|(p, _)| p == place).unwrap_or_else(|| panic!("{place} was not seen")).1
    }

    /// One line for each secret found somewhere.
    fn leaks(&self) -> Vec<String> {
        let needles: Vec<_> = SECRETS
            .iter()
            .flat_map(|secret| forms(secret).into_iter().map(move |(form, text)| (secret, form, text.to_lowercase())))
            .collect();
        let mut found = Vec::new();
        for (place, text) in &self.0 {
            let text = text.to_lowercase();
            for (secret, form, needle) in &needles {
                if let Some(at) = text.find(needle.as_str()) {
                    let line = text[..at].matches('\n').count();
                    let line: String = text.lines().nth(line).unwrap_or_default().chars().take(600).collect();
                    found.push(format!("{secret} ({form}) in {place}: {line}"));
                }
            }
        }
        found
    }
}

/// The shapes in which a secret might be written.
fn forms(secret: &str) -> Vec<(&'static str, String)> {
    let bytes = secret.as_bytes();
    let unreserved = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
    let percent = bytes.iter().map(|b| if unreserved(*b) { char::from(*b).to_string() } else { format!("%{b:02X}") });
    let mut forms = vec![
        ("plain", secret.to_owned()),
        ("percent-encoded", percent.collect()),
        ("hexadecimal", bytes.iter().map(|b| format!("{b:02x}")).collect()),
        ("a list of bytes", bytes.iter().map(u8::to_string).collect::<Vec<_>>().join(", ")),
        ("escaped for debugging", secret.escape_default().to_string()),
        ("bytes escaped for debugging", secret.as_bytes().escape_ascii().to_string()),
    ];
    // Base64 depends on where in a group of three the secret begins; the characters at its ends also on its neighbours.
    for before in 0..3 {
        let padded: Vec<u8> = std::iter::repeat_n(0, before).chain(bytes.iter().copied()).collect();
        let encoded = base64(&padded);
        let start = [0, 2, 3][before];
        let end = padded.len() * 8 / 6;
        forms.push(("base64", encoded[start..end].to_owned()));
    }
    forms
}

fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let value = (0..3).fold(0, |v, i| v << 8 | u32::from(group.get(i).copied().unwrap_or(0)));
        for i in 0..=group.len() {
            text.push(ALPHABET[(value >> (18 - 6 * i)) as usize % 64].into());
        }
    }
    text
}

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

fn encoded(text: &str) -> String {
    text.bytes()
        .map(|b| if b.is_ascii_alphanumeric() { char::from(b).to_string() } else { format!("%{b:02X}") })
        .collect()
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

/// Origins that fail in every way that could make somebody quote a secret.
struct World {
    gate: Origin,
    door: Origin,
    secure: Origin,
    parrot: SocketAddr,
    lone_parrot: SocketAddr,
    odd_parrot: SocketAddr,
    garbage: SocketAddr,
    inventory: WebServer,
}

impl World {
    fn new() -> Self {
        let certificate = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
        let private = rustls::pki_types::PrivateKeyDer::try_from(certificate.signing_key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.cert.der().clone()], private)
            .unwrap();
        let secure = SimConfig { tls: Some(Arc::new(tls)), ..SimConfig::default() };
        let gate = Origin::start(&format!("{KEY},{LONE},{DISCOVERED},{ADDED}"));
        let door = Origin::start(KEY);
        door.fault(KEY, &Fault::Redirect { to: format!("rtmp://{}/{REDIRECTED}?token={PASSWORD}", gate.address()) });
        Self {
            gate,
            door,
            secure: Origin::start_with(KEY, secure),
            parrot: blunt_server(parrot(&[&format!("{KEY}?token={TOKEN}&password={PASSWORD}"), KEY, TOKEN, PASSWORD])),
            lone_parrot: blunt_server(parrot(&[&format!("{LONE}?token={TOKEN}"), LONE, TOKEN])),
            odd_parrot: blunt_server(parrot(&[DECODED, TOKEN, &format!("{DECODED}?token={TOKEN}")])),
            garbage: blunt_server(
                format!("HTTP/1.1 400 Bad Request\r\n\r\nno such stream {KEY}?token={TOKEN}\r\n").repeat(200),
            ),
            inventory: WebServer::start("503 Service Unavailable\r\n\r\n"),
        }
    }

    /// Name and URL of every stream of the configuration.
    fn streams(&self) -> Vec<(&'static str, String)> {
        let secrets = format!("{KEY}?token={TOKEN}&password={PASSWORD}");
        let gate = self.gate.address();
        vec![
            ("gate", format!("rtmp://{gate}/live/{secrets}")),
            ("lone", format!("rtmp://{gate}/{LONE}?token={TOKEN}")),
            ("escaped", format!("rtmp://{gate}/live/{ESCAPED}?token={TOKEN}")),
            ("redirected", format!("rtmp://{}/live/{secrets}", self.door.address())),
            ("parrot", format!("rtmp://{}/live/{secrets}", self.parrot)),
            ("lone-parrot", format!("rtmp://{}/{LONE}?token={TOKEN}", self.lone_parrot)),
            ("odd-parrot", format!("rtmp://{}/live/{ESCAPED}?token={}", self.odd_parrot, encoded(TOKEN))),
            ("garbage", format!("rtmp://{}/live/{secrets}", self.garbage)),
            ("untrusted", format!("rtmps://{}/live/{secrets}", self.secure.address())),
            ("no-tls", format!("rtmps://{gate}/live/{secrets}")),
            ("refused", format!("rtmp://127.0.0.1:{}/live/{secrets}", free_port())),
            ("unresolved", format!("rtmp://no-such-host.invalid/live/{secrets}")),
        ]
    }
}

/// An origin that repeats what it was asked with in its refusal.
fn parrot(secrets: &[&str]) -> Vec<u8> {
    use rtmp_support::{connected, created, handshake, status};
    let words =
        secrets.iter().map(|s| format!("{s} {} {} {s:?}, ", encoded(s), s.to_ascii_uppercase())).collect::<String>();
    let code = format!("NetStream.Play.Failed.{}", secrets[1]);
    [handshake(), connected(), created(), status("error", &code, &format!("no: {words}"))].concat()
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
{streams}"
    );
    let server = format!(
        "  read: token\n  tokens: [{{ role: operate, token: \"{OPERATE}\" }}, {{ role: read, token: \"{READ}\" }}]\n"
    );
    let monitor = Monitor::start_with(&config, &server, &[("RUST_LOG", "trace"), ("RUST_BACKTRACE", "full")], |c| c);
    let live = follow_events(monitor.listen);
    let read = format!("Authorization: Bearer {READ}");
    let operate = format!("Authorization: Bearer {OPERATE}");
    let get = |path: &str| http(monitor.listen, "GET", path, &[&read], "").unwrap();
    let verdict = |name: &str| {
        let stream = get(&format!("/api/v1/streams/{name}")).json();
        format!(
            "{} {}",
            stream["health"].as_str().unwrap_or_default(),
            stream["causes"][0].as_str().unwrap_or_default()
        )
    };
    for (name, expected) in [
        ("gate", "up "),
        ("lone", "up "),
        ("escaped", "down no_media"),
        ("redirected", "up "),
        ("parrot", "down rejected"),
        ("lone-parrot", "down rejected"),
        ("odd-parrot", "down rejected"),
        ("garbage", "down handshake"),
        ("untrusted", "down tls"),
        ("no-tls", "down tls"),
        ("refused", "down connect"),
        ("unresolved", "down dns"),
    ] {
        eventually(&format!("{name} is {expected}"), SOON, || (verdict(name) == expected).then_some(()));
    }

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
        (json!({ "name": "bad", "url": format!("rtmp://u:{ADDED}@h/live") }).to_string(), 422),
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
        "/page.css",
        "/page.js",
        "/metrics",
        "/health",
        "/livez?verbose",
        "/readyz?verbose",
        "/-/healthy",
        "/-/ready",
        "/api/v1/status",
        "/api/v1/streams",
        "/api/v1/streams?state=down",
        "/api/v1/events?limit=1000",
        "/api/v1/openapi.json",
    ] {
        assert_eq!(ask("GET", path, &[&read], "") % 100, 0, "{path}");
    }
    for (name, _) in world.streams() {
        for path in [
            format!("/api/v1/streams/{name}"),
            format!("/api/v1/streams/{name}/events"),
            format!("/health/streams/{name}"),
        ] {
            ask("GET", &path, &[&read], "");
        }
        ask("HEAD", &format!("/health/streams/{name}"), &[], "");
        ask("OPTIONS", &format!("/health/streams/{name}"), &[], "");
    }
    for path in [
        format!("/{KEY}"),
        format!("/health/streams/{KEY}"),
        format!("/health/nothing/{KEY}"),
        format!("/livez/{KEY}"),
        format!("/readyz?exclude={KEY}&verbose"),
        format!("/api/v1/streams/{KEY}"),
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
    assert!(std::fs::read_to_string(&state).unwrap().contains(ADDED));

    let (directory, mut monitor) = (monitor.path().join("log"), monitor);
    assert_eq!(monitor.end_by("TERM").code(), Some(0));
    seen.note("the log", std::fs::read_to_string(directory).unwrap());
    let log = seen.text("the log");
    for part in
        ["TRACE", "parrot", "NetStream.Play.Failed", "***", "discovery failed", "unresolved", "add stream", "stopping"]
    {
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
fn the_running_monitor_tells_no_secret_in_json() {
    exercise("json");
}

/// The name of the test that panics, in a process of its own.
const PANICKING: &str = "panics_in_a_process_of_its_own";
/// Tells it to log.
const LOGGING: &str = "HMONITOR_TEST_LOGGING";

#[test]
#[ignore = "panics on purpose; a_panic_tells_where_and_no_secret runs it"]
fn panics_in_a_process_of_its_own() {
    rtmp_hmonitor::app::log_panics();
    if std::env::var_os(LOGGING).is_some() {
        let format = rtmp_hmonitor::config::LogFormat::Pretty;
        rtmp_hmonitor::app::start_logging(&rtmp_hmonitor::config::LogSpec { format, level: "info".into() }).unwrap();
    }
    let (key, end) = (format!("ü{KEY}"), 1);
    let cut = std::thread::spawn(move || key[..end].len());
    assert!(cut.join().is_err());
    assert!(std::thread::spawn(|| panic!("said on purpose")).join().is_err());
    std::process::exit(77);
}

#[test]
fn a_panic_tells_where_and_no_secret() {
    for (backtrace, logging) in [("0", true), ("full", true), ("full", false)] {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args([PANICKING, "--exact", "--ignored", "--nocapture"]).env("RUST_BACKTRACE", backtrace);
        if logging {
            command.env(LOGGING, "1");
        }
        let ran = finish(command);
        assert_eq!(ran.code, 77, "{}", ran.all());
        assert_eq!(ran.stderr.matches("ERROR").count(), if logging { 2 } else { 0 }, "{}", ran.stderr);
        assert!(ran.stderr.matches("tests/no_secret_leaks.rs:").count() >= 2, "{}", ran.stderr);
        assert!(ran.stderr.contains("panic: said on purpose"), "{}", ran.stderr);
        let mut seen = Seen::default();
        seen.note("a panic", ran.all());
        let leaks = seen.leaks();
        assert!(leaks.is_empty(), "{leaks:#?}");
    }
}

#[test]
fn the_probe_command_tells_no_secret() {
    let world = World::new();
    let mut seen = Seen::default();
    let traced = [("RUST_LOG", "trace"), ("RUST_BACKTRACE", "full")];
    std::thread::scope(|scope| {
        let mut running = Vec::new();
        for (name, url) in world.streams() {
            let expected = if ["gate", "lone", "redirected"].contains(&name) { 0 } else { 1 };
            running.push(scope.spawn(move || {
                let (for_a_while, limit) = (["--for", "1s"], ["--connect-timeout", "2s"]);
                let text = run_with(&[&["probe", &url][..], &for_a_while, &limit].concat(), &traced);
                let json = run_with(
                    &[&["probe", "--json"][..], &for_a_while, &limit].concat(),
                    &[&traced[..], &[("HMONITOR_PROBE_URL", &url)]].concat(),
                );
                assert_eq!((text.code, json.code), (expected, expected), "{name}: {}{}", text.all(), json.all());
                (name, format!("{}{}", text.all(), json.all()))
            }));
        }
        for thread in running {
            let (name, text) = thread.join().unwrap();
            seen.note(format!("probe of {name}"), text);
        }
    });
    assert!(seen.text("probe of parrot").contains("NetStream.Play.Failed"));

    // Wrong use: what was typed is not repeated.
    let good = format!("rtmp://h/live/{KEY}?token={TOKEN}");
    for arguments in [
        vec!["probe".into(), format!("http://h/live/{KEY}?token={TOKEN}")],
        vec!["probe".into(), format!("rtmp://h/{KEY} {PASSWORD}")],
        vec!["probe".into(), format!("rtmp://u:{PASSWORD}@h/live/{KEY}")],
        vec!["probe".into(), KEY.into()],
        vec!["probe".into(), good.clone(), good.clone()],
        vec!["probe".into(), good.clone(), "--for".into(), good.clone()],
        vec!["probe".into(), good.clone(), format!("--jsno={KEY}")],
        vec!["probe".into(), good.clone(), format!("--json={good}")],
        vec!["probe".into(), good.clone(), "--token".into(), TOKEN.into()],
        vec![good.clone()],
        vec!["prob".into(), good.clone()],
        vec!["completions".into(), good.clone()],
        vec!["sim".into(), "--listen".into(), good.clone()],
    ] {
        let ran = run(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(ran.code, 2, "{arguments:?}: {}", ran.all());
        seen.note(format!("{arguments:?}"), ran.all());
    }
    let ran = run_with(&["probe"], &[("HMONITOR_PROBE_URL", &format!("http://h/live/{KEY}"))]);
    assert_eq!(ran.code, 2);
    seen.note("a bad URL in the environment", ran.all());
    let help = run_with(&["probe", "--help"], &[("HMONITOR_PROBE_URL", &good)]);
    seen.note("help", help.all());
    let leaks = seen.leaks();
    assert!(leaks.is_empty(), "{} leaks:\n{}", leaks.len(), leaks.join("\n"));
}

#[test]
fn check_config_and_a_failing_start_tell_no_secret() {
    let mut seen = Seen::default();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("hmonitor.yml");
    std::fs::write(directory.path().join("bad.url"), format!("http://h/live/{KEY}\n")).unwrap();
    std::fs::write(directory.path().join("bad.token"), format!("{OPERATE} {READ}\n")).unwrap();
    let stream =
        |rest: &str| format!("streams:\n  - {{ name: a, url: \"rtmp://h/live/{KEY}?token={TOKEN}\"{rest} }}\n");
    for text in [
        format!("streams: [{{ name: a, url: \"http://h/live/{KEY}\" }}]\n"),
        format!("streams: [{{ name: a, url: \"rtmp://u:{PASSWORD}@h/live/{KEY}\" }}]\n"),
        format!("streams: [{{ name: a, url: \"rtmp://h/live/%zz{KEY}\" }}]\n"),
        format!("streams: [{{ name: \"rtmp://h/live/{KEY}\", url: \"rtmp://h/a\" }}]\n"),
        format!("streams: [\"rtmp://h/live/{KEY}\"]\n"),
        format!("streams: \"rtmp://h/live/{KEY}\"\n"),
        format!("streams:\n  \"rtmp://h/live/{KEY}\": x\n"),
        format!("\"rtmp://h/live/{KEY}\": x\n"),
        format!("streams: [{{ name: a, url: *{KEY} }}]\n"),
        format!("streams: [{{ name: a, url: !{KEY} x }}]\n"),
        format!("streams: [{{ name: a, url: \"rtmp://h/live/{KEY} }}]\n"),
        format!("streams:\n\t- {{ name: a, url: rtmp://h/live/{KEY} }}\n"),
        format!("rtmp://h/live/{KEY}\n"),
        "streams: [{ name: a, url_file: bad.url }]\n".to_owned(),
        stream(&format!(", watch: {KEY}")),
        stream(&format!(", stall_timeout: {KEY}, rise: {KEY}, fall: [{KEY}]")),
        stream(&format!(", app: {PASSWORD}")),
        stream(&format!(", labels: {{ stream: {KEY}, site: [{KEY}] }}")),
        stream(&format!(", expect: {{ video: {{ codec: {KEY}, width: {KEY}, fps: {KEY} }}, audio: {KEY} }}")),
        stream(&format!(", schedule: {{ zone: {KEY}, on_air: [{KEY}] }}")),
        stream(&format!(", tls: {{ server_name: \"{KEY}/{KEY}\" }}")),
        stream(", ulr: x"),
        format!("{}{}", stream(""), stream("").replace("streams:\n", "")),
        format!("server: {{ tokens: [{{ role: operate, token: \"{OPERATE} {READ}\" }}] }}\n"),
        format!(
            "server: {{ tokens: [{{ role: {OPERATE}, token: {OPERATE} }}, {OPERATE}, {{ {OPERATE}: {OPERATE}x/ }}] }}\n"
        )
        .replace(&format!("{{ {OPERATE}: "), "{ tokn: "),
        "server: { tokens: [{ role: operate, token_file: bad.token }] }\n".to_owned(),
        format!("server: {{ listen: {OPERATE}, read: {OPERATE} }}\n"),
        format!("log: {{ level: {OPERATE}, format: {OPERATE} }}\n"),
        format!(
            "discover: [{{ http: \"ftp://h/?key={INVENTORY_QUERY}\", token: \"{INVENTORY} x\", refresh: {INVENTORY} }}]\n"
        ),
        format!("discover: [{{ http: \"http://u:{PASSWORD}@h/\", token: {INVENTORY} }}]\n"),
        format!("probe: {{ modules: [{{ name: a, allow: [\"rtmp://h/live/{KEY}\"] }}] }}\n"),
        format!("templates: [{{ names: [\"{{{KEY}..}}\"], url: \"http://h/{KEY}/{{nam}}\" }}]\n"),
    ] {
        std::fs::write(&path, &text).unwrap();
        for command in ["check-config", "run"] {
            let mut child = Command::new(env!("CARGO_BIN_EXE_rtmp-hmonitor"));
            child.arg(command).arg("--config").arg(&path).env("RUST_LOG", "trace");
            let ran = finish(child);
            assert_eq!(ran.code, 1, "{command} on {text}: {}", ran.all());
            seen.note(format!("{command} on {text}"), ran.all());
        }
    }
    // Warnings of a file that is right: two streams on one URL.
    std::fs::write(
        &path,
        format!("{}{}", stream(""), stream("").replace("streams:\n", "").replace("name: a", "name: b")),
    )
    .unwrap();
    let ran = run(&["check-config", "--config", path.to_str().unwrap()]);
    assert_eq!(ran.code, 0, "{}", ran.all());
    assert!(ran.stdout.contains("warning"), "{}", ran.stdout);
    seen.note("check-config with a warning", ran.all());
    // Overrides by the environment.
    for (name, value) in
        [("HMONITOR__STREAMS__0__URL", format!("http://h/{KEY}")), ("HMONITOR__SERVER__LISTEN", KEY.into())]
    {
        let ran = run_with(&["check-config", "--config", path.to_str().unwrap()], &[(name, &value)]);
        assert_eq!(ran.code, 1, "{}", ran.all());
        seen.note(name, ran.all());
    }
    let leaks = seen.leaks();
    assert!(leaks.is_empty(), "{} leaks:\n{}", leaks.len(), leaks.join("\n"));
}
