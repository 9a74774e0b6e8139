//! What inspections have shown of a stream's content, and the pictures they have left.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::budget::{ByteBudget, Held};
use super::closed_enum;
use super::health::{DegradedCause, DownCause};

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
    /// The cause it becomes when it lasts. It is told by this, too, where it is judged otherwise.
    pub const fn cause(self) -> DegradedCause {
        match self {
            Self::Black => DegradedCause::Black,
            Self::Frozen => DegradedCause::Frozen,
            Self::Silent => DegradedCause::Silent,
            Self::Undecodable => DegradedCause::Undecodable,
        }
    }

    /// The cause it becomes where the policy calls it an outage.
    pub const fn down_cause(self) -> DownCause {
        match self {
            Self::Black => DownCause::Black,
            Self::Frozen => DownCause::Frozen,
            Self::Silent => DownCause::Silent,
            Self::Undecodable => DownCause::Undecodable,
        }
    }

    /// The issue that is an outage by this cause.
    pub fn of(cause: DownCause) -> Option<Self> {
        Self::ALL.iter().copied().find(|issue| issue.down_cause() == cause)
    }

    /// For people.
    pub const fn detail(self) -> &'static str {
        match self {
            Self::Black => "the picture is black",
            Self::Frozen => "the picture stands still",
            Self::Silent => "there is nothing to hear",
            Self::Undecodable => "what comes cannot be decoded",
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
    /// Whether the newest look was put off because those who decode were busy.
    pub put_off: bool,
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
    _held: Held,
}

impl Thumbnail {
    /// Most bytes of one: several times what a picture of nothing but noise takes at the size of thumbnails.
    pub const MAX_BYTES: usize = 512 * 1024;

    /// If it is a JPEG, no larger than it can be, and `budget`, that of all of them, has room for it.
    pub fn hold(budget: &ByteBudget, taken: Instant, jpeg: Vec<u8>) -> Option<Arc<Self>> {
        if !jpeg.starts_with(&[0xff, 0xd8, 0xff]) || jpeg.len() > Self::MAX_BYTES {
            return None;
        }
        let held = budget.hold(jpeg.len())?;
        let jpeg = jpeg.into_boxed_slice();
        let tag = fingerprint(&jpeg);
        Some(Arc::new(Self { taken, jpeg, tag, _held: held }))
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
        let (budget, now) = (ByteBudget::new(100), Instant::now());
        let first = Thumbnail::hold(&budget, now, jpeg(60, 1)).unwrap();
        assert!(Thumbnail::hold(&budget, now, jpeg(41, 1)).is_none(), "no room");
        let second = Thumbnail::hold(&budget, now, jpeg(40, 2)).unwrap();
        assert_ne!(first.tag, second.tag);
        let shared = Arc::clone(&first);
        drop(first);
        assert_eq!(budget.used(), 100, "somebody still shows it");
        drop(shared);
        assert_eq!(budget.used(), 40);
        assert!(Thumbnail::hold(&budget, now, vec![0; 10]).is_none(), "no JPEG");
        assert_eq!(budget.used(), 40);
        let budget = ByteBudget::new(usize::MAX);
        assert!(Thumbnail::hold(&budget, now, jpeg(Thumbnail::MAX_BYTES, 1)).is_some());
        assert!(Thumbnail::hold(&budget, now, jpeg(Thumbnail::MAX_BYTES + 1, 1)).is_none(), "no thumbnail is as large");
    }
}
