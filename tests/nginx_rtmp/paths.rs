//! Which hop of a path has failed: a slave that pushes to a master, as sites have them.

use serde_json::{Value, json};

use crate::harness::nginx::{Nginx, Publisher};
use crate::harness::recording::{PLAIN, Recording};
use crate::harness::{Monitor, eventually};
use crate::{LIVE, PATIENCE};

const HOPS: [&str; 3] = ["endpoint/slave", "stream/at-slave", "stream/at-master"];

struct Site {
    slave: Nginx<'static>,
    master: Nginx<'static>,
    camera: Option<Publisher>,
    recording: Recording,
    monitor: Monitor,
}

impl Site {
    fn start() -> Self {
        let recording = Recording::of(PLAIN);
        let master = Nginx::start(LIVE);
        let push =
            format!("application live {{ live on; push_reconnect 500ms; push rtmp://{}/live; }}", master.address());
        let slave = Nginx::start(&push);
        let config = format!(
            "supervisor: {{ backoff_max: 500ms }}\n\
             defaults: {{ connect_timeout: 1s, first_media_timeout: 2s, stall_timeout: 1s, rise: 0s }}\n\
             streams:\n  - {{ name: at-slave, url: \"{}\" }}\n  - {{ name: at-master, url: \"{}\" }}\n\
             endpoints:\n  - {{ name: slave, rise: 0s, tcp: {{ address: \"{}\", interval: 500ms, down_after: 2 }} }}\n\
             paths:\n  - {{ name: gate, settle: 3s, hops: [{{ endpoint: slave }}, {{ stream: at-slave }}, {{ stream: at-master }}] }}\n",
            slave.url("live/cam"),
            master.url("live/cam"),
            slave.address(),
        );
        let camera = Some(slave.publish("live/cam", &recording));
        let monitor = Monitor::start(&config);
        let site = Self { slave, master, camera, recording, monitor };
        site.wait_until_well();
        site
    }

    fn path(&self) -> Value {
        self.monitor.document("paths/gate")
    }

    fn wait_until_well(&self) {
        for hop in HOPS {
            self.monitor.wait_at(&hop.replacen('/', "s/", 1), "up", PATIENCE);
        }
        eventually("the path is well", PATIENCE, || {
            let path = self.path();
            (path["health"] == "up" && path["fault"] == json!(null)).then_some(())
        });
        assert_eq!(self.series(), [Some(0.0); 3]);
    }

    /// The metric, by hop.
    fn series(&self) -> [Option<f64>; 3] {
        HOPS.map(|hop| self.monitor.metric("hmonitor_path_fault", &["path=\"gate\"", &format!("hop=\"{hop}\"")]))
    }

    /// Waits until this hop is blamed and those after it are down, too; checks every view of that. `before`: how many events there were.
    fn wait_for_blame(&self, hop: usize, before: usize) -> Value {
        let path = eventually(&format!("{} is blamed", HOPS[hop]), PATIENCE, || {
            let path = self.path();
            let failed = (hop..HOPS.len()).all(|i| path["hops"][i]["health"] == "down");
            (path["fault"]["index"] == hop && failed).then_some(path)
        });
        assert_eq!((&path["fault"]["hop"], &path["fault"]["certain"]), (&json!(HOPS[hop]), &json!(true)), "{path}");
        assert_eq!(path["health"], "down");
        assert_eq!(path["causes"], path["hops"][hop]["causes"], "those of the hop that is blamed");
        let consequences: Vec<_> = path["hops"].as_array().unwrap().iter().map(|h| h["consequence"].clone()).collect();
        let expected: Vec<_> = (0..HOPS.len()).map(|i| json!(i > hop)).collect();
        assert_eq!(consequences, expected, "{path}");
        assert_eq!(self.series(), std::array::from_fn(|i| Some(if i == hop { 1.0 } else { 0.0 })));
        let status = self.monitor.get("/api/v1/status").json();
        assert_eq!(status["totals"]["paths_with_fault"], 1);
        assert_eq!(status["paths"][0]["fault"]["index"], hop);
        let events = self.events();
        let new = &events[before..];
        assert_eq!(new.len(), 1, "one blame: {events:?}");
        assert!(new[0].contains(HOPS[hop]), "{events:?}");
        path
    }

    /// What the events say of the path's faults and their ends, oldest first. A hop that is back before those after it are is neither.
    fn events(&self) -> Vec<String> {
        let events = self.monitor.get("/api/v1/events?limit=1000").json();
        let events = events["events"].as_array().unwrap().iter();
        let mut found: Vec<_> = events
            .filter(|e| e["path"] == "gate" && e["kind"] == "fault")
            .map(|e| (e["id"].as_u64().unwrap(), e["detail"].as_str().unwrap().to_owned()))
            .collect();
        found.sort();
        let details = found.into_iter().map(|(_, detail)| detail);
        details.filter(|detail| detail.starts_with("first failing hop") || detail == "no hop fails").collect()
    }
}

#[test]
fn the_first_hop_that_fails_is_blamed_and_the_rest_are_consequences() {
    let mut site = Site::start();
    assert_eq!(site.events(), Vec::<String>::new());

    // The camera: the slave is there, but has no stream.
    site.camera = None;
    site.wait_for_blame(1, 0);
    site.camera = Some(site.slave.publish("live/cam", &site.recording));
    site.wait_until_well();

    // The master: all before it is well.
    let before = site.events().len();
    assert_eq!(before, 2, "a blame and its end: {:?}", site.events());
    site.master.kill();
    site.wait_for_blame(2, before);
    site.master.start_again();
    site.wait_until_well();

    // The slave: everything fails, for one reason.
    let before = site.events().len();
    assert_eq!(before, 4, "{:?}", site.events());
    site.slave.kill();
    site.wait_for_blame(0, before);
    site.slave.start_again();
    site.camera = Some(site.slave.publish("live/cam", &site.recording));
    site.wait_until_well();
    assert_eq!(site.events().len(), 6, "{:?}", site.events());
}
