//! What the tests of the whole process share beside the harness: a simulated origin, commands, small servers that misbehave.
#![allow(dead_code, reason = "each test file uses its part")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rtmp_hmonitor::model::StreamUrl;
use rtmp_hmonitor::model::clock::Clock;
use rtmp_hmonitor::model::spec::{EvidenceSource, PhaseTimeouts, ProbeSpec, StreamPolicy, TlsSpec, Watch};
use rtmp_hmonitor::probe::ProbeEnvironment;
use rtmp_hmonitor::probe::once::{self, OneShot};
use rtmp_hmonitor::sim::{CameraSet, CameraStats, Fault, RelayStats, Sim, SimConfig};

/// Enough for anything that happens at all, on a machine that does much else.
pub const SOON: Duration = Duration::from_secs(20);

/// Settings that make everything quick, as long as a test's claim is not about them.
pub const QUICK: &str = "\
supervisor: { backoff_max: 300ms, connects_per_second_per_origin: 1000 }
defaults: { connect_timeout: 3s, first_media_timeout: 3s, stall_timeout: 1s, rise: 0s }
";

/// A simulated origin with a runtime of its own, for tests that block.
pub struct Origin {
    // Declared before the runtime it needs.
    sim: Option<Sim>,
    runtime: tokio::runtime::Runtime,
}

impl Origin {
    pub fn start(cameras: &str) -> Self {
        Self::start_with(cameras, SimConfig::default())
    }

    pub fn start_with(cameras: &str, config: SimConfig) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let cameras = CameraSet::parse(cameras).unwrap();
        let sim = runtime.block_on(Sim::start(SimConfig { cameras, gop_cache: true, ..config })).unwrap();
        Self { sim: Some(sim), runtime }
    }

    fn sim(&self) -> &Sim {
        self.sim.as_ref().unwrap()
    }

    pub fn address(&self) -> SocketAddr {
        self.sim().address()
    }

    /// Where faults are set by HTTP, if anywhere.
    pub fn control(&self) -> Option<SocketAddr> {
        self.sim().control_address()
    }

    pub fn url(&self, camera: &str) -> String {
        format!("rtmp://{}/live/{camera}", self.address())
    }

    pub fn fault(&self, camera: &str, fault: &Fault) {
        self.sim().set_fault(camera, fault).unwrap();
    }

    pub fn clear(&self, camera: &str) {
        self.sim().clear_fault(camera).unwrap();
    }

    pub fn stats(&self, camera: &str) -> CameraStats {
        self.sim().stats(camera).unwrap()
    }

    /// What has become of the publication `app/key`.
    pub fn relayed(&self, name: &str) -> Option<RelayStats> {
        self.sim().relayed(name)
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        if let Some(sim) = self.sim.take() {
            self.runtime.block_on(sim.stop());
        }
    }
}

/// What our probe sees of `url` within `time` of live media.
pub fn probed(url: &str, tls: &TlsSpec, time: Duration) -> OneShot {
    probed_within(url, tls, time, &|_| true)
}

/// The same, where other places may be forbidden.
pub fn probed_within(
    url: &str,
    tls: &TlsSpec,
    time: Duration,
    may_redirect_to: &(dyn Fn(&StreamUrl) -> bool + Send + Sync),
) -> OneShot {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let clock = Clock::new();
    let spec = ProbeSpec {
        url: StreamUrl::parse(url).unwrap(),
        timeouts: PhaseTimeouts::default(),
        tls: tls.clone(),
        watch: Watch::Always,
        evidence: EvidenceSource::Play,
    };
    let policy = Arc::new(StreamPolicy::default());
    let env = ProbeEnvironment::new(clock.clone());
    runtime.block_on(async {
        let beat = async {
            loop {
                clock.beat();
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::select! {
            shot = once::observe(&env, &spec, &policy, time, may_redirect_to, &|_| {}) => shot,
            () = beat => unreachable!(),
        }
    })
}

/// What a command has printed, and its exit code.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    pub fn all(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }
}

/// Runs `rtmp-hmonitor` to its end, which has to come within a minute.
pub fn run(arguments: &[&str]) -> Ran {
    run_with(arguments, &[])
}

pub fn run_with(arguments: &[&str], environment: &[(&str, &str)]) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rtmp-hmonitor"));
    command.args(arguments).envs(environment.iter().copied());
    finish(command)
}

