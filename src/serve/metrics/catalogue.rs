//! Every family the monitor exposes: the one source of HELP, TYPE and labels, and what dashboards are checked against.

use crate::model::closed_enum;

closed_enum! {
    /// Prometheus metric types in use.
    Kind {
        Counter = "counter",
        Gauge = "gauge",
    }
}

/// What a family has one set of series for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Each stream: its series also carry `stream` and the stream's configured labels.
    Stream,
    /// The monitor itself.
    Monitor,
    /// One answer of `/probe`.
    Probe,
}

/// One metric family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Family {
    /// Full name, as exposed.
    pub name: &'static str,
    pub kind: Kind,
    /// One line, no backslash.
    pub help: &'static str,
    /// Labels of the family's own.
    pub labels: &'static [&'static str],
    pub scope: Scope,
}

impl Family {
    /// The family of this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        CATALOGUE.iter().find(|f| f.name == name)
    }
}

const fn stream(name: &'static str, kind: Kind, labels: &'static [&'static str], help: &'static str) -> Family {
    Family { name, kind, help, labels, scope: Scope::Stream }
}

const fn monitor(name: &'static str, kind: Kind, labels: &'static [&'static str], help: &'static str) -> Family {
    Family { name, kind, help, labels, scope: Scope::Monitor }
}

const fn probe(name: &'static str, help: &'static str) -> Family {
    Family { name, kind: Kind::Gauge, help, labels: &[], scope: Scope::Probe }
}

use Kind::{Counter, Gauge};

/// All families. Per-stream ones appear in this order.
#[rustfmt::skip]
pub static CATALOGUE: &[Family] = &[
    stream("hmonitor_stream_up", Gauge, &[], "1 while the stream is up or degraded, 0 while it is down; absent while unknown or idle."),
    stream("hmonitor_stream_expected", Gauge, &[], "1 while the stream should be there, 0 while its absence is intended (off-air or silenced)."),
    stream("hmonitor_stream_health", Gauge, &["state"], "1 for the state the stream is in, 0 for the others."),
    stream("hmonitor_stream_issue", Gauge, &["cause"], "1 while the cause applies. Stalled and the causes enabled by thresholds always, others once seen."),
    stream("hmonitor_stream_state_changes_total", Counter, &["to"], "Changes into each state, once there has been one."),
    stream("hmonitor_stream_outages_total", Counter, &[], "Outages: from the change to down until the stream is back."),
    stream("hmonitor_stream_outage_seconds_total", Counter, &[], "Time spent down, the open outage included."),
    stream("hmonitor_stream_stalls_total", Counter, &[], "Silences of an expected medium beyond the stall timeout."),
    stream("hmonitor_stream_stall_seconds_total", Counter, &[], "Time spent stalled, the open stall included."),
    stream("hmonitor_stream_last_change_timestamp_seconds", Gauge, &[], "Unix time since which the state has held."),

    stream("hmonitor_stream_connect_attempts_total", Counter, &[], "Attempts to connect and play."),
    stream("hmonitor_stream_session_failures_total", Counter, &[], "Failed attempts and ended sessions of every cause: the total of connect failures and disconnects."),
    stream("hmonitor_stream_connect_failures_total", Counter, &["cause"], "Failed attempts by cause, once there has been one."),
    stream("hmonitor_stream_disconnects_total", Counter, &["cause"], "Ends of sessions that had been playing by cause, once there has been one."),
    stream("hmonitor_stream_connect_duration_seconds", Gauge, &["phase"], "Duration of each phase of the newest attempt."),
    stream("hmonitor_stream_session_start_timestamp_seconds", Gauge, &[], "Unix time of the start of the newest session."),

    stream("hmonitor_stream_received_bytes_total", Counter, &[], "RTMP bytes received, all sessions, after TLS."),
    stream("hmonitor_stream_media_bytes_total", Counter, &["media"], "FLV tag body bytes received."),
    stream("hmonitor_stream_frames_total", Counter, &["media"], "Coded frames received."),
    stream("hmonitor_stream_keyframes_total", Counter, &[], "Video keyframes received."),
    stream("hmonitor_stream_media_bytes_per_second", Gauge, &["media"], "Media rate over the rate window (a few seconds); absent before it is full, 0 when stalled."),
    stream("hmonitor_stream_frames_per_second", Gauge, &[], "Video frame rate over the rate window (a few seconds); absent before it is full, 0 when stalled."),
    stream("hmonitor_stream_declared_bytes_per_second", Gauge, &["media"], "Media rate the publisher declares (onMetaData); not measured."),
    stream("hmonitor_stream_declared_frames_per_second", Gauge, &[], "Frame rate the publisher declares (onMetaData); not measured."),
    stream("hmonitor_stream_keyframe_interval_seconds", Gauge, &[], "Media time between the two newest keyframes."),
    stream("hmonitor_stream_gop_frames", Gauge, &[], "Frames of the newest whole group of pictures."),
    stream("hmonitor_stream_frame_gap_max_seconds", Gauge, &["media"], "Longest arrival gap within the gap window (the last several seconds)."),
    stream("hmonitor_stream_jitter_seconds", Gauge, &[], "Mean deviation of arrival from media time (RFC 3550 section 6.4.1)."),
    stream("hmonitor_stream_last_frame_timestamp_seconds", Gauge, &["media"], "Unix time of the newest frame's arrival."),
    stream("hmonitor_stream_media_errors_total", Counter, &[], "Timestamp anomalies and parse errors of every kind: the total of those two families."),
    stream("hmonitor_stream_timestamp_anomalies_total", Counter, &["media", "kind"], "Timestamp anomalies by kind, once there has been one."),
    stream("hmonitor_stream_drift_seconds", Gauge, &[], "Media clock minus wall clock since the baseline; positive when media runs fast."),
    stream("hmonitor_stream_av_skew_seconds", Gauge, &[], "Audio DTS minus video DTS at the same arrival."),
    stream("hmonitor_stream_video_width_pixels", Gauge, &[], "Picture width as shown."),
    stream("hmonitor_stream_video_height_pixels", Gauge, &[], "Picture height as shown."),
    stream("hmonitor_stream_video_info", Gauge, &["codec", "profile", "level"], "1, with the video format in its labels."),
    stream("hmonitor_stream_audio_info", Gauge, &["codec", "sample_rate", "channels"], "1, with the audio format in its labels."),
    stream("hmonitor_stream_parameter_changes_total", Counter, &[], "Changes of codec, size, rate or channels."),
    stream("hmonitor_stream_parse_errors_total", Counter, &["kind"], "Media headers that could not be parsed by kind, once there has been one."),

    monitor("hmonitor_build_info", Gauge, &["version", "revision"], "1, with the build in its labels."),
    monitor("hmonitor_config_last_reload_successful", Gauge, &[], "Whether the newest attempt to load the configuration succeeded."),
    monitor("hmonitor_config_last_reload_success_timestamp_seconds", Gauge, &[], "Unix time of the newest successful load of the configuration."),
    monitor("hmonitor_discovery_sources_failing", Gauge, &[], "Discovery sources that cannot be read now; their last known streams stay."),
    monitor("hmonitor_streams_configured", Gauge, &[], "Streams in the picture."),
    monitor("hmonitor_snapshot_age_seconds", Gauge, &[], "Age of the picture every view is made from."),
    monitor("hmonitor_http_requests_total", Counter, &["route", "code"], "HTTP requests answered."),
    monitor("hmonitor_connections_refused_total", Counter, &["listener"], "Connections closed because the listener's limit was reached."),
    monitor("hmonitor_event_streams", Gauge, &[], "Open event streams."),
    monitor("hmonitor_health_answers_total", Counter, &["view", "answer"], "Answers of the health endpoints; held and assumed ones rest on no fresh evidence."),
    monitor("hmonitor_probe_restarts_total", Counter, &["probe", "reason"], "Probes started again after they had ended."),
    monitor("hmonitor_task_panics_total", Counter, &[], "Tasks that ended by a panic."),
    monitor("hmonitor_observer_pauses_total", Counter, &[], "Times this process or its machine stood still."),
    monitor("process_cpu_seconds_total", Counter, &[], "User and system CPU time of this process."),
    monitor("process_resident_memory_bytes", Gauge, &[], "Resident memory of this process."),
    monitor("process_virtual_memory_bytes", Gauge, &[], "Virtual memory of this process."),
    monitor("process_open_fds", Gauge, &[], "Open file descriptors of this process."),
    monitor("process_max_fds", Gauge, &[], "Most file descriptors this process may open."),
    monitor("process_threads", Gauge, &[], "Threads of this process."),
    monitor("process_start_time_seconds", Gauge, &[], "Unix time of the start of this process."),

    probe("probe_success", "1 when the target was up or degraded at the end of the probe, else 0."),
    probe("probe_duration_seconds", "How long the probe took."),
];
