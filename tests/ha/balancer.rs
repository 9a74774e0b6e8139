//! Load balancers: HAProxy behind an address that keepalived keeps.

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::PATIENCE;
use crate::harness::{eventually, program};
use crate::machine::{Machine, Program};
use crate::slave::RTMP;

/// HAProxy's statistics socket over TCP, for the monitor.
pub const CONTROL: u16 = 9999;
/// The same of its master process.
pub const MASTER: u16 = 9998;

/// How HAProxy learns whether a slave is to be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// A TCP check every second: what people have. No monitor runs.
    Tcp,
    /// It asks the monitor by HTTP, with the settings of `compose/haproxy/httpchk.cfg`.
    Http,
    /// It asks the monitor's agent four times a second, beside its TCP check.
    Agent,
    /// The same, and the monitor tells it at once.
    Push,
}

impl Method {
    pub const ALL: [Self; 4] = [Self::Tcp, Self::Http, Self::Agent, Self::Push];

    pub fn name(self) -> &'static str {
        match self {
            Self::Tcp => "TCP check",
            Self::Http => "httpchk",
            Self::Agent => "agent",
            Self::Push => "push",
        }
    }

    fn check(self, monitor: Ipv4Addr) -> String {
        let tcp = "check inter 1s fall 3 rise 2".to_owned();
        // HAProxy 2.6 ends a session only once the server has taken what waits for it: without a limit a slave that takes nothing keeps
        // its cameras until `timeout server`.
        match self {
            Self::Tcp => tcp,
            Self::Http => format!("tcp-ut 1s check addr {monitor} port 9937 inter 1s fall 5 rise 1"),
            Self::Agent | Self::Push => {
                format!("tcp-ut 1s {tcp} agent-check agent-addr {monitor} agent-port 9936 agent-inter 250ms")
            }
        }
    }
}

/// What a balancer balances.
pub struct Site {
    pub method: Method,
    pub vip: Ipv4Addr,
    pub monitor: Ipv4Addr,
    pub slaves: Vec<(&'static str, Ipv4Addr)>,
    /// What keepalived touches when the address moves. On a shared file system here; elsewhere the script would say it to the monitor's
    /// machine.
    pub moved: PathBuf,
}

pub struct Balancer {
    pub machine: Machine,
    haproxy: Option<Program>,
    keepalived: Option<Program>,
    directory: PathBuf,
}

impl Balancer {
    /// Starts HAProxy. The balancer has no floating address yet.
    pub fn start(machine: Machine, parent: &Path, site: &Site) -> Self {
        let directory = parent.join(machine.name);
        std::fs::create_dir(&directory).unwrap();
        // Both balancers listen on an address that one of them has.
        machine.run("sysctl", "procps", &["-qw", "net.ipv4.ip_nonlocal_bind=1"]);
        std::fs::write(directory.join("haproxy.cfg"), haproxy_config(site, &machine, &directory)).unwrap();
        let mut balancer = Self { machine, haproxy: None, keepalived: None, directory };
        balancer.start_haproxy();
        balancer
    }

    pub fn start_haproxy(&mut self) {
        let mut command = self.machine.command("haproxy", "haproxy");
        command.args(["-W", "-S", &format!("ipv4@{}:{MASTER}", self.machine.address)]);
        command.arg("-f").arg(self.directory.join("haproxy.cfg"));
        self.haproxy = Some(Program::start(command, &self.directory.join("log")));
        eventually("HAProxy", PATIENCE, || self.ask("show info").filter(|answer| !answer.is_empty()));
    }

    /// Lets it compete for the floating address with the balancer at `peer`. Who loses it cuts its sessions.
    pub fn start_keepalived(&mut self, site: &Site, peer: Ipv4Addr, priority: u8) {
        let (vip, moved) = (site.vip, site.moved.display());
        let (socket, directory) = (self.socket(), self.directory.display().to_string());
        let socat = program("socat", "socat").display().to_string();
        let mut cut = String::new();
        for server in ["slave-1", "slave-2"] {
            // Writing to a string cannot fail.
            let _ = writeln!(
                cut,
                "echo 'shutdown sessions server ingest/{server}' | {socat} -t1 - UNIX-CONNECT:{}",
                socket.display()
            );
        }
        self.script(
            "notify",
            &format!("echo $3 > {directory}/vrrp\ntouch {moved}\n[ \"$3\" = MASTER ] && exit 0\n{cut}"),
        );
        self.script(
            "check",
            &format!("exec {socat} -T0.5 -u OPEN:/dev/null UNIX-CONNECT:{},connect-timeout=0.5", socket.display()),
        );
        let config = format!(
            "global_defs {{\n  router_id {name}\n  script_user root\n  vrrp_version 3\n  vrrp_garp_master_delay 1\n}}\n\
             vrrp_script haproxy {{\n  script \"{directory}/check\"\n  interval 1\n  timeout 1\n  fall 2\n  rise 2\n}}\n\
             vrrp_instance ingest {{\n  state BACKUP\n  nopreempt\n  interface eth0\n  virtual_router_id 51\n  \
             priority {priority}\n  advert_int 0.15\n  unicast_src_ip {address}\n  unicast_peer {{\n    {peer}\n  }}\n  \
             virtual_ipaddress {{\n    {vip}/32 dev eth0\n  }}\n  track_script {{\n    haproxy\n  }}\n  \
             notify \"{directory}/notify\"\n}}\n",
            name = self.machine.name,
            address = self.machine.address,
        );
        let file = self.directory.join("keepalived.conf");
        std::fs::write(&file, config).unwrap();
        let mut command = self.machine.command("keepalived", "keepalived");
        command.args(["-P", "-n", "-l", "-f"]).arg(&file);
        command.arg("-p").arg(self.directory.join("keepalived.pid")).arg("-r").arg(self.directory.join("vrrp.pid"));
        self.keepalived = Some(Program::start(command, &self.directory.join("keepalived.log")));
    }

