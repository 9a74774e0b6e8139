//! Every family the monitor exposes: the one source of HELP, TYPE and labels, and what dashboards are checked against.

use crate::model::closed_enum;

closed_enum! {
    /// Prometheus metric types in use.
    Kind {
        Counter = "counter",
        Gauge = "gauge",
        Histogram = "histogram",
    }
}

/// What a family has one set of series for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Each stream: its series also carry `stream` and the stream's configured labels.
    Stream,
    /// Each endpoint: its series also carry `endpoint` and the endpoint's configured labels.
    Endpoint,
    /// Likewise each service: `service`.
    Service,
    /// Likewise each path: `path`.
    Path,
    /// Likewise each group: `group`.
    Group,
    /// Likewise each failover: `failover`.
    Failover,
    /// The monitor itself.
    Monitor,
    /// One answer of `/probe`.
    Probe,
}

impl Scope {
    /// The label that names what a series is about.
    pub const fn label(self) -> Option<&'static str> {
        match self {
            Self::Stream => Some("stream"),
            Self::Endpoint => Some("endpoint"),
            Self::Service => Some("service"),
            Self::Path => Some("path"),
            Self::Group => Some("group"),
            Self::Failover => Some("failover"),
            Self::Monitor | Self::Probe => None,
        }
    }
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

