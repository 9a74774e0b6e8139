//! Documents → value trees: the file merged with the environment, target lists, and definitions that come as JSON.

use std::collections::BTreeMap;
use std::path::Path;

use config::{Map, Source, Value, ValueKind};

use super::environment;
use super::error::{ConfigError, ConfigErrors, Place};
use super::reader::read_bounded;
use super::yaml::{self, Fault};

/// The configuration file as a source of the `config` crate. `Debug` shows nothing of it.
#[derive(Clone)]
struct Document(Value);

impl std::fmt::Debug for Document {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Document")
    }
}

impl Source for Document {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, config::ConfigError> {
        match &self.0.kind {
            ValueKind::Table(entries) => Ok(entries.clone()),
            _ => Ok(Map::new()),
        }
    }

    /// The file is the lowest layer, so it replaces: merging would read dots in its keys as paths and lose the lines of its mappings.
    fn collect_to(&self, cache: &mut Value) -> Result<(), config::ConfigError> {
        *cache = self.0.clone();
        Ok(())
    }
}

/// The file with the environment's overrides on top. `source` names the file in errors.
pub(super) fn load(path: &Path, source: &str, env: &BTreeMap<String, String>) -> Result<Value, ConfigErrors> {
    let whole = |message: String| {
        let place = Place { source: source.into(), line: None, path: "".into() };
        ConfigErrors(vec![ConfigError { place, message }])
    };
    let text = read_bounded(path, yaml::MAX_BYTES as u64).map_err(|e| whole(format!("cannot read the file: {e}")))?;
    let mut document = yaml::parse(&text).map_err(|faults| errors(source, faults))?;
    match document.kind {
        ValueKind::Table(_) => {}
        ValueKind::Nil => document.kind = ValueKind::Table(Map::new()),
        _ => return Err(whole("expected a mapping with keys such as streams".into())),
    }
    let (overrides, refused) = environment::overrides(env);
    let refused: Vec<_> = refused
        .into_iter()
        .map(|name| {
            let place = Place { source: name.into(), line: None, path: "".into() };
            ConfigError { place, message: "expected keys and indexes between double underscores".into() }
        })
        .collect();
    ConfigErrors::unless_empty((), refused)?;
    let mut builder = config::Config::builder().add_source(Document(document));
    for one in overrides {
        builder = builder.add_source(one);
    }
    // The sources above cannot fail, and the crate's own message might quote a value.
    builder.build().map(|merged| merged.cache).map_err(|_| whole("cannot merge file and environment".into()))
}

/// A target list: JSON, or YAML.
pub(super) fn parse_list(source: &str, bytes: &[u8]) -> Result<Value, ConfigErrors> {
    let fault =
        |line, message: &str| errors(source, vec![Fault { line, path: String::new(), message: message.into() }]);
    if bytes.len() > yaml::MAX_BYTES {
        return Err(fault(None, "the list is larger than 16 MiB"));
    }
    // JSON first: YAML parsers trip over some of its escapes.
    if let Ok(json) = serde_json::from_slice(bytes) {
        return Ok(from_json(json));
    }
    let text = std::str::from_utf8(bytes).map_err(|_| fault(None, "the list is not UTF-8"))?;
    yaml::parse(text).map_err(|faults| errors(source, faults))
}

/// JSON as a tree. Scalars become text, as in YAML. The depth is bounded by `serde_json`'s own limit.
pub(super) fn from_json(json: serde_json::Value) -> Value {
    use serde_json::Value as Json;
    let kind = match json {
        Json::Null => ValueKind::Nil,
        Json::Bool(b) => ValueKind::String(b.to_string()),
        Json::Number(n) => ValueKind::String(n.to_string()),
        Json::String(text) => ValueKind::String(text),
        Json::Array(items) => ValueKind::Array(items.into_iter().map(from_json).collect()),
        Json::Object(entries) => {
            ValueKind::Table(entries.into_iter().map(|(key, value)| (key, from_json(value))).collect())
        }
    };
    Value::new(None, kind)
}

fn errors(source: &str, faults: Vec<Fault>) -> ConfigErrors {
    let error = |f: Fault| {
        let place = Place { source: source.into(), line: f.line, path: f.path.into() };
        ConfigError { place, message: f.message }
    };
    ConfigErrors(faults.into_iter().map(error).collect())
}