    fn script(&self, name: &str, text: &str) {
        let path = self.directory.join(name);
        std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Whether keepalived has given it the floating address.
    pub fn has_address(&self) -> bool {
        std::fs::read_to_string(self.directory.join("vrrp")).is_ok_and(|state| state.trim() == "MASTER")
    }

    /// SIGKILL to HAProxy and to keepalived; the kernel lives and closes their connections.
    pub fn kill(&mut self) {
        for program in [&mut self.haproxy, &mut self.keepalived].into_iter().flatten() {
            program.kill();
        }
    }

    /// A new worker takes over, the old one serves those it has.
    pub fn reload(&self) {
        let started = || self.ask("show info").and_then(|text| field(&text, "Pid: "));
        let before = started();
        let haproxy = self.haproxy.as_ref().unwrap();
        crate::harness::signal(haproxy.main(), "USR2");
        eventually("a new worker", PATIENCE, || started().filter(|pid| Some(pid) != before.as_ref()));
    }

    fn socket(&self) -> PathBuf {
        self.directory.join("haproxy.sock")
    }

    /// HAProxy's answer to a command; `None` when nobody answers.
    pub fn ask(&self, command: &str) -> Option<String> {
        let mut socket = UnixStream::connect(self.socket()).ok()?;
        socket.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
        socket.write_all(format!("{command}\n").as_bytes()).ok()?;
        let mut answer = String::new();
        socket.read_to_string(&mut answer).ok()?;
        Some(answer)
    }

    /// A server's state in words, such as `UP` or `DOWN (agent)`.
    pub fn server(&self, name: &str) -> Option<String> {
        let answer = self.ask("show stat ingest 4 -1")?;
        let row = answer.lines().find(|line| line.starts_with(&format!("ingest,{name},")))?;
        Some(row.split(',').nth(17)?.to_owned())
    }

    /// Whether new sessions may go to a server.
    pub fn uses(&self, name: &str) -> bool {
        self.server(name).is_some_and(|state| state.starts_with("UP"))
    }

    pub fn log(&self) -> String {
        let read = |name| std::fs::read_to_string(self.directory.join(name)).unwrap_or_default();
        format!("{}--- keepalived ---\n{}", read("log"), read("keepalived.log"))
    }
}

fn field(text: &str, name: &str) -> Option<String> {
    text.lines().find_map(|line| line.strip_prefix(name)).map(ToOwned::to_owned)
}

fn haproxy_config(site: &Site, machine: &Machine, directory: &Path) -> String {
    let Site { method, vip, monitor, slaves, .. } = site;
    let (own, sock) = (machine.address, directory.join("haproxy.sock"));
    let mut text = format!(
        "global\n  stats socket {} mode 600 level admin expose-fd listeners\n  stats socket ipv4@{own}:{CONTROL} level admin\n  \
         log stdout format raw local0\n  spread-checks 0\n\
         defaults\n  mode tcp\n  log global\n  option tcplog\n  timeout connect 1s\n  timeout client 30s\n  \
         timeout server 30s\n  retries 2\n  option redispatch 1\n\
         frontend rtmp\n  bind {vip}:{RTMP}\n  use_backend ingest_any if {{ nbsrv(ingest) eq 0 }}\n  \
         default_backend ingest\n\
         backend ingest\n  balance first\n  option log-health-checks\n",
        sock.display()
    );
    if *method == Method::Http {
        text.push_str(
            "  option httpchk\n  http-check send-state\n  \
             http-check send meth GET uri-lf \"/health/failovers/ingest/%[srv_name]\" ver HTTP/1.1 hdr Host monitor\n",
        );
    }
    let check = method.check(*monitor);
    for (name, address) in slaves {
        let ask = match method {
            Method::Agent | Method::Push => format!(" agent-send \"ingest/{name}\\n\""),
            Method::Tcp | Method::Http => String::new(),
        };
        // Writing to a string cannot fail.
        let _ =
            writeln!(text, "  server {name} {address}:{RTMP} weight 100 {check} on-marked-down shutdown-sessions{ask}");
    }
    text.push_str("backend ingest_any\n  balance first\n");
    for (name, address) in slaves {
        let _ = writeln!(text, "  server {name} {address}:{RTMP}");
    }
    text
}
