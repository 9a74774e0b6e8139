//! What is kept for one play session.

use std::time::Instant;

use super::metadata::Declared;
use super::pace::Pace;
use super::rate::{RATE_WINDOW, Rates};

/// One session's state that belongs to no single medium.
#[derive(Debug, Clone)]
pub(super) struct Play {
    pub start: Instant,
    pub frames: u64,
    pub pace: Pace,
    pub live_since: Option<Instant>,
    /// Since when rates have been measured without a break; `None` while live media is still to be told from a burst.
    pub steady_since: Option<Instant>,
    pub held: Option<Held>,
    pub rebased_at: Option<Instant>,
    pub first_media: Option<Instant>,
    pub first_keyframe: Option<Instant>,
    pub declared: Declared,
}

/// Figures from before a pause of ours, shown until they have been measured anew, so that no threshold crosses because of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Held {
    pub video: Option<Rates>,
    pub audio: Option<Rates>,
    pub skew: Option<f64>,
}

impl Play {
    pub(super) fn new(start: Instant) -> Self {
        Self {
            start,
            frames: 0,
            pace: Pace::default(),
            live_since: None,
            steady_since: None,
            held: None,
            rebased_at: None,
            first_media: None,
            first_keyframe: None,
            declared: Declared::default(),
        }
    }

    pub(super) fn measured_whole_window(&self, now: Instant) -> bool {
        self.steady_since.is_some_and(|since| now.saturating_duration_since(since) >= RATE_WINDOW)
    }

    /// Media minus wall clock, in microseconds.
    pub(super) fn lead(&self, now: Instant, position: i64) -> i64 {
        let elapsed = i64::try_from(now.saturating_duration_since(self.start).as_micros()).unwrap_or(i64::MAX);
        position.saturating_mul(1000).saturating_sub(elapsed)
    }
}
