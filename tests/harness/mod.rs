//! The real monitor as a process, on free ports, in a directory of its own.
#![allow(dead_code, reason = "each test file uses its part")]

pub mod history;
pub mod namespace;
pub mod nginx;
pub mod recording;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// How often conditions are looked at.
const LOOK: Duration = Duration::from_millis(5);

/// A port that was free a moment ago.
pub fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

/// The program's path, or a failure that says how to install it.
pub fn program(name: &str, package: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let directories = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    directories
        .map(|d| d.join(name))
        .find(|p| p.exists())
        .unwrap_or_else(|| panic!("{name} is missing: apt-get install {package}"))
}

/// A command that is killed when the thread that started it ends: nothing outlives a test, however the test ends.
pub fn mortal(name: &str, package: &str) -> Command {
    let mut command = Command::new(program("setpriv", "util-linux"));
    command.args(["--pdeathsig", "KILL"]).arg(program(name, package));
    command
}

/// Waits until `condition` gives something, or fails saying `what` did not happen.
pub fn eventually<T>(what: &str, limit: Duration, mut condition: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + limit;
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(Instant::now() < end, "did not happen within {limit:?}: {what}");
        std::thread::sleep(LOOK);
    }
}

/// One HTTP answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.body))
    }
}

/// One HTTP/1.1 request over a connection of its own. `headers` are whole lines.
pub fn http(address: SocketAddr, method: &str, path: &str, headers: &[&str], body: &str) -> std::io::Result<Answer> {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(2))?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    let mut request = format!("{method} {path} HTTP/1.1\r\nHost: monitor\r\nConnection: close\r\n");
    for header in headers {
        request.push_str(header);
        request.push_str("\r\n");
    }
    if !body.is_empty() {
        request.push_str(&format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len()));
    }
    stream.write_all(format!("{request}\r\n{body}").as_bytes())?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let (head, rest) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0);
    let chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
    let body = if chunked { unchunk(rest) } else { rest.to_owned() };
    Ok(Answer { status, head: head.to_owned(), body })
}

fn unchunk(mut rest: &str) -> String {
    let mut body = String::new();
    while let Some((size, after)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size.trim(), 16).unwrap_or(0);
        if size == 0 {
            break;
        }
        body.push_str(&after[..size]);
        rest = after.get(size + 2..).unwrap_or("");
    }
    body
}

/// A running monitor. Killed when dropped.
pub struct Monitor {
    child: Child,
    pub directory: tempfile::TempDir,
    pub listen: SocketAddr,
    pub health: SocketAddr,
}

impl Monitor {
    /// Starts the monitor on `config`, to which `server:` with free ports and a `state_file:` are added, and waits until it answers.
    pub fn start(config: &str) -> Self {
        Self::start_with(config, "", &[], |command| command)
    }

