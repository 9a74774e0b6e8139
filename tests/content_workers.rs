//! What becomes of the monitor when those who decode are killed, stop, or are fed with nonsense: nothing.
//!
//! `HMONITOR_CONTENT_LONG=1` feeds them for five minutes instead of seconds.
#![cfg(feature = "libav")]

mod film;
mod harness;
mod process;

use std::time::{Duration, Instant};

use film::{Film, PICTURE, SOUND};
use harness::{Monitor, eventually, metric, signal};
use process::{Origin, SOON};

/// For a worker that hangs to be given up, on a machine that does much else.
const LIMIT: Duration = Duration::from_secs(120);
const HEALTHY: [&str; 3] = ["gate-1", "gate-2", "gate-3"];
/// Frames that may come between two looks.
const MARGIN: u64 = 250;
/// Most that the monitor may grow by, and a worker may hold, in KiB.
const GROWTH: u64 = 32 * 1024;
const WORKER: u64 = 300 * 1024;
/// How often a byte is replaced in what each of these sends: every third or so, few, and some where a tenth of the packets is missing.
const FUZZED: [(&str, &str); 3] =
    [("fuzz-1", "amount=3"), ("fuzz-2", "amount=300"), ("fuzz-3", "amount=40:dropamount=10")];

/// For how long nonsense is fed.
fn fed() -> Duration {
    let long = std::env::var_os("HMONITOR_CONTENT_LONG").is_some();
    Duration::from_secs(if long { 300 } else { 15 })
}

fn watched(origin: &Origin, names: impl IntoIterator<Item = &'static str>) -> Monitor {
    let mut config = "defaults:\n  rise: 0s\n  stall_timeout: 20s\n  content: { interval: 1s, black: true, frozen: true, silent: true }\nstreams:\n".to_owned();
    for name in names {
        config.push_str(&format!("  - {{ name: {name}, url: \"{}\" }}\n", origin.url(name)));
    }
    Monitor::start(&config)
}

fn worker(monitor: &Monitor) -> Option<u32> {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", monitor.pid())).unwrap();
    let children = tasks.flatten().filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok());
    children.flat_map(|pids| pids.split_whitespace().map(|pid| pid.parse().unwrap()).collect::<Vec<_>>()).next()
}

fn restarts(monitor: &Monitor, reason: &str) -> f64 {
    let label = format!("reason=\"{reason}\"");
    monitor.metric("hmonitor_libav_worker_restarts_total", &[&label]).unwrap_or(0.0)
}

fn inspections(monitor: &Monitor, name: &str) -> u64 {
    monitor.stream(name)["content"]["inspections"].as_u64().unwrap_or(0)
}

/// Waits until each healthy stream has been inspected once more.
fn inspected_again(monitor: &Monitor) {
    let before = HEALTHY.map(|name| inspections(monitor, name));
    for (name, before) in HEALTHY.iter().zip(before) {
        eventually("it is inspected again", LIMIT, || (inspections(monitor, name) > before + 1).then_some(()));
    }
}

/// Video frames that a camera has sent, and that the monitor has counted.
#[derive(Debug, Clone, Copy)]
struct Frames {
    sent: u64,
    counted: u64,
}

fn frames(monitor: &Monitor, origin: &Origin, name: &str) -> Frames {
    let counted = monitor.stream(name)["media"]["video"]["frames"].as_u64().unwrap();
    Frames { sent: origin.stats(name).video_frames, counted }
}

