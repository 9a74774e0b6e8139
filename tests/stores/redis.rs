//! Redis, primary and replica.

use std::path::Path;
use std::time::Duration;

use rtmp_hmonitor::model::DownCause;
use rtmp_hmonitor::model::target::Check;
use rtmp_hmonitor::model::target::ReplicaRole::{Primary, Secondary};

use crate::harness::{eventually, free_port, mortal};
use crate::server::{Server, run};
use crate::watched::{PATIENCE, Watched, store, with_login};

const PASSWORD: &str = "PLANTED-redis-password";

fn start(directory: &Path, port: u16, replica_of: Option<u16>) -> Server {
    let mut command = mortal("redis-server", "redis-server");
    command.current_dir(directory).args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", ""]);
    command.args(["--requirepass", PASSWORD, "--masterauth", PASSWORD, "--repl-diskless-sync-delay", "0"]);
    command.args(["--dbfilename", &format!("{port}.rdb"), "--repl-ping-replica-period", "1"]);
    if let Some(primary) = replica_of {
        command.args(["--replicaof", "127.0.0.1", &primary.to_string()]);
    }
    let server = Server::start(&mut command, &directory.join(format!("{port}.log")));
    eventually("Redis listens", PATIENCE, || std::net::TcpStream::connect(("127.0.0.1", port)).ok());
    server
}

fn cli(port: u16, arguments: &[&str]) -> String {
    let port = port.to_string();
    let login = ["-p", &port, "--no-auth-warning", "-a", PASSWORD];
    run("redis-cli", "redis-tools", &[&login[..], arguments].concat())
}

#[test]
fn role_and_lag_follow_promotion_and_death() {
    let directory = tempfile::tempdir().unwrap();
    let (port_a, port_b) = (free_port(), free_port());
    let mut a = start(directory.path(), port_a, None);
    let b = start(directory.path(), port_b, Some(port_a));
    let watched_a = Watched::start("a", Check::Redis(with_login(port_a, None, PASSWORD)));
    let watched_b = Watched::start("b", Check::Redis(with_login(port_b, Some("default"), PASSWORD)));

    let primary = watched_a.replica("primary with a replica", |f| f.role == Primary && f.replicas == Some(1));
    assert!(primary.version.unwrap().starts_with("7."));
    let replica = watched_b.replica("replica connected", |f| {
        f.role == Secondary && f.connected == Some(true) && f.lag_bytes.is_some() && f.lag.is_some()
    });
    assert_eq!(replica.identity, primary.identity);
    assert!(replica.lag.unwrap() <= Duration::from_secs(3), "{replica:?}");

    // The primary hangs: the time since it was last heard of grows.
    a.freeze();
    watched_b.replica("primary frozen: lag grows", |f| f.lag.is_some_and(|lag| lag >= Duration::from_secs(3)));
    watched_a.fault("frozen", DownCause::Timeout);
    a.thaw();
    watched_b.replica("primary thawed", |f| f.lag.is_some_and(|lag| lag <= Duration::from_secs(2)));

    a.kill();
    watched_a.fault("primary killed", DownCause::Connect);
    watched_b.replica("primary killed: lag unknown", |f| {
        f.role == Secondary && f.connected == Some(false) && f.lag.is_none() && f.lag_bytes.is_none()
    });
    cli(port_b, &["replicaof", "no", "one"]);
    let promoted = watched_b.replica("promoted", |f| f.role == Primary);
    assert_ne!(promoted.identity, primary.identity, "a history of its own");
    a = start(directory.path(), port_a, None);
    watched_a.replica("old primary returned as primary", |f| f.role == Primary);
    cli(port_a, &["replicaof", "127.0.0.1", &port_b.to_string()]);
    watched_a.replica("follows the new primary", |f| f.role == Secondary && f.connected == Some(true));
    watched_b.replica("has a replica", |f| f.replicas == Some(1));

    let detail = Watched::start("b, none", Check::Redis(store(port_b))).fault("no password", DownCause::Rejected);
    assert!(detail.contains("wants a password"), "{detail}");
    let wrong = Watched::start("b, wrong", Check::Redis(with_login(port_b, None, "PLANTED-wrong")));
    let detail = wrong.fault("wrong password", DownCause::Rejected);
    assert!(!detail.contains("PLANTED"), "{detail}");

    // A connection that the server ends is made again.
    let before = watched_b.failures();
    cli(port_b, &["client", "kill", "type", "normal"]);
    watched_b.looks(3);
    assert_eq!(watched_b.failures(), before);
    drop((a, b));
}
