//! How often something happened lately.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Moments of the newest occurrences, at most `capacity` of them.
#[derive(Debug, Clone, Default)]
pub struct Recent {
    moments: VecDeque<Instant>,
}

impl Recent {
    /// Notes an occurrence, keeping the newest `capacity`.
    pub fn note(&mut self, now: Instant, capacity: usize) {
        self.moments.push_back(now);
        let surplus = self.moments.len().saturating_sub(capacity.max(1));
        self.moments.drain(..surplus);
    }

    /// Until when there are at least `count` occurrences within `window`; `None` when there are not now.
    pub fn crowded_until(&self, now: Instant, count: usize, window: Duration) -> Option<Instant> {
        let oldest = self.moments.len().checked_sub(count.max(1)).and_then(|i| self.moments.get(i))?;
        let end = *oldest + window;
        (end > now).then_some(end)
    }
}
