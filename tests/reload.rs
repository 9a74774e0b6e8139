//! A new configuration takes effect without touching what it does not change; a bad one changes nothing.

mod harness;
mod process;

use std::path::Path;

use harness::{Answer, Monitor, eventually};
use process::{Origin, QUICK, SOON};
use serde_json::Value;

const OPERATE: &str = "Authorization: Bearer reload-test-token";
const TOKENS: &str = "  tokens: [{ role: operate, token: reload-test-token }]\n";

/// A monitor on cameras `a`, `b` and `c` with all up, and the text of its configuration.
fn watched(origin: &Origin) -> (Monitor, String) {
    let streams: String =
        ["a", "b", "c"].map(|n| format!("  - {{ name: {n}, url: \"{}\" }}\n", origin.url(n))).concat();
    let monitor = Monitor::start_with(&format!("{QUICK}streams:\n{streams}"), TOKENS, &[], |c| c);
    for name in ["a", "b", "c"] {
        monitor.wait_for(name, "up", SOON);
    }
    let text = std::fs::read_to_string(monitor.config_path()).unwrap();
    (monitor, text)
}

fn replace(path: &Path, text: &str) {
    let beside = path.with_extension("next");
    std::fs::write(&beside, text).unwrap();
    std::fs::rename(&beside, path).unwrap();
}

fn reload(monitor: &Monitor) -> Answer {
    monitor.request("POST", "/-/reload", &[OPERATE], "")
}

/// What shows that a session was left alone.
fn session(monitor: &Monitor, name: &str) -> (Value, Value) {
    let stream = monitor.stream(name);
    (stream["connection"]["attempts"].clone(), stream["epoch"].clone())
}

fn plays(origin: &Origin) -> [u64; 3] {
    ["a", "b", "c"].map(|n| origin.stats(n).plays)
}

fn has_label(monitor: &Monitor, name: &str, value: &str) -> bool {
    monitor.stream(name)["labels"]["round"] == value
}

#[test]
fn a_signal_that_comes_with_the_first_answer_is_heeded() {
    for _ in 0..20 {
        let mut monitor = Monitor::start("endpoints: [{ name: here, tcp: { address: \"127.0.0.1:1\" } }]\n");
        monitor.signal("HUP");
        eventually("a reload", SOON, || monitor.log().contains("configuration reloaded").then_some(()));
        assert!(monitor.terminate().success(), "{}", monitor.log());
    }
}

#[test]
fn every_way_to_reload_is_heard() {
    let origin = Origin::start("a,b,c");
    let (monitor, text) = watched(&origin);
    let before = session(&monitor, "a");
    // A label shows that the file was read, and is no reason to touch a session.
    let round = |label: &str| text.replace("defaults: {", &format!("defaults: {{ labels: {{ round: {label} }},"));
    let heard = |way: &str| eventually(way, SOON, || has_label(&monitor, "a", way).then_some(()));
    let path = monitor.config_path();

    // The file's change would be seen within two seconds anyway; asking is answered with the new state in force.
    std::fs::write(&path, round("request")).unwrap();
    let answer = reload(&monitor);
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(answer.json(), serde_json::json!({ "started": 0, "stopped": 0, "restarted": 0, "unchanged": 3 }));
    heard("request");

    std::fs::write(&path, round("hangup")).unwrap();
    monitor.signal("HUP");
    heard("hangup");

    std::fs::write(&path, round("written")).unwrap();
    heard("written");

    replace(&path, &round("renamed"));
    heard("renamed");

    // As Kubernetes mounts a ConfigMap: the file is a link through a directory link that is swapped.
    for (directory, label) in [("v1", "linked"), ("v2", "swapped")] {
        let data = monitor.path().join(directory);
        std::fs::create_dir(&data).unwrap();
        std::fs::write(data.join("hmonitor.yml"), round(label)).unwrap();
    }
    let link = |to: &str, at: &Path| {
        let beside = monitor.path().join("link");
        std::os::unix::fs::symlink(to, &beside).unwrap();
        std::fs::rename(&beside, at).unwrap();
    };
    link("v1", &monitor.path().join("data"));
    link("data/hmonitor.yml", &path);
    heard("linked");
    link("v2", &monitor.path().join("data"));
    heard("swapped");

    assert_eq!(plays(&origin), [1, 1, 1], "no session was touched");
    assert_eq!(session(&monitor, "a"), before);
    assert_eq!(monitor.log().matches("configuration reloaded").count(), 6, "each change was read once");
}

#[test]
fn only_an_operator_may_ask() {
    let origin = Origin::start("a,b,c");
    let (monitor, _) = watched(&origin);
    assert_eq!(monitor.request("POST", "/-/reload", &[], "").status, 401);
    assert_eq!(monitor.request("POST", "/-/reload", &["Authorization: Bearer other"], "").status, 401);
    assert_eq!(monitor.request("GET", "/-/reload", &[OPERATE], "").status, 405);
    assert!(!monitor.log().contains("configuration reloaded"));
}

