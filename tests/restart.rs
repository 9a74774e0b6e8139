//! The monitor's own life is nobody's outage: what it said before a crash holds until it has seen better, and when it stops it is silent.

mod harness;
mod process;

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use harness::{Monitor, eventually, free_port, http};
use process::{Origin, QUICK, SOON, WebServer, finish};
use rtmp_hmonitor::sim::Fault;
use serde_json::{Value, json};

fn streams(origin: &Origin, names: &[&str]) -> String {
    let lines: String = names.iter().map(|n| format!("  - {{ name: {n}, url: \"{}\" }}\n", origin.url(n))).collect();
    format!("{QUICK}streams:\n{lines}")
}

fn epoch(monitor: &Monitor, name: &str) -> u64 {
    monitor.stream(name)["epoch"].as_u64().unwrap()
}

fn health(monitor: &Monitor, name: &str) -> (u16, Value) {
    let answer = http(monitor.health, "GET", &format!("/health/streams/{name}"), &[], "").unwrap();
    (answer.status, answer.json())
}

/// The state file as written, once `holds`.
fn state(monitor: &Monitor, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
    let path = monitor.path().join("state.json");
    eventually(what, SOON, || serde_json::from_slice(&std::fs::read(&path).ok()?).ok().filter(|state| holds(state)))
}

#[test]
fn answers_hold_over_a_crash_until_something_else_is_seen() {
    let origin = Origin::start("good,bad");
    origin.fault("bad", &Fault::NotFound);
    let monitor = Monitor::start(&streams(&origin, &["good", "bad"]));
    monitor.wait_for("good", "up", SOON);
    monitor.wait_for("bad", "down not_found", SOON);
    let before = [epoch(&monitor, "good"), epoch(&monitor, "bad")];
    state(&monitor, "both verdicts are kept", |s| {
        s["streams"]["good"]["health"] == "up" && s["streams"]["bad"]["health"] == "down"
    });

    // From now on nothing can be seen: every connection is accepted and stays silent.
    origin.fault("*", &Fault::AcceptSilent);
    let monitor = monitor.restart_after_kill();
    let ((good, good_body), (bad, bad_body)) = (health(&monitor, "good"), health(&monitor, "bad"));
    assert_eq!((good, bad), (200, 503), "{good_body} {bad_body}");
    for body in [&good_body, &bad_body] {
        assert_eq!((&body["status"], &body["basis"]), (&"unknown".into(), &"held".into()), "{body}");
    }
    assert!(epoch(&monitor, "good") > before[0] && epoch(&monitor, "bad") > before[1], "epochs never go back");
    let held = epoch(&monitor, "good");

    // A second crash before anything was seen loses nothing either.
    let monitor = monitor.restart_after_kill();
    assert_eq!((health(&monitor, "good").0, health(&monitor, "bad").0), (200, 503));
    assert!(epoch(&monitor, "good") >= held);

    // Seen: the one that is back is up again, the other goes down for what is found.
    origin.clear("*");
    origin.fault("good", &Fault::NotFound);
    monitor.wait_for("bad", "up", SOON);
    monitor.wait_for("good", "down not_found", SOON);
    assert_eq!((health(&monitor, "good").0, health(&monitor, "bad").0), (503, 200));
}

