//! Cameras, the monitor, Prometheus and Alertmanager, all real, with the configuration that is shipped.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use rtmp_hmonitor::sim::{DEMO_CAMERAS, SimConfig, demo_schedule};
use serde_json::Value;

use crate::harness::{Monitor, eventually, free_port, http, mortal};
use crate::process::Origin;
use crate::receiver::Receiver;
use crate::server::Server;
use crate::shipped::root;

/// Enough for a chain of five programs on a machine that does much else.
pub const LIMIT: Duration = Duration::from_secs(120);

/// How watched things are looked at, quickly, before what a site is made of.
pub const QUICK: &str = "\
supervisor: { backoff_max: 300ms, connects_per_second_per_origin: 1000 }
defaults:
  connect_timeout: 3s
  first_media_timeout: 3s
  stall_timeout: 1s
  rise: 0s
";

/// Declared in the order of their ends.
pub struct World {
    pub receiver: Receiver,
    pub prometheus: SocketAddr,
    pub alertmanager: SocketAddr,
    _servers: [Server; 2],
    monitor: Monitor,
    _directory: tempfile::TempDir,
}

fn shipped(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap()
}

fn local() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()))
}

/// Four cameras of one machine, one of another, which has a path.
pub fn two_machines() -> (World, Origin) {
    let origin = Origin::start("gate-{1..4},roof");
    let mut config = format!(
        "{QUICK}  labels: {{ site: plant-a, machine: slave-1 }}\n  \
         expect: {{ video: {{ fps: {{ min: 10 }}, bitrate: {{ min: 100kbps }} }}, drift: {{ max: 2s }}, jitter: {{ max: 1s }} }}\n\
         streams:\n"
    );
    for name in ["gate-1", "gate-2", "gate-3", "gate-4"] {
        config += &format!("  - {{ name: {name}, url: \"{}\" }}\n", origin.url(name));
    }
    config += &format!(
        "  - {{ name: roof, url: \"{}\", labels: {{ machine: slave-2 }} }}\n\
         endpoints:\n  - name: slave-2-rtmp\n    rtmp: {{ address: \"{}\", app: live, interval: 300ms, timeout: 300ms }}\n    \
         labels: {{ site: plant-a, machine: slave-2 }}\n  \
         - {{ name: slave-2-host, icmp: {{ host: 127.0.0.1, interval: 300ms }} }}\n\
         paths:\n  - {{ name: roof, hops: [{{ endpoint: slave-2-rtmp }}, {{ stream: roof }}] }}\n\
         groups:\n  - {{ name: slave-1, eligible_while: {{ endpoints: [slave-2-host] }} }}\n  \
         - {{ name: slave-2, eligible_while: {{ endpoints: [slave-2-host, slave-2-rtmp] }} }}\n\
         failovers:\n  - {{ name: ingest, candidates: [slave-1, slave-2] }}\nvantage: [slave-2-host]\n",
        origin.url("roof"),
        origin.address()
    );
    (World::around(&config, 5), origin)
}

impl World {
    /// A monitor with this configuration, and what is shipped around it. Returns when Prometheus sees so many streams up.
    pub fn around(config: &str, streams: usize) -> Self {
        let world = Self::beside(config, tempfile::tempdir().unwrap(), local());
        eventually("Prometheus sees all cameras up", LIMIT, || {
            let up = world.query("sum(hmonitor_stream_up)")?;
            (text(&up.first()?["value"][1]).parse() == Ok(streams)).then_some(())
        });
        world
    }

    /// The demo of `compose/`: its configuration, its cameras, the faults they have now and then.
    pub fn demo() -> (Self, Origin) {
        let control = Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
        let sim = SimConfig { control, schedule: demo_schedule(), ..SimConfig::default() };
        let origin = Origin::start_with(DEMO_CAMERAS, sim);
        let (directory, prometheus) = (tempfile::tempdir().unwrap(), local());
        let text = shipped("compose/monitor/demo.yml");
        // What comes before is the harness's: where it listens, its state, its log.
        let (_, config) = text.split_once("\ndefaults:\n").expect("the demo's configuration has defaults");
        let config = replaced(
            &format!("defaults:\n{config}"),
            &[
                ("cameras:1935", &origin.address().to_string()),
                ("{address}:1935", &format!("{{address}}:{}", origin.address().port())),
                ("cameras:1936", &origin.control().unwrap().to_string()),
                ("address: cameras", "address: 127.0.0.1"),
                ("host: cameras", "host: 127.0.0.1"),
                ("prometheus:9090", &prometheus.to_string()),
                ("/var/lib/rtmp-hmonitor", directory.path().to_str().unwrap()),
            ],
        );
        let world = Self::beside(&config, directory, prometheus);
        // Which port it has is known only now; the monitor reads the file again.
        let path = world.monitor.config_path();
        let config = std::fs::read_to_string(&path).unwrap();
        let health = world.monitor.health.to_string();
        std::fs::write(path, replaced(&config, &[("127.0.0.1:9937", &health)])).unwrap();
        (world, origin)
    }

