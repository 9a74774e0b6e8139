//! The JSON Schema and the parser know the same keys.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// Every path of keys in the schema; list entries and free keys are `*`.
fn paths(schema: &Value, at: &str, found: &mut Vec<String>) {
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{at}/{name}");
        found.push(path.clone());
        paths(property, &path, found);
    }
    if schema["items"].is_object() {
        paths(&schema["items"], &format!("{at}/*"), found);
    }
    for option in schema["anyOf"].as_array().into_iter().flatten() {
        paths(option, at, found);
    }
}

/// A document whose only value, of a type nothing takes, stands at `path`.
fn document_at(path: &str) -> String {
    let mut document = json!([[["wrong"]]]);
    for key in path.split('/').skip(1).collect::<Vec<_>>().into_iter().rev() {
        document = if key == "*" { json!([document]) } else { json!({ key: document }) };
    }
    document.to_string()
}

fn errors_of(text: &str) -> String {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("hmonitor.yml");
    std::fs::write(&path, text).unwrap();
    rtmp_hmonitor::config::load(&path, &BTreeMap::new()).map(|_| String::new()).unwrap_or_else(|e| e.to_string())
}

#[test]
fn every_key_of_the_schema_is_known_to_the_parser() {
    let mut found = Vec::new();
    paths(&rtmp_hmonitor::config::schema(), "", &mut found);
    assert!(found.len() > 150, "{found:?}");
    for path in found {
        let errors = errors_of(&document_at(&path));
        assert!(!errors.contains("unknown key"), "{path}: {errors}");
        let key = path.rsplit('/').next().unwrap();
        assert!(errors.contains(&key.to_string()), "{path} was not looked at: {errors}");
    }
}

/// Whether the schema allows the keys of `value`, and the types of its lists and mappings.
fn check(value: &Value, schema: &Value, at: &str) -> Result<(), String> {
    if let Some(options) = schema["anyOf"].as_array() {
        let results: Vec<_> = options.iter().map(|o| check(value, o, at)).collect();
        return results.iter().find(|r| r.is_ok()).cloned().unwrap_or_else(|| results[0].clone());
    }
    if let Some(words) = schema["enum"].as_array() {
        return words.contains(value).then_some(()).ok_or(format!("{at}: {value} is none of {words:?}"));
    }
    let types: Vec<_> = match &schema["type"] {
        Value::Array(types) => types.iter().filter_map(Value::as_str).collect(),
        one => one.as_str().into_iter().collect(),
    };
    let actual = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(n) if n.is_i64() && types.contains(&"integer") => "integer",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    if !types.contains(&actual) {
        return Err(format!("{at}: {actual} is none of {types:?}"));
    }
    for (index, item) in value.as_array().into_iter().flatten().enumerate() {
        check(item, &schema["items"], &format!("{at}[{index}]"))?;
    }
    for (key, entry) in value.as_object().into_iter().flatten() {
        let property = match (&schema["properties"][key], &schema["additionalProperties"]) {
            (Value::Null, Value::Bool(false)) => return Err(format!("{at}.{key} is not in the schema")),
            (Value::Null, free) => free,
            (property, _) => property,
        };
        check(entry, property, &format!("{at}.{key}"))?;
    }
    for needed in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if value.get(needed).is_none() {
            return Err(format!("{at}.{needed} is required"));
        }
    }
    Ok(())
}

fn yaml(name: &str) -> Value {
    fn json(yaml: yaml_rust2::Yaml) -> Value {
        use yaml_rust2::Yaml;
        match yaml {
            Yaml::Real(text) => text.parse::<f64>().unwrap().into(),
            Yaml::Integer(n) => n.into(),
            Yaml::String(text) => text.into(),
            Yaml::Boolean(b) => b.into(),
            Yaml::Array(items) => items.into_iter().map(json).collect(),
            Yaml::Hash(entries) => entries
                .into_iter()
                .map(|(k, v)| (k.into_string().unwrap(), json(v)))
                .collect::<serde_json::Map<_, _>>()
                .into(),
            _ => Value::Null,
        }
    }
    let path = format!("{}/tests/config/{name}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).unwrap();
    json(yaml_rust2::YamlLoader::load_from_str(&text).unwrap().remove(0))
}

#[test]
fn the_schema_accepts_the_valid_files_and_refuses_unknown_keys() {
    let schema = rtmp_hmonitor::config::schema();
    for name in ["valid-minimal.yml", "valid-empty.yml", "valid-full.yml"] {
        assert_eq!(check(&yaml(name), &schema, ""), Ok(()), "{name}");
    }
    for name in ["invalid-unknown-key.yml", "invalid-many.yml", "invalid-not-a-mapping.yml"] {
        assert!(check(&yaml(name), &schema, "").is_err(), "{name}");
    }
}

/// The example is the reference that people copy from: it leaves no key out, save alternatives to one it has.
#[test]
fn the_full_example_uses_every_key_once_at_least() {
    let mut found = Vec::new();
    paths(&rtmp_hmonitor::config::schema(), "", &mut found);
    let text = std::fs::read_to_string(format!("{}/tests/config/valid-full.yml", env!("CARGO_MANIFEST_DIR"))).unwrap();
    for path in found {
        let key = path.rsplit('/').next().unwrap();
        assert!(text.contains(&format!("{key}:")), "{path} is not in the example");
    }
}

#[test]
fn every_key_is_documented() {
    fn walk(schema: &Value, at: &str) {
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            let doc = property["description"].as_str().unwrap_or_default();
            assert!(doc.len() > 5 && doc.ends_with('.'), "{at}.{name}: {doc:?}");
            walk(property, &format!("{at}.{name}"));
        }
    }
    walk(&rtmp_hmonitor::config::schema(), "");
}

#[test]
fn a_default_in_the_documentation_is_the_one_in_force() {
    let schema = rtmp_hmonitor::config::schema();
    let doc = |path: &str| {
        let found = path.split('.').fold(&schema, |at, key| &at["properties"][key]);
        found["description"].as_str().unwrap_or_default().to_owned()
    };
    let supervisor = rtmp_hmonitor::config::SupervisorSpec::default();
    let connects = format!("Default {}.", supervisor.connects_per_second_per_origin);
    for (path, ending) in [
        ("supervisor.connects_per_second_per_origin", connects.as_str()),
        ("supervisor.backoff_max", "Default 5s."),
        ("server.limits.body", "Default 262144."),
        ("server.limits.probes", "Default 8."),
        ("defaults.connect_timeout", "Default 5s."),
        ("defaults.fall", "Default 0s."),
        ("defaults.flapping.window", "Default 10m."),
        ("shutdown_timeout", "Default 10s."),
    ] {
        assert!(doc(path).ends_with(ending), "{path}: {:?}", doc(path));
    }
}
