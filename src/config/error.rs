//! What is wrong with a configuration, and where.

use std::fmt;
use std::sync::Arc;

/// Where a value was written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// File name, or the environment variable that set the value.
    pub source: Arc<str>,
    pub line: Option<u32>,
    /// Keys and indexes from the root, e.g. `streams[3].url`; empty for the whole document.
    pub path: Arc<str>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.source)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if !self.path.is_empty() {
            write!(f, ": {}", self.path)?;
        }
        Ok(())
    }
}

/// One error, printed as one line: `hmonitor.yml:12: streams[3].url: the URL needs an application…`.
///
/// Messages never quote a value: it may be a secret that was written to the wrong place.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
#[error("{place}: {message}")]
pub struct ConfigError {
    pub place: Place,
    pub message: String,
}

/// Everything that is wrong, ordered by place. Never empty.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
pub struct ConfigErrors(pub Vec<ConfigError>);

impl ConfigErrors {
    /// One line each.
    pub fn lines(&self) -> Vec<String> {
        self.0.iter().map(ToString::to_string).collect()
    }

    /// `Ok(value)` if there are no errors. One fault seen through several streams is one error.
    pub(super) fn unless_empty<T>(value: T, mut errors: Vec<ConfigError>) -> Result<T, Self> {
        if errors.is_empty() {
            return Ok(value);
        }
        errors.sort();
        errors.dedup();
        Err(Self(errors))
    }
}

/// `word` if it is safe and sensible to show: a mistyped key may hold a whole URL.
pub(super) fn shown(word: &str) -> &str {
    let plain = word.len() <= 40 && word.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b));
    if plain && !word.is_empty() { word } else { "(not a plain word)" }
}
