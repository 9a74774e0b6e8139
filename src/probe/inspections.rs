//! What the inspections of all streams share: who decodes, the thumbnails' budget, how they have ended.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::model::budget::ByteBudget;
use crate::model::content::InspectFailure;
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
    load: Mutex<Load>,
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
            load: Mutex::default(),
        }
    }

    pub fn count(&self, now: Instant, outcome: InspectionOutcome) {
        let busy = outcome == InspectionOutcome::Failed(InspectFailure::Busy);
        match self.load.lock().unwrap_or_else(PoisonError::into_inner).note(now, busy) {
            Some(true) => tracing::warn!(
                "looks at the content are put off: those who decode are busy. More of them (libav: inspectors) or a longer interval help"
            ),
            Some(false) => tracing::info!("those who decode keep up again"),
            None => {}
        }
        if let Some(count) = self.outcomes.get(outcome.position()) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How often inspections have ended in each way, since the start.
    pub fn outcomes(&self) -> impl Iterator<Item = (InspectionOutcome, u64)> {
        InspectionOutcome::all().zip(&self.outcomes).map(|(outcome, n)| (outcome, n.load(Ordering::Relaxed)))
    }
}

/// Time over which looks are counted: longer than the rush when many streams begin.
const WINDOW: Duration = Duration::from_secs(60);
/// Fewer say nothing.
const LEAST_OUTCOMES: u32 = 20;
/// One that is put off for so many that are taken is too many, and one for so many is none.
const TOO_MANY: u32 = 4;
const FEW: u32 = 20;

/// Whether those who decode keep up.
#[derive(Debug, Default)]
struct Load {
    /// When the present window began, outcomes in it, and how many of them are that a look was put off: it is taken later.
    window: Option<(Instant, u32, u32)>,
    over: bool,
}

impl Load {
    /// Takes how a look has ended. Whether there is too much from now on, when that changes.
    fn note(&mut self, now: Instant, busy: bool) -> Option<bool> {
        let (since, outcomes, put_off) = self.window.unwrap_or((now, 0, 0));
        let (outcomes, put_off) = (outcomes.saturating_add(1), put_off.saturating_add(u32::from(busy)));
        if now.saturating_duration_since(since) < WINDOW || outcomes < LEAST_OUTCOMES {
            self.window = Some((since, outcomes, put_off));
            return None;
        }
        self.window = None;
        let over = put_off > outcomes.saturating_sub(put_off) / if self.over { FEW } else { TOO_MANY };
        (over != std::mem::replace(&mut self.over, over)).then_some(over)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_much_is_told_once_and_so_is_its_end() {
        let (mut load, start) = (Load::default(), Instant::now());
        let mut told = Vec::new();
        for second in 0..1200_u64 {
            // A rush at the start, ten minutes of which half is put off, and then one now and then.
            let busy = match second {
                0..5 => true,
                300..600 => second % 2 == 0,
                _ => second % 40 == 0,
            };
            told.extend(load.note(start + Duration::from_secs(second), busy).map(|over| (second, over)));
        }
        let [(began, true), (ended, false)] = told[..] else { panic!("{told:?}") };
        assert!((300..430).contains(&began) && (600..730).contains(&ended), "{told:?}");
        let mut few = Load::default();
        assert!((0..19).all(|minute| few.note(start + WINDOW * minute, true).is_none()), "too few to say");
    }
}
