//! The JSON documents of the API: shapes for others, made from the model, which knows no JSON. Units are in the names;
//! what is not known is `null`; URLs are redacted; times are RFC 3339 in UTC, to the millisecond.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use schemars::JsonSchema;
use serde::Serialize;

use crate::model::event::{Event, SubjectClass};
use crate::model::report::{Connection, MediumReport, Phase, StreamReport, TimestampAnomaly};
use crate::model::snapshot::{Silence, Snapshot, StreamView, Verdict};
use crate::model::{Cause, DownCause, Health};

use super::health::answer_of;
use super::moment::{Moment, judged_health};

/// RFC 3339 in UTC, to the millisecond.
pub fn rfc3339(at: SystemTime) -> String {
    let millis = at.duration_since(SystemTime::UNIX_EPOCH).map(|d| i64::try_from(d.as_millis()).unwrap_or(i64::MAX));
    jiff::Timestamp::from_millisecond(millis.unwrap_or(0)).map(|t| format!("{t:.3}")).unwrap_or_default()
}

/// Why a stream is not up.
pub fn causes(verdict: &Verdict) -> impl Iterator<Item = Cause> {
    verdict.down.map(Cause::Down).into_iter().chain(verdict.degraded.iter().map(Cause::Degraded))
}

type Counts = BTreeMap<&'static str, u64>;

/// Non-zero counters by their label.
fn counts<'n>(names: impl Iterator<Item = &'static str>, counters: impl IntoIterator<Item = &'n u64>) -> Counts {
    names.zip(counters).filter(|(_, n)| **n > 0).map(|(name, n)| (name, *n)).collect()
}

fn secs(d: Option<Duration>) -> Option<f64> {
    d.map(|d| d.as_secs_f64())
}

/// A stream in a few words and numbers.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "StreamSummary")]
pub struct StreamSummary<'s> {
    pub name: &'s str,
    /// `unknown`, `up`, `degraded`, `down` or `idle`.
    pub health: &'static str,
    pub causes: Vec<&'static str>,
    /// Why, for people.
    pub detail: &'s str,
    /// Since when `health` has held.
    pub since: String,
    /// Grows with every change of the verdict.
    pub epoch: u64,
    /// What the health endpoint answers: 200 when true.
    pub healthy: bool,
    /// What that rests on: `verdict`, `held` or `unknown`.
    pub basis: &'static str,
    /// Since the newest evidence.
    pub age_seconds: Option<f64>,
    /// Video and audio together.
    pub bitrate_bps: Option<f64>,
    pub frames_per_second: Option<f64>,
    pub outages: u64,
    pub labels: BTreeMap<&'s str, &'s str>,
    pub silence: Option<SilenceDocument<'s>>,
}

impl<'s> StreamSummary<'s> {
    pub fn new(view: &'s StreamView, snapshot: &Snapshot, moment: &Moment) -> Self {
        let health = judged_health(view, snapshot, moment);
        let known = health != Health::Unknown;
        let fresh = view.report.as_ref().filter(|_| known).map(|r| &r.media);
        let rates = fresh.map(|m| (m.video.medium.bytes_per_second, m.audio.medium.bytes_per_second));
        let answer = answer_of(view, moment.is_fresh(snapshot));
        Self {
            name: view.spec.name.as_str(),
            health: health.as_str(),
            causes: if known { causes(&view.verdict).map(Cause::as_str).collect() } else { Vec::new() },
            detail: if moment.is_fresh(snapshot) { &view.verdict.detail } else { "the picture is too old" },
            since: rfc3339(view.verdict.since),
            epoch: view.verdict.epoch,
            healthy: answer.healthy,
            basis: answer.basis.as_str(),
            age_seconds: view.report.as_ref().map(|r| moment.age_of(r.observed_at).as_secs_f64()),
            bitrate_bps: rates.and_then(|rates| match rates {
                (None, None) => None,
                (video, audio) => Some((video.unwrap_or(0.0) + audio.unwrap_or(0.0)) * 8.0),
            }),
            frames_per_second: fresh.and_then(|m| m.video.frames_per_second),
            outages: view.totals.outages,
            labels: view.spec.labels.iter().collect(),
            silence: view.silence.as_deref().map(SilenceDocument::new),
        }
    }
}

/// An operator's word that a stream's absence is no outage.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Silence")]
pub struct SilenceDocument<'s> {
    pub reason: &'s str,
    /// `null`: until it is lifted.
    pub until: Option<String>,
    pub created: String,
}

