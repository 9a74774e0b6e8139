//! Log lines on their way through Filebeat and Logstash, which cannot be had here: `pipeline.py` follows them by their documented rules. What comes out is
//! looked up in the index template.

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::{Value, json};

use crate::compose::{passes, read, root};

/// What goes to Elasticsearch, and what is posted to Alertmanager.
#[derive(Debug)]
pub struct Outcome {
    pub documents: Vec<Value>,
    pub alerts: Vec<Value>,
}

/// Lines of the file that Filebeat knows by this path.
pub fn lines(path: &str, text: &str) -> Vec<Value> {
    text.lines().map(|line| json!({ "path": path, "line": line })).collect()
}

/// Lines as they come from HAProxy.
pub fn syslog(text: &str) -> Vec<Value> {
    text.lines().map(|line| json!({ "syslog": line })).collect()
}

/// What becomes of lines. Every field is in the index, and of its type.
pub fn follow(lines: &[Value]) -> Outcome {
    let python = root().join("target/dashboard-check/bin/python");
    assert!(python.exists(), "logstash-pipeline-parser is missing: .ci/install test");
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), json!(lines).to_string()).unwrap();
    let mut command = Command::new(python);
    command.arg("tests/deployment/pipeline.py").arg(file.path());
    let said: Value = serde_json::from_str(&passes(command).stdout).unwrap();
    let list = |name: &str| said[name].as_array().unwrap().clone();
    let outcome = Outcome { documents: list("documents"), alerts: list("alerts") };
    assert_eq!(outcome.documents.len(), lines.len(), "none is lost");
    let types = types();
    for document in &outcome.documents {
        check("", document, &types);
        assert!(document.get("tags").is_none(), "not understood: {document}");
        let place = &document["data_stream"];
        assert_eq!((&place["type"], &place["namespace"]), (&"logs".into(), &"default".into()));
        assert!(place["dataset"].as_str().unwrap().starts_with("rtmp_hmonitor."), "{place}");
    }
    outcome
}

fn check(name: &str, value: &Value, types: &BTreeMap<String, String>) {
    match (value, types.get(name).map(String::as_str)) {
        (Value::Object(fields), None) => {
            for (field, value) in fields {
                check(&if name.is_empty() { field.clone() } else { format!("{name}.{field}") }, value, types);
            }
        }
        (_, None) => panic!("{name} is not in the index template"),
        (Value::String(text), Some("long")) => assert!(text.parse::<i64>().is_ok(), "{name} is no long: {text}"),
        (Value::String(text), Some("ip")) => {
            assert!(text.parse::<std::net::IpAddr>().is_ok(), "{name} is no ip: {text}");
        }
        (Value::String(text), Some("date")) => {
            assert!(text.parse::<jiff::Timestamp>().is_ok(), "{name} is no date: {text}");
        }
        _ => {}
    }
}

pub fn template() -> Value {
    serde_json::from_str(&read("compose/elk/elasticsearch/index-template.json")).unwrap()
}

/// Field names, dotted, and their types in the index.
pub fn types() -> BTreeMap<String, String> {
    fn walk(prefix: &str, fields: &Value, found: &mut BTreeMap<String, String>) {
        for (name, field) in fields["properties"].as_object().into_iter().flatten() {
            let name = format!("{prefix}{name}");
            walk(&format!("{name}."), field, found);
            if let Some(kind) = field["type"].as_str() {
                found.insert(name, kind.to_owned());
            }
        }
    }
    let mut found = BTreeMap::new();
    walk("", &template()["template"]["mappings"], &mut found);
    found
}
