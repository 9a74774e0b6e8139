//! A monitor that stood still has seen nothing, so it has nothing bad to say.

use std::time::{Duration, Instant};

use crate::harness::history::{Outage, between};
use crate::harness::nginx::Nginx;
use crate::harness::recording::{PLAIN, Recording};
use crate::harness::{Monitor, eventually};
use crate::{LIVE, NOTICE, PATIENCE, STALL_TIMEOUT, watching};

/// Longer than the stall timeout and than a report may age.
const PAUSE: Duration = Duration::from_millis(3_200);

#[test]
fn changes_no_verdict() {
    let recording = Recording::of(PLAIN);
    let nginx = Nginx::start(LIVE);
    let monitor = Monitor::start(&watching(&nginx.url("live/cam")));
    let publisher = nginx.publish("live/cam", &recording);
    let before = monitor.measured("cam");
    assert_eq!(before["health"], "up");
    let judged = monitor.judgements("cam").len();

    pause(&monitor, || ());
    // Long enough for every threshold to judge figures from after the pause.
    let frames = |stream: &serde_json::Value| stream["media"]["video"]["frames"].as_u64().unwrap();
    let goal = frames(&before) + 25 * 15;
    let after = eventually("new frames", PATIENCE, || Some(monitor.stream("cam")).filter(|s| frames(s) >= goal));
    assert_eq!(monitor.judgements("cam").len(), judged, "{:?}", monitor.judgements("cam"));
    assert_eq!((&after["health"], &after["epoch"]), (&before["health"], &before["epoch"]));
    assert_eq!(monitor.stream_metric("hmonitor_stream_outages_total", "cam"), Some(0.0));
    assert!(monitor.metric("hmonitor_observer_pauses_total", &[]).unwrap() >= 1.0);
    assert_eq!(after["connection"]["attempts"], 1);
    assert_eq!(after["media"]["stalls"], 0);
    let fps = after["media"]["video"]["frames_per_second"].as_f64().unwrap();
    assert!((fps / 25.0 - 1.0).abs() < 0.01, "{fps} frames a second");

    // What happens meanwhile is not missed either.
    let mut publisher = Some(publisher);
    let resumed = pause(&monitor, || drop(publisher.take()));
    monitor.wait_for("cam", "down stalled", PATIENCE);
    let _publisher = nginx.publish("live/cam", &recording);
    monitor.wait_for("cam", "up", PATIENCE);
    let Outage { from, causes, .. } = monitor.only_outage("cam");
    assert_eq!(causes, ["stalled"]);
    assert!(between(resumed, from) < STALL_TIMEOUT + NOTICE);
}

/// Freezes the monitor for a while, and does something meanwhile. Returns the moment it goes on.
fn pause(monitor: &Monitor, meanwhile: impl FnOnce()) -> std::time::SystemTime {
    monitor.signal("STOP");
    let start = Instant::now();
    meanwhile();
    eventually("the end of the pause", PATIENCE, || (start.elapsed() >= PAUSE).then_some(()));
    let resumed = std::time::SystemTime::now();
    monitor.signal("CONT");
    resumed
}
