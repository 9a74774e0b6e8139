//! The recent past of every stream's figures, for charts: one sample of all streams every [`INTERVAL`], bounded in number and bytes.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use crate::model::snapshot::{Snapshot, StreamView};
use crate::model::{Health, Name};

/// Time from one sample to the next.
pub const INTERVAL: Duration = Duration::from_secs(2);
/// Samples that are kept: five minutes.
pub const DEPTH: usize = 150;
/// Memory for the samples; with very many streams the past is shorter. 1,000 streams take 4 MB.
const BUDGET: usize = 16 * 1024 * 1024;

/// A figure that may be unknown, in the place of a number alone.
#[derive(Debug, Clone, Copy)]
struct Figure(f32);

impl Figure {
    fn new(value: Option<f64>) -> Self {
        Self(value.map_or(f32::NAN, |v| v as f32))
    }

    fn get(self) -> Option<f64> {
        Some(f64::from(self.0)).filter(|v| v.is_finite())
    }
}

/// One stream's figures at one moment, as a stream's document has them then.
#[derive(Debug, Clone, Copy)]
pub struct Point {
    pub health: Health,
    bytes_per_second: Figure,
    frames_per_second: Figure,
    frame_gap: Figure,
    keyframe_interval: Figure,
    drift: Figure,
}

impl Point {
    fn new(view: &StreamView) -> Self {
        let health = view.verdict.health;
        let media = view.report.as_ref().filter(|_| health != Health::Unknown).map(|r| &r.media);
        let video = media.map(|m| &m.video);
        let secs = |d: Option<Duration>| Figure::new(d.map(|d| d.as_secs_f64()));
        Self {
            health,
            bytes_per_second: Figure::new(media.and_then(|m| m.bytes_per_second())),
            frames_per_second: Figure::new(video.and_then(|v| v.frames_per_second)),
            frame_gap: secs(video.and_then(|v| v.medium.frame_gap_max)),
            keyframe_interval: secs(video.and_then(|v| v.keyframe_interval)),
            drift: Figure::new(media.and_then(|m| m.drift)),
        }
    }

    /// Video and audio together.
    pub fn bytes_per_second(&self) -> Option<f64> {
        self.bytes_per_second.get()
    }

    pub fn frames_per_second(&self) -> Option<f64> {
        self.frames_per_second.get()
    }

    /// Longest gap between frames of video, in seconds.
    pub fn frame_gap(&self) -> Option<f64> {
        self.frame_gap.get()
    }

    /// In seconds.
    pub fn keyframe_interval(&self) -> Option<f64> {
        self.keyframe_interval.get()
    }

    /// In seconds; positive: media runs fast.
    pub fn drift(&self) -> Option<f64> {
        self.drift.get()
    }
}

/// All streams at one moment.
#[derive(Debug)]
pub struct Sample {
    pub at: SystemTime,
    /// Sorted; shared by samples of the same streams.
    names: Arc<[Name]>,
    points: Box<[Point]>,
}

impl Sample {
    fn new(at: SystemTime, snapshot: &Snapshot, before: Option<&Sample>) -> Self {
        let names = || snapshot.streams.iter().map(|view| &view.spec.name);
        let same = before.map(|b| &b.names).filter(|known| known.iter().eq(names()));
        Self {
            at,
            names: same.cloned().unwrap_or_else(|| names().cloned().collect()),
            points: snapshot.streams.iter().map(|view| Point::new(view)).collect(),
        }
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.points.len() * (size_of::<Point>() + size_of::<Name>())
    }
}

/// The points of one stream, oldest first; `None` where it was not there.
pub fn series<'s>(samples: &'s [Arc<Sample>], name: &'s Name) -> impl Iterator<Item = Option<&'s Point>> {
    let mut found: Option<(&Arc<[Name]>, Option<usize>)> = None;
    samples.iter().map(move |sample| {
        let place = match found {
            Some((names, place)) if Arc::ptr_eq(names, &sample.names) => place,
            _ => sample.names.binary_search(name).ok(),
        };
        found = Some((&sample.names, place));
        sample.points.get(place?)
    })
}

/// Newest samples. Written by the store alone.
#[derive(Debug)]
pub struct History {
    budget: usize,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    samples: VecDeque<Arc<Sample>>,
    bytes: usize,
    due: Option<Instant>,
}

impl Default for History {
    fn default() -> Self {
        Self::new(BUDGET)
    }
}

impl History {
    /// A history of at most about `budget` bytes.
    pub fn new(budget: usize) -> Self {
        Self { budget, kept: Mutex::default() }
    }

    /// Takes a sample of `snapshot` if it is time for one.
    pub fn note(&self, now: Instant, wall: SystemTime, snapshot: &Snapshot) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.due.is_some_and(|due| now < due) {
            return;
        }
        // On a grid, unless it has been missed.
        kept.due = Some(kept.due.map_or(now, |due| due + INTERVAL).max(now + INTERVAL / 2));
        let sample = Sample::new(wall, snapshot, kept.samples.back().map(|s| &**s));
        kept.bytes += sample.size();
        kept.samples.push_back(Arc::new(sample));
        while kept.samples.len() > DEPTH || kept.bytes > self.budget {
            let Some(old) = kept.samples.pop_front() else { break };
            kept.bytes -= old.size();
        }
    }

    /// The newest `limit` samples, oldest first.
    pub fn recent(&self, limit: usize) -> Vec<Arc<Sample>> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.samples.range(kept.samples.len().saturating_sub(limit)..).cloned().collect()
    }
}
