//! Keeps a stream within [`SERIES_LIMIT`] series, whatever happens to it.
//!
//! The core of a stream's series is at most [`CORE`]. What comes on top (breakdowns, phases, declared figures) is granted
//! in the order of use to somebody on call, until the limit is reached. Every breakdown has a total in the core, so
//! nothing that is left out goes uncounted.

use crate::model::anomaly::{AnomalyReading, Signal};
use crate::model::content_report::ContentIssue;
use crate::model::report::{Phase, StreamReport};
use crate::model::snapshot::StreamView;
use crate::model::spec::enabled_causes;
use crate::model::{Cause, DegradedCause, DownCause, Health};

/// Most series of one stream in one exposition.
pub const SERIES_LIMIT: usize = 60;

/// Most series of a stream that are always granted; a test counts them.
pub const CORE: usize = 39;

/// Beside them, of a stream that a media server's statistics tell of.
pub const SERVER: usize = 4;

/// A set of array positions below 32.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Positions(u32);

impl Positions {
    pub fn contains(self, position: usize) -> bool {
        position < 32 && self.0 & (1 << position) != 0
    }

    fn of(wanted: impl IntoIterator<Item = usize>) -> Self {
        Self(wanted.into_iter().filter(|p| *p < 32).fold(0, |set, p| set | 1 << p))
    }

    fn nonzero(counters: &[u64]) -> Self {
        Self::of(counters.iter().enumerate().filter(|(_, n)| **n > 0).map(|(i, _)| i))
    }

    /// Keeps the lowest positions that `left` still has room for.
    fn granted(self, left: &mut usize) -> Self {
        let mut kept = 0;
        let mut rest = self.0;
        while rest != 0 && *left > 0 {
            let lowest = rest & rest.wrapping_neg();
            kept |= lowest;
            rest ^= lowest;
            *left -= 1;
        }
        Self(kept)
    }
}

/// Which series beyond the core a stream gets.
#[derive(Debug, Clone, Copy, Default)]
pub struct Extras {
    /// By [`issue_position`].
    pub issues: Positions,
    pub issues_now: Positions,
    /// By [`Health::ALL`].
    pub changes: Positions,
    /// By [`DownCause::ALL`].
    pub failures: Positions,
    pub disconnects: Positions,
    /// By [`Phase::ALL`].
    pub phases: Positions,
    /// By [`ContentFigure`].
    pub content: Positions,
    /// Of media with more than one, by [`MediaKind`](crate::model::MediaKind).
    pub tracks: Positions,
    /// Video in the low positions, audio above: three each.
    pub anomalies: Positions,
    pub parse_errors: Positions,
    /// By [`Signal`]: what is unusual, and where each lies in its band.
    pub unusual: Positions,
    pub hints: Positions,
    /// Frame rate, video and audio byte rate.
    pub declared: Positions,
    /// Round trip, retransmits, segments out of order.
    pub tcp: Positions,
}

/// Figures of the content.
#[derive(Debug, Clone, Copy)]
pub enum ContentFigure {
    DecodeErrors,
    Frozen,
    Luma,
    Loudness,
}

/// A cause's place in the sets of issues: down causes first, as declared. What a stream shows has one place, however it is judged.
pub fn issue_position(cause: Cause) -> usize {
    match cause {
        Cause::Down(c) => match ContentIssue::of(c) {
            Some(issue) => issue_position(Cause::Degraded(issue.cause())),
            None => c as usize,
        },
        Cause::Degraded(c) => DownCause::OF_STREAMS.len() + c as usize,
    }
}

/// Every cause of streams in the order of [`issue_position`].
pub fn all_causes() -> impl Iterator<Item = Cause> {
    let down = DownCause::OF_STREAMS.iter().copied().map(Cause::Down);
    down.chain(DegradedCause::OF_STREAMS.iter().copied().map(Cause::Degraded))
}

