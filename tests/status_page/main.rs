//! The status page in a real browser: what an operator sees, does and may rely on.

#[path = "../harness/mod.rs"]
mod harness;
#[path = "../process/mod.rs"]
mod process;
#[path = "../support/mod.rs"]
mod support;

mod around;
mod browser;
mod looks;
mod many;
mod stream;
mod trust;
mod wall;

use harness::Monitor;
use process::Origin;

/// Cameras of two sites, played from a simulated origin.
pub const CAMERAS: &str = "gate-{1..3},yard-{1..3}";

/// What the key of every URL would be called, were it shown.
pub const KEY: &str = "S3CRETKEY";

/// The monitor on these cameras, with an endpoint, a path, and a failover of one group. Streams are back as soon as they play.
pub fn watched(origin: &Origin) -> Monitor {
    watched_with(origin, "")
}

/// The same with more lines for `server:`.
pub fn watched_with(origin: &Origin, server: &str) -> Monitor {
    let mut config = "\
supervisor: { backoff_max: 300ms, connects_per_second_per_origin: 1000 }
defaults:
  stall_timeout: 3s
  rise: 0s
  expect: { video: { fps: { min: 5 } } }
streams:
"
    .to_owned();
    for (site, camera) in ["gate", "yard"].iter().flat_map(|site| (1..=3).map(move |camera| (site, camera))) {
        let (name, address) = (format!("{site}-{camera}"), origin.address());
        config += &format!(
            "  - {{ name: {name}, url: \"rtmp://{address}/live/{name}?token={KEY}\", labels: {{ site: {site} }} }}\n"
        );
    }
    config += &format!(
        "endpoints: [{{ name: origin, rtmp: {{ address: \"{}\", app: live }} }}]\n\
         paths: [{{ name: gate, hops: [{{ endpoint: origin }}, {{ stream: gate-1 }}] }}]\n\
         groups: [{{ name: slave-1, address: 127.0.0.1, eligible_while: {{ endpoints: [origin] }} }}]\n\
         failovers: [{{ name: ingest, candidates: [slave-1] }}]\n",
        origin.address()
    );
    Monitor::start_with(&config, server, &[], |command| command)
}

/// Where the page of `monitor` is, with a fragment such as `#/streams/gate-1`.
pub fn url(monitor: &Monitor, fragment: &str) -> String {
    format!("http://{}/{fragment}", monitor.listen)
}
