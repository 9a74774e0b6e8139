//! What may stand where: one table of keys that the reader checks against and the JSON Schema is made from, so they cannot disagree.

use std::time::Duration;

use config::ValueKind;
use serde_json::{Map, Value, json};

/// One key of a mapping.
pub(super) struct Key {
    pub name: &'static str,
    pub shape: Shape,
    pub required: bool,
    pub doc: &'static str,
    /// What a missing key means, where that is one value: told by the one place that knows, so the documentation cannot disagree.
    pub default: Option<fn() -> String>,
}

/// What a value looks like. Bounds are inclusive.
pub(super) enum Shape {
    Text,
    /// Text in which `{variable}` is replaced later.
    Pattern(&'static [&'static str]),
    /// A path; relative ones start at the configuration file's directory.
    Path,
    Duration(Duration, Duration),
    BitRate,
    Count(u64, u64),
    Number(f64, f64),
    /// A part of a whole, 0 to 1, also written `5%`.
    Share,
    Choice(&'static [&'static str]),
    /// IP address and port.
    Address,
    /// How many members must be well.
    Quorum,
    List(&'static Shape),
    /// Keys, in groups that several mappings share.
    Table(&'static [&'static [Key]]),
    /// Free keys.
    Map(&'static Shape),
    /// One of these words, or the other shape.
    Either(&'static [&'static str], &'static Shape),
    /// The first of these that is a mapping, a list or a scalar, as what is written.
    OneOf(&'static [Shape]),
    /// Kept as written, to be read as this shape once for each name that `{name}` stands for.
    Deferred(&'static Shape),
}

/// What [`Shape::Choice`] takes for yes and no.
pub(super) const FLAG: &[&str] = &["true", "false"];

/// The texts of a closed enum, for [`Shape::Choice`].
macro_rules! words {
    ($closed:ty) => {{
        const WORDS: [&str; <$closed>::ALL.len()] = {
            let mut words = [""; <$closed>::ALL.len()];
            let mut at = 0;
            while at < words.len() {
                words[at] = <$closed>::ALL[at].as_str();
                at += 1;
            }
            words
        };
        &WORDS
    }};
}
pub(super) use words;

pub(super) const fn key(name: &'static str, shape: Shape, doc: &'static str) -> Key {
    Key { name, shape, required: false, doc, default: None }
}

pub(super) const fn required(name: &'static str, shape: Shape, doc: &'static str) -> Key {
    Key { name, shape, required: true, doc, default: None }
}

impl Key {
    pub const fn or(self, default: fn() -> String) -> Self {
        Self { default: Some(default), ..self }
    }

    fn description(&self) -> String {
        self.default.map_or_else(|| self.doc.to_owned(), |default| format!("{} Default {}.", self.doc, default()))
    }
}

impl Shape {
    /// What is expected, for an error message.
    pub fn expected(&self) -> String {
        match self {
            Self::Text | Self::Pattern(_) => "a text".into(),
            Self::Path => "a file path".into(),
            Self::Duration(min, max) => format!(
                "a duration from {} to {} such as 500ms, 2s or 1h 30m",
                humantime::format_duration(*min),
                humantime::format_duration(*max)
            ),
            Self::BitRate => "a bit rate above 0 such as 800kbps or 4Mbps".into(),
            Self::Count(min, max) => format!("a whole number from {min} to {max}"),
            Self::Number(min, max) => format!("a number from {min} to {max}"),
            Self::Share => "a share from 0 to 1 such as 5% or 0.05".into(),
            Self::Choice(words) => format!("one of {}", words.join(", ")),
            Self::Address => "an IP address and port such as 0.0.0.0:9935 or [::]:9935".into(),
            Self::Quorum => "all, any, a count such as 2, or a share such as 50%".into(),
            Self::List(_) => "a list".into(),
            Self::Table(groups) => format!("a mapping with keys of {}", key_names(groups).join(", ")),
            Self::Map(_) => "a mapping of names to texts".into(),
            Self::Either(words, other) => format!("{} or {}", words.join(", "), other.expected()),
            Self::OneOf(shapes) => shapes.iter().map(Self::expected).collect::<Vec<_>>().join(", or "),
            Self::Deferred(shape) => shape.expected(),
        }
    }

    /// Whether a value of this kind is meant for this shape rather than for another.
    pub fn takes(&self, kind: &ValueKind) -> bool {
        match self {
            Self::Table(_) | Self::Map(_) => matches!(kind, ValueKind::Table(_)),
            Self::List(_) => matches!(kind, ValueKind::Array(_)),
            _ => !matches!(kind, ValueKind::Table(_) | ValueKind::Array(_)),
        }
    }

    /// JSON Schema (draft 2020-12) of this shape.
    pub fn schema(&self) -> Value {
        match self {
            // Scalars are read as text, so a label `rack: 12` needs no quotes.
            Self::Text | Self::Pattern(_) => json!({ "type": ["string", "number", "boolean"] }),
            Self::Path => json!({ "type": "string" }),
            Self::Duration(..) => {
                json!({ "type": "string", "description": self.expected(), "examples": ["500ms", "2s"] })
            }
            Self::BitRate => json!({ "type": "string", "description": self.expected(), "examples": ["800kbps"] }),
            Self::Count(min, max) => or_reference(json!({ "type": "integer", "minimum": min, "maximum": max })),
            Self::Number(min, max) => or_reference(json!({ "type": "number", "minimum": min, "maximum": max })),
            Self::Share => {
                let number = json!({ "type": "number", "minimum": 0, "maximum": 1 });
                json!({ "anyOf": [number, { "type": "string", "description": self.expected() }] })
            }
            Self::Choice(words) => or_reference(one_of(words)),
            Self::Address => json!({ "type": "string", "description": self.expected() }),
            Self::Quorum => json!({ "type": ["string", "integer"], "description": self.expected() }),
            Self::OneOf(shapes) => json!({ "anyOf": shapes.iter().map(Self::schema).collect::<Vec<_>>() }),
            Self::List(item) => json!({ "type": ["array", "null"], "items": item.schema() }),
            Self::Map(value) => json!({ "type": ["object", "null"], "additionalProperties": value.schema() }),
            Self::Either(words, other) => json!({ "anyOf": [one_of(words), other.schema()] }),
            Self::Deferred(shape) => shape.schema(),
            Self::Table(groups) => {
                let mut properties = Map::new();
                for key in groups.iter().copied().flatten() {
                    let mut schema = key.shape.schema();
                    if let Value::Object(fields) = &mut schema {
                        fields.insert("description".into(), key.description().into());
                    }
                    properties.insert(key.name.into(), schema);
                }
                let needed: Vec<_> = groups.iter().copied().flatten().filter(|k| k.required).map(|k| k.name).collect();
                let mut schema =
                    json!({ "type": ["object", "null"], "properties": properties, "additionalProperties": false });
                if let (Value::Object(fields), false) = (&mut schema, needed.is_empty()) {
                    fields.insert("required".into(), json!(needed));
                }
                schema
            }
        }
    }
}

/// Editors take an unquoted `true` for what it is.
fn one_of(words: &[&str]) -> Value {
    let values = words.iter().map(|word| if FLAG.contains(word) { json!(*word == "true") } else { json!(word) });
    json!({ "enum": values.collect::<Vec<_>>() })
}

/// Anything may also be written as a reference to the environment.
fn or_reference(schema: Value) -> Value {
    json!({ "anyOf": [schema, { "type": "string", "pattern": "^\\$\\{[A-Za-z0-9_]+\\}$" }] })
}

/// Key names in the order they are documented.
pub(super) fn key_names(groups: &[&[Key]]) -> Vec<&'static str> {
    groups.iter().copied().flatten().map(|k| k.name).collect()
}
