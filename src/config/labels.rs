//! Configured labels: which names and values they may have.

use std::collections::BTreeMap;

use super::node::Node;
use super::reader::Reader;
use crate::model::spec::{Labels, RESERVED_LABELS};

pub(super) const MAX_LABELS: usize = 32;
const MAX_LABEL_VALUE: usize = 256;

/// The mapping at `key`.
pub(super) fn labels(reader: &mut Reader<'_>, node: &Node, key: &str) -> Labels {
    let mut labels = BTreeMap::new();
    for (name, value) in node.entries(key) {
        let Some(text) = value.plain() else { continue };
        for checked in [check_label(name), check_value(&text)] {
            if let Err(message) = checked {
                reader.error(&value.place, message);
            }
        }
        labels.insert(name.as_str(), text);
    }
    if let (true, Some(written)) = (labels.len() > MAX_LABELS, node.get(key)) {
        reader.error(&written.place, format!("at most {MAX_LABELS} labels are allowed"));
    }
    Labels(labels.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
}

/// Whether a configured label may have this name (Prometheus data model, "Metric names and labels").
pub(super) fn check_label(name: &str) -> Result<(), String> {
    let first = name.bytes().next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
    if !first || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') || name.len() > 64 {
        return Err("a label's name has letters, digits and _ and does not start with a digit".into());
    }
    if name.starts_with("__") {
        return Err("label names that start with __ are reserved".into());
    }
    if RESERVED_LABELS.contains(&name) {
        return Err(format!("this label is reserved; reserved are {}", RESERVED_LABELS.join(", ")));
    }
    Ok(())
}

pub(super) fn check_value(value: &str) -> Result<(), String> {
    if value.len() > MAX_LABEL_VALUE || value.chars().any(char::is_control) {
        return Err(format!("a label may have at most {MAX_LABEL_VALUE} bytes and no control characters"));
    }
    Ok(())
}
