//! `compose/quick-check` on programs that really run: the monitor, Prometheus and Alertmanager at addresses of their own, with the stack's ports.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::compose::{read, root};
use crate::harness::{eventually, http, mortal};
use crate::process::{Origin, Ran, finish};
use crate::server::Server;

/// Prometheus tells an Alertmanager that it finds late once a minute.
const LIMIT: Duration = Duration::from_secs(240);

fn quick_check(script: &Path, stack: &str, monitor: &str) -> Ran {
    let mut command = Command::new(script);
    command.env("STACK_BIND", stack).env("HMONITOR_BIND", monitor);
    finish(command)
}

fn copied(directory: &Path) -> std::path::PathBuf {
    let script = directory.join("quick-check");
    std::fs::copy(root().join("compose/quick-check"), &script).unwrap();
    script
}

#[test]
fn it_says_in_ten_lines_what_does_not_run() {
    let directory = tempfile::tempdir().unwrap();
    // Nothing listens there.
    let ran = quick_check(&copied(directory.path()), "127.9.35.1", "127.9.35.1");
    assert_eq!(ran.code, 1, "{}", ran.all());
    assert_eq!(ran.stdout.lines().count(), 10, "{}", ran.stdout);
    assert!(ran.stdout.starts_with("BAD   monitor       no answer on the health port\n"), "{}", ran.stdout);
    assert_eq!(ran.stdout.lines().filter(|l| l.starts_with("off")).count(), 4, "{}", ran.stdout);
}

/// An address of loopback that no other run of this test has.
fn own_address(network: u8) -> Ipv4Addr {
    let [.., a, b] = std::process::id().to_be_bytes();
    Ipv4Addr::new(127, network, a, b)
}

#[test]
fn it_counts_documents_where_elasticsearch_runs_whichever_compose_started_it() {
    let directory = tempfile::tempdir().unwrap();
    let stack = own_address(92);
    let kibana = TcpListener::bind((stack, 5601)).unwrap();
    std::thread::spawn(move || {
        for mut socket in kibana.incoming().flatten() {
            // The request's head comes in one piece.
            if socket.read(&mut [0; 4096]).is_ok_and(|n| n > 0) {
                let available = r#"{"status":{"overall":{"level":"available"}}}"#;
                let _ = socket.write_all(format!("HTTP/1.0 200 OK\r\n\r\n{available}").as_bytes());
            }
        }
    });
    // Prometheus knows of changes, or of none.
    let prometheus = TcpListener::bind((stack, 9090)).unwrap();
    let changes = Arc::new(AtomicUsize::new(0));
    let told = Arc::clone(&changes);
    std::thread::spawn(move || {
        for mut socket in prometheus.incoming().flatten() {
            if socket.read(&mut [0; 4096]).is_ok_and(|n| n > 0) {
                let value = format!("{{\"value\":[1,\"{}\"]}}", told.load(Ordering::SeqCst));
                let _ = socket.write_all(format!("HTTP/1.0 200 OK\r\n\r\n{value}").as_bytes());
            }
        }
    });
    let script = copied(directory.path());
    let path = format!("{}:{}", directory.path().display(), std::env::var("PATH").unwrap());
    let logs = |all: usize, recent: usize, changed: usize| {
        changes.store(changed, Ordering::SeqCst);
        let count = |n: usize| format!("echo '{{\"count\":{n},\"_shards\":{{\"total\":3}}}}'");
        engine(
            directory.path(),
            &format!(
                "*service=elasticsearch) echo 0123;;\n'exec 0123 curl '*now-20m*) {};;\n'exec 0123 curl '*) {};;",
                count(recent),
                count(all)
            ),
        );
        let mut command = Command::new(&script);
        command.env("STACK_BIND", stack.to_string()).env("HMONITOR_BIND", stack.to_string()).env("PATH", &path);
        finish(command).stdout.lines().skip(8).map(str::to_owned).collect::<Vec<_>>()
    };
    let (kibana, word) = ("ok    kibana        available", "documents in Elasticsearch");
    assert_eq!(logs(12, 3, 3), [kibana, &format!("ok    logs          12 {word}, 3 of the last 20 minutes")]);
    assert_eq!(logs(12, 0, 0)[1], format!("ok    logs          12 {word}, 0 of the last 20 minutes"), "a quiet site");
    let dead =
        "BAD   logs          no document in 20 minutes, in which streams have changed 7 times: Filebeat, Logstash?";
    assert_eq!(logs(12, 0, 7)[1], dead);
    assert_eq!(logs(0, 0, 0)[1], format!("BAD   logs          0 {word}, 0 of the last 20 minutes"));
}

