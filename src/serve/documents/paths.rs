//! Paths: where a chain is broken, and what it carries.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use crate::model::path::{HopView, PathView};
use crate::model::snapshot::Snapshot;
use crate::model::{Cause, Health};
use crate::serve::moment::Moment;

use super::rfc3339;

/// An ordered chain of hops, from the source outward.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Path")]
pub struct PathDocument<'s> {
    pub name: &'s str,
    /// That of the hop that is worst: `down`, `degraded`, `unknown`, `up` or `idle`, in this order.
    pub health: &'static str,
    /// Those of the first hop that fails.
    pub causes: Vec<&'static str>,
    pub fault: Option<PathFaultDocument>,
    pub hops: Vec<HopDocument<'s>>,
    pub link: LinkDocument,
    pub labels: BTreeMap<&'s str, &'s str>,
}

/// The first hop that fails.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "PathFault")]
pub struct PathFaultDocument {
    /// Class and name: `stream/gate-1`.
    pub hop: String,
    /// Its place in the chain, from 0.
    pub index: usize,
    pub since: String,
    /// Whether every hop before it is known to be well. Otherwise the fault is there or in an unknown hop before it.
    pub certain: bool,
}

impl PathFaultDocument {
    /// For people: where the fault is, or up to where it may be.
    pub fn place(&self) -> String {
        if self.certain { self.hop.clone() } else { format!("{} or before", self.hop) }
    }
}

/// One hop as it stands.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Hop")]
pub struct HopDocument<'s> {
    /// `stream`, `endpoint` or `service`.
    pub class: &'static str,
    pub name: &'s str,
    pub health: &'static str,
    pub causes: Vec<&'static str>,
    /// Not well only because an earlier hop has failed.
    pub consequence: bool,
}

/// What the carried streams deliver, against what they should.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Link")]
pub struct LinkDocument {
    /// Streams that are carried and expected now.
    pub streams: u32,
    pub received_bitrate_bps: Option<f64>,
    pub expected_bitrate_bps: Option<f64>,
    /// Received over expected.
    pub receive_ratio: Option<f64>,
}

/// A path's health: that of its worst hop.
pub fn health(hops: impl Iterator<Item = Health>) -> Health {
    let rank = |h: &Health| match h {
        Health::Idle => 0,
        Health::Up => 1,
        Health::Unknown => 2,
        Health::Degraded => 3,
        Health::Down => 4,
    };
    hops.max_by_key(rank).unwrap_or(Health::Unknown)
}

impl<'s> PathDocument<'s> {
    pub fn new(view: &'s PathView, snapshot: &Snapshot, moment: &Moment) -> Self {
        let fresh = moment.is_fresh(snapshot);
        let fault = view.fault.filter(|_| fresh);
        let hops: Vec<_> = view
            .spec
            .hops
            .iter()
            .zip(view.hops.iter())
            .map(|(hop, seen)| {
                let seen = Some(seen).filter(|_| fresh);
                HopDocument {
                    class: hop.class.as_str(),
                    name: hop.name.as_str(),
                    health: seen.map_or(Health::Unknown, |s| s.health).as_str(),
                    causes: seen.map(causes).unwrap_or_default(),
                    consequence: seen.is_some_and(|s| s.consequence),
                }
            })
            .collect();
        let worst = match fresh {
            true => health(view.hops.iter().map(|h| h.health)),
            false => Health::Unknown,
        };
        let link = if fresh { view.link } else { Default::default() };
        Self {
            name: view.spec.name.as_str(),
            health: worst.as_str(),
            causes: fault.and_then(|f| view.hops.get(f.hop)).map(causes).unwrap_or_default(),
            fault: fault.and_then(|f| {
                Some(PathFaultDocument {
                    hop: view.spec.hops.get(f.hop)?.to_string(),
                    index: f.hop,
                    since: rfc3339(f.since),
                    certain: f.certain,
                })
            }),
            hops,
            link: LinkDocument {
                streams: link.streams,
                received_bitrate_bps: link.received.map(|b| b * 8.0),
                expected_bitrate_bps: link.expected.map(|b| b * 8.0),
                receive_ratio: link.ratio(),
            },
            labels: view.spec.labels.iter().collect(),
        }
    }
}

fn causes(hop: &HopView) -> Vec<&'static str> {
    hop.causes.iter().copied().map(Cause::as_str).collect()
}
