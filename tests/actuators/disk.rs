//! A disk that hangs, as one does whose controller, hypervisor or server has gone: whoever writes there waits and cannot be interrupted.

use std::io::Read;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::balancer::{Balancer, Slaves};
use crate::decided::SOON;
use crate::harness::{Monitor, eventually, http, mortal, program};
use crate::receiver::{Mood, Receiver};

/// A test that is killed while its disk hangs would leave processes that nobody can kill.
const THAWED_ANYWAY: Duration = Duration::from_secs(120);

/// A file system of its own.
struct Disk {
    mount: PathBuf,
    _directory: tempfile::TempDir,
}

impl Disk {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (image, mount) = (directory.path().join("image"), directory.path().join("mount"));
        std::fs::create_dir(&mount).unwrap();
        std::fs::File::create(&image).unwrap().set_len(64 << 20).unwrap();
        run(Command::new(program("mkfs.ext4", "e2fsprogs")).args(["-q", "-F"]).arg(&image));
        run(Command::new(program("mount", "mount")).args(["-o", "loop"]).args([&image, &mount]));
        Self { mount, _directory: directory }
    }

    fn hang(&self) -> Hanging<'_> {
        run(Command::new(program("fsfreeze", "util-linux")).arg("--freeze").arg(&self.mount));
        let mut later = Command::new("sh");
        later.args(["-c", "sleep $0; exec fsfreeze --unfreeze \"$1\""]);
        later.arg(THAWED_ANYWAY.as_secs().to_string()).arg(&self.mount);
        Hanging { disk: self, thaws_anyway: later.stderr(Stdio::null()).spawn().unwrap() }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.mount).status();
    }
}

/// A disk that hangs until this is dropped.
struct Hanging<'d> {
    disk: &'d Disk,
    thaws_anyway: Child,
}

impl Drop for Hanging<'_> {
    fn drop(&mut self) {
        let _ = Command::new("fsfreeze").arg("--unfreeze").arg(&self.disk.mount).status();
        let _ = self.thaws_anyway.kill().and_then(|()| self.thaws_anyway.wait());
    }
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Where a stream is looked for: one port, at each slave's address.
fn doors() -> [TcpListener; 2] {
    let first = TcpListener::bind("127.0.0.1:0").unwrap();
    let second = TcpListener::bind(("127.0.0.2", first.local_addr().unwrap().port())).unwrap();
    [first, second].map(|door| {
        door.set_nonblocking(true).unwrap();
        door
    })
}

