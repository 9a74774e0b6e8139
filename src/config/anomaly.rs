//! `anomaly:`: whether figures that are unusual for a stream are told, and how soon.

use super::node::{Kind, Node};
use super::shape::Shape::{Choice, Either, Table};
use super::shape::{FLAG, Key, key, words};
use crate::model::StreamPolicy;
use crate::model::anomaly::Sensitivity;

pub(super) const ANOMALY: &[Key] = &[key(
    "anomaly",
    Either(FLAG, &Table(&[KEYS])),
    "Hints about figures that are unusual for this stream at this time of day; false, or a mapping. No failover and no health answer depends on them. Default true.",
)];

const KEYS: &[Key] =
    &[key("sensitivity", Choice(words!(Sensitivity)), "How far from the usual counts: high tells of less.")
        .or(|| Sensitivity::Normal.to_string())];

/// `None`: no hints.
pub(super) fn sensitivity(node: &Node) -> Option<Sensitivity> {
    let default = StreamPolicy::default().anomaly;
    let Some(written) = node.get("anomaly") else { return default };
    match &written.kind {
        Kind::Table(_) => written.text("sensitivity").and_then(|text| Sensitivity::from_text(&text)).or(default),
        _ => default.filter(|_| written.plain().as_deref() != Some("false")),
    }
}
