//! When to try again: jittered exponential back-off per stream, and a rate limit per origin.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Wait before the second retry; the first comes at once.
const BASE: Duration = Duration::from_millis(250);
/// The first retry's jitter: a thousand streams cut off together do not come back in the same millisecond.
const FIRST_JITTER: Duration = Duration::from_millis(100);

/// One stream's retries.
#[derive(Debug, Clone)]
pub struct Backoff {
    max: Duration,
    retries: u32,
}

impl Backoff {
    /// Waits at most `max`.
    pub fn new(max: Duration) -> Self {
        Self { max, retries: 0 }
    }

    /// The next wait; `random` is uniform in 0..1.
    pub fn next(&mut self, random: f64) -> Duration {
        let retry = self.retries;
        self.retries = self.retries.saturating_add(1);
        if retry == 0 {
            return FIRST_JITTER.mul_f64(random).min(self.max);
        }
        let full = BASE.saturating_mul(1 << (retry - 1).min(16)).min(self.max);
        full.mul_f64(0.5 + random / 2.0)
    }

    /// Media has lasted: the next failure starts from the beginning.
    pub fn reset(&mut self) {
        self.retries = 0;
    }
}

/// Spaces out connection attempts to each origin. Shared by all streams.
#[derive(Debug, Clone)]
pub struct OriginLimiter {
    spacing: Duration,
    /// When the next attempt to an origin may start.
    next: Arc<Mutex<HashMap<String, Instant>>>,
}

impl OriginLimiter {
    pub fn new(connects_per_second: u32) -> Self {
        Self { spacing: Duration::from_secs(1) / connects_per_second.max(1), next: Arc::default() }
    }

    /// Books the next attempt to `origin` and says when it may start.
    pub fn book(&self, origin: &str, now: Instant) -> Instant {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        next.retain(|_, at| *at > now);
        let at = next.get(origin).copied().unwrap_or(now);
        next.insert(origin.to_owned(), at + self.spacing);
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_cap_and_start_anew_after_success() {
        let mut backoff = Backoff::new(Duration::from_secs(5));
        let waits: Vec<_> = (0..8).map(|_| backoff.next(1.0).as_millis()).collect();
        assert_eq!(waits, [100, 250, 500, 1000, 2000, 4000, 5000, 5000]);
        backoff.reset();
        assert_eq!(backoff.next(0.0), Duration::ZERO);
        assert_eq!(backoff.next(0.0), Duration::from_millis(125), "jitter takes at most half");
    }

    #[test]
    fn an_origin_gets_its_attempts_one_after_another() {
        let limiter = OriginLimiter::new(10);
        let now = Instant::now();
        assert_eq!(limiter.book("a", now), now);
        assert_eq!(limiter.book("a", now), now + Duration::from_millis(100));
        assert_eq!(limiter.book("b", now), now, "another origin does not wait");
        let later = now + Duration::from_secs(1);
        assert_eq!(limiter.book("a", later), later, "unused slots do not pile up");
    }
}
