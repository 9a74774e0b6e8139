//! Overrides by environment: `HMONITOR__SERVER__LISTEN=127.0.0.1:9935`, `HMONITOR__STREAMS__0__URL=rtmp://…`.
//!
//! Each part between double underscores is a key in lower case, or an index into a list. An index may change an entry or append the
//! next one. Values are read as if they stood in the file.

use std::collections::BTreeMap;

use config::{Map, Source, Value, ValueKind};

/// What the names of overriding variables start with.
pub const PREFIX: &str = "HMONITOR__";

const MAX_INDEX: usize = 9_999;

/// One override; a source of its own, so that the order is fixed.
#[derive(Clone)]
pub(super) struct Override {
    /// In the `config` crate's path grammar: `streams[0].url`.
    path: String,
    value: Value,
}

impl Override {
    /// The variable.
    pub fn name(&self) -> &str {
        self.value.origin().unwrap_or_default()
    }
}

impl std::fmt::Debug for Override {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Override({})", self.path)
    }
}

impl Source for Override {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, config::ConfigError> {
        Ok(Map::from([(self.path.clone(), self.value.clone())]))
    }
}

/// The overrides in `env`, ordered by name, and the names that are none.
pub(super) fn overrides(env: &BTreeMap<String, String>) -> (Vec<Override>, Vec<&str>) {
    let mut found = Vec::new();
    let mut refused = Vec::new();
    for (name, value) in env {
        let Some(keys) = name.strip_prefix(PREFIX) else { continue };
        match path(keys) {
            Some(path) => {
                found.push(Override { path, value: Value::new(Some(name), ValueKind::String(value.clone())) })
            }
            None => refused.push(name.as_str()),
        }
    }
    (found, refused)
}

fn path(keys: &str) -> Option<String> {
    let mut path = String::new();
    for key in keys.to_ascii_lowercase().split("__") {
        let word = !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
        if !word {
            return None;
        }
        if !path.is_empty() && key.bytes().all(|b| b.is_ascii_digit()) {
            let index = key.parse().ok().filter(|i: &usize| *i <= MAX_INDEX)?;
            path.push_str(&format!("[{index}]"));
        } else {
            if !path.is_empty() {
                path.push('.');
            }
            path.push_str(key);
        }
    }
    Some(path)
}

/// The process's environment; variables that are not UTF-8 are left out.
pub fn process_environment() -> BTreeMap<String, String> {
    std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_paths() {
        for (keys, expected) in [
            ("SERVER__LISTEN", Some("server.listen")),
            ("STREAMS__0__URL", Some("streams[0].url")),
            ("DEFAULTS__STALL_TIMEOUT", Some("defaults.stall_timeout")),
            ("STREAMS__99999999__URL", None),
            ("SERVER____LISTEN", None),
            ("", None),
            ("A B", None),
        ] {
            assert_eq!(path(keys).as_deref(), expected, "{keys}");
        }
    }
}
