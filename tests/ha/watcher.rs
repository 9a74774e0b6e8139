//! The monitor in its machine: how it is configured here, and what it says.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

use crate::PATIENCE;
use crate::balancer::{CONTROL, MASTER, Method};
use crate::bed::{Bed, CAMERAS, MOVED, Plan};
use crate::harness::{Answer, eventually, http, signal};
use crate::machine::{Machine, Program};
use crate::slave::{RTMP, WEB};

const LISTEN: u16 = 9935;
const TOKEN: &str = "bench-operates";
/// Quick to act, as far as the issue of a switch allows. Thresholds are the bench's, everything else is the default or close to it.
const POLICY: &str = "\
supervisor: { backoff_max: 300ms, connects_per_second_per_origin: 1000 }
defaults: { connect_timeout: 1s, first_media_timeout: 2s, stall_timeout: 500ms, rise: 1s, fall: 0s }
";

pub struct Watcher {
    pub machine: Machine,
    directory: PathBuf,
    program: Option<Program>,
}

impl Watcher {
    pub fn start(bed: &Bed, plan: Plan, machine: Machine) -> Self {
        let directory = bed.path().join(machine.name);
        std::fs::create_dir(&directory).unwrap();
        let mut watcher = Self { machine, directory, program: None };
        let text = configuration(bed, plan, watcher.machine.address);
        std::fs::write(watcher.config(), text).unwrap();
        watcher.start_again(Path::new(env!("CARGO_BIN_EXE_rtmp-hmonitor")));
        watcher
    }

    pub fn config(&self) -> PathBuf {
        self.directory.join("hmonitor.yml")
    }

    /// Starts the program at `path` on the same configuration and state.
    pub fn start_again(&mut self, path: &Path) {
        let mut command = self.machine.command_at(path);
        command.args(["run", "--config"]).arg(self.config());
        let mut program = Program::start(command, &self.directory.join("log"));
        eventually("the monitor", PATIENCE, || {
            assert!(!program.has_ended(), "the monitor has ended:\n{}", self.log());
            self.try_get("/livez").filter(|answer| answer.status == 200)
        });
        self.program = Some(program);
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        self.program.take().unwrap().kill();
    }

    /// SIGTERM, until it has ended.
    pub fn stop(&mut self) {
        self.program.take().unwrap().terminate();
    }

    pub fn freeze(&self) {
        self.program.as_ref().unwrap().freeze();
    }

    pub fn thaw(&self) {
        self.program.as_ref().unwrap().thaw();
    }

    /// Replaces the configuration and has it read.
    pub fn reload(&self, text: &str) {
        let before = self.metric("hmonitor_config_last_reload_success_timestamp_seconds");
        std::fs::write(self.config(), text).unwrap();
        signal(self.program.as_ref().unwrap().main(), "HUP");
        eventually("a reload", PATIENCE, || {
            let after = self.metric("hmonitor_config_last_reload_success_timestamp_seconds");
            (after > before).then_some(())
        });
    }

    fn address(&self) -> SocketAddr {
        (self.machine.address, LISTEN).into()
    }

    fn try_get(&self, path: &str) -> Option<Answer> {
        http(self.address(), "GET", path, &[], "").ok()
    }

    /// What the API says of a place, such as `failovers/ingest`.
    pub fn document(&self, place: &str) -> Value {
        http(self.address(), "GET", &format!("/api/v1/{place}"), &[], "").unwrap().json()
    }

    fn metric(&self, family: &str) -> f64 {
        crate::harness::metric(&self.try_get("/metrics").unwrap().body, family, &[]).unwrap()
    }

    /// The active candidate.
    pub fn active(&self) -> String {
        self.document("failovers/ingest")["active"].as_str().unwrap_or("nobody").to_owned()
    }

    pub fn epoch(&self) -> u64 {
        self.document("failovers/ingest")["epoch"].as_u64().unwrap()
    }

    pub fn is_eligible(&self, candidate: &str) -> bool {
        self.document(&format!("groups/{candidate}"))["eligible"] == true
    }

    pub fn pin(&self, candidate: &str) {
        let body = json!({ "group": candidate, "reason": "bench" }).to_string();
        let token = format!("Authorization: Bearer {TOKEN}");
        let answer = http(self.address(), "PUT", "/api/v1/failovers/ingest/pin", &[&token], &body).unwrap();
        assert!((200..300).contains(&answer.status), "{answer:?}");
    }

    /// Waits until all streams are up on slave 1 and every candidate is known to be fit.
    pub fn wait_until_settled(&self) {
        eventually("streams that are up on slave 1", PATIENCE, || {
            let status = self.document("status");
            let all = |list: &str, good: &dyn Fn(&Value) -> bool| status[list].as_array().unwrap().iter().all(good);
            let settled = all("streams", &|stream| stream["health"] == "up")
                && all("groups", &|group| group["eligible"] == true)
                && all("failovers", &|failover| failover["active"] == "slave-1")
                // Streams count once the first decision has settled.
                && self.document("groups/slave-1")["serving"] == true;
            settled.then_some(())
        });
    }

