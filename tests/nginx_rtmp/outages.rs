//! Each way to lose a stream is one outage, with its cause, at its time.

use std::time::{Duration, SystemTime};

use serde_json::Value;

use crate::harness::history::{Outage, between, moment};
use crate::harness::recording::{PLAIN, Recording};
use crate::harness::{Monitor, eventually, nginx::Nginx};
use crate::{EARLY, LIVE, NOTICE, PATIENCE, RETURN, RISE, STALL_TIMEOUT, watching};

/// For what needs no timeout: the connection's end, or word from the origin.
const AT_ONCE: Duration = Duration::from_millis(900);

#[test]
fn never_published_is_no_media() {
    let recording = Recording::of(PLAIN);
    let nginx = Nginx::start(LIVE);
    let monitor = Monitor::start(&watching(&nginx.url("live/cam")));
    monitor.wait_for("cam", "down no_media", PATIENCE);
    assert_eq!(monitor.health_code("cam"), 503);
    let session = moment(monitor.stream("cam")["connection"]["session_start"].as_str().unwrap());

    let publisher = nginx.publish("live/cam", &recording);
    monitor.wait_for("cam", "up", PATIENCE);
    assert_eq!(monitor.health_code("cam"), 200);
    let Outage { from, to, causes } = monitor.only_outage("cam");
    assert_eq!(causes, ["no_media"]);
    let first_media_timeout = Duration::from_secs(2);
    let waited = between(session, from);
    assert!((first_media_timeout..first_media_timeout + NOTICE).contains(&waited), "{waited:?}");
    assert!(between(publisher.since, to) < RISE + RETURN);
}

/// A publisher that hangs keeps its connection, so nginx has nothing to say.
#[test]
fn a_frozen_publisher_is_stalled_at_the_stall_timeout() {
    let recording = Recording::of(PLAIN);
    let nginx = Nginx::start(LIVE);
    let monitor = Monitor::start(&watching(&nginx.url("live/cam")));
    let publisher = nginx.publish("live/cam", &recording);
    monitor.wait_for("cam", "up", PATIENCE);

    let frozen = SystemTime::now();
    publisher.freeze();
    monitor.wait_for("cam", "down stalled", PATIENCE);
    assert_eq!(monitor.health_code("cam"), 503);
    // Audio is not yet silent for as long when video is.
    let stream = eventually("rates of a stalled stream", PATIENCE, || {
        let stream = monitor.stream("cam");
        let media = &stream["media"];
        let rates =
            (&media["video"]["frames_per_second"], &media["video"]["bitrate_bps"], &media["audio"]["bitrate_bps"]);
        (rates == (&0.0.into(), &0.0.into(), &0.0.into())).then_some(stream)
    });
    let last = moment(stream["media"]["video"]["last_frame"].as_str().unwrap());

    let thawed = SystemTime::now();
    publisher.thaw();
    monitor.wait_for("cam", "up", PATIENCE);
    let Outage { from, to, causes } = monitor.only_outage("cam");
    assert_eq!(causes, ["stalled"]);
    // Shown times are rounded down to milliseconds.
    let silence = between(last, from) + Duration::from_millis(1);
    assert!((STALL_TIMEOUT..STALL_TIMEOUT + NOTICE).contains(&silence), "stalled after {silence:?}");
    assert!(between(frozen, from) < STALL_TIMEOUT + NOTICE);
    assert!(between(thawed, to) < RISE + RETURN);
    assert_eq!(monitor.stream("cam")["connection"]["attempts"], 1, "the origin answers pings: no need to reconnect");
    assert!(monitor.degraded("cam").is_empty(), "{:?}", monitor.degraded("cam"));
}

/// nginx sends StreamEOF when a publisher's connection ends, for whatever reason and also without `publish_notify`.
#[test]
fn a_killed_publisher_is_down_at_once() {
    let recording = Recording::of(PLAIN);
    let nginx = Nginx::start(LIVE);
    let monitor = Monitor::start(&watching(&nginx.url("live/cam")));
    let publisher = nginx.publish("live/cam", &recording);
    monitor.wait_for("cam", "up", PATIENCE);

    let killed = publisher.kill();
    monitor.wait_for("cam", "down stalled", PATIENCE);
    assert_eq!(monitor.health_code("cam"), 503);
    let publisher = nginx.publish("live/cam", &recording);
    monitor.wait_for("cam", "up", PATIENCE);
    let Outage { from, to, causes } = monitor.only_outage("cam");
    assert_eq!(causes, ["stalled"]);
    let noticed = between(killed, from);
    assert!(noticed < AT_ONCE, "noticed after {noticed:?}");
    assert!(between(publisher.since, to) < RISE + RETURN);
    assert_eq!(monitor.stream("cam")["connection"]["attempts"], 1, "the session lasts: nginx attaches it again");
}

#[test]
fn an_announced_end_is_down_at_once() {
    an_orderly_end_is_down_at_once("application live { live on; publish_notify on; }");
}

