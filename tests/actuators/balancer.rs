//! A real HAProxy, and slaves that are nothing but ports.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::decided::SOON;
use crate::harness::{eventually, free_port, mortal, program, signal};

/// Killed when dropped.
pub struct Balancer {
    child: Child,
    directory: tempfile::TempDir,
    pub traffic: u16,
    mode: Mode,
}

#[derive(Clone, Copy, PartialEq)]
pub enum Mode {
    Single,
    MasterWorker,
}

/// Ports that take connections and keep them.
pub struct Slaves {
    listeners: Vec<TcpListener>,
}

impl Slaves {
    pub fn new() -> Self {
        let listeners: Vec<_> = (0..2).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        Self { listeners }
    }

    /// Lines of `server` for a backend. The agents are asked once a minute at a port where nobody answers, which changes nothing.
    pub fn lines(&self) -> String {
        let line = |(at, listener): (usize, &TcpListener)| {
            let address = listener.local_addr().unwrap();
            format!(
                "  server s{} {address} weight 100 check inter 1s agent-check agent-inter 60s agent-addr 127.0.0.1 agent-port 1\n",
                at + 1
            )
        };
        self.listeners.iter().enumerate().map(line).collect()
    }
}

impl Balancer {
    pub fn start(servers: &str) -> Self {
        Self::start_as(servers, Mode::Single)
    }

    pub fn start_as(servers: &str, mode: Mode) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let traffic = free_port();
        write(directory.path(), traffic, servers);
        let mut check = Command::new(program("haproxy", "haproxy"));
        let checked = check.args(["-c", "-q", "-f"]).arg(directory.path().join("haproxy.cfg")).status().unwrap();
        assert!(checked.success(), "haproxy -c");
        let child = spawn(directory.path(), mode, &[]);
        let balancer = Self { child, directory, traffic, mode };
        balancer.wait_answering();
        balancer
    }

    pub fn socket(&self) -> PathBuf {
        self.directory.path().join("stats.sock")
    }

    pub fn master(&self) -> PathBuf {
        self.directory.path().join("master.sock")
    }

    pub fn reconfigure(&self, servers: &str) {
        write(self.directory.path(), self.traffic, servers);
    }

    fn wait_answering(&self) {
        eventually("HAProxy answers", SOON, || self.ask("show info").filter(|answer| answer.contains("Version")));
    }

    /// The whole answer over the statistics socket.
    pub fn ask(&self, line: &str) -> Option<String> {
        ask(&self.socket(), line)
    }

    /// The answer of the master process.
    pub fn ask_master(&self, line: &str) -> Option<String> {
        ask(&self.master(), line)
    }

    /// `status` of a server, as the statistics have it.
    pub fn status(&self, server: &str) -> Option<String> {
        self.column(server, "status")
    }

    pub fn column(&self, server: &str, column: &str) -> Option<String> {
        let answer = self.ask("show stat")?;
        let mut rows = answer.lines().map(|line| line.split(',').collect::<Vec<_>>());
        let header = rows.next()?;
        let at = header.iter().position(|name| *name == column)?;
        rows.find(|row| row.first() == Some(&"slaves") && row.get(1) == Some(&server)).map(|row| row[at].to_owned())
    }

    /// Whether the servers' agents say this. A missing answer is none of it.
    pub fn agents(&self, s1: bool, s2: bool) -> bool {
        let health = |server| self.column(server, "agent_health");
        let text = |up| Some(if up { "1" } else { "0" }.to_owned());
        health("s1") == text(s1) && health("s2") == text(s2)
    }

    pub fn wait_agents(&self, s1: bool, s2: bool) {
        eventually(&format!("agents {s1} {s2}: {:?}", self.ask("show stat")), SOON, || {
            self.agents(s1, s2).then_some(())
        });
    }

    /// Another process takes over (`-sf`), as a reload does it.
    pub fn replace(&mut self) {
        let old = self.child.id().to_string();
        let child = spawn(self.directory.path(), self.mode, &["-sf", &old]);
        let mut before = std::mem::replace(&mut self.child, child);
        let pid = self.child.id().to_string();
        eventually("the new process answers", SOON, || {
            self.ask("show info").filter(|answer| answer.lines().any(|line| line == format!("Pid: {pid}")))
        });
        std::thread::spawn(move || before.wait());
    }

    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        let _ = std::fs::remove_file(self.socket());
    }

    pub fn start_again(&mut self) {
        self.child = spawn(self.directory.path(), self.mode, &[]);
        self.wait_answering();
    }

    pub fn signal(&self, name: &str) {
        signal(self.child.id(), name);
    }

    /// A session through the balancer.
    pub fn connect(&self) -> TcpStream {
        TcpStream::connect(("127.0.0.1", self.traffic)).unwrap()
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        // It may have ended already; a master takes its workers with it.
        if self.mode == Mode::MasterWorker {
            let _ = Command::new("kill").arg(self.child.id().to_string()).status();
            for _ in 0..200 {
                if self.child.try_wait().is_ok_and(|status| status.is_some()) {
                    return;
                }
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether the peer has closed the connection.
pub fn is_cut(session: &mut TcpStream) -> bool {
    session.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
    match session.read(&mut [0; 16]) {
        Ok(count) => count == 0,
        Err(error) => !matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut),
    }
}

fn ask(socket: &Path, line: &str) -> Option<String> {
    let mut socket = UnixStream::connect(socket).ok()?;
    socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    socket.write_all(format!("{line}\n").as_bytes()).ok()?;
    socket.shutdown(std::net::Shutdown::Write).ok()?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer).ok()?;
    Some(answer.trim_start_matches("# ").to_owned())
}

/// Backend `any` takes sessions while no server of `slaves` is up, without a check.
fn write(directory: &Path, traffic: u16, servers: &str) {
    let place = |line: &str| line.split_whitespace().take(3).collect::<Vec<_>>().join(" ");
    let any: String = servers.lines().map(|line| format!("  {}\n", place(line))).collect();
    let config = format!(
        "global\n  stats socket {} mode 600 level admin expose-fd listeners\n\
         defaults\n  mode tcp\n  timeout connect 1s\n  timeout client 60s\n  timeout server 60s\n\
         frontend in\n  bind 127.0.0.1:{traffic}\n  use_backend any if {{ nbsrv(slaves) eq 0 }}\n  default_backend slaves\n\
         backend slaves\n  balance first\n{servers}backend any\n  balance first\n{any}",
        directory.join("stats.sock").display()
    );
    std::fs::write(directory.join("haproxy.cfg"), config).unwrap();
}

fn spawn(directory: &Path, mode: Mode, more: &[&str]) -> Child {
    let mut command = mortal("haproxy", "haproxy");
    command.args(["-db", "-f"]).arg(directory.join("haproxy.cfg")).args(more);
    if mode == Mode::MasterWorker {
        command.args(["-W", "-S"]).arg(directory.join("master.sock"));
    }
    let log = std::fs::OpenOptions::new().create(true).append(true).open(directory.join("log")).unwrap();
    command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap()
}
