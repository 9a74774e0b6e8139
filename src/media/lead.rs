//! How far media time is ahead of the wall clock, seen through its least delayed arrivals: drift, skew and jitter.

use std::time::{Duration, Instant};

use super::slots::Slots;

/// The newest lead is the highest of two such slots: the last 2.5 to 5 s.
const SLOT: Duration = Duration::from_millis(2_500);
/// The baseline is taken from this much live media.
const BASELINE: Duration = Duration::from_secs(5);

/// Media time minus wall time of one medium, in microseconds since the session's start.
#[derive(Debug, Clone)]
pub(super) struct Lead {
    highest: Slots<Option<i64>, 2>,
    since: Option<Instant>,
    baseline: Option<i64>,
    /// Drift from before a pause of ours, on which a new baseline builds.
    carried: Option<i64>,
    jitter: Jitter,
}

impl Lead {
    pub(super) fn new() -> Self {
        Self { highest: Slots::new(SLOT), since: None, baseline: None, carried: None, jitter: Jitter::default() }
    }

    /// Forgets everything.
    pub(super) fn restart(&mut self) {
        *self = Self::new();
    }

    /// Takes a new baseline, from which drift and jitter go on as they were.
    pub(super) fn rebaseline(&mut self, now: Instant) {
        self.carried = self.drift_micros(now).or(self.carried);
        self.highest.clear();
        (self.since, self.baseline) = (None, None);
        self.jitter.previous = None;
    }

    /// A frame has come with this lead.
    pub(super) fn frame(&mut self, now: Instant, lead: i64) {
        let since = *self.since.get_or_insert(now);
        if let Some(highest) = self.highest.slot(now) {
            *highest = (*highest).max(Some(lead));
        }
        if self.baseline.is_none() && now.saturating_duration_since(since) >= BASELINE {
            self.baseline = self.highest(now).map(|highest| highest.saturating_sub(self.carried.unwrap_or(0)));
        }
        self.jitter.frame(lead);
    }

    /// The timeline has moved: that is no drift.
    pub(super) fn shift(&mut self, micros: i64) {
        self.highest.for_each(|highest| *highest = highest.map(|lead| lead.saturating_add(micros)));
        self.baseline = self.baseline.map(|lead| lead.saturating_add(micros));
        self.jitter.previous = None;
    }

    /// A frame that fits nowhere has come.
    pub(super) fn interrupt(&mut self) {
        self.jitter.previous = None;
    }

    /// The highest lead of the last 2.5 to 5 s, in microseconds.
    pub(super) fn highest(&self, now: Instant) -> Option<i64> {
        self.highest.values(now).flatten().max()
    }

    /// Media clock minus wall clock since the baseline, in seconds.
    pub(super) fn drift(&self, now: Instant) -> Option<f64> {
        self.drift_micros(now).map(|micros| micros as f64 / 1e6)
    }

    fn drift_micros(&self, now: Instant) -> Option<i64> {
        match self.baseline {
            Some(baseline) => self.highest(now).map(|highest| highest.saturating_sub(baseline)),
            None => self.carried,
        }
    }

    pub(super) fn jitter(&self) -> Option<Duration> {
        self.jitter.mean.map(|micros| Duration::from_nanos((micros * 1e3) as u64))
    }
}

/// The interarrival jitter of RFC 3550, 6.4.1, in microseconds.
#[derive(Debug, Clone, Default)]
struct Jitter {
    previous: Option<i64>,
    mean: Option<f64>,
}

impl Jitter {
    fn frame(&mut self, lead: i64) {
        if let Some(previous) = self.previous.replace(lead) {
            let deviation = lead.saturating_sub(previous).unsigned_abs() as f64;
            let mean = self.mean.unwrap_or(0.0);
            self.mean = Some(mean + (deviation - mean) / 16.0);
        }
    }
}
