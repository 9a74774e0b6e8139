//! A network of its own, connected to the host's by a cable that can be cut without either end noticing.

use std::net::Ipv4Addr;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::{eventually, mortal, program};

static NUMBER: AtomicU32 = AtomicU32::new(0);

/// A network namespace without a name: it lives as long as the processes in it, and those die with the test, however that ends.
pub struct Namespace {
    holder: Child,
    /// The cable's end inside.
    pub inside: String,
    /// Its address.
    pub address: Ipv4Addr,
}

impl Namespace {
    pub fn new() -> Self {
        let (pid, number) = (std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let (outside, inside) = (format!("hm{pid}-{number}o"), format!("hm{pid}-{number}i"));
        let [.., high, low] = pid.to_be_bytes();
        let subnet = u8::try_from(number * 4).unwrap();
        // 10.128.0.0/9 by process, a /30 for each namespace of it.
        let at = |host: u8| Ipv4Addr::new(10, 128 | high, low, subnet + host);
        let mut command = mortal("unshare", "util-linux");
        command.args(["--net", "sleep", "infinity"]).stdin(Stdio::null());
        let mut namespace = Self { holder: command.spawn().unwrap(), inside, address: at(2) };
        namespace.wait_until_apart();
        let holder = namespace.holder.id().to_string();
        let peer = ["peer", "name", &namespace.inside, "netns", &holder];
        ip(&[&["link", "add", &outside, "type", "veth"], &peer[..]].concat());
        ip(&["address", "add", &format!("{}/30", at(1)), "dev", &outside]);
        ip(&["link", "set", &outside, "up"]);
        namespace.ip(&["address", "add", &format!("{}/30", at(2)), "dev", &namespace.inside]);
        namespace.ip(&["link", "set", &namespace.inside, "up"]);
        namespace.ip(&["link", "set", "lo", "up"]);
        namespace
    }

    /// The name of the cable's end inside.
    pub fn interface(&self) -> &str {
        &self.inside
    }

    /// A command that runs inside.
    pub fn command(&self, name: &str, package: &str) -> Command {
        let mut command = mortal("nsenter", "util-linux");
        command.arg(format!("--net=/proc/{}/ns/net", self.holder.id())).arg(program(name, package));
        command
    }

    /// Drops every packet in both directions. Nobody gets a FIN, a RST or an ICMP message.
    pub fn cut(&self) {
        self.iptables(&["-I", "INPUT", "-i", &self.inside, "-j", "DROP"]);
        self.iptables(&["-I", "OUTPUT", "-o", &self.inside, "-j", "DROP"]);
    }

    pub fn mend(&self) {
        self.iptables(&["-F"]);
    }

    fn wait_until_apart(&mut self) {
        let network = |process: &str| std::fs::read_link(format!("/proc/{process}/ns/net")).ok();
        let (ours, holder) = (network("self"), self.holder.id().to_string());
        eventually("a network namespace", Duration::from_secs(5), || {
            assert!(self.holder.try_wait().unwrap().is_none(), "cannot make a network namespace: that needs root");
            network(&holder).filter(|theirs| Some(theirs) != ours.as_ref())
        });
    }

    fn iptables(&self, arguments: &[&str]) {
        succeed(self.command("iptables", "iptables").args(["-w", "5"]).args(arguments));
    }

    fn ip(&self, arguments: &[&str]) {
        succeed(self.command("ip", "iproute2").args(arguments));
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // It may have died already.
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

fn ip(arguments: &[&str]) {
    succeed(Command::new(program("ip", "iproute2")).args(arguments));
}

fn succeed(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
