//! Documents → value trees: the file merged with the environment, target lists, and definitions that come as JSON.

use std::collections::BTreeMap;
use std::path::Path;

use config::{Source, Value, ValueKind};

use super::environment;
use super::error::{ConfigError, ConfigErrors, Place};
use super::reader::read_bounded;
use super::yaml::{self, Fault};

/// Largest accepted target list in bytes: ten thousand targets with generous labels.
pub const MAX_LIST: usize = 4 * 1024 * 1024;

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
        // Half-written files look like this; reading one as "watch nothing" would end all watching in silence.
        ValueKind::Nil => return Err(whole("the file is empty; write streams: [] to watch nothing".into())),
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
    // Laid over one by one and not through the crate's builder, which would read dots in the file's own keys as paths and lose the lines
    // of its mappings. The crate's own message might quote a value.
    for one in overrides {
        one.collect_to(&mut document).map_err(|_| whole(format!("cannot apply {}", one.name())))?;
    }
    Ok(document)
}

/// A target list: JSON, or YAML.
pub(super) fn parse_list(source: &str, bytes: &[u8]) -> Result<Value, ConfigErrors> {
    let fault =
        |line, message: &str| errors(source, vec![Fault { line, path: String::new(), message: message.into() }]);
    if bytes.len() > MAX_LIST {
        return Err(fault(None, "the list is larger than 4 MiB"));
    }
    // JSON first: YAML parsers trip over some of its escapes.
    let list = match serde_json::from_slice(bytes) {
        Ok(json) => from_json(json),
        Err(_) => {
            let text = std::str::from_utf8(bytes).map_err(|_| fault(None, "the list is not UTF-8"))?;
            yaml::parse(text).map_err(|faults| errors(source, faults))?
        }
    };
    match list.kind {
        ValueKind::Nil => Err(fault(None, "the list is empty; write [] for no targets")),
        _ => Ok(list),
    }
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
