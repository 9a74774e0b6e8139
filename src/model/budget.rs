//! A limit on what many may hold together.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes that may be held at one time. Clones share it.
#[derive(Debug, Clone)]
pub struct ByteBudget {
    used: Arc<AtomicUsize>,
    limit: usize,
}

impl ByteBudget {
    pub fn new(limit: usize) -> Self {
        Self { used: Arc::default(), limit }
    }

    /// Bytes held now.
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// A part of it, if there is room for that.
    pub fn hold(&self, bytes: usize) -> Option<Held> {
        let mut held = Held { budget: self.clone(), bytes: 0 };
        held.grow(bytes).then_some(held)
    }
}

/// A part of a budget, given back when it is dropped.
#[derive(Debug)]
pub struct Held {
    budget: ByteBudget,
    bytes: usize,
}

impl Held {
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Holds so many bytes more; `false`, and as many as before, if there is no room for them.
    pub fn grow(&mut self, more: usize) -> bool {
        let fits = |used: usize| used.checked_add(more).filter(|sum| *sum <= self.budget.limit);
        let grown = self.budget.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).is_ok();
        if grown {
            self.bytes += more;
        }
        grown
    }

    /// Gives back what is beyond so many bytes.
    pub fn shrink_to(&mut self, bytes: usize) {
        let spare = self.bytes.saturating_sub(bytes);
        self.budget.used.fetch_sub(spare, Ordering::Relaxed);
        self.bytes -= spare;
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.shrink_to(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_is_bounded_and_given_back() {
        let budget = ByteBudget::new(100);
        let mut one = budget.hold(60).unwrap();
        assert!(budget.hold(41).is_none() && !one.grow(41) && !one.grow(usize::MAX));
        let other = budget.hold(40).unwrap();
        assert_eq!((budget.used(), one.bytes()), (100, 60));
        one.shrink_to(50);
        one.shrink_to(70);
        assert_eq!((budget.used(), one.bytes()), (90, 50));
        assert!(one.grow(10));
        drop((one, other));
        assert_eq!(budget.used(), 0);
    }
}
