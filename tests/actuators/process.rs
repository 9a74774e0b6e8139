//! The whole monitor: ghosts are shown without anything being configured, and actions come and go with a reload.

use std::time::Duration;

use crate::decided::SOON;
use crate::ghosts::origin;
use crate::harness::recording::{PLAIN, Recording};
use crate::harness::{Monitor, eventually};

#[test]
fn ghosts_show_in_metrics_and_api_and_nothing_is_done_about_them() {
    let recording = Recording::of(PLAIN);
    let (nginx, web) = origin();
    let config = format!(
        "streams:\n  - {{ name: gate, url: \"{}\", source: server, server: slave }}\n\
         services:\n  - {{ name: slave, rtmp_server: {{ kind: nginx_rtmp, url: \"http://127.0.0.1:{web}/stat\", interval: 200ms }} }}\n",
        nginx.url("live/PLANTED-key")
    );
    let mut monitor = Monitor::start(&config);
    let publisher = nginx.publish("live/PLANTED-key", &recording);
    let ghosts = || monitor.metric("hmonitor_ghost_publishers", &["service=\"slave\""]);
    eventually("a publication that moves", SOON, || {
        (monitor.metric("hmonitor_rtmp_server_streams", &[])? == 1.0).then_some(())
    });
    assert_eq!(ghosts(), Some(0.0));
    publisher.freeze();
    eventually("a ghost", SOON, || (ghosts() == Some(1.0)).then_some(()));
    let status = eventually("a ghost in the status", SOON, || {
        let status = monitor.document("status");
        (status["ghosts"].as_array()?.len() == 1).then_some(status)
    });
    let ghost = &status["ghosts"][0];
    assert_eq!(
        (&ghost["service"], &ghost["stream"], &ghost["moved"]),
        (&"slave".into(), &"gate".into(), &false.into())
    );
    assert!(!status["ghosts"].to_string().contains("PLANTED") && !monitor.log().contains("PLANTED"));
    let kinds: Vec<_> =
        status["actions"].as_array().unwrap().iter().map(|of| of["action"].as_str().unwrap().to_owned()).collect();
    assert_eq!(kinds, ["haproxy", "track_file", "webhook", "command", "ghosts"]);
    for kind in kinds {
        assert_eq!(monitor.metric("hmonitor_actions_pending", &[&format!("action=\"{kind}\"")]), Some(0.0));
    }
    assert_eq!(monitor.metric("hmonitor_actions_total", &["action=\"ghosts\"", "outcome=\"done\""]), Some(0.0));
    assert_eq!(monitor.metric("hmonitor_decision_latency_seconds_count", &[]), Some(0.0));
    publisher.thaw();
    eventually("no ghost", SOON, || (ghosts() == Some(0.0)).then_some(()));
    assert!(monitor.terminate().success());
}

#[test]
fn a_reload_brings_actions_and_a_bad_one_keeps_them() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("track");
    let groups = "groups: [{ name: one, up_while: { endpoints: [here] } }]\n\
                  endpoints: [{ name: here, tcp: { address: \"127.0.0.1:1\", interval: 200ms } }]\n";
    let mut monitor = Monitor::start(groups);
    let before = std::fs::read_to_string(monitor.config_path()).unwrap();
    let reloaded = |text: &str, successful: f64| {
        std::fs::write(monitor.config_path(), format!("{before}{text}")).unwrap();
        monitor.signal("HUP");
        eventually("the reload", SOON, || {
            (monitor.metric("hmonitor_config_last_reload_successful", &[])? == successful).then_some(())
        });
    };
    let socket = directory.path().join("nobody.sock");
    reloaded(&format!("actions: {{ track_file: [{{ file: {}, group: nobody }}] }}\n", file.display()), 0.0);
    assert!(monitor.log().contains("actions.track_file[0].group: no group has this name"), "{}", monitor.log());
    let push =
        format!("haproxy: [{{ name: lb, socket: {}, servers: [{{ server: b/s, group: one }}] }}]", socket.display());
    let webhook = "webhook: [{ name: hook, url: \"http://127.0.0.1:1/PLANTED\", secret: PLANTED }]";
    let command = "command: [{ name: cmd, argv: [/bin/false, PLANTED] }]";
    reloaded(
        &format!(
            "actions: {{ {push}, {webhook}, {command}, track_file: [{{ file: {}, group: one }}] }}\n",
            file.display()
        ),
        1.0,
    );
    // Whoever is hindered hinders nobody: health answers and metrics go on, and so does the end.
    let outbox = monitor.path().join("state.outbox");
    eventually("an outbox", SOON, || outbox.exists().then_some(()));
    assert_eq!(monitor.get("/livez").status, 200);
    assert!(!monitor.log().contains("PLANTED"), "{}", monitor.log());
    assert!(monitor.metric("hmonitor_task_panics_total", &[]) == Some(0.0));
    let start = std::time::Instant::now();
    assert!(monitor.terminate().success());
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
}