#[test]
fn a_threshold_changes_without_a_reconnect_and_is_in_force() {
    let origin = Origin::start("a,b,c");
    let (monitor, text) = watched(&origin);
    let sessions = ["a", "b"].map(|n| session(&monitor, n).0);
    // Far above what the origin sends, judged once the rates are known.
    let strict = text.replacen("name: b,", "name: b, expect: { video: { codec: hevc } },", 1);
    replace(&monitor.config_path(), &strict);
    let done = reload(&monitor).json();
    assert_eq!((done["restarted"].as_u64(), done["unchanged"].as_u64()), (Some(0), Some(3)), "{done}");
    monitor.wait_for("b", "degraded codec_mismatch", SOON);
    assert_eq!(monitor.verdict("a"), "up");
    assert_eq!(plays(&origin), [1, 1, 1]);
    assert_eq!(["a", "b"].map(|n| session(&monitor, n).0), sessions);
    assert_eq!(monitor.metric("hmonitor_stream_connect_attempts_total", &["stream=\"b\""]), Some(1.0));
}

#[test]
fn a_new_url_restarts_exactly_one_session() {
    let (origin, other) = (Origin::start("a,b,c"), Origin::start("b"));
    let (monitor, text) = watched(&origin);
    let bytes =
        |name: &str| monitor.metric("hmonitor_stream_received_bytes_total", &[&format!("stream=\"{name}\"")]).unwrap();
    let before = bytes("b");
    replace(&monitor.config_path(), &text.replace(&origin.url("b"), &other.url("b")));
    let done = reload(&monitor).json();
    assert_eq!(done, serde_json::json!({ "started": 0, "stopped": 0, "restarted": 1, "unchanged": 2 }));
    eventually("b plays at the other origin", SOON, || (other.stats("b").players == 1).then_some(()));
    eventually("b has left the old origin", SOON, || (origin.stats("b").players == 0).then_some(()));
    monitor.wait_for("b", "up", SOON);
    assert_eq!(plays(&origin), [1, 1, 1]);
    assert_eq!([origin.stats("a").players, origin.stats("c").players], [1, 1]);
    assert!(bytes("b") >= before, "counters go on");
    assert_eq!(monitor.stream("b")["outages"], 0, "a move is no outage");
}

#[test]
fn a_bad_file_changes_nothing_and_says_so() {
    let origin = Origin::start("a,b,c");
    let (monitor, text) = watched(&origin);
    let ok = || monitor.metric("hmonitor_config_last_reload_successful", &[]);
    assert_eq!(ok(), Some(1.0));
    let at = monitor.metric("hmonitor_config_last_reload_success_timestamp_seconds", &[]).unwrap();

    // Not asked for: found by itself.
    replace(&monitor.config_path(), &text.replacen("name: b,", "nmae: b,", 1));
    eventually("the failure shows", SOON, || (ok() == Some(0.0)).then_some(()));
    let log = monitor.log();
    let line = log.lines().find(|l| l.contains("did you mean name")).unwrap_or_else(|| panic!("{log}"));
    assert!(line.contains("hmonitor.yml:") && line.contains("streams[1]"), "{line}");
    assert_eq!(monitor.metric("hmonitor_config_last_reload_success_timestamp_seconds", &[]), Some(at));

    // Asked for: the answer says why.
    let refused = reload(&monitor);
    assert_eq!(refused.status, 422, "{}", refused.body);
    assert!(refused.head.to_ascii_lowercase().contains("application/problem+json"), "{}", refused.head);
    assert!(refused.body.contains("did you mean name"), "{}", refused.body);

    // A file that is gone is a bad file, too.
    std::fs::remove_file(monitor.config_path()).unwrap();
    assert_eq!(reload(&monitor).status, 422);
    assert_eq!(["a", "b", "c"].map(|n| monitor.verdict(n)), ["up", "up", "up"]);
    assert_eq!(plays(&origin), [1, 1, 1]);
    assert_eq!(monitor.get("/livez").status, 200);
    assert_eq!(monitor.get("/health").status, 200, "the monitor itself is well");

    // Mended.
    replace(&monitor.config_path(), &text);
    eventually("the mended file is read by itself", SOON, || (ok() == Some(1.0)).then_some(()));
    assert!(monitor.metric("hmonitor_config_last_reload_success_timestamp_seconds", &[]).unwrap() > at);
    assert_eq!(plays(&origin), [1, 1, 1]);
}