    /// The same, with more lines for `server:` (indented by two), environment variables, and a say in how it is started.
    pub fn start_with(
        config: &str,
        server: &str,
        environment: &[(&str, &str)],
        adjust: impl FnOnce(Command) -> Command,
    ) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), config, server, environment, adjust)
    }

    /// The same, with its files in `directory`.
    pub fn start_in(
        directory: tempfile::TempDir,
        config: &str,
        server: &str,
        environment: &[(&str, &str)],
        adjust: impl FnOnce(Command) -> Command,
    ) -> Self {
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
        let health = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
        let text = format!(
            "server:\n  listen: \"{listen}\"\n  health_listen: \"{health}\"\n{server}\nstate_file: state.json\n{config}"
        );
        std::fs::write(directory.path().join("hmonitor.yml"), text).unwrap();
        Self::run(directory, listen, health, environment, adjust)
    }

    fn run(
        directory: tempfile::TempDir,
        listen: SocketAddr,
        health: SocketAddr,
        environment: &[(&str, &str)],
        adjust: impl FnOnce(Command) -> Command,
    ) -> Self {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(directory.path().join("log")).unwrap();
        let mut command = adjust(Command::new(env!("CARGO_BIN_EXE_rtmp-hmonitor")));
        command.args(["run", "--config"]).arg(directory.path().join("hmonitor.yml"));
        command.envs(environment.iter().copied());
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let child = command.spawn().unwrap();
        let mut monitor = Self { child, directory, listen, health };
        let end = Instant::now() + Duration::from_secs(20);
        while http(monitor.health, "GET", "/livez", &[], "").map_or(0, |a| a.status) != 200 {
            if let Some(status) = monitor.child.try_wait().unwrap() {
                panic!("the monitor ended with {status}:\n{}", monitor.log());
            }
            assert!(Instant::now() < end, "the monitor does not answer:\n{}", monitor.log());
            std::thread::sleep(LOOK);
        }
        monitor
    }

    /// Kills the process and starts another one on the same directory and ports.
    pub fn restart_after_kill(mut self) -> Self {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        let directory = std::mem::replace(&mut self.directory, tempfile::tempdir().unwrap());
        Self::run(directory, self.listen, self.health, &[], |command| command)
    }

    /// SIGTERM; the exit status.
    pub fn terminate(&mut self) -> std::process::ExitStatus {
        self.end_by("TERM")
    }

    /// Sends a signal that ends it; the exit status.
    pub fn end_by(&mut self, signal: &str) -> std::process::ExitStatus {
        self.signal(signal);
        let end = Instant::now() + Duration::from_secs(30);
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < end, "the monitor does not end");
            std::thread::sleep(LOOK);
        }
    }

    pub fn signal(&self, name: &str) {
        signal(self.child.id(), name);
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    pub fn config_path(&self) -> PathBuf {
        self.path().join("hmonitor.yml")
    }

    /// Everything it has written to standard output and error.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.path().join("log")).unwrap_or_default()
    }

    pub fn get(&self, path: &str) -> Answer {
        http(self.listen, "GET", path, &[], "").unwrap()
    }

    pub fn request(&self, method: &str, path: &str, headers: &[&str], body: &str) -> Answer {
        http(self.listen, method, path, headers, body).unwrap()
    }

    /// Status code of a stream's health answer.
    pub fn health_code(&self, stream: &str) -> u16 {
        http(self.health, "GET", &format!("/health/streams/{stream}"), &[], "").unwrap().status
    }

    pub fn stream(&self, name: &str) -> Value {
        self.document(&format!("streams/{name}"))
    }

    /// What the API says of a place: `streams/a`, `endpoints/b`, `services/c`, `paths/d`.
    pub fn document(&self, place: &str) -> Value {
        self.get(&format!("/api/v1/{place}")).json()
    }

    /// Status code and body of the health answer about a stream, an endpoint or a service.
    pub fn health_of(&self, place: &str) -> (u16, Value) {
        let answer = http(self.health, "GET", &format!("/health/{place}"), &[], "").unwrap();
        (answer.status, answer.json())
    }

    /// Health and causes, as in `down stalled`.
    pub fn verdict(&self, name: &str) -> String {
        self.verdict_of(&format!("streams/{name}"))
    }

    /// The same of any place.
    pub fn verdict_of(&self, place: &str) -> String {
        let document = self.document(place);
        let mut words = vec![document["health"].as_str().unwrap_or("?").to_owned()];
        words.extend(document["causes"].as_array().into_iter().flatten().filter_map(|c| Some(c.as_str()?.to_owned())));
        words.join(" ")
    }

    /// Waits for a verdict; gives the time it took.
    pub fn wait_for(&self, stream: &str, verdict: &str, limit: Duration) -> Duration {
        self.wait_at(&format!("streams/{stream}"), verdict, limit)
    }

    /// The same at any place.
    pub fn wait_at(&self, place: &str, verdict: &str, limit: Duration) -> Duration {
        let start = Instant::now();
        let mut last = String::new();
        while start.elapsed() < limit {
            last = self.verdict_of(place);
            if last == verdict {
                return start.elapsed();
            }
            std::thread::sleep(LOOK);
        }
        panic!("{place} is {last:?}, not {verdict:?}, after {limit:?}; log:\n{}", self.log());
    }

    pub fn metrics(&self) -> String {
        self.get("/metrics").body
    }

    /// The value of the only series of `family` whose labels contain all of `labels` (as in `stream="a"`).
    pub fn metric(&self, family: &str, labels: &[&str]) -> Option<f64> {
        metric(&self.metrics(), family, labels)
    }
}

/// See [`Monitor::metric`].
pub fn metric(text: &str, family: &str, labels: &[&str]) -> Option<f64> {
    let mut found = text.lines().filter_map(|line| {
        let (series, value) = line.rsplit_once(' ')?;
        let (name, rest) = series.split_once('{').unwrap_or((series, ""));
        (name == family && labels.iter().all(|l| rest.contains(l))).then(|| value.parse::<f64>().unwrap())
    });
    let value = found.next();
    assert!(found.next().is_none(), "{family} {labels:?} names several series");
    value
}

/// Sends a signal by its short name.
pub fn signal(pid: u32, name: &str) {
    let status = Command::new("kill").args([format!("-{name}"), pid.to_string()]).status().unwrap();
    assert!(status.success(), "kill -{name} {pid}");
}

impl Drop for Monitor {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- monitor log ---\n{}", self.log());
        }
    }
}
