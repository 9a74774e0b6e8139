//! What inspections have shown of a stream's content, and the pictures they have left.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::closed_enum;
use super::health::DegradedCause;

closed_enum! {
    /// What can be wrong with a picture and a sound that arrive.
    ContentIssue {
        Black = "black",
        Frozen = "frozen",
        Silent = "silent",
        Undecodable = "undecodable",
    }
}

impl ContentIssue {
    /// The cause it becomes when it lasts.
    pub const fn cause(self) -> DegradedCause {
        match self {
            Self::Black => DegradedCause::Black,
            Self::Frozen => DegradedCause::Frozen,
            Self::Silent => DegradedCause::Silent,
            Self::Undecodable => DegradedCause::Undecodable,
        }
    }
}

/// What samples have shown of one issue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Finding {
    /// When the newest sample was taken that could tell.
    pub at: Instant,
    /// Since when every such sample has shown it; `None` when the newest one has not.
    pub since: Option<Instant>,
}

impl Finding {
    /// How long it was known to last when the newest sample was taken; zero when that has not shown it.
    pub fn lasted(&self) -> Duration {
        self.since.map_or(Duration::ZERO, |since| self.at.saturating_duration_since(since))
    }
}

/// Facts of the present session, counters since the stream was added.
#[derive(Debug, Clone, Default)]
pub struct ContentReport {
    /// Inspections that have told something.
    pub inspections: u64,
    /// Frames that the decoder refused or had to conceal parts of.
    pub decode_errors: u64,
    pub picture: Option<PictureFacts>,
    pub sound: Option<SoundFacts>,
    /// By [`ContentIssue`], in declaration order; `None` where the check is off or nothing could be told yet.
    pub findings: [Option<Finding>; ContentIssue::ALL.len()],
    /// The newest picture, of whatever session.
    pub thumbnail: Option<Arc<Thumbnail>>,
}

impl ContentReport {
    pub fn finding(&self, issue: ContentIssue) -> Option<Finding> {
        self.findings.get(issue as usize).copied().flatten()
    }
}

/// The newest sample's video.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PictureFacts {
    pub at: Instant,
    /// Pixels, as decoded.
    pub width: u32,
    pub height: u32,
    /// 0 black to 1 white.
    pub luma_mean: f32,
    pub luma_deviation: f32,
    /// Mean difference between successive pictures of the sample, on the same scale; `None` with one picture.
    pub change: Option<f32>,
    /// Luma difference to the sample before, where it is greatest in a grid of boxes, on the same scale; `None` for the first. A clock moves
    /// little of a picture, and shows here.
    pub difference: Option<f32>,
}

/// The newest sample's audio.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SoundFacts {
    pub at: Instant,
    pub channels: u32,
    pub loudness_dbfs: f32,
    pub peak_dbfs: f32,
    pub digital_silence: bool,
}

/// A small JPEG of an inspected picture. Holds its part of the budget until it is dropped.
#[derive(Debug)]
pub struct Thumbnail {
    pub taken: Instant,
    pub jpeg: Box<[u8]>,
    /// Tells one picture from another.
    pub tag: u64,
    budget: ThumbnailBudget,
}

impl Drop for Thumbnail {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.jpeg.len(), Ordering::Relaxed);
    }
}

/// Bytes that the thumbnails of all streams may take together.
#[derive(Debug, Clone)]
pub struct ThumbnailBudget {
    used: Arc<AtomicUsize>,
    limit: usize,
}

impl ThumbnailBudget {
    pub fn new(limit: usize) -> Self {
        Self { used: Arc::default(), limit }
    }

    /// Bytes taken now.
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// A thumbnail, if it is a JPEG and there is room for it.
    pub fn hold(&self, taken: Instant, jpeg: Vec<u8>) -> Option<Arc<Thumbnail>> {
        let is_jpeg = jpeg.starts_with(&[0xff, 0xd8, 0xff]);
        let fits = |used: usize| used.checked_add(jpeg.len()).filter(|sum| *sum <= self.limit);
        if !is_jpeg || self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).is_err() {
            return None;
        }
        let jpeg = jpeg.into_boxed_slice();
        let tag = fingerprint(&jpeg);
        Some(Arc::new(Thumbnail { taken, jpeg, tag, budget: self.clone() }))
    }
}

/// FNV-1a, 64 bits.
fn fingerprint(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jpeg(length: usize, fill: u8) -> Vec<u8> {
        let mut bytes = vec![fill; length];
        bytes[..3].copy_from_slice(&[0xff, 0xd8, 0xff]);
        bytes
    }

    #[test]
    fn thumbnails_stay_within_their_budget() {
        let (budget, now) = (ThumbnailBudget::new(100), Instant::now());
        let first = budget.hold(now, jpeg(60, 1)).unwrap();
        assert!(budget.hold(now, jpeg(41, 1)).is_none(), "no room");
        let second = budget.hold(now, jpeg(40, 2)).unwrap();
        assert_ne!(first.tag, second.tag);
        let shared = Arc::clone(&first);
        drop(first);
        assert_eq!(budget.used(), 100, "somebody still shows it");
        drop(shared);
        assert_eq!(budget.used(), 40);
        assert!(budget.hold(now, vec![0; 10]).is_none(), "no JPEG");
        assert_eq!(budget.used(), 40);
    }
}
