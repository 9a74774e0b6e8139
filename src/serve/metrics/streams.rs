//! The per-stream families, written as text straight from a snapshot.

use std::borrow::Cow;

use crate::model::anomaly::Signal;
use crate::model::content_report::{ContentIssue, ContentReport};
use crate::model::report::{MediaReport, MediumReport, ParseErrorKind, Phase, StreamReport, TimestampAnomaly};
use crate::model::snapshot::{ServerView, Snapshot, StreamView};
use crate::model::{DownCause, Health, MediaKind};
use crate::serve::judged::Judged;
use crate::serve::moment::Moment;

use super::budget::{self, ContentFigure, Extras};
use super::catalogue::Scope;
use super::exposition::{Value, base_labels, push_label};
use super::moments::{unix_seconds, wall_seconds};
use super::rows::{self, Row};

/// Sample rates that are labels, in hertz: those of the formats that know only some, and the usual ones of the others.
const RATES: [u32; 21] = [
    5_512, 7_350, 8_000, 11_025, 12_000, 16_000, 18_900, 22_050, 24_000, 32_000, 37_800, 44_100, 48_000, 64_000,
    88_200, 96_000, 128_000, 176_400, 192_000, 352_800, 384_000,
];
/// Most channels that are a label: of 22.2 sound.
const MAX_CHANNELS: u32 = 24;

/// One stream, prepared for being visited once per family.
struct StreamRow<'s> {
    view: &'s StreamView,
    report: Option<&'s StreamReport>,
    /// Present while the evidence is fresh enough for figures of the present.
    fresh: Option<&'s StreamReport>,
    health: Health,
    labels: String,
    extras: Extras,
    server: Option<&'s ServerView>,
    /// Of a picture that is no older than it may be.
    server_now: Option<&'s ServerView>,
}

impl<'s> StreamRow<'s> {
    fn new(view: &'s StreamView, moment: &Moment, snapshot: &Snapshot) -> Self {
        let health = Judged::from(view).health(snapshot, moment);
        let report = view.report.as_deref();
        let judged = health != Health::Unknown;
        let mut labels = base_labels(Scope::Stream, view.spec.name.as_str(), &view.spec.labels);
        if let Some(follow) = &view.spec.follow {
            // What is down with a failover's active candidate can be told from a camera that is down.
            labels.push(',');
            push_label(&mut labels, "failover", follow.failover.as_str());
        }
        let fresh = report.filter(|_| judged);
        let server = view.server.as_deref();
        Self {
            view,
            report,
            fresh,
            health,
            labels,
            extras: budget::grant(view, report, judged),
            server,
            server_now: server.filter(|_| moment.is_fresh(snapshot)),
        }
    }

    fn media(&self) -> Option<&'s MediaReport> {
        self.report.map(|r| &r.media)
    }

    /// While it is fresh, and there is room for the figure.
    fn content_now(&self, figure: ContentFigure) -> Option<&'s ContentReport> {
        self.fresh?.content.as_ref().filter(|_| self.extras.content.contains(figure as usize))
    }

    fn fresh_media(&self) -> Option<&'s MediaReport> {
        self.fresh.map(|r| &r.media)
    }
}

fn medium(report: &MediaReport, kind: MediaKind) -> &MediumReport {
    match kind {
        MediaKind::Video => &report.video.medium,
        MediaKind::Audio => &report.audio.medium,
    }
}

impl Row for StreamRow<'_> {
    fn labels(&self) -> &str {
        &self.labels
    }
}

type Page<'r, 'o> = rows::Page<'r, 'o, StreamRow<'r>>;

/// A family with one series per medium at most.
fn per_medium<'r, V: Into<Value>>(
    page: &mut Page<'r, '_>,
    name: &str,
    value: impl Fn(&'r StreamRow<'r>, MediaKind) -> Option<V>,
) {
    page.family(name, |row, w| {
        for kind in MediaKind::ALL.iter().copied() {
            if let Some(value) = value(row, kind) {
                w.series(&row.labels, &[kind.as_str()], value);
            }
        }
    });
}