/// Nothing is missing in a stream's numbers: one session, no stall, nothing late, and every frame since `before`.
fn gapless(monitor: &Monitor, origin: &Origin, name: &str, before: Frames) {
    let stream = monitor.stream(name);
    assert_eq!((&stream["connection"]["attempts"], &stream["outages"]), (&1.into(), &0.into()), "{stream}");
    assert_eq!((&stream["health"], &stream["media"]["stalls"]), (&"up".into(), &0.into()), "{stream}");
    let label = format!("stream=\"{name}\"");
    assert_eq!(metric(&monitor.metrics(), "hmonitor_stream_media_errors_total", &[&label]), Some(0.0), "{name}");
    // Both are read one after the other, and reports are half a second apart.
    let sent = frames(monitor, origin, name).sent - before.sent;
    eventually("every frame is counted", SOON, || {
        (frames(monitor, origin, name).counted - before.counted >= sent).then_some(())
    });
    let after = frames(monitor, origin, name);
    println!("{name}: {} video frames sent, {} counted", after.sent - before.sent, after.counted - before.counted);
    assert!(after.counted - before.counted <= after.sent - before.sent + MARGIN, "{after:?} {before:?}");
}

fn resident_kib(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?.trim().strip_suffix(" kB")?.parse().ok()
}

#[test]
fn a_worker_that_is_killed_or_stopped_costs_no_stream_a_number() {
    let origin = Origin::start("gate-{1..3}");
    let monitor = watched(&origin, HEALTHY);
    inspected_again(&monitor);
    let before = HEALTHY.map(|name| frames(&monitor, &origin, name));
    for (name, reason) in [("KILL", "killed"), ("STOP", "deadline")] {
        let struck = eventually("there is a worker", LIMIT, || worker(&monitor));
        signal(struck, name);
        eventually("its loss is counted", LIMIT, || (restarts(&monitor, reason) == 1.0).then_some(()));
        inspected_again(&monitor);
        assert_ne!(worker(&monitor), Some(struck));
    }
    for (name, before) in HEALTHY.iter().zip(before) {
        gapless(&monitor, &origin, name, before);
    }
}

#[test]
fn nonsense_is_fed_to_workers_and_harms_nobody() {
    let origin = Origin::start("gate-{1..3}");
    let _publishers = FUZZED.map(|(name, noise)| Film::new(PICTURE, SOUND).damaged(noise).publish(&origin.url(name)));
    for (name, _) in FUZZED {
        eventually("it is on air", SOON * 3, || origin.relayed(&format!("live/{name}")).filter(|r| r.messages > 10));
    }
    let monitor = watched(&origin, HEALTHY.into_iter().chain(FUZZED.map(|(name, _)| name)));
    inspected_again(&monitor);
    for (name, _) in FUZZED {
        eventually("it is inspected", LIMIT, || (inspections(&monitor, name) > 1).then_some(()));
    }
    let before = HEALTHY.map(|name| frames(&monitor, &origin, name));
    let resident = || (resident_kib(monitor.pid()).unwrap(), worker(&monitor).and_then(resident_kib).unwrap_or(0));
    let (first, start) = (resident(), Instant::now());
    let mut most = first;
    while start.elapsed() < fed() {
        let now = resident();
        most = (most.0.max(now.0), most.1.max(now.1));
        std::thread::sleep(Duration::from_millis(500));
    }
    let last = resident();
    println!("RSS of the monitor and its worker in KiB: at first {first:?}, at last {last:?}, at most {most:?}");
    let metrics = monitor.metrics();
    let told = metrics.lines().filter(|line| {
        ["hmonitor_inspections_total{", "hmonitor_libav_worker_restarts_total{", "hmonitor_stream_decode_errors_total{"]
            .iter()
            .any(|family| line.starts_with(family))
    });
    told.for_each(|line| println!("{line}"));

    for (name, before) in HEALTHY.iter().zip(before) {
        gapless(&monitor, &origin, name, before);
    }
    assert!(most.0 < first.0 + GROWTH, "the monitor has grown");
    assert!(most.1 < WORKER, "the worker has grown");
    for (name, _) in FUZZED {
        let label = format!("stream=\"{name}\"");
        assert!(metric(&metrics, "hmonitor_stream_decode_errors_total", &[&label]).unwrap() > 0.0, "{name}");
    }
    inspected_again(&monitor);
}