#[test]
fn a_disk_that_hangs_delays_no_answer_no_switch_no_follower_and_no_message() {
    let slaves = Slaves::new();
    let balancer = Balancer::start(&slaves.lines());
    let receiver = Receiver::start();
    let machines = [0, 1].map(|_| TcpListener::bind("127.0.0.1:0").unwrap());
    let doors = doors();
    let endpoint = |at: usize| {
        let address = machines[at].local_addr().unwrap();
        format!("  - {{ name: host-{}, tcp: {{ address: \"{address}\", interval: 200ms, down_after: 2 }} }}\n", at + 1)
    };
    let config = format!(
        "log: {{ file: {{ path: hmonitor.log }} }}\nendpoints:\n{}{}groups:\n\
         \x20 - {{ name: slave-1, address: 127.0.0.1, eligible_while: {{ endpoints: [host-1] }} }}\n\
         \x20 - {{ name: slave-2, address: 127.0.0.2, eligible_while: {{ endpoints: [host-2] }} }}\n\
         streams: [{{ name: gate, follow: ingest, url: \"rtmp://{{address}}:{}/live/gate\" }}]\n\
         failovers: [{{ name: ingest, candidates: [slave-1, slave-2], settle: 1s, hold: 1s }}]\n\
         actions:\n\
         \x20 haproxy:\n    - {{ name: lb, socket: {}, servers: [{{ server: slaves/s1, group: slave-1, failover: ingest }}, {{ server: slaves/s2, group: slave-2, failover: ingest }}] }}\n\
         \x20 webhook: [{{ name: hook, url: \"http://{}/\", groups: [] }}]\n",
        endpoint(0),
        endpoint(1),
        doors[0].local_addr().unwrap().port(),
        balancer.socket().display(),
        receiver.address,
    );
    let disk = Disk::new();
    // The configuration, the log on standard error, the log file, the state file and what waits to be told: all on that disk.
    let files = tempfile::tempdir_in(&disk.mount).unwrap();
    let tokens = "  tokens: [{ role: operate, token: operator-test-token }]\n";
    let mut monitor = Monitor::start_in(files, &config, tokens, &[], |command| command);
    balancer.wait_agents(true, false);
    let told =
        || receiver.taken(Mood::Fine).iter().map(|r| r.json()["to"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
    eventually("the first", SOON, || (told() == ["slave-1"]).then_some(()));

    eventually("the stream is looked for at the first", SOON, || doors[0].accept().ok());
    let operator = ["Authorization: Bearer operator-test-token"];
    let word = |group: &str, word: &str| {
        monitor.request("PUT", &format!("/api/v1/groups/{group}/maintenance"), &operator, word)
    };
    let asked = word("slave-2", r#"{ "state": "ready", "reason": "new disk", "until": "2s" }"#);
    assert_eq!(asked.status, 200, "{}", asked.body);

    let hanging = disk.hang();
    let maintenance = || monitor.request("GET", "/api/v1/groups/slave-2", &operator, "").json()["maintenance"].clone();
    eventually("the word's time is over", SOON, || maintenance().is_null().then_some(()));
    let asked = word("slave-1", r#"{ "state": "maint", "reason": "repairs" }"#);
    assert_eq!(asked.status, 504, "{}", asked.body);
    let [first, _second] = machines;
    drop(first);
    balancer.wait_agents(false, true);
    eventually("the switch is told", SOON, || (told() == ["slave-1", "slave-2"]).then_some(()));
    eventually("the stream is looked for at the second", SOON, || doors[1].accept().ok());
    for path in ["/health/groups/slave-2", "/health/groups/slave-1", "/livez", "/health"] {
        let start = Instant::now();
        let answer = http(monitor.health, "GET", path, &[], "").unwrap();
        assert_eq!(answer.status, if path.ends_with("-1") { 503 } else { 200 }, "{path}: {}", answer.body);
        assert!(start.elapsed() < SOON / 4, "{path}: {:?}", start.elapsed());
    }

    drop(hanging);
    let state = monitor.path().join("state.json");
    eventually("the decision is on disk", SOON, || {
        std::fs::read_to_string(&state)
            .ok()
            .filter(|text| text.contains("repairs") && text.contains("slave-2"))
            .map(drop)
    });
    eventually("what happened is in the log", SOON, || {
        let log = std::fs::read_to_string(monitor.path().join("hmonitor.log")).unwrap();
        log.contains("slave-1 → slave-2").then_some(())
    });
    assert!(monitor.terminate().success());
}

/// A mount whose server never answers, as of a share that has gone: whoever looks at anything there waits.
pub struct Silent {
    pub mount: tempfile::TempDir,
    server: Child,
}

impl Silent {
    pub fn new() -> Self {
        let mount = tempfile::tempdir().unwrap();
        let mut server = mortal("sh", "dash");
        let script = "exec 3<>/dev/fuse && mount -i -t fuse -o fd=3,rootmode=40000,user_id=0,group_id=0 none \"$0\" && echo up && exec sleep 600";
        server.args(["-c", script]).arg(mount.path()).stdout(Stdio::piped());
        let mut server = server.spawn().unwrap();
        let mut up = [0; 2];
        server.stdout.as_mut().unwrap().read_exact(&mut up).unwrap();
        Self { mount, server }
    }
}

impl Drop for Silent {
    fn drop(&mut self) {
        // With its server those who wait are told so.
        let _ = self.server.kill().and_then(|()| self.server.wait());
        let _ = Command::new("umount").arg("--lazy").arg(self.mount.path()).status();
    }
}

#[test]
fn a_configuration_that_hangs_keeps_no_stream_where_nobody_is_and_no_operator_waiting() {
    let doors = doors();
    let config = format!(
        "streams: [{{ name: gate, follow: ingest, url: \"rtmp://{{address}}:{}/live/gate\" }}]\ngroups:\n\
         \x20 - {{ name: slave-1, address: 127.0.0.1 }}\n  - {{ name: slave-2, address: 127.0.0.2 }}\n\
         failovers: [{{ name: ingest, candidates: [slave-1, slave-2], settle: 1s, hold: 1s }}]\n",
        doors[0].local_addr().unwrap().port(),
    );
    let files = tempfile::tempdir().unwrap();
    let tokens = "  tokens: [{ role: operate, token: operator-test-token }]\n";
    let mut monitor = Monitor::start_in(files, &config, tokens, &[], |command| command);
    let operator = ["Authorization: Bearer operator-test-token"];
    eventually("the stream is looked for at the first", SOON, || doors[0].accept().ok());

    let silent = Silent::new();
    let (real, link) = (monitor.config_path(), monitor.path().join("link"));
    let kept = monitor.path().join("kept.yml");
    std::fs::copy(&real, &kept).unwrap();
    std::os::unix::fs::symlink(silent.mount.path().join("hmonitor.yml"), &link).unwrap();
    std::fs::rename(&link, &real).unwrap();
    let reloaded = monitor.request("POST", "/-/reload", &operator, "");
    assert_eq!(reloaded.status, 504, "{}", reloaded.body);
    let pin = r#"{ "group": "slave-2", "reason": "the share has gone" }"#;
    let pinned = monitor.request("PUT", "/api/v1/failovers/ingest/pin", &operator, pin);
    assert_eq!(pinned.status, 200, "{}", pinned.body);
    eventually("the stream is looked for at the second", SOON, || doors[1].accept().ok());
    assert_eq!(http(monitor.health, "GET", "/health", &[], "").unwrap().status, 200);

    // Once the files are there again, the reload that was asked for is made.
    let before = std::fs::read_to_string(&kept).unwrap();
    std::fs::write(&kept, before.replace("hold: 1s", "hold: 2s")).unwrap();
    std::fs::rename(&kept, &real).unwrap();
    drop(silent);
    eventually("the new file is in force", SOON, || monitor.log().contains("configuration reloaded").then_some(()));
    assert!(monitor.terminate().success());
}

#[test]
fn a_disk_that_hangs_keeps_nobody_from_ending() {
    let mut monitor = Monitor::start("streams: []\n");
    // Whoever opens it to write waits for somebody who reads.
    run(Command::new("mkfifo").arg(monitor.path().join("state.json.new")));
    assert!(!monitor.terminate().success());
    let log = monitor.log();
    assert!(log.contains("the state file may be an older one"), "{log}");
}
