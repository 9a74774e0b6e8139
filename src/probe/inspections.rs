//! What the inspections of all streams share: who decodes, the thumbnails' budget, how they have ended.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::model::budget::ByteBudget;
use crate::model::inspector::{InspectionOutcome, Inspector, NoInspector};

/// Bytes of the thumbnails of all streams: a few thousand of them.
pub const THUMBNAIL_BYTES: usize = 64 * 1024 * 1024;

/// Bytes of the samples of all streams, from when they are collected until they are inspected: some hundreds at one time. Streams for
/// which there is no room are looked at a little later. While a sample is inspected it is there a second time, as a request.
pub const SAMPLE_BYTES: usize = 128 * 1024 * 1024;

#[derive(Debug)]
pub struct Inspections {
    pub inspector: Arc<dyn Inspector>,
    pub thumbnails: ByteBudget,
    pub samples: ByteBudget,
    outcomes: [AtomicU64; InspectionOutcome::COUNT],
}

impl Default for Inspections {
    /// Nobody decodes.
    fn default() -> Self {
        Self::new(Arc::new(NoInspector))
    }
}

impl Inspections {
    pub fn new(inspector: Arc<dyn Inspector>) -> Self {
        Self {
            inspector,
            thumbnails: ByteBudget::new(THUMBNAIL_BYTES),
            samples: ByteBudget::new(SAMPLE_BYTES),
            outcomes: Default::default(),
        }
    }

    pub fn count(&self, outcome: InspectionOutcome) {
        if let Some(count) = self.outcomes.get(outcome.position()) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How often inspections have ended in each way, since the start.
    pub fn outcomes(&self) -> impl Iterator<Item = (InspectionOutcome, u64)> {
        InspectionOutcome::all().zip(&self.outcomes).map(|(outcome, n)| (outcome, n.load(Ordering::Relaxed)))
    }
}
