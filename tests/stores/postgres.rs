//! PostgreSQL, primary and standby.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rtmp_hmonitor::model::DownCause;
use rtmp_hmonitor::model::spec::TlsSpec;
use rtmp_hmonitor::model::target::ReplicaRole::{Primary, Secondary};
use rtmp_hmonitor::model::target::{Check, StoreCheck, StoreTls};

use crate::harness::{eventually, free_port, program};
use crate::server::{Server, run};
use crate::watched::{PATIENCE, Watched, store, with_login};

const PROGRAMS: &str = "/usr/lib/postgresql/15/bin";
const PASSWORD: &str = "PLANTED-watcher-password";

/// A data directory and, at times, a server on it.
struct Postgres {
    data: PathBuf,
    port: u16,
    server: Option<Server>,
}

/// As the user `postgres`: the server refuses to run as root.
fn command(name: &str) -> Command {
    let path = Path::new(PROGRAMS).join(name);
    assert!(path.exists(), "{} is missing: apt-get install postgresql-15", path.display());
    let mut command = Command::new(program("setpriv", "util-linux"));
    command.args(["--reuid=postgres", "--regid=postgres", "--init-groups", "--pdeathsig", "KILL"]).arg(path);
    command
}

fn succeed(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

impl Postgres {
    /// Its own cluster, with TLS, and a user without rights who needs a password.
    fn primary(directory: &Path) -> Self {
        let postgres = Self { data: directory.join("a"), port: free_port(), server: None };
        succeed(command("initdb").arg("-D").arg(&postgres.data).args(["-A", "trust", "-N", "--no-instructions"]));
        let key = rcgen::generate_simple_self_signed(vec!["database.test".to_owned()]).unwrap();
        std::fs::write(directory.join("ca.pem"), key.cert.pem()).unwrap();
        let write = |name: &str, text: &str| {
            std::fs::write(postgres.data.join(name), text).unwrap();
            succeed(Command::new("chown").arg("postgres").arg(postgres.data.join(name)));
            succeed(Command::new("chmod").arg("600").arg(postgres.data.join(name)));
        };
        write("server.crt", &key.cert.pem());
        write("server.key", &key.signing_key.serialize_pem());
        write(
            "pg_hba.conf",
            "host all watcher 127.0.0.1/32 scram-sha-256\nhost all all 127.0.0.1/32 trust\nhost replication all 127.0.0.1/32 trust\n",
        );
        let settings = "listen_addresses='127.0.0.1'\nunix_socket_directories=''\nfsync=off\nwal_level=replica\n\
             max_wal_senders=4\nmax_connections=20\nshared_buffers=16MB\ndynamic_shared_memory_type=mmap\nssl=on\n\
             wal_retrieve_retry_interval=200ms\nwal_keep_size=64MB\n";
        write("postgresql.conf", settings);
        postgres
    }

    /// A copy of a running `primary`, which follows it.
    fn standby(primary: &Self, directory: &Path) -> Self {
        let data = directory.join("b");
        let port = primary.port.to_string();
        let mut copy = command("pg_basebackup");
        copy.args(["-h", "127.0.0.1", "-U", "postgres", "-p", &port, "-D"]).arg(&data);
        succeed(copy.args(["-R", "-X", "stream", "-c", "fast", "-C", "-S", "standby", "-N"]));
        Self { data, port: free_port(), server: None }
    }

    fn start(&mut self) {
        let mut server = command("postgres");
        server.arg("-D").arg(&self.data).args(["-p", &self.port.to_string()]);
        self.server = Some(Server::start(&mut server, &self.data.with_extension("log")));
        let port = self.port.to_string();
        eventually("PostgreSQL answers", PATIENCE, || {
            let mut ready = Command::new(Path::new(PROGRAMS).join("pg_isready"));
            ready.args(["-q", "-h", "127.0.0.1", "-p", &port]).status().unwrap().success().then_some(())
        });
    }

    fn kill(&mut self) {
        self.server.take().expect("a running server").kill();
    }

    fn query(&self, sql: &str) -> String {
        let port = self.port.to_string();
        run("psql", "postgresql-client-15", &["-XAtq", "-h", "127.0.0.1", "-U", "postgres", "-p", &port, "-c", sql])
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.data.with_extension("log")).unwrap_or_default();
            eprintln!("--- PostgreSQL log ---\n{log}");
        }
        // Immediate shutdown: leaves no shared memory behind.
        if let Some(server) = &mut self.server {
            server.end_by("QUIT");
        }
    }
}

/// For the user `postgres` to reach.
fn directory() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    succeed(Command::new("chown").arg("postgres").arg(directory.path()));
    directory
}

