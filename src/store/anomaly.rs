//! What is usual for each stream: learnt from its reports, told as events, kept while the stream is away.

use std::collections::HashMap;
use std::time::{Instant, SystemTime};

use super::judged::{KEEP_DEPARTED, Outcome};
use crate::health::anomaly::{AnomalyChange, AnomalyTracker, LearnedSignals};
use crate::model::anomaly::{AnomalyReadings, Sensitivity, Signal};
use crate::model::event::{EventKind, Subject};
use crate::model::{Name, StreamReport};

/// The hints about one stream. Where there are none, nothing is learnt and no memory is taken.
#[derive(Debug, Default)]
pub struct Hints {
    tracker: Option<Box<AnomalyTracker>>,
}

impl Hints {
    /// `learned`: before the stream went away, or by an earlier process.
    pub fn new(learned: Option<LearnedSignals>) -> Self {
        Self { tracker: learned.map(|learned| Box::new(AnomalyTracker::new(learned))) }
    }

    /// Looks at what `stream` brings now. `report`: only of a stream that plays and is healthy.
    pub fn look(
        &mut self,
        now: Instant,
        wall: SystemTime,
        stream: &Name,
        report: Option<&StreamReport>,
        sensitivity: Option<Sensitivity>,
        outcome: &mut Outcome,
    ) {
        let Some(sensitivity) = sensitivity else {
            self.tracker = None;
            return;
        };
        let Some(report) = report else {
            if let Some(tracker) = &mut self.tracker {
                tracker.pause();
            }
            return;
        };
        let tracker = self.tracker.get_or_insert_with(|| Box::new(AnomalyTracker::new(LearnedSignals::default())));
        let observed = tracker.observe(now, wall, figures(report), sensitivity);
        outcome.learned |= observed.learned;
        for change in observed.changes {
            let is_unusual = change.reading.unusual_since.is_some();
            let kind = if is_unusual { EventKind::Unusual } else { EventKind::Usual };
            outcome.note(wall, Subject::stream(stream), kind, describe(&change));
        }
    }

    pub fn readings(&self) -> AnomalyReadings {
        self.tracker.as_ref().map(|tracker| tracker.readings()).unwrap_or_default()
    }

    pub fn learned(&self) -> Option<LearnedSignals> {
        self.tracker.as_ref().map(|tracker| tracker.learned())
    }
}

/// By [`Signal`]. None before the rates' window is full.
fn figures(report: &StreamReport) -> [Option<f64>; Signal::ALL.len()] {
    let (media, video) = (&report.media, &report.media.video);
    if !media.warm {
        return [None; Signal::ALL.len()];
    }
    let gap = video.medium.frame_gap_max.map(|gap| gap.as_secs_f64());
    [media.bytes_per_second(), video.frames_per_second, gap]
}

/// For people.
fn describe(change: &AnomalyChange) -> String {
    let reading = &change.reading;
    let [value, low, high] = [reading.value, reading.low, reading.high].map(|figure| match change.signal {
        Signal::Bitrate if figure >= 125_000.0 => format!("{:.2} Mbit/s", figure * 8e-6),
        Signal::Bitrate => format!("{:.0} kbit/s", figure * 8e-3),
        Signal::Fps => format!("{figure:.1} fps"),
        Signal::FrameGap => format!("{:.0} ms", figure * 1e3),
    });
    let band = match change.signal {
        Signal::Bitrate | Signal::Fps => format!("{low} to {high}"),
        Signal::FrameGap => format!("up to {high}"),
    };
    let what = match change.signal {
        Signal::Bitrate => "bit rate",
        Signal::Fps => "frame rate",
        Signal::FrameGap => "longest gap between frames",
    };
    match reading.unusual_since {
        Some(_) => format!("{what} {value}; usual for this stream at this time: {band}"),
        None => format!("{what} {value} is usual again: {band}"),
    }
}

/// What is known of streams that are not wanted now. As long as their answers are kept, so is this.
#[derive(Debug, Default)]
pub struct Shelf {
    kept: HashMap<Name, (Instant, LearnedSignals)>,
}

impl Shelf {
    pub fn put(&mut self, now: Instant, stream: Name, learned: LearnedSignals) {
        self.kept.insert(stream, (now, learned));
    }

    pub fn take(&mut self, stream: &Name) -> Option<LearnedSignals> {
        self.kept.remove(stream).map(|(_, learned)| learned)
    }

    pub fn expire(&mut self, now: Instant) {
        self.kept.retain(|_, (since, _)| now.saturating_duration_since(*since) < KEEP_DEPARTED);
    }

    pub fn all(&self) -> impl Iterator<Item = (&Name, &LearnedSignals)> {
        self.kept.iter().map(|(name, (_, learned))| (name, learned))
    }
}
