//! A machine: a network and a process namespace of its own, on the testbed's switch. Its power can be cut.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::harness::{eventually, mortal, program, signal};

const START: Duration = Duration::from_secs(20);

/// Whatever runs in it ends with it, and it ends with the thread that made it, however that ends.
pub struct Machine {
    pub name: &'static str,
    pub address: Ipv4Addr,
    /// The parent of the machine's first process; it takes that along when it dies.
    holder: Child,
    /// The machine's first process, as this side numbers it.
    first: u32,
}

/// A program that runs in a machine, with all that it has started. Killed when dropped.
pub struct Program {
    /// Waits for the program and ends with it.
    entrance: Child,
}

impl Machine {
    /// A machine without a cable.
    pub fn new(name: &'static str, address: Ipv4Addr) -> Self {
        let mut command = mortal("unshare", "util-linux");
        command.args(["--net", "--pid", "--fork", "--kill-child", "sleep", "infinity"]).stdin(Stdio::null());
        let mut holder = command.spawn().unwrap();
        let first = eventually("a machine", START, || {
            assert!(holder.try_wait().unwrap().is_none(), "cannot make namespaces: that needs root");
            let first = *children(holder.id()).first()?;
            let sleeps = std::fs::read_to_string(format!("/proc/{first}/comm")).is_ok_and(|name| name == "sleep\n");
            sleeps.then_some(first)
        });
        Self { name, address, holder, first }
    }

    /// The number by which `ip link … netns` knows it.
    pub fn id(&self) -> u32 {
        self.first
    }

    /// A command that runs in the machine.
    pub fn command(&self, name: &str, package: &str) -> Command {
        self.command_at(&program(name, package))
    }

    /// The same with the program's path.
    pub fn command_at(&self, program: &Path) -> Command {
        let mut command = mortal("nsenter", "util-linux");
        command.args(["net", "pid"].map(|kind| format!("--{kind}=/proc/{}/ns/{kind}", self.first))).arg(program);
        command
    }

    /// Runs a command to its end, which must be a good one.
    pub fn run(&self, name: &str, package: &str, arguments: &[&str]) {
        let mut command = mortal("nsenter", "util-linux");
        // From this side's process namespace, so that machines can be named by their numbers.
        command.arg(format!("--net=/proc/{}/ns/net", self.first)).arg(program(name, package)).args(arguments);
        succeed(&mut command);
    }

    pub fn ip(&self, arguments: &str) {
        self.run("ip", "iproute2", &arguments.split(' ').collect::<Vec<_>>());
    }

    pub fn iptables(&self, arguments: &str) {
        self.run("iptables", "iptables", &["-w 5 ", arguments].concat().split(' ').collect::<Vec<_>>());
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // It may have died already.
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

impl Program {
    /// Starts a command of [`Machine::command`], its output into a file of its own.
    pub fn start(mut command: Command, log: &Path) -> Self {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(log).unwrap();
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        Self { entrance: command.spawn().unwrap() }
    }

    /// Its processes, as this side numbers them; the entrance is none of them.
    pub fn processes(&self) -> Vec<u32> {
        let mut found = children(self.entrance.id());
        let mut next = 0;
        while let Some(parent) = found.get(next) {
            found.extend(children(*parent));
            next += 1;
        }
        found
    }

    /// Its first process.
    pub fn main(&self) -> u32 {
        eventually("a process", START, || self.processes().first().copied())
    }

    /// Sends a signal to each of its processes.
    pub fn signal_all(&self, name: &str) {
        signals(&self.processes(), name);
    }

    /// SIGSTOP: connections stay, nobody answers.
    pub fn freeze(&self) {
        self.signal_all("STOP");
    }

    pub fn thaw(&self) {
        // The entrance has stopped itself together with its child.
        signals(&[self.processes(), vec![self.entrance.id()]].concat(), "CONT");
    }

    /// SIGKILL to all of it at once; its kernel closes the connections.
    pub fn kill(&mut self) {
        signals(&self.processes(), "KILL");
        // A frozen entrance cannot see that its child is gone.
        let _ = self.entrance.kill();
        self.entrance.wait().unwrap();
    }

    pub fn has_ended(&mut self) -> bool {
        self.entrance.try_wait().unwrap().is_some()
    }

    /// Asks its first process to end, and waits until it has.
    pub fn terminate(&mut self) {
        signal(self.main(), "TERM");
        eventually("the end of a program", START, || self.entrance.try_wait().unwrap());
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have died already.
        signals(&self.processes(), "KILL");
        let _ = self.entrance.kill();
        let _ = self.entrance.wait();
    }
}

/// Sends a signal to processes, some of which may have ended.
fn signals(processes: &[u32], name: &str) {
    if processes.is_empty() {
        return;
    }
    let mut command = Command::new(program("kill", "procps"));
    command.arg(format!("-{name}")).args(processes.iter().map(u32::to_string)).stderr(Stdio::null());
    let _ = command.status().unwrap();
}

fn children(parent: u32) -> Vec<u32> {
    let text = std::fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).unwrap_or_default();
    text.split_whitespace().map(|number| number.parse().unwrap()).collect()
}

pub fn succeed(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// `apt-get install`s what a file that is no program belongs to.
pub fn file(path: &str, package: &str) -> PathBuf {
    assert!(Path::new(path).exists(), "{path} is missing: apt-get install {package}");
    path.into()
}
