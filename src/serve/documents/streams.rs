//! Streams: what is measured by playing them, beside what their media server says.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use crate::model::report::{Colour, Connection, MediumReport, Phase, StreamReport, TimestampAnomaly};
use crate::model::snapshot::{ServerView, Silence, Snapshot, StreamView};
use crate::model::target_report::ServerStream;
use crate::model::{DownCause, Health};
use crate::serve::judged::Judged;
use crate::serve::moment::Moment;

use super::anomaly::AnomalyDocument;
use super::content::ContentDocument;
use super::enhanced::{HdrMetadataDocument, ServerCapabilitiesDocument};
use super::{Counts, FaultDocument, JudgementDocument, counts, rfc3339, secs};

/// A stream in a few words and numbers.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "StreamSummary")]
pub struct StreamSummary<'s> {
    #[serde(flatten)]
    pub judgement: JudgementDocument<'s>,
    /// Video and audio together.
    pub bitrate_bps: Option<f64>,
    pub frames_per_second: Option<f64>,
    pub silence: Option<SilenceDocument<'s>>,
    /// When the picture at `thumbnail.jpg` was taken, where there is one.
    pub thumbnail_at: Option<String>,
}

impl<'s> StreamSummary<'s> {
    pub fn new(view: &'s StreamView, snapshot: &Snapshot, moment: &Moment) -> Self {
        let judged = Judged::from(view);
        let known = judged.health(snapshot, moment) != Health::Unknown;
        let fresh = view.report.as_ref().filter(|_| known).map(|r| &r.media);
        Self {
            judgement: JudgementDocument::new(&judged, snapshot, moment),
            bitrate_bps: fresh.and_then(|m| m.bytes_per_second()).map(|b| b * 8.0),
            frames_per_second: fresh.and_then(|m| m.video.frames_per_second),
            silence: view.silence.as_deref().map(SilenceDocument::new),
            thumbnail_at: view
                .report
                .as_ref()
                .and_then(|report| report.content.as_ref()?.thumbnail.as_ref())
                .map(|thumbnail| rfc3339(moment.wall_of(thumbnail.taken))),
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
    pub connection: Option<ConnectionDocument<'s>>,
    pub fault: Option<FaultDocument<'s>>,
    pub media: Option<MediaDocument<'s>>,
    /// Where the content is inspected.
    pub content: Option<ContentDocument>,
    /// What is unusual for it, once that is known: after a week.
    pub anomaly: Option<AnomalyDocument>,
    /// What its media server's statistics say of it, when they are watched and fresh.
    pub server: Option<ServerDocument<'s>>,
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
            fault: report.and_then(|r| r.fault.as_ref()).map(|f| FaultDocument::new(f, moment)),
            media: report.map(|r| MediaDocument::new(r, moment)),
            content: report.and_then(|r| r.content.as_ref()).map(|c| ContentDocument::new(c, moment)),
            anomaly: AnomalyDocument::new(&view.hints).filter(|_| moment.is_fresh(snapshot)),
            server: view.server.as_deref().filter(|_| moment.is_fresh(snapshot)).map(ServerDocument::new),
        }
    }
}

/// The connection's figures.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Connection")]
pub struct ConnectionDocument<'s> {
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
    /// What the server has said in its newest answer that it can do, if it speaks Enhanced RTMP v2.
    pub server_capabilities: Option<ServerCapabilitiesDocument<'s>>,
    /// The session's connection, as the kernel knows it: smoothed round trip, segments sent again, segments that came out of order.
    pub tcp_rtt_seconds: Option<f64>,
    pub tcp_retransmits: Option<u64>,
    pub tcp_out_of_order: Option<u64>,
}

