//! Counted places under a limit that may change while they are taken.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Places in use.
#[derive(Debug, Clone, Default)]
pub struct Slots(Arc<AtomicUsize>);

/// A place, given back when dropped.
#[derive(Debug)]
pub struct Slot(Arc<AtomicUsize>);

impl Slots {
    /// Takes a place if fewer than `limit` are taken.
    pub fn take(&self, limit: usize) -> Option<Slot> {
        let more = |taken: usize| (taken < limit).then(|| taken + 1);
        self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, more).ok()?;
        Some(Slot(Arc::clone(&self.0)))
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_come_back() {
        let slots = Slots::default();
        let first = slots.take(1);
        assert!(first.is_some() && slots.take(1).is_none() && slots.take(2).is_some());
        drop(first);
        assert!(slots.take(1).is_some());
    }
}