    /// Waits until all streams are in this state.
    pub fn wait_for_streams(&self, health: &str) {
        eventually(&format!("streams that are {health}"), PATIENCE, || {
            let status = self.document("status");
            status["streams"].as_array().unwrap().iter().all(|stream| stream["health"] == health).then_some(())
        });
    }

    /// Switches since it started, apart from the first decision.
    pub fn switches(&self) -> u64 {
        let text = self.try_get("/metrics").unwrap().body;
        let lines = text.lines().filter(|line| line.starts_with("hmonitor_failover_switches_total{"));
        let counted = lines.filter(|line| !line.contains("reason=\"initial\""));
        counted.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum()
    }

    /// Waits for a switch to `candidate`.
    pub fn wait_for_active(&self, candidate: &str, limit: Duration) {
        eventually(&format!("a switch to {candidate}"), limit, || (self.active() == candidate).then_some(()));
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.directory.join("log")).unwrap_or_default()
    }
}

/// Streams that follow the failover, what makes each slave fit, and what is done with decisions.
fn configuration(bed: &Bed, plan: Plan, own: Ipv4Addr) -> String {
    let mut text = format!(
        "server:\n  listen: \"{own}:{LISTEN}\"\n  health_listen: \"{own}:9937\"\n  agent_listen: \"{own}:9936\"\n  \
         tokens: [{{ role: operate, token: {TOKEN} }}]\nstate_file: state.json\n{POLICY}"
    );
    let names = CAMERAS.join(", ");
    // Writing to a string cannot fail.
    let mut line = |line: String| writeln!(text, "{line}").unwrap();
    line(format!(
        "templates:\n  - {{ names: [{names}], url: \"rtmp://{{address}}:{RTMP}/live/{{name}}\", follow: ingest, \
         camera: \"{{name}}\" }}"
    ));
    line("endpoints:".to_owned());
    for (at, name) in CAMERAS.iter().enumerate() {
        let address = bed.switch.address(15 + at as u8);
        line(format!("  - {{ name: {name}, icmp: {{ host: {address}, interval: 250ms, timeout: 200ms }} }}"));
    }
    let gateway = bed.switch.address(1);
    line(format!("  - {{ name: gateway, icmp: {{ host: {gateway}, interval: 250ms, timeout: 200ms }} }}"));
    for slave in &bed.slaves {
        let (name, address) = (slave.machine.name, slave.machine.address);
        line(format!("  - {{ name: {name}-host, icmp: {{ host: {address}, interval: 250ms, timeout: 200ms }} }}"));
        line(format!(
            "  - {{ name: {name}-rtmp, rtmp: {{ address: \"{address}:{RTMP}\", app: live, interval: 500ms, timeout: 500ms }} }}"
        ));
    }
    let watched = bed.slaves.iter().filter(|slave| !slave.is_simulated());
    line("services:".to_owned());
    for slave in watched.clone() {
        let (name, address) = (slave.machine.name, slave.machine.address);
        line(format!(
            "  - {{ name: {name}-stat, rtmp_server: {{ kind: nginx_rtmp, url: \"http://{address}:{WEB}/stat\", \
             origin: \"{address}:{RTMP}\", interval: 500ms, timeout: 500ms }} }}"
        ));
    }
    line("vantage: [gateway]\ngroups:".to_owned());
    for slave in &bed.slaves {
        let (name, address) = (slave.machine.name, slave.machine.address);
        line(format!(
            "  - name: {name}\n    address: {address}\n    eligible_while: {{ endpoints: [{name}-host, {name}-rtmp] }}\n    \
             serving_while: {{ streams: 50% }}\n    rise: 1s\n    fall: 0s"
        ));
    }
    let candidates: Vec<_> = bed.slaves.iter().map(|slave| slave.machine.name).collect();
    line(format!("failovers:\n  - {{ name: ingest, candidates: [{}], settle: 5s, hold: 5s }}", candidates.join(", ")));
    if plan.method == Method::Push {
        line("actions:\n  haproxy:".to_owned());
        for balancer in &bed.balancers {
            let (name, address) = (balancer.machine.name, balancer.machine.address);
            line(format!(
                "    - name: {name}\n      address: \"{address}:{CONTROL}\"\n      master_address: \"{address}:{MASTER}\"\n      \
                 servers:"
            ));
            for candidate in &candidates {
                line(format!(
                    "        - {{ server: ingest/{candidate}, group: {candidate}, failover: ingest, fallback: ingest_any/{candidate} }}"
                ));
            }
        }
        line(format!("  ghosts:\n    notify_file: {}\n    clear:", bed.path().join(MOVED).display()));
        for slave in watched {
            let (name, address) = (slave.machine.name, slave.machine.address);
            line(format!("      - {{ service: {name}-stat, control: \"http://{address}:{WEB}/control\" }}"));
        }
    }
    text
}
