//! Awake time: a monotonic clock that stands still while the whole process (or its machine) is frozen.
//!
//! A monitor that was stopped for three seconds has observed nothing for three seconds. If its deadlines ran on
//! during that time, every stream would look stalled on resume. So all decisions use [`Clock::now`], which leaves
//! such gaps out: any two reads further apart than [`PAUSE_THRESHOLD`] reveal a pause, because the heartbeat
//! ([`Clock::beat`], called every [`HEARTBEAT`]) guarantees reads that are closer together while the process runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

/// A gap between two reads of the clock above this is a pause of the process, not slow code.
pub const PAUSE_THRESHOLD: Duration = Duration::from_millis(250);
/// How often somebody must call [`Clock::beat`] so that idleness is never taken for a pause.
pub const HEARTBEAT: Duration = Duration::from_millis(50);

/// Shared handle to the process's awake time. Cheap to clone and to read.
#[derive(Debug, Clone)]
pub struct Clock {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    origin: Instant,
    /// Nanoseconds since `origin` at the newest read.
    last_read: AtomicU64,
    paused: AtomicU64,
    pauses: AtomicU64,
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock {
    /// A clock that starts now. Run a heartbeat beside it.
    #[allow(clippy::disallowed_methods, reason = "this is the one place that reads the time")]
    pub fn new() -> Self {
        let inner = Inner {
            origin: Instant::now(),
            last_read: AtomicU64::new(0),
            paused: AtomicU64::new(0),
            pauses: AtomicU64::new(0),
        };
        Self { inner: Arc::new(inner) }
    }

    /// The present moment in awake time.
    pub fn now(&self) -> Instant {
        let i = &*self.inner;
        let raw = nanos(i.origin.elapsed());
        let last = i.last_read.load(Ordering::Acquire);
        if raw.saturating_sub(last) > nanos(PAUSE_THRESHOLD) {
            // Only the reader that moves `last_read` over the gap may account for it.
            if i.last_read.compare_exchange(last, raw, Ordering::AcqRel, Ordering::Acquire).is_ok() {
                i.paused.fetch_add(raw - last, Ordering::AcqRel);
                i.pauses.fetch_add(1, Ordering::AcqRel);
            }
        } else {
            i.last_read.fetch_max(raw, Ordering::AcqRel);
        }
        let paused = i.paused.load(Ordering::Acquire);
        i.origin + Duration::from_nanos(raw.saturating_sub(paused))
    }

    /// Keeps idleness from being taken for a pause. Call every [`HEARTBEAT`].
    pub fn beat(&self) {
        self.now();
    }

    /// Time the process has been frozen since the clock began.
    pub fn paused(&self) -> Duration {
        Duration::from_nanos(self.inner.paused.load(Ordering::Acquire))
    }

    /// How many pauses there have been.
    pub fn pauses(&self) -> u64 {
        self.inner.pauses.load(Ordering::Acquire)
    }

    /// The runtime's moment for an awake-time `deadline`, assuming no further pause.
    pub fn real(&self, deadline: Instant) -> Instant {
        deadline + self.paused()
    }

    /// Wall-clock time of an awake-time moment, for display. Exact unless a pause lies in between.
    pub fn wall(&self, moment: Instant) -> SystemTime {
        let now = self.now();
        let wall = SystemTime::now();
        if moment > now {
            wall + (moment - now)
        } else {
            wall.checked_sub(now - moment).unwrap_or(SystemTime::UNIX_EPOCH)
        }
    }
}

fn nanos(d: Duration) -> u64 {
    u64::try_from(d.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_between_reads_does_not_count_as_time() {
        let clock = Clock::new();
        let before = clock.now();
        // As if the last read had been four seconds ago: move the origin back.
        let frozen = Clock {
            inner: Arc::new(Inner {
                origin: clock.inner.origin - Duration::from_secs(4),
                last_read: AtomicU64::new(0),
                paused: AtomicU64::new(0),
                pauses: AtomicU64::new(0),
            }),
        };
        let after = frozen.now();
        assert_eq!(frozen.pauses(), 1);
        assert!(frozen.paused() >= Duration::from_secs(4));
        assert!(after < before, "awake time did not advance over the gap");
        assert!(frozen.now() >= after);
        assert_eq!(frozen.pauses(), 1, "one gap counts once");
    }
}