impl<'s> SilenceDocument<'s> {
    pub fn new(silence: &'s Silence) -> Self {
        Self { reason: &silence.reason, until: silence.until.map(rfc3339), created: rfc3339(silence.created) }
    }
}

/// A stream with everything that is measured.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Stream")]
pub struct StreamDocument<'s> {
    #[serde(flatten)]
    pub summary: StreamSummary<'s>,
    /// Where it is played from, redacted.
    pub url: String,
    /// Where its definition comes from: `file`, `api` or `discovery`.
    pub source: &'static str,
    pub outage_seconds: f64,
    pub connection: Option<ConnectionDocument>,
    pub fault: Option<FaultDocument<'s>>,
    pub media: Option<MediaDocument<'s>>,
}

impl<'s> StreamDocument<'s> {
    pub fn new(view: &'s StreamView, snapshot: &Snapshot, moment: &Moment) -> Self {
        let report = view.report.as_deref();
        Self {
            summary: StreamSummary::new(view, snapshot, moment),
            url: view.spec.probe.url.to_string(),
            source: view.spec.source.as_str(),
            outage_seconds: view.totals.outage_seconds,
            connection: report.map(|r| ConnectionDocument::new(r, moment)),
            fault: report.and_then(|r| r.fault.as_ref()).map(|f| FaultDocument {
                cause: f.cause.as_str(),
                since: rfc3339(moment.wall_of(f.since)),
                detail: &f.detail,
            }),
            media: report.map(|r| MediaDocument::new(r, moment)),
        }
    }
}

/// The connection's figures.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Connection")]
pub struct ConnectionDocument {
    /// `resting`, `connecting`, `playing` or `backing_off`.
    pub state: &'static str,
    /// While connecting.
    pub phase: Option<&'static str>,
    pub attempts: u64,
    /// By cause; causes without one are left out.
    pub failures: Counts,
    pub disconnects: Counts,
    /// Durations of the newest attempt's phases.
    pub phase_seconds: BTreeMap<&'static str, f64>,
    pub session_start: Option<String>,
    pub received_bytes: u64,
}

impl ConnectionDocument {
    fn new(report: &StreamReport, moment: &Moment) -> Self {
        let t = &report.transport;
        let down = || DownCause::ALL.iter().map(|c| c.as_str());
        let phases = Phase::ALL.iter().zip(t.phases);
        Self {
            state: report.connection.as_str(),
            phase: match report.connection {
                Connection::Connecting(phase) => Some(phase.as_str()),
                _ => None,
            },
            attempts: t.connect_attempts,
            failures: counts(down(), &t.connect_failures),
            disconnects: counts(down(), &t.disconnects),
            phase_seconds: phases.filter_map(|(p, d)| Some((p.as_str(), d?.as_secs_f64()))).collect(),
            session_start: t.session_start.map(|at| rfc3339(moment.wall_of(at))),
            received_bytes: t.received_bytes,
        }
    }
}

/// Evidence that the stream is not there.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Fault")]
pub struct FaultDocument<'s> {
    pub cause: &'static str,
    pub since: String,
    pub detail: &'s str,
}

/// The analyser's figures as of the newest evidence.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Media")]
pub struct MediaDocument<'s> {
    /// Whether rates have been measured over a whole window.
    pub warm: bool,
    /// Since when a medium is silent beyond the stall timeout.
    pub stalled_since: Option<String>,
    /// The silent medium; `null` when all are.
    pub stalled_medium: Option<&'static str>,
    pub stalls: u64,
    pub stall_seconds: f64,
    pub jitter_seconds: Option<f64>,
    pub drift_seconds: Option<f64>,
    pub av_skew_seconds: Option<f64>,
    /// Granularity of arrival times.
    pub arrival_resolution_seconds: f64,
    pub parameter_changes: u64,
    pub video: VideoDocument<'s>,
    pub audio: AudioDocument<'s>,
}