/// Appends the per-stream families of every stream in `snapshot` to `out`.
pub fn render(snapshot: &Snapshot, moment: &Moment, out: &mut String) {
    let rows: Vec<_> = snapshot.streams.iter().map(|view| StreamRow::new(view, moment, snapshot)).collect();
    let mut page = Page { rows: &rows, out };
    state(&mut page);
    connection(&mut page, moment);
    media(&mut page, moment);
    picture_and_sound(&mut page);
    content(&mut page, moment);
    hints(&mut page);
    server_side(&mut page);
}

fn state(page: &mut Page) {
    page.single("hmonitor_stream_up", |r| match r.health {
        Health::Up | Health::Degraded => Some(true),
        Health::Down => Some(false),
        Health::Unknown | Health::Idle => None,
    });
    page.single("hmonitor_stream_expected", |r| {
        Some(!(r.view.verdict.health == Health::Idle || r.view.silence.is_some()))
    });
    page.family("hmonitor_stream_health", |r, w| {
        for state in Health::ALL.iter().copied() {
            w.series(&r.labels, &[state.as_str()], r.health == state);
        }
    });
    page.family("hmonitor_stream_issue", |r, w| {
        for cause in budget::all_causes().filter(|c| r.extras.issues.contains(budget::issue_position(*c))) {
            let now = r.extras.issues_now.contains(budget::issue_position(cause));
            w.series(&r.labels, &[cause.as_str()], now);
        }
    });
    page.family("hmonitor_stream_state_changes_total", |r, w| {
        for (i, (to, count)) in Health::ALL.iter().zip(r.view.totals.changes).enumerate() {
            if r.extras.changes.contains(i) {
                w.series(&r.labels, &[to.as_str()], count);
            }
        }
    });
    page.single("hmonitor_stream_outages_total", |r| Some(r.view.totals.outages));
    page.single("hmonitor_stream_outage_seconds_total", |r| Some(r.view.totals.outage_seconds));
    page.single("hmonitor_stream_stalls_total", |r| r.media().map(|m| m.stalls));
    page.single("hmonitor_stream_stall_seconds_total", |r| r.media().map(|m| m.stall_time.as_secs_f64()));
    page.single("hmonitor_stream_last_change_timestamp_seconds", |r| unix_seconds(r.view.verdict.since));
}

fn connection(page: &mut Page, moment: &Moment) {
    page.single("hmonitor_stream_connect_attempts_total", |r| r.report.map(|r| r.transport.connect_attempts));
    page.single("hmonitor_stream_session_failures_total", |r| {
        let transport = &r.report?.transport;
        Some(transport.connect_failures.iter().chain(&transport.disconnects).sum::<u64>())
    });
    page.family("hmonitor_stream_connect_failures_total", |r, w| {
        let Some(report) = r.report else { return };
        for (i, (cause, count)) in DownCause::ALL.iter().zip(report.transport.connect_failures).enumerate() {
            if r.extras.failures.contains(i) {
                w.series(&r.labels, &[cause.as_str()], count);
            }
        }
    });
    page.family("hmonitor_stream_disconnects_total", |r, w| {
        let Some(report) = r.report else { return };
        for (i, (cause, count)) in DownCause::ALL.iter().zip(report.transport.disconnects).enumerate() {
            if r.extras.disconnects.contains(i) {
                w.series(&r.labels, &[cause.as_str()], count);
            }
        }
    });
    page.family("hmonitor_stream_connect_duration_seconds", |r, w| {
        let Some(report) = r.report else { return };
        for (i, (phase, duration)) in Phase::ALL.iter().zip(report.transport.phases).enumerate() {
            if let Some(duration) = duration.filter(|_| r.extras.phases.contains(i)) {
                w.series(&r.labels, &[phase.as_str()], duration.as_secs_f64());
            }
        }
    });
    page.single("hmonitor_stream_session_start_timestamp_seconds", |r| {
        r.report?.transport.session_start.and_then(|at| wall_seconds(moment, at))
    });
    let tcp = |r: &StreamRow<'_>, position| r.report?.transport.tcp.filter(|_| r.extras.tcp.contains(position));
    page.single("hmonitor_stream_tcp_rtt_seconds", |r| tcp(r, 0)?.rtt.map(|rtt| rtt.as_secs_f64()));
    page.single("hmonitor_stream_tcp_retransmits_total", |r| Some(tcp(r, 1)?.retransmits));
    page.single("hmonitor_stream_tcp_out_of_order_total", |r| tcp(r, 2)?.out_of_order);
}