#[test]
fn discovered_streams_are_watched_on_while_their_list_cannot_be_read() {
    let origin = Origin::start("good,bad");
    origin.fault("bad", &Fault::NotFound);
    let list = ["good", "bad"].map(|n| json!({ "targets": [origin.url(n)], "labels": { "name": n } }));
    let server = WebServer::start("503 Service Unavailable\r\n\r\n");
    server.set_json(&json!(list).to_string());
    let monitor =
        Monitor::start(&format!("{QUICK}discover: [{{ http: \"http://{}/\", refresh: 1s }}]\n", server.address));
    eventually("the list is read", SOON, || (monitor.get("/api/v1/streams/bad").status == 200).then_some(()));
    monitor.wait_for("good", "up", SOON);
    monitor.wait_for("bad", "down not_found", SOON);
    let before = epoch(&monitor, "good");
    state(&monitor, "both verdicts are kept", |s| {
        s["streams"]["good"]["health"] == "up" && s["streams"]["bad"]["health"] == "down"
    });

    // The inventory goes down, then the monitor: whoever asks about a healthy camera must not hear of an outage.
    server.set("503 Service Unavailable\r\n\r\n");
    let monitor = monitor.restart_after_kill();
    assert_eq!((monitor.health_code("good"), monitor.health_code("bad")), (200, 503));
    monitor.wait_for("good", "up", SOON);
    monitor.wait_for("bad", "down not_found", SOON);
    assert_eq!(monitor.metric("hmonitor_discovery_sources_failing", &[]), Some(1.0));
    assert_eq!(monitor.health_code("never-known"), 503);
    let monitor = monitor.restart_after_kill();
    assert_eq!((monitor.health_code("good"), monitor.health_code("bad")), (200, 503), "over a second crash, too");

    server.set_json(&json!(list).to_string());
    eventually("the list is read again", SOON, || {
        (monitor.metric("hmonitor_discovery_sources_failing", &[]) == Some(0.0)).then_some(())
    });
    monitor.wait_for("good", "up", SOON);
    assert!(epoch(&monitor, "good") > before, "epochs never go back");
}

