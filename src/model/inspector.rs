//! The handle to whoever decodes samples, so that those who ask need not know who that is.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use super::content::{InspectFailure, Inspection, Sample};

/// An inspection under way. Dropping it gives it up.
pub type Inspecting = Pin<Box<dyn Future<Output = Result<Inspection, InspectFailure>> + Send>>;

/// Who decodes. Never waits without bound: a full queue answers [`InspectFailure::Busy`].
pub trait Inspector: fmt::Debug + Send + Sync {
    /// Decodes `sample`, with a thumbnail if wanted.
    fn inspect(self: Arc<Self>, sample: Sample, thumbnail: bool) -> Inspecting;
}

/// There is nobody who decodes.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoInspector;

impl Inspector for NoInspector {
    fn inspect(self: Arc<Self>, _sample: Sample, _thumbnail: bool) -> Inspecting {
        Box::pin(std::future::ready(Err(InspectFailure::Unavailable)))
    }
}

/// How an attempt at an inspection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InspectionOutcome {
    Done,
    /// Neither a keyframe nor sound came in time.
    NoSample,
    Failed(InspectFailure),
}

impl InspectionOutcome {
    /// How many there are.
    pub const COUNT: usize = 2 + InspectFailure::ALL.len();

    /// All of them, in the order of [`InspectionOutcome::position`].
    pub fn all() -> impl Iterator<Item = Self> {
        [Self::Done, Self::NoSample].into_iter().chain(InspectFailure::ALL.iter().copied().map(Self::Failed))
    }

    pub const fn position(self) -> usize {
        match self {
            Self::Done => 0,
            Self::NoSample => 1,
            Self::Failed(failure) => 2 + failure as usize,
        }
    }

    /// Metric label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::NoSample => "no_sample",
            Self::Failed(failure) => failure.as_str(),
        }
    }
}