fn media(page: &mut Page, moment: &Moment) {
    page.single("hmonitor_stream_received_bytes_total", |r| r.report.map(|r| r.transport.received_bytes));
    per_medium(page, "hmonitor_stream_media_bytes_total", |r, kind| Some(medium(r.media()?, kind).bytes));
    per_medium(page, "hmonitor_stream_frames_total", |r, kind| Some(medium(r.media()?, kind).frames));
    page.single("hmonitor_stream_keyframes_total", |r| r.media().map(|m| m.video.keyframes));
    per_medium(page, "hmonitor_stream_media_bytes_per_second", |r, kind| {
        medium(r.fresh_media()?, kind).bytes_per_second
    });
    page.single("hmonitor_stream_frames_per_second", |r| r.fresh_media()?.video.frames_per_second);
    per_medium(page, "hmonitor_stream_declared_bytes_per_second", |r, kind| {
        let position = 1 + kind as usize;
        medium(r.media()?, kind).declared_bytes_per_second.filter(|_| r.extras.declared.contains(position))
    });
    page.single("hmonitor_stream_declared_frames_per_second", |r| {
        r.media()?.video.declared_frames_per_second.filter(|_| r.extras.declared.contains(0))
    });
    page.single("hmonitor_stream_keyframe_interval_seconds", |r| {
        r.fresh_media()?.video.keyframe_interval.map(|d| d.as_secs_f64())
    });
    page.single("hmonitor_stream_gop_frames", |r| r.fresh_media()?.video.gop_frames);
    per_medium(page, "hmonitor_stream_frame_gap_max_seconds", |r, kind| {
        medium(r.fresh_media()?, kind).frame_gap_max.map(|d| d.as_secs_f64())
    });
    page.single("hmonitor_stream_jitter_seconds", |r| r.fresh_media()?.jitter.map(|d| d.as_secs_f64()));
    per_medium(page, "hmonitor_stream_last_frame_timestamp_seconds", |r, kind| {
        medium(r.media()?, kind).last_frame.and_then(|at| wall_seconds(moment, at))
    });
    page.single("hmonitor_stream_media_errors_total", |r| {
        let m = r.media()?;
        let anomalies = m.video.medium.anomalies.iter().chain(&m.audio.medium.anomalies);
        Some(anomalies.chain(&m.parse_errors).sum::<u64>())
    });
    page.family("hmonitor_stream_timestamp_anomalies_total", |r, w| {
        let Some(m) = r.media() else { return };
        for (k, kind) in MediaKind::ALL.iter().copied().enumerate() {
            for (i, (anomaly, count)) in TimestampAnomaly::ALL.iter().zip(medium(m, kind).anomalies).enumerate() {
                if r.extras.anomalies.contains(k * TimestampAnomaly::ALL.len() + i) {
                    w.series(&r.labels, &[kind.as_str(), anomaly.as_str()], count);
                }
            }
        }
    });
    page.single("hmonitor_stream_drift_seconds", |r| r.fresh_media()?.drift);
    page.single("hmonitor_stream_av_skew_seconds", |r| r.fresh_media()?.av_skew);
}

