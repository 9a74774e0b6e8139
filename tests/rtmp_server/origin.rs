//! nginx with its statistics page: a master and one worker, so that it can be reloaded.

use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

use crate::harness::recording::Recording;
use crate::harness::{eventually, free_port, http, mortal, signal};

const MODULE: &str = "/usr/lib/nginx/modules/ngx_rtmp_module.so";
const START: Duration = Duration::from_secs(10);

/// In a process namespace of its own, with which all its processes end. Killed when dropped.
pub struct Origin {
    child: Child,
    directory: tempfile::TempDir,
    rtmp: u16,
    http: u16,
}

impl Origin {
    pub fn start() -> Self {
        assert!(Path::new(MODULE).exists(), "{MODULE} is missing: apt-get install libnginx-mod-rtmp");
        let (rtmp, http) = (free_port(), free_port());
        let temporary =
            ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(|t| format!("{t}_temp_path temporary;"));
        let config = format!(
            "load_module {MODULE};\nuser root; daemon off; worker_processes 1; pid nginx.pid; error_log error.log info;\n\
             events {{ worker_connections 2048; }}\n\
             rtmp {{ server {{ listen 127.0.0.1:{rtmp}; application live {{ live on; }} application gate-1 {{ live on; }} }} }}\n\
             http {{ access_log off; {} server {{ listen 127.0.0.1:{http}; location /stat {{ rtmp_stat all; }} }} }}\n",
            temporary.concat()
        );
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("nginx.conf"), config).unwrap();
        let mut command = mortal("unshare", "util-linux");
        command.args(["--pid", "--fork", "--kill-child", "nginx", "-p"]).arg(directory.path());
        command.args(["-c", "nginx.conf", "-e", "error.log"]).env("PATH", "/usr/sbin:/sbin:/usr/bin:/bin");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut origin = Self { child: command.spawn().unwrap(), directory, rtmp, http };
        eventually("nginx's statistics", START, || {
            let ended = origin.child.try_wait().unwrap();
            assert!(ended.is_none(), "nginx does not start; a process namespace needs root:\n{}", origin.log());
            origin.page()
        });
        origin
    }

    pub fn statistics_url(&self) -> String {
        format!("http://127.0.0.1:{}/stat", self.http)
    }

    /// The page as it is.
    pub fn page(&self) -> Option<String> {
        let answer = http(([127, 0, 0, 1], self.http).into(), "GET", "/stat", &[], "").ok()?;
        (answer.status == 200).then_some(answer.body)
    }

    /// Publishes in real time, to all of `paths` from one process. Returns once nginx has accepted the first.
    pub fn publish(&self, paths: &[&str], recording: &Recording) -> Camera {
        let before = self.log().matches(" publish: ").count();
        let mut command = mortal("ffmpeg", "ffmpeg");
        command.args(["-nostdin", "-loglevel", "error", "-re", "-i"]).arg(&recording.path);
        for path in paths {
            command.args(["-c", "copy", "-f", "flv", &format!("rtmp://127.0.0.1:{}/{path}", self.rtmp)]);
        }
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let camera = Camera { child };
        eventually("a publication", START, || (self.log().matches(" publish: ").count() > before).then_some(()));
        camera
    }

    /// Waits for a publication that nobody sends.
    pub fn play(&self, path: &str) -> Camera {
        let mut command = mortal("ffmpeg", "ffmpeg");
        command.args(["-nostdin", "-loglevel", "error", "-i", &format!("rtmp://127.0.0.1:{}/{path}", self.rtmp)]);
        command.args(["-c", "copy", "-f", "null", "-"]);
        Camera { child: command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap() }
    }

    /// A new worker takes over; the old one stays with the connections it has.
    pub fn reload(&self) {
        let worker = || self.page().and_then(|page| Some(page.split_once("<pid>")?.1.split_once('<')?.0.to_owned()));
        let before = worker();
        // Seen from inside, nginx is process 1: its own pid file would name the wrong one.
        let id = self.child.id();
        let children = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap();
        signal(children.trim().parse().unwrap(), "HUP");
        eventually("another worker", START, || worker().filter(|now| Some(now) != before.as_ref()));
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("error.log")).unwrap_or_default()
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- nginx log ---\n{}", self.log());
        }
    }
}

/// ffmpeg as a publisher or a player. Killed when dropped.
pub struct Camera {
    child: Child,
}

impl Camera {
    pub fn freeze(&self) {
        signal(self.child.id(), "STOP");
    }
}

impl Drop for Camera {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
