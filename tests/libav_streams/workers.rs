//! Workers that are lost while they demux.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;

use crate::harness::{Monitor, eventually, signal};
use crate::servers::published;

const LONG: Duration = Duration::from_secs(60);

/// Processes that the monitor has started.
fn workers(monitor: &Monitor) -> BTreeSet<u32> {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", monitor.pid())).unwrap();
    let children = tasks.flatten().filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok());
    children.flat_map(|pids| pids.split_whitespace().map(|pid| pid.parse().unwrap()).collect::<Vec<u32>>()).collect()
}

fn attempts(monitor: &Monitor, name: &str) -> u64 {
    monitor.stream(name)["connection"]["attempts"].as_u64().unwrap_or(0)
}

fn ends(monitor: &Monitor, reason: &str) -> f64 {
    monitor.metric("hmonitor_libav_worker_restarts_total", &[&format!("reason=\"{reason}\"")]).unwrap()
}

/// Two streams that are up, and what they were like then.
fn watched(file: &str) -> Monitor {
    let stream = |name: &str| format!("  - {{ name: {name}, url: \"file:{file}\", rise: 0s, fall: 0s }}\n");
    let monitor = Monitor::start(&format!("streams:\n{}{}", stream("a"), stream("b")));
    monitor.wait_for("a", "up", LONG);
    monitor.wait_for("b", "up", LONG);
    assert_eq!(workers(&monitor).len(), 2, "a process for each");
    monitor
}

/// The stream that was struck, told by its second attempt, and the other one.
fn struck(monitor: &Monitor) -> (&'static str, &'static str) {
    eventually("a worker is replaced", LONG, || {
        [("a", "b"), ("b", "a")].into_iter().find(|(name, _)| attempts(monitor, name) > 1)
    })
}

fn untouched(other: &Value) {
    assert_eq!((&other["connection"]["attempts"], &other["outages"]), (&1.into(), &0.into()), "{other}");
    assert_eq!(other["health"], "up");
    assert_eq!(other["media"]["stalls"], 0);
}

#[test]
fn a_killed_worker_costs_its_session_and_no_other() {
    let (_directory, file) = published("cam.ts");
    let monitor = watched(file.to_str().unwrap());
    signal(*workers(&monitor).first().unwrap(), "KILL");
    let (name, other) = struck(&monitor);
    eventually("it plays again", LONG, || (monitor.stream(name)["connection"]["state"] == "playing").then_some(()));
    monitor.wait_for(name, "up", LONG);
    untouched(&monitor.stream(other));
    let stream = monitor.stream(name);
    assert_eq!(stream["outages"], 0, "a fault of ours is no outage: {stream}");
    assert_eq!(ends(&monitor, "killed"), 1.0);
}

#[test]
fn a_stopped_worker_is_no_stalled_stream() {
    let (_directory, file) = published("cam.ts");
    let monitor = watched(file.to_str().unwrap());
    let stopped = *workers(&monitor).first().unwrap();
    signal(stopped, "STOP");
    let (name, other) = struck(&monitor);
    eventually("it plays again", LONG, || (monitor.stream(name)["connection"]["state"] == "playing").then_some(()));
    monitor.wait_for(name, "up", LONG);
    assert!(!workers(&monitor).contains(&stopped));
    untouched(&monitor.stream(other));
    let stream = monitor.stream(name);
    assert_eq!((&stream["outages"], &stream["media"]["stalls"]), (&0.into(), &0.into()), "{stream}");
    assert_eq!(ends(&monitor, "deadline"), 1.0);
}

#[test]
fn without_a_worker_such_a_stream_is_unknown_and_the_reason_is_told() {
    let (_directory, file) = published("cam.ts");
    let monitor = Monitor::start(&format!(
        "libav: {{ worker: /nowhere/worker }}\nstreams:\n  - {{ name: a, url: \"file:{}\" }}\n",
        file.display()
    ));
    eventually("attempts fail", LONG, || (attempts(&monitor, "a") >= 2).then_some(()));
    assert_eq!(monitor.stream("a")["health"], "unknown");
    let log = monitor.log();
    assert!(log.contains("need /nowhere/worker, which is not there: build with the feature libav"), "{log}");
    assert!(log.contains("the stream cannot be watched, for a reason of the monitor's own"), "{log}");
    assert!(!log.contains("cam.ts"), "{log}");
}

#[test]
fn workers_do_not_outlive_the_monitor() {
    let (_directory, file) = published("cam.ts");
    let mut monitor = watched(file.to_str().unwrap());
    let left = workers(&monitor);
    monitor.end_by("KILL");
    eventually("they are gone", LONG, || {
        left.iter().all(|pid| !std::path::Path::new(&format!("/proc/{pid}")).exists()).then_some(())
    });
}
