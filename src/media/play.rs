//! What is kept for one play session.

use std::time::{Duration, Instant};

use super::metadata::Declared;
use super::pace::Pace;
use super::rate::{RATE_WINDOW, Rates};
use crate::model::MediaKind;

/// One session's state that belongs to no single medium.
#[derive(Debug, Clone)]
pub(super) struct Play {
    pub start: Instant,
    pub frames: u64,
    pub live_since: Option<Instant>,
    /// Since when rates have been measured without a break; `None` while live media is still to be told from a burst.
    pub steady_since: Option<Instant>,
    /// Tells it meanwhile.
    pace: Option<Box<Pace>>,
    held: Option<Held>,
    pub rebased_at: Option<Instant>,
    pub first_media: Option<Instant>,
    pub first_keyframe: Option<Instant>,
    pub declared: Declared,
}

/// How long figures from before a pause of ours stand in for new ones.
const HELD_FOR: Duration = Duration::from_secs(2 * RATE_WINDOW.as_secs());

/// Figures from before a pause of ours, shown until they have been measured anew, so that no threshold crosses because of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Held {
    /// When the pause was.
    pub at: Instant,
    pub video: Option<Rates>,
    pub audio: Option<Rates>,
    pub skew: Option<f64>,
}

impl Play {
    pub(super) fn new(start: Instant) -> Self {
        Self {
            start,
            frames: 0,
            live_since: None,
            steady_since: None,
            pace: None,
            held: None,
            rebased_at: None,
            first_media: None,
            first_keyframe: None,
            declared: Declared::default(),
        }
    }

    /// A frame at `position` (milliseconds) has come. Whether live media is seen with it for the first time.
    pub(super) fn frame(&mut self, kind: MediaKind, now: Instant, position: i64, resolution: Duration) -> bool {
        if self.steady_since.is_some() || !self.pace.get_or_insert_default().is_live(kind, now, position, resolution) {
            return false;
        }
        (self.steady_since, self.pace) = (Some(now), None);
        let first = self.live_since.is_none();
        self.live_since.get_or_insert(now);
        first
    }

    /// A frame without a place on the timeline has come.
    pub(super) fn doubtful_frame(&mut self) {
        if let Some(pace) = &mut self.pace {
            pace.doubt();
        }
    }

    /// Our process stood still. What was measured until then is held; what is still held from an earlier pause keeps its time.
    pub(super) fn pause(&mut self, figures: Held) {
        if self.measured_whole_window(figures.at) {
            self.held = Some(figures);
        }
        self.steady_since = None;
        if let Some(pace) = &mut self.pace {
            pace.interrupt();
        }
    }

    /// Media stood still: it is measured anew once it is live again.
    pub(super) fn settle(&mut self) {
        (self.steady_since, self.pace, self.held) = (None, None, None);
    }

    /// What stands in for figures that are not measured over a whole window.
    pub(super) fn held(&self, now: Instant) -> Option<Held> {
        self.held.filter(|held| !self.measured_whole_window(now) && now.saturating_duration_since(held.at) < HELD_FOR)
    }

    pub(super) fn measured_whole_window(&self, now: Instant) -> bool {
        self.steady_since.is_some_and(|since| now.saturating_duration_since(since) >= RATE_WINDOW)
    }

    /// Media minus wall clock, in microseconds, as is the position.
    pub(super) fn lead(&self, now: Instant, position: i64) -> i64 {
        let elapsed = i64::try_from(now.saturating_duration_since(self.start).as_micros()).unwrap_or(i64::MAX);
        position.saturating_sub(elapsed)
    }
}