    /// Prometheus and Alertmanager as shipped, beside a monitor with `config`.
    fn beside(config: &str, directory: tempfile::TempDir, prometheus: SocketAddr) -> Self {
        let monitor = Monitor::start(config);
        let receiver = Receiver::start();
        let at = |name: &str| directory.path().join(name);
        let alertmanager = local();
        let rules = format!("{}/alerts/rules/*.yml", root().display());
        let config = replaced(
            &shipped("compose/prometheus/prometheus.yml"),
            &[
                ("monitor:9935", &monitor.listen.to_string()),
                ("alertmanager:9093", &alertmanager.to_string()),
                ("localhost:9090", &prometheus.to_string()),
                ("[/etc/alerts/rules/*.yml]", &format!("[\"{rules}\"]")),
            ],
        );
        std::fs::write(at("prometheus.yml"), config).unwrap();
        let templates = format!("{}/alerts/templates/*.tmpl", root().display());
        let config = replaced(
            &shipped("alerts/alertmanager.yml"),
            &[
                ("pager.example:8080", &receiver.address.to_string()),
                ("mail.example:587", "127.0.0.1:9"),
                ("templates/*.tmpl          #", &format!("{templates} #")),
                // The files of the other receivers are not there: they fail, and nobody else's message is the later for it.
                ("/run/secrets/pager_token", at("token").to_str().unwrap()),
            ],
        );
        std::fs::write(at("alertmanager.yml"), config).unwrap();
        std::fs::write(at("token"), "0123456789abcdef").unwrap();

        let mut command = mortal("prometheus-alertmanager", "prometheus-alertmanager");
        command.arg("--config.file").arg(at("alertmanager.yml")).arg("--storage.path").arg(at("alertmanager"));
        command.args([&format!("--web.listen-address={alertmanager}"), "--cluster.listen-address="]);
        let alerting = Server::start(&mut command, &at("alertmanager.log"));
        let mut command = mortal("prometheus", "prometheus");
        command.arg("--config.file").arg(at("prometheus.yml")).arg("--storage.tsdb.path").arg(at("prometheus"));
        command.arg(format!("--web.listen-address={prometheus}"));
        let scraping = Server::start(&mut command, &at("prometheus.log"));

        let world =
            Self { receiver, prometheus, alertmanager, _servers: [scraping, alerting], monitor, _directory: directory };
        eventually("Alertmanager answers", LIMIT, || http(alertmanager, "GET", "/-/ready", &[], "").ok());
        world
    }

    /// The series that an instant query finds, or nothing while Prometheus does not answer.
    pub fn query(&self, expression: &str) -> Option<Vec<Value>> {
        self.ask(expression)?.ok()
    }

    /// The same; an expression that fails says why.
    pub fn ask(&self, expression: &str) -> Option<Result<Vec<Value>, String>> {
        let query = percent_encoding::utf8_percent_encode(expression, percent_encoding::NON_ALPHANUMERIC);
        let answer = http(self.prometheus, "GET", &format!("/api/v1/query?query={query}"), &[], "").ok()?;
        // While it starts it says so in plain words.
        let answer: Value = serde_json::from_str(&answer.body).ok()?;
        Some(match answer["status"].as_str() {
            Some("success") => Ok(answer["data"]["result"].as_array().cloned().unwrap_or_default()),
            _ => Err(answer["error"].to_string()),
        })
    }

    /// Names and subjects of the alerts that Alertmanager holds back.
    pub fn held_back(&self) -> Vec<(String, String)> {
        self.alerts("active=false&inhibited=true").iter().map(named).collect()
    }

    /// Likewise of those that somebody is called or written to about.
    pub fn told_now(&self) -> Vec<(String, String)> {
        let told = self.alerts("active=true&inhibited=false");
        told.iter().filter(|l| ["critical", "warning"].contains(&text(&l["severity"]))).map(named).collect()
    }

    /// The labels of the alerts that Alertmanager knows.
    fn alerts(&self, which: &str) -> Vec<Value> {
        let path = format!("/api/v2/alerts?silenced=false&{which}");
        let alerts = http(self.alertmanager, "GET", &path, &[], "").unwrap().json();
        alerts.as_array().unwrap().iter().map(|alert| alert["labels"].clone()).collect()
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("")
}

/// An alert's name, and what it is about.
fn named(labels: &Value) -> (String, String) {
    let subject = ["stream", "machine", "endpoint", "group"].map(|label| text(&labels[label]));
    let subject = subject.into_iter().find(|subject| !subject.is_empty()).unwrap_or("");
    (text(&labels["alertname"]).to_owned(), subject.to_owned())
}

/// `text` with each replacement made at least once.
fn replaced(text: &str, replacements: &[(&str, &str)]) -> String {
    replacements.iter().fold(text.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "the shipped file does not hold {from:?} any more");
        text.replace(from, to)
    })
}
