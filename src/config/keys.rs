//! Every key of the configuration, with its bounds and its documentation.

use std::time::Duration;

use super::action_keys::ACTIONS;
use super::anomaly::ANOMALY;
use super::content::CONTENT;
use super::publications::KEEP;
use super::recipe::{ADDRESS, Engine};
use super::shape::Shape::{
    Address, BitRate, Choice, Count, Deferred, Either, List, Map, Number, Path, Pattern, Table, Text,
};
use super::shape::{Key, Shape, key, required, words};
use super::text::{TEMPLATE, TEMPLATE_URL};
use super::{LogFileSpec, LogFormat, SHUTDOWN_TIMEOUT, SupervisorSpec, target_keys};
use crate::model::server::{ReadAccess, Role, ServerLimits};
use crate::model::spec::{DegradedAnswer, Flapping, PhaseTimeouts, Presence, StreamPolicy, Transport, UnknownAnswer};

pub(super) const SECOND: u64 = 1000;
pub(super) const MINUTE: u64 = 60 * SECOND;
pub(super) const HOUR: u64 = 60 * MINUTE;
pub(super) const DAY: u64 = 24 * HOUR;

pub(super) const fn ms(min: u64, max: u64) -> Shape {
    Shape::Duration(Duration::from_millis(min), Duration::from_millis(max))
}

pub(super) fn duration(value: Duration) -> String {
    humantime::format_duration(value).to_string()
}

/// What `{…}` may stand for in discovery.
const DISCOVERY: &[&str] = &["target", "label.*", "app", "key"];
const DISCOVERY_URL: &[&str] = &["target", "label.*", "app", "key", ADDRESS];

pub(super) const ROOT: Shape = Table(&[&[
    key("server", Table(&[SERVER]), "HTTP servers: metrics, API, status page and health answers."),
    key("state_file", Path, "Where decisions and streams added at run time survive a restart. Default: nowhere."),
    key("shutdown_timeout", ms(0, 5 * MINUTE), "Longest graceful stop.").or(|| duration(SHUTDOWN_TIMEOUT)),
    key("log", Table(&[LOG]), "Logging, to standard output and to a file."),
    key("supervisor", Table(&[SUPERVISOR]), "How probes are restarted."),
    key("libav", Table(&[LIBAV]), "The worker processes that decode with FFmpeg's libraries."),
    key("defaults", DEFAULTS, "What every stream inherits."),
    key("streams", List(&STREAM), "The streams to watch."),
    key("templates", List(&TEMPLATE_ENTRY), "Many similar streams or endpoints from lists and ranges of names."),
    key(
        "discover",
        List(&DISCOVER_ENTRY),
        "Streams from target lists in files or over HTTP, or from an RTMP server's statistics.",
    ),
    key("endpoints", List(&target_keys::ENDPOINT), "Network targets and replicated stores to check."),
    key("services", List(&target_keys::SERVICE), "Devices, platforms, RTMP servers and load balancers to watch."),
    key("paths", List(&target_keys::PATH), "Chains from a camera to its viewers, for telling where they are broken."),
    key("groups", List(&target_keys::GROUP), "What is judged together: a slave, a compressor, a master, a zone."),
    key("failovers", List(&target_keys::FAILOVER), "Groups of which one is active."),
    key(
        "vantage",
        List(&Text),
        "Endpoints whose success shows that we can see the network at all. Default: the default gateway, by ICMP, when there are groups.",
    ),
    key("actions", ACTIONS, "What is done with decisions on groups and failovers. Default: nothing but answers."),
    key("probe", Table(&[PROBE]), "One-shot probes by HTTP request. Default: off."),
]]);

pub(super) const DEFAULTS: Shape = Table(&[CONNECTION, THRESHOLDS, CONTENT, ANOMALY, JUDGEMENT, WATCH, LABELS]);
pub(super) const STREAM: Shape =
    Table(&[STREAM_OWN, LABELS, CONNECTION, THRESHOLDS, CONTENT, ANOMALY, JUDGEMENT, WATCH]);
const TEMPLATE_ENTRY: Shape = Table(&[TEMPLATE_OWN, CONNECTION, THRESHOLDS, CONTENT, ANOMALY, JUDGEMENT, WATCH]);
const DISCOVER_ENTRY: Shape = Table(&[DISCOVER_OWN, CONNECTION, THRESHOLDS, CONTENT, ANOMALY, JUDGEMENT, WATCH]);
const MODULE: Shape = Table(&[MODULE_OWN, CONNECTION, THRESHOLDS]);

