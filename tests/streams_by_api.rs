//! Streams that come and go at run time: by the API, by files, by HTTP lists; and the operator's word that one is meant to be absent.

mod harness;
mod process;

use std::time::Duration;

use harness::{Answer, Monitor, eventually};
use process::{Origin, QUICK, SOON, WebServer};
use rtmp_hmonitor::sim::Fault;
use serde_json::{Value, json};

const OPERATE: &str = "Authorization: Bearer operator-test-token";
const READ: &str = "Authorization: Bearer reader-test-token";
const TOKENS: &str =
    "  tokens:\n    - { role: operate, token: operator-test-token }\n    - { role: read, token: reader-test-token }\n";

fn start(config: &str) -> Monitor {
    Monitor::start_with(&format!("{QUICK}{config}"), TOKENS, &[], |c| c)
}

fn post(monitor: &Monitor, definition: &Value) -> Answer {
    monitor.request("POST", "/api/v1/streams", &[OPERATE], &definition.to_string())
}

fn delete(monitor: &Monitor, path: &str) -> u16 {
    monitor.request("DELETE", path, &[OPERATE], "").status
}

fn names(monitor: &Monitor) -> Vec<String> {
    let status = monitor.get("/api/v1/status").json();
    status["streams"].as_array().unwrap().iter().map(|s| s["name"].as_str().unwrap().to_owned()).collect()
}

fn wait_for_names(monitor: &Monitor, expected: &[&str]) {
    eventually(&format!("streams are {expected:?}"), SOON, || (names(monitor) == expected).then_some(()));
}

#[test]
fn an_added_stream_is_watched_and_survives_a_crash() {
    let origin = Origin::start("file,extra");
    let monitor = start(&format!("streams: [{{ name: file, url: \"{}\" }}]\n", origin.url("file")));
    let extra = json!({ "name": "extra", "url": origin.url("extra"), "labels": { "site": "x" } });
    let answer = post(&monitor, &extra);
    assert_eq!((answer.status, answer.json()), (201, json!({ "name": "extra" })));
    assert!(answer.head.to_ascii_lowercase().contains("location: /api/v1/streams/extra"), "{}", answer.head);
    monitor.wait_for("extra", "up", SOON);
    let stream = monitor.stream("extra");
    assert_eq!((&stream["source"], &stream["labels"]["site"]), (&json!("api"), &json!("x")));
    assert_eq!(monitor.metric("hmonitor_stream_up", &["stream=\"extra\"", "site=\"x\""]), Some(1.0));

    assert_eq!(post(&monitor, &extra).status, 409, "it exists");
    assert_eq!(post(&monitor, &json!({ "name": "file", "url": "rtmp://h/live/a" })).status, 409, "the file's, too");
    assert_eq!(delete(&monitor, "/api/v1/streams/file"), 409, "the file's are removed in the file");
    assert_eq!(delete(&monitor, "/api/v1/streams/nobody"), 404);

    // No second for the writer: an answer of 201 means that it is kept.
    let monitor = monitor.restart_after_kill();
    assert_eq!(names(&monitor), ["extra", "file"]);
    monitor.wait_for("extra", "up", SOON);
    assert_eq!(monitor.stream("extra")["labels"]["site"], "x");

    assert_eq!(delete(&monitor, "/api/v1/streams/extra"), 204);
    wait_for_names(&monitor, &["file"]);
    eventually("the session ends", SOON, || (origin.stats("extra").players == 0).then_some(()));
    assert_eq!(delete(&monitor, "/api/v1/streams/extra"), 404);
    let monitor = monitor.restart_after_kill();
    assert_eq!(names(&monitor), ["file"], "it stays removed");
}

