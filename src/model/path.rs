//! Paths: the chain of hops from a camera to its viewers, for telling where it is broken; and what the path should carry.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::health::{Cause, Health};
use super::spec::Labels;
use super::units::BitRate;
use super::{Name, closed_enum};

closed_enum! {
    /// What a hop is.
    HopClass {
        Stream = "stream",
        Endpoint = "endpoint",
        Service = "service",
    }
}

/// One hop of a path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hop {
    pub class: HopClass,
    pub name: Name,
}

impl std::fmt::Display for Hop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.class, self.name)
    }
}

/// An ordered chain of hops, from the source outward.
#[derive(Debug, Clone, PartialEq)]
pub struct PathSpec {
    pub name: Name,
    /// At least two, none twice.
    pub hops: Arc<[Hop]>,
    /// How long earlier hops may take to fail before a later one is blamed.
    pub settle: Duration,
    /// Streams whose rates add up to what the path carries. Default: the path's stream hops.
    pub carries: Carries,
    /// What the carried streams should deliver together. `None`: the sum of their configured minima.
    pub expect_rate: Option<BitRate>,
    pub labels: Labels,
}

/// Which streams a path carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Carries {
    /// By name.
    Streams(Arc<[Name]>),
    /// All with these labels.
    Labelled(Labels),
}

/// One path in a snapshot.
#[derive(Debug, Clone, PartialEq)]
pub struct PathView {
    pub spec: Arc<PathSpec>,
    /// In the order of the hops.
    pub hops: Arc<[HopView]>,
    pub fault: Option<PathFault>,
    pub link: LinkView,
}

/// A hop as it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct HopView {
    /// `Unknown` also where there is no such thing now.
    pub health: Health,
    pub causes: Vec<Cause>,
    /// Down or degraded only because an earlier hop has failed.
    pub consequence: bool,
}

/// The first hop that fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PathFault {
    /// Index into the hops.
    pub hop: usize,
    pub since: SystemTime,
    /// Every hop before it is known to be well. Otherwise the fault is there or in an unknown hop before it.
    pub certain: bool,
}

/// What the carried streams deliver, against what they should.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct LinkView {
    /// Streams that are carried and expected now (not idle).
    pub streams: u32,
    /// Bytes per second received; `None` while no rate is known.
    pub received: Option<f64>,
    /// Bytes per second that should be; `None` when nothing says so.
    pub expected: Option<f64>,
}

impl LinkView {
    /// Received over expected.
    pub fn ratio(&self) -> Option<f64> {
        let expected = self.expected.filter(|e| *e > 0.0)?;
        Some(self.received? / expected)
    }
}