const fn endpoint(name: &'static str, kind: Kind, labels: &'static [&'static str], help: &'static str) -> Family {
    Family { name, kind, help, labels, scope: Scope::Endpoint }
}

const fn service(name: &'static str, kind: Kind, labels: &'static [&'static str], help: &'static str) -> Family {
    Family { name, kind, help, labels, scope: Scope::Service }
}

const fn path(name: &'static str, kind: Kind, labels: &'static [&'static str], help: &'static str) -> Family {
    Family { name, kind, help, labels, scope: Scope::Path }
}

const fn group(name: &'static str, kind: Kind, labels: &'static [&'static str], help: &'static str) -> Family {
    Family { name, kind, help, labels, scope: Scope::Group }
}

const fn failover(name: &'static str, kind: Kind, labels: &'static [&'static str], help: &'static str) -> Family {
    Family { name, kind, help, labels, scope: Scope::Failover }
}

const fn monitor(name: &'static str, kind: Kind, labels: &'static [&'static str], help: &'static str) -> Family {
    Family { name, kind, help, labels, scope: Scope::Monitor }
}

const fn probe(name: &'static str, help: &'static str) -> Family {
    Family { name, kind: Kind::Gauge, help, labels: &[], scope: Scope::Probe }
}

use Kind::{Counter, Gauge, Histogram};

/// All families. Those of streams appear in this order.
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
    stream("hmonitor_stream_tcp_rtt_seconds", Gauge, &[], "Smoothed round trip of the session's connection, as the kernel measures it."),
    stream("hmonitor_stream_tcp_retransmits_total", Counter, &[], "Segments we had to send again; starts again with the session."),
    stream("hmonitor_stream_tcp_out_of_order_total", Counter, &[], "Segments that came out of order, a sign of loss on the way to us; starts again with the session."),

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
    stream("hmonitor_stream_video_info", Gauge, &["codec", "profile", "level", "tier", "bit_depth", "chroma", "colour", "hdr"], "1, with the video format in its labels."),
    stream("hmonitor_stream_audio_info", Gauge, &["codec", "sample_rate", "channels", "layout"], "1, with the audio format in its labels; a sample rate or number of channels that is not usual is `other`."),
    stream("hmonitor_stream_parameter_changes_total", Counter, &[], "Changes of codec, size, rate or channels."),
    stream("hmonitor_stream_parse_errors_total", Counter, &["kind"], "Media headers that could not be parsed by kind, once there has been one."),
    stream("hmonitor_stream_tracks", Gauge, &["media"], "Tracks seen in the session, where there is more than one."),
    stream("hmonitor_stream_luma_mean_ratio", Gauge, &[], "Mean luma of the newest inspected picture, 0 black to 1 white."),
    stream("hmonitor_stream_frozen_seconds", Gauge, &[], "How long the picture was known to stand still at the newest inspection, where that is checked."),
    stream("hmonitor_stream_audio_loudness_dbfs", Gauge, &[], "Loudness (RMS) of the newest inspected sound; -120 for silence."),
    stream("hmonitor_stream_decode_errors_total", Counter, &[], "Frames of inspected samples that the decoder refused or found damaged."),
    stream("hmonitor_stream_anomaly_ratio", Gauge, &["signal"], "Where the signal (bitrate, fps, frame_gap) lies in the band that is usual for this stream at this time of day: 0 at its centre, -1 and 1 at its edges, beyond that unusual. Absent until eight days are known."),
    stream("hmonitor_stream_unusual", Gauge, &["signal"], "1 while the signal has been out of that band for long enough to be told; absent otherwise."),
    stream("hmonitor_stream_server_publishing", Gauge, &[], "1 while the media server's statistics say that the stream is published, 0 while they do not."),
    stream("hmonitor_stream_server_bytes_total", Counter, &[], "Bytes from the publisher as the media server counts them; starts again with the publication."),
    stream("hmonitor_stream_server_players", Gauge, &[], "Players of the stream as the media server counts them."),
    stream("hmonitor_stream_unplayable", Gauge, &[], "1 while the media server receives the stream and yet it cannot be played."),

    endpoint("hmonitor_endpoint_up", Gauge, &["probe"], "1 while the endpoint is up or degraded, 0 while it is down; absent while unknown or idle."),
    endpoint("hmonitor_endpoint_health", Gauge, &["state"], "1 for the state the endpoint is in, 0 for the others."),
    endpoint("hmonitor_endpoint_issue", Gauge, &["cause"], "1 while the cause applies. Causes enabled by expectations always, others once seen."),
    endpoint("hmonitor_endpoint_state_changes_total", Counter, &["to"], "Changes into each state, once there has been one."),
    endpoint("hmonitor_endpoint_outages_total", Counter, &[], "Outages: from the change to down until the endpoint is back."),
    endpoint("hmonitor_endpoint_outage_seconds_total", Counter, &[], "Time spent down, the open outage included."),
    endpoint("hmonitor_endpoint_last_change_timestamp_seconds", Gauge, &[], "Unix time since which the state has held."),
    endpoint("hmonitor_endpoint_checks_total", Counter, &[], "Looks at the endpoint that told something."),
    endpoint("hmonitor_endpoint_checks_failed_total", Counter, &[], "Failed looks of every cause."),
    endpoint("hmonitor_endpoint_failures_total", Counter, &["cause"], "Failed looks by cause, once there has been one."),
    endpoint("hmonitor_endpoint_blind_total", Counter, &["cause"], "Looks that told nothing about the endpoint, by cause."),
    endpoint("hmonitor_endpoint_duration_seconds", Gauge, &["phase"], "Duration of each phase of the newest look."),
    endpoint("hmonitor_endpoint_check_duration_seconds", Gauge, &[], "The whole of the newest successful look."),
    endpoint("hmonitor_endpoint_last_success_timestamp_seconds", Gauge, &[], "Unix time of the newest successful look."),
    endpoint("hmonitor_endpoint_tls_expiry_timestamp_seconds", Gauge, &[], "Unix time at which the certificate that the endpoint has shown expires."),

    endpoint("hmonitor_ping_rtt_seconds", Histogram, &[], "Round trips of answered pings."),
    endpoint("hmonitor_ping_sent_total", Counter, &[], "Pings sent."),
    endpoint("hmonitor_ping_received_total", Counter, &[], "Pings answered in time, each counted once."),
    endpoint("hmonitor_ping_lost_total", Counter, &[], "Pings not answered in time."),
    endpoint("hmonitor_ping_duplicates_total", Counter, &[], "Answers to pings that had been answered."),
    endpoint("hmonitor_ping_late_total", Counter, &[], "Answers that came too late; their pings stay lost."),
    endpoint("hmonitor_ping_reordered_total", Counter, &[], "Answers that came after that of a later ping."),
    endpoint("hmonitor_ping_loss_ratio", Gauge, &[], "Share of pings lost over the configured window, 0 to 1."),
    endpoint("hmonitor_ping_jitter_seconds", Gauge, &[], "Mean difference between neighbouring round trips over the configured window."),
    endpoint("hmonitor_ping_rtt_mean_seconds", Gauge, &[], "Mean round trip over the configured window."),
    endpoint("hmonitor_endpoint_http_status", Gauge, &[], "Status code of the newest successful look."),
    endpoint("hmonitor_download_bytes_per_second", Gauge, &[], "Rate of the newest timed download."),
    endpoint("hmonitor_canary_delay_seconds", Gauge, &[], "From a frame published to the same frame played back, in the newest look."),
    endpoint("hmonitor_replication_role", Gauge, &["role"], "1 for the role the store has, 0 for the others."),
    endpoint("hmonitor_replication_lag_bytes", Gauge, &[], "How far a replica is behind its primary, as far as it can know."),
    endpoint("hmonitor_replication_lag_seconds", Gauge, &[], "How far a replica is behind its primary, as far as it can know."),
    endpoint("hmonitor_replication_connected", Gauge, &[], "1 while a replica is connected to its primary, 0 while it is not."),
    endpoint("hmonitor_replication_replicas", Gauge, &[], "Replicas that a primary serves, or members of the set."),

    service("hmonitor_service_up", Gauge, &["kind"], "1 while the service is up or degraded, 0 while it is down; absent while unknown or idle."),
    service("hmonitor_service_health", Gauge, &["state"], "1 for the state the service is in, 0 for the others."),
    service("hmonitor_service_issue", Gauge, &["cause"], "1 while the cause applies. Causes enabled by expectations always, others once seen."),
    service("hmonitor_service_state_changes_total", Counter, &["to"], "Changes into each state, once there has been one."),
    service("hmonitor_service_outages_total", Counter, &[], "Outages: from the change to down until the service is back."),
    service("hmonitor_service_outage_seconds_total", Counter, &[], "Time spent down, the open outage included."),
    service("hmonitor_service_last_change_timestamp_seconds", Gauge, &[], "Unix time since which the state has held."),
    service("hmonitor_service_checks_total", Counter, &[], "Looks at the service that told something."),
    service("hmonitor_service_checks_failed_total", Counter, &[], "Failed looks of every cause."),
    service("hmonitor_service_errors_total", Counter, &["kind", "cause"], "Failed looks by cause, once there has been one, and looks that told nothing about the service (hindered, rate_limited, paused, panic)."),
    service("hmonitor_service_duration_seconds", Gauge, &["phase"], "Duration of each phase of the newest look."),
    service("hmonitor_service_check_duration_seconds", Gauge, &[], "The whole of the newest successful look."),
    service("hmonitor_service_last_success_timestamp_seconds", Gauge, &[], "Unix time of the newest successful look."),
    service("hmonitor_service_tls_expiry_timestamp_seconds", Gauge, &[], "Unix time at which the certificate that the service has shown expires."),

    service("hmonitor_web_presenter_state", Gauge, &["state"], "1 for the state the device is in, 0 for the others."),
    service("hmonitor_web_presenter_bytes_per_second", Gauge, &[], "Rate as the device tells it; not zero while it is idle."),
    service("hmonitor_web_presenter_target_bytes_per_second", Gauge, &[], "Rate of the active profile at the present format."),
    service("hmonitor_web_presenter_cache_ratio", Gauge, &[], "Share of the send buffer in use, 0 to 1."),
    service("hmonitor_web_presenter_duration_seconds", Gauge, &[], "Length of the stream as the device counts it."),
    service("hmonitor_web_presenter_info", Gauge, &["model", "software", "platform", "quality", "format"], "1, with the device in its labels."),
    service("hmonitor_vimeo_state", Gauge, &["state"], "1 for the state the event or video is in, 0 for the others."),
    service("hmonitor_vimeo_viewers", Gauge, &[], "Viewers now, where the API tells."),
    service("hmonitor_vimeo_plays", Gauge, &[], "Plays so far, unless the owner hides them."),
    service("hmonitor_vimeo_ingest_status", Gauge, &[], "Status number of the ingest as the API gives it."),
    service("hmonitor_vimeo_video_width_pixels", Gauge, &[], "Picture width that is received."),
    service("hmonitor_vimeo_video_height_pixels", Gauge, &[], "Picture height that is received."),
    service("hmonitor_vimeo_seconds_remaining", Gauge, &[], "Stream time left."),
    service("hmonitor_vimeo_rate_limit_remaining", Gauge, &[], "Requests that the API still allows in its present window."),
    service("hmonitor_rtmp_server_clients", Gauge, &[], "Players and publishers of all applications."),
    service("hmonitor_rtmp_server_streams", Gauge, &[], "Streams that are published."),
    service("hmonitor_ghost_publishers", Gauge, &[], "Publications that the server shows although no byte of them has come for 2 seconds: their publisher is gone, and keeps others out."),
    service("hmonitor_rtmp_server_bytes_total", Counter, &["direction"], "Bytes received (in) and sent (out) as the server counts them."),
    service("hmonitor_rtmp_server_uptime_seconds", Gauge, &[], "Time since the server's start."),
    service("hmonitor_rtmp_server_info", Gauge, &["flavor", "version"], "1, with the server in its labels."),
    service("hmonitor_haproxy_backend_up", Gauge, &["proxy"], "1 while the backend can take sessions, else 0."),
    service("hmonitor_haproxy_sessions", Gauge, &["proxy"], "Sessions of the backend now."),
    service("hmonitor_haproxy_sessions_total", Counter, &["proxy"], "Sessions of the backend so far."),
    service("hmonitor_haproxy_server_up", Gauge, &["proxy", "server"], "1 while the server takes new sessions, else 0. At most 1,000 servers a service."),
    service("hmonitor_haproxy_server_sessions", Gauge, &["proxy", "server"], "Sessions of the server now."),
    service("hmonitor_haproxy_server_weight", Gauge, &["proxy", "server"], "Weight of the server."),
    service("hmonitor_haproxy_server_check_failures_total", Counter, &["proxy", "server"], "Failed health checks of the server as HAProxy counts them."),

    path("hmonitor_path_fault", Gauge, &["hop"], "1 for the first hop that fails, 0 for the others."),
    path("hmonitor_path_fault_certain", Gauge, &[], "While a hop fails: 1 when every hop before it is known to be well, else 0."),
    path("hmonitor_path_consequence", Gauge, &["hop"], "1 while the hop is down only because an earlier one is, else 0."),
    path("hmonitor_link_receive_ratio", Gauge, &[], "What the carried streams deliver over what they should."),
    path("hmonitor_link_received_bytes_per_second", Gauge, &[], "What the carried streams deliver together."),
    path("hmonitor_link_expected_bytes_per_second", Gauge, &[], "What the carried streams should deliver together."),

    group("hmonitor_group_health", Gauge, &["state"], "1 for the state the group is in, 0 for the others."),
    group("hmonitor_group_eligible", Gauge, &[], "1 while the group is fit to serve, 0 while it is not; absent while unknown."),
    group("hmonitor_group_serving", Gauge, &[], "1 while the group serves what follows it, 0 while it does not; absent when it is not its turn."),
    group("hmonitor_group_weight_ratio", Gauge, &[], "Healthy members over expected ones, 0 to 1."),
    group("hmonitor_group_members", Gauge, &["state"], "Members that are expected, healthy, unknown and idle."),
    group("hmonitor_group_issue", Gauge, &["cause"], "1 for each cause of members that are down now."),
    group("hmonitor_group_held", Gauge, &[], "1 while the last judgement is kept because we cannot see, else 0."),
    group("hmonitor_group_last_change_timestamp_seconds", Gauge, &[], "Unix time since which the state has held."),
    group("hmonitor_group_maintenance", Gauge, &["state"], "1 for what an operator has asked for (drain, maint or ready), 0 for the others."),

    failover("hmonitor_failover_active", Gauge, &["candidate"], "1 for the active candidate, 0 for the others."),
    failover("hmonitor_failover_candidate_eligible", Gauge, &["candidate"], "1 while the candidate could take over, 0 while it could not; absent while unknown."),
    failover("hmonitor_failover_epoch", Gauge, &[], "Number of the decision; grows with every one and survives restarts."),
    failover("hmonitor_failover_switches_total", Counter, &["reason"], "Switches to another candidate by reason, since the start."),
    failover("hmonitor_failover_last_switch_timestamp_seconds", Gauge, &[], "Unix time since which the active candidate has been that."),
    failover("hmonitor_failover_last_switch_info", Gauge, &["from", "to", "reason"], "1, with the last switch in its labels; survives restarts."),
    failover("hmonitor_failover_suppressed", Gauge, &["reason"], "1 for the reason why a switch that evidence asks for is not made now, 0 for the others."),
    failover("hmonitor_failover_suppressed_total", Counter, &["reason"], "Times that a switch began to be suppressed, by reason."),
    failover("hmonitor_failover_pinned", Gauge, &[], "1 while an operator has pinned a candidate, else 0."),

    monitor("hmonitor_isolated", Gauge, &[], "1 while we see nothing at all, else 0."),
    monitor("hmonitor_isolations_total", Counter, &[], "Times that we began to see nothing at all."),
    monitor("hmonitor_controller_disagreement_seconds", Gauge, &["object"], "How long a load balancer that asks about the object has not done what it was told; the longest of all that ask."),
    monitor("hmonitor_build_info", Gauge, &["version", "revision"], "1, with the build in its labels."),
    monitor("hmonitor_config_last_reload_successful", Gauge, &[], "Whether the newest attempt to load the configuration succeeded."),
    monitor("hmonitor_config_last_reload_success_timestamp_seconds", Gauge, &[], "Unix time of the newest successful load of the configuration."),
    monitor("hmonitor_discovery_sources_failing", Gauge, &[], "Discovery sources that cannot be read now; their last known streams stay."),
    monitor("hmonitor_streams_configured", Gauge, &[], "Streams in the picture."),
    monitor("hmonitor_endpoints_configured", Gauge, &[], "Endpoints in the picture."),
    monitor("hmonitor_services_configured", Gauge, &[], "Services in the picture."),
    monitor("hmonitor_snapshot_age_seconds", Gauge, &[], "Age of the picture every view is made from."),
    monitor("hmonitor_http_requests_total", Counter, &["route", "code"], "HTTP requests answered."),
    monitor("hmonitor_connections_refused_total", Counter, &["listener"], "Connections closed because the listener's limit was reached."),
    monitor("hmonitor_event_streams", Gauge, &[], "Open event streams."),
    monitor("hmonitor_health_answers_total", Counter, &["view", "answer"], "Answers of the health endpoints; held and assumed ones rest on no fresh evidence."),
    monitor("hmonitor_inspections_total", Counter, &["outcome"], "Inspections of streams' content by how they ended, once one has."),
    monitor("hmonitor_probe_restarts_total", Counter, &["probe", "reason"], "Probes started again after they had ended."),
    monitor("hmonitor_libav_worker_restarts_total", Counter, &["reason"], "Worker processes of libav that were lost and replaced."),
    monitor("hmonitor_actions_total", Counter, &["action", "outcome"], "Actions on decisions by how they ended: done, failed (and tried again where that helps), refused, dropped."),
    monitor("hmonitor_actions_pending", Gauge, &["action"], "Actions still to be done: servers that are not as decided, files, changes to deliver, ghosts to clear."),
    monitor("hmonitor_decision_latency_seconds", Histogram, &[], "From the evidence of a decision until HAProxy had been told."),
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