#[test]
fn what_cannot_be_a_stream_is_refused_with_the_reason() {
    let monitor = start("");
    for (definition, status, reason) in [
        (json!({ "name": "a" }), 422, "url"),
        (json!({ "name": "a", "url": "ftp://h/a" }), 422, "rtmp://"),
        (json!({ "name": "a", "url": "http://h/a" }), 422, "playlist"),
        (json!({ "name": "a", "url": "file:/etc/hostname" }), 422, "configuration file only"),
        (json!({ "name": "a b", "url": "rtmp://h/a" }), 422, "name"),
        (json!({ "name": "a", "url": "rtmp://h/a", "stall_timeout": "1ms" }), 422, "stall_timeout"),
        (json!({ "name": "a", "url": "rtmp://h/a", "ulr": 1 }), 422, "did you mean url"),
        (json!([]), 422, ""),
        // Files of the host are the configuration's to name.
        (json!({ "name": "a", "url_file": "/etc/hostname" }), 422, ""),
    ] {
        let answer = post(&monitor, &definition);
        assert_eq!(answer.status, status, "{definition}: {}", answer.body);
        assert!(answer.head.to_ascii_lowercase().contains("application/problem+json"), "{}", answer.head);
        let errors = answer.json()["errors"].to_string();
        assert!(errors.contains(reason), "{definition}: {}", answer.body);
    }
    assert_eq!(monitor.request("POST", "/api/v1/streams", &[OPERATE], "{").status, 400);
    let good = json!({ "name": "a", "url": "rtmp://127.0.0.1:9/a" }).to_string();
    assert_eq!(monitor.request("POST", "/api/v1/streams", &[], &good).status, 401);
    let reader = monitor.request("POST", "/api/v1/streams", &[READ], &good).status;
    assert!([401, 403].contains(&reader), "a reader may not change anything: {reader}");
    assert!(names(&monitor).is_empty());
}

