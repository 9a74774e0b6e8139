//! Names of streams, endpoints, services and paths. They are metric labels, URL path segments and log fields.

use std::fmt;
use std::sync::Arc;

/// Longest accepted name in bytes.
pub const MAX_NAME: usize = 128;

/// The name of one monitored thing. Cheap to clone.
///
/// Letters, digits and `. _ - ~ : @ +`, starting with a letter, a digit or `_`; at most 128 bytes. So it needs no escaping in a label
/// value or a URL path.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Arc<str>);

/// Why a text is no name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NameError {
    Empty,
    TooLong(usize),
    /// The first character that may not stand where it stands.
    Character(char),
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("a name may not be empty"),
            Self::TooLong(len) => write!(f, "a name may have at most {MAX_NAME} bytes, this one has {len}"),
            Self::Character(c) => write!(
                f,
                "a name may have letters, digits and . _ - ~ : @ + and starts with a letter, a digit or _; found {c:?}"
            ),
        }
    }
}

impl std::error::Error for NameError {}

impl Name {
    /// Validates `text`.
    pub fn new(text: &str) -> Result<Self, NameError> {
        let first = text.chars().next().ok_or(NameError::Empty)?;
        if text.len() > MAX_NAME {
            return Err(NameError::TooLong(text.len()));
        }
        if !(first.is_ascii_alphanumeric() || first == '_') {
            return Err(NameError::Character(first));
        }
        match text.chars().find(|c| !(c.is_ascii_alphanumeric() || "._-~:@+".contains(*c))) {
            Some(c) => Err(NameError::Character(c)),
            None => Ok(Self(text.into())),
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::borrow::Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}
