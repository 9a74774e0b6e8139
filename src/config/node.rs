//! A checked value and where it was written.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use config::Value;

use super::error::Place;
use super::text::Text;
use crate::model::BitRate;
use crate::model::group::Quorum;

/// One value that has the shape its place asks for.
#[derive(Clone)]
pub(super) struct Node {
    pub place: Arc<Place>,
    pub kind: Kind,
}

#[derive(Clone, PartialEq)]
pub(super) enum Kind {
    /// Reported already; kept so that a wrong value is not taken for a missing one.
    Invalid,
    Text(Text),
    /// The resolved path, and the path as written: its references may hold what must not be shown.
    Path(PathBuf, String),
    Duration(Duration),
    BitRate(BitRate),
    Count(u64),
    Number(f64),
    Address(SocketAddr),
    Quorum(Quorum),
    List(Vec<Node>),
    Table(BTreeMap<String, Node>),
    Deferred(Value),
}

/// Equal values are equal wherever they stand: moving lines changes nothing.
impl PartialEq for Node {
    fn eq(&self, other: &Self) -> bool {
        self.kind == other.kind
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Node({})", self.place)
    }
}

impl Node {
    pub fn get(&self, key: &str) -> Option<&Node> {
        match &self.kind {
            Kind::Table(entries) => entries.get(key),
            _ => None,
        }
    }

    pub fn entries(&self, key: &str) -> impl Iterator<Item = (&String, &Node)> {
        let table = self.get(key).and_then(|n| if let Kind::Table(entries) = &n.kind { Some(entries) } else { None });
        table.into_iter().flatten()
    }

    pub fn items(&self, key: &str) -> &[Node] {
        self.get(key).map_or(&[], Node::list)
    }

    pub fn list(&self) -> &[Node] {
        if let Kind::List(items) = &self.kind { items } else { &[] }
    }

    pub fn duration(&self, key: &str) -> Option<Duration> {
        if let Kind::Duration(d) = self.get(key)?.kind { Some(d) } else { None }
    }

    pub fn bit_rate(&self, key: &str) -> Option<BitRate> {
        if let Kind::BitRate(rate) = self.get(key)?.kind { Some(rate) } else { None }
    }

    /// A count, which its shape has bounded to what `T` holds.
    pub fn count<T: TryFrom<u64>>(&self, key: &str) -> Option<T> {
        if let Kind::Count(n) = self.get(key)?.kind { T::try_from(n).ok() } else { None }
    }

    pub fn number(&self, key: &str) -> Option<f64> {
        if let Kind::Number(n) = self.get(key)?.kind { Some(n) } else { None }
    }

    pub fn flag(&self, key: &str) -> Option<bool> {
        self.text(key).map(|word| word == "true")
    }

    pub fn address(&self, key: &str) -> Option<SocketAddr> {
        if let Kind::Address(a) = self.get(key)?.kind { Some(a) } else { None }
    }

    pub fn quorum(&self, key: &str) -> Option<Quorum> {
        if let Kind::Quorum(quorum) = self.get(key)?.kind { Some(quorum) } else { None }
    }

    /// The resolved path and the path as written.
    pub fn path(&self, key: &str) -> Option<(&Path, &str)> {
        if let Kind::Path(path, written) = &self.get(key)?.kind { Some((path, written)) } else { None }
    }

    pub fn text(&self, key: &str) -> Option<String> {
        self.get(key)?.plain()
    }

    pub fn plain(&self) -> Option<String> {
        if let Kind::Text(text) = &self.kind { Some(text.plain()) } else { None }
    }

    /// `self` with what `over` says on top: mappings merge key by key, anything else replaces.
    pub fn overlaid(&self, over: &Node) -> Node {
        let (Kind::Table(below), Kind::Table(above)) = (&self.kind, &over.kind) else { return over.clone() };
        let mut merged = below.clone();
        for (key, value) in above {
            let value = merged.get(key).map_or_else(|| value.clone(), |inherited| inherited.overlaid(value));
            merged.insert(key.clone(), value);
        }
        Node { place: over.place.clone(), kind: Kind::Table(merged) }
    }
}
