//! Evidence that a floating address has moved, without which no ghost is thrown out.
//!
//! Three things count: a failover that switched; a configured address that came to this host or left it; a file that keepalived's notify
//! script touched. That a publish was refused is not seen from here: servers tell it to their logs alone.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::Path;
use std::time::{Instant, SystemTime};

use nix::ifaddrs::getifaddrs;

use crate::model::Name;
use crate::model::action::GhostSpec;
use crate::model::failover::Decisions;

/// What was seen last, and when something had moved.
#[derive(Debug, Default)]
pub struct Moves {
    active: BTreeMap<Name, Name>,
    held: Option<BTreeSet<IpAddr>>,
    touched: Option<Option<SystemTime>>,
    newest: Option<Instant>,
}

/// What this machine shows at one moment. Read where it may block.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Surroundings {
    /// Of the configured addresses, those that this host has.
    pub held: BTreeSet<IpAddr>,
    /// When the file was touched.
    pub touched: Option<SystemTime>,
}

impl Surroundings {
    /// `None`: the addresses cannot be told now.
    pub fn read(spec: &GhostSpec) -> Option<Self> {
        let held = if spec.vips.is_empty() { BTreeSet::new() } else { held(&spec.vips)? };
        Some(Self { held, touched: spec.notify_file.as_deref().and_then(touched) })
    }
}

fn held(vips: &[IpAddr]) -> Option<BTreeSet<IpAddr>> {
    let addresses = getifaddrs().ok()?.filter_map(|interface| {
        let address = interface.address?;
        let v4 = address.as_sockaddr_in().map(|a| IpAddr::from(a.ip()));
        v4.or_else(|| address.as_sockaddr_in6().map(|a| IpAddr::from(a.ip())))
    });
    Some(addresses.filter(|address| vips.contains(address)).collect())
}

fn touched(file: &Path) -> Option<SystemTime> {
    std::fs::metadata(file).and_then(|data| data.modified()).ok()
}

impl Moves {
    /// Looks at what is; what was not so the last time is a move. The first look is none.
    pub fn look(&mut self, now: Instant, decisions: &Decisions, surroundings: Option<Surroundings>) {
        let mut moved = false;
        if decisions.complete {
            let active = decisions
                .failovers
                .iter()
                .filter_map(|view| Some((view.spec.name.clone(), view.active_candidate()?.group.clone())));
            let active: BTreeMap<_, _> = active.collect();
            moved |= active.iter().any(|(name, group)| self.active.get(name).is_some_and(|before| before != group));
            self.active = active;
        }
        if let Some(Surroundings { held, touched }) = surroundings {
            moved |= self.held.replace(held.clone()).is_some_and(|before| before != held);
            let before = self.touched.get_or_insert(touched);
            if touched.is_some() && *before != touched {
                *before = touched;
                moved = true;
            }
        }
        if moved {
            self.newest = Some(now);
        }
    }

    /// The newest move.
    pub fn newest(&self) -> Option<Instant> {
        self.newest
    }
}
