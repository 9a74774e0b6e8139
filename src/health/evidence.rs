//! What one report shows, judged against a policy. No memory.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::model::content_policy::ContentPolicy;
use crate::model::content_report::{ContentIssue, ContentReport};
use crate::model::health::{DegradedCause, DegradedCauses, DownCause};
use crate::model::packet::MediaKind;
use crate::model::report::{Connection, MediaReport, MediumReport, StreamReport};
use crate::model::spec::{Presence, Range, StreamPolicy, VideoExpect};
use crate::model::units::BitRate;

/// A report older than this says nothing about the present. Probes report at least twice a second. Reports from server statistics say
/// themselves how long they hold.
pub const REPORT_MAX_AGE: Duration = Duration::from_secs(3);

/// An origin gives a new player video from the next keyframe on. A required medium that has not come is missed after this.
pub const FIRST_FRAME_PATIENCE: Duration = Duration::from_secs(10);

/// Until when `report` is fresh.
pub(super) fn fresh_until(now: Instant, report: Option<&StreamReport>) -> Option<Instant> {
    report.map(|r| r.observed_at + max_age(r)).filter(|until| *until >= now)
}

fn max_age(report: &StreamReport) -> Duration {
    report.media.told.map_or(REPORT_MAX_AGE, |told| told.valid_for)
}

/// What is shown at this moment.
#[derive(Debug, Clone, PartialEq)]
pub enum Evidence {
    /// Nothing has ever been reported.
    Unseen,
    /// Nothing fresh.
    Stale,
    /// Fresh, but nothing to judge by: no attempt has ended yet, or nobody is looking on purpose. The last verdict holds, and so does
    /// the wait for a better one: whatever went wrong would be evidence.
    Pending,
    /// The stream is not there.
    Down { cause: DownCause, since: Instant, detail: Arc<str> },
    /// Live media flows. `judged` are the degraded causes that could be judged, `found` those that apply. What is found and not judged has
    /// begun to show: it keeps a cause alive and makes none.
    Live { judged: DegradedCauses, found: DegradedCauses },
}

/// Reads `report` against `policy`.
pub fn assess(now: Instant, report: Option<&StreamReport>, policy: &StreamPolicy) -> Evidence {
    let Some(report) = report else { return Evidence::Unseen };
    if now.saturating_duration_since(report.observed_at) > max_age(report) {
        return Evidence::Stale;
    }
    if let Some(fault) = &report.fault {
        return Evidence::Down { cause: fault.cause, since: fault.since, detail: Arc::clone(&fault.detail) };
    }
    let Connection::Playing { since: session } = report.connection else { return Evidence::Pending };
    if let Some(stall) = report.media.stall {
        let detail = match stall.media {
            Some(media) => format!("no {media} for {:.1} s", silence(now, stall.since)),
            None => format!("no media for {:.1} s", silence(now, stall.since)),
        };
        // The silence became a stall when it reached the timeout, not when it began.
        let since = (stall.since + policy.stall_timeout).min(report.observed_at);
        return Evidence::Down { cause: DownCause::Stalled, since, detail: detail.into() };
    }
    let Some(live) = report.media.live_since else { return Evidence::Pending };
    let mut sheet = degraded(now, session, live, &report.media, policy);
    if let Some(content) = &report.content {
        let patience = patience(policy);
        let flows = |medium: &MediumReport| {
            let last = medium.last_frame.filter(|at| *at >= session);
            now.saturating_duration_since(last.unwrap_or(live)) < patience
        };
        let flow = Flow { video: flows(&report.media.video.medium), audio: flows(&report.media.audio.medium) };
        judge_content(now, content, flow, &policy.content, &mut sheet);
    }
    Evidence::Live { judged: sheet.judged, found: sheet.found }
}

fn silence(now: Instant, since: Instant) -> f64 {
    now.saturating_duration_since(since).as_secs_f64()
}