#[test]
fn a_removed_stream_keeps_its_last_health_answer() {
    let origin = Origin::start("a,b,c");
    let (monitor, text) = watched(&origin);
    origin.fault("c", &rtmp_hmonitor::sim::Fault::NotFound);
    monitor.wait_for("c", "down not_found", SOON);
    assert_eq!((monitor.health_code("b"), monitor.health_code("c")), (200, 503));

    let without = |name: &str, text: &str| -> String {
        text.lines().filter(|l| !l.contains(&format!("name: {name},"))).map(|l| format!("{l}\n")).collect()
    };
    let rest = without("c", &without("b", &text));
    replace(&monitor.config_path(), &rest);
    let done = reload(&monitor).json();
    assert_eq!((done["stopped"].as_u64(), done["unchanged"].as_u64()), (Some(2), Some(1)), "{done}");
    eventually("b's session ends", SOON, || (origin.stats("b").players == 0).then_some(()));
    eventually("its series are gone", SOON, || (!monitor.metrics().contains("stream=\"b\"")).then_some(()));
    // A load balancer that is reconfigured later than we are must not see a failure that is none.
    assert_eq!((monitor.health_code("b"), monitor.health_code("c")), (200, 503));
    let metrics = monitor.metrics();
    let counted = |answer: &str| {
        let labels = [&format!("answer=\"{answer}\""), "view=\"departed\""];
        harness::metric(&metrics, "hmonitor_health_answers_total", &labels)
    };
    assert_eq!(
        (counted("healthy"), counted("unhealthy")),
        (Some(1.0), Some(1.0)),
        "answers about departed streams count"
    );
    assert_eq!(monitor.get("/api/v1/streams/b").status, 404);
    assert_eq!(monitor.health_code("never-known"), 503);

    // It comes back as itself.
    replace(&monitor.config_path(), &text);
    assert_eq!(reload(&monitor).status, 200);
    monitor.wait_for("b", "up", SOON);
    assert_eq!(monitor.health_code("b"), 200);
}

#[test]
fn secrets_in_files_are_read_again_when_they_change() {
    let (old, new) = (Origin::start("gate"), Origin::start("gate"));
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = directory.path().join(name);
        replace(&path, text);
        path.display().to_string()
    };
    let url = file("gate.url", &format!("{}\n", old.url("gate")));
    let token = file("operate.token", "first-test-token\n");
    let monitor = Monitor::start_with(
        &format!("{QUICK}streams: [{{ name: gate, url_file: {url} }}]\n"),
        &format!("  tokens: [{{ role: operate, token_file: {token} }}]\n"),
        &[],
        |c| c,
    );
    monitor.wait_for("gate", "up", SOON);
    let may = |token: &str| {
        let header = format!("Authorization: Bearer {token}");
        monitor.request("POST", "/-/reload", &[&header], "").status == 200
    };
    assert!(may("first-test-token") && !may("second-test-token"));

    file("operate.token", "second-test-token\n");
    eventually("the new token is in force", SOON, || may("second-test-token").then_some(()));
    assert!(!may("first-test-token"), "the old one is not");
    assert_eq!(old.stats("gate").plays, 1);

    file("gate.url", &format!("{}\n", new.url("gate")));
    eventually("the new URL is played", SOON, || (new.stats("gate").players == 1).then_some(()));
    monitor.wait_for("gate", "up", SOON);

    // An empty secret is a mistake, not a secret.
    file("operate.token", "");
    eventually("the failure shows", SOON, || {
        (monitor.metric("hmonitor_config_last_reload_successful", &[]) == Some(0.0)).then_some(())
    });
    assert!(!may("") && !may("first-test-token"));
    file("operate.token", "third-test-token\n");
    eventually("mended", SOON, || may("third-test-token").then_some(()));
}

#[test]
fn what_needs_a_restart_is_said_and_the_rest_takes_effect() {
    let origin = Origin::start("a,b,c");
    let (monitor, text) = watched(&origin);
    let other = format!("listen: \"127.0.0.1:{}\"", harness::free_port());
    let text = text.replacen(&format!("listen: \"{}\"", monitor.listen), &other, 1);
    replace(&monitor.config_path(), &text.replace("stall_timeout: 1s", "stall_timeout: 1s, labels: { round: two }"));
    assert_eq!(reload(&monitor).status, 200);
    eventually("the label is there", SOON, || has_label(&monitor, "a", "two").then_some(()));
    let log = monitor.log();
    let line = log.lines().find(|l| l.contains("takes effect at the next start")).unwrap_or_else(|| panic!("{log}"));
    assert!(line.contains("server.listen"), "{line}");
}

#[test]
fn streams_of_a_list_that_is_no_longer_configured_go() {
    let origin = Origin::start("a,b,c,listed");
    let (monitor, text) = watched(&origin);
    let list = monitor.path().join("targets.yml");
    std::fs::write(&list, format!("- targets: [\"{}\"]\n  labels: {{ name: listed }}\n", origin.url("listed")))
        .unwrap();
    replace(&monitor.config_path(), &format!("{text}discover: [{{ file: targets.yml, refresh: 1s }}]\n"));
    assert_eq!(reload(&monitor).status, 200);
    eventually("it is played", SOON, || (origin.stats("listed").players == 1).then_some(()));
    monitor.wait_for("listed", "up", SOON);
    // The same list, read more often: nobody has to leave.
    replace(&monitor.config_path(), &format!("{text}discover: [{{ file: targets.yml, refresh: 2s }}]\n"));
    assert_eq!(reload(&monitor).json()["unchanged"], 4);
    replace(&monitor.config_path(), &text);
    assert_eq!(reload(&monitor).json()["stopped"], 1);
    eventually("it is left", SOON, || (origin.stats("listed").players == 0).then_some(()));
    assert_eq!(origin.stats("listed").plays, 1);
    assert_eq!(monitor.health_code("listed"), 200, "its last answer stays for a while");
    assert_eq!(plays(&origin), [1, 1, 1]);
}
