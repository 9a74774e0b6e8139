//! Which groups may serve the streams that follow a failover, and where: known before streams are read.

use std::collections::BTreeMap;

use super::node::Node;
use crate::model::Name;
use crate::model::address::Host;

/// All failovers with their candidates, as far as they can be read.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Candidates {
    failovers: BTreeMap<Name, Vec<(Name, Option<Host>)>>,
}

impl Candidates {
    /// What is wrong is reported where groups and failovers are read in full.
    pub fn read(root: &Node) -> Self {
        let name = |node: &Node, key: &str| Name::new(&node.text(key)?).ok();
        let address = |group: &Node| Host::parse(group.text("address")?.trim()).ok();
        let groups: BTreeMap<Name, Option<Host>> =
            root.items("groups").iter().filter_map(|group| Some((name(group, "name")?, address(group)))).collect();
        let served_by = |item: &Node| {
            let group = Name::new(&candidate_group(item)?).ok()?;
            let address = groups.get(&group)?.clone();
            Some((group, address))
        };
        let failovers = root.items("failovers").iter().filter_map(|failover| {
            Some((name(failover, "name")?, failover.items("candidates").iter().filter_map(served_by).collect()))
        });
        Self { failovers: failovers.collect() }
    }

    /// The candidates of a failover and their addresses, in its order.
    pub fn of(&self, failover: &str) -> Option<&[(Name, Option<Host>)]> {
        self.failovers.iter().find(|(name, _)| name.as_str() == failover).map(|(_, candidates)| candidates.as_slice())
    }

    pub fn names(&self) -> impl Iterator<Item = &str> + Clone {
        self.failovers.keys().map(Name::as_str)
    }
}

/// The group of an entry of `candidates`, which may be its name alone.
pub(super) fn candidate_group(item: &Node) -> Option<String> {
    item.text("group").or_else(|| item.plain())
}
