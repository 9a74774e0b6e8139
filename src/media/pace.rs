//! Tells live media from a burst of cached media.
//!
//! A burst gains on the wall clock. So does, for a moment, every batch, and for ever a publisher's clock that runs too fast:
//! the nearer media is to the pace of the wall clock, the sooner it is believed.

use std::time::{Duration, Instant};

use crate::model::MediaKind;

/// How long media must come at the pace of the wall clock before the stream is live.
pub const LIVE_STRETCH: Duration = Duration::from_millis(250);
/// How much media time may gain on the wall clock within such a stretch, beside the arrival resolution.
pub const LIVE_TOLERANCE: Duration = Duration::from_millis(30);
/// Media that comes for so long without gaining a second on the wall clock is live, whatever its timestamps say.
pub const LIVE_PATIENCE: Duration = Duration::from_secs(4);
/// Media that has been coming for so long is live, even if it gains on the wall clock all the time.
pub const LIVE_AT_LAST: Duration = Duration::from_secs(10);

/// Shorter batches are no hindrance to [`LIVE_STRETCH`].
const BATCH_GAP: Duration = Duration::from_millis(200);
/// How long batches must end at the pace of the wall clock.
const BATCHED_STRETCH: Duration = Duration::from_secs(1);
/// How much one batch may be less late than another within such a stretch, beside the arrival resolution.
const BATCHED_TOLERANCE: Duration = Duration::from_millis(150);
/// Over [`LIVE_PATIENCE`], this is about the pace that is too fast for [`LIVE_STRETCH`] as well.
const PATIENT_TOLERANCE: Duration = Duration::from_secs(1);
/// A longer silence of everything is a hold-up, and what follows may be the rest of a burst.
const LONGEST_BATCH: Duration = Duration::from_millis(2_500);

/// What is watched until media is live.
#[derive(Debug, Clone, Default)]
pub(super) struct Pace {
    /// First and newest frame's arrival.
    first: Option<Instant>,
    newest: Option<Instant>,
    /// The newest frame of each medium.
    marks: [Option<Mark>; MediaKind::ALL.len()],
    smooth: Stretch,
    batched: Stretch,
    patient: Stretch,
}

impl Pace {
    /// We stood still ourselves: what follows may be a backlog, but that must not put the verdict off for ever.
    pub(super) fn interrupt(&mut self) {
        *self = Self { first: self.first, ..Self::default() };
    }

    /// A frame without a place on the timeline has come.
    pub(super) fn doubt(&mut self) {
        self.smooth = Stretch::default();
    }

    /// A frame at `position` (milliseconds) has come. Whether the stream is seen to be live with it.
    pub(super) fn is_live(&mut self, kind: MediaKind, now: Instant, position: i64, resolution: Duration) -> bool {
        let first = *self.first.get_or_insert(now);
        let since = self.newest.replace(now).unwrap_or(now);
        let mark = Mark { at: now, position };
        let before = self.marks.get_mut(kind as usize).and_then(|newest| newest.replace(mark));
        if now.saturating_duration_since(since) > LONGEST_BATCH {
            self.patient = Stretch::default();
        }
        let smooth = self.is_smooth(kind, mark, resolution);
        let batched = self.is_batched(kind, before, now, resolution);
        let patient = self.patient.extend(kind, mark, PATIENT_TOLERANCE).elapsed >= LIVE_PATIENCE;
        smooth || batched || patient || now.saturating_duration_since(first) >= LIVE_AT_LAST
    }

    /// A burst gains all the time, so it starts the stretch anew with nearly every frame, over a slow link too. Media that
    /// trickles (a burst that is held up) does not advance half as fast as the clock and starts it anew as well.
    fn is_smooth(&mut self, kind: MediaKind, mark: Mark, resolution: Duration) -> bool {
        let progress = self.smooth.extend(kind, mark, LIVE_TOLERANCE.saturating_add(resolution));
        let due = progress.elapsed >= LIVE_STRETCH;
        if due && progress.trickles() {
            self.smooth.restart(kind, mark);
        }
        due && !progress.trickles()
    }

    /// Within a batch media first lags and then gains, so the ends of batches are compared: a batch has ended when the next
    /// one begins.
    fn is_batched(&mut self, kind: MediaKind, before: Option<Mark>, now: Instant, resolution: Duration) -> bool {
        let Some(end) = before.filter(|before| now.saturating_duration_since(before.at) >= BATCH_GAP) else {
            return false;
        };
        let progress = self.batched.extend(kind, end, BATCHED_TOLERANCE.saturating_add(resolution));
        progress.elapsed >= BATCHED_STRETCH && !progress.trickles()
    }
}

/// A frame's arrival and its place on the timeline, in milliseconds.
#[derive(Debug, Clone, Copy)]
struct Mark {
    at: Instant,
    position: i64,
}

/// Time passed since a stretch began.
#[derive(Debug, Clone, Copy)]
struct Progress {
    /// On the wall clock.
    elapsed: Duration,
    /// On the timeline.
    advanced: Duration,
}

impl Progress {
    fn trickles(self) -> bool {
        self.advanced < self.elapsed / 2
    }
}

/// A stretch in which no medium has gained more on the wall clock than is tolerated.
#[derive(Debug, Clone, Default)]
struct Stretch {
    starts: [Option<Mark>; MediaKind::ALL.len()],
}

impl Stretch {
    /// Goes on to `mark`, or begins anew there for all media.
    fn extend(&mut self, kind: MediaKind, mark: Mark, tolerance: Duration) -> Progress {
        let start = self.starts.get_mut(kind as usize).map_or(mark, |start| *start.get_or_insert(mark));
        let elapsed = mark.at.saturating_duration_since(start.at);
        let advanced = u64::try_from(mark.position.saturating_sub(start.position)).unwrap_or(0);
        let advanced = Duration::from_millis(advanced);
        if advanced > elapsed.saturating_add(tolerance) {
            self.restart(kind, mark);
            return Progress { elapsed: Duration::ZERO, advanced: Duration::ZERO };
        }
        Progress { elapsed, advanced }
    }

    fn restart(&mut self, kind: MediaKind, mark: Mark) {
        *self = Self::default();
        if let Some(start) = self.starts.get_mut(kind as usize) {
            *start = Some(mark);
        }
    }
}