impl<'s> MediaDocument<'s> {
    fn new(report: &'s StreamReport, moment: &Moment) -> Self {
        let m = &report.media;
        let (v, a) = (&m.video, &m.audio);
        let (vf, af) = (v.format.as_ref(), a.format.as_ref());
        Self {
            warm: m.warm,
            stalled_since: m.stall.map(|s| rfc3339(moment.wall_of(s.since))),
            stalled_medium: m.stall.and_then(|s| s.media).map(|k| k.as_str()),
            stalls: m.stalls,
            stall_seconds: m.stall_time.as_secs_f64(),
            jitter_seconds: secs(m.jitter),
            drift_seconds: m.drift,
            av_skew_seconds: m.av_skew,
            arrival_resolution_seconds: m.arrival_resolution.as_secs_f64(),
            parameter_changes: m.parameter_changes,
            video: VideoDocument {
                medium: MediumDocument::new(&v.medium, moment),
                codec: vf.map(|f| &*f.codec),
                profile: vf.map(|f| &*f.profile),
                level: vf.map(|f| &*f.level),
                width_pixels: vf.and_then(|f| f.width),
                height_pixels: vf.and_then(|f| f.height),
                frames_per_second: v.frames_per_second,
                declared_frames_per_second: v.declared_frames_per_second,
                keyframes: v.keyframes,
                keyframe_interval_seconds: secs(v.keyframe_interval),
                gop_frames: v.gop_frames,
            },
            audio: AudioDocument {
                medium: MediumDocument::new(&a.medium, moment),
                codec: af.map(|f| &*f.codec),
                profile: af.map(|f| &*f.profile),
                sample_rate_hz: af.and_then(|f| f.sample_rate),
                channels: af.and_then(|f| f.channels),
            },
        }
    }
}

/// Figures that audio and video share.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Medium")]
pub struct MediumDocument {
    pub bytes: u64,
    pub frames: u64,
    pub bitrate_bps: Option<f64>,
    /// As the publisher declares it.
    pub declared_bitrate_bps: Option<f64>,
    pub frame_gap_max_seconds: Option<f64>,
    pub last_frame: Option<String>,
    /// By kind; kinds without one are left out.
    pub timestamp_anomalies: Counts,
}

impl MediumDocument {
    fn new(m: &MediumReport, moment: &Moment) -> Self {
        Self {
            bytes: m.bytes,
            frames: m.frames,
            bitrate_bps: m.bytes_per_second.map(|b| b * 8.0),
            declared_bitrate_bps: m.declared_bytes_per_second.map(|b| b * 8.0),
            frame_gap_max_seconds: secs(m.frame_gap_max),
            last_frame: m.last_frame.map(|at| rfc3339(moment.wall_of(at))),
            timestamp_anomalies: counts(TimestampAnomaly::ALL.iter().map(|a| a.as_str()), &m.anomalies),
        }
    }
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Video")]
pub struct VideoDocument<'s> {
    #[serde(flatten)]
    pub medium: MediumDocument,
    pub codec: Option<&'s str>,
    pub profile: Option<&'s str>,
    pub level: Option<&'s str>,
    pub width_pixels: Option<u32>,
    pub height_pixels: Option<u32>,
    pub frames_per_second: Option<f64>,
    pub declared_frames_per_second: Option<f64>,
    pub keyframes: u64,
    pub keyframe_interval_seconds: Option<f64>,
    pub gop_frames: Option<u32>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Audio")]
pub struct AudioDocument<'s> {
    #[serde(flatten)]
    pub medium: MediumDocument,
    pub codec: Option<&'s str>,
    pub profile: Option<&'s str>,
    pub sample_rate_hz: Option<u32>,
    pub channels: Option<u32>,
}

/// One entry of the event history.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Event")]
pub struct EventDocument<'s> {
    /// Grows by one; starts again when the monitor does.
    pub id: u64,
    pub at: String,
    /// One of these four says whom it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream: Option<&'s str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<&'s str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<&'s str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<&'s str>,
    /// `state`, `cause`, `parameters`, `added`, `removed`, `silenced`, `unsilenced`, `condition`, `finding` or `fault`.
    pub kind: &'static str,
    pub from: Option<&'static str>,
    pub to: Option<&'static str>,
    pub causes: Vec<&'static str>,
    pub detail: &'s str,
}

impl<'s> EventDocument<'s> {
    pub fn new(event: &'s Event) -> Self {
        let about = |class| (event.subject.class == class).then_some(event.subject.name.as_str());
        Self {
            id: event.id,
            at: rfc3339(event.at),
            stream: about(SubjectClass::Stream),
            endpoint: about(SubjectClass::Endpoint),
            service: about(SubjectClass::Service),
            path: about(SubjectClass::Path),
            kind: event.kind.as_str(),
            from: event.from.map(Health::as_str),
            to: event.to.map(Health::as_str),
            causes: event.causes.iter().map(|c| c.as_str()).collect(),
            detail: &event.detail,
        }
    }
}
