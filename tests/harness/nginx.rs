//! A real origin and its camera: nginx with the RTMP module, and ffmpeg.

use std::net::{Ipv4Addr, SocketAddrV4, TcpListener};
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, SystemTime};

use super::namespace::Namespace;
use super::recording::Recording;
use super::{eventually, mortal, signal};

const MODULE: &str = "/usr/lib/nginx/modules/ngx_rtmp_module.so";
const START: Duration = Duration::from_secs(10);

/// nginx as a single process, so that stopping it stops everything. Killed when dropped.
pub struct Nginx<'n> {
    child: Child,
    directory: tempfile::TempDir,
    namespace: Option<&'n Namespace>,
    address: Ipv4Addr,
    port: u16,
}

impl Nginx<'static> {
    /// Serves `applications` (lines for `server`) on the loopback address.
    pub fn start(applications: &str) -> Self {
        Self::start_at(Ipv4Addr::LOCALHOST, None, applications, "")
    }

    /// The same, with lines for `http` beside it.
    pub fn start_with(applications: &str, web: &str) -> Self {
        Self::start_at(Ipv4Addr::LOCALHOST, None, applications, web)
    }
}

impl<'n> Nginx<'n> {
    /// The same inside of a namespace.
    pub fn start_in(namespace: &'n Namespace, applications: &str) -> Self {
        Self::start_at(namespace.address, Some(namespace), applications, "")
    }

    fn start_at(address: Ipv4Addr, namespace: Option<&'n Namespace>, applications: &str, web: &str) -> Self {
        assert!(Path::new(MODULE).exists(), "{MODULE} is missing: apt-get install libnginx-mod-rtmp");
        let directory = tempfile::tempdir().unwrap();
        let port = unshared_port();
        let temporary =
            ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(|t| format!("{t}_temp_path temporary;")).concat();
        let web =
            if web.is_empty() { web.to_owned() } else { format!("http {{ access_log off; {temporary}\n{web}\n}}\n") };
        let config = format!(
            "load_module {MODULE};\nuser root; daemon off; master_process off; pid nginx.pid; error_log error.log info;\n\
             events {{ worker_connections 256; }}\n\
             rtmp {{ server {{ listen {address}:{port};\n{applications}\n}} }}\n{web}"
        );
        std::fs::write(directory.path().join("nginx.conf"), config).unwrap();
        let child = spawn(directory.path(), namespace);
        let nginx = Self { child, directory, namespace, address, port };
        nginx.wait_for_log("getrlimit", 1);
        nginx
    }

    /// Host and port of its RTMP side.
    pub fn address(&self) -> SocketAddrV4 {
        SocketAddrV4::new(self.address, self.port)
    }

    /// `rtmp://` with this application, and key if there is one.
    pub fn url(&self, path: &str) -> String {
        format!("rtmp://{}:{}/{path}", self.address, self.port)
    }

    /// SIGKILL: the kernel closes its connections.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts it again on the same port.
    pub fn start_again(&mut self) {
        let starts = self.count_in_log("getrlimit");
        self.child = spawn(self.directory.path(), self.namespace);
        self.wait_for_log("getrlimit", starts + 1);
    }

    /// Stops the process: connections stay open, and nobody answers.
    pub fn freeze(&self) {
        signal(self.child.id(), "STOP");
    }

    pub fn thaw(&self) {
        signal(self.child.id(), "CONT");
    }

    /// Publishes in real time, from timestamp 0. Returns once nginx has accepted the publication.
    pub fn publish(&self, path: &str, recording: &Recording) -> Publisher {
        self.publish_from(path, recording, 0)
    }

    /// The same, from another timestamp in milliseconds.
    pub fn publish_from(&self, path: &str, recording: &Recording, timestamp: u32) -> Publisher {
        let before = self.count_in_log(" publish: ");
        let mut command = match self.namespace {
            Some(namespace) => namespace.command("ffmpeg", "ffmpeg"),
            None => mortal("ffmpeg", "ffmpeg"),
        };
        let log = std::fs::File::create(self.directory.path().join("ffmpeg.log")).unwrap();
        command.args(["-nostdin", "-loglevel", "error", "-re", "-i"]).arg(&recording.path);
        command.args(["-c", "copy", "-output_ts_offset", &format!("{timestamp}ms"), "-f", "flv", &self.url(path)]);
        let child = command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        let mut publisher = Publisher { child, since: SystemTime::UNIX_EPOCH };
        self.wait_for_log(" publish: ", before + 1);
        publisher.since = SystemTime::now();
        publisher
    }

    fn wait_for_log(&self, text: &str, count: usize) {
        eventually(&format!("{text:?} in nginx's log"), START, || (self.count_in_log(text) >= count).then_some(()));
    }

    fn count_in_log(&self, text: &str) -> usize {
        self.log().matches(text).count()
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("error.log")).unwrap_or_default()
    }
}

/// A port outside of the range from which the kernel gives ports to clients: while nginx is down, nobody takes its place.
pub fn unshared_port() -> u16 {
    static TRIED: AtomicU16 = AtomicU16::new(0);
    let start = std::process::id() % 10_000;
    eventually("a free port", START, || {
        let next = u32::from(TRIED.fetch_add(1, Ordering::Relaxed));
        let port = u16::try_from(20_000 + (start + next) % 10_000).unwrap();
        TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok().then_some(port)
    })
}

fn spawn(directory: &Path, namespace: Option<&Namespace>) -> Child {
    let mut command = match namespace {
        Some(namespace) => namespace.command("nginx", "nginx"),
        None => mortal("nginx", "nginx"),
    };
    command.arg("-p").arg(directory).args(["-c", "nginx.conf", "-e", "error.log"]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

impl Drop for Nginx<'_> {
    fn drop(&mut self) {
        // It may have been killed already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let ffmpeg = std::fs::read_to_string(self.directory.path().join("ffmpeg.log")).unwrap_or_default();
            eprintln!("--- nginx log ---\n{}\n--- ffmpeg log ---\n{ffmpeg}", self.log());
        }
    }
}

/// ffmpeg, publishing. Killed when dropped.
pub struct Publisher {
    child: Child,
    /// When nginx accepted the publication; the first frame follows within milliseconds.
    pub since: SystemTime,
}

impl Publisher {
    /// SIGKILL. Returns the moment.
    pub fn kill(mut self) -> SystemTime {
        let at = SystemTime::now();
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        at
    }

    /// Stops the process: the connection stays open, and nothing comes.
    pub fn freeze(&self) {
        signal(self.child.id(), "STOP");
    }

    pub fn thaw(&self) {
        signal(self.child.id(), "CONT");
    }

    /// Has it end the publication in an orderly way. Returns the moment it had ended.
    pub fn stop(mut self) -> SystemTime {
        signal(self.child.id(), "INT");
        self.child.wait().unwrap();
        SystemTime::now()
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
