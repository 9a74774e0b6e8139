//! One session's inspections: carries samples to whoever decodes, and what comes back to the [`ContentWatch`].

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use super::inspections::Inspections;
use crate::media::content::{ContentWatch, Wanted};
use crate::model::budget::Held;
use crate::model::content::{InspectFailure, Inspection, Sample};
use crate::model::content_report::Thumbnail;
use crate::model::inspector::{Inspecting, InspectionOutcome};

/// Whoever decodes has a deadline of its own; this one holds if that fails.
const LAST_DEADLINE: Duration = Duration::from_secs(60);

/// At most one inspection at a time. Dropping it gives that up.
pub(super) struct Inspector {
    shared: Arc<Inspections>,
    under_way: Option<(Instant, Inspecting)>,
    outcome: Option<(Instant, Result<Inspection, InspectFailure>)>,
}

impl Inspector {
    pub fn new(shared: Arc<Inspections>) -> Self {
        Self { shared, under_way: None, outcome: None }
    }

    /// Ready once when an inspection has ended: [`Inspector::step`] is due then.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some((taken, inspecting)) = &mut self.under_way else { return Poll::Pending };
        let Poll::Ready(result) = inspecting.as_mut().poll(cx) else { return Poll::Pending };
        self.outcome = Some((*taken, result));
        self.under_way = None;
        Poll::Ready(())
    }

    /// Does what is due. `true`: there is news to be judged.
    pub fn step(&mut self, now: Instant, content: &mut ContentWatch, flows: bool) -> bool {
        let outcome = self.outcome.take();
        let news = outcome.is_some();
        if let Some((taken, result)) = outcome {
            self.accept(now, taken, result, content);
        }
        match content.poll(now, flows, &self.shared.samples) {
            Wanted::Nothing => {}
            Wanted::NoSample => self.shared.count(now, InspectionOutcome::NoSample),
            Wanted::Room => self.shared.count(now, InspectionOutcome::Failed(InspectFailure::Busy)),
            Wanted::Inspection(sample, held) => self.begin(now, sample, held, content.policy().thumbnail),
        }
        news
    }

    fn begin(&mut self, now: Instant, sample: Sample, held: Held, thumbnail: bool) {
        let inspecting = Arc::clone(&self.shared.inspector).inspect(sample, thumbnail);
        let bounded = async {
            let _held = held;
            tokio::time::timeout(LAST_DEADLINE, inspecting).await.unwrap_or(Err(InspectFailure::Deadline))
        };
        self.under_way = Some((now, Box::pin(bounded)));
    }

    fn accept(
        &mut self,
        now: Instant,
        taken: Instant,
        mut result: Result<Inspection, InspectFailure>,
        content: &mut ContentWatch,
    ) {
        let outcome = match &result {
            Ok(_) => InspectionOutcome::Done,
            Err(failure) => InspectionOutcome::Failed(*failure),
        };
        let picture = result.as_mut().ok().and_then(|inspection| inspection.picture.as_mut());
        if let Some(jpeg) = picture.and_then(|picture| picture.thumbnail.take()) {
            // Its room is free for the next one.
            content.set_thumbnail(None);
            content.set_thumbnail(Thumbnail::hold(&self.shared.thumbnails, taken, jpeg));
        }
        if content.handle_result(now, result.as_ref().map_err(|failure| *failure)) {
            self.shared.count(now, outcome);
        }
    }
}
