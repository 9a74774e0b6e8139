//! Rates of one medium over a sliding window.

use std::time::{Duration, Instant};

/// The window of every rate.
pub const RATE_WINDOW: Duration = Duration::from_secs(10);

const SAMPLE_EVERY: Duration = Duration::from_millis(500);
const SAMPLES: usize = 22;
/// Keyframes closer together than this share a boundary; bounds their number.
const BOUNDARY_EVERY: Duration = Duration::from_millis(900);
const BOUNDARIES: usize = 13;
/// Over less than this, reading in batches would show.
const SHORTEST_SPAN: Duration = Duration::from_secs(3);

/// What had arrived by a moment, everything that came at that very moment included.
#[derive(Debug, Clone, Copy)]
struct Sample {
    at: Instant,
    frames: u32,
    bytes: u64,
}

/// Counts frames and bytes between two arrivals over exactly the time between them.
///
/// Both ends are arrivals, so reading in batches moves each end by at most one batch, and a window need not be a whole
/// number of frames. A slow stream's next frame that is not due yet does not lower its rate.
#[derive(Debug, Clone)]
pub(super) struct RateWindow {
    samples: Ring<Sample, SAMPLES>,
    latest: Option<Sample>,
    /// Arrival of keyframes with the bytes before them.
    boundaries: Ring<(Instant, u64), BOUNDARIES>,
    since: Option<Instant>,
}

/// Frames and bytes a second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Rates {
    pub frames: f64,
    pub bytes: f64,
}

impl RateWindow {
    pub(super) const fn new() -> Self {
        Self { samples: Ring::new(), latest: None, boundaries: Ring::new(), since: None }
    }

    pub(super) fn restart(&mut self) {
        *self = Self::new();
    }

    /// A frame has come. The first one only opens the window.
    pub(super) fn frame(&mut self, now: Instant, bytes: u32, key: bool) {
        let Some(latest) = &mut self.latest else {
            let first = Sample { at: now, frames: 0, bytes: 0 };
            self.samples.push(first);
            (self.latest, self.since) = (Some(first), Some(now));
            return;
        };
        if key && self.boundaries.last().is_none_or(|(at, _)| now.saturating_duration_since(*at) >= BOUNDARY_EVERY) {
            self.boundaries.push((now, latest.bytes));
        }
        *latest = Sample {
            at: now.max(latest.at),
            frames: latest.frames.saturating_add(1),
            bytes: latest.bytes.saturating_add(u64::from(bytes)),
        };
        let latest = *latest;
        match self.samples.last_mut() {
            Some(newest) if newest.at == latest.at => *newest = latest,
            Some(newest) if latest.at.saturating_duration_since(newest.at) < SAMPLE_EVERY => {}
            _ => self.samples.push(latest),
        }
    }

    /// Bytes that are no frame.
    pub(super) fn overhead(&mut self, bytes: u32) {
        if let Some(latest) = &mut self.latest {
            latest.bytes = latest.bytes.saturating_add(u64::from(bytes));
        }
    }

    /// The rates, once the window is full. Silence no longer than the `usual` longest gap between frames lowers nothing.
    pub(super) fn rates(&self, now: Instant, usual: Duration) -> Option<Rates> {
        if now.saturating_duration_since(self.since?) < RATE_WINDOW {
            return None;
        }
        let latest = self.latest?;
        let oldest = self.samples.iter().find(|s| now.saturating_duration_since(s.at) <= RATE_WINDOW);
        let Some(oldest) = oldest.filter(|oldest| oldest.at < latest.at) else {
            return Some(Rates { frames: 0.0, bytes: 0.0 });
        };
        let frames = f64::from(latest.frames.saturating_sub(oldest.frames));
        let bytes = latest.bytes.saturating_sub(oldest.bytes) as f64;
        let spanned = latest.at.saturating_duration_since(oldest.at).as_secs_f64();
        let overdue = now.saturating_duration_since(latest.at).saturating_sub(usual).as_secs_f64();
        let late = spanned / (spanned + overdue);
        let bytes = self.whole_gop_bytes(now).unwrap_or(bytes / spanned);
        Some(Rates { frames: frames / spanned * late, bytes: bytes * late })
    }

    /// Bytes a second over the whole groups of pictures within the window, where there are any: else one big keyframe more
    /// or less decides.
    fn whole_gop_bytes(&self, now: Instant) -> Option<f64> {
        let (from, before) =
            self.boundaries.iter().find(|(at, _)| now.saturating_duration_since(*at) <= RATE_WINDOW)?;
        let (to, after) = self.boundaries.last()?;
        let spanned = to.saturating_duration_since(*from);
        (spanned >= SHORTEST_SPAN).then(|| after.saturating_sub(*before) as f64 / spanned.as_secs_f64())
    }
}

/// The newest `N` values, oldest first.
#[derive(Debug, Clone)]
struct Ring<T, const N: usize> {
    values: [Option<T>; N],
    /// How many have ever been pushed.
    pushed: usize,
}

impl<T: Copy, const N: usize> Ring<T, N> {
    const fn new() -> Self {
        Self { values: [None; N], pushed: 0 }
    }

    fn push(&mut self, value: T) {
        if let Some(place) = self.values.get_mut(self.pushed % N) {
            *place = Some(value);
        }
        self.pushed = self.pushed.wrapping_add(1);
    }

    fn last(&self) -> Option<&T> {
        self.values.get(self.pushed.checked_sub(1)? % N)?.as_ref()
    }

    fn last_mut(&mut self) -> Option<&mut T> {
        self.values.get_mut(self.pushed.checked_sub(1)? % N)?.as_mut()
    }

    fn iter(&self) -> impl Iterator<Item = &T> {
        let (newer, older) = self.values.split_at(self.pushed % N);
        older.iter().chain(newer).flatten()
    }
}