/// Runs `command` to its end.
pub fn finish(mut command: Command) -> Ran {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let drain = |pipe: Option<Box<dyn Read + Send>>| {
        std::thread::spawn(move || {
            let mut text = Vec::new();
            pipe.unwrap().read_to_end(&mut text).unwrap();
            String::from_utf8_lossy(&text).into_owned()
        })
    };
    let stdout = drain(child.stdout.take().map(|p| Box::new(p) as _));
    let stderr = drain(child.stderr.take().map(|p| Box::new(p) as _));
    let end = Instant::now() + Duration::from_secs(60);
    let status = loop {
        match child.try_wait().unwrap() {
            Some(status) => break status,
            None if Instant::now() > end => {
                child.kill().unwrap();
                child.wait().unwrap();
                panic!("{command:?} does not end: {}{}", stdout.join().unwrap(), stderr.join().unwrap());
            }
            None => std::thread::sleep(Duration::from_millis(5)),
        }
    };
    Ran { code: status.code().unwrap_or(-1), stdout: stdout.join().unwrap(), stderr: stderr.join().unwrap() }
}

/// A small HTTP server. It answers every request with what was last set, and keeps the requests' heads.
#[derive(Clone)]
pub struct WebServer {
    pub address: SocketAddr,
    answer: Arc<Mutex<String>>,
    heads: Arc<Mutex<Vec<String>>>,
}

impl WebServer {
    /// `answer` is a whole answer without its length, e.g. `200 OK\r\nX: y\r\n\r\nbody`.
    pub fn start(answer: &str) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let server = Self { address, answer: Arc::new(Mutex::new(answer.to_owned())), heads: Arc::default() };
        let shared = server.clone();
        std::thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                // A client that goes away is its own business.
                let _ = shared.serve(socket);
            }
        });
        server
    }

    fn serve(&self, mut socket: TcpStream) -> std::io::Result<()> {
        socket.set_read_timeout(Some(Duration::from_secs(5)))?;
        let mut head = String::new();
        let mut reader = BufReader::new(socket.try_clone()?);
        while reader.read_line(&mut head)? > 2 {}
        self.heads.lock().unwrap().push(head);
        let answer = self.answer.lock().unwrap().clone();
        let (start, body) = answer.split_once("\r\n\r\n").unwrap();
        let length = body.len();
        socket.write_all(
            format!("HTTP/1.1 {start}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}").as_bytes(),
        )
    }

    pub fn set(&self, answer: &str) {
        *self.answer.lock().unwrap() = answer.to_owned();
    }

    pub fn set_json(&self, json: &str) {
        self.set(&format!("200 OK\r\nContent-Type: application/json\r\n\r\n{json}"));
    }

    /// Heads of the requests so far.
    pub fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

/// A server that answers the first bytes of every connection with `answer`, and listens on until the peer goes.
pub fn blunt_server(answer: impl Into<Vec<u8>>) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let answer = answer.into();
    std::thread::spawn(move || {
        for mut socket in listener.incoming().flatten() {
            let answer = answer.clone();
            std::thread::spawn(move || {
                // A client that goes away is its own business.
                let mut buffer = [0; 4096];
                let _ = socket.set_read_timeout(Some(Duration::from_secs(10)));
                if socket.read(&mut buffer).is_ok_and(|n| n > 0) && socket.write_all(&answer).is_ok() {
                    while socket.read(&mut buffer).is_ok_and(|n| n > 0) {}
                }
            });
        }
    });
    address
}