fn degraded(now: Instant, session: Instant, live: Instant, media: &MediaReport, policy: &StreamPolicy) -> Sheet {
    use DegradedCause as C;
    let mut sheet = Sheet::default();
    let expect = &policy.expect;

    let long_enough = now.saturating_duration_since(live) >= patience(policy);
    for (kind, medium, cause) in [
        (MediaKind::Video, &media.video.medium, C::VideoMissing),
        (MediaKind::Audio, &media.audio.medium, C::AudioMissing),
    ] {
        let seen = medium.last_frame.is_some_and(|at| at >= session);
        let tells = media.told.is_none_or(|told| told.formats);
        if tells && expect.presence(kind) == Presence::Required && (seen || long_enough) {
            sheet.judge(cause, !seen);
        }
    }

    let video = media.video.format.as_ref();
    let audio = media.audio.format.as_ref();
    // A codec that statistics have no name for may be the right one.
    let differs = |codec: &str, wanted: &str| codec != wanted && (media.told.is_none() || codec != "unknown");
    let codecs = [
        video.zip(expect.video.codec.as_deref()).map(|(f, wanted)| differs(&f.codec, wanted)),
        audio.zip(expect.audio.codec.as_deref()).map(|(f, wanted)| differs(&f.codec, wanted)),
    ];
    if codecs.iter().any(Option::is_some) {
        sheet.judge(C::CodecMismatch, codecs.contains(&Some(true)));
    }
    if let Some((width, height)) = video.and_then(|f| f.width.zip(f.height)) {
        let VideoExpect { width: w, height: h, .. } = expect.video;
        if w.is_some() || h.is_some() {
            sheet.judge(C::ResolutionMismatch, w.is_some_and(|w| w != width) || h.is_some_and(|h| h != height));
        }
    }

    if media.warm {
        let rates = [(&media.video.medium, expect.video.bitrate), (&media.audio.medium, expect.audio.bitrate)];
        if rates.iter().any(|(_, r)| r.min.is_some()) {
            sheet.judge(C::BitrateLow, rates.iter().any(|(m, r)| below(m, *r)));
        }
        if rates.iter().any(|(_, r)| r.max.is_some()) {
            sheet.judge(C::BitrateHigh, rates.iter().any(|(m, r)| above(m, *r)));
        }
        if let Some(fps) = media.video.frames_per_second {
            sheet.limit(C::FpsLow, expect.video.fps.min.map(|min| fps < min));
            sheet.limit(C::FpsHigh, expect.video.fps.max.map(|max| fps > max));
        }
        let interval = media.video.keyframe_age.max(media.video.keyframe_interval);
        sheet.limit(C::KeyframeInterval, interval.zip(expect.video.keyframe_interval_max).map(|(i, max)| i > max));
        let anomalies = media.video.medium.recent_anomalies.saturating_add(media.audio.medium.recent_anomalies);
        sheet.limit(C::Timestamps, expect.timestamp_anomalies_max.map(|max| anomalies > max));
        sheet.limit(C::Drift, media.drift.zip(expect.drift_max).map(|(d, max)| d.abs() > max.as_secs_f64()));
        sheet.limit(C::AvSkew, media.av_skew.zip(expect.av_skew_max).map(|(s, max)| s.abs() > max.as_secs_f64()));
        sheet.limit(C::Jitter, media.jitter.zip(expect.jitter_max).map(|(j, max)| j > max));
    }
    sheet
}

/// After how long a medium that does not come is not there.
fn patience(policy: &StreamPolicy) -> Duration {
    policy.stall_timeout.max(FIRST_FRAME_PATIENCE)
}

/// Which media come, or may still begin to.
#[derive(Debug, Clone, Copy)]
struct Flow {
    video: bool,
    audio: bool,
}

impl Flow {
    fn has(self, issue: ContentIssue) -> bool {
        match issue {
            ContentIssue::Black | ContentIssue::Frozen => self.video,
            ContentIssue::Silent => self.audio,
            ContentIssue::Undecodable => self.video || self.audio,
        }
    }
}

/// An issue counts once samples have shown it for as long as the policy says. One that has begun to show, or has not been looked for in
/// this session, leaves the cause as it was, and so does one for which those who decode have no time now: they would tell it again. A medium
/// that is not there has no issue, and samples that are too old show none.
fn judge_content(now: Instant, content: &ContentReport, flow: Flow, policy: &ContentPolicy, sheet: &mut Sheet) {
    for issue in ContentIssue::ALL.iter().copied() {
        let Some(duration) = policy.duration(issue) else { continue };
        if !flow.has(issue) {
            sheet.judge(issue.cause(), false);
            continue;
        }
        let Some(finding) = content.finding(issue) else { continue };
        let fresh = now.saturating_duration_since(finding.at) <= policy.stands_for();
        let shown = finding.since.is_some() && (fresh || content.put_off);
        sheet.found.set(issue.cause(), shown);
        sheet.judged.set(issue.cause(), !shown || fresh && finding.lasted() >= duration);
    }
}

fn below(medium: &MediumReport, range: Range<BitRate>) -> bool {
    medium.bytes_per_second.zip(range.min).is_some_and(|(rate, min)| rate < min.bytes_per_second())
}

fn above(medium: &MediumReport, range: Range<BitRate>) -> bool {
    medium.bytes_per_second.zip(range.max).is_some_and(|(rate, max)| rate > max.bytes_per_second())
}

/// Which causes could be judged, and which of them apply.
#[derive(Default)]
pub(super) struct Sheet {
    pub judged: DegradedCauses,
    pub found: DegradedCauses,
}

impl Sheet {
    pub fn judge(&mut self, cause: DegradedCause, found: bool) {
        self.judged.set(cause, true);
        self.found.set(cause, found);
    }

    /// Judges a limit when both the limit and the measurement are there.
    pub fn limit(&mut self, cause: DegradedCause, exceeded: Option<bool>) {
        if let Some(found) = exceeded {
            self.judge(cause, found);
        }
    }
}
