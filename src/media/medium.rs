//! What is kept for one medium.

use std::time::{Duration, Instant};

use super::enhanced::Tracks;
use super::gop::Gop;
use super::lead::Lead;
use super::rate::{RateWindow, Rates};
use super::slots::Slots;
use super::timeline::Timeline;
use crate::model::report::TimestampAnomaly;

const GAP_SLOT: Duration = Duration::from_secs(5);
const ANOMALY_SLOT: Duration = Duration::from_secs(5);

#[derive(Debug, Clone)]
pub(super) struct Medium {
    // Since the stream was added.
    pub bytes: u64,
    pub frames: u64,
    pub last_frame: Option<Instant>,
    pub anomalies: [u64; TimestampAnomaly::ALL.len()],
    /// Regressions and jumps of the last 60 to 65 s.
    pub recent_anomalies: Slots<u32, 13>,
    // Of this session.
    pub session: Session,
}

#[derive(Debug, Clone)]
pub(super) struct Session {
    pub timeline: Timeline,
    /// The timeline's present line, and how many it has begun: every step begins one, a stray's is left again.
    pub line: u64,
    pub lines: u64,
    /// Number of the newest frame that went on steadily.
    pub steady: u64,
    /// Sequence headers or metadata have come since the last frame.
    pub headers: bool,
    /// Tracks that have been seen.
    pub tracks: Tracks,
    /// The judged track comes in messages of its own: it is hidden in no others.
    pub shown: bool,
    pub rates: RateWindow,
    pub lead: Lead,
    /// Last frame that counts for the next gap.
    pub gap_from: Option<Instant>,
    /// Longest gaps of the last 10 to 15 s.
    pub gaps: Slots<Option<Duration>, 3>,
    pub gop: Gop,
}

impl Medium {
    pub(super) fn new() -> Self {
        Self {
            bytes: 0,
            frames: 0,
            last_frame: None,
            anomalies: [0; TimestampAnomaly::ALL.len()],
            recent_anomalies: Slots::new(ANOMALY_SLOT),
            session: Session::new(),
        }
    }

    pub(super) fn anomaly(&mut self, now: Instant, anomaly: TimestampAnomaly) {
        if let Some(count) = self.anomalies.get_mut(anomaly as usize) {
            *count += 1;
        }
        if anomaly != TimestampAnomaly::Rebase
            && let Some(recent) = self.recent_anomalies.slot(now)
        {
            *recent = recent.saturating_add(1);
        }
    }
}

impl Session {
    pub(super) fn new() -> Self {
        Self {
            timeline: Timeline::default(),
            line: 0,
            lines: 0,
            steady: 0,
            headers: false,
            tracks: Tracks::default(),
            shown: false,
            rates: RateWindow::new(),
            lead: Lead::new(),
            gap_from: None,
            gaps: Slots::new(GAP_SLOT),
            gop: Gop::default(),
        }
    }

    /// Whether the first of a message's tracks is the one that is judged as the stream: the lowest one seen. That is track 0,
    /// unless a publisher counts from another number.
    pub(super) fn is_judged(&mut self, tracks: Tracks) -> bool {
        self.tracks.extend(tracks);
        tracks.lowest() == self.tracks.lowest()
    }

    /// Whether a frame of a message with these tracks is one of the stream. A `batch` may have the judged track where its head does not
    /// reach, unless that has come by itself before: not in a message made for `many` that happened to be read whole.
    pub(super) fn counts(&mut self, judged: bool, batch: bool, many: bool) -> bool {
        self.shown |= judged && !many;
        judged || batch && !self.shown
    }

    pub(super) fn gap(&mut self, now: Instant) {
        if let Some(from) = self.gap_from.replace(now) {
            let gap = now.saturating_duration_since(from);
            if let Some(longest) = self.gaps.slot(now) {
                *longest = (*longest).max(Some(gap));
            }
        }
    }

    pub(super) fn rates(&self, now: Instant) -> Option<Rates> {
        let usual = self.gaps.values(now).flatten().max().unwrap_or_default();
        self.rates.rates(now, usual)
    }

    /// The longest gap of the last 10 to 15 s, the running one included.
    pub(super) fn longest_gap(&self, now: Instant) -> Option<Duration> {
        let running = self.gap_from.map(|from| now.saturating_duration_since(from));
        let longest = self.gaps.values(now).flatten().max()?;
        Some(running.map_or(longest, |running| longest.max(running)))
    }
}