/// nginx says Play.Stop, and Play.Start once more in the same session.
#[test]
fn a_play_that_starts_again_is_one_outage() {
    an_orderly_end_is_down_at_once("application live { live on; play_restart on; }");
}

fn an_orderly_end_is_down_at_once(application: &str) {
    let recording = Recording::of(PLAIN);
    let nginx = Nginx::start(application);
    let monitor = Monitor::start(&watching(&nginx.url("live/cam")));
    let publisher = nginx.publish("live/cam", &recording);
    monitor.wait_for("cam", "up", PATIENCE);

    let stopped = publisher.stop();
    monitor.wait_for("cam", "down stalled", PATIENCE);
    let publisher = nginx.publish("live/cam", &recording);
    monitor.wait_for("cam", "up", PATIENCE);
    let Outage { from, to, causes } = monitor.only_outage("cam");
    assert_eq!(causes, ["stalled"]);
    // ffmpeg says goodbye before it ends.
    let noticed = from.duration_since(stopped).unwrap_or_default();
    assert!(noticed < AT_ONCE, "noticed after {noticed:?}");
    assert!(between(publisher.since, to) < RISE + RETURN);
    assert_eq!(monitor.stream("cam")["connection"]["attempts"], 1, "the session lasts");
}

#[test]
fn a_killed_origin_is_closed_then_unreachable() {
    let recording = Recording::of(PLAIN);
    let mut nginx = Nginx::start(LIVE);
    let monitor = Monitor::start(&watching(&nginx.url("live/cam")));
    let publisher = nginx.publish("live/cam", &recording);
    monitor.wait_for("cam", "up", PATIENCE);

    let killed = SystemTime::now();
    nginx.kill();
    drop(publisher);
    monitor.wait_for("cam", "down connect", PATIENCE);
    assert_eq!(monitor.health_code("cam"), 503);
    nginx.start_again();
    let publisher = nginx.publish("live/cam", &recording);
    monitor.wait_for("cam", "up", PATIENCE);
    let Outage { from, to, causes } = monitor.only_outage("cam");
    // The refused reconnect may follow so fast that both are told as one.
    assert!(causes == ["closed", "connect"] || causes == ["connect"], "{causes:?}");
    let noticed = between(killed, from);
    assert!(noticed < AT_ONCE, "noticed after {noticed:?}");
    assert!(between(publisher.since, to) < RISE + RETURN);
}

#[test]
fn a_frozen_origin_is_unresponsive() {
    let recording = Recording::of(PLAIN);
    let nginx = Nginx::start(LIVE);
    let monitor = Monitor::start(&watching(&nginx.url("live/cam")));
    let _publisher = nginx.publish("live/cam", &recording);
    monitor.wait_for("cam", "up", PATIENCE);

    let frozen = SystemTime::now();
    nginx.freeze();
    // The kernel still accepts connections for it, but nobody shakes hands.
    monitor.wait_for("cam", "down handshake", PATIENCE);
    assert_eq!(monitor.health_code("cam"), 503);
    let thawed = SystemTime::now();
    nginx.thaw();
    monitor.wait_for("cam", "up", PATIENCE);
    let Outage { from, to, causes } = monitor.only_outage("cam");
    assert_eq!(causes, ["origin_unresponsive", "handshake"]);
    let silence = between(frozen, from);
    assert!((STALL_TIMEOUT - EARLY..STALL_TIMEOUT + NOTICE).contains(&silence), "noticed after {silence:?}");
    assert!(between(thawed, to) < RISE + RETURN);
}

#[test]
fn an_origin_that_hangs_for_less_than_the_stall_timeout_is_no_outage() {
    let recording = Recording::of(PLAIN);
    let nginx = Nginx::start(LIVE);
    let monitor = Monitor::start(&watching(&nginx.url("live/cam")).replace("stall_timeout: 1s", "stall_timeout: 2s"));
    let _publisher = nginx.publish("live/cam", &recording);
    monitor.wait_for("cam", "up", PATIENCE);

    // Longer than half of the timeout: the monitor asks, and the answer comes late.
    nginx.freeze();
    let frozen = SystemTime::now();
    eventually("the hang's end", PATIENCE, || (frozen.elapsed().unwrap() > Duration::from_millis(1_300)).then_some(()));
    nginx.thaw();
    let frames = |stream: &Value| stream["media"]["video"]["frames"].as_u64().unwrap();
    let goal = frames(&monitor.stream("cam")) + 25 * 4;
    eventually("frames of four seconds", PATIENCE, || (frames(&monitor.stream("cam")) > goal).then_some(()));
    let judged: Vec<_> = monitor.judgements("cam").into_iter().map(|j| j.health).collect();
    assert_eq!(judged, ["up"]);
    assert_eq!(monitor.stream_metric("hmonitor_stream_outages_total", "cam"), Some(0.0));
    assert_eq!(monitor.stream("cam")["connection"]["attempts"], 1);
}
