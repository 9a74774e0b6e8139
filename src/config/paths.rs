//! `paths:` → path specs, with every hop known.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::error::Place;
use super::labels::labels;
use super::node::{Kind, Node};
use super::reader::Reader;
use super::recipe::name_message;
use super::reference::dangling;
use super::streams::Streams;
use super::target_keys::HOP;
use super::targets::Targets;
use crate::model::path::{Carries, Hop, HopClass};
use crate::model::target::TargetClass;
use crate::model::{Name, PathSpec};

const SETTLE: Duration = Duration::from_secs(5);
/// Most hops of a path: a chain that people can follow.
const MAX_HOPS: usize = 64;
const MAX_PATHS: usize = 10_000;

/// What paths and groups may name.
pub(super) struct Known<'k> {
    pub streams: &'k Streams,
    pub targets: &'k Targets,
    /// Streams come from elsewhere, too, so that their names cannot be checked.
    pub discovers: bool,
}

impl Known<'_> {
    /// The name of a stream, endpoint or service that is written; one that there is not is reported.
    pub fn reference(&self, reader: &mut Reader<'_>, class: &str, written: &Node) -> Option<Name> {
        let text = written.plain()?;
        let text = text.trim();
        match TargetClass::from_text(class) {
            Some(class) => {
                if !self.targets.has(class, text) {
                    dangling(reader, written, class.as_str(), self.targets.names(class));
                }
            }
            None if self.discovers || self.streams.names.contains(text) => {}
            None => dangling(reader, written, HopClass::Stream.as_str(), self.streams.names.iter().map(String::as_str)),
        }
        Name::new(text).ok()
    }
}

/// The paths, sorted by name.
pub(super) fn paths(reader: &mut Reader<'_>, root: &Node, known: &Known<'_>) -> Vec<PathSpec> {
    let mut places: HashMap<Name, Arc<Place>> = HashMap::new();
    let mut paths = Vec::new();
    for entry in root.items("paths").iter().filter(|entry| entry.kind != Kind::Invalid) {
        let hops = hops(reader, entry, known);
        let carries = carries(reader, entry, &hops, known);
        let labels = labels(reader, entry, "labels");
        let (Some(text), Some(written)) = (entry.text("name"), entry.get("name")) else { continue };
        let name = match Name::new(&text) {
            Ok(name) => name,
            Err(error) => {
                reader.error(&written.place, name_message(&error));
                continue;
            }
        };
        if let Some(first) = places.get(&name) {
            reader.error(&written.place, format!("the name {name} is used already, at {first}"));
        }
        places.insert(name.clone(), Arc::clone(&written.place));
        paths.push(PathSpec {
            name,
            hops: hops.into(),
            settle: entry.duration("settle").unwrap_or(SETTLE),
            carries,
            expect_rate: entry.bit_rate("expect_rate"),
            labels,
        });
    }
    if paths.len() > MAX_PATHS {
        reader.error(&root.place, format!("more than {MAX_PATHS} paths"));
    }
    paths.sort_by(|a, b| a.name.cmp(&b.name));
    paths
}

fn hops(reader: &mut Reader<'_>, entry: &Node, known: &Known<'_>) -> Vec<Hop> {
    let classes: Vec<_> = HOP.iter().map(|key| key.name).collect();
    let mut hops: Vec<Hop> = Vec::new();
    for item in entry.items("hops") {
        let Some((key, written)) = reader.exactly_one(item, &classes) else { continue };
        let (Some(class), Some(name)) = (HopClass::from_text(key), known.reference(reader, key, written)) else {
            continue;
        };
        let hop = Hop { class, name };
        if hops.contains(&hop) {
            reader.error(&written.place, "the path has this hop twice");
        }
        hops.push(hop);
    }
    if let Some(written) = entry.get("hops")
        && written.kind != Kind::Invalid
        && !(2..=MAX_HOPS).contains(&written.list().len())
    {
        reader.error(&written.place, format!("a path has 2 to {MAX_HOPS} hops"));
    }
    hops
}

fn carries(reader: &mut Reader<'_>, entry: &Node, hops: &[Hop], known: &Known<'_>) -> Carries {
    let of_hops = || hops.iter().filter(|hop| hop.class == HopClass::Stream).map(|hop| hop.name.clone()).collect();
    let Some(written) = entry.get("carries") else { return Carries::Streams(of_hops()) };
    match reader.exactly_one(written, &["streams", "labels"]) {
        Some(("streams", list)) => {
            let stream = HopClass::Stream.as_str();
            Carries::Streams(list.list().iter().filter_map(|item| known.reference(reader, stream, item)).collect())
        }
        Some((key, node)) => {
            let labels = labels(reader, written, key);
            if labels.0.is_empty() && node.kind != Kind::Invalid {
                reader.error(&node.place, "give at least one label");
            }
            Carries::Labelled(labels)
        }
        None => Carries::Streams(of_hops()),
    }
}
