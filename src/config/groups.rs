//! `groups:` and `failovers:` → their specs, with every member known.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use super::candidates::candidate_group;
use super::error::Place;
use super::labels::labels;
use super::node::{Kind, Node};
use super::paths::Known;
use super::policy;
use super::reader::Reader;
use super::recipe::name_message;
use super::reference::dangling;
use crate::model::address::Host;
use crate::model::failover::{Candidate, CandidateAnswer};
use crate::model::group::{Clause, Quorum, Requirement, Selection};
use crate::model::spec::Labels;
use crate::model::target::TargetClass;
use crate::model::{FailoverSpec, GroupSpec, Name};

pub(super) const GROUP_RISE: Duration = Duration::from_secs(5);
pub(super) const SETTLE: Duration = Duration::from_secs(10);
pub(super) const HOLD: Duration = Duration::from_secs(30);
pub(super) const HOLD_MAX: Duration = Duration::from_secs(600);
pub(super) const STREAMS_NEED: Quorum = Quorum::Share(0.5);
const MAX_GROUPS: usize = 10_000;
const MAX_CANDIDATES: usize = 64;
const MAX_VALUE: usize = 1024;

/// The groups, sorted by name.
pub(super) fn groups(reader: &mut Reader<'_>, root: &Node, known: &Known<'_>) -> Vec<GroupSpec> {
    let mut names = Names::default();
    let mut groups = Vec::new();
    for entry in root.items("groups").iter().filter(|entry| entry.kind != Kind::Invalid) {
        let name = names.take(reader, entry);
        let group = GroupSpec {
            address: address(reader, entry),
            eligible_while: requirement(reader, entry, "eligible_while", known),
            serving_while: requirement(reader, entry, "serving_while", known),
            up_while: requirement(reader, entry, "up_while", known),
            rise: entry.duration("rise").unwrap_or(GROUP_RISE),
            fall: entry.duration("fall").unwrap_or_default(),
            unknown: policy::unknown(entry),
            owns_maintenance: entry.flag("owns_maintenance").unwrap_or(false),
            labels: labels(reader, entry, "labels"),
            name: match name {
                Some(name) => name,
                None => continue,
            },
        };
        groups.push(group);
    }
    if groups.len() > MAX_GROUPS {
        reader.error(&root.place, format!("more than {MAX_GROUPS} groups"));
    }
    groups.sort_by(|a, b| a.name.cmp(&b.name));
    groups
}

/// The failovers, sorted by name; and what only shows when groups and failovers are seen together.
pub(super) fn failovers(reader: &mut Reader<'_>, root: &Node, groups: &[GroupSpec]) -> Vec<FailoverSpec> {
    let mut names = Names::default();
    let mut failovers = Vec::new();
    for entry in root.items("failovers").iter().filter(|entry| entry.kind != Kind::Invalid) {
        let candidates = candidates(reader, entry, groups);
        let labels = labels(reader, entry, "labels");
        let (hold, hold_max) = (entry.duration("hold"), entry.duration("hold_max"));
        let hold_max = match (hold, hold_max, entry.get("hold_max")) {
            (hold, Some(max), Some(written)) if hold.unwrap_or(HOLD) > max => {
                reader.error(&written.place, "hold_max is shorter than hold");
                max
            }
            (hold, max, _) => max.unwrap_or(HOLD_MAX).max(hold.unwrap_or(HOLD)),
        };
        let Some(name) = names.take(reader, entry) else { continue };
        failovers.push(FailoverSpec {
            name,
            candidates: candidates.into(),
            settle: entry.duration("settle").unwrap_or(SETTLE),
            hold: hold.unwrap_or(HOLD),
            hold_max,
            preempt: entry.flag("preempt").unwrap_or(false),
            answer: entry
                .text("answer")
                .and_then(|word| CandidateAnswer::from_text(&word))
                .unwrap_or(CandidateAnswer::Active),
            unknown: policy::unknown(entry),
            labels,
        });
    }
    check_roles(reader, root, groups, &failovers);
    failovers.sort_by(|a, b| a.name.cmp(&b.name));
    failovers
}

/// The endpoints that tell whether we see the network.
pub(super) fn vantage(reader: &mut Reader<'_>, root: &Node, known: &Known<'_>) -> Arc<[Name]> {
    let items = root.items("vantage");
    items.iter().filter_map(|item| known.reference(reader, TargetClass::Endpoint.as_str(), item)).collect()
}

fn candidates(reader: &mut Reader<'_>, entry: &Node, groups: &[GroupSpec]) -> Vec<Candidate> {
    let mut candidates: Vec<Candidate> = Vec::new();
    for item in entry.items("candidates") {
        let written = item.get("group").unwrap_or(item);
        let Some(text) = candidate_group(item) else { continue };
        let Some(group) = groups.iter().find(|group| group.name.as_str() == text.trim()) else {
            dangling(reader, written, "group", groups.iter().map(|group| group.name.as_str()));
            continue;
        };
        if candidates.iter().any(|candidate| candidate.group == group.name) {
            reader.error(&written.place, "the failover has this candidate twice");
        }
        let value = item.text("value");
        if value.as_ref().is_some_and(|value| value.len() > MAX_VALUE || value.chars().any(char::is_control)) {
            let place = item.get("value").map_or(&item.place, |value| &value.place);
            reader.error(place, format!("a value may have at most {MAX_VALUE} bytes and no control characters"));
        }
        candidates.push(Candidate { group: group.name.clone(), value: value.map(Arc::from) });
    }
    if let Some(written) = entry.get("candidates")
        && written.kind != Kind::Invalid
        && !(1..=MAX_CANDIDATES).contains(&written.list().len())
    {
        reader.error(&written.place, format!("a failover has 1 to {MAX_CANDIDATES} candidates"));
    }
    candidates
}

