//! Paced reading: wake seldom, read much.
//!
//! Nine tenths of the cost of watching a stream are wake-ups. So while media flows, sockets get a high receive low-water mark
//! (the kernel then wakes nobody for ordinary data, only for a full buffer, an end or an error), and every session of a thread
//! reads at common ticks: one timer wake-up serves many streams. Phases spread the sessions over the period, so that a tick's batch
//! stays short.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::{Duration, Instant};

/// Time between two reads of a playing session. Also the resolution of arrival times.
///
/// An `unpublish` is read up to one period late, which with the fold must stay within 50 ms. And no usual frame time is a multiple of it
/// or divides it, so that within a second or two reads meet frames at every delay, of which drift and skew take the least.
pub const PERIOD: Duration = Duration::from_millis(38);
/// Sessions are spread over this many phases within the period.
const PHASES: u32 = 4;
/// Bytes that wake a session before its tick: at 38 ms more than 13 Mbit/s.
pub const LOW_WATER: i32 = 64 * 1024;

/// The ticks of one session.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    origin: Instant,
    offset: Duration,
}

impl Pace {
    /// Ticks relative to `origin`, the same for all sessions of the process; `key` chooses the phase.
    pub fn new(origin: Instant, key: impl Hash) -> Self {
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        let phase = (hasher.finish() % u64::from(PHASES)) as u32;
        Self { origin, offset: PERIOD * phase / PHASES }
    }

    /// The first tick after `now`.
    pub fn next(&self, now: Instant) -> Instant {
        let start = self.origin + self.offset;
        let period = PERIOD.as_nanos();
        let ticks = now.saturating_duration_since(start).as_nanos() / period + 1;
        start + Duration::from_nanos(u64::try_from(ticks * period).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_common_and_in_the_future() {
        let origin = Instant::now();
        let pace = Pace::new(origin, "a");
        let first = pace.next(origin);
        assert!(first > origin && first <= origin + PERIOD * 2);
        assert_eq!(pace.next(first), first + PERIOD, "a tick's successor is a whole period away");
        assert_eq!(pace.next(first + PERIOD / 2), first + PERIOD);
    }
}
