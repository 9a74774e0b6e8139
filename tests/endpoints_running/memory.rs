//! What was said of an endpoint outlives the reload that removes it, and the process.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};

use serde_json::Value;

use crate::harness::{Monitor, eventually, metric};
use crate::process::{QUICK, SOON};

/// A web server that answers by path, or takes connections and says nothing.
struct Door {
    address: SocketAddr,
    silent: Arc<Mutex<bool>>,
}

impl Door {
    fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let door = Self { address: listener.local_addr().unwrap(), silent: Arc::default() };
        let silent = Arc::clone(&door.silent);
        std::thread::spawn(move || {
            let mut kept = Vec::new();
            for mut socket in listener.incoming().flatten() {
                if *silent.lock().unwrap() {
                    kept.push(socket);
                    continue;
                }
                let mut head = [0; 4096];
                let length = socket.read(&mut head).unwrap_or(0);
                let status = if head[..length].starts_with(b"GET /good ") { "200 OK" } else { "500 No" };
                // A client that goes away is its own business.
                let _ = write!(socket, "HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            }
        });
        door
    }

    fn config(&self) -> String {
        let line = |name: &str| {
            format!(
                "  - {{ name: {name}, rise: 0s, http: {{ url: \"http://{}/{name}\", interval: 15s, timeout: 15s }} }}\n",
                self.address
            )
        };
        format!("{QUICK}endpoints:\n{}{}", line("good"), line("bad"))
    }
}

fn start(door: &Door) -> Monitor {
    let monitor = Monitor::start_with(
        &door.config(),
        "  tokens: [{ role: operate, token: test-operate-token }]\n",
        &[],
        |command| command,
    );
    monitor.wait_at("endpoints/good", "up", SOON);
    monitor.wait_at("endpoints/bad", "down status", SOON);
    monitor
}

fn reload(monitor: &Monitor, text: &str) {
    std::fs::write(monitor.config_path(), text).unwrap();
    let answer = monitor.request("POST", "/-/reload", &["Authorization: Bearer test-operate-token"], "");
    assert_eq!(answer.status, 200, "{}", answer.body);
}

#[test]
fn a_reload_that_removes_an_endpoint_keeps_its_last_answer() {
    let door = Door::start();
    let monitor = start(&door);
    let text = std::fs::read_to_string(monitor.config_path()).unwrap();
    reload(&monitor, text.split_once("endpoints:").unwrap().0);
    eventually("it is gone from the API", SOON, || (monitor.get("/api/v1/endpoints/good").status == 404).then_some(()));
    assert!(!monitor.metrics().contains("endpoint=\"good\""));
    assert_eq!([monitor.health_of("endpoints/good").0, monitor.health_of("endpoints/bad").0], [200, 503]);
    let metrics = monitor.metrics();
    for answer in ["healthy", "unhealthy"] {
        let labels = [&format!("answer=\"{answer}\"")[..], "view=\"departed\""];
        assert_eq!(metric(&metrics, "hmonitor_health_answers_total", &labels), Some(1.0));
    }
    assert_eq!(monitor.health_of("endpoints/never-known").0, 503);
    assert_eq!(monitor.health_of("services/good").0, 503, "a service is something else");

    // It comes back as itself.
    reload(&monitor, &text);
    monitor.wait_at("endpoints/good", "up", SOON);
    monitor.wait_at("endpoints/bad", "down status", SOON);
    assert_eq!(monitor.metric("hmonitor_endpoint_outages_total", &["endpoint=\"bad\""]), Some(1.0), "the same outage");
}

#[test]
fn a_restart_answers_what_was_persisted_until_something_is_seen() {
    let door = Door::start();
    let monitor = start(&door);
    let epoch = |monitor: &Monitor, place: &str| monitor.health_of(place).1["epoch"].as_u64().unwrap();
    let before = [epoch(&monitor, "endpoints/good"), epoch(&monitor, "endpoints/bad")];
    let path = monitor.path().join("state.json");
    eventually("both verdicts are kept", SOON, || {
        let state: Value = serde_json::from_slice(&std::fs::read(&path).ok()?).ok()?;
        let health = |name: &str| state["endpoints"][name]["health"].clone();
        (health("good") == "up" && health("bad") == "down").then_some(())
    });

    *door.silent.lock().unwrap() = true;
    let monitor = monitor.restart_after_kill();
    let (good, bad) = (monitor.health_of("endpoints/good"), monitor.health_of("endpoints/bad"));
    assert_eq!((good.0, bad.0), (200, 503), "{good:?} {bad:?}");
    for (_, body) in [&good, &bad] {
        assert_eq!((&body["status"], &body["basis"]), (&"unknown".into(), &"held".into()), "{body}");
    }
    assert!(epoch(&monitor, "endpoints/good") > before[0] && epoch(&monitor, "endpoints/bad") > before[1]);

    // Seen again over a third process, which can see.
    *door.silent.lock().unwrap() = false;
    let monitor = monitor.restart_after_kill();
    monitor.wait_at("endpoints/good", "up", SOON);
    monitor.wait_at("endpoints/bad", "down status", SOON);
    assert_eq!([monitor.health_of("endpoints/good").0, monitor.health_of("endpoints/bad").0], [200, 503]);
}
