//! `demo`: the monitor on an embedded origin, so that a newcomer sees a living picture without owning a camera.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;

use anyhow::{Context, Result};
use clap::Args;

use crate::app::{self, Options};
use crate::sim::{CameraSet, DEMO_CAMERAS, Sim, SimConfig, demo_schedule};

#[derive(Debug, Args)]
pub struct DemoArguments {
    /// Page, metrics and API.
    #[arg(long, default_value = "127.0.0.1:9935")]
    listen: SocketAddr,
    /// Health answers on a thread of their own.
    #[arg(long, default_value = "127.0.0.1:9937")]
    health_listen: SocketAddr,
    /// HAProxy's agent checks.
    #[arg(long, default_value = "127.0.0.1:9936")]
    agent_listen: SocketAddr,
    /// Leave out the faults.
    #[arg(long)]
    calm: bool,
}

pub fn run(arguments: &DemoArguments) -> Result<()> {
    let cameras = CameraSet::parse(DEMO_CAMERAS)?;
    let names: Vec<String> = cameras.names().iter().map(ToString::to_string).collect();
    let schedule = if arguments.calm { Vec::new() } else { demo_schedule() };
    let control = Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
    let config = SimConfig { cameras, control, schedule, threads: NonZeroUsize::MIN, ..SimConfig::default() };
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).thread_name("sim").enable_all().build()?;
    let sim = runtime.block_on(Sim::start(config)).context("cannot start the demo origin")?;

    let directory = std::env::temp_dir().join(format!("rtmp-hmonitor-demo-{}", std::process::id()));
    std::fs::create_dir_all(&directory).with_context(|| format!("cannot create {}", directory.display()))?;
    let path = directory.join("hmonitor.yml");
    let control = sim.control_address().context("the demo origin has no control")?;
    std::fs::write(&path, configuration(arguments, &names, sim.address(), control))
        .with_context(|| format!("cannot write {}", path.display()))?;
    let welcome = format!(
        "page           http://{0}/\nmetrics        http://{0}/metrics\nstatus         http://{0}/api/v1/status\n\
         health         http://{1}/health/streams/{2}\ndecision       http://{1}/health/failovers/ingest/slave-1\nfaults         http://{4}/cameras\nconfiguration  {3} (change it and see it reload)\n\n",
        arguments.listen,
        arguments.health_listen,
        names.first().map_or("", String::as_str),
        path.display(),
        control,
    );
    super::print(welcome.as_bytes())?;
    let result = app::run(Options { config: path, environment: BTreeMap::new() });
    runtime.block_on(sim.stop());
    // What is left is in the temporary directory anyway.
    let _ = std::fs::remove_dir_all(&directory);
    result
}

/// Two slaves, each fit for as long as one of its cameras has no fault; the cameras of the hall follow the active one.
fn configuration(arguments: &DemoArguments, names: &[String], origin: SocketAddr, control: SocketAddr) -> String {
    let mut text = format!(
        "server:\n  listen: \"{}\"\n  health_listen: \"{}\"\n  agent_listen: \"{}\"\n\
         defaults:\n  labels: {{ site: demo }}\n  \
         expect:\n    video: {{ codec: h264, fps: {{ min: 20 }}, bitrate: {{ min: 600kbps }}, keyframe_interval: {{ max: 4s }} }}\n    audio: optional\n  \
         content: {{ black: true, silent: true }}\nstreams:\n",
        arguments.listen, arguments.health_listen, arguments.agent_listen
    );
    for name in names {
        let (place, rest) = match name.split('-').next() {
            Some("gate") => (origin.to_string(), ", labels: { machine: slave-1 }"),
            Some("yard") => (origin.to_string(), ", labels: { machine: slave-2 }"),
            Some("hall") => (format!("{{address}}:{}", origin.port()), ", follow: ingest"),
            _ => (origin.to_string(), ""),
        };
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  - {{ name: {name}, url: \"rtmp://{place}/live/{name}\"{rest} }}");
    }
    let (page, host) = (arguments.listen, origin.ip());
    let _ = write!(
        text,
        "endpoints:\n  - {{ name: origin, rtmp: {{ address: \"{origin}\", app: live }} }}\n  \
         - {{ name: page, http: {{ url: \"http://{page}/-/healthy\" }} }}\n"
    );
    for (slave, camera) in [("slave-1", "gate-2"), ("slave-2", "yard-1")] {
        let _ = writeln!(
            text,
            "  - {{ name: {slave}-state, http: {{ url: \"http://{control}/cameras/{camera}\", body: '\"kind\":\"none\"', interval: 1s }} }}"
        );
    }
    let _ = write!(
        text,
        "services:\n  - {{ name: origin, rtmp_server: {{ kind: nginx_rtmp, url: \"http://{control}/stat\", origin: \"{origin}\" }} }}\ngroups:\n"
    );
    for slave in ["slave-1", "slave-2"] {
        let _ = writeln!(
            text,
            "  - {{ name: {slave}, address: {host}, eligible_while: {{ endpoints: [origin, {slave}-state] }}, serving_while: {{ streams: 50% }} }}"
        );
    }
    text.push_str(
        "  - { name: site, up_while: { streams: { labels: { site: demo }, need: 80% } } }\n\
         failovers:\n  - { name: ingest, candidates: [slave-1, slave-2], settle: 5s, hold: 15s }\n",
    );
    text.push_str("paths:\n");
    for name in names.iter().take(3) {
        let _ = writeln!(
            text,
            "  - {{ name: {name}, hops: [{{ endpoint: origin }}, {{ stream: {name} }}], expect_rate: 1Mbps }}"
        );
    }
    text
}
