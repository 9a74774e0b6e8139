//! `check` for keepalived and `ctl` for operators.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rtmp_hmonitor::model::Health;
use rtmp_hmonitor::model::failover::SuppressReason;
use rtmp_hmonitor::model::group::MaintenanceState;

use crate::operators::obeyed;
use crate::process::{Ran, blunt_server, run_with};
use crate::support::decisions::{decided, failover, group, maintained, since};
use crate::support::{Bench, OPERATE, READ, server_spec, stream};

/// Runs the command without holding up the server.
async fn command(arguments: &[&str], environment: &[(&str, &str)]) -> Ran {
    let arguments: Vec<_> = arguments.iter().map(ToString::to_string).collect();
    let environment: Vec<_> = environment.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
    let run = move || {
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        let environment: Vec<_> = environment.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        run_with(&arguments, &environment)
    };
    tokio::task::spawn_blocking(run).await.unwrap()
}

async fn slaves() -> Bench {
    let bench = Bench::start(server_spec(), vec![]).await;
    let now = bench.clock.now();
    let groups = vec![
        group("slave-1", Health::Up, now),
        maintained(group("slave-2", Health::Down, now), MaintenanceState::Maint),
    ];
    let mut ingest = failover("ingest", &["slave-1", "slave-2"], now);
    ingest.suppressed = Some(SuppressReason::NoCandidate);
    let mut picture = decided(now, groups, vec![ingest]);
    let mut odd = stream("gate-2", Health::Down);
    odd.verdict.since = since();
    picture.streams = Arc::new([Arc::new(stream("gate-1", Health::Up)), Arc::new(odd)]);
    bench.current.store(Arc::new(picture));
    bench
}

#[tokio::test]
async fn check_is_a_health_answer_as_an_exit_code() {
    let bench = slaves().await;
    let url = format!("http://{}", bench.health);
    let mut fastest = Duration::MAX;
    for (object, name, code, said) in [
        ("--group", "slave-1", 0, "\"status\":\"up\""),
        ("--group", "slave-2", 1, "\"status\":\"down\""),
        ("--group", "slave-3", 1, "\"status\":\"unknown\""),
        ("--failover", "ingest/slave-1", 0, "\"epoch\":3"),
        ("--failover", "ingest/slave-2", 1, ""),
        ("--failover", "other/slave-1", 1, ""),
        ("--stream", "gate-1", 0, ""),
        ("--stream", "gate-2", 1, "stalled"),
        ("--endpoint", "x", 1, ""),
        ("--service", "x", 1, ""),
    ] {
        let began = Instant::now();
        let ran = command(&["check", "--url", &url, object, name], &[]).await;
        fastest = fastest.min(began.elapsed());
        assert!(ran.code == code && ran.stdout.contains(said), "{object} {name}: {ran:?}");
    }
    eprintln!("check took {fastest:?}");
    assert!(fastest < Duration::from_secs(2), "{fastest:?}");
    let ran = command(&["check", "--group", "slave-2"], &[("HMONITOR_HEALTH_URL", &url)]).await;
    assert_eq!(ran.code, 1, "{ran:?}");
}

#[tokio::test]
async fn a_monitor_that_gives_no_answer_is_no_verdict_unless_asked_for() {
    let closed = { TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap() };
    let mute = TcpListener::bind("127.0.0.1:0").unwrap();
    let foreign = blunt_server("SSH-2.0-OpenSSH\r\n\r\n");
    let moved = blunt_server("HTTP/1.1 301 Moved\r\nContent-Length: 0\r\n\r\n");
    let cut = blunt_server("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{");
    let urls = [closed, mute.local_addr().unwrap(), foreign, moved, cut].map(|a| format!("http://{a}"));
    for url in urls.iter().map(String::as_str).chain(["unix:/nonexistent/api.sock"]) {
        for (more, code) in [(&[][..], 0), (&["--unreachable=fail"], 1), (&["--unreachable=ok"], 0)] {
            let arguments = [&["check", "--url", url, "--timeout", "300ms", "--group", "a"], more].concat();
            let ran = command(&arguments, &[]).await;
            assert!(ran.code == code && ran.stderr.contains("no answer from"), "{url} {more:?}: {ran:?}");
        }
    }
}

#[tokio::test]
async fn wrong_usage_is_neither_healthy_nor_not() {
    for arguments in [
        &["check"][..],
        &["check", "--group", "a", "--stream", "b"],
        &["check", "--group", "a/b"],
        &["check", "--failover", "ingest"],
        &["check", "--failover", "ingest/a/b"],
        &["check", "--group", "a", "--url", "https://h"],
        &["check", "--group", "a", "--unreachable=perhaps"],
        &["ctl", "group", "a", "drain"],
        &["ctl", "group", "a", "drain", "--reason", "x", "--for", "1h", "--until", "2099-01-01T00:00:00Z"],
        &["ctl", "failover", "a", "pin"],
    ] {
        let ran = command(arguments, &[]).await;
        assert_eq!(ran.code, 2, "{arguments:?}: {ran:?}");
    }
}

