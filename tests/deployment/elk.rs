//! The logs' pipeline. Logstash cannot be had here: its dissections are followed by their documented rules on lines that nginx and HAProxy have
//! written, and what they give is looked up in the index template.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::compose::{read, root};

/// Fields that `mapping` takes from `line`, as Logstash's dissect filter does: `%{name}` up to the next literal, `%{?name}` skipped, `%{name->}`
/// with its delimiter repeated.
fn dissect(mapping: &str, line: &str) -> Option<BTreeMap<String, String>> {
    let mut found = BTreeMap::new();
    let mut parts = mapping.split("%{");
    let mut rest = line.strip_prefix(parts.next()?)?;
    for part in parts {
        let (name, literal) = part.split_once('}')?;
        let (name, padded) = name.strip_suffix("->").map_or((name, false), |name| (name, true));
        let value = if literal.is_empty() { std::mem::take(&mut rest) } else { rest.split_once(literal)?.0 };
        if !literal.is_empty() {
            rest = &rest[value.len() + literal.len()..];
            while padded && rest.starts_with(literal) {
                rest = &rest[literal.len()..];
            }
        }
        if !name.starts_with('?') {
            found.insert(name.trim_matches(['[', ']']).replace("][", "."), value.to_owned());
        }
    }
    rest.is_empty().then_some(found)
}

/// The dissection of this id in the shipped pipeline.
fn mapping(id: &str) -> String {
    let pipeline = read("compose/elk/logstash/pipeline/rtmp-hmonitor.conf");
    let (_, rest) = pipeline.split_once(&format!("id => \"{id}\"")).unwrap_or_else(|| panic!("no {id}"));
    let (_, rest) = rest.split_once("\"message\" => ").unwrap();
    let quote = rest.chars().next().unwrap();
    rest[1..].split(&format!("{quote} }}")).next().unwrap().to_owned()
}

fn types() -> BTreeMap<String, String> {
    fn walk(prefix: &str, fields: &Value, found: &mut BTreeMap<String, String>) {
        for (name, field) in fields["properties"].as_object().into_iter().flatten() {
            let name = format!("{prefix}{name}");
            walk(&format!("{name}."), field, found);
            if let Some(kind) = field["type"].as_str() {
                found.insert(name, kind.to_owned());
            }
        }
    }
    let template: Value = serde_json::from_str(&read("compose/elk/elasticsearch/index-template.json")).unwrap();
    let mut found = BTreeMap::new();
    walk("", &template["template"]["mappings"], &mut found);
    found
}

/// What a line gives, each field in the index and of its type.
fn taken_apart(id: &str, line: &str) -> BTreeMap<String, String> {
    let found = dissect(&mapping(id), line).unwrap_or_else(|| panic!("{id} does not fit {line:?}"));
    let types = types();
    for (name, value) in found.iter().filter(|(name, _)| !name.starts_with("@metadata")) {
        let kind = types.get(name).unwrap_or_else(|| panic!("{id}: {name} is not in the index template"));
        let fits = match kind.as_str() {
            "long" => value.parse::<i64>().is_ok(),
            "ip" => value.parse::<std::net::IpAddr>().is_ok(),
            _ => true,
        };
        assert!(fits, "{id}: {name} is no {kind}: {value:?}");
    }
    found
}

#[test]
fn lines_of_nginx_and_haproxy_become_documents_of_the_index() {
    // Written by nginx-rtmp 1.2.2, nginx 1.22.1 and HAProxy 2.6.12.
    let line = r#"127.0.0.1 [21/Nov/2026:16:50:03 +0000] PUBLISH "live" "gate-1" "token=abc" - 80838 529 "" "FMLE/3.0 (compatible; Lavf59.27" (4s)"#;
    let found = taken_apart("nginx-rtmp", line);
    assert_eq!(
        (&*found["nginx.rtmp.command"], &*found["nginx.rtmp.name"], &*found["source.bytes"]),
        ("PUBLISH", "gate-1", "80838")
    );
    assert!(!found.values().any(|v| v.contains("abc")), "arguments may hold tokens: {found:?}");

    let line = r#"127.0.0.1 - - [21/Nov/2026:16:50:03 +0000] "GET /stat HTTP/1.1" 200 452 "-" "curl/7.88.1""#;
    assert_eq!(taken_apart("nginx-access", line)["http.response.status_code"], "200");

    let line = "2026/11/21 16:50:05 [notice] 18504#18504: worker process 18506 exited with code 0";
    let found = taken_apart("nginx-error", line);
    assert_eq!((&*found["log.level"], &*found["process.pid"]), ("notice", "18504"));
    assert_eq!(found["message"], "worker process 18506 exited with code 0");

    for day in ["21", " 1"] {
        let line = format!(
            "<134>Nov {day} 16:50:03 haproxy[18595]: 127.0.0.1:38224 [21/Nov/2026:16:49:59.106] rtmp_in slaves/slave-1 1/0/4150 3602 -- 1/1/0/0/0 0/0"
        );
        let found = taken_apart("haproxy-syslog", &line);
        assert_eq!(found["log.syslog.appname"], "haproxy");
        let found = taken_apart("haproxy-tcplog", &found["message"]);
        assert_eq!((&*found["haproxy.server"], &*found["haproxy.time.total"]), ("slave-1", "4150"));
        assert_eq!(found["haproxy.termination_state"], "--");
    }
}

#[test]
fn saved_objects_and_the_alert_look_at_fields_and_indices_that_exist() {
    let types = types();
    let template: Value = serde_json::from_str(&read("compose/elk/elasticsearch/index-template.json")).unwrap();
    let pattern = template["index_patterns"][0].as_str().unwrap();
    let mut ids = Vec::new();
    let objects: Vec<Value> =
        read("compose/elk/kibana/saved-objects.ndjson").lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    for object in &objects {
        ids.push((object["type"].as_str().unwrap(), object["id"].as_str().unwrap()));
        for column in object["attributes"]["columns"].as_array().into_iter().flatten() {
            assert!(types.contains_key(column.as_str().unwrap()), "{}: no field {column}", object["id"]);
        }
        if object["type"] == "index-pattern" {
            assert_eq!(object["attributes"]["title"], pattern);
        }
    }
    for reference in objects.iter().flat_map(|o| o["references"].as_array().unwrap()) {
        let target = (reference["type"].as_str().unwrap(), reference["id"].as_str().unwrap());
        assert!(ids.contains(&target), "{target:?} is not shipped");
    }
    let alert: Value = serde_json::from_str(&read("compose/elk/kibana/alert-errors.json")).unwrap();
    let query: Value = serde_json::from_str(alert["params"]["esQuery"].as_str().unwrap()).unwrap();
    for filter in query["query"]["bool"]["filter"].as_array().unwrap() {
        for field in filter["term"].as_object().unwrap().keys() {
            assert!(types.contains_key(field), "no field {field}");
        }
    }
    let policy: Value = serde_json::from_str(&read("compose/elk/elasticsearch/lifecycle-policy.json")).unwrap();
    assert!(policy["policy"]["phases"]["delete"].is_object(), "logs end some day");
    let setup = read("compose/elk/setup.sh");
    let name = template["template"]["settings"]["index.lifecycle.name"].as_str().unwrap();
    assert!(setup.contains(&format!("_ilm/policy/{name}")), "the template's policy is put in place");
    assert!(root().join("compose/elk/filebeat/filebeat.yml").exists());
}
