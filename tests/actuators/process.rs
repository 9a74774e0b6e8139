//! The whole monitor: ghosts are shown without anything being configured, and actions come and go with a reload.

use std::net::TcpListener;
use std::time::Duration;

use crate::balancer::{Balancer, Slaves, is_cut};
use crate::decided::SOON;
use crate::ghosts::origin;
use crate::harness::recording::{PLAIN, Recording};
use crate::harness::{Monitor, eventually};
use crate::receiver::{Mood, Receiver};

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

#[test]
fn a_dead_machine_moves_haproxy_the_file_and_the_receiver_through_a_restart_of_the_monitor() {
    let slaves = Slaves::new();
    let balancer = Balancer::start(&slaves.lines());
    let receiver = Receiver::start();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("slave-1");
    let machines = [0, 1].map(|_| TcpListener::bind("127.0.0.1:0").unwrap());
    let endpoint = |at: usize| {
        let address = machines[at].local_addr().unwrap();
        format!("  - {{ name: host-{}, tcp: {{ address: \"{address}\", interval: 200ms, down_after: 2 }} }}\n", at + 1)
    };
    let config = format!(
        "endpoints:\n{}{}groups:\n\
         \x20 - {{ name: slave-1, eligible_while: {{ endpoints: [host-1] }} }}\n\
         \x20 - {{ name: slave-2, eligible_while: {{ endpoints: [host-2] }} }}\n\
         failovers: [{{ name: ingest, candidates: [{{ group: slave-1, value: one }}, {{ group: slave-2, value: two }}], settle: 1s, hold: 1s }}]\n\
         actions:\n\
         \x20 haproxy:\n    - {{ name: lb, socket: {}, servers: [{{ server: slaves/s1, group: slave-1, failover: ingest }}, {{ server: slaves/s2, group: slave-2, failover: ingest }}] }}\n\
         \x20 track_file: [{{ file: {}, group: slave-1, failover: ingest, unhealthy: 7 }}]\n\
         \x20 webhook: [{{ name: hook, url: \"http://{}/\", groups: [] }}]\n",
        endpoint(0),
        endpoint(1),
        balancer.socket().display(),
        file.display(),
        receiver.address,
    );
    let monitor = Monitor::start(&config);
    balancer.wait_agents(true, false);
    let mut session = balancer.connect();
    eventually("a session on s1", SOON, || (balancer.column("s1", "scur")? == "1").then_some(()));
    let told =
        || receiver.taken(Mood::Fine).iter().map(|r| r.json()["to"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
    eventually("the first", SOON, || (told() == ["slave-1"]).then_some(()));
    let [first, _second] = machines;
    let start = std::time::Instant::now();
    drop(first);
    eventually("the session is cut", SOON, || is_cut(&mut session).then_some(()));
    println!("session cut {:?} after the machine died", start.elapsed());
    balancer.wait_agents(false, true);
    let reads = |content: &str| {
        eventually(content, SOON, || (std::fs::read_to_string(&file).ok()? == content).then_some(()));
    };
    reads("7\n");
    eventually("the switch is told", SOON, || (told() == ["slave-1", "slave-2"]).then_some(()));
    let latency = || monitor.metric("hmonitor_decision_latency_seconds_count", &[]);
    assert!(latency() >= Some(1.0), "{:?}", latency());
    assert!(monitor.metric("hmonitor_actions_total", &["action=\"haproxy\"", "outcome=\"done\""]) >= Some(2.0));
    let events = monitor.get("/api/v1/events").body;
    assert!(events.contains("set server slaves/s1 agent down"), "{events}");
    // Another monitor, the same decision: nobody is told again, and what was changed meanwhile is set right.
    balancer.ask("set server slaves/s1 agent up").unwrap();
    std::fs::write(&file, "0\n").unwrap();
    let _monitor = monitor.restart_after_kill();
    balancer.wait_agents(false, true);
    reads("7\n");
    assert_eq!(told(), ["slave-1", "slave-2"]);
}
