//! ECS documents against the index template that is shipped for them.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use rtmp_hmonitor::sim::Fault;
use serde_json::{Map, Value};

use crate::harness::{Monitor, eventually, http};
use crate::process::{Origin, QUICK, SOON, finish};

const TEMPLATE: &str = include_str!("../../compose/elk/elasticsearch/index-template.json");

/// Field names, dotted, and their types in the index.
fn mapping() -> BTreeMap<String, String> {
    fn walk(prefix: &str, properties: &Map<String, Value>, found: &mut BTreeMap<String, String>) {
        for (name, field) in properties {
            let name = format!("{prefix}{name}");
            match field["properties"].as_object() {
                Some(inner) => walk(&format!("{name}."), inner, found),
                None => drop(found.insert(name, field["type"].as_str().unwrap().to_owned())),
            }
        }
    }
    let template: Value = serde_json::from_str(TEMPLATE).unwrap();
    let mut found = BTreeMap::new();
    walk("", template["template"]["mappings"]["properties"].as_object().unwrap(), &mut found);
    found
}

fn fits(value: &Value, kind: &str) -> bool {
    match kind {
        "keyword" | "match_only_text" | "wildcard" => match value {
            Value::Array(items) => items.iter().all(Value::is_string),
            other => other.is_string(),
        },
        "long" => value.is_i64() || value.is_u64(),
        "boolean" => value.is_boolean(),
        "date" => value.as_str().is_some_and(|text| text.parse::<jiff::Timestamp>().is_ok()),
        "object" | "flattened" => value.as_object().is_some_and(|o| o.values().all(Value::is_string)),
        other => panic!("no type of ours: {other}"),
    }
}

/// What is wrong with a document.
fn problems(document: &Value, mapping: &BTreeMap<String, String>) -> Vec<String> {
    let fields = document.as_object().expect("a document is an object");
    // Libraries write events of fields alone.
    let required: &[&str] = if fields.contains_key("hmonitor.foreign") { &[] } else { &["message"] };
    let always = ["@timestamp", "ecs.version", "log.level", "event.dataset", "service.name"];
    let missing = always.iter().chain(required).filter(|name| !fields.contains_key(**name));
    let mut found: Vec<_> = missing.map(|name| format!("{name} is missing")).collect();
    for (name, value) in fields {
        match mapping.get(name) {
            None => found.push(format!("{name} is not in the index template")),
            Some(kind) if !fits(value, kind) => found.push(format!("{name} is no {kind}: {value}")),
            Some(_) => {}
        }
    }
    found
}

fn documents(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line:?}"))).collect()
}

/// Names of the fields of a call of a logging macro, whose arguments are `text`.
fn fields_of(text: &str) -> Vec<String> {
    let (mut depth, mut quoted, mut escaped) = (0, false, false);
    let mut parts = vec![String::new()];
    for c in text.chars() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '(' | '[' | '{' if !quoted => depth += 1,
            ')' | ']' | '}' if !quoted => depth -= 1,
            _ => {}
        }
        if depth < 0 {
            break;
        }
        if c == ',' && depth == 0 && !quoted {
            parts.push(String::new());
        } else if let Some(part) = parts.last_mut() {
            part.push(c);
        }
    }
    let parts = parts.iter().map(|p| p.trim()).take_while(|p| !p.starts_with('"'));
    let fields = parts.filter(|p| !p.starts_with("target:") && !p.is_empty());
    fields.map(|p| p.split('=').next().unwrap().trim().trim_start_matches(['%', '?']).to_owned()).collect()
}

/// Rust sources below `directory`.
fn sources(directory: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(std::fs::read_to_string(path).unwrap());
        }
    }
    found
}

#[test]
fn every_field_that_the_code_logs_is_in_the_index_template() {
    let mapping = mapping();
    let elsewhere = ["error", "backtrace", "thread", "action", "reason", "peer", "labels", "at"];
    let mut seen = 0;
    for source in sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src")) {
        for level in ["error", "warn", "info", "debug", "trace"] {
            for call in source.split(&format!("tracing::{level}!(")).skip(1) {
                for field in fields_of(call) {
                    seen += 1;
                    let known = elsewhere.contains(&&*field) || mapping.contains_key(&format!("hmonitor.{field}"));
                    assert!(known, "{field} is logged, and compose/elk/elasticsearch/index-template.json lacks it");
                }
            }
        }
    }
    assert!(seen > 100, "the calls were not read: {seen}");
}