/// A `docker` in `directory` that knows what this stack's containers are asked.
fn engine(directory: &Path, cases: &str) {
    use std::os::unix::fs::PermissionsExt;
    let docker = directory.join("docker");
    let place = directory.canonicalize().unwrap();
    let text = format!(
        "#!/bin/sh\ncase \"$*\" in ps*working_dir={}\\ *|exec*) ;; *) exit 1;; esac\ncase \"$*\" in\n{cases}\nesac\n",
        place.display()
    );
    std::fs::write(&docker, text).unwrap();
    std::fs::set_permissions(&docker, std::fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn what_has_a_container_and_does_not_answer_is_not_off() {
    let directory = tempfile::tempdir().unwrap();
    let script = copied(directory.path());
    let nowhere = own_address(93).to_string();
    let says = |cases: &str| {
        engine(directory.path(), cases);
        let path = format!("{}:{}", directory.path().display(), std::env::var("PATH").unwrap());
        let mut command = Command::new(&script);
        command.env("STACK_BIND", &nowhere).env("HMONITOR_BIND", &nowhere).env("PATH", path);
        finish(command).stdout.lines().skip(6).map(|line| line[..19].trim().to_owned()).collect::<Vec<_>>()
    };
    // Ended ones are listed with -a only.
    assert_eq!(says("ps\\ -q\\ -a*) echo 0123;;"), ["BAD   cameras", "BAD   haproxy", "BAD   kibana", "BAD   logs"]);
    let some = says("ps\\ -q\\ -a*service=haproxy) echo 0123;;");
    assert_eq!(some, ["off   cameras", "BAD   haproxy", "off   kibana", "off   logs"]);
}

/// Whoever may log in to the host sees the arguments of all its processes.
#[test]
fn secrets_are_no_arguments() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    let stack = own_address(94);
    std::fs::create_dir(at("secrets")).unwrap();
    std::fs::write(at("secrets/grafana_password"), r#"pass "wo'rd\"#).unwrap();
    std::fs::write(at("secrets/read_token"), "tokentokentoken2").unwrap();
    let said = |port: u16, answer: &'static str| {
        let server = TcpListener::bind((stack, port)).unwrap();
        let (tell, told) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            for mut socket in server.incoming().flatten() {
                let mut head = [0; 4096];
                // The request's head comes in one piece.
                let n = socket.read(&mut head).unwrap_or(0);
                let _ = tell.send(String::from_utf8_lossy(&head[..n]).into_owned());
                let _ = socket.write_all(format!("HTTP/1.0 200 OK\r\n\r\n{answer}").as_bytes());
            }
        });
        told
    };
    let grafana = said(3000, r#"[{"uid":"1"},{"uid":"2"},{"uid":"3"},{"uid":"4"},{"uid":"5"}]"#);
    let haproxy = said(8404, "ingest,slave-1,0,UP,");
    let monitor = said(9935, r#"{"active":"slave-1"}"#);
    let curl = format!(
        "#!/bin/sh\nprintf '%s\\n' \"$@\" >>{}\nPATH=${{PATH#*:}} exec curl \"$@\"\n",
        at("arguments").display()
    );
    std::fs::write(at("curl"), curl).unwrap();
    std::fs::set_permissions(at("curl"), std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = Command::new(copied(directory.path()));
    command.env("STACK_BIND", stack.to_string()).env("HMONITOR_BIND", stack.to_string());
    command.env("PATH", format!("{}:{}", directory.path().display(), std::env::var("PATH").unwrap()));
    let ran = finish(command);
    for line in ["ok    grafana       5 of 5 dashboards\n", "ok    haproxy       sends cameras to slave-1"] {
        assert!(ran.stdout.contains(line), "{}", ran.all());
    }
    let basic = grafana.try_recv().unwrap();
    assert!(basic.contains("Authorization: Basic YWRtaW46cGFzcyAid28ncmRc\r\n"), "{basic}");
    assert!(haproxy.try_recv().is_ok_and(|head| !head.contains("Authorization")));
    let bearer = monitor.try_recv().unwrap();
    assert!(bearer.contains("Authorization: Bearer tokentokentoken2\r\n"), "{bearer}");
    let arguments = std::fs::read_to_string(at("arguments")).unwrap();
    assert!(arguments.contains("/api/search"), "they were not written down: {arguments}");
    for secret in ["wo'rd", "YWRtaW46", "tokentokentoken2"] {
        assert!(!arguments.contains(secret), "{arguments}");
    }
}

#[test]
fn it_is_content_with_silenced_streams_and_not_with_messages_that_fail() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    let (stack, monitor) = (own_address(90), own_address(91));
    let origin = Origin::start("gate-{1..2}");

    let configure = |streams: &str| {
        let config = format!(
            "server: {{ listen: \"{monitor}:9935\", health_listen: \"{monitor}:9937\", read: token, \
         tokens: [{{ role: operate, token: tokentokentoken1 }}, {{ role: read, token: tokentokentoken2 }}] }}\n\
         state_file: {}\ndefaults: {{ rise: 0s }}\nstreams: {streams}\n",
            at("state.json").display(),
        );
        std::fs::write(at("hmonitor.yml"), config).unwrap();
    };
    // As the stack comes.
    configure("[]");
    let mut command = mortal("setpriv", "util-linux");
    command.arg(env!("CARGO_BIN_EXE_rtmp-hmonitor")).arg("run").arg("--config").arg(at("hmonitor.yml"));
    let _monitor = Server::start(&mut command, &at("monitor.log"));
    let api = SocketAddr::from((monitor, 9935));

    let rules = format!("[\"{}/alerts/rules/*.yml\"]", root().display());
    let config = read("compose/prometheus/prometheus.yml")
        .replace("monitor:9935", &api.to_string())
        .replace("alertmanager:9093", &format!("{stack}:9093"))
        .replace("localhost:9090", &format!("{stack}:9090"))
        .replace("scrape_interval: 15s", "scrape_interval: 1s")
        .replace("[/etc/alerts/rules/*.yml]", &rules)
        // What closes the monitor opens it for Prometheus.
        .replace(
            "# authorization: { credentials_file: /run/secrets/read_token }",
            "authorization: { credentials_file: read }",
        );
    std::fs::write(at("read"), "tokentokentoken2").unwrap();
    std::fs::write(at("prometheus.yml"), config).unwrap();
    let mut command = mortal("prometheus", "prometheus");
    command.arg("--config.file").arg(at("prometheus.yml")).arg("--storage.tsdb.path").arg(at("prometheus"));
    command.arg(format!("--web.listen-address={stack}:9090"));
    let _prometheus = Server::start(&mut command, &at("prometheus.log"));

    let receiver = "webhook_configs: [{ url: \"http://127.0.0.1:9/\" }]";
    let told = |who: &str| {
        let route = format!("{{ receiver: {who}, group_wait: 0s, group_interval: 1s, repeat_interval: 1s }}");
        let text = format!("route: {route}\nreceivers: [{{ name: nobody }}, {{ name: people, {receiver} }}]\n");
        std::fs::write(at("alertmanager.yml"), text).unwrap();
    };
    told("nobody");
    let mut command = mortal("prometheus-alertmanager", "prometheus-alertmanager");
    command.arg("--config.file").arg(at("alertmanager.yml")).arg("--storage.path").arg(at("alertmanager"));
    command.args([&format!("--web.listen-address={stack}:9093"), "--cluster.listen-address="]);
    let _alertmanager = Server::start(&mut command, &at("alertmanager.log"));

    let script = copied(directory.path());
    let (stack_bind, monitor_bind) = (stack.to_string(), monitor.to_string());
    let line = |name: &str| {
        let said = quick_check(&script, &stack_bind, &monitor_bind).stdout;
        said.lines().find(|line| line.get(6..).is_some_and(|rest| rest.starts_with(name))).unwrap().to_owned()
    };
    let says = |name: &str, wanted: &str| {
        eventually(&format!("{name}: {wanted}"), LIMIT, || line(name).starts_with(wanted).then_some(()));
    };
    says("streams", "BAD   streams       nothing is watched: list streams in monitor/hmonitor.yml");
    let gate = origin.url("gate-1");
    configure(&format!(
        "[{{ name: gate-1, url: \"{gate}\" }}, {{ name: away, url: \"rtmp://127.0.0.1:9/live/away\" }}]"
    ));
    says("streams", "BAD   streams       1 of 2 that are expected are up, 2 are configured");
    let silence = ["Authorization: Bearer tokentokentoken1", "Content-Type: application/json"];
    let answer = http(api, "PUT", "/api/v1/streams/away/silence", &silence, r#"{"reason":"repaired"}"#).unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
    says("streams", "ok    streams       1 of 1 that are expected are up, 2 are configured");
    for name in ["monitor", "scraping", "rules"] {
        says(name, "ok    ");
    }
    says("alertmanager", "ok    alertmanager  the alert that fires always has arrived, and no message failed");
    told("people");
    http(SocketAddr::from((stack, 9093)), "POST", "/-/reload", &[], "").unwrap();
    says("alertmanager", "BAD   alertmanager  alerts arrive, but people are not told: ");
}
