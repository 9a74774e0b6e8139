//! `endpoints:`, `services:` and templates of endpoints → target specs.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::check::check;
use super::error::Place;
use super::labels::labels;
use super::names;
use super::node::{Kind, Node};
use super::origins::Origins;
use super::reader::Reader;
use super::recipe::{name_message, written_or};
use super::target_keys::{ENDPOINT_BODY, ENDPOINT_KINDS, SERVICE_KINDS};
use super::thresholds::thresholds;
use super::timing::Timing;
use super::{policy, schedule};
use crate::model::spec::{Labels, UnknownAnswer};
use crate::model::target::{Check, CheckKind, CheckSpec, ReplicaRole, TargetClass, TargetId, TargetPolicy, TargetSpec};
use crate::model::{Name, StreamUrl};

/// Most endpoints and services of one configuration.
const MAX_TARGETS: usize = 10_000;

/// Stands for the name where a template names nothing, so that its body is checked all the same.
const STAND_IN: &str = "name";

/// Endpoints and services found so far.
#[derive(Default)]
pub(super) struct Targets {
    /// Sorted by id.
    pub found: Vec<TargetSpec>,
    /// Who has which name; also those that something is wrong with.
    places: BTreeMap<TargetId, Arc<Place>>,
    pub origins: Origins,
}

impl Targets {
    pub fn read(reader: &mut Reader<'_>, root: &Node) -> Self {
        let mut targets = Self::default();
        for (key, class) in [("endpoints", TargetClass::Endpoint), ("services", TargetClass::Service)] {
            for entry in root.items(key) {
                if let (Some(name), Some(written)) = (entry.text("name"), entry.get("name")) {
                    targets.add(reader, class, &name, &written.place, entry);
                } else {
                    judge(reader, class, entry);
                }
            }
        }
        for entry in root.items("templates") {
            if let Some(body) = entry.get("endpoint") {
                targets.expand(reader, entry, body);
            }
        }
        if targets.found.len() > MAX_TARGETS {
            reader.error(&root.place, too_many());
        }
        targets.found.sort_by(|a, b| a.id.cmp(&b.id));
        targets
    }

    /// Whether something of this class is written under this name.
    pub fn has(&self, class: TargetClass, name: &str) -> bool {
        Name::new(name).is_ok_and(|name| self.places.contains_key(&TargetId { class, name }))
    }

    pub fn names(&self, class: TargetClass) -> impl Iterator<Item = &str> + Clone {
        self.places.keys().filter(move |id| id.class == class).map(|id| id.name.as_str())
    }

    /// Where canaries are published.
    pub fn canaries(&self) -> Vec<StreamUrl> {
        let url = |target: &TargetSpec| match &target.check.check {
            Check::Canary(canary) => Some(canary.url.clone()),
            _ => None,
        };
        self.found.iter().filter_map(url).collect()
    }

    fn expand(&mut self, reader: &mut Reader<'_>, entry: &Node, body: &Node) {
        if let Kind::Table(entries) = &entry.kind {
            for (key, node) in entries {
                match key.as_str() {
                    "names" | "name" | "endpoint" => {}
                    "url" => reader.error(&node.place, "give url or endpoint, not both"),
                    _ => {
                        reader.error(&node.place, "this key goes with url only; an endpoint has its own under endpoint")
                    }
                }
            }
        }
        let pattern = written_or(entry, "name", "name");
        let names = names::of_template(reader, entry, MAX_TARGETS.saturating_sub(self.found.len()), too_many);
        if names.is_empty() {
            let body = reader.with_name(body, &ENDPOINT_BODY, STAND_IN);
            judge(reader, TargetClass::Endpoint, &body);
        }
        for variable in &names {
            let body = reader.with_name(body, &ENDPOINT_BODY, variable);
            let name = pattern.as_ref().and_then(|p| p.fill(&|_| Some(variable.as_str()), &mut reader.errors));
            match name {
                Some((name, place)) => self.add(reader, TargetClass::Endpoint, &name, place, &body),
                None => {
                    judge(reader, TargetClass::Endpoint, &body);
                }
            }
        }
    }

    fn add(&mut self, reader: &mut Reader<'_>, class: TargetClass, name: &str, place: &Place, entry: &Node) {
        let judged = judge(reader, class, entry);
        let name = match Name::new(name) {
            Ok(name) => name,
            Err(error) => return reader.error(place, name_message(&error)),
        };
        let id = TargetId { class, name };
        if let Some(first) = self.places.get(&id) {
            return reader.error(place, format!("the name {} is used already, at {first}", id.name));
        }
        self.places.insert(id.clone(), Arc::new(place.clone()));
        let servers = CheckKind::RtmpServer.as_str();
        if class == TargetClass::Service && entry.get(servers).is_some() {
            self.origins.add_service(&id.name);
        }
        let Some((check, policy, labels)) = judged else { return };
        if let Check::RtmpServer(server) = &check.check
            && let Some(origin) = &server.origin
            && let Err(first) = self.origins.add_origin(&id.name, origin.clone())
        {
            let written = entry.get(servers).and_then(|body| body.get("origin")).unwrap_or(entry);
            reader.error(&written.place, format!("the service {first} has this origin already"));
        }
        self.found.push(TargetSpec { id, check: Arc::new(check), policy: Arc::new(policy), labels });
    }
}

/// Everything of an entry but its name.
fn judge(reader: &mut Reader<'_>, class: TargetClass, entry: &Node) -> Option<(CheckSpec, TargetPolicy, Labels)> {
    let labels = labels(reader, entry, "labels");
    let keys = match class {
        TargetClass::Endpoint => ENDPOINT_KINDS,
        TargetClass::Service => SERVICE_KINDS,
    };
    let kinds: Vec<_> = keys.iter().map(|key| key.name).collect();
    let (key, body) = reader.exactly_one(entry, &kinds)?;
    let kind = CheckKind::from_text(key)?;
    let Timing { interval, timeout, down_after } = Timing::read(reader, body, kind);
    let check = check(reader, kind, body, interval);
    let expect = thresholds(reader, entry, kind, check.as_ref());
    let unknown = match (entry.get("unknown"), expect.role) {
        // Two stores that both might be the primary are worse than none: whoever asks would write to both.
        (None, Some(ReplicaRole::Primary)) => UnknownAnswer::Fail,
        _ => policy::unknown(entry),
    };
    let policy = TargetPolicy {
        rise: entry.duration("rise").unwrap_or(TargetPolicy::default().rise),
        fall: entry.duration("fall").unwrap_or(TargetPolicy::default().fall),
        flapping: policy::flapping(entry),
        schedule: schedule::schedule(reader, entry),
        degraded: policy::degraded(entry),
        unknown,
        expect,
    };
    Some((CheckSpec { interval, timeout, down_after, check: check? }, policy, labels))
}

fn too_many() -> String {
    format!("more than {MAX_TARGETS} endpoints and services in all")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::spec::StreamPolicy;

    /// One documentation and one reading serve both.
    #[test]
    fn targets_and_streams_have_the_same_defaults() {
        let (target, stream) = (TargetPolicy::default(), StreamPolicy::default());
        assert_eq!((target.rise, target.fall, target.flapping), (stream.rise, stream.fall, stream.flapping));
        assert_eq!((target.degraded, target.unknown), (stream.degraded, stream.unknown));
    }
}
