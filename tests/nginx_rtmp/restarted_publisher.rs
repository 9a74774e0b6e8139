//! A publisher comes back with another picture and timestamps from 0, in the same session.

use crate::harness::Monitor;
use crate::harness::history::{Outage, between};
use crate::harness::nginx::Nginx;
use crate::harness::recording::{PLAIN, Recording, Shape};
use crate::{LIVE, PATIENCE, RETURN, RISE, watching};

const OTHER: Shape = Shape { size: "426x240", fps: 30, gop: 30, sample_rate: 48_000, ..PLAIN };

#[test]
fn is_one_outage_and_none_within_the_grace_of_fall() {
    let (first, second) = (Recording::of(PLAIN), Recording::of(OTHER));
    let nginx = Nginx::start(LIVE);
    let url = nginx.url("live/cam");
    let config = watching(&url) + &format!("  - {{ name: patient, url: \"{url}\", fall: 10s }}\n");
    let monitor = Monitor::start(&config);
    let publisher = nginx.publish("live/cam", &first);
    for name in ["cam", "patient"] {
        assert_eq!(monitor.measured(name)["health"], "up", "{name}");
    }

    publisher.kill();
    monitor.wait_for("cam", "down stalled", PATIENCE);
    let publisher = nginx.publish("live/cam", &second);
    monitor.wait_for("cam", "up", PATIENCE);
    let Outage { to, causes, .. } = monitor.only_outage("cam");
    assert_eq!(causes, ["stalled"]);
    assert!(between(publisher.since, to) < RISE + RETURN);

    for name in ["cam", "patient"] {
        // Until every threshold judges again.
        let stream = monitor.measured(name);
        let (video, audio) = (&stream["media"]["video"], &stream["media"]["audio"]);
        assert_eq!(stream["connection"]["attempts"], 1, "{name}: the session lasts");
        assert_eq!((&video["width_pixels"], &video["height_pixels"]), (&426.into(), &240.into()), "{name}");
        assert_eq!(audio["sample_rate_hz"], 48_000, "{name}");
        let fps = video["frames_per_second"].as_f64().unwrap();
        assert!((fps / 30.0 - 1.0).abs() < 0.01, "{name}: {fps} frames a second");
        for medium in [video, audio] {
            assert_eq!(medium["timestamp_anomalies"], serde_json::json!({ "rebase": 1 }), "{name}");
        }
        let changes = monitor.stream_metric("hmonitor_stream_parameter_changes_total", name);
        assert_eq!(changes, Some(2.0), "{name}: one of video, one of audio");
        assert!(parameters(&monitor, name).iter().any(|p| p.contains("426x240")), "{name}");
        assert!(monitor.degraded(name).is_empty(), "{name}: {:?}", monitor.degraded(name));
        assert_eq!(monitor.verdict(name), "up", "{name}");
    }
    assert_eq!(monitor.stream_metric("hmonitor_stream_outages_total", "patient"), Some(0.0));
    assert_eq!(monitor.stream("patient")["epoch"], 1, "up, and nothing else");
}

/// What the events say about changed parameters.
fn parameters(monitor: &Monitor, stream: &str) -> Vec<String> {
    let answer = monitor.get(&format!("/api/v1/streams/{stream}/events")).json();
    let events = answer["events"].as_array().unwrap().iter().filter(|event| event["kind"] == "parameters");
    events.map(|event| event["detail"].as_str().unwrap().to_owned()).collect()
}