const STREAM_OWN: &[Key] = &[
    required("name", Text, "Unique name: metric label and path segment."),
    key(
        "url",
        Text,
        "rtmp://host/app/key, rtmps://…, rtmp://host/NAME; rtsp://…, rtsps://…, srt://…, http(s)://….m3u8, udp://…, file:/….",
    ),
    key("url_file", Path, "File that holds the URL, instead of url."),
    key("app", Text, "Application, for keys that contain slashes. Default: all of the path before its last slash."),
    key(
        "camera",
        Text,
        "The camera's own endpoint: while it answers, a missing publication is less likely the camera's fault.",
    ),
];

pub(super) const LABELS: &[Key] = &[key("labels", Map(&Text), "Labels on every series.")];

const TEMPLATE_OWN: &[Key] = &[
    required("names", List(&Text), "Names and ranges: cam-{01..40} is cam-01 to cam-40."),
    key("name", Pattern(TEMPLATE), "Name of each stream or endpoint. Default {name}."),
    key("url", Pattern(TEMPLATE_URL), "URL of each stream; {name} is the entry of names, {address} see follow."),
    key(
        "endpoint",
        Deferred(&target_keys::ENDPOINT_BODY),
        "What each endpoint is, instead of url; {name} in its texts is the entry of names.",
    ),
    key("app", Pattern(TEMPLATE), "Application of each stream, for keys that contain slashes."),
    key("camera", Pattern(TEMPLATE), "Endpoint of the camera of each stream."),
    key("labels", Map(&Pattern(TEMPLATE)), "Labels on every series of each stream."),
];

const DISCOVER_OWN: &[Key] = &[
    key("file", Path, "Target list, YAML or JSON (Prometheus file_sd); one * allowed in the file name."),
    key("http", Text, "URL of a target list, JSON (Prometheus http_sd), instead of file. Redirects are not followed."),
    key("rtmp_server", Text, "rtmp_server service whose publications are the streams, instead of file."),
    key("apps", List(&Text), "Applications of rtmp_server that count. Default: all."),
    key("keep", ms(SECOND, 30 * DAY), "How long what is not published any more at rtmp_server stays wanted.")
        .or(|| duration(KEEP)),
    key("refresh", ms(SECOND, 24 * HOUR), "How often the source is read. Default 30s."),
    key("token", Text, "Bearer token for http."),
    key("token_file", Path, "File that holds the bearer token."),
    key("ca_file", Path, "PEM file of authorities to trust for http instead of the system's."),
    key(
        "name",
        Pattern(DISCOVERY),
        "Name of each stream, shown everywhere. Default: its label name, else its target; of rtmp_server {key}, else {app}.",
    ),
    key(
        "url",
        Pattern(DISCOVERY_URL),
        "URL of each stream. Default {target}; of rtmp_server the service's origin with {app}/{key}.",
    ),
    key("app", Pattern(DISCOVERY), "Application of each stream, for keys that contain slashes."),
    key("camera", Pattern(DISCOVERY), "Endpoint of the camera of each stream."),
    key("labels", Map(&Pattern(DISCOVERY)), "Labels on every series of each stream, beside the target's own."),
];

const CONNECTION: &[Key] = &[
    key("connect_timeout", ms(100, 5 * MINUTE), "From the start of an attempt until play is accepted.")
        .or(|| duration(PhaseTimeouts::default().connect_total)),
    key("phase_timeouts", Table(&[PHASES]), "Bounds of single phases within connect_timeout, which is their default."),
    key("first_media_timeout", ms(500, HOUR), "From play accepted to the first media.")
        .or(|| duration(PhaseTimeouts::default().first_media)),
    key("tls", Table(&[TLS]), "How an rtmps:// or https:// origin is verified."),
];

const PHASES: &[Key] = &[
    key("resolve", ms(10, 5 * MINUTE), "Name resolution."),
    key("tcp", ms(10, 5 * MINUTE), "TCP connection."),
    key("tls", ms(10, 5 * MINUTE), "TLS handshake."),
    key("handshake", ms(10, 5 * MINUTE), "RTMP handshake."),
    key("connect", ms(10, 5 * MINUTE), "RTMP connect command."),
    key("play", ms(10, 5 * MINUTE), "RTMP play command."),
];

const CA_FILE: Key = key("ca_file", Path, "PEM file of authorities to trust instead of the system's.");
const SERVER_NAME: Key = key("server_name", Text, "Name to verify instead of the host's.");
const PIN: Key = key(
    "pin_sha256",
    Text,
    "SHA-256 of the only certificate to trust, or of its public key, in hexadecimal; authorities and names mean nothing then.",
);

/// How a certificate is verified, as a mapping of its own.
pub(super) const TLS: &[Key] = &[CA_FILE, SERVER_NAME, PIN];
/// The same among other keys.
pub(super) const VERIFICATION: &[Key] = &[CA_FILE, SERVER_NAME];

const THRESHOLDS: &[Key] = &[
    key("stall_timeout", ms(200, HOUR), "Media silence that counts as a stall.")
        .or(|| duration(StreamPolicy::default().stall_timeout)),
    key("expect", Table(&[EXPECT]), "What a healthy stream looks like."),
];