/// A group is a candidate, with `eligible_while` and `serving_while`, or stands alone, with `up_while`.
fn check_roles(reader: &mut Reader<'_>, root: &Node, groups: &[GroupSpec], failovers: &[FailoverSpec]) {
    let mut turns: HashMap<&Name, &Name> = HashMap::new();
    for (failover, candidate) in failovers.iter().flat_map(|f| f.candidates.iter().map(move |c| (f, c))) {
        if let Some(first) = turns.insert(&candidate.group, &failover.name)
            && *first != failover.name
        {
            let message = format!("the group {} is a candidate of {first} and of {}", candidate.group, failover.name);
            reader.error(&root.get("failovers").map_or(&root.place, |node| &node.place).clone(), message);
        }
    }
    for entry in root.items("groups") {
        let Some(group) = entry.text("name").and_then(|name| groups.iter().find(|g| g.name.as_str() == name)) else {
            continue;
        };
        let is_candidate = turns.contains_key(&group.name);
        let keys: &[&str] = if is_candidate { &["up_while"] } else { &["eligible_while", "serving_while"] };
        for written in keys.iter().filter_map(|key| entry.get(key)) {
            let why = match is_candidate {
                true => "a candidate of a failover is judged by eligible_while and serving_while",
                false => "a group that is no candidate of a failover is judged by up_while",
            };
            reader.error(&written.place, why);
        }
        if !is_candidate && group.up_while.is_empty() && entry.get("up_while").is_none_or(|n| n.kind != Kind::Invalid) {
            reader
                .error(&entry.place, "the group is no candidate of a failover and has no up_while: nothing judges it");
        }
        for (key, requirement) in [("eligible_while", &group.eligible_while), ("up_while", &group.up_while)] {
            if let (Some(Clause { members: Selection::Followers, .. }), Some(written)) =
                (&requirement.streams, entry.get(key))
            {
                let message =
                    "only serving_while may count the streams that follow a failover; give names or labels here";
                reader.error(&written.place, message);
            }
        }
    }
}

fn requirement(reader: &mut Reader<'_>, entry: &Node, key: &str, known: &Known<'_>) -> Requirement {
    let Some(node) = entry.get(key) else { return Requirement::default() };
    let mut clause = |class: &str| node.get(&format!("{class}s")).and_then(|n| self::clause(reader, n, class, known));
    Requirement { streams: clause("stream"), endpoints: clause("endpoint"), services: clause("service") }
}

fn clause(reader: &mut Reader<'_>, node: &Node, class: &str, known: &Known<'_>) -> Option<Clause> {
    let default = if class == "stream" { STREAMS_NEED } else { Quorum::All };
    let named = |reader: &mut Reader<'_>, list: &Node| {
        if list.list().is_empty() && list.kind != Kind::Invalid {
            reader.error(&list.place, "give at least one name");
        }
        Selection::Named(list.list().iter().filter_map(|item| known.reference(reader, class, item)).collect())
    };
    match &node.kind {
        Kind::Quorum(need) => Some(Clause { members: Selection::Followers, need: *need }),
        Kind::List(_) => Some(Clause { members: named(reader, node), need: Quorum::All }),
        Kind::Table(_) => {
            let members = match reader.exactly_one(node, &["names", "labels"])? {
                ("names", list) => named(reader, list),
                (key, written) => {
                    let labels: Labels = labels(reader, node, key);
                    if labels.0.is_empty() && written.kind != Kind::Invalid {
                        reader.error(&written.place, "give at least one label");
                    }
                    Selection::Labelled(labels)
                }
            };
            Some(Clause { members, need: node.quorum("need").unwrap_or(default) })
        }
        _ => None,
    }
}

fn address(reader: &mut Reader<'_>, entry: &Node) -> Option<Host> {
    let (written, text) = (entry.get("address")?, entry.text("address")?);
    match Host::parse(text.trim()) {
        Ok(host) => Some(host),
        Err(_) => {
            reader.error(&written.place, "expected a host name or an IP address, without a port");
            None
        }
    }
}

/// Who has which name.
#[derive(Default)]
struct Names(BTreeMap<Name, Arc<Place>>);

impl Names {
    fn take(&mut self, reader: &mut Reader<'_>, entry: &Node) -> Option<Name> {
        let (text, written) = (entry.text("name")?, entry.get("name")?);
        let name = match Name::new(&text) {
            Ok(name) => name,
            Err(error) => {
                reader.error(&written.place, name_message(&error));
                return None;
            }
        };
        if let Some(first) = self.0.get(&name) {
            reader.error(&written.place, format!("the name {name} is used already, at {first}"));
            return None;
        }
        self.0.insert(name.clone(), Arc::clone(&written.place));
        Some(name)
    }
}