fn picture_and_sound(page: &mut Page) {
    page.single("hmonitor_stream_video_width_pixels", |r| r.media()?.video.format.as_ref()?.width);
    page.single("hmonitor_stream_video_height_pixels", |r| r.media()?.video.format.as_ref()?.height);
    page.family("hmonitor_stream_video_info", |r, w| {
        if let Some(f) = r.media().and_then(|m| m.video.format.as_ref()) {
            let (depth, colour) = (f.bit_depth.map(|b| b.to_string()).unwrap_or_default(), f.colour.to_string());
            let hdr = f.hdr().unwrap_or_default();
            w.series(&r.labels, &[&f.codec, &f.profile, &f.level, &f.tier, &depth, &f.chroma, &colour, hdr], true);
        }
    });
    page.family("hmonitor_stream_audio_info", |r, w| {
        if let Some(f) = r.media().and_then(|m| m.audio.format.as_ref()) {
            let rate = usual(f.sample_rate, |rate| RATES.contains(&rate));
            let channels = usual(f.channels, |count| (1..=MAX_CHANNELS).contains(&count));
            w.series(&r.labels, &[&f.codec, &rate, &channels, &f.layout], true);
        }
    });
    page.single("hmonitor_stream_parameter_changes_total", |r| r.media().map(|m| m.parameter_changes));
    page.family("hmonitor_stream_parse_errors_total", |r, w| {
        let Some(m) = r.media() else { return };
        for (i, (kind, count)) in ParseErrorKind::ALL.iter().zip(m.parse_errors).enumerate() {
            if r.extras.parse_errors.contains(i) {
                w.series(&r.labels, &[kind.as_str()], count);
            }
        }
    });
}

/// What a publisher says, if it is usual: it may say another number every second, and each would be a series for good.
fn usual(said: Option<u32>, is_usual: fn(u32) -> bool) -> Cow<'static, str> {
    match said {
        None => Cow::Borrowed(""),
        Some(number) if is_usual(number) => Cow::Owned(number.to_string()),
        Some(_) => Cow::Borrowed("other"),
    }
}

/// At most one series of each; those that have room.
fn content(page: &mut Page, moment: &Moment) {
    let recent = |r: &StreamRow<'_>, at| moment.age_of(at) <= r.view.spec.policy.content.stands_for();
    per_medium(page, "hmonitor_stream_tracks", |r, kind| {
        Some(medium(r.media()?, kind).tracks).filter(|_| r.extras.tracks.contains(kind as usize))
    });
    page.single("hmonitor_stream_luma_mean_ratio", |r| {
        r.content_now(ContentFigure::Luma)?.picture.filter(|p| recent(r, p.at)).map(|p| f64::from(p.luma_mean))
    });
    page.single("hmonitor_stream_frozen_seconds", |r| {
        let finding = r.content_now(ContentFigure::Frozen)?.finding(ContentIssue::Frozen)?;
        recent(r, finding.at).then(|| finding.lasted().as_secs_f64())
    });
    page.single("hmonitor_stream_audio_loudness_dbfs", |r| {
        r.content_now(ContentFigure::Loudness)?.sound.filter(|s| recent(r, s.at)).map(|s| f64::from(s.loudness_dbfs))
    });
    page.single("hmonitor_stream_decode_errors_total", |r| {
        let granted = r.extras.content.contains(ContentFigure::DecodeErrors as usize);
        r.report?.content.as_ref().filter(|_| granted).map(|c| c.decode_errors)
    });
}

/// At most two series of each signal; those that have room.
fn hints(page: &mut Page) {
    page.family("hmonitor_stream_anomaly_ratio", |r, w| {
        for (i, (signal, reading)) in Signal::ALL.iter().zip(&r.view.hints).enumerate() {
            if let Some(reading) = reading.as_ref().filter(|_| r.extras.hints.contains(i)) {
                w.series(&r.labels, &[signal.as_str()], reading.ratio);
            }
        }
    });
    page.family("hmonitor_stream_unusual", |r, w| {
        for (_, signal) in Signal::ALL.iter().enumerate().filter(|(i, _)| r.extras.unusual.contains(*i)) {
            w.series(&r.labels, &[signal.as_str()], true);
        }
    });
}

/// At most [`budget::SERVER`] series.
fn server_side(page: &mut Page) {
    page.single("hmonitor_stream_server_publishing", |r| {
        Some(r.server_now?.stream.as_ref().is_some_and(|s| s.publishing))
    });
    page.single("hmonitor_stream_server_bytes_total", |r| r.server?.stream.as_ref()?.bytes_in);
    page.single("hmonitor_stream_server_players", |r| r.server_now?.stream.as_ref()?.players);
    page.single("hmonitor_stream_unplayable", |r| Some(r.server_now?.unplayable_since.is_some()));
}