#[test]
fn a_stream_that_was_down_has_to_last_before_it_is_up_again() {
    let origin = Origin::start("gate");
    origin.fault("gate", &Fault::NotFound);
    let config = streams(&origin, &["gate"]).replace("rise: 0s", "rise: 2s");
    let monitor = Monitor::start(&config);
    monitor.wait_for("gate", "down not_found", SOON);
    state(&monitor, "the verdict is kept", |s| s["streams"]["gate"]["health"] == "down");
    origin.clear("gate");
    let start = Instant::now();
    let monitor = monitor.restart_after_kill();
    // A restart is no shortcut around `rise`.
    loop {
        let code = monitor.health_code("gate");
        if code == 200 {
            break;
        }
        assert!(start.elapsed() < SOON, "never up: {}", monitor.log());
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(start.elapsed() >= Duration::from_secs(2), "up after {:?}", start.elapsed());
}

#[test]
fn the_state_file_is_its_owners_alone() {
    let origin = Origin::start("gate");
    let monitor = Monitor::start(&streams(&origin, &["gate"]));
    monitor.wait_for("gate", "up", SOON);
    state(&monitor, "the verdict is kept", |s| s["streams"]["gate"]["health"] == "up");
    let mode = std::fs::metadata(monitor.path().join("state.json")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_damaged_state_file_is_put_aside_and_the_monitor_starts() {
    let origin = Origin::start("gate");
    let mut monitor = Monitor::start(&streams(&origin, &["gate"]));
    for damage in
        ["", "{", "{\"version\": 99}", "[]", "{\"version\":1,\"streams\":{\"gate\":{\"epoch\":-1}}}", "\0\0\0\0"]
    {
        monitor.signal("KILL");
        let path = monitor.path().join("state.json");
        // Killed, but it may be writing until it is gone.
        eventually("it is gone", SOON, || TcpStream::connect(monitor.listen).is_err().then_some(()));
        for old in put_aside(&monitor) {
            std::fs::remove_file(old).unwrap();
        }
        std::fs::write(&path, damage).unwrap();
        monitor = monitor.restart_after_kill();
        assert_eq!(monitor.health_code("gate"), 200, "without history nothing is known to be bad");
        let aside = put_aside(&monitor);
        assert_eq!(aside.len(), 1, "{damage:?}: {aside:?}");
        assert_eq!(std::fs::read_to_string(&aside[0]).unwrap(), damage, "nothing is lost");
    }
    assert!(monitor.log().contains("a file of the monitor's state is damaged"));
    monitor.wait_for("gate", "up", SOON);
    state(&monitor, "it is written anew", |s| s["streams"]["gate"]["health"] == "up");
}

fn put_aside(monitor: &Monitor) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(monitor.path()).unwrap().map(|e| e.unwrap().path());
    entries.filter(|p| p.to_string_lossy().contains("damaged")).collect()
}

#[test]
fn a_stop_is_silent_and_quick() {
    for signal in ["TERM", "INT"] {
        let origin = Origin::start("good,bad");
        let mut monitor = Monitor::start(&streams(&origin, &["good", "bad"]));
        monitor.wait_for("good", "up", SOON);
        monitor.wait_for("bad", "up", SOON);
        let (address, stop) = (monitor.health, AtomicBool::new(false));
        let main = monitor.listen;
        // Somebody asks all the time, on both listeners; an open event stream must not hold the stop up.
        let mut events = TcpStream::connect(main).unwrap();
        std::io::Write::write_all(
            &mut events,
            b"GET /api/v1/events HTTP/1.1\r\nHost: m\r\nAccept: text/event-stream\r\n\r\n",
        )
        .unwrap();
        let (codes, took) = std::thread::scope(|scope| {
            let asking = [address, main].map(|address| {
                let stop = &stop;
                scope.spawn(move || {
                    let mut codes = Vec::new();
                    while !stop.load(Ordering::Relaxed) {
                        // Refused, reset and cut off are silence.
                        if let Ok(answer) = http(address, "GET", "/health/streams/good", &[], "") {
                            codes.push(answer.status);
                        }
                    }
                    codes
                })
            });
            std::thread::sleep(Duration::from_millis(200));
            let start = Instant::now();
            let status = monitor.end_by(signal);
            let took = start.elapsed();
            assert_eq!(status.code(), Some(0), "SIG{signal}: {}", monitor.log());
            stop.store(true, Ordering::Relaxed);
            (asking.map(|thread| thread.join().unwrap()).concat(), took)
        });
        assert!(took < Duration::from_secs(5), "{took:?}");
        assert!(codes.len() > 10, "{codes:?}");
        // An answer of 0 is a connection that was closed without a word.
        assert!(codes.iter().all(|c| [200, 0].contains(c)), "SIG{signal}: a stopping monitor says {codes:?}");
        assert!(TcpStream::connect(address).is_err(), "nobody listens any more");
        let log = monitor.log();
        assert!(log.contains("stopping") && !log.contains("panicked"), "{log}");
        eventually("the players leave", SOON, || (origin.stats("good").players == 0).then_some(()));
        // What it knew is kept.
        let kept = state(&monitor, "the state is kept", |s| s["streams"]["good"]["health"] == "up");
        assert_eq!(kept["streams"]["bad"]["health"], "up");
    }
}

#[test]
fn an_origin_that_hangs_does_not_hold_up_the_stop() {
    let origin = Origin::start("gate");
    let config = streams(&origin, &["gate"]).replace("supervisor:", "shutdown_timeout: 2s\nsupervisor:");
    let mut monitor = Monitor::start(&config);
    monitor.wait_for("gate", "up", SOON);
    origin.fault("*", &Fault::Hang);
    let start = Instant::now();
    assert_eq!(monitor.terminate().code(), Some(0));
    assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
}

/// Runs the monitor on a configuration that cannot work, to its end.
fn fails(config: &str) -> String {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("hmonitor.yml");
    std::fs::write(&path, config).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_rtmp-hmonitor"));
    command.args(["run", "--config"]).arg(&path);
    let ran = finish(command);
    assert_eq!(ran.code, 1, "{}", ran.all());
    ran.all()
}

#[test]
fn what_makes_a_start_impossible_is_said() {
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let taken = taken.local_addr().unwrap();
    let free = || SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
    let said = fails(&format!("server: {{ listen: \"{taken}\", health_listen: \"{}\" }}\n", free()));
    assert!(said.contains(&format!("cannot listen on {taken} (server.listen)")) && said.contains("in use"), "{said}");
    let said = fails(&format!("server: {{ listen: \"{}\", health_listen: \"{taken}\" }}\n", free()));
    assert!(said.contains(&format!("cannot listen on {taken} (server.health_listen)")), "{said}");
    let said = fails(&format!(
        "server: {{ listen: \"{}\", health_listen: none }}\nstate_file: /nonexistent/state.json\n",
        free()
    ));
    assert!(said.contains("/nonexistent/state.json"), "{said}");
    let said = fails("streams: [{ name: a }]\n");
    assert!(said.contains("streams[0]") && said.contains("url"), "{said}");
    let said =
        fails(&format!("server: {{ listen: \"{}\", health_listen: none }}\nlog: {{ level: \"a=b=c\" }}\n", free()));
    assert!(said.contains("log"), "{said}");
}
