//! Workers that are lost while they demux.

use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::harness::{Monitor, eventually, program, signal};
use crate::servers::published;

const LONG: Duration = Duration::from_secs(60);

/// Processes that the monitor has started.
pub fn children(monitor: &Monitor) -> BTreeSet<u32> {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", monitor.pid())).unwrap();
    let children = tasks.flatten().filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok());
    children.flat_map(|pids| pids.split_whitespace().map(|pid| pid.parse().unwrap()).collect::<Vec<u32>>()).collect()
}

fn attempts(monitor: &Monitor, name: &str) -> u64 {
    monitor.stream(name)["connection"]["attempts"].as_u64().unwrap_or(0)
}

pub fn ends(monitor: &Monitor, reason: &str) -> f64 {
    monitor.metric("hmonitor_libav_worker_restarts_total", &[&format!("reason=\"{reason}\"")]).unwrap()
}

/// Two streams that are up, and what they were like then.
fn watched(file: &str) -> Monitor {
    let stream = |name: &str| format!("  - {{ name: {name}, url: \"file:{file}\", rise: 0s, fall: 0s }}\n");
    let monitor = Monitor::start(&format!("streams:\n{}{}", stream("a"), stream("b")));
    monitor.wait_for("a", "up", LONG);
    monitor.wait_for("b", "up", LONG);
    assert_eq!(children(&monitor).len(), 2, "a process for each");
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
    signal(*children(&monitor).first().unwrap(), "KILL");
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
    let stopped = *children(&monitor).first().unwrap();
    signal(stopped, "STOP");
    let (name, other) = struck(&monitor);
    eventually("it plays again", LONG, || (monitor.stream(name)["connection"]["state"] == "playing").then_some(()));
    monitor.wait_for(name, "up", LONG);
    assert!(!children(&monitor).contains(&stopped));
    untouched(&monitor.stream(other));
    let stream = monitor.stream(name);
    assert_eq!((&stream["outages"], &stream["media"]["stalls"]), (&0.into(), &0.into()), "{stream}");
    assert_eq!(ends(&monitor, "deadline"), 1.0);
}

/// A file that gives what is written to it, and lets its reader wait while nothing is.
fn pipe(directory: &Path) -> PathBuf {
    let path = directory.join("pipe.ts");
    let status = Command::new(program("mkfifo", "coreutils")).arg(&path).status().unwrap();
    assert!(status.success(), "mkfifo");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    path
}

#[test]
fn a_demuxer_that_is_stuck_is_no_stalled_stream() {
    let (directory, file) = published("cam.ts");
    let path = pipe(directory.path());
    // Both ends, so that neither opening nor writing waits, and the reader sees no end.
    let mut writer = OpenOptions::new().read(true).write(true).open(&path).unwrap();
    let monitor =
        Monitor::start(&format!("streams:\n  - {{ name: a, url: \"file:{}\", rise: 0s, fall: 0s }}\n", path.display()));
    let (stop, stopped) = mpsc::sync_channel::<()>(1);
    let film = std::fs::read(&file).unwrap();
    let feeding = thread::spawn(move || {
        for part in film.chunks(1880) {
            writer.write_all(part).unwrap();
            if stopped.try_recv().is_ok() {
                break;
            }
        }
        writer
    });
    monitor.wait_for("a", "up", LONG);
    stop.send(()).unwrap();
    let _open = feeding.join().unwrap();
    let mut seen = BTreeSet::new();
    // A read of a file waits for as long as it takes, and nothing can interrupt it but the end of the process.
    eventually("the worker is given up", LONG, || {
        seen.insert(monitor.verdict("a"));
        (ends(&monitor, "deadline") >= 1.0).then_some(())
    });
    let stream = monitor.stream("a");
    println!("{seen:?}");
    assert_eq!((&stream["outages"], &stream["media"]["stalls"]), (&0.into(), &0.into()), "{stream}");
    assert!(seen.iter().all(|verdict| !verdict.starts_with("down")), "{seen:?}");
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
    let left = children(&monitor);
    monitor.end_by("KILL");
    eventually("they are gone", LONG, || {
        left.iter().all(|pid| !std::path::Path::new(&format!("/proc/{pid}")).exists()).then_some(())
    });
}