const EXPECT: &[Key] = &[
    key("video", Either(PRESENCES, &Table(&[VIDEO])), "Default required; a mapping makes it required."),
    key("audio", Either(PRESENCES, &Table(&[AUDIO])), "Default optional; a mapping makes it required."),
    key("drift", Table(&[DURATION_MAX]), "Difference between media clock and wall clock."),
    key("av_skew", Table(&[DURATION_MAX]), "Distance between audio and video."),
    key("jitter", Table(&[DURATION_MAX]), "Arrival jitter."),
    key("timestamp_anomalies", Table(&[ANOMALIES]), "Timestamp regressions and jumps within a minute."),
];

const PRESENCES: &[&str] = words!(Presence);

/// Codec names as ffprobe prints them.
const VIDEO_CODECS: &[&str] =
    &["h264", "hevc", "av1", "vp9", "vp8", "vvc", "flv1", "flashsv", "flashsv2", "vp6f", "vp6a"];
const AUDIO_CODECS: &[&str] = &[
    "aac",
    "mp3",
    "opus",
    "flac",
    "ac3",
    "eac3",
    "speex",
    "nellymoser",
    "pcm_alaw",
    "pcm_mulaw",
    "pcm_s16le",
    "pcm_u8",
    "adpcm_swf",
];

const VIDEO: &[Key] = &[
    key("codec", Choice(VIDEO_CODECS), "Codec."),
    key("width", Count(1, 16_384), "Width in pixels."),
    key("height", Count(1, 16_384), "Height in pixels."),
    key("fps", Table(&[FPS]), "Frames per second."),
    key("bitrate", Table(&[BITRATE]), "Video bit rate."),
    key("keyframe_interval", Table(&[DURATION_MAX]), "Time from keyframe to keyframe."),
];

const AUDIO: &[Key] =
    &[key("codec", Choice(AUDIO_CODECS), "Codec."), key("bitrate", Table(&[BITRATE]), "Audio bit rate.")];

const FPS: &[Key] = &[
    key("min", Number(0.01, 1000.0), "Least healthy rate."),
    key("max", Number(0.01, 1000.0), "Greatest healthy rate."),
];
pub(super) const BITRATE: &[Key] =
    &[key("min", BitRate, "Least healthy rate."), key("max", BitRate, "Greatest healthy rate.")];
pub(super) const DURATION_MAX: &[Key] = &[required("max", ms(1, HOUR), "Greatest healthy value.")];
const ANOMALIES: &[Key] = &[required("max", Count(0, 1_000_000), "Most tolerated within a minute.")];

pub(super) const JUDGEMENT: &[Key] = &[
    key("rise", ms(0, HOUR), "How long healthy evidence must hold before health is better.")
        .or(|| duration(StreamPolicy::default().rise)),
    key("fall", ms(0, HOUR), "How long bad evidence must hold before it counts.")
        .or(|| duration(StreamPolicy::default().fall)),
    key("flapping", Table(&[FLAPPING]), "When changes of health count as flapping."),
    key("degraded", Choice(words!(DegradedAnswer)), "Health answer while degraded. Default pass."),
    key(
        "unknown",
        Choice(words!(UnknownAnswer)),
        "Health answer while unknown. Default hold: the last known one; fail for a store that is expected to be primary.",
    ),
    key("schedule", Either(&["always"], &Table(&[SCHEDULE])), "When it is meant to be there. Default always."),
];

const WATCH: &[Key] = &[
    key("watch", Text, "always (default), or when to pull the stream: 10s every 60s."),
    key("server", Text, "rtmp_server service whose statistics list the stream. Default: the one of the URL's origin."),
    key(
        "follow",
        Text,
        "Failover whose active candidate serves the stream: {address} in its URL is that group's address.",
    ),
    key(
        "engine",
        Choice(words!(Engine)),
        "What plays it. Default native for rtmp:// and rtmps://; libav, FFmpeg's libraries, for anything else.",
    ),
    key("transport", Choice(words!(Transport)), "What rtsp:// media come over. Default tcp."),
    key("source", Choice(&["play", "server"]), "Where facts come from: play (default), or that server's statistics."),
];

const FLAPPING: &[Key] = &[
    key("changes", Count(2, 1000), "Changes of health within the window.")
        .or(|| Flapping::default().changes.to_string()),
    key("window", ms(10 * SECOND, 24 * HOUR), "Length of the window.").or(|| duration(Flapping::default().window)),
];

const SCHEDULE: &[Key] = &[
    key("zone", Text, "Time zone such as Europe/Berlin. Default UTC."),
    required(
        "on_air",
        List(&Text),
        "Windows such as mon-fri 06:00-22:00; one that ends before it begins runs past midnight.",
    ),
];

