//! Where a path is broken: the first hop that fails while those before it are well.
//!
//! Hops are noticed at different speeds: a stream is missed within a second, its camera's host after three lost pings. So a later hop is
//! blamed only when every earlier one has shown itself well *after* the failure began, or when the earlier ones have had their time. And
//! what an outage leaves behind when it ends (streams that have yet to come back) is not blamed on the next hop.

use std::time::{Duration, Instant, SystemTime};

use crate::model::health::Health;
use crate::model::path::PathFault;

/// Beyond `settle`, how long later hops may take to come back after an earlier one has.
const RECOVERY: Duration = Duration::from_secs(15);

/// What is known of one hop.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HopEvidence {
    pub health: Health,
    /// The newest moment at which something came from the hop itself: a stream's frame, a target's answer.
    pub seen_well: Option<Instant>,
}

/// Localises the faults of one path.
#[derive(Debug, Clone, Default)]
pub struct PathEvaluator {
    hops: Vec<HopMemory>,
    fault: Option<PathFault>,
    deadline: Option<Instant>,
}

#[derive(Debug, Clone, Copy, Default)]
struct HopMemory {
    down_since: Option<Instant>,
    /// While down: since when nothing has been known of it.
    unknown_since: Option<Instant>,
    /// When it was last seen to be down no more.
    recovered_at: Option<Instant>,
}

impl PathEvaluator {
    pub fn fault(&self) -> Option<PathFault> {
        self.fault
    }

    /// When to evaluate again even if no hop changes.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.deadline
    }

    /// Whether the hop at `index` is down only because an earlier one is, or has just been.
    pub fn is_consequence(&self, index: usize) -> bool {
        let down = self.hops.get(index).is_some_and(|h| h.down_since.is_some());
        let earlier_down = self.hops.iter().take(index).any(|h| h.down_since.is_some());
        down && (earlier_down || self.fault.is_none_or(|f| f.hop != index) && self.recovered_before(index).is_some())
    }

    /// Judges the path. `true`: the fault changed.
    pub fn evaluate(&mut self, now: Instant, wall: SystemTime, settle: Duration, hops: &[HopEvidence]) -> bool {
        if self.hops.len() != hops.len() {
            *self = Self { hops: vec![HopMemory::default(); hops.len()], ..Self::default() };
        }
        self.deadline = None;
        let mut forgets_at = None::<Instant>;
        for (memory, hop) in self.hops.iter_mut().zip(hops) {
            let unknown = hop.health == Health::Unknown && memory.down_since.is_some();
            memory.unknown_since = unknown.then(|| memory.unknown_since.unwrap_or(now));
            match (hop.health, memory.down_since) {
                (Health::Down, None) => memory.down_since = Some(now),
                // Unknown is no recovery: it says nothing. Yet what nobody knows of for long must not be blamed for ever.
                (Health::Unknown, Some(_)) => {
                    let at = memory.unknown_since.unwrap_or(now) + settle + RECOVERY;
                    if now >= at {
                        *memory = HopMemory { recovered_at: Some(now), ..HopMemory::default() };
                    } else {
                        forgets_at = Some(forgets_at.map_or(at, |earlier| earlier.min(at)));
                    }
                }
                (Health::Up | Health::Degraded | Health::Idle, Some(_)) => {
                    *memory = HopMemory { recovered_at: Some(now), ..HopMemory::default() };
                }
                _ => {}
            }
        }
        let found = self.first_failure(now, settle, hops);
        self.deadline = self.deadline.into_iter().chain(forgets_at).min();
        let before = self.fault;
        self.fault = found.map(|(hop, certain)| {
            let since = before.filter(|f| f.hop == hop).map_or(wall, |f| f.since);
            PathFault { hop, since, certain }
        });
        self.fault != before
    }

    /// The hop to blame, and whether all before it are known to be well.
    fn first_failure(&mut self, now: Instant, settle: Duration, hops: &[HopEvidence]) -> Option<(usize, bool)> {
        let (index, since) = self.hops.iter().enumerate().find_map(|(i, h)| Some((i, h.down_since?)))?;
        let before = hops.get(..index).unwrap_or_default();
        let certain = before.iter().all(|h| h.health != Health::Unknown);
        if self.fault.is_some_and(|f| f.hop == index) {
            return Some((index, certain));
        }
        let recovered = self.recovered_before(index).map(|at| at + settle + RECOVERY).filter(|at| *at > since);
        let confirmed = before.iter().all(|h| h.health == Health::Idle || h.seen_well.is_some_and(|at| at > since));
        let blamed_at = match recovered {
            Some(at) => at,
            None if confirmed => now,
            None => since + settle,
        };
        if now >= blamed_at {
            return Some((index, certain));
        }
        self.deadline = Some(blamed_at);
        // What has been found stays until an earlier hop is known to be the one.
        let still = self.fault.filter(|f| self.hops.get(f.hop).is_some_and(|h| h.down_since.is_some()));
        still.map(|f| (f.hop, f.certain))
    }

    /// When the last of the hops before `index` came back from being down.
    fn recovered_before(&self, index: usize) -> Option<Instant> {
        self.hops.iter().take(index).filter_map(|h| h.recovered_at).max()
    }
}