#[test]
fn a_silenced_stream_is_idle_and_its_outage_does_not_count() {
    let origin = Origin::start("gate");
    let monitor = start(&format!("streams: [{{ name: gate, url: \"{}\" }}]\n", origin.url("gate")));
    monitor.wait_for("gate", "up", SOON);
    let path = "/api/v1/streams/gate/silence";
    let silence = |body: Value| monitor.request("PUT", path, &[OPERATE], &body.to_string());
    assert_eq!(monitor.request("PUT", path, &[READ], "{\"reason\":\"x\"}").status / 100, 4);
    for bad in [json!({}), json!({ "reason": "" }), json!({ "reason": "x", "until": "2001-01-01T00:00:00Z" })] {
        assert_eq!(silence(bad.clone()).status / 100, 4, "{bad}");
    }
    assert_eq!(monitor.verdict("gate"), "up");
    let answer = silence(json!({ "reason": "mast is painted", "until": "1h" }));
    assert_eq!(answer.status, 200, "{}", answer.body);
    monitor.wait_for("gate", "idle", SOON);
    assert_eq!(monitor.stream("gate")["silence"]["reason"], "mast is painted");
    assert_eq!(monitor.metric("hmonitor_stream_expected", &["stream=\"gate\""]), Some(0.0));

    origin.fault("gate", &Fault::NotFound);
    eventually("the probe meets the fault", SOON, || {
        (monitor.stream("gate")["fault"]["cause"] == "not_found").then_some(())
    });
    assert_eq!((monitor.verdict("gate").as_str(), monitor.health_code("gate")), ("idle", 200));
    assert_eq!(monitor.metric("hmonitor_stream_outages_total", &["stream=\"gate\""]), Some(0.0));

    // The operator's word survives a crash.
    let monitor = monitor.restart_after_kill();
    monitor.wait_for("gate", "idle", SOON);
    assert_eq!(monitor.health_code("gate"), 200);
    assert_eq!(monitor.stream("gate")["silence"]["reason"], "mast is painted");

    assert_eq!(delete(&monitor, path), 204);
    monitor.wait_for("gate", "down not_found", SOON);
    assert_eq!(monitor.health_code("gate"), 503);
    assert_eq!(monitor.metric("hmonitor_stream_outages_total", &["stream=\"gate\""]), Some(1.0), "now it counts");
    assert_eq!(delete(&monitor, path), 404);
    let kinds: Vec<_> = monitor.get("/api/v1/streams/gate/events").json()["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| e["kind"].as_str().unwrap().to_owned())
        .collect();
    assert!(kinds.contains(&"unsilenced".to_owned()), "{kinds:?}");
}

#[test]
fn a_silence_ends_by_itself() {
    let origin = Origin::start("gate");
    let monitor = start(&format!("streams: [{{ name: gate, url: \"{}\" }}]\n", origin.url("gate")));
    monitor.wait_for("gate", "up", SOON);
    let body = json!({ "reason": "a moment", "until": "2s" }).to_string();
    assert_eq!(monitor.request("PUT", "/api/v1/streams/gate/silence", &[OPERATE], &body).status, 200);
    monitor.wait_for("gate", "idle", SOON);
    let took = monitor.wait_for("gate", "up", SOON);
    assert!(took < Duration::from_secs(8), "{took:?}");
}

#[test]
fn streams_follow_target_files() {
    let origin = Origin::start("one,two,three");
    let config = format!(
        "discover: [{{ file: targets/*.yml, refresh: 1s, url: \"rtmp://{}/live/{{target}}\" }}]\n",
        origin.address()
    );
    // The directory is not there yet: no reason not to run.
    let monitor = start(&config);
    let directory = monitor.path().join("targets");
    std::fs::create_dir(&directory).unwrap();
    let write = |name: &str, text: &str| {
        let next = directory.join(".next");
        std::fs::write(&next, text).unwrap();
        std::fs::rename(&next, directory.join(name)).unwrap();
    };
    write("a.yml", "- targets: [one, two]\n  labels: { site: here }\n");
    wait_for_names(&monitor, &["one", "two"]);
    for name in ["one", "two"] {
        monitor.wait_for(name, "up", SOON);
    }
    assert_eq!(monitor.stream("one")["labels"]["site"], "here");
    assert_eq!(monitor.stream("one")["source"], "discovery");

    write("b.yml", "- targets: [three]\n");
    wait_for_names(&monitor, &["one", "three", "two"]);
    write("a.yml", "- targets: [two]\n  labels: { site: here }\n");
    wait_for_names(&monitor, &["three", "two"]);
    // A broken list is no empty list.
    write("b.yml", "- targets: {three\n");
    eventually("the failure is logged", SOON, || monitor.log().contains("discovery failed").then_some(()));
    assert_eq!(names(&monitor), ["three", "two"]);
    assert_eq!(origin.stats("two").plays, 1, "who stays is not touched");
}

#[test]
fn streams_follow_an_http_list_and_outlive_its_failures() {
    let origin = Origin::start("one,two");
    let list = |names: &[&str]| {
        let groups: Vec<_> =
            names.iter().map(|n| json!({ "targets": [origin.url(n)], "labels": { "name": n } })).collect();
        json!(groups).to_string()
    };
    let server = WebServer::start("503 Service Unavailable\r\n\r\n");
    let monitor = start(&format!(
        "discover: [{{ http: \"http://{}/streams\", refresh: 1s, token: inventory-test-token }}]\n",
        server.address
    ));
    eventually("the first failure is logged", SOON, || monitor.log().contains("discovery failed").then_some(()));
    assert!(names(&monitor).is_empty());
    server.set_json(&list(&["one"]));
    wait_for_names(&monitor, &["one"]);
    server.set_json(&list(&["one", "two"]));
    wait_for_names(&monitor, &["one", "two"]);
    for name in ["one", "two"] {
        monitor.wait_for(name, "up", SOON);
    }
    let head = server.heads().last().unwrap().to_ascii_lowercase();
    assert!(head.contains("authorization: bearer inventory-test-token"), "the token is sent");

    // Down, nonsense, nothing: the streams stay.
    for answer in ["500 Oops\r\n\r\n", "200 OK\r\n\r\n<html>", "200 OK\r\n\r\n", "204 No Content\r\n\r\n"] {
        server.set(answer);
        let asked = server.heads().len();
        eventually("it was asked twice", SOON, || (server.heads().len() > asked + 1).then_some(()));
        assert_eq!(names(&monitor), ["one", "two"], "{answer:?}");
    }
    assert_eq!([origin.stats("one").plays, origin.stats("two").plays], [1, 1]);
    server.set_json(&list(&["two"]));
    wait_for_names(&monitor, &["two"]);
    // An empty list is an answer.
    server.set_json("[]");
    wait_for_names(&monitor, &[]);
    eventually("all sessions end", SOON, || (origin.stats("two").players == 0).then_some(()));
}

#[test]
fn where_a_list_redirects_to_is_told_and_not_asked() {
    let origin = Origin::start("one");
    let elsewhere = WebServer::start("503 Service Unavailable\r\n\r\n");
    elsewhere.set_json(&json!([{ "targets": [origin.url("one")], "labels": { "name": "one" } }]).to_string());
    let server = WebServer::start(&format!(
        "302 Found\r\nLocation: http://{}/streams?key=inventory-test-key\r\n\r\n",
        elsewhere.address
    ));
    let place = format!("http://{}/streams?key=inventory-test-key", server.address);
    // A proxy would be told the URL as well.
    let proxy = format!("http://{}", elsewhere.address);
    let config = format!("discover: [{{ http: \"{place}\", refresh: 1s }}]\n");
    let monitor =
        Monitor::start_with(&config, "", &[("HTTP_PROXY", &proxy), ("http_proxy", &proxy)], |command| command);
    let told = format!("leads to {proxy}; redirects are not followed");
    eventually("the redirect is told", SOON, || monitor.log().contains(&told).then_some(()));
    let asked = server.heads().len();
    eventually("it is asked again", SOON, || (server.heads().len() > asked).then_some(()));
    assert!(elsewhere.heads().is_empty(), "{:?}", elsewhere.heads());
    assert!(names(&monitor).is_empty());
    assert!(!monitor.log().contains("inventory-test-key"));
}

#[test]
fn the_file_wins_over_the_api_and_both_over_discovery() {
    let origin = Origin::start("file,list,api");
    let server = WebServer::start("503 Service Unavailable\r\n\r\n");
    let config = format!("discover: [{{ http: \"http://{}/\", refresh: 1s }}]\n", server.address);
    let monitor = start(&config);
    let source = |expected: &str| {
        eventually(&format!("gate is the {expected}'s"), SOON, || {
            (monitor.stream("gate")["source"] == expected).then_some(())
        });
        monitor.wait_for("gate", "up", SOON);
    };
    let players = || ["file", "api", "list"].map(|camera| origin.stats(camera).players);
    let played_by = |expected| eventually("only one is played", SOON, || (players() == expected).then_some(()));
    server.set_json(&json!([{ "targets": [origin.url("list")], "labels": { "name": "gate" } }]).to_string());
    source("discovery");
    played_by([0, 0, 1]);

    // From the API to the file: as when an operator makes permanent what was added in a hurry.
    server.set_json("[]");
    wait_for_names(&monitor, &[]);
    assert_eq!(post(&monitor, &json!({ "name": "gate", "url": origin.url("api") })).status, 201);
    server.set_json(&json!([{ "targets": [origin.url("list")], "labels": { "name": "gate" } }]).to_string());
    let asked = server.heads().len();
    eventually("the list was read", SOON, || (server.heads().len() > asked + 1).then_some(()));
    source("api");
    played_by([0, 1, 0]);
    let text = std::fs::read_to_string(monitor.config_path()).unwrap();
    let text = format!("{text}streams: [{{ name: gate, url: \"{}\" }}]\n", origin.url("file"));
    std::fs::write(monitor.config_path(), text).unwrap();
    assert_eq!(monitor.request("POST", "/-/reload", &[OPERATE], "").status, 200);
    source("file");
    played_by([1, 0, 0]);
    // What lost can be taken away, and nothing changes.
    assert_eq!(delete(&monitor, "/api/v1/streams/gate"), 204);
    source("file");
    assert_eq!(delete(&monitor, "/api/v1/streams/gate"), 409);
    assert_eq!(monitor.health_code("gate"), 200);
}
