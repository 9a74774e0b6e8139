//! Hints of the running monitor: what an earlier process has learnt is judged by, and shown.

use std::time::Duration;

use rtmp_hmonitor::model::Name;
use rtmp_hmonitor::state::StateFile;

use crate::harness::{Monitor, eventually};
use crate::process::{Origin, QUICK, SOON};
use crate::support::known;

/// A rates' window, half a minute of samples and the patience of hints, on a busy machine.
const LIMIT: Duration = Duration::from_secs(240);

#[test]
fn what_is_usual_survives_a_restart_and_nobody_acts_on_it() {
    let origin = Origin::start("gate-1");
    let monitor = Monitor::start(&format!("{QUICK}streams: [{{ name: gate-1, url: \"{}\" }}]\n", origin.url("gate-1")));
    monitor.wait_for("gate-1", "up", SOON);
    assert!(monitor.stream("gate-1")["anomaly"].is_null(), "a week is not over");

    // A hundred times the rate is usual, and the same frame rate and gaps.
    let learned = known([100e6, 25.0, 0.2]);
    let state = StateFile::open(Some(monitor.path().join("state.json"))).unwrap();
    state.keep_learned(&[(Name::new("gate-1").unwrap(), learned)]).unwrap();
    let monitor = monitor.restart_after_kill();
    monitor.wait_for("gate-1", "up", SOON);
    let ratio = eventually("the ratio is exposed", LIMIT, || {
        monitor.metric("hmonitor_stream_anomaly_ratio", &["stream=\"gate-1\"", "signal=\"bitrate\""])
    });
    assert!(ratio < -1.0, "{ratio}");
    let event = eventually("an event tells of it", LIMIT, || {
        let events = monitor.get("/api/v1/streams/gate-1/events").json();
        events["events"].as_array()?.iter().find(|event| event["kind"] == "unusual").cloned()
    });
    assert!(event["detail"].as_str().unwrap().starts_with("bit rate "), "{event}");
    let stream = monitor.stream("gate-1");
    assert!(stream["anomaly"]["bitrate_bps"]["unusual_since"].is_string(), "{stream}");
    assert_eq!((monitor.health_code("gate-1"), monitor.verdict("gate-1")), (200, "up".to_owned()));
}
