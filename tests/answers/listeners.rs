//! The listeners of the running monitor: HAProxy's agent and the Unix socket.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::harness::{Answer, Monitor, eventually, free_port};
use crate::process::{run, run_with};

const TOKEN: &str = "operate-token-of-the-test";

fn with_socket(more: &str) -> Monitor {
    let server =
        format!("  unix_listen: api.sock\n  read: token\n  tokens: [{{ role: operate, token: {TOKEN} }}]\n{more}");
    Monitor::start_with("streams: []\n", &server, &[], |command| command)
}

/// One request over the socket.
fn ask(socket: &Path, request: &str) -> Answer {
    let mut stream = UnixStream::connect(socket).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream.write_all(format!("{request}\r\nHost: m\r\nConnection: close\r\n\r\n").as_bytes()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, head: head.to_owned(), body: body.to_owned() }
}

#[test]
fn the_socket_s_permissions_say_who_may_read_and_a_token_who_may_change() {
    let monitor = with_socket("");
    let socket = monitor.path().join("api.sock");
    let found = std::fs::symlink_metadata(&socket).unwrap();
    assert!(found.file_type().is_socket());
    assert_eq!(found.permissions().mode() & 0o777, 0o660);
    assert_eq!(monitor.get("/api/v1/status").status, 401, "over TCP a token is needed");
    assert_eq!(ask(&socket, "GET /api/v1/status HTTP/1.1").json()["streams"], Value::Array(vec![]));
    assert_eq!(ask(&socket, "GET /health HTTP/1.1").status, 200);
    assert_eq!(ask(&socket, "OPTIONS /health/groups/x HTTP/1.0").status, 503);
    assert!(ask(&socket, "GET /metrics HTTP/1.1").body.contains("hmonitor_build_info"));
    assert_eq!(ask(&socket, "POST /-/reload HTTP/1.1").status, 401);
    let reload = format!("POST /-/reload HTTP/1.1\r\nAuthorization: Bearer {TOKEN}");
    assert_eq!(ask(&socket, &reload).status, 200);
    let user = eventually("the audit line", Duration::from_secs(20), || {
        let log = monitor.log();
        log.lines().find(|l| l.contains("action=\"reload\"")).map(str::to_owned)
    });
    assert!(user.contains("local user"), "{user}");
    let url = format!("unix:{}", socket.display());
    assert_eq!(run(&["check", "--url", &url, "--stream", "no-such"]).code, 1);
    let shown = run_with(&["ctl", "--url", &url, "status"], &[]);
    assert!(shown.code == 0 && shown.stdout.starts_with("monitor up"), "{shown:?}");
}

#[test]
fn a_dead_monitor_s_socket_makes_room_and_a_living_one_s_does_not() {
    let monitor = with_socket("").restart_after_kill();
    let socket = monitor.path().join("api.sock");
    eventually("it answers again", Duration::from_secs(20), || UnixStream::connect(&socket).ok());
    assert_eq!(ask(&socket, "GET /livez HTTP/1.1").status, 200);
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("hmonitor.yml");
    let listen = |key: &str| format!("{key}: \"127.0.0.1:{}\"", free_port());
    let at = |path: &Path| {
        let (main, health) = (listen("listen"), listen("health_listen"));
        format!("server: {{ {main}, {health}, unix_listen: {} }}\n", path.display())
    };
    std::fs::write(&config, at(&socket)).unwrap();
    let refused = run(&["run", "--config", config.to_str().unwrap()]);
    assert!(refused.code == 1 && refused.stderr.contains("(server.unix_listen)"), "{refused:?}");
    // What is no socket is not ours to remove.
    let file = directory.path().join("precious");
    std::fs::write(&file, "kept").unwrap();
    std::fs::write(&config, at(&file)).unwrap();
    let refused = run(&["run", "--config", config.to_str().unwrap()]);
    assert!(refused.code == 1 && refused.stderr.contains("(server.unix_listen)"), "{refused:?}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "kept");
    assert_eq!(ask(&socket, "GET /livez HTTP/1.1").status, 200, "the living one lives on");
}

#[test]
fn a_monitor_that_ends_takes_its_socket_along() {
    let mut monitor = with_socket("");
    let socket = monitor.path().join("api.sock");
    assert!(monitor.terminate().success());
    assert!(!socket.exists());
}

#[test]
fn the_agent_listens_where_it_is_told_and_knows_no_other_names() {
    let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let mut monitor = with_socket(&format!("  agent_listen: \"{address}\"\n"));
    let asked = |question: &str| {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        stream.write_all(question.as_bytes()).unwrap();
        let mut said = String::new();
        stream.read_to_string(&mut said).map(|_| said)
    };
    assert_eq!(asked("no-such\n").unwrap(), "");
    assert_eq!(monitor.request("GET", "/metrics", &[&format!("Authorization: Bearer {TOKEN}")], "").status, 200);
    let metrics = monitor.request("GET", "/metrics", &[&format!("Authorization: Bearer {TOKEN}")], "").body;
    let counted = crate::harness::metric(
        &metrics,
        "hmonitor_health_answers_total",
        &["view=\"agent\"", "answer=\"no_such_name\""],
    );
    assert_eq!(counted, Some(1.0));
    assert!(monitor.terminate().success());
    assert!(TcpStream::connect(address).is_err());
}