#[test]
fn role_and_lag_follow_promotion_and_death() {
    let directory = directory();
    let mut a = Postgres::primary(directory.path());
    a.start();
    a.query(&format!("create role watcher login password '{PASSWORD}'"));
    a.query("create table t (v int)");
    let mut b = Postgres::standby(&a, directory.path());
    b.start();

    let tls = |ca: bool| {
        let ca_file = ca.then(|| directory.path().join("ca.pem"));
        StoreTls::On(TlsSpec { ca_file, server_name: Some("database.test".into()), ..TlsSpec::default() })
    };
    let watched_a = Watched::start("a", Check::Postgres(store(a.port)));
    let watched_b = Watched::start("b", Check::Postgres(store(b.port)));
    let encrypted = StoreCheck { tls: tls(true), ..with_login(b.port, Some("watcher"), PASSWORD) };
    let encrypted = StoreCheck { database: Some("template1".into()), ..encrypted };
    let without_rights = Watched::start("b as watcher", Check::Postgres(encrypted));

    let primary = watched_a.replica("primary with a replica", |f| f.role == Primary && f.replicas == Some(1));
    assert_eq!((primary.lag, primary.lag_bytes, primary.connected), (None, None, None));
    assert!(primary.version.unwrap().starts_with("15."));
    let timeline_1 = primary.identity.unwrap();
    assert!(timeline_1.ends_with("/1"), "{timeline_1}");
    let in_step = |f: &_| {
        let f: &rtmp_hmonitor::model::target_report::ReplicaFacts = f;
        f.role == Secondary && f.connected == Some(true) && f.lag == Some(Duration::ZERO) && f.lag_bytes == Some(0)
    };
    let standby = watched_b.replica("standby in step", in_step);
    assert_eq!(standby.identity.as_ref(), Some(&timeline_1));
    without_rights.replica("standby in step, TLS, SCRAM, no rights", in_step);
    assert!(without_rights.report().certificate_expiry.is_some());

    // Held back, then let go.
    b.query("select pg_wal_replay_pause()");
    a.query("insert into t select generate_series(1, 10000)");
    let behind = |f: &_| {
        let f: &rtmp_hmonitor::model::target_report::ReplicaFacts = f;
        f.lag_bytes.is_some_and(|b| b > 500_000) && f.lag.is_some_and(|l| l > Duration::from_millis(300))
    };
    watched_b.replica("replay paused: behind", behind);
    without_rights.replica("replay paused: behind", behind);
    b.query("select pg_wal_replay_resume()");
    watched_b.replica("replay resumed: in step", in_step);

    // The connection breaks, and the standby knows: not in step any more, and nothing known.
    a.kill();
    watched_a.fault("primary killed", DownCause::Connect);
    let alone = |f: &_| {
        let f: &rtmp_hmonitor::model::target_report::ReplicaFacts = f;
        f.role == Secondary && f.connected == Some(false) && f.lag.is_none() && f.lag_bytes.is_none()
    };
    watched_b.replica("primary killed: lag unknown", alone);
    without_rights.replica("primary killed: lag unknown", alone);

    b.query("select pg_promote()");
    let promoted = watched_b.replica("promoted", |f| f.role == Primary);
    let timeline_2 = promoted.identity.unwrap();
    assert_eq!(*timeline_2, *timeline_1.replace("/1", "/2"));

    // The old primary returns as if nothing had happened: two primaries of one system, on two timelines.
    a.start();
    let returned = watched_a.replica("old primary returned", |f| f.role == Primary);
    assert_eq!(returned.identity.unwrap(), timeline_1);
    watched_b.replica("split brain: still primary too", |f| {
        f.role == Primary && *f.identity.as_ref().unwrap() == timeline_2
    });

    // What a wrong password, a foreign certificate and a missing database are called.
    let wrong = Watched::start("b, wrong", Check::Postgres(with_login(b.port, Some("watcher"), "PLANTED-wrong")));
    let detail = wrong.fault("wrong password", DownCause::Rejected);
    assert!(!detail.contains("PLANTED") && detail.contains("password"), "{detail}");
    let none = StoreCheck { user: Some("watcher".into()), ..store(b.port) };
    Watched::start("b, none", Check::Postgres(none)).fault("no password", DownCause::Rejected);
    let foreign = StoreCheck { tls: tls(false), ..store(b.port) };
    Watched::start("b, TLS", Check::Postgres(foreign)).fault("certificate not trusted", DownCause::Tls);
    let missing = StoreCheck { database: Some("missing".into()), ..store(b.port) };
    Watched::start("b, missing", Check::Postgres(missing)).fault("no such database", DownCause::Rejected);

    // A hung server and a kept connection.
    b.server.as_ref().unwrap().freeze();
    let hung = Watched::start_with("b, hung", Check::Postgres(store(b.port)), Duration::from_millis(300));
    hung.fault("frozen", DownCause::Timeout);
    b.server.as_ref().unwrap().thaw();
    hung.replica("thawed", |f| f.role == Primary);
}

#[test]
fn a_kept_connection_that_the_server_ends_is_no_fault() {
    let directory = directory();
    let mut a = Postgres::primary(directory.path());
    a.start();
    let watched = Watched::start("a", Check::Postgres(store(a.port)));
    watched.replica("primary", |f| f.role == Primary && f.replicas == Some(0));
    let ours = "from pg_stat_activity where application_name = 'rtmp-hmonitor'";
    assert_eq!(a.query(&format!("select count(*) {ours}")), "1", "one kept connection");
    assert_eq!(a.query(&format!("select count(pg_terminate_backend(pid)) {ours}")), "1");
    watched.looks(3);
    assert_eq!(watched.failures(), 0);
    let age = "select count(*) from pg_stat_activity where application_name = 'rtmp-hmonitor' and xact_start is null";
    eventually("one new kept connection", PATIENCE, || (a.query(age) == "1").then_some(()));
}
