//! `watch: 3s every 8s`: where pulling all the time costs too much, the verdict holds between the windows.

mod harness;
mod process;

use std::time::{Duration, Instant};

use harness::{Monitor, eventually};
use process::{Origin, QUICK, SOON};
use rtmp_hmonitor::sim::Fault;

const EVERY: Duration = Duration::from_secs(8);

#[test]
fn between_windows_nothing_is_pulled_and_the_verdict_holds() {
    let origin = Origin::start("gate");
    let monitor = Monitor::start(&format!(
        "{QUICK}streams: [{{ name: gate, url: \"{}\", watch: 3s every 8s }}]\n",
        origin.url("gate")
    ));
    let epoch = |m: &Monitor| m.stream("gate")["epoch"].as_u64().unwrap();
    monitor.wait_for("gate", "up", SOON);
    let judged = epoch(&monitor);
    let resting = |what: &str| {
        eventually(what, SOON, || (monitor.stream("gate")["connection"]["state"] == "resting").then_some(()));
        eventually("the connection is closed", SOON, || (origin.stats("gate").players == 0).then_some(()));
    };
    resting("the first window ends");

    // Between the windows: no byte, no change, a fresh answer.
    let (sent, start) = (origin.stats("gate").bytes_sent, Instant::now());
    while start.elapsed() < Duration::from_secs(3) {
        let stream = monitor.stream("gate");
        assert_eq!((stream["health"].as_str(), stream["basis"].as_str()), (Some("up"), Some("verdict")), "{stream}");
        assert!(stream["age_seconds"].as_f64().unwrap() < 2.0, "it does not look unobserved: {stream}");
        assert_eq!(monitor.health_code("gate"), 200);
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(origin.stats("gate").bytes_sent, sent);
    assert_eq!(epoch(&monitor), judged);
    assert_eq!(monitor.metric("hmonitor_stream_up", &["stream=\"gate\""]), Some(1.0));

    // The next window comes on time, and the stream stays up all through it.
    eventually("the second window begins", EVERY, || (origin.stats("gate").plays == 2).then_some(()));
    resting("the second window ends");
    assert_eq!(epoch(&monitor), judged, "{}", monitor.get("/api/v1/events").body);
    let stream = monitor.stream("gate");
    assert_eq!((stream["connection"]["disconnects"].to_string(), &stream["outages"]), ("{}".to_owned(), &0.into()));

    // An outage is noticed at the next window, not before it is looked for.
    origin.fault("gate", &Fault::NotFound);
    assert_eq!(monitor.verdict("gate"), "up");
    let took = monitor.wait_for("gate", "down not_found", EVERY + Duration::from_secs(2));
    assert!(took > Duration::from_millis(500), "{took:?}");
    assert_eq!(monitor.health_code("gate"), 503);

    // Down, it is looked for all the time, so that its return is not missed until some later window.
    let attempts = monitor.stream("gate")["connection"]["attempts"].as_u64().unwrap();
    eventually("it is tried again at once", Duration::from_secs(4), || {
        (monitor.stream("gate")["connection"]["attempts"].as_u64()? > attempts + 2).then_some(())
    });
    origin.clear("gate");
    monitor.wait_for("gate", "up", Duration::from_secs(5));
    assert_eq!(monitor.metric("hmonitor_stream_outages_total", &["stream=\"gate\""]), Some(1.0));
}

#[test]
fn an_outage_that_begins_within_a_window_is_noticed_at_once() {
    let origin = Origin::start("gate");
    let monitor = Monitor::start(&format!(
        "{QUICK}streams: [{{ name: gate, url: \"{}\", watch: 20s every 60s }}]\n",
        origin.url("gate")
    ));
    monitor.wait_for("gate", "up", SOON);
    origin.fault("gate", &Fault::Stall);
    let took = monitor.wait_for("gate", "down stalled", SOON);
    assert!(took < Duration::from_secs(4), "{took:?}");
}