const SERVER: &[Key] = &[
    key("listen", Address, "Address of everything. Default 0.0.0.0:9935."),
    key("health_listen", Either(&["none"], &Address), "Address of health answers alone. Default 0.0.0.0:9937."),
    key(
        "agent_listen",
        Either(&["none"], &Address),
        "Address for HAProxy's agent checks, such as 0.0.0.0:9936. Default none.",
    ),
    key(
        "unix_listen",
        Path,
        "Unix socket (mode 0660) with all of listen, plain; reading needs no token there. Default: none.",
    ),
    key("tls", Table(&[SERVER_TLS]), "Certificate of listen. Default: plain HTTP. Health answers stay plain."),
    key("tokens", List(&Table(&[TOKEN])), "Bearer tokens. Without one for operate nothing can be changed over HTTP."),
    key("read", Choice(words!(ReadAccess)), "Whether reading needs a token. Default open."),
    key(
        "hosts",
        List(&Text),
        "Names under which listen answers, such as monitor.example or *.example, beside addresses and localhost. Default: all.",
    ),
    key("limits", Table(&[LIMITS]), "Bounds on what clients may cost."),
];

const SERVER_TLS: &[Key] =
    &[required("cert_file", Path, "Certificate chain, PEM."), required("key_file", Path, "Private key, PEM.")];

const TOKEN: &[Key] = &[
    required("role", Choice(words!(Role)), "What the token allows; operate includes read."),
    key("token", Text, "The token; better ${NAME} of the environment."),
    key("token_file", Path, "File that holds the token, instead of token."),
];

const LIMITS: &[Key] = &[
    key("connections", Count(1, 65_536), "Connections to listen.")
        .or(|| ServerLimits::default().connections.to_string()),
    key("health_connections", Count(1, 65_536), "Connections to health_listen.")
        .or(|| ServerLimits::default().health_connections.to_string()),
    key("agent_connections", Count(1, 65_536), "Connections to agent_listen.")
        .or(|| ServerLimits::default().agent_connections.to_string()),
    key(
        "request_timeout",
        ms(100, 10 * MINUTE),
        "For a request to arrive; an answer may take four times as long to be read.",
    )
    .or(|| duration(ServerLimits::default().request_timeout)),
    key("body", Count(1024, 16 * 1024 * 1024), "Bytes of a request body.")
        .or(|| ServerLimits::default().body.to_string()),
    key("event_streams", Count(0, 65_536), "Open event streams.")
        .or(|| ServerLimits::default().event_streams.to_string()),
    key("probes", Count(0, 1024), "One-shot probes at once.").or(|| ServerLimits::default().probes.to_string()),
];

const LOG: &[Key] = &[
    key(
        "format",
        Choice(words!(LogFormat)),
        "ecs: documents of the Elastic Common Schema, one a line. Default pretty.",
    ),
    key("level", Text, "error, warn, info (default), debug, trace, or a filter such as info,rtmp_hmonitor=debug."),
    key("file", Table(&[LOG_FILE]), "A file beside standard output, bounded in size and age. Default: none."),
];

const LOG_FILE: &[Key] = &[
    required("path", Path, "The file; older ones are path.1, path.2 and so on."),
    key("max_size", Count(4096, 1 << 40), "Bytes after which a new file begins.")
        .or(|| LogFileSpec::default().max_size.to_string()),
    key("max_age", ms(MINUTE, 400 * DAY), "Age of its first line after which a new file begins.")
        .or(|| duration(LogFileSpec::default().max_age)),
    key("keep", Count(0, 1000), "Older files that stay.").or(|| LogFileSpec::default().keep.to_string()),
];

const SUPERVISOR: &[Key] = &[
    key("backoff_max", ms(100, 5 * MINUTE), "Longest pause between attempts.")
        .or(|| duration(SupervisorSpec::default().backoff_max)),
    key("connects_per_second_per_origin", Count(1, 10_000), "Connection attempts to one origin.")
        .or(|| SupervisorSpec::default().connects_per_second_per_origin.to_string()),
];

const LIBAV: &[Key] = &[
    key("worker", Path, "The workers' program. Default: rtmp-hmonitor-libav beside the monitor's."),
    key(
        "inspectors",
        Count(1, 64),
        "Processes that decode samples. Default: one for every two processors, four at most.",
    ),
];

const PROBE: &[Key] = &[key("modules", List(&MODULE), "Named ways to probe a target.")];

const MODULE_OWN: &[Key] = &[
    required("name", Text, "What a request calls it."),
    key("duration", ms(SECOND, 5 * MINUTE), "How long to look after play is accepted. Default 5s."),
    key("allow", List(&Text), "Targets it may reach: 10.0.0.0/8, *.example, cams.example:1935. Default: none."),
];