#[tokio::test]
async fn ctl_says_what_an_operator_wants() {
    let (bench, asked) = obeyed().await;
    let url = format!("http://{}", bench.main);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("token");
    std::fs::write(&file, format!("{OPERATE}\n")).unwrap();
    let with_file = ["ctl", "--url", &url, "--token-file", file.to_str().unwrap()];
    for (wish, said) in [
        (&["group", "slave-1", "drain", "--for", "30m", "--reason", "new disk"][..], "done, until 2"),
        (&["group", "slave-1", "maint", "--reason", "gone"], "done, until it is lifted"),
        (&["group", "slave-1", "ready"], "done"),
        (
            &["failover", "ingest", "pin", "slave-1", "--until", "2099-01-01T00:00:00Z", "--reason", "x"],
            "done, until 2099-01-01",
        ),
        (&["failover", "ingest", "unpin"], "done"),
        (&["stream", "gate-1", "silence", "--for", "2h", "--reason", "moves"], "done, until"),
        (&["group", "x", "ready"], "nothing to do: "),
    ] {
        let ran = command(&[&with_file, wish].concat(), &[]).await;
        assert!(ran.code == 0 && ran.stdout.starts_with(said), "{wish:?}: {ran:?}");
    }
    let asked = asked.lock().unwrap().clone();
    assert_eq!(asked[0], "drain slave-1 \"new disk\" Some(30)");
    assert_eq!(asked[1..3], ["maint slave-1 \"gone\" None", "end slave-1"]);
    assert!(asked[3].starts_with("pin ingest slave-1 \"x\" Some("), "{asked:?}");
    assert_eq!(asked[4..6], ["unpin ingest", "silence gate-1 \"moves\" Some(120)"]);
}

#[tokio::test]
async fn ctl_shows_refusals_and_no_token() {
    let (bench, asked) = obeyed().await;
    let url = format!("http://{}", bench.main);
    let drain = ["ctl", "--url", &url, "group", "slave-1", "drain", "--reason", "x"];
    for (token, said) in [("", "(401)"), ("wrong-token", "(401)"), (READ, "(403)"), ("two words", "printable")] {
        let ran = command(&drain, &[("HMONITOR_TOKEN", token)]).await;
        assert!(ran.code == 1 && ran.stderr.contains(said), "{token}: {ran:?}");
        assert!(token.is_empty() || !ran.all().contains(token), "{ran:?}");
    }
    assert_eq!(asked.lock().unwrap().len(), 0);
    let environment = [("HMONITOR_TOKEN", OPERATE), ("HMONITOR_URL", url.as_str())];
    let ran = command(&["ctl", "group", "other", "drain", "--reason", "x"], &environment).await;
    assert!(ran.code == 1 && ran.stderr.contains("there is no group other (404)"), "{ran:?}");
    let ran =
        command(&["ctl", "group", "slave-1", "drain", "--reason", "x", "--until", "yesterday"], &environment).await;
    assert!(ran.code == 1 && ran.stderr.contains("(422)"), "{ran:?}");
    let ran = command(&["ctl", "--token-file", "/nonexistent", "status"], &environment).await;
    assert!(ran.code == 1 && ran.stderr.contains("cannot read /nonexistent"), "{ran:?}");
    let ran = command(&["ctl", "--url", "http://127.0.0.1:9", "--timeout", "1s", "status"], &[]).await;
    assert!(ran.code == 1 && ran.stderr.contains("no answer from 127.0.0.1:9"), "{ran:?}");
}

#[tokio::test]
async fn ctl_status_is_a_table_for_people() {
    let bench = slaves().await;
    let url = format!("http://{}", bench.main);
    let ran = command(&["ctl", "--url", &url, "status"], &[]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    let line = |start: &str| {
        let found = ran.stdout.lines().find(|l| l.starts_with(start));
        found
            .unwrap_or_else(|| panic!("no line {start}:\n{}", ran.stdout))
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert!(line("monitor").starts_with("monitor up (version"), "{}", ran.stdout);
    assert_eq!(
        line("ingest"),
        "ingest slave-1 rtmp://slave-1 3 not_eligible 2026-09-21T14:13:20.250Z no switch: no_candidate"
    );
    assert_eq!(line("slave-1"), "slave-1 up healthy yes - 2/2 2026-09-21T14:13:20.250Z");
    assert_eq!(
        line("slave-2"),
        "slave-2 down unhealthy no - 1/2 2026-09-21T14:13:20.250Z maint: new disk; stalled closed"
    );
    assert_eq!(line("stream gate-2"), "stream gate-2 down 2026-09-21T14:13:20.250Z stalled");
    assert!(!ran.stdout.contains("stream gate-1"));
    assert_eq!(line("2 streams"), "2 streams: 1 up, 1 down");
    let ran = command(&["ctl", "--url", &url, "status", "--json"], &[]).await;
    let document: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(document["failovers"][0]["active"], "slave-1");
}