/// Grants `view` its series beyond the core. `judged` is false while the verdict is too old to show.
pub fn grant(view: &StreamView, report: Option<&StreamReport>, judged: bool) -> Extras {
    let mut left = SERIES_LIMIT - CORE - if view.server.is_some() { SERVER } else { 0 };
    let position = |c: DegradedCause| issue_position(Cause::Degraded(c));
    let now = match judged {
        true => Positions::of(view.verdict.causes().map(issue_position)),
        false => Positions::default(),
    };
    let always = Positions::of(
        std::iter::once(DownCause::Stalled as usize).chain(enabled_causes(&view.spec.policy).iter().map(position)),
    );
    let down = DownCause::ALL.iter().zip(view.totals.down_causes_seen).filter(|(_, seen)| *seen);
    let seen = Positions::of(
        down.map(|(c, _)| issue_position(Cause::Down(*c))).chain(view.totals.causes_seen.iter().map(position)),
    );
    let first = now.granted(&mut left);
    // Somebody has asked for these, and a threshold that does not apply tells less.
    let content = match report.and_then(|report| report.content.as_ref()) {
        Some(_) => Positions::of(0..=ContentFigure::Loudness as usize).granted(&mut left),
        None => Positions::default(),
    };
    let second = Positions(always.0 & !first.0).granted(&mut left);
    let third = Positions(seen.0 & !first.0 & !second.0).granted(&mut left);
    let mut extras = Extras {
        issues: Positions(first.0 | second.0 | third.0),
        issues_now: now,
        content,
        changes: Positions::nonzero(&view.totals.changes).granted(&mut left),
        ..Extras::default()
    };
    let Some(report) = report else { return extras };
    let phases = report.transport.phases.iter().enumerate().filter(|(_, d)| d.is_some()).map(|(i, _)| i);
    let (video, audio) = (&report.media.video, &report.media.audio);
    let anomalies: Vec<u64> = video.medium.anomalies.iter().chain(&audio.medium.anomalies).copied().collect();
    let declared = [
        video.declared_frames_per_second.is_some(),
        video.medium.declared_bytes_per_second.is_some(),
        audio.medium.declared_bytes_per_second.is_some(),
    ];
    extras.failures = Positions::nonzero(&report.transport.connect_failures).granted(&mut left);
    extras.disconnects = Positions::nonzero(&report.transport.disconnects).granted(&mut left);
    extras.phases = Positions::of(phases).granted(&mut left);
    extras.anomalies = Positions::nonzero(&anomalies).granted(&mut left);
    extras.parse_errors = Positions::nonzero(&report.media.parse_errors).granted(&mut left);
    let hints = |told: fn(&AnomalyReading) -> bool| {
        let readings = view.hints.iter().enumerate();
        Positions::of(readings.filter(|(_, r)| judged && r.as_ref().is_some_and(told)).map(|(i, _)| i))
    };
    extras.unusual = hints(|reading| reading.unusual_since.is_some()).granted(&mut left);
    extras.hints = hints(|_| true).granted(&mut left);
    let tracks = [video.medium.tracks, audio.medium.tracks].map(|tracks| u64::from(tracks > 1));
    extras.tracks = Positions::nonzero(&tracks).granted(&mut left);
    let declared = declared.iter().enumerate().filter(|(_, there)| **there).map(|(i, _)| i);
    extras.declared = Positions::of(declared).granted(&mut left);
    if let Some(tcp) = &report.transport.tcp {
        let tcp = [tcp.rtt.map(|_| 0), Some(1), tcp.out_of_order.map(|_| 2)];
        extras.tcp = Positions::of(tcp.into_iter().flatten()).granted(&mut left);
    }
    extras
}

const _: () = assert!(DownCause::OF_STREAMS.len() + DegradedCause::OF_STREAMS.len() <= 32);
const _: () = assert!(Health::ALL.len() <= 32 && Phase::ALL.len() <= 32 && Signal::ALL.len() <= 32);
