//! Every kind at once.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::harness::{Monitor, eventually, metric, program};
use crate::process::SOON;
use crate::world::{PAGE, World, presenter, video};

/// Where it is, its kind, and a family that only this kind has.
const TARGETS: [(&str, &str, &str); 13] = [
    ("endpoints/door", "tcp", ""),
    ("endpoints/origin", "rtmp", ""),
    ("endpoints/page", "http", "hmonitor_endpoint_http_status"),
    ("endpoints/secure-page", "http", "hmonitor_endpoint_tls_expiry_timestamp_seconds"),
    ("endpoints/certificate", "tls", "hmonitor_endpoint_tls_expiry_timestamp_seconds"),
    ("endpoints/name", "dns", ""),
    ("endpoints/events", "websocket", ""),
    ("endpoints/uplink", "download", "hmonitor_download_bytes_per_second"),
    ("endpoints/cache", "redis", "hmonitor_replication_replicas"),
    ("services/presenter", "web_presenter", "hmonitor_web_presenter_bytes_per_second"),
    ("services/sunday", "vimeo", "hmonitor_vimeo_ingest_status"),
    ("services/stat", "rtmp_server", "hmonitor_rtmp_server_streams"),
    ("services/balancer", "haproxy", "hmonitor_haproxy_backend_up"),
];

/// Class as in labels, and name.
fn parts(place: &str) -> (&str, &str) {
    let (class, name) = place.split_once('/').unwrap();
    (class.strip_suffix('s').unwrap(), name)
}

fn start(world: &World) -> Monitor {
    let monitor = Monitor::start(&world.config());
    monitor.wait_for("cam", "up", SOON);
    for (place, ..) in TARGETS {
        monitor.wait_at(place, "up", SOON);
    }
    // A name that does not resolve is a cause, and keeps nothing from starting.
    monitor.wait_at("endpoints/nowhere", "down dns", SOON);
    monitor
}

/// Outages so far, by place.
fn outages(monitor: &Monitor) -> BTreeMap<String, f64> {
    let text = monitor.metrics();
    let places = TARGETS.iter().map(|(place, ..)| *place).chain(["endpoints/nowhere", "streams/cam"]);
    let count = |place: &str| {
        let (class, name) = parts(place);
        metric(&text, &format!("hmonitor_{class}_outages_total"), &[&format!("{class}=\"{name}\"")])
    };
    places.map(|place| (place.to_owned(), count(place).unwrap_or_else(|| panic!("no outages of {place}")))).collect()
}

#[test]
fn all_come_up_and_are_shown_everywhere() {
    let world = World::start();
    let monitor = start(&world);
    let status = monitor.get("/api/v1/status").json();
    let text = monitor.metrics();
    for (place, kind, family) in TARGETS {
        let (class, name) = parts(place);
        let label = format!("{class}=\"{name}\"");
        let kind_label = if class == "endpoint" { "probe" } else { "kind" };
        let labels = [label.as_str(), &format!("{kind_label}=\"{kind}\"")];
        assert_eq!(metric(&text, &format!("hmonitor_{class}_up"), &labels), Some(1.0), "{place}");
        if !family.is_empty() {
            let value = metric(&text, family, &[&label]);
            assert!(value.is_some_and(|v| v > 0.0 || family.contains("replicas")), "{place}: {family} is {value:?}");
        }
        let document = monitor.document(place);
        assert_eq!((&document["kind"], &document["health"]), (&kind.into(), &"up".into()), "{place}");
        assert!(document["checks"].as_u64() >= Some(1), "{place}: {document}");
        let listed = status[format!("{class}s")].as_array().unwrap().iter().find(|t| t["name"] == name);
        assert_eq!(listed.unwrap_or_else(|| panic!("{place} is not in {status}"))["health"], "up");
        let (code, body) = monitor.health_of(place);
        assert_eq!((code, &body["status"], &body["basis"]), (200, &"up".into(), &"verdict".into()), "{place}");
    }
    let (code, body) = monitor.health_of("endpoints/nowhere");
    assert_eq!((code, &body["causes"]), (503, &serde_json::json!(["dns"])));
    assert_eq!(metric(&text, "hmonitor_endpoint_issue", &["endpoint=\"nowhere\"", "cause=\"dns\""]), Some(1.0));
    assert_eq!(status["totals"]["endpoints_by_health"]["up"], 9);
    assert_eq!(status["totals"]["services_by_health"]["up"], 4);
    // The stream that is played is the one that the server lists.
    eventually("the server's view of the stream", SOON, || {
        let server = monitor.stream("cam")["server"].clone();
        (server["service"] == "stat" && server["publishing"] == true && server["players"] == 1).then_some(())
    });

    let mut promtool = Command::new(program("promtool", "prometheus"));
    promtool.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut promtool = promtool.spawn().unwrap();
    promtool.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let said = promtool.wait_with_output().unwrap();
    let words = [said.stdout, said.stderr].map(|out| String::from_utf8_lossy(&out).into_owned()).concat();
    assert_eq!((said.status.code(), words.as_str()), (Some(0), ""));
}