impl<'s> ConnectionDocument<'s> {
    fn new(report: &'s StreamReport, moment: &Moment) -> Self {
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
            server_capabilities: t.server_capabilities.as_deref().map(ServerCapabilitiesDocument::new),
            tcp_rtt_seconds: t.tcp.and_then(|tcp| tcp.rtt).map(|rtt| rtt.as_secs_f64()),
            tcp_retransmits: t.tcp.map(|tcp| tcp.retransmits),
            tcp_out_of_order: t.tcp.and_then(|tcp| tcp.out_of_order),
        }
    }
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
                tier: vf.map(|f| &*f.tier),
                bit_depth: vf.and_then(|f| f.bit_depth),
                chroma: vf.map(|f| &*f.chroma),
                colour: vf.map(|f| ColourDocument::new(&f.colour)),
                hdr: vf.and_then(|f| f.hdr()),
                hdr_metadata: vf.and_then(|f| f.hdr_metadata.as_deref()).map(HdrMetadataDocument::new),
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
                layout: af.map(|f| &*f.layout),
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
    /// Seen in this session; of those beyond the first only the bytes are counted.
    pub tracks: u32,
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
            tracks: m.tracks,
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
    /// `main` or `high`; empty for codecs without tiers.
    pub tier: Option<&'s str>,
    /// Bits per sample of luma.
    pub bit_depth: Option<u32>,
    /// E.g. `4:2:0`; empty when not known.
    pub chroma: Option<&'s str>,
    pub colour: Option<ColourDocument<'s>>,
    /// `pq` or `hlg`; `null` for standard dynamic range and when not known.
    pub hdr: Option<&'static str>,
    /// As the container declares it.
    pub hdr_metadata: Option<HdrMetadataDocument>,
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
    /// By FFmpeg's name, e.g. `stereo`; empty when not known.
    pub layout: Option<&'s str>,
}

/// What the numbers of a picture stand for, by FFmpeg's names; empty when not said.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Colour")]
pub struct ColourDocument<'s> {
    pub primaries: &'s str,
    pub transfer: &'s str,
    pub matrix: &'s str,
    /// `tv` (limited) or `pc` (full).
    pub range: &'s str,
}

impl<'s> ColourDocument<'s> {
    fn new(colour: &'s Colour) -> Self {
        Self { primaries: &colour.primaries, transfer: &colour.transfer, matrix: &colour.matrix, range: &colour.range }
    }
}

/// A stream as its media server sees it.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ServerSide")]
pub struct ServerDocument<'s> {
    /// The service that says so.
    pub service: &'s str,
    /// Whether the server lists it and says that it is being published.
    pub publishing: bool,
    pub published_seconds: Option<f64>,
    /// From the publisher, as the server counts.
    pub bytes: Option<u64>,
    pub bitrate_bps: Option<f64>,
    /// How long no bytes have come from the publisher.
    pub idle_seconds: Option<f64>,
    /// The publisher not counted.
    pub players: Option<u64>,
    pub video: Option<ServerVideoDocument<'s>>,
    pub audio: Option<ServerAudioDocument<'s>>,
    /// Since when it cannot be played although the server says that it is published and bytes arrive there.
    pub unplayable_since: Option<String>,
}

impl<'s> ServerDocument<'s> {
    fn new(view: &'s ServerView) -> Self {
        let stream = view.stream.as_ref();
        Self {
            service: view.service.as_str(),
            publishing: stream.is_some_and(|s| s.publishing),
            published_seconds: secs(stream.and_then(|s| s.published_for)),
            bytes: stream.and_then(|s| s.bytes_in),
            bitrate_bps: stream.and_then(|s| s.bytes_per_second).map(|b| b * 8.0),
            idle_seconds: secs(stream.and_then(|s| s.idle_for)),
            players: stream.and_then(|s| s.players),
            video: stream.and_then(ServerVideoDocument::new),
            audio: stream.and_then(|s| s.audio.as_ref()).map(|f| ServerAudioDocument {
                codec: &f.codec,
                profile: &f.profile,
                sample_rate_hz: f.sample_rate,
                channels: f.channels,
            }),
            unplayable_since: view.unplayable_since.map(rfc3339),
        }
    }
}

/// The picture as the server says.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ServerVideo")]
pub struct ServerVideoDocument<'s> {
    pub codec: &'s str,
    pub profile: &'s str,
    pub level: &'s str,
    pub width_pixels: Option<u32>,
    pub height_pixels: Option<u32>,
    /// From the server's own count of frames.
    pub frames_per_second: Option<f64>,
    /// As the publisher claims.
    pub declared_frames_per_second: Option<f64>,
}

impl<'s> ServerVideoDocument<'s> {
    fn new(stream: &'s ServerStream) -> Option<Self> {
        let format = stream.video.as_ref()?;
        Some(Self {
            codec: &format.codec,
            profile: &format.profile,
            level: &format.level,
            width_pixels: format.width,
            height_pixels: format.height,
            frames_per_second: stream.frames_per_second,
            declared_frames_per_second: stream.declared_frames_per_second,
        })
    }
}

/// The sound as the server says.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ServerAudio")]
pub struct ServerAudioDocument<'s> {
    pub codec: &'s str,
    pub profile: &'s str,
    pub sample_rate_hz: Option<u32>,
    pub channels: Option<u32>,
}
