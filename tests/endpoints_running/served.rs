//! Streams as their media server sees them: in the place of playing them, and beside it.

use serde_json::json;

use crate::harness::nginx::{Nginx, unshared_port};
use crate::harness::recording::{PLAIN, Recording};
use crate::harness::{Monitor, eventually};
use crate::process::{QUICK, SOON};

const APPLICATIONS: &str = "application live { live on; }\n\
    application locked { live on; allow publish all; deny play all; }";

struct Bench {
    nginx: Nginx<'static>,
    monitor: Monitor,
}

impl Bench {
    /// Watches one stream whose server is watched, too; `more` are further keys of the stream.
    fn start(path: &str, more: &str) -> Self {
        let stat = unshared_port();
        let web = format!("server {{ listen 127.0.0.1:{stat}; location /stat {{ rtmp_stat all; }} }}");
        let nginx = Nginx::start_with(APPLICATIONS, &web);
        let config = format!(
            "{QUICK}streams:\n  - {{ name: gate, url: \"{}\"{more} }}\n\
             services:\n  - name: stat\n    rise: 0s\n    rtmp_server: {{ kind: nginx_rtmp, url: \"http://127.0.0.1:{stat}/stat\", \
             origin: \"{}\", interval: 500ms }}\n",
            nginx.url(path),
            nginx.address(),
        );
        let monitor = Monitor::start(&config);
        monitor.wait_at("services/stat", "up", SOON);
        Self { nginx, monitor }
    }

    fn findings(&self) -> Vec<String> {
        let events = self.monitor.get("/api/v1/streams/gate/events").json();
        let events = events["events"].as_array().unwrap().iter().filter(|e| e["kind"] == "finding");
        let mut found: Vec<_> =
            events.map(|e| (e["id"].as_u64().unwrap(), e["detail"].as_str().unwrap().to_owned())).collect();
        found.sort();
        found.into_iter().map(|(_, detail)| detail).collect()
    }
}

#[test]
fn a_stream_is_judged_by_its_server_without_being_played() {
    let bench = Bench::start("live/gate", ", source: server");
    let monitor = &bench.monitor;
    monitor.wait_for("gate", "down not_found", SOON);
    let recording = Recording::of(PLAIN);
    let camera = bench.nginx.publish("live/gate", &recording);
    monitor.wait_for("gate", "up", SOON);
    assert_eq!(monitor.health_code("gate"), 200);
    let stream = eventually("a rate and the codecs", SOON, || {
        let stream = monitor.stream("gate");
        let (video, audio) = (&stream["media"]["video"], &stream["media"]["audio"]);
        let known = video["codec"] == "h264" && video["width_pixels"] == 320 && audio["codec"] == "aac";
        (known && stream["server"]["bitrate_bps"].as_f64() > Some(100_000.0)).then_some(stream)
    });
    assert_eq!((&stream["server"]["players"], &stream["connection"]["attempts"]), (&json!(0), &json!(0)), "{stream}");
    assert_eq!(stream["server"]["unplayable_since"], json!(null));

    // A camera that hangs keeps its publication, but no bytes come.
    camera.freeze();
    monitor.wait_for("gate", "down stalled", SOON);
    camera.thaw();
    monitor.wait_for("gate", "up", SOON);
    drop(camera);
    monitor.wait_for("gate", "down not_found", SOON);
    assert_eq!(monitor.health_code("gate"), 503);
    assert_eq!(monitor.stream("gate")["server"]["publishing"], false, "one picture: judgement and server agree");
    assert!(bench.findings().is_empty(), "{:?}", bench.findings());
}

#[test]
fn a_stream_that_is_published_and_cannot_be_played_is_a_finding() {
    let bench = Bench::start("locked/gate", "");
    let monitor = &bench.monitor;
    eventually("it cannot be played", SOON, || monitor.verdict("gate").starts_with("down").then_some(()));
    let unplayable = || monitor.metric("hmonitor_stream_unplayable", &["stream=\"gate\""]);
    eventually("the server knows nothing of it", SOON, || (unplayable() == Some(0.0)).then_some(()));

    let camera = bench.nginx.publish("locked/gate", &Recording::of(PLAIN));
    let stream = eventually("the contradiction", SOON, || {
        let stream = monitor.stream("gate");
        stream["server"]["unplayable_since"].is_string().then_some(stream)
    });
    assert_eq!((&stream["health"], &stream["server"]["publishing"]), (&json!("down"), &json!(true)), "{stream}");
    assert_eq!(unplayable(), Some(1.0));
    let told = "its server says that it is published and arrives, yet it cannot be played";
    assert_eq!(bench.findings(), [told]);
    assert_eq!(monitor.verdict_of("services/stat"), "up", "the server is well");

    drop(camera);
    eventually("no contradiction any more", SOON, || (unplayable() == Some(0.0)).then_some(()));
    assert_eq!(monitor.stream("gate")["server"]["unplayable_since"], json!(null));
    assert_eq!(bench.findings(), [told, "no longer published and yet unplayable"]);
}