#[test]
fn every_change_is_a_document_with_stream_from_to_cause_epoch_and_labels() {
    let origin = Origin::start("a,b");
    let config = format!(
        "{QUICK}log: {{ format: ecs, file: {{ path: monitor.log }} }}\nstreams:\n  \
         - {{ name: a, url: \"{}\", labels: {{ site: plant-a }} }}\n  - {{ name: b, url: \"{}\" }}\n",
        origin.url("a"),
        origin.url("b")
    );
    let mut monitor = Monitor::start(&config);
    monitor.wait_for("a", "up", SOON);
    origin.fault("a", &Fault::Stall);
    monitor.wait_for("a", "down stalled", SOON);
    origin.clear("a");
    monitor.wait_for("a", "up", SOON);
    monitor.request("PUT", "/api/v1/streams/a/silence", &[], r#"{"reason":"x"}"#);
    monitor.terminate();

    let text = std::fs::read_to_string(monitor.path().join("monitor.log")).unwrap();
    assert_eq!(text, monitor.log(), "the file and standard output say the same");
    let documents = documents(&text);
    let mapping = mapping();
    for document in &documents {
        assert_eq!(problems(document, &mapping), Vec::<String>::new(), "{document}");
    }
    let down = documents.iter().find(|d| d["hmonitor.to"] == "down").expect("the outage is logged");
    assert_eq!(
        (&down["hmonitor.stream"], &down["hmonitor.from"], &down["hmonitor.causes"][0], &down["labels"]["site"]),
        (&"a".into(), &"up".into(), &"stalled".into(), &"plant-a".into())
    );
    assert_eq!((&down["event.dataset"], &down["event.action"]), (&"rtmp-hmonitor.events".into(), &"state".into()));
    assert_eq!(down["log.level"], "warn");
    let epochs: Vec<_> = documents
        .iter()
        .filter(|d| d["hmonitor.stream"] == "a" && d["event.action"] == "state")
        .map(|d| d["hmonitor.epoch"].as_u64().expect("every change has its number"))
        .collect();
    assert!(epochs.len() >= 3 && epochs.is_sorted_by(|a, b| a < b), "{epochs:?}");
}

#[test]
fn switches_and_faults_are_documents_with_from_to_reason_epoch_and_labels() {
    let (one, two) = (Origin::start("a"), Origin::start("a"));
    let endpoint = |name: &str, origin: &Origin| {
        let check = format!(
            "{{ address: \"{}\", app: live, interval: 500ms, timeout: 500ms, down_after: 1 }}",
            origin.address()
        );
        format!("  - {{ name: {name}, rtmp: {check}, labels: {{ machine: {name} }} }}\n")
    };
    let config = format!(
        "{QUICK}log: {{ format: ecs }}\nstreams: [{{ name: a, url: \"{}\" }}]\nendpoints:\n{}{}\
         groups:\n  - {{ name: one, eligible_while: {{ endpoints: [one] }}, fall: 0s }}\n  \
         - {{ name: two, eligible_while: {{ endpoints: [two] }}, fall: 0s }}\n\
         failovers: [{{ name: ingest, candidates: [one, two], hold: 1s, settle: 1s, labels: {{ site: plant-a }} }}]\n\
         paths: [{{ name: way, hops: [{{ endpoint: one }}, {{ stream: a }}], labels: {{ site: plant-a }} }}]\nvantage: [two]\n",
        one.url("a"),
        endpoint("one", &one),
        endpoint("two", &two)
    );
    let mut monitor = Monitor::start(&config);
    let active = |name: &str| {
        eventually(&format!("{name} is active"), Duration::from_secs(60), || {
            (monitor.document("failovers/ingest")["active"] == name).then_some(())
        });
    };
    active("one");
    monitor.wait_for("a", "up", SOON);
    eventually("all hops are up", SOON, || (monitor.document("paths/way")["health"] == "up").then_some(()));
    drop(one);
    active("two");
    eventually("the path has a fault", SOON, || {
        monitor.document("paths/way")["fault"]["hop"].is_string().then_some(())
    });
    monitor.terminate();

    let documents = documents(&monitor.log());
    let mapping = mapping();
    for document in &documents {
        assert_eq!(problems(document, &mapping), Vec::<String>::new(), "{document}");
        assert!(document["host.name"].is_string(), "{document}");
    }
    let told = |action: &str, last: &str| {
        let mut found = documents.iter().filter(|d| d["event.action"] == action);
        found.find(|d| d["hmonitor.to"] == last).unwrap_or_else(|| panic!("no {action} to {last}: {documents:#?}"))
    };
    let switched = told("switched", "two");
    assert_eq!((&switched["hmonitor.failover"], &switched["hmonitor.from"]), (&"ingest".into(), &"one".into()));
    assert_eq!((&switched["event.reason"], &switched["labels"]["site"]), (&"not_eligible".into(), &"plant-a".into()));
    assert_eq!(switched["hmonitor.epoch"], told("switched", "one")["hmonitor.epoch"].as_u64().unwrap() + 1);
    let fault = told("fault", "down");
    assert_eq!((&fault["hmonitor.path"], &fault["hmonitor.from"]), (&"way".into(), &"up".into()));
    assert_eq!((&fault["hmonitor.hop"], &fault["labels"]["site"]), (&"endpoint/one".into(), &"plant-a".into()));
    assert!(fault["hmonitor.causes"][0].is_string() && fault["hmonitor.epoch"].is_u64(), "{fault}");
    let group = documents.iter().find(|d| d["hmonitor.group"] == "one" && d["hmonitor.to"] == "down").unwrap();
    assert!(group["hmonitor.epoch"].is_u64() && group["hmonitor.from"] == "up", "{group}");
}

#[test]
fn the_monitor_s_log_is_on_standard_output_and_a_reason_not_to_start_on_standard_error() {
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("hmonitor.yml");
    std::fs::write(&config, "nonsense: true\n").unwrap();
    let run = || {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_rtmp-hmonitor"));
        command.arg("run").arg("--config").arg(&config);
        command
    };
    let refused = finish(run());
    assert!(refused.code == 1 && refused.stdout.is_empty() && refused.stderr.contains("nonsense"), "{refused:?}");

    std::fs::write(
        &config,
        "server: { listen: \"127.0.0.1:0\", health_listen: \"127.0.0.1:0\" }\nlog: { format: ecs }\n",
    )
    .unwrap();
    let out = |name: &str| std::fs::File::create(directory.path().join(name)).unwrap();
    let mut child = run().stdout(out("out")).stderr(out("err")).spawn().unwrap();
    let text = |name: &str| std::fs::read_to_string(directory.path().join(name)).unwrap();
    eventually("it logs", SOON, || text("out").contains('\n').then_some(()));
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(text("out").starts_with('{') && text("err").is_empty(), "{}{}", text("out"), text("err"));
}

#[test]
fn under_load_files_rotate_within_their_bounds_and_every_line_of_every_library_is_whole() {
    let origin = Origin::start("cam-{1..10}");
    let mut config =
        format!("{QUICK}log: {{ format: ecs, file: {{ path: monitor.log, max_size: 65536, keep: 5 }} }}\nstreams:\n");
    for number in 1..=10 {
        config += &format!("  - {{ name: cam-{number}, url: \"{}\" }}\n", origin.url(&format!("cam-{number}")));
    }
    let mut monitor = Monitor::start_with(&config, "", &[("RUST_LOG", "trace")], |command| command);
    eventually("all files have been filled, and more", Duration::from_secs(240), || {
        origin.fault("*", &Fault::Drop);
        http(monitor.listen, "GET", "/metrics", &[], "").unwrap();
        (monitor.path().join("monitor.log.5").exists() && monitor.log().len() > 10 * 65536).then_some(())
    });
    assert!(monitor.terminate().success());
    let mapping = mapping();
    let (mut files, mut lines) = (0, 0);
    for entry in std::fs::read_dir(monitor.path()).unwrap().map(|entry| entry.unwrap()) {
        if !entry.file_name().to_str().unwrap().starts_with("monitor.log") {
            continue;
        }
        let text = std::fs::read_to_string(entry.path()).unwrap();
        assert!(text.len() <= 65536, "{} bytes", text.len());
        for document in documents(&text) {
            lines += 1;
            assert_eq!(problems(&document, &mapping), Vec::<String>::new(), "{document}");
        }
        files += 1;
    }
    assert_eq!(files, 6);
    println!("{lines} documents in {files} files");
}

#[test]
fn a_log_that_cannot_be_written_stops_nothing() {
    let origin = Origin::start("a");
    // Every write to this device fails with "no space left".
    let config = format!(
        "{QUICK}log: {{ format: ecs, file: {{ path: /dev/full }} }}\nstreams: [{{ name: a, url: \"{}\" }}]\n",
        origin.url("a")
    );
    let mut monitor = Monitor::start(&config);
    monitor.wait_for("a", "up", SOON);
    origin.fault("a", &Fault::Stall);
    monitor.wait_for("a", "down stalled", SOON);
    assert_eq!(monitor.health_code("a"), 503);
    assert!(monitor.terminate().success());
    let said = documents(&monitor.log());
    assert!(said.iter().any(|d| d["hmonitor.to"] == "down"), "standard output has every line");
    let told = said.iter().filter(|d| d["message"].as_str().is_some_and(|m| m.contains("log file cannot be written")));
    assert_eq!(told.count(), 1, "and says once that the file has not");
}
