//! Streams that nobody types: a real nginx-rtmp's statistics list them, and a camera that dies stays on the list.

mod harness;
mod process;

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use harness::nginx::{Nginx, unshared_port};
use harness::recording::{PLAIN, Recording};
use harness::{Monitor, eventually};
use process::{QUICK, SOON};

/// Longer than what is kept least, in looks a second.
const LOOKS: f64 = 5.0;

fn names(monitor: &Monitor) -> Vec<String> {
    let list = monitor.get("/api/v1/streams").json();
    list["streams"].as_array().unwrap().iter().map(|s| s["name"].as_str().unwrap().to_owned()).collect()
}

fn wait_for_names(monitor: &Monitor, expected: &[&str]) {
    eventually(&format!("{expected:?}"), SOON, || (names(monitor) == expected).then_some(()));
}

fn wait_until_down(monitor: &Monitor, stream: &str) {
    eventually(&format!("{stream} down"), SOON, || (monitor.stream(stream)["health"] == "down").then_some(()));
}

fn wait_for_failing(monitor: &Monitor, sources: f64) {
    eventually("failing sources", SOON, || {
        (monitor.metric("hmonitor_discovery_sources_failing", &[]) == Some(sources)).then_some(())
    });
}

#[test]
fn follow_the_server_and_outlive_their_publishers_its_restart_and_ours() {
    let recording = Recording::of(PLAIN);
    let web = unshared_port();
    let mut nginx = Nginx::start_with(
        "application live { live on; } application other { live on; }",
        &format!("server {{ listen 127.0.0.1:{web}; location /stat {{ rtmp_stat all; }} }}"),
    );
    let config = format!(
        "{QUICK}services:
  - name: slave
    rtmp_server: {{ kind: nginx_rtmp, url: \"http://127.0.0.1:{web}/stat\", origin: \"{}\", interval: 1s, timeout: 1s }}
discover:
  - {{ rtmp_server: slave, apps: [live] }}
  - {{ rtmp_server: slave, apps: [live], name: \"served-{{key}}\", source: server, labels: {{ app: \"{{app}}\" }} }}
  - {{ rtmp_server: slave, apps: [live], name: \"brief-{{key}}\", source: server, keep: 3s }}
streams: [{{ name: waiting, url: \"{}\" }}]
",
        nginx.address(),
        nginx.url("live/never-published"),
    );
    let monitor = Monitor::start(&config);
    // The server lists what somebody waits for, but nobody has published it.
    wait_until_down(&monitor, "waiting");
    assert_eq!(names(&monitor), ["waiting"]);

    let one = nginx.publish("live/one", &recording);
    let _two = nginx.publish("live/two", &recording);
    let _other = nginx.publish("other/three", &recording);
    let all = ["brief-one", "brief-two", "one", "served-one", "served-two", "two", "waiting"];
    wait_for_names(&monitor, &all);
    for name in &all[..6] {
        monitor.wait_for(name, "up", SOON);
    }
    let served = monitor.stream("served-one");
    assert_eq!((&served["source"], &served["labels"]["app"]), (&"discovery".into(), &"live".into()));

    one.kill();
    wait_until_down(&monitor, "one");
    monitor.wait_for("served-one", "down not_found", SOON);
    let kept = ["brief-two", "one", "served-one", "served-two", "two", "waiting"];
    wait_for_names(&monitor, &kept);
    assert_eq!(monitor.verdict("two"), "up");

    // Time in which the server does not answer is no time in which it lists nothing.
    nginx.kill();
    wait_until_down(&monitor, "two");
    wait_for_failing(&monitor, 3.0);
    let failed = || monitor.metric("hmonitor_service_checks_failed_total", &["service=\"slave\""]).unwrap();
    let before = failed();
    eventually("looks that fail", SOON, || (failed() >= before + LOOKS).then_some(()));
    assert_eq!(names(&monitor), kept);

    let monitor = monitor.restart_after_kill();
    assert_eq!(names(&monitor), kept, "the server is down, and they are wanted");
    assert_eq!((monitor.health_code("one"), monitor.health_code("served-one")), (503, 503));
    let state = std::fs::metadata(monitor.path().join("state.json")).unwrap();
    assert_eq!(state.permissions().mode() & 0o777, 0o600, "it holds stream keys");

    nginx.start_again();
    let _two = nginx.publish("live/two", &recording);
    for name in ["two", "served-two", "brief-two"] {
        monitor.wait_for(name, "up", SOON);
    }
    wait_for_failing(&monitor, 0.0);
    monitor.wait_for("served-one", "down not_found", SOON);
    assert_eq!(names(&monitor), kept);

    // Other applications are another question to the same server: what is known of it stays.
    let text = std::fs::read_to_string(monitor.config_path()).unwrap();
    std::fs::write(monitor.config_path(), text.replace("[live]", "[live, other]")).unwrap();
    eventually("a reload", SOON, || monitor.log().contains("configuration reloaded").then_some(()));
    assert_eq!(names(&monitor), kept);
    let three = nginx.publish("other/three", &recording);
    wait_for_names(
        &monitor,
        &["brief-three", "brief-two", "one", "served-one", "served-three", "served-two", "three", "two", "waiting"],
    );
    monitor.wait_for("three", "up", Duration::from_secs(20));
    drop(three);
}