/// What is broken, what it shows, and how it is mended.
struct Case {
    what: &'static str,
    harm: fn(&mut World),
    shows: &'static [(&'static str, &'static str)],
    mend: fn(&mut World),
}

const CASES: [Case; 8] = [
    Case {
        what: "Redis dies",
        harm: |w| w.redis.kill(),
        shows: &[("endpoints/cache", "down connect"), ("endpoints/door", "down connect")],
        mend: World::restart_redis,
    },
    Case {
        what: "a page answers with an error",
        harm: |w| w.page.set("500 Internal Server Error\r\n\r\nall is fine"),
        shows: &[("endpoints/page", "down status")],
        mend: |w| w.page.set(PAGE),
    },
    Case {
        what: "a page says something else",
        harm: |w| w.page.set("200 OK\r\n\r\nmaintenance"),
        shows: &[("endpoints/page", "down content")],
        mend: |w| w.page.set(PAGE),
    },
    Case {
        what: "a name is gone",
        harm: |w| w.names.ignorant.store(true, Ordering::Relaxed),
        shows: &[("endpoints/name", "down not_found")],
        mend: |w| w.names.ignorant.store(false, Ordering::Relaxed),
    },
    Case {
        what: "a WebSocket server hangs up",
        harm: |w| w.events.refusing.store(true, Ordering::Relaxed),
        shows: &[("endpoints/events", "down closed")],
        mend: |w| w.events.refusing.store(false, Ordering::Relaxed),
    },
    Case {
        what: "the device stops, and Vimeo forgets the video",
        harm: |w| {
            w.presenter.set_json(&presenter("Idle").to_string());
            w.vimeo.set("404 Not Found\r\n\r\n{}");
        },
        shows: &[("services/presenter", "down not_live"), ("services/sunday", "down not_found")],
        mend: |w| {
            w.presenter.set_json(&presenter("Streaming").to_string());
            w.vimeo.set_json(&video().to_string());
        },
    },
    Case {
        what: "HAProxy dies",
        harm: |w| w.haproxy.kill(),
        shows: &[("services/balancer", "down connect")],
        mend: World::restart_haproxy,
    },
    Case {
        what: "the media server dies",
        harm: World::kill_nginx,
        shows: &[
            ("endpoints/origin", "down connect"),
            ("endpoints/secure-page", "down connect"),
            ("endpoints/certificate", "down connect"),
            ("services/stat", "down connect"),
            ("streams/cam", "down connect"),
        ],
        mend: World::restart_nginx,
    },
];

#[test]
fn each_falls_alone_with_its_cause_and_returns() {
    let mut world = World::start();
    let monitor = start(&world);
    let mut expected = outages(&monitor);
    for case in &CASES {
        (case.harm)(&mut world);
        for (place, verdict) in case.shows {
            monitor.wait_at(place, verdict, SOON);
            let (code, body) = monitor.health_of(place);
            let cause = verdict.split_once(' ').unwrap().1;
            assert_eq!((code, &body["causes"]), (503, &serde_json::json!([cause])), "{}: {place}", case.what);
            *expected.get_mut(*place).unwrap() += 1.0;
        }
        (case.mend)(&mut world);
        for (place, _) in case.shows {
            monitor.wait_at(place, "up", SOON);
            assert_eq!(monitor.health_of(place).0, 200, "{}: {place}", case.what);
        }
        assert_eq!(outages(&monitor), expected, "{}: nobody else falls", case.what);
    }
}

#[test]
fn a_pause_of_the_monitor_is_nobodys_outage() {
    let world = World::start();
    let monitor = start(&world);
    let before = outages(&monitor);
    let checks = || -> Vec<u64> {
        TARGETS.iter().map(|(place, ..)| monitor.document(place)["checks"].as_u64().unwrap()).collect()
    };
    monitor.signal("STOP");
    let start = Instant::now();
    eventually("the end of the pause", SOON, || (start.elapsed() > Duration::from_secs(3)).then_some(()));
    monitor.signal("CONT");
    let resumed = checks();
    eventually("new looks at all but the download", SOON, || {
        let now = checks();
        let looked = |i: usize| TARGETS[i].1 == "download" || now[i] >= resumed[i] + 2;
        (0..TARGETS.len()).all(looked).then_some(())
    });
    assert_eq!(outages(&monitor), before);
    for (place, ..) in TARGETS {
        assert_eq!((monitor.verdict_of(place), monitor.health_of(place).0), ("up".to_owned(), 200), "{place}");
        let events = monitor.get(&format!("/api/v1/{place}/events")).json();
        let judged = events["events"].as_array().unwrap().iter().filter(|e| e["kind"] == "state").count();
        assert_eq!(judged, 1, "{place}: {events}");
    }
    assert!(monitor.metric("hmonitor_observer_pauses_total", &[]).unwrap() >= 1.0);
}
