//! When what is to be looked at again.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;
use std::time::{Duration, Instant};

/// One moment for each thing, or none.
#[derive(Debug)]
pub struct Agenda<K> {
    moments: HashMap<K, Instant>,
    order: BTreeSet<(Instant, K)>,
}

impl<K> Default for Agenda<K> {
    fn default() -> Self {
        Self { moments: HashMap::new(), order: BTreeSet::new() }
    }
}

impl<K: Clone + Ord + Hash> Agenda<K> {
    /// The next moment of all.
    pub fn first(&self) -> Option<Instant> {
        self.order.first().map(|(at, _)| *at)
    }

    /// Puts `key` at `at` instead of where it was.
    pub fn set(&mut self, now: Instant, key: &K, at: Option<Instant>) {
        // Never in the past: a deadline that stays due would spin.
        let at = at.map(|at| at.max(now + Duration::from_millis(1)));
        let before = self.moments.get(key).copied();
        if at == before {
            return;
        }
        if let Some(before) = before {
            self.order.remove(&(before, key.clone()));
        }
        match at {
            Some(at) => {
                self.moments.insert(key.clone(), at);
                self.order.insert((at, key.clone()));
            }
            None => drop(self.moments.remove(key)),
        }
    }

    /// Takes the first whose moment has come.
    pub fn take_due(&mut self, now: Instant) -> Option<K> {
        if self.first()? > now {
            return None;
        }
        let (_, key) = self.order.pop_first()?;
        self.moments.remove(&key);
        Some(key)
    }
}
